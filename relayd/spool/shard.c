/* SPDX-License-Identifier: ISC */
/* Shards as directories; see shard.h. */
#include "spool/shard.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const prefixes[] = {
	[FILE_OTHER] = "",
	[FILE_SEGMENT] = "segment-",
	[FILE_SPARE] = "spare-",
	[FILE_NEW] = "new-",
};

enum file_kind
file_kind_of(const char *name, uint64_t *number)
{
	static const enum file_kind kinds[] = { FILE_SEGMENT, FILE_SPARE, FILE_NEW };
	char usual[SHARD_NAME_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t len = strlen(prefixes[kinds[i]]);

		if (strncmp(name, prefixes[kinds[i]], len) != 0 ||
		    number_parse(span_of(name + len), UINT64_MAX, number) != PARSE_OK)
			continue;
		file_name(usual, kinds[i], *number);
		if (strcmp(name, usual) == 0)
			return kinds[i];
	}
	return FILE_OTHER;
}

void
file_name(char name[SHARD_NAME_SIZE], enum file_kind kind, uint64_t number)
{
	(void)snprintf(name, SHARD_NAME_SIZE, "%s%010" PRIu64, prefixes[kind], number);
}

void
large_name(char name[SHARD_NAME_SIZE], uint64_t file)
{
	(void)snprintf(name, SHARD_NAME_SIZE, "%020" PRIu64, file);
}

bool
directory_walk(int directory, bool (*seen)(void *context, const char *name),
	       void *context, struct fault *fault)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);

	if (dir == NULL) {
		(void)fault_set(fault, "open a spool directory");
		if (fd != -1)
			(void)close(fd);
		return false;
	}
	const struct dirent *entry;

	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (!seen(context, entry->d_name))
			break;
	}
	bool is_good = entry != NULL || errno == 0;

	if (!is_good)
		(void)fault_set(fault, "read a spool directory");
	(void)closedir(dir);
	return is_good;
}

void
number_list_add(struct number_list *list, uint64_t number)
{
	if (list->count == list->room) {
		list->room = list->room == 0 ? 16 : 2 * list->room;
		list->numbers = memory_resize(list->numbers, list->room, sizeof(number));
	}
	list->numbers[list->count++] = number;
}

static int
number_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void
number_list_sort(struct number_list *list)
{
	if (list->count > 1)
		qsort(list->numbers, list->count, sizeof(uint64_t), number_compare);
}

bool
number_list_has(const struct number_list *list, uint64_t number)
{
	return list->count > 0 && bsearch(&number, list->numbers, list->count,
					  sizeof(number), number_compare) != NULL;
}

struct listing {
	enum file_kind kind;
	struct number_list *list;
};

static bool
number_seen(void *context, const char *name)
{
	struct listing *listing = context;
	uint64_t number;
	bool is_wanted =
	    listing->kind == FILE_OTHER
		? number_parse(span_of(name), SHARD_NUMBER_MAX, &number) == PARSE_OK
		: file_kind_of(name, &number) == listing->kind;

	if (is_wanted)
		number_list_add(listing->list, number);
	return true;
}

bool
directory_numbers(int directory, enum file_kind kind, struct number_list *list,
		  struct fault *fault)
{
	struct listing listing = { .kind = kind, .list = list };

	*list = (struct number_list){ .numbers = NULL };
	if (!directory_walk(directory, number_seen, &listing, fault)) {
		free(list->numbers);
		*list = (struct number_list){ .numbers = NULL };
		return false;
	}
	number_list_sort(list);
	return true;
}

bool
directory_sync(const struct spool_disk *disk, int fd)
{
	return disk->sync(disk->context, fd) == 0 || errno == EINVAL;
}

static int
directory_open(const struct spool_disk *disk, int parent, const char *name,
	       bool must_make)
{
	if (must_make && disk->mkdir(disk->context, parent, name, 0700) == 0 &&
	    !directory_sync(disk, parent))
		return -1;
	return disk->open(disk->context, parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			  0);
}

void
shard_free(struct shard **shard)
{
	struct shard *s = *shard;

	if (s == NULL)
		return;
	*shard = NULL;
	if (s->large_fd != -1)
		(void)close(s->large_fd);
	if (s->fd != -1)
		(void)close(s->fd);
	if (s->lock_fd != -1)
		(void)close(s->lock_fd);
	free(s);
}

/*
 * The lock must be on the file that the others see: the holder before us may have removed
 * the directory between our open and our flock.
 */
static bool
lock_is_current(int spool_fd, const struct shard *shard)
{
	char path[2 * SHARD_NAME_SIZE];
	struct stat ours, theirs;

	(void)snprintf(path, sizeof(path), "%s/lock", shard->name);
	return fstat(shard->lock_fd, &ours) == 0 &&
	       fstatat(spool_fd, path, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static enum shard_status
shard_lock(const struct spool_disk *disk, int spool_fd, struct shard *shard,
	   bool must_make, struct fault *fault)
{
	shard->fd = directory_open(disk, spool_fd, shard->name, must_make);
	if (shard->fd == -1 && errno == ENOENT)
		return SHARD_HELD;
	if (shard->fd == -1) {
		(void)fault_setf(fault, "open shard %s", shard->name);
		return SHARD_FAILED;
	}
	shard->lock_fd = disk->open(disk->context, shard->fd, "lock",
				    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (shard->lock_fd == -1 && errno == ENOENT)
		return SHARD_HELD;
	if (shard->lock_fd == -1) {
		(void)fault_setf(fault, "open the lock of shard %s", shard->name);
		return SHARD_FAILED;
	}
	if (flock(shard->lock_fd, LOCK_EX | LOCK_NB) == -1 ||
	    !lock_is_current(spool_fd, shard))
		return SHARD_HELD;
	shard->large_fd = directory_open(disk, shard->fd, "large", true);
	if (shard->large_fd == -1) {
		(void)fault_setf(fault, "open the large files of shard %s", shard->name);
		return SHARD_FAILED;
	}
	return SHARD_TAKEN;
}

enum shard_status
shard_take(const struct spool_disk *disk, int spool_fd, uint64_t number, bool must_make,
	   struct shard **shard, struct fault *fault)
{
	struct shard *s = memory_new(sizeof(*s));

	list_init(&s->link);
	s->number = number;
	s->fd = s->large_fd = s->lock_fd = -1;
	(void)snprintf(s->name, sizeof(s->name), "%" PRIu64, number);

	enum shard_status status = shard_lock(disk, spool_fd, s, must_make, fault);

	if (status != SHARD_TAKEN)
		shard_free(&s);
	*shard = s;
	return status;
}

struct retiring {
	const struct spool_disk *disk;
	struct shard *shard;
	bool has_rest;
};

static bool
file_retire(void *context, const char *name)
{
	struct retiring *r = context;
	uint64_t number;

	switch (file_kind_of(name, &number)) {
	case FILE_SPARE:
	case FILE_NEW:
		(void)r->disk->unlink(r->disk->context, r->shard->fd, name, 0);
		break;
	case FILE_SEGMENT:
		r->has_rest = true;
		break;
	case FILE_OTHER:
		if (strcmp(name, "lock") != 0 && strcmp(name, "large") != 0)
			r->has_rest = true;
		break;
	}
	return true;
}

void
shard_retire(const struct spool_disk *disk, int spool_fd, struct shard **shard)
{
	struct retiring retiring = { .disk = disk, .shard = *shard };
	struct fault fault;

	if (directory_walk((*shard)->fd, file_retire, &retiring, &fault) &&
	    !retiring.has_rest &&
	    disk->unlink(disk->context, (*shard)->fd, "large", AT_REMOVEDIR) == 0 &&
	    disk->unlink(disk->context, (*shard)->fd, "lock", 0) == 0)
		(void)disk->unlink(disk->context, spool_fd, (*shard)->name, AT_REMOVEDIR);
	shard_free(shard);
}
