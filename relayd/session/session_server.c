/* SPDX-License-Identifier: ISC */
/*
 * A worker's sessions: which connector a client lands on, whether there is room for it, and
 * what all sessions share. Also the promise that no reply leaves before its record is with the
 * kernel: a hook at the end of each turn, before the streams send.
 */
#include "session/session_private.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPARES_MAX	  256 /* closed sessions whose memory is kept */
#define REPLY_OCTETS_MAX  8192
#define SCRATCH_OCTETS_MAX (ENVELOPE_OCTETS_MAX + 65536)

/* Those who land on no connector are told so under these. */
static const struct session_settings nobody = { .inactivity_ms = 10000 };

/* --- the end of a turn --- */

/*
 * The records of this turn are not with the kernel. What these sessions would have said must
 * not be said; they are told to come back.
 */
static void
sessions_take_back(struct session_server *server)
{
	const struct reason_reply *said =
	    wording_reply(server->environment.wording, REASON_AUDIT_TROUBLE);
	const struct reason_reply trouble = { 421, { 4, 3, 0 }, said->text };
	struct list failed, *link;

	list_init(&failed);
	while ((link = list_take_first(&server->recorded)) != NULL)
		list_append(&failed, link);
	while ((link = list_take_first(&failed)) != NULL) {
		struct session *session = LIST_OWNER(link, struct session, recorded);

		stream_forget_unsent(&session->stream);
		free(session->held);
		session->held = NULL;
		session->is_ending = false;
		struct span reply =
		    session_reply_make(session, &trouble, span_of(session->id));

		session_record_taken_back(session, reply);
		session_end(session, REASON_AUDIT_TROUBLE, reply);
	}
}

static void
server_turn_ends(struct loop_hook *hook)
{
	struct session_server *server = LIST_OWNER(hook, struct session_server, hook);
	bool is_written = audit_flush(server->environment.audit);

	if (list_is_empty(&server->recorded))
		return;
	if (!is_written) {
		sessions_take_back(server);
		return;
	}
	while (list_take_first(&server->recorded) != NULL)
		;
}

/* --- the server --- */

/* "Keywords" of EHLO, RFC 5321 s.4.1.1.1; docs/smtp.md says where each is defined. */
static struct span
hello_make(struct session_server *server, const struct session_settings *settings, bool is_tls)
{
	struct buffer *line = &server->scratch;
	struct buffer *out = &server->reply;
	static const char *const keywords[] = { "PIPELINING", "8BITMIME", "SMTPUTF8",
						"ENHANCEDSTATUSCODES", "DSN", "CHUNKING" };

	buffer_clear(out);
	(void)reply_append_line(out, 250, settings->hostname, false);
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		(void)reply_append_line(out, 250, span_of(keywords[i]), false);
	buffer_clear(line);
	(void)buffer_printf(line, "SIZE %llu", (unsigned long long)settings->message_octets_max);
	(void)reply_append_line(out, 250, buffer_span(line), false);
	if (settings->recipients_max != 0) {
		buffer_clear(line);
		(void)buffer_printf(line, "LIMITS RCPTMAX=%u", settings->recipients_max);
		(void)reply_append_line(out, 250, buffer_span(line), false);
	}
	if (!is_tls && (settings->tls == TLS_OFFERED || settings->tls == TLS_REQUIRED))
		(void)reply_append_line(out, 250, span_of("STARTTLS"), false);
	(void)reply_append_line(out, 250, span_of("HELP"), true);
	return arena_copy(&server->arena, buffer_span(out));
}

static struct span
own_token_make(struct session_server *server, const struct session_settings *settings)
{
	buffer_clear(&server->scratch);
	(void)received_by_append(&server->scratch, settings->hostname);
	return arena_copy(&server->arena, buffer_span(&server->scratch));
}

/* No grant can have a name with a space. */
static struct span
rate_owner_make(struct session_server *server, const struct session_settings *settings)
{
	buffer_clear(&server->scratch);
	(void)buffer_append_text(&server->scratch, "connector ");
	(void)buffer_append(&server->scratch, settings->name);
	return arena_copy(&server->arena, buffer_span(&server->scratch));
}

struct session_server *
session_server_new(const struct session_environment *environment)
{
	struct session_server *server = memory_new(sizeof(*server));
	size_t count = policy_connector_count(environment->policy);

	server->environment = *environment;
	list_init(&server->sessions);
	list_init(&server->recorded);
	list_init(&server->arrivals);
	arena_init(&server->arena, 0);
	buffer_init(&server->reply, REPLY_OCTETS_MAX);
	buffer_init(&server->detail, DETAIL_MAX);
	buffer_init(&server->scratch, SCRATCH_OCTETS_MAX);
	buffer_init(&server->state, SPOOL_STATE_MAX);
	server->texts = arena_new_array(&server->arena, count, sizeof(*server->texts));
	for (size_t i = 0; i < count; i++) {
		const struct session_settings *settings = &environment->connectors[i];

		server->texts[i].hello[false] = hello_make(server, settings, false);
		server->texts[i].hello[true] = hello_make(server, settings, true);
		server->texts[i].own_token = own_token_make(server, settings);
		server->texts[i].rate_owner = rate_owner_make(server, settings);
	}
	server->hook.run = server_turn_ends;
	loop_hook_add(environment->loop, &server->hook);
	return server;
}

void
session_server_free(struct session_server **server)
{
	struct session_server *s = *server;
	struct list *link, *next;

	if (s == NULL)
		return;
	arrivals_end(s);
	for (link = s->sessions.next; link != &s->sessions; link = next) {
		struct session *session = LIST_OWNER(link, struct session, link);

		next = link->next;
		stream_close(&session->stream);
		if (session->transaction != NULL)
			transaction_detach(session->transaction);
		session_release(session);
	}
	while (s->spares != NULL) {
		struct session *spare = s->spares;

		s->spares = spare->next_spare;
		free(spare);
	}
	loop_hook_remove(s->environment.loop, &s->hook);
	buffer_reset(&s->reply);
	buffer_reset(&s->detail);
	buffer_reset(&s->scratch);
	buffer_reset(&s->state);
	arena_reset(&s->arena);
	free(s);
	*server = NULL;
}

void
session_server_drain(struct session_server *server, bool at_once)
{
	struct list *link, *next;

	server->drains_at_once |= at_once;
	if (!at_once)
		return;
	arrivals_end(server);
	for (link = server->sessions.next; link != &server->sessions; link = next) {
		next = link->next;
		session_drain(LIST_OWNER(link, struct session, link));
	}
}

size_t
session_server_count(const struct session_server *server)
{
	return server->session_count + server->arrival_count;
}

/* --- clients come and go --- */

static struct session *
session_new(struct session_server *server)
{
	struct session *session = server->spares;

	if (session == NULL) {
		session = memory_new(sizeof(*session));
	} else {
		server->spares = session->next_spare;
		server->spare_count--;
		memset(session, 0, sizeof(*session));
	}
	session->server = server;
	session->settings = &nobody;
	session->connector = NO_CONNECTOR;
	session->timer.expired = session_timer_expired;
	list_init(&session->recorded);
	list_append(&server->sessions, &session->link);
	server->session_count++;
	id_session(atomic_fetch_add_explicit(server->environment.session_serial, 1,
					     memory_order_relaxed),
		   session->id);
	return session;
}

/* Back to the spares; the stream is closed and there is no transaction. */
static void
session_free(struct session *session)
{
	struct session_server *server = session->server;

	session_login_forget(session);
	arena_reset(&session->tls_arena);
	list_remove(&session->recorded);
	list_remove(&session->link);
	free(session->introduction);
	session->introduction = NULL;
	server->session_count--;
	if (server->spare_count == SPARES_MAX) {
		free(session);
		return;
	}
	session->next_spare = server->spares;
	server->spares = session;
	server->spare_count++;
}

void
session_uncount(struct session *session)
{
	const struct session_environment *environment = &session->server->environment;

	session_quota_end(session);
	if (!session->is_counted)
		return;
	session->is_counted = false;
	atomic_fetch_sub_explicit(&session->figures->sessions_open, 1, memory_order_relaxed);
	if (environment->limits != NULL)
		connection_limits_release(environment->limits, environment->slot,
					  session->settings->name, &session->peer.ip);
}

static void
connection_give_back(struct session *session)
{
	loop_timer_cancel(session->server->environment.loop, &session->timer);
	session_auth_end(session);
	free(session->held);
	session->held = NULL;
	session->is_ending = true;
	session->is_gone = true;
	session_uncount(session);
}

void
session_release(struct session *session)
{
	if (!session->is_gone)
		connection_give_back(session);
	if (session->transaction == NULL)
		session_free(session);
}

/* Is there room for one more? Counts it if so. */
static enum reason
connection_admit(struct session *session)
{
	const struct session_environment *environment = &session->server->environment;
	const struct session_settings *settings = session->settings;
	enum connection_room room = CONNECTION_TAKEN;

	if (environment->limits != NULL)
		room = connection_limits_take(environment->limits, environment->slot,
					      settings->name, &session->peer.ip,
					      settings->connections_max,
					      settings->connections_per_source_max);
	if (room != CONNECTION_TAKEN) {
		atomic_fetch_add_explicit(&session->figures->connections_refused, 1,
					  memory_order_relaxed);
		return room == CONNECTION_LIMIT ? REASON_CONNECTION_LIMIT :
						  REASON_CONNECTION_SOURCE_LIMIT;
	}
	session->is_counted = true;
	atomic_fetch_add_explicit(&session->figures->sessions, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&session->figures->sessions_open, 1, memory_order_relaxed);
	return REASON_NONE;
}

/*
 * Did the client speak before it was greeted? Whoever does that reads no replies (RFC 5321
 * s.4.3.1): a robot, or another protocol.
 */
static bool
client_spoke_early(int fd)
{
	char octet;

	return recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Does the connector take the word of those who told us who the client is? */
static bool
introduction_is_believed(const struct session *session)
{
	const struct policy *policy = session->server->environment.policy;
	const struct introduction *told = session->introduction;

	return told == NULL ||
	       ((!told->has_proxy ||
		 policy_connector_believes(policy, session->connector, GO_BETWEEN_PROXY,
					   &told->proxy.ip)) &&
		(!told->has_xclient ||
		 policy_connector_believes(policy, session->connector, GO_BETWEEN_XCLIENT,
					   &told->xclient.ip)));
}

/* The connector of a client that came where it did; false: turned away. */
static bool
connector_choose(struct session *session)
{
	const struct session_environment *environment = &session->server->environment;
	const struct introduction *told = session->introduction;
	static const struct ip nowhere;

	/* "::" stands for clients without an address, such as files; nobody may pass for one */
	if (told != NULL && ip_compare(&session->peer.ip, &nowhere) == 0) {
		session_turn_away(session, REASON_CONNECTION_GO_BETWEEN,
				  "the go-between does not know the client's address");
		return false;
	}
	session->connector = policy_connector_find(environment->policy,
						   told == NULL ? &session->local : &told->bound,
						   &session->peer.ip);
	if (session->connector == NO_CONNECTOR) {
		session_turn_away(session, REASON_CONNECTION_NO_CONNECTOR,
				  "no connector serves this client here");
		return false;
	}
	session->settings = &environment->connectors[session->connector];
	session->figures = &environment->figures[session->connector];
	if (!introduction_is_believed(session))
		session_turn_away(
		    session, REASON_CONNECTION_GO_BETWEEN,
		    "the connector does not name the host that speaks for this client");
	else if (session_missed_tls(session))
		session_turn_away(session, REASON_CONNECTION_GO_BETWEEN,
				  "the connector begins with TLS, and XCLIENT was said in clear");
	else
		return true;
	return false;
}

/* Choose the connector and begin, or turn the client away. */
static void
session_begin(struct session *session, bool spoke_early)
{
	enum reason reason;

	if (!connector_choose(session))
		return;
	reason = connection_admit(session);
	if (reason != REASON_NONE)
		session_turn_away(session, reason, "too many connections");
	else if (session->server->drains_at_once)
		session_turn_away(session, REASON_SESSION_SHUTDOWN, "stopping");
	else if (session_is_banned(session))
		session_turn_away(session, REASON_AUTH_BANNED, "its logins failed too often");
	else if (spoke_early && !session_awaits_tls(session))
		session_turn_away(session, REASON_SESSION_EARLY_TALKER,
				  "spoke before it was greeted");
	else
		session_greet(session);
}

void
session_begin_again(struct session *session)
{
	assert(!session->is_counted);
	session->connector = NO_CONNECTOR;
	session->settings = &nobody;
	session->figures = NULL;
	session_begin(session, false);
}

void
session_server_take(struct session_server *server, int fd, const struct ip_endpoint *peer,
		    const struct ip_endpoint *local)
{
	if (policy_is_go_between(server->environment.policy, GO_BETWEEN_PROXY, local, &peer->ip))
		arrival_begin(server, fd, peer, local);
	else
		session_open(server, fd, peer, local, NULL);
}

void
session_open(struct session_server *server, int fd, const struct ip_endpoint *peer,
	     const struct ip_endpoint *local, const struct introduction *introduction)
{
	struct session *session = session_new(server);
	struct fault fault;

	session->peer = *peer;
	session->local = *local;
	if (!stream_accept(&session->stream, server->environment.loop, fd,
			   &session_stream_events, SESSION_INPUT_MAX, SESSION_OUTPUT_MAX,
			   &fault)) {
		log_error(server->environment.log, "cannot serve a client: %s",
			  fault_text(&fault));
		(void)close(fd);
		session_free(session);
		return;
	}
	if (introduction != NULL) {
		session->introduction = memory_new(sizeof(*introduction));
		*session->introduction = *introduction;
	}
	session_begin(session, client_spoke_early(fd));
}
