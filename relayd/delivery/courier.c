/* SPDX-License-Identifier: ISC */
/* Connections of a route; see courier.h. */
#include "delivery/courier.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A job had better wait for a connection that will be free in so many milliseconds than take
 * one of its own.
 */
#define WAIT_MS	  10
#define DEPTH_MAX 16

/* Behind the dot goes the next message only where messages are taken quickly. */
#define QUICK_MS 500

/* With other addresses left to try, an address that does not answer gets less time. */
#define IMPATIENCE 3

static struct courier *
courier_of(struct smtp_client *client)
{
	return LIST_OWNER(client, struct courier, client);
}

void
courier_depth_set(struct courier *courier, size_t depth)
{
	courier->dispatch->depth += depth - courier->depth;
	courier->depth = depth;
}

/* It is busy now; by how long it was so with the last message. */
static void
courier_depth_reckon(struct courier *courier)
{
	int64_t service_ms = smtp_client_service_ms(&courier->client);

	if (service_ms < 0)
		courier_depth_set(courier, 0);
	else
		courier_depth_set(courier, service_ms == 0 ? DEPTH_MAX
							   : (size_t)(WAIT_MS / service_ms));
}

/* It is gone: out of all lists but the one of those to be freed. */
static void
courier_retire(struct courier *courier)
{
	struct dispatch *dispatch = courier->dispatch;

	address_waiter_cancel(&courier->waiter);
	list_remove(&courier->idle);
	list_remove(&courier->link);
	list_append(&dispatch->closed, &courier->link);
	loop_timer_set(dispatch->delivery->environment.loop, &dispatch->sweep, 1);
	dispatch->courier_count--;
	courier_depth_set(courier, 0);
	if (courier->is_opening) {
		dispatch->opening_count--;
		courier->hop->connecting--;
		courier->is_opening = false;
	} else {
		courier->hop->connected--;
	}
}

static void
courier_fail(struct courier *courier, struct span why)
{
	struct dispatch *dispatch = courier->dispatch;
	struct next_hop *hop = courier->hop;

	(void)snprintf(dispatch->why, sizeof(dispatch->why), "%s: " SPAN_FMT, hop->text,
		       SPAN_ARG(why));
	dispatch->failed_hop = (size_t)(hop - dispatch->hops);
	log_write(dispatch->delivery->environment.log,
		  hop->failures == 0 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG,
		  "route " SPAN_FMT ": %s", SPAN_ARG(dispatch->settings->name), dispatch->why);
	courier_retire(courier);
	next_hop_failed(hop, loop_now_ms(hop->loop));
}

/* Try the addresses from address_at on; false, and it failed, when none is left. */
static bool
courier_connect(struct courier *courier, struct span why)
{
	int64_t within_ms = courier->dispatch->delivery->tuning.timeouts.connect_ms;
	struct fault fault;

	for (; courier->address_at < courier->address_count; courier->address_at++) {
		struct ip_endpoint to = {
			.ip = courier->addresses[courier->address_at],
			.port = courier->hop->settings->port,
		};
		bool is_last = courier->address_at + 1 == courier->address_count;

		if (smtp_client_connect(&courier->client, &to,
					is_last ? within_ms : within_ms / IMPATIENCE, &fault))
			return true;
		why = span_of(fault_text(&fault));
	}
	courier_fail(courier, why);
	return false;
}

static void
courier_set_off(struct courier *courier)
{
	const struct next_hop *hop = courier->hop;

	courier->address_count = hop->address_count;
	memcpy(courier->addresses, hop->addresses, sizeof(courier->addresses));
	(void)courier_connect(courier, span_of("4.4.4 no address"));
}

static void
courier_resolved(struct address_waiter *waiter, struct span why)
{
	struct courier *courier = LIST_OWNER(waiter, struct courier, waiter);
	struct dispatch *dispatch = courier->dispatch;

	if (why.len > 0)
		courier_fail(courier, why);
	else
		courier_set_off(courier);
	dispatch_work(dispatch);
}

void
courier_open(struct dispatch *dispatch, struct next_hop *hop)
{
	struct courier *courier = memory_new(sizeof(*courier));

	courier->dispatch = dispatch;
	courier->hop = hop;
	courier->is_opening = true;
	courier->waiter.done = courier_resolved;
	list_init(&courier->waiter.link);
	list_init(&courier->idle);
	list_init(&courier->link);
	list_append(&dispatch->couriers, &courier->link);
	smtp_client_init(&courier->client, &dispatch->delivery->clients);
	dispatch->courier_count++;
	dispatch->opening_count++;
	hop->connecting++;
	if (next_hop_resolve(hop, &courier->waiter) == ADDRESSES_KNOWN)
		courier_set_off(courier);
}

/* ---- Carrying ---- */

static struct handover_place
courier_place(const struct courier *courier)
{
	return (struct handover_place){
		.next_hop = span_of(courier->hop->text),
		.peer = courier->client.peer,
	};
}

/* The envelope is there: pass the job on. False: nothing was passed on. */
static bool
courier_carry(struct courier *courier, struct job *job)
{
	struct delivery *delivery = courier->dispatch->delivery;
	struct smtp_client *client = &courier->client;
	struct handover *handover =
	    delivery_handover_new(delivery, job, smtp_client_recipients_max(client));
	struct span refusal;

	if (!smtp_client_must_refuse(client, handover->envelope, &refusal)) {
		smtp_client_give(client, handover);
		return true;
	}
	handover_settle(handover, RESULT_FAILED, refusal);

	struct handover_place how = courier_place(courier);

	delivery_conclude(delivery, &handover, &how);
	return false;
}

static void
courier_rest(struct courier *courier)
{
	struct dispatch *dispatch = courier->dispatch;

	if (!smtp_client_is_idle(&courier->client) || courier->load.job != NULL)
		return;
	courier_depth_set(courier, 0);
	if (smtp_client_is_worn(&courier->client) || dispatch->delivery->is_draining)
		courier_dismiss(courier);
	else if (!list_is_linked(&courier->idle))
		list_prepend(&dispatch->idle, &courier->idle);
}

static void
courier_loaded(struct job_load *load, struct job *job, bool is_there)
{
	struct courier *courier = LIST_OWNER(load, struct courier, load);
	struct dispatch *dispatch = courier->dispatch;

	if (is_there && !smtp_client_has_room(&courier->client))
		schedule_ready(&dispatch->schedule, job);
	else if (is_there)
		(void)courier_carry(courier, job);
	courier_rest(courier);
	dispatch_work(dispatch);
}

bool
courier_take(struct courier *courier, struct job *job)
{
	assert(courier->load.job == NULL && smtp_client_has_room(&courier->client));
	list_remove(&courier->idle);
	courier_depth_reckon(courier);
	if (job->queued->envelope != NULL) {
		if (courier_carry(courier, job))
			return true;
		courier_rest(courier);
		return false;
	}
	job_load_start(&courier->load, courier->dispatch->delivery, job, courier_loaded);
	return true;
}

void
courier_dismiss(struct courier *courier)
{
	list_remove(&courier->idle);
	smtp_client_quit(&courier->client);
}

void
courier_drop(struct courier *courier)
{
	(void)job_load_cancel(&courier->load);
	handover_free(&courier->client.now.handover);
	handover_free(&courier->client.next.handover);
	smtp_client_close(&courier->client);
	courier_retire(courier);
}

/* ---- Events of the client ---- */

static void
courier_is_ready(struct smtp_client *client)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;

	courier->is_opening = false;
	dispatch->opening_count--;
	courier->hop->connecting--;
	courier->hop->connected++;
	if (courier->hop->failures > 0)
		log_info(dispatch->delivery->environment.log,
			 "route " SPAN_FMT ": %s answers again",
			 SPAN_ARG(dispatch->settings->name), courier->hop->text);
	next_hop_succeeded(courier->hop);
	next_hop_prefer(courier->hop, &client->peer.ip);
	dispatch_came_up(dispatch);
	courier_rest(courier);
	dispatch_work(dispatch);
}

/* All connections are busy, or none would be ready: one more job may go behind the dot. */
static void
courier_has_room(struct smtp_client *client)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;
	struct job *job;

	if (smtp_client_service_ms(client) < 0 || smtp_client_service_ms(client) > QUICK_MS)
		return;
	while (courier->load.job == NULL && smtp_client_has_room(client) &&
	       (job = dispatch_job_take(dispatch)) != NULL) {
		if (courier_take(courier, job))
			break;
	}
}

static void
courier_finished(struct smtp_client *client, struct handover *handover)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;
	struct handover_place how = courier_place(courier);

	delivery_conclude(dispatch->delivery, &handover, &how);
	if (client->state != CLIENT_CLOSED)
		courier_depth_reckon(courier); /* unless it rests now */
	courier_rest(courier);
	dispatch_work(dispatch);
}

static void
courier_ended(struct smtp_client *client, bool was_greeted, struct span why)
{
	struct courier *courier = courier_of(client);
	struct dispatch *dispatch = courier->dispatch;

	if (was_greeted) {
		struct job *job = job_load_cancel(&courier->load);

		if (job != NULL)
			schedule_ready(&dispatch->schedule, job);
		if (why.len > 0)
			log_info(dispatch->delivery->environment.log,
				 "route " SPAN_FMT ": %s: " SPAN_FMT,
				 SPAN_ARG(dispatch->settings->name), courier->hop->text,
				 SPAN_ARG(why));
		courier_retire(courier);
	} else {
		courier->address_at++;
		(void)courier_connect(courier, why);
	}
	dispatch_work(dispatch);
}

const struct smtp_client_events courier_events = {
	.ready = courier_is_ready,
	.has_room = courier_has_room,
	.finished = courier_finished,
	.ended = courier_ended,
};
