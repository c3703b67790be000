/* SPDX-License-Identifier: ISC */
/* MAIL (RFC 5321 s.4.1.1.2) and its parameters: SIZE (RFC 1870), BODY, SMTPUTF8, DSN's. */
#include "session/session_private.h"

static enum reply_id
argument_reply(enum argument_status status)
{
	switch (status) {
	case ARGUMENT_OK:
	case ARGUMENT_BAD_SYNTAX:
		break;
	case ARGUMENT_BAD_ADDRESS:
		return REPLY_BAD_SENDER;
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

/* What stands in the way already; each is recorded and answered here. */
static bool
mail_is_refused(struct session *session, struct transaction *t)
{
	struct session_server *server = session->server;
	uint64_t max = session->settings->message_octets_max;
	static const struct span nobody, no_detail;
	struct verdict verdict;

	if (t->declared_octets > max) {
		buffer_clear(&server->detail);
		(void)buffer_printf(&server->detail, "declared %llu octets, %llu are allowed",
				    (unsigned long long)t->declared_octets,
				    (unsigned long long)max);
		attempt_refuse_for(t, 1, nobody, REASON_MESSAGE_SIZE,
				   buffer_span(&server->detail));
		return true;
	}
	if (!spool_has_room(server->environment.spool, t->declared_octets)) {
		attempt_refuse_for(t, 1, nobody, REASON_STORAGE_FULL, no_detail);
		return true;
	}
	buffer_clear(&server->detail);
	if (!session_may_begin(session, &server->detail)) {
		attempt_refuse_for(t, 1, nobody, REASON_SESSION_RATE,
				   buffer_span(&server->detail));
		return true;
	}
	return attempt_is_refused(t, 1, NULL, STAGE_SENDER, &verdict);
}

bool
command_mail(struct session *session, struct span argument)
{
	struct mail_argument mail;
	enum argument_status status = mail_argument_parse(argument, &mail);

	if (status != ARGUMENT_OK) {
		session_protest(session, argument_reply(status));
		return false;
	}
	if (mail.needs_tls) { /* only offered under TLS; RFC 8689 s.3 */
		session_protest(session, REPLY_REQUIRETLS_NEEDS_TLS);
		return false;
	}
	if (audit_is_broken(session->server->environment.audit)) {
		/* no decision without a record: so no decision */
		session_send(session,
			     session_reply_make(session,
						session_reason(session, REASON_AUDIT_TROUBLE),
						span_of(session->id)));
		return false;
	}
	struct transaction *t = transaction_begin(session, &mail);

	if (mail_is_refused(session, t)) {
		transaction_free(t);
		return false;
	}
	session_say(session, REPLY_SENDER_OK);
	return true;
}
