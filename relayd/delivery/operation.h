/* SPDX-License-Identifier: ISC */
/*
 * What an operator asks of the queue: to count the messages that a selection means, to try
 * them at once, to hold them, to let them go, to remove them. A worker carries operations out
 * one after the other, some hundred messages a turn of the loop, however many there are;
 * envelopes that are needed and not in memory are read meanwhile. Each message that something
 * was done to has its audit record.
 */
#ifndef RELAYD_DELIVERY_OPERATION_H
#define RELAYD_DELIVERY_OPERATION_H

#include "delivery/queued.h"
#include "delivery/selection.h"

/* Messages. */
struct queue_tally {
	uint64_t matched;
	uint64_t done;	    /* something was done to it; of count: all of them */
	uint64_t active;    /* is being delivered at this moment: not removed, but held after it */
	uint64_t unchanged; /* there was nothing to do */
	uint64_t failed;    /* its envelope cannot be read, its state cannot be kept */
};

struct operation {
	enum queue_action action;
	struct selection *selection; /* the operation's, once it began */
	uint32_t uid;		     /* the operator's */
	struct span user;	     /* borrowed until the end */
	/* From a later turn, once; the operation is the callee's again, selection freed. */
	void (*done)(struct operation *operation);
	struct queue_tally tally;
	bool is_broken; /* out: the audit trail cannot be written: nothing more was done */

	/* private */
	struct delivery *delivery;
	struct list link;   /* in the delivery's operations */
	struct list cursor; /* in the delivery's messages: those behind it come next */
	struct list end;    /* there, too: those behind it came later */
	struct list looks;  /* envelopes that are being read */
	size_t look_count;
	struct loop_work work;
	bool *is_touched; /* for each route */
	bool has_begun;
};

/* Zeroed and filled in down to done; kept until then. */
void operation_begin(struct operation *operation, struct delivery *delivery);

/* ---- For delivery ---- */

/* Break off all of them; done is called for none. */
void operations_halt(struct delivery *delivery);

/* The message is about to go: nobody looks at it any more. */
void operations_forget(struct delivery *delivery, struct queued *queued);

#endif
