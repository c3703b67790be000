/* SPDX-License-Identifier: ISC */
/*
 * The octets of a message, on their way from the client to the spool: behind DATA or in
 * chunks (RFC 3030), which share nothing but what happens to the octets that come out.
 *
 * What a message must not be (too big, bare CR or LF, ...) is found out here while it streams
 * by, and said at its end, because only then does the client listen.
 */
#include "session/session_private.h"

#include "base/clock.h"

#include <assert.h>

#define LOCAL_HOPS_MAX 5 /* Received fields of our own; Exchange's MaxLocalHopCount */

uint64_t
content_octets(const struct transaction *t)
{
	if (!t->has_content)
		return 0;
	return t->is_chunked ? t->content.chunks.octets : t->content.data.octets;
}

static const struct line_facts *
content_facts(const struct transaction *t)
{
	return t->is_chunked ? &t->content.chunks.facts : &t->content.data.facts;
}

/* --- where the octets go --- */

/* The spool has caught up. */
static void
content_resume(void *context)
{
	struct session *session = context;

	session_go_on(session, WAIT_SPOOL);
	if (session->input == INPUT_CHUNK && session->chunk_left == 0) {
		struct span nothing = { .ptr = NULL, .len = 0 };

		content_take_chunk(session, &nothing);
	}
}

/* Give up the draft. If it was waited for, nobody will say any more that it may go on. */
static void
content_drop(struct transaction *t)
{
	spool_draft_drop(&t->draft);
	if (t->session != NULL && (t->session->waits & WAIT_SPOOL) != 0)
		session_go_on(t->session, WAIT_SPOOL);
}

static void
content_store(struct transaction *t, struct span bytes)
{
	if (!spool_draft_append(t->draft, bytes, content_resume, t->session))
		session_wait(t->session, WAIT_SPOOL);
}

/*
 * The fields that every message must have (RFC 5322 s.3.6) and that this one lacks. Where the
 * header is none nobody knows where they would belong. Lives until the scratch is used again.
 */
static struct span
header_lack(struct transaction *t)
{
	const struct session *session = t->session;
	struct buffer *out = &session->server->scratch;

	buffer_clear(out);
	if (t->header.is_malformed || t->header.is_too_big)
		return buffer_span(out);
	if (t->header.counts[HEADER_MESSAGE_ID] == 0) {
		(void)buffer_printf(out, "<%s@" SPAN_FMT ">", t->id,
				    SPAN_ARG(session->settings->hostname));
		t->given_message_id = arena_copy(&t->arena, buffer_span(out));
		buffer_clear(out);
		(void)buffer_printf(out, "Message-ID: " SPAN_FMT "\r\n",
				    SPAN_ARG(t->given_message_id));
	}
	if (t->header.counts[HEADER_DATE] == 0) {
		(void)buffer_append_text(out, "Date: ");
		(void)clock_rfc5322(loop_wall_ms(session->server->environment.loop), out);
		(void)buffer_append_text(out, "\r\n");
	}
	return buffer_span(out);
}

#define PIECES_MAX 4 /* that become one */

struct pieces {
	struct span spans[PIECES_MAX];
	size_t count;
	size_t octets;
};

static void
piece_add(struct pieces *pieces, struct span piece)
{
	if (piece.len == 0)
		return;
	assert(pieces->count < PIECES_MAX);
	pieces->spans[pieces->count++] = piece;
	pieces->octets += piece.len;
}

/* All of them at once: whoever is told to wait may not go on with the next. */
static void
pieces_store(struct transaction *t, const struct pieces *pieces)
{
	struct buffer whole;

	if (pieces->count == 0)
		return;
	if (pieces->count == 1) {
		content_store(t, pieces->spans[0]);
		return;
	}
	buffer_init(&whole, pieces->octets);
	for (size_t i = 0; i < pieces->count; i++)
		(void)buffer_append(&whole, pieces->spans[i]);
	content_store(t, buffer_span(&whole));
	buffer_reset(&whole);
}

static const struct span header_cr = SPAN_LITERAL("\r");

/* The CR that was held because it might be the empty line's, if one was. */
static struct span
held_cr_take(struct transaction *t)
{
	static const struct span nothing;
	bool holds = t->holds_cr;

	t->holds_cr = false;
	return holds ? header_cr : nothing;
}

/* More of the header. A CR at its end may belong to the empty line and is held. */
static void
header_store(struct transaction *t, struct span bytes)
{
	struct pieces pieces = { .count = 0 };

	piece_add(&pieces, held_cr_take(t));
	if (bytes.len > 0 && bytes.ptr[bytes.len - 1] == '\r') {
		t->holds_cr = true;
		bytes.len--;
	}
	piece_add(&pieces, bytes);
	if (pieces.count > 0) {
		struct span last = pieces.spans[pieces.count - 1];

		t->header_ends_line = last.ptr[last.len - 1] == '\n';
	}
	pieces_store(t, &pieces);
}

/* The header ends in the octets-th of these bytes: what it lacks goes before the empty line. */
static void
header_end_store(struct transaction *t, struct span bytes, size_t octets)
{
	struct pieces pieces = { .count = 0 };
	size_t line = octets;

	if (line > 0 && bytes.ptr[line - 1] == '\n')
		line--;
	if (line > 0 && bytes.ptr[line - 1] == '\r')
		line--;
	if (octets > 1 || bytes.ptr[0] != '\n') /* the CR held is not the empty line's */
		piece_add(&pieces, held_cr_take(t));
	if (t->header.counts[HEADER_MESSAGE_ID] > 0 && t->header.counts[HEADER_DATE] > 0) {
		piece_add(&pieces, held_cr_take(t));
		piece_add(&pieces, bytes);
	} else {
		piece_add(&pieces, span_first(bytes, line));
		piece_add(&pieces, header_lack(t));
		piece_add(&pieces, held_cr_take(t));
		piece_add(&pieces, span_skip(bytes, line));
	}
	pieces_store(t, &pieces);
}

/* It is over and goes to the disk: no need to wait for the spool any more. */
void
content_complete_header(struct transaction *t)
{
	if (!t->has_content || !t->wants_header || t->draft == NULL)
		return;

	bool breaks_line = t->header.octets > 0 && !t->header_ends_line;
	struct span rest[] = { held_cr_take(t), breaks_line ? span_of("\r\n") : span_of(NULL),
			       header_lack(t) };
	struct buffer whole;

	buffer_init(&whole, 2 * DETAIL_MAX);
	for (size_t i = 0; i < ARRAY_LEN(rest); i++)
		(void)buffer_append(&whole, rest[i]);
	if (whole.len > 0)
		(void)spool_draft_append(t->draft, buffer_span(&whole), content_resume,
					 t->session);
	buffer_reset(&whole);
}

static void
content_add(struct transaction *t, struct span bytes)
{
	bool is_header = t->wants_header;
	size_t before = t->header.octets;

	if (is_header)
		t->wants_header = header_block_add(&t->header, bytes);
	if (t->is_too_big)
		return;
	if (content_octets(t) > t->session->settings->message_octets_max) {
		t->is_too_big = true;
		content_drop(t);
		return;
	}
	if (!is_header)
		content_store(t, bytes);
	else if (t->wants_header)
		header_store(t, bytes);
	else
		header_end_store(t, bytes, t->header.octets - before);
}

/* Our Received field; it names a recipient only when there is no other (RFC 5321 s.7.6). */
static struct span
received_make(const struct transaction *t)
{
	const struct session *session = t->session;
	const struct session_settings *settings = session->settings;
	const struct tls_facts *tls = session_tls(session);
	struct buffer *out = &session->server->scratch;
	const struct received received = {
		.helo = { .ptr = session->helo, .len = session->helo_len },
		.ip = settings->hides_client ? NULL : &session->peer.ip,
		.host = settings->hostname,
		.is_esmtp = session->is_esmtp,
		.is_smtputf8 = t->is_smtputf8,
		.is_authenticated = session->login != NULL,
		.is_tls = tls != NULL,
		.cipher = span_of(tls == NULL ? NULL : tls->cipher),
		.tls_version = span_of(tls == NULL ? NULL : tls->version),
		.id = span_of(t->id),
		.recipient = t->recipient_count == 1 ? t->recipients[0].address.text :
						       (struct span){ NULL, 0 },
		.wall_ms = loop_wall_ms(session->server->environment.loop),
	};

	buffer_clear(out);
	(void)received_append(out, &received);
	return buffer_span(out);
}

void
content_begin(struct transaction *t, bool is_chunked)
{
	const struct session *session = t->session;
	const struct connector_texts *texts = &session->server->texts[session->connector];

	t->has_content = true;
	t->is_chunked = is_chunked;
	if (is_chunked)
		bdat_stream_init(&t->content.chunks);
	else
		data_stream_init(&t->content.data,
				 session->settings->bare_newline == BARE_NEWLINE_NORMALISE ?
				     DATA_NORMALISE : DATA_REFUSE);
	header_block_init(&t->header, texts->own_token);
	t->wants_header = true;
	t->draft = spool_draft_new(session->server->environment.spool);
	content_store(t, received_make(t));
}

void
content_reset(struct transaction *t)
{
	content_drop(t);
	if (t->has_content)
		header_block_reset(&t->header);
	t->has_content = false;
}

/* --- DATA --- */

void
content_take_data(struct session *session, struct span *in)
{
	struct transaction *t = session->transaction;
	struct span run;

	while (session->waits == 0) {
		switch (data_stream_take(&t->content.data, in, &run)) {
		case DATA_RUN:
			content_add(t, run);
			break;
		case DATA_MORE:
			return;
		case DATA_ENDED:
			session->input = INPUT_COMMAND;
			transaction_complete(t);
			return;
		}
	}
}

/* --- BDAT --- */

static void
chunk_ended(struct session *session)
{
	struct transaction *t = session->transaction;

	session->input = INPUT_COMMAND;
	session_note_life(session);
	if (session->chunk_is_last) {
		bdat_stream_end(&t->content.chunks);
		transaction_complete(t);
	} else if (t->is_too_big) {
		transaction_complete(t);
	} else {
		session_say(session, REPLY_CHUNK_OK);
	}
}

void
content_begin_chunk(struct session *session, const struct bdat_argument *bdat)
{
	struct transaction *t = session->transaction;
	uint64_t max = session->settings->message_octets_max;

	if (!t->has_content)
		content_begin(t, true);
	session->input = INPUT_CHUNK;
	session->chunk_left = bdat->octets;
	session->chunk_is_last = bdat->is_last;
	if (!t->is_too_big && (bdat->octets > max || content_octets(t) > max - bdat->octets)) {
		t->is_too_big = true;
		content_drop(t);
	}
	if (bdat->octets == 0 && session->waits == 0)
		chunk_ended(session);
}

void
content_take_chunk(struct session *session, struct span *in)
{
	struct transaction *t = session->transaction;
	struct span bytes = span_first(*in, in->len < session->chunk_left ?
						in->len : (size_t)session->chunk_left);

	*in = span_skip(*in, bytes.len);
	session->chunk_left -= bytes.len;
	if (bytes.len > 0) {
		bdat_stream_add(&t->content.chunks, bytes);
		content_add(t, bytes);
	}
	if (session->chunk_left == 0 && session->waits == 0)
		chunk_ended(session);
}

/* --- judging --- */

static bool
content_is_bare(const struct transaction *t)
{
	/* BDAT passes octets on as they are; delivery makes line ends of them */
	if (t->session->settings->bare_newline == BARE_NEWLINE_NORMALISE)
		return false;
	return t->is_chunked ? t->content.chunks.has_bare : t->content.data.has_bare;
}

/* Where what began as a header is none, there is no telling how long it is. */
static bool
header_is_too_big(const struct transaction *t)
{
	return !t->header.is_malformed &&
	       (t->header.is_too_big ||
		t->header.octets > t->session->settings->header_octets_max);
}

/* The recipient that it was delivered to before; NULL: none. */
static const struct recipient *
delivered_find(const struct transaction *t)
{
	for (uint32_t i = 0; i < t->recipient_count; i++) {
		if (header_block_was_delivered_to(&t->header, t->recipients[i].address.text))
			return &t->recipients[i];
	}
	return NULL;
}

enum reason
content_judge(const struct transaction *t, struct buffer *detail)
{
	const struct session_settings *settings = t->session->settings;
	const struct line_facts *facts = content_facts(t);
	unsigned hops = t->header.counts[HEADER_RECEIVED];

	if (t->is_too_big) {
		(void)buffer_printf(detail, "more than %llu octets",
				    (unsigned long long)settings->message_octets_max);
		return REASON_MESSAGE_SIZE;
	}
	if (content_is_bare(t)) {
		(void)buffer_append_text(detail, "a CR or LF stands alone");
		return REASON_MESSAGE_BARE_CRLF;
	}
	if (facts->has_nul) {
		(void)buffer_append_text(detail, "a NUL octet");
		return REASON_MESSAGE_NUL;
	}
	if (facts->longest > TEXT_LINE_MAX) {
		(void)buffer_printf(detail, "a line of %zu octets", facts->longest);
		return REASON_MESSAGE_LINE;
	}
	if (header_is_too_big(t)) {
		(void)buffer_printf(detail, "the header has more than %llu octets",
				    (unsigned long long)settings->header_octets_max);
		return REASON_MESSAGE_HEADER;
	}
	if (hops > settings->hops_max || t->header.own_hops > LOCAL_HOPS_MAX) {
		(void)buffer_printf(detail, "%u Received fields, %u of them ours", hops,
				    t->header.own_hops);
		return REASON_MESSAGE_LOOP;
	}
	const struct recipient *delivered = delivered_find(t);

	if (delivered != NULL) {
		(void)buffer_printf(detail, "Delivered-To: " SPAN_FMT,
				    SPAN_ARG(delivered->address.text));
		return REASON_MESSAGE_LOOP;
	}
	return REASON_NONE;
}
