/* SPDX-License-Identifier: ISC */
/* What operators ask of the queue (operation.h), and which messages they mean (selection.h). */
#include "bed.h"

#include "base/clock.h"
#include "delivery/operation.h"
#include "delivery/state.h"

#include <stdlib.h>

static struct bed bed;
static struct smtp_server *server;

/* One operation of the test; the selection is made of texts. */
struct wish {
	struct operation operation;
	bool is_over;
};

static void
wish_fulfilled(struct operation *operation)
{
	LIST_OWNER(operation, struct wish, operation)->is_over = true;
}

static void
wish_begin(struct wish *wish, enum queue_action action, const struct selection_source *source)
{
	struct fault fault;

	memset(wish, 0, sizeof(*wish));
	wish->operation.action = action;
	wish->operation.selection = selection_new(source, &fault);
	ck_assert_ptr_nonnull(wish->operation.selection);
	wish->operation.uid = 4711;
	wish->operation.user = span_of("tester");
	wish->operation.done = wish_fulfilled;
	operation_begin(&wish->operation, bed.delivery);
}

static struct queue_tally
ask(enum queue_action action, struct selection_source source)
{
	struct wish wish;

	wish_begin(&wish, action, &source);
	bed_until(&bed, wish.is_over);
	ck_assert(!wish.operation.is_broken);
	return wish.operation.tally;
}

#define EVERYTHING ((struct selection_source){ .state = QUEUE_ANY })

static struct text_list
one(const struct span *item)
{
	return (struct text_list){ item, 1 };
}

static void
setup(void)
{
	bed_init(&bed);
	server = smtp_server_new(bed.loop, 0);
	bed_route(&bed, "*");
	bed_server(&bed, 0, server);
	bed.retry_ms[0] = 3600 * 1000;
}

static void
teardown(void)
{
	smtp_server_free(&server);
	bed_reset(&bed);
}

static struct smtp_rule later_rules[] = { { "MAIL", "451 4.3.0 later\r\n", RULE_SAY, 0 } };

/* So many messages that wait for an hour. */
static void
wait_with(unsigned count, const char *to)
{
	unsigned before = bed.submitted;

	if (bed.delivery == NULL) {
		smtp_server_rules(server, later_rules, ARRAY_LEN(later_rules));
		bed_start(&bed);
	}
	for (unsigned i = 0; i < count; i++)
		bed_send(&bed, to);
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == before + count);
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) == 0);
}

static void
next_hop_recovers(void)
{
	smtp_server_rules(server, NULL, 0);
}

/* ---- Actions ---- */

START_TEST(counts_and_changes_nothing)
{
	wait_with(3, "one@example.org");
	ck_assert_uint_eq(ask(QUEUE_COUNT, EVERYTHING).done, 3);
	ck_assert_uint_eq(bed_recorded(&bed, "\"operator\"", NULL, NULL), 0);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 3);
}
END_TEST

START_TEST(tries_at_once_what_waits)
{
	wait_with(3, "one@example.org");
	next_hop_recovers();
	ck_assert_uint_eq(ask(QUEUE_RETRY, EVERYTHING).done, 3);
	bed_until(&bed, server->message_count == 3);
	bed_until(&bed, bed_recorded(&bed, "\"operator\"", "\"retry\"", "4711") == 3);
	ck_assert_uint_eq(bed_recorded(&bed, "\"operator\"", "TEST000", "tester"), 3);
}
END_TEST

START_TEST(tries_at_once_a_route_that_is_down)
{
	bed.tuning.hops.pause_first_ms = bed.tuning.hops.pause_max_ms = 3600 * 1000;
	smtp_server_down(server);
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", NULL, NULL) == 1);
	smtp_server_up(server);
	bed_turn_for(&bed, 50);
	ck_assert_uint_eq(server->message_count, 0);
	ck_assert_uint_eq(ask(QUEUE_RETRY, EVERYTHING).done, 1);
	bed_until(&bed, server->message_count == 1);
}
END_TEST

START_TEST(holds_until_it_is_released)
{
	wait_with(2, "one@example.org");
	ck_assert_uint_eq(ask(QUEUE_HOLD, EVERYTHING).done, 2);
	ck_assert_uint_eq(ask(QUEUE_HOLD, EVERYTHING).unchanged, 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].held), 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 0);
	next_hop_recovers();
	ck_assert_uint_eq(ask(QUEUE_RETRY, EVERYTHING).unchanged, 2);
	delivery_retry_now(bed.delivery, span_of(""));
	bed_turn_for(&bed, 50);
	ck_assert_uint_eq(server->message_count, 0);
	ck_assert_uint_eq(ask(QUEUE_RELEASE, EVERYTHING).done, 2);
	bed_until(&bed, server->message_count == 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].held), 0);
	bed_until(&bed, bed_spooled(&bed) == 0);
}
END_TEST

/* The time of the queue is over long before it is let go. */
START_TEST(holds_over_a_restart_and_without_expiring)
{
	struct delivery_state state;
	struct buffer text;

	bed.queue.expires_ms = 200;
	wait_with(1, "one@example.org");
	ck_assert_uint_eq(ask(QUEUE_HOLD, EVERYTHING).done, 1);
	bed_stop(&bed);
	next_hop_recovers();
	bed_start(&bed);
	bed_until(&bed, bed.found == 1);
	bed_turn_for(&bed, 300);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].held), 1);
	ck_assert_uint_eq(server->message_count, 0);
	buffer_init(&text, 64 << 10);
	ck_assert(bed_state(&bed, &state, &text));
	ck_assert(state.is_held);
	ck_assert_uint_eq(state.recipients[0], RECIPIENT_WAITING);
	buffer_reset(&text);
	ck_assert_uint_eq(ask(QUEUE_RELEASE, EVERYTHING).done, 1);
	bed_until(&bed, server->message_count == 1);
}
END_TEST

START_TEST(holds_what_is_being_delivered_after_it_failed)
{
	struct smtp_rule rules[] = { { ".", "451 4.3.0 not now\r\n", RULE_DRIP, 1 } };
	struct queue_tally tally;

	bed.retry_ms[0] = 10;
	smtp_server_rules(server, rules, ARRAY_LEN(rules));
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) == 1);
	tally = ask(QUEUE_HOLD, EVERYTHING);
	ck_assert_uint_eq(tally.done, 1);
	ck_assert_uint_eq(tally.active, 1);
	bed_until(&bed, bed_figure(&bed.figures[0].held) == 1);
	bed_turn_for(&bed, 50);
	ck_assert_uint_eq(server->message_count, 0);
}
END_TEST

START_TEST(removes_but_not_what_is_being_delivered)
{
	struct smtp_rule rules[] = {
		{ ".", "", RULE_SILENT, 1 },
		{ "MAIL", "451 4.3.0 later\r\n", RULE_SAY, 0 },
	};
	struct queue_tally tally;

	bed.routes[0].connections_max = 1;
	wait_with(3, "one@example.org");
	rules[1].when = "NEVER";
	smtp_server_rules(server, rules, ARRAY_LEN(rules));
	bed_send(&bed, "two@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) == 1);
	tally = ask(QUEUE_REMOVE, EVERYTHING);
	ck_assert_uint_eq(tally.matched, 4);
	ck_assert_uint_eq(tally.done, 3);
	ck_assert_uint_eq(tally.active, 1);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 0);
	bed_until(&bed, bed_recorded(&bed, "\"operator\"", "\"remove\"", NULL) == 3);
}
END_TEST

START_TEST(tries_the_dead_again_only_when_they_are_meant)
{
	struct smtp_rule rules[] = { { "RCPT", "550 5.1.1 nobody\r\n", RULE_SAY, 2 } };
	struct selection_source dead = { .state = QUEUE_DEAD };

	smtp_server_rules(server, rules, ARRAY_LEN(rules));
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_send(&bed, "two@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].dead) == 2);
	ck_assert_uint_eq(ask(QUEUE_RETRY, EVERYTHING).unchanged, 2);
	ck_assert_uint_eq(ask(QUEUE_HOLD, EVERYTHING).unchanged, 2);
	ck_assert_uint_eq(ask(QUEUE_RETRY, dead).done, 2);
	bed_until(&bed, server->message_count == 2);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 0);
	bed_until(&bed, bed_spooled(&bed) == 0);
}
END_TEST

/* ---- Which are meant ---- */

START_TEST(chooses_by_id_and_address)
{
	const struct span id = SPAN_LITERAL("TEST0002"), no_id = SPAN_LITERAL("TEST0009");
	const struct span to = SPAN_LITERAL("@example.net"), from = SPAN_LITERAL("<>");

	wait_with(3, "one@example.org");
	wait_with(2, "two@example.net");
	ck_assert_uint_eq(ask(QUEUE_COUNT, (struct selection_source){ .ids = one(&id) }).done, 1);
	ck_assert_uint_eq(ask(QUEUE_COUNT, (struct selection_source){ .ids = one(&no_id) }).matched,
			  0);
	ck_assert_uint_eq(ask(QUEUE_COUNT, (struct selection_source){ .to = one(&to) }).done, 2);
	ck_assert_uint_eq(ask(QUEUE_COUNT, (struct selection_source){ .from = one(&from) }).done,
			  0);
	ck_assert_uint_eq(ask(QUEUE_HOLD, (struct selection_source){ .to = one(&to) }).done, 2);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .state = QUEUE_HELD }).done, 2);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .state = QUEUE_WAITING }).done, 3);
}
END_TEST

START_TEST(chooses_by_age_and_route)
{
	int64_t now_ms;

	wait_with(2, "one@example.org");
	now_ms = loop_wall_ms(bed.loop);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .before_wall_ms = now_ms + 1 }).done, 2);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .before_wall_ms = now_ms - 60000 }).done,
	    0);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .after_wall_ms = now_ms - 60000 }).done,
	    2);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .after_wall_ms = now_ms + 1 }).done, 0);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .route = span_of("r0") }).done, 2);
	ck_assert_uint_eq(
	    ask(QUEUE_COUNT, (struct selection_source){ .route = span_of("r1") }).done, 0);
}
END_TEST

/* Route and recipient must be those of one recipient. */
START_TEST(chooses_by_one_recipient_of_several)
{
	static const char *const to[] = { "one@example.org", "two@example.net" };
	const struct span net = SPAN_LITERAL("@example.net");
	size_t route = bed_route(&bed, "@example.net");

	bed_server(&bed, route, server);
	smtp_server_rules(server, later_rules, ARRAY_LEN(later_rules));
	bed_start(&bed);
	bed_send_several(&bed, to, 2);
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", NULL, NULL) == 2);
	ck_assert_uint_eq(ask(QUEUE_COUNT, (struct selection_source){ .to = one(&net),
								      .route = span_of("r1") })
			      .done, 1);
	ck_assert_uint_eq(ask(QUEUE_COUNT, (struct selection_source){ .to = one(&net),
								      .route = span_of("r0") })
			      .done, 0);
	/* and it is held as a whole */
	ck_assert_uint_eq(ask(QUEUE_HOLD, (struct selection_source){ .to = one(&net) }).done, 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].held), 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[1].held), 1);
	next_hop_recovers();
	ck_assert_uint_eq(ask(QUEUE_RELEASE, EVERYTHING).done, 1);
	bed_until(&bed, server->message_count == 2);
	bed_until(&bed, bed_spooled(&bed) == 0);
}
END_TEST

/* ---- Many ---- */

/* While it goes through them, they are delivered under its hands. */
START_TEST(goes_through_many_while_they_leave)
{
	const struct span to = SPAN_LITERAL("@example.org");
	struct selection_source source = { .to = one(&to) };
	struct wish retry, hold, count;
	uint64_t held;

	bed.tuning.envelope_octets_max = 0; /* so that every envelope has to be read */
	wait_with(3000, "one@example.org");
	next_hop_recovers();
	wish_begin(&retry, QUEUE_RETRY, &source);
	wish_begin(&hold, QUEUE_HOLD, &source);
	wish_begin(&count, QUEUE_COUNT, &source);
	bed_until(&bed, count.is_over);
	ck_assert(retry.is_over && hold.is_over);
	ck_assert_uint_eq(retry.operation.tally.done + retry.operation.tally.active, 3000);
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) == 0 &&
			    bed_figure(&bed.figures[0].waiting) == 0);
	held = bed_figure(&bed.figures[0].held);
	ck_assert_uint_eq(server->message_count + held, 3000);
	ck_assert_uint_eq(bed_spooled(&bed), held);
	(void)ask(QUEUE_RELEASE, EVERYTHING);
	bed_until(&bed, server->message_count == 3000);
	bed_until(&bed, bed_spooled(&bed) == 0);
}
END_TEST

START_TEST(is_broken_off_when_delivery_ends)
{
	const struct span to = SPAN_LITERAL("@example.org");
	struct selection_source source = { .to = one(&to) };
	struct wish wishes[2];

	wait_with(1000, "one@example.org");
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
		wish_begin(&wishes[i], QUEUE_HOLD, &source);
	loop_turn(bed.loop, 0);
	loop_turn(bed.loop, 0);
	bed_stop(&bed);
	ck_assert(!wishes[0].is_over && !wishes[1].is_over);
	bed_start(&bed);
	bed_until(&bed, bed.found == 1000);
	bed_until(&bed, bed_figure(&bed.figures[0].waiting) +
				bed_figure(&bed.figures[0].held) == 1000);
}
END_TEST

START_TEST(knows_states_and_actions_by_name)
{
	static const char *const states[] = { "waiting", "held", "delivered", "dead" };
	static const char *const actions[] = { "count", "retry", "hold", "release", "remove" };
	enum queue_action action;

	for (size_t i = 0; i < ARRAY_LEN(states); i++)
		ck_assert_str_eq(queue_state_name(queue_state_find(span_of(states[i]))),
				 states[i]);
	ck_assert_int_eq(queue_state_find(span_of("lost")), QUEUE_ANY);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		ck_assert(queue_action_find(span_of(actions[i]), &action));
		ck_assert_str_eq(queue_action_name(action), actions[i]);
	}
	ck_assert(!queue_action_find(span_of("explode"), &action));
}
END_TEST

START_TEST(refuses_a_pattern_that_is_none)
{
	const struct span bad = SPAN_LITERAL("no address");
	struct selection_source source = { .from = one(&bad) };
	struct fault fault;

	ck_assert_ptr_null(selection_new(&source, &fault));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("operations");
	TCase *actions = tcase_create("actions");
	TCase *choice = tcase_create("which are meant");
	TCase *many = tcase_create("many");
	TCase *const cases[] = { actions, choice, many };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		tcase_add_checked_fixture(cases[i], setup, teardown);
		tcase_set_timeout(cases[i], 120);
		suite_add_tcase(suite, cases[i]);
	}
	tcase_add_test(actions, counts_and_changes_nothing);
	tcase_add_test(actions, tries_at_once_what_waits);
	tcase_add_test(actions, tries_at_once_a_route_that_is_down);
	tcase_add_test(actions, holds_until_it_is_released);
	tcase_add_test(actions, holds_over_a_restart_and_without_expiring);
	tcase_add_test(actions, holds_what_is_being_delivered_after_it_failed);
	tcase_add_test(actions, removes_but_not_what_is_being_delivered);
	tcase_add_test(actions, tries_the_dead_again_only_when_they_are_meant);
	tcase_add_test(choice, chooses_by_id_and_address);
	tcase_add_test(choice, chooses_by_age_and_route);
	tcase_add_test(choice, chooses_by_one_recipient_of_several);
	tcase_add_test(choice, knows_states_and_actions_by_name);
	tcase_add_test(choice, refuses_a_pattern_that_is_none);
	tcase_add_test(many, goes_through_many_while_they_leave);
	tcase_add_test(many, is_broken_off_when_delivery_ends);
	return suite_main(suite);
}
