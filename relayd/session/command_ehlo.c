/* SPDX-License-Identifier: ISC */
/* EHLO and HELO (RFC 5321 s.4.1.1.1): who the client says it is. Either starts afresh. */
#include "session/session_private.h"

#include "session/nat_sketch.h"

static bool
hello_accept(struct session *session, struct span argument, bool is_esmtp)
{
	static const struct span nothing;
	struct hello hello;

	if (hello_parse(argument, &hello) != PARSE_OK) {
		session_protest(session, REPLY_BAD_HELLO);
		return false;
	}
	session_abandon(session, REASON_SESSION_ABANDONED, nothing);
	session->is_esmtp = is_esmtp;
	if (session->introduction != NULL && session->introduction->helo.len > 0)
		hello.name = xclient_span(&session->introduction->helo);
	session->helo_len = (unsigned char)hello.name.len; /* DOMAIN_MAX at most */
	memcpy(session->helo, hello.name.ptr, hello.name.len);
	if (session->server->environment.nat != NULL)
		nat_sketch_note(session->server->environment.nat, &session->peer.ip, hello.name);
	return true;
}

/* What the connector says to everybody, and in front of its last line what is this one's. */
static struct span
hello_of(struct session *session)
{
	struct session_server *server = session->server;
	struct span common = server->texts[session->connector].hello[session_tls(session) != NULL];
	struct buffer *line = &server->scratch, *out = &server->reply;
	size_t last = common.len - 2;

	buffer_clear(line);
	if (!session_auth_offer(session, line))
		return common;
	while (last > 0 && common.ptr[last - 1] != '\n')
		last--;
	buffer_clear(out);
	(void)buffer_append(out, span_first(common, last));
	(void)reply_append_line(out, 250, buffer_span(line), false);
	(void)buffer_append(out, span_skip(common, last));
	return buffer_span(out);
}

bool
command_ehlo(struct session *session, struct span argument)
{
	if (!hello_accept(session, argument, true))
		return false;
	session_send(session, xclient_offer(session, hello_of(session)));
	return true;
}

bool
command_helo(struct session *session, struct span argument)
{
	if (!hello_accept(session, argument, false))
		return false;
	session_say(session, REPLY_HELLO);
	return true;
}
