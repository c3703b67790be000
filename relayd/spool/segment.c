/* SPDX-License-Identifier: ISC */
/* Segments as files; see shard.h. */
#include "spool/shard.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char zeros[64 * 1024];

/* Write zeros over [from, to). */
static bool
zeros_write(const struct spool_disk *disk, int fd, uint64_t from, uint64_t to)
{
	while (from < to) {
		struct iovec runs[16];
		int count = 0;
		uint64_t at = from;

		for (; count < (int)ARRAY_LEN(runs) && at < to; count++) {
			union {
				const char *from;
				void *base;
			} p = { .from = zeros };
			size_t octets = to - at < sizeof(zeros) ? to - at : sizeof(zeros);

			runs[count] =
			    (struct iovec){ .iov_base = p.base, .iov_len = octets };
			at += octets;
		}
		if (!disk_write(disk, fd, runs, count, &from))
			return false;
	}
	return true;
}

static struct segment *
segment_alloc(struct shard *shard, int fd)
{
	struct segment *segment = memory_new(sizeof(*segment));

	list_init(&segment->link);
	list_init(&segment->live);
	segment->fd = fd;
	segment->shard = shard;
	segment->written = SEGMENT_HEADER_OCTETS;
	(void)pthread_mutex_init(&segment->lock, NULL);
	return segment;
}

void
segment_free(struct segment **segment)
{
	struct segment *s = *segment;

	if (s == NULL)
		return;
	*segment = NULL;
	(void)close(s->fd);
	(void)pthread_mutex_destroy(&s->lock);
	free(s);
}

/* Header and first octets, on disk; a spare file has all its octets already. */
static bool
segment_fill(const struct spool_disk *disk, int fd, const struct segment_header *header,
	     bool is_spare, uint64_t *prewritten, struct fault *fault)
{
	char block[SEGMENT_HEADER_OCTETS];
	struct stat status;

	segment_header_encode(header, block);
	*prewritten = header->octets;
	if (!is_spare) {
		*prewritten =
		    header->octets < PREWRITE_OCTETS ? header->octets : PREWRITE_OCTETS;
		if (!zeros_write(disk, fd, SEGMENT_HEADER_OCTETS, *prewritten))
			return fault_set(fault, "prewrite a segment");
	} else if (fstat(fd, &status) == -1 ||
		   (uint64_t)status.st_size != header->octets) {
		return fault_say(fault, "spare segment of another size");
	}
	if (!disk_write_span(disk, fd, (struct span){ block, sizeof(block) }, 0))
		return fault_set(fault, "write the header of a segment");
	if (disk->sync(disk->context, fd) == -1)
		return fault_set(fault, "fsync a new segment");
	return true;
}

struct segment *
segment_new(const struct spool_disk *disk, struct shard *shard,
	    const struct segment_header *header, uint64_t spare, struct fault *fault)
{
	char from[SHARD_NAME_SIZE], name[SHARD_NAME_SIZE];
	uint64_t prewritten = 0;
	int flags =
	    O_RDWR | O_CLOEXEC | O_NOFOLLOW | (spare == 0 ? O_CREAT | O_TRUNC : 0);

	file_name(from, spare == 0 ? FILE_NEW : FILE_SPARE,
		  spare == 0 ? header->number : spare);
	file_name(name, FILE_SEGMENT, header->number);

	int fd = disk->open(disk->context, shard->fd, from, flags, 0600);

	if (fd == -1) {
		(void)fault_setf(fault, "open %s/%s", shard->name, from);
		return NULL;
	}
	if (!segment_fill(disk, fd, header, spare != 0, &prewritten, fault))
		goto failed;
	if (disk->rename(disk->context, shard->fd, from, name) == -1) {
		(void)fault_setf(fault, "rename %s/%s", shard->name, from);
		goto failed;
	}
	if (!directory_sync(disk, shard->fd)) {
		(void)fault_setf(fault, "fsync shard %s", shard->name);
		(void)disk->unlink(disk->context, shard->fd, name, 0);
		goto failed;
	}
	struct segment *segment = segment_alloc(shard, fd);

	segment->header = *header;
	segment->prewritten = prewritten;
	return segment;
failed:
	(void)close(fd);
	(void)disk->unlink(disk->context, shard->fd, from, 0);
	return NULL;
}

struct segment *
segment_open(const struct spool_disk *disk, struct shard *shard, uint64_t number,
	     struct fault *fault)
{
	char name[SHARD_NAME_SIZE];

	file_name(name, FILE_SEGMENT, number);

	int fd = disk->open(disk->context, shard->fd, name,
			    O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd == -1) {
		(void)fault_setf(fault, "open %s/%s", shard->name, name);
		return NULL;
	}
	struct segment *segment = segment_alloc(shard, fd);

	segment->header.number = number;
	segment->is_sealed = true;
	return segment;
}

/* The next step, on a descriptor of its own. */
static bool
segment_extend_by(const struct spool_disk *disk, struct segment *segment, int fd,
		  struct fault *fault)
{
	(void)pthread_mutex_lock(&segment->lock);
	uint64_t from = segment->prewritten, to = from + PREWRITE_OCTETS;

	if (to > segment->header.octets)
		to = segment->header.octets;
	bool is_good = from >= to || zeros_write(disk, fd, from, to);

	if (is_good && from < to)
		segment->prewritten = to;
	if (!is_good)
		(void)fault_set(fault, "prewrite a segment");
	(void)pthread_mutex_unlock(&segment->lock);
	if (is_good && disk->sync_data(disk->context, fd) == -1)
		return fault_set(fault, "fdatasync a segment");
	return is_good;
}

bool
segment_extend(const struct spool_disk *disk, struct segment *segment,
	       struct fault *fault)
{
	char name[SHARD_NAME_SIZE];

	file_name(name, FILE_SEGMENT, segment->header.number);

	int fd = disk->open(disk->context, segment->shard->fd, name,
			    O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);

	if (fd == -1)
		return fault_setf(fault, "open %s/%s", segment->shard->name, name);
	bool is_good = segment_extend_by(disk, segment, fd, fault);

	(void)close(fd);
	return is_good;
}

bool
segment_mark(const struct spool_disk *disk, struct segment *segment, uint64_t offset,
	     enum record_mark mark)
{
	uint32_t value = (uint32_t)mark;
	char bytes[RECORD_MARK_OCTETS];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(value >> (8 * i) & 0xff);
	return disk_write_span(disk, segment->fd, (struct span){ bytes, sizeof(bytes) },
			       offset + RECORD_MARK_AT);
}
