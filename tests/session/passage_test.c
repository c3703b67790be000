/* SPDX-License-Identifier: ISC */
/*
 * Messages that are passed on while their client waits, as the session sees it: what the client
 * hears, what is recorded and what is stored for each thing that the next hop may say.
 */
#include "session/session_test.h"

#include "session/fake_spool.h"
#include "smtp/envelope.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct fixture f;
static struct client client;

/* The next hop's side; there is one passage at a time. */
struct passage {
	passage_done *done;
	void *context;
	size_t recipients;
};

static struct passage passage;
static size_t offered, dropped, marked, accepted;
static bool takes; /* passages */

static struct passage *
pass_on(void *context, const struct envelope *envelope, const struct spool_draft *draft,
	passage_done *done, void *done_context)
{
	(void)context;
	ck_assert_ptr_nonnull(draft);
	offered++;
	passage = (struct passage){ done, done_context, envelope->recipient_count };
	return takes ? &passage : NULL;
}

static void
passage_state(void *context, const struct passage *which, struct buffer *state)
{
	(void)context;
	ck_assert_ptr_eq(which, &passage);
	ck_assert_uint_gt(state->len, 0);
	marked++;
}

static void
passage_accepted(void *context, struct passage **which, struct spool_message *message,
		 const struct envelope *envelope)
{
	(void)context;
	ck_assert_ptr_eq(*which, &passage);
	ck_assert_ptr_nonnull(message);
	ck_assert_uint_eq(envelope->recipient_count, passage.recipients);
	*which = NULL;
	accepted++;
}

static void
passage_drop(void *context, struct passage **which)
{
	(void)context;
	ck_assert_ptr_eq(*which, &passage);
	*which = NULL;
	dropped++;
}

static const struct session_next next = {
	.pass_on = pass_on,
	.passage_state = passage_state,
	.passage_accepted = passage_accepted,
	.passage_drop = passage_drop,
};

static void
setup(void)
{
	offered = dropped = marked = accepted = 0;
	takes = true;
	fixture_init(&f);
	f.passages = &next;
	fixture_start(&f);
}

static void
teardown(void)
{
	client_close(&client);
	fixture_end(&f);
}

/* A message to so many recipients, up to its dot, and commands behind it. */
static void
send_to(unsigned recipients, const char *behind)
{
	char text[1024];
	size_t len = 0;

	client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	client_send_text(&client, "EHLO app7\r\n");
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n");
	for (unsigned i = 0; i < recipients; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"RCPT TO:<r%u@else.example>\r\n", i);
	(void)snprintf(text + len, sizeof(text) - len, "DATA\r\n");
	client_send_text(&client, text);
	client_take(&client);
	(void)snprintf(text, sizeof(text),
		       "From: ann@billing.example.com\r\n\r\nx\r\n.\r\n%s", behind);
	client_send_text(&client, text);
}

/* results: a letter for each recipient: t(aken), r(efused), o(pen). */
static void
say(const char *results, const char *reply)
{
	struct passage_recipient recipients[4];
	enum passage_result all;

	ck_assert_uint_eq(strlen(results), passage.recipients);
	for (size_t i = 0; i < passage.recipients; i++)
		recipients[i] = (struct passage_recipient){
			.result = results[i] == 't'   ? PASSAGE_TAKEN
				  : results[i] == 'r' ? PASSAGE_REFUSED
						      : PASSAGE_OPEN,
			.reply = span_of(reply),
		};
	all = recipients[0].result;
	for (size_t i = 1; i < passage.recipients; i++) {
		if (recipients[i].result != all)
			all = PASSAGE_OPEN;
	}
	passage.done(passage.context, all, recipients);
	fixture_settle(&f);
}

static void
expect_records(size_t count, const char *verdict, const char *reason, const char *reply)
{
	json_t *records = fixture_records(&f);

	ck_assert_uint_eq(record_count(records, "attempt"), count);
	for (size_t i = 0; i < count; i++) {
		json_t *record = record_find(records, "attempt", (int)i);

		ck_assert_str_eq(record_text(record, "verdict"), verdict);
		ck_assert_str_eq(record_text(record, "reason"), reason);
		ck_assert_msg(text_fits(record_text(record, "reply"), reply), "%s",
			      record_text(record, "reply"));
	}
	json_decref(records);
}

START_TEST(what_the_next_hop_took_is_told_and_not_stored)
{
	send_to(3, "NOOP\r\n");
	ck_assert_uint_eq(offered, 1);
	client_settle(&client);
	ck_assert_str_eq(client_take(&client), ""); /* nothing is said before */
	say("ttt", "250 2.0.0 Ok: queued as NEXT");
	client_settle(&client);
	ck_assert(text_fits(client_take(&client),
			    "250 2.0.0 Ok: passed on as *, next hop: 250 2.0.0 Ok: queued as "
			    "NEXT\r\n250 2.0.0 *\r\n"));
	expect_records(3, "relayed", "", "250 2.0.0 Ok: passed on as *");
	ck_assert_uint_eq(f.spool->message_count, 0);
	ck_assert_uint_eq(f.spool->drafts, 0);
	ck_assert_uint_eq(f.accepted + dropped + accepted, 0);
}
END_TEST

static const struct {
	const char *said, *reply;
} refusals[] = {
	{ "550 5.1.1 No such user", "550 5.1.1 No such user [*]\r\n" },
	{ "550 nobody", "550 5.0.0 nobody [*]\r\n" },
	{ "552 5.2.2 full", "552 5.2.2 full [*]\r\n" },
	{ "530 5.7.0 Log in first", "554 5.7.0 Log in first [*]\r\n" },
	{ "521 5.3.2 no mail here", "554 5.3.2 no mail here [*]\r\n" },
	{ "5.6.7 the next hop does not take SMTPUTF8",
	  "554 5.6.7 the next hop does not take SMTPUTF8 [*]\r\n" },
	{ "550 5.7.367 Remote server returned not permitted to relay -> 554 5.7.1 no",
	  "550 5.7.367 Remote server returned not permitted to relay -> 554 5.7.1 no [*]\r\n" },
	{ "550 4.1.1 class of another code", "550 5.0.0 4.1.1 class of another code [*]\r\n" },
	{ "554", "554 5.0.0 554 [*]\r\n" },
	{ "", "554 5.0.0 The next mail server refused the message [*]\r\n" },
};

START_TEST(what_the_next_hop_refused_is_refused_in_its_words)
{
	send_to(2, "NOOP\r\n");
	say("rr", refusals[_i].said);
	client_settle(&client);
	const char *got = client_take(&client);

	ck_assert_msg(strstr(got, "250 2.0.0") != NULL, "%s", got); /* NOOP */
	char wanted[256];

	(void)snprintf(wanted, sizeof(wanted), "%s250 2.0.0 *\r\n", refusals[_i].reply);
	ck_assert_msg(text_fits(got, wanted), "%s", got);
	expect_records(2, "refused", "next-hop.refused", "55* [*]");
	ck_assert_uint_eq(f.spool->message_count + f.spool->drafts + f.accepted, 0);
}
END_TEST

static const char *const open_results[] = { "ooo", "too", "tro", "trt", "rrt", "rro" };

START_TEST(anything_else_is_stored_before_250)
{
	f.spool->holds_commits = true;
	send_to(3, "NOOP\r\n");
	say(open_results[_i], "451 4.3.0 later");
	client_settle(&client);
	ck_assert_str_eq(client_take(&client), ""); /* it is not on the disk yet */
	ck_assert_uint_eq(marked, 1);
	fake_spool_release(f.spool);
	client_settle(&client);
	ck_assert(text_fits(client_take(&client), "250 2.0.0 Ok: queued as *\r\n250 2.0.0 *\r\n"));
	expect_records(3, "relayed", "", "250 2.0.0 Ok: queued as *");
	ck_assert_uint_eq(accepted, 1);
	ck_assert_uint_eq(f.accepted + dropped, 0);
}
END_TEST

START_TEST(what_cannot_be_stored_then_is_deferred)
{
	f.spool->status = SPOOL_FULL;
	send_to(2, "");
	say("to", "451 4.3.0 later");
	client_settle(&client);
	ck_assert(text_fits(client_take(&client), "452 4.3.1 *[*]\r\n"));
	expect_records(2, "deferred", "storage.full", "452 *");
	ck_assert_uint_eq(dropped, 1);
	ck_assert_uint_eq(accepted, 0);
}
END_TEST

static const struct {
	const char *results, *verdicts[3];
} left[] = {
	{ "ttt", { "relayed", "relayed", "relayed" } },
	{ "rrr", { "refused", "refused", "refused" } },
	{ "ooo", { "deferred", "deferred", "deferred" } },
	{ "tro", { "relayed", "refused", "deferred" } },
};

START_TEST(client_that_left_has_only_what_the_next_hop_said)
{
	json_t *records;

	send_to(3, "");
	(void)close(client.fd);
	client.fd = -1;
	fixture_settle(&f);
	say(left[_i].results, "250 2.0.0 whatever");
	records = fixture_records(&f);
	ck_assert_uint_eq(record_count(records, "attempt"), 3);
	for (int i = 0; i < 3; i++)
		ck_assert_str_eq(record_text(record_find(records, "attempt", i), "verdict"),
				 left[_i].verdicts[i]);
	json_decref(records);
	ck_assert_uint_eq(f.spool->message_count + f.spool->drafts, 0);
	ck_assert_uint_eq(accepted + f.accepted, 0);
	ck_assert_uint_eq(dropped, _i >= 2);
	ck_assert_uint_eq(session_server_count(f.server), 0);
}
END_TEST

START_TEST(client_that_closed_its_side_with_quit_unread_is_still_there)
{
	send_to(1, "QUIT\r\n");
	(void)shutdown(client.fd, SHUT_WR);
	fixture_settle(&f);
	say("o", "451 4.3.0 later");
	client_settle(&client);
	ck_assert(text_fits(client_take(&client), "250 2.0.0 Ok: queued as *\r\n221 2.0.0 *\r\n"));
}
END_TEST

START_TEST(server_that_goes_away_drops_it)
{
	send_to(2, "");
	session_server_free(&f.server);
	ck_assert_uint_eq(dropped, 1);
	ck_assert_uint_eq(f.spool->drafts, 0);
	fixture_start(&f);
}
END_TEST

START_TEST(no_passage_no_difference)
{
	takes = false;
	send_to(2, "");
	client_settle(&client);
	ck_assert_uint_eq(offered, 1);
	ck_assert_uint_eq(f.accepted, 1);
	ck_assert_uint_eq(marked + accepted + dropped, 0);
}
END_TEST

START_TEST(monitor_mode_and_a_stop_pass_nothing_on)
{
	client = client_connect(&f, CLIENT_NOBODY, PORT_MONITOR);
	client_send_text(&client, "EHLO x\r\n");
	client_send_text(&client, "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"
				  "DATA\r\n");
	client_take(&client);
	client_send_text(&client, "Subject: x\r\n\r\n.\r\n");
	client_settle(&client);
	ck_assert(text_fits(client_take(&client), "250 2.0.0 Ok: queued as *"));
	ck_assert_uint_eq(offered, 0);
	ck_assert_uint_eq(f.accepted, 1);
}
END_TEST

TCase *
passage_tcase(void)
{
	TCase *tc = tcase_create("passages");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_the_next_hop_took_is_told_and_not_stored);
	tcase_add_loop_test(tc, what_the_next_hop_refused_is_refused_in_its_words, 0,
			    (int)ARRAY_LEN(refusals));
	tcase_add_loop_test(tc, anything_else_is_stored_before_250, 0,
			    (int)ARRAY_LEN(open_results));
	tcase_add_test(tc, what_cannot_be_stored_then_is_deferred);
	tcase_add_loop_test(tc, client_that_left_has_only_what_the_next_hop_said, 0,
			    (int)ARRAY_LEN(left));
	tcase_add_test(tc, client_that_closed_its_side_with_quit_unread_is_still_there);
	tcase_add_test(tc, server_that_goes_away_drops_it);
	tcase_add_test(tc, no_passage_no_difference);
	tcase_add_test(tc, monitor_mode_and_a_stop_pass_nothing_on);
	return tc;
}
