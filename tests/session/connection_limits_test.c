/* SPDX-License-Identifier: ISC */
/* session/connection_limits: totals are exact, whoever dies and whoever competes. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "session/connection_limits.h"

#include "suite.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct span apps = SPAN_LITERAL("apps");
static const struct span devices = SPAN_LITERAL("devices");

static struct ip
address(unsigned number)
{
	struct ip ip = { .bytes = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10 } };

	ip.bytes[13] = (unsigned char)(number >> 16);
	ip.bytes[14] = (unsigned char)(number >> 8);
	ip.bytes[15] = (unsigned char)number;
	return ip;
}

START_TEST(connector_is_full_at_its_maximum_over_all_slots)
{
	struct connection_limits *l = connection_limits_new(3, 100);
	struct ip ip[4] = { address(1), address(2), address(3), address(4) };

	ck_assert_int_eq(connection_limits_take(l, 0, apps, &ip[0], 3, 0), CONNECTION_TAKEN);
	ck_assert_int_eq(connection_limits_take(l, 1, apps, &ip[1], 3, 0), CONNECTION_TAKEN);
	ck_assert_int_eq(connection_limits_take(l, 2, apps, &ip[2], 3, 0), CONNECTION_TAKEN);
	ck_assert_int_eq(connection_limits_take(l, 0, apps, &ip[3], 3, 0), CONNECTION_LIMIT);
	ck_assert_uint_eq(connection_limits_count(l, apps, NULL), 3);
	ck_assert_uint_eq(connection_limits_count(l, apps, &ip[3]), 0);

	/* another connector has its own count */
	ck_assert_int_eq(connection_limits_take(l, 0, devices, &ip[3], 3, 0), CONNECTION_TAKEN);
	connection_limits_release(l, 1, apps, &ip[1]);
	ck_assert_int_eq(connection_limits_take(l, 0, apps, &ip[3], 3, 0), CONNECTION_TAKEN);
	connection_limits_free(&l);
	ck_assert_ptr_null(l);
}
END_TEST

START_TEST(source_is_limited_by_connector_and_address)
{
	struct connection_limits *l = connection_limits_new(2, 100);
	struct ip one = address(1), two = address(2);

	ck_assert_int_eq(connection_limits_take(l, 0, apps, &one, 0, 2), CONNECTION_TAKEN);
	ck_assert_int_eq(connection_limits_take(l, 1, apps, &one, 0, 2), CONNECTION_TAKEN);
	ck_assert_int_eq(connection_limits_take(l, 0, apps, &one, 0, 2),
			 CONNECTION_SOURCE_LIMIT);
	ck_assert_int_eq(connection_limits_take(l, 0, apps, &two, 0, 2), CONNECTION_TAKEN);
	ck_assert_int_eq(connection_limits_take(l, 0, devices, &one, 0, 2), CONNECTION_TAKEN);
	ck_assert_uint_eq(connection_limits_count(l, apps, NULL), 3);
	connection_limits_free(&l);
}
END_TEST

START_TEST(no_limit_counts_all_the_same)
{
	struct connection_limits *l = connection_limits_new(1, 1000);

	for (unsigned i = 0; i < 1000; i++) {
		struct ip ip = address(i);

		ck_assert_int_eq(connection_limits_take(l, 0, apps, &ip, 0, 0), CONNECTION_TAKEN);
	}
	ck_assert_uint_eq(connection_limits_count(l, apps, NULL), 1000);
	for (unsigned i = 0; i < 1000; i++) {
		struct ip ip = address(i);

		ck_assert_uint_eq(connection_limits_count(l, apps, &ip), 1);
		connection_limits_release(l, 0, apps, &ip);
	}
	ck_assert_uint_eq(connection_limits_count(l, apps, NULL), 0);
	connection_limits_free(&l);
}
END_TEST

/* Sources come and go by the million; the room for them must not leak away. */
START_TEST(room_for_sources_is_used_again)
{
	struct connection_limits *l = connection_limits_new(1, 64);

	for (unsigned i = 0; i < 200000; i++) {
		struct ip now = address(i), old = address(i - 32);

		ck_assert_int_eq(connection_limits_take(l, 0, apps, &now, 0, 1),
				 CONNECTION_TAKEN);
		if (i >= 32)
			connection_limits_release(l, 0, apps, &old);
	}
	ck_assert_uint_eq(connection_limits_count(l, apps, NULL), 32);
	connection_limits_free(&l);
}
END_TEST

START_TEST(more_sources_than_there_is_room_for_are_refused_not_forgotten)
{
	struct connection_limits *l = connection_limits_new(1, 1);
	unsigned taken = 0, refused = 0;

	for (unsigned i = 0; i < 10000; i++) {
		struct ip ip = address(i);

		if (connection_limits_take(l, 0, apps, &ip, 0, 0) == CONNECTION_TAKEN)
			taken++;
		else
			refused++;
	}
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_eq(connection_limits_count(l, apps, NULL), taken);
	connection_limits_free(&l);
}
END_TEST

/* Workers that take and release as fast as they can, killed at whatever they are doing. */
START_TEST(killed_worker_leaves_no_trace_once_its_slot_is_cleared)
{
	struct connection_limits *l = connection_limits_new(2, 1000);
	struct ip mine = address(7);

	ck_assert_int_eq(connection_limits_take(l, 0, apps, &mine, 0, 0), CONNECTION_TAKEN);
	for (int round = 0; round < 50; round++) {
		int ready[2];
		char byte;

		ck_assert_int_eq(pipe(ready), 0);
		pid_t child = fork();

		if (child == 0) {
			for (unsigned i = 0;; i++) {
				struct ip now = address(i % 500), old = address((i - 100) % 500);

				(void)connection_limits_take(l, 1, apps, &now, 0, 0);
				if (i >= 100)
					connection_limits_release(l, 1, apps, &old);
				if (i == 200 + (unsigned)round && write(ready[1], "x", 1) != 1)
					_exit(1);
			}
		}
		ck_assert_int_eq(read(ready[0], &byte, 1), 1);
		ck_assert_int_eq(kill(child, SIGKILL), 0);
		ck_assert_int_eq(waitpid(child, NULL, 0), child);
		ck_assert_uint_gt(connection_limits_count(l, apps, NULL), 1);
		connection_limits_slot_clear(l, 1);
		ck_assert_uint_eq(connection_limits_count(l, apps, NULL), 1);
		ck_assert_uint_eq(connection_limits_count(l, apps, &mine), 1);
		(void)close(ready[0]);
		(void)close(ready[1]);
	}
	connection_limits_free(&l);
}
END_TEST

START_TEST(competing_workers_never_exceed_the_maximum)
{
	enum { WORKERS = 4, MAX = 2, ROUNDS = 20000 };
	struct connection_limits *l = connection_limits_new(WORKERS, 100);
	struct shared { _Atomic int held; _Atomic int most; _Atomic int taken; } *shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ip ip = address(1);

	for (unsigned w = 0; w < WORKERS; w++) {
		if (fork() != 0)
			continue;
		for (int i = 0; i < ROUNDS; i++) {
			if (connection_limits_take(l, w, apps, &ip, 0, MAX) != CONNECTION_TAKEN)
				continue;
			int now = atomic_fetch_add(&shared->held, 1) + 1;
			int most = atomic_load(&shared->most);

			while (now > most &&
			       !atomic_compare_exchange_weak(&shared->most, &most, now))
				;
			atomic_fetch_add(&shared->taken, 1);
			atomic_fetch_sub(&shared->held, 1);
			connection_limits_release(l, w, apps, &ip);
		}
		_exit(0);
	}
	for (unsigned w = 0; w < WORKERS; w++) {
		int status;

		ck_assert_int_ne(wait(&status), -1);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_le(atomic_load(&shared->most), MAX);
	ck_assert_int_gt(atomic_load(&shared->taken), 0);
	ck_assert_uint_eq(connection_limits_count(l, apps, NULL), 0);
	ck_assert_uint_eq(connection_limits_count(l, apps, &ip), 0);
	connection_limits_free(&l);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("session/connection_limits");
	TCase *tc = tcase_create("counts");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, connector_is_full_at_its_maximum_over_all_slots);
	tcase_add_test(tc, source_is_limited_by_connector_and_address);
	tcase_add_test(tc, no_limit_counts_all_the_same);
	tcase_add_test(tc, room_for_sources_is_used_again);
	tcase_add_test(tc, more_sources_than_there_is_room_for_are_refused_not_forgotten);
	tcase_add_test(tc, killed_worker_leaves_no_trace_once_its_slot_is_cleared);
	tcase_add_test(tc, competing_workers_never_exceed_the_maximum);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
