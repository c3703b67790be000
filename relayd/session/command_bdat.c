/* SPDX-License-Identifier: ISC */
/*
 * BDAT (RFC 3030 s.2). Its octets follow it whether it is accepted or not, so a refused chunk
 * is read and thrown away before the refusal is said: nothing in it is ever a command.
 */
#include "session/session_private.h"

static void
chunk_refuse(struct session *session, uint64_t octets, enum reply_id reply)
{
	if (octets == 0) {
		session_protest(session, reply);
		return;
	}
	session->input = INPUT_SKIP_CHUNK;
	session->chunk_left = octets;
	session->chunk_refusal = reply;
}

bool
command_bdat(struct session *session, struct span argument)
{
	static const enum reply_id refusals[STATE_COUNT] = {
		[STATE_CONNECTED] = REPLY_HELLO_FIRST,
		[STATE_READY] = REPLY_MAIL_FIRST,
		[STATE_MAIL] = REPLY_NO_VALID_RECIPIENTS,
	};
	struct bdat_argument bdat;

	if (bdat_argument_parse(argument, &bdat) != PARSE_OK) {
		/* where its octets end, and the next command begins, nobody can tell */
		static const struct span no_id;
		struct buffer *out = &session->server->reply;

		buffer_clear(out);
		(void)reply_append(out, reply_of(REPLY_BAD_SYNTAX), no_id);
		session_end(session, REASON_SESSION_ERRORS, buffer_span(out));
		return false;
	}
	if (session->state != STATE_RCPT && session->state != STATE_CHUNKS) {
		chunk_refuse(session, bdat.octets, refusals[session->state]);
		return false;
	}
	session->state = STATE_CHUNKS;
	content_begin_chunk(session, &bdat);
	return false; /* the state is what became of the chunk */
}
