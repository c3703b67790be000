/* SPDX-License-Identifier: ISC */
/*
 * Cut-through: a message is handed to a next hop while its client waits, from the draft's
 * memory, before anything of it is stored. It is a handover like any other, only that its
 * queued message has no spool message yet, and its job is in no place of the schedule.
 *
 * What the next hop did not take or refuse for good in time goes on in the spool: the results
 * so far, or the connection on which the reply is still due, are then those of the message
 * that was stored, as if it had been there before. docs/delivery.md has the whole of it.
 */
#ifndef RELAYD_DELIVERY_PASSAGE_H
#define RELAYD_DELIVERY_PASSAGE_H

#include "delivery/delivery_private.h"

struct courier;

/* Give those that wait to connections that are free, open more, or send them to the spool. */
void passages_work(struct dispatch *dispatch, int64_t now_ms);

/* All that wait go to the spool. */
void passages_return(struct dispatch *dispatch);

/* The handover, or NULL: this connection cannot carry it, and it was sent to the spool. */
struct handover *passage_board(struct passage *passage, struct courier *courier);

/* The courier's handover is over; takes it. */
void passage_arrive(struct passage *passage, struct handover *handover,
		    const struct handover_place *how);

#endif
