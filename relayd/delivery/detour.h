/* SPDX-License-Identifier: ISC */
/*
 * Detours: a message that one next hop put off (4xx, a connection that broke before the
 * message was sent) is offered to the route's other next hops at once, in order, before it has
 * to wait. Its job stays active meanwhile. When every next hop that can be reached has put it
 * off, the round is over, and that makes one try.
 */
#ifndef RELAYD_DELIVERY_DETOUR_H
#define RELAYD_DELIVERY_DETOUR_H

#include "delivery/dispatch.h"

/* Is there a next hop that the job was not offered to in this round, and that may take it? */
bool detour_is_possible(const struct dispatch *dispatch, const struct job *job);

/* Send the job, which is active, on. */
void detour_begin(struct dispatch *dispatch, struct job *job);

/* Go on with what waits for a connection to another next hop. */
void detours_work(struct dispatch *dispatch, int64_t now_ms);

/* Before the end: they are ready like all others. */
void detours_return(struct dispatch *dispatch);

/* Forget them; the jobs stay active. */
void detours_drop(struct dispatch *dispatch);

#endif
