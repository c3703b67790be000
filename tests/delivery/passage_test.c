/* SPDX-License-Identifier: ISC */
/* Messages that are passed on while their clients wait: what is told, what is stored. */
#include "bed.h"

#include "base/clock.h"
#include "delivery/state.h"

#include <stdio.h>

static struct bed bed;
static struct smtp_server *first, *second;

static void
setup(void)
{
	bed_init(&bed);
	first = smtp_server_new(bed.loop, 0);
	second = smtp_server_new(bed.loop, 0);
	bed_route(&bed, "*");
	bed_server(&bed, 0, first);
	bed.routes[0].is_cut_through = true;
	bed.routes[0].cut_through_wait_ms = 5000;
	bed.retry_ms[0] = 3600 * 1000; /* whatever goes on does so at once */
}

static void
teardown(void)
{
	smtp_server_free(&first);
	smtp_server_free(&second);
	bed_reset(&bed);
}

/* What a session does with a passage: it stores what is open, if its client is there. */
struct sending {
	struct passage *passage;
	struct spool_draft *draft;
	struct envelope envelope;
	struct envelope_recipient recipients[4];
	char id[ID_SIZE];
	unsigned told; /* how often */
	enum passage_result all;
	enum passage_result results[4];
	char reply[4][256];
	bool has_left;
	bool is_stored;
	struct delivery_state state; /* that it was stored with */
	unsigned char states[4];
};

static void
sending_stored(void *context, enum spool_status status, struct spool_message *message)
{
	struct sending *s = context;

	ck_assert_int_eq(status, SPOOL_OK);
	s->is_stored = true;
	if (s->passage != NULL)
		delivery_passage_accepted(bed.delivery, &s->passage, message, &s->envelope);
	else
		delivery_accepted(bed.delivery, message, &s->envelope);
	ck_assert_ptr_null(s->passage);
}

static void
sending_store(struct sending *s)
{
	struct buffer envelope, state;

	buffer_init(&envelope, ENVELOPE_OCTETS_MAX);
	buffer_init(&state, SPOOL_STATE_MAX);
	ck_assert(envelope_encode(&s->envelope, &envelope));
	delivery_state_initial(bed.delivery, &s->envelope, &state);
	if (s->passage != NULL)
		delivery_passage_state(bed.delivery, s->passage, &state);
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &s->state), PARSE_OK);
	memcpy(s->states, s->state.recipients, s->state.recipient_count);
	spool_draft_commit(&s->draft, buffer_span(&envelope), buffer_span(&state),
			   sending_stored, s);
	buffer_reset(&envelope);
	buffer_reset(&state);
}

static void
sending_told(void *context, enum passage_result all, const struct passage_recipient *recipients)
{
	struct sending *s = context;

	s->told++;
	s->all = all;
	for (size_t i = 0; i < s->envelope.recipient_count; i++) {
		s->results[i] = recipients[i].result;
		(void)snprintf(s->reply[i], sizeof(s->reply[i]), SPAN_FMT,
			       SPAN_ARG(recipients[i].reply));
	}
	if (all != PASSAGE_OPEN) {
		s->passage = NULL; /* it is over */
		spool_draft_drop(&s->draft);
	} else if (s->has_left) {
		delivery_passage_drop(bed.delivery, &s->passage);
		spool_draft_drop(&s->draft);
	} else {
		sending_store(s);
	}
}

static void
nothing(void *context)
{
	(void)context;
}

static void
sending_prepare(struct sending *s, const char *const *to, size_t count)
{
	static const struct span body = SPAN_LITERAL("Subject: x\r\n\r\n.dots\r\nBye\r\n");
	static unsigned serial;

	*s = (struct sending){ .draft = spool_draft_new(bed.spool) };
	(void)snprintf(s->id, sizeof(s->id), "PASS%04u", ++serial);
	for (size_t i = 0; i < count; i++)
		s->recipients[i] = (struct envelope_recipient){
			.address = span_of(to[i]),
			.route = bed.routes[0].name,
			.grant = SPAN_LITERAL("g"),
		};
	s->envelope = (struct envelope){
		.id = span_of(s->id),
		.sender = SPAN_LITERAL("sender@example.com"),
		.client = SPAN_LITERAL("192.0.2.1"),
		.connector = SPAN_LITERAL("c"),
		.arrived_wall_ms = clock_wall_ms(),
		.size_octets = body.len,
		.recipients = s->recipients,
		.recipient_count = count,
	};
	(void)spool_draft_append(s->draft, body, nothing, NULL);
}

/* False: delivery does not want to pass it on; it is still a draft. */
static bool
sending_try(struct sending *s)
{
	s->passage = delivery_pass_on(bed.delivery, &s->envelope, s->draft, sending_told, s);
	return s->passage != NULL;
}

static const char *const three[] = { "a@example.org", "b@example.org", "c@example.org" };

static void
sending_begin(struct sending *s, size_t count)
{
	sending_prepare(s, three, count);
	ck_assert(sending_try(s));
	ck_assert_uint_eq(s->told, 0);
}

static uint64_t
commits(void)
{
	struct spool_figures figures;

	spool_figures_get(bed.spool, &figures);
	return figures.commits;
}

START_TEST(what_the_next_hop_takes_is_never_stored)
{
	struct sending s;

	bed_start(&bed);
	sending_begin(&s, 3);
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_TAKEN);
	ck_assert_int_eq(strncmp(s.reply[2], "250 ", 4), 0);
	ck_assert_uint_eq(first->message_count, 1);
	ck_assert_str_eq(buffer_text(&smtp_server_last(first)->body),
			 "Subject: x\r\n\r\n.dots\r\nBye\r\n");
	bed_turn_for(&bed, 30);
	ck_assert_uint_eq(commits(), 0);
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", s.id, NULL), 3);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].delivered), 3);
	sending_begin(&s, 1); /* over the same connection */
	bed_until(&bed, s.told == 1);
	ck_assert_uint_eq(first->connections, 1);
	ck_assert_uint_eq(first->message_count, 2);
}
END_TEST

static struct smtp_rule refusals[] = {
	{ "MAIL", "550 5.7.1 no\r\n", RULE_SAY, 0 },
	{ "RCPT", "550 5.1.1 no\r\n", RULE_SAY, 0 },
	{ "DATA", "554 5.5.0 no\r\n", RULE_SAY, 0 },
	{ ".", "550 5.6.0 no\r\n", RULE_SAY, 0 },
};

START_TEST(what_it_refuses_is_refused_and_nothing_is_stored)
{
	struct smtp_rule rule = refusals[_i];
	struct sending s;

	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	sending_begin(&s, 3);
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_REFUSED);
	ck_assert_int_eq(strncmp(s.reply[0], rule.reply, 9), 0);
	bed_turn_for(&bed, 30);
	ck_assert_uint_eq(commits(), 0);
	ck_assert_uint_eq(bed_recorded(&bed, "\"failed\"", s.id, NULL), 3);
	ck_assert_uint_eq(bed_recorded(&bed, "\"bounce\"", NULL, NULL), 0);
}
END_TEST

START_TEST(what_cannot_pass_there_is_refused_too)
{
	struct sending s;

	first->ehlo = "250-plain.example\r\n250 PIPELINING\r\n";
	bed_start(&bed);
	sending_prepare(&s, three, 1);
	s.envelope.is_smtputf8 = true;
	ck_assert(sending_try(&s));
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_REFUSED);
	ck_assert_int_eq(strncmp(s.reply[0], "5.6.7 ", 6), 0);
	sending_begin(&s, 1); /* the connection is still good */
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_TAKEN);
	ck_assert_uint_eq(first->connections, 1);
}
END_TEST

/* What it puts off, or what breaks, goes to another next hop from the spool. */
static struct smtp_rule put_off[] = {
	{ "MAIL", "451 4.3.0 not now\r\n", RULE_SAY, 0 },
	{ "RCPT", "450 4.2.1 not now\r\n", RULE_SAY, 0 },
	{ "DATA", "452 4.3.1 no room\r\n", RULE_SAY, 0 },
	{ ".", "451 4.3.0 not now\r\n", RULE_SAY, 0 },
	{ "MAIL", "421 4.3.2 closing\r\n", RULE_CLOSE, 0 },
	{ "MAIL", "", RULE_RESET, 0 },
	{ "RCPT", "421-4.3.2 closing\r\n421 4.3.2 now\r\n", RULE_CLOSE, 0 },
	{ "DATA", "", RULE_CLOSE, 0 },
	{ ".", "421 4.3.2 closing\r\n", RULE_CLOSE, 0 },
};

START_TEST(what_it_puts_off_the_spool_takes_and_another_next_hop_gets)
{
	struct smtp_rule rule = put_off[_i];
	struct sending s;

	bed_server(&bed, 0, second);
	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	sending_begin(&s, 3);
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_OPEN);
	bed_until(&bed, second->message_count == 1);
	bed_until(&bed, bed_spooled(&bed) == 0);
	ck_assert(s.is_stored);
	ck_assert_uint_eq(first->message_count, 0);
	ck_assert_uint_eq(bed_recorded(&bed, "\"deferred\"", s.id, NULL), 3);
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", s.id, NULL), 3);
}
END_TEST

START_TEST(a_connection_that_fails_leaves_it_to_another_while_the_client_waits)
{
	struct smtp_rule rule = { "CONNECT", "421 4.3.2 not now\r\n", RULE_CLOSE, 0 };
	struct sending s;

	bed_server(&bed, 0, second);
	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	sending_begin(&s, 1);
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_TAKEN);
	ck_assert_uint_eq(second->message_count, 1);
	ck_assert_uint_eq(commits(), 0);
}
END_TEST

START_TEST(mixed_answers_are_stored_with_what_was_taken_marked)
{
	struct smtp_rule rules[] = {
		{ "RCPT TO:<b@", "450 4.2.1 not now\r\n", RULE_SAY, 1 },
		{ "RCPT TO:<c@", "550 5.1.1 nobody\r\n", RULE_SAY, 0 },
	};
	struct sending s;

	bed.retry_ms[0] = 40;
	smtp_server_rules(first, rules, ARRAY_LEN(rules));
	bed_start(&bed);
	sending_begin(&s, 3);
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_OPEN);
	ck_assert_int_eq(s.results[0], PASSAGE_TAKEN);
	ck_assert_int_eq(s.results[1], PASSAGE_OPEN);
	ck_assert_int_eq(s.results[2], PASSAGE_REFUSED);
	ck_assert_uint_eq(s.states[0], RECIPIENT_DELIVERED);
	ck_assert_uint_eq(s.states[1], RECIPIENT_WAITING);
	ck_assert_uint_eq(s.states[2], RECIPIENT_WAITING); /* tried again should we die now */
	bed_until(&bed, first->message_count == 2);
	ck_assert_str_eq(buffer_text(&smtp_server_last(first)->recipients),
			 "RCPT TO:<b@example.org>\n");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 1);
	ck_assert_uint_eq(bed_recorded(&bed, "\"failed\"", s.id, "c@example.org"), 1);
}
END_TEST

static struct smtp_rule unclear[] = {
	{ "BODY", "", RULE_RESET, 1 },
	{ ".", "", RULE_RESET, 1 },
	{ ".", "", RULE_CLOSE, 1 },
	{ ".", "250", RULE_CLOSE, 1 },
	{ ".", "garbage\r\n", RULE_SAY, 1 },
};

START_TEST(what_it_may_have_taken_waits_and_goes_to_no_other)
{
	struct smtp_rule rule = unclear[_i];
	struct sending s;

	bed_server(&bed, 0, second);
	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	sending_begin(&s, 1);
	bed_until(&bed, s.is_stored);
	bed_turn_for(&bed, 50);
	ck_assert_int_eq(s.all, PASSAGE_OPEN);
	ck_assert_uint_eq(second->connections, 0);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 1);
}
END_TEST

static const char *const stages[] = { "CONNECT", "EHLO", "MAIL", "RCPT", "DATA" };

START_TEST(before_the_dot_silence_is_broken_off_in_time)
{
	struct smtp_rule rule = { stages[_i], "", RULE_SILENT, 1 };
	struct sending s, next;
	int64_t begun_ms;

	bed.routes[0].cut_through_wait_ms = 100;
	first->ehlo = "250 plain.example\r\n"; /* one command at a time */
	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	begun_ms = clock_monotonic_ms();
	sending_begin(&s, 1);
	bed_until(&bed, s.told == 1);
	ck_assert_int_ge(clock_monotonic_ms() - begun_ms, 95);
	ck_assert_int_eq(s.all, PASSAGE_OPEN);
	if (_i >= 2) {
		bed_until(&bed, first->message_count == 1);
		bed_until(&bed, bed_spooled(&bed) == 0);
		ck_assert_uint_eq(bed_recorded(&bed, "\"deferred\"", s.id, NULL), 0);
	}
	sending_prepare(&next, three, 1); /* nobody else waits for it */
	ck_assert(!sending_try(&next));
	spool_draft_drop(&next.draft);
	bed_until(&bed, s.is_stored);
}
END_TEST

START_TEST(behind_the_dot_the_reply_is_waited_for_in_the_spool)
{
	struct smtp_rule rule = { ".", "250 2.0.0 at last\r\n", RULE_DRIP, 1 };
	struct sending s;

	bed.routes[0].cut_through_wait_ms = 1; /* the octets come one a turn */
	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	bed_send(&bed, "a@example.org"); /* so that there is a connection */
	bed_until(&bed, first->message_count == 1 && bed_spooled(&bed) == 0);
	rule.times = 1;
	sending_begin(&s, 2);
	bed_until(&bed, s.told == 1);
	bed_until(&bed, first->message_count == 2);
	bed_until(&bed, bed_spooled(&bed) == 0);
	bed_turn_for(&bed, 30);
	ck_assert_uint_eq(first->message_count, 2); /* not again */
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", s.id, NULL), 2);
}
END_TEST

/* Reply held back altogether, and given once the message is stored. */
START_TEST(a_late_reply_is_the_stored_messages)
{
	struct smtp_rule rule = { ".", "", RULE_SILENT, 1 };
	struct sending s;

	bed.routes[0].cut_through_wait_ms = 60;
	bed.tuning.timeouts.dot_ms = 300;
	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	sending_begin(&s, 1);
	bed_until(&bed, s.is_stored);
	ck_assert_int_eq(s.all, PASSAGE_OPEN);
	ck_assert_uint_eq(first->open, 1); /* it is waited for still */
	ck_assert_uint_eq(bed_figure(&bed.figures[0].in_flight), 1);
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	ck_assert_uint_eq(bed_recorded(&bed, "waiting for the reply to the message", s.id, NULL),
			  1);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
}
END_TEST

START_TEST(what_nobody_waits_for_is_recorded_and_forgotten)
{
	struct smtp_rule rule = put_off[_i];
	struct sending s;

	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	sending_begin(&s, 2);
	s.has_left = true;
	bed_until(&bed, s.told == 1);
	bed_turn_for(&bed, 30);
	ck_assert_uint_eq(commits(), 0);
	ck_assert_ptr_null(s.passage);
	ck_assert_uint_eq(bed_recorded(&bed, "\"deferred\"", s.id, NULL), 2);
}
END_TEST

START_TEST(may_be_dropped_at_any_time)
{
	struct smtp_rule rule = { stages[_i], "", RULE_SILENT, 0 };
	struct sending s, another;

	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	sending_begin(&s, 3);
	bed_turn_for(&bed, 40);
	ck_assert_uint_eq(s.told, 0);
	delivery_passage_drop(bed.delivery, &s.passage);
	spool_draft_drop(&s.draft);
	sending_begin(&another, 1); /* not even begun */
	delivery_passage_drop(bed.delivery, &another.passage);
	spool_draft_drop(&another.draft);
	bed_turn_for(&bed, 20);
	ck_assert_uint_eq(s.told + another.told, 0);
}
END_TEST

START_TEST(an_old_connections_end_is_no_answer)
{
	struct smtp_rule rule = { "MAIL", "", RULE_CLOSE, 1 };
	struct sending s;

	bed_start(&bed);
	sending_begin(&s, 1);
	bed_until(&bed, s.told == 1);
	smtp_server_rules(first, &rule, 1);
	sending_begin(&s, 1);
	bed_until(&bed, s.told == 1);
	ck_assert_int_eq(s.all, PASSAGE_TAKEN);
	ck_assert_uint_eq(first->connections, 2);
	ck_assert_uint_eq(commits(), 0);
}
END_TEST

START_TEST(knows_what_it_is_not_for)
{
	struct sending s;

	bed_route(&bed, "@other.example");
	bed_server(&bed, 1, second);
	bed_start(&bed);

	sending_prepare(&s, three, 2); /* two routes */
	s.recipients[1].route = bed.routes[1].name;
	ck_assert(!sending_try(&s));
	s.recipients[0].route = bed.routes[1].name; /* one that has not asked for it */
	ck_assert(!sending_try(&s));
	s.recipients[0].route = s.recipients[1].route = bed.routes[0].name;
	s.recipients[1].notify = NOTIFY_SUCCESS;
	ck_assert(!sending_try(&s));
	s.recipients[1].notify = NOTIFY_FAILURE;
	bed.routes[0].is_cut_through = false;
	ck_assert(!sending_try(&s));
	bed.routes[0].is_cut_through = true;
	delivery_drain(bed.delivery);
	ck_assert(!sending_try(&s));
	spool_draft_drop(&s.draft);
}
END_TEST

START_TEST(does_not_overtake_and_keeps_to_the_limits)
{
	struct sending s[3];
	const char *one = "one@example.org";

	bed.routes[0].connections_max = 1;
	bed.routes[0].messages_per_minute = 1;
	bed_start(&bed);
	sending_begin(&s[0], 1);
	bed_until(&bed, s[0].told == 1);
	ck_assert_int_eq(s[0].all, PASSAGE_TAKEN);
	sending_prepare(&s[1], &one, 1); /* the next one may go in a minute */
	ck_assert(!sending_try(&s[1]));
	spool_draft_drop(&s[1].draft);
}
END_TEST

START_TEST(the_one_connection_serves_one_and_the_spool_the_other)
{
	struct sending s[2];

	bed.routes[0].connections_max = 1;
	bed_start(&bed);
	sending_begin(&s[0], 1);
	sending_prepare(&s[1], three, 1);
	if (!sending_try(&s[1]))
		sending_store(&s[1]);
	bed_until(&bed, s[0].told == 1 && s[1].is_stored);
	bed_until(&bed, first->message_count == 2);
	bed_until(&bed, bed_spooled(&bed) == 0);
	ck_assert_int_eq(s[0].all, PASSAGE_TAKEN);
	ck_assert_uint_le(first->open_max, 1);
}
END_TEST

START_TEST(a_route_that_is_down_is_not_waited_for)
{
	struct sending s;

	smtp_server_down(first);
	bed_start(&bed);
	sending_begin(&s, 1); /* finds it out */
	bed_until(&bed, s.is_stored);
	sending_prepare(&s, three, 1);
	ck_assert(!sending_try(&s));
	spool_draft_drop(&s.draft);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
}
END_TEST

static Suite *
passage_suite(void)
{
	Suite *suite = suite_create("delivery/passage");
	TCase *tc = tcase_create("passage");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, what_the_next_hop_takes_is_never_stored);
	tcase_add_loop_test(tc, what_it_refuses_is_refused_and_nothing_is_stored, 0,
			    ARRAY_LEN(refusals));
	tcase_add_test(tc, what_cannot_pass_there_is_refused_too);
	tcase_add_loop_test(tc, what_it_puts_off_the_spool_takes_and_another_next_hop_gets, 0,
			    ARRAY_LEN(put_off));
	tcase_add_test(tc, a_connection_that_fails_leaves_it_to_another_while_the_client_waits);
	tcase_add_test(tc, mixed_answers_are_stored_with_what_was_taken_marked);
	tcase_add_loop_test(tc, what_it_may_have_taken_waits_and_goes_to_no_other, 0,
			    ARRAY_LEN(unclear));
	tcase_add_loop_test(tc, before_the_dot_silence_is_broken_off_in_time, 0,
			    ARRAY_LEN(stages));
	tcase_add_test(tc, behind_the_dot_the_reply_is_waited_for_in_the_spool);
	tcase_add_test(tc, a_late_reply_is_the_stored_messages);
	tcase_add_loop_test(tc, what_nobody_waits_for_is_recorded_and_forgotten, 0,
			    ARRAY_LEN(put_off));
	tcase_add_loop_test(tc, may_be_dropped_at_any_time, 0, ARRAY_LEN(stages));
	tcase_add_test(tc, an_old_connections_end_is_no_answer);
	tcase_add_test(tc, knows_what_it_is_not_for);
	tcase_add_test(tc, does_not_overtake_and_keeps_to_the_limits);
	tcase_add_test(tc, the_one_connection_serves_one_and_the_spool_the_other);
	tcase_add_test(tc, a_route_that_is_down_is_not_waited_for);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(passage_suite());
}
