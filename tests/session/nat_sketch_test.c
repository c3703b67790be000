/* SPDX-License-Identifier: ISC */
/* session/: how many names the busiest clients have. */
#include "session/nat_sketch.h"
#include "session/session_test.h"

#include <stdio.h>

static struct ip
client_number(unsigned number)
{
	return (struct ip){ { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = (unsigned char)(number >> 16),
			      [14] = (unsigned char)(number >> 8), [15] = (unsigned char)number } };
}

static void
note(struct nat_sketch *sketch, unsigned client, const char *format, unsigned name)
{
	struct ip ip = client_number(client);
	char text[64];

	(void)snprintf(text, sizeof(text), "%s%u.example.com", format, name);
	nat_sketch_note(sketch, &ip, span_of(text));
}

/* What the sketch knows of a client; hellos 0: nothing. */
static struct nat_seen
look(struct nat_sketch *sketch, unsigned client)
{
	struct ip ip = client_number(client);
	struct nat_seen seen;

	for (size_t i = 0; i < NAT_HOSTS; i++) {
		if (nat_sketch_look(sketch, i, &seen) && ip_compare(&seen.client, &ip) == 0)
			return seen;
	}
	return (struct nat_seen){ .hellos = 0 };
}

START_TEST(names_are_counted_once_whatever_their_case)
{
	struct nat_sketch sketch = { .hosts[0].version = 0 };

	for (unsigned i = 0; i < 1000; i++)
		note(&sketch, 1, i % 2 == 0 ? "app" : "APP", i % 20);
	note(&sketch, 2, "app", 1);
	struct nat_seen seen = look(&sketch, 1);

	ck_assert_uint_eq(seen.hellos, 1000);
	ck_assert_uint_le(seen.names, 20); /* a few may share a bit */
	ck_assert_uint_ge(seen.names, 17);
	ck_assert_uint_eq(look(&sketch, 2).names, 1);
	ck_assert_uint_eq(look(&sketch, 3).hellos, 0);
}
END_TEST

START_TEST(the_busiest_stay_however_many_others_come)
{
	struct nat_sketch sketch = { .hosts[0].version = 0 };

	for (unsigned i = 0; i < 100000; i++) {
		note(&sketch, 1000 + i, "once", i);
		if (i % 4 == 0)
			note(&sketch, i / 4 % 2, "app", i / 8 % 50);
	}
	for (unsigned client = 0; client < 2; client++) {
		ck_assert_uint_gt(look(&sketch, client).hellos, 10000);
		ck_assert_uint_gt(look(&sketch, client).names, 30);
		ck_assert_uint_le(look(&sketch, client).names, 50);
	}
}
END_TEST

START_TEST(sketches_of_several_workers_add_up)
{
	struct nat_sketch workers[3] = { { .hosts[0].version = 0 } };
	struct nat_sketch total = { .hosts[0].version = 0 };

	for (unsigned i = 0; i < 30; i++) {
		note(&workers[i % 3], 1, "app", i);
		note(&workers[i % 3], 2, "one", 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(workers); i++)
		nat_sketch_add(&total, &workers[i]);
	ck_assert_uint_eq(look(&total, 1).hellos, 30);
	ck_assert_uint_ge(look(&total, 1).names, 25);
	ck_assert_uint_eq(look(&total, 2).hellos, 30);
	ck_assert_uint_eq(look(&total, 2).names, 1);
}
END_TEST

TCase *
nat_sketch_tcase(void)
{
	TCase *tc = tcase_create("nat sketch");

	tcase_add_test(tc, names_are_counted_once_whatever_their_case);
	tcase_add_test(tc, the_busiest_stay_however_many_others_come);
	tcase_add_test(tc, sketches_of_several_workers_add_up);
	return tc;
}
