/* SPDX-License-Identifier: ISC */
/* HELP (RFC 5321 s.4.1.1.8). */
#include "session/session_private.h"

bool
command_help(struct session *session, struct span argument)
{
	(void)argument;
	session_say(session, REPLY_HELP);
	return true;
}
