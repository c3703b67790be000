/* SPDX-License-Identifier: ISC */
/* The writer: what each record looks like, and that none is lost or torn for good. */
#include "audit/audit.h"

#include "base/id.h"
#include "base/utf8.h"

#include "audit/trail.h"
#include "suite.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static struct trail_place place;

static void
setup(void)
{
	place_make(&place);
}

static void
teardown(void)
{
	place_remove(&place);
}

static void
file_expect(const char *expected)
{
	size_t len;
	char *text = file_text(place.file, &len);

	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(an_attempt_is_recorded_as_the_design_shows_it)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();

	audit_attempt(audit, &session, &attempt);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	ck_assert_ptr_null(audit);
	file_expect(
	    "{\"time\":\"2026-11-22T19:20:03.123Z\",\"event\":\"attempt\",\"id\":\"7F3K2M9Q\","
	    "\"session\":\"7F3K2M9\",\"connector\":\"internal-apps\",\"client\":{\"ip\":"
	    "\"10.20.1.7\",\"port\":51612,\"ptr\":\"app7.example.com\",\"helo\":\"app7\"},"
	    "\"local\":\"10.0.0.2:25\",\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":"
	    "\"TLS_AES_256_GCM_SHA384\",\"client\":\"dns:billing.example.com\"},\"auth\":{"
	    "\"user\":\"billing\",\"mechanism\":\"SCRAM-SHA-256\"},\"from\":"
	    "\"invoices@example.com\",\"to\":\"ap@partner.example\",\"header_from\":"
	    "\"invoices@example.com\",\"message_id\":\"<1@app7>\",\"size\":4096,\"verdict\":"
	    "\"refused\",\"stage\":\"sender\",\"reason\":\"sender.not-authorized\",\"grant\":"
	    "\"billing\",\"line\":\"relayd.conf:41\",\"reply\":\"550 5.7.367 Sender not "
	    "authorized for relay [7F3K2M9Q]\",\"detail\":\"grant billing allows senders "
	    "@billing.example.com; got invoices@example.com\",\"policy\":\"00112233445566aa\"}\n");
}
END_TEST

START_TEST(what_does_not_apply_is_left_out)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = { .id = "7F3K2M9", .client = endpoint_of("[::1]:7") };
	struct audit_attempt attempt = {
		.id = "7F3K2M91", .wall_ms = T0, .has_from = true, .to = span_of("a@b.example"),
		.verdict = VERDICT_RELAYED, .stage = STAGE_PERMITTED, .reason = REASON_NONE,
	};

	audit_attempt(audit, &session, &attempt);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	file_expect("{\"time\":\"2026-11-22T19:20:03.123Z\",\"event\":\"attempt\",\"id\":"
		    "\"7F3K2M91\",\"session\":\"7F3K2M9\",\"client\":{\"ip\":\"::1\",\"port\":7},"
		    "\"from\":\"\",\"to\":\"a@b.example\",\"verdict\":\"relayed\",\"policy\":"
		    "\"00112233445566aa\"}\n");
}
END_TEST

START_TEST(a_client_turned_away_is_recorded_with_its_reply)
{
	static const struct { const char *reply, *verdict; } cases[] = {
		{ "421 4.3.2 Service not available", "deferred" },
		{ "554 5.5.1 Protocol error", "refused" }, { "", "refused" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct audit *audit = trail_open(&place);
		struct audit_session session = { .id = "7F3K2M9",
						 .client = endpoint_of("192.0.2.9:4711"),
						 .local = endpoint_of("10.0.0.2:25") };
		char expected[1000];

		(void)unlink(place.file);
		audit_close(&audit);
		audit = trail_open(&place);
		audit_connect(audit, &session, T0, REASON_CONNECTION_NO_CONNECTOR,
			      span_of(cases[i].reply), span_of("no range holds 192.0.2.9"));
		ck_assert(audit_flush(audit));
		audit_close(&audit);
		(void)snprintf(
		    expected, sizeof(expected),
		    "{\"time\":\"2026-11-22T19:20:03.123Z\",\"event\":\"connect\",\"id\":\"7F3K2M9\","
		    "\"session\":\"7F3K2M9\",\"client\":{\"ip\":\"192.0.2.9\",\"port\":4711},"
		    "\"local\":\"10.0.0.2:25\",\"verdict\":\"%s\",\"stage\":\"connection\","
		    "\"reason\":\"connection.no-connector\",%s%s%s\"detail\":\"no range holds "
		    "192.0.2.9\",\"policy\":\"00112233445566aa\"}\n",
		    cases[i].verdict, cases[i].reply[0] == '\0' ? "" : "\"reply\":\"",
		    cases[i].reply, cases[i].reply[0] == '\0' ? "" : "\",");
		file_expect(expected);
	}
}
END_TEST

START_TEST(each_try_to_deliver_is_recorded)
{
	struct audit *audit = trail_open(&place);
	struct audit_delivery delivery = delivery_sample();

	audit_delivery(audit, &delivery);
	delivery.result = "deferred";
	delivery.reply = span_of("connection refused");
	delivery.peer.port = 0;
	delivery.from = span_of("");
	delivery.tls_version = span_of("TLSv1.2");
	delivery.next_wall_ms = T0 + 60400;
	delivery.tries = 2;
	audit_delivery(audit, &delivery);
	delivery.result = "failed";
	delivery.next_wall_ms = 0;
	audit_expire(audit, &delivery);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	file_expect(
	    "{\"time\":\"2026-11-22T19:20:03.523Z\",\"event\":\"delivery\",\"id\":\"7F3K2M9Q\","
	    "\"route\":\"smarthost\",\"next_hop\":\"mx1.example.com:25\",\"peer\":\"192.0.2.1:25\","
	    "\"from\":\"invoices@example.com\",\"to\":\"ap@partner.example\",\"result\":"
	    "\"delivered\",\"reply\":\"250 2.0.0 Ok: queued as X1\",\"queued_ms\":400,\"tries\":1}\n"
	    "{\"time\":\"2026-11-22T19:20:03.523Z\",\"event\":\"delivery\",\"id\":\"7F3K2M9Q\","
	    "\"route\":\"smarthost\",\"next_hop\":\"mx1.example.com:25\",\"tls\":{\"version\":"
	    "\"TLSv1.2\",\"verified\":false},\"from\":\"\",\"to\":\"ap@partner.example\",\"result\":\"deferred\","
	    "\"reply\":\"connection refused\",\"queued_ms\":400,\"tries\":2,\"next\":"
	    "\"2026-11-22T19:21:03.523Z\"}\n"
	    "{\"time\":\"2026-11-22T19:20:03.523Z\",\"event\":\"expire\",\"id\":\"7F3K2M9Q\","
	    "\"route\":\"smarthost\",\"next_hop\":\"mx1.example.com:25\",\"tls\":{\"version\":"
	    "\"TLSv1.2\",\"verified\":false},\"from\":\"\",\"to\":\"ap@partner.example\",\"result\":\"failed\","
	    "\"reply\":\"connection refused\",\"queued_ms\":400,\"tries\":2}\n");
}
END_TEST

START_TEST(logins_and_the_daemons_own_events_are_recorded)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = { .id = "7F3K2M9", .client = endpoint_of("10.0.0.1:9"),
					 .user = span_of("billing"),
					 .mechanism = span_of("PLAIN") };

	audit_auth(audit, &session, T0, REASON_NONE);
	audit_auth(audit, &session, T0 + 1, REASON_AUTH_FAILED);
	audit_daemon(audit, "start", T0 + 1000, true, span_of(""));
	audit_daemon(audit, "reload", T0 + 2000, false, span_of("relayd.conf:3: no"));
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	file_expect(
	    "{\"time\":\"2026-11-22T19:20:03.123Z\",\"event\":\"auth\",\"id\":\"7F3K2M9\","
	    "\"session\":\"7F3K2M9\",\"client\":{\"ip\":\"10.0.0.1\",\"port\":9},\"auth\":{"
	    "\"user\":\"billing\",\"mechanism\":\"PLAIN\"},\"result\":\"succeeded\"}\n"
	    "{\"time\":\"2026-11-22T19:20:03.124Z\",\"event\":\"auth\",\"id\":\"7F3K2M9\","
	    "\"session\":\"7F3K2M9\",\"client\":{\"ip\":\"10.0.0.1\",\"port\":9},\"auth\":{"
	    "\"user\":\"billing\",\"mechanism\":\"PLAIN\"},\"result\":\"failed\",\"reason\":"
	    "\"auth.failed\"}\n"
	    "{\"time\":\"2026-11-22T19:20:04.123Z\",\"event\":\"start\",\"result\":\"succeeded\","
	    "\"policy\":\"00112233445566aa\"}\n"
	    "{\"time\":\"2026-11-22T19:20:05.123Z\",\"event\":\"reload\",\"result\":\"failed\","
	    "\"detail\":\"relayd.conf:3: no\",\"policy\":\"00112233445566aa\"}\n");
}
END_TEST

/* Where a client's bytes can get into a record, and under which key they come out. */
static struct span *
hostile_place(size_t which, struct audit_session *session, struct audit_attempt *attempt,
	      const char **object, const char **key)
{
	struct { struct span *place; const char *object, *key; } places[] = {
		{ &session->helo, "client", "helo" },	    { &session->ptr, "client", "ptr" },
		{ &session->tls_client, "tls", "client" },  { &session->user, "auth", "user" },
		{ &session->mechanism, "auth", "mechanism" },
		{ &attempt->from, NULL, "from" },	    { &attempt->to, NULL, "to" },
		{ &attempt->header_from, NULL, "header_from" },
		{ &attempt->message_id, NULL, "message_id" },
		{ &attempt->reply, NULL, "reply" },	    { &attempt->detail, NULL, "detail" },
	};

	if (which >= ARRAY_LEN(places))
		return NULL;
	*object = places[which].object;
	*key = places[which].key;
	return places[which].place;
}

/* Is there nothing in it that a terminal or a reader of lines could take amiss? */
static bool
line_is_harmless(struct span line)
{
	while (line.len > 0) {
		uint32_t code = 0;
		size_t octets = utf8_decode(line, &code);

		if (octets == 0 || utf8_is_active(code))
			return false;
		line = span_skip(line, octets);
	}
	return true;
}

/* The record holds "a", the byte, "b" there; what is no UTF-8 became U+FFFD. */
static void
line_expect_byte(struct span line, const char *object, const char *key, unsigned byte)
{
	const char hostile[] = { 'a', (char)byte, 'b' };
	json_error_t error;
	json_t *record = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, &error);

	ck_assert_msg(record != NULL, "byte %u: %s", byte, error.text);
	const json_t *holder = object == NULL ? record : json_object_get(record, object);
	const json_t *value = json_object_get(holder, key);

	ck_assert(json_is_string(value));
	if (byte < 0x80) {
		ck_assert_uint_eq(json_string_length(value), sizeof(hostile));
		ck_assert_mem_eq(json_string_value(value), hostile, sizeof(hostile));
	} else {
		ck_assert_str_eq(json_string_value(value), "a\xef\xbf\xbd" "b");
	}
	json_decref(record);
}

START_TEST(any_byte_in_any_text_makes_one_valid_line)
{
	const char *object, *key;
	struct audit *audit = trail_open(&place);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	struct span *field = hostile_place((size_t)_i, &session, &attempt, &object, &key);
	size_t len;

	ck_assert_ptr_nonnull(field);
	for (unsigned byte = 0; byte < 256; byte++) {
		const char hostile[] = { 'a', (char)byte, 'b' };

		*field = (struct span){ hostile, sizeof(hostile) };
		audit_attempt(audit, &session, &attempt);
	}
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	char *text = file_text(place.file, &len);
	struct span rest = { text, len };

	for (unsigned byte = 0; byte < 256; byte++) {
		struct span line = span_first(rest, span_find(rest, '\n'));

		ck_assert(line.len > 0 && line_is_harmless(line));
		line_expect_byte(line, object, key, byte);
		rest = span_skip(rest, line.len + 1);
	}
	ck_assert_uint_eq(rest.len, 0);
	free(text);
}
END_TEST

START_TEST(the_trail_is_readable_by_its_group_alone)
{
	struct audit *audit = trail_open(&place);
	struct stat status;

	ck_assert_int_eq(stat(place.audit, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0750);
	ck_assert_int_eq(stat(place.file, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0640);
	audit_close(&audit);
}
END_TEST

START_TEST(a_trail_that_cannot_be_opened_is_a_fault)
{
	struct fault fault = { .error = 0 };
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/none", place.state);
	ck_assert_ptr_null(audit_open(path, "x", &quiet, &fault));
	ck_assert_int_eq(fault.error, ENOENT);
	ck_assert_ptr_nonnull(strstr(fault_text(&fault), path));
	/* nor is a link followed to where somebody else wants it */
	ck_assert_int_eq(mkdir(place.audit, 0750), 0);
	ck_assert_int_eq(symlink("/dev/null", place.file), 0);
	ck_assert_ptr_null(audit_open(place.state, "x", &quiet, &fault));
}
END_TEST

START_TEST(nothing_recorded_is_flushed_cheaply)
{
	struct audit *audit = trail_open(&place);

	for (int i = 0; i < 10; i++)
		ck_assert(audit_flush(audit));
	ck_assert(!audit_is_broken(audit));
	audit_close(&audit);
	file_expect("");
}
END_TEST

/* Let files grow to so many octets and no further. */
static void
size_limit_set(rlim_t octets)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = octets;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(a_full_disk_loses_no_record_wherever_it_tears)
{
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	size_t len, whole_len;

	(void)signal(SIGXFSZ, SIG_IGN);
	/* how long one line is */
	struct audit *audit = trail_open(&place);

	audit_attempt(audit, &session, &attempt);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	char *line = file_text(place.file, &whole_len);

	/* room for one line and some octets of the next: none, one, some, all but the newline */
	size_t rooms[] = { 0, 1, whole_len / 2, whole_len - 2, whole_len - 1, whole_len };

	for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
		(void)unlink(place.file);
		audit = trail_open(&place);
		for (int n = 0; n < 3; n++)
			audit_attempt(audit, &session, &attempt);
		size_limit_set(whole_len + rooms[i]);
		ck_assert(!audit_flush(audit));
		ck_assert(audit_is_broken(audit));
		ck_assert(!audit_flush(audit)); /* still */
		size_limit_set(RLIM_INFINITY);
		ck_assert(audit_flush(audit)); /* the kept lines */
		ck_assert(!audit_is_broken(audit));
		audit_close(&audit);

		char *text = file_text(place.file, &len);
		size_t found = 0;

		for (const char *at = text; (at = strstr(at, line)) != NULL; at += whole_len) {
			ck_assert(at == text || at[-1] == '\n');
			found++;
		}
		ck_assert_uint_eq(found, 3);
		ck_assert_int_eq(text[len - 1], '\n');
		free(text);
	}
	free(line);
}
END_TEST

START_TEST(a_tail_torn_by_a_dead_process_is_closed_by_the_next)
{
	struct audit *audit = trail_open(&place);

	audit_close(&audit);
	file_append(place.file, "{\"time\":\"2026-11-22T19:20:03.123Z\",\"ev");
	audit = trail_open(&place);
	audit_daemon(audit, "start", T0, true, span_of(""));
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	file_expect("{\"time\":\"2026-11-22T19:20:03.123Z\",\"ev\n"
		    "{\"time\":\"2026-11-22T19:20:03.123Z\",\"event\":\"start\",\"result\":"
		    "\"succeeded\",\"policy\":\"00112233445566aa\"}\n");
}
END_TEST

START_TEST(what_is_kept_while_broken_is_bounded)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();

	(void)signal(SIGXFSZ, SIG_IGN);
	size_limit_set(0);
	for (int i = 0; i < 40000; i++) /* over 30 MB of records */
		audit_attempt(audit, &session, &attempt);
	ck_assert(audit_is_broken(audit));
	ck_assert(!audit_flush(audit));
	size_limit_set(RLIM_INFINITY);
	ck_assert(audit_flush(audit));
	ck_assert(!audit_is_broken(audit));
	audit_attempt(audit, &session, &attempt);
	ck_assert(audit_flush(audit));
	audit_close(&audit);

	size_t len;
	char *text = file_text(place.file, &len);

	ck_assert_uint_le(len, 17U << 20);
	ck_assert_uint_ge(len, 15U << 20);
	for (char *end = text; (end = strchr(end, '\n')) != NULL && end[1] != '\0'; end++) {
		if (end[1] != '{') /* whole lines only */
			ck_abort_msg("a line begins with %c", end[1]);
	}
	free(text);
}
END_TEST

START_TEST(a_record_that_found_no_room_fails_its_turn_once)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();

	for (int i = 0; i < 40000; i++)
		audit_attempt(audit, &session, &attempt);
	ck_assert(audit_is_broken(audit));
	ck_assert(!audit_flush(audit)); /* some are in the file, some are lost: say no */
	ck_assert(!audit_is_broken(audit));
	audit_attempt(audit, &session, &attempt);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
}
END_TEST

START_TEST(a_rotated_file_is_left_and_a_new_one_begun)
{
	struct audit *audit = trail_open(&place);
	char rotated[600];
	struct timespec pause = { .tv_nsec = 20000000 };
	struct stat status;

	(void)snprintf(rotated, sizeof(rotated), "%s/audit.jsonl.1", place.audit);
	audit_daemon(audit, "start", T0, true, span_of(""));
	ck_assert(audit_flush(audit));
	ck_assert_int_eq(rename(place.file, rotated), 0);
	/* looked for at most once a second: go on recording until it was noticed */
	for (int i = 0; i < 500 && stat(place.file, &status) == -1; i++) {
		audit_daemon(audit, "reload", T0, true, span_of(""));
		ck_assert(audit_flush(audit));
		(void)nanosleep(&pause, NULL);
	}
	ck_assert_int_eq(stat(place.file, &status), 0);
	ck_assert_int_gt(status.st_size, 0);
	audit_close(&audit);
}
END_TEST

#define WRITERS		  4
#define TURNS		  500
#define RECORDS_PER_TURN 5

static void
writer_run(unsigned who)
{
	struct fault fault;
	struct audit *audit = audit_open(place.state, "x", &quiet, &fault);
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	char id[ID_SIZE];

	if (audit == NULL)
		_exit(1);
	for (unsigned turn = 0; turn < TURNS; turn++) {
		for (unsigned n = 0; n < RECORDS_PER_TURN; n++) {
			(void)snprintf(id, sizeof(id), "W%u.%u", who,
				       turn * RECORDS_PER_TURN + n);
			attempt.id = id;
			audit_attempt(audit, &session, &attempt);
		}
		if (!audit_flush(audit))
			_exit(2);
	}
	audit_close(&audit);
	_exit(0);
}

START_TEST(records_of_several_processes_never_mix)
{
	unsigned next[WRITERS] = { 0 };
	pid_t writers[WRITERS];
	size_t len;

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = fork();
		ck_assert_int_ne(writers[i], -1);
		if (writers[i] == 0)
			writer_run(i);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		int status;

		ck_assert_int_eq(waitpid(writers[i], &status, 0), writers[i]);
		ck_assert_int_eq(status, 0);
	}
	char *text = file_text(place.file, &len);

	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		json_error_t error;
		json_t *record = json_loadb(line, (size_t)(end - line), 0, &error);
		unsigned who, number;

		if (line == end) /* one took another's write in progress for a torn line */
			continue;
		ck_assert_ptr_nonnull(record);
		const char *id = json_string_value(json_object_get(record, "id"));

		ck_assert(id != NULL && id[0] == 'W');
		who = (unsigned)(id[1] - '0');
		number = (unsigned)strtoul(id + 3, NULL, 10);
		ck_assert_uint_lt(who, WRITERS);
		ck_assert_uint_eq(number, next[who]++); /* each writer's in order */
		json_decref(record);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		ck_assert_uint_eq(next[i], TURNS * RECORDS_PER_TURN);
	free(text);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit");
	TCase *records = tcase_create("records");
	TCase *file = tcase_create("file");

	tcase_add_checked_fixture(records, setup, teardown);
	tcase_add_test(records, an_attempt_is_recorded_as_the_design_shows_it);
	tcase_add_test(records, what_does_not_apply_is_left_out);
	tcase_add_test(records, a_client_turned_away_is_recorded_with_its_reply);
	tcase_add_test(records, each_try_to_deliver_is_recorded);
	tcase_add_test(records, logins_and_the_daemons_own_events_are_recorded);
	tcase_add_loop_test(records, any_byte_in_any_text_makes_one_valid_line, 0, 11);
	tcase_set_timeout(records, 60);
	suite_add_tcase(suite, records);

	tcase_add_checked_fixture(file, setup, teardown);
	tcase_add_test(file, the_trail_is_readable_by_its_group_alone);
	tcase_add_test(file, a_trail_that_cannot_be_opened_is_a_fault);
	tcase_add_test(file, nothing_recorded_is_flushed_cheaply);
	tcase_add_test(file, a_full_disk_loses_no_record_wherever_it_tears);
	tcase_add_test(file, a_tail_torn_by_a_dead_process_is_closed_by_the_next);
	tcase_add_test(file, what_is_kept_while_broken_is_bounded);
	tcase_add_test(file, a_record_that_found_no_room_fails_its_turn_once);
	tcase_add_test(file, a_rotated_file_is_left_and_a_new_one_begun);
	tcase_add_test(file, records_of_several_processes_never_mix);
	tcase_set_timeout(file, 60);
	suite_add_tcase(suite, file);

	return suite_main(suite);
}
