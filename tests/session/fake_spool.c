/* SPDX-License-Identifier: ISC */
/* A spool in memory; see fake_spool.h. */
#include "session/fake_spool.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define MESSAGE_OCTETS_MAX (64U << 20)

struct spool_draft {
	struct spool *spool;
	struct buffer body;
	size_t since_wait;
	void (*resume)(void *context);
	void *resume_context;
	struct loop_call resuming;
	bool is_dropped; /* while resuming is posted */
};

struct commit {
	struct loop_call call;
	struct list link;
	struct spool *spool;
	struct spool_message *message;
	enum spool_status status;
	spool_committed *done;
	void *context;
};

void
fake_spool_init(struct spool *spool, struct loop *loop)
{
	*spool = (struct spool){ .loop = loop };
	list_init(&spool->commits);
}

bool
spool_has_room(const struct spool *spool, uint64_t octets)
{
	(void)octets;
	return !spool->is_full;
}

static void
draft_resume(struct loop_call *call)
{
	struct spool_draft *draft = LIST_OWNER(call, struct spool_draft, resuming);
	void (*resume)(void *) = draft->resume;

	if (draft->is_dropped) {
		free(draft);
		return;
	}
	draft->resume = NULL;
	resume(draft->resume_context);
}

struct spool_draft *
spool_draft_new(struct spool *spool)
{
	struct spool_draft *draft = memory_new(sizeof(*draft));

	draft->spool = spool;
	draft->resuming.run = draft_resume;
	buffer_init(&draft->body, MESSAGE_OCTETS_MAX);
	spool->drafts++;
	return draft;
}

bool
spool_draft_append(struct spool_draft *draft, struct span bytes,
		   void (*resume)(void *context), void *context)
{
	bool fits = buffer_append(&draft->body, bytes);

	assert(fits);
	(void)fits;
	assert(draft->resume == NULL); /* told to wait, it must wait */
	draft->since_wait += bytes.len;
	if (draft->spool->waits_each == 0 || draft->since_wait < draft->spool->waits_each)
		return true;
	draft->since_wait = 0;
	draft->resume = resume;
	draft->resume_context = context;
	draft->spool->waits++;
	loop_post(draft->spool->loop, &draft->resuming);
	return false;
}

uint64_t
spool_draft_octets(const struct spool_draft *draft)
{
	return draft->body.len;
}

static void
draft_free(struct spool_draft **draft)
{
	struct spool_draft *d = *draft;

	*draft = NULL;
	d->spool->drafts--;
	buffer_reset(&d->body);
	if (d->resuming.is_posted)
		d->is_dropped = true;
	else
		free(d);
}

void
spool_draft_drop(struct spool_draft **draft)
{
	if (*draft != NULL)
		draft_free(draft);
}

static void
message_free(struct spool_message *message)
{
	buffer_reset(&message->body);
	buffer_reset(&message->envelope);
	buffer_reset(&message->state);
	free(message);
}

static void
commit_run(struct loop_call *call)
{
	struct commit *commit = LIST_OWNER(call, struct commit, call);
	struct spool *spool = commit->spool;
	struct spool_message *message = commit->message;

	spool->commits_waiting--;
	if (commit->status != SPOOL_OK) {
		message_free(message);
		message = NULL;
	} else {
		assert(spool->message_count < ARRAY_LEN(spool->messages));
		spool->messages[spool->message_count++] = message;
	}
	commit->done(commit->context, commit->status, message);
	free(commit);
}

void
spool_draft_commit(struct spool_draft **draft, struct span envelope, struct span state,
		   spool_committed *done, void *context)
{
	struct spool *spool = (*draft)->spool;
	struct spool_message *message = memory_new(sizeof(*message));
	struct commit *commit = memory_new(sizeof(*commit));

	/* as in the real one, a draft that is committed is not waited for any more */
	message->spool = spool;
	message->body = (*draft)->body;
	buffer_init(&(*draft)->body, 0);
	buffer_init(&message->envelope, MESSAGE_OCTETS_MAX);
	buffer_init(&message->state, SPOOL_STATE_MAX);
	(void)buffer_append(&message->envelope, envelope);
	(void)buffer_append(&message->state, state);
	draft_free(draft);
	*commit = (struct commit){
		.call.run = commit_run,
		.spool = spool,
		.message = message,
		.status = spool->status,
		.done = done,
		.context = context,
	};
	list_init(&commit->link);
	spool->commits_waiting++;
	if (spool->holds_commits)
		list_append(&spool->commits, &commit->link);
	else
		loop_post(spool->loop, &commit->call);
}

void
fake_spool_release(struct spool *spool)
{
	struct list *link;

	spool->holds_commits = false;
	while ((link = list_take_first(&spool->commits)) != NULL)
		loop_post(spool->loop, &LIST_OWNER(link, struct commit, link)->call);
}

void
spool_remove(struct spool_message **message)
{
	(*message)->is_removed = true;
	*message = NULL;
}

void
fake_spool_reset(struct spool *spool)
{
	for (size_t i = 0; i < spool->message_count; i++)
		message_free(spool->messages[i]);
	spool->message_count = 0;
}
