/* SPDX-License-Identifier: ISC */
/*
 * A look at the spool from outside, while others may be writing to it: nothing is locked
 * and nothing is changed. What is torn at the moment of reading is not there yet.
 */
#include "spool/spool_private.h"

#include "base/arena.h"
#include "base/memory.h"
#include "base/table.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_OCTETS_MAX (1u << 30)

struct walk {
	int spool_fd;
	int shard_fd;
	const char *shard;
	bool (*seen)(void *context, const struct spool_glance *glance);
	void *context;
	struct table uids; /* shown already; one that moves may be met twice */
	struct arena arena;
	struct span image;
	bool is_over;
};

static bool
uid_is_new(struct walk *walk, uint64_t uid)
{
	struct span key =
	    arena_copy(&walk->arena, (struct span){ (char *)&uid, sizeof(uid) });

	return table_put(&walk->uids, key, walk) == NULL;
}

static bool
record_glanced(void *context, uint64_t offset, const struct spool_record *record)
{
	struct walk *walk = context;
	const char *p = walk->image.ptr + offset;
	struct spool_info info = {
		.uid = record->uid,
		.stored_wall_ms = record->stored_wall_ms,
		.body_octets = record->body_octets,
		.envelope_octets = record->envelope_octets,
		.state_octets = record->state_octets,
	};
	struct spool_glance glance = {
		.info = &info,
		.state = { p + record_state_at(), record->state_octets },
		.envelope = { p + record_envelope_at(record), record->envelope_octets },
		.shard = walk->shard,
		.file = record->flags & RECORD_IS_EXTERNAL ? record->file : 0,
		.shard_fd = walk->shard_fd,
	};

	if (glance.file == 0)
		glance.body = (struct span){ p + record_body_at(record), record->body_octets };

	if (record->mark == RECORD_REMOVED || record->mark == RECORD_MOVED ||
	    record->state_octets > SPOOL_STATE_MAX)
		return true;
	if (record->flags & RECORD_IS_MOVED) {
		enum origin_fate fate =
		    origin_look(&spool_disk_real, walk->spool_fd, record);

		if (fate == ORIGIN_LIVE || fate == ORIGIN_REMOVED)
			return true;
	}
	if (uid_is_new(walk, record->uid) && !walk->seen(walk->context, &glance))
		walk->is_over = true;
	return !walk->is_over;
}

static void
segment_glance(struct walk *walk, int shard_fd, uint64_t number)
{
	char name[SHARD_NAME_SIZE];
	struct segment_scan scan;
	struct stat status;

	file_name(name, FILE_SEGMENT, number);

	int fd = openat(shard_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		return; /* it went away */
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size <= (off_t)IMAGE_OCTETS_MAX) {
		char *bytes = memory_resize(NULL, (size_t)status.st_size + 1, 1);
		ssize_t n =
		    disk_read(&spool_disk_real, fd, bytes, (size_t)status.st_size, 0);

		walk->image = (struct span){ bytes, n < 0 ? 0 : (size_t)n };
		segment_scan(walk->image, &scan, record_glanced, walk);
		free(bytes);
	}
	(void)close(fd);
}

static void
shard_glance(struct walk *walk, uint64_t number)
{
	struct number_list segments;
	char name[SHARD_NAME_SIZE];
	struct fault fault;

	(void)snprintf(name, sizeof(name), "%llu", (unsigned long long)number);

	int fd = openat(walk->spool_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		return;
	walk->shard = name;
	walk->shard_fd = fd;
	if (directory_numbers(fd, FILE_SEGMENT, &segments, &fault)) {
		for (size_t i = 0; i < segments.count && !walk->is_over; i++)
			segment_glance(walk, fd, segments.numbers[i]);
		free(segments.numbers);
	}
	walk->shard = NULL;
	(void)close(fd);
}

bool
spool_glance_body(const struct spool_glance *glance, size_t octets, struct buffer *out,
		  struct fault *fault)
{
	char name[SHARD_NAME_SIZE], path[SHARD_NAME_SIZE + sizeof("large/")];

	if (octets > glance->info->body_octets)
		octets = (size_t)glance->info->body_octets;
	if (glance->file == 0)
		return buffer_append(out, span_first(glance->body, octets)) ||
		       fault_say(fault, "a message is too long");
	large_name(name, glance->file);
	(void)snprintf(path, sizeof(path), "large/%s", name);

	int fd = openat(glance->shard_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1)
		return fault_setf(fault, "open %s/%s", glance->shard, path);

	char *place = buffer_reserve(out, octets);
	ssize_t n = place == NULL ? -1 : disk_read(&spool_disk_real, fd, place, octets, 0);

	(void)close(fd);
	if (n < 0)
		return fault_setf(fault, "read %s/%s", glance->shard, path);
	buffer_claim(out, (size_t)n);
	return true;
}

bool
spool_walk(const char *directory,
	   bool (*seen)(void *context, const struct spool_glance *), void *context,
	   struct fault *fault)
{
	struct walk walk = { .seen = seen, .context = context };
	struct number_list shards;

	walk.spool_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (walk.spool_fd == -1)
		return fault_setf(fault, "open %s", directory);

	bool is_good = directory_numbers(walk.spool_fd, FILE_OTHER, &shards, fault);

	if (is_good) {
		table_init(&walk.uids, 0);
		arena_init(&walk.arena, 4096);
		for (size_t i = 0; i < shards.count && !walk.is_over; i++)
			shard_glance(&walk, shards.numbers[i]);
		table_reset(&walk.uids);
		arena_reset(&walk.arena);
		free(shards.numbers);
	}
	(void)close(walk.spool_fd);
	return is_good;
}
