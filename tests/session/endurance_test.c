/* SPDX-License-Identifier: ISC */
/*
 * Clients that are slow, too many, never satisfied or gone; the tarpit; stopping. Waiting is
 * for events, with short time-outs in the settings.
 */
#include "session/session_test.h"

#include "session/fake_spool.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static struct fixture f;

static void
setup(void)
{
	fixture_init(&f);
}

static void
teardown(void)
{
	fixture_end(&f);
}

/* Run turns until the server closes; how long that took. */
static int64_t
end_await(struct client *client)
{
	int64_t begin = clock_monotonic_ms();

	while (!client->has_ended && clock_monotonic_ms() - begin < 5000) {
		loop_turn(f.loop, 10);
		client_settle(client);
	}
	ck_assert(client->has_ended);
	return clock_monotonic_ms() - begin;
}

static void
ready(struct client *client)
{
	client_send_text(client, "EHLO x\r\n");
	client_take(client);
}

/* --- time --- */

START_TEST(silent_client_is_told_and_closed)
{
	f.settings[0].inactivity_ms = 60;
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);

	client_take(&client);
	ck_assert_int_ge(end_await(&client), 50);
	ck_assert(text_fits(client_take(&client), "421 4.4.2 *\r\n"));
	client_close(&client);
}
END_TEST

START_TEST(dripping_client_does_not_live_longer)
{
	f.settings[0].inactivity_ms = 150;
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	int64_t begin = clock_monotonic_ms();

	ready(&client);
	while (!client.has_ended && clock_monotonic_ms() - begin < 5000) {
		client_send_text(&client, "N");
		loop_turn(f.loop, 5);
		client_settle(&client);
	}
	ck_assert_int_lt(clock_monotonic_ms() - begin, 2000);
	ck_assert(text_fits(client_take(&client), "421 4.4.2 *\r\n"));
	client_close(&client);
}
END_TEST

START_TEST(dripping_content_does_not_live_longer)
{
	f.settings[0].inactivity_ms = 150;
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	int64_t begin = clock_monotonic_ms();

	ready(&client);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_take(&client);
	while (!client.has_ended && clock_monotonic_ms() - begin < 5000) {
		client_send_text(&client, "x");
		loop_turn(f.loop, 5);
		client_settle(&client);
	}
	ck_assert_int_lt(clock_monotonic_ms() - begin, 2000);
	ck_assert(text_fits(client_take(&client), "421 4.4.2 *\r\n"));
	client_close(&client);
	json_t *records = fixture_records(&f);

	ck_assert_uint_eq(record_count(records, "attempt"), 1);
	ck_assert_str_eq(record_text(record_find(records, "attempt", 0), "reason"),
			 "session.timeout");
	json_decref(records);
}
END_TEST

START_TEST(busy_client_is_cut_when_its_time_is_over)
{
	f.settings[0].connection_ms = 150;
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	int64_t begin = clock_monotonic_ms();

	ready(&client);
	while (!client.has_ended && clock_monotonic_ms() - begin < 5000) {
		client_send_text(&client, "NOOP\r\n");
		loop_turn(f.loop, 5);
		client_settle(&client);
	}
	ck_assert(text_fits(client_take(&client), "*421 4.4.2 *\r\n"));
	client_close(&client);
}
END_TEST

START_TEST(client_is_not_blamed_for_a_slow_disk)
{
	f.settings[0].inactivity_ms = 50;
	f.settings[0].connection_ms = 100;
	fixture_start(&f);
	f.spool->holds_commits = true;
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	int64_t begin = clock_monotonic_ms();

	ready(&client);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_send_text(&client, "x\r\n.\r\n");
	client_take(&client);
	while (clock_monotonic_ms() - begin < 250)
		loop_turn(f.loop, 20);
	client_settle(&client);
	ck_assert(!client.has_ended);
	ck_assert_str_eq(client_take(&client), "");
	fake_spool_release(f.spool);
	client_settle(&client);
	ck_assert(text_fits(client_take(&client), "250 2.0.0 Ok: queued as *"));
	client_close(&client);
}
END_TEST

/* --- the tarpit --- */

START_TEST(negative_reply_waits_and_order_is_kept_while_others_go_on)
{
	f.settings[0].tarpit_ms = 120;
	fixture_start(&f);
	struct client slow = client_connect(&f, CLIENT_NOBODY, PORT_APPS);
	struct client other = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	int64_t begin = clock_monotonic_ms();

	ready(&slow);
	ready(&other);
	client_send_text(&slow, "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@else.example>\r\nNOOP\r\n"
				"FOO\r\nRSET\r\n");
	ck_assert_str_eq(client_take(&slow), "250 2.1.0 Sender OK\r\n");
	ck_assert_int_eq(client_code(&other, "NOOP\r\n"), 250);
	client_wait_lines(&slow, 2);
	ck_assert_int_ge(clock_monotonic_ms() - begin, 110);
	ck_assert(text_fits(client_take(&slow), "550 5.7.1 *]\r\n250 2.0.0 OK\r\n"));
	client_wait_lines(&slow, 2);
	ck_assert_int_ge(clock_monotonic_ms() - begin, 230);
	ck_assert(text_fits(client_take(&slow), "500 5.5.1 *\r\n250 2.0.0 Reset\r\n"));
	client_close(&slow);
	client_close(&other);
}
END_TEST

START_TEST(client_that_leaves_the_tarpit_leaves_nothing_behind)
{
	f.settings[0].tarpit_ms = 60000;
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_NOBODY, PORT_APPS);

	ready(&client);
	client_send_text(&client, "FOO\r\nNOOP\r\n");
	ck_assert_str_eq(client_take(&client), "");
	session_server_drain(f.server, true);
	client_settle(&client);
	ck_assert(text_fits(client_take(&client), "500 *\r\n421 4.3.2 *\r\n"));
	ck_assert_uint_eq(session_server_count(f.server), 0);
	client_close(&client);
}
END_TEST

/* --- too many, too much --- */

START_TEST(flood_of_useless_commands_ends_the_session)
{
	static const char *const floods[] = { "NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "HELP\r\n" };

	fixture_start(&f);
	for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
		struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);

		ready(&client);
		for (int n = 0; n < 200 && !client.has_ended; n++)
			client_send_text(&client, floods[i]);
		ck_assert(client.has_ended);
		ck_assert(text_fits(client_take(&client), "*421 4.7.0 *\r\n"));
		client_close(&client);
	}
}
END_TEST

START_TEST(flood_of_recipients_ends_the_session)
{
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_NOBODY, PORT_APPS);
	size_t sent = 0;

	ready(&client);
	client_send_text(&client, "MAIL FROM:<a@x.example>\r\n");
	for (; sent < 20000 && !client.has_ended; sent++)
		client_send_text(&client, "RCPT TO:<b@else.example>\r\n");
	ck_assert(client.has_ended);
	ck_assert_uint_gt(sent, 9999);
	const char *text = client_take(&client);
	size_t len = strlen(text);
	const char *tail = text + (len > 300 ? len - 300 : 0);

	ck_assert_msg(text_fits(tail, "*452 *452 *421 4.7.0 *\r\n"), "%s", tail);
	client_close(&client);
	ck_assert_uint_eq(f.figures[0].refused, 10000);
}
END_TEST

START_TEST(messages_make_up_for_useless_commands)
{
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);

	ready(&client);
	for (int n = 0; n < 100; n++) {
		client_send_text(&client, "RSET\r\nNOOP\r\nMAIL FROM:<a@billing.example.com>\r\n"
					  "RCPT TO:<b@else.example>\r\nDATA\r\n");
		ck_assert_int_eq(client_code(&client, "x\r\n.\r\n"), 250);
	}
	ck_assert_uint_eq(f.accepted, 100);
	client_close(&client);
}
END_TEST

START_TEST(client_that_reads_no_replies_is_not_served_on)
{
	fixture_start(&f);
	f.settings[0].protocol_errors_max = 0;
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	char block[6 * 1000];
	ssize_t sent = 0;

	ready(&client);
	for (size_t i = 0; i < sizeof(block); i += 6)
		memcpy(block + i, "NOOP\r\n", 6);
	/* as long as the server takes anything: it stops long before 64 MB */
	for (int idle = 0; idle < 20;) {
		ssize_t n = send(client.fd, block, sizeof(block), MSG_NOSIGNAL);

		sent += n > 0 ? n : 0;
		idle = n > 0 ? 0 : idle + 1;
		ck_assert_int_lt(sent, 64000000);
		loop_turn(f.loop, 0);
	}
	ck_assert(!client.has_ended);
	/* and when it reads them, all of them are there */
	client_settle(&client);
	size_t replies = 0;
	struct span got = buffer_span(&client.received);

	for (size_t i = 0; i < got.len; i++)
		replies += got.ptr[i] == '\n';
	ck_assert_uint_gt(replies, 1000);
	client_close(&client);
}
END_TEST

START_TEST(connections_are_limited_by_source_and_in_all)
{
	struct client clients[4];

	f.settings[0].connections_per_source_max = 2;
	f.settings[0].connections_max = 3;
	fixture_start(&f);
	clients[0] = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	clients[1] = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	clients[2] = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	ck_assert(text_fits(client_take(&clients[1]), "220 *"));
	ck_assert(text_fits(client_take(&clients[2]), "421 4.3.2 *\r\n"));
	ck_assert(clients[2].has_ended);
	client_close(&clients[2]);
	clients[2] = client_connect(&f, CLIENT_NOBODY, PORT_APPS);
	ck_assert(text_fits(client_take(&clients[2]), "220 *"));
	clients[3] = client_connect(&f, CLIENT_PARTNERS, PORT_APPS);
	ck_assert(text_fits(client_take(&clients[3]), "421 4.3.2 *\r\n"));
	client_close(&clients[3]);
	ck_assert_uint_eq(f.figures[0].connections_refused, 2);
	ck_assert_uint_eq(f.figures[0].sessions_open, 3);

	/* one leaves, one may come */
	client_close(&clients[0]);
	clients[3] = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	ck_assert(text_fits(client_take(&clients[3]), "220 *"));
	for (int i = 1; i < 4; i++)
		client_close(&clients[i]);
	json_t *records = fixture_records(&f);

	ck_assert_uint_eq(record_count(records, "connect"), 2);
	ck_assert_str_eq(record_text(record_find(records, "connect", 0), "reason"),
			 "connection.source-limit");
	ck_assert_str_eq(record_text(record_find(records, "connect", 1), "reason"),
			 "connection.limit");
	json_decref(records);
}
END_TEST

START_TEST(stranger_is_turned_away_and_recorded)
{
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_STRANGER, PORT_APPS);

	ck_assert(text_fits(client_take(&client), "421 4.3.2 *\r\n"));
	ck_assert(client.has_ended);
	client_close(&client);
	json_t *records = fixture_records(&f);
	json_t *record = record_find(records, "connect", 0);

	ck_assert_str_eq(record_text(record, "reason"), "connection.no-connector");
	ck_assert_str_eq(record_text(json_object_get(record, "client"), "ip"), CLIENT_STRANGER);
	json_decref(records);
}
END_TEST

/* --- stopping --- */

START_TEST(draining_at_once_spares_only_transactions)
{
	fixture_start(&f);
	struct client idle = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	struct client busy = client_connect(&f, CLIENT_BILLING, PORT_APPS);

	ready(&idle);
	ready(&busy);
	client_send_text(&busy, "MAIL FROM:<a@billing.example.com>\r\n"
				"RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_take(&busy);
	session_server_drain(f.server, true);
	client_settle(&idle);
	ck_assert(text_fits(client_take(&idle), "421 4.3.2 *\r\n"));
	ck_assert(idle.has_ended);
	client_send_text(&busy, "x\r\n.\r\n");
	ck_assert(text_fits(client_take(&busy), "250 2.0.0 Ok: *\r\n421 4.3.2 *\r\n"));
	ck_assert(busy.has_ended);
	ck_assert_uint_eq(f.accepted, 1);
	client_close(&idle);
	client_close(&busy);
	/* nobody new is served */
	idle = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	ck_assert(text_fits(client_take(&idle), "421 4.3.2 *\r\n"));
	client_close(&idle);
}
END_TEST

START_TEST(draining_for_a_reload_lets_sessions_go_on)
{
	fixture_start(&f);
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);

	ready(&client);
	session_server_drain(f.server, false);
	ck_assert_int_eq(client_code(&client, "NOOP\r\n"), 250);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	ck_assert_int_eq(client_code(&client, "x\r\n.\r\n"), 250);
	ck_assert_int_eq(client_code(&client, "QUIT\r\n"), 221);
	client_close(&client);
	ck_assert_uint_eq(session_server_count(f.server), 0);
}
END_TEST

START_TEST(server_that_is_freed_leaves_no_message_that_nobody_was_told_of)
{
	fixture_start(&f);
	f.spool->holds_commits = true;
	struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);

	ready(&client);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_send_text(&client, "x\r\n.\r\n");
	session_server_free(&f.server);
	ck_assert_ptr_null(f.server);
	fake_spool_release(f.spool);
	fixture_settle(&f);
	ck_assert_uint_eq(f.spool->message_count, 1);
	ck_assert(f.spool->messages[0]->is_removed);
	ck_assert_uint_eq(f.accepted, 0);
	client_close(&client);
}
END_TEST

/* --- memory --- */

START_TEST(sessions_are_small)
{
	enum { COUNT = 200 };
	struct client clients[COUNT];

	f.settings[0].connections_per_source_max = 0;
	f.settings[0].connections_max = 0;
	fixture_start(&f);
	for (int i = 0; i < COUNT; i++) {
		clients[i] = client_connect(&f, CLIENT_BILLING, PORT_APPS);
		ready(&clients[i]);
	}
	ck_assert_uint_eq(session_server_count(f.server), COUNT);
	for (int i = 0; i < COUNT; i++)
		client_close(&clients[i]);
	ck_assert_uint_eq(session_server_count(f.server), 0);
}
END_TEST

TCase *
endurance_tcase(void)
{
	TCase *tc = tcase_create("endurance");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, silent_client_is_told_and_closed);
	tcase_add_test(tc, dripping_client_does_not_live_longer);
	tcase_add_test(tc, dripping_content_does_not_live_longer);
	tcase_add_test(tc, busy_client_is_cut_when_its_time_is_over);
	tcase_add_test(tc, client_is_not_blamed_for_a_slow_disk);
	tcase_add_test(tc, negative_reply_waits_and_order_is_kept_while_others_go_on);
	tcase_add_test(tc, client_that_leaves_the_tarpit_leaves_nothing_behind);
	tcase_add_test(tc, flood_of_useless_commands_ends_the_session);
	tcase_add_test(tc, flood_of_recipients_ends_the_session);
	tcase_add_test(tc, messages_make_up_for_useless_commands);
	tcase_add_test(tc, client_that_reads_no_replies_is_not_served_on);
	tcase_add_test(tc, connections_are_limited_by_source_and_in_all);
	tcase_add_test(tc, stranger_is_turned_away_and_recorded);
	tcase_add_test(tc, draining_at_once_spares_only_transactions);
	tcase_add_test(tc, draining_for_a_reload_lets_sessions_go_on);
	tcase_add_test(tc, server_that_is_freed_leaves_no_message_that_nobody_was_told_of);
	tcase_add_test(tc, sessions_are_small);
	return tc;
}
