/* SPDX-License-Identifier: ISC */
/*
 * spool/: killed processes, failing disks, full disks. Whatever happens, a message that
 * was acknowledged and not removed is found again with all its bytes.
 */
#define _GNU_SOURCE /* unshare */
#include "spool/box.h"
#include "spool/disk_faulty.h"

#include "base/clock.h"
#include "base/memory.h"
#include "suite.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS	     30
#define LETTERS_MAX  20000
#define UNDER_WAY    12
#define FAULTY_COUNT 24

static struct box box;

/* What a child tells its parent. */
enum news {
	NEWS_NONE,
	NEWS_STORED = 1,
	NEWS_REMOVED = 2, /* about to be, or done */
	NEWS_FAILED = 4,
};
struct report {
	uint32_t seed;
	uint32_t news;
};

static int report_fd = -1;
static size_t under_way;

static void
setup(void)
{
	box_begin(&box);
	box_hush();
}

static void
teardown(void)
{
	box_end(&box);
}

static void
report(uint32_t seed, enum news news)
{
	struct report r = { seed, news };

	if (write(report_fd, &r, sizeof(r)) != (ssize_t)sizeof(r))
		_exit(1);
}

static void
child_answered(struct letter *letter)
{
	under_way--;
	if (letter->status != SPOOL_OK) {
		report(letter->seed, NEWS_FAILED);
		return;
	}
	report(letter->seed, NEWS_STORED);
	if (letter->seed % 3 != 0) {
		report(letter->seed, NEWS_REMOVED);
		spool_remove(&letter->message);
	}
}

static uint32_t
child_octets(uint32_t seed)
{
	uint32_t random = seed * 2654435761u >> 8;

	if (seed % 23 == 0)
		return 300000 + random % 100000;
	return random % 12000;
}

/* Store messages until killed, or until count are stored. */
static void
child_run(uint32_t first, uint32_t count)
{
	box.answered = child_answered;
	box_open(&box);
	for (uint32_t i = 0; i < count; i++) {
		while (under_way >= UNDER_WAY)
			loop_turn(box.loop, 100);
		under_way++;
		(void)box_send(&box, first + i, child_octets(first + i));
		if (i % 4 == 0)
			loop_turn(box.loop, 0);
	}
	box_wait(&box);
	box_close(&box);
	_exit(0);
}

/* Take reports until there are so many (then kill the child), or it has ended. */
static void
child_watch(pid_t child, int fd, uint32_t *news, uint32_t first, size_t most)
{
	struct report r;
	size_t count = 0;
	bool is_killed = false;

	while (read(fd, &r, sizeof(r)) == (ssize_t)sizeof(r)) {
		ck_assert_uint_ge(r.seed, first);
		ck_assert_uint_lt(r.seed - first, LETTERS_MAX);
		news[r.seed - first] |= r.news;
		if (++count >= most && !is_killed) {
			(void)kill(child, SIGKILL);
			is_killed = true;
		}
	}
	(void)close(fd);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}

static int
child_start(uint32_t first, uint32_t count, pid_t *child)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	*child = fork();
	ck_assert_int_ne(*child, -1);
	if (*child == 0) {
		(void)close(ends[0]);
		report_fd = ends[1];
		child_run(first, count);
	}
	(void)close(ends[1]);
	return ends[0];
}

/* Open what the child left, compare with what it said, and clear it away. */
static void
left_check(const uint32_t *news, uint32_t first, bool may_reappear)
{
	static uint8_t is_found[LETTERS_MAX];

	memset(is_found, 0, sizeof(is_found));
	box_open(&box);
	for (size_t i = 0; i < box.found_count; i++) {
		struct letter *letter = box.found[i];
		uint32_t number = letter->seed - first;

		ck_assert_uint_lt(number, LETTERS_MAX);
		ck_assert_msg(!is_found[number], "message %u was found twice", number);
		is_found[number] = 1;
		ck_assert(may_reappear || (news[number] & NEWS_FAILED) == 0);
		ck_assert_msg(letter_is_whole(&box, letter), "message %u is mangled",
			      number);
		spool_remove(&letter->message);
	}
	for (uint32_t i = 0; i < LETTERS_MAX; i++) {
		if (news[i] == NEWS_STORED)
			ck_assert_msg(is_found[i], "message %u was lost", i);
	}
	box_close(&box);
	ck_assert_uint_eq(box_count_files(&box, "0/large", ""), 0);
}

START_TEST(killed_process_loses_nothing)
{
	static uint32_t news[LETTERS_MAX];
	uint32_t random = 12345;

	for (uint32_t round = 0; round < KILLS; round++) {
		uint32_t first = round * LETTERS_MAX;
		pid_t child;

		random = random * 1664525u + 1013904223u;
		memset(news, 0, sizeof(news));
		int fd = child_start(first, LETTERS_MAX, &child);

		child_watch(child, fd, news, first, 1 + random % 1500);
		left_check(news, first, true);
	}
	ck_assert_uint_le(box_count_files(&box, "0", ""), 16);
}
END_TEST

static const char *const deadly[] = { "kill-write", "kill-sync", "kill-rename",
				      "kill-open", "kill-unlink" };

START_TEST(process_killed_in_any_call_loses_nothing)
{
	static uint32_t news[LETTERS_MAX];
	const char *what = deadly[_i];

	for (uint32_t round = 1; round <= 30; round++) {
		uint32_t number = round < 20 ? round : (round - 18) * 12;
		uint32_t first = round * LETTERS_MAX;
		char text[64];
		struct fault fault;
		pid_t child;

		(void)snprintf(text, sizeof(text), "%s=%u", what, number);
		struct disk_faulty *faulty =
		    disk_faulty_new(text, box_disk(&box), &fault);

		box.settings.disk = disk_faulty_disk(faulty);
		box.settings.segment_octets =
		    128 * 1024; /* so that there is much to do */
		memset(news, 0, sizeof(news));
		int fd = child_start(first, 300, &child);

		child_watch(child, fd, news, first, SIZE_MAX);
		box.settings.disk = box_disk(&box);
		left_check(news, first, true);
		disk_faulty_free(&faulty);
	}
}
END_TEST

/* Messages of all kinds on a disk that fails once; some are removed again. */
static void
faulty_store(uint32_t *news)
{
	for (uint32_t i = 0; i < FAULTY_COUNT; i++) {
		uint32_t octets = i % 5 == 4 ? 100000 : i * 700;
		const struct letter *letter = box_store(&box, i, octets);

		news[i] = letter->status == SPOOL_OK ? NEWS_STORED : NEWS_FAILED;
		if (letter->status == SPOOL_OK && i % 3 == 1) {
			spool_remove(&box.sent[i]->message);
			news[i] |= NEWS_REMOVED;
		}
	}
}

static const struct {
	const char *format;
	bool is_lasting;
	enum spool_status status; /* of what fails */
} failures[] = {
	{ "fail-write=%u", false, SPOOL_BROKEN },
	{ "fail-write=%u:ENOSPC", false, SPOOL_FULL },
	{ "short-write=%u,fail-write=%u:ENOSPC", false, SPOOL_FULL },
	{ "fail-write=%u+:ENOSPC", true, SPOOL_FULL },
	{ "fail-write=%u+", true, SPOOL_BROKEN },
	{ "fail-sync=%u", false, SPOOL_BROKEN },
	{ "fail-sync=%u+", true, SPOOL_BROKEN },
	{ "fail-open=%u", false, SPOOL_BROKEN },
	{ "fail-open=%u+:ENOSPC", true, SPOOL_FULL },
	{ "fail-rename=%u", false, SPOOL_BROKEN },
	{ "fail-rename=%u+:EDQUOT", true, SPOOL_FULL },
	{ "fail-unlink=%u", false, SPOOL_BROKEN },
	{ "fail-space=%u", false, SPOOL_BROKEN },
	{ "fail-link=%u,fail-mkdir=%u", false, SPOOL_BROKEN },
	{ "fail-read=%u", false, SPOOL_BROKEN },
};

START_TEST(disk_that_fails_once_never_costs_an_acknowledged_message)
{
	box.settings.segment_octets = 64 * 1024;
	for (uint32_t number = 1; number <= 60; number += number < 20 ? 1 : 7) {
		uint32_t *news = memory_new_array(LETTERS_MAX, sizeof(*news));
		char text[96];
		struct fault fault;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(text, sizeof(text), failures[_i].format, number,
			       number + 1);
#pragma GCC diagnostic pop
		struct disk_faulty *faulty =
		    disk_faulty_new(text, box_disk(&box), &fault);

		ck_assert_ptr_nonnull(faulty);
		box.settings.disk = disk_faulty_disk(faulty);
		if (box_try_open(&box, &fault)) {
			box_wait(&box);
			faulty_store(news);
			for (uint32_t i = 0; i < FAULTY_COUNT; i++) {
				if (news[i] & NEWS_FAILED)
					ck_assert_int_eq(box.sent[i]->status,
							 failures[_i].status);
			}
			box_close(&box);
		}
		box.settings.disk = box_disk(&box);
		left_check(news, 0, failures[_i].is_lasting);
		disk_faulty_free(&faulty);
		free(news);
	}
}
END_TEST

START_TEST(failed_sync_condemns_the_segment_and_no_other_message)
{
	struct fault fault;
	struct disk_faulty *counting = disk_faulty_new("", box_disk(&box), &fault);

	box.settings.disk = disk_faulty_disk(counting);
	box_open(&box);
	(void)box_store(&box, 0, 1000);
	uint64_t syncs = disk_faulty_calls(counting, "sync");

	spool_remove(&box.sent[0]->message);
	box_close(&box);
	box_end(&box);
	box_begin(&box);

	char text[64];

	(void)snprintf(text, sizeof(text), "fail-sync=%llu",
		       (unsigned long long)syncs + 2);
	struct disk_faulty *faulty = disk_faulty_new(text, box_disk(&box), &fault);

	box.settings.disk = disk_faulty_disk(faulty);
	box_open(&box);
	ck_assert_int_eq(box_store(&box, 1, 1000)->status, SPOOL_OK);
	ck_assert_int_eq(box_store(&box, 2, 1000)->status, SPOOL_OK);
	ck_assert_int_eq(box_store(&box, 3, 1000)->status, SPOOL_BROKEN);
	ck_assert_int_eq(box_store(&box, 4, 1000)->status, SPOOL_OK);
	for (size_t i = 0; i < 4; i++) {
		if (box.sent[i]->message != NULL)
			spool_body_forget(box.sent[i]->message);
	}
	ck_assert(letter_is_whole(&box, box.sent[0]));
	spool_remove(&box.sent[0]->message);
	box_close(&box);
	box.settings.disk = box_disk(&box);
	box_open(&box);
	ck_assert_uint_eq(box.found_count, 2);
	ck_assert_uint_eq(box.found[0]->seed, 2);
	ck_assert_uint_eq(box.found[1]->seed, 4);
	box_close(&box);
	disk_faulty_free(&faulty);
	disk_faulty_free(&counting);
}
END_TEST

/* A small file system of our own, where we may have one. */
static bool
tmpfs_mount(const char *directory)
{
	if (unshare(CLONE_NEWNS) == -1 && unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1)
		return false;
	(void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return mount("tmpfs", directory, "tmpfs", 0, "size=64m") == 0;
}

/* has_room is looked up behind our back, at most once a second. */
static bool
room_comes_back(void)
{
	int64_t until_ms = clock_monotonic_ms() + 15000;

	while (!spool_has_room(box.spool, 50000) && clock_monotonic_ms() < until_ms)
		loop_turn(box.loop, 20);
	return spool_has_room(box.spool, 50000);
}

START_TEST(full_disk_refuses_loses_nothing_and_recovers)
{
	uint64_t stored = 0;
	uint32_t count = 0;

	if (!tmpfs_mount(box.directory))
		return; /* not allowed here */
	box.settings.segment_octets = 0;
	box_open(&box);
	/* As a session does: ask first, until told that there is no room. */
	for (; count < 2000; count++) {
		uint32_t octets = count % 11 == 0 ? 400000 : 50000;

		if (!spool_has_room(box.spool, octets))
			break;
		const struct letter *letter = box_store(&box, count, octets);

		ck_assert_int_eq(letter->status, SPOOL_OK);
		stored += letter->octets;
		loop_turn(box.loop, 0);
	}
	ck_assert_uint_gt(stored, 40u << 20);
	/* As many sessions at once do, that asked before: until nothing goes in any more.
	 */
	uint32_t refused = 0;

	for (; refused < 50 && count < 4000; count++) {
		const struct letter *letter = box_store(&box, count, 60000);

		if (letter->status == SPOOL_OK)
			stored += letter->octets;
		else
			refused++;
		ck_assert_int_ne(letter->status, SPOOL_BROKEN);
	}
	ck_assert_uint_eq(refused, 50);
	ck_assert_uint_gt(stored, 48u << 20);
	ck_assert(!spool_has_room(box.spool, 50000));

	uint32_t *news = memory_new_array(LETTERS_MAX, sizeof(*news));

	for (uint32_t i = 0; i < count; i++)
		news[i] = box.sent[i]->status == SPOOL_OK ? NEWS_STORED : NEWS_FAILED;
	/* It opens, and delivers, even so. */
	box_close(&box);
	box_open(&box);
	for (size_t i = 0; i < box.found_count / 2; i++) {
		ck_assert(letter_is_whole(&box, box.found[i]));
		news[box.found[i]->seed] |= NEWS_REMOVED;
		spool_remove(&box.found[i]->message);
	}
	ck_assert(room_comes_back());
	ck_assert_int_eq(box_store(&box, 19999, 50000)->status, SPOOL_OK);
	news[19999] = NEWS_STORED;
	box_close(&box);
	left_check(news, 0, false);
	free(news);
	(void)umount(box.directory);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("crash");
	TCase *tc = tcase_create("crash");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, killed_process_loses_nothing);
	tcase_add_loop_test(tc, process_killed_in_any_call_loses_nothing, 0,
			    (int)ARRAY_LEN(deadly));
	tcase_add_loop_test(tc, disk_that_fails_once_never_costs_an_acknowledged_message,
			    0, (int)ARRAY_LEN(failures));
	tcase_add_test(tc, failed_sync_condemns_the_segment_and_no_other_message);
	tcase_add_test(tc, full_disk_refuses_loses_nothing_and_recovers);
	tcase_set_timeout(tc, 300);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
