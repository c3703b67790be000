/* SPDX-License-Identifier: ISC */
/* The parts of delivery that only reckon: state area, schedule, choice of routes. */
#include "delivery/route.h"
#include "delivery/scheduler.h"
#include "delivery/state.h"

#include "suite.h"

#include <stdlib.h>

/* A spool's message, as far as the schedule looks at one. */
struct spool_message {
	struct spool_info info;
};

const struct spool_info *
spool_message_info(const struct spool_message *message)
{
	return &message->info;
}

/* ---- The state area ---- */

static void
state_make(struct buffer *state, size_t count)
{
	buffer_init(state, SPOOL_STATE_MAX);
	ck_assert(state_initial_append(state, count));
}

START_TEST(reads_the_state_that_it_writes)
{
	struct delivery_state read;
	struct state_head head;
	struct buffer state;

	state_make(&state, 3);
	ck_assert_uint_eq(state.len, STATE_HEAD_OCTETS + 3);
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_OK);
	ck_assert_uint_eq(read.tries, 0);
	ck_assert_int_eq(read.next_wall_ms, 0);
	ck_assert_uint_eq(read.recipient_count, 3);
	ck_assert_uint_eq(read.last_reply.len, 0);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(read.recipients[i], RECIPIENT_WAITING);

	state_head_set(&head, 0, 77, INT64_C(1790000000123), 3, span_of("450 4.2.1 later"));
	memcpy(state.ptr, head.bytes, head.len);
	state.ptr[STATE_HEAD_OCTETS + 1] = RECIPIENT_DEAD;
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_OK);
	ck_assert_uint_eq(read.tries, 77);
	ck_assert_int_eq(read.next_wall_ms, INT64_C(1790000000123));
	ck_assert(span_equal(read.last_reply, span_of("450 4.2.1 later")));
	ck_assert_uint_eq(read.recipients[1], RECIPIENT_DEAD);
	ck_assert(!read.is_held);

	/* flags of a later release are there to be kept */
	state_head_set(&head, 0x80 | STATE_HELD, 1, 0, 3, span_of(""));
	memcpy(state.ptr, head.bytes, head.len);
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_OK);
	ck_assert(read.is_held);
	ck_assert_uint_eq(read.flags, 0x80 | STATE_HELD);
	buffer_reset(&state);
}
END_TEST

START_TEST(cuts_a_long_reply)
{
	char reply[1000];
	struct delivery_state read;
	struct state_head head;
	struct buffer state;

	memset(reply, 'x', sizeof(reply));
	state_make(&state, 1);
	state_head_set(&head, 0, 1, 1, 1, (struct span){ reply, sizeof(reply) });
	ck_assert_uint_le(head.len, STATE_HEAD_OCTETS);
	memcpy(state.ptr, head.bytes, head.len);
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_OK);
	ck_assert_uint_eq(read.last_reply.len, STATE_REPLY_MAX);
	buffer_reset(&state);
}
END_TEST

static const struct damage {
	size_t at;
	unsigned char value;
} damages[] = {
	{ 0, 0 },   { 0, 2 },   { 0, 255 },	       { 2, 201 },		 { 3, 1 },
	{ 15, 255 }, { 16, 2 }, { STATE_HEAD_OCTETS, 3 }, { STATE_HEAD_OCTETS, 6 }, { STATE_HEAD_OCTETS, 255 },
};

START_TEST(keeps_flags_that_it_does_not_know)
{
	struct delivery_state read;
	struct buffer state;

	state_make(&state, 1);
	state.ptr[STATE_FLAGS_AT] = (char)(STATE_WARNED | 0x80);
	state.ptr[STATE_HEAD_OCTETS] = RECIPIENT_FAILED;
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_OK);
	ck_assert_uint_eq(read.flags, STATE_WARNED | 0x80);
	buffer_reset(&state);
}
END_TEST

START_TEST(refuses_a_damaged_state)
{
	struct delivery_state read;
	struct buffer state;

	state_make(&state, 1);
	state.ptr[damages[_i].at] = (char)damages[_i].value;
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_BAD);
	buffer_reset(&state);
}
END_TEST

START_TEST(refuses_a_state_of_the_wrong_length)
{
	struct delivery_state read;
	struct buffer state;

	state_make(&state, 5);
	for (size_t len = 0; len < state.len; len++)
		ck_assert_int_eq(
		    delivery_state_read(span_first(buffer_span(&state), len), &read),
		    PARSE_BAD);
	(void)buffer_append_byte(&state, 0);
	ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_BAD);
	buffer_reset(&state);
}
END_TEST

/* Whatever mixture of two states a crash leaves, octet for octet, can be read. */
START_TEST(reads_any_mixture_of_two_states)
{
	struct delivery_state read;
	struct state_head heads[2];
	struct buffer state;

	state_head_set(&heads[0], 0, 3, 1790000000000, 2, span_of("450 first"));
	state_head_set(&heads[1], STATE_WARNED, 255, 1800000009999, 2, span_of("451 second, and longer"));
	for (unsigned round = 0; round < 2000; round++) {
		state_make(&state, 2);
		for (size_t i = 0; i < STATE_HEAD_OCTETS; i++)
			state.ptr[i] = heads[rand() % 2].bytes[i];
		ck_assert_int_eq(delivery_state_read(buffer_span(&state), &read), PARSE_OK);
		buffer_reset(&state);
	}
}
END_TEST

/* ---- The schedule ---- */

#define JOBS 1000

static struct spool_message messages[JOBS];
static struct queued *queueds[JOBS];
static struct schedule schedule;

static void
jobs_make(void)
{
	schedule_init(&schedule);
	for (size_t i = 0; i < JOBS; i++) {
		messages[i].info.uid = i + 1;
		queueds[i] = queued_new(&messages[i], 1);
		(void)queued_job(queueds[i], 0);
	}
}

static void
jobs_free(void)
{
	for (size_t i = 0; i < JOBS; i++) {
		schedule_end(&schedule, &queueds[i]->first);
		queued_free(&queueds[i]);
	}
	ck_assert_uint_eq(schedule.active, 0);
	ck_assert_uint_eq(schedule.age.count, 0);
	ck_assert_uint_eq(schedule.dead.count, 0);
	ck_assert_uint_eq(schedule_waiting_count(&schedule), 0);
	schedule_reset(&schedule);
}

static uint64_t
job_uid(const struct job *job)
{
	return job->queued->message->info.uid;
}

START_TEST(takes_jobs_in_order_of_arrival_however_they_came)
{
	for (size_t i = 0; i < JOBS; i++) {
		struct job *job = &queueds[(i * 7919) % JOBS]->first;

		if (i % 3 == 0)
			schedule_wait(&schedule, job, (int64_t)i);
		else
			schedule_ready(&schedule, job);
	}
	schedule_wake(&schedule, JOBS);
	ck_assert_uint_eq(schedule_waiting_count(&schedule), JOBS);
	for (uint64_t uid = 1; uid <= JOBS; uid++) {
		struct job *job = schedule_take(&schedule);

		ck_assert_ptr_nonnull(job);
		ck_assert_uint_eq(job_uid(job), uid);
		ck_assert_ptr_eq(schedule_oldest(&schedule), &queueds[0]->first);
	}
	ck_assert_ptr_null(schedule_take(&schedule));
	ck_assert_uint_eq(schedule.active, JOBS);
}
END_TEST

START_TEST(wakes_what_is_due_and_no_more)
{
	for (size_t i = 0; i < JOBS; i++)
		schedule_wait(&schedule, &queueds[i]->first, (int64_t)((i * 7919) % JOBS));
	ck_assert_int_eq(schedule_next_ms(&schedule), 0);
	schedule_wake(&schedule, 499);
	ck_assert_uint_eq(schedule.ready.count, 500);
	ck_assert_int_eq(schedule_next_ms(&schedule), 500);
	ck_assert_int_eq(schedule_due_ms(&schedule, schedule.waiting.entries[0].job), 500);
	schedule_wake(&schedule, JOBS);
	ck_assert_int_eq(schedule_next_ms(&schedule), INT64_MAX);
}
END_TEST

START_TEST(wakes_only_what_was_cut)
{
	for (size_t i = 0; i < JOBS; i++) {
		schedule_wait(&schedule, &queueds[i]->first, (int64_t)((i * 7919) % JOBS));
		queueds[i]->first.was_cut = i % 4 == 0;
	}
	schedule_wake_all(&schedule, true);
	ck_assert_uint_eq(schedule.ready.count, JOBS / 4);
	ck_assert_uint_eq(schedule.waiting.count, JOBS - JOBS / 4);
	for (uint64_t uid = 1; uid <= JOBS; uid += 4)
		ck_assert_uint_eq(job_uid(schedule_take(&schedule)), uid);

	int64_t before = -1;

	while (schedule.waiting.count > 0) { /* the order by time is whole */
		struct job *job = schedule.waiting.entries[0].job;

		ck_assert_int_gt(schedule_due_ms(&schedule, job), before);
		before = schedule_due_ms(&schedule, job);
		schedule_end(&schedule, job);
	}
}
END_TEST

START_TEST(removes_any_job_from_any_place)
{
	for (unsigned round = 0; round < 20000; round++) {
		struct job *job = &queueds[rand() % JOBS]->first;

		switch (rand() % 5) {
		case 0:
			schedule_ready(&schedule, job);
			break;
		case 1:
			schedule_wait(&schedule, job, rand() % 100);
			break;
		case 2:
			schedule_end(&schedule, job);
			break;
		case 3:
			schedule_bury(&schedule, job);
			break;
		default:
			(void)schedule_take(&schedule);
			break;
		}
	}

	uint64_t before = 0;

	schedule_wake_all(&schedule, false);
	while (schedule.ready.count > 0) {
		struct job *job = schedule_take(&schedule);

		ck_assert_uint_gt(job_uid(job), before);
		before = job_uid(job);
	}
}
END_TEST

START_TEST(waits_longer_with_each_try_and_not_all_at_once)
{
	static const int64_t retry_ms[] = { 1000, 10000, 100000 };
	const struct queue_settings queue = { .retry_ms = retry_ms,
					      .retry_count = ARRAY_LEN(retry_ms) };
	int64_t least = INT64_MAX;
	int64_t most = 0;

	for (unsigned tries = 1; tries < 10; tries++) {
		size_t step = tries < 3 ? tries - 1 : 2;

		for (uint64_t uid = 0; uid < 100; uid++) {
			int64_t delay = retry_delay_ms(&queue, tries, uid);

			ck_assert_int_ge(delay, retry_ms[step] - retry_ms[step] / 10);
			ck_assert_int_le(delay, retry_ms[step] + retry_ms[step] / 10);
			ck_assert_int_eq(delay, retry_delay_ms(&queue, tries, uid));
			if (tries == 1 && delay < least)
				least = delay;
			if (tries == 1 && delay > most)
				most = delay;
		}
	}
	ck_assert_int_gt(most - least, 100);
}
END_TEST

/* ---- Jobs of a message ---- */

START_TEST(gives_each_route_of_a_message_one_job)
{
	struct queued *queued = queued_new(&messages[0], 4);
	struct job *first = queued_job(queued, 7);
	struct job *second = queued_job(queued, 3);

	ck_assert_ptr_ne(first, second);
	ck_assert_ptr_eq(queued_job(queued, 7), first);
	ck_assert_ptr_eq(queued_job(queued, 3), second);
	ck_assert_uint_eq(first->route, 7);
	ck_assert_uint_eq(second->route, 3);
	ck_assert(queued_is_over(queued));
	ck_assert(!queued_is_active(queued));
	ck_assert(!message_is_done(queued));
	memset(queued->recipients, RECIPIENT_FAILED, 4);
	queued->recipients[1] = RECIPIENT_DELIVERED;
	ck_assert(message_is_done(queued));
	queued->recipients[2] = RECIPIENT_DEAD;
	ck_assert(!message_is_done(queued));
	queued->recipients[2] = RECIPIENT_OWED;
	ck_assert(!message_is_done(queued));
	queued_free(&queued);
	ck_assert_ptr_null(queued);
}
END_TEST

START_TEST(copies_an_envelope_whole)
{
	struct envelope_recipient recipients[] = {
		{ span_of("a@example.org"), span_of("rfc822;a"), span_of("r"), span_of("g"), 5 },
		{ span_of("b@example.org"), { NULL, 0 }, span_of("s"), span_of("h"), 0 },
	};
	const struct envelope envelope = {
		.id = SPAN_LITERAL("ID"),
		.sender = SPAN_LITERAL("s@example.com"),
		.envid = SPAN_LITERAL("E"),
		.client = SPAN_LITERAL("192.0.2.1"),
		.login = SPAN_LITERAL("l"),
		.connector = SPAN_LITERAL("c"),
		.is_smtputf8 = true,
		.size_octets = 9,
		.recipients = recipients,
		.recipient_count = 2,
	};
	size_t octets;
	struct envelope *copy = envelope_copy(&envelope, &octets);

	ck_assert_uint_gt(octets, sizeof(envelope));
	ck_assert(copy->sender.ptr != envelope.sender.ptr);
	ck_assert(span_equal(copy->sender, envelope.sender));
	ck_assert(span_equal(copy->connector, envelope.connector));
	ck_assert(copy->recipients != recipients);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(span_equal(copy->recipients[i].address, recipients[i].address));
		ck_assert(span_equal(copy->recipients[i].orcpt, recipients[i].orcpt));
		ck_assert(span_equal(copy->recipients[i].route, recipients[i].route));
		ck_assert(span_equal(copy->recipients[i].grant, recipients[i].grant));
		ck_assert_uint_eq(copy->recipients[i].notify, recipients[i].notify);
	}
	ck_assert(copy->is_smtputf8);
	free(copy);
}
END_TEST

/* ---- The choice of routes ---- */

static const struct span any[] = { SPAN_LITERAL("*") };
static const struct span partners[] = { SPAN_LITERAL("@partner.example"),
					SPAN_LITERAL("@*.partner.example") };
static const struct span boss[] = { SPAN_LITERAL("boss@partner.example") };

static const struct next_hop_settings hop = { .host = SPAN_LITERAL("192.0.2.1"), .port = 25 };

static const struct route_settings routes[] = {
	{ .name = SPAN_LITERAL("named"), .next_hops = &hop, .next_hop_count = 1,
	  .connections_max = 1 },
	{ .name = SPAN_LITERAL("any"), .recipients = { any, 1 }, .next_hops = &hop,
	  .next_hop_count = 1, .connections_max = 1 },
	{ .name = SPAN_LITERAL("again"), .recipients = { any, 1 },
	  .maildir = SPAN_LITERAL("/x") },
	{ .name = SPAN_LITERAL("partners"), .recipients = { partners, 2 }, .next_hops = &hop,
	  .next_hop_count = 1, .connections_max = 1 },
	{ .name = SPAN_LITERAL("boss"), .recipients = { boss, 1 }, .next_hops = &hop,
	  .next_hop_count = 1, .connections_max = 1 },
};

static const struct choice {
	const char *granted;
	const char *recipient;
	size_t route;
} choices[] = {
	{ "", "a@example.org", 1 },
	{ "", "a@partner.example", 3 },
	{ "", "a@PARTNER.example", 3 },
	{ "", "a@x.partner.example", 3 },
	{ "", "a@xpartner.example", 1 },
	{ "", "boss@partner.example", 4 },
	{ "named", "boss@partner.example", 0 },
	{ "again", "a@example.org", 2 },
	{ "gone", "a@example.org", 1 },
	{ "gone", "boss@partner.example", 4 },
};

START_TEST(chooses_the_granted_or_the_most_specific_route)
{
	struct fault fault;
	struct address recipient;
	struct route_table *table = route_table_new(routes, ARRAY_LEN(routes), &fault);

	ck_assert_ptr_nonnull(table);
	ck_assert_int_eq(mailbox_parse(span_of(choices[_i].recipient), &recipient), PARSE_OK);
	ck_assert_uint_eq(route_choose(table, span_of(choices[_i].granted), &recipient),
			  choices[_i].route);
	route_table_free(&table);
	ck_assert_ptr_null(table);
}
END_TEST

START_TEST(has_an_answer_though_no_route_holds_the_recipient)
{
	struct fault fault;
	struct address recipient;
	struct route_table *table = route_table_new(&routes[3], 2, &fault);

	ck_assert_int_eq(mailbox_parse(span_of("a@example.org"), &recipient), PARSE_OK);
	ck_assert_uint_eq(route_choose(table, span_of(""), &recipient), 0);
	ck_assert_uint_eq(route_find(table, span_of("boss")), 1);
	ck_assert_uint_eq(route_find(table, span_of("any")), NO_ROUTE);
	route_table_free(&table);
}
END_TEST

static const struct span bad_pattern[] = { SPAN_LITERAL("not a pattern") };
static const struct next_hop_settings mx = { .is_mx = true, .port = 25 };

static const struct route_settings bad_routes[] = {
	{ .name = SPAN_LITERAL("nowhere") },
	{ .name = SPAN_LITERAL("mx"), .next_hops = &mx, .next_hop_count = 1,
	  .connections_max = 1 },
	{ .name = SPAN_LITERAL("no mx"), .next_hops = &hop, .next_hop_count = 1,
	  .connections_max = 1, .has_mx = true },
	{ .name = SPAN_LITERAL("still"), .next_hops = &hop, .next_hop_count = 1 },
	{ .name = SPAN_LITERAL("pattern"), .recipients = { bad_pattern, 1 }, .next_hops = &hop,
	  .next_hop_count = 1, .connections_max = 1 },
};

START_TEST(refuses_a_route_that_cannot_work)
{
	struct fault fault = { .error = 0 };

	ck_assert_ptr_null(route_table_new(&bad_routes[_i], 1, &fault));
	ck_assert_uint_gt(strlen(fault_text(&fault)), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("schedule");
	TCase *state = tcase_create("state");
	TCase *order = tcase_create("schedule");
	TCase *route = tcase_create("routes");

	tcase_add_test(state, reads_the_state_that_it_writes);
	tcase_add_test(state, cuts_a_long_reply);
	tcase_add_test(state, keeps_flags_that_it_does_not_know);
	tcase_add_loop_test(state, refuses_a_damaged_state, 0, ARRAY_LEN(damages));
	tcase_add_test(state, refuses_a_state_of_the_wrong_length);
	tcase_add_test(state, reads_any_mixture_of_two_states);
	suite_add_tcase(suite, state);

	tcase_add_checked_fixture(order, jobs_make, jobs_free);
	tcase_add_test(order, takes_jobs_in_order_of_arrival_however_they_came);
	tcase_add_test(order, wakes_what_is_due_and_no_more);
	tcase_add_test(order, wakes_only_what_was_cut);
	tcase_add_test(order, removes_any_job_from_any_place);
	tcase_add_test(order, waits_longer_with_each_try_and_not_all_at_once);
	tcase_add_test(order, gives_each_route_of_a_message_one_job);
	tcase_add_test(order, copies_an_envelope_whole);
	suite_add_tcase(suite, order);

	tcase_add_loop_test(route, chooses_the_granted_or_the_most_specific_route, 0,
			    ARRAY_LEN(choices));
	tcase_add_test(route, has_an_answer_though_no_route_holds_the_recipient);
	tcase_add_loop_test(route, refuses_a_route_that_cannot_work, 0, ARRAY_LEN(bad_routes));
	suite_add_tcase(suite, route);
	return suite_main(suite);
}
