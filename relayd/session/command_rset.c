/* SPDX-License-Identifier: ISC */
/* RSET (RFC 5321 s.4.1.1.5): the client gives up on its transaction. */
#include "session/session_private.h"

bool
command_rset(struct session *session, struct span argument)
{
	static const struct span nothing;

	if (argument.len > 0) {
		session_protest(session, REPLY_NO_ARGUMENT_ALLOWED);
		return false;
	}
	session_abandon(session, REASON_SESSION_ABANDONED, nothing);
	session_say(session, REPLY_RESET);
	return true;
}
