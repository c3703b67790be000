/* SPDX-License-Identifier: ISC */
/* Messages that are passed on while their clients wait; see passage.h. */
#include "delivery/passage.h"

#include "base/memory.h"
#include "delivery/courier.h"
#include "delivery/state.h"

#include <assert.h>
#include <stdlib.h>

#define PAUSE_MS 60000 /* after a client waited in vain, the route's others do not */

struct passage {
	struct delivery *delivery;
	struct queued *queued; /* one job, and no message of the spool */
	const struct spool_draft *draft;
	passage_done *done; /* NULL: it was called */
	void *context;
	struct loop_timer timer;
	struct list link; /* in the dispatch's passages, while it waits for a connection */
	struct courier *courier;   /* that carries it; NULL: none */
	struct handover *handover; /* being carried, or over; NULL: none yet */
	struct handover_place how; /* it was carried out */
	struct smtp_client_tls tls;
	bool is_begun;
	bool is_late;	 /* its time was over before the next hop answered */
	bool is_dropped; /* nobody waits for it any more */
};

static struct dispatch *
passage_dispatch(const struct passage *passage)
{
	return job_dispatch(passage->delivery, &passage->queued->first);
}

static void
passage_unlist(struct passage *passage)
{
	if (!list_is_linked(&passage->link))
		return;
	list_remove(&passage->link);
	passage_dispatch(passage)->passage_count--;
}

static void
passage_enlist(struct passage *passage)
{
	struct dispatch *dispatch = passage_dispatch(passage);

	list_append(&dispatch->passages, &passage->link);
	dispatch->passage_count++;
}

static void
passage_free(struct passage *passage)
{
	passage_unlist(passage);
	loop_timer_cancel(passage->delivery->environment.loop, &passage->timer);
	handover_free(&passage->handover);
	if (passage->queued != NULL) {
		envelope_forget(passage->delivery, passage->queued);
		queued_free(&passage->queued);
	}
	free(passage);
}

/* ---- The answer ---- */

static enum passage_result
result_told(enum recipient_result result)
{
	switch (result) {
	case RESULT_DELIVERED:
		return PASSAGE_TAKEN;
	case RESULT_FAILED:
		return PASSAGE_REFUSED;
	case RESULT_NONE:
	case RESULT_UNTRIED:
	case RESULT_DEFERRED:
		break;
	}
	return PASSAGE_OPEN;
}

/* What became of all: the same, or else it is open. */
static enum passage_result
results_fill(const struct passage *passage, struct passage_recipient *recipients)
{
	const struct handover *handover = passage->handover;
	enum passage_result all = PASSAGE_OPEN;

	if (handover == NULL || passage->courier != NULL)
		return all;
	all = result_told(handover->recipients[0].result);
	for (size_t i = 0; i < handover->recipient_count; i++) {
		const struct handover_recipient *from = &handover->recipients[i];
		struct passage_recipient *to = &recipients[from->index];

		to->result = result_told(from->result);
		to->reply = from->reply;
		if (to->result != all)
			all = PASSAGE_OPEN;
	}
	return all;
}

/* Nothing of it may be touched afterwards: it may be gone. */
static void
passage_tell(struct passage *passage)
{
	struct passage_recipient *recipients =
	    memory_new_array(passage->queued->recipient_count, sizeof(*recipients));
	enum passage_result all = results_fill(passage, recipients);
	passage_done *done = passage->done;

	passage->done = NULL;
	done(passage->context, all, recipients);
	if (all != PASSAGE_OPEN) {
		delivery_record(passage->delivery, passage->handover, &passage->how);
		passage_free(passage);
	}
	free(recipients);
}

/* To the spool: it did not come to anything. */
static void
passage_return(struct passage *passage)
{
	passage_unlist(passage);
	loop_timer_cancel(passage->delivery->environment.loop, &passage->timer);
	passage_tell(passage);
}

void
passages_return(struct dispatch *dispatch)
{
	while (!list_is_empty(&dispatch->passages))
		passage_return(LIST_OWNER(dispatch->passages.next, struct passage, link));
}

/* ---- Time ---- */

/*
 * Behind the dot a connection is not broken: what the next hop may have taken would only be
 * sent to it again. The message goes to the spool, and its reply is waited for there.
 */
static void
passage_end_waiting(struct passage *passage)
{
	struct dispatch *dispatch = passage_dispatch(passage);
	int64_t now_ms = loop_now_ms(passage->delivery->environment.loop);

	if (now_ms >= dispatch->passages_after_ms)
		log_warn(passage->delivery->environment.log,
			 "route " SPAN_FMT ": no answer while a client waited; for %d seconds "
			 "messages go to the spool first",
			 SPAN_ARG(dispatch->settings->name), PAUSE_MS / 1000);
	dispatch->passages_after_ms = now_ms + PAUSE_MS;
	passage->is_late = true;
	if (passage->courier == NULL) {
		passage_return(passage);
	} else if (passage->courier->client.state == CLIENT_DOT) {
		passage_tell(passage);
	} else {
		handover_settle(passage->handover, RESULT_UNTRIED,
				span_of("4.4.2 no answer while the client waited"));
		smtp_client_break(&passage->courier->client);
	}
}

/* First it begins, in a turn of its own, then its time is over. */
static void
passage_timer_expired(struct loop_timer *timer)
{
	struct passage *passage = LIST_OWNER(timer, struct passage, timer);
	struct dispatch *dispatch = passage_dispatch(passage);

	if (passage->is_begun) {
		passage_end_waiting(passage);
		return;
	}
	passage->is_begun = true;
	loop_timer_set(passage->delivery->environment.loop, timer,
		       dispatch->settings->cut_through_wait_ms);
	dispatch_work(dispatch);
}

/* ---- On its way ---- */

struct handover *
passage_board(struct passage *passage, struct courier *courier)
{
	struct delivery *delivery = passage->delivery;
	struct handover *handover =
	    delivery_handover_new(delivery, &passage->queued->first,
				  smtp_client_recipients_max(&courier->client));

	passage_unlist(passage);
	if (handover->recipient_count < passage->queued->recipient_count) {
		handover_free(&handover); /* it takes several transactions */
		passage_return(passage);
		return NULL;
	}
	handover->passage = passage;
	handover->draft = passage->draft;
	passage->handover = handover;
	passage->courier = courier;
	return handover;
}

/* A connection's end that was no answer: another one may do. */
static bool
passage_goes_on(const struct passage *passage)
{
	const struct handover *handover = passage->handover;

	return !passage->is_late && !passage->is_dropped &&
	       !passage->delivery->is_draining &&
	       handover->recipients[0].result == RESULT_UNTRIED &&
	       handover_all(handover, RESULT_UNTRIED);
}

void
passage_arrive(struct passage *passage, struct handover *handover,
	       const struct handover_place *how)
{
	assert(handover == passage->handover);
	relay_refusals_name(handover);
	passage->courier = NULL;
	passage->how = *how;
	if (how->tls != NULL) { /* the connection may go before we do */
		passage->tls = *how->tls;
		passage->how.tls = &passage->tls;
	}
	if (passage->is_dropped) {
		delivery_record(passage->delivery, handover, &passage->how);
		passage_free(passage);
	} else if (passage->done == NULL) {
		return; /* it is being stored */
	} else if (passage_goes_on(passage)) {
		handover_free(&passage->handover);
		passage_enlist(passage);
	} else {
		loop_timer_cancel(passage->delivery->environment.loop, &passage->timer);
		passage_tell(passage);
	}
}

/* One connection on its way for each that waits, or it had better not wait. */
void
passages_work(struct dispatch *dispatch, int64_t now_ms)
{
	struct courier *courier;

	while (!list_is_empty(&dispatch->passages) &&
	       (courier = dispatch_courier_choose(dispatch, now_ms)) != NULL) {
		struct passage *passage =
		    LIST_OWNER(dispatch->passages.next, struct passage, link);

		if (dispatch_message_allow(dispatch))
			courier_pass(courier, passage);
		else
			passage_return(passage);
	}
	while (dispatch->passage_count > dispatch->opening_count) {
		struct next_hop *hop = dispatch_hop_choose(dispatch, now_ms);

		if (hop == NULL || !dispatch_courier_open(dispatch, hop))
			passage_return(
			    LIST_OWNER(dispatch->passages.prev, struct passage, link));
	}
}

/* ---- What enters ---- */

/* The one route of all recipients; NO_ROUTE: there are several, or one of them asks for more. */
static size_t
envelope_route(const struct delivery *delivery, const struct envelope *envelope)
{
	size_t route = recipient_route(delivery, &envelope->recipients[0]);

	for (size_t i = 0; i < envelope->recipient_count; i++) {
		const struct envelope_recipient *recipient = &envelope->recipients[i];

		if (recipient_route(delivery, recipient) != route ||
		    recipient_rewriting(delivery, envelope, i).to.len > 0 ||
		    (recipient->notify & (uint32_t)NOTIFY_SUCCESS) != 0)
			return NO_ROUTE;
	}
	return route;
}

/* Nothing waits before it, and there is a connection for it or may be one. */
static bool
dispatch_takes_passages(const struct dispatch *dispatch)
{
	int64_t now_ms = loop_now_ms(dispatch->delivery->environment.loop);

	if (!dispatch->settings->is_cut_through || dispatch->is_down ||
	    dispatch->schedule.ready.count > 0 || dispatch->detour_count > 0 ||
	    now_ms < dispatch->passages_after_ms ||
	    now_ms < share_next_send_ms(dispatch->share))
		return false;
	return !list_is_empty(&dispatch->idle) ||
	       (dispatch_hop_choose(dispatch, now_ms) != NULL &&
		share_held(dispatch->share) <
		    share_window(dispatch->share, dispatch->settings->connections_max));
}

struct passage *
delivery_pass_on(void *context, const struct envelope *envelope,
		 const struct spool_draft *draft, passage_done *done, void *done_context)
{
	struct delivery *delivery = context;
	size_t route;

	if (delivery->is_draining || !spool_draft_is_in_memory(draft) ||
	    envelope->recipient_count > SMTP_CLIENT_RECIPIENTS_MAX)
		return NULL;
	route = envelope_route(delivery, envelope);
	if (route == NO_ROUTE || !dispatch_takes_passages(&delivery->dispatches[route]))
		return NULL;

	struct passage *passage = memory_new(sizeof(*passage));

	passage->delivery = delivery;
	passage->queued = queued_new(NULL, envelope->recipient_count);
	(void)queued_job(passage->queued, route);
	envelope_keep(delivery, passage->queued, envelope);
	passage->draft = draft;
	passage->done = done;
	passage->context = done_context;
	passage->timer.expired = passage_timer_expired;
	list_init(&passage->link);
	passage_enlist(passage);
	loop_timer_set(delivery->environment.loop, &passage->timer, 0);
	return passage;
}

/* ---- In the spool after all ---- */

void
delivery_passage_state(void *context, const struct passage *passage, struct buffer *state)
{
	const struct handover *handover = passage->handover;

	(void)context;
	if (handover == NULL || passage->courier != NULL)
		return;
	for (size_t i = 0; i < handover->recipient_count; i++) {
		if (handover->recipients[i].result == RESULT_DELIVERED)
			state->ptr[STATE_HEAD_OCTETS + handover->recipients[i].index] =
			    RECIPIENT_DELIVERED;
	}
}

/* The job of the stored message is at work, as the passage was. */
static struct handover *
passage_settle(struct passage *passage, struct spool_message *message)
{
	struct queued *queued = passage->queued;
	struct job *job = &queued->first;
	struct schedule *schedule = &passage_dispatch(passage)->schedule;
	struct handover *handover = passage->handover;

	delivery_message_adopt(passage->delivery, queued, message, queued->envelope);
	schedule_ready(schedule, job);
	schedule_take_this(schedule, job);
	handover->passage = NULL;
	handover->draft = NULL;
	handover->message = message;
	passage->handover = NULL;
	passage->queued = NULL;
	return handover;
}

void
delivery_passage_accepted(void *context, struct passage **passage,
			  struct spool_message *message, const struct envelope *envelope)
{
	struct delivery *delivery = context;
	struct passage *ours = *passage;

	*passage = NULL;
	if (ours->handover == NULL) {
		passage_free(ours);
		delivery_accepted(delivery, message, envelope);
		return;
	}

	struct dispatch *dispatch = passage_dispatch(ours);
	bool is_carried = ours->courier != NULL;
	struct handover *handover = passage_settle(ours, message);

	if (!is_carried)
		delivery_conclude(delivery, &handover, &ours->how);
	loop_timer_cancel(delivery->environment.loop, &ours->timer);
	free(ours);
	dispatch_work(dispatch);
}

void
delivery_passage_drop(void *context, struct passage **passage)
{
	struct delivery *delivery = context;
	struct passage *ours = *passage;

	*passage = NULL;
	ours->is_dropped = true;
	if (ours->courier != NULL) {
		smtp_client_break(&ours->courier->client); /* passage_arrive ends it */
		return;
	}
	if (ours->handover != NULL)
		delivery_record(delivery, ours->handover, &ours->how);
	passage_free(ours);
}
