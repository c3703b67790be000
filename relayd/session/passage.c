/* SPDX-License-Identifier: ISC */
/*
 * Messages that are passed on while their client waits (cut-through): what the next hop said
 * is what the client hears, or else the message is stored like any other. Success is reported
 * after the next hop's 250 or after the sync, refusal only when nobody was taken.
 */
#include "session/session_private.h"

#include <assert.h>

/* Replies that may answer the end of the data; RFC 5321 s.4.3.2 and s.4.2.3. */
#define REFUSAL_FIRST 550
#define REFUSAL_LAST  554
#define REFUSAL_OTHER 554

static const struct span client_left = SPAN_LITERAL("the client left before the reply");

/* ---- Replies ---- */

/*
 * "550 5.1.1 No such user", or without the code. Codes that mean something else to whoever
 * hears them behind a message (530 and 535 would have the client log in with us) become 554.
 */
static void
refusal_parse(struct span words, struct reply *reply, struct span *text)
{
	uint64_t code;

	*reply = (struct reply){ .code = REFUSAL_OTHER, .enhanced = { 5, 0, 0 } };
	if (words.len > 3 && words.ptr[3] == ' ' &&
	    number_parse(span_first(words, 3), 599, &code) == PARSE_OK) {
		words = span_skip(words, 4);
		if (code >= REFUSAL_FIRST && code <= REFUSAL_LAST)
			reply->code = (uint16_t)code;
	}
	(void)enhanced_code_take(&words, reply->code, &reply->enhanced);
	*text = words;
}

/* Only registered codes in that style (docs/exchange.md): 5.7.367 is none. */
static void
refusal_suit(enum reply_style style, struct enhanced_code *enhanced)
{
	if (style == REPLY_STYLE_STANDARD && enhanced->subject == 7 && enhanced->detail == 367)
		enhanced->detail = 1;
}

/* The next hop's words, unless the configuration has others. */
static struct span
refusal_make(struct transaction *t, struct span words)
{
	struct session *session = t->session;
	const struct reply_wording *wording = t->server->environment.wording;
	struct buffer *out = &t->server->reply;
	struct reply reply;
	struct span text;

	if (wording->instead[REASON_NEXT_HOP_REFUSED].text != NULL)
		return session_reply_make(session,
					  session_reason(session, REASON_NEXT_HOP_REFUSED),
					  span_of(t->id));
	refusal_parse(words, &reply, &text);
	refusal_suit(wording->style, &reply.enhanced);
	buffer_clear(&t->server->scratch);
	(void)buffer_append(&t->server->scratch, text);
	reply.text = text.len == 0
			 ? session_reason(session, REASON_NEXT_HOP_REFUSED)->text
			 : buffer_text(&t->server->scratch);
	buffer_clear(out);
	(void)reply_append(out, &reply, span_of(t->id));
	return buffer_span(out);
}

/* Its own name for the message helps whoever looks for it there. */
static struct span
success_make(struct transaction *t, struct span words)
{
	struct buffer *out = &t->server->reply;
	struct reply reply = { 250, { 2, 0, 0 }, NULL };
	static const struct span no_id;

	buffer_clear(&t->server->scratch);
	(void)buffer_append_text(&t->server->scratch, "Ok: passed on as ");
	(void)buffer_append_text(&t->server->scratch, t->id);
	(void)buffer_append_text(&t->server->scratch, ", next hop: ");
	(void)buffer_append(&t->server->scratch, words);
	reply.text = buffer_text(&t->server->scratch);
	buffer_clear(out);
	(void)reply_append(out, &reply, no_id);
	return buffer_span(out);
}

/* ---- Ends ---- */

static void
passage_refused(struct transaction *t, const struct passage_recipient *recipients,
		bool has_left)
{
	struct session *session = t->session;
	struct span reply = refusal_make(t, recipients[0].reply);

	for (uint32_t i = 0; i < t->recipient_count; i++) {
		struct verdict verdict = t->recipients[i].verdict;

		verdict.kind = VERDICT_REFUSED;
		verdict.reason = REASON_NEXT_HOP_REFUSED;
		transaction_record(t, i, &verdict, reply,
				   has_left ? client_left : recipients[i].reply);
	}
	transaction_free(t);
	session_send(session, reply);
}

/* Nobody heard that it was taken, so only those have it whom the next hop took. */
static void
passage_abandoned(struct transaction *t, const struct passage_recipient *recipients)
{
	static const struct span nothing;
	bool is_taken = false;

	for (uint32_t i = 0; i < t->recipient_count; i++) {
		struct verdict verdict = t->recipients[i].verdict;

		if (recipients[i].result == PASSAGE_REFUSED) {
			verdict.kind = VERDICT_REFUSED;
			verdict.reason = REASON_NEXT_HOP_REFUSED;
		} else if (recipients[i].result == PASSAGE_OPEN) {
			verdict.kind = VERDICT_DEFERRED;
			verdict.reason = REASON_SESSION_ABANDONED;
		}
		is_taken = is_taken || recipients[i].result == PASSAGE_TAKEN;
		transaction_record(t, i, &verdict, nothing, client_left);
	}
	if (is_taken)
		transaction_quota_keep(t);
	transaction_free(t); /* drops the passage */
}

static void
passage_ended(void *context, enum passage_result all,
	      const struct passage_recipient *recipients)
{
	struct transaction *t = context;
	struct session *session = t->session;

	bool has_left = session->is_ending || stream_peer_has_left(&session->stream);

	session_note_life(session);
	if (all == PASSAGE_OPEN && !has_left) {
		transaction_store(t);
		return;
	}
	t->is_committing = false;
	session_go_on(session, WAIT_COMMIT);
	switch (all) {
	case PASSAGE_TAKEN:
		t->passage = NULL;
		transaction_succeed(t, success_make(t, recipients[0].reply));
		transaction_free(t);
		break;
	case PASSAGE_REFUSED:
		t->passage = NULL;
		passage_refused(t, recipients, has_left);
		break;
	case PASSAGE_OPEN:
		passage_abandoned(t, recipients);
		break;
	}
	session_come_back(session);
}

/* ---- The beginning ---- */

bool
transaction_pass_on(struct transaction *t)
{
	const struct session_next *next = &t->server->environment.next;

	if (next->pass_on == NULL || t->server->drains_at_once)
		return false;
	for (uint32_t i = 0; i < t->recipient_count; i++) {
		if (t->recipients[i].verdict.kind != VERDICT_RELAYED)
			return false;
	}
	t->passage = next->pass_on(next->context, &t->envelope, t->draft, passage_ended, t);
	if (t->passage == NULL)
		return false;
	t->is_committing = true;
	session_wait(t->session, WAIT_COMMIT);
	return true;
}
