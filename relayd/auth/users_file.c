/* SPDX-License-Identifier: ISC */
/* The users file as a reader keeps it, and changing it; see users_file.h. */
#define _GNU_SOURCE /* mkostemp */
#include "auth/users_file.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * A file that changed this recently may change again without a trace in its time stamps, whose
 * clock ticks coarsely: what was read of it is not yet relied upon.
 */
#define SETTLED_MS 2000

struct users_file {
	const char *path;
	struct span realm;
	struct user_set *set; /* NULL: not read, or not readable */
	struct stat seen;
	bool is_settled; /* seen.st_ctim was old enough when it was read */
	unsigned char digest[DIGEST_OCTETS_MAX]; /* of the text that set was read from */
};

struct users_file *
users_file_new(const char *path, struct span realm)
{
	struct users_file *file = memory_new(sizeof(*file));

	file->path = path;
	file->realm = realm;
	return file;
}

void
users_file_free(struct users_file **file)
{
	if (*file == NULL)
		return;
	user_set_free(&(*file)->set);
	free(*file);
	*file = NULL;
}

static bool
stat_is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool
stat_is_settled(const struct stat *st)
{
	int64_t changed_ms =
	    (int64_t)st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000;
	int64_t age_ms = clock_wall_ms() - changed_ms;

	return age_ms > SETTLED_MS || age_ms < -SETTLED_MS;
}

/* All of an open file, appended. */
static bool
text_read(int fd, const char *path, struct buffer *text, struct fault *fault)
{
	for (;;) {
		char *to = buffer_reserve(text, 65536);

		if (to == NULL)
			return fault_say(fault, "read %s: more than %u octets", path,
					 USERS_FILE_MAX);
		ssize_t got = read(fd, to, 65536);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return fault_setf(fault, "read %s", path);
		if (got == 0)
			return true;
		buffer_claim(text, (size_t)got);
	}
}

/* Read the file again; the old set stays when the text is the same, and goes when not. */
static bool
file_load(struct users_file *file, user_complain *complain, void *context,
	  struct fault *fault)
{
	struct buffer text;
	unsigned char digest[DIGEST_OCTETS_MAX];
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1)
		return fault_setf(fault, "open %s", file->path);
	buffer_init(&text, USERS_FILE_MAX);
	bool is_read = fstat(fd, &file->seen) == 0 || fault_setf(fault, "stat %s", file->path);

	if (is_read) {
		file->is_settled = stat_is_settled(&file->seen);
		is_read = text_read(fd, file->path, &text, fault);
	}
	(void)close(fd);
	if (is_read) {
		digest_hash(DIGEST_SHA_256, buffer_span(&text), digest);
		if (file->set == NULL || !digest_equal(digest, file->digest, sizeof(digest))) {
			user_set_free(&file->set);
			file->set = user_set_parse(buffer_span(&text), file->realm, complain,
						   context);
			memcpy(file->digest, digest, sizeof(digest));
		}
	}
	buffer_reset(&text);
	return is_read;
}

struct user_set *
users_file_read(struct users_file *file, user_complain *complain, void *context,
		struct fault *fault)
{
	struct stat now;

	if (file->set != NULL && file->is_settled && stat(file->path, &now) == 0 &&
	    stat_is_same(&now, &file->seen))
		return file->set;
	if (!file_load(file, complain, context, fault))
		user_set_free(&file->set);
	return file->set;
}

/* ---- Changing it ---- */

struct change {
	enum user_change kind;
	struct span login;
	const struct verifier *verifiers;
	size_t verifier_count;
};

static bool
first_problem(struct fault *fault, const char *path, unsigned line, const char *text)
{
	return fault_say(fault, "%s:%u: %s; correct that line first", path, line, text);
}

struct problem {
	const char *path;
	struct fault *fault;
	bool is_there;
};

static void
problem_note(void *context, unsigned line, const char *text)
{
	struct problem *problem = context;

	if (!problem->is_there)
		problem->is_there = !first_problem(problem->fault, problem->path, line, text);
}

static void
line_append(struct buffer *out, const struct user *user, const struct change *change)
{
	bool is_disabled = change->kind == USER_DISABLE ||
			   (user != NULL && user->is_disabled && change->kind != USER_ENABLE);

	(void)buffer_append(out, change->login);
	if (change->kind == USER_ADD || change->kind == USER_SET_PASSWORD) {
		for (size_t i = 0; i < change->verifier_count; i++) {
			(void)buffer_append_byte(out, ' ');
			(void)verifier_append(&change->verifiers[i], out);
		}
	} else {
		for (size_t kind = DIGEST_KINDS; kind-- > 0;) {
			if (user == NULL || !user->has_verifier[kind])
				continue;
			(void)buffer_append_byte(out, ' ');
			(void)verifier_append(&user->verifiers[kind], out);
		}
	}
	(void)buffer_append_text(out, is_disabled ? " disabled\n" : "\n");
}

/* The text with the change made; false when it would be too large. */
static bool
text_change(struct span text, const struct user *user, const struct change *change,
	    struct buffer *out)
{
	unsigned line = 0;

	while (text.len > 0) {
		struct span rest = span_first(text, span_find(text, '\n'));

		text = span_skip(text, rest.len);
		(void)byte_take(&text, '\n');
		if (user != NULL && ++line == user->line) {
			if (change->kind != USER_REMOVE)
				line_append(out, user, change);
			continue;
		}
		(void)buffer_append(out, rest);
		(void)buffer_append_byte(out, '\n');
	}
	if (change->kind == USER_ADD)
		line_append(out, NULL, change);
	return !out->is_over;
}

/* What the change comes to, given what the file says of the login. */
static enum user_result
change_judge(const struct user *user, enum user_change kind)
{
	if (kind == USER_ADD)
		return user == NULL ? USER_CHANGED : USER_EXISTS;
	if (user == NULL)
		return USER_MISSING;
	if ((kind == USER_DISABLE && user->is_disabled) ||
	    (kind == USER_ENABLE && !user->is_disabled))
		return USER_UNCHANGED;
	return USER_CHANGED;
}

/*
 * Open the file and lock it. Whoever waited here may hold a file that was replaced meanwhile:
 * then the new one is taken. -1 and *fault on failure; fault->error ENOENT when it is missing.
 */
static int
file_lock(const char *path, bool makes_it, struct fault *fault)
{
	for (;;) {
		struct stat mine, there;
		int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | (makes_it ? O_CREAT : 0),
			      0640);

		if (fd == -1) {
			(void)fault_setf(fault, "open %s", path);
			return -1;
		}
		while (flock(fd, LOCK_EX) == -1) {
			if (errno == EINTR)
				continue;
			(void)fault_setf(fault, "lock %s", path);
			(void)close(fd);
			return -1;
		}
		if (fstat(fd, &mine) == 0 && stat(path, &there) == 0 &&
		    mine.st_dev == there.st_dev && mine.st_ino == there.st_ino)
			return fd;
		(void)close(fd);
	}
}

static bool
text_write(int fd, struct span text, const char *path, struct fault *fault)
{
	while (text.len > 0) {
		ssize_t put = write(fd, text.ptr, text.len);

		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1)
			return fault_setf(fault, "write %s", path);
		text = span_skip(text, (size_t)put);
	}
	return true;
}

static bool
directory_sync(const char *path, struct fault *fault)
{
	char *directory = memory_copy_text(span_of(path));
	char *slash = strrchr(directory, '/');

	if (slash != NULL)
		slash[slash == directory ? 1 : 0] = '\0';
	int fd = open(slash == NULL ? "." : directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_synced = fd != -1 && fsync(fd) == 0;

	if (!is_synced)
		(void)fault_setf(fault, "sync the directory of %s", path);
	if (fd != -1)
		(void)close(fd);
	free(directory);
	return is_synced;
}

/* Fill the new file, with the mode and owner of the old one. */
static bool
successor_fill(int fd, const char *name, int old_fd, struct span text, struct fault *fault)
{
	struct stat old, new;

	if (fstat(old_fd, &old) == -1 || fstat(fd, &new) == -1)
		return fault_setf(fault, "stat %s", name);
	if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) &&
	    fchown(fd, old.st_uid, old.st_gid) == -1)
		return fault_setf(fault, "give %s to the owner of the old file", name);
	if (fchmod(fd, old.st_mode & 07777) == -1)
		return fault_setf(fault, "set the mode of %s", name);
	if (!text_write(fd, text, name, fault))
		return false;
	if (fsync(fd) == -1)
		return fault_setf(fault, "fsync %s", name);
	return true;
}

static bool
file_replace(const char *path, int old_fd, struct span text, struct fault *fault)
{
	struct buffer name;

	buffer_init(&name, PATH_MAX);
	if (!buffer_printf(&name, "%s.new.XXXXXX", path)) {
		buffer_reset(&name);
		return fault_say(fault, "%s: path too long", path);
	}
	(void)buffer_text(&name);
	int fd = mkostemp(name.ptr, O_CLOEXEC);
	bool is_done = fd != -1 || fault_setf(fault, "make %s", name.ptr);

	if (fd != -1) {
		is_done = successor_fill(fd, name.ptr, old_fd, text, fault);
		if (close(fd) == -1 && is_done)
			is_done = fault_setf(fault, "close %s", name.ptr);
		if (is_done && rename(name.ptr, path) == -1)
			is_done = fault_setf(fault, "rename %s to %s", name.ptr, path);
		if (!is_done)
			(void)unlink(name.ptr);
	}
	buffer_reset(&name);
	return is_done && directory_sync(path, fault);
}

/* With the file locked. */
static enum user_result
file_change(const char *path, int fd, struct span realm, const struct change *change,
	    struct fault *fault)
{
	enum user_result result = USER_TROUBLE;
	struct problem problem = { .path = path, .fault = fault };
	struct user_set *set = NULL;
	struct buffer text, changed;

	buffer_init(&text, USERS_FILE_MAX);
	buffer_init(&changed, USERS_FILE_MAX);
	if (!text_read(fd, path, &text, fault))
		goto out;
	set = user_set_parse(buffer_span(&text), realm, problem_note, &problem);
	if (problem.is_there)
		goto out;
	const struct user *user = user_set_find(set, change->login);
	enum user_result judged = change_judge(user, change->kind);

	if (judged == USER_CHANGED) {
		if (!text_change(buffer_span(&text), user, change, &changed))
			(void)fault_say(fault, "%s would become too large", path);
		else if (file_replace(path, fd, buffer_span(&changed), fault))
			result = USER_CHANGED;
	} else {
		result = judged;
	}
out:
	user_set_free(&set);
	buffer_reset(&changed);
	buffer_reset(&text);
	return result;
}

bool
users_file_make(const char *path, gid_t group, struct fault *fault)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1)
		return errno == EEXIST || fault_setf(fault, "make %s", path);
	bool is_made = (group == (gid_t)-1 || fchown(fd, (uid_t)-1, group) == 0) &&
		       fchmod(fd, 0640) == 0;

	if (!is_made) {
		(void)fault_setf(fault, "let the auth helpers read %s", path);
		(void)unlink(path);
	}
	(void)close(fd);
	return is_made;
}

enum user_result
users_file_change(const char *path, struct span realm, enum user_change kind,
		  struct span login, const struct verifier *verifiers, size_t verifier_count,
		  struct fault *fault)
{
	struct change change = { kind, login, verifiers, verifier_count };
	enum user_result result = USER_TROUBLE;
	bool makes_it = kind == USER_ADD;
	char *real = realpath(path, NULL); /* a symbolic link stays one */
	int fd = file_lock(real == NULL ? path : real, makes_it, fault);

	if (fd != -1) {
		result = file_change(real == NULL ? path : real, fd, realm, &change, fault);
		(void)close(fd);
	}
	free(real);
	return result;
}
