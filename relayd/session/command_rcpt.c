/* SPDX-License-Identifier: ISC */
/* RCPT (RFC 5321 s.4.1.1.3; DSN's parameters, RFC 3461): here the policy is asked. */
#include "session/session_private.h"

#define ATTEMPTS_MAX 10000 /* in one transaction, accepted or not; each leaves a record */

static enum reply_id
argument_reply(enum argument_status status)
{
	switch (status) {
	case ARGUMENT_OK:
	case ARGUMENT_BAD_SYNTAX:
		break;
	case ARGUMENT_BAD_ADDRESS:
		return REPLY_BAD_RECIPIENT;
	case ARGUMENT_NEEDS_SMTPUTF8:
		return REPLY_NEEDS_SMTPUTF8;
	case ARGUMENT_BAD_PARAMETER:
		return REPLY_BAD_PARAMETER;
	case ARGUMENT_DUPLICATE_PARAMETER:
		return REPLY_DUPLICATE_PARAMETER;
	case ARGUMENT_UNKNOWN_PARAMETER:
		return REPLY_UNKNOWN_PARAMETER;
	}
	return REPLY_BAD_SYNTAX;
}

bool
command_rcpt(struct session *session, struct span argument)
{
	struct transaction *t = session->transaction;
	uint32_t max = session->settings->recipients_max;
	static const struct span no_detail;
	struct rcpt_argument rcpt;
	enum argument_status status = rcpt_argument_parse(argument, t->is_smtputf8, &rcpt);

	if (status != ARGUMENT_OK) {
		session_protest(session, argument_reply(status));
		return false;
	}
	if (t->attempts >= ATTEMPTS_MAX) {
		session_protest(session, REPLY_TOO_MANY_RECIPIENTS);
		return false;
	}
	uint32_t number = ++t->attempts;

	if (max != 0 && t->recipient_count >= max) {
		attempt_refuse_for(t, number, rcpt.forward_path.text,
				   REASON_MESSAGE_RECIPIENTS, no_detail);
		return false;
	}
	return transaction_offer(t, &rcpt, number);
}
