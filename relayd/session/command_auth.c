/* SPDX-License-Identifier: ISC */
/*
 * AUTH (RFC 4954). The exchange is auth/exchange.h's, the proof is a helper's; here is what
 * joins them: while a helper thinks nothing is read from the client (WAIT_AUTH), and when the
 * helper has asked something the client's next line is its answer (INPUT_AUTH).
 *
 * Whatever was wrong with a login, one reply says so, later and later the more often it is
 * said. Lines that may hold a password are overwritten where they were received.
 */
#include "session/session_private.h"

#include "auth/client.h"
#include "auth/exchange.h"
#include "auth/failures.h"
#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

struct session_auth {
	struct session *session;
	struct auth_ticket ticket;
	struct auth_exchange exchange;
	bool is_started; /* a helper knows of it */
};

/* --- who is logged in --- */

void
session_login_set(struct session *session, struct span user, const char *mechanism)
{
	session_login_forget(session);
	session->login = memory_new(sizeof(*session->login) + user.len);
	session->login->mechanism = mechanism;
	session->login->len = user.len;
	memcpy(session->login->user, user.ptr, user.len);
}

void
session_login_forget(struct session *session)
{
	free(session->login);
	session->login = NULL;
}

struct span
session_user(const struct session *session)
{
	if (session->login == NULL)
		return (struct span){ NULL, 0 };
	return (struct span){ session->login->user, session->login->len };
}

/* --- what is offered --- */

/*
 * May the client's password come as it is? Nobody listens between this machine and itself; what
 * others say of the client's address is no proof of that.
 */
static bool
session_takes_clear_text(const struct session *session)
{
	return session_tls(session) != NULL || session->settings->auth_without_tls ||
	       (session->introduction == NULL && ip_is_loopback(&session->peer.ip));
}

/*
 * The login that the client's certificate stands for: its first mail address, else its first
 * host name, else its common name. Only if a CA of ours vouches for it.
 */
static struct span
session_certificate_login(const struct session *session)
{
	static const struct span prefixes[] = { SPAN_LITERAL("email:"), SPAN_LITERAL("dns:"),
						SPAN_LITERAL("cn:") };
	const struct tls_facts *tls = session_tls(session);

	for (size_t p = 0; tls != NULL && tls->is_verified && p < ARRAY_LEN(prefixes); p++) {
		for (size_t i = 0; i < tls->identity_count; i++) {
			if (span_starts_fold(tls->identities[i], prefixes[p]))
				return span_skip(tls->identities[i], prefixes[p].len);
		}
	}
	return (struct span){ NULL, 0 };
}

/* Of the connector's mechanisms, those that helpers can serve. */
static unsigned
mechanisms_listed(const struct session *session)
{
	const struct session_settings *settings = session->settings;
	const struct auth_pool *pool = session->server->environment.auth;
	unsigned listed = 0;

	for (size_t i = 0; i < settings->auth_count; i++)
		listed |= AUTH_BIT(settings->auth[i]);
	return pool == NULL ? 0 : listed & auth_pool_mechanisms(pool);
}

/* The listed mechanisms of a kind. */
static unsigned
mechanisms_that(unsigned listed, bool (*is_so)(enum auth_mechanism mechanism))
{
	unsigned found = 0;

	for (int m = 0; m < AUTH_MECHANISM_COUNT; m++) {
		if ((listed & AUTH_BIT(m)) != 0 && is_so((enum auth_mechanism)m))
			found |= AUTH_BIT(m);
	}
	return found;
}

/* Those of them that this session can use as it is now. */
static unsigned
mechanisms_offered(const struct session *session)
{
	unsigned char binding[TLS_BINDING_OCTETS];
	unsigned offered = mechanisms_listed(session);

	if (!session_takes_clear_text(session))
		offered &= ~mechanisms_that(offered, auth_mechanism_is_plain_text);
	if (!session_channel_binding(session, binding))
		offered &= ~mechanisms_that(offered, auth_mechanism_is_bound);
	if (session_certificate_login(session).len == 0)
		offered &= ~AUTH_BIT(AUTH_EXTERNAL);
	return offered;
}

bool
session_auth_offer(const struct session *session, struct buffer *line)
{
	const struct session_settings *settings = session->settings;
	unsigned offered = mechanisms_offered(session);

	if (offered == 0 || session->login != NULL)
		return false;
	(void)buffer_append_text(line, "AUTH");
	for (size_t i = 0; i < settings->auth_count; i++) {
		if ((offered & AUTH_BIT(settings->auth[i])) != 0)
			(void)buffer_printf(line, " %s", auth_mechanism_name(settings->auth[i]));
	}
	return true;
}

/* --- the end of an exchange --- */

void
session_auth_end(struct session *session)
{
	struct session_auth *auth = session->auth;

	if (auth == NULL)
		return;
	session->auth = NULL;
	auth_cancel(&auth->ticket);
	auth_exchange_reset(&auth->exchange);
	free(auth);
	session->input = INPUT_COMMAND;
	stream_limit_input(&session->stream, SESSION_INPUT_MAX);
}

/* Recorded and answered with the words of the reason, and the session's id to ask by. */
static void
auth_refuse(struct session *session, struct span mechanism, enum reason reason)
{
	static const struct span nobody;

	session_record_auth(session, nobody, mechanism, reason);
	if (session_count_error(session))
		session_send(session, session_reply_make(session, session_reason(session, reason),
							 span_of(session->id)));
}

/* Wrong, whatever was wrong. user: who it claimed to be, as far as that is known. */
static void
auth_fail(struct session *session, const char *mechanism, struct span user)
{
	const struct session_environment *environment = &session->server->environment;
	uint32_t max = session->settings->logon_failures_max;
	struct auth_failure failure = { .delay_ms = 0 };

	if (environment->auth_failures != NULL)
		failure = auth_failures_add(environment->auth_failures, environment->auth_ban,
					    &session->peer.ip, user,
					    loop_now_ms(environment->loop));
	session->logon_failures++;
	session_record_auth(session, user, span_of(mechanism), REASON_AUTH_FAILED);
	if (failure.is_banned)
		session->farewell = REASON_AUTH_BANNED;
	else if (max > 0 && session->logon_failures >= max)
		session->farewell = REASON_SESSION_ERRORS;
	session_send_late(session,
			  session_reply_make(session, session_reason(session, REASON_AUTH_FAILED),
					     span_of(session->id)),
			  failure.delay_ms);
}

static void
auth_succeed(struct session *session, const char *mechanism, struct span user)
{
	const struct session_environment *environment = &session->server->environment;

	if (environment->auth_failures != NULL)
		auth_failures_forgive(environment->auth_failures, environment->auth_ban,
				      &session->peer.ip, user,
				      loop_now_ms(environment->loop));
	session_login_set(session, user, mechanism);
	session->useless = 0;
	session_record_auth(session, user, span_of(mechanism), REASON_NONE);
	session_say(session, REPLY_AUTH_OK);
}

/* Nobody could be asked: the client may try again. */
static void
auth_give_up(struct session *session, const char *mechanism, struct span user)
{
	session_record_auth(session, user, span_of(mechanism), REASON_AUTH_TROUBLE);
	session_send(session,
		     session_reply_make(session, session_reason(session, REASON_AUTH_TROUBLE),
					span_of(session->id)));
}

/* --- its steps --- */

/* The helper's question goes to the client. */
static bool
auth_challenge(struct session *session, struct span challenge)
{
	struct buffer *line = &session->server->scratch;

	buffer_clear(line);
	if (!auth_exchange_challenge(&session->auth->exchange, challenge, line))
		return false;
	session_send(session, buffer_span(line));
	session->input = INPUT_AUTH;
	stream_limit_input(&session->stream, AUTH_LINE_MAX);
	return true;
}

static void
auth_answered(struct auth_ticket *ticket, const struct auth_answer *answer)
{
	struct session_auth *auth = LIST_OWNER(ticket, struct session_auth, ticket);
	struct session *session = auth->session;
	const char *mechanism = auth_mechanism_name(auth->exchange.mechanism);

	session_note_life(session);
	session_go_on(session, WAIT_AUTH);
	if (answer->code == AUTH_CONTINUE && auth_challenge(session, answer->data))
		return;
	session_auth_end(session);
	switch (answer->code) {
	case AUTH_OK:
		auth_succeed(session, mechanism, answer->user);
		break;
	case AUTH_FAILED:
		auth_fail(session, mechanism, answer->user);
		break;
	case AUTH_CONTINUE:
	case AUTH_TROUBLE:
	case AUTH_HELLO:
	case AUTH_CODE_COUNT:
		auth_give_up(session, mechanism, answer->user);
		break;
	}
	if (session->server->drains_at_once)
		session_drain(session);
}

/* The client's part goes to a helper. */
static void
auth_ask(struct session *session)
{
	struct session_auth *auth = session->auth;
	struct auth_exchange *exchange = &auth->exchange;

	session->input = INPUT_COMMAND;
	session_wait(session, WAIT_AUTH);
	if (auth->is_started) {
		auth_step(&auth->ticket, buffer_span(&exchange->data));
	} else {
		struct auth_facts facts = {
			.is_tls = session_tls(session) != NULL,
			.allows_plain_text = session_takes_clear_text(session),
			.external = session_certificate_login(session),
		};

		facts.has_binding =
		    mechanisms_that(mechanisms_listed(session), auth_mechanism_is_bound) != 0 &&
		    session_channel_binding(session, facts.binding);
		auth->is_started = true;
		auth_start(session->server->environment.auth, &auth->ticket,
			   exchange->mechanism, &facts, exchange->has_data,
			   buffer_span(&exchange->data));
	}
	auth_exchange_sent(exchange);
}

/* mechanism: as the client named it. */
static void
auth_go_on(struct session *session, enum auth_step step, struct span mechanism)
{
	static const struct span nobody;
	const char *known = auth_mechanism_name(session->auth->exchange.mechanism);

	if (step == AUTH_STEP_ASK) {
		auth_ask(session);
		return;
	}
	session_auth_end(session);
	switch (step) {
	case AUTH_STEP_ASK:
		break;
	case AUTH_STEP_MECHANISM:
		auth_refuse(session, mechanism, REASON_AUTH_MECHANISM);
		break;
	case AUTH_STEP_NEEDS_TLS:
		auth_refuse(session, mechanism, REASON_AUTH_TLS_REQUIRED);
		break;
	case AUTH_STEP_NO_INITIAL:
		session_protest(session, REPLY_BAD_ARGUMENT);
		break;
	case AUTH_STEP_BASE64:
		session_protest(session, REPLY_AUTH_BAD_BASE64);
		break;
	case AUTH_STEP_CANCELLED:
		session_protest(session, REPLY_AUTH_CANCELLED);
		break;
	case AUTH_STEP_TOO_LONG:
		session_protest(session, REPLY_AUTH_LINE_TOO_LONG);
		break;
	case AUTH_STEP_TOO_MANY:
		auth_fail(session, known, nobody);
		break;
	}
}

void
session_auth_line(struct session *session, struct span line)
{
	static const struct span same;

	/* whoever speaks on does not know yet whether it may (RFC 4954 s.4) */
	if (session->behind > 0) {
		session_turn_away(session, REASON_SESSION_EARLY_TALKER,
				  "spoke on before a reply that it must wait for");
		return;
	}
	auth_go_on(session, auth_exchange_line(&session->auth->exchange, line), same);
}

/* --- the command --- */

bool
session_is_banned(const struct session *session)
{
	const struct session_environment *environment = &session->server->environment;

	return environment->auth_failures != NULL &&
	       auth_failures_is_banned(environment->auth_failures, environment->auth_ban,
				       &session->peer.ip, loop_now_ms(environment->loop), NULL);
}

static struct session_auth *
auth_new(struct session *session)
{
	struct session_auth *auth = memory_new(sizeof(*auth));

	assert(session->auth == NULL);
	auth->session = session;
	auth->ticket.answered = auth_answered;
	auth_exchange_init(&auth->exchange);
	return auth;
}

/* What stands in the way of any exchange; answered here. */
static bool
auth_is_out_of_place(struct session *session)
{
	const struct session_environment *environment = &session->server->environment;

	if (session->settings->auth_count == 0 || environment->auth == NULL)
		session_protest(session, REPLY_AUTH_NOT_OFFERED);
	else if (session->login != NULL)
		session_protest(session, REPLY_AUTH_ALREADY);
	else if (audit_is_broken(environment->audit))
		session_say(session, REPLY_AUTH_TROUBLE); /* no decision without a record */
	else
		return false;
	return true;
}

bool
command_auth(struct session *session, struct span argument)
{
	static const struct span nobody;
	struct auth_argument auth;

	stream_input_is_secret(&session->stream);
	if (auth_is_out_of_place(session))
		return false;
	if (auth_argument_parse(argument, &auth) != PARSE_OK) {
		session_protest(session, REPLY_BAD_SYNTAX);
		return false;
	}
	if (session_is_banned(session)) { /* since it came */
		session_record_auth(session, nobody, auth.mechanism, REASON_AUTH_BANNED);
		session_turn_away(session, REASON_AUTH_BANNED, "its logins fail too often");
		return false;
	}
	unsigned clear =
	    mechanisms_that(mechanisms_listed(session), auth_mechanism_is_plain_text);

	session->auth = auth_new(session);
	auth_go_on(session,
		   auth_exchange_begin(&session->auth->exchange, mechanisms_offered(session),
				       session_takes_clear_text(session) ? 0 : clear, &auth),
		   auth.mechanism);
	return false;
}
