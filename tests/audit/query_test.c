/* SPDX-License-Identifier: ISC */
/* Reading the trail back: filters, rotated files, torn lines. */
#include "audit/query.h"

#include "base/memory.h"

#include "audit/trail.h"
#include "suite.h"

#include <errno.h>
#include <sys/stat.h>

static struct trail_place place;

static void
setup(void)
{
	place_make(&place);
	ck_assert_int_eq(mkdir(place.audit, 0750), 0);
}

static void
teardown(void)
{
	place_remove(&place);
}

/* The ids of what was seen, with spaces between. */
struct seen {
	char ids[4096];
	size_t count;
	size_t stop_after;
};

static bool
record_note(void *context, const struct audit_record *record)
{
	struct seen *seen = context;
	size_t used = strlen(seen->ids);

	(void)snprintf(seen->ids + used, sizeof(seen->ids) - used, "%s" SPAN_FMT,
		       used == 0 ? "" : " ", SPAN_ARG(record->id));
	seen->count++;
	return seen->count != seen->stop_after;
}

static struct audit_tally
query_expect(const struct audit_filter *filter, const char *ids)
{
	struct seen seen = { .count = 0 };
	struct audit_tally tally;
	struct fault fault = { .error = 0 };

	ck_assert_msg(audit_query(place.state, filter, record_note, &seen, &tally, &fault), "%s",
		      fault_text(&fault));
	ck_assert_str_eq(seen.ids, ids);
	ck_assert_uint_eq(tally.records, seen.count);
	return tally;
}

/* A trail with one record of many kinds. */
static void
trail_fill(void)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	struct audit_delivery delivery = delivery_sample();

	attempt.id = "AAAAAAA1.1";
	session.id = "AAAAAAA";
	audit_attempt(audit, &session, &attempt);
	attempt.id = "AAAAAAA1.2";
	attempt.to = span_of("Bob@Other.Example");
	attempt.verdict = VERDICT_RELAYED;
	attempt.stage = STAGE_PERMITTED;
	attempt.reason = REASON_NONE;
	attempt.wall_ms = T0 + 1000;
	audit_attempt(audit, &session, &attempt);
	delivery.id = "AAAAAAA1";
	delivery.to = attempt.to;
	delivery.wall_ms = T0 + 2000;
	audit_delivery(audit, &delivery);

	session = (struct audit_session){ .id = "BBBBBBB",
					  .client = endpoint_of("[2001:db8::7]:9"),
					  .connector = span_of("public") };
	attempt = (struct audit_attempt){
		.id = "BBBBBBB1", .wall_ms = T0 + 3000, .has_from = true,
		.to = span_of("eve@example.net"), .verdict = VERDICT_DEFERRED,
		.stage = STAGE_EVIDENCE, .reason = REASON_EVIDENCE_DNSBL,
	};
	audit_attempt(audit, &session, &attempt);
	audit_connect(audit, &session, T0 + 4000, REASON_CONNECTION_LIMIT,
		      span_of("421 4.3.2 Too many"), span_of(""));
	ck_assert(audit_flush(audit));
	audit_close(&audit);
}

START_TEST(each_filter_lets_the_right_records_pass)
{
	struct ip_range net, v6;
	const char *const all = "AAAAAAA1.1 AAAAAAA1.2 AAAAAAA1 BBBBBBB1 BBBBBBB";

	trail_fill();
	ck_assert_int_eq(ip_range_parse(span_of("10.20.0.0/16"), &net), PARSE_OK);
	ck_assert_int_eq(ip_range_parse(span_of("2001:db8::/32"), &v6), PARSE_OK);
	const struct { struct audit_filter filter; const char *ids; } cases[] = {
		{ { .since_ms = 0 }, all },
		{ { .since_ms = T0 }, all },
		{ { .since_ms = T0 + 1 }, "AAAAAAA1.2 AAAAAAA1 BBBBBBB1 BBBBBBB" },
		{ { .until_ms = T0 + 2000 }, "AAAAAAA1.1 AAAAAAA1.2" },
		{ { .since_ms = T0 + 1000, .until_ms = T0 + 3000 }, "AAAAAAA1.2 AAAAAAA1" },
		{ { .since_ms = T0 + 9000 }, "" },
		{ { .has_client = true, .client = net }, "AAAAAAA1.1 AAAAAAA1.2" },
		{ { .has_client = true, .client = v6 }, "BBBBBBB1 BBBBBBB" },
		{ { .user = span_of("Billing") }, "AAAAAAA1.1 AAAAAAA1.2" },
		{ { .user = span_of("bill") }, "" },
		{ { .from = span_of("INVOICES@example.com") }, "AAAAAAA1.1 AAAAAAA1.2 AAAAAAA1" },
		{ { .from = span_of("@example.com") }, "AAAAAAA1.1 AAAAAAA1.2 AAAAAAA1" },
		{ { .from = span_of("@ample.com") }, "" },
		{ { .from = span_of("<>") }, "BBBBBBB1" },
		{ { .to = span_of("bob@other.example") }, "AAAAAAA1.2 AAAAAAA1" },
		{ { .to = span_of("@example.net") }, "BBBBBBB1" },
		{ { .verdict = span_of("refused") }, "AAAAAAA1.1" },
		{ { .verdict = span_of("deferred") }, "BBBBBBB1 BBBBBBB" },
		{ { .verdict = span_of("refuse") }, "" },
		{ { .reason = span_of("evidence") }, "BBBBBBB1" },
		{ { .reason = span_of("evidence.dnsbl") }, "BBBBBBB1" },
		{ { .reason = span_of("evid") }, "" },
		{ { .grant = span_of("billing") }, "AAAAAAA1.1 AAAAAAA1.2" },
		{ { .connector = span_of("public") }, "BBBBBBB1 BBBBBBB" },
		{ { .event = span_of("delivery") }, "AAAAAAA1" },
		{ { .event = span_of("connect") }, "BBBBBBB" },
		{ { .id = span_of("AAAAAAA") }, "AAAAAAA1.1 AAAAAAA1.2 AAAAAAA1" },
		{ { .id = span_of("AAAAAAA1") }, "AAAAAAA1.1 AAAAAAA1.2 AAAAAAA1" },
		{ { .id = span_of("AAAAAAA1.1") }, "AAAAAAA1.1 AAAAAAA1" },
		{ { .id = span_of("BBBBBBB1") }, "BBBBBBB1" },
		{ { .id = span_of("AAAAAAA2") }, "" },
		{ { .id = span_of("AAAAAA") }, "" },
		{ { .verdict = span_of("refused"), .event = span_of("connect") }, "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		(void)query_expect(&cases[i].filter, cases[i].ids);
}
END_TEST

START_TEST(a_record_comes_back_as_it_was_written)
{
	struct arena arena;
	struct audit_record record;
	struct audit *audit = trail_open(&place);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	size_t len;

	audit_attempt(audit, &session, &attempt);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	char *text = file_text(place.file, &len);

	arena_init(&arena, 0);
	ck_assert_int_eq(audit_record_read((struct span){ text, len - 1 }, &arena, &record),
			 PARSE_OK);
	ck_assert_int_eq(record.wall_ms, T0);
	ck_assert_uint_eq(record.client_port, 51612);
	ck_assert_uint_eq(record.size_octets, 4096);
	ck_assert(record.has_from);
	const struct { struct span got; const char *expected; } texts[] = {
		{ record.event, "attempt" }, { record.id, "7F3K2M9Q" },
		{ record.session, "7F3K2M9" }, { record.connector, "internal-apps" },
		{ record.client_ip, "10.20.1.7" }, { record.ptr, "app7.example.com" },
		{ record.helo, "app7" }, { record.local, "10.0.0.2:25" },
		{ record.tls_version, "TLSv1.3" }, { record.tls_cipher, "TLS_AES_256_GCM_SHA384" },
		{ record.tls_client, "dns:billing.example.com" }, { record.user, "billing" },
		{ record.mechanism, "SCRAM-SHA-256" }, { record.from, "invoices@example.com" },
		{ record.to, "ap@partner.example" }, { record.header_from, "invoices@example.com" },
		{ record.message_id, "<1@app7>" }, { record.verdict, "refused" },
		{ record.stage, "sender" }, { record.reason, "sender.not-authorized" },
		{ record.grant, "billing" }, { record.grant_line, "relayd.conf:41" },
		{ record.policy, "00112233445566aa" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		ck_assert_msg(span_equal(texts[i].got, span_of(texts[i].expected)), "%s",
			      texts[i].expected);
	arena_reset(&arena);
	free(text);
}
END_TEST

START_TEST(every_name_of_a_certificate_comes_back)
{
	static const struct span names[] = { SPAN_LITERAL("sha256:ab"),
					     SPAN_LITERAL("dns:billing.example.com"),
					     SPAN_LITERAL("cn:b\"ill\xc3\xadng") };
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	struct audit_record record;
	struct arena arena;
	size_t len;

	for (size_t count = 1; count <= ARRAY_LEN(names); count += 2) {
		struct audit *audit = trail_open(&place);

		session.tls_names = names;
		session.tls_name_count = count;
		session.tls_client = names[count > 1 ? 1 : 0];
		audit_attempt(audit, &session, &attempt);
		ck_assert(audit_flush(audit));
		audit_close(&audit);
		char *text = file_text(place.file, &len);
		const char *last = text + len - 1;

		while (last > text && last[-1] != '\n')
			last--;
		arena_init(&arena, 0);
		ck_assert_int_eq(audit_record_read(
				     (struct span){ last, (size_t)(text + len - 1 - last) },
				     &arena, &record),
				 PARSE_OK);
		ck_assert_uint_eq(record.certificate_count, count);
		for (size_t i = 0; i < count; i++)
			ck_assert(span_equal(record.certificates[i], names[i]));
		arena_reset(&arena);
		free(text);
	}
}
END_TEST

START_TEST(what_is_no_record_is_refused)
{
	static const char *const bad[] = {
		"", "{", "[]", "null", "{}", "\"x\"", "{\"time\":\"2026-11-22T19:20:03.123Z\"}",
		"{\"time\":\"yesterday\",\"event\":\"start\"}", "{\"event\":\"start\"}",
		"{\"time\":5,\"event\":\"start\"}",
		"{\"time\":\"2026-11-22T19:20:03.123Z\",\"event\":\"start\"} x",
	};
	struct arena arena;
	struct audit_record record;

	arena_init(&arena, 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(audit_record_read(span_of(bad[i]), &arena, &record) == PARSE_BAD,
			      "%s", bad[i]);
	/* wrong types inside are as if they were not there */
	ck_assert_int_eq(
	    audit_record_read(span_of("{\"time\":\"2026-11-22T19:20:03.123Z\",\"event\":\"x\","
				      "\"client\":7,\"tls\":[],\"size\":-4,\"to\":{},\"from\":1}"),
			      &arena, &record),
	    PARSE_OK);
	ck_assert(!record.has_from && record.size_octets == 0 && record.to.len == 0);
	arena_reset(&arena);
}
END_TEST

#define RECORD(id, second) \
	"{\"time\":\"2026-11-22T19:20:" second ".000Z\",\"event\":\"attempt\",\"id\":\"" id "\"}"

START_TEST(torn_lines_are_skipped_and_their_neighbours_found)
{
	const struct audit_filter all = { .since_ms = 0 };

	file_append(place.file, RECORD("A", "01") "\n");
	file_append(place.file, "{\"time\":\"2026-11-22T19:20:02.000Z\",\"event\":\"att");
	file_append(place.file, RECORD("B", "03") "\n"); /* by another process, behind it */
	file_append(place.file, "\n\n");
	file_append(place.file, RECORD("C", "04")); /* complete but for its newline */
	file_append(place.file, RECORD("D", "05") "\n");
	file_append(place.file, "not ours\n");
	file_append(place.file, RECORD("E", "06") "\n");
	file_append(place.file, "{\"time\":\"2026-11-22T1");
	struct audit_tally tally = query_expect(&all, "A B C D E");

	ck_assert_uint_eq(tally.torn, 3);
}
END_TEST

START_TEST(text_that_looks_like_a_record_is_only_text)
{
	const struct audit_filter all = { .since_ms = 0 };
	struct audit *audit = trail_open(&place);
	struct audit_session session = { .id = "AAAAAAA", .client = endpoint_of("10.0.0.1:1") };
	struct audit_attempt attempt = { .id = "AAAAAAA1", .wall_ms = T0,
					 .detail = span_of("\n" RECORD("FORGED", "01") "\n") };

	audit_attempt(audit, &session, &attempt);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	struct audit_tally tally = query_expect(&all, "AAAAAAA1");

	ck_assert_uint_eq(tally.torn, 0);
}
END_TEST

START_TEST(rotated_files_are_read_in_the_order_of_time)
{
	const struct audit_filter all = { .since_ms = 0 };
	static const struct { const char *name, *text; } files[] = {
		{ "audit.jsonl", RECORD("E", "09") "\n" },
		{ "audit.jsonl.1", RECORD("D", "08") "\n" },
		{ "audit.jsonl.2", "torn\n" RECORD("C", "07") "\n" },
		{ "audit.jsonl-20260101", RECORD("A", "01") "\n" RECORD("B", "02") "\n" },
		{ "audit.jsonl.3.gz", "\x1f\x8b" },
		{ "notes.txt", RECORD("X", "03") "\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[1024];

		(void)snprintf(path, sizeof(path), "%s/%s", place.audit, files[i].name);
		file_append(path, files[i].text);
	}
	struct audit_tally tally = query_expect(&all, "A B C D E");

	ck_assert_uint_eq(tally.files, 4);
	ck_assert_uint_eq(tally.files_compressed, 1);
}
END_TEST

START_TEST(a_reader_that_has_enough_stops_the_query)
{
	struct seen seen = { .stop_after = 2 };
	const struct audit_filter all = { .since_ms = 0 };
	struct audit_tally tally;
	struct fault fault;

	trail_fill();
	ck_assert(audit_query(place.state, &all, record_note, &seen, &tally, &fault));
	ck_assert_uint_eq(seen.count, 2);
}
END_TEST

START_TEST(no_trail_is_a_fault_and_an_empty_one_is_not)
{
	const struct audit_filter all = { .since_ms = 0 };
	struct seen seen = { .count = 0 };
	struct audit_tally tally;
	struct fault fault = { .error = 0 };

	(void)query_expect(&all, "");
	file_append(place.file, "");
	(void)query_expect(&all, "");
	(void)unlink(place.file);
	ck_assert_int_eq(rmdir(place.audit), 0);
	ck_assert(!audit_query(place.state, &all, record_note, &seen, &tally, &fault));
	ck_assert_int_eq(fault.error, ENOENT);
}
END_TEST

/* Many records a second apart, some written late; blocks and halvings are crossed. */
#define MANY 40000

START_TEST(a_long_file_is_searched_by_time_and_read_across_blocks)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	char id[ID_SIZE];

	attempt.id = id;
	for (int i = 0; i < MANY; i++) {
		int late = i % 7 == 3 ? 300 : 0; /* seconds that it stands too far behind */

		(void)snprintf(id, sizeof(id), "N%d", i);
		attempt.wall_ms = T0 + (int64_t)(i - late) * 1000;
		audit_attempt(audit, &session, &attempt);
		if (i % 1000 == 0)
			ck_assert(audit_flush(audit));
	}
	ck_assert(audit_flush(audit));
	audit_close(&audit);

	static const int starts[] = { 1, 500, 19999, 20000, 39000, 39998 };

	for (size_t n = 0; n < ARRAY_LEN(starts); n++) {
		struct audit_filter filter = { .since_ms = T0 + (int64_t)starts[n] * 1000,
					       .until_ms = T0 + (int64_t)(starts[n] + 2) * 1000 };
		struct seen seen = { .count = 0 };
		struct audit_tally tally;
		struct fault fault;
		size_t expected = 0;

		for (int i = 0; i < MANY; i++) {
			int at = i - (i % 7 == 3 ? 300 : 0);

			expected += at >= starts[n] && at < starts[n] + 2;
		}
		ck_assert(audit_query(place.state, &filter, record_note, &seen, &tally, &fault));
		ck_assert_uint_eq(seen.count, expected);
		ck_assert_uint_eq(tally.torn, 0);
	}
	const struct audit_filter one = { .id = span_of("N31234") };

	(void)query_expect(&one, "N31234");
}
END_TEST

START_TEST(only_the_newest_octets_are_looked_at_when_that_is_asked)
{
	char older[600];
	size_t line = strlen(RECORD("A", "01") "\n");
	const struct { uint64_t octets; const char *ids; bool is_cut; } cases[] = {
		{ 1, "", true }, { line, "", true }, { line + 1, "D", true },
		{ 2 * line - 1, "D", true }, { 2 * line, "C D", true },
		{ 2 * line + 1, "C D", true }, { 3 * line + 1, "B C D", true },
		{ 4 * line, "A B C D", false }, { 0, "A B C D", false },
	};

	(void)snprintf(older, sizeof(older), "%s/audit.jsonl.1", place.audit);
	file_append(older, RECORD("A", "01") "\n" RECORD("B", "02") "\n");
	file_append(place.file, RECORD("C", "03") "\n" RECORD("D", "04") "\n");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct audit_filter filter = { .newest_octets = cases[i].octets };
		struct audit_tally tally = query_expect(&filter, cases[i].ids);

		ck_assert_int_eq(tally.is_cut, cases[i].is_cut);
		ck_assert_uint_eq(tally.torn, 0);
	}
}
END_TEST

START_TEST(a_file_without_newlines_is_given_up_and_the_rest_read)
{
	const struct audit_filter all = { .since_ms = 0 };
	size_t len = 7U << 20;
	char *junk = memory_new(len + 1);

	memset(junk, 'x', len);
	file_append(place.file, RECORD("A", "01") "\n");
	file_append(place.file, junk);
	file_append(place.file, "\n" RECORD("B", "02") "\n");
	free(junk);
	struct audit_tally tally = query_expect(&all, "A B");

	ck_assert_uint_eq(tally.torn, 1);
}
END_TEST

START_TEST(ids_are_read_as_people_say_them)
{
	static const struct { const char *given, *expected; } cases[] = {
		{ "7F3K2M9Q", "7F3K2M9Q" }, { "[7f3k2m9q]", "7F3K2M9Q" }, { " o1l.2 ", "011.2" },
		{ "u", "V" }, { "", "" }, { "[]", "" }, { "[", "[" },
	};
	struct arena arena;

	arena_init(&arena, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span id = audit_id_normalise(span_of(cases[i].given), &arena);

		ck_assert(span_equal(id, span_of(cases[i].expected)));
	}
	arena_reset(&arena);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit query");
	TCase *tc = tcase_create("query");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_filter_lets_the_right_records_pass);
	tcase_add_test(tc, a_record_comes_back_as_it_was_written);
	tcase_add_test(tc, every_name_of_a_certificate_comes_back);
	tcase_add_test(tc, what_is_no_record_is_refused);
	tcase_add_test(tc, torn_lines_are_skipped_and_their_neighbours_found);
	tcase_add_test(tc, text_that_looks_like_a_record_is_only_text);
	tcase_add_test(tc, rotated_files_are_read_in_the_order_of_time);
	tcase_add_test(tc, a_reader_that_has_enough_stops_the_query);
	tcase_add_test(tc, no_trail_is_a_fault_and_an_empty_one_is_not);
	tcase_add_test(tc, a_long_file_is_searched_by_time_and_read_across_blocks);
	tcase_add_test(tc, only_the_newest_octets_are_looked_at_when_that_is_asked);
	tcase_add_test(tc, a_file_without_newlines_is_given_up_and_the_rest_read);
	tcase_add_test(tc, ids_are_read_as_people_say_them);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);

	return suite_main(suite);
}
