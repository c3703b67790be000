/* SPDX-License-Identifier: ISC */
/*
 * One hand-over of a message to some of its recipients, by SMTP or into a Maildir, and what
 * became of each. Whoever carries it out sets the results; delivery.c draws the conclusions.
 */
#ifndef RELAYD_DELIVERY_HANDOVER_H
#define RELAYD_DELIVERY_HANDOVER_H

#include "delivery/queued.h"
#include "delivery/rewrite.h"

enum recipient_result {
	RESULT_NONE,    /* not known yet */
	RESULT_UNTRIED, /* it did not come to that: may be tried again at once */
	RESULT_DELIVERED,
	RESULT_DEFERRED,
	RESULT_FAILED,
};

struct handover_recipient {
	uint32_t index; /* in the envelope */
	bool is_accepted; /* RCPT was answered 2xx */
	enum recipient_result result;
	struct span reply; /* what the next hop said, or what happened instead */
};

struct handover {
	struct job *job;
	struct spool_message *message;	 /* NULL: it is a draft still */
	const struct spool_draft *draft; /* whose client waits, or NULL; and then */
	struct passage *passage;	 /* who waits for the end, or NULL */
	const struct envelope *envelope; /* the job's message's */
	struct rewriting rewriting;	 /* of its sender, the same for all these recipients */
	struct span sender;		 /* reverse-path: the envelope's, or another */
	struct arena arena;		 /* of the replies */
	bool is_notify_passed; /* the next hop offers DSN: it reports success itself */
	bool was_cut;			 /* the connection broke in the middle */
	bool is_ambiguous;		 /* and that behind the message: it may have been taken */
	bool is_throttled;		 /* the next hop said that we are too fast for it */
	size_t recipient_count;
	struct handover_recipient recipients[];
};

/* For the recipients of the job with these indexes in the envelope. */
struct handover *handover_new(struct job *job, const uint32_t *indexes, size_t count);
void handover_free(struct handover **handover);

static inline const struct envelope_recipient *
handover_recipient_get(const struct handover *handover, size_t at)
{
	return &handover->envelope->recipients[handover->recipients[at].index];
}

/* Give everyone who has no result yet this one. The reply is copied. */
void handover_settle(struct handover *handover, enum recipient_result result,
			struct span reply);

/* Give one recipient a result. The reply is copied. */
void handover_settle_one(struct handover *handover, size_t at,
			    enum recipient_result result, struct span reply);

/* Octets of the body. */
static inline uint64_t
handover_octets(const struct handover *handover)
{
	return handover->draft != NULL ? spool_draft_octets(handover->draft)
				       : spool_message_info(handover->message)->body_octets;
}

/* Has every recipient this result? */
bool handover_all(const struct handover *handover, enum recipient_result result);

/* Was somebody delivered to? */
bool handover_delivered_any(const struct handover *handover);

/* The last reply of someone who was not delivered to; empty: there is none. */
struct span handover_trouble(const struct handover *handover);

/* How many recipients the next hop accepted. */
size_t handover_accepted_count(const struct handover *handover);

#endif
