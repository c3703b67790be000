/* SPDX-License-Identifier: ISC */
/* Results of a hand-over; see transaction.h. */
#include "delivery/transaction.h"

#include "base/memory.h"

#include <stdlib.h>

#define ARENA_OCTETS 512

struct transaction *
smtp_transaction_new(struct job *job, const uint32_t *indexes, size_t count)
{
	struct transaction *transaction =
	    memory_new(sizeof(*transaction) + count * sizeof(transaction->recipients[0]));

	transaction->job = job;
	transaction->message = job->queued->message;
	transaction->envelope = job->queued->envelope;
	arena_init(&transaction->arena, ARENA_OCTETS);
	transaction->recipient_count = count;
	for (size_t i = 0; i < count; i++)
		transaction->recipients[i].index = indexes[i];
	return transaction;
}

void
smtp_transaction_free(struct transaction **transaction)
{
	if (*transaction == NULL)
		return;
	arena_reset(&(*transaction)->arena);
	free(*transaction);
	*transaction = NULL;
}

void
smtp_transaction_settle(struct transaction *transaction, enum recipient_result result,
		   struct span reply)
{
	struct span copy = arena_copy(&transaction->arena, reply);

	for (size_t i = 0; i < transaction->recipient_count; i++) {
		struct smtp_transaction_recipient *recipient = &transaction->recipients[i];

		if (recipient->result != RESULT_NONE)
			continue;
		recipient->result = result;
		recipient->reply = copy;
	}
}

void
smtp_transaction_settle_one(struct transaction *transaction, size_t at,
		       enum recipient_result result, struct span reply)
{
	transaction->recipients[at].result = result;
	transaction->recipients[at].reply = arena_copy(&transaction->arena, reply);
}

size_t
smtp_transaction_accepted_count(const struct transaction *transaction)
{
	size_t count = 0;

	for (size_t i = 0; i < transaction->recipient_count; i++)
		count += transaction->recipients[i].is_accepted;
	return count;
}
