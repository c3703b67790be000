/* SPDX-License-Identifier: ISC */
/* DATA (RFC 5321 s.4.1.1.4): what follows is the message, up to CRLF.CRLF. */
#include "session/session_private.h"

bool
command_data(struct session *session, struct span argument)
{
	if (argument.len > 0) {
		session_protest(session, REPLY_NO_ARGUMENT_ALLOWED);
		return false;
	}
	content_begin(session->transaction, false);
	session->input = INPUT_DATA;
	session_say(session, REPLY_START_DATA);
	return true;
}
