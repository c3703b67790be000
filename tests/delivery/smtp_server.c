/* SPDX-License-Identifier: ISC */
/* A next hop of the tests' own; see smtp_server.h. */
#include "smtp_server.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 4096

#define EHLO_DEFAULT                                                                         \
	"250-test\r\n250-PIPELINING\r\n250-SIZE 0\r\n250-8BITMIME\r\n250-DSN\r\n"             \
	"250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"

struct session {
	struct stream stream;
	struct smtp_server *server;
	struct list link;
	unsigned number;
	struct received_message *message; /* being received */
	bool is_data;
	bool is_tls;
	bool is_tls_due;  /* once 220 has left */
	size_t chunk_left; /* octets of a BDAT */
	bool is_body_seen;
	bool is_line_start;
	bool saw_cr;
	unsigned dots; /* a dot at the line's start is held back */
	struct loop_timer drip;
	struct buffer dripping;
	size_t dripped;
	bool ends;
	struct loop_timer pause;
};

static const struct stream_events session_events;

static struct session *
session_of(struct stream *stream)
{
	return LIST_OWNER(stream, struct session, stream);
}

static void
message_free(struct received_message *message)
{
	if (message == NULL)
		return;
	buffer_reset(&message->sender);
	buffer_reset(&message->recipients);
	buffer_reset(&message->body);
	free(message);
}

static void
session_end(struct session *session)
{
	session->ends = true;
	if (stream_is_open(&session->stream))
		stream_close(&session->stream);
	loop_timer_cancel(session->server->loop, &session->pause);
	loop_timer_set(session->server->loop, &session->drip, 0); /* frees it */
}

static void
session_free(struct session *session)
{
	loop_timer_cancel(session->server->loop, &session->drip);
	loop_timer_cancel(session->server->loop, &session->pause);
	stream_close(&session->stream);
	list_remove(&session->link);
	message_free(session->message);
	buffer_reset(&session->dripping);
	session->server->open--;
	free(session);
}

static void
session_drip(struct loop_timer *timer)
{
	struct session *session = LIST_OWNER(timer, struct session, drip);
	struct span rest;

	if (session->ends) {
		session_free(session);
		return;
	}
	rest = span_skip(buffer_span(&session->dripping), session->dripped);
	if (rest.len == 0)
		return;
	(void)stream_write(&session->stream, span_first(rest, 1));
	session->dripped++;
	loop_timer_set(session->server->loop, &session->drip, 0);
}

static void
session_reset(struct session *session)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(session->stream.watch.fd, SOL_SOCKET, SO_LINGER, &linger,
			 sizeof(linger));
	session_end(session);
}

static struct smtp_rule *
rule_find(struct smtp_server *server, struct span command)
{
	for (size_t i = 0; i < server->rule_count; i++) {
		struct smtp_rule *rule = &server->rules[i];

		if (rule->when == NULL || !span_starts_fold(command, span_of(rule->when)))
			continue;
		if (rule->times == 1)
			rule->when = NULL;
		else if (rule->times > 1)
			rule->times--;
		return rule;
	}
	return NULL;
}

/* In order: what is dripping goes first. */
static void
session_write(struct session *session, const char *text, bool drips)
{
	if (!drips && session->dripped == session->dripping.len) {
		(void)stream_write(&session->stream, span_of(text));
		return;
	}
	(void)buffer_append(&session->dripping, span_of(text));
	loop_timer_set(session->server->loop, &session->drip, 0);
}

/* What is said to this; false when the session ended. */
static bool
session_say(struct session *session, struct span command, const char *otherwise,
	    const char **said)
{
	const struct smtp_rule *rule = rule_find(session->server, command);

	*said = otherwise;
	if (rule == NULL) {
		session_write(session, otherwise, false);
		return true;
	}
	*said = rule->reply == NULL ? "" : rule->reply;
	switch (rule->action) {
	case RULE_SAY:
		session_write(session, *said, false);
		return true;
	case RULE_CLOSE:
		(void)stream_write(&session->stream, span_of(*said));
		stream_close_when_drained(&session->stream);
		return false;
	case RULE_RESET:
		session_reset(session);
		return false;
	case RULE_DRIP:
		session_write(session, *said, true);
		return true;
	case RULE_SILENT:
		*said = "";
		return true;
	}
	return true;
}

static struct received_message *
message_new(struct session *session)
{
	struct received_message *message = memory_new(sizeof(*message));

	buffer_init(&message->sender, LINE_MAX_OCTETS);
	buffer_init(&message->recipients, 1U << 20);
	buffer_init(&message->body, 128U << 20);
	message->connection = session->number;
	list_init(&message->link);
	return message;
}

static bool
session_command(struct session *session, struct span line)
{
	struct smtp_server *server = session->server;
	const char *said;
	bool goes_on;

	(void)buffer_append(&server->transcript, line);
	(void)buffer_append_byte(&server->transcript, '\n');
	if (span_starts_fold(line, span_of("EHLO")))
		return session_say(session, line,
				   session->is_tls && server->ehlo_tls != NULL
				       ? server->ehlo_tls
				       : server->ehlo,
				   &said);
	if (server->tls != NULL && span_equal(line, span_of("STARTTLS"))) {
		goes_on = session_say(session, line, "220 2.0.0 go ahead\r\n", &said);
		session->is_tls_due = strcmp(said, "220 2.0.0 go ahead\r\n") == 0;
		return goes_on;
	}
	if (span_starts_fold(line, span_of("BDAT"))) {
		struct span count = span_skip(line, 5);
		uint64_t octets;

		server->chunks++;
		if (session->message == NULL)
			abort();
		if (number_take(&count, UINT32_MAX, &octets) != PARSE_OK)
			abort();
		session->chunk_left = (size_t)octets;
		return true;
	}
	if (span_starts_fold(line, span_of("MAIL"))) {
		goes_on = session_say(session, line, "250 2.1.0 sender ok\r\n", &said);
		if (goes_on && said[0] == '2') {
			message_free(session->message);
			session->message = message_new(session);
			(void)buffer_append(&session->message->sender, line);
		}
		return goes_on;
	}
	if (span_starts_fold(line, span_of("RCPT"))) {
		goes_on = session_say(session, line,
				      session->message == NULL ? "503 5.5.1 no MAIL\r\n"
							       : "250 2.1.5 recipient ok\r\n",
				      &said);
		if (goes_on && said[0] == '2' && session->message != NULL) {
			(void)buffer_append(&session->message->recipients, line);
			(void)buffer_append_byte(&session->message->recipients, '\n');
		}
		return goes_on;
	}
	if (span_starts_fold(line, span_of("DATA"))) {
		bool has_any = session->message != NULL && session->message->recipients.len > 0;

		goes_on = session_say(session, line,
				      has_any ? "354 go ahead\r\n" : "554 5.5.1 no recipient\r\n",
				      &said);
		if (goes_on && strncmp(said, "354", 3) == 0) {
			if (session->message == NULL)
				session->message = message_new(session);
			session->is_data = true;
			session->is_body_seen = false;
			session->is_line_start = true;
			session->saw_cr = false;
			session->dots = 0;
		}
		return goes_on;
	}
	if (span_starts_fold(line, span_of("QUIT"))) {
		goes_on = session_say(session, line, "221 2.0.0 bye\r\n", &said);
		if (goes_on)
			stream_close_when_drained(&session->stream);
		return false;
	}
	if (span_starts_fold(line, span_of("RSET"))) {
		server->resets++;
		message_free(session->message);
		session->message = NULL;
	}
	return session_say(session, line, "250 2.0.0 ok\r\n", &said);
}

static bool
session_dot(struct session *session)
{
	struct smtp_server *server = session->server;
	const char *said;
	bool goes_on;

	session->is_data = false;
	goes_on = session_say(session, span_of("."), "250 2.0.0 taken\r\n", &said);
	if (said[0] == '2') {
		list_append(&server->messages, &session->message->link);
		server->message_count++;
		session->message = NULL;
	} else {
		message_free(session->message);
		session->message = NULL;
	}
	return goes_on;
}

/* Take octets of a message; returns how many. Strict: only CRLF ends a line. */
static size_t
session_data(struct session *session, struct span in, bool *goes_on)
{
	struct buffer *body = &session->message->body;
	size_t at = 0;

	if (!session->is_body_seen) {
		session->is_body_seen = true;
		if (rule_find(session->server, span_of("BODY")) != NULL) {
			session_reset(session);
			*goes_on = false;
			return in.len;
		}
	}
	while (at < in.len && session->is_data) {
		char c = in.ptr[at++];

		if (session->is_line_start && c == '.' && session->dots == 0) {
			session->dots = 1;
			continue;
		}
		if (session->dots == 1 && c == '\r' && session->is_line_start) {
			session->dots = 2;
			continue;
		}
		if (session->dots == 2) {
			assert(c == '\n'); /* else a bare CR was sent */
			*goes_on = session_dot(session);
			break;
		}
		session->dots = 0;
		session->is_line_start = session->saw_cr && c == '\n';
		session->saw_cr = c == '\r';
		if (body->len < session->server->copied_max)
			(void)buffer_append_byte(body, c);
	}
	return at;
}

/* Take octets of a chunk, which is always the last one; returns how many. */
static size_t
session_chunk(struct session *session, struct span in, bool *goes_on)
{
	struct span part = span_first(in, session->chunk_left);

	(void)buffer_append(&session->message->body, part);
	session->chunk_left -= part.len;
	if (session->chunk_left == 0)
		*goes_on = session_dot(session);
	return part.len;
}

static void
session_handshaken(struct stream *stream, const struct tls_facts *facts, struct fault *fault)
{
	struct session *session = session_of(stream);
	const char *said;

	(void)fault;
	if (facts == NULL) {
		session_end(session);
		return;
	}
	session->is_tls = true;
	session->server->handshakes++;
	session->server->resumed += facts->is_resumed;
	if (session->server->is_tls_implicit)
		(void)session_say(session, span_of("CONNECT"), "220 test ESMTP\r\n", &said);
}

static void
session_shake_hands(struct session *session)
{
	const struct tls_offer offer = { .server = session->server->tls };
	struct fault fault;

	session->is_tls_due = false;
	if (!tls_accept(&session->stream, &offer, session_handshaken, &fault))
		session_end(session);
}

static void
session_go_on(struct loop_timer *timer)
{
	struct session *session = LIST_OWNER(timer, struct session, pause);

	stream_resume(&session->stream);
}

static size_t
session_received(struct stream *stream, struct span bytes)
{
	struct session *session = session_of(stream);
	struct smtp_server *server = session->server;
	struct span in = bytes;
	unsigned group = 0;
	bool goes_on = true;

	while (in.len > 0 && goes_on) {
		if (session->chunk_left > 0) {
			in = span_skip(in, session_chunk(session, in, &goes_on));
			continue;
		}
		if (session->is_data) {
			in = span_skip(in, session_data(session, in, &goes_on));
			continue;
		}

		size_t end = span_find(in, '\n');

		if (end == in.len)
			break;
		goes_on = session_command(session, span_first(in, end == 0 ? 0 : end - 1));
		in = span_skip(in, end + 1);
		group++;
	}
	if (group > server->groups_max)
		server->groups_max = group;
	if (!goes_on)
		return bytes.len;
	if (server->reads_slowly && session->is_data) {
		stream_pause(stream);
		loop_timer_set(server->loop, &session->pause, 125);
	}
	return bytes.len - in.len;
}

static void
session_ended(struct stream *stream, enum stream_end how)
{
	(void)how;
	session_end(session_of(stream));
}

static void
session_drained(struct stream *stream)
{
	struct session *session = session_of(stream);

	if (!stream_is_open(stream))
		session_end(session);
	else if (session->is_tls_due)
		session_shake_hands(session);
}

static const struct stream_events session_events = {
	.received = session_received,
	.ended = session_ended,
	.drained = session_drained,
};

static void
server_accepted(struct listener *listener, int fd, const struct ip_endpoint *peer,
		const struct ip_endpoint *local)
{
	struct smtp_server *server = LIST_OWNER(listener, struct smtp_server, listener);
	struct session *session = memory_new(sizeof(*session));
	struct fault fault;
	const char *said;

	(void)peer;
	(void)local;
	session->server = server;
	session->number = ++server->connections;
	session->drip.expired = session_drip;
	session->pause.expired = session_go_on;
	buffer_init(&session->dripping, 1U << 20);
	list_init(&session->link);
	list_append(&server->sessions, &session->link);
	server->open++;
	if (server->open > server->open_max)
		server->open_max = server->open;
	if (!stream_accept(&session->stream, server->loop, fd, &session_events, 1U << 20,
			   16U << 20, &fault))
		abort();
	if (server->is_tls_implicit)
		session_shake_hands(session);
	else
		(void)session_say(session, span_of("CONNECT"), "220 test ESMTP\r\n", &said);
}

static void
server_listen(struct smtp_server *server, uint16_t port)
{
	struct ip_endpoint at = { .port = port };
	struct sockaddr_storage bound;
	socklen_t bound_len = sizeof(bound);
	struct fault fault;

	(void)ip_parse(span_of("127.0.0.1"), &at.ip);
	server->fd = listener_open(&at, 128, 0, &fault);
	if (server->fd == -1 ||
	    getsockname(server->fd, (struct sockaddr *)&bound, &bound_len) == -1)
		abort();
	server->at = ip_of_sockaddr(&bound);
	if (!listener_start(&server->listener, server->loop, server->fd, server_accepted,
			    (struct span){ NULL, 0 }, &fault))
		abort();
}

struct smtp_server *
smtp_server_new(struct loop *loop, uint16_t port)
{
	struct smtp_server *server = memory_new(sizeof(*server));

	server->loop = loop;
	server->ehlo = EHLO_DEFAULT;
	server->copied_max = SIZE_MAX;
	buffer_init(&server->transcript, 16U << 20);
	list_init(&server->sessions);
	list_init(&server->messages);
	server_listen(server, port);
	return server;
}

void
smtp_server_down(struct smtp_server *server)
{
	if (server->fd != -1) {
		listener_stop(&server->listener);
		(void)close(server->fd);
	}
	server->fd = -1;
	while (!list_is_empty(&server->sessions)) {
		struct session *session =
		    LIST_OWNER(server->sessions.next, struct session, link);

		session_free(session);
	}
}

void
smtp_server_up(struct smtp_server *server)
{
	if (server->fd == -1)
		server_listen(server, server->at.port);
}

void
smtp_server_free(struct smtp_server **server)
{
	struct list *link;

	smtp_server_down(*server);
	while ((link = list_take_first(&(*server)->messages)) != NULL)
		message_free(LIST_OWNER(link, struct received_message, link));
	buffer_reset(&(*server)->transcript);
	free(*server);
	*server = NULL;
}

void
smtp_server_rules(struct smtp_server *server, struct smtp_rule *rules, size_t count)
{
	server->rules = rules;
	server->rule_count = count;
}

struct received_message *
smtp_server_last(struct smtp_server *server)
{
	if (list_is_empty(&server->messages))
		return NULL;
	return LIST_OWNER(server->messages.prev, struct received_message, link);
}
