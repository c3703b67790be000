/* SPDX-License-Identifier: ISC */
/* Messages and their jobs; see queued.h. */
#include "delivery/queued.h"

#include "base/memory.h"
#include "delivery/state.h"

#include <assert.h>
#include <stdlib.h>

struct queued *
queued_new(struct spool_message *message, size_t recipient_count)
{
	assert(recipient_count <= UINT32_MAX);

	struct queued *queued = memory_new(sizeof(*queued) + recipient_count);

	queued->message = message;
	list_init(&queued->link);
	queued->recipient_count = (uint32_t)recipient_count;
	memset(queued->recipients, RECIPIENT_WAITING, recipient_count);
	return queued;
}

void
queued_free(struct queued **queued)
{
	if (*queued == NULL)
		return;
	for (struct job *job = (*queued)->first.next; job != NULL;) {
		struct job *next = job->next;

		assert(job->place == JOB_NOWHERE);
		free(job);
		job = next;
	}
	assert((*queued)->first.place == JOB_NOWHERE);
	list_remove(&(*queued)->link);
	free((*queued)->envelope);
	free(*queued);
	*queued = NULL;
}

struct job *
queued_job(struct queued *queued, size_t route)
{
	for (struct job *job = &queued->first; job != NULL && job->queued != NULL;
	     job = job->next) {
		if (job->route == route)
			return job;
	}
	return queued_job_add(queued, route, 0);
}

struct job *
queued_job_add(struct queued *queued, size_t route, uint32_t first)
{
	struct job *job = &queued->first;

	assert(route <= UINT16_MAX);
	if (job->queued != NULL) {
		while (job->next != NULL)
			job = job->next;
		job->next = memory_new(sizeof(*job->next));
		job = job->next;
	}
	job->queued = queued;
	job->route = (uint16_t)route;
	job->first = first;
	return job;
}

bool
queued_is_over(const struct queued *queued)
{
	for (const struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place != JOB_NOWHERE)
			return false;
	}
	return true;
}

bool
queued_is_held(const struct queued *queued)
{
	return (queued->flags & STATE_HELD) != 0;
}

bool
queued_is_active(const struct queued *queued)
{
	if (queued->bounce != NULL)
		return true;
	for (const struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_ACTIVE)
			return true;
	}
	return false;
}

bool
message_is_done(const struct queued *queued)
{
	for (size_t i = 0; i < queued->recipient_count; i++) {
		if (queued->recipients[i] != RECIPIENT_DELIVERED &&
		    queued->recipients[i] != RECIPIENT_FAILED)
			return false;
	}
	return queued->bounce == NULL;
}

static struct span
text_move(struct span text, char **at)
{
	struct span copy = { .ptr = *at, .len = text.len };

	if (text.len > 0)
		memcpy(*at, text.ptr, text.len);
	*at += text.len;
	return copy;
}

static size_t
envelope_text_octets(const struct envelope *envelope)
{
	size_t octets = envelope->id.len + envelope->sender.len + envelope->envid.len +
			envelope->client.len + envelope->login.len + envelope->connector.len;

	for (size_t i = 0; i < envelope->recipient_count; i++) {
		const struct envelope_recipient *recipient = &envelope->recipients[i];

		octets += recipient->address.len + recipient->orcpt.len +
			  recipient->route.len + recipient->grant.len;
	}
	return octets;
}

struct envelope *
envelope_copy(const struct envelope *envelope, size_t *octets)
{
	size_t count = envelope->recipient_count;
	size_t fixed = sizeof(struct envelope) + count * sizeof(struct envelope_recipient);

	*octets = fixed + envelope_text_octets(envelope);

	struct envelope *copy = memory_new(*octets);
	char *at = (char *)copy + fixed;

	*copy = *envelope;
	copy->recipients = (struct envelope_recipient *)(void *)(copy + 1);
	copy->id = text_move(envelope->id, &at);
	copy->sender = text_move(envelope->sender, &at);
	copy->envid = text_move(envelope->envid, &at);
	copy->client = text_move(envelope->client, &at);
	copy->login = text_move(envelope->login, &at);
	copy->connector = text_move(envelope->connector, &at);
	for (size_t i = 0; i < count; i++) {
		const struct envelope_recipient *from = &envelope->recipients[i];
		struct envelope_recipient *to = &copy->recipients[i];

		*to = *from;
		to->address = text_move(from->address, &at);
		to->orcpt = text_move(from->orcpt, &at);
		to->route = text_move(from->route, &at);
		to->grant = text_move(from->grant, &at);
	}
	return copy;
}
