/* SPDX-License-Identifier: ISC */
/* Handovers; see handover.h. */
#include "delivery/handover.h"

#include "base/memory.h"

#include <stdlib.h>

#define ARENA_OCTETS 512

struct handover *
handover_new(struct job *job, const uint32_t *indexes, size_t count)
{
	struct handover *handover =
	    memory_new(sizeof(*handover) + count * sizeof(handover->recipients[0]));

	handover->job = job;
	handover->message = job->queued->message;
	handover->envelope = job->queued->envelope;
	handover->sender = handover->envelope->sender;
	arena_init(&handover->arena, ARENA_OCTETS);
	handover->recipient_count = count;
	for (size_t i = 0; i < count; i++)
		handover->recipients[i].index = indexes[i];
	return handover;
}

void
handover_free(struct handover **handover)
{
	if (*handover == NULL)
		return;
	arena_reset(&(*handover)->arena);
	free(*handover);
	*handover = NULL;
}

void
handover_settle(struct handover *handover, enum recipient_result result,
		   struct span reply)
{
	struct span copy = arena_copy(&handover->arena, reply);

	for (size_t i = 0; i < handover->recipient_count; i++) {
		struct handover_recipient *recipient = &handover->recipients[i];

		if (recipient->result != RESULT_NONE)
			continue;
		recipient->result = result;
		recipient->reply = copy;
	}
}

void
handover_settle_one(struct handover *handover, size_t at,
		       enum recipient_result result, struct span reply)
{
	handover->recipients[at].result = result;
	handover->recipients[at].reply = arena_copy(&handover->arena, reply);
}

size_t
handover_accepted_count(const struct handover *handover)
{
	size_t count = 0;

	for (size_t i = 0; i < handover->recipient_count; i++)
		count += handover->recipients[i].is_accepted;
	return count;
}

bool
handover_all(const struct handover *handover, enum recipient_result result)
{
	for (size_t i = 0; i < handover->recipient_count; i++) {
		if (handover->recipients[i].result != result)
			return false;
	}
	return true;
}

bool
handover_delivered_any(const struct handover *handover)
{
	for (size_t i = 0; i < handover->recipient_count; i++) {
		if (handover->recipients[i].result == RESULT_DELIVERED)
			return true;
	}
	return false;
}

struct span
handover_trouble(const struct handover *handover)
{
	for (size_t i = handover->recipient_count; i-- > 0;) {
		enum recipient_result result = handover->recipients[i].result;

		if (result == RESULT_DEFERRED || result == RESULT_FAILED)
			return handover->recipients[i].reply;
	}
	return (struct span){ NULL, 0 };
}
