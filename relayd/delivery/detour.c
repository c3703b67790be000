/* SPDX-License-Identifier: ISC */
/* From one next hop to another; see detour.h. */
#include "delivery/detour.h"

#include "base/memory.h"
#include "delivery/courier.h"
#include "delivery/delivery_private.h"

#include <stdlib.h>

#define DETOURS_MAX 1000 /* of a route; what comes on top of them waits like any other */

struct detour {
	struct list link; /* in the dispatch's detours */
	struct job *job;
};

static void
detour_free(struct dispatch *dispatch, struct detour *detour)
{
	list_remove(&detour->link);
	dispatch->detour_count--;
	free(detour);
}

static bool
is_tried(const struct job *job, size_t hop)
{
	return (job->hops_tried & 1U << hop) != 0;
}

static bool
hop_may_take(const struct next_hop *hop, int64_t now_ms)
{
	return !next_hop_is_throttled(hop, now_ms) &&
	       (hop->connected > 0 || hop->connecting > 0 ||
		next_hop_may_connect(hop, now_ms));
}

static bool
is_possible(const struct dispatch *dispatch, const struct job *job, int64_t now_ms)
{
	for (size_t i = 0; i < dispatch->hop_count; i++) {
		if (!is_tried(job, i) && hop_may_take(&dispatch->hops[i], now_ms))
			return true;
	}
	return false;
}

bool
detour_is_possible(const struct dispatch *dispatch, const struct job *job)
{
	return dispatch->detour_count < DETOURS_MAX && !dispatch->delivery->is_draining &&
	       is_possible(dispatch, job, loop_now_ms(dispatch->delivery->environment.loop));
}

void
detour_begin(struct dispatch *dispatch, struct job *job)
{
	struct detour *detour = memory_new(sizeof(*detour));

	detour->job = job;
	list_init(&detour->link);
	list_append(&dispatch->detours, &detour->link);
	dispatch->detour_count++;
}

/* A free connection to a next hop that the job was not offered to yet. */
static struct courier *
courier_find(const struct dispatch *dispatch, const struct job *job, int64_t now_ms)
{
	for (struct list *l = dispatch->idle.next; l != &dispatch->idle; l = l->next) {
		struct courier *courier = LIST_OWNER(l, struct courier, idle);

		if (smtp_client_is_idle(&courier->client) &&
		    !is_tried(job, (size_t)(courier->hop - dispatch->hops)) &&
		    !next_hop_is_throttled(courier->hop, now_ms))
			return courier;
	}
	return NULL;
}

/* One connection at a time to each of them, and no more than there are detours. */
static void
connection_want(struct dispatch *dispatch, const struct job *job, int64_t now_ms)
{
	for (size_t i = 0; i < dispatch->hop_count; i++) {
		struct next_hop *hop = &dispatch->hops[i];

		if (is_tried(job, i) || !hop_may_take(hop, now_ms))
			continue;
		if (hop->connecting == 0 && hop->connected < dispatch->detour_count &&
		    next_hop_may_connect(hop, now_ms) &&
		    !dispatch_courier_open(dispatch, hop) && hop->connected == 0)
			dispatch->needs_place = true;
		return;
	}
}

void
detours_work(struct dispatch *dispatch, int64_t now_ms)
{
	struct delivery *delivery = dispatch->delivery;
	struct list *next;

	for (struct list *l = dispatch->detours.next; l != &dispatch->detours; l = next) {
		struct detour *detour = LIST_OWNER(l, struct detour, link);
		struct job *job = detour->job;
		struct courier *courier = courier_find(dispatch, job, now_ms);

		next = l->next;
		if (courier != NULL) {
			if (!dispatch_message_allow(dispatch))
				return;
			detour_free(dispatch, detour);
			(void)courier_take(courier, job);
		} else if (is_possible(dispatch, job, now_ms)) {
			connection_want(dispatch, job, now_ms);
		} else {
			detour_free(dispatch, detour);
			delivery_put_off(delivery, job, span_of(dispatch->why));
		}
	}
}

void
detours_return(struct dispatch *dispatch)
{
	while (!list_is_empty(&dispatch->detours)) {
		struct detour *detour =
		    LIST_OWNER(dispatch->detours.next, struct detour, link);

		schedule_ready(&dispatch->schedule, detour->job);
		detour_free(dispatch, detour);
	}
}

void
detours_drop(struct dispatch *dispatch)
{
	while (!list_is_empty(&dispatch->detours))
		detour_free(dispatch,
			    LIST_OWNER(dispatch->detours.next, struct detour, link));
}
