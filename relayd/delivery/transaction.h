/* SPDX-License-Identifier: ISC */
/*
 * One hand-over of a message to some of its recipients, by SMTP or into a Maildir, and what
 * became of each. Whoever carries it out sets the results; delivery.c draws the conclusions.
 */
#ifndef RELAYD_DELIVERY_TRANSACTION_H
#define RELAYD_DELIVERY_TRANSACTION_H

#include "delivery/queued.h"

enum recipient_result {
	RESULT_NONE,    /* not known yet */
	RESULT_UNTRIED, /* it did not come to that: may be tried again at once */
	RESULT_DELIVERED,
	RESULT_DEFERRED,
	RESULT_FAILED,
};

struct smtp_transaction_recipient {
	uint32_t index; /* in the envelope */
	bool is_accepted; /* RCPT was answered 2xx */
	enum recipient_result result;
	struct span reply; /* what the next hop said, or what happened instead */
};

struct transaction {
	struct job *job;
	struct spool_message *message;
	const struct envelope *envelope; /* the job's message's */
	struct arena arena;		 /* of the replies */
	bool was_cut;			 /* the connection broke in the middle */
	size_t recipient_count;
	struct smtp_transaction_recipient recipients[];
};

/* For the recipients of the job with these indexes in the envelope. */
struct transaction *smtp_transaction_new(struct job *job, const uint32_t *indexes, size_t count);
void smtp_transaction_free(struct transaction **transaction);

static inline const struct envelope_recipient *
smtp_transaction_recipient_get(const struct transaction *transaction, size_t at)
{
	return &transaction->envelope->recipients[transaction->recipients[at].index];
}

/* Give everyone who has no result yet this one. The reply is copied. */
void smtp_transaction_settle(struct transaction *transaction, enum recipient_result result,
			struct span reply);

/* Give one recipient a result. The reply is copied. */
void smtp_transaction_settle_one(struct transaction *transaction, size_t at,
			    enum recipient_result result, struct span reply);

/* How many recipients the next hop accepted. */
size_t smtp_transaction_accepted_count(const struct transaction *transaction);

#endif
