/* SPDX-License-Identifier: ISC */
/* NOOP (RFC 5321 s.4.1.1.9), with or without an argument. */
#include "session/session_private.h"

bool
command_noop(struct session *session, struct span argument)
{
	(void)argument;
	session_say(session, REPLY_NOOP);
	return true;
}
