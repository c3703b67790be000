/* SPDX-License-Identifier: ISC */
/*
 * STARTTLS (RFC 3207). Its line in the command table says what must hold: only between
 * messages, and with nothing behind it in the same packet. The handshake begins when the reply
 * has left; until it is over nothing is read as a command.
 */
#include "session/session_private.h"

bool
command_starttls(struct session *session, struct span argument)
{
	if (session->tls != NULL) {
		session_protest(session, REPLY_TLS_ALREADY);
		return false;
	}
	if (!session_may_start_tls(session)) {
		session_protest(session, REPLY_NOT_IMPLEMENTED);
		return false;
	}
	if (argument.len > 0) {
		session_protest(session, REPLY_NO_ARGUMENT_ALLOWED);
		return false;
	}
	if (session->server->environment.tls == NULL) {
		session_say(session, REPLY_TLS_UNAVAILABLE);
		return false;
	}
	session_say(session, REPLY_START_TLS);
	session_wait(session, WAIT_STARTTLS);
	return true;
}
