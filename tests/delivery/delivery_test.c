/* SPDX-License-Identifier: ISC */
/* Delivery as a whole, to servers that behave and misbehave. */
#include "bed.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static struct bed bed;
static struct smtp_server *server;

/* One route to one server. */
static void
setup(void)
{
	bed_init(&bed);
	server = smtp_server_new(bed.loop, 0);
	bed_route(&bed, "*");
	bed_server(&bed, 0, server);
}

static void
teardown(void)
{
	smtp_server_free(&server);
	bed_reset(&bed);
}

static void
start_with(struct smtp_rule *rules, size_t count)
{
	smtp_server_rules(server, rules, count);
	bed_start(&bed);
}

static bool
is_body(const struct received_message *message, const char *text)
{
	return message != NULL && span_equal(buffer_span(&message->body), span_of(text));
}

/* ---- What should just work ---- */

START_TEST(delivers_a_message_and_removes_it)
{
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	ck_assert_uint_eq(server->message_count, 1);
	ck_assert(is_body(smtp_server_last(server),
			  "Received: by test\r\nSubject: usual\r\n\r\n"
			  "Hello\r\n.a line with a dot\r\n..\r\nBye\r\n"));
	ck_assert_str_eq(buffer_text(&smtp_server_last(server)->recipients),
			 "RCPT TO:<one@example.org>\n");
	bed_until(&bed, bed_recorded(&bed, "\"delivery\"", "\"delivered\"", "taken") == 1);
	ck_assert_uint_eq(bed_recorded(&bed, "one@example.org", "2.0.0", "TEST0001"), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 0);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].in_flight), 0);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].connections_open), 1);
	bed_until(&bed, delivery_is_idle(bed.delivery));
}
END_TEST

START_TEST(reuses_a_connection_and_pipelines_the_envelope)
{
	bed.routes[0].connections_max = 1;
	bed_start(&bed);
	for (unsigned i = 0; i < 20; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 20);
	ck_assert_uint_eq(server->connections, 1);
	ck_assert_uint_ge(server->groups_max, 3);
	ck_assert_uint_eq(server->resets, 0);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

START_TEST(works_without_pipelining_and_without_ehlo)
{
	struct smtp_rule rules[] = { { "EHLO", "502 5.5.1 what?\r\n", RULE_SAY, 0 } };

	bed.routes[0].connections_max = 1;
	start_with(rules, ARRAY_LEN(rules));
	for (unsigned i = 0; i < 3; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 3);
	ck_assert_uint_eq(server->groups_max, 1);
	ck_assert_uint_eq(server->connections, 1);
	ck_assert_str_eq(buffer_text(&smtp_server_last(server)->sender),
			 "MAIL FROM:<sender@example.com>");
}
END_TEST

START_TEST(says_what_the_server_understands)
{
	const char *to = "one@example.org";
	const struct bed_message message = {
		.sender = "sender@example.com",
		.recipients = &to,
		.recipient_count = 1,
		.body = SPAN_LITERAL("A: b\r\n\r\nc\r\n"),
		.body_kind = BODY_8BITMIME,
		.is_smtputf8 = true,
		.ret = RET_HDRS,
		.envid = "QQ+2B314159",
		.orcpt = "rfc822;One@example.org",
		.notify = NOTIFY_SUCCESS | NOTIFY_DELAY,
	};

	bed_start(&bed);
	bed_submit(&bed, &message);
	bed_until(&bed, server->message_count == 1);
	ck_assert_str_eq(buffer_text(&smtp_server_last(server)->sender),
			 "MAIL FROM:<sender@example.com> SIZE=11 BODY=8BITMIME SMTPUTF8 RET=HDRS "
			 "ENVID=QQ+2B314159");
	ck_assert_str_eq(buffer_text(&smtp_server_last(server)->recipients),
			 "RCPT TO:<one@example.org> NOTIFY=SUCCESS,DELAY "
			 "ORCPT=rfc822;One@example.org\n");
}
END_TEST

static const struct refusal {
	const char *ehlo;
	enum envelope_body body;
	bool is_smtputf8;
	const char *reply;
} refusals[] = {
	{ "250-test\r\n250 PIPELINING\r\n", BODY_8BITMIME, false, "5.6.3" },
	{ "250-test\r\n250 8BITMIME\r\n", BODY_8BITMIME, true, "5.6.7" },
	{ "250-test\r\n250 SIZE 10\r\n", BODY_7BIT, false, "5.3.4" },
};

START_TEST(refuses_what_the_server_cannot_take)
{
	const struct refusal *refusal = &refusals[_i];
	const char *to = "one@example.org";

	server->ehlo = refusal->ehlo;
	bed_start(&bed);
	bed_submit(&bed, &(struct bed_message){
			     .sender = "sender@example.com",
			     .recipients = &to,
			     .recipient_count = 1,
			     .body = SPAN_LITERAL("A: b\r\n\r\nc\r\n"),
			     .body_kind = refusal->body,
			     .is_smtputf8 = refusal->is_smtputf8,
			 });
	bed_until(&bed, bed_figure(&bed.figures[0].failed) == 1);
	bed_until(&bed, bed_recorded(&bed, "\"failed\"", refusal->reply, NULL) == 1);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 1);
	ck_assert_uint_eq(server->message_count, 0);
}
END_TEST

START_TEST(ends_a_body_that_lacks_its_last_line_end)
{
	const char *to = "one@example.org";

	bed_start(&bed);
	bed_submit(&bed, &(struct bed_message){ .sender = "",
						.recipients = &to,
						.recipient_count = 1,
						.body = SPAN_LITERAL("A: b\r\n\r\n.x") });
	bed_until(&bed, server->message_count == 1);
	ck_assert(is_body(smtp_server_last(server), "A: b\r\n\r\n.x\r\n"));
}
END_TEST

/* Large bodies come from memory or disk; a slow reader holds them back. */
static void
large_body_check(size_t octets)
{
	static const char line[] = "..0123456789abcdefghijklmnopqrstuvwxyz0123456789\r\n";
	const char *to = "one@example.org";
	struct buffer body;

	buffer_init(&body, octets + sizeof(line));
	while (body.len < octets)
		ck_assert(buffer_append_text(&body, line));
	bed_start(&bed);
	bed_submit(&bed, &(struct bed_message){ .sender = "",
						.recipients = &to,
						.recipient_count = 1,
						.body = buffer_span(&body) });
	bed_until(&bed, server->message_count == 1);
	ck_assert(span_equal(buffer_span(&smtp_server_last(server)->body), buffer_span(&body)));
	buffer_reset(&body);
}

START_TEST(sends_a_large_body_from_memory)
{
	large_body_check(3U << 20);
}
END_TEST

START_TEST(sends_a_large_body_from_disk)
{
	bed.spool_settings.memory_octets_max = 1;
	large_body_check(3U << 20);
}
END_TEST

START_TEST(sends_to_a_slow_reader)
{
	server->reads_slowly = true;
	large_body_check(400U << 10);
}
END_TEST

START_TEST(reads_the_envelope_again_when_memory_is_short)
{
	bed.tuning.envelope_octets_max = 0;
	bed.spool_settings.memory_octets_max = 1;
	bed.routes[0].connections_max = 1;
	bed_start(&bed);
	for (unsigned i = 0; i < 10; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 10);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	ck_assert_uint_eq(bed.delivery->envelope_octets, 0);
	ck_assert_uint_eq(server->connections, 1);
}
END_TEST

/* ---- Several recipients ---- */

static const char *const three[] = { "a@example.org", "b@example.org", "c@example.org" };

/* What the spool's file says, which follows what was handed over. */
static int
recipient_on_disk(size_t recipient)
{
	struct delivery_state state;
	struct buffer text;
	int found = -1;

	if (bed_state(&bed, &state, &text) && recipient < state.recipient_count)
		found = state.recipients[recipient];
	buffer_reset(&text);
	return found;
}

START_TEST(keeps_the_results_of_recipients_apart)
{
	struct smtp_rule rules[] = {
		{ "RCPT TO:<b@", "450 4.2.1 later\r\n", RULE_SAY, 2 },
		{ "RCPT TO:<c@", "550 5.1.1 nobody\r\n", RULE_SAY, 0 },
	};
	struct delivery_state state;
	struct buffer text;

	start_with(rules, ARRAY_LEN(rules));
	bed_send_several(&bed, three, 3);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 0);
	ck_assert_uint_eq(server->message_count, 2);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	bed_until(&bed, recipient_on_disk(1) == RECIPIENT_DELIVERED);
	ck_assert(bed_state(&bed, &state, &text));
	ck_assert_uint_eq(state.recipient_count, 3);
	ck_assert_uint_eq(state.recipients[0], RECIPIENT_DELIVERED);
	ck_assert_uint_eq(state.recipients[1], RECIPIENT_DELIVERED);
	ck_assert_uint_eq(state.recipients[2], RECIPIENT_DEAD);
	ck_assert_uint_eq(state.tries, 2);
	ck_assert(span_starts_fold(state.last_reply, span_of("450 4.2.1 later")));
	buffer_reset(&text);
	bed_until(&bed, bed_recorded(&bed, "c@example.org", "\"failed\"",
				     "550 5.1.1 nobody") == 1);
	ck_assert_uint_eq(bed_recorded(&bed, "b@example.org", "\"deferred\"", NULL), 2);
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", NULL, NULL), 2);
}
END_TEST

static const struct group {
	const char *data;
	const char *rcpt;
	bool is_pipelined;
} groups[] = {
	{ "354 go on\r\n", "550 5.1.1 nobody\r\n", true },
	{ "554 5.5.1 no\r\n", "550 5.1.1 nobody\r\n", true },
	{ "503 5.5.1 no\r\n", "550 5.1.1 nobody\r\n", false },
};

START_TEST(buries_a_message_whose_recipients_are_all_refused)
{
	struct smtp_rule rules[] = {
		{ "RCPT", groups[_i].rcpt, RULE_SAY, 3 },
		{ "DATA", groups[_i].data, RULE_SAY, 1 },
	};

	if (!groups[_i].is_pipelined)
		server->ehlo = "250 test\r\n";
	bed.routes[0].connections_max = 1;
	start_with(rules, groups[_i].is_pipelined ? 2 : 1);
	bed_send_several(&bed, three, 3);
	bed_until(&bed, bed_figure(&bed.figures[0].failed) == 3);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 1);
	ck_assert_uint_eq(bed_spooled(&bed), 1);

	/* and the connection is good for the next one */
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(server->connections, 1);
	ck_assert_str_eq(buffer_text(&smtp_server_last(server)->recipients),
			 "RCPT TO:<one@example.org>\n");
	ck_assert_uint_eq(bed_spooled(&bed), 1);
}
END_TEST

START_TEST(resets_after_a_refused_data_command)
{
	struct smtp_rule rules[] = { { "DATA", "451 4.3.0 not now\r\n", RULE_SAY, 1 } };

	if (_i == 1)
		server->ehlo = "250 test\r\n";
	bed.routes[0].connections_max = 1;
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 1);
	ck_assert_uint_eq(server->resets, 1);
	ck_assert_uint_eq(server->connections, 1);
}
END_TEST

START_TEST(splits_recipients_as_the_server_wants)
{
	const char *many[250];
	char texts[250][32];

	for (unsigned i = 0; i < 250; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "user%u@example.org", i);
		many[i] = texts[i];
	}
	if (_i == 1)
		server->ehlo = "250-test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=40 MAILMAX=2\r\n";
	bed.routes[0].connections_max = 1;
	bed_start(&bed);
	bed_send_several(&bed, many, 250);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 250);
	ck_assert_uint_eq(server->message_count, _i == 1 ? 7 : 3);
	ck_assert_uint_eq(server->connections, _i == 1 ? 4 : 1);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

START_TEST(gives_the_rest_at_once_when_there_are_too_many_recipients)
{
	struct smtp_rule rules[] = {
		{ "RCPT TO:<b@", "452 4.5.3 too many\r\n", RULE_SAY, 1 },
		{ "RCPT TO:<c@", "452 too many\r\n", RULE_SAY, 1 },
	};

	bed.retry_ms[0] = 3600 * 1000;
	start_with(rules, ARRAY_LEN(rules));
	bed_send_several(&bed, three, 3);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 3);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
	ck_assert_uint_eq(server->message_count, 2);
}
END_TEST

START_TEST(splits_a_message_over_its_routes)
{
	static const char *const to[] = { "a@example.org", "b@example.net", "c@example.org" };
	struct smtp_server *other = smtp_server_new(bed.loop, 0);
	struct smtp_rule rules[] = { { "RCPT", "450 4.2.1 later\r\n", RULE_SAY, 1 } };
	size_t route = bed_route(&bed, "@example.net");

	bed_server(&bed, route, other);
	smtp_server_rules(other, rules, ARRAY_LEN(rules));
	bed_start(&bed);
	bed_send_several(&bed, to, 3);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 2);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	bed_until(&bed, bed_figure(&bed.figures[1].delivered) == 1);
	ck_assert_uint_eq(server->message_count, 1);
	ck_assert_uint_eq(other->message_count, 1);
	ck_assert_str_eq(buffer_text(&smtp_server_last(other)->recipients),
			 "RCPT TO:<b@example.net>\n");
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	ck_assert_uint_eq(bed.delivery->envelope_octets, 0);
	smtp_server_free(&other);
}
END_TEST

START_TEST(records_for_each_route_why_a_message_waits)
{
	static const char *const to[] = { "a@example.org", "b@example.net", "c@example.com" };
	struct smtp_server *others[2] = { smtp_server_new(bed.loop, 0),
					  smtp_server_new(bed.loop, 0) };

	bed_server(&bed, bed_route(&bed, "@example.net"), others[0]);
	bed_server(&bed, bed_route(&bed, "@example.com"), others[1]);
	smtp_server_down(server);
	smtp_server_down(others[0]);
	bed_start(&bed);
	for (unsigned i = 0; i < 5; i++)
		bed_send_several(&bed, to, 3);
	bed_until(&bed, bed_figure(&bed.figures[2].delivered) == 5);
	bed_until(&bed, bed_recorded(&bed, "a@example.org", "\"deferred\"", "refused") == 5);
	bed_until(&bed, bed_recorded(&bed, "b@example.net", "\"deferred\"", "refused") == 5);
	bed_until(&bed, bed.delivery->envelope_octets == 0);
	ck_assert_uint_eq(bed_spooled(&bed), 5);
	smtp_server_up(others[0]);
	bed_until(&bed, bed_figure(&bed.figures[1].delivered) == 5);
	ck_assert_uint_eq(bed_spooled(&bed), 5);
	smtp_server_up(server);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 5);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", NULL, NULL), 15);
	smtp_server_free(&others[0]);
	smtp_server_free(&others[1]);
}
END_TEST

/* ---- Misbehaviour ---- */

static const struct misbehaviour {
	const char *name;
	struct smtp_rule rules[3];
	bool is_up; /* the connection came to a transaction: a try was counted */
} misbehaviours[] = {
	{ "banner refused", { { "CONNECT", "421 4.3.2 busy\r\n", RULE_CLOSE, 1 } }, false },
	{ "banner 554", { { "CONNECT", "554 5.3.2 no\r\n", RULE_SAY, 1 } }, false },
	{ "no banner", { { "CONNECT", "", RULE_SILENT, 1 } }, false },
	{ "banner not SMTP", { { "CONNECT", "HTTP/1.1 400 Bad\r\n\r\n", RULE_SAY, 1 } }, false },
	{ "two banners", { { "CONNECT", "220 a\r\n220 b\r\n", RULE_SAY, 1 } }, true },
	{ "closed at once", { { "CONNECT", "", RULE_CLOSE, 1 } }, false },
	{ "reset at once", { { "CONNECT", "", RULE_RESET, 1 } }, false },
	{ "EHLO silent", { { "EHLO", "", RULE_SILENT, 1 } }, false },
	{ "EHLO 421", { { "EHLO", "421 4.3.2 go away\r\n", RULE_CLOSE, 1 } }, false },
	{ "EHLO codes differ", { { "EHLO", "250-a\r\n251 b\r\n", RULE_SAY, 1 } }, false },
	{ "EHLO and HELO refused",
	  { { "EHLO", "500 no\r\n", RULE_SAY, 1 }, { "HELO", "500 no\r\n", RULE_SAY, 1 } },
	  false },
	{ "MAIL 451", { { "MAIL", "451 4.3.0 later\r\n", RULE_SAY, 1 } }, true },
	{ "MAIL 421", { { "MAIL", "421 4.3.2 bye\r\n", RULE_CLOSE, 1 } }, true },
	{ "MAIL 354", { { "MAIL", "354 go ahead\r\n", RULE_SAY, 1 } }, true },
	{ "MAIL silent",
	  { { "EHLO", "250 test\r\n", RULE_SAY, 1 }, { "MAIL", "", RULE_SILENT, 1 } },
	  true },
	{ "MAIL twice answered", { { "MAIL", "250 a\r\n250 b\r\n", RULE_SAY, 1 } }, true },
	{ "RCPT 421", { { "RCPT", "421 4.3.2 bye\r\n", RULE_CLOSE, 1 } }, true },
	{ "RCPT reset", { { "RCPT", "", RULE_RESET, 1 } }, true },
	{ "DATA 250", { { "DATA", "250 taken\r\n", RULE_SAY, 1 } }, true },
	{ "DATA 421", { { "DATA", "421 4.3.2 bye\r\n", RULE_CLOSE, 1 } }, true },
	{ "DATA 354 and 250 at once", { { "DATA", "354 a\r\n250 b\r\n", RULE_SAY, 1 } }, true },
	{ "DATA 354 and half a reply", { { "DATA", "354 a\r\n25", RULE_SAY, 1 } }, true },
	{ "354 without a sender",
	  { { "MAIL", "451 no\r\n", RULE_SAY, 1 }, { "DATA", "354 go\r\n", RULE_SAY, 1 } },
	  true },
	{ "reset in the message", { { "BODY", "", RULE_RESET, 1 } }, true },
	{ "dot 451", { { ".", "451 4.3.0 later\r\n", RULE_SAY, 1 } }, true },
	{ "dot 421", { { ".", "421 4.3.2 bye\r\n", RULE_CLOSE, 1 } }, true },
	{ "dot 354", { { ".", "354 again\r\n", RULE_SAY, 1 } }, true },
	{ "dot reset", { { ".", "", RULE_RESET, 1 } }, true },
	{ "dot closed", { { ".", "", RULE_CLOSE, 1 } }, true },
	{ "dot silent", { { ".", "", RULE_SILENT, 1 } }, true },
	{ "dot garbage", { { ".", "\r\n\r\n\x80\xff", RULE_SAY, 1 } }, true },
};

START_TEST(keeps_the_message_and_delivers_it_after_misbehaviour)
{
	struct misbehaviour misbehaviour = misbehaviours[_i];

	bed.tuning.timeouts = (struct smtp_client_timeouts){ 300, 100, 100, 100, 100,
							     100, 100, 100, 100, 1000 };
	start_with(misbehaviour.rules, ARRAY_LEN(misbehaviour.rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_ge(server->message_count, 1);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 0);
	if (misbehaviour.is_up)
		ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 1);
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", NULL, NULL) == 1);
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", NULL, NULL), 1);
}
END_TEST

START_TEST(reads_replies_octet_by_octet)
{
	struct smtp_rule rules[] = {
		{ "CONNECT", "220-one\r\n220 two\r\n", RULE_DRIP, 1 },
		{ "EHLO", "250-test\r\n250 SIZE\r\n", RULE_DRIP, 1 },
		{ "MAIL", "250 ok\r\n", RULE_DRIP, 1 },
		{ "RCPT", "250-2.1.5 a\r\n250 2.1.5 b\r\n", RULE_DRIP, 1 },
		{ "DATA", "354 go\r\n", RULE_DRIP, 1 },
		{ ".", "250-2.0.0 a\r\n250 2.0.0 b\r\n", RULE_DRIP, 1 },
	};

	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
	bed_until(&bed, bed_recorded(&bed, "250 2.0.0 a", NULL, NULL) == 1);
}
END_TEST

START_TEST(does_not_swallow_an_endless_banner)
{
	struct buffer banner;
	struct smtp_rule rules[] = { { "CONNECT", NULL, RULE_SAY, 1 } };

	buffer_init(&banner, 1U << 20);
	while (banner.len < 500000)
		(void)buffer_append_text(&banner, "220-all work and no play\r\n");
	rules[0].reply = buffer_text(&banner);
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(server->connections, 2);
	buffer_reset(&banner);
}
END_TEST

START_TEST(takes_a_refusal_in_the_middle_of_the_message)
{
	struct smtp_rule rules[] = { { "DATA", "354 go\r\n552 5.3.4 too big\r\n", RULE_SAY, 1 } };

	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].failed) == 1);
	bed_until(&bed, bed_recorded(&bed, "\"failed\"", "552 5.3.4 too big", NULL) == 1);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
}
END_TEST

START_TEST(tries_at_once_again_when_an_old_connection_ended)
{
	struct smtp_rule rules[] = {
		{ "NEVER", "", RULE_SAY, 0 },
		{ "NEVER", "", RULE_SAY, 0 },
	};

	bed.retry_ms[0] = 3600 * 1000;
	bed.routes[0].connections_max = 1;
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	rules[0] = (struct smtp_rule){ "MAIL", "421 4.3.2 enough\r\n", RULE_CLOSE, 1 };
	bed_send(&bed, "two@example.org");
	bed_until(&bed, server->message_count == 2);
	rules[1] = (struct smtp_rule){ "MAIL", "", RULE_RESET, 1 };
	bed_send(&bed, "three@example.org");
	bed_until(&bed, server->message_count == 3);
	bed_until(&bed, bed_spooled(&bed) == 0);
	ck_assert_uint_eq(server->connections, 3);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
}
END_TEST

START_TEST(leaves_an_idle_connection)
{
	bed.tuning.timeouts.idle_ms = 50;
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 1);
	bed_until(&bed, server->open == 0);
	bed_until(&bed, bed_figure(&bed.figures[0].connections_open) == 0);
	ck_assert_ptr_nonnull(strstr(buffer_text(&server->transcript), "QUIT"));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, server->message_count == 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
}
END_TEST

START_TEST(opens_no_more_connections_than_allowed)
{
	struct smtp_rule rules[] = { { ".", "250\r\n", RULE_DRIP, 0 } };

	bed.routes[0].connections_max = 3;
	start_with(rules, ARRAY_LEN(rules));
	for (unsigned i = 0; i < 15; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 15);
	ck_assert_uint_le(server->open_max, 3);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

START_TEST(keeps_to_the_messages_a_minute)
{
	bed.routes[0].messages_per_minute = 600; /* one each 100 ms */
	bed_start(&bed);

	int64_t began = clock_monotonic_ms();

	for (unsigned i = 0; i < 4; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 4);
	ck_assert_int_ge(clock_monotonic_ms() - began, 300);
}
END_TEST

/* ---- Retry, expiry ---- */

START_TEST(expires_a_message_that_is_refused_for_too_long)
{
	struct smtp_rule rules[] = { { "RCPT", "450 4.2.1 later\r\n", RULE_SAY, 0 } };

	bed.queue.expires_ms = 100;
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].failed) == 1);
	ck_assert_uint_ge(bed_figure(&bed.figures[0].deferred), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 0);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	bed_until(&bed, bed_recorded(&bed, "\"expire\"", "one@example.org", "450 4.2.1") == 1);
}
END_TEST

START_TEST(expires_a_message_whose_route_is_down)
{
	bed.queue.expires_ms = 150;
	smtp_server_down(server);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_send(&bed, "two@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].failed) == 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 2);
	ck_assert_uint_eq(bed_spooled(&bed), 2);
	bed_until(&bed, bed_recorded(&bed, "\"expire\"", "refused", NULL) == 2);
}
END_TEST

START_TEST(retries_now_when_told_to)
{
	struct smtp_rule rules[] = { { "RCPT", "450 4.2.1 later\r\n", RULE_SAY, 1 } };

	bed.retry_ms[0] = 3600 * 1000;
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 1);
	ck_assert_int_gt(atomic_load(&bed.figures[0].oldest_wall_ms), 0);
	delivery_retry_now(bed.delivery, span_of("other"));
	bed_turn_for(&bed, 50);
	ck_assert_uint_eq(server->message_count, 0);
	delivery_retry_now(bed.delivery, span_of("r0"));
	bed_until(&bed, server->message_count == 1);
	bed_until(&bed, atomic_load(&bed.figures[0].oldest_wall_ms) == 0);
}
END_TEST

/* ---- Next hops ---- */

START_TEST(fails_over_and_comes_back)
{
	struct smtp_server *backup = smtp_server_new(bed.loop, 0);

	bed_server(&bed, 0, backup);
	smtp_server_down(server);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, backup->message_count == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);

	smtp_server_up(server);
	bed_until(&bed, server->connections == 1); /* the probe */
	bed_send(&bed, "two@example.org");
	bed_until(&bed, server->message_count + backup->message_count == 2);
	bed_send(&bed, "three@example.org");
	bed_until(&bed, server->message_count >= 1);
	bed_until(&bed, bed.stored == 3 && bed_spooled(&bed) == 0);
	bed_until(&bed, backup->open == 0);
	smtp_server_free(&backup);
}
END_TEST

START_TEST(fails_over_on_a_refusing_banner)
{
	struct smtp_server *backup = smtp_server_new(bed.loop, 0);
	struct smtp_rule rules[] = { { "CONNECT", "421 4.3.2 busy\r\n", RULE_CLOSE, 0 } };

	bed_server(&bed, 0, backup);
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, backup->message_count == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
	smtp_server_free(&backup);
}
END_TEST

START_TEST(gives_a_message_to_one_next_hop_only)
{
	struct smtp_server *backup = smtp_server_new(bed.loop, 0);
	struct smtp_rule rules[] = { { ".", "", RULE_RESET, 1 } };

	bed.retry_ms[0] = 3600 * 1000;
	bed_server(&bed, 0, backup);
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	bed_turn_for(&bed, 100);
	ck_assert_uint_eq(backup->connections, 0);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	smtp_server_free(&backup);
}
END_TEST

START_TEST(is_content_with_the_connections_it_gets)
{
	struct smtp_server *backup = smtp_server_new(bed.loop, 0);
	struct smtp_rule rules[] = {
		{ "CONNECT", "220 first\r\n", RULE_SAY, 1 },
		{ "CONNECT", "421 4.7.0 too many connections\r\n", RULE_CLOSE, 0 },
		{ ".", "250\r\n", RULE_DRIP, 0 },
	};

	bed_server(&bed, 0, backup);
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	for (unsigned i = 0; i < 4; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 5);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
	ck_assert_uint_eq(backup->connections, 0);
	smtp_server_free(&backup);
}
END_TEST

START_TEST(waits_for_a_route_that_is_down_and_then_goes_in_order)
{
	struct span all;
	size_t at = 0;

	smtp_server_down(server);
	bed.routes[0].connections_max = 1;
	bed_start(&bed);
	for (unsigned i = 0; i < 10; i++) {
		char to[32];

		(void)snprintf(to, sizeof(to), "user%u@example.org", i);
		bed_send(&bed, to);
	}
	bed_until(&bed, bed.stored == 10);
	bed_until(&bed, bed.delivery->dispatches[0].is_down);
	bed_until(&bed, bed.delivery->envelope_octets == 0);
	bed_turn_for(&bed, 300);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 10);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].in_flight), 0);
	ck_assert_uint_eq(bed_recorded(&bed, "\"deferred\"", "refused", NULL), 10);

	smtp_server_up(server);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 10);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	all = buffer_span(&server->transcript);
	for (unsigned i = 0; i < 10; i++) {
		char to[32];
		const char *found;

		(void)snprintf(to, sizeof(to), "<user%u@example.org>", i);
		found = strstr(buffer_text(&server->transcript), to);
		ck_assert_ptr_nonnull(found);
		ck_assert_uint_ge((size_t)(found - all.ptr), at);
		at = (size_t)(found - all.ptr);
	}
}
END_TEST

START_TEST(leaves_a_next_hop_that_is_down_in_peace)
{
	struct smtp_rule rules[] = { { "CONNECT", "", RULE_CLOSE, 0 } };

	bed.tuning.hops.pause_first_ms = 100;
	bed.tuning.hops.pause_max_ms = 400;
	start_with(rules, ARRAY_LEN(rules));
	for (unsigned i = 0; i < 20; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed.delivery->dispatches[0].is_down);
	ck_assert_uint_le(server->connections, 4);
	bed_turn_for(&bed, 1000); /* 100, 200, 400, 400 */
	ck_assert_uint_le(server->connections, 9);
	ck_assert_uint_ge(server->connections, 3);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 20);
}
END_TEST

START_TEST(takes_up_at_once_what_a_broken_connection_put_off)
{
	struct smtp_rule rules[] = { { "BODY", "", RULE_RESET, 1 } };

	bed.retry_ms[0] = 3600 * 1000;
	start_with(rules, ARRAY_LEN(rules));
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	smtp_server_down(server);
	bed_send(&bed, "two@example.org");
	bed_until(&bed, bed.delivery->dispatches[0].is_down);
	smtp_server_up(server);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 2);
}
END_TEST

static struct fake_answer names[] = {
	{ "mx.example.com", DNS_A, DNS_FOUND, { "127.0.0.1" }, 60 },
	{ "mx.example.com", DNS_AAAA, DNS_FOUND, { "::1" }, 60 }, /* nobody listens there */
	{ "trouble.example.com", DNS_A, DNS_TROUBLE, { NULL }, 0 },
	{ "trouble.example.com", DNS_AAAA, DNS_TROUBLE, { NULL }, 0 },
};

START_TEST(finds_a_next_hop_by_name)
{
	bed.answers = names;
	bed.answer_count = ARRAY_LEN(names);
	bed.hops[0][0].host = span_of("mx.example.com");
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(fake_dns_count(bed.dns), 2);
	for (unsigned i = 0; i < 9; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 10);
	ck_assert_uint_eq(fake_dns_count(bed.dns), 2);
	bed_until(&bed, bed_recorded(&bed, "mx.example.com:", "delivered", NULL) == 10);
}
END_TEST

START_TEST(waits_when_a_name_has_no_address)
{
	static const char *const hosts[] = { "trouble.example.com", "absent.example.com" };
	static const char *const words[] = { "4.4.3", "4.4.4" };

	bed.answers = names;
	bed.answer_count = ARRAY_LEN(names);
	bed.hops[0][0].host = span_of(hosts[_i]);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_recorded(&bed, "deferred", words[_i], NULL) == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 1);
	bed_until(&bed, fake_dns_count(bed.dns) >= 4); /* it is asked again */
}
END_TEST

/* ---- Restart and drain ---- */

static void
stored_alone(void *context, enum spool_status status, struct spool_message *message)
{
	bool *is_stored = context;

	ck_assert_int_eq(status, SPOOL_OK);
	*is_stored = true;
	spool_leave(&message);
}

START_TEST(takes_up_what_an_earlier_process_left)
{
	struct smtp_rule rules[] = {
		{ "RCPT TO:<b@", "450 4.2.1 later\r\n", RULE_SAY, 1 },
		{ "RCPT TO:<c@", "550 5.1.1 nobody\r\n", RULE_SAY, 0 },
	};
	uint64_t delivered;

	bed.retry_ms[0] = 200;
	start_with(rules, ARRAY_LEN(rules));
	bed_send_several(&bed, three, 3);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	bed_stop(&bed);

	bed_start(&bed);
	bed_until(&bed, bed.found == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 1);
	bed_until(&bed, (delivered = bed_figure(&bed.figures[0].delivered)) == 1);
	ck_assert_uint_eq(server->message_count, 2);
	ck_assert_str_eq(buffer_text(&smtp_server_last(server)->recipients),
			 "RCPT TO:<b@example.org>\n");
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 0);
	bed_stop(&bed);

	bed_start(&bed);
	bed_until(&bed, bed.found == 2);
	bed_turn_for(&bed, 100);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 0);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 1);
	ck_assert_uint_eq(server->message_count, 2);
}
END_TEST

START_TEST(gives_up_a_connection_in_the_middle_without_losing_anything)
{
	struct smtp_rule rules[] = { { ".", "", RULE_SILENT, 4 } };

	start_with(rules, ARRAY_LEN(rules));
	for (unsigned i = 0; i < 4; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) == 4);
	bed_stop(&bed);
	bed_start(&bed);
	bed_until(&bed, bed.found == 4);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 4);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

/* A message of nobody we know: it is neither tried nor removed. */
START_TEST(leaves_a_damaged_envelope_alone)
{
	struct spool_draft *draft;
	bool is_stored = false;

	bed_start(&bed);
	draft = spool_draft_new(bed.spool);
	(void)spool_draft_append(draft, span_of("A: b\r\n\r\n"), NULL, NULL);
	spool_draft_commit(&draft, span_of("no envelope"), span_of("no state"), stored_alone,
			   &is_stored);
	bed_until(&bed, is_stored);
	bed_stop(&bed);
	bed_start(&bed);
	bed_until(&bed, bed.found == 1);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	bed_stop(&bed);
	bed_start(&bed);
	bed_until(&bed, bed.found == 2);
}
END_TEST

/* The routes of a configuration that is no more: the best of those that there are. */
START_TEST(finds_a_way_for_a_route_that_is_no_more)
{
	size_t route = bed_route(&bed, "@example.net");

	bed_server(&bed, route, server);
	bed.routes[route].name = span_of("gone");
	bed.refuses_accepted = true;
	bed_start(&bed);
	bed_send(&bed, "one@example.net");
	bed_until(&bed, bed.stored == 1);
	bed_stop(&bed);

	bed.routes[route].name = span_of("new");
	bed_start(&bed);
	bed_until(&bed, bed_figure(&bed.figures[route].delivered) == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].delivered), 0);
}
END_TEST

START_TEST(drains)
{
	struct smtp_rule rules[] = { { ".", "250 ok\r\n", RULE_DRIP, 0 } };

	bed.routes[0].connections_max = 1;
	start_with(rules, ARRAY_LEN(rules));
	for (unsigned i = 0; i < 5; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) > 0 && bed.stored == 5);
	bed_until(&bed, strstr(buffer_text(&server->transcript), "DATA") != NULL);
	delivery_drain(bed.delivery);
	bed_until(&bed, delivery_is_idle(bed.delivery));
	bed_until(&bed, server->open == 0);
	ck_assert_uint_ge(server->message_count, 1);
	ck_assert_uint_lt(server->message_count, 5);
	ck_assert_uint_eq(bed_spooled(&bed), 5 - server->message_count);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed.stored == 6);
	bed_turn_for(&bed, 50);
	ck_assert(delivery_is_idle(bed.delivery));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("delivery");
	TCase *usual = tcase_create("usual");
	TCase *several = tcase_create("several recipients");
	TCase *rough = tcase_create("misbehaviour");
	TCase *later = tcase_create("retry");
	TCase *hops = tcase_create("next hops");
	TCase *ends = tcase_create("restart");
	TCase *const cases[] = { usual, several, rough, later, hops, ends };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		tcase_add_checked_fixture(cases[i], setup, teardown);
		tcase_set_timeout(cases[i], 60);
		suite_add_tcase(suite, cases[i]);
	}
	tcase_add_test(usual, delivers_a_message_and_removes_it);
	tcase_add_test(usual, reuses_a_connection_and_pipelines_the_envelope);
	tcase_add_test(usual, works_without_pipelining_and_without_ehlo);
	tcase_add_test(usual, says_what_the_server_understands);
	tcase_add_loop_test(usual, refuses_what_the_server_cannot_take, 0,
			    ARRAY_LEN(refusals));
	tcase_add_test(usual, ends_a_body_that_lacks_its_last_line_end);
	tcase_add_test(usual, sends_a_large_body_from_memory);
	tcase_add_test(usual, sends_a_large_body_from_disk);
	tcase_add_test(usual, sends_to_a_slow_reader);
	tcase_add_test(usual, reads_the_envelope_again_when_memory_is_short);
	tcase_add_test(several, keeps_the_results_of_recipients_apart);
	tcase_add_loop_test(several, buries_a_message_whose_recipients_are_all_refused, 0,
			    ARRAY_LEN(groups));
	tcase_add_loop_test(several, resets_after_a_refused_data_command, 0, 2);
	tcase_add_loop_test(several, splits_recipients_as_the_server_wants, 0, 2);
	tcase_add_test(several, gives_the_rest_at_once_when_there_are_too_many_recipients);
	tcase_add_test(several, splits_a_message_over_its_routes);
	tcase_add_test(several, records_for_each_route_why_a_message_waits);
	tcase_add_loop_test(rough, keeps_the_message_and_delivers_it_after_misbehaviour, 0,
			    ARRAY_LEN(misbehaviours));
	tcase_add_test(rough, reads_replies_octet_by_octet);
	tcase_add_test(rough, does_not_swallow_an_endless_banner);
	tcase_add_test(rough, takes_a_refusal_in_the_middle_of_the_message);
	tcase_add_test(rough, tries_at_once_again_when_an_old_connection_ended);
	tcase_add_test(rough, leaves_an_idle_connection);
	tcase_add_test(rough, opens_no_more_connections_than_allowed);
	tcase_add_test(rough, keeps_to_the_messages_a_minute);
	tcase_add_test(later, expires_a_message_that_is_refused_for_too_long);
	tcase_add_test(later, expires_a_message_whose_route_is_down);
	tcase_add_test(later, retries_now_when_told_to);
	tcase_add_test(hops, fails_over_and_comes_back);
	tcase_add_test(hops, fails_over_on_a_refusing_banner);
	tcase_add_test(hops, gives_a_message_to_one_next_hop_only);
	tcase_add_test(hops, is_content_with_the_connections_it_gets);
	tcase_add_test(hops, waits_for_a_route_that_is_down_and_then_goes_in_order);
	tcase_add_test(hops, leaves_a_next_hop_that_is_down_in_peace);
	tcase_add_test(hops, takes_up_at_once_what_a_broken_connection_put_off);
	tcase_add_test(hops, finds_a_next_hop_by_name);
	tcase_add_loop_test(hops, waits_when_a_name_has_no_address, 0, 2);
	tcase_add_test(ends, takes_up_what_an_earlier_process_left);
	tcase_add_test(ends, gives_up_a_connection_in_the_middle_without_losing_anything);
	tcase_add_test(ends, leaves_a_damaged_envelope_alone);
	tcase_add_test(ends, finds_a_way_for_a_route_that_is_no_more);
	tcase_add_test(ends, drains);
	return suite_main(suite);
}
