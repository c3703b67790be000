/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS (RFC 3207). Not offered yet. Its line in the command table already says what must
 * hold: only between messages, with nothing behind it in the same packet, and then the session
 * begins again without anything it was told in clear.
 */
#include "session/session_private.h"

bool
command_starttls(struct session *session, struct span argument)
{
	(void)argument;
	session_protest(session, REPLY_NOT_IMPLEMENTED);
	return false;
}
