/* SPDX-License-Identifier: ISC */
/* Every verb in every state: the order of RFC 5321 s.4.1.4, walked over the wire. */
#include "session/session_test.h"

#include <stdio.h>

enum state {
	CONNECTED,
	READY,
	MAIL,
	RCPT,
	CHUNKS,
	STATES,
};

static const char *const ways[STATES] = {
	[CONNECTED] = "",
	[READY] = "EHLO x\r\n",
	[MAIL] = "EHLO x\r\n|MAIL FROM:<a@billing.example.com>\r\n",
	[RCPT] = "EHLO x\r\n|MAIL FROM:<a@billing.example.com>\r\nRCPT TO:<b@else.example>\r\n",
	[CHUNKS] = ("EHLO x\r\n|MAIL FROM:<a@billing.example.com>\r\nRCPT TO:<b@else.example>\r\n"
		    "BDAT 2\r\nab"),
};

/* clang-format off */
static const struct { const char *command; int code[STATES]; enum state then[STATES]; } verbs[] = {
	/*                                      CONNECTED READY  MAIL   RCPT   CHUNKS */
	{ "EHLO y\r\n",                           { 250,   250,   250,   250,   250 }, { READY, READY, READY, READY, READY } },
	{ "HELO y\r\n",                           { 250,   250,   250,   250,   250 }, { READY, READY, READY, READY, READY } },
	{ "EHLO\r\n",                             { 501,   501,   501,   501,   501 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "MAIL FROM:<c@billing.example.com>\r\n", { 503,  250,   503,   503,   503 }, { CONNECTED, MAIL, MAIL, RCPT, CHUNKS } },
	{ "MAIL FROM:c\r\n",                      { 503,   501,   503,   503,   503 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "RCPT TO:<d@else.example>\r\n",         { 503,   503,   250,   250,   503 }, { CONNECTED, READY, RCPT, RCPT, CHUNKS } },
	{ "RCPT TO:<d>\r\n",                      { 503,   503,   501,   501,   503 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "DATA x\r\n",                           { 503,   503,   554,   501,   503 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "BDAT 3\r\nabc",                        { 503,   503,   554,   250,   250 }, { CONNECTED, READY, MAIL, CHUNKS, CHUNKS } },
	{ "BDAT 3 LAST\r\nabc",                   { 503,   503,   554,   250,   250 }, { CONNECTED, READY, MAIL, READY, READY } },
	{ "BDAT 0\r\n",                           { 503,   503,   554,   250,   250 }, { CONNECTED, READY, MAIL, CHUNKS, CHUNKS } },
	{ "RSET\r\n",                             { 250,   250,   250,   250,   250 }, { CONNECTED, READY, READY, READY, READY } },
	{ "RSET x\r\n",                           { 501,   501,   501,   501,   501 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "NOOP\r\n",                             { 250,   250,   250,   250,   250 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "VRFY x\r\n",                           { 252,   252,   252,   252,   252 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "EXPN x\r\n",                           { 502,   502,   502,   502,   502 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "HELP\r\n",                             { 214,   214,   214,   214,   214 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "STARTTLS\r\n",                         { 503,   502,   503,   503,   503 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "AUTH PLAIN AGEAYg==\r\n",              { 503,   503,   503,   503,   503 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "XCLIENT ADDR=1.2.3.4\r\n",             { 550,   550,   503,   503,   503 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "TURN\r\n",                             { 502,   502,   502,   502,   502 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "BOGUS\r\n",                            { 500,   500,   500,   500,   500 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
	{ "\r\n",                                 { 500,   500,   500,   500,   500 }, { CONNECTED, READY, MAIL, RCPT, CHUNKS } },
};
/* clang-format on */

/* Which state the session is in, told by what it answers; changes the state. */
static enum state
state_probe(struct client *client)
{
	if (client_code(client, "RCPT TO:<p@else.example>\r\n") == 250)
		return client_code(client, "RSET\r\n") == 250 ? RCPT : STATES;
	if (client_code(client, "BDAT 0\r\n") == 250)
		return CHUNKS;
	int code = client_code(client, "MAIL FROM:<p@billing.example.com>\r\n");

	return code == 250 ? READY : CONNECTED;
}

START_TEST(verb_is_answered_as_its_state_demands)
{
	const char *command = verbs[_i].command;

	for (enum state state = CONNECTED; state < STATES; state++) {
		struct fixture f;

		fixture_init(&f);
		fixture_start(&f);
		struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
		const char *way = ways[state], *bar = strchr(way, '|');

		if (bar != NULL) {
			client_send(&client, (struct span){ way, (size_t)(bar - way) });
			way = bar + 1;
		}
		client_send_text(&client, way);
		ck_assert_msg(client_code(&client, command) == verbs[_i].code[state],
			      "%s in state %d: %s", command, (int)state, client_take(&client));
		ck_assert(!client.has_ended);

		enum state then = verbs[_i].then[state], now = state_probe(&client);

		/* the probe cannot tell MAIL from RCPT: both take a recipient */
		if (then == MAIL)
			then = RCPT;
		ck_assert_msg(now == then, "%s in state %d leads to %d, not %d", command,
			      (int)state, (int)now, (int)then);
		client_close(&client);
		fixture_end(&f);
	}
}
END_TEST

START_TEST(data_is_accepted_only_with_a_recipient)
{
	static const int codes[STATES] = { 503, 503, 554, 354, 503 };

	for (enum state state = CONNECTED; state < STATES; state++) {
		struct fixture f;

		fixture_init(&f);
		fixture_start(&f);
		struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
		const char *way = ways[state], *bar = strchr(way, '|');

		if (bar != NULL) {
			client_send(&client, (struct span){ way, (size_t)(bar - way) });
			way = bar + 1;
		}
		client_send_text(&client, way);
		ck_assert_int_eq(client_code(&client, "DATA\r\n"), codes[state]);
		if (state == RCPT) {
			/* whatever looks like a command is content now */
			ck_assert_int_eq(client_code(&client, "QUIT\r\nRSET\r\n"), 0);
			ck_assert_int_eq(client_code(&client, ".\r\n"), 250);
		}
		client_close(&client);
		fixture_end(&f);
	}
}
END_TEST

START_TEST(quit_closes_in_every_state)
{
	for (enum state state = CONNECTED; state < STATES; state++) {
		struct fixture f;

		fixture_init(&f);
		fixture_start(&f);
		struct client client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
		const char *way = ways[state], *bar = strchr(way, '|');

		if (bar != NULL) {
			client_send(&client, (struct span){ way, (size_t)(bar - way) });
			way = bar + 1;
		}
		client_send_text(&client, way);
		ck_assert_int_eq(client_code(&client, "QUIT\r\n"), 221);
		ck_assert(client.has_ended);
		ck_assert_uint_eq(session_server_count(f.server), 0);
		client_close(&client);
		fixture_end(&f);
	}
}
END_TEST

TCase *
order_tcase(void)
{
	TCase *tc = tcase_create("order");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, verb_is_answered_as_its_state_demands, 0,
			    (int)ARRAY_LEN(verbs));
	tcase_add_test(tc, data_is_accepted_only_with_a_recipient);
	tcase_add_test(tc, quit_closes_in_every_state);
	return tc;
}
