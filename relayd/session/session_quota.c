/* SPDX-License-Identifier: ISC */
/*
 * What a transaction takes of its grants' limits, and gives back.
 *
 * A recipient that the policy would accept takes one of the recipients, and the first of them
 * under a grant also one of the messages, the octets that were declared and one of the sessions; at
 * the end of the data the octets that came are topped up. So nobody is told yes whom the limit
 * does not hold. What is taken is kept when the message is accepted, and given back when it is
 * not; a session is held until the client leaves.
 *
 * The policy asks transaction_has_quota, which only knows who was denied in this attempt: the
 * grant that it names then has to take, and when it is denied the policy is asked again, and
 * may name another grant.
 *
 * With a shared store the windows are counted there, and here without a maximum: so that
 * `status` knows this gateway's part, and what it goes on from when the store is away.
 */
#include "session/session_private.h"

#include "base/clock.h"
#include "base/memory.h"
#include "policy/quota.h"
#include "session/shared_quota.h"

#include <assert.h>
#include <stdlib.h>

#define SESSION_HOLDS_MAX 64 /* counts of sessions that one session may take */

/* One reservation of one limit. */
struct quota_taken {
	struct quota_taken *next;
	size_t limit;
	struct quota_ticket ticket;
	struct shared_part *shared; /* NULL: counted here alone */
	uint64_t shared_left;	    /* of it, not given back */
};

/* What a transaction has under one grant. */
struct quota_hold {
	struct quota_hold *next;
	size_t grant;
	uint32_t recipients;
	uint64_t octets;
	struct quota_taken *taken;
};

/* A session of a grant that this one is counted as, until it ends. */
struct session_hold {
	struct session_hold *next;
	struct quota_ticket ticket;
};

/* What is asked of one grant; on the heap, since it may outlive its transaction. */
struct quota_ask {
	struct session_server *server;
	struct transaction *transaction; /* NULL: gone while the store was asked */
	size_t grant;
	bool is_new_recipient;
	uint64_t octets_wanted;
	size_t count;
	size_t limits[LIMITS_MAX];
	struct shared_part parts[LIMITS_MAX];
};

/* --- what and whose --- */

static const struct grant_source *
grant_of(const struct transaction *t, size_t grant)
{
	return policy_grant(t->server->environment.policy, grant);
}

/* The key's text; lives in the server's scratch buffer. */
static struct span
key_text(struct transaction *t, enum limit_key key)
{
	struct buffer *out = &t->server->scratch;
	char address[IP_TEXT_SIZE];
	char login[POLICY_LOGIN_MAX];
	size_t len;

	buffer_clear(out);
	switch (key) {
	case LIMIT_PER_GRANT:
		break;
	case LIMIT_PER_LOGIN:
		len = policy_login_key(t->server->environment.policy, session_user(t->session),
				       login);
		(void)buffer_append(out, (struct span){ login, len });
		break;
	case LIMIT_PER_ADDRESS:
		ip_text(&t->session->peer.ip, address);
		(void)buffer_append_text(out, address);
		break;
	case LIMIT_PER_SENDER:
		for (size_t i = 0; i < t->sender.text.len; i++)
			(void)buffer_append_byte(out, ascii_lower(t->sender.text.ptr[i]));
		break;
	}
	return buffer_span(out);
}

static struct quota_subject
subject_of(struct transaction *t, size_t grant, size_t limit)
{
	const struct grant_source *g = grant_of(t, grant);

	return (struct quota_subject){
		.owner = g->name,
		.limit = &g->limits[limit],
		.key = key_text(t, g->limits[limit].key),
	};
}

static struct quota_hold *
hold_find(const struct transaction *t, size_t grant)
{
	struct quota_hold *hold = t->quota.holds;

	while (hold != NULL && hold->grant != grant)
		hold = hold->next;
	return hold;
}

static struct quota_hold *
hold_get(struct transaction *t, size_t grant)
{
	struct quota_hold *hold = hold_find(t, grant);

	if (hold != NULL)
		return hold;
	hold = arena_new(&t->arena, sizeof(*hold));
	*hold = (struct quota_hold){ .next = t->quota.holds, .grant = grant };
	t->quota.holds = hold;
	return hold;
}

/* --- who was denied --- */

void
transaction_quota_begin(struct transaction *t)
{
	t->quota.denial_count = 0;
}

static const struct quota_denial *
denial_find(const struct transaction *t, size_t grant)
{
	for (unsigned i = 0; i < t->quota.denial_count; i++) {
		if (t->quota.denials[i].grant == grant)
			return &t->quota.denials[i];
	}
	return NULL;
}

bool
transaction_has_quota(void *context, size_t grant, enum reason *which)
{
	const struct transaction *t = context;
	const struct quota_denial *denial = denial_find(t, grant);

	if (denial == NULL && t->quota.denial_count < QUOTA_DENIALS_MAX)
		return true;
	if (denial == NULL) /* so many grants cannot take it that no more are tried */
		denial = &t->quota.denials[QUOTA_DENIALS_MAX - 1];
	*which = denial->reason;
	return false;
}

static enum reason
unit_reason(enum limit_unit unit)
{
	switch (unit) {
	case LIMIT_MESSAGES:
		return REASON_QUOTA_MESSAGES;
	case LIMIT_RECIPIENTS:
		return REASON_QUOTA_RECIPIENTS;
	case LIMIT_OCTETS:
		return REASON_QUOTA_OCTETS;
	case LIMIT_SESSIONS:
		return REASON_QUOTA_SESSIONS;
	}
	return REASON_QUOTA_TROUBLE;
}

static enum quota_answer
quota_deny(struct transaction *t, size_t grant, size_t limit, enum reason reason,
	   uint64_t wanted, int64_t frees_ms)
{
	assert(t->quota.denial_count < QUOTA_DENIALS_MAX);
	t->quota.denials[t->quota.denial_count++] = (struct quota_denial){
		.grant = grant,
		.limit = limit,
		.reason = reason,
		.wanted = wanted,
		.frees_ms = frees_ms,
	};
	return QUOTA_DENIED;
}

static enum quota_answer
quota_deny_for(struct transaction *t, size_t grant, size_t limit, enum quota_result result,
	       uint64_t wanted, int64_t frees_ms)
{
	enum limit_unit unit = grant_of(t, grant)->limits[limit].unit;

	return quota_deny(t, grant, limit,
			  result == QUOTA_NO_ROOM ? REASON_QUOTA_TROUBLE : unit_reason(unit),
			  wanted, frees_ms);
}

bool
transaction_quota_describe(struct transaction *t, const struct verdict *verdict,
			   struct buffer *out)
{
	const struct quota_denial *denial =
	    verdict->stage == STAGE_QUOTA ? denial_find(t, verdict->grant) : NULL;

	if (denial == NULL)
		return false;
	const struct grant_source *g = grant_of(t, denial->grant);
	const struct limit_source *limit = &g->limits[denial->limit];

	limit_append(limit, out);
	(void)buffer_printf(out, " of grant " SPAN_FMT, SPAN_ARG(g->name));
	if (denial->reason == REASON_QUOTA_TROUBLE) {
		(void)buffer_append_text(out, t->server->environment.shared != NULL ?
						  " cannot be counted: Redis is away" :
						  " cannot be counted: no room for its key");
		return true;
	}
	if (denial->wanted > limit->count) {
		(void)buffer_printf(out, " is less than the %llu that this needs",
				    (unsigned long long)denial->wanted);
		return true;
	}
	(void)buffer_append_text(out, " used up");
	if (limit->key != LIMIT_PER_GRANT) {
		struct span key = key_text(t, limit->key);

		(void)buffer_append_text(out, " by ");
		(void)buffer_append(out, key.len > 0 ? key : span_of("nobody"));
	}
	if (denial->frees_ms > 0) {
		(void)buffer_append_text(out, "; frees in ");
		(void)clock_duration(denial->frees_ms, out);
	}
	return true;
}

/* --- sessions --- */

static bool
session_has_hold(const struct session *session, struct slot_key key)
{
	for (const struct session_hold *h = session->quota_holds; h != NULL; h = h->next) {
		if (h->ticket.key.low == key.low && h->ticket.key.high == key.high)
			return true;
	}
	return false;
}

/* This session is one of those that the limit counts, from now until it ends. */
static enum quota_result
session_hold_take(struct transaction *t, const struct quota_subject *subject)
{
	const struct session_environment *e = &t->server->environment;
	struct session *session = t->session;
	struct quota_ticket ticket;
	int64_t frees_ms;

	if (session_has_hold(session, quota_key(e->quota, subject)))
		return QUOTA_TAKEN;
	if (session->quota_hold_count == SESSION_HOLDS_MAX)
		return QUOTA_NO_ROOM;
	enum quota_result result = quota_take(e->quota, e->slot, subject, 1,
					      subject->limit->count, loop_now_ms(e->loop),
					      &ticket, &frees_ms);

	if (result != QUOTA_TAKEN)
		return result;
	struct session_hold *hold = memory_new(sizeof(*hold));

	*hold = (struct session_hold){ .next = session->quota_holds, .ticket = ticket };
	session->quota_holds = hold;
	session->quota_hold_count++;
	return QUOTA_TAKEN;
}

/* Down to so many: those taken last go first. */
static void
session_holds_release(struct session *session, unsigned count)
{
	const struct session_environment *e = &session->server->environment;

	while (session->quota_hold_count > count) {
		struct session_hold *hold = session->quota_holds;

		session->quota_holds = hold->next;
		session->quota_hold_count--;
		quota_give_back(e->quota, e->slot, &hold->ticket, 1);
		free(hold);
	}
}

void
session_quota_end(struct session *session)
{
	session_holds_release(session, 0);
}

/* --- taking --- */

/* How much of a unit one more recipient needs; 0: it is there already. */
static uint64_t
amount_needed(const struct quota_ask *ask, const struct quota_hold *hold, enum limit_unit unit)
{
	uint64_t octets = hold == NULL ? 0 : hold->octets;

	switch (unit) {
	case LIMIT_MESSAGES:
		return hold == NULL;
	case LIMIT_RECIPIENTS:
		return ask->is_new_recipient;
	case LIMIT_OCTETS:
		return ask->octets_wanted > octets ? ask->octets_wanted - octets : 0;
	case LIMIT_SESSIONS:
		return 1;
	}
	return 0;
}

static void
taken_give_back(struct session_server *server, struct quota_taken *taken, uint64_t amount)
{
	const struct session_environment *e = &server->environment;
	uint64_t shared = amount < taken->shared_left ? amount : taken->shared_left;

	quota_give_back(e->quota, e->slot, &taken->ticket, amount);
	taken->shared_left -= shared;
	if (shared > 0)
		shared_quota_give_back(e->shared, taken->shared, shared);
}

static void
hold_keep(struct transaction *t, struct quota_hold *hold, size_t limit,
	  const struct quota_ticket *ticket, const struct shared_part *shared)
{
	struct quota_taken *taken = arena_new(&t->arena, sizeof(*taken));

	*taken = (struct quota_taken){ .next = hold->taken, .limit = limit, .ticket = *ticket };
	if (shared != NULL) {
		taken->shared = arena_new(&t->arena, sizeof(*shared));
		*taken->shared = *shared;
		taken->shared_left = shared->amount;
	}
	hold->taken = taken;
}

/* All parts were taken: the hold has them. */
static enum quota_answer
ask_granted(struct transaction *t, const struct quota_ask *ask)
{
	struct quota_hold *hold = hold_get(t, ask->grant);

	hold->recipients += ask->is_new_recipient;
	if (ask->octets_wanted > hold->octets)
		hold->octets = ask->octets_wanted;
	return QUOTA_GRANTED;
}

/* Count the windows here: with their maxima, or because the store has taken them. */
static enum quota_answer
windows_take(struct transaction *t, const struct quota_ask *ask, bool is_shared)
{
	const struct session_environment *e = &t->server->environment;
	struct quota_hold first = { .taken = NULL };

	for (size_t i = 0; i < ask->count; i++) {
		const struct shared_part *part = &ask->parts[i];
		struct quota_subject subject = subject_of(t, ask->grant, ask->limits[i]);
		struct quota_ticket ticket = { .amount = 0 };
		int64_t frees_ms;
		enum quota_result result =
		    quota_take(e->quota, e->slot, &subject, part->amount,
			       is_shared ? QUOTA_NO_MAX : part->max, loop_now_ms(e->loop),
			       &ticket, &frees_ms);

		if (result == QUOTA_TAKEN || is_shared) {
			hold_keep(t, &first, ask->limits[i], &ticket, is_shared ? part : NULL);
			continue;
		}
		for (struct quota_taken *taken = first.taken; taken != NULL; taken = taken->next)
			taken_give_back(t->server, taken, UINT64_MAX);
		return quota_deny_for(t, ask->grant, ask->limits[i], result, part->amount,
				      frees_ms);
	}
	struct quota_hold *hold = hold_get(t, ask->grant);

	while (first.taken != NULL) {
		struct quota_taken *taken = first.taken;

		first.taken = taken->next;
		taken->next = hold->taken;
		hold->taken = taken;
	}
	return ask_granted(t, ask);
}

/* The transaction has gone while the store was asked: what was taken there goes back. */
static void
ask_orphaned(const struct quota_ask *ask, enum shared_result result)
{
	for (size_t i = 0; i < ask->count && result == SHARED_TAKEN; i++)
		shared_quota_give_back(ask->server->environment.shared, &ask->parts[i],
				       ask->parts[i].amount);
}

/* The store does not know: count here, or not at all. */
static enum quota_answer
store_is_away(struct transaction *t, const struct quota_ask *ask)
{
	if (t->server->environment.is_quota_closed)
		return quota_deny(t, ask->grant, ask->limits[0], REASON_QUOTA_TROUBLE, 0, 0);
	return windows_take(t, ask, false);
}

static void
store_answered(void *context, enum shared_result result, size_t part, int64_t frees_ms)
{
	struct quota_ask *ask = context;
	struct transaction *t = ask->transaction;

	if (t == NULL) {
		ask_orphaned(ask, result);
		free(ask);
		return;
	}
	t->quota.pending = NULL;
	switch (result) {
	case SHARED_TAKEN:
		t->quota.answer = windows_take(t, ask, true);
		break;
	case SHARED_USED_UP:
		t->quota.answer = quota_deny_for(t, ask->grant, ask->limits[part],
						 QUOTA_USED_UP, ask->parts[part].amount,
						 frees_ms);
		break;
	case SHARED_AWAY:
		t->quota.answer = store_is_away(t, ask);
		break;
	}
	if (t->quota.answer == QUOTA_DENIED)
		session_holds_release(t->session, t->quota.session_holds_before);
	free(ask);
	transaction_quota_answered(t);
}

static enum quota_answer
store_ask(struct transaction *t, const struct quota_ask *ask)
{
	const struct session_environment *e = &t->server->environment;
	struct quota_ask *kept = memory_new(sizeof(*kept));

	*kept = *ask;
	for (size_t i = 0; i < kept->count; i++) {
		struct quota_subject subject = subject_of(t, kept->grant, kept->limits[i]);

		shared_key_make(&subject, kept->parts[i].key);
	}
	if (!shared_quota_take(e->shared, kept->parts, kept->count, store_answered, kept)) {
		free(kept);
		return store_is_away(t, ask);
	}
	t->quota.pending = kept;
	return QUOTA_PENDING;
}

/* The limits of the grant from which something is needed; sessions are taken at once. */
static enum quota_answer
ask_make(struct transaction *t, struct quota_ask *ask)
{
	const struct grant_source *g = grant_of(t, ask->grant);
	const struct quota_hold *hold = hold_find(t, ask->grant);

	for (size_t i = 0; i < g->limit_count; i++) {
		const struct limit_source *limit = &g->limits[i];
		uint64_t amount = amount_needed(ask, hold, limit->unit);

		if (amount == 0)
			continue;
		if (limit->unit != LIMIT_SESSIONS) {
			ask->limits[ask->count] = i;
			ask->parts[ask->count++] = (struct shared_part){
				.amount = amount,
				.max = limit->count,
				.window_s = limit->window_s,
			};
			continue;
		}
		struct quota_subject subject = subject_of(t, ask->grant, i);
		enum quota_result result = session_hold_take(t, &subject);

		if (result != QUOTA_TAKEN)
			return quota_deny_for(t, ask->grant, i, result, 1, 0);
	}
	return QUOTA_GRANTED;
}

enum quota_answer
transaction_quota_take(struct transaction *t, size_t grant, uint64_t octets,
		       bool is_new_recipient)
{
	const struct session_environment *e = &t->server->environment;
	struct quota_ask ask = {
		.server = t->server,
		.transaction = t,
		.grant = grant,
		.is_new_recipient = is_new_recipient,
		.octets_wanted = octets,
	};
	enum quota_answer answer;

	if (grant_of(t, grant)->limit_count == 0)
		return QUOTA_GRANTED;
	if (e->quota == NULL)
		return quota_deny(t, grant, 0, REASON_QUOTA_TROUBLE, 0, 0);
	t->quota.session_holds_before = t->session->quota_hold_count;
	answer = ask_make(t, &ask);
	if (answer == QUOTA_GRANTED && ask.count == 0)
		answer = ask_granted(t, &ask);
	else if (answer == QUOTA_GRANTED && e->shared != NULL)
		answer = store_ask(t, &ask);
	else if (answer == QUOTA_GRANTED)
		answer = windows_take(t, &ask, false);
	if (answer == QUOTA_DENIED)
		session_holds_release(t->session, t->quota.session_holds_before);
	return answer;
}

/* --- giving back, keeping --- */

/* So much of a unit, from whatever took it. */
static void
hold_give_back(struct transaction *t, struct quota_hold *hold, enum limit_unit unit,
	       uint64_t amount)
{
	const struct grant_source *g = grant_of(t, hold->grant);

	for (size_t i = 0; i < g->limit_count; i++) {
		uint64_t left = g->limits[i].unit == unit ? amount : 0;

		for (struct quota_taken *taken = hold->taken; taken != NULL && left > 0;
		     taken = taken->next) {
			uint64_t most = taken->shared_left > taken->ticket.amount ?
					    taken->shared_left :
					    taken->ticket.amount;
			uint64_t now = left < most ? left : most;

			if (taken->limit != i)
				continue;
			taken_give_back(t->server, taken, now);
			left -= now;
		}
	}
}

void
transaction_quota_settle(struct transaction *t, uint64_t octets)
{
	for (struct quota_hold *hold = t->quota.holds; hold != NULL; hold = hold->next) {
		uint32_t recipients = 0;

		for (uint32_t i = 0; i < t->recipient_count; i++) {
			const struct verdict *verdict = &t->recipients[i].verdict;

			recipients += verdict->kind == VERDICT_RELAYED &&
				      verdict->grant == hold->grant;
		}
		uint64_t needed = recipients == 0 ? 0 : octets;

		hold_give_back(t, hold, LIMIT_RECIPIENTS, hold->recipients - recipients);
		hold->recipients = recipients;
		if (hold->octets > needed) {
			hold_give_back(t, hold, LIMIT_OCTETS, hold->octets - needed);
			hold->octets = needed;
		}
		if (recipients == 0)
			hold_give_back(t, hold, LIMIT_MESSAGES, 1);
	}
}

void
transaction_quota_keep(struct transaction *t)
{
	t->quota.holds = NULL;
}

void
transaction_quota_give_back(struct transaction *t)
{
	if (t->quota.pending != NULL) {
		t->quota.pending->transaction = NULL;
		t->quota.pending = NULL;
	}
	for (struct quota_hold *hold = t->quota.holds; hold != NULL; hold = hold->next) {
		for (struct quota_taken *taken = hold->taken; taken != NULL; taken = taken->next)
			taken_give_back(t->server, taken, UINT64_MAX);
	}
	t->quota.holds = NULL;
}

/* --- the connector's own limit --- */

bool
session_may_begin(struct session *session, struct buffer *detail)
{
	const struct session_environment *e = &session->server->environment;
	const struct limit_source limit = {
		.count = session->settings->message_rate_max,
		.unit = LIMIT_MESSAGES,
		.key = LIMIT_PER_ADDRESS,
		.window_s = 60,
	};
	char address[IP_TEXT_SIZE];
	struct quota_ticket ticket;
	int64_t frees_ms;

	if (limit.count == 0 || e->quota == NULL)
		return true;
	ip_text(&session->peer.ip, address);
	const struct quota_subject subject = {
		.owner = session->server->texts[session->connector].rate_owner,
		.limit = &limit,
		.key = span_of(address),
	};

	if (quota_take(e->quota, e->slot, &subject, 1, limit.count, loop_now_ms(e->loop),
		       &ticket, &frees_ms) == QUOTA_TAKEN)
		return true;
	limit_append(&limit, detail);
	(void)buffer_printf(detail, " of connector " SPAN_FMT " used up by %s",
			    SPAN_ARG(session->settings->name), address);
	if (frees_ms > 0) {
		(void)buffer_append_text(detail, "; frees in ");
		(void)clock_duration(frees_ms, detail);
	}
	return false;
}
