/* SPDX-License-Identifier: ISC */
/* policy/quota: never more than the limit, whoever competes, dies or comes too many. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "policy/quota.h"

#include "suite.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS	  8
#define WORKERS	  4
#define HOUR_MS	  INT64_C(3600000)
#define START_MS  INT64_C(1000000007) /* of the tests' clock */
#define ROUNDS	  20

static const struct limit_source hourly = { 600, LIMIT_MESSAGES, LIMIT_PER_GRANT, 3600 };
static const struct limit_source by_sender = { 10, LIMIT_MESSAGES, LIMIT_PER_SENDER, 3600 };
static const struct limit_source sessions = { 3, LIMIT_SESSIONS, LIMIT_PER_GRANT, 0 };

static void *
shared_memory(size_t octets)
{
	void *p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return p;
}

static struct quota *
quota_make(void)
{
	return quota_init(shared_memory(quota_octets(SLOTS)), SLOTS, 42);
}

static void
quota_end(struct quota *q)
{
	ck_assert_int_eq(munmap(q, quota_octets(SLOTS)), 0);
}

static struct quota_subject
subject_of(const struct limit_source *limit, const char *key)
{
	return (struct quota_subject){ span_of("billing"), limit, span_of(key) };
}

static enum quota_result
take(struct quota *q, const struct quota_subject *subject, uint64_t amount, int64_t now_ms)
{
	struct quota_ticket ticket;
	int64_t frees_ms;

	return quota_take(q, 0, subject, amount, subject->limit->count, now_ms, &ticket,
			  &frees_ms);
}

static uint64_t
used(const struct quota *q, const struct quota_subject *subject, int64_t now_ms)
{
	int64_t frees_ms;

	return quota_used(q, subject, now_ms, &frees_ms);
}

/* How many of 1 can be taken. */
static unsigned
take_all(struct quota *q, const struct quota_subject *subject, int64_t now_ms)
{
	unsigned taken = 0;

	while (take(q, subject, 1, now_ms) == QUOTA_TAKEN)
		taken++;
	return taken;
}

/* --- one process --- */

START_TEST(no_more_than_the_limit_is_taken_in_a_window)
{
	struct quota *q = quota_make();
	struct quota_subject s = subject_of(&hourly, "");

	ck_assert_uint_eq(take_all(q, &s, START_MS), 600);
	ck_assert_uint_eq(used(q, &s, START_MS), 600);
	ck_assert_int_eq(take(q, &s, 1, START_MS + HOUR_MS - 1), QUOTA_USED_UP);
	quota_end(q);
}
END_TEST

START_TEST(window_begins_with_its_first_message_and_frees_all_at_its_end)
{
	struct quota *q = quota_make();
	struct quota_subject s = subject_of(&hourly, "");
	struct quota_ticket ticket;
	int64_t frees_ms;

	ck_assert_int_eq(take(q, &s, 1, START_MS), QUOTA_TAKEN);
	ck_assert_int_eq(take(q, &s, 599, START_MS + HOUR_MS / 2), QUOTA_TAKEN);
	ck_assert_int_eq(quota_take(q, 0, &s, 1, 600, START_MS + HOUR_MS * 3 / 4, &ticket,
				    &frees_ms), QUOTA_USED_UP);
	/* never sooner than the hour, and later by less than 1 part in 200 */
	ck_assert_int_ge(frees_ms, HOUR_MS / 4);
	ck_assert_int_lt(frees_ms, HOUR_MS / 4 + HOUR_MS / 200);

	int64_t end_ms = START_MS + HOUR_MS * 3 / 4 + frees_ms;

	ck_assert_int_eq(take(q, &s, 1, end_ms - 1), QUOTA_USED_UP);
	ck_assert_uint_eq(take_all(q, &s, end_ms), 600);
	quota_end(q);
}
END_TEST

static const uint32_t windows_s[] = { 1, 2, 60, 900, 3600, 86400, QUOTA_WINDOW_MAX_S };

START_TEST(windows_of_every_length_end_when_they_say)
{
	struct quota *q = quota_make();
	const struct limit_source limit = { 5, LIMIT_RECIPIENTS, LIMIT_PER_GRANT,
					    windows_s[_i] };
	struct quota_subject s = subject_of(&limit, "");
	int64_t window_ms = (int64_t)windows_s[_i] * 1000;

	for (int64_t now_ms = START_MS, i = 0; i < 1000; i++) {
		struct quota_ticket ticket;
		int64_t frees_ms;

		ck_assert_int_eq(take(q, &s, 5, now_ms), QUOTA_TAKEN);
		ck_assert_int_eq(quota_take(q, 0, &s, 1, 5, now_ms, &ticket, &frees_ms),
				 QUOTA_USED_UP);
		ck_assert_int_ge(frees_ms, window_ms);
		ck_assert_int_le(frees_ms, window_ms + window_ms / 100 + 1);
		ck_assert_int_eq(take(q, &s, 1, now_ms + window_ms - 1), QUOTA_USED_UP);
		/* a clock that was read a little earlier sees the same window */
		ck_assert_int_eq(take(q, &s, 1, now_ms - window_ms / 3), QUOTA_USED_UP);
		now_ms += frees_ms + i * 7;
	}
	quota_end(q);
}
END_TEST

START_TEST(key_that_was_idle_for_years_begins_anew)
{
	struct quota *q = quota_make();
	struct quota_subject s = subject_of(&hourly, "");

	for (int64_t years = 1; years < 8; years++) {
		int64_t now_ms = START_MS + years * 365 * 24 * HOUR_MS;

		ck_assert_uint_eq(used(q, &s, now_ms), 0);
		ck_assert_uint_eq(take_all(q, &s, now_ms), 600);
	}
	quota_end(q);
}
END_TEST

START_TEST(what_does_not_fit_whole_is_not_taken_at_all)
{
	struct quota *q = quota_make();
	const struct limit_source bytes = { 1000, LIMIT_OCTETS, LIMIT_PER_GRANT, 86400 };
	struct quota_subject s = subject_of(&bytes, "");

	ck_assert_int_eq(take(q, &s, 1001, START_MS), QUOTA_USED_UP);
	ck_assert_int_eq(take(q, &s, 600, START_MS), QUOTA_TAKEN);
	ck_assert_int_eq(take(q, &s, 401, START_MS), QUOTA_USED_UP);
	ck_assert_int_eq(take(q, &s, 400, START_MS), QUOTA_TAKEN);
	ck_assert_uint_eq(used(q, &s, START_MS), 1000);
	quota_end(q);
}
END_TEST

START_TEST(terabytes_are_counted_to_the_octet)
{
	struct quota *q = quota_make();
	const struct limit_source bytes = { QUOTA_COUNT_MAX, LIMIT_OCTETS, LIMIT_PER_GRANT,
					    86400 };
	struct quota_subject s = subject_of(&bytes, "");
	struct quota_ticket ticket;
	int64_t frees_ms;

	ck_assert_int_eq(take(q, &s, QUOTA_COUNT_MAX - 1, START_MS), QUOTA_TAKEN);
	ck_assert_int_eq(take(q, &s, 2, START_MS), QUOTA_USED_UP);
	ck_assert_int_eq(take(q, &s, 1, START_MS), QUOTA_TAKEN);
	/* counting on without a maximum stays at what can be counted */
	ck_assert_int_eq(quota_take(q, 0, &s, 100, QUOTA_NO_MAX, START_MS, &ticket, &frees_ms),
			 QUOTA_TAKEN);
	ck_assert_uint_eq(ticket.amount, 0);
	ck_assert_uint_eq(used(q, &s, START_MS), QUOTA_COUNT_MAX);
	quota_end(q);
}
END_TEST

START_TEST(what_is_given_back_can_be_taken_again)
{
	struct quota *q = quota_make();
	struct quota_subject s = subject_of(&hourly, "");
	struct quota_ticket ticket;
	int64_t frees_ms;

	ck_assert_int_eq(quota_take(q, 0, &s, 600, 600, START_MS, &ticket, &frees_ms),
			 QUOTA_TAKEN);
	quota_give_back(q, 0, &ticket, 1);
	ck_assert_uint_eq(ticket.amount, 599);
	ck_assert_uint_eq(take_all(q, &s, START_MS), 1);
	quota_give_back(q, 0, &ticket, UINT64_MAX);
	ck_assert_uint_eq(used(q, &s, START_MS), 1);
	quota_give_back(q, 0, &ticket, 5);
	ck_assert_uint_eq(used(q, &s, START_MS), 1);
	quota_end(q);
}
END_TEST

START_TEST(what_comes_back_after_its_window_frees_nothing_of_the_next)
{
	struct quota *q = quota_make();
	struct quota_subject s = subject_of(&hourly, "");
	struct quota_ticket ticket;
	int64_t frees_ms, later_ms = START_MS + 2 * HOUR_MS;

	ck_assert_int_eq(quota_take(q, 0, &s, 10, 600, START_MS, &ticket, &frees_ms),
			 QUOTA_TAKEN);
	ck_assert_uint_eq(take_all(q, &s, later_ms), 600);
	quota_give_back(q, 0, &ticket, 10);
	ck_assert_uint_eq(used(q, &s, later_ms), 600);
	ck_assert_int_eq(take(q, &s, 1, later_ms), QUOTA_USED_UP);
	quota_end(q);
}
END_TEST

START_TEST(keys_grants_units_and_windows_are_counted_apart)
{
	struct quota *q = quota_make();
	const struct limit_source daily = { 600, LIMIT_MESSAGES, LIMIT_PER_GRANT, 86400 };
	const struct limit_source people = { 600, LIMIT_RECIPIENTS, LIMIT_PER_GRANT, 3600 };
	struct quota_subject all[] = {
		subject_of(&hourly, ""),     subject_of(&daily, ""),
		subject_of(&people, ""),     subject_of(&by_sender, "a@example.com"),
		subject_of(&by_sender, "b@example.com"),
		{ span_of("crm"), &hourly, { NULL, 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		ck_assert_int_eq(take(q, &all[i], i + 1, START_MS), QUOTA_TAKEN);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		ck_assert_uint_eq(used(q, &all[i], START_MS), i + 1);
	quota_end(q);
}
END_TEST

START_TEST(use_outlives_a_change_of_the_maximum)
{
	struct quota *q = quota_make();
	const struct limit_source lower = { 300, LIMIT_MESSAGES, LIMIT_PER_GRANT, 3600 };
	const struct limit_source higher = { 700, LIMIT_MESSAGES, LIMIT_PER_GRANT, 3600 };
	struct quota_subject before = subject_of(&hourly, "");
	struct quota_subject less = subject_of(&lower, ""), more = subject_of(&higher, "");

	ck_assert_int_eq(take(q, &before, 500, START_MS), QUOTA_TAKEN);
	ck_assert_int_eq(take(q, &less, 1, START_MS), QUOTA_USED_UP);
	ck_assert_uint_eq(take_all(q, &more, START_MS), 200);
	quota_end(q);
}
END_TEST

START_TEST(sessions_are_counted_by_slot_and_dropped_with_it)
{
	struct quota *q = quota_make();
	struct quota_subject s = subject_of(&sessions, "");
	struct quota_ticket t[4];
	int64_t frees_ms;

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(quota_take(q, i % 2, &s, 1, 3, START_MS, &t[i], &frees_ms),
				 QUOTA_TAKEN);
	ck_assert_int_eq(quota_take(q, 2, &s, 1, 3, START_MS, &t[3], &frees_ms), QUOTA_USED_UP);
	ck_assert_uint_eq(used(q, &s, START_MS), 3);
	quota_slot_clear(q, 0);
	ck_assert_uint_eq(used(q, &s, START_MS), 1);
	quota_give_back(q, 1, &t[1], 1);
	ck_assert_uint_eq(used(q, &s, START_MS), 0);
	quota_end(q);
}
END_TEST

/* --- room --- */

START_TEST(keys_whose_window_has_ended_make_room)
{
	struct quota *q = quota_make();
	int64_t now_ms = START_MS;
	size_t in_use;

	for (unsigned i = 0; i < 400000; i++, now_ms += 200) {
		char key[32];

		(void)snprintf(key, sizeof(key), "%u@example.com", i);
		struct quota_subject s = subject_of(&by_sender, key);

		ck_assert_int_eq(take(q, &s, 1, now_ms), QUOTA_TAKEN);
		ck_assert_uint_eq(used(q, &s, now_ms), 1);
	}
	size_t cells = quota_cells(q, &in_use);

	ck_assert_uint_le(in_use, cells);
	quota_end(q);
}
END_TEST

START_TEST(key_without_room_is_refused_and_nobody_is_forgotten)
{
	struct quota *q = quota_make();
	unsigned taken = 0, refused = 0;
	size_t in_use, cells = quota_cells(q, &in_use);
	bool *has = calloc(3 * cells, sizeof(*has));
	char key[32];

	ck_assert_ptr_nonnull(has);
	for (unsigned i = 0; i < 3 * cells; i++) {
		(void)snprintf(key, sizeof(key), "%u@example.com", i);
		struct quota_subject s = subject_of(&by_sender, key);
		enum quota_result result = take(q, &s, 1, START_MS);

		has[i] = result == QUOTA_TAKEN;
		ck_assert(has[i] || result == QUOTA_NO_ROOM);
		*(has[i] ? &taken : &refused) += 1;
	}
	(void)quota_cells(q, &in_use);
	ck_assert_uint_eq(in_use, taken);
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_gt(taken, cells * 9 / 10);
	for (unsigned i = 0; i < 3 * cells; i += 37) {
		(void)snprintf(key, sizeof(key), "%u@example.com", i);
		struct quota_subject s = subject_of(&by_sender, key);

		ck_assert_uint_eq(used(q, &s, START_MS), has[i]);
	}
	free(has);
	quota_end(q);
}
END_TEST

START_TEST(fifty_thousand_keys_have_room_at_the_same_time)
{
	struct quota *q = quota_make();

	for (unsigned i = 0; i < 50000; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "%u@example.com", i);
		struct quota_subject s = subject_of(&by_sender, key);

		ck_assert_int_eq(take(q, &s, 1, START_MS), QUOTA_TAKEN);
	}
	quota_end(q);
}
END_TEST

struct seen {
	uint64_t family;
	unsigned count;
	uint64_t sum;
	bool has_long;
};

static void
use_note(void *context, const struct quota_use *use)
{
	struct seen *seen = context;

	if (use->family != seen->family)
		return;
	seen->count++;
	seen->sum += use->used;
	seen->has_long |= use->key.len == QUOTA_TEXT_MAX;
	ck_assert_int_gt(use->frees_ms, 0);
	ck_assert(use->key.len > 0 && use->key.ptr[0] == 'a');
}

START_TEST(visit_tells_the_keys_that_are_in_use)
{
	struct quota *q = quota_make();
	char long_key[301] = "a";
	const char *const keys[] = { "a@example.com", "ab@example.com", long_key };
	struct seen seen = { .family = quota_family(q, span_of("billing"), &by_sender) };
	struct quota_subject other = subject_of(&hourly, "");

	memset(long_key, 'a', 300);
	ck_assert_int_eq(take(q, &other, 7, START_MS), QUOTA_TAKEN);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct quota_subject s = subject_of(&by_sender, keys[i]);

		ck_assert_int_eq(take(q, &s, i + 1, START_MS), QUOTA_TAKEN);
	}
	quota_visit(q, START_MS, use_note, &seen);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_uint_eq(seen.sum, 6);
	ck_assert(seen.has_long);
	seen.count = 0;
	quota_visit(q, START_MS + 2 * HOUR_MS, use_note, &seen);
	ck_assert_uint_eq(seen.count, 0);
	quota_end(q);
}
END_TEST

START_TEST(news_of_the_shared_store_is_told_once)
{
	struct quota *q = quota_make();

	ck_assert(!quota_note_away(q, false));
	ck_assert(quota_note_away(q, true));
	ck_assert(!quota_note_away(q, true));
	ck_assert(quota_note_away(q, false));
	quota_end(q);
}
END_TEST

/* --- many processes --- */

/* What the processes of a test tell each other. */
struct board {
	_Atomic uint32_t ready;
	_Atomic uint32_t go;
	_Atomic uint64_t taken[100];
	_Atomic uint64_t kept;
};

typedef void worker(struct quota *q, struct board *board, unsigned slot);

static pid_t
worker_fork(worker *run, struct quota *q, struct board *board, unsigned slot)
{
	pid_t child = fork();

	if (child == 0) {
		atomic_fetch_add(&board->ready, 1);
		while (atomic_load(&board->go) == 0)
			;
		run(q, board, slot);
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	return child;
}

static void
workers_start(worker *run, struct quota *q, struct board *board, pid_t pids[WORKERS])
{
	for (unsigned i = 0; i < WORKERS; i++)
		pids[i] = worker_fork(run, q, board, i);
	while (atomic_load(&board->ready) < WORKERS)
		(void)usleep(100);
	atomic_store(&board->go, 1);
}

static void
workers_wait(const pid_t pids[WORKERS])
{
	for (unsigned i = 0; i < WORKERS; i++) {
		int status;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

/* Everybody takes from a hundred keys until each is used up; some of it goes back. */
static void
worker_takes(struct quota *q, struct board *board, unsigned slot)
{
	unsigned refused = 0;

	for (unsigned i = slot; refused < 5000; i++) {
		unsigned number = i % 100;
		char key[32];
		struct quota_ticket ticket;
		int64_t frees_ms;

		(void)snprintf(key, sizeof(key), "%u@example.com", number);
		struct quota_subject s = subject_of(&by_sender, key);

		if (quota_take(q, slot, &s, 1, 10, START_MS, &ticket, &frees_ms) !=
		    QUOTA_TAKEN) {
			refused++;
			continue;
		}
		if (i % 3 == 0)
			quota_give_back(q, slot, &ticket, 1);
		else
			atomic_fetch_add(&board->taken[number], 1);
	}
}

START_TEST(competing_processes_take_exactly_the_limit)
{
	struct board *board = shared_memory(sizeof(*board));
	struct quota *q = quota_make();
	pid_t pids[WORKERS];

	workers_start(worker_takes, q, board, pids);
	workers_wait(pids);
	for (unsigned i = 0; i < 100; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "%u@example.com", i);
		struct quota_subject s = subject_of(&by_sender, key);

		ck_assert_uint_le(atomic_load(&board->taken[i]), 10);
		ck_assert_uint_eq(used(q, &s, START_MS), atomic_load(&board->taken[i]));
		/* what they left is there */
		ck_assert_uint_eq(take_all(q, &s, START_MS), 10 - board->taken[i]);
	}
	quota_end(q);
	ck_assert_int_eq(munmap(board, sizeof(*board)), 0);
}
END_TEST

/* The same 4000 keys for all, ten of each. */
static void
worker_fills(struct quota *q, struct board *board, unsigned slot)
{
	for (unsigned i = 0; i < 40000; i++) {
		char key[32];
		struct quota_ticket ticket;
		int64_t frees_ms;

		(void)snprintf(key, sizeof(key), "a%u@example.com", i % 4000);
		struct quota_subject s = subject_of(&by_sender, key);

		if (quota_take(q, slot, &s, 1, 10, START_MS, &ticket, &frees_ms) ==
		    QUOTA_TAKEN)
			atomic_fetch_add(&board->kept, 1);
	}
}

/* Every cell is taken by a window that has ended: each new key must drive one out. */
START_TEST(new_keys_that_all_put_in_at_once_stand_once)
{
	struct board *board = shared_memory(sizeof(*board));
	struct quota *q = quota_make();
	struct seen seen = { .family = quota_family(q, span_of("billing"), &by_sender) };
	pid_t pids[WORKERS];

	for (unsigned i = 0; i < 1000000; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "%u@example.net", i);
		struct quota_subject s = subject_of(&by_sender, key);

		(void)take(q, &s, 10, START_MS - 2 * HOUR_MS);
	}
	workers_start(worker_fills, q, board, pids);
	workers_wait(pids);
	quota_visit(q, START_MS, use_note, &seen);
	ck_assert_uint_eq(seen.count, 4000);
	ck_assert_uint_eq(seen.sum, 40000);
	ck_assert_uint_eq(atomic_load(&board->kept), 40000);
	quota_end(q);
	ck_assert_int_eq(munmap(board, sizeof(*board)), 0);
}
END_TEST

/* Until it is killed: new keys, counts, sessions, always at the crowded end of the table. */
static void
worker_for_ever(struct quota *q, struct board *board, unsigned slot)
{
	struct quota_subject one = subject_of(&sessions, "");

	for (unsigned i = 0;; i++) {
		struct quota_ticket ticket, session;
		int64_t frees_ms, now_ms = START_MS + (int64_t)i * 1000;
		char key[32];

		(void)snprintf(key, sizeof(key), "%u@example.com", i * 8 + slot);
		struct quota_subject s = subject_of(&by_sender, key);

		(void)quota_take(q, slot, &s, 1, 10, now_ms, &ticket, &frees_ms);
		if (quota_take(q, slot, &one, 1, 1000, now_ms, &session, &frees_ms) ==
			QUOTA_TAKEN && i % 2 == 0)
			quota_give_back(q, slot, &session, 1);
		atomic_fetch_add(&board->kept, 1);
	}
}

START_TEST(killed_worker_leaves_nothing_locked_and_no_session)
{
	struct board *board = shared_memory(sizeof(*board));
	struct quota *q = quota_make();
	struct quota_subject one = subject_of(&sessions, "");

	atomic_store(&board->go, 1);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t before = atomic_load(&board->kept);
		pid_t child = worker_fork(worker_for_ever, q, board, 1);

		while (atomic_load(&board->kept) < before + 20000 + (uint64_t)round)
			(void)usleep(50);
		ck_assert_int_eq(kill(child, SIGKILL), 0);
		ck_assert_int_eq(waitpid(child, NULL, 0), child);
		quota_slot_clear(q, 1);
		ck_assert_uint_eq(used(q, &one, START_MS), 0);
	}
	/* every bucket can still take new keys */
	for (unsigned i = 0; i < 100000; i++) {
		char key[32];

		(void)snprintf(key, sizeof(key), "%u@example.net", i);
		struct quota_subject s = subject_of(&by_sender, key);

		ck_assert_int_eq(take(q, &s, 1, START_MS + 100 * 24 * HOUR_MS + i * 1000),
				 QUOTA_TAKEN);
	}
	quota_end(q);
	ck_assert_int_eq(munmap(board, sizeof(*board)), 0);
}
END_TEST

/* --- words --- */

static const struct {
	struct limit_source limit;
	const char *text;
} written[] = {
	{ { 600, LIMIT_MESSAGES, LIMIT_PER_GRANT, 3600 }, "600 messages/hour" },
	{ { 5000, LIMIT_RECIPIENTS, LIMIT_PER_SENDER, 86400 }, "5000 recipients/day per sender" },
	{ { UINT64_C(2) << 30, LIMIT_OCTETS, LIMIT_PER_LOGIN, 86400 },
	  "2GB bytes/day per login" },
	{ { 1025, LIMIT_OCTETS, LIMIT_PER_GRANT, 60 }, "1025 bytes/minute" },
	{ { 20, LIMIT_SESSIONS, LIMIT_PER_ADDRESS, 0 }, "20 sessions per address" },
	{ { 1, LIMIT_MESSAGES, LIMIT_PER_GRANT, 1 }, "1 messages/second" },
	{ { 7, LIMIT_MESSAGES, LIMIT_PER_GRANT, 900 }, "7 messages/15m" },
};

START_TEST(limit_is_told_as_it_is_written)
{
	struct buffer out;

	buffer_init(&out, 200);
	limit_append(&written[_i].limit, &out);
	ck_assert_str_eq(buffer_text(&out), written[_i].text);
	buffer_reset(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("policy/quota");
	TCase *one = tcase_create("one process");
	TCase *room = tcase_create("room");
	TCase *many = tcase_create("many processes");
	TCase *words = tcase_create("words");

	tcase_add_test(one, no_more_than_the_limit_is_taken_in_a_window);
	tcase_add_test(one, window_begins_with_its_first_message_and_frees_all_at_its_end);
	tcase_add_loop_test(one, windows_of_every_length_end_when_they_say, 0,
			    ARRAY_LEN(windows_s));
	tcase_add_test(one, key_that_was_idle_for_years_begins_anew);
	tcase_add_test(one, what_does_not_fit_whole_is_not_taken_at_all);
	tcase_add_test(one, terabytes_are_counted_to_the_octet);
	tcase_add_test(one, what_is_given_back_can_be_taken_again);
	tcase_add_test(one, what_comes_back_after_its_window_frees_nothing_of_the_next);
	tcase_add_test(one, keys_grants_units_and_windows_are_counted_apart);
	tcase_add_test(one, use_outlives_a_change_of_the_maximum);
	tcase_add_test(one, sessions_are_counted_by_slot_and_dropped_with_it);
	tcase_set_timeout(room, 60);
	tcase_add_test(room, keys_whose_window_has_ended_make_room);
	tcase_add_test(room, key_without_room_is_refused_and_nobody_is_forgotten);
	tcase_add_test(room, fifty_thousand_keys_have_room_at_the_same_time);
	tcase_add_test(room, visit_tells_the_keys_that_are_in_use);
	tcase_add_test(room, news_of_the_shared_store_is_told_once);
	tcase_set_timeout(many, 120);
	tcase_add_test(many, competing_processes_take_exactly_the_limit);
	tcase_add_test(many, new_keys_that_all_put_in_at_once_stand_once);
	tcase_add_test(many, killed_worker_leaves_nothing_locked_and_no_session);
	tcase_add_loop_test(words, limit_is_told_as_it_is_written, 0, ARRAY_LEN(written));
	suite_add_tcase(suite, one);
	suite_add_tcase(suite, room);
	suite_add_tcase(suite, many);
	suite_add_tcase(suite, words);
	return suite_main(suite);
}
