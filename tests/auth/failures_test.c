/* SPDX-License-Identifier: ISC */
/* auth/failures.h: who is banned, who waits, and who is left alone. */
#include "auth/failures.h"

#include "suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MINUTE	    60000
#define START_MS    1000000000
#define WINDOW_MS   (10 * MINUTE)
#define DURATION_MS (60 * MINUTE)

static struct auth_failures *f;
static struct ip_range exempt[1];
static const struct auth_ban_settings settings = {
	.failures = 10,
	.window_ms = WINDOW_MS,
	.duration_ms = DURATION_MS,
	.exempt = exempt,
	.exempt_count = 1,
};

static void
set_up(void)
{
	f = auth_failures_new(4096);
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(ip_range_parse(span_of("10.20.0.0/16"), &exempt[0]), PARSE_OK);
}

static void
tear_down(void)
{
	auth_failures_free(&f);
}

/* No assertion of Check's here and in guess(): children use them, and it is the parent's. */
static struct ip
ip(const char *text)
{
	struct ip ip = { { 0 } };

	if (ip_parse(span_of(text), &ip) != PARSE_OK)
		abort();
	return ip;
}

static struct auth_failure
guess(const char *client, const char *login, int64_t at_ms)
{
	struct ip address = ip(client);

	return auth_failures_add(f, &settings, &address, span_of(login), START_MS + at_ms);
}

static bool
is_banned(const char *client, int64_t at_ms)
{
	struct ip address = ip(client);

	return auth_failures_is_banned(f, &settings, &address, START_MS + at_ms, NULL);
}

static void
succeed(const char *client, const char *login, int64_t at_ms)
{
	struct ip address = ip(client);

	auth_failures_forgive(f, &settings, &address, span_of(login), START_MS + at_ms);
}

START_TEST(tenth_failure_bans_the_address_for_an_hour)
{
	struct ip address = ip("192.0.2.1");
	int64_t remaining = 0;

	for (int i = 1; i <= 10; i++) {
		ck_assert(!is_banned("192.0.2.1", i * 1000));
		struct auth_failure failure = guess("192.0.2.1", "bob@example.com", i * 1000);

		ck_assert_uint_eq(failure.from_address, (unsigned)i);
		ck_assert_int_eq(failure.is_banned, i == 10);
	}
	ck_assert(is_banned("192.0.2.1", 10000));
	ck_assert(is_banned("::ffff:192.0.2.1", 10000));
	ck_assert(!is_banned("192.0.2.2", 10000));
	ck_assert(auth_failures_is_banned(f, &settings, &address, START_MS + 10000 + MINUTE,
					  &remaining));
	ck_assert_int_ge(remaining, DURATION_MS - MINUTE - 200);
	ck_assert_int_le(remaining, DURATION_MS - MINUTE + 200);
	ck_assert(is_banned("192.0.2.1", 10000 + DURATION_MS - 1000));
	ck_assert(!is_banned("192.0.2.1", 10000 + DURATION_MS + 1000));
	/* and then it begins anew */
	ck_assert_uint_eq(
	    guess("192.0.2.1", "bob@example.com", 10000 + DURATION_MS + 1000).from_address, 1);
}
END_TEST

START_TEST(failures_spread_over_more_than_the_window_do_not_ban)
{
	for (int i = 0; i < 100; i++) {
		(void)guess("192.0.2.1", "bob@example.com", (int64_t)i * 2 * MINUTE);
		ck_assert(!is_banned("192.0.2.1", (int64_t)i * 2 * MINUTE));
	}
}
END_TEST

START_TEST(exempt_network_is_never_banned)
{
	for (int i = 0; i < 1000; i++)
		ck_assert(!guess("10.20.3.4", "bob@example.com", i).is_banned);
	ck_assert(!is_banned("10.20.3.4", 1000));
}
END_TEST

START_TEST(ban_of_an_exempt_network_ends_when_it_is_made_exempt)
{
	ck_assert_int_eq(ip_range_parse(span_of("10.99.0.0/16"), &exempt[0]), PARSE_OK);
	for (int i = 0; i < 10; i++)
		(void)guess("10.20.3.4", "bob@example.com", i);
	ck_assert(is_banned("10.20.3.4", 1000));
	ck_assert_int_eq(ip_range_parse(span_of("10.20.0.0/16"), &exempt[0]), PARSE_OK);
	ck_assert(!is_banned("10.20.3.4", 1000));
}
END_TEST

START_TEST(neighbours_in_one_ipv6_network_share_their_count)
{
	for (int i = 0; i < 10; i++) {
		char address[64];

		(void)snprintf(address, sizeof(address), "2001:db8:1:2::%x", i + 1);
		(void)guess(address, "bob@example.com", i);
	}
	ck_assert(is_banned("2001:db8:1:2:ffff::1", 100));
	ck_assert(!is_banned("2001:db8:1:3::1", 100));
}
END_TEST

START_TEST(stranger_cannot_shut_out_a_login)
{
	for (int i = 0; i < 500; i++) {
		char address[32];

		(void)snprintf(address, sizeof(address), "198.51.%d.%d", i / 100, i % 100 + 1);
		(void)guess(address, "billing@example.com", i);
	}
	/* its owner is not banned, and a success is not held back: nothing here could */
	ck_assert(!is_banned("192.0.2.77", 1000));
	/* one typing error of his is answered late, and that is all */
	struct auth_failure failure = guess("192.0.2.77", "billing@example.com", 1000);

	ck_assert_uint_eq(failure.from_address, 1);
	ck_assert(!failure.is_banned);
	ck_assert_int_eq(failure.delay_ms, AUTH_DELAY_MAX_MS);
}
END_TEST

START_TEST(delay_grows_and_has_an_end)
{
	int64_t before = 0;

	for (int i = 0; i < 9; i++) {
		struct auth_failure failure = guess("192.0.2.1", "bob@example.com", i);

		ck_assert_int_ge(failure.delay_ms, before);
		ck_assert_int_le(failure.delay_ms, AUTH_DELAY_MAX_MS);
		before = failure.delay_ms;
	}
	ck_assert_int_eq(before, AUTH_DELAY_MAX_MS);
	ck_assert_int_eq(guess("192.0.2.2", "carol@example.com", 0).delay_ms, 500);
}
END_TEST

START_TEST(delay_does_not_tell_whether_a_login_exists)
{
	for (int i = 0; i < 6; i++) {
		char one[32], other[32];

		(void)snprintf(one, sizeof(one), "192.0.2.%d", i + 1);
		(void)snprintf(other, sizeof(other), "198.51.100.%d", i + 1);
		ck_assert_int_eq(guess(one, "real@example.com", i).delay_ms,
				 guess(other, "unreal@example.com", i).delay_ms);
	}
}
END_TEST

START_TEST(success_takes_back_the_mistypings_of_that_login_there)
{
	for (int i = 0; i < 9; i++)
		(void)guess("192.0.2.1", "bob@example.com", i);
	succeed("192.0.2.1", "bob@example.com", 100);
	for (int i = 0; i < 9; i++)
		ck_assert(!guess("192.0.2.1", "bob@example.com", 200 + i).is_banned);
}
END_TEST

START_TEST(success_with_ones_own_login_does_not_pay_for_guesses_at_others)
{
	int bans = 0;

	for (int i = 0; i < 10; i++) {
		bans += guess("192.0.2.1", "victim@example.com", 10 * i).is_banned;
		succeed("192.0.2.1", "mallory@example.com", 10 * i + 1);
	}
	ck_assert_int_eq(bans, 1);
	ck_assert(is_banned("192.0.2.1", 200));
}
END_TEST

START_TEST(success_elsewhere_takes_nothing_back)
{
	for (int i = 0; i < 10; i++) {
		(void)guess("192.0.2.1", "bob@example.com", 10 * i);
		succeed("192.0.2.99", "bob@example.com", 10 * i + 1);
	}
	ck_assert(is_banned("192.0.2.1", 200));
}
END_TEST

START_TEST(zero_failures_means_no_bans)
{
	static const struct auth_ban_settings never = { .failures = 0,
							.window_ms = WINDOW_MS,
							.duration_ms = DURATION_MS };
	struct ip address = ip("192.0.2.1");

	for (int i = 0; i < 100; i++)
		ck_assert(!auth_failures_add(f, &never, &address, span_of("x"), START_MS).is_banned);
	ck_assert(!auth_failures_is_banned(f, &never, &address, START_MS, NULL));
}
END_TEST

START_TEST(administrator_lets_an_address_in_again)
{
	struct ip address = ip("192.0.2.1");

	for (int i = 0; i < 10; i++)
		(void)guess("192.0.2.1", "bob@example.com", i);
	ck_assert(is_banned("192.0.2.1", 100));
	auth_failures_unban(f, &address);
	ck_assert(!is_banned("192.0.2.1", 100));
}
END_TEST

START_TEST(failure_without_a_name_counts_for_the_address)
{
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(guess("192.0.2.1", "", i).of_login, 0);
	ck_assert(is_banned("192.0.2.1", 100));
}
END_TEST

START_TEST(flood_of_addresses_keeps_the_newest_counts)
{
	unsigned known = 0;

	for (unsigned i = 0; i < 200000; i++) {
		struct ip address = ip("198.18.0.0");

		address.bytes[13] = (unsigned char)(18 + (i >> 16));
		address.bytes[14] = (unsigned char)(i >> 8);
		address.bytes[15] = (unsigned char)i;
		(void)auth_failures_add(f, &settings, &address, span_of(""), START_MS + i);
	}
	for (unsigned i = 199000; i < 200000; i++) {
		struct ip address = ip("198.18.0.0");

		address.bytes[13] = (unsigned char)(18 + (i >> 16));
		address.bytes[14] = (unsigned char)(i >> 8);
		address.bytes[15] = (unsigned char)i;
		known += auth_failures_add(f, &settings, &address, span_of(""), START_MS + 200000)
			     .from_address == 2;
	}
	ck_assert_uint_gt(known, 900);
}
END_TEST

/* Count in a loop until killed. */
static void __attribute__((noreturn))
count_for_ever(unsigned seed)
{
	for (unsigned i = seed;; i = i * 1103515245 + 12345) {
		char login[32], address[32];

		(void)snprintf(address, sizeof(address), "10.9.%u.%u", i >> 8 & 7, i >> 16 & 255);
		(void)snprintf(login, sizeof(login), "u%u@example.com", i >> 20 & 63);
		(void)guess(address, login, 0);
		if ((i & 16) != 0)
			succeed(address, login, 0);
	}
}

START_TEST(workers_killed_at_any_time_leave_counts_that_work)
{
	for (unsigned round = 0; round < 40; round++) {
		pid_t pids[3];

		for (unsigned w = 0; w < 3; w++) {
			pids[w] = fork();
			if (pids[w] == 0)
				count_for_ever(round * 3 + w + 1);
		}
		for (int i = 0; i < 300; i++)
			(void)guess("10.9.0.1", "u1@example.com", 0);
		for (unsigned w = 0; w < 3; w++) {
			(void)kill(pids[w], SIGKILL);
			ck_assert_int_eq(waitpid(pids[w], NULL, 0), pids[w]);
		}
	}
	/* whatever is there, new ones count from one to ten and are banned */
	for (unsigned i = 0; i < 200; i++) {
		char address[32];

		(void)snprintf(address, sizeof(address), "192.0.2.%u", i + 1);
		for (unsigned n = 1; n <= 10; n++)
			ck_assert_uint_eq(guess(address, "", 1000 + n).from_address, n);
		ck_assert(is_banned(address, 1000));
	}
}
END_TEST

START_TEST(counts_of_several_workers_are_one)
{
	pid_t pids[4];

	for (int w = 0; w < 4; w++) {
		pids[w] = fork();
		if (pids[w] == 0) {
			for (int i = 0; i < 1000; i++)
				(void)guess("10.20.0.1", "", 0);
			_exit(0);
		}
	}
	for (int w = 0; w < 4; w++)
		ck_assert_int_eq(waitpid(pids[w], NULL, 0), pids[w]);
	ck_assert_uint_eq(guess("10.20.0.1", "", 0).from_address, 4001);
}
END_TEST

static const struct { const char *login, *expected; } logins[] = {
	{ "bob@example.com", "bob@example.com" },
	{ "", "-" },
	{ "x client=192.0.2.9 user=y", "x\\x20client\\x3d192.0.2.9\\x20user\\x3dy" },
	{ "a\r\nauth failed: client", "a\\x0d\\x0aauth\\x20failed:\\x20client" },
	{ "\x1b[31m\"'\\", "\\x1b[31m\\x22\\x27\\x5c" },
	{ "m\xc3\xbcller", "m\\xc3\\xbcller" },
};

START_TEST(line_for_the_log_has_one_form_whatever_the_name)
{
	struct buffer out, expected;
	struct ip address = ip("2001:db8::1");

	buffer_init(&out, 4096);
	buffer_init(&expected, 4096);
	ck_assert(auth_failure_text(&out, &address, span_of(logins[_i].login), "PLAIN",
				    "auth.failed", "7F3K2M9"));
	ck_assert(buffer_printf(&expected, "auth failed: client=2001:db8::1 user=%s "
					   "mechanism=PLAIN reason=auth.failed session=7F3K2M9",
				logins[_i].expected));
	ck_assert_str_eq(buffer_text(&out), buffer_text(&expected));
	buffer_reset(&out);
	buffer_reset(&expected);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failures");
	TCase *tc = tcase_create("failures");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, tenth_failure_bans_the_address_for_an_hour);
	tcase_add_test(tc, failures_spread_over_more_than_the_window_do_not_ban);
	tcase_add_test(tc, exempt_network_is_never_banned);
	tcase_add_test(tc, ban_of_an_exempt_network_ends_when_it_is_made_exempt);
	tcase_add_test(tc, neighbours_in_one_ipv6_network_share_their_count);
	tcase_add_test(tc, stranger_cannot_shut_out_a_login);
	tcase_add_test(tc, delay_grows_and_has_an_end);
	tcase_add_test(tc, delay_does_not_tell_whether_a_login_exists);
	tcase_add_test(tc, success_takes_back_the_mistypings_of_that_login_there);
	tcase_add_test(tc, success_with_ones_own_login_does_not_pay_for_guesses_at_others);
	tcase_add_test(tc, success_elsewhere_takes_nothing_back);
	tcase_add_test(tc, zero_failures_means_no_bans);
	tcase_add_test(tc, administrator_lets_an_address_in_again);
	tcase_add_test(tc, failure_without_a_name_counts_for_the_address);
	tcase_add_test(tc, flood_of_addresses_keeps_the_newest_counts);
	tcase_add_test(tc, workers_killed_at_any_time_leave_counts_that_work);
	tcase_add_test(tc, counts_of_several_workers_are_one);
	tcase_add_loop_test(tc, line_for_the_log_has_one_form_whatever_the_name, 0,
			    ARRAY_LEN(logins));
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
