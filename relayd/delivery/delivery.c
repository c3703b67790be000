/* SPDX-License-Identifier: ISC */
/*
 * Delivery as its users see it: what enters, how it begins and ends. message.c follows the
 * messages, dispatch.c does the work of each route.
 */
#include "delivery/delivery.h"

#include "base/memory.h"
#include "delivery/courier.h"
#include "delivery/delivery_private.h"
#include "delivery/operation.h"
#include "delivery/state.h"

#include <assert.h>
#include <stdlib.h>

#define TOKEN_LOOK_MS 1000

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
		.login_pause_first_ms = 60 * 1000,
		.login_pause_max_ms = 15 * 60 * 1000,
	},
	.envelope_octets_max = 8U << 20,
};

/* ---- What enters ---- */

/* Room for the state area that we write: one of another layout is left alone. */
static bool
has_state(const struct spool_message *message, size_t recipient_count)
{
	return recipient_count <= STATE_RECIPIENTS_MAX &&
	       spool_message_info(message)->state_octets ==
		   STATE_HEAD_OCTETS + recipient_count;
}

void
delivery_message_adopt(struct delivery *delivery, struct queued *queued,
		       struct spool_message *message, const struct envelope *envelope)
{
	queued->message = message;
	queued->has_state = has_state(message, queued->recipient_count);
	queued->id = id_pack(envelope->id);
	list_append(&delivery->messages, &queued->link);
	spool_message_set_user(message, queued);
}

static struct queued *
message_enter(struct delivery *delivery, struct spool_message *message,
	      const struct envelope *envelope)
{
	struct queued *queued = queued_new(message, envelope->recipient_count);

	delivery_message_adopt(delivery, queued, message, envelope);
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

/* What has next hops of its own begins at once; a message may end when its domain is known. */
static void
dispatch_begin(struct dispatch *dispatch)
{
	if (dispatch->destinations != NULL)
		dispatch_poke(dispatch);
	else
		dispatch_work(dispatch);
}

void
delivery_accepted(void *context, struct spool_message *message,
		  const struct envelope *envelope)
{
	struct delivery *delivery = context;
	struct queued *queued = message_enter(delivery, message, envelope);
	struct job *job;

	assert(envelope->recipient_count > 0);
	for (size_t i = 0; i < envelope->recipient_count; i++)
		(void)recipient_job(delivery, queued, envelope, (uint32_t)i);
	envelope_keep(delivery, queued, envelope);
	for (job = &queued->first; job != NULL; job = job->next)
		schedule_ready(&job_dispatch(delivery, job)->schedule, job);
	queued->is_entering = true; /* what no next hop can take is over at once */
	for (job = &queued->first; job != NULL; job = job->next)
		dispatch_begin(job_dispatch(delivery, job));
	queued->is_entering = false;
	if (message_is_done(queued)) {
		message_end(delivery, queued);
		return;
	}
	for (job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_READY && job_dispatch(delivery, job)->is_down &&
		    queued->envelope != NULL)
			delivery_park(delivery, job);
	}
	message_rest(delivery, queued);
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
		queued->flags = read->flags;
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
	struct queued *queued = message_enter(delivery, message, envelope);
	struct delivery_state state;

	state_take(delivery, queued, bytes, &state);
	queued->flags = (unsigned char)state.flags;
	queued->envelope = envelope; /* for job_owns and the reports */
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		if (queued->recipients[i] == RECIPIENT_OWED)
			bounce_note_owed(delivery, queued, i);
		else if (queued->recipients[i] == RECIPIENT_WAITING ||
			 queued->recipients[i] == RECIPIENT_DEAD)
			(void)recipient_job(delivery, queued, envelope, (uint32_t)i);
	}
	for (struct job *job = &queued->first; job != NULL && job->queued != NULL;
	     job = job->next)
		found_job_place(delivery, job, &state);
	queued->envelope = NULL;
	if (message_is_done(queued)) { /* it was, and then we died */
		message_end(delivery, queued);
		return;
	}
	bounce_settle(delivery, queued);
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
		if (environment->routes[i].maildir.len > 0 &&
		    delivery->maildir_writer == NULL) {
			delivery->maildir_writer = maildir_writer_new(
			    environment->loop, environment->hostname, fault);
			if (delivery->maildir_writer == NULL)
				return false;
		}
		if (!dispatch_init(&delivery->dispatches[i], delivery, &environment->routes[i],
				   &environment->figures[i], environment->shares[i], fault))
			return false;
	}
	return true;
}

/* A route that could not log in need not wait any longer once there is a new token. */
static void
token_timer_expired(struct loop_timer *timer)
{
	struct delivery *delivery = LIST_OWNER(timer, struct delivery, token_timer);
	const struct delivery_environment *environment = &delivery->environment;

	for (size_t i = 0; i < environment->route_count; i++) {
		uint64_t number = token_number(environment->tokens, i);

		if (number == delivery->token_numbers[i])
			continue;
		delivery->token_numbers[i] = number;
		if (delivery->dispatches[i].is_down && !delivery->is_draining)
			dispatch_retry_now(&delivery->dispatches[i]);
	}
	loop_timer_set(environment->loop, timer, TOKEN_LOOK_MS);
}

static void
tokens_watch(struct delivery *delivery)
{
	const struct delivery_environment *environment = &delivery->environment;

	if (environment->tokens == NULL)
		return;
	delivery->token_numbers =
	    memory_new_array(environment->route_count, sizeof(*delivery->token_numbers));
	delivery->token_timer.expired = token_timer_expired;
	loop_timer_set(environment->loop, &delivery->token_timer, TOKEN_LOOK_MS);
}

struct delivery *
delivery_new(const struct delivery_environment *environment, struct fault *fault)
{
	struct delivery *delivery = memory_new(sizeof(*delivery));

	assert(environment->route_count > 0 && environment->route_count < UINT16_MAX);
	delivery->environment = *environment;
	delivery->tuning = tuning_default;
	delivery->wake.expired = delivery_woken;
	list_init(&delivery->messages);
	list_init(&delivery->operations);
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
	if (environment->policy != NULL)
		delivery->rewrites = rewrite_table_new(environment->policy);
	if (delivery->table == NULL || !dispatches_init(delivery, fault))
		delivery_free(&delivery);
	if (delivery == NULL)
		return NULL;
	bounces_init(delivery);
	tokens_watch(delivery);
	return delivery;
}

/* Every message stays in the spool as it is. */
static void
messages_leave(struct delivery *delivery)
{
	while (!list_is_empty(&delivery->messages)) {
		struct queued *queued =
		    LIST_OWNER(delivery->messages.next, struct queued, link);
		struct spool_message *message = queued->message;

		for (struct job *job = &queued->first; job != NULL; job = job->next)
			schedule_end(&job_dispatch(delivery, job)->schedule, job);
		bounce_drop(queued);
		envelope_forget(delivery, queued);
		queued_free(&queued);
		spool_leave(&message);
	}
}

void
delivery_free(struct delivery **delivery)
{
	struct delivery *ours = *delivery;

	if (ours == NULL)
		return;
	operations_halt(ours);
	loop_timer_cancel(ours->environment.loop, &ours->wake);
	loop_timer_cancel(ours->environment.loop, &ours->token_timer);
	free(ours->token_numbers);
	maildir_writer_free(&ours->maildir_writer);
	if (ours->dispatches != NULL) {
		for (size_t i = 0; i < ours->environment.route_count; i++)
			dispatch_halt(&ours->dispatches[i]);
		bounces_reset(ours);
		messages_leave(ours);
		for (size_t i = 0; i < ours->environment.route_count; i++)
			dispatch_reset(&ours->dispatches[i]);
	}
	free(ours->dispatches);
	route_table_free(&ours->table);
	rewrite_table_free(&ours->rewrites);
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
		if (dispatch_active_count(&delivery->dispatches[i]) > 0)
			return false;
	}
	return bounces_are_idle(delivery);
}

void
delivery_retry_now(struct delivery *delivery, struct span route)
{
	for (size_t i = 0; i < delivery->environment.route_count; i++) {
		if (route.len == 0 || span_equal(route, delivery->environment.routes[i].name))
			dispatch_retry_now(&delivery->dispatches[i]);
	}
}
