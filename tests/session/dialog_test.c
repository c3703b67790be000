/* SPDX-License-Identifier: ISC */
/*
 * Whole dialogs. "C: " a line from the client, "R: " octets without a line's end, "S: " a line
 * that the server must answer ('*' stands for anything), "E:" the server must have closed. Each
 * is played line by line, with all that the script has between two "S:" in one packet, and
 * byte by byte, and the outcome must be the same.
 */
#include "session/session_test.h"

#include <stdio.h>

struct dialog {
	const char *name;
	const char *client;
	uint16_t port;
	const char *const *script;
};

#define SCRIPT(...) (const char *const[]){ __VA_ARGS__, NULL }
#define GREETED	    "S: 220 relay.example.com ESMTP*", "C: EHLO app7", EHLO_REPLY
#define EHLO_REPLY                                                                        \
	"S: 250-relay.example.com", "S: 250-PIPELINING", "S: 250-8BITMIME",               \
	    "S: 250-SMTPUTF8", "S: 250-ENHANCEDSTATUSCODES", "S: 250-DSN",                \
	    "S: 250-CHUNKING", "S: 250-SIZE 100000", "S: 250-LIMITS RCPTMAX=5",           \
	    "S: 250 HELP"
#define BILLING CLIENT_BILLING, PORT_APPS

static const struct dialog dialogs[] = {
	{ "a message is taken", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: DATA", "S: 250 2.1.0 *", "S: 250 2.1.5 *", "S: 354 *", "C: Subject: hi",
		 "C: ", "C: hello", "C: .", "S: 250 2.0.0 Ok: queued as *", "C: QUIT",
		 "S: 221 2.0.0 relay.example.com *", "E:") },
	{ "HELO is enough", BILLING,
	  SCRIPT("S: 220 *", "C: HELO printer", "S: 250 relay.example.com*",
		 "C: MAIL FROM:<a@billing.example.com>", "S: 250 *", "C: RCPT TO:<b@else.example>",
		 "S: 250 *", "C: DATA", "S: 354 *", "C: .", "S: 250 *", "C: QUIT", "S: 221 *",
		 "E:") },
	{ "two messages, the second pipelined behind the first's end", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: DATA", "S: 250 *", "S: 250 *", "S: 354 *", "C: one", "C: .",
		 "C: MAIL FROM:<>", "C: RCPT TO:<c@else.example>", "C: DATA", "S: 250 2.0.0 *",
		 "S: 250 *", "S: 250 *", "S: 354 *", "C: two", "C: .", "C: QUIT",
		 "S: 250 2.0.0 *", "S: 221 *", "E:") },
	{ "no grant is said at RCPT", CLIENT_NOBODY, PORT_APPS,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "S: 250 2.1.0 *",
		 "C: RCPT TO:<b@else.example>", "S: 550 5.7.1 Unable to relay [*]",
		 "C: RCPT TO:<c@else.example>", "S: 550 5.7.1 Unable to relay [*.2]",
		 "C: DATA", "S: 554 5.5.1 *", "C: QUIT", "S: 221 *", "E:") },
	{ "a wrong sender is said at RCPT", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@other.example.com>", "S: 250 2.1.0 *",
		 "C: RCPT TO:<b@else.example>",
		 "S: 550 5.7.367 Sender not authorized for relay [*]", "C: RSET",
		 "S: 250 2.0.0 *", "C: QUIT", "S: 221 *", "E:") },
	{ "a wrong recipient is refused and the right one accepted", CLIENT_PARTNERS, PORT_APPS,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@any.example>", "C: RCPT TO:<b@else.example>",
		 "C: RCPT TO:<b@partner.example>", "C: DATA", "S: 250 *",
		 "S: 550 5.7.1 Unable to relay [*]", "S: 250 2.1.5 *", "S: 354 *", "C: x",
		 "C: .", "S: 250 2.0.0 *", "C: QUIT", "S: 221 *", "E:") },
	{ "a login that is needed is asked for at MAIL", CLIENT_BILLING, PORT_SUBMISSION,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@x.example>",
		 "S: 530 5.7.0 Authentication required [*]", "C: RCPT TO:<b@y.example>",
		 "S: 503 5.5.1 *", "C: QUIT", "S: 221 *", "E:") },
	{ "TLS that is needed is asked for at MAIL", CLIENT_TLS, PORT_APPS,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@x.example>",
		 "S: 530 5.7.0 Must issue a STARTTLS command first [*]", "C: STARTTLS",
		 "S: 502 5.5.1 *", "C: QUIT", "S: 221 *", "E:") },
	{ "monitor mode takes what it would refuse", CLIENT_NOBODY, PORT_MONITOR,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@x.example>", "C: RCPT TO:<b@else.example>", "C: DATA",
		 "S: 250 *", "S: 250 *", "S: 354 *", "C: x", "C: .", "S: 250 2.0.0 *", "C: QUIT",
		 "S: 221 *", "E:") },
	{ "header From is judged behind the message", CLIENT_HEADER, PORT_APPS,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@hf.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: DATA", "S: 250 *", "S: 250 *", "S: 354 *", "C: From: boss@bank.example",
		 "C: ", "C: x", "C: .",
		 "S: 550 5.7.367 Sender not authorized for relay [*]",
		 "C: MAIL FROM:<a@hf.example.com>", "C: RCPT TO:<b@else.example>", "C: DATA",
		 "S: 250 *", "S: 250 *", "S: 354 *", "C: From: Me <me@hf.example.com>", "C: ",
		 "C: x", "C: .", "S: 250 2.0.0 *", "C: QUIT", "S: 221 *", "E:") },
	{ "a Sender field is judged as From is", CLIENT_HEADER, PORT_APPS,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@hf.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: DATA", "S: 250 *", "S: 250 *", "S: 354 *", "C: From: me@hf.example.com",
		 "C: Sender: boss@bank.example", "C: ", "C: x", "C: .",
		 "S: 550 5.7.367 Sender not authorized for relay [*]", "C: QUIT", "S: 221 *",
		 "E:") },
	{ "two From fields are refused where From is judged", CLIENT_HEADER, PORT_APPS,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@hf.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: DATA", "S: 250 *", "S: 250 *", "S: 354 *", "C: From: me@hf.example.com",
		 "C: From: boss@bank.example", "C: ", "C: x", "C: .",
		 "S: 550 5.7.367 Sender not authorized for relay [*]", "C: QUIT", "S: 221 *",
		 "E:") },
	{ "commands are known in any case and arguments trimmed", BILLING,
	  SCRIPT("S: 220 *", "C: ehlo app7", EHLO_REPLY, "C: mail from:<a@billing.example.com>  ",
		 "S: 250 *", "C: Rcpt To: <b@else.example>", "S: 250 *", "C: noop whatever",
		 "S: 250 *", "C: vrfy root", "S: 252 *", "C: expn list", "S: 502 *", "C: help",
		 "S: 214 *", "C: quit", "S: 221 *", "E:") },
	{ "unknown, unsupported and malformed commands", BILLING,
	  SCRIPT(GREETED, "C: FOO bar", "S: 500 5.5.1 *", "C: ETRN x", "S: 502 5.5.1 *",
		 "C: MAIL FROM a@b", "S: 501 5.5.4 *", "C: MAIL FROM:<a@b..c>", "S: 501 5.1.7 *",
		 "C: MAIL FROM:<a@billing.example.com> FOO=1", "S: 555 5.5.4 *",
		 "C: QUIT", "S: 221 *", "E:") },
	{ "parameters of MAIL", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com> SIZE=1 SIZE=1",
		 "S: 501 5.5.4 *", "C: MAIL FROM:<a@billing.example.com> BODY=BINARYMIME",
		 "S: 501 5.5.4 *", "C: MAIL FROM:<a@billing.example.com> REQUIRETLS",
		 "S: 530 5.7.10 *",
		 "C: MAIL FROM:<a@billing.example.com> SIZE=100001",
		 "S: 552 5.3.4 *[*]",
		 "C: MAIL FROM:<a@billing.example.com> SIZE=100000 BODY=8BITMIME SMTPUTF8 "
		 "RET=HDRS ENVID=x+2By",
		 "S: 250 *",
		 "C: RCPT TO:<b@else.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@else.example",
		 "S: 250 *", "C: RCPT TO:<b@else.example> NOTIFY=NEVER,DELAY", "S: 501 5.5.4 *",
		 "C: DATA", "S: 354 *", "C: .", "S: 250 *", "C: QUIT", "S: 221 *", "E:") },
	{ "UTF-8 needs SMTPUTF8", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<j\303\266rg@billing.example.com>", "S: 553 5.6.7 *",
		 "C: MAIL FROM:<j\303\266rg@billing.example.com> SMTPUTF8", "S: 250 *",
		 "C: RCPT TO:<\303\251@else.example>", "S: 250 *", "C: NOOP \303\251",
		 "S: 500 5.5.2 *", "C: QUIT", "S: 221 *", "E:") },
	{ "recipients beyond the limit wait for another message", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<1@else.example>",
		 "C: RCPT TO:<2@else.example>", "C: RCPT TO:<3@else.example>",
		 "C: RCPT TO:<4@else.example>", "C: RCPT TO:<5@else.example>",
		 "C: RCPT TO:<6@else.example>", "C: DATA", "S: 250 *", "S: 250 *", "S: 250 *",
		 "S: 250 *", "S: 250 *", "S: 250 *", "S: 452 4.5.3 *[*.6]", "S: 354 *", "C: x",
		 "C: .", "S: 250 2.0.0 *", "C: QUIT", "S: 221 *", "E:") },
	{ "too many errors end the session", BILLING,
	  SCRIPT(GREETED, "C: A", "C: B", "C: C", "C: D", "C: E", "C: F", "C: NOOP", "S: 500 *",
		 "S: 500 *", "S: 500 *", "S: 500 *", "S: 500 *", "S: 421 4.7.0 *", "E:") },
	{ "HTTP is dropped", BILLING,
	  SCRIPT("S: 220 *", "C: POST / HTTP/1.1", "C: Host: relay", "C: EHLO x", "S: 421 *",
		 "E:") },
	{ "DATA and BDAT do not mix", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: BDAT 3", "R: abc", "C: DATA", "S: 250 *", "S: 250 *", "S: 250 *",
		 "S: 503 5.5.1 *", "C: RCPT TO:<c@else.example>", "S: 503 5.5.1 *",
		 "C: BDAT 2 LAST", "R: \r\n", "S: 250 2.0.0 *", "C: QUIT", "S: 221 *", "E:") },
	{ "chunks, pipelined with what comes before and behind", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: BDAT 10", "R: QUIT\r\nRSET", "C: BDAT 0", "C: BDAT 5 LAST", "R: \r\n.\r\n",
		 "C: NOOP", "S: 250 2.1.0 *", "S: 250 2.1.5 *", "S: 250 2.0.0 *",
		 "S: 250 2.0.0 *", "S: 250 2.0.0 Ok: queued as *", "S: 250 2.0.0 OK", "C: QUIT",
		 "S: 221 *", "E:") },
	{ "an empty last chunk ends the message", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: BDAT 3", "R: a\r\n", "C: BDAT 0 LAST", "S: 250 *", "S: 250 *", "S: 250 *",
		 "S: 250 2.0.0 Ok: queued*", "C: QUIT", "S: 221 *", "E:") },
	{ "a refused chunk is consumed before it is answered", CLIENT_NOBODY, PORT_APPS,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@x.example>", "C: RCPT TO:<b@else.example>",
		 "C: BDAT 12 LAST", "R: RSET\r\nQUIT\r\n", "C: NOOP", "S: 250 *", "S: 550 5.7.1 *",
		 "S: 554 5.5.1 *", "S: 250 2.0.0 OK", "C: QUIT", "S: 221 *", "E:") },
	{ "chunks behind a chunk that was too big are consumed", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<b@else.example>",
		 "C: BDAT 99999999999999999999", "S: 250 *", "S: 250 *", "S: 501 5.5.4 *", "E:") },
	{ "chunks behind a failed transaction are consumed", BILLING,
	  SCRIPT(GREETED, "C: BDAT 4", "R: QUIT", "C: BDAT 6 LAST", "R: QUIT\r\n",
		 "C: MAIL FROM:<a@billing.example.com>", "S: 503 *", "S: 503 *", "S: 250 2.1.0 *",
		 "C: QUIT", "S: 221 *", "E:") },
	{ "EHLO in a transaction forgets it", BILLING,
	  SCRIPT(GREETED, "C: MAIL FROM:<a@billing.example.com>", "C: RCPT TO:<b@else.example>",
		 "S: 250 *", "S: 250 *", "C: EHLO again", EHLO_REPLY, "C: DATA", "S: 503 5.5.1 *",
		 "C: QUIT", "S: 221 *", "E:") },
	{ "a bad hello changes nothing", BILLING,
	  SCRIPT("S: 220 *", "C: EHLO bad/name", "S: 501 *", "C: MAIL FROM:<a@billing.example.com>",
		 "S: 503 *", "C: EHLO [10.20.1.7]", EHLO_REPLY, "C: QUIT", "S: 221 *", "E:") },
};

enum pace {
	PACE_LINES,
	PACE_PACKETS,
	PACE_BYTES,
	PACE_COUNT,
};

/* Send what the client says from *line on, up to what the server must answer. */
static void
client_part_play(struct client *client, const char *const **line, enum pace pace)
{
	struct buffer part;

	buffer_init(&part, 65536);
	for (; **line != NULL && ((**line)[0] == 'C' || (**line)[0] == 'R'); (*line)++) {
		(void)buffer_append_text(&part, **line + 3);
		if ((**line)[0] == 'C')
			(void)buffer_append_text(&part, "\r\n");
		if (pace == PACE_LINES) {
			client_send(client, buffer_span(&part));
			buffer_clear(&part);
		}
	}
	if (pace == PACE_PACKETS)
		client_send(client, buffer_span(&part));
	for (size_t i = 0; pace == PACE_BYTES && i < part.len; i++)
		client_send(client, (struct span){ part.ptr + i, 1 });
	buffer_reset(&part);
}

/* Compare what came with what the script has from *line on. */
static void
server_part_check(struct client *client, const struct dialog *dialog, const char *const **line,
		  enum pace pace)
{
	const char *all = client_take(client), *rest = all;

	for (; **line != NULL && (**line)[0] == 'S'; (*line)++) {
		const char *end = strstr(rest, "\r\n");
		const char *want = **line + 3;
		char got[1024];

		ck_assert_msg(end != NULL, "%s (pace %d): nothing for \"%s\" in:\n%s",
			      dialog->name, (int)pace, **line, all);
		(void)snprintf(got, sizeof(got), "%.*s", (int)(end - rest), rest);
		ck_assert_msg(text_fits(got, want), "%s (pace %d): want \"%s\", got \"%s\"",
			      dialog->name, (int)pace, want, got);
		rest = end + 2;
	}
	ck_assert_msg(*rest == '\0', "%s (pace %d): unexpected: %s", dialog->name, (int)pace,
		      rest);
}

static void
dialog_play(const struct dialog *dialog, enum pace pace)
{
	struct fixture f;

	fixture_init(&f);
	fixture_start(&f);
	struct client client = client_connect(&f, dialog->client, dialog->port);

	for (const char *const *line = dialog->script; *line != NULL;) {
		if ((*line)[0] == 'S') {
			server_part_check(&client, dialog, &line, pace);
		} else if ((*line)[0] == 'E') {
			ck_assert_msg(client.has_ended, "%s (pace %d): still open", dialog->name,
				      (int)pace);
			line++;
		} else {
			client_part_play(&client, &line, pace);
		}
	}
	client_close(&client);
	ck_assert_uint_eq(session_server_count(f.server), 0);
	fixture_end(&f);
}

START_TEST(dialog_has_the_same_outcome_at_every_pace)
{
	for (enum pace pace = PACE_LINES; pace < PACE_COUNT; pace++)
		dialog_play(&dialogs[_i], pace);
}
END_TEST

TCase *
dialog_tcase(void)
{
	TCase *tc = tcase_create("dialogs");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, dialog_has_the_same_outcome_at_every_pace, 0,
			    (int)ARRAY_LEN(dialogs));
	return tc;
}
