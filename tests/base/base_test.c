/* SPDX-License-Identifier: ISC */
/* base/: numbers, dates, addresses, JSON text, hash tables. */
#include "base/clock.h"
#include "base/id.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/table.h"
#include "base/utf8.h"

#include "suite.h"

#include <stdio.h>
#include <stdlib.h>

START_TEST(number_that_exceeds_its_limit_is_refused_and_not_consumed)
{
	static const struct { const char *text; uint64_t max; bool ok; } cases[] = {
		{ "0", 0, true }, { "1", 0, false }, { "10", 9, false }, { "9", 9, true },
		{ "18446744073709551615", UINT64_MAX, true },
		{ "18446744073709551616", UINT64_MAX, false },
		{ "99999999999999999999999", UINT64_MAX, false }, { "", 5, false },
		{ "-1", 5, false }, { "5", 3, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span in = span_of(cases[i].text);
		uint64_t value = 77;
		enum parse_status status = number_take(&in, cases[i].max, &value);

		ck_assert_msg((status == PARSE_OK) == cases[i].ok, "%s", cases[i].text);
		if (!cases[i].ok) {
			ck_assert_uint_eq(in.len, strlen(cases[i].text));
			ck_assert_uint_eq(value, 77);
		}
	}
}
END_TEST

START_TEST(date_is_read_and_written_alike)
{
	static const struct { const char *text; const char *full; } cases[] = {
		{ "2026-11-21", "2026-11-21T00:00:00.000Z" },
		{ "2024-02-29T23:59:59.999Z", "2024-02-29T23:59:59.999Z" },
		{ "1970-01-01", "1970-01-01T00:00:00.000Z" },
		{ "2000-12-31T10:00", "2000-12-31T10:00:00.000Z" },
		{ "1969-12-31T23:59:59", "1969-12-31T23:59:59.000Z" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[CLOCK_RFC3339_SIZE];
		int64_t ms;

		ck_assert_int_eq(clock_parse(span_of(cases[i].text), &ms), PARSE_OK);
		clock_rfc3339(ms, out);
		ck_assert_str_eq(out, cases[i].full);
	}
	static const char *const bad[] = { "2026-02-29", "2026-13-01", "2026-00-01", "26-01-01",
		"2026-01-01x", "2026-01-01T25:00", "", "2026-01-32" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t ms;

		ck_assert_msg(clock_parse(span_of(bad[i]), &ms) == PARSE_BAD, "%s", bad[i]);
	}
}
END_TEST

START_TEST(header_date_names_the_right_weekday)
{
	struct buffer out;
	int64_t ms;

	buffer_init(&out, 100);
	ck_assert_int_eq(clock_parse(span_of("2026-11-21T19:20:03"), &ms), PARSE_OK);
	ck_assert(clock_rfc5322(ms, &out));
	ck_assert_str_eq(buffer_text(&out), "Sat, 21 Nov 2026 19:20:03 +0000");
	buffer_reset(&out);
}
END_TEST

START_TEST(range_of_addresses_keeps_what_it_says)
{
	static const struct { const char *range; const char *in; const char *out; const char *text; } cases[] = {
		{ "10.0.0.0/8", "10.255.255.255", "11.0.0.0", "10.0.0.0/8" },
		{ "192.168.1.7/24", "192.168.1.0", "192.168.2.0", "192.168.1.0/24" },
		{ "10.21.5.1-10.21.5.40", "10.21.5.40", "10.21.5.41", "10.21.5.1-10.21.5.40" },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.1", "10.0.0.0/8" },
		{ "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::", "2001:db8::/32" },
		{ "0.0.0.0/0", "255.255.255.255", "::1", "0.0.0.0/0" },
		{ "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.1" },
		{ "::/0", "10.0.0.1", NULL, "::/0" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip_range range;
		struct ip ip;
		struct buffer out;

		ck_assert_int_eq(ip_range_parse(span_of(cases[i].range), &range), PARSE_OK);
		ck_assert_int_eq(ip_parse(span_of(cases[i].in), &ip), PARSE_OK);
		ck_assert_msg(ip_range_has(&range, &ip), "%s", cases[i].range);
		if (cases[i].out != NULL) {
			ck_assert_int_eq(ip_parse(span_of(cases[i].out), &ip), PARSE_OK);
			ck_assert_msg(!ip_range_has(&range, &ip), "%s", cases[i].range);
		}
		buffer_init(&out, 200);
		ck_assert(ip_range_text(&range, &out));
		ck_assert_str_eq(buffer_text(&out), cases[i].text);
		buffer_reset(&out);
	}
	static const char *const bad[] = { "10.0.0.300", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "",
		"10.0.0.1-::1", "::1/129", "10.0.0.0/", "10.0.0.0/-1", "host", "10.0.0.1 " };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct ip_range range;

		ck_assert_msg(ip_range_parse(span_of(bad[i]), &range) == PARSE_BAD, "%s", bad[i]);
	}
}
END_TEST

START_TEST(endpoint_needs_brackets_for_colons)
{
	struct ip_endpoint e;
	char text[IP_ENDPOINT_SIZE];

	ck_assert_int_eq(ip_endpoint_parse(span_of("[::1]:25"), &e), PARSE_OK);
	ip_endpoint_text(&e, text);
	ck_assert_str_eq(text, "[::1]:25");
	ck_assert_int_eq(ip_endpoint_parse(span_of("0.0.0.0:2525"), &e), PARSE_OK);
	ip_endpoint_text(&e, text);
	ck_assert_str_eq(text, "0.0.0.0:2525");
	ck_assert_int_eq(ip_endpoint_parse(span_of("::1:25"), &e), PARSE_BAD);
	ck_assert_int_eq(ip_endpoint_parse(span_of("[10.0.0.1]:25"), &e), PARSE_BAD);
	ck_assert_int_eq(ip_endpoint_parse(span_of("10.0.0.1:0"), &e), PARSE_BAD);
	ck_assert_int_eq(ip_endpoint_parse(span_of("10.0.0.1:70000"), &e), PARSE_BAD);
	ck_assert_int_eq(ip_endpoint_parse(span_of("25"), &e), PARSE_BAD);
}
END_TEST

START_TEST(json_text_is_one_line_of_valid_utf8_whatever_goes_in)
{
	static const struct { const char *in; size_t len; const char *out; } cases[] = {
		{ "plain", 5, "\"plain\"" },
		{ "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
		{ "a\r\nb", 4, "\"a\\u000d\\u000ab\"" },
		{ "\0x", 2, "\"\\u0000x\"" },
		{ "\xff\xfe", 2, "\"\\ufffd\\ufffd\"" },
		{ "\xc3\xa9", 2, "\"\xc3\xa9\"" },
		{ "\xc2\x9b", 2, "\"\\u009b\"" },
		{ "\xe2\x80\xa8", 3, "\"\\u2028\"" },
		{ "\xe2\x80\xae", 3, "\"\\u202e\"" },
		{ "\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xc0\xaf", 2, "\"\\ufffd\\ufffd\"" },
		{ "\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"" },
		{ "\xf0\x9f\x98", 3, "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\x1b[31m", 5, "\"\\u001b[31m\"" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buffer out;
		struct json j = json_on(&out);

		buffer_init(&out, 1000);
		json_text(&j, NULL, (struct span){ cases[i].in, cases[i].len });
		ck_assert_str_eq(buffer_text(&out), cases[i].out);
		buffer_reset(&out);
	}
}
END_TEST

/* Does a text of len tildes with the byte at one place come out right? */
static bool
json_survives(unsigned byte, size_t len, size_t at)
{
	char in[48];
	struct buffer out;
	struct json j = json_on(&out);
	bool is_plain = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';

	memset(in, '~', sizeof(in));
	in[at] = (char)byte;
	buffer_init(&out, 100);
	json_text(&j, NULL, (struct span){ in, len });
	bool ok = !out.is_over && (out.len == len + 2) == is_plain && out.ptr[0] == '"' &&
		  out.ptr[out.len - 1] == '"' && memcmp(out.ptr + 1, in, at) == 0 &&
		  memcmp(out.ptr + out.len - (len - at), in + at + 1, len - at - 1) == 0 &&
		  out.ptr[1 + at] == (is_plain ? (char)byte : '\\');
	buffer_reset(&out);
	return ok;
}

START_TEST(json_finds_what_needs_escaping_at_every_place_of_every_length)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		for (size_t len = 1; len <= 40; len++) {
			for (size_t at = 0; at < len; at++) {
				if (!json_survives(byte, len, at))
					ck_abort_msg("byte %u at %zu of %zu", byte, at, len);
			}
		}
	}
}
END_TEST

START_TEST(json_numbers_are_written_to_the_ends_of_their_range)
{
	static const struct { int64_t in; const char *out; } cases[] = {
		{ 0, "0" }, { -1, "-1" }, { 10, "10" }, { 4096, "4096" },
		{ INT64_MAX, "9223372036854775807" }, { INT64_MIN, "-9223372036854775808" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buffer out;
		struct json j = json_on(&out);

		buffer_init(&out, 100);
		json_number(&j, NULL, cases[i].in);
		ck_assert_str_eq(buffer_text(&out), cases[i].out);
		buffer_reset(&out);
	}
}
END_TEST

START_TEST(what_is_shown_to_people_has_no_active_characters)
{
	static const struct { const char *in; size_t len; const char *out; size_t count; } cases[] = {
		{ "plain \"quoted\"", 14, "plain \"quoted\"", 14 },
		{ "\x1b[31m", 5, "\\x1b[31m", 5 }, { "a\r\nb", 4, "a\\x0d\\x0ab", 4 },
		{ "\0", 1, "\\x00", 1 }, { "\xc2\x9b", 2, "\\x9b", 1 }, { "\xff", 1, "\\xff", 1 },
		{ "\xc3\xa9", 2, "\xc3\xa9", 1 }, { "\xe2\x80\xae", 3, "\\u202e", 1 },
		{ "\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80", 1 }, { "", 0, "", 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span in = { cases[i].in, cases[i].len };
		struct buffer out;

		buffer_init(&out, 100);
		ck_assert(utf8_append_printable(&out, in));
		ck_assert_str_eq(buffer_text(&out), cases[i].out);
		ck_assert_uint_eq(utf8_count(in), cases[i].count);
		buffer_reset(&out);
	}
}
END_TEST

START_TEST(addresses_are_written_as_they_are_read)
{
	static const char *const texts[] = { "0.0.0.0", "10.20.1.7", "255.255.255.255", "100.9.10.99",
					     "2001:db8::1", "::", "::1" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct ip_endpoint endpoint = { .port = i % 2 == 0 ? 65535 : 7 }, again;
		char text[IP_TEXT_SIZE], with_port[IP_ENDPOINT_SIZE];

		ck_assert_int_eq(ip_parse(span_of(texts[i]), &endpoint.ip), PARSE_OK);
		ip_text(&endpoint.ip, text);
		ck_assert_str_eq(text, texts[i]);
		ip_endpoint_text(&endpoint, with_port);
		ck_assert_int_eq(ip_endpoint_parse(span_of(with_port), &again), PARSE_OK);
		ck_assert_int_eq(ip_compare(&endpoint.ip, &again.ip), 0);
		ck_assert_uint_eq(endpoint.port, again.port);
	}
}
END_TEST

START_TEST(lengths_of_time_are_told_in_two_units_at_most)
{
	static const struct { int64_t ms; const char *out; } cases[] = {
		{ 0, "0s" }, { 99, "0s" }, { 400, "0.4s" }, { 9900, "9.9s" }, { 12345, "12s" },
		{ 60000, "1m" }, { 303000, "5m 3s" }, { 7500000, "2h 5m" }, { 86400000, "1d" },
		{ 273600000, "3d 4h" }, { 86460000, "1d" }, { -5, "0s" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buffer out;

		buffer_init(&out, 100);
		ck_assert(clock_duration(cases[i].ms, &out));
		ck_assert_str_eq(buffer_text(&out), cases[i].out);
		buffer_reset(&out);
	}
}
END_TEST

START_TEST(json_members_are_separated_at_every_depth)
{
	struct buffer out;
	struct json j = json_on(&out);

	buffer_init(&out, 1000);
	json_object_begin(&j, NULL);
	json_number(&j, "a", -5);
	json_array_begin(&j, "b");
	json_bool(&j, NULL, true);
	json_object_begin(&j, NULL);
	json_object_end(&j);
	json_nothing(&j, NULL);
	json_array_end(&j);
	json_cstring(&j, "c", "");
	json_object_end(&j);
	ck_assert_str_eq(buffer_text(&out), "{\"a\":-5,\"b\":[true,{},null],\"c\":\"\"}");
	buffer_reset(&out);
}
END_TEST

START_TEST(buffer_never_exceeds_its_limit)
{
	struct buffer b;

	buffer_init(&b, 10);
	ck_assert(buffer_append_text(&b, "12345678"));
	ck_assert(!buffer_append_text(&b, "123"));
	ck_assert(b.is_over);
	ck_assert_str_eq(buffer_text(&b), "12345678");
	ck_assert(buffer_printf(&b, "%d", 42));
	ck_assert(!buffer_printf(&b, "%d", 1));
	ck_assert_str_eq(buffer_text(&b), "1234567842");
	buffer_consume(&b, 8);
	ck_assert_str_eq(buffer_text(&b), "42");
	buffer_reset(&b);
}
END_TEST

START_TEST(table_agrees_with_a_plain_array_under_random_changes)
{
	enum { KEYS = 500, STEPS = 20000 };
	static char keys[KEYS][16];
	static bool is_in[KEYS];
	struct table t;
	size_t count = 0;

	table_init(&t, 0);
	for (int i = 0; i < KEYS; i++)
		(void)snprintf(keys[i], sizeof(keys[i]), "k%d", i);
	srand(1);
	for (int step = 0; step < STEPS; step++) {
		int i = rand() % KEYS;
		struct span key = span_of(keys[i]);

		ck_assert((table_find(&t, key) != NULL) == is_in[i]);
		if (rand() % 2 == 0) {
			ck_assert((table_put(&t, key, keys[i]) != NULL) == is_in[i]);
			count += !is_in[i];
			is_in[i] = true;
		} else {
			ck_assert((table_remove(&t, key) != NULL) == is_in[i]);
			count -= is_in[i];
			is_in[i] = false;
		}
		ck_assert_uint_eq(t.count, count);
	}
	table_reset(&t);
}
END_TEST

START_TEST(ids_of_neighbours_differ_and_never_repeat)
{
	struct table seen;
	static char ids[20000][ID_SESSION_LEN + 1];
	char attempt[ID_SIZE];

	table_init(&seen, 0);
	for (uint64_t i = 0; i < ARRAY_LEN(ids); i++) {
		id_session(i * 7919, ids[i]);
		ck_assert_ptr_null(table_put(&seen, span_of(ids[i]), ids[i]));
	}
	table_reset(&seen);
	id_transaction(ids[1], 1, attempt);
	ck_assert_uint_eq(strlen(attempt), 8);
	ck_assert(id_is_valid(span_of(attempt)));
	id_transaction(ids[1], UINT32_MAX, attempt);
	ck_assert(id_is_valid(span_of(attempt)));
	for (uint32_t number = 1; number < 1U << 25; number = number * 7 + 3) {
		char again[ID_SIZE];

		id_transaction(ids[1], number, attempt);
		id_unpack(id_pack(span_of(attempt)), again);
		ck_assert_str_eq(again, attempt);
	}
	ck_assert_uint_eq(id_pack(span_of("7F3K2M9")), 0); /* a session's */
	ck_assert_uint_eq(id_pack(span_of("7F3K2M9Q.2")), 0);
	ck_assert_uint_eq(id_pack(span_of("7F3K2M9QQQQQQ")), 0);
	ck_assert_uint_eq(id_pack(span_of("7f3k2m9q")), 0);
	ck_assert_uint_ne(id_pack(span_of("0000000")), id_pack(span_of("00000000")));
	ck_assert_uint_ne(id_pack(span_of("000000000")), id_pack(span_of("00000000")));
	ck_assert(!id_is_valid(span_of("7F3K")));
	ck_assert(!id_is_valid(span_of("7F3K2M9Q.x")));
	ck_assert(id_is_valid(span_of("7F3K2M9Q.12")));
	ck_assert(!id_is_valid(span_of("7f3k2m9q")));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("base");
	TCase *tc = tcase_create("base");

	tcase_add_test(tc, number_that_exceeds_its_limit_is_refused_and_not_consumed);
	tcase_add_test(tc, date_is_read_and_written_alike);
	tcase_add_test(tc, header_date_names_the_right_weekday);
	tcase_add_test(tc, range_of_addresses_keeps_what_it_says);
	tcase_add_test(tc, endpoint_needs_brackets_for_colons);
	tcase_add_test(tc, json_text_is_one_line_of_valid_utf8_whatever_goes_in);
	tcase_add_test(tc, json_finds_what_needs_escaping_at_every_place_of_every_length);
	tcase_add_test(tc, json_numbers_are_written_to_the_ends_of_their_range);
	tcase_add_test(tc, what_is_shown_to_people_has_no_active_characters);
	tcase_add_test(tc, addresses_are_written_as_they_are_read);
	tcase_add_test(tc, lengths_of_time_are_told_in_two_units_at_most);
	tcase_add_test(tc, json_members_are_separated_at_every_depth);
	tcase_add_test(tc, buffer_never_exceeds_its_limit);
	tcase_add_test(tc, table_agrees_with_a_plain_array_under_random_changes);
	tcase_add_test(tc, ids_of_neighbours_differ_and_never_repeat);
	suite_add_tcase(suite, tc);

	return suite_main(suite);
}
