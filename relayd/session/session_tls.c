/* SPDX-License-Identifier: ISC */
/*
 * TLS of a session: STARTTLS (RFC 3207) and TLS from the first octet (RFC 8314 s.3.3). A
 * session that shakes hands reads nothing and says nothing of its own; when that is over it
 * begins anew, with what the handshake proved and without anything it was told in clear.
 */
#include "session/session_private.h"

#include <assert.h>

#define FACTS_OCTETS	   256 /* a block of them: without a certificate they fit into one */
#define FAILURES_MINUTE_MS 60000
#define FAILURES_TOLD_MAX  60 /* a minute and worker; more are counted */

static void
figure_add(_Atomic uint64_t *figure)
{
	atomic_fetch_add_explicit(figure, 1, memory_order_relaxed);
}

/* --- what the handshake proved --- */

const struct tls_facts *
session_tls(const struct session *session)
{
	return session->tls;
}

struct span
session_certificate(const struct session *session)
{
	const struct tls_facts *tls = session->tls;
	static const struct span none;

	if (tls == NULL || tls->identity_count == 0)
		return none;
	return tls->identities[tls->identity_count > 1 ? 1 : 0];
}

bool
session_channel_binding(const struct session *session, unsigned char out[TLS_BINDING_OCTETS])
{
	return session->tls != NULL && tls_channel_binding(&session->stream, out);
}

bool
session_may_start_tls(const struct session *session)
{
	enum tls_demand demand = session->settings->tls;

	return session->tls == NULL && (demand == TLS_OFFERED || demand == TLS_REQUIRED);
}

/* Has somebody said XCLIENT, and so spoken already? */
static bool
session_is_told(const struct session *session)
{
	return session->introduction != NULL && session->introduction->has_xclient;
}

bool
session_awaits_tls(const struct session *session)
{
	return session->settings->tls == TLS_IMPLICIT && session->tls == NULL &&
	       !session_is_told(session);
}

bool
session_missed_tls(const struct session *session)
{
	return session->settings->tls == TLS_IMPLICIT && session->tls == NULL &&
	       session_is_told(session);
}

void
session_forget_certificate(struct session *session)
{
	if (session->tls == NULL || session->tls->identity_count == 0)
		return;
	struct tls_facts facts = *session->tls;

	facts.identities = NULL;
	facts.identity_count = 0;
	facts.is_verified = false;
	facts.unverified = NULL;
	session->tls = tls_facts_copy(&session->tls_arena, &facts);
}

/* --- failures --- */

/* Somebody who fails again and again shall fill neither the trail nor the log. */
static bool
failure_is_told(struct session_server *server)
{
	struct tls_failures *failures = &server->tls_failures;
	int64_t now = loop_now_ms(server->environment.loop);

	if (failures->since_ms == 0 || now - failures->since_ms >= FAILURES_MINUTE_MS) {
		if (failures->left_out > 0)
			log_warn(server->environment.log,
				 "%u more TLS handshakes failed, which have no record of their own",
				 failures->left_out);
		*failures = (struct tls_failures){ .since_ms = now };
	}
	if (failures->told == FAILURES_TOLD_MAX) {
		failures->left_out++;
		return false;
	}
	failures->told++;
	return true;
}

void
session_note_tls_failure(struct session *session, const char *why)
{
	static const struct span no_reply;

	figure_add(&session->figures->tls_failures);
	if (failure_is_told(session->server))
		session_record_connect(session, REASON_TLS_HANDSHAKE, no_reply, span_of(why));
}

void
session_fail_tls(struct session *session, const char *why)
{
	session_note_tls_failure(session, why);
	session->is_ending = true;
	stream_close(&session->stream);
	session_release(session);
}

/* --- handshakes --- */

/* RFC 3207 s.4.2: whatever was said in clear may have been said by somebody else. */
static void
session_forget(struct session *session)
{
	assert(session->transaction == NULL);
	session->state = STATE_CONNECTED;
	session->is_esmtp = false;
	session->helo_len = 0;
	session_login_forget(session);
}

static void
handshake_done(struct stream *stream, const struct tls_facts *facts, struct fault *fault)
{
	struct session *session = LIST_OWNER(stream, struct session, stream);

	if (facts == NULL) {
		session_fail_tls(session, fault_text(fault));
		return;
	}
	figure_add(&session->figures->tls_handshakes);
	if (facts->is_resumed)
		figure_add(&session->figures->tls_resumed);
	arena_init(&session->tls_arena, FACTS_OCTETS);
	session->tls = tls_facts_copy(&session->tls_arena, facts);
	if (session_is_told(session))
		session_forget_certificate(session);
	session->waits &= ~(unsigned)WAIT_HANDSHAKE;
	session_forget(session);
	session_note_life(session);
	if (session->settings->tls == TLS_IMPLICIT)
		session_say(session, REPLY_BANNER);
	if (session->server->drains_at_once)
		session_drain(session);
}

void
session_begin_tls(struct session *session, struct span first)
{
	const struct tls_offer offer = {
		.server = session->server->environment.tls,
		.section = session->settings->tls_section,
		.wants_certificate = session->settings->wants_certificate,
		.first = first,
	};
	struct fault fault = { .error = 0 };

	session->waits &= ~(unsigned)WAIT_STARTTLS;
	session->waits |= WAIT_HANDSHAKE;
	session_note_life(session);
	session_set_timer(session);
	if (!tls_accept(&session->stream, &offer, handshake_done, &fault))
		session_fail_tls(session, fault_text(&fault));
}
