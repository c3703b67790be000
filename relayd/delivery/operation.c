/* SPDX-License-Identifier: ISC */
/* Operators' wishes, carried out; see operation.h. */
#include "delivery/operation.h"

#include "base/memory.h"
#include "delivery/delivery_private.h"
#include "delivery/state.h"

#include <assert.h>
#include <stdlib.h>

#define SLICE_MESSAGES 256 /* looked at in one turn */
#define LOOKS_MAX      64  /* envelopes that are read at once */

/* An envelope that is read to see whether its message is meant. */
struct look {
	struct list link;
	struct operation *operation;
	struct queued *queued;
	struct spool_read *read;
};

/* ---- Is the message meant ---- */

static struct span
route_name(const struct delivery *delivery, size_t route)
{
	return delivery->environment.routes[route].name;
}

static enum queue_state
recipient_stands(const struct queued *queued, size_t recipient)
{
	return queue_state_of((enum recipient_state)queued->recipients[recipient],
			      queued_is_held(queued));
}

/* By what is in memory; false: certainly not. */
static bool
message_may_match(const struct operation *operation, const struct queued *queued)
{
	const struct selection *selection = operation->selection;
	bool has_route = false;
	bool has_state = false;

	if (!selection_has_packed_id(selection, queued->id) ||
	    !selection_has_age(selection, spool_message_info(queued->message)->stored_wall_ms))
		return false;
	for (const struct job *job = &queued->first; job != NULL && !has_route; job = job->next)
		has_route = selection_has_route(selection,
						route_name(operation->delivery, job->route));
	for (size_t i = 0; i < queued->recipient_count && has_route && !has_state; i++)
		has_state = selection_has_state(selection, recipient_stands(queued, i));
	return has_state;
}

/* Does it take the envelope to be sure? */
static bool
message_needs_look(const struct operation *operation, const struct queued *queued)
{
	return selection_asks_addresses(operation->selection) || queued->first.next != NULL;
}

static bool
envelope_matches(const struct operation *operation, const struct queued *queued,
		 const struct envelope *envelope)
{
	const struct selection *selection = operation->selection;
	const struct delivery *delivery = operation->delivery;

	if (!selection_has_sender(selection, envelope->sender))
		return false;
	for (size_t i = 0; i < envelope->recipient_count; i++) {
		const struct envelope_recipient *recipient = &envelope->recipients[i];
		size_t route = recipient_route(delivery, recipient);

		if (selection_has_state(selection, recipient_stands(queued, i)) &&
		    selection_has_route(selection, route_name(delivery, route)) &&
		    selection_has_recipient(selection, recipient->address))
			return true;
	}
	return false;
}

/* ---- What is done to it ---- */

/* The dead wait again, all of the message; false: there are none. */
static bool
message_revive(struct delivery *delivery, struct queued *queued)
{
	static const char waiting = RECIPIENT_WAITING;
	bool is_revived = false;

	for (uint32_t i = 0; i < queued->recipient_count; i++) {
		if (queued->recipients[i] != RECIPIENT_DEAD)
			continue;
		is_revived = true;
		queued->recipients[i] = RECIPIENT_WAITING;
		if (queued->has_state)
			spool_state_write(queued->message, STATE_HEAD_OCTETS + i,
					  (struct span){ &waiting, 1 });
	}
	for (struct job *job = &queued->first; job != NULL; job = job->next) {
		struct dispatch *dispatch = job_dispatch(delivery, job);

		if (!job->has_dead)
			continue;
		job->has_dead = false;
		figure_subtract(&dispatch->figures->dead, 1);
		schedule_ready(job_home(delivery, job), job);
	}
	return is_revived;
}

static bool
message_retry(struct operation *operation, struct queued *queued)
{
	struct delivery *delivery = operation->delivery;
	bool is_due = selection_is_of_dead(operation->selection) &&
		      message_revive(delivery, queued);

	for (struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_WAITING)
			schedule_ready(job_home(delivery, job), job);
		is_due = is_due || job->place == JOB_READY;
	}
	return is_due;
}

/* Is anything of it to be tried one day? */
static bool
message_is_open(const struct queued *queued)
{
	for (const struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_READY || job->place == JOB_WAITING ||
		    job->place == JOB_ACTIVE)
			return true;
	}
	return false;
}

static bool
message_hold(struct operation *operation, struct queued *queued)
{
	struct delivery *delivery = operation->delivery;

	if (queued_is_held(queued) || !message_is_open(queued))
		return false;
	queued->flags |= STATE_HELD;
	message_flags_write(queued);
	for (struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_READY || job->place == JOB_WAITING)
			schedule_ready(job_home(delivery, job), job);
	}
	message_rest(delivery, queued);
	return true;
}

static bool
message_release(struct operation *operation, struct queued *queued)
{
	if (!queued_is_held(queued))
		return false;
	queued->flags = (unsigned char)(queued->flags & ~(unsigned)STATE_HELD);
	message_flags_write(queued);
	for (struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_HELD)
			schedule_ready(job_home(operation->delivery, job), job);
	}
	return true;
}

static void
message_remove(struct operation *operation, struct queued *queued)
{
	struct delivery *delivery = operation->delivery;

	for (struct job *job = &queued->first; job != NULL; job = job->next) {
		struct dispatch *dispatch = job_dispatch(delivery, job);

		if (job->has_dead)
			figure_subtract(&dispatch->figures->dead, 1);
		schedule_end(job_home(delivery, job), job);
	}
	message_end(delivery, queued);
}

static void
message_record(const struct operation *operation, uint64_t packed_id)
{
	char id[ID_SIZE];
	struct audit_operator record = {
		.id = id,
		.wall_ms = loop_wall_ms(operation->delivery->environment.loop),
		.action = queue_action_name(operation->action),
		.uid = operation->uid,
		.user = operation->user,
		.result = "done",
	};

	id_unpack(packed_id, id);
	audit_operator(operation->delivery->environment.audit, &record);
}

/* False: it stays as it is. The message may be gone afterwards. */
static bool
message_act(struct operation *operation, struct queued *queued, bool is_active)
{
	switch (operation->action) {
	case QUEUE_COUNT:
		return true;
	case QUEUE_RETRY:
		return !is_active && message_retry(operation, queued);
	case QUEUE_HOLD:
		return message_hold(operation, queued);
	case QUEUE_RELEASE:
		return message_release(operation, queued);
	case QUEUE_REMOVE:
		if (is_active)
			return false;
		message_remove(operation, queued);
		return true;
	}
	return false;
}

static void
message_take(struct operation *operation, struct queued *queued)
{
	struct queue_tally *tally = &operation->tally;
	bool is_active = queued_is_active(queued);
	uint64_t id = queued->id;

	tally->matched++;
	if (operation->action == QUEUE_HOLD && !queued->has_state) {
		tally->failed++; /* it would be forgotten with this process */
		return;
	}
	for (const struct job *job = &queued->first; job != NULL; job = job->next)
		operation->is_touched[job->route] = true;
	if (message_act(operation, queued, is_active)) {
		tally->done++;
		tally->active += is_active && operation->action == QUEUE_HOLD;
		if (operation->action != QUEUE_COUNT)
			message_record(operation, id);
	} else if (is_active) {
		tally->active++;
	} else {
		tally->unchanged++;
	}
}

/* ---- Envelopes that have to be read ---- */

static void
look_free(struct look *look)
{
	look->operation->look_count--;
	look->queued->is_looked_at = false;
	list_remove(&look->link);
	free(look);
}

static void
look_done(void *context, struct span bytes, struct fault *fault)
{
	struct look *look = context;
	struct operation *operation = look->operation;
	struct queued *queued = look->queued;
	struct envelope envelope;
	struct arena arena;

	(void)fault; /* delivery says more when it needs the envelope */
	arena_init(&arena, 0);
	bool is_good = bytes.ptr != NULL &&
		       envelope_decode(bytes, &arena, &envelope) == PARSE_OK &&
		       envelope.recipient_count == queued->recipient_count;

	look_free(look);
	if (!is_good)
		operation->tally.failed++;
	else if (!operation->is_broken && message_may_match(operation, queued) &&
		 envelope_matches(operation, queued, &envelope))
		message_take(operation, queued);
	arena_reset(&arena);
	loop_work_add(operation->delivery->environment.loop, &operation->work, false);
}

static void
look_begin(struct operation *operation, struct queued *queued)
{
	struct look *look = memory_new(sizeof(*look));

	look->operation = operation;
	look->queued = queued;
	list_init(&look->link);
	list_append(&operation->looks, &look->link);
	operation->look_count++;
	queued->is_looked_at = true;
	look->read = spool_read_envelope(queued->message, look_done, look);
}

static void
look_cancel(struct look *look)
{
	spool_read_cancel(&look->read);
	look_free(look);
}

void
operations_forget(struct delivery *delivery, struct queued *queued)
{
	if (!queued->is_looked_at)
		return;

	struct operation *operation =
	    LIST_OWNER(delivery->operations.next, struct operation, link);
	struct list *next;

	for (struct list *link = operation->looks.next; link != &operation->looks; link = next) {
		struct look *look = LIST_OWNER(link, struct look, link);

		next = link->next;
		if (look->queued == queued)
			look_cancel(look);
	}
	loop_work_add(delivery->environment.loop, &operation->work, false);
}

/* ---- Going through the queue ---- */

static void
message_examine(struct operation *operation, struct queued *queued)
{
	if (!message_may_match(operation, queued))
		return;
	if (!message_needs_look(operation, queued))
		message_take(operation, queued);
	else if (queued->envelope == NULL)
		look_begin(operation, queued);
	else if (envelope_matches(operation, queued, queued->envelope))
		message_take(operation, queued);
}

/* Routes of which something was touched go to work; and, at the end, to their next hops. */
static void
routes_work(struct operation *operation, bool is_end)
{
	struct delivery *delivery = operation->delivery;

	for (size_t i = 0; i < delivery->environment.route_count; i++) {
		if (!operation->is_touched[i])
			continue;
		if (is_end && operation->action == QUEUE_RETRY)
			dispatch_hops_unpause(&delivery->dispatches[i]);
		dispatch_work(&delivery->dispatches[i]);
	}
}

static void
operation_start(struct operation *operation)
{
	struct delivery *delivery = operation->delivery;

	operation->has_begun = true;
	list_prepend(&delivery->messages, &operation->cursor);
	list_append(&delivery->messages, &operation->end);
}

/* Give everything back that it holds; the caller's part stays. */
static void
operation_clear(struct operation *operation)
{
	while (!list_is_empty(&operation->looks))
		look_cancel(LIST_OWNER(operation->looks.next, struct look, link));
	loop_work_cancel(&operation->work);
	list_remove(&operation->cursor);
	list_remove(&operation->end);
	list_remove(&operation->link);
	free(operation->is_touched);
	operation->is_touched = NULL;
	selection_free(&operation->selection);
}

static void
operation_finish(struct operation *operation)
{
	struct delivery *delivery = operation->delivery;

	routes_work(operation, true);
	operation_clear(operation);
	if (!list_is_empty(&delivery->operations)) {
		struct operation *next =
		    LIST_OWNER(delivery->operations.next, struct operation, link);

		loop_work_add(delivery->environment.loop, &next->work, false);
	}
	operation->done(operation);
}

/* As many messages as one turn may take. False: there are more, or looks are under way. */
static bool
slice_take(struct operation *operation)
{
	for (size_t i = 0; i < SLICE_MESSAGES && operation->look_count < LOOKS_MAX; i++) {
		struct list *link = operation->cursor.next;

		if (link == &operation->end)
			return operation->look_count == 0;
		list_remove(&operation->cursor);
		list_prepend(link, &operation->cursor); /* right behind it */
		message_examine(operation, LIST_OWNER(link, struct queued, link));
	}
	return false;
}

static void
operation_turn(struct loop_work *work)
{
	struct operation *operation = LIST_OWNER(work, struct operation, work);
	struct delivery *delivery = operation->delivery;

	if (!operation->has_begun)
		operation_start(operation);
	operation->is_broken =
	    operation->is_broken || (operation->action != QUEUE_COUNT &&
				     audit_is_broken(delivery->environment.audit));
	if (operation->is_broken || slice_take(operation)) {
		operation_finish(operation);
		return;
	}
	routes_work(operation, false);
	if (operation->look_count < LOOKS_MAX && operation->cursor.next != &operation->end)
		loop_work_add(delivery->environment.loop, &operation->work, false);
}

void
operation_begin(struct operation *operation, struct delivery *delivery)
{
	bool is_first = list_is_empty(&delivery->operations);

	assert(operation->selection != NULL && operation->done != NULL);
	operation->delivery = delivery;
	operation->work.run = operation_turn;
	operation->is_touched = memory_new_array(delivery->environment.route_count,
						 sizeof(*operation->is_touched));
	list_init(&operation->link);
	list_init(&operation->cursor);
	list_init(&operation->end);
	list_init(&operation->looks);
	list_append(&delivery->operations, &operation->link);
	if (is_first)
		loop_work_add(delivery->environment.loop, &operation->work, false);
}

void
operations_halt(struct delivery *delivery)
{
	while (!list_is_empty(&delivery->operations))
		operation_clear(
		    LIST_OWNER(delivery->operations.next, struct operation, link));
}
