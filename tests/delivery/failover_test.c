/* SPDX-License-Identifier: ISC */
/* From one next hop to another: what goes on at once, what waits, what slows a route. */
#include "bed.h"

#include "base/clock.h"

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
	bed_server(&bed, 0, second);
	bed.retry_ms[0] = 3600 * 1000; /* whatever goes on does so at once */
}

static void
teardown(void)
{
	smtp_server_free(&first);
	smtp_server_free(&second);
	bed_reset(&bed);
}

static struct smtp_rule put_off[] = {
	{ "MAIL", "451 4.3.0 not now\r\n", RULE_SAY, 0 },
	{ "RCPT", "450 4.2.1 not now\r\n", RULE_SAY, 0 },
	{ "DATA", "452 4.3.1 no room\r\n", RULE_SAY, 0 },
	{ ".", "451 4.3.0 not now\r\n", RULE_SAY, 0 },
	{ "MAIL", "432 4.3.2 too fast\r\n", RULE_SAY, 0 },
	{ ".", "451 4.7.500 server busy\r\n", RULE_SAY, 0 },
	{ "MAIL", "421 4.3.2 closing\r\n", RULE_CLOSE, 0 },
	{ "MAIL", "", RULE_RESET, 0 },
	{ "RCPT", "421-4.3.2 closing\r\n421 4.3.2 now\r\n", RULE_CLOSE, 0 },
	{ ".", "421 4.3.2 closing\r\n", RULE_CLOSE, 0 },
};

START_TEST(goes_to_the_next_one_what_the_first_puts_off)
{
	struct smtp_rule rule = put_off[_i];

	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, second->message_count == 1);
	bed_until(&bed, bed_spooled(&bed) == 0);
	bed_turn_for(&bed, 30);
	ck_assert_uint_eq(first->message_count, 0);
	ck_assert_uint_eq(second->message_count, 1);
	ck_assert_uint_eq(bed_recorded(&bed, "\"deferred\"", NULL, NULL), 1);
	ck_assert_uint_eq(bed_recorded(&bed, "\"delivered\"", NULL, NULL), 1);
}
END_TEST

START_TEST(goes_with_one_connection_too)
{
	struct smtp_rule rules[] = { { "RCPT", "450 4.2.1 not now\r\n", RULE_SAY, 0 } };

	bed.routes[0].connections_max = 1;
	smtp_server_rules(first, rules, 1);
	bed_start(&bed);
	for (unsigned i = 0; i < 5; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, share_held(&bed.shares[0]) > 1 || second->message_count == 5);
	ck_assert_uint_le(share_held(&bed.shares[0]), 1);
	bed_until(&bed, bed_spooled(&bed) == 0);
}
END_TEST

START_TEST(sends_on_only_the_recipients_that_were_put_off)
{
	const char *const to[] = { "good@example.org", "later@example.org", "bad@example.org" };
	struct smtp_rule rules[] = {
		{ "RCPT TO:<later", "450 4.2.1 not now\r\n", RULE_SAY, 0 },
		{ "RCPT TO:<bad", "550 5.1.1 nobody\r\n", RULE_SAY, 0 },
	};

	smtp_server_rules(first, rules, ARRAY_LEN(rules));
	bed_start(&bed);
	bed_send_several(&bed, to, ARRAY_LEN(to));
	bed_until(&bed, second->message_count == 1);
	ck_assert_str_eq(buffer_text(&smtp_server_last(first)->recipients),
			 "RCPT TO:<good@example.org>\n");
	ck_assert_str_eq(buffer_text(&smtp_server_last(second)->recipients),
			 "RCPT TO:<later@example.org>\n");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 1);
}
END_TEST

/* What may have been taken is not given to another. */
static const struct smtp_rule unclear[] = {
	{ "BODY", "", RULE_RESET, 1 }, /* the dot had left */
	{ ".", "", RULE_RESET, 1 },
	{ ".", "", RULE_CLOSE, 1 },
	{ ".", "250", RULE_CLOSE, 1 },
	{ ".", "garbage\r\n", RULE_SAY, 1 },
};

START_TEST(waits_when_the_first_may_have_taken_it)
{
	struct smtp_rule rule = unclear[_i];

	smtp_server_rules(first, &rule, 1);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	bed_turn_for(&bed, 100);
	ck_assert_uint_eq(second->connections, 0);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
}
END_TEST

START_TEST(counts_one_try_for_a_round_and_then_waits)
{
	struct smtp_rule at_first[] = { { "MAIL", "451 4.3.0 not now\r\n", RULE_SAY, 0 } };
	struct smtp_rule at_second[] = { { ".", "452 4.3.1 no room\r\n", RULE_SAY, 0 } };
	struct delivery_state state;
	struct buffer text;

	smtp_server_rules(first, at_first, 1);
	smtp_server_rules(second, at_second, 1);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", NULL, NULL) == 2);
	bed_turn_for(&bed, 100);
	ck_assert_uint_eq(bed_recorded(&bed, "\"deferred\"", NULL, NULL), 2);
	ck_assert_uint_eq(bed_recorded(&bed, "no room", "\"tries\":1", NULL), 1);
	ck_assert(bed_state(&bed, &state, &text));
	ck_assert_uint_eq(state.tries, 1);
	ck_assert_int_gt(state.next_wall_ms, clock_wall_ms());
	buffer_reset(&text);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].in_flight), 0);
}
END_TEST

START_TEST(waits_when_there_is_no_other_to_be_reached)
{
	struct smtp_rule rules[] = { { "MAIL", "451 4.3.0 not now\r\n", RULE_SAY, 0 } };

	smtp_server_rules(first, rules, 1);
	smtp_server_down(second);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].waiting) == 1 &&
			    bed_figure(&bed.figures[0].in_flight) == 0 &&
			    bed_recorded(&bed, "\"deferred\"", "not now", NULL) >= 1);
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) == 0);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
}
END_TEST

START_TEST(balances_messages_over_the_next_hops)
{
	bed.routes[0].is_balanced = true;
	bed_start(&bed);
	for (unsigned i = 0; i < 40; i++) {
		bed_send(&bed, "one@example.org");
		bed_until(&bed, first->message_count + second->message_count == i + 1);
	}
	ck_assert_uint_ge(first->message_count, 15);
	ck_assert_uint_ge(second->message_count, 15);
	smtp_server_down(first);
	for (unsigned i = 40; i < 50; i++) {
		bed_send(&bed, "one@example.org");
		bed_until(&bed, first->message_count + second->message_count == i + 1);
	}
	bed_until(&bed, bed_spooled(&bed) == 0);
}
END_TEST

/* One next hop, which says so once: it is left alone for a while, and the mail waits. */
START_TEST(gives_a_next_hop_time_that_asks_for_it)
{
	struct smtp_rule rules[] = { { "MAIL", "432 4.3.2 too fast\r\n", RULE_SAY, 1 } };
	int64_t begin_ms = clock_monotonic_ms();

	bed.routes[0].next_hop_count = 1;
	bed.routes[0].connections_max = 1;
	bed.retry_ms[0] = 10;
	bed.tuning.hops.pause_first_ms = 300;
	bed.tuning.hops.pause_max_ms = 300;
	smtp_server_rules(first, rules, 1);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	bed_turn_for(&bed, 20);
	ck_assert_uint_eq(atomic_load(&bed.figures[0].hops[0].trouble), HOP_THROTTLES);
	bed_send(&bed, "two@example.org");
	bed_until(&bed, first->message_count == 2);
	ck_assert_int_ge(clock_monotonic_ms() - begin_ms, 300);
	ck_assert_uint_le(share_window(&bed.shares[0], 20), 3);
	ck_assert_uint_eq(second->connections, 0);
}
END_TEST

START_TEST(is_not_slowed_by_greylisting)
{
	struct smtp_rule rules[] = { { "RCPT", "450 4.7.1 greylisted\r\n", RULE_SAY, 1 } };

	bed.routes[0].next_hop_count = 1;
	bed.tuning.hops.pause_first_ms = 60000;
	bed.tuning.hops.pause_max_ms = 60000;
	smtp_server_rules(first, rules, 1);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	bed_send(&bed, "two@example.org");
	bed_until(&bed, first->message_count == 1);
}
END_TEST

START_TEST(leaves_the_connections_to_workers_that_have_them)
{
	struct route_share *share = &bed.shares[0];

	bed.routes[0].connections_max = 2;
	atomic_store(&share->held[5], 2); /* another worker's */
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_turn_for(&bed, 150);
	ck_assert_uint_eq(first->connections + second->connections, 0);
	ck_assert(share_is_wanted(share, 5));
	share_give_back(share, 5);
	bed_until(&bed, first->message_count == 1);
	ck_assert(!share_is_wanted(share, 5));
	share_want(share, 5, true); /* and now it wants it back */
	bed_until(&bed, share_held(share) == 1);
}
END_TEST

START_TEST(keeps_large_messages_whole_in_chunks)
{
	static char body[300000];
	const char *to = "one@example.org";

	memset(body, '.', sizeof(body));
	for (size_t i = 70; i + 2 < sizeof(body); i += 72)
		memcpy(body + i, "\r\n", 2);
	memcpy(body, "A: b\r\n\r\n", 8);
	memcpy(body + sizeof(body) - 2, "\r\n", 2);
	first->ehlo = "250-test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n";
	bed.routes[0].connections_max = 1;
	bed_start(&bed);
	for (unsigned i = 0; i < 3; i++)
		bed_submit(&bed, &(struct bed_message){
				     .sender = "sender@example.com",
				     .recipients = &to,
				     .recipient_count = 1,
				     .body = { body, sizeof(body) },
				 });
	bed_send(&bed, to); /* small: DATA */
	bed_until(&bed, first->message_count == 4);
	ck_assert_uint_eq(first->chunks, 3);
	for (struct list *l = first->messages.next; l != &first->messages; l = l->next) {
		struct received_message *m = LIST_OWNER(l, struct received_message, link);

		ck_assert(m->body.len < 1000 ||
			  span_equal(buffer_span(&m->body), (struct span){ body, sizeof(body) }));
	}
	bed_until(&bed, bed_spooled(&bed) == 0);
}
END_TEST

START_TEST(resets_after_chunks_that_nobody_wanted)
{
	const char *to[] = { "bad@example.org" };
	struct smtp_rule rules[] = { { "RCPT", "550 5.1.1 nobody\r\n", RULE_SAY, 1 } };

	first->ehlo = _i == 0 ? "250-test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n"
			      : "250-test\r\n250-8BITMIME\r\n250 CHUNKING\r\n";
	bed.routes[0].connections_max = 1;
	smtp_server_rules(first, rules, 1);
	bed_start(&bed);
	for (unsigned i = 0; i < 3; i++)
		bed_submit(&bed, &(struct bed_message){
				     .sender = "sender@example.com",
				     .recipients = to,
				     .recipient_count = 1,
				     .body = SPAN_LITERAL("A: b\r\n\r\nc\r\n"),
				     .body_kind = BODY_8BITMIME,
				 });
	bed_until(&bed, first->message_count == 2);
	ck_assert_uint_eq(first->chunks, 2);
	ck_assert_uint_eq(first->resets, 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("failover");
	TCase *tc = tcase_create("failover");
	TCase *pace = tcase_create("pace");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(pace, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_set_timeout(pace, 60);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, pace);
	tcase_add_loop_test(tc, goes_to_the_next_one_what_the_first_puts_off, 0,
			    ARRAY_LEN(put_off));
	tcase_add_test(tc, goes_with_one_connection_too);
	tcase_add_test(tc, sends_on_only_the_recipients_that_were_put_off);
	tcase_add_loop_test(tc, waits_when_the_first_may_have_taken_it, 0, ARRAY_LEN(unclear));
	tcase_add_test(tc, counts_one_try_for_a_round_and_then_waits);
	tcase_add_test(tc, waits_when_there_is_no_other_to_be_reached);
	tcase_add_test(tc, balances_messages_over_the_next_hops);
	tcase_add_test(pace, gives_a_next_hop_time_that_asks_for_it);
	tcase_add_test(pace, is_not_slowed_by_greylisting);
	tcase_add_test(pace, leaves_the_connections_to_workers_that_have_them);
	tcase_add_test(pace, keeps_large_messages_whole_in_chunks);
	tcase_add_loop_test(pace, resets_after_chunks_that_nobody_wanted, 0, 2);
	return suite_main(suite);
}
