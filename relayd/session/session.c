/* SPDX-License-Identifier: ISC */
/*
 * One client's connection: what its octets are for, replies in order, time. The stream hands
 * over octets; they are command lines or parts of a message, as session->input says, until
 * something has to be waited for. Then nothing is read, so nothing piles up.
 *
 * Time (RFC 5321 s.4.5.3.2): a command line, or PROGRESS_OCTETS of a message, must come within
 * the inactivity time; octets that drip in do not prolong it. The timer is not moved by what
 * the client does: when it fires it looks at how long ago that was.
 */
#include "session/session_private.h"

#include "auth/exchange.h"
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* --- replies --- */

/* How long it waits in the tarpit. Those who have logged in do not. */
static int64_t
reply_delay_ms(const struct session *session, struct span reply)
{
	bool is_refusal = reply.len > 0 && reply.ptr[0] == '5';

	return is_refusal && session->login == NULL ? session->settings->tarpit_ms : 0;
}

void
session_send(struct session *session, struct span reply)
{
	session_send_late(session, reply, 0);
}

/* Behind a reply that was the last one of its kind. */
static void
session_bid_farewell(struct session *session)
{
	if (session->farewell != REASON_NONE)
		session_turn_away(session, session->farewell, "its logins fail too often");
}

void
session_send_late(struct session *session, struct span reply, int64_t delay_ms)
{
	int64_t tarpit_ms = reply_delay_ms(session, reply);

	if (session->is_ending)
		return;
	if (delay_ms < tarpit_ms)
		delay_ms = tarpit_ms;
	if (delay_ms == 0) {
		(void)stream_write(&session->stream, reply);
		session_bid_farewell(session);
		return;
	}
	assert(session->held == NULL);
	session->held = memory_copy_text(reply);
	session->held_len = reply.len;
	session_wait(session, WAIT_TARPIT);
	loop_timer_set(session->server->environment.loop, &session->timer, delay_ms);
}

/* The reply that waits in the tarpit, if any, leaves now. */
static void
session_send_held(struct session *session)
{
	if (session->held == NULL)
		return;
	(void)stream_write(&session->stream,
			   (struct span){ .ptr = session->held, .len = session->held_len });
	free(session->held);
	session->held = NULL;
}

static struct span
reply_make(struct session *session, enum reply_id reply)
{
	struct buffer *out = &session->server->reply;
	static const struct span no_id;

	buffer_clear(out);
	(void)reply_append_host(out, reply, session->settings->hostname, no_id);
	return buffer_span(out);
}

const struct reason_reply *
session_reason(const struct session *session, enum reason reason)
{
	return wording_reply(session->server->environment.wording, reason);
}

struct span
session_reply_make(struct session *session, const struct reason_reply *entry,
		   struct span id)
{
	struct session_server *server = session->server;
	const struct reply reply = {
		.code = entry->code,
		.enhanced = { entry->enhanced[0], entry->enhanced[1], entry->enhanced[2] },
		.text = entry->text,
	};

	buffer_clear(&server->reply);
	(void)reply_append(&server->reply, &reply, id);
	return buffer_span(&server->reply);
}

void
session_say(struct session *session, enum reply_id reply)
{
	session_send(session, reply_make(session, reply));
}

bool
session_count_error(struct session *session)
{
	uint32_t max = session->settings->protocol_errors_max;

	session->errors++;
	if (max == 0 || session->errors <= max)
		return true;
	session_turn_away(session, REASON_SESSION_ERRORS, "too many protocol errors");
	return false;
}

void
session_protest(struct session *session, enum reply_id reply)
{
	if (session_count_error(session))
		session_say(session, reply);
}

bool
session_may_dawdle(struct session *session)
{
	return ++session->useless <= USELESS_MAX || session_count_error(session);
}

/* --- waiting --- */

void
session_wait(struct session *session, enum session_wait wait)
{
	session->waits |= wait;
	stream_pause(&session->stream);
}

void
session_go_on(struct session *session, enum session_wait wait)
{
	session->waits &= ~(unsigned)wait;
	if (session->waits == 0)
		stream_resume(&session->stream);
}

void
session_note_life(struct session *session)
{
	session->alive_ms = loop_now_ms(session->server->environment.loop);
	session->progress_octets = 0;
}

/* --- the end --- */

void
session_end(struct session *session, enum reason reason, struct span last_words)
{
	session_send_held(session);
	session_auth_end(session);
	session->waits = 0;
	if (!session->is_ending && last_words.len > 0 && !session_awaits_tls(session))
		(void)stream_write(&session->stream, last_words);
	session->is_ending = true;
	session_abandon(session, reason, last_words);
	stream_close_when_drained(&session->stream);
	loop_timer_set(session->server->environment.loop, &session->timer, SESSION_ENDING_MS);
}

void
session_turn_away(struct session *session, enum reason reason, const char *detail)
{
	struct span reply = session_reply_make(session, session_reason(session, reason),
					       span_of(session->id));

	if (session->transaction == NULL || session->transaction->recipient_count == 0)
		session_record_connect(session, reason, reply, span_of(detail));
	session_end(session, reason, reply);
}

/*
 * We say goodbye, and nobody was refused anything. Only what was under way is recorded, and so
 * only then is there an id to ask by.
 */
static void
session_say_goodbye(struct session *session, enum reason reason)
{
	const struct transaction *t = session->transaction;
	const char *id = t == NULL || t->recipient_count == 0 ? NULL : t->id;

	session_end(session, reason,
		    session_reply_make(session, session_reason(session, reason), span_of(id)));
}

void
session_drain(struct session *session)
{
	if (session->is_ending || session->transaction != NULL)
		return;
	if ((session->waits & WAIT_HANDSHAKE) != 0) { /* nothing can be said now */
		stream_close(&session->stream);
		session_release(session);
		return;
	}
	session_say_goodbye(session, REASON_SESSION_SHUTDOWN);
}

/* --- time --- */

/* When the session is over if nothing happens; INT64_MAX: never. */
static int64_t
session_due_ms(const struct session *session)
{
	const struct session_settings *settings = session->settings;
	int64_t due = INT64_MAX;

	if (settings->connection_ms > 0)
		due = session->opened_ms + settings->connection_ms;
	if (settings->inactivity_ms > 0 && session->alive_ms + settings->inactivity_ms < due)
		due = session->alive_ms + settings->inactivity_ms;
	if ((session->waits & WAIT_HANDSHAKE) != 0 &&
	    session->alive_ms + SESSION_SHAKING_MS < due)
		due = session->alive_ms + SESSION_SHAKING_MS;
	return due;
}

void
session_set_timer(struct session *session)
{
	struct loop *loop = session->server->environment.loop;
	int64_t due = session_due_ms(session), now = loop_now_ms(loop);

	if (due == INT64_MAX)
		loop_timer_cancel(loop, &session->timer);
	else
		loop_timer_set(loop, &session->timer, due > now ? due - now : 0);
}

void
session_timer_expired(struct loop_timer *timer)
{
	struct session *session = LIST_OWNER(timer, struct session, timer);
	int64_t now = loop_now_ms(session->server->environment.loop);

	if (session->is_ending) { /* it does not take our last words */
		stream_close(&session->stream);
		session_release(session);
		return;
	}
	if ((session->waits & WAIT_TARPIT) != 0) {
		session_send_held(session);
		session_note_life(session);
		session_set_timer(session);
		session_go_on(session, WAIT_TARPIT);
		session_bid_farewell(session);
		return;
	}
	if ((session->waits & (WAIT_COMMIT | WAIT_SPOOL | WAIT_AUTH | WAIT_QUOTA)) != 0)
		session->alive_ms = now; /* it is we who are slow */
	if ((session->waits & WAIT_COMMIT) != 0) {
		loop_timer_set(session->server->environment.loop, &session->timer, 1000);
		return;
	}
	if (now < session_due_ms(session))
		session_set_timer(session);
	else if ((session->waits & WAIT_HANDSHAKE) != 0)
		session_fail_tls(session, "TLS handshake: not finished in time");
	else
		session_say_goodbye(session, REASON_SESSION_TIMEOUT);
}

/* --- octets --- */

/*
 * Take a line off the front. It ends with CRLF and nothing else: a lone CR or LF in it is a
 * byte that no command may hold. Nothing is taken while it is incomplete; once it has more
 * than max octets, the rest of it is skipped.
 */
static bool
line_take(struct session *session, struct span *in, size_t max, enum reply_id too_long,
	  struct span *line)
{
	struct span window = span_first(*in, max);
	size_t end = 0;

	for (;;) {
		end += span_find(span_skip(window, end), '\n');
		if (end == window.len || (end > 0 && window.ptr[end - 1] == '\r'))
			break;
		end++;
	}
	if (end < window.len) {
		*in = span_skip(*in, end + 1);
		*line = span_first(window, end - 1);
		session->behind = in->len;
		session_note_life(session);
		return true;
	}
	if (window.len < max)
		return false;
	session->input = INPUT_SKIP_LINE;
	session->line_refusal = too_long;
	session->skip_has_cr = window.ptr[window.len - 1] == '\r';
	*in = span_skip(*in, window.len);
	return false;
}

static void
command_take(struct session *session, struct span *in)
{
	struct span line;

	if (line_take(session, in, COMMAND_LINE_MAX, REPLY_LINE_TOO_LONG, &line))
		session_run_command(session, line);
}

/* A line in answer to a challenge: longer than any command, and a secret. */
static void
auth_line_take(struct session *session, struct span *in)
{
	struct span line;

	stream_input_is_secret(&session->stream);
	if (line_take(session, in, AUTH_LINE_MAX, REPLY_AUTH_LINE_TOO_LONG, &line))
		session_auth_line(session, line);
}

/* The line was too long: throw it away to its CRLF, then say so. */
static void
line_skip(struct session *session, struct span *in)
{
	while (in->len > 0) {
		size_t at = span_find(*in, '\n');

		if (at == in->len) {
			session->skip_has_cr = in->ptr[at - 1] == '\r';
			*in = span_skip(*in, at);
			return;
		}
		bool is_end = at > 0 ? in->ptr[at - 1] == '\r' : session->skip_has_cr;

		session->skip_has_cr = false;
		*in = span_skip(*in, at + 1);
		if (is_end) {
			session->input = INPUT_COMMAND;
			session_note_life(session);
			session_auth_end(session);
			session_protest(session, session->line_refusal);
			return;
		}
	}
}

/* A chunk that is refused is consumed all the same (RFC 3030 s.2), then answered. */
static void
chunk_skip(struct session *session, struct span *in)
{
	size_t n = in->len < session->chunk_left ? in->len : (size_t)session->chunk_left;

	*in = span_skip(*in, n);
	session->chunk_left -= n;
	if (session->chunk_left > 0)
		return;
	session->input = INPUT_COMMAND;
	session_note_life(session);
	/* a client that pipelines its chunks cannot know yet that they are in vain */
	if (session_may_dawdle(session))
		session_say(session, session->chunk_refusal);
}

/* A message, or what is skipped, is on its way: enough of it is a sign of life. */
static void
session_note_progress(struct session *session, size_t octets)
{
	session->progress_octets += octets;
	if (session->progress_octets >= PROGRESS_OCTETS)
		session_note_life(session);
}

static void
session_take(struct session *session, struct span *in)
{
	size_t before = in->len;

	switch (session->input) {
	case INPUT_COMMAND:
		command_take(session, in);
		return;
	case INPUT_AUTH:
		auth_line_take(session, in);
		return;
	case INPUT_SKIP_LINE:
		if (session->auth != NULL)
			stream_input_is_secret(&session->stream);
		line_skip(session, in);
		return; /* a line without end is no sign of life */
	case INPUT_DATA:
		content_take_data(session, in);
		break;
	case INPUT_CHUNK:
		content_take_chunk(session, in);
		break;
	case INPUT_SKIP_CHUNK:
		chunk_skip(session, in);
		break;
	}
	session_note_progress(session, before - in->len);
}

static size_t
session_received(struct stream *stream, struct span bytes)
{
	struct session *session = LIST_OWNER(stream, struct session, stream);
	const struct session_server *server = session->server;
	struct span rest = bytes;

	while (rest.len > 0 && session->waits == 0 && !session->is_ending) {
		size_t before = rest.len;

		session_take(session, &rest);
		if (rest.len == before)
			break;
		if (server->drains_at_once)
			session_drain(session);
		if (stream_unsent(stream) >= SESSION_OUTPUT_FULL && !session->is_ending)
			session_wait(session, WAIT_OUTPUT);
	}
	return bytes.len - rest.len;
}

/* The client left; what it had been promised for is recorded. */
static void
session_ended(struct stream *stream, enum stream_end how)
{
	struct session *session = LIST_OWNER(stream, struct session, stream);
	static const struct span nothing;

	(void)how;
	if ((session->waits & WAIT_HANDSHAKE) != 0)
		session_note_tls_failure(session, "TLS handshake: the connection broke");
	session->is_ending = true;
	session_abandon(session, REASON_SESSION_ABANDONED, nothing);
	session_release(session);
}

static void
session_drained(struct stream *stream)
{
	struct session *session = LIST_OWNER(stream, struct session, stream);

	static const struct span nothing;

	if (!stream_is_open(stream)) {
		session_release(session);
		return;
	}
	if ((session->waits & WAIT_OUTPUT) != 0)
		session_go_on(session, WAIT_OUTPUT);
	if ((session->waits & WAIT_STARTTLS) != 0)
		session_begin_tls(session, nothing);
}

const struct stream_events session_stream_events = {
	.received = session_received,
	.ended = session_ended,
	.drained = session_drained,
};

void
session_greet(struct session *session)
{
	session_note_life(session);
	session->opened_ms = session->alive_ms;
	if (session_awaits_tls(session)) {
		session_begin_tls(session, (struct span){ NULL, 0 });
		return;
	}
	session_set_timer(session);
	session_say(session, REPLY_BANNER);
}
