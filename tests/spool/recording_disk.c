/* SPDX-License-Identifier: ISC */
/* A disk that writes down what is done to it; see recording_disk.h. */
#include "spool/recording_disk.h"

#include "base/memory.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_MAX	  1024
#define PATH_SIZE 96
#define SECTOR	  512u

enum step_kind {
	STEP_CREATE, /* path is a new file */
	STEP_MKDIR,
	STEP_WRITE,
	STEP_SYNC_FILE,
	STEP_SYNC_DIRECTORY, /* path */
	STEP_RENAME,
	STEP_LINK,
	STEP_UNLINK,
	STEP_RMDIR,
};

struct step {
	enum step_kind kind;
	size_t file;
	char path[PATH_SIZE];
	char to[PATH_SIZE];
	uint64_t offset;
	size_t octets;
	char *bytes;
};

/* A name in the tree as it is now, or as it is being made up. */
struct name {
	char path[PATH_SIZE];
	size_t file;
	bool is_directory;
};

struct tree {
	struct name *names;
	size_t count;
};

struct recording {
	struct spool_disk disk;
	char directory[256];
	pthread_mutex_t lock;
	struct step *steps;
	size_t count;
	size_t room;
	size_t files;
	struct tree tree;
	struct name fds[FDS_MAX];
};

static struct name *
tree_find(struct tree *tree, const char *path)
{
	for (size_t i = 0; i < tree->count; i++) {
		if (strcmp(tree->names[i].path, path) == 0)
			return &tree->names[i];
	}
	return NULL;
}

static void
tree_remove(struct tree *tree, const char *path)
{
	struct name *name = tree_find(tree, path);

	if (name != NULL)
		*name = tree->names[--tree->count];
}

static void
tree_add(struct tree *tree, const char *path, size_t file, bool is_directory)
{
	tree_remove(tree, path);
	tree->names = memory_resize(tree->names, tree->count + 1, sizeof(*tree->names));
	struct name *name = &tree->names[tree->count++];

	memset(name, 0, sizeof(*name));
	memcpy(name->path, path, PATH_SIZE);
	name->file = file;
	name->is_directory = is_directory;
}

/* What a step does to the names. */
static void
tree_apply(struct tree *tree, const struct step *step)
{
	const struct name *name;

	switch (step->kind) {
	case STEP_CREATE:
		tree_add(tree, step->path, step->file, false);
		break;
	case STEP_MKDIR:
		tree_add(tree, step->path, 0, true);
		break;
	case STEP_RENAME:
	case STEP_LINK:
		name = tree_find(tree, step->path);
		if (name == NULL)
			break;
		tree_add(tree, step->to, name->file, false);
		if (step->kind == STEP_RENAME)
			tree_remove(tree, step->path);
		break;
	case STEP_UNLINK:
	case STEP_RMDIR:
		tree_remove(tree, step->path);
		break;
	case STEP_WRITE:
	case STEP_SYNC_FILE:
	case STEP_SYNC_DIRECTORY:
		break;
	}
}

static struct step *
step_add(struct recording *r, enum step_kind kind)
{
	if (r->count == r->room) {
		r->room = r->room == 0 ? 1024 : 2 * r->room;
		r->steps = memory_resize(r->steps, r->room, sizeof(*r->steps));
	}
	struct step *step = &r->steps[r->count++];

	memset(step, 0, sizeof(*step));
	step->kind = kind;
	return step;
}

static void
path_make(struct recording *r, int directory, const char *name, char path[PATH_SIZE])
{
	memset(path, 0, PATH_SIZE);
	if (directory == AT_FDCWD)
		return; /* the spool's own directory: "" */
	ck_assert_int_lt(directory, FDS_MAX);
	(void)snprintf(path, PATH_SIZE, "%s/%s", r->fds[directory].path, name);
}

static int
recording_open(void *context, int directory, const char *name, int flags, mode_t mode)
{
	struct recording *r = context;
	char path[PATH_SIZE];

	(void)pthread_mutex_lock(&r->lock);
	path_make(r, directory, name, path);
	int fd = spool_disk_real.open(NULL, directory, name, flags, mode);

	if (fd != -1) {
		const struct name *known = tree_find(&r->tree, path);

		ck_assert_int_lt(fd, FDS_MAX);
		if (known == NULL && (flags & O_CREAT)) {
			struct step *step = step_add(r, STEP_CREATE);

			memcpy(step->path, path, PATH_SIZE);
			step->file = ++r->files;
			tree_apply(&r->tree, step);
			known = tree_find(&r->tree, path);
		}
		r->fds[fd] =
		    known == NULL ? (struct name){ .is_directory = true } : *known;
		memcpy(r->fds[fd].path, path, PATH_SIZE);
	}
	(void)pthread_mutex_unlock(&r->lock);
	return fd;
}

static ssize_t
recording_write(void *context, int fd, const struct iovec *runs, int count, off_t offset)
{
	struct recording *r = context;

	(void)pthread_mutex_lock(&r->lock);
	ssize_t n = spool_disk_real.write(NULL, fd, runs, count, offset);

	if (n > 0) {
		struct step *step = step_add(r, STEP_WRITE);
		size_t at = 0;

		step->file = r->fds[fd].file;
		step->offset = (uint64_t)offset;
		step->octets = (size_t)n;
		step->bytes = memory_resize(NULL, step->octets, 1);
		for (int i = 0; i < count && at < step->octets; i++) {
			size_t part = runs[i].iov_len < step->octets - at
					  ? runs[i].iov_len
					  : step->octets - at;

			memcpy(step->bytes + at, runs[i].iov_base, part);
			at += part;
		}
	}
	(void)pthread_mutex_unlock(&r->lock);
	return n;
}

static ssize_t
recording_read(void *context, int fd, void *bytes, size_t octets, off_t offset)
{
	(void)context;
	return spool_disk_real.read(NULL, fd, bytes, octets, offset);
}

/* What is done while a sync lasts may not count on it: the sync comes before, here. */
static int
recording_sync(void *context, int fd)
{
	struct recording *r = context;

	(void)pthread_mutex_lock(&r->lock);
	struct step *step =
	    step_add(r, r->fds[fd].is_directory ? STEP_SYNC_DIRECTORY : STEP_SYNC_FILE);

	memcpy(step->path, r->fds[fd].path, PATH_SIZE);
	step->file = r->fds[fd].file;
	(void)pthread_mutex_unlock(&r->lock);
	return 0;
}

static void
names_record(struct recording *r, enum step_kind kind, const char *path, const char *to)
{
	struct step *step = step_add(r, kind);

	memcpy(step->path, path, PATH_SIZE);
	if (to != NULL)
		memcpy(step->to, to, PATH_SIZE);
	tree_apply(&r->tree, step);
}

static int
recording_rename(void *context, int directory, const char *from, const char *to)
{
	struct recording *r = context;
	char path[PATH_SIZE], path_to[PATH_SIZE];

	(void)pthread_mutex_lock(&r->lock);
	path_make(r, directory, from, path);
	path_make(r, directory, to, path_to);
	int result = spool_disk_real.rename(NULL, directory, from, to);

	if (result == 0)
		names_record(r, STEP_RENAME, path, path_to);
	(void)pthread_mutex_unlock(&r->lock);
	return result;
}

static int
recording_unlink(void *context, int directory, const char *name, int flags)
{
	struct recording *r = context;
	char path[PATH_SIZE];

	(void)pthread_mutex_lock(&r->lock);
	path_make(r, directory, name, path);
	int result = spool_disk_real.unlink(NULL, directory, name, flags);

	if (result == 0)
		names_record(r, flags & AT_REMOVEDIR ? STEP_RMDIR : STEP_UNLINK, path,
			     NULL);
	(void)pthread_mutex_unlock(&r->lock);
	return result;
}

static int
recording_link(void *context, int from_directory, const char *from, int to_directory,
	       const char *to)
{
	struct recording *r = context;
	char path[PATH_SIZE], path_to[PATH_SIZE];

	(void)pthread_mutex_lock(&r->lock);
	path_make(r, from_directory, from, path);
	path_make(r, to_directory, to, path_to);
	int result = spool_disk_real.link(NULL, from_directory, from, to_directory, to);

	if (result == 0)
		names_record(r, STEP_LINK, path, path_to);
	(void)pthread_mutex_unlock(&r->lock);
	return result;
}

static int
recording_mkdir(void *context, int directory, const char *name, mode_t mode)
{
	struct recording *r = context;
	char path[PATH_SIZE];

	(void)pthread_mutex_lock(&r->lock);
	path_make(r, directory, name, path);
	int result = spool_disk_real.mkdir(NULL, directory, name, mode);

	if (result == 0 && directory != AT_FDCWD)
		names_record(r, STEP_MKDIR, path, NULL);
	(void)pthread_mutex_unlock(&r->lock);
	return result;
}

static int
recording_space(void *context, int fd, struct statvfs *space)
{
	(void)context;
	return spool_disk_real.space(NULL, fd, space);
}

struct recording *
recording_new(const char *directory)
{
	struct recording *r = memory_new(sizeof(*r));

	(void)snprintf(r->directory, sizeof(r->directory), "%s", directory);
	(void)pthread_mutex_init(&r->lock, NULL);
	r->disk = (struct spool_disk){
		.context = r,
		.open = recording_open,
		.write = recording_write,
		.read = recording_read,
		.sync_data = recording_sync,
		.sync = recording_sync,
		.rename = recording_rename,
		.unlink = recording_unlink,
		.link = recording_link,
		.mkdir = recording_mkdir,
		.space = recording_space,
	};
	return r;
}

void
recording_free(struct recording **recording)
{
	struct recording *r = *recording;

	*recording = NULL;
	for (size_t i = 0; i < r->count; i++)
		free(r->steps[i].bytes);
	free(r->steps);
	free(r->tree.names);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

const struct spool_disk *
recording_disk(struct recording *recording)
{
	return &recording->disk;
}

size_t
recording_now(struct recording *recording)
{
	(void)pthread_mutex_lock(&recording->lock);
	size_t now = recording->count;

	(void)pthread_mutex_unlock(&recording->lock);
	return now;
}

static uint64_t
random_next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

/* The directory that holds the name. */
static bool
path_is_in(const char *path, const char *directory)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash == NULL ? 0 : (size_t)(slash - path);

	return strlen(directory) == len && strncmp(path, directory, len) == 0;
}

static bool
step_is_synced(const struct recording *r, size_t at, size_t moment)
{
	const struct step *step = &r->steps[at];
	bool is_to_synced = step->to[0] == '\0';
	bool is_path_synced = false;

	for (size_t i = at + 1; i < moment; i++) {
		if (r->steps[i].kind != STEP_SYNC_DIRECTORY)
			continue;
		is_path_synced =
		    is_path_synced || path_is_in(step->path, r->steps[i].path);
		is_to_synced = is_to_synced || (step->to[0] != '\0' &&
						path_is_in(step->to, r->steps[i].path));
	}
	return step->kind == STEP_LINK ? is_to_synced : is_path_synced;
}

/* Names: what was synced, and what came before some further moment. */
static void
names_make_up(const struct recording *r, size_t moment, uint64_t *random,
	      struct tree *tree)
{
	size_t journal =
	    random_next(random) % 4 == 0 ? moment : random_next(random) % (moment + 1);

	for (size_t i = 0; i < moment; i++) {
		if (i < journal || step_is_synced(r, i, moment))
			tree_apply(tree, &r->steps[i]);
	}
}

static void
file_grow(char **bytes, size_t *octets, size_t wanted)
{
	if (wanted <= *octets)
		return;
	*bytes = memory_resize(*bytes, wanted, 1);
	memset(*bytes + *octets, 0, wanted - *octets);
	*octets = wanted;
}

/* A write that was not synced: all of it, none, its head, or any sectors of it. */
static void
write_make_up(const struct step *step, uint64_t *random, char **bytes, size_t *octets)
{
	uint64_t way = random_next(random) % 4;
	size_t cut = random_next(random) % (step->octets + 1);

	if (way == 0)
		return;
	for (size_t at = 0; at < step->octets;) {
		size_t part = SECTOR - (step->offset + at) % SECTOR;

		part = part < step->octets - at ? part : step->octets - at;
		if (way == 1 || (way == 2 && at < cut) ||
		    (way == 3 && random_next(random) % 2 == 0)) {
			file_grow(bytes, octets, step->offset + at + part);
			memcpy(*bytes + step->offset + at, step->bytes + at, part);
		}
		at += part;
	}
}

static void
file_make_up(const struct recording *r, size_t file, size_t moment, uint64_t *random,
	     const char *path)
{
	char *bytes = NULL;
	size_t octets = 0, synced = 0;

	for (size_t i = 0; i < moment; i++) {
		if (r->steps[i].kind == STEP_SYNC_FILE && r->steps[i].file == file)
			synced = i;
	}
	for (size_t i = 0; i < moment; i++) {
		const struct step *step = &r->steps[i];

		if (step->kind != STEP_WRITE || step->file != file)
			continue;
		if (i < synced) {
			file_grow(&bytes, &octets, step->offset + step->octets);
			memcpy(bytes + step->offset, step->bytes, step->octets);
		} else {
			write_make_up(step, random, &bytes, &octets);
		}
	}
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, bytes == NULL ? "" : bytes, octets), (ssize_t)octets);
	(void)close(fd);
	free(bytes);
}

void
recording_cut(struct recording *r, size_t moment, uint64_t random, const char *directory)
{
	struct tree tree = { NULL, 0 };
	char path[512];

	names_make_up(r, moment, &random, &tree);
	for (size_t depth = 1; depth <= 2; depth++) {
		for (size_t i = 0; i < tree.count; i++) {
			const char *name = tree.names[i].path;

			if (!tree.names[i].is_directory ||
			    (strchr(name + 1, '/') == NULL) != (depth == 1))
				continue;
			(void)snprintf(path, sizeof(path), "%s%s", directory, name);
			(void)mkdir(path, 0700);
		}
	}
	for (size_t i = 0; i < tree.count; i++) {
		if (tree.names[i].is_directory)
			continue;
		(void)snprintf(path, sizeof(path), "%s%s", directory, tree.names[i].path);
		file_make_up(r, tree.names[i].file, moment, &random, path);
	}
	free(tree.names);
}
