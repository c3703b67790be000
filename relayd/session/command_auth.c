/* SPDX-License-Identifier: ISC */
/*
 * AUTH (RFC 4954). Not offered yet. Its steps will be waits like those of the spool: the
 * session reads nothing while a helper thinks, and the next line is the client's response.
 */
#include "session/session_private.h"

bool
command_auth(struct session *session, struct span argument)
{
	(void)argument;
	session_protest(session, REPLY_AUTH_NOT_OFFERED);
	return false;
}
