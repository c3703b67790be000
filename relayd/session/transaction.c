/* SPDX-License-Identifier: ISC */
/*
 * One message's way from MAIL to its end. Every recipient that was decided on has exactly one
 * record: those refused at RCPT at once, the accepted ones when it is known what becomes of
 * the message, which is the same for all of them.
 */
#include "session/session_private.h"

#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define RECIPIENTS_FIRST 4

/* --- MAIL and RCPT --- */

/* Copy an address whose parts borrow from its text. */
static struct address
address_copy(struct arena *arena, const struct address *address)
{
	struct address copy = *address;

	copy.text = arena_copy(arena, address->text);
	if (address->local.len > 0)
		copy.local.ptr = copy.text.ptr + (address->local.ptr - address->text.ptr);
	if (address->domain.len > 0)
		copy.domain.ptr = copy.text.ptr + (address->domain.ptr - address->text.ptr);
	return copy;
}

static struct span
text_copy(struct arena *arena, struct span text)
{
	return text.len == 0 ? text : arena_copy(arena, text);
}

struct transaction *
transaction_begin(struct session *session, const struct mail_argument *mail)
{
	struct transaction *t = memory_new(sizeof(*t));

	assert(session->transaction == NULL);
	t->server = session->server;
	t->session = session;
	arena_init(&t->arena, 0);
	id_transaction(session->id, ++session->transactions, t->id);
	t->sender = address_copy(&t->arena, &mail->reverse_path);
	t->envid = text_copy(&t->arena, mail->envid);
	t->ret = mail->ret;
	t->body = mail->body;
	t->is_smtputf8 = mail->is_smtputf8;
	t->needs_tls = mail->needs_tls;
	t->declared_octets = mail->size_octets;
	session->transaction = t;
	return t;
}

struct facts
transaction_facts(struct transaction *t)
{
	const struct tls_facts *tls = session_tls(t->session);

	return (struct facts){
		.connector = t->session->connector,
		.client = t->session->peer.ip,
		.user = session_user(t->session),
		.is_tls = tls != NULL,
		.certificates = tls == NULL ? NULL : tls->identities,
		.certificate_count = tls == NULL ? 0 : tls->identity_count,
		.now_wall_ms = loop_wall_ms(t->server->environment.loop),
		.sender = &t->sender,
		.has_quota = transaction_has_quota,
		.quota_context = t,
	};
}

/* The first attempt has the transaction's own id, the others ".2", ".3" behind it. */
static void
transaction_attempt_id(const struct transaction *t, uint32_t number, char out[ID_SIZE])
{
	size_t len = strlen(t->id);

	memcpy(out, t->id, len + 1);
	if (number > 1)
		(void)snprintf(out + len, ID_SIZE - len, ".%u", number);
}

/* Keep an accepted recipient. */
static void
transaction_add(struct transaction *t, const struct rcpt_argument *rcpt, uint32_t number,
		const struct verdict *verdict)
{
	if (t->recipient_count == t->recipient_room) {
		uint32_t room = t->recipient_room == 0 ? RECIPIENTS_FIRST : t->recipient_room * 4;
		struct recipient *more = arena_new_array(&t->arena, room, sizeof(*more));

		if (t->recipient_count > 0)
			memcpy(more, t->recipients, t->recipient_count * sizeof(*more));
		t->recipients = more;
		t->recipient_room = room;
	}
	t->recipients[t->recipient_count++] = (struct recipient){
		.address = address_copy(&t->arena, &rcpt->forward_path),
		.orcpt = text_copy(&t->arena, rcpt->orcpt),
		.notify = rcpt->notify,
		.number = number,
		.verdict = *verdict,
		.counted = verdict->kind == VERDICT_RELAYED ? verdict->grant : NO_GRANT,
	};
}

/* --- a bad end --- */

/* Given to a next hop in vain, and not stored either. */
static void
passage_forget(struct transaction *t)
{
	if (t->passage == NULL || t->server == NULL)
		return;

	const struct session_next *next = &t->server->environment.next;

	next->passage_drop(next->context, &t->passage);
}

void
transaction_free(struct transaction *t)
{
	struct session *session = t->session;

	passage_forget(t);
	if (t->server != NULL)
		transaction_quota_give_back(t);
	content_reset(t);
	arena_reset(&t->arena);
	free(t);
	if (session == NULL)
		return;
	session->transaction = NULL;
	session->state = STATE_READY;
	session->input = INPUT_COMMAND;
}

/* The condition that failed, in words; lives in the server's detail buffer. */
static struct span
verdict_describe(struct transaction *t, const struct facts *facts,
		 const struct verdict *verdict)
{
	struct buffer *detail = &t->server->detail;

	buffer_clear(detail);
	if (transaction_quota_describe(t, verdict, detail))
		return buffer_span(detail);
	policy_describe(t->server->environment.policy, facts, verdict->stage, verdict->reason,
			verdict->grant, detail);
	return buffer_span(detail);
}

static void
recipient_record(const struct transaction *t, const struct recipient *recipient,
		 const struct verdict *verdict, struct span reply, struct span detail)
{
	char id[ID_SIZE];

	transaction_attempt_id(t, recipient->number, id);
	session_record(t->session, t, id, recipient->address.text, verdict, reply, detail);
}

/* What a reason of our own, not the policy's, makes of an attempt. */
static enum verdict_kind
reason_verdict(const struct transaction *t, enum reason reason)
{
	const struct reason_reply *reply = session_reason(t->session, reason);

	return reply != NULL && reply->code >= 500 ? VERDICT_REFUSED : VERDICT_DEFERRED;
}

/* Recorded under the grant that would have admitted it. */
static void
transaction_record_failure(const struct transaction *t, enum reason reason,
			   struct span reply, struct span detail)
{
	for (uint32_t i = 0; i < t->recipient_count; i++) {
		struct verdict verdict = t->recipients[i].verdict;

		verdict.kind = reason_verdict(t, reason);
		verdict.reason = reason;
		recipient_record(t, &t->recipients[i], &verdict, reply, detail);
	}
}

/*
 * What a client that is refused for can mend before it names a recipient is said at MAIL. All
 * else waits for RCPT, so that the record has the recipient too: whoever closes an open relay
 * must know which mail that stops.
 */
static bool
reason_is_said_at_mail(enum reason reason)
{
	return reason == REASON_AUTH_REQUIRED || reason == REASON_TLS_REQUIRED;
}

/* Answer one attempt that is not permitted. */
static void
attempt_refuse(struct transaction *t, uint32_t number, struct span recipient,
	       const struct verdict *verdict, struct span detail)
{
	char id[ID_SIZE];

	transaction_attempt_id(t, number, id);
	struct span reply = session_reply_make(
	    t->session, verdict_reply(verdict, t->server->environment.wording), span_of(id));

	session_record(t->session, t, id, recipient, verdict, reply, detail);
	session_send(t->session, reply);
}

void
session_abandon(struct session *session, enum reason reason, struct span reply)
{
	struct transaction *t = session->transaction;
	static const struct span no_detail;

	if (t == NULL || t->is_committing)
		return;
	transaction_record_failure(t, reason, reply, no_detail);
	transaction_free(t);
}

static void
transaction_refuse(struct transaction *t, enum reason reason, struct span detail)
{
	struct session *session = t->session;
	struct span reply =
	    session_reply_make(session, session_reason(session, reason), span_of(t->id));

	transaction_record_failure(t, reason, reply, detail);
	transaction_free(t);
	session_send(session, reply);
}

/* The policy says no to one recipient after all, and that is the answer for the message. */
static void
transaction_refuse_by(struct transaction *t, struct verdict verdict, struct span detail)
{
	struct session *session = t->session;
	struct span reply = session_reply_make(
	    session, verdict_reply(&verdict, t->server->environment.wording), span_of(t->id));

	for (uint32_t i = 0; i < t->recipient_count; i++)
		recipient_record(t, &t->recipients[i], &verdict, reply, detail);
	transaction_free(t);
	session_send(session, reply);
}

bool
attempt_is_refused(struct transaction *t, uint32_t number, const struct address *recipient,
		   enum stage upto, struct verdict *verdict)
{
	struct facts facts = transaction_facts(t);

	facts.recipient = recipient;
	*verdict = policy_decide(t->server->environment.policy, &facts, upto);
	if (verdict->kind == VERDICT_RELAYED || verdict->kind == VERDICT_WOULD_REFUSE)
		return false;
	if (recipient == NULL && !reason_is_said_at_mail(verdict->reason))
		return false;
	attempt_refuse(t, number, recipient == NULL ? span_of(NULL) : recipient->text, verdict,
		       verdict_describe(t, &facts, verdict));
	return true;
}

/* What the limits are asked for at RCPT: 1 tells whether there is anything left at all. */
static uint64_t
octets_expected(const struct transaction *t)
{
	return t->declared_octets > 0 ? t->declared_octets : 1;
}

/* The shared store is asked: keep the recipient until it answers. */
static void
transaction_wait_offer(struct transaction *t, const struct rcpt_argument *rcpt, uint32_t number)
{
	if (t->asked_number == 0) {
		t->asked = (struct rcpt_argument){
			.forward_path = address_copy(&t->arena, &rcpt->forward_path),
			.notify = rcpt->notify,
			.orcpt = text_copy(&t->arena, rcpt->orcpt),
		};
		t->asked_number = number;
	}
	session_wait(t->session, WAIT_QUOTA);
}

/* As long as a grant is named and then denies, the policy may name another. */
static bool
transaction_offer_again(struct transaction *t, const struct rcpt_argument *rcpt,
			uint32_t number)
{
	struct facts facts = transaction_facts(t);
	struct verdict verdict;
	enum quota_answer answer;

	facts.recipient = &rcpt->forward_path;
	do {
		verdict = policy_decide_by_quota(t->server->environment.policy, &facts,
						 STAGE_RECIPIENT);
		if (verdict.kind == VERDICT_REFUSED || verdict.kind == VERDICT_DEFERRED) {
			t->asked_number = 0;
			attempt_refuse(t, number, rcpt->forward_path.text, &verdict,
				       verdict_describe(t, &facts, &verdict));
			return false;
		}
		answer = verdict.kind == VERDICT_WOULD_REFUSE ?
			     QUOTA_GRANTED :
			     transaction_quota_take(t, verdict.grant, octets_expected(t), true);
	} while (answer == QUOTA_DENIED);
	if (answer == QUOTA_PENDING) {
		t->asked_verdict = verdict;
		transaction_wait_offer(t, rcpt, number);
		return false;
	}
	t->asked_number = 0;
	transaction_add(t, rcpt, number, &verdict);
	session_say(t->session, REPLY_RECIPIENT_OK);
	return true;
}

bool
transaction_offer(struct transaction *t, const struct rcpt_argument *rcpt, uint32_t number)
{
	transaction_quota_begin(t);
	return transaction_offer_again(t, rcpt, number);
}

/* The answer for the recipient of RCPT. */
static void
transaction_offer_answered(struct transaction *t)
{
	struct session *session = t->session;
	const struct rcpt_argument rcpt = t->asked;
	uint32_t number = t->asked_number;
	bool is_accepted = t->quota.answer == QUOTA_GRANTED;

	if (is_accepted) {
		t->asked_number = 0;
		transaction_add(t, &rcpt, number, &t->asked_verdict);
		session_say(session, REPLY_RECIPIENT_OK);
	} else {
		is_accepted = transaction_offer_again(t, &rcpt, number);
	}
	if (is_accepted)
		session->state = STATE_RCPT;
}

void
attempt_refuse_for(struct transaction *t, uint32_t number, struct span recipient,
		   enum reason reason, struct span detail)
{
	const struct verdict verdict = {
		.kind = reason_verdict(t, reason),
		.reason = reason,
		.stage = STAGE_CONNECTION,
		.grant = NO_GRANT,
	};

	attempt_refuse(t, number, recipient, &verdict, detail);
}

/* --- the end of the content --- */

/* Read one field's mailboxes into list; what that means for the decision. */
static enum header_from_result
header_field_read(struct transaction *t, enum header_field field, struct address_list *list)
{
	switch (header_addresses_read(&t->header, field, &t->arena, list)) {
	case ADDRESSES_OK:
		return HEADER_FROM_READ;
	case ADDRESSES_MISSING:
		return HEADER_FROM_MISSING;
	case ADDRESSES_REPEATED:
		return HEADER_FROM_SEVERAL_FIELDS;
	case ADDRESSES_UNPARSABLE:
		break;
	}
	return HEADER_FROM_UNREADABLE;
}

/*
 * The header's facts: the mailboxes of From, and of Sender and Resent-From where these are
 * there, because whoever is named in any of them is who the reader will believe it is from.
 */
static void
authors_read(struct transaction *t)
{
	static const enum header_field fields[] = { HEADER_FROM, HEADER_SENDER,
						    HEADER_RESENT_FROM };
	struct address_list lists[ARRAY_LEN(fields)] = { { NULL, 0 } };
	struct address *all;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		enum header_from_result result = header_field_read(t, fields[i], &lists[i]);

		if (result != HEADER_FROM_READ &&
		    (i == 0 || result != HEADER_FROM_MISSING) &&
		    t->authors_result == HEADER_FROM_READ)
			t->authors_result = result;
		count += lists[i].count;
	}
	if (lists[0].count > 0)
		t->header_from = lists[0].items[0].text;
	t->authors = lists[0].items;
	t->author_count = count;
	if (count == lists[0].count)
		return;
	all = arena_new_array(&t->arena, count, sizeof(*all));
	t->authors = all;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (lists[i].count > 0)
			memcpy(all, lists[i].items, lists[i].count * sizeof(*all));
		all += lists[i].count;
	}
}

/* Take what the recipient still needs of the limits, now that the whole message is there. */
static enum quota_answer
recipient_count_now(struct transaction *t, struct recipient *recipient)
{
	size_t grant = recipient->verdict.grant;
	enum quota_answer answer = transaction_quota_take(t, grant, content_octets(t),
							  recipient->counted != grant);

	if (answer == QUOTA_GRANTED)
		recipient->counted = grant;
	return answer;
}

static void transaction_commit(struct transaction *t);

/*
 * Decide every recipient again with all that is known now. A message cannot be taken for some
 * of them and refused for others, so one refusal is all recipients'. May have to wait for the
 * shared store, and then goes on where it was.
 */
static void
transaction_judge(struct transaction *t)
{
	const struct policy *policy = t->server->environment.policy;
	struct facts facts = transaction_facts(t);

	facts.header_from_result = t->authors_result;
	facts.header_from = t->authors;
	facts.header_from_count = t->author_count;
	while (t->judged < t->recipient_count) {
		struct recipient *recipient = &t->recipients[t->judged];

		facts.recipient = &recipient->address;
		recipient->verdict = policy_decide(policy, &facts, STAGE_QUOTA);
		if (recipient->verdict.kind == VERDICT_RELAYED) {
			enum quota_answer answer = recipient_count_now(t, recipient);

			if (answer == QUOTA_PENDING) {
				session_wait(t->session, WAIT_QUOTA);
				return;
			}
			t->judged += answer == QUOTA_GRANTED;
			continue;
		}
		struct span detail = verdict_describe(t, &facts, &recipient->verdict);

		if (recipient->verdict.kind != VERDICT_WOULD_REFUSE) {
			transaction_refuse_by(t, recipient->verdict, detail);
			return;
		}
		recipient->detail = arena_copy(&t->arena, detail);
		t->judged++;
	}
	transaction_quota_settle(t, content_octets(t));
	transaction_commit(t);
}

void
transaction_quota_answered(struct transaction *t)
{
	struct session *session = t->session;

	session_note_life(session);
	session_go_on(session, WAIT_QUOTA);
	if (t->asked_number > 0) {
		transaction_offer_answered(t);
	} else {
		struct recipient *recipient = &t->recipients[t->judged];

		if (t->quota.answer == QUOTA_GRANTED) {
			recipient->counted = recipient->verdict.grant;
			t->judged++;
		}
		transaction_judge(t);
	}
	if (session->server->drains_at_once)
		session_drain(session);
}

/* --- making it durable --- */

static struct span
client_text(struct transaction *t)
{
	char text[IP_TEXT_SIZE];

	ip_text(&t->session->peer.ip, text);
	return arena_copy(&t->arena, span_of(text));
}

static const struct grant_source *
recipient_grant(const struct transaction *t, const struct recipient *recipient)
{
	size_t grant = recipient->verdict.grant;

	return grant == NO_GRANT ? NULL : policy_grant(t->server->environment.policy, grant);
}

static void
envelope_make(struct transaction *t)
{
	const struct session_next *next = &t->server->environment.next;
	struct envelope *e = &t->envelope;
	const struct line_facts *facts =
	    t->is_chunked ? &t->content.chunks.facts : &t->content.data.facts;

	*e = (struct envelope){
		.id = span_of(t->id),
		.sender = t->sender.text,
		.envid = t->envid,
		.client = client_text(t),
		.connector = t->session->settings->name,
		.login = text_copy(&t->arena, session_user(t->session)),
		.ret = t->ret,
		.body = facts->has_8bit ? BODY_8BITMIME : t->body,
		.is_smtputf8 = t->is_smtputf8,
		.needs_tls = t->needs_tls,
		.arrived_wall_ms = loop_wall_ms(t->server->environment.loop),
		.size_octets = spool_draft_octets(t->draft),
		.recipient_count = t->recipient_count,
	};
	e->recipients =
	    arena_new_array(&t->arena, t->recipient_count, sizeof(*e->recipients));
	for (uint32_t i = 0; i < t->recipient_count; i++) {
		const struct recipient *recipient = &t->recipients[i];
		const struct grant_source *grant = recipient_grant(t, recipient);

		e->recipients[i] = (struct envelope_recipient){
			.address = recipient->address.text,
			.orcpt = recipient->orcpt,
			.route = next->route_choose(next->context, grant, &t->sender,
						    &recipient->address, e->size_octets),
			.grant = grant == NULL ? (struct span){ NULL, 0 } : grant->name,
			.notify = recipient->notify,
		};
	}
}

void
transaction_record(const struct transaction *t, uint32_t i, const struct verdict *verdict,
		   struct span reply, struct span detail)
{
	recipient_record(t, &t->recipients[i], verdict, reply, detail);
}

void
transaction_succeed(struct transaction *t, struct span reply)
{
	struct session *session = t->session;
	static const struct span gone = SPAN_LITERAL("the client left before the reply");

	for (uint32_t i = 0; i < t->recipient_count; i++) {
		const struct recipient *recipient = &t->recipients[i];

		recipient_record(t, recipient, &recipient->verdict, reply,
				 session->is_ending ? gone : recipient->detail);
	}
	session_send(session, reply);
	transaction_quota_keep(t);
	session->useless = 0;
	atomic_fetch_add_explicit(&session->figures->messages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&session->figures->octets, t->envelope.size_octets,
				  memory_order_relaxed);
}

/* It is durable: it is ours now, whether the client still listens or not. */
static void
transaction_accepted(struct transaction *t, struct spool_message *message)
{
	const struct session_next *next = &t->server->environment.next;
	struct buffer *out = &t->server->reply;

	buffer_clear(out);
	(void)buffer_append_text(out, "250 2.0.0 Ok: queued as ");
	(void)buffer_append_text(out, t->id);
	(void)buffer_append_text(out, "\r\n");
	transaction_succeed(t, buffer_span(out));
	if (t->passage != NULL)
		next->passage_accepted(next->context, &t->passage, message, &t->envelope);
	else
		next->accepted(next->context, message, &t->envelope);
	transaction_free(t);
}

void
session_come_back(struct session *session)
{
	if (session->is_gone)
		session_release(session);
	else if (session->server->drains_at_once)
		session_drain(session);
}

static void
transaction_committed(void *context, enum spool_status status, struct spool_message *message)
{
	struct transaction *t = context;
	struct session *session = t->session;
	static const struct span no_detail;

	if (session == NULL) { /* nobody was told that it was taken, so it was not */
		if (message != NULL)
			spool_remove(&message);
		transaction_free(t);
		return;
	}
	t->is_committing = false;
	session_note_life(session);
	session_go_on(session, WAIT_COMMIT);
	switch (status) {
	case SPOOL_OK:
		transaction_accepted(t, message);
		break;
	case SPOOL_FULL:
		transaction_refuse(t, REASON_STORAGE_FULL, no_detail);
		break;
	case SPOOL_BROKEN:
		transaction_refuse(t, REASON_STORAGE_TROUBLE, no_detail);
		break;
	}
	session_come_back(session);
}

void
transaction_store(struct transaction *t)
{
	struct session_server *server = t->server;
	const struct session_next *next = &server->environment.next;

	buffer_clear(&server->scratch);
	buffer_clear(&server->state);
	next->state_initial(next->context, &t->envelope, &server->state);
	if (t->passage != NULL)
		next->passage_state(next->context, t->passage, &server->state);
	if (!envelope_encode(&t->envelope, &server->scratch) || server->state.is_over) {
		if (t->is_committing)
			session_go_on(t->session, WAIT_COMMIT);
		transaction_refuse(t, REASON_STORAGE_TROUBLE,
				   span_of("the envelope is too large for the spool"));
		return;
	}
	t->is_committing = true;
	session_wait(t->session, WAIT_COMMIT);
	spool_draft_commit(&t->draft, buffer_span(&server->scratch),
			   buffer_span(&server->state), transaction_committed, t);
}

static void
transaction_commit(struct transaction *t)
{
	envelope_make(t);
	if (!transaction_pass_on(t))
		transaction_store(t);
}

static void
transaction_begin_judging(struct transaction *t)
{
	authors_read(t);
	transaction_quota_begin(t);
	transaction_judge(t);
}

void
transaction_complete(struct transaction *t)
{
	struct session_server *server = t->server;
	static const struct span no_detail;
	enum reason reason;

	content_complete_header(t);
	header_block_end(&t->header);
	t->header_from = header_block_value(&t->header, HEADER_FROM);
	t->message_id = t->given_message_id.len > 0
			    ? t->given_message_id
			    : header_block_value(&t->header, HEADER_MESSAGE_ID);
	session_note_life(t->session);
	if (audit_is_broken(server->environment.audit)) {
		transaction_refuse(t, REASON_AUDIT_TROUBLE, no_detail);
		return;
	}
	buffer_clear(&server->detail);
	reason = content_judge(t, &server->detail);
	if (reason != REASON_NONE)
		transaction_refuse(t, reason, buffer_span(&server->detail));
	else
		transaction_begin_judging(t);
}

void
transaction_detach(struct transaction *t)
{
	struct session *session = t->session;

	passage_forget(t);
	transaction_quota_give_back(t);
	session->transaction = NULL;
	t->session = NULL;
	t->server = NULL;
	if (!t->is_committing || t->draft != NULL) /* unless the spool has it */
		transaction_free(t);
}
