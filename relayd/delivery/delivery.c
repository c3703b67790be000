/* SPDX-License-Identifier: ISC */
/*
 * Delivery as its users see it, and the lives of its messages: what enters, what a try meant
 * for each recipient, what is written down, what happens next. The work of each route is
 * dispatch.c's.
 *
 * A message leaves the spool when every recipient is delivered, in the same moment in which
 * the next hop's reply is read. A dead recipient keeps it there. Whatever happens between
 * leaves the message as it was: the worst is a second delivery, never none.
 */
#include "delivery/delivery.h"

#include "base/memory.h"
#include "delivery/courier.h"
#include "delivery/delivery_private.h"
#include "delivery/state.h"

#include <assert.h>
#include <stdlib.h>

#define CUT_TRIES_MAX 3 /* after so many broken connections a message waits like any other */

static const struct delivery_tuning tuning_default = {
	.timeouts = {
		.connect_ms = 30 * 1000,
		.banner_ms = 5 * 60 * 1000,
		.hello_ms = 5 * 60 * 1000,
		.mail_ms = 5 * 60 * 1000,
		.rcpt_ms = 5 * 60 * 1000,
		.data_ms = 2 * 60 * 1000,
		.block_ms = 3 * 60 * 1000,
		.dot_ms = 10 * 60 * 1000,
		.quit_ms = 5 * 1000,
		.idle_ms = 10 * 1000,
	},
	.hops = {
		.pause_first_ms = 1000,
		.pause_max_ms = 60 * 1000,
		.ttl_min_ms = 5 * 1000,
		.ttl_max_ms = 5 * 60 * 1000,
	},
	.envelope_octets_max = 8U << 20,
};

/* ---- Whose recipient is it ---- */

static size_t
recipient_route(const struct delivery *delivery, const struct envelope_recipient *recipient)
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
	return recipient_route(delivery, &queued->envelope->recipients[recipient]) == job->route;
}

static struct dispatch *
job_dispatch(const struct delivery *delivery, const struct job *job)
{
	return &delivery->dispatches[job->route];
}

static size_t
job_count(const struct delivery *delivery, const struct job *job, unsigned char state)
{
	const struct queued *queued = job->queued;
	size_t count = 0;

	for (size_t i = 0; i < queued->recipient_count; i++)
		count += queued->recipients[i] == state && job_owns(delivery, job, i);
	return count;
}

struct transaction *
delivery_transaction_new(const struct delivery *delivery, struct job *job, size_t max)
{
	const struct queued *queued = job->queued;
	uint32_t few[16];
	uint32_t *indexes = few;
	size_t count = 0;

	if (max > queued->recipient_count)
		max = queued->recipient_count;
	if (max > ARRAY_LEN(few))
		indexes = memory_new_array(max, sizeof(*indexes));
	for (uint32_t i = 0; i < queued->recipient_count && count < max; i++) {
		if (queued->recipients[i] == RECIPIENT_WAITING && job_owns(delivery, job, i))
			indexes[count++] = i;
	}
	assert(count > 0);

	struct transaction *transaction = smtp_transaction_new(job, indexes, count);

	if (indexes != few)
		free(indexes);
	return transaction;
}

/* ---- Memory ---- */

static void
envelope_keep(struct delivery *delivery, struct queued *queued,
	      const struct envelope *envelope)
{
	size_t octets;

	queued->envelope = envelope_copy(envelope, &octets);
	queued->envelope_octets = (uint32_t)octets;
	delivery->envelope_octets += octets;
}

static void
envelope_forget(struct delivery *delivery, struct queued *queued)
{
	delivery->envelope_octets -= queued->envelope_octets;
	queued->envelope_octets = 0;
	free(queued->envelope);
	queued->envelope = NULL;
}

/* It has to wait: unless another job of it is at work, memory is for others. */
static void
queued_forget(struct delivery *delivery, struct queued *queued)
{
	if (queued_is_active(queued))
		return;
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
record_of(const struct delivery *delivery, const struct transaction *transaction, size_t at,
	  const struct hand_over *how)
{
	const struct spool_info *info = spool_message_info(transaction->message);
	int64_t now_ms = loop_wall_ms(delivery->environment.loop);

	return (struct audit_delivery){
		.wall_ms = now_ms,
		.route = job_dispatch(delivery, transaction->job)->settings->name,
		.next_hop = how->next_hop,
		.peer = how->peer,
		.from = transaction->envelope->sender,
		.to = smtp_transaction_recipient_get(transaction, at)->address,
		.reply = transaction->recipients[at].reply,
		.queued_ms = now_ms > info->stored_wall_ms ? now_ms - info->stored_wall_ms : 0,
		.tries = transaction->job->tries + 1U,
	};
}

/* The id as audit takes it. Ids are short; one from a damaged disk is cut. */
static const char *
id_text(const struct envelope *envelope, char out[ID_SIZE])
{
	struct span id = span_first(envelope->id, ID_SIZE - 1);

	if (id.len > 0)
		memcpy(out, id.ptr, id.len);
	out[id.len] = '\0';
	return out;
}

/* One recipient's result, into its state, the figures and the trail. */
static void
result_take(struct delivery *delivery, const struct transaction *transaction, size_t at,
	    const struct hand_over *how, int64_t delay_ms)
{
	const struct smtp_transaction_recipient *recipient = &transaction->recipients[at];
	struct route_figures *figures = job_dispatch(delivery, transaction->job)->figures;
	unsigned char *state = &transaction->job->queued->recipients[recipient->index];
	struct audit_delivery record;
	char id[ID_SIZE];
	bool is_expired = false;

	if (recipient->result == RESULT_NONE || recipient->result == RESULT_UNTRIED)
		return;
	record = record_of(delivery, transaction, at, how);
	record.id = id_text(transaction->envelope, id);
	if (recipient->result == RESULT_DELIVERED) {
		*state = RECIPIENT_DELIVERED;
		record.result = "delivered";
		figure_add(&figures->delivered, 1);
	} else if (recipient->result == RESULT_FAILED) {
		*state = RECIPIENT_DEAD;
		record.result = "failed";
		figure_add(&figures->failed, 1);
	} else if (delivery_is_expired(delivery, transaction->job)) {
		*state = RECIPIENT_DEAD;
		record.result = "failed";
		figure_add(&figures->failed, 1);
		is_expired = true;
	} else {
		*state = RECIPIENT_DEFERRED;
		record.result = "deferred";
		record.next_wall_ms = record.wall_ms + delay_ms;
		figure_add(&figures->deferred, 1);
	}
	if (is_expired)
		audit_expire(delivery->environment.audit, &record);
	else
		audit_delivery(delivery->environment.audit, &record);
}

/* The last reply of someone who was not delivered to; empty: there is none. */
static struct span
last_trouble(const struct transaction *transaction)
{
	for (size_t i = transaction->recipient_count; i-- > 0;) {
		enum recipient_result result = transaction->recipients[i].result;

		if (result == RESULT_DEFERRED || result == RESULT_FAILED)
			return transaction->recipients[i].reply;
	}
	return (struct span){ NULL, 0 };
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
	state_head_set(&head, tries, next_wall_ms == INT64_MAX ? 0 : next_wall_ms,
		       queued->recipient_count, reply);
	spool_state_write(queued->message, 0, (struct span){ head.bytes, head.len });
}

/* The recipients that the transaction brought to an end; all others stand as they stood. */
static void
recipients_write(const struct queued *queued, const struct transaction *transaction)
{
	for (size_t i = 0; i < transaction->recipient_count; i++) {
		uint32_t index = transaction->recipients[i].index;
		char state = (char)queued->recipients[index];

		if (state == RECIPIENT_DELIVERED || state == RECIPIENT_DEAD)
			spool_state_write(queued->message, STATE_HEAD_OCTETS + index,
					  (struct span){ &state, 1 });
	}
}

/* ---- Conclusions ---- */

/* Where the job goes now that a transaction of it is over. */
static void
job_settle(struct delivery *delivery, struct job *job, bool was_cut, int64_t delay_ms)
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
		schedule_ready(schedule, job); /* the rest of its recipients, at once */
		return;
	}
	if (deferred == 0) {
		if (dead > 0)
			schedule_bury(schedule, job);
		else
			schedule_end(schedule, job);
		return;
	}
	for (size_t i = 0; i < queued->recipient_count; i++) {
		if (queued->recipients[i] == RECIPIENT_DEFERRED && job_owns(delivery, job, i))
			queued->recipients[i] = RECIPIENT_WAITING;
	}
	if (job->tries < UINT16_MAX)
		job->tries++;
	job->was_cut = was_cut && job->tries <= CUT_TRIES_MAX;
	schedule_wait(schedule, job, loop_now_ms(delivery->environment.loop) + delay_ms);
}

/* Delivered to all. */
static void
message_end(struct delivery *delivery, struct queued *queued)
{
	struct spool_message *message = queued->message;

	envelope_forget(delivery, queued);
	queued_free(&queued);
	spool_remove(&message);
}

void
delivery_conclude(struct delivery *delivery, struct transaction **transaction,
		  const struct hand_over *how)
{
	struct job *job = (*transaction)->job;
	struct queued *queued = job->queued;
	struct dispatch *dispatch = job_dispatch(delivery, job);
	int64_t delay_ms = job_delay_ms(delivery, job);
	struct span trouble;

	for (size_t i = 0; i < (*transaction)->recipient_count; i++)
		result_take(delivery, *transaction, i, how, delay_ms);
	job_settle(delivery, job, (*transaction)->was_cut, delay_ms);
	trouble = last_trouble(*transaction);
	if (queued_is_all(queued, RECIPIENT_DELIVERED)) {
		message_end(delivery, queued);
	} else {
		if (queued->has_state)
			recipients_write(queued, *transaction);
		if (queued->has_state && trouble.len > 0)
			head_write(delivery, queued, trouble);
		if (job->place == JOB_WAITING || job->place == JOB_DEAD)
			queued_forget(delivery, queued);
	}
	smtp_transaction_free(transaction);
	dispatch_figures_update(dispatch);
}

/* No try was made, so none is counted; but whoever asks is to learn what it waits for. */
void
delivery_park(struct delivery *delivery, struct job *job)
{
	const struct dispatch *dispatch = job_dispatch(delivery, job);
	const struct loop *loop = delivery->environment.loop;
	int64_t wait_ms = dispatch_next_try_ms(dispatch) - loop_now_ms(loop);
	struct hand_over how = {
		.next_hop = span_of(dispatch->hops[dispatch->failed_hop].text),
	};
	struct queued *queued = job->queued;
	struct transaction *transaction =
	    delivery_transaction_new(delivery, job, queued->recipient_count);
	struct span why = span_of(dispatch->why);
	char id[ID_SIZE];

	smtp_transaction_settle(transaction, RESULT_DEFERRED, why);
	for (size_t i = 0; i < transaction->recipient_count; i++) {
		struct audit_delivery record = record_of(delivery, transaction, i, &how);

		record.id = id_text(transaction->envelope, id);
		record.result = "deferred";
		record.tries = job->tries;
		record.next_wall_ms = record.wall_ms + (wait_ms > 0 ? wait_ms : 0);
		audit_delivery(delivery->environment.audit, &record);
	}
	if (queued->has_state)
		head_write(delivery, queued, why);
	smtp_transaction_free(&transaction);
	queued_forget(delivery, queued);
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
	schedule_wait(&job_dispatch(delivery, job)->schedule, job,
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

/* ---- What enters ---- */

/* Room for the state area that we write: one of another layout is left alone. */
static bool
has_state(const struct spool_message *message, size_t recipient_count)
{
	return recipient_count <= STATE_RECIPIENTS_MAX &&
	       spool_message_info(message)->state_octets == STATE_HEAD_OCTETS + recipient_count;
}

static struct queued *
message_enter(struct spool_message *message, const struct envelope *envelope)
{
	struct queued *queued = queued_new(message, envelope->recipient_count);

	queued->has_state = has_state(message, envelope->recipient_count);
	spool_message_set_user(message, queued);
	return queued;
}

struct span
delivery_route_choose(void *context, const struct grant_source *grant,
		      const struct address *sender, const struct address *recipient,
		      uint64_t size_octets)
{
	const struct delivery *delivery = context;
	struct span granted = grant == NULL ? (struct span){ NULL, 0 } : grant->route;

	(void)sender;
	(void)size_octets;
	return delivery->environment.routes[route_choose(delivery->table, granted, recipient)]
	    .name;
}

void
delivery_state_initial(void *context, const struct envelope *envelope, struct buffer *state)
{
	(void)context;
	if (envelope->recipient_count <= STATE_RECIPIENTS_MAX)
		(void)state_initial_append(state, envelope->recipient_count);
}

void
delivery_accepted(void *context, struct spool_message *message,
		  const struct envelope *envelope)
{
	struct delivery *delivery = context;
	struct queued *queued = message_enter(message, envelope);
	struct job *job;

	assert(envelope->recipient_count > 0);
	for (size_t i = 0; i < envelope->recipient_count; i++)
		(void)queued_job(queued, recipient_route(delivery, &envelope->recipients[i]));
	envelope_keep(delivery, queued, envelope);
	for (job = &queued->first; job != NULL; job = job->next)
		schedule_ready(&job_dispatch(delivery, job)->schedule, job);
	for (job = &queued->first; job != NULL; job = job->next) /* no work ends in this turn */
		dispatch_work(job_dispatch(delivery, job));
	for (job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_READY && job_dispatch(delivery, job)->is_down &&
		    queued->envelope != NULL)
			delivery_park(delivery, job);
	}
	if (delivery->envelope_octets > delivery->tuning.envelope_octets_max &&
	    !queued_is_active(queued))
		envelope_forget(delivery, queued);
}

/* What an earlier process knew of the recipients; without it everyone is tried. */
static void
state_take(struct delivery *delivery, struct queued *queued, struct span state,
	   struct delivery_state *read)
{
	if (delivery_state_read(state, read) == PARSE_OK &&
	    read->recipient_count == queued->recipient_count) {
		memcpy(queued->recipients, read->recipients, queued->recipient_count);
		return;
	}
	if (state.len > 0)
		log_error(delivery->environment.log,
			  "message %llu: its state is unreadable; all recipients are tried",
			  (unsigned long long)spool_message_info(queued->message)->uid);
	*read = (struct delivery_state){ .tries = 0 };
}

/* A clock that was wrong must not make a message wait longer than the longest delay. */
static int64_t
found_due_ms(const struct delivery *delivery, int64_t next_wall_ms)
{
	const struct queue_settings *queue = delivery->environment.queue;
	const struct loop *loop = delivery->environment.loop;
	int64_t wait_ms = next_wall_ms - loop_wall_ms(loop);
	int64_t longest_ms = 0;

	for (size_t i = 0; i < queue->retry_count; i++) {
		if (queue->retry_ms[i] > longest_ms)
			longest_ms = queue->retry_ms[i];
	}
	return loop_now_ms(loop) + (wait_ms > longest_ms ? longest_ms : wait_ms);
}

static void
found_job_place(struct delivery *delivery, struct job *job, const struct delivery_state *state)
{
	struct dispatch *dispatch = job_dispatch(delivery, job);
	int64_t due_ms = found_due_ms(delivery, state->next_wall_ms);

	job->tries = state->tries < UINT16_MAX ? (uint16_t)state->tries : UINT16_MAX;
	if (job_count(delivery, job, RECIPIENT_DEAD) > 0) {
		job->has_dead = true;
		figure_add(&dispatch->figures->dead, 1);
	}
	if (job_count(delivery, job, RECIPIENT_WAITING) == 0)
		schedule_bury(&dispatch->schedule, job);
	else if (due_ms > loop_now_ms(delivery->environment.loop))
		schedule_wait(&dispatch->schedule, job, due_ms);
	else
		schedule_ready(&dispatch->schedule, job);
}

/* Many may be found in one turn: the work begins in a later one. */
static void
found_enter(struct delivery *delivery, struct spool_message *message,
	    struct envelope *envelope, struct span bytes)
{
	struct queued *queued = message_enter(message, envelope);
	struct delivery_state state;

	state_take(delivery, queued, bytes, &state);
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		if (queued->recipients[i] != RECIPIENT_DELIVERED)
			(void)queued_job(queued,
					 recipient_route(delivery, &envelope->recipients[i]));
	}
	if (queued->first.queued == NULL) { /* all were delivered to, and then we died */
		message_end(delivery, queued);
		return;
	}
	queued->envelope = envelope; /* for job_owns */
	for (struct job *job = &queued->first; job != NULL; job = job->next)
		found_job_place(delivery, job, &state);
	queued->envelope = NULL;
	if (!loop_timer_is_set(&delivery->wake))
		loop_timer_set(delivery->environment.loop, &delivery->wake, 0);
}

void
delivery_found(void *context, struct spool_message *message, struct span envelope,
	       struct span state)
{
	struct delivery *delivery = context;
	struct arena arena;
	struct envelope decoded;

	arena_init(&arena, 0);
	if (envelope_decode(envelope, &arena, &decoded) == PARSE_OK &&
	    decoded.recipient_count > 0) {
		found_enter(delivery, message, &decoded, state);
	} else {
		log_error(delivery->environment.log,
			  "message %llu: its envelope is damaged; it stays in the spool",
			  (unsigned long long)spool_message_info(message)->uid);
		spool_leave(&message);
	}
	arena_reset(&arena);
}

static void
delivery_woken(struct loop_timer *timer)
{
	struct delivery *delivery = LIST_OWNER(timer, struct delivery, wake);

	for (size_t i = 0; i < delivery->environment.route_count; i++)
		dispatch_work(&delivery->dispatches[i]);
}

/* ---- Beginning and end ---- */

void
delivery_tune(struct delivery *delivery, const struct delivery_tuning *tuning)
{
	delivery->tuning = *tuning;
}

static bool
dispatches_init(struct delivery *delivery, struct fault *fault)
{
	const struct delivery_environment *environment = &delivery->environment;

	delivery->dispatches =
	    memory_new_array(environment->route_count, sizeof(*delivery->dispatches));
	for (size_t i = 0; i < environment->route_count; i++) {
		if (environment->routes[i].maildir.len > 0 && delivery->maildir_writer == NULL) {
			delivery->maildir_writer = maildir_writer_new(
			    environment->loop, environment->hostname, fault);
			if (delivery->maildir_writer == NULL)
				return false;
		}
		if (!dispatch_init(&delivery->dispatches[i], delivery, &environment->routes[i],
				   &environment->figures[i], fault))
			return false;
	}
	return true;
}

struct delivery *
delivery_new(const struct delivery_environment *environment, struct fault *fault)
{
	struct delivery *delivery = memory_new(sizeof(*delivery));

	assert(environment->route_count > 0 && environment->route_count < UINT16_MAX);
	delivery->environment = *environment;
	delivery->tuning = tuning_default;
	delivery->wake.expired = delivery_woken;
	delivery->wall_offset_ms =
	    loop_wall_ms(environment->loop) - loop_now_ms(environment->loop);
	buffer_init(&delivery->scratch, SMTP_CLIENT_SCRATCH_MAX);
	delivery->clients = (struct smtp_client_environment){
		.loop = environment->loop,
		.hostname = environment->hostname,
		.timeouts = &delivery->tuning.timeouts,
		.events = &courier_events,
		.scratch = &delivery->scratch,
	};
	delivery->table =
	    route_table_new(environment->routes, environment->route_count, fault);
	if (delivery->table == NULL || !dispatches_init(delivery, fault))
		delivery_free(&delivery);
	return delivery;
}

/* Take the job out of the schedule; its message, when that was its last, is left as it is. */
static void
job_leave(struct delivery *delivery, struct job *job)
{
	struct queued *queued = job->queued;

	schedule_end(&job_dispatch(delivery, job)->schedule, job);
	if (!queued_is_over(queued))
		return;

	struct spool_message *message = queued->message;

	envelope_forget(delivery, queued);
	queued_free(&queued);
	spool_leave(&message);
}

static void
messages_leave(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->environment.route_count; i++) {
		struct schedule *schedule = &delivery->dispatches[i].schedule;

		while (schedule->age.count > 0)
			job_leave(delivery, schedule->age.entries[schedule->age.count - 1].job);
		while (schedule->dead.count > 0)
			job_leave(delivery,
				  schedule->dead.entries[schedule->dead.count - 1].job);
	}
}

void
delivery_free(struct delivery **delivery)
{
	struct delivery *ours = *delivery;

	if (ours == NULL)
		return;
	loop_timer_cancel(ours->environment.loop, &ours->wake);
	maildir_writer_free(&ours->maildir_writer);
	if (ours->dispatches != NULL) {
		for (size_t i = 0; i < ours->environment.route_count; i++)
			dispatch_halt(&ours->dispatches[i]);
		messages_leave(ours);
		for (size_t i = 0; i < ours->environment.route_count; i++)
			dispatch_reset(&ours->dispatches[i]);
	}
	free(ours->dispatches);
	route_table_free(&ours->table);
	buffer_reset(&ours->scratch);
	free(ours);
	*delivery = NULL;
}

void
delivery_drain(struct delivery *delivery)
{
	delivery->is_draining = true;
	for (size_t i = 0; i < delivery->environment.route_count; i++)
		dispatch_drain(&delivery->dispatches[i]);
}

bool
delivery_is_idle(const struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->environment.route_count; i++) {
		if (delivery->dispatches[i].schedule.active > 0)
			return false;
	}
	return true;
}

void
delivery_retry_now(struct delivery *delivery, struct span route)
{
	for (size_t i = 0; i < delivery->environment.route_count; i++) {
		if (route.len == 0 || span_equal(route, delivery->environment.routes[i].name))
			dispatch_retry_now(&delivery->dispatches[i]);
	}
}
