/* SPDX-License-Identifier: ISC */
/*
 * Every way in which the spool changes or syncs a file. The spool goes through this table
 * so that tests and benchmarks can put a failing or slow disk below it.
 */
#ifndef RELAYD_SPOOL_DISK_H
#define RELAYD_SPOOL_DISK_H

#include "base/span.h"

#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

/* All behave as the system calls do: -1 and errno on failure, short counts allowed. */
struct spool_disk {
	void *context; /* handed to each function; they are called from several threads */
	int (*open)(void *context, int directory, const char *name, int flags,
		    mode_t mode);
	ssize_t (*write)(void *context, int fd, const struct iovec *runs, int count,
			 off_t offset);
	ssize_t (*read)(void *context, int fd, void *bytes, size_t octets, off_t offset);
	int (*sync_data)(void *context, int fd); /* fdatasync */
	int (*sync)(void *context, int fd);	 /* fsync: directories and new files */
	int (*rename)(void *context, int directory, const char *from, const char *to);
	int (*unlink)(void *context, int directory, const char *name, int flags);
	int (*link)(void *context, int from_directory, const char *from, int to_directory,
		    const char *to);
	int (*mkdir)(void *context, int directory, const char *name, mode_t mode);
	int (*space)(void *context, int fd, struct statvfs *space);
};

extern const struct spool_disk spool_disk_real;

/*
 * Write all the bytes at the offset, whatever the number of calls it takes. False and
 * errno when a call fails. *offset moves to the end of what was written; runs are used
 * up.
 */
bool disk_write(const struct spool_disk *disk, int fd, struct iovec *runs, int count,
		uint64_t *offset);
bool disk_write_span(const struct spool_disk *disk, int fd, struct span bytes,
		     uint64_t offset);

/* Read up to octets; fewer only at the end of the file. -1 and errno on failure. */
ssize_t disk_read(const struct spool_disk *disk, int fd, void *bytes, size_t octets,
		  uint64_t offset);

#endif
