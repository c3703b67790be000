/* SPDX-License-Identifier: ISC */
/* What a process in its sandbox can still do, each time in a process of its own. */
#define _GNU_SOURCE /* syscall */
#include "daemon/sandbox.h"

#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define IS_CLOSED    0
#define IS_OPEN	     1

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

static const struct log quiet;

static bool
kernel_has_landlock(void)
{
	return !IS_SANITIZED && access("/proc/self", F_OK) == 0 &&
	       syscall(444 /* landlock_create_ruleset */, NULL, (size_t)0, 1U) >= 1;
}

/* Can a process with this sandbox open the file so? */
static int
open_try(const struct sandbox_paths *paths, const char *path, int flags)
{
	struct fault fault = { .error = 0 };
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (!privileges_drop(NULL, false, &fault) ||
		    !sandbox_enter(paths, &quiet, &fault))
			_exit(2);
		_exit(open(path, flags) != -1 ? IS_OPEN : errno == EACCES ? IS_CLOSED : 3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const struct {
	const char *path;
	int flags, wanted;
} files[] = {
	{ "/etc/hosts", O_RDONLY, IS_OPEN },
	{ "/etc/resolv.conf", O_RDONLY, IS_OPEN },
	{ "/dev/urandom", O_RDONLY, IS_OPEN },
	{ "/etc/hosts", O_WRONLY, IS_CLOSED },
	{ "/etc/passwd", O_RDONLY, IS_CLOSED },
	{ "/etc", O_RDONLY | O_DIRECTORY, IS_CLOSED },
	{ "/usr/bin/env", O_RDONLY, IS_CLOSED },
};

START_TEST(a_worker_reads_of_etc_what_name_resolution_needs)
{
	const struct sandbox_paths nothing = { .readable_count = 0 };

	if (!kernel_has_landlock() || access(files[_i].path, F_OK) != 0)
		return;
	ck_assert_int_eq(open_try(&nothing, files[_i].path, files[_i].flags),
			 files[_i].wanted);
}
END_TEST

START_TEST(what_is_named_can_be_reached)
{
	char folder[] = "/tmp/relayd-sandbox.XXXXXX";
	char file[64], users[64];
	static const char *const readable[] = { "/etc/passwd" };
	const char *writable[] = { file };
	const struct sandbox_paths paths = { .readable = readable, .readable_count = 1,
					     .writable = writable, .writable_count = 1 };

	if (!kernel_has_landlock())
		return;
	ck_assert_ptr_nonnull(mkdtemp(folder));
	(void)snprintf(file, sizeof(file), "%s/state", folder);
	(void)snprintf(users, sizeof(users), "%s/users", folder);
	ck_assert_int_eq(close(open(file, O_CREAT | O_WRONLY, 0600)), 0);
	ck_assert_int_eq(close(open(users, O_CREAT | O_WRONLY, 0644)), 0);
	ck_assert_int_eq(open_try(&paths, file, O_RDWR), IS_OPEN);
	ck_assert_int_eq(open_try(&paths, users, O_RDONLY), IS_CLOSED);
	ck_assert_int_eq(open_try(&paths, "/etc/passwd", O_RDONLY), IS_OPEN);
	ck_assert_int_eq(open_try(&paths, "/etc/passwd", O_RDWR), IS_CLOSED);
	ck_assert_int_eq(unlink(file) + unlink(users) + rmdir(folder), 0);
}
END_TEST

START_TEST(nothing_is_dumped_of_who_has_forbidden_it)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		struct rlimit limit;

		dumps_forbid();
		_exit(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 &&
		      (IS_SANITIZED || prctl(PR_GET_DUMPABLE) == 0) ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tc = tcase_create("sandbox");

	tcase_add_loop_test(tc, a_worker_reads_of_etc_what_name_resolution_needs, 0,
			    ARRAY_LEN(files));
	tcase_add_test(tc, what_is_named_can_be_reached);
	tcase_add_test(tc, nothing_is_dumped_of_who_has_forbidden_it);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
