/* SPDX-License-Identifier: ISC */
/* Who is told what became of a message; see bounce.h. */
#include "delivery/bounce.h"

#include "base/memory.h"
#include "delivery/delivery_private.h"
#include "delivery/rates.h"
#include "delivery/state.h"

#include <assert.h>
#include <stdlib.h>

#define ACTIVE_MAX	   8   /* reports that are made at once */
#define FULL_COUNT	   256 /* reports that wait: from here on nothing more is tried */
#define STUCK_COUNT	   (2 * FULL_COUNT)
#define PAUSE_MS	   5000
#define HEADER_OCTETS_MAX  (64U << 10) /* of the original's header that are returned */
#define WHOLE_OCTETS_MAX   (64U << 10) /* a message up to this size is returned whole */
#define ASKED_OCTETS_MAX   (1U << 20)  /* with RET=FULL up to this */
#define SWEEP_STEP	   2000	       /* messages looked at in one turn */
#define SWEEP_PENDING_MAX  16
#define SWEEP_STEP_MS	   20
#define SWEEP_EVERY_MS_MAX 60000
#define SWEEP_EVERY_MS_MIN 50

enum bounce_state {
	BOUNCE_COLLECTING, /* someone is at work on the message */
	BOUNCE_LOADING,	   /* its envelope is read */
	BOUNCE_WAITING,
	BOUNCE_READING,
	BOUNCE_COMMITTING,
};

/* Something that a reader is to be told. The texts are the bounce's arena's. */
struct outcome {
	uint32_t index; /* of the recipient */
	enum report_action action;
	bool is_expired;
	bool is_told;
	struct span next_hop;
	struct span reply;
	int64_t wall_ms;
};

struct bounce {
	struct list link;
	struct delivery *delivery; /* NULL: gone; the commit is still under way */
	struct queued *queued;
	struct envelope *envelope; /* a copy of its own; NULL while it is loaded */
	enum bounce_state state;
	struct arena arena;
	struct outcome *outcomes;
	size_t count;
	size_t room;
	size_t taken; /* of them, those that the report under way is about */
	struct spool_read *read;
	struct body_source body;
	struct buffer original;
	bool is_whole;
	/* the report being committed */
	char id[ID_SIZE];
	struct buffer report_envelope;
	uint32_t leader; /* the first recipient that it tells of */
	struct span to;
	enum report_reader reader;
};

/* ---- Who is told ---- */

struct reader {
	enum report_reader kind;
	struct span address; /* empty: nobody */
};

static bool
is_mailbox(struct span text)
{
	struct address address;

	return mailbox_parse(text, &address) == PARSE_OK;
}

static const struct grant_source *
grant_of(const struct delivery *delivery, struct span name, size_t *index)
{
	const struct policy *policy = delivery->environment.policy;

	*index = policy_grant_find(policy, name);
	return *index == NO_GRANT ? NULL : policy_grant(policy, *index);
}

/*
 * May the sender that the client gave be told? It may when something proves that the client
 * speaks for it: a login or certificate, the sender's own name in the grant, or its domain in
 * the grant if that is one of ours. "*" proves nothing.
 */
static bool
sender_is_trusted(const struct delivery *delivery, const struct envelope *envelope,
		  const struct grant_source *grant, size_t index,
		  const struct address *sender)
{
	const struct policy *policy = delivery->environment.policy;

	if (envelope->login.len > 0)
		return true;
	if (grant == NULL)
		return false;
	if (grant->users.count > 0 || grant->certificates.count > 0)
		return true;
	switch (policy_sender_hold(policy, index, sender)) {
	case SENDER_HELD_BY_NAME:
		return true;
	case SENDER_HELD_BY_DOMAIN:
		return !policy_has_accepted_domains(policy) ||
		       policy_is_accepted_domain(policy, sender->domain);
	case SENDER_HELD_BY_ANY:
	case SENDER_NOT_HELD:
		break;
	}
	return false;
}

/* Who answers for a sender, or for what claims to be one; nobody for the null sender. */
static struct reader
reader_of_sender(const struct delivery *delivery, const struct envelope *envelope, size_t i)
{
	static const struct reader nobody;
	struct span name = envelope->recipients[i].grant;
	struct rewriting rewriting = recipient_rewriting(delivery, envelope, i);
	struct address sender;
	size_t index;
	const struct grant_source *grant = grant_of(delivery, name, &index);

	if (mailbox_parse(envelope->sender, &sender) != PARSE_OK)
		return nobody;
	if (rewriting.to.len > 0)
		return (struct reader){ REPORT_TO_SENDER, rewriting.to };
	if (sender_is_trusted(delivery, envelope, grant, index, &sender))
		return (struct reader){ REPORT_TO_SENDER, envelope->sender };
	if (grant != NULL && is_mailbox(grant->bounce_to))
		return (struct reader){ REPORT_TO_OWNER, grant->bounce_to };
	if (grant != NULL && is_mailbox(grant->owner))
		return (struct reader){ REPORT_TO_OWNER, grant->owner };
	if (policy_is_accepted_domain(delivery->environment.policy, sender.domain))
		return (struct reader){ REPORT_TO_SENDER, envelope->sender };
	return nobody;
}

/* A report to the postmaster that failed is not reported to the postmaster. */
static bool
is_to_postmaster(const struct delivery *delivery, const struct envelope *envelope, size_t i)
{
	return envelope->sender.len == 0 &&
	       span_equal_fold(envelope->recipients[i].address,
			       delivery->environment.queue->bounce_from);
}

static struct reader
reader_find(const struct delivery *delivery, const struct envelope *envelope, size_t i,
	    enum report_action action)
{
	static const struct reader nobody;
	const struct queue_settings *queue = delivery->environment.queue;
	struct reader reader = reader_of_sender(delivery, envelope, i);
	bool is_success = action == REPORT_DELIVERED || action == REPORT_RELAYED;

	if (is_success)
		return reader.kind == REPORT_TO_SENDER ? reader : nobody;
	if (reader.address.len > 0 || action == REPORT_DELAYED ||
	    queue->undeliverable != UNDELIVERABLE_POSTMASTER ||
	    is_to_postmaster(delivery, envelope, i))
		return reader;
	return (struct reader){ REPORT_TO_POSTMASTER, queue->bounce_from };
}

/* RFC 3461 s.4.1; where the client said nothing it wants to know of trouble. */
static bool
is_wanted(const struct envelope_recipient *recipient, enum report_action action)
{
	static const uint32_t flags[] = {
		[REPORT_FAILED] = NOTIFY_FAILURE,
		[REPORT_DELAYED] = NOTIFY_DELAY,
		[REPORT_DELIVERED] = NOTIFY_SUCCESS,
		[REPORT_RELAYED] = NOTIFY_SUCCESS,
	};

	if (recipient->notify == 0)
		return action == REPORT_FAILED || action == REPORT_DELAYED;
	return (recipient->notify & flags[action]) != 0;
}

/* ---- The trail ---- */

static void
bounce_record(const struct delivery *delivery, const struct envelope *envelope, size_t i,
	      const char *result, const char *report, struct span report_to)
{
	char id[ID_SIZE];

	audit_bounce(delivery->environment.audit,
		     &(struct audit_bounce){
			 .id = id_text(envelope, id),
			 .wall_ms = loop_wall_ms(delivery->environment.loop),
			 .from = envelope->sender,
			 .to = envelope->recipients[i].address,
			 .result = result,
			 .report = report,
			 .report_to = report_to,
		     });
}

/* ---- Outcomes ---- */

static struct bounce *
bounce_of(struct delivery *delivery, struct queued *queued)
{
	struct bounce *bounce = queued->bounce;

	if (bounce == NULL) {
		bounce = memory_new(sizeof(*bounce));
		bounce->delivery = delivery;
		bounce->queued = queued;
		list_init(&bounce->link);
		arena_init(&bounce->arena, 0);
		buffer_init(&bounce->original, ASKED_OCTETS_MAX + BODY_PIECE_OCTETS);
		buffer_init(&bounce->report_envelope, ENVELOPE_OCTETS_MAX);
		queued->bounce = bounce;
	}
	return bounce;
}

static void
bounce_envelope_set(struct bounce *bounce, const struct envelope *envelope)
{
	size_t octets;

	if (bounce->envelope == NULL)
		bounce->envelope = envelope_copy(envelope, &octets);
}

static bool
bounce_has(const struct bounce *bounce, size_t recipient)
{
	for (size_t i = 0; i < bounce->count; i++) {
		if (bounce->outcomes[i].index == recipient)
			return true;
	}
	return false;
}

static struct outcome *
outcome_add(struct bounce *bounce, size_t recipient, enum report_action action)
{
	if (bounce->count == bounce->room) {
		bounce->room = bounce->room == 0 ? 4 : bounce->room * 4;
		bounce->outcomes = memory_resize(bounce->outcomes, bounce->room,
						 sizeof(*bounce->outcomes));
	}

	struct outcome *outcome = &bounce->outcomes[bounce->count++];

	*outcome = (struct outcome){ .index = (uint32_t)recipient, .action = action };
	return outcome;
}

/* What the handover made of one recipient. */
static struct outcome *
outcome_note(struct delivery *delivery, const struct handover *handover, size_t at,
	     const struct handover_place *how, enum report_action action)
{
	struct bounce *bounce = bounce_of(delivery, handover->job->queued);
	struct outcome *outcome;

	bounce_envelope_set(bounce, handover->envelope);
	outcome = outcome_add(bounce, handover->recipients[at].index, action);
	outcome->next_hop = arena_copy(&bounce->arena, how->next_hop);
	outcome->reply = arena_copy(&bounce->arena, handover->recipients[at].reply);
	outcome->wall_ms = loop_wall_ms(delivery->environment.loop);
	return outcome;
}

unsigned char
bounce_note_failure(struct delivery *delivery, const struct handover *handover, size_t at,
		    const struct handover_place *how, bool is_expired)
{
	const struct envelope *envelope = handover->envelope;
	size_t index = handover->recipients[at].index;
	static const struct span nobody;

	if (delivery->environment.policy == NULL)
		return RECIPIENT_DEAD;
	if (envelope->sender.len > 0 && !is_wanted(&envelope->recipients[index], REPORT_FAILED)) {
		bounce_record(delivery, envelope, index, "unwanted", NULL, nobody);
		return RECIPIENT_FAILED;
	}
	if (reader_find(delivery, envelope, index, REPORT_FAILED).address.len == 0) {
		bounce_record(delivery, envelope, index, "kept", NULL, nobody);
		return RECIPIENT_DEAD;
	}
	outcome_note(delivery, handover, at, how, REPORT_FAILED)->is_expired = is_expired;
	return RECIPIENT_UNTOLD;
}

unsigned char
bounce_note_success(struct delivery *delivery, const struct handover *handover, size_t at,
		    const struct handover_place *how)
{
	const struct envelope *envelope = handover->envelope;
	size_t index = handover->recipients[at].index;
	bool is_ours = job_dispatch(delivery, handover->job)->maildir != NULL;
	enum report_action action = is_ours ? REPORT_DELIVERED : REPORT_RELAYED;

	if (handover->is_notify_passed || delivery->environment.policy == NULL ||
	    !is_wanted(&envelope->recipients[index], action) ||
	    reader_find(delivery, envelope, index, action).address.len == 0)
		return RECIPIENT_DELIVERED;
	outcome_note(delivery, handover, at, how, action);
	return RECIPIENT_OWED;
}

void
bounce_note_owed(struct delivery *delivery, struct queued *queued, size_t recipient)
{
	const struct envelope *envelope = queued->envelope;
	size_t route = recipient_route(delivery, &envelope->recipients[recipient]);
	bool is_ours = delivery->dispatches[route].maildir != NULL;
	enum report_action action = is_ours ? REPORT_DELIVERED : REPORT_RELAYED;
	static const struct span nothing;

	if (delivery->environment.policy == NULL ||
	    reader_find(delivery, envelope, recipient, action).address.len == 0) {
		queued->recipients[recipient] = RECIPIENT_DELIVERED;
		return;
	}

	struct bounce *bounce = bounce_of(delivery, queued);
	struct outcome *outcome = outcome_add(bounce, recipient, action);

	bounce_envelope_set(bounce, envelope);
	outcome->next_hop = is_ours ? nothing : arena_copy(&bounce->arena,
							   span_of("the next server"));
	outcome->reply = nothing;
}

/* ---- Warnings ---- */

static bool
warning_is_due(const struct delivery *delivery, const struct queued *queued)
{
	int64_t after_ms = delivery->environment.queue->warn_after_ms;
	int64_t now_ms = loop_now_ms(delivery->environment.loop) + delivery->wall_offset_ms;

	return after_ms > 0 && delivery->environment.policy != NULL &&
	       (queued->flags & STATE_WARNED) == 0 &&
	       now_ms >= spool_message_info(queued->message)->stored_wall_ms + after_ms;
}

static bool
warning_is_wanted(const struct delivery *delivery, const struct envelope *envelope, size_t i)
{
	return is_wanted(&envelope->recipients[i], REPORT_DELAYED) &&
	       reader_find(delivery, envelope, i, REPORT_DELAYED).address.len > 0;
}

void
bounce_note_delay(struct delivery *delivery, const struct handover *handover, size_t at,
		  const struct handover_place *how)
{
	const struct queued *queued = handover->job->queued;
	size_t index = handover->recipients[at].index;

	if (!warning_is_due(delivery, queued) ||
	    !warning_is_wanted(delivery, handover->envelope, index) ||
	    (queued->bounce != NULL && bounce_has(queued->bounce, index)))
		return;
	outcome_note(delivery, handover, at, how, REPORT_DELAYED);
}

/* The reason why a message on a route that is down waits, without the next hop's name. */
static void
outcome_explain(struct bounce *bounce, struct outcome *outcome)
{
	const struct delivery *delivery = bounce->delivery;
	size_t route =
	    recipient_route(delivery, &bounce->envelope->recipients[outcome->index]);
	const struct dispatch *dispatch = &delivery->dispatches[route];

	if (!dispatch->is_down || dispatch->hop_count == 0) {
		outcome->reply = (struct span)SPAN_LITERAL("4.4.5 it waits for its turn");
		return;
	}

	struct span hop = span_of(dispatch->hops[dispatch->failed_hop].text);
	struct span why = span_of(dispatch->why);

	if (span_starts_fold(why, hop) && why.len > hop.len + 2)
		why = span_skip(why, hop.len + 2);
	outcome->next_hop = arena_copy(&bounce->arena, hop);
	outcome->reply = arena_copy(&bounce->arena, why);
}

/* Everybody who still waits, and of whom nothing else is to be told. */
static void
delays_add(struct bounce *bounce)
{
	const struct queued *queued = bounce->queued;

	for (size_t i = 0; i < queued->recipient_count; i++) {
		if (queued->recipients[i] != RECIPIENT_WAITING || bounce_has(bounce, i) ||
		    !warning_is_wanted(bounce->delivery, bounce->envelope, i))
			continue;
		outcome_explain(bounce, outcome_add(bounce, i, REPORT_DELAYED));
	}
}

/* ---- The life of a bounce ---- */

static void bounces_work(struct delivery *delivery);

static void
bounce_free(struct bounce *bounce)
{
	if (bounce->queued != NULL)
		bounce->queued->bounce = NULL;
	if (bounce->read != NULL)
		spool_read_cancel(&bounce->read);
	if (bounce->body.message != NULL)
		body_source_stop(&bounce->body);
	list_remove(&bounce->link);
	arena_reset(&bounce->arena);
	buffer_reset(&bounce->original);
	buffer_reset(&bounce->report_envelope);
	free(bounce->outcomes);
	free(bounce->envelope);
	free(bounce);
}

static void
bounce_wait(struct bounce *bounce)
{
	struct bounces *bounces = &bounce->delivery->bounces;

	if (bounce->state == BOUNCE_READING || bounce->state == BOUNCE_COMMITTING)
		bounces->active_count--;
	list_remove(&bounce->link);
	bounce->state = BOUNCE_WAITING;
	bounces->waiting_count++;
	list_append(&bounces->waiting, &bounce->link);
}

/* Is someone at work on the message, or soon to be? */
static bool
message_is_busy(const struct delivery *delivery, const struct queued *queued)
{
	for (const struct job *job = &queued->first; job != NULL; job = job->next) {
		if (job->place == JOB_ACTIVE)
			return true;
		if (job->place == JOB_READY && !job_dispatch(delivery, job)->is_down)
			return true;
	}
	return false;
}

void
bounce_settle(struct delivery *delivery, struct queued *queued)
{
	struct bounce *bounce = queued->bounce;

	if (bounce == NULL || bounce->state != BOUNCE_COLLECTING ||
	    message_is_busy(delivery, queued))
		return;
	if (warning_is_due(delivery, queued))
		delays_add(bounce);
	bounce->taken = bounce->count;
	bounce_wait(bounce);
	bounces_work(delivery);
}

void
bounce_drop(struct queued *queued)
{
	struct bounce *bounce = queued->bounce;

	if (bounce == NULL)
		return;
	assert(bounce->state == BOUNCE_COLLECTING);
	bounce_free(bounce);
}

/* ---- What was told is final ---- */

static void
recipient_finish(struct bounce *bounce, const struct outcome *outcome)
{
	struct queued *queued = bounce->queued;
	unsigned char *state = &queued->recipients[outcome->index];

	switch (outcome->action) {
	case REPORT_FAILED:
		*state = RECIPIENT_FAILED;
		break;
	case REPORT_DELIVERED:
	case REPORT_RELAYED:
		*state = RECIPIENT_DELIVERED;
		break;
	case REPORT_DELAYED:
		queued->flags |= STATE_WARNED;
		message_flags_write(queued);
		return;
	}
	if (queued->has_state) {
		char octet = (char)*state;

		spool_state_write(queued->message, STATE_HEAD_OCTETS + outcome->index,
				  (struct span){ &octet, 1 });
	}
}

/* All that was to be told is told. */
static void
bounce_finish(struct bounce *bounce)
{
	struct delivery *delivery = bounce->delivery;
	struct queued *queued = bounce->queued;

	for (size_t i = 0; i < bounce->taken; i++)
		recipient_finish(bounce, &bounce->outcomes[i]);
	bounce->count -= bounce->taken;
	memmove(bounce->outcomes, bounce->outcomes + bounce->taken,
		bounce->count * sizeof(*bounce->outcomes));
	bounce->taken = 0;
	delivery->bounces.active_count--;
	list_remove(&bounce->link);
	bounce->state = BOUNCE_COLLECTING;
	buffer_reset(&bounce->original);
	if (bounce->count > 0)
		bounce_settle(delivery, queued);
	else
		bounce_free(bounce);
	if (queued->bounce == NULL && message_is_done(queued))
		message_end(delivery, queued);
}

/* ---- Making one ---- */

static struct outcome *
untold_find(const struct bounce *bounce)
{
	for (size_t i = 0; i < bounce->taken; i++) {
		if (!bounce->outcomes[i].is_told)
			return &bounce->outcomes[i];
	}
	return NULL;
}

/* Does the outcome belong into the report that is made now? */
static bool
is_in_group(const struct bounce *bounce, const struct outcome *outcome)
{
	struct reader reader = reader_find(bounce->delivery, bounce->envelope, outcome->index,
					   outcome->action);

	return !outcome->is_told && reader.kind == bounce->reader &&
	       span_equal(reader.address, bounce->to);
}

static struct report_recipient *
group_make(const struct bounce *bounce, size_t *count)
{
	struct report_recipient *list = memory_new_array(bounce->taken, sizeof(*list));

	*count = 0;
	for (size_t i = 0; i < bounce->taken; i++) {
		const struct outcome *outcome = &bounce->outcomes[i];
		const struct envelope_recipient *recipient =
		    &bounce->envelope->recipients[outcome->index];

		if (!is_in_group(bounce, outcome))
			continue;
		list[(*count)++] = (struct report_recipient){
			.address = recipient->address,
			.orcpt = recipient->orcpt,
			.action = outcome->action,
			.is_expired = outcome->is_expired,
			.next_hop = outcome->next_hop,
			.reply = outcome->reply,
			.tried_wall_ms = outcome->wall_ms,
		};
	}
	return list;
}

static bool
report_write(struct bounce *bounce, struct buffer *out, struct report_needs *needs)
{
	const struct delivery *delivery = bounce->delivery;
	const struct spool_info *info = spool_message_info(bounce->queued->message);
	struct report report = {
		.hostname = delivery->environment.hostname,
		.id = span_of(bounce->id),
		.from = delivery->environment.queue->bounce_from,
		.to = bounce->to,
		.reader = bounce->reader,
		.envelope = bounce->envelope,
		.grant = bounce->envelope->recipients[bounce->leader].grant,
		.now_wall_ms = loop_wall_ms(delivery->environment.loop),
		.expires_wall_ms =
		    info->stored_wall_ms + delivery->environment.queue->expires_ms,
		.original = buffer_span(&bounce->original),
		.is_whole = bounce->is_whole,
	};
	struct report_recipient *recipients = group_make(bounce, &report.recipient_count);

	report.recipients = recipients;

	bool is_good = report_compose(&report, out, needs);

	free(recipients);
	return is_good;
}

/* The route of a report: by its reader's address, else the way that the message went. */
static struct span
report_route(const struct bounce *bounce, struct span to)
{
	const struct delivery *delivery = bounce->delivery;
	struct address address;
	size_t route = NO_ROUTE;

	if (mailbox_parse(to, &address) == PARSE_OK)
		route = route_match(delivery->table, &address);
	if (route == NO_ROUTE)
		route = recipient_route(delivery,
					&bounce->envelope->recipients[bounce->leader]);
	return delivery->environment.routes[route].name;
}

static void
nothing_resumes(void *context)
{
	(void)context;
}

static void report_committed(void *context, enum spool_status status,
			     struct spool_message *message);

static void
report_commit(struct bounce *bounce, struct span text, const struct report_needs *needs)
{
	const struct delivery *delivery = bounce->delivery;
	struct spool_draft *draft = spool_draft_new(delivery->environment.spool);
	struct envelope_recipient recipient = {
		.address = bounce->to,
		.route = report_route(bounce, bounce->to),
		.notify = NOTIFY_NEVER,
	};
	struct envelope envelope = {
		.id = span_of(bounce->id),
		.client = SPAN_LITERAL("relayd"),
		.connector = SPAN_LITERAL("report"),
		.body = needs->is_8bit ? BODY_8BITMIME : BODY_7BIT,
		.is_smtputf8 = needs->is_smtputf8,
		.arrived_wall_ms = loop_wall_ms(delivery->environment.loop),
		.size_octets = text.len,
		.recipients = &recipient,
		.recipient_count = 1,
	};
	struct buffer state;

	buffer_init(&state, SPOOL_STATE_MAX);
	buffer_clear(&bounce->report_envelope);
	(void)state_initial_append(&state, 1);
	(void)envelope_encode(&envelope, &bounce->report_envelope);
	(void)spool_draft_append(draft, text, nothing_resumes, NULL);
	bounce->state = BOUNCE_COMMITTING;
	spool_draft_commit(&draft, buffer_span(&bounce->report_envelope), buffer_span(&state),
			   report_committed, bounce);
	buffer_reset(&state);
}

static void
report_id_make(struct bounce *bounce)
{
	uint64_t serial = atomic_fetch_add_explicit(bounce->delivery->environment.serial, 1,
						    memory_order_relaxed);
	char session[ID_SESSION_LEN + 1];

	id_session(serial, session);
	id_transaction(session, 1, bounce->id);
}

/* The next report of those that the taken outcomes need; there is one for each reader. */
static void
report_make(struct bounce *bounce)
{
	const struct outcome *first = untold_find(bounce);
	struct report_needs needs;
	struct buffer text;

	if (first == NULL) {
		bounce_finish(bounce);
		return;
	}

	struct reader reader = reader_find(bounce->delivery, bounce->envelope, first->index,
					   first->action);

	bounce->leader = first->index;
	bounce->to = reader.address;
	bounce->reader = reader.kind;
	report_id_make(bounce);
	buffer_init(&text, REPORT_OCTETS_MAX);
	if (!report_write(bounce, &text, &needs)) {
		log_error(bounce->delivery->environment.log,
			  "message " SPAN_FMT ": the report about it is too large to be made "
			  "whole", SPAN_ARG(bounce->envelope->id));
		needs = (struct report_needs){ .is_8bit = true };
	}
	report_commit(bounce, buffer_span(&text), &needs);
	buffer_reset(&text);
}

/* ---- It is durable ---- */

static void
group_is_told(struct bounce *bounce)
{
	for (size_t i = 0; i < bounce->taken; i++) {
		struct outcome *outcome = &bounce->outcomes[i];

		if (!is_in_group(bounce, outcome))
			continue;
		bounce_record(bounce->delivery, bounce->envelope, outcome->index,
			      report_action_name(outcome->action), bounce->id, bounce->to);
		outcome->is_told = true;
	}
}

static void
report_enter(struct bounce *bounce, struct spool_message *message)
{
	struct delivery *delivery = bounce->delivery;
	struct envelope envelope;
	struct arena arena;

	arena_init(&arena, 0);
	if (envelope_decode(buffer_span(&bounce->report_envelope), &arena, &envelope) ==
	    PARSE_OK)
		delivery_accepted(delivery, message, &envelope);
	else
		spool_leave(&message);
	arena_reset(&arena);
}

static void
report_committed(void *context, enum spool_status status, struct spool_message *message)
{
	struct bounce *bounce = context;
	struct delivery *delivery = bounce->delivery;

	if (delivery == NULL) { /* it is found again, and perhaps made again */
		if (message != NULL)
			spool_leave(&message);
		bounce_free(bounce);
		return;
	}
	if (status != SPOOL_OK) {
		log_error(delivery->environment.log,
			  "message " SPAN_FMT ": the report about it cannot be stored; it is "
			  "made later", SPAN_ARG(bounce->envelope->id));
		bounce_wait(bounce);
		delivery->bounces.is_paused = true;
		loop_timer_set(delivery->environment.loop, &delivery->bounces.pause, PAUSE_MS);
		return;
	}
	group_is_told(bounce);
	if (delivery->environment.rates != NULL)
		rates_count(delivery->environment.rates, delivery->environment.policy,
			    bounce->envelope->recipients[bounce->leader].grant,
			    bounce->envelope->sender, RATE_REPORTED);
	report_enter(bounce, message);
	report_make(bounce);
	bounces_work(delivery);
}

/* ---- The original ---- */

/* Content that a next hop refused for what it is must not come back in the report. */
static bool
is_content_refused(const struct bounce *bounce)
{
	for (size_t i = 0; i < bounce->taken; i++) {
		struct report_recipient it = { .action = bounce->outcomes[i].action,
					       .reply = bounce->outcomes[i].reply };

		if (it.action == REPORT_FAILED && report_status(&it).subject == 6)
			return true;
	}
	return false;
}

static bool
whole_is_wanted(const struct bounce *bounce)
{
	const struct envelope *envelope = bounce->envelope;
	uint64_t octets = spool_message_info(bounce->queued->message)->body_octets;
	bool has_failed = false;

	for (size_t i = 0; i < bounce->taken; i++)
		has_failed |= bounce->outcomes[i].action == REPORT_FAILED;
	if (!has_failed || is_content_refused(bounce) || envelope->ret == RET_HDRS)
		return false;
	if (envelope->ret == RET_FULL)
		return octets <= ASKED_OCTETS_MAX;
	return octets <= WHOLE_OCTETS_MAX && envelope->body == BODY_7BIT &&
	       !envelope->is_smtputf8;
}

static void
original_add(struct bounce *bounce, struct span run)
{
	size_t max = bounce->is_whole ? ASKED_OCTETS_MAX : HEADER_OCTETS_MAX;
	size_t room = max > bounce->original.len ? max - bounce->original.len : 0;

	(void)buffer_append(&bounce->original, span_first(run, room));
}

static bool
original_is_complete(const struct bounce *bounce)
{
	return !bounce->is_whole && bounce->original.len >= HEADER_OCTETS_MAX;
}

static void
original_read(struct bounce *bounce)
{
	struct span run;

	while (!original_is_complete(bounce)) {
		switch (body_source_next(&bounce->body, &run)) {
		case BODY_RUN:
			original_add(bounce, run);
			continue;
		case BODY_LATER:
			return;
		case BODY_END:
			break;
		}
		break;
	}
	body_source_stop(&bounce->body);
	report_make(bounce);
}

/* What cannot be read is left out: better a short report than none. */
static void
original_arrived(struct body_source *body, struct span run, struct fault *fault)
{
	struct bounce *bounce = LIST_OWNER(body, struct bounce, body);

	if (run.ptr == NULL) {
		log_error(bounce->delivery->environment.log,
			  "message " SPAN_FMT ": its report goes without it: %s",
			  SPAN_ARG(bounce->envelope->id), fault_text(fault));
		bounce->is_whole = false;
		body_source_stop(&bounce->body);
		report_make(bounce);
		return;
	}
	original_add(bounce, run);
	original_read(bounce);
}

static void
bounce_start(struct bounce *bounce)
{
	struct bounces *bounces = &bounce->delivery->bounces;

	list_remove(&bounce->link);
	bounces->waiting_count--;
	bounces->active_count++;
	list_append(&bounces->active, &bounce->link);
	bounce->state = BOUNCE_READING;
	buffer_clear(&bounce->original);
	bounce->is_whole = whole_is_wanted(bounce);
	body_source_start(&bounce->body, bounce->queued->message, original_arrived);
	original_read(bounce);
}

static void
bounces_work(struct delivery *delivery)
{
	struct bounces *bounces = &delivery->bounces;
	bool was_full = bounces->waiting_count >= FULL_COUNT;

	while (!bounces->is_paused && bounces->active_count < ACTIVE_MAX &&
	       !list_is_empty(&bounces->waiting))
		bounce_start(LIST_OWNER(bounces->waiting.next, struct bounce, link));
	if (was_full && bounces->waiting_count < FULL_COUNT && !delivery->is_draining &&
	    !loop_timer_is_set(&delivery->wake))
		loop_timer_set(delivery->environment.loop, &delivery->wake, 0);
}

/* ---- Messages that wait though nobody tries them ---- */

static void
bounce_load_done(struct bounce *bounce)
{
	struct delivery *delivery = bounce->delivery;
	struct queued *queued = bounce->queued;

	delivery->bounces.active_count--;
	list_remove(&bounce->link);
	bounce->state = BOUNCE_COLLECTING;
	if (bounce->envelope != NULL && warning_is_due(delivery, queued))
		delays_add(bounce);
	queued->flags |= bounce->count == 0 ? STATE_WARNED : 0; /* nobody wants to know */
	if (bounce->count > 0) {
		bounce_settle(delivery, queued);
		return;
	}
	bounce_free(bounce);
	if (message_is_done(queued))
		message_end(delivery, queued);
}

static void
bounce_loaded(void *context, struct span bytes, struct fault *fault)
{
	struct bounce *bounce = context;
	struct envelope envelope;
	struct arena arena;

	(void)fault;
	bounce->read = NULL;
	arena_init(&arena, 0);
	if (bytes.ptr != NULL && envelope_decode(bytes, &arena, &envelope) == PARSE_OK &&
	    envelope.recipient_count == bounce->queued->recipient_count)
		bounce_envelope_set(bounce, &envelope);
	arena_reset(&arena);
	bounce_load_done(bounce);
}

static void
warning_begin(struct delivery *delivery, struct queued *queued)
{
	struct bounce *bounce = bounce_of(delivery, queued);

	bounce->state = BOUNCE_LOADING;
	delivery->bounces.active_count++;
	list_append(&delivery->bounces.active, &bounce->link);
	if (queued->envelope != NULL) {
		bounce_envelope_set(bounce, queued->envelope);
		bounce_load_done(bounce);
		return;
	}
	bounce->read = spool_read_envelope(queued->message, bounce_loaded, bounce);
}

static int64_t
sweep_every_ms(const struct delivery *delivery)
{
	int64_t every_ms = delivery->environment.queue->warn_after_ms / 4;

	if (every_ms < SWEEP_EVERY_MS_MIN)
		return SWEEP_EVERY_MS_MIN;
	return every_ms > SWEEP_EVERY_MS_MAX ? SWEEP_EVERY_MS_MAX : every_ms;
}

/*
 * Look through what is ready and does not go (its route is down, or slow), a part at a time.
 * What moves in the heap meanwhile is seen the next time.
 */
static bool
sweep_route(struct delivery *delivery)
{
	struct bounces *bounces = &delivery->bounces;
	const struct heap *ready =
	    &delivery->dispatches[bounces->sweep_route].schedule.ready;

	for (size_t n = 0; bounces->sweep_at < ready->count; n++, bounces->sweep_at++) {
		struct queued *queued = ready->entries[bounces->sweep_at].job->queued;

		if (n == SWEEP_STEP)
			return false;
		if (queued->bounce != NULL || !warning_is_due(delivery, queued))
			continue;
		if (bounces->waiting_count + bounces->active_count >= SWEEP_PENDING_MAX)
			return false;
		warning_begin(delivery, queued);
	}
	return true;
}

static void
sweep_expired(struct loop_timer *timer)
{
	struct delivery *delivery = LIST_OWNER(timer, struct delivery, bounces.sweep);
	struct bounces *bounces = &delivery->bounces;
	int64_t next_ms = SWEEP_STEP_MS;

	if (delivery->is_draining)
		return;
	if (!bounces_are_full(delivery) && sweep_route(delivery)) {
		bounces->sweep_at = 0;
		bounces->sweep_route++;
		if (bounces->sweep_route == delivery->environment.route_count) {
			bounces->sweep_route = 0;
			next_ms = sweep_every_ms(delivery);
		}
	}
	loop_timer_set(delivery->environment.loop, timer, next_ms);
}

/* ---- All of them ---- */

static void
pause_expired(struct loop_timer *timer)
{
	struct delivery *delivery = LIST_OWNER(timer, struct delivery, bounces.pause);

	delivery->bounces.is_paused = false;
	bounces_work(delivery);
}

void
bounces_init(struct delivery *delivery)
{
	struct bounces *bounces = &delivery->bounces;

	list_init(&bounces->waiting);
	list_init(&bounces->active);
	bounces->pause.expired = pause_expired;
	bounces->sweep.expired = sweep_expired;
	if (delivery->environment.policy != NULL &&
	    delivery->environment.queue->warn_after_ms > 0)
		loop_timer_set(delivery->environment.loop, &bounces->sweep,
			       sweep_every_ms(delivery));
}

/* The message is left, too, if nothing but the report held it. */
static void
bounce_break_off(struct bounce *bounce)
{
	struct delivery *delivery = bounce->delivery;
	struct queued *queued = bounce->queued;

	if (bounce->state == BOUNCE_COMMITTING) {
		list_remove(&bounce->link);
		queued->bounce = NULL;
		bounce->queued = NULL;
		bounce->delivery = NULL;
	} else {
		bounce_free(bounce);
	}
	if (!queued_is_over(queued))
		return;

	struct spool_message *message = queued->message;

	envelope_forget(delivery, queued);
	queued_free(&queued);
	spool_leave(&message);
}

void
bounces_reset(struct delivery *delivery)
{
	struct bounces *bounces = &delivery->bounces;

	if (bounces->waiting.next == NULL)
		return;
	loop_timer_cancel(delivery->environment.loop, &bounces->pause);
	loop_timer_cancel(delivery->environment.loop, &bounces->sweep);
	while (!list_is_empty(&bounces->waiting))
		bounce_break_off(LIST_OWNER(bounces->waiting.next, struct bounce, link));
	while (!list_is_empty(&bounces->active))
		bounce_break_off(LIST_OWNER(bounces->active.next, struct bounce, link));
}

bool
bounces_are_full(const struct delivery *delivery)
{
	const struct bounces *bounces = &delivery->bounces;

	return !bounces->is_paused && bounces->waiting_count >= FULL_COUNT;
}

bool
bounces_are_stuck(const struct delivery *delivery)
{
	const struct bounces *bounces = &delivery->bounces;

	return bounces->is_paused && bounces->waiting_count >= STUCK_COUNT;
}

bool
bounces_are_idle(const struct delivery *delivery)
{
	const struct bounces *bounces = &delivery->bounces;

	return bounces->active_count == 0 &&
	       (bounces->waiting_count == 0 || bounces->is_paused);
}
