/* SPDX-License-Identifier: ISC */
/*
 * What counts as a command and what as content: smuggling, overlong lines, early talkers; what
 * a message must not be; and that what is stored is what was sent.
 */
#include "session/session_test.h"

#include "session/fake_spool.h"
#include "smtp/envelope.h"

#include <stdio.h>
#include <stdlib.h>

static struct fixture f;
static struct client client;

static void
setup(void)
{
	fixture_init(&f);
	fixture_start(&f);
	client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
}

static void
teardown(void)
{
	client_close(&client);
	fixture_end(&f);
}

/* Come to where content is awaited. */
static void
data_begin(struct client *c)
{
	client_send_text(c, "EHLO app7\r\n");
	client_send_text(c, "MAIL FROM:<a@billing.example.com>\r\n"
			    "RCPT TO:<b@else.example>\r\n");
	ck_assert_int_eq(client_code(c, "DATA\r\n"), 354);
}

#define BYTES(text) { .ptr = (text), .len = sizeof(text) - 1 }

/* --- what ends a message --- */

/* None of these may end the data, so that what follows is never a command. */
static const struct span not_the_end[] = {
	BYTES("x\n.\n"), BYTES("x\n.\r\n"), BYTES("x\r\n.\n"), BYTES("x\r.\r"),
	BYTES("x\r.\r\n"), BYTES("x\r\n.\r"), BYTES("x\r\n.\rx"), BYTES("x\n\n.\r\n"),
	BYTES("x\r\r\n.\r\r\n"), BYTES("x\r\n\0.\r\n"), BYTES("x\r\n.\0\r\n"), BYTES("\n.\r\n"),
	BYTES("x\n.\r\r\n"), BYTES("x\r\n .\r\n"), BYTES("x\r\n..\r\n"), BYTES("x\r\n\r.\r\n"),
	BYTES("x\n\r.\r\n"), BYTES("x\r\n.\r\r\n"), BYTES(".\n"), BYTES(".\r\r\n"),
};

START_TEST(nothing_but_crlf_dot_crlf_ends_the_data)
{
	static const char *const behind = "MAIL FROM:<evil@billing.example.com>\r\n"
					  "RCPT TO:<victim@else.example>\r\nDATA\r\nevil\r\n";

	for (int at_once = 0; at_once < 2; at_once++) {
		struct client c = client_connect(&f, CLIENT_BILLING, at_once ? PORT_APPS :
									       PORT_NORMALISE);

		data_begin(&c);
		if (at_once) {
			struct buffer all;

			buffer_init(&all, 4096);
			(void)buffer_append(&all, not_the_end[_i]);
			(void)buffer_append_text(&all, behind);
			client_send(&c, buffer_span(&all));
			buffer_reset(&all);
		} else {
			client_send(&c, not_the_end[_i]);
			client_send_text(&c, behind);
		}
		ck_assert_str_eq(client_take(&c), "");
		/* now it ends, with one reply, and the session is in order */
		client_send_text(&c, "\r\n.\r\nNOOP\r\n");
		const char *replies = client_take(&c);

		ck_assert_msg(text_fits(replies, "250 2.0.0 Ok: queued as *\r\n250 2.0.0 OK\r\n") ||
				  text_fits(replies, "550 5.6.*]\r\n250 2.0.0 OK\r\n"),
			      "%s", replies);
		client_close(&c);
	}
	ck_assert_uint_le(f.spool->message_count, 2);
}
END_TEST

START_TEST(bare_newlines_are_refused_and_nothing_is_stored)
{
	static const char *const bad[] = { "a\nb\r\n", "a\rb\r\n", "\n\r\n", "a\r\r\n", "\r\n\rb\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct client c = client_connect(&f, CLIENT_BILLING, PORT_APPS);

		data_begin(&c);
		client_send_text(&c, bad[i]);
		ck_assert_int_eq(client_code(&c, ".\r\n"), 550);
		client_close(&c);
	}
	ck_assert_uint_eq(f.spool->message_count, 0);
}
END_TEST

START_TEST(bare_newlines_are_made_crlf_where_that_is_wanted)
{
	struct client c = client_connect(&f, CLIENT_BILLING, PORT_NORMALISE);

	data_begin(&c);
	client_send_text(&c, "Date: x\nMessage-ID: <x>\n\nline\n.\nend\r");
	ck_assert_int_eq(client_code(&c, "\r\n.\r\n"), 250);
	struct span body = message_body(buffer_span(&f.spool->messages[0]->body));

	ck_assert_msg(span_equal(body, span_of("Date: x\r\nMessage-ID: <x>\r\n\r\nline\r\n.\r\nend\r\n\r\n")),
		      SPAN_FMT, SPAN_ARG(body));
	client_close(&c);
}
END_TEST

START_TEST(bare_newlines_in_chunks_are_refused)
{
	client_send_text(&client, "EHLO x\r\n");
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nBDAT 3\r\na\nb");
	ck_assert_int_eq(client_code(&client, "BDAT 2 LAST\r\n\r\n"), 550);
	ck_assert_uint_eq(f.spool->message_count, 0);
}
END_TEST

/* --- what is stored is what was sent --- */

START_TEST(dots_are_unstuffed_and_our_field_is_in_front)
{
	data_begin(&client);
	client_send_text(&client, "Date: x\r\nMessage-ID: <x>\r\n\r\n..dot\r\n...\r\n.x\r\n");
	ck_assert_int_eq(client_code(&client, ".\r\n"), 250);
	struct span all = buffer_span(&f.spool->messages[0]->body);
	const char *text = arena_copy_text(&f.arena, all);

	ck_assert_msg(text_fits(text, "Received: from app7 ([10.20.1.7])*by relay.example.com "
				      "(relayd)*with ESMTP*id *for <b@else.example>;*"),
		      "%s", text);
	ck_assert(span_equal(message_body(buffer_span(&f.spool->messages[0]->body)),
			     span_of("Date: x\r\nMessage-ID: <x>\r\n\r\n.dot\r\n..\r\nx\r\n")));
}
END_TEST

/* What a message has too little of, and what it is then; "@" stands for the two fields. */
static const struct {
	const char *sent;
	const char *stored;
} incomplete[] = {
	{ "Subject: x\r\n\r\nhello\r\n", "Subject: x\r\n@\r\nhello\r\n" },
	{ "\r\nhello\r\n", "@\r\nhello\r\n" },
	{ "Subject: x\r\n", "Subject: x\r\n@" },
	{ "", "@" },
	{ "Subject: x\r\n y\r\n\r\n\r\n", "Subject: x\r\n y\r\n@\r\n\r\n" },
	{ "no header at all\r\n\r\nhello\r\n", "no header at all\r\n\r\nhello\r\n" },
	{ "Date: a\r\nMESSAGE-ID: <b>\r\n\r\nDate: \r\n",
	  "Date: a\r\nMESSAGE-ID: <b>\r\n\r\nDate: \r\n" },
};

/* The two fields, whatever they say, replaced by "@". */
static const char *
fields_hide(struct span body)
{
	char *text = arena_copy_text(&f.arena, body);
	char *id = strstr(text, "Message-ID: <");
	char *date = strstr(text, "Date: S");

	if (date == NULL)
		date = strstr(text, "Date: ");
	if (id == NULL || strstr(id, "@relay") == NULL)
		return text;
	ck_assert_ptr_eq(strchr(id, '\n') + 1, date);
	const char *rest = strchr(date, '\n') + 1;

	*id = '@';
	memmove(id + 1, rest, strlen(rest) + 1);
	return text;
}

START_TEST(message_without_date_and_id_gets_them)
{
	data_begin(&client);
	client_send_text(&client, incomplete[_i].sent);
	ck_assert_int_eq(client_code(&client, ".\r\n"), 250);
	ck_assert_str_eq(fields_hide(message_body(buffer_span(&f.spool->messages[0]->body))),
			 incomplete[_i].stored);
}
END_TEST

/* The same in chunks, cut at every octet. */
START_TEST(chunks_get_them_wherever_they_are_cut)
{
	size_t len = strlen(incomplete[_i].sent);

	client_send_text(&client, "EHLO x\r\n");
	for (size_t cut = 0; cut <= len; cut++) {
		struct span sent = span_of(incomplete[_i].sent);
		char command[40];

		client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
					  "RCPT TO:<b@else.example>\r\n");
		(void)snprintf(command, sizeof(command), "BDAT %zu\r\n", cut);
		client_send_text(&client, command);
		client_send(&client, span_first(sent, cut));
		(void)snprintf(command, sizeof(command), "BDAT %zu LAST\r\n", len - cut);
		client_send_text(&client, command);
		client_send(&client, span_skip(sent, cut));
		ck_assert_int_eq(client_code(&client, "NOOP\r\n"), 250);
		ck_assert_uint_eq(f.spool->message_count, cut + 1);
		ck_assert_str_eq(
		    fields_hide(message_body(buffer_span(&f.spool->messages[cut]->body))),
		    incomplete[_i].stored);
	}
}
END_TEST

START_TEST(received_field_names_no_recipient_among_several)
{
	client_send_text(&client, "EHLO x\r\n");
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nRCPT TO:<c@else.example>\r\n"
				  "DATA\r\n");
	client_send_text(&client, "x\r\n.\r\n");
	const char *text =
	    arena_copy_text(&f.arena, buffer_span(&f.spool->messages[0]->body));

	ck_assert(!text_fits(text, "*else.example*"));
}
END_TEST

START_TEST(envelope_holds_what_was_agreed)
{
	struct arena arena = { NULL, 0 };
	struct envelope envelope;

	client_send_text(&client, "EHLO x\r\n");
	client_send_text(&client,
			 "MAIL FROM:<a@billing.example.com> RET=HDRS ENVID=e1 SMTPUTF8\r\n"
			 "RCPT TO:<b@else.example> NOTIFY=NEVER\r\n"
			 "RCPT TO:<c@else.example> ORCPT=rfc822;o@else.example\r\nDATA\r\n");
	client_send_text(&client, "caf\303\251\r\n.\r\n");
	ck_assert_uint_eq(f.spool->message_count, 1);
	ck_assert_uint_eq(f.accepted, 1);
	ck_assert_int_eq(envelope_decode(buffer_span(&f.spool->messages[0]->envelope), &arena,
					 &envelope),
			 PARSE_OK);
	ck_assert(span_equal(envelope.sender, span_of("a@billing.example.com")));
	ck_assert(span_equal(envelope.envid, span_of("e1")));
	ck_assert(span_equal(envelope.client, span_of(CLIENT_BILLING)));
	ck_assert(span_equal(envelope.connector, span_of("apps")));
	ck_assert_int_eq(envelope.ret, RET_HDRS);
	ck_assert_int_eq(envelope.body, BODY_8BITMIME); /* though not declared */
	ck_assert(envelope.is_smtputf8);
	ck_assert_uint_eq(envelope.size_octets, f.spool->messages[0]->body.len);
	ck_assert_uint_eq(envelope.recipient_count, 2);
	ck_assert_uint_eq(envelope.recipients[0].notify, NOTIFY_NEVER);
	ck_assert(span_equal(envelope.recipients[1].orcpt, span_of("rfc822;o@else.example")));
	ck_assert(span_equal(envelope.recipients[1].grant, span_of("billing")));
	ck_assert(span_equal(envelope.recipients[1].route, span_of("granted")));
	ck_assert(span_equal(buffer_span(&f.spool->messages[0]->state), span_of("qq")));
	arena_reset(&arena);
}
END_TEST

static void
send_many(struct client *c, const char *line, size_t times)
{
	struct buffer all;

	buffer_init(&all, 1U << 24);
	for (size_t i = 0; i < times; i++)
		(void)buffer_append_text(&all, line);
	client_send(c, buffer_span(&all));
	buffer_reset(&all);
}

START_TEST(slow_spool_stops_the_client_and_loses_nothing)
{
	f.spool->waits_each = 1000;
	data_begin(&client);
	send_many(&client, "0123456789012345678901234567890123456789\r\n", 2000);
	ck_assert_int_eq(client_code(&client, ".\r\n"), 250);
	ck_assert_uint_eq(message_body(buffer_span(&f.spool->messages[0]->body)).len, 2000 * 42);

	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nBDAT 84000 LAST\r\n");
	send_many(&client, "0123456789012345678901234567890123456789\r\n", 2000);
	client_settle(&client);
	ck_assert_uint_eq(message_body(buffer_span(&f.spool->messages[1]->body)).len, 2000 * 42);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nBDAT 0\r\nBDAT 0 LAST\r\n");
	ck_assert_uint_eq(f.spool->message_count, 3);
}
END_TEST

START_TEST(draft_of_a_client_that_leaves_while_the_spool_is_slow_is_dropped)
{
	f.spool->waits_each = 10;
	data_begin(&client);
	client_push(&client, (struct span)BYTES("0123456789012345678901234567890\r\n"));
	loop_turn(f.loop, 0);
	ck_assert_uint_eq(f.spool->drafts, 1);
	client_close(&client);
	client_settle(&client);
	ck_assert_uint_eq(f.spool->drafts, 0);
	ck_assert_uint_eq(session_server_count(f.server), 0);
}
END_TEST

START_TEST(chunk_that_is_too_big_does_not_wait_for_a_draft_that_is_gone)
{
	f.spool->waits_each = 10; /* our Received field is enough */
	client_send_text(&client, "EHLO x\r\n");
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nBDAT 100001 LAST\r\n");
	client_take(&client);
	send_many(&client, "0123456789", 10000);
	client_send_text(&client, "x");
	ck_assert(text_fits(client_take(&client), "552 5.3.4 *]\r\n"));
	ck_assert_int_eq(client_code(&client, "NOOP\r\n"), 250);
}
END_TEST

/* --- what a message must not be --- */

START_TEST(message_that_grows_too_big_is_read_to_its_end_and_refused)
{
	data_begin(&client);
	send_many(&client, "0123456789012345678901234567890123456789\r\n", 3000);
	ck_assert_str_eq(client_take(&client), "");
	ck_assert_uint_eq(f.spool->drafts, 0);
	client_send_text(&client, ".\r\n");
	ck_assert(text_fits(client_take(&client), "552 5.3.4 *]\r\n"));
	ck_assert_int_eq(client_code(&client, "NOOP\r\n"), 250);
}
END_TEST

START_TEST(chunks_that_are_too_big_in_all_are_refused_and_consumed)
{
	client_send_text(&client, "EHLO x\r\n");
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nBDAT 60000\r\n");
	client_take(&client);
	send_many(&client, "RSET\r\n", 10000);
	ck_assert(text_fits(client_take(&client), "250 *\r\n"));
	client_send_text(&client, "BDAT 60000\r\n");
	send_many(&client, "QUIT\r\n", 10000);
	ck_assert(text_fits(client_take(&client), "552 5.3.4 *]\r\n"));
	client_send_text(&client, "BDAT 6 LAST\r\nQUIT\r\n");
	ck_assert(text_fits(client_take(&client), "503 *\r\n"));
	ck_assert_int_eq(client_code(&client, "NOOP\r\n"), 250);
	ck_assert_uint_eq(f.spool->drafts, 0);
}
END_TEST

START_TEST(nul_is_refused)
{
	data_begin(&client);
	client_send(&client, (struct span)BYTES("a\0b\r\n.\r\n"));
	ck_assert(text_fits(client_take(&client), "550 5.6.0 *]\r\n"));
}
END_TEST

START_TEST(line_of_998_octets_is_taken_and_one_of_999_refused)
{
	char line[1002];

	for (size_t len = 998; len <= 999; len++) {
		struct client c = client_connect(&f, CLIENT_BILLING, PORT_APPS);

		data_begin(&c);
		memset(line, 'x', len);
		memcpy(line + len, "\r\n", 3);
		client_send_text(&c, line);
		ck_assert_int_eq(client_code(&c, ".\r\n"), len == 998 ? 250 : 550);
		client_close(&c);
	}
}
END_TEST

START_TEST(loop_is_cut_by_hops_and_by_our_own_fields)
{
	data_begin(&client);
	send_many(&client, "Received: from x by y; z\r\n", 60);
	ck_assert_int_eq(client_code(&client, "\r\n.\r\n"), 250);

	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	send_many(&client, "Received: from x by y; z\r\n", 61);
	client_take(&client);
	client_send_text(&client, "\r\n.\r\n");
	ck_assert(text_fits(client_take(&client), "554 5.4.6 *]\r\n"));

	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	send_many(&client, "Received: from x\r\n\tby relay.example.com (relayd) id 1; z\r\n", 6);
	client_take(&client);
	client_send_text(&client, "\r\n.\r\n");
	ck_assert(text_fits(client_take(&client), "554 5.4.6 *]\r\n"));
	/* in the body they mean nothing */
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_send_text(&client, "Subject: a bounce\r\n\r\n");
	send_many(&client, "Received: from x by y; z\r\n", 100);
	ck_assert_int_eq(client_code(&client, ".\r\n"), 250);
}
END_TEST

START_TEST(header_that_is_too_big_is_refused)
{
	data_begin(&client);
	send_many(&client, "X-Bomb: 0123456789012345678901234567890123456789\r\n", 1500);
	client_send_text(&client, "\r\nx\r\n.\r\n");
	ck_assert(text_fits(client_take(&client), "552 5.3.4 *]\r\n"));
}
END_TEST

/* --- what is a command --- */

START_TEST(line_ends_with_crlf_only)
{
	static const struct { struct span bytes; const char *reply; } cases[] = {
		{ BYTES("NOOP\nNOOP\r\n"), "500 5.5.2 *\r\n" },
		{ BYTES("NOOP\rNOOP\r\n"), "500 5.5.2 *\r\n" },
		{ BYTES("NOOP\r\r\n"), "500 5.5.2 *\r\n" },
		{ BYTES("NOOP\n\r\n"), "500 5.5.2 *\r\n" },
		{ BYTES("\nNOOP\r\n"), "500 5.5.2 *\r\n" },
		{ BYTES("NO\0OP\r\n"), "500 5.5.2 *\r\n" },
		{ BYTES("NOOP \377\r\n"), "500 5.5.2 *\r\n" },
		{ BYTES("MAIL FROM:<a\r\nRCPT TO:<b>@x>\r\n"), "501 *\r\n503 *\r\n" },
		{ BYTES("NOOP \t \r\n"), "250 2.0.0 OK\r\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client c = client_connect(&f, CLIENT_BILLING, PORT_APPS);

		client_send_text(&c, "EHLO x\r\n");
		client_take(&c);
		client_send(&c, cases[i].bytes);
		const char *got = client_take(&c);

		ck_assert_msg(text_fits(got, cases[i].reply), "%zu: %s", i, got);
		client_close(&c);
	}
	client_send_text(&client, "NOOP\n");
	client_take(&client);
	client_send_text(&client, "NOOP\n");
	ck_assert_str_eq(client_take(&client), ""); /* it is not even a line yet */
}
END_TEST

START_TEST(overlong_line_is_one_error_however_it_ends)
{
	static const size_t lengths[] = { 2046, 2047, 2048, 2049, 4096, 100000 };
	static const char *const tails[] = { "\r\n", "\n\r\n", "\nQUIT\r\n", "\rQUIT\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		for (size_t t = 0; t < ARRAY_LEN(tails); t++) {
			struct client c = client_connect(&f, CLIENT_BILLING, PORT_APPS);
			char *line = malloc(lengths[i] + 1);

			memset(line, 'A', lengths[i]);
			memcpy(line, "NOOP ", 5);
			line[lengths[i]] = '\0';
			client_take(&c);
			client_send_text(&c, line);
			ck_assert_str_eq(client_take(&c), "");
			client_send_text(&c, tails[t]);
			const char *want = t == 0 && lengths[i] == 2046 ? "250 *\r\n" :
									  "500 5.5.2 *\r\n";
			const char *got = client_take(&c);

			ck_assert_msg(text_fits(got, want), "%zu, tail %zu: %s", lengths[i], t,
				      got);
			ck_assert(!c.has_ended);
			ck_assert_int_eq(client_code(&c, "NOOP\r\n"), 250);
			client_close(&c);
			free(line);
		}
	}
}
END_TEST

START_TEST(ten_megabytes_without_a_newline_take_no_memory)
{
	char block[16384];

	memset(block, 'x', sizeof(block));
	client_take(&client);
	for (int i = 0; i < 640; i++)
		client_push(&client, (struct span){ block, sizeof(block) });
	client_settle(&client);
	ck_assert_str_eq(client_take(&client), "");
	client_send_text(&client, "\r\n");
	ck_assert(text_fits(client_take(&client), "500 5.5.2 *\r\n"));
}
END_TEST

START_TEST(early_talker_is_turned_away)
{
	struct client c = client_connect_speaking(&f, CLIENT_BILLING, PORT_APPS,
						  span_of("EHLO x\r\nMAIL FROM:<>\r\n"));

	ck_assert(text_fits(client_take(&c), "554 5.5.1 *\r\n"));
	ck_assert(c.has_ended);
	client_close(&c);
}
END_TEST

START_TEST(what_follows_ehlo_unasked_ends_the_session)
{
	client_take(&client);
	client_send_text(&client, "EHLO x\r\nMAIL FROM:<a@billing.example.com>\r\n");
	ck_assert(text_fits(client_take(&client), "554 5.5.1 *\r\n"));
	ck_assert(client.has_ended);
}
END_TEST

START_TEST(what_follows_data_unasked_ends_the_session_and_nothing_is_stored)
{
	client_send_text(&client, "EHLO x\r\n");
	client_take(&client);
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\nx\r\n.\r\n");
	ck_assert(text_fits(client_take(&client), "250 *\r\n250 *\r\n554 5.5.1 *\r\n"));
	ck_assert(client.has_ended);
	ck_assert_uint_eq(f.spool->message_count, 0);
}
END_TEST

TCase *
content_tcase(void)
{
	TCase *tc = tcase_create("content");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, nothing_but_crlf_dot_crlf_ends_the_data, 0,
			    (int)ARRAY_LEN(not_the_end));
	tcase_add_test(tc, bare_newlines_are_refused_and_nothing_is_stored);
	tcase_add_test(tc, bare_newlines_are_made_crlf_where_that_is_wanted);
	tcase_add_test(tc, bare_newlines_in_chunks_are_refused);
	tcase_add_test(tc, dots_are_unstuffed_and_our_field_is_in_front);
	tcase_add_loop_test(tc, message_without_date_and_id_gets_them, 0,
			    ARRAY_LEN(incomplete));
	tcase_add_loop_test(tc, chunks_get_them_wherever_they_are_cut, 0,
			    ARRAY_LEN(incomplete));
	tcase_add_test(tc, received_field_names_no_recipient_among_several);
	tcase_add_test(tc, envelope_holds_what_was_agreed);
	tcase_add_test(tc, slow_spool_stops_the_client_and_loses_nothing);
	tcase_add_test(tc, draft_of_a_client_that_leaves_while_the_spool_is_slow_is_dropped);
	tcase_add_test(tc, chunk_that_is_too_big_does_not_wait_for_a_draft_that_is_gone);
	tcase_add_test(tc, message_that_grows_too_big_is_read_to_its_end_and_refused);
	tcase_add_test(tc, chunks_that_are_too_big_in_all_are_refused_and_consumed);
	tcase_add_test(tc, nul_is_refused);
	tcase_add_test(tc, line_of_998_octets_is_taken_and_one_of_999_refused);
	tcase_add_test(tc, loop_is_cut_by_hops_and_by_our_own_fields);
	tcase_add_test(tc, header_that_is_too_big_is_refused);
	tcase_add_test(tc, line_ends_with_crlf_only);
	tcase_add_test(tc, overlong_line_is_one_error_however_it_ends);
	tcase_add_test(tc, ten_megabytes_without_a_newline_take_no_memory);
	tcase_add_test(tc, early_talker_is_turned_away);
	tcase_add_test(tc, what_follows_ehlo_unasked_ends_the_session);
	tcase_add_test(tc, what_follows_data_unasked_ends_the_session_and_nothing_is_stored);
	return tc;
}
