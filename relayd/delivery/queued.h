/* SPDX-License-Identifier: ISC */
/*
 * A message in delivery's hands, and its jobs: one for each route that some recipient of it
 * takes, nearly always one. A message that waits costs this struct, two heap places of 16
 * octets (scheduler.h) and the spool's handle; its envelope and body are on disk.
 */
#ifndef RELAYD_DELIVERY_QUEUED_H
#define RELAYD_DELIVERY_QUEUED_H

#include "delivery/delivery.h"

enum job_place {
	JOB_NOWHERE, /* new, or at its end */
	JOB_READY,   /* may go now */
	JOB_WAITING, /* for its time */
	JOB_HELD,    /* by an operator, until it is released */
	JOB_ACTIVE,  /* taken */
	JOB_DEAD,    /* nobody left to deliver to, someone is dead */
};

struct dispatch;

struct job {
	struct queued *queued;
	struct job *next;  /* of the same message */
	uint32_t index[2]; /* in the heap of its place, and in the heap by age */
	uint16_t route;
	uint16_t tries;
	unsigned char place; /* enum job_place */
	bool has_dead;	     /* counted so in the route's figures */
	bool was_cut;	     /* waits because a connection broke */
	bool was_ambiguous;  /* in this round a next hop may have taken it unseen */
	uint16_t hops_tried; /* in this round, a bit for each next hop */
	/*
	 * On a route to mail exchangers a job is for the recipients of one domain: that of the
	 * envelope's recipient number `first`. While it is ready or active there it belongs to
	 * the dispatch of that domain, else to the route's (NULL).
	 */
	uint32_t first;
	struct dispatch *destination;
};

/*
 * Beside enum recipient_state, in memory only: deferred in the try that is under way; failed,
 * and the report of it is not durable yet (on disk it is waiting still).
 */
#define RECIPIENT_DEFERRED 3
#define RECIPIENT_UNTOLD   6

struct bounce; /* bounce.c */

struct queued {
	struct spool_message *message;
	struct list link;	   /* in the delivery's messages */
	uint64_t id;		   /* id_pack of the envelope's id */
	struct envelope *envelope; /* NULL: to be read when it is needed */
	uint32_t envelope_octets;  /* of memory */
	uint32_t recipient_count;
	bool has_state;	     /* the state area has the layout of state.h */
	bool is_entering;    /* delivery_accepted is at it: it may be over, but not gone */
	bool is_looked_at;   /* an operation reads its envelope (operation.h) */
	unsigned char flags; /* STATE_HELD ..., and what else stood there */
	struct bounce *bounce; /* what is to be told of it; nearly always NULL */
	struct job first;
	unsigned char recipients[]; /* enum recipient_state, or the two above */
};

/* A message with recipient_count waiting recipients and no job yet (first.queued is NULL). */
struct queued *queued_new(struct spool_message *message, size_t recipient_count);

/* Free all but the spool's message. The jobs must be in no place. */
void queued_free(struct queued **queued);

/* The job for a route, made if need be. */
struct job *queued_job(struct queued *queued, size_t route);

/* One more job, for the domain of a recipient. */
struct job *queued_job_add(struct queued *queued, size_t route, uint32_t first);

/* Has nothing to be done for it any more? */
bool queued_is_over(const struct queued *queued);

/* Does an operator hold it? */
bool queued_is_held(const struct queued *queued);

/* Is someone at work on it, be it to report what became of it? */
bool queued_is_active(const struct queued *queued);

/* Is there nobody left to deliver to, to tell, or to keep it for? */
bool message_is_done(const struct queued *queued);

/* A copy in one block of memory, ended with free(); *octets is its size. */
struct envelope *envelope_copy(const struct envelope *envelope, size_t *octets)
    __attribute__((returns_nonnull));

#endif
