/* SPDX-License-Identifier: ISC */
/*
 * Every recipient that was decided on has exactly one record, and it says what the client was
 * told; and what happens when records or messages cannot be kept.
 */
#include "session/session_test.h"

#include "session/fake_spool.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct fixture f;
static struct client client;

static void
setup(void)
{
	fixture_init(&f);
	fixture_start(&f);
}

static void
teardown(void)
{
	client_close(&client);
	fixture_end(&f);
}

static void
ready(const char *address, uint16_t port)
{
	client = client_connect(&f, address, port);
	client_send_text(&client, "EHLO app7\r\n");
	client_take(&client);
}

/* --- records and replies agree --- */

static const struct {
	const char *name;
	const char *client;
	uint16_t port;
	const char *mail; /* MAIL .. RCPT */
	const char *data; /* NULL: no DATA */
	struct { const char *to, *verdict, *stage, *reason, *grant, *reply; } records[3];
} attempts[] = {
	{ "relayed to two", CLIENT_BILLING, PORT_APPS,
	  "MAIL FROM:<a@billing.example.com>\r\nRCPT TO:<b@else.example>\r\n"
	  "RCPT TO:<c@else.example>\r\n",
	  "From: Ann <ann@billing.example.com>\r\nMessage-ID: <1@x>\r\n\r\nx\r\n.\r\n",
	  { { "b@else.example", "relayed", "", "", "billing", "250 2.0.0 Ok: queued as *" },
	    { "c@else.example", "relayed", "", "", "billing", "250 2.0.0 Ok: queued as *" } } },
	{ "no grant", CLIENT_NOBODY, PORT_APPS,
	  "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@else.example>\r\n", NULL,
	  { { "b@else.example", "refused", "who", "relay.no-grant", "",
	      "550 5.7.1 Unable to relay [*]" } } },
	{ "sender", CLIENT_BILLING, PORT_APPS,
	  "MAIL FROM:<a@other.example.com>\r\nRCPT TO:<b@else.example>\r\n", NULL,
	  { { "b@else.example", "refused", "sender", "sender.not-authorized", "billing",
	      "550 5.7.367 Sender not authorized for relay [*]" } } },
	{ "one of two recipients", CLIENT_PARTNERS, PORT_APPS,
	  "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@else.example>\r\nRCPT TO:<p@partner.example>\r\n",
	  "x\r\n.\r\n",
	  { { "b@else.example", "refused", "recipient", "relay.recipient", "partners",
	      "550 5.7.1 Unable to relay [*]" },
	    { "p@partner.example", "relayed", "", "", "partners", "250 2.0.0 Ok: *" } } },
	{ "login", CLIENT_BILLING, PORT_SUBMISSION, "MAIL FROM:<a@x.example>\r\n", NULL,
	  { { "", "refused", "who", "auth.required", "*",
	      "530 5.7.0 Authentication required [*]" } } },
	{ "TLS", CLIENT_TLS, PORT_APPS, "MAIL FROM:<a@x.example>\r\n", NULL,
	  { { "", "refused", "tls", "tls.required", "secret",
	      "530 5.7.0 Must issue a STARTTLS command first [*]" } } },
	{ "size", CLIENT_BILLING, PORT_APPS, "MAIL FROM:<a@x.example> SIZE=100001\r\n", NULL,
	  { { "", "refused", "*", "message.size", "", "552 5.3.4 *" } } },
	{ "bare newline", CLIENT_BILLING, PORT_APPS,
	  "MAIL FROM:<a@billing.example.com>\r\nRCPT TO:<b@else.example>\r\n", "a\nb\r\n.\r\n",
	  { { "b@else.example", "refused", "*", "message.bare-crlf", "billing",
	      "550 5.6.11 * [*]" } } },
	{ "header From, for all recipients", CLIENT_HEADER, PORT_APPS,
	  "MAIL FROM:<a@hf.example.com>\r\nRCPT TO:<b@else.example>\r\nRCPT TO:<c@else.example>\r\n",
	  "From: boss@bank.example\r\n\r\n.\r\n",
	  { { "b@else.example", "refused", "header-from", "sender.header-from", "header",
	      "550 5.7.367 * [*]" },
	    { "c@else.example", "refused", "header-from", "sender.header-from", "header",
	      "550 5.7.367 * [*]" } } },
	{ "monitored", CLIENT_NOBODY, PORT_MONITOR,
	  "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@else.example>\r\n", "x\r\n.\r\n",
	  { { "b@else.example", "would-refuse", "who", "relay.no-grant", "",
	      "250 2.0.0 Ok: queued as *" } } },
	{ "monitored login", CLIENT_HEADER, PORT_MONITOR,
	  "MAIL FROM:<a@hf.example.com>\r\nRCPT TO:<b@else.example>\r\n",
	  "From: x@y.example\r\n\r\nx\r\n.\r\n",
	  { { "b@else.example", "would-refuse", "header-from", "sender.header-from", "header",
	      "250 2.0.0 Ok: queued as *" } } },
};

static void
record_check(json_t *records, size_t i, size_t n, const char *reply_lines)
{
	json_t *record = record_find(records, "attempt", (int)n);
	static const char *const keys[] = { "to", "verdict", "stage", "reason", "grant", "reply" };
	const char *const wants[] = {
		attempts[i].records[n].to,     attempts[i].records[n].verdict,
		attempts[i].records[n].stage,  attempts[i].records[n].reason,
		attempts[i].records[n].grant,  attempts[i].records[n].reply,
	};

	ck_assert_ptr_nonnull(record);
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		/* a record of what was relayed has no stage that stopped it */
		if (strcmp(keys[k], "stage") == 0 && wants[k][0] == '\0')
			continue;
		ck_assert_msg(text_fits(record_text(record, keys[k]), wants[k]),
			      "%s, record %zu: %s is \"%s\", not \"%s\"", attempts[i].name, n,
			      keys[k], record_text(record, keys[k]), wants[k]);
	}
	/* the reply of the record was said on the wire, octet for octet */
	ck_assert_msg(strstr(reply_lines, record_text(record, "reply")) != NULL,
		      "%s: \"%s\" was not said in:\n%s", attempts[i].name,
		      record_text(record, "reply"), reply_lines);
	/* the first attempt has the transaction's id, the others a number behind it */
	if (n > 0)
		ck_assert(text_fits(record_text(record, "id"), n == 1 ? "*.2" : "*.3"));
	ck_assert_int_eq(strncmp(record_text(record, "id"), record_text(record, "session"), 7),
			 0);
}

START_TEST(record_and_reply_agree)
{
	size_t want = 0;

	ready(attempts[_i].client, attempts[_i].port);
	client_send_text(&client, attempts[_i].mail);
	if (attempts[_i].data != NULL) {
		client_send_text(&client, "DATA\r\n");
		client_send_text(&client, attempts[_i].data);
	}
	const char *replies = client_take(&client);
	json_t *records = fixture_records(&f);

	while (want < 3 && attempts[_i].records[want].to != NULL)
		want++;
	ck_assert_msg(record_count(records, "attempt") == want, "%s: %zu records",
		      attempts[_i].name, record_count(records, "attempt"));
	for (size_t n = 0; n < want; n++)
		record_check(records, (size_t)_i, n, replies);
	json_decref(records);
}
END_TEST

START_TEST(record_tells_the_header_and_the_size)
{
	ready(CLIENT_BILLING, PORT_APPS);
	client_send_text(&client, "MAIL FROM:<>\r\nRCPT TO:<b@else.example>\r\nDATA\r\n");
	client_send_text(&client, "From: Ann <ann@x.example>\r\nMessage-ID: <1@x>\r\n\r\nx\r\n.\r\n");
	json_t *records = fixture_records(&f);
	json_t *record = record_find(records, "attempt", 0);

	ck_assert(json_object_get(record, "from") != NULL); /* the null path is a path */
	ck_assert_str_eq(record_text(record, "from"), "");
	ck_assert_str_eq(record_text(record, "header_from"), "ann@x.example");
	ck_assert_str_eq(record_text(record, "message_id"), "<1@x>");
	ck_assert_str_eq(record_text(json_object_get(record, "client"), "helo"), "app7");
	ck_assert_int_eq(json_integer_value(json_object_get(record, "size")), 51);
	json_decref(records);
	ck_assert_uint_eq(f.figures[0].relayed, 1);
	ck_assert_uint_eq(f.figures[0].messages, 1);
}
END_TEST

/* --- transactions that come to nothing --- */

START_TEST(accepted_recipients_of_an_abandoned_transaction_are_recorded_once)
{
	static const char *const ends[] = { "RSET\r\n", "QUIT\r\n", "EHLO again\r\n", NULL };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		ready(CLIENT_PARTNERS, PORT_APPS);
		client_send_text(&client, "MAIL FROM:<a@x.example>\r\n"
					  "RCPT TO:<b@partner.example>\r\n"
					  "RCPT TO:<no@else.example>\r\n"
					  "RCPT TO:<c@partner.example>\r\n");
		if (i == 3)
			client_send_text(&client, "DATA\r\n");
		if (ends[i] != NULL)
			client_send_text(&client, ends[i]);
		client_close(&client);
	}
	json_t *records = fixture_records(&f);

	ck_assert_uint_eq(record_count(records, "attempt"), 12);
	for (int i = 0; i < 4; i++) {
		json_t *refused = record_find(records, "attempt", i * 3);
		json_t *first = record_find(records, "attempt", i * 3 + 1);
		json_t *second = record_find(records, "attempt", i * 3 + 2);

		ck_assert_str_eq(record_text(refused, "verdict"), "refused");
		ck_assert_str_eq(record_text(first, "verdict"), "deferred");
		ck_assert_str_eq(record_text(first, "reason"), "session.abandoned");
		ck_assert_str_eq(record_text(first, "to"), "b@partner.example");
		ck_assert_str_eq(record_text(second, "to"), "c@partner.example");
		ck_assert(text_fits(record_text(second, "id"), "*.3"));
	}
	json_decref(records);
	ck_assert_uint_eq(f.spool->message_count, 0);
}
END_TEST

START_TEST(message_that_became_durable_is_taken_though_its_client_left)
{
	f.spool->holds_commits = true;
	ready(CLIENT_BILLING, PORT_APPS);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_send_text(&client, "x\r\n.\r\n");
	/* the server looks at a client again once there is something to read */
	client_push(&client, span_of("NOOP\r\n"));
	client_close(&client);
	fake_spool_release(f.spool);
	fixture_settle(&f);
	ck_assert_uint_eq(f.accepted, 1);
	ck_assert_uint_eq(session_server_count(f.server), 0);
	json_t *records = fixture_records(&f);

	ck_assert_uint_eq(record_count(records, "attempt"), 1);
	ck_assert_str_eq(record_text(record_find(records, "attempt", 0), "verdict"), "relayed");
	json_decref(records);
}
END_TEST

START_TEST(client_that_speaks_before_354_is_recorded_as_refused)
{
	ready(CLIENT_BILLING, PORT_APPS);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\nx\r\n.\r\n");
	json_t *records = fixture_records(&f);
	json_t *record = record_find(records, "attempt", 0);

	ck_assert_uint_eq(record_count(records, "attempt"), 1);
	ck_assert_str_eq(record_text(record, "verdict"), "refused");
	ck_assert_str_eq(record_text(record, "reason"), "session.early-talker");
	json_decref(records);
}
END_TEST

/* --- trouble of our own --- */

START_TEST(full_spool_is_452_and_recovers)
{
	ready(CLIENT_BILLING, PORT_APPS);
	f.spool->is_full = true;
	client_send_text(&client, "MAIL FROM:<a@billing.example.com> SIZE=10\r\n");
	ck_assert(text_fits(client_take(&client), "452 4.3.1 *[*]\r\n"));
	f.spool->is_full = false;
	f.spool->status = SPOOL_FULL;
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_take(&client);
	client_send_text(&client, "x\r\n.\r\n");
	ck_assert(text_fits(client_take(&client), "452 4.3.1 *[*]\r\n"));
	f.spool->status = SPOOL_BROKEN;
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_take(&client);
	client_send_text(&client, "x\r\n.\r\n");
	ck_assert(text_fits(client_take(&client), "451 4.3.0 *[*]\r\n"));
	f.spool->status = SPOOL_OK;
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	ck_assert_int_eq(client_code(&client, "x\r\n.\r\n"), 250);
	json_t *records = fixture_records(&f);

	ck_assert_uint_eq(record_count(records, "attempt"), 4);
	ck_assert_str_eq(record_text(record_find(records, "attempt", 0), "reason"),
			 "storage.full");
	ck_assert_str_eq(record_text(record_find(records, "attempt", 1), "reason"),
			 "storage.full");
	ck_assert_str_eq(record_text(record_find(records, "attempt", 1), "verdict"), "deferred");
	ck_assert_str_eq(record_text(record_find(records, "attempt", 2), "reason"),
			 "storage.trouble");
	json_decref(records);
	ck_assert_uint_eq(f.accepted, 1);
}
END_TEST

/* Make every write to a file fail, or not. */
static void
files_freeze(bool is_frozen)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = is_frozen ? 0 : limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

START_TEST(no_decision_is_told_that_could_not_be_recorded)
{
	struct client other;

	ready(CLIENT_NOBODY, PORT_APPS);
	other = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	client_send_text(&other, "EHLO x\r\n");
	client_take(&other);
	client_send_text(&client, "MAIL FROM:<a@x.example>\r\n");
	client_take(&client);
	files_freeze(true);
	client_send_text(&client, "RCPT TO:<b@else.example>\r\n");
	ck_assert(text_fits(client_take(&client), "421 4.3.0 *\r\n"));
	ck_assert(client.has_ended);

	/* as long as that lasts nothing is decided */
	client_send_text(&other, "MAIL FROM:<a@billing.example.com>\r\n");
	ck_assert(text_fits(client_take(&other), "451 4.3.0 *\r\n"));
	ck_assert(!other.has_ended);

	/* when it is over, what was kept is written, and all is well */
	files_freeze(false);
	fixture_settle(&f);
	client_send_text(&other, "NOOP\r\n");
	client_take(&other);
	client_send_text(&other, "MAIL FROM:<a@billing.example.com>\r\n"
				 "RCPT TO:<b@else.example>\r\nDATA\r\n");
	ck_assert_int_eq(client_code(&other, "x\r\n.\r\n"), 250);
	client_close(&other);
	json_t *records = fixture_records(&f);

	ck_assert_uint_eq(record_count(records, "attempt"), 2);
	json_decref(records);
}
END_TEST

START_TEST(message_whose_record_fails_at_its_end_is_not_confirmed)
{
	ready(CLIENT_BILLING, PORT_APPS);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_take(&client);
	files_freeze(true);
	client_send_text(&client, "x\r\n.\r\n");
	ck_assert(text_fits(client_take(&client), "421 4.3.0 *\r\n"));
	ck_assert(client.has_ended);
	files_freeze(false);
}
END_TEST

START_TEST(connect_record_that_fails_is_not_told_either)
{
	files_freeze(true);
	client = client_connect(&f, CLIENT_STRANGER, PORT_APPS);
	ck_assert(text_fits(client_take(&client), "421 4.3.0 *\r\n"));
	ck_assert(client.has_ended);
	files_freeze(false);
}
END_TEST

TCase *
record_tcase(void)
{
	TCase *tc = tcase_create("records");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, record_and_reply_agree, 0, (int)ARRAY_LEN(attempts));
	tcase_add_test(tc, record_tells_the_header_and_the_size);
	tcase_add_test(tc, accepted_recipients_of_an_abandoned_transaction_are_recorded_once);
	tcase_add_test(tc, message_that_became_durable_is_taken_though_its_client_left);
	tcase_add_test(tc, client_that_speaks_before_354_is_recorded_as_refused);
	tcase_add_test(tc, full_spool_is_452_and_recovers);
	tcase_add_test(tc, no_decision_is_told_that_could_not_be_recorded);
	tcase_add_test(tc, message_whose_record_fails_at_its_end_is_not_confirmed);
	tcase_add_test(tc, connect_record_that_fails_is_not_told_either);
	return tc;
}
