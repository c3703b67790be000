/* SPDX-License-Identifier: ISC */
/*
 * What sessions tell the audit trail. Every record is made before its reply is written, in the
 * same turn of the loop; the server's hook then sees to it that neither leaves alone.
 */
#include "session/session_private.h"

#include "auth/failures.h"

#include <assert.h>

#define FAILURE_TEXT_MAX 2000

struct audit_session
session_audit(const struct session *session)
{
	const struct tls_facts *tls = session_tls(session);
	const struct introduction *told = session->introduction;
	struct audit_session who = {
		.id = session->id,
		.connector = session->settings->name,
		.client = session->peer,
		.local = session->local,
		.helo = { .ptr = session->helo, .len = session->helo_len },
		.user = session_user(session),
		.mechanism = span_of(session->login == NULL ? "" : session->login->mechanism),
		.tls_version = span_of(tls == NULL ? NULL : tls->version),
		.tls_cipher = span_of(tls == NULL ? NULL : tls->cipher),
		.tls_client = session_certificate(session),
		.tls_names = tls == NULL ? NULL : tls->identities,
		.tls_name_count = tls == NULL ? 0 : tls->identity_count,
	};

	if (told != NULL) {
		who.proxy = told->proxy;
		who.xclient = told->xclient;
		who.ptr = xclient_span(&told->name);
	}
	return who;
}

/* This turn's replies of the session depend on the audit trail. */
static void
session_mark_recorded(struct session *session)
{
	if (!list_is_linked(&session->recorded))
		list_append(&session->server->recorded, &session->recorded);
}

/* A reply as the record has it, without its CRLF. */
static struct span
reply_text(struct span reply)
{
	return span_first(reply, reply.len < 2 ? 0 : reply.len - 2);
}

static void
figure_add(_Atomic uint64_t *figure, uint64_t n)
{
	atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

static void
session_count_verdict(struct session *session, enum verdict_kind kind, enum reason reason)
{
	struct session_figures *figures = session->figures;

	figure_add(&figures->reasons[kind][reason], 1);
	switch (kind) {
	case VERDICT_RELAYED:
		figure_add(&figures->relayed, 1);
		break;
	case VERDICT_REFUSED:
		figure_add(&figures->refused, 1);
		break;
	case VERDICT_DEFERRED:
		figure_add(&figures->deferred, 1);
		break;
	case VERDICT_WOULD_REFUSE:
		figure_add(&figures->would_refuse, 1);
		break;
	}
}

void
session_record(struct session *session, const struct transaction *transaction,
	       const char *id, struct span to, const struct verdict *verdict,
	       struct span reply, struct span detail)
{
	const struct session_environment *environment = &session->server->environment;
	const struct audit_session who = session_audit(session);
	struct audit_attempt attempt = {
		.id = id,
		.wall_ms = loop_wall_ms(environment->loop),
		.from = transaction->sender.text,
		.has_from = true,
		.to = to,
		.header_from = transaction->header_from,
		.message_id = transaction->message_id,
		.size_octets = content_octets(transaction),
		.verdict = verdict->kind,
		.stage = verdict->stage,
		.reason = verdict->reason,
		.reply = reply_text(reply),
		.detail = detail,
	};

	if (verdict->grant != NO_GRANT) {
		const struct grant_source *grant =
		    policy_grant(environment->policy, verdict->grant);

		attempt.grant = grant->name;
		attempt.file = grant->file;
		attempt.line = grant->line;
	}
	audit_attempt(environment->audit, &who, &attempt);
	session_mark_recorded(session);
	session_count_verdict(session, verdict->kind, verdict->reason);
}

void
session_record_connect(struct session *session, enum reason reason, struct span reply,
		       struct span detail)
{
	const struct session_environment *environment = &session->server->environment;
	const struct audit_session who = session_audit(session);

	audit_connect(environment->audit, &who, loop_wall_ms(environment->loop), reason,
		      reply_text(reply), detail);
	session_mark_recorded(session);
}

void
session_record_taken_back(struct session *session, struct span reply)
{
	const struct session_environment *environment = &session->server->environment;
	const struct audit_session who = session_audit(session);
	static const struct span detail =
	    SPAN_LITERAL("what the records before this one say was not said");

	audit_connect(environment->audit, &who, loop_wall_ms(environment->loop),
		      REASON_AUDIT_TROUBLE, reply_text(reply), detail);
}

static void
auth_failure_log(const struct session *session, struct span user, struct span mechanism,
		 enum reason reason)
{
	enum auth_mechanism known;
	struct buffer text;

	buffer_init(&text, FAILURE_TEXT_MAX);
	if (auth_failure_text(&text, &session->peer.ip, user,
			      auth_mechanism_parse(mechanism, &known) == PARSE_OK ?
				      auth_mechanism_name(known) :
				      "-",
			      reason_token(reason), session->id))
		log_info(session->server->environment.log, "%s", buffer_text(&text));
	buffer_reset(&text);
}

void
session_record_auth(struct session *session, struct span user, struct span mechanism,
		    enum reason reason)
{
	const struct session_environment *environment = &session->server->environment;
	struct audit_session who = session_audit(session);

	who.user = user;
	who.mechanism = mechanism;
	audit_auth(environment->audit, &who, loop_wall_ms(environment->loop), reason);
	session_mark_recorded(session);
	if (reason == REASON_NONE) {
		figure_add(&session->figures->logins, 1);
		return;
	}
	if (reason == REASON_AUTH_FAILED)
		figure_add(&session->figures->logins_failed, 1);
	auth_failure_log(session, user, mechanism, reason);
}
