/* SPDX-License-Identifier: ISC */
/* QUIT (RFC 5321 s.4.1.1.10): goodbye. What is behind it is not looked at. */
#include "session/session_private.h"

bool
command_quit(struct session *session, struct span argument)
{
	static const struct span nothing;

	if (argument.len > 0) {
		session_protest(session, REPLY_NO_ARGUMENT_ALLOWED);
		return false;
	}
	session_abandon(session, REASON_SESSION_ABANDONED, nothing);
	session_say(session, REPLY_CLOSING);
	session_end(session, REASON_SESSION_ABANDONED, nothing);
	return true;
}
