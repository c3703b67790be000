/* SPDX-License-Identifier: ISC */
/* EHLO and HELO (RFC 5321 s.4.1.1.1): who the client says it is. Either starts afresh. */
#include "session/session_private.h"

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
	session->helo_len = (unsigned char)hello.name.len; /* DOMAIN_MAX at most */
	memcpy(session->helo, hello.name.ptr, hello.name.len);
	return true;
}

bool
command_ehlo(struct session *session, struct span argument)
{
	if (!hello_accept(session, argument, true))
		return false;
	session_send(session, session->server->texts[session->connector].hello[session->tls != NULL]);
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
