/* SPDX-License-Identifier: ISC */
/* What workers share of a route: several processes at once, and the window's rules. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "delivery/share.h"

#include "base/clock.h"

#include "suite.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES 4
#define ROUNDS	  20000

static struct share_set set;
static struct route_share *share;

static void
setup(void)
{
	struct fault fault;

	share_set_init(&set);
	share = share_set_take(&set, span_of("out"), &fault);
	ck_assert_ptr_nonnull(share);
}

static void
teardown(void)
{
	share_set_reset(&set);
}

/* Run the work in so many processes; the sum of what each returns, up to 250. */
static unsigned
processes_run(unsigned (*work)(unsigned worker))
{
	pid_t pids[PROCESSES];
	unsigned sum = 0;

	for (unsigned i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ck_assert_int_ne(pids[i], -1);
		if (pids[i] == 0)
			_exit((int)work(i));
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;

		ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 255);
		sum += (unsigned)WEXITSTATUS(status);
	}
	return sum;
}

/* 255 when there ever were more than three who were told yes. */
static _Atomic unsigned *at_once;

static unsigned
connections_take(unsigned worker)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (!share_take(share, worker, 3))
			continue;
		if (atomic_fetch_add(at_once, 1) >= 3)
			return 255;
		(void)atomic_fetch_sub(at_once, 1);
		share_give_back(share, worker);
	}
	return 0;
}

START_TEST(never_gives_more_connections_than_allowed)
{
	at_once = mmap(NULL, sizeof(*at_once), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(at_once != MAP_FAILED);
	(void)processes_run(connections_take);
	ck_assert_uint_eq(share_held(share), 0);
}
END_TEST

/* Six hundred a minute are one in 100 ms; how many in the first 1500 ms? */
static unsigned
messages_take(unsigned worker)
{
	int64_t begin_ms = 1000000;
	unsigned taken = 0;

	(void)worker;
	for (unsigned i = 0; i < ROUNDS; i++)
		taken += share_message_take(share, 600, begin_ms + (int64_t)i * 1500 / ROUNDS);
	return taken;
}

START_TEST(counts_the_messages_of_all_workers_together)
{
	unsigned taken = processes_run(messages_take);

	ck_assert_uint_ge(taken, 8);
	ck_assert_uint_le(taken, 15);
}
END_TEST

START_TEST(never_lets_more_than_so_many_messages_go_in_any_minute)
{
	static const uint32_t rates[] = { 1, 7, 30, 59, 61, 1000 };

	for (size_t r = 0; r < ARRAY_LEN(rates); r++) {
		static int64_t times[4096];
		size_t count = 0;
		int64_t now_ms = share_next_send_ms(share) + 60000;

		for (unsigned i = 0; i < 2 * rates[r] + 1; i++) {
			ck_assert(share_message_take(share, rates[r], now_ms));
			ck_assert(!share_message_take(share, rates[r], now_ms));
			times[count++] = now_ms;
			now_ms = share_next_send_ms(share);
		}
		for (size_t i = rates[r]; i < count; i++)
			ck_assert_int_ge(times[i] - times[i - rates[r]], 60000);
	}
	for (unsigned i = 0; i < 100; i++)
		ck_assert(share_message_take(share, 0, 1));
}
END_TEST

START_TEST(forgets_the_connections_of_a_worker_that_died)
{
	ck_assert(share_take(share, 7, 2));
	ck_assert(share_take(share, 9, 2));
	ck_assert(!share_take(share, 9, 2));
	share_want(share, 7, true);
	ck_assert(share_is_wanted(share, 9));
	ck_assert(!share_is_wanted(share, 7));
	share_set_clear(&set, 7);
	ck_assert(!share_is_wanted(share, 9));
	ck_assert(share_take(share, 9, 2));
	ck_assert_uint_eq(share_held(share), 2);
}
END_TEST

START_TEST(grows_with_success_and_halves_with_trouble)
{
	int64_t now_ms = 1000000;

	ck_assert_uint_eq(share_window(share, 20), 5);
	ck_assert_uint_eq(share_window(share, 3), 3);
	for (unsigned i = 0; i < 100; i++)
		share_grow(share, 20);
	ck_assert_uint_eq(share_window(share, 20), 20);
	share_halve(share, 20, now_ms);
	share_halve(share, 20, now_ms + 10); /* the same trouble */
	ck_assert_uint_eq(share_window(share, 20), 10);
	for (unsigned i = 0; i < 10; i++)
		share_grow(share, 20);
	ck_assert_uint_eq(share_window(share, 20), 10);
	share_grow(share, 20);
	ck_assert_uint_eq(share_window(share, 20), 11);
	for (unsigned i = 1; i < 20; i++)
		share_halve(share, 20, now_ms + i * 10000);
	ck_assert_uint_eq(share_window(share, 20), 1);
}
END_TEST

START_TEST(keeps_what_a_route_of_the_same_name_knows)
{
	struct fault fault;
	struct route_share *again = share_set_take(&set, span_of("out"), &fault);
	struct route_share *other = share_set_take(&set, span_of("in"), &fault);

	ck_assert_ptr_eq(again, share);
	ck_assert_ptr_ne(other, share);
	share_set_give_back(&set, again);
	ck_assert(share_take(share, 0, 1));
	share_set_give_back(&set, other);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("share");
	TCase *tc = tcase_create("share");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, never_gives_more_connections_than_allowed);
	tcase_add_test(tc, counts_the_messages_of_all_workers_together);
	tcase_add_test(tc, never_lets_more_than_so_many_messages_go_in_any_minute);
	tcase_add_test(tc, forgets_the_connections_of_a_worker_that_died);
	tcase_add_test(tc, grows_with_success_and_halves_with_trouble);
	tcase_add_test(tc, keeps_what_a_route_of_the_same_name_knows);
	return suite_main(suite);
}
