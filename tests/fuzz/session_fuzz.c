/* SPDX-License-Identifier: ISC */
/*
 * A whole session fed by an attacker: any octets, in any packets, on the real loop, streams and
 * policy; spool, audit trail and auth helpers are in memory. The first octet chooses the connector and how
 * the spool behaves; then comes a sequence of packets, each a length octet (times 16, 0: one
 * octet) and that many octets.
 *
 * What must hold whatever comes: replies are well-formed lines; each "queued" has a message and
 * each message its records; every accepted recipient is recorded once; nothing is left over.
 */
#include "session/fake_spool.c" /* all of this target is in one file */
#include "auth/client.h"
#include "session/session.h"
#include "smtp/envelope.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUTPUT_MAX (1U << 20)

/* --- an audit trail that counts --- */

struct audit {
	size_t relayed;
	size_t attempts;
	size_t unflushed;
};

void
audit_attempt(struct audit *audit, const struct audit_session *session,
	      const struct audit_attempt *attempt)
{
	assert(session->id != NULL && strlen(session->id) == ID_SESSION_LEN);
	assert(strncmp(session->id, attempt->id, ID_SESSION_LEN) == 0);
	assert(id_is_valid(span_of(attempt->id)));
	assert(span_find(attempt->reply, '\r') == attempt->reply.len);
	audit->attempts++;
	audit->relayed += attempt->verdict == VERDICT_RELAYED;
	audit->unflushed++;
}

void
audit_connect(struct audit *audit, const struct audit_session *session, int64_t wall_ms,
	      enum reason reason, struct span reply, struct span detail)
{
	(void)session;
	(void)wall_ms;
	(void)detail;
	assert(reason != REASON_NONE && reply.len > 0);
	audit->unflushed++;
}

void
audit_auth(struct audit *audit, const struct audit_session *session, int64_t wall_ms,
	   enum reason reason)
{
	(void)wall_ms;
	assert(session->id != NULL && reason < REASON_COUNT);
	audit->unflushed++;
}

bool
audit_flush(struct audit *audit)
{
	audit->unflushed = 0;
	return true;
}

bool
audit_is_broken(const struct audit *audit)
{
	(void)audit;
	return false;
}

/* --- auth helpers whose answers the client dictates --- */

struct auth_pool {
	struct loop *loop;
	size_t open; /* exchanges */
	char last;   /* octet of what the client said last */
};

unsigned
auth_pool_mechanisms(const struct auth_pool *pool)
{
	(void)pool;
	return UINT_MAX;
}

static void
helper_answers(struct loop_call *call)
{
	struct auth_ticket *ticket = LIST_OWNER(call, struct auth_ticket, failing);
	static const enum auth_code codes[] = { AUTH_CONTINUE, AUTH_OK, AUTH_FAILED,
						AUTH_TROUBLE };
	const struct auth_answer answer = {
		.code = codes[ticket->pool->last & 3],
		.user = SPAN_LITERAL("alice@example.com"),
		.data = SPAN_LITERAL("challenge"),
	};

	ticket->state = AUTH_TICKET_ANSWERED;
	if (answer.code != AUTH_CONTINUE) {
		ticket->state = AUTH_TICKET_IDLE;
		ticket->pool->open--;
	}
	ticket->answered(ticket, &answer);
}

static void
helper_ask(struct auth_ticket *ticket, struct span data)
{
	assert(data.len <= AUTH_DATA_MAX);
	ticket->pool->last = data.len == 0 ? 0 : data.ptr[data.len - 1];
	ticket->state = AUTH_TICKET_ASKED;
	ticket->failing.run = helper_answers;
	loop_post(ticket->pool->loop, &ticket->failing);
}

void
auth_start(struct auth_pool *pool, struct auth_ticket *ticket, enum auth_mechanism mechanism,
	   const struct auth_facts *facts, bool has_data, struct span data)
{
	assert(ticket->state == AUTH_TICKET_IDLE && mechanism < AUTH_MECHANISM_COUNT);
	assert(!facts->is_tls && !facts->has_binding && facts->external.len == 0);
	assert(has_data || data.len == 0);
	ticket->pool = pool;
	pool->open++;
	helper_ask(ticket, data);
}

void
auth_step(struct auth_ticket *ticket, struct span data)
{
	assert(ticket->state == AUTH_TICKET_ANSWERED);
	helper_ask(ticket, data);
}

void
auth_cancel(struct auth_ticket *ticket)
{
	if (ticket->state == AUTH_TICKET_ASKED)
		(void)loop_call_cancel(ticket->pool->loop, &ticket->failing);
	if (ticket->state != AUTH_TICKET_IDLE)
		ticket->pool->open--;
	ticket->state = AUTH_TICKET_IDLE;
}

/* --- the world, made once --- */

#define ENDPOINT(n)                                                                         \
	{                                                                                   \
		.ip = { .bytes = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2 } }, \
		.port = (n)                                                                 \
	}

enum { CONNECTORS = 2 };

struct world {
	struct loop *loop;
	struct spool spool;
	struct audit audit;
	struct log log;
	struct policy *policy;
	struct session_settings settings[CONNECTORS];
	struct session_figures figures[CONNECTORS];
	_Atomic uint64_t serial;
	struct auth_pool auth;
	struct session_server *server;
	size_t recipients; /* of accepted messages */
};

static struct span
route_choose(void *context, const struct grant_source *grant, const struct address *sender,
	     const struct address *recipient, uint64_t size_octets)
{
	(void)context;
	(void)grant;
	(void)sender;
	assert(recipient->text.len > 0 && size_octets > 0);
	return span_of("r");
}

static void
state_initial(void *context, const struct envelope *envelope, struct buffer *state)
{
	(void)context;
	(void)envelope;
	(void)buffer_append_byte(state, 'q');
}

static void
accepted(void *context, struct spool_message *message, const struct envelope *envelope)
{
	struct world *world = context;
	struct span body = buffer_span(&message->body);

	/* our Received field is in front; no CR or LF stands alone but in chunks, where allowed */
	assert(span_starts_fold(body, span_of("Received: ")));
	if (span_equal(envelope->connector, world->settings[1].name))
		body.len = 0;
	for (size_t i = 0; i < body.len; i++) {
		assert(body.ptr[i] != '\0');
		assert(body.ptr[i] != '\n' || (i > 0 && body.ptr[i - 1] == '\r'));
		assert(body.ptr[i] != '\r' || (i + 1 < body.len && body.ptr[i + 1] == '\n'));
	}
	world->recipients += envelope->recipient_count;
}

static struct policy *
policy_make(void)
{
	static const struct span all = SPAN_LITERAL("*");
	static const struct span range = SPAN_LITERAL("10.0.0.0/8");
	static const struct span sender = SPAN_LITERAL("@ok.example");
	static const struct ip_endpoint bindings[] = { ENDPOINT(25), ENDPOINT(26) };
	static const struct connector_source connectors[CONNECTORS] = {
		{ .name = SPAN_LITERAL("refuse"), .bindings = &bindings[0], .binding_count = 1,
		  .remote_ranges = { &range, 1 } },
		{ .name = SPAN_LITERAL("normalise"), .bindings = &bindings[1],
		  .binding_count = 1, .remote_ranges = { &range, 1 } },
	};
	static const struct grant_source grant = {
		.name = SPAN_LITERAL("ok"),
		.networks = { &range, 1 },
		.senders = { &sender, 1 },
		.recipients = { &all, 1 },
	};
	static const struct policy_source source = {
		.connectors = connectors,
		.connector_count = CONNECTORS,
		.grants = &grant,
		.grant_count = 1,
	};

	return policy_new(&source, NULL, NULL);
}

static struct world *
world_new(void)
{
	struct world *w = memory_new(sizeof(*w));
	struct fault fault;

	w->loop = loop_new(&fault);
	assert(w->loop != NULL);
	fake_spool_init(&w->spool, w->loop);
	w->policy = policy_make();
	assert(w->policy != NULL);
	for (size_t i = 0; i < CONNECTORS; i++)
		w->settings[i] = (struct session_settings){
			.name = policy_connector(w->policy, i)->name,
			.hostname = SPAN_LITERAL("relay.example.com"),
			.bare_newline = i == 1 ? BARE_NEWLINE_NORMALISE : BARE_NEWLINE_REFUSE,
			.message_octets_max = 2000,
			.header_octets_max = 1000,
			.recipients_max = 3,
			.protocol_errors_max = 20,
			.hops_max = 3,
			.inactivity_ms = 300000,
			.connection_ms = 600000,
			.auth_count = 4,
			.auth = { AUTH_SCRAM_SHA_256, AUTH_PLAIN, AUTH_LOGIN, AUTH_CRAM_MD5 },
			.auth_without_tls = i == 1,
			.logon_failures_max = 3,
		};
	static const struct reply_wording wording = { .style = REPLY_STYLE_RELAYD };
	w->auth.loop = w->loop;
	const struct session_environment environment = {
		.wording = &wording,
		.loop = w->loop,
		.spool = &w->spool,
		.audit = &w->audit,
		.log = &w->log,
		.policy = w->policy,
		.connectors = w->settings,
		.figures = w->figures,
		.session_serial = &w->serial,
		.auth = &w->auth,
		.next = { .route_choose = route_choose,
			  .state_initial = state_initial,
			  .accepted = accepted,
			  .context = w },
	};

	w->server = session_server_new(&environment);
	return w;
}

/* --- one client --- */

struct attacker {
	struct world *world;
	int fd;
	struct buffer output;
};

/* Turn until nothing more happens; a slow spool takes a turn for each few octets. */
static void
world_settle(struct world *w)
{
	for (int quiet = 0; quiet < 4;) {
		size_t waits = w->spool.waits;

		loop_turn(w->loop, 0);
		quiet = w->spool.waits == waits ? quiet + 1 : 0;
	}
}

static void
attacker_settle(struct attacker *a)
{
	ssize_t n;

	do {
		world_settle(a->world);
		char *place = buffer_reserve(&a->output, 4096);

		if (place == NULL)
			return;
		n = recv(a->fd, place, 4096, 0);
		if (n > 0)
			buffer_claim(&a->output, (size_t)n);
	} while (n > 0);
}

static size_t
replies_check(struct span output)
{
	static const struct span queued = SPAN_LITERAL("250 2.0.0 Ok: queued as ");
	size_t count = 0;

	while (output.len > 0) {
		size_t end = span_find(output, '\n');

		assert(end < output.len && end >= 4 && output.ptr[end - 1] == '\r');
		assert(output.ptr[0] >= '2' && output.ptr[0] <= '5');
		assert(ascii_is_digit(output.ptr[1]) && ascii_is_digit(output.ptr[2]));
		assert(output.ptr[3] == ' ' || output.ptr[3] == '-');
		for (size_t i = 0; i + 1 < end; i++)
			assert(output.ptr[i] >= ' ' && output.ptr[i] <= '~');
		count += span_starts_fold(output, queued);
		output = span_skip(output, end + 1);
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *world; /* made once: a policy takes time */
	struct ip_endpoint peer = { .ip = { .bytes = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
						       10, 1, 1, 1 } } };
	int fds[2];

	if (size < 1)
		return 0;
	if (world == NULL)
		world = world_new();
	struct world *w = world;
	struct ip_endpoint local = ENDPOINT(data[0] & 1 ? 26 : 25);
	struct attacker a = { .world = w };

	w->spool.waits_each = data[0] & 2 ? 50 : 0;
	w->spool.status = data[0] & 4 ? SPOOL_FULL : SPOOL_OK;
	w->audit = (struct audit){ .relayed = 0 };
	w->recipients = 0;
	buffer_init(&a.output, OUTPUT_MAX);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		abort();
	a.fd = fds[0];
	session_server_take(w->server, fds[1], &peer, &local);
	attacker_settle(&a);
	for (size_t at = 1; at < size;) {
		size_t len = data[at] == 0 ? 1 : (size_t)data[at] * 16;

		at++;
		if (len > size - at)
			len = size - at;
		if (len > 0 && send(a.fd, data + at, len, MSG_NOSIGNAL) == -1)
			break;
		at += len;
		attacker_settle(&a);
	}
	(void)shutdown(a.fd, SHUT_WR);
	attacker_settle(&a);
	attacker_settle(&a);
	assert(replies_check(buffer_span(&a.output)) == w->spool.message_count);
	assert(w->audit.relayed == w->recipients);
	assert(w->audit.unflushed == 0);
	(void)close(a.fd);
	world_settle(w);
	world_settle(w);
	assert(session_server_count(w->server) == 0);
	assert(w->auth.open == 0);
	assert(w->spool.drafts == 0 && w->spool.commits_waiting == 0);
	assert(atomic_load(&w->figures[0].sessions_open) == 0);
	fake_spool_reset(&w->spool);
	buffer_reset(&a.output);
	return 0;
}
