/* SPDX-License-Identifier: ISC */
/* Tables of networks against the plain meaning of ranges. */
#include "policy_fixture.h"

#include "policy/network_table.h"

#include <stdlib.h>

#define RANGES_MAX 600

/* A repeatable source of numbers. */
static uint32_t
random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* An address in a small world where ranges touch, overlap and nest: v4, v6 around it, ends. */
static struct ip
random_ip(uint64_t *state)
{
	static const char *const bases[] = { "10.0.0.0", "0.0.0.0", "255.255.255.0", "::",
					     "::fffe:ffff:ff00", "::1:0:0:0", "2001:db8::",
					     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00" };
	struct ip ip = ip_of(bases[random_next(state) % ARRAY_LEN(bases)]);

	ip.bytes[15] = (unsigned char)(random_next(state) % 256);
	if (ip.bytes[12] == 10)
		ip.bytes[13] = (unsigned char)(random_next(state) % 200);
	return ip;
}

static struct ip_range
random_range(uint64_t *state)
{
	struct ip a = random_ip(state), b = random_ip(state);

	if (random_next(state) % 4 == 0)
		b = a;
	return ip_compare(&a, &b) <= 0 ? (struct ip_range){ a, b } : (struct ip_range){ b, a };
}

START_TEST(every_address_gets_the_groups_whose_ranges_hold_it)
{
	uint64_t state = (uint64_t)_i + 1;

	for (int round = 0; round < 40; round++) {
		size_t count = random_next(&state) % (round % 4 == 3 ? RANGES_MAX : 12);
		uint32_t groups = 1 + random_next(&state) % 5;
		struct arena arena = { .blocks = NULL };
		struct condition_builder builder;
		struct condition condition;
		struct range_list list = { .items = NULL };
		struct network_table table;

		condition_begin(&builder, &arena, groups);
		for (uint32_t g = 0; g < groups; g++) {
			condition_state(&builder, g);
			condition_group_use(&builder, condition_group_new(&builder), g, false);
		}
		for (size_t i = 0; i < count; i++) {
			struct ip_range range = random_range(&state);

			range_list_add(&list, &range, random_next(&state) % groups);
		}
		network_table_build(&table, &list, &builder);
		condition_end(&builder, &condition);
		for (int probe = 0; probe < 300; probe++) {
			struct ip ip = random_ip(&state);
			uint32_t rule = network_table_find(&table, &ip);
			uint64_t want = 0, got = 0;

			for (size_t i = 0; i < list.count; i++) {
				if (ip_range_has(&list.items[i].range, &ip))
					want |= UINT64_C(1) << list.items[i].owner;
			}
			bitmap_or_set(&got, &condition.rules[rule].permits, (struct window){ 0, 1 });
			ck_assert_uint_eq(got, want);
		}
		network_table_reset(&table);
		range_list_reset(&list);
		arena_reset(&arena);
	}
}
END_TEST

/* How many addresses before `last` from `first`: compares by subtracting 128 bits. */
static struct ip
range_size(const struct ip_range *range)
{
	struct ip size = { { 0 } };
	int borrow = 0;

	for (size_t i = sizeof(size.bytes); i-- > 0;) {
		int difference = range->last.bytes[i] - range->first.bytes[i] - borrow;

		borrow = difference < 0;
		size.bytes[i] = (unsigned char)(difference & 0xff);
	}
	return size;
}

START_TEST(the_smallest_range_takes_the_address_or_the_overlap_is_found)
{
	uint64_t state = (uint64_t)_i + 77;

	for (int round = 0; round < 300; round++) {
		size_t count = 1 + random_next(&state) % 4;
		struct range_list list = { .items = NULL };
		struct network_table table;
		struct owned_range a, b;
		bool overlaps = false;

		for (size_t i = 0; i < count; i++) {
			struct ip_range range = random_range(&state);

			range_list_add(&list, &range, (uint32_t)i);
		}
		for (size_t i = 0; i < count; i++) {
			for (size_t j = 0; j < i; j++) {
				const struct ip_range *x = &list.items[i].range;
				const struct ip_range *y = &list.items[j].range;
				bool x_in_y = ip_range_has(y, &x->first) && ip_range_has(y, &x->last);
				bool y_in_x = ip_range_has(x, &y->first) && ip_range_has(x, &y->last);
				bool touches = ip_range_has(x, &y->first) || ip_range_has(y, &x->first);

				overlaps |= touches && x_in_y == y_in_x;
			}
		}
		bool is_built = network_table_build_nested(&table, &list, &a, &b);

		ck_assert_int_eq(is_built, !overlaps);
		for (int probe = 0; is_built && probe < 100; probe++) {
			struct ip ip = random_ip(&state), best = { { 0 } };
			uint32_t want = 0;

			for (size_t i = 0; i < count; i++) {
				struct ip size = range_size(&list.items[i].range);

				if (ip_range_has(&list.items[i].range, &ip) &&
				    (want == 0 || ip_compare(&size, &best) < 0)) {
					want = list.items[i].owner + 1;
					best = size;
				}
			}
			ck_assert_uint_eq(network_table_find(&table, &ip), want);
		}
		if (is_built)
			network_table_reset(&table);
		else
			ck_assert_uint_ne(a.owner, b.owner);
		range_list_reset(&list);
	}
}
END_TEST

START_TEST(ranges_of_one_owner_may_overlap)
{
	static const char *const texts[] = { "10.0.0.1-10.0.0.20", "10.0.0.2-10.0.0.10",
					     "10.0.0.5-10.0.0.15", "10.0.0.18-10.0.0.30",
					     "10.0.0.18-10.0.0.30" };
	struct range_list list = { .items = NULL };
	struct network_table table;
	struct owned_range a, b;
	struct ip_range range;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		ck_assert_int_eq(ip_range_parse(span_of(texts[i]), &range), PARSE_OK);
		range_list_add(&list, &range, 0);
	}
	ck_assert_int_eq(ip_range_parse(span_of("10.0.0.25"), &range), PARSE_OK);
	range_list_add(&list, &range, 1);
	ck_assert(network_table_build_nested(&table, &list, &a, &b));
	for (unsigned i = 0; i < 40; i++) {
		struct ip ip = ip_of("10.0.0.0");

		ip.bytes[15] = (unsigned char)i;
		ck_assert_uint_eq(network_table_find(&table, &ip),
				  i == 25 ? 2 : i >= 1 && i <= 30 ? 1 : 0);
	}
	network_table_reset(&table);
	range_list_reset(&list);
}
END_TEST

static const struct {
	const char *ranges[4];
	bool is_all_v4;
	bool is_all_v6;
} everything[] = {
	{ { "0.0.0.0/0" }, true, false },
	{ { "::/0" }, true, true },
	{ { "0.0.0.0/1", "128.0.0.0/1" }, true, false },
	{ { "128.0.0.0/1", "0.0.0.0/1" }, true, false },
	{ { "0.0.0.0-127.0.0.0", "64.0.0.0-255.255.255.255" }, true, false },
	{ { "0.0.0.0/1", "128.0.0.1-255.255.255.255" }, false, false },
	{ { "0.0.0.0-255.255.255.254" }, false, false },
	{ { "10.0.0.0/8" }, false, false },
	{ { "::/1", "8000::/1" }, true, true },
	{ { "8000::/1" }, false, false },
	{ { "::-::fffe:ffff:ffff", "::1:0:0:0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" }, false,
	  true },
	{ { NULL }, false, false },
};

START_TEST(everything_is_recognized)
{
	struct range_list list = { .items = NULL };

	for (size_t i = 0; i < 4 && everything[_i].ranges[i] != NULL; i++) {
		struct ip_range range;

		ck_assert_msg(ip_range_parse(span_of(everything[_i].ranges[i]), &range) == PARSE_OK,
			      "%s", everything[_i].ranges[i]);
		range_list_add(&list, &range, 0);
	}
	ck_assert_int_eq(range_list_is_all_v4(&list), everything[_i].is_all_v4);
	ck_assert_int_eq(range_list_is_all_v6(&list), everything[_i].is_all_v6);
	range_list_reset(&list);
}
END_TEST

static Suite *
network_suite(void)
{
	Suite *suite = suite_create("network table");
	TCase *tc = tcase_create("ranges");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, every_address_gets_the_groups_whose_ranges_hold_it, 0, 10);
	tcase_add_loop_test(tc, the_smallest_range_takes_the_address_or_the_overlap_is_found, 0, 10);
	tcase_add_test(tc, ranges_of_one_owner_may_overlap);
	tcase_add_loop_test(tc, everything_is_recognized, 0, ARRAY_LEN(everything));
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(network_suite());
}
