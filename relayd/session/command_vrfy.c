/* SPDX-License-Identifier: ISC */
/*
 * VRFY and EXPN (RFC 5321 s.3.5): who exists is the next hop's to know and nobody's to
 * harvest. VRFY says that it cannot tell (s.7.3), EXPN is not there.
 */
#include "session/session_private.h"

bool
command_vrfy(struct session *session, struct span argument)
{
	if (argument.len == 0) {
		session_protest(session, REPLY_BAD_ARGUMENT);
		return false;
	}
	session_say(session, REPLY_CANNOT_VERIFY);
	return true;
}

bool
command_expn(struct session *session, struct span argument)
{
	(void)argument;
	session_protest(session, REPLY_NOT_IMPLEMENTED);
	return false;
}
