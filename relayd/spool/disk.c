/* SPDX-License-Identifier: ISC */
/* The real disk; see disk.h. */
#define _DEFAULT_SOURCE /* pwritev */
#include "spool/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int
real_open(void *context, int directory, const char *name, int flags, mode_t mode)
{
	(void)context;
	return openat(directory, name, flags, mode);
}

static ssize_t
real_write(void *context, int fd, const struct iovec *runs, int count, off_t offset)
{
	(void)context;
	return pwritev(fd, runs, count, offset);
}

static ssize_t
real_read(void *context, int fd, void *bytes, size_t octets, off_t offset)
{
	(void)context;
	return pread(fd, bytes, octets, offset);
}

static int
real_sync_data(void *context, int fd)
{
	(void)context;
	return fdatasync(fd);
}

static int
real_sync(void *context, int fd)
{
	(void)context;
	return fsync(fd);
}

static int
real_rename(void *context, int directory, const char *from, const char *to)
{
	(void)context;
	return renameat(directory, from, directory, to);
}

static int
real_unlink(void *context, int directory, const char *name, int flags)
{
	(void)context;
	return unlinkat(directory, name, flags);
}

static int
real_link(void *context, int from_directory, const char *from, int to_directory,
	  const char *to)
{
	(void)context;
	return linkat(from_directory, from, to_directory, to, 0);
}

static int
real_mkdir(void *context, int directory, const char *name, mode_t mode)
{
	(void)context;
	return mkdirat(directory, name, mode);
}

static int
real_space(void *context, int fd, struct statvfs *space)
{
	(void)context;
	return fstatvfs(fd, space);
}

const struct spool_disk spool_disk_real = {
	.open = real_open,
	.write = real_write,
	.read = real_read,
	.sync_data = real_sync_data,
	.sync = real_sync,
	.rename = real_rename,
	.unlink = real_unlink,
	.link = real_link,
	.mkdir = real_mkdir,
	.space = real_space,
};

/* Take so many octets off the front of the runs; returns how many runs are used up. */
static int
runs_skip(struct iovec *runs, int count, size_t octets)
{
	int used = 0;

	while (used < count && octets >= runs[used].iov_len)
		octets -= runs[used++].iov_len;
	if (used < count) {
		runs[used].iov_base = (char *)runs[used].iov_base + octets;
		runs[used].iov_len -= octets;
	}
	return used;
}

bool
disk_write(const struct spool_disk *disk, int fd, struct iovec *runs, int count,
	   uint64_t *offset)
{
	while (count > 0) {
		ssize_t n = disk->write(disk->context, fd, runs, count, (off_t)*offset);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return false;
		if (n == 0) {
			errno = EIO;
			return false;
		}
		*offset += (uint64_t)n;
		int used = runs_skip(runs, count, (size_t)n);

		runs += used;
		count -= used;
	}
	return true;
}

bool
disk_write_span(const struct spool_disk *disk, int fd, struct span bytes, uint64_t offset)
{
	union {
		const char *from;
		void *base;
	} p = { .from = bytes.ptr }; /* an iovec for writing is not const */
	struct iovec run = { .iov_base = p.base, .iov_len = bytes.len };

	return bytes.len == 0 || disk_write(disk, fd, &run, 1, &offset);
}

ssize_t
disk_read(const struct spool_disk *disk, int fd, void *bytes, size_t octets,
	  uint64_t offset)
{
	size_t have = 0;

	while (have < octets) {
		ssize_t n = disk->read(disk->context, fd, (char *)bytes + have,
				       octets - have, (off_t)(offset + have));

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}
