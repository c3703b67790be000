/* SPDX-License-Identifier: ISC */
/*
 * The lives of messages: what a try meant for each recipient, what is written down, what
 * happens next.
 *
 * A message leaves the spool when every recipient is delivered, in the same moment in which
 * the next hop's reply is read, or when the reports about those who failed are durable. A dead
 * recipient keeps it there. Whatever happens between leaves the message as it was: the worst
 * is a second delivery or report, never none.
 */
#include "delivery/delivery_private.h"
#include "delivery/detour.h"
#include "delivery/mx.h"
#include "delivery/operation.h"
#include "delivery/rates.h"
#include "delivery/state.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define CUT_TRIES_MAX 3 /* after so many broken connections a message waits like any other */

/* ---- Whose recipient is it ---- */

size_t
recipient_route(const struct delivery *delivery,
		const struct envelope_recipient *recipient)
{
	size_t route = route_find(delivery->table, recipient->route);
	struct address address;

	if (route != NO_ROUTE)
		return route;
	if (mailbox_parse(recipient->address, &address) != PARSE_OK)
		return 0;
	return route_choose(delivery->table, (struct span){ NULL, 0 }, &address);
}

/* The envelope must be in memory when the message has several jobs. */
static bool
job_owns(const struct delivery *delivery, const struct job *job, size_t recipient)
{
	const struct queued *queued = job->queued;

	if (queued->first.next == NULL)
		return true;

	const struct envelope_recipient *all = queued->envelope->recipients;

	return recipient_route(delivery, &all[recipient]) == job->route &&
	       (!delivery->environment.routes[job->route].has_mx ||
		mx_domain_is_same(all[recipient].address, all[job->first].address));
}

struct job *
recipient_job(const struct delivery *delivery, struct queued *queued,
	      const struct envelope *envelope, uint32_t recipient)
{
	size_t route = recipient_route(delivery, &envelope->recipients[recipient]);
	struct span address = envelope->recipients[recipient].address;

	if (!delivery->environment.routes[route].has_mx)
		return queued_job(queued, route);
	for (struct job *job = &queued->first; job != NULL && job->queued != NULL;
	     job = job->next) {
		if (job->route == route &&
		    mx_domain_is_same(envelope->recipients[job->first].address, address))
			return job;
	}
	return queued_job_add(queued, route, recipient);
}

struct dispatch *
job_dispatch(const struct delivery *delivery, const struct job *job)
{
	return job->destination != NULL ? job->destination : &delivery->dispatches[job->route];
}

struct schedule *
job_home(const struct delivery *delivery, struct job *job)
{
	if (job->destination != NULL) {
		struct dispatch *destination = job->destination;

		schedule_end(&destination->schedule, job);
		dispatch_figures_update(destination);
		dispatch_poke(&delivery->dispatches[job->route]);
		job->destination = NULL;
	}
	return &delivery->dispatches[job->route].schedule;
}

size_t
job_count(const struct delivery *delivery, const struct job *job, unsigned char state)
{
	const struct queued *queued = job->queued;
	size_t count = 0;

	for (size_t i = 0; i < queued->recipient_count; i++)
		count += queued->recipients[i] == state && job_owns(delivery, job, i);
	return count;
}

struct rewriting
recipient_rewriting(const struct delivery *delivery, const struct envelope *envelope, size_t i)
{
	return rewrite_find(delivery->rewrites, envelope->recipients[i].grant,
			    envelope->sender);
}

static bool
rewriting_is_same(const struct delivery *delivery, const struct envelope *envelope, size_t i,
		  const struct rewriting *as)
{
	if (delivery->rewrites == NULL)
		return true;

	struct rewriting it = recipient_rewriting(delivery, envelope, i);

	return span_equal(it.to, as->to) && it.from.len == as->from.len;
}

struct handover *
delivery_handover_new(const struct delivery *delivery, struct job *job, size_t max)
{
	const struct queued *queued = job->queued;
	uint32_t few[16];
	uint32_t *indexes = few;
	size_t count = 0;

	if (max > queued->recipient_count)
		max = queued->recipient_count;
	if (max > ARRAY_LEN(few))
		indexes = memory_new_array(max, sizeof(*indexes));
	struct rewriting rewriting = { .to = { NULL, 0 } };

	for (uint32_t i = 0; i < queued->recipient_count && count < max; i++) {
		if (queued->recipients[i] != RECIPIENT_WAITING || !job_owns(delivery, job, i))
			continue;
		if (count == 0)
			rewriting = recipient_rewriting(delivery, queued->envelope, i);
		else if (!rewriting_is_same(delivery, queued->envelope, i, &rewriting))
			continue; /* in a handover of its own */
		indexes[count++] = i;
	}
	assert(count > 0);

	struct handover *handover = handover_new(job, indexes, count);

	handover->rewriting = rewriting;
	if (rewriting.to.len > 0)
		handover->sender = rewriting.to;
	if (indexes != few)
		free(indexes);
	return handover;
}

/* ---- Memory ---- */

void
envelope_keep(struct delivery *delivery, struct queued *queued,
	      const struct envelope *envelope)
{
	size_t octets;

	queued->envelope = envelope_copy(envelope, &octets);
	queued->envelope_octets = (uint32_t)octets;
	delivery->envelope_octets += octets;
}

void
envelope_forget(struct delivery *delivery, struct queued *queued)
{
	delivery->envelope_octets -= queued->envelope_octets;
	queued->envelope_octets = 0;
	free(queued->envelope);
	queued->envelope = NULL;
}

void
message_rest(struct delivery *delivery, struct queued *queued)
{
	for (const struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_ACTIVE)
			return;
		if (job->place == JOB_READY && !job_dispatch(delivery, job)->is_down)
			return;
	}
	envelope_forget(delivery, queued);
	spool_body_forget(queued->message);
}

/* ---- What a try meant ---- */

static int64_t
expires_wall_ms(const struct delivery *delivery, const struct job *job)
{
	return spool_message_info(job->queued->message)->stored_wall_ms +
	       delivery->environment.queue->expires_ms;
}

/* By a clock that nobody sets: a wall clock that jumps must not make all mail too old. */
bool
delivery_is_expired(const struct delivery *delivery, const struct job *job)
{
	int64_t now_ms = loop_now_ms(delivery->environment.loop) + delivery->wall_offset_ms;

	return now_ms >= expires_wall_ms(delivery, job);
}

/* How long the job waits after one more failed try. */
static int64_t
job_delay_ms(const struct delivery *delivery, const struct job *job)
{
	int64_t now_ms = loop_now_ms(delivery->environment.loop) + delivery->wall_offset_ms;
	int64_t delay_ms = retry_delay_ms(delivery->environment.queue, job->tries + 1U,
					  spool_message_info(job->queued->message)->uid);
	int64_t left_ms = expires_wall_ms(delivery, job) - now_ms;

	return left_ms > 0 && left_ms < delay_ms ? left_ms : delay_ms;
}

static struct audit_delivery
record_of(const struct delivery *delivery, const struct handover *handover, size_t at,
	  const struct handover_place *how)
{
	int64_t now_ms = loop_wall_ms(delivery->environment.loop);
	int64_t since_ms = handover->message == NULL
			       ? handover->envelope->arrived_wall_ms
			       : spool_message_info(handover->message)->stored_wall_ms;
	const struct smtp_client_tls *tls = how->tls;

	return (struct audit_delivery){
		.tls_version = span_of(tls == NULL ? NULL : tls->version),
		.tls_cipher = span_of(tls == NULL ? NULL : tls->cipher),
		.tls_unverified = span_of(tls == NULL ? NULL : tls->unverified),
		.is_tls_verified = tls != NULL && tls->is_verified,
		.tls_policy = how->policy,
		.is_tls_policy_met = how->is_policy_met,
		.wall_ms = now_ms,
		.route = job_dispatch(delivery, handover->job)->settings->name,
		.next_hop = how->next_hop,
		.peer = how->peer,
		.from = handover->envelope->sender,
		.to = handover_recipient_get(handover, at)->address,
		.reply = handover->recipients[at].reply,
		.queued_ms = now_ms > since_ms ? now_ms - since_ms : 0,
		.tries = handover->job->tries + 1U,
	};
}

const char *
id_text(const struct envelope *envelope, char out[ID_SIZE])
{
	struct span id = span_first(envelope->id, ID_SIZE - 1);

	if (id.len > 0)
		memcpy(out, id.ptr, id.len);
	out[id.len] = '\0';
	return out;
}

static void
rate_note(const struct delivery *delivery, const struct handover *handover, size_t at,
	  enum rate_event event)
{
	if (delivery->environment.rates != NULL)
		rates_count(delivery->environment.rates, delivery->environment.policy,
			    handover_recipient_get(handover, at)->grant,
			    handover->envelope->sender, event);
}

void
relay_refusals_name(struct handover *handover)
{
	struct buffer words;

	buffer_init(&words, REPLY_TEXT_MAX + 200);
	for (size_t i = 0; i < handover->recipient_count; i++) {
		struct handover_recipient *recipient = &handover->recipients[i];

		if (recipient->result != RESULT_FAILED ||
		    !report_is_relay_refusal(recipient->reply) ||
		    span_starts_fold(recipient->reply, span_of(REPORT_RELAY_REFUSED)))
			continue;
		buffer_clear(&words);
		(void)buffer_append_text(&words, REPORT_RELAY_REFUSED);
		(void)buffer_append(&words, recipient->reply);
		recipient->reply = arena_copy(&handover->arena, buffer_span(&words));
	}
	buffer_reset(&words);
}

/* Its time is over, or it was refused for good. */
static void
failure_take(struct delivery *delivery, const struct handover *handover, size_t at,
	     const struct handover_place *how, struct audit_delivery *record, bool is_expired)
{
	struct route_figures *figures = job_dispatch(delivery, handover->job)->figures;
	struct queued *queued = handover->job->queued;

	record->result = "failed";
	figure_add(&figures->failed, 1);
	rate_note(delivery, handover, at, RATE_FAILED);
	if (is_expired)
		audit_expire(delivery->environment.audit, record);
	else
		audit_delivery(delivery->environment.audit, record);
	queued->recipients[handover->recipients[at].index] =
	    bounce_note_failure(delivery, handover, at, how, is_expired);
}

/* One recipient's result, into its state, the figures and the trail. */
static void
result_take(struct delivery *delivery, const struct handover *handover, size_t at,
	    const struct handover_place *how, int64_t delay_ms)
{
	const struct handover_recipient *recipient = &handover->recipients[at];
	struct route_figures *figures = job_dispatch(delivery, handover->job)->figures;
	unsigned char *state = &handover->job->queued->recipients[recipient->index];
	bool is_stuck = bounces_are_stuck(delivery);
	struct audit_delivery record;
	char id[ID_SIZE];

	if (recipient->result == RESULT_NONE || recipient->result == RESULT_UNTRIED)
		return;
	record = record_of(delivery, handover, at, how);
	record.id = id_text(handover->envelope, id);
	if (recipient->result == RESULT_DELIVERED) {
		record.result = "delivered";
		figure_add(&figures->delivered, 1);
		rate_note(delivery, handover, at, RATE_DELIVERED);
		audit_delivery(delivery->environment.audit, &record);
		*state = bounce_note_success(delivery, handover, at, how);
	} else if (recipient->result == RESULT_FAILED && !is_stuck) {
		failure_take(delivery, handover, at, how, &record, false);
	} else if (delivery_is_expired(delivery, handover->job) && !is_stuck) {
		failure_take(delivery, handover, at, how, &record, true);
	} else {
		*state = RECIPIENT_DEFERRED;
		record.result = "deferred";
		record.next_wall_ms = record.wall_ms + delay_ms;
		figure_add(&figures->deferred, 1);
		rate_note(delivery, handover, at, RATE_DEFERRED);
		audit_delivery(delivery->environment.audit, &record);
		bounce_note_delay(delivery, handover, at, how);
	}
}

void
delivery_record(struct delivery *delivery, const struct handover *handover,
		const struct handover_place *how)
{
	static const char *const words[] = {
		[RESULT_NONE] = NULL,
		[RESULT_UNTRIED] = NULL,
		[RESULT_DELIVERED] = "delivered",
		[RESULT_DEFERRED] = "deferred",
		[RESULT_FAILED] = "failed",
	};
	static const enum rate_event events[] = {
		[RESULT_DELIVERED] = RATE_DELIVERED,
		[RESULT_DEFERRED] = RATE_DEFERRED,
		[RESULT_FAILED] = RATE_FAILED,
	};
	struct route_figures *figures = job_dispatch(delivery, handover->job)->figures;

	for (size_t i = 0; i < handover->recipient_count; i++) {
		enum recipient_result result = handover->recipients[i].result;
		struct audit_delivery record;
		char id[ID_SIZE];

		if (words[result] == NULL)
			continue;
		record = record_of(delivery, handover, i, how);
		record.id = id_text(handover->envelope, id);
		record.result = words[result];
		audit_delivery(delivery->environment.audit, &record);
		figure_add(result == RESULT_DELIVERED ? &figures->delivered
			   : result == RESULT_FAILED  ? &figures->failed
						      : &figures->deferred,
			   1);
		rate_note(delivery, handover, i, events[result]);
	}
}

/* ---- What is written down ---- */

/* When the message's next try is due and how many there were, over all its jobs. */
static void
head_write(const struct delivery *delivery, struct queued *queued, struct span reply)
{
	const struct loop *loop = delivery->environment.loop;
	int64_t next_wall_ms = INT64_MAX;
	uint32_t tries = 0;
	struct state_head head;

	for (const struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->tries > tries)
			tries = job->tries;
		if (job->place == JOB_WAITING) {
			int64_t wait_ms =
			    schedule_due_ms(&job_dispatch(delivery, job)->schedule, job) -
			    loop_now_ms(loop);
			int64_t due_ms = loop_wall_ms(loop) + (wait_ms > 0 ? wait_ms : 0);

			if (due_ms < next_wall_ms)
				next_wall_ms = due_ms;
		} else if (job->place == JOB_READY || job->place == JOB_ACTIVE) {
			next_wall_ms = 0;
		}
	}
	state_head_set(&head, queued->flags, tries, next_wall_ms == INT64_MAX ? 0 : next_wall_ms,
		       queued->recipient_count, reply);
	spool_state_write(queued->message, 0, (struct span){ head.bytes, head.len });
}

void
message_flags_write(const struct queued *queued)
{
	const char octet = (char)queued->flags;

	if (queued->has_state)
		spool_state_write(queued->message, STATE_FLAGS_AT, (struct span){ &octet, 1 });
}

/* The recipients that the handover brought to an end; all others stand as they stood. */
static void
recipients_write(const struct queued *queued, const struct handover *handover)
{
	for (size_t i = 0; i < handover->recipient_count; i++) {
		uint32_t index = handover->recipients[i].index;
		char state = (char)queued->recipients[index];

		if (state == RECIPIENT_DELIVERED || state == RECIPIENT_DEAD ||
		    state == RECIPIENT_OWED || state == RECIPIENT_FAILED)
			spool_state_write(queued->message, STATE_HEAD_OCTETS + index,
					  (struct span){ &state, 1 });
	}
}

/* ---- Conclusions ---- */

/* Every next hop that could be tried was: that makes one try. */
static void
round_end(struct job *job)
{
	if (job->tries < UINT16_MAX)
		job->tries++;
	job->hops_tried = 0;
	job->was_ambiguous = false;
}

/*
 * Was it put off, in whole or in part, by a next hop that surely did not take it, and is
 * there another one that may?
 */
static bool
handover_goes_on(struct delivery *delivery, const struct handover *handover,
		 const struct handover_place *how)
{
	struct job *job = handover->job;
	bool is_deferred = false;

	for (size_t i = 0; i < handover->recipient_count; i++)
		is_deferred = is_deferred || handover->recipients[i].result == RESULT_DEFERRED;
	if (!is_deferred || how->hop == NO_HOP)
		return false;
	job->hops_tried = (uint16_t)(job->hops_tried | 1U << how->hop);
	job->was_ambiguous = job->was_ambiguous || handover->is_ambiguous;
	return !job->was_ambiguous && !delivery_is_expired(delivery, job) &&
	       detour_is_possible(job_dispatch(delivery, job), job);
}

/* Where the job goes now that a handover of it is over. */
static void
job_settle(struct delivery *delivery, struct job *job, bool was_cut, bool goes_on,
	   int64_t delay_ms)
{
	struct dispatch *dispatch = job_dispatch(delivery, job);
	struct schedule *schedule = &dispatch->schedule;
	struct queued *queued = job->queued;
	size_t deferred = job_count(delivery, job, RECIPIENT_DEFERRED);
	size_t dead = job_count(delivery, job, RECIPIENT_DEAD);

	if (dead > 0 && !job->has_dead) {
		job->has_dead = true;
		figure_add(&dispatch->figures->dead, 1);
	}
	if (job_count(delivery, job, RECIPIENT_WAITING) > 0) {
		if (queued_is_held(queued))
			schedule = job_home(delivery, job);
		schedule_ready(schedule, job); /* the rest of its recipients, at once */
		return;
	}
	if (deferred == 0) {
		if (dead > 0)
			schedule_bury(job_home(delivery, job), job);
		else
			schedule_end(job_home(delivery, job), job);
		return;
	}
	for (size_t i = 0; i < queued->recipient_count; i++) {
		if (queued->recipients[i] == RECIPIENT_DEFERRED && job_owns(delivery, job, i))
			queued->recipients[i] = RECIPIENT_WAITING;
	}
	if (goes_on) {
		detour_begin(dispatch, job);
		return;
	}
	round_end(job);
	job->was_cut = was_cut && job->tries <= CUT_TRIES_MAX;
	schedule_wait(job_home(delivery, job), job,
		      loop_now_ms(delivery->environment.loop) + delay_ms);
}

/* If nobody is at work on it, whoever has to know is told of what became of it. */
static void
message_settle(struct delivery *delivery, struct queued *queued)
{
	bounce_settle(delivery, queued);
	message_rest(delivery, queued);
}

/* Nothing is left to be done for it. */
void
message_end(struct delivery *delivery, struct queued *queued)
{
	struct spool_message *message = queued->message;

	if (queued->is_entering)
		return; /* whoever takes it in ends it, too */
	operations_forget(delivery, queued);
	envelope_forget(delivery, queued);
	queued_free(&queued);
	spool_remove(&message);
}

void
delivery_conclude(struct delivery *delivery, struct handover **handover,
		  const struct handover_place *how)
{
	struct job *job = (*handover)->job;
	struct queued *queued = job->queued;
	struct dispatch *dispatch = job_dispatch(delivery, job);
	bool goes_on = handover_goes_on(delivery, *handover, how);
	int64_t delay_ms = goes_on ? 0 : job_delay_ms(delivery, job);
	struct queued *settled = NULL;
	struct span trouble;

	relay_refusals_name(*handover);
	for (size_t i = 0; i < (*handover)->recipient_count; i++)
		result_take(delivery, *handover, i, how, delay_ms);
	job_settle(delivery, job, (*handover)->was_cut, goes_on, delay_ms);
	trouble = handover_trouble(*handover);
	if (message_is_done(queued)) {
		message_end(delivery, queued);
	} else {
		if (queued->has_state)
			recipients_write(queued, *handover);
		if (queued->has_state && trouble.len > 0)
			head_write(delivery, queued, trouble);
		settled = queued;
	}
	handover_free(handover);
	if (settled != NULL)
		message_settle(delivery, settled);
	dispatch_figures_update(dispatch);
}

/* No try was made, so none is counted; but whoever asks is to learn what it waits for. */
void
delivery_park(struct delivery *delivery, struct job *job)
{
	const struct dispatch *dispatch = job_dispatch(delivery, job);
	const struct loop *loop = delivery->environment.loop;
	int64_t wait_ms = dispatch_next_try_ms(dispatch) - loop_now_ms(loop);
	struct handover_place how = {
		.next_hop = dispatch_failed_name(dispatch),
		.hop = NO_HOP,
	};
	struct queued *queued = job->queued;
	struct handover *handover =
	    delivery_handover_new(delivery, job, queued->recipient_count);
	struct span why = span_of(dispatch->why);
	char id[ID_SIZE];

	handover_settle(handover, RESULT_DEFERRED, why);
	for (size_t i = 0; i < handover->recipient_count; i++) {
		struct audit_delivery record = record_of(delivery, handover, i, &how);

		record.id = id_text(handover->envelope, id);
		record.result = "deferred";
		record.tries = job->tries;
		record.next_wall_ms = record.wall_ms + (wait_ms > 0 ? wait_ms : 0);
		audit_delivery(delivery->environment.audit, &record);
	}
	if (queued->has_state)
		head_write(delivery, queued, why);
	handover_free(&handover);
}

void
delivery_put_off(struct delivery *delivery, struct job *job, struct span why)
{
	struct queued *queued = job->queued;
	int64_t delay_ms = job_delay_ms(delivery, job);

	round_end(job);
	schedule_wait(job_home(delivery, job), job,
		      loop_now_ms(delivery->environment.loop) + delay_ms);
	if (queued->has_state)
		head_write(delivery, queued, why);
	message_rest(delivery, queued);
}

/* ---- Envelopes that have to be read ---- */

static bool
envelope_take(struct delivery *delivery, struct queued *queued, struct span bytes)
{
	struct arena arena;
	struct envelope envelope;
	bool is_good;

	if (queued->envelope != NULL)
		return true; /* another job of the message was faster */
	arena_init(&arena, 0);
	is_good = envelope_decode(bytes, &arena, &envelope) == PARSE_OK &&
		  envelope.recipient_count == queued->recipient_count;
	if (is_good)
		envelope_keep(delivery, queued, &envelope);
	arena_reset(&arena);
	return is_good;
}

/* The disk does not give it back now; maybe later. It stays where it is in any case. */
static void
job_put_off(struct delivery *delivery, struct job *job, const char *why)
{
	int64_t delay_ms = job_delay_ms(delivery, job);

	log_error(delivery->environment.log, "cannot read the envelope of message %llu: %s",
		  (unsigned long long)spool_message_info(job->queued->message)->uid, why);
	if (job->tries < UINT16_MAX)
		job->tries++;
	schedule_wait(job_home(delivery, job), job,
		      loop_now_ms(delivery->environment.loop) + delay_ms);
}

static void
job_loaded(void *context, struct span bytes, struct fault *fault)
{
	struct job_load *load = context;
	struct job *job = load->job;
	bool is_there = bytes.ptr != NULL &&
			envelope_take(load->delivery, job->queued, bytes);

	load->read = NULL;
	load->job = NULL;
	if (!is_there)
		job_put_off(load->delivery, job,
			    bytes.ptr == NULL ? fault_text(fault) : "it is damaged");
	load->done(load, job, is_there);
}

void
job_load_start(struct job_load *load, struct delivery *delivery, struct job *job,
	       void (*done)(struct job_load *load, struct job *job, bool is_there))
{
	assert(load->job == NULL && job->place == JOB_ACTIVE);
	load->delivery = delivery;
	load->job = job;
	load->done = done;
	load->read = spool_read_envelope(job->queued->message, job_loaded, load);
}

struct job *
job_load_cancel(struct job_load *load)
{
	struct job *job = load->job;

	if (job != NULL)
		spool_read_cancel(&load->read);
	load->job = NULL;
	return job;
}
