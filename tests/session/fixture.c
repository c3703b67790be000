/* SPDX-License-Identifier: ISC */
/* A session server as a worker has it; see fixture.h. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "session/fixture.h"

#include "base/clock.h"
#include "smtp/envelope.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the policy --- */

static const struct span apps_range[] = { SPAN_LITERAL("10.20.0.0/16") };
static const struct text_list apps_ranges = { apps_range, 1 };

#define ENDPOINT(n)                                                                         \
	{                                                                                   \
		.ip = { .bytes = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2 } }, \
		.port = (n)                                                                 \
	}

static const struct ip_endpoint bindings[CONNECTOR_COUNT] = {
	ENDPOINT(PORT_APPS),
	ENDPOINT(PORT_MONITOR),
	ENDPOINT(PORT_NORMALISE),
	ENDPOINT(PORT_SUBMISSION),
};

static const struct connector_source connectors[CONNECTOR_COUNT] = {
	{ .name = SPAN_LITERAL("apps"), .bindings = &bindings[0], .binding_count = 1,
	  .remote_ranges = { apps_range, 1 }, .file = "relayd.conf", .line = 10 },
	{ .name = SPAN_LITERAL("monitor"), .bindings = &bindings[1], .binding_count = 1,
	  .remote_ranges = { apps_range, 1 }, .mode = MODE_MONITOR, .file = "relayd.conf",
	  .line = 20 },
	{ .name = SPAN_LITERAL("normalise"), .bindings = &bindings[2], .binding_count = 1,
	  .remote_ranges = { apps_range, 1 }, .file = "relayd.conf", .line = 30 },
	{ .name = SPAN_LITERAL("submission"), .bindings = &bindings[3], .binding_count = 1,
	  .remote_ranges = { apps_range, 1 }, .can_authenticate = true,
	  .file = "relayd.conf", .line = 40 },
};

#define LIST(...)                                                                          \
	{                                                                                  \
		.items = (const struct span[]){ __VA_ARGS__ },                             \
		.count = ARRAY_LEN(((const struct span[]){ __VA_ARGS__ }))                 \
	}
#define OPEN_CONNECTORS LIST(SPAN_LITERAL("apps"), SPAN_LITERAL("monitor"), SPAN_LITERAL("normalise"))

static const struct grant_source grants[] = {
	{ .name = SPAN_LITERAL("billing"), .connectors = OPEN_CONNECTORS,
	  .networks = LIST(SPAN_LITERAL("10.20.1.0/24")),
	  .senders = LIST(SPAN_LITERAL("@billing.example.com"), SPAN_LITERAL("<>")),
	  .recipients = LIST(SPAN_LITERAL("*")), .file = "relayd.conf", .line = 51 },
	{ .name = SPAN_LITERAL("partners"), .connectors = OPEN_CONNECTORS,
	  .networks = LIST(SPAN_LITERAL("10.20.2.0/24")), .senders = LIST(SPAN_LITERAL("*")),
	  .recipients = LIST(SPAN_LITERAL("@partner.example")), .file = "relayd.conf",
	  .line = 61 },
	{ .name = SPAN_LITERAL("secret"), .connectors = OPEN_CONNECTORS,
	  .networks = LIST(SPAN_LITERAL("10.20.3.0/24")), .senders = LIST(SPAN_LITERAL("*")),
	  .recipients = LIST(SPAN_LITERAL("*")), .requires_tls = true, .file = "relayd.conf",
	  .line = 71 },
	{ .name = SPAN_LITERAL("header"), .connectors = OPEN_CONNECTORS,
	  .networks = LIST(SPAN_LITERAL("10.20.4.0/24")),
	  .senders = LIST(SPAN_LITERAL("@hf.example.com")),
	  .recipients = LIST(SPAN_LITERAL("*")), .header_from = HEADER_FROM_AUTHORIZED,
	  .file = "relayd.conf", .line = 81 },
	{ .name = SPAN_LITERAL("people"), .connectors = LIST(SPAN_LITERAL("submission")),
	  .users = LIST(SPAN_LITERAL("alice")), .senders = LIST(SPAN_LITERAL("*")),
	  .recipients = LIST(SPAN_LITERAL("*")), .file = "relayd.conf", .line = 91 },
};

static void
complain(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	(void)context;
	if (is_error)
		fprintf(stderr, "%s:%u: %s\n", file, line, text);
}

/* --- what becomes of messages --- */

static struct span
route_choose(void *context, const struct grant_source *grant, const struct address *sender,
	     const struct address *recipient, uint64_t size_octets)
{
	(void)context;
	(void)sender;
	(void)recipient;
	(void)size_octets;
	return span_of(grant == NULL ? "default" : "granted");
}

static void
state_initial(void *context, const struct envelope *envelope, struct buffer *state)
{
	(void)context;
	for (size_t i = 0; i < envelope->recipient_count; i++)
		(void)buffer_append_byte(state, 'q');
}

static void
accepted(void *context, struct spool_message *message, const struct envelope *envelope)
{
	struct fixture *f = context;

	ck_assert_uint_gt(envelope->recipient_count, 0);
	f->accepted++;
	f->last = message;
}

/* --- the fixture --- */

void
fixture_init(struct fixture *f)
{
	static const struct policy_source source = {
		.connectors = connectors,
		.connector_count = CONNECTOR_COUNT,
		.grants = grants,
		.grant_count = ARRAY_LEN(grants),
	};
	const char *base = getenv("TMPDIR");
	struct fault fault;

	(void)apps_ranges;
	memset(f, 0, sizeof(*f));
	(void)snprintf(f->directory, sizeof(f->directory), "%s/session_test.XXXXXX",
		       base == NULL || strlen(base) > 30 ? "/tmp" : base);
	ck_assert_ptr_nonnull(mkdtemp(f->directory));
	f->loop = loop_new(&fault);
	ck_assert_ptr_nonnull(f->loop);
	f->audit = audit_open(f->directory, "0123456789abcdef", &f->log, &fault);
	ck_assert_msg(f->audit != NULL, "%s", f->audit == NULL ? fault_text(&fault) : "");
	f->policy = policy_new(&source, complain, NULL);
	ck_assert_ptr_nonnull(f->policy);
	f->spool = fixture_spool_open(f);
	for (size_t i = 0; i < CONNECTOR_COUNT; i++)
		f->settings[i] = (struct session_settings){
			.name = connectors[i].name,
			.hostname = SPAN_LITERAL("relay.example.com"),
			.message_octets_max = 100000,
			.header_octets_max = 65536,
			.recipients_max = 5,
			.connections_max = 100,
			.connections_per_source_max = 20,
			.protocol_errors_max = 5,
			.hops_max = 60,
			.inactivity_ms = 300000,
			.connection_ms = 600000,
		};
	f->settings[2].bare_newline = BARE_NEWLINE_NORMALISE;
	f->limits = connection_limits_new(2, 1000);
	f->serial = 1;
}

void
fixture_start(struct fixture *f)
{
	static const struct reply_wording wording = { .style = REPLY_STYLE_RELAYD };
	struct session_environment environment = {
		.wording = &wording,
		.loop = f->loop,
		.spool = f->spool,
		.audit = f->audit,
		.log = &f->log,
		.policy = f->policy,
		.connectors = f->settings,
		.figures = f->figures,
		.limits = f->limits,
		.slot = 1,
		.session_serial = &f->serial,
		.next = { .route_choose = route_choose,
			  .state_initial = state_initial,
			  .accepted = accepted,
			  .context = f },
	};

	if (f->passages != NULL) {
		environment.next.pass_on = f->passages->pass_on;
		environment.next.passage_state = f->passages->passage_state;
		environment.next.passage_accepted = f->passages->passage_accepted;
		environment.next.passage_drop = f->passages->passage_drop;
	}
	f->server = session_server_new(&environment);
}

static int
path_remove(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

void
fixture_end(struct fixture *f)
{
	session_server_free(&f->server);
	fixture_spool_close(f);
	for (size_t i = 0; i < CONNECTOR_COUNT; i++) {
		ck_assert_uint_eq(f->figures[i].sessions_open, 0);
		ck_assert_uint_eq(connection_limits_count(f->limits, f->settings[i].name, NULL),
				  0);
	}
	connection_limits_free(&f->limits);
	policy_free(&f->policy);
	audit_close(&f->audit);
	loop_free(&f->loop);
	arena_reset(&f->arena);
	(void)nftw(f->directory, path_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* --- clients --- */

struct client
client_connect_speaking(struct fixture *f, const char *address, uint16_t port,
			struct span early)
{
	struct client client = { .fixture = f };
	struct ip_endpoint peer = { .port = 40000 }, local = ENDPOINT(port);
	int fds[2];

	ck_assert_int_eq(ip_parse(span_of(address), &peer.ip), PARSE_OK);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	client.fd = fds[0];
	buffer_init(&client.received, 1U << 24);
	if (early.len > 0)
		client_push(&client, early);
	session_server_take(f->server, fds[1], &peer, &local);
	client_settle(&client);
	return client;
}

struct client
client_connect(struct fixture *f, const char *address, uint16_t port)
{
	return client_connect_speaking(f, address, port, (struct span){ NULL, 0 });
}

void
client_close(struct client *client)
{
	if (client->fd != -1)
		(void)close(client->fd);
	client->fd = -1;
	fixture_settle(client->fixture);
	buffer_reset(&client->received);
}

/* Read what is there; how much. */
static size_t
client_read(struct client *client)
{
	size_t total = 0;

	while (client->fd != -1 && !client->has_ended) {
		char *place = buffer_reserve(&client->received, 4096);
		ssize_t n = recv(client->fd, place, 4096, 0);

		if (n > 0) {
			buffer_claim(&client->received, (size_t)n);
			total += (size_t)n;
			continue;
		}
		if (n == 0 || errno == ECONNRESET)
			client->has_ended = true;
		break;
	}
	return total;
}

/* Three turns in which nothing waits: a post, its work, and what that wrote. */
void
fixture_settle(struct fixture *f)
{
	for (int i = 0; i < 6; i++)
		loop_turn(f->loop, 0);
}

void
client_settle(struct client *client)
{
	do {
		fixture_settle(client->fixture);
	} while (client_read(client) > 0);
}

void
client_push(struct client *client, struct span bytes)
{
	int64_t until = clock_monotonic_ms() + 20000;

	while (bytes.len > 0 && clock_monotonic_ms() < until) {
		ssize_t n = send(client->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

		if (n > 0) {
			bytes = span_skip(bytes, (size_t)n);
			continue;
		}
		if (errno != EAGAIN)
			return; /* the server closed; the replies will tell */
		loop_turn(client->fixture->loop, 5);
		(void)client_read(client);
	}
	ck_assert_uint_eq(bytes.len, 0);
}

void
client_send(struct client *client, struct span bytes)
{
	client_push(client, bytes);
	client_settle(client);
}

void
client_send_text(struct client *client, const char *text)
{
	client_send(client, span_of(text));
}

static size_t
lines_count(struct span text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.ptr[i] == '\n';
	return count;
}

void
client_wait_lines(struct client *client, size_t lines)
{
	int64_t until = clock_monotonic_ms() + 2000;

	while (lines_count(buffer_span(&client->received)) < lines && !client->has_ended &&
	       clock_monotonic_ms() < until) {
		loop_turn(client->fixture->loop, 20);
		(void)client_read(client);
	}
	client_settle(client);
}

const char *
client_take(struct client *client)
{
	const char *text = arena_copy_text(&client->fixture->arena,
					   buffer_span(&client->received));

	buffer_clear(&client->received);
	return text;
}

int
client_code(struct client *client, const char *command)
{
	client_take(client);
	client_send_text(client, command);
	const char *text = client_take(client);
	size_t len = strlen(text);

	if (len < 5)
		return 0;
	size_t at = len - 1;

	while (at > 0 && text[at - 1] != '\n')
		at--;
	return (text[at] - '0') * 100 + (text[at + 1] - '0') * 10 + (text[at + 2] - '0');
}

/* --- records --- */

json_t *
fixture_records(struct fixture *f)
{
	char path[128], line[65536];
	json_t *records = json_array();
	FILE *file;

	(void)audit_flush(f->audit);
	(void)snprintf(path, sizeof(path), "%s/audit/audit.jsonl", f->directory);
	file = fopen(path, "r");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		json_t *record;

		if (line[0] != '{') /* what is preallocated behind the last line */
			break;
		record = json_loads(line, 0, NULL);
		ck_assert_msg(record != NULL, "not JSON: %s", line);
		json_array_append_new(records, record);
	}
	(void)fclose(file);
	return records;
}

size_t
record_count(json_t *records, const char *event)
{
	size_t count = 0;

	for (size_t i = 0; i < json_array_size(records); i++)
		count += strcmp(record_text(json_array_get(records, i), "event"), event) == 0;
	return count;
}

json_t *
record_find(json_t *records, const char *event, int nth)
{
	if (nth < 0)
		nth += (int)record_count(records, event);
	for (size_t i = 0; i < json_array_size(records); i++) {
		json_t *record = json_array_get(records, i);

		if (strcmp(record_text(record, "event"), event) == 0 && nth-- == 0)
			return record;
	}
	return NULL;
}

const char *
record_text(json_t *record, const char *key)
{
	const char *text = json_string_value(json_object_get(record, key));

	return text == NULL ? "" : text;
}

bool
text_fits(const char *text, const char *pattern)
{
	for (; *pattern != '\0'; pattern++, text++) {
		if (*pattern == '*') {
			do {
				if (text_fits(text, pattern + 1))
					return true;
			} while (*text++ != '\0');
			return false;
		}
		if (*text != *pattern)
			return false;
	}
	return *text == '\0';
}

struct span
message_body(struct span stored)
{
	struct span all = stored;

	ck_assert(span_starts_fold(all, span_of("Received: ")));
	for (;;) {
		size_t end = span_find(all, '\n');

		ck_assert_uint_lt(end, all.len);
		all = span_skip(all, end + 1);
		if (all.len == 0 || (all.ptr[0] != ' ' && all.ptr[0] != '\t'))
			return all;
	}
}
