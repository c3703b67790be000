/* SPDX-License-Identifier: ISC */
/* What a test of delivery stands on; see bed.h. */
#include "bed.h"

#include "base/clock.h"
#include "base/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const route_names[BED_ROUTES_MAX] = { "r0", "r1", "r2", "r3" };

static const char usual_body[] = "Received: by test\r\nSubject: usual\r\n\r\n"
				 "Hello\r\n.a line with a dot\r\n..\r\nBye\r\n";

static void
bed_turn_ends(struct loop_hook *hook)
{
	struct bed *bed = LIST_OWNER(hook, struct bed, hook);

	if (bed->audit != NULL)
		ck_assert(audit_flush(bed->audit));
}

static void
bed_found(void *context, struct spool_message *message, struct span envelope,
	  struct span state)
{
	struct bed *bed = context;

	bed->found++;
	delivery_found(bed->delivery, message, envelope, state);
}

void
bed_init(struct bed *bed)
{
	const char *where = getenv("TMPDIR");
	struct fault fault;

	memset(bed, 0, sizeof(*bed));
	(void)snprintf(bed->directory, sizeof(bed->directory), "%s/relayd-delivery-XXXXXX",
		       where == NULL || strlen(where) > 30 ? "/tmp" : where);
	ck_assert_ptr_nonnull(mkdtemp(bed->directory));
	bed->loop = loop_new(&fault);
	ck_assert_ptr_nonnull(bed->loop);
	bed->hook.run = bed_turn_ends;
	loop_hook_add(bed->loop, &bed->hook);
	bed->log.level = getenv("BED_DEBUG") == NULL ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG;
	bed->retry_ms[0] = 40;
	bed->retry_ms[1] = 80;
	bed->queue = (struct queue_settings){
		.retry_ms = bed->retry_ms,
		.retry_count = 2,
		.expires_ms = 3600 * 1000,
	};
	bed->tuning = (struct delivery_tuning){
		.timeouts = { 2000, 2000, 2000, 2000, 2000, 2000, 2000, 2000, 500, 1000 },
		.hops = { 30, 120, 1000, 5000, 60, 120 },
		.envelope_octets_max = 1U << 20,
	};
}

size_t
bed_route(struct bed *bed, const char *pattern)
{
	size_t route = bed->route_count++;

	bed->patterns[route] = span_of(pattern);
	bed->routes[route] = (struct route_settings){
		.name = span_of(route_names[route]),
		.recipients = { .items = &bed->patterns[route], .count = 1 },
		.next_hops = bed->hops[route],
		.connections_max = 4,
	};
	return route;
}

void
bed_hop(struct bed *bed, size_t route, const char *host, uint16_t port)
{
	bed->hops[route][bed->routes[route].next_hop_count++] =
	    (struct next_hop_settings){ .host = span_of(host), .port = port };
}

void
bed_server(struct bed *bed, size_t route, const struct smtp_server *server)
{
	bed_hop(bed, route, "127.0.0.1", server->at.port);
}

void
bed_start(struct bed *bed)
{
	static char spool_directory[80];
	struct fault fault;

	(void)snprintf(spool_directory, sizeof(spool_directory), "%s/spool", bed->directory);
	bed->spool_settings.directory = spool_directory;
	bed->spool_settings.segment_octets = 1U << 20;
	bed->spool_settings.reserve_octets = 1U << 20;
	bed->spool_events.found = bed_found;
	bed->spool = spool_open(&bed->spool_settings, bed->loop, &bed->spool_events, bed,
				&bed->log, &fault);
	ck_assert_msg(bed->spool != NULL, "%s", fault_text(&fault));
	bed->audit = audit_open(bed->directory, "0123456789abcdef", &bed->log, &fault);
	ck_assert_msg(bed->audit != NULL, "%s", fault_text(&fault));
	bed->dns = fake_dns_new(bed->loop, bed->answers, bed->answer_count);
	bed->upstream = upstream_new(bed->routes, bed->route_count, clock_wall_ms(), NULL, &fault);
	ck_assert_msg(bed->upstream != NULL, "%s", fault_text(&fault));
	if (upstream_mechanisms(bed->upstream) != 0 && bed->login == NULL)
		bed->login = login_client_new(upstream_mechanisms(bed->upstream), &fault);
	for (size_t i = 0; i < bed->route_count; i++)
		bed->share_list[i] = &bed->shares[i];
	bed->environment = (struct delivery_environment){
		.loop = bed->loop,
		.spool = bed->spool,
		.audit = bed->audit,
		.log = &bed->log,
		.dns = bed->dns,
		.hostname = SPAN_LITERAL("relay.example.com"),
		.routes = bed->routes,
		.route_count = bed->route_count,
		.queue = &bed->queue,
		.figures = bed->figures,
		.shares = bed->share_list,
		.upstream = bed->upstream,
		.login = bed->login,
	};
	memset(bed->figures, 0, sizeof(bed->figures));
	bed->delivery = delivery_new(&bed->environment, &fault);
	ck_assert_msg(bed->delivery != NULL, "%s", fault_text(&fault));
	delivery_tune(bed->delivery, &bed->tuning);
}

void
bed_stop(struct bed *bed)
{
	delivery_free(&bed->delivery);
	ck_assert_ptr_null(bed->delivery);
	upstream_free(&bed->upstream);
	login_client_free(&bed->login);
	spool_close(&bed->spool);
	loop_turn(bed->loop, 0);
	fake_dns_free(&bed->dns);
	audit_close(&bed->audit);
}

/* Folders, and what is in them, all the way down. */
static void
tree_remove(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char below[1024];

	while (folder != NULL && (entry = readdir(folder)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (unlink(below) == -1)
			tree_remove(below);
	}
	if (folder != NULL)
		(void)closedir(folder);
	(void)rmdir(path);
}

void
bed_reset(struct bed *bed)
{
	if (bed->delivery != NULL)
		bed_stop(bed);
	loop_hook_remove(bed->loop, &bed->hook);
	loop_turn(bed->loop, 0);
	loop_free(&bed->loop);
	tree_remove(bed->directory);
}

void
bed_turn_for(struct bed *bed, int64_t ms)
{
	int64_t end = clock_monotonic_ms() + ms;

	while (clock_monotonic_ms() < end)
		loop_turn(bed->loop, 10);
}

struct submission {
	struct bed *bed;
	struct buffer envelope;
};

static void
submission_stored(void *context, enum spool_status status, struct spool_message *message)
{
	struct submission *submission = context;
	struct bed *bed = submission->bed;
	struct arena arena;
	struct envelope envelope;

	ck_assert_int_eq(status, SPOOL_OK);
	bed->stored++;
	arena_init(&arena, 0);
	ck_assert_int_eq(envelope_decode(buffer_span(&submission->envelope), &arena, &envelope),
			 PARSE_OK);
	if (bed->refuses_accepted)
		spool_leave(&message);
	else
		delivery_accepted(bed->delivery, message, &envelope);
	arena_reset(&arena);
	buffer_reset(&submission->envelope);
	free(submission);
}

static void
nothing(void *context)
{
	(void)context;
}

void
bed_submit(struct bed *bed, const struct bed_message *message)
{
	struct submission *submission = memory_new(sizeof(*submission));
	struct envelope_recipient *recipients =
	    memory_new_array(message->recipient_count, sizeof(*recipients));
	struct spool_draft *draft = spool_draft_new(bed->spool);
	struct buffer state;
	char id[ID_SIZE];

	(void)snprintf(id, sizeof(id), "TEST%04u", ++bed->submitted);
	for (size_t i = 0; i < message->recipient_count; i++) {
		struct address address;

		recipients[i].address = span_of(message->recipients[i]);
		ck_assert_int_eq(mailbox_parse(recipients[i].address, &address), PARSE_OK);
		recipients[i].orcpt = span_of(message->orcpt);
		recipients[i].notify = message->notify;
		recipients[i].grant = span_of("g");
		recipients[i].route =
		    delivery_route_choose(bed->delivery, NULL, NULL, &address, 0);
	}

	struct envelope envelope = {
		.id = span_of(id),
		.sender = span_of(message->sender),
		.envid = span_of(message->envid),
		.client = SPAN_LITERAL("192.0.2.1"),
		.connector = SPAN_LITERAL("c"),
		.ret = message->ret,
		.body = message->body_kind,
		.is_smtputf8 = message->is_smtputf8,
		.needs_tls = message->needs_tls,
		.arrived_wall_ms = clock_wall_ms(),
		.size_octets = message->body.len,
		.recipients = recipients,
		.recipient_count = message->recipient_count,
	};

	submission->bed = bed;
	buffer_init(&submission->envelope, ENVELOPE_OCTETS_MAX);
	ck_assert(envelope_encode(&envelope, &submission->envelope));
	buffer_init(&state, SPOOL_STATE_MAX);
	delivery_state_initial(bed->delivery, &envelope, &state);
	(void)spool_draft_append(draft, message->body, nothing, NULL);
	spool_draft_commit(&draft, buffer_span(&submission->envelope), buffer_span(&state),
			   submission_stored, submission);
	buffer_reset(&state);
	free(recipients);
}

void
bed_send_several(struct bed *bed, const char *const *to, size_t count)
{
	bed_submit(bed, &(struct bed_message){
			    .sender = "sender@example.com",
			    .recipients = to,
			    .recipient_count = count,
			    .body = SPAN_LITERAL(usual_body),
			});
}

void
bed_send(struct bed *bed, const char *to)
{
	bed_send_several(bed, &to, 1);
}

uint64_t
bed_spooled(const struct bed *bed)
{
	struct spool_figures figures;

	spool_figures_get(bed->spool, &figures);
	return figures.messages;
}

unsigned
bed_recorded(const struct bed *bed, const char *a, const char *b, const char *c)
{
	char path[128];
	char line[8192];
	unsigned count = 0;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/audit/audit.jsonl", bed->directory);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	while (fgets(line, sizeof(line), file) != NULL)
		count += (a == NULL || strstr(line, a) != NULL) &&
			 (b == NULL || strstr(line, b) != NULL) &&
			 (c == NULL || strstr(line, c) != NULL);
	(void)fclose(file);
	return count;
}

struct state_glance {
	struct buffer *text;
	bool is_there;
};

static bool
state_seen(void *context, const struct spool_glance *glance)
{
	struct state_glance *seen = context;

	buffer_clear(seen->text);
	(void)buffer_append(seen->text, glance->state);
	seen->is_there = true;
	return false;
}

bool
bed_state(const struct bed *bed, struct delivery_state *state, struct buffer *text)
{
	struct state_glance seen = { .text = text };
	struct fault fault;

	buffer_init(text, SPOOL_STATE_MAX);
	ck_assert(spool_walk(bed->spool_settings.directory, state_seen, &seen, &fault));
	if (!seen.is_there)
		return false;
	ck_assert_int_eq(delivery_state_read(buffer_span(text), state), PARSE_OK);
	return true;
}

uint64_t
bed_figure(const _Atomic uint64_t *figure)
{
	return atomic_load(figure);
}
