/* SPDX-License-Identifier: ISC */
/* relayctl queue list: what the spool holds, whether relayd runs or not. */
#include "ctl/command.h"

#include "audit/query.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "ctl/columns.h"
#include "delivery/delivery.h"
#include "smtp/envelope.h"
#include "spool/spool.h"

#include <inttypes.h>
#include <stdlib.h>

#define SPOOL_DIRECTORY	  "spool"
#define OUTPUT_OCTETS_MAX (64U << 20)

/* One message; the spans are the arena's. */
struct queued {
	uint64_t uid;
	struct span shard;
	int64_t stored_wall_ms;
	uint64_t body_octets;
	bool is_readable; /* false: only the above is known */
	struct envelope envelope;
	struct delivery_state state;
};

struct queue {
	struct arena arena;
	struct queued **messages;
	size_t count, room;
};

struct queue_filter {
	const char *route, *from, *to, *state;
};

static const char *
state_name(enum recipient_state state)
{
	switch (state) {
	case RECIPIENT_WAITING: return "waiting";
	case RECIPIENT_DELIVERED: return "delivered";
	case RECIPIENT_DEAD: return "dead";
	case RECIPIENT_OWED: return "delivered";
	case RECIPIENT_FAILED: return "failed";
	}
	return "";
}

/* ---- Gathering ---- */

static bool
message_gather(void *context, const struct spool_glance *glance)
{
	struct queue *queue = context;
	struct queued *message = arena_new(&queue->arena, sizeof(*message));
	struct span envelope = arena_copy(&queue->arena, glance->envelope);
	struct span state = arena_copy(&queue->arena, glance->state);

	*message = (struct queued){
		.uid = glance->info->uid,
		.shard = arena_copy(&queue->arena, span_of(glance->shard)),
		.stored_wall_ms = glance->info->stored_wall_ms,
		.body_octets = glance->info->body_octets,
	};
	message->is_readable =
	    envelope_decode(envelope, &queue->arena, &message->envelope) == PARSE_OK &&
	    delivery_state_read(state, &message->state) == PARSE_OK &&
	    message->state.recipient_count == message->envelope.recipient_count;
	if (queue->count == queue->room) {
		queue->room = queue->room == 0 ? 64 : queue->room * 2;
		queue->messages =
		    memory_resize(queue->messages, queue->room, sizeof(*queue->messages));
	}
	queue->messages[queue->count++] = message;
	return true;
}

static int
message_compare(const void *a, const void *b)
{
	const struct queued *const *x = a;
	const struct queued *const *y = b;

	if ((*x)->stored_wall_ms != (*y)->stored_wall_ms)
		return (*x)->stored_wall_ms < (*y)->stored_wall_ms ? -1 : 1;
	return ((*x)->uid > (*y)->uid) - ((*x)->uid < (*y)->uid);
}

static bool
queue_read(struct queue *queue, const char *state_directory, struct fault *fault)
{
	struct buffer path;

	buffer_init(&path, 8192);
	buffer_printf(&path, "%s/" SPOOL_DIRECTORY, state_directory);
	bool succeeded = spool_walk(buffer_text(&path), message_gather, queue, fault);

	buffer_reset(&path);
	if (queue->count > 1)
		qsort(queue->messages, queue->count, sizeof(struct queued *), message_compare);
	return succeeded;
}

/* ---- Choosing ---- */

static bool
recipient_is_wanted(const struct queue_filter *filter, const struct queued *message, size_t i)
{
	const struct envelope_recipient *recipient = &message->envelope.recipients[i];
	const char *state = state_name(message->state.recipients[i]);

	return (filter->route == NULL || span_equal(span_of(filter->route), recipient->route)) &&
	       (filter->state == NULL || strcmp(filter->state, state) == 0) &&
	       audit_address_matches(span_of(filter->to), recipient->address);
}

/* Is the message wanted? Yes when one of its recipients is. */
static bool
message_is_wanted(const struct queue_filter *filter, const struct queued *message)
{
	if (!message->is_readable)
		return filter->route == NULL && filter->from == NULL && filter->to == NULL &&
		       filter->state == NULL;
	if (!audit_address_matches(span_of(filter->from), message->envelope.sender))
		return false;
	for (size_t i = 0; i < message->envelope.recipient_count; i++) {
		if (recipient_is_wanted(filter, message, i))
			return true;
	}
	return false;
}

/* ---- Printing ---- */

struct totals {
	uint64_t messages, octets, unreadable;
	uint64_t recipients[RECIPIENT_FAILED + 1];
	int64_t oldest_wall_ms; /* 0: none */
};

static void
totals_add(struct totals *totals, const struct queued *message)
{
	totals->messages++;
	totals->octets += message->body_octets;
	totals->unreadable += !message->is_readable;
	if (totals->oldest_wall_ms == 0)
		totals->oldest_wall_ms = message->stored_wall_ms;
	if (!message->is_readable)
		return;
	for (size_t i = 0; i < message->state.recipient_count; i++)
		totals->recipients[message->state.recipients[i]]++;
}

static void
cell_next_try(struct columns *c, const struct delivery_state *state, size_t i, int64_t now)
{
	if (state->recipients[i] != RECIPIENT_WAITING)
		columns_cell(c, span_of(""));
	else if (state->next_wall_ms <= now)
		columns_cell(c, span_of("now"));
	else
		columns_duration(c, state->next_wall_ms - now);
}

static void
recipient_print(struct columns *c, const struct queued *message, size_t i, int64_t now)
{
	static const struct span null_path = SPAN_LITERAL("<>");
	const struct envelope *envelope = &message->envelope;
	const struct envelope_recipient *recipient = &envelope->recipients[i];
	const struct delivery_state *state = &message->state;
	bool is_done = state->recipients[i] == RECIPIENT_DELIVERED;

	columns_cell(c, envelope->id);
	columns_duration(c, now - message->stored_wall_ms);
	columns_octets(c, message->body_octets);
	columns_cell(c, envelope->sender.len == 0 ? null_path : envelope->sender);
	columns_cell(c, recipient->address);
	columns_cell(c, span_of(state_name(state->recipients[i])));
	columns_number(c, state->tries);
	cell_next_try(c, state, i, now);
	columns_cell(c, recipient->route);
	columns_cell(c, is_done ? span_of("") : state->last_reply);
}

static void
unreadable_print(struct columns *c, const struct queued *message, int64_t now)
{
	struct buffer text;

	buffer_init(&text, 1000);
	buffer_printf(&text, "uid %" PRIu64 " of shard ", message->uid);
	buffer_append(&text, message->shard);
	buffer_append_text(&text, " is not understood; was it written by a later release?");
	columns_cell(c, span_of(""));
	columns_duration(c, now - message->stored_wall_ms);
	columns_octets(c, message->body_octets);
	columns_cell(c, span_of(""));
	columns_cell(c, span_of(""));
	columns_cell(c, span_of("unreadable"));
	for (int i = 0; i < 3; i++)
		columns_cell(c, span_of(""));
	columns_cell(c, buffer_span(&text));
	buffer_reset(&text);
}

static void
totals_print(const struct totals *totals, int64_t now)
{
	struct buffer out;

	if (totals->messages == 0) {
		(void)puts("the queue holds nothing of that kind");
		return;
	}
	buffer_init(&out, 1000);
	buffer_printf(&out, "\n%" PRIu64 " message%s, ", totals->messages,
		      totals->messages == 1 ? "" : "s");
	octets_append(&out, totals->octets);
	buffer_append_text(&out, ", the oldest ");
	clock_duration(now - totals->oldest_wall_ms, &out);
	buffer_printf(&out, "; recipients: %" PRIu64 " waiting, %" PRIu64 " delivered, %" PRIu64
		      " dead", totals->recipients[RECIPIENT_WAITING],
		      totals->recipients[RECIPIENT_DELIVERED],
		      totals->recipients[RECIPIENT_DEAD]);
	if (totals->unreadable > 0)
		buffer_printf(&out, "; %" PRIu64 " unreadable", totals->unreadable);
	buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&out);
}

static void
queue_print(const struct queue *queue, const struct queue_filter *filter, int64_t now)
{
	static const char *const titles[] = { "ID",	">AGE",	  ">SIZE", "FROM",  "TO",
					      "STATE", ">TRIES", ">NEXT", "ROUTE", "LAST REPLY" };
	struct totals totals = { .messages = 0 };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t n = 0; n < queue->count; n++) {
		const struct queued *message = queue->messages[n];

		if (!message_is_wanted(filter, message))
			continue;
		totals_add(&totals, message);
		if (!message->is_readable)
			unreadable_print(&c, message, now);
		for (size_t i = 0; i < message->envelope.recipient_count; i++) {
			if (message->is_readable && recipient_is_wanted(filter, message, i))
				recipient_print(&c, message, i, now);
		}
	}
	columns_end(&c);
	totals_print(&totals, now);
}

/* ---- As JSON ---- */

static void
json_time(struct json *j, const char *key, int64_t wall_ms)
{
	char text[CLOCK_RFC3339_SIZE];

	clock_rfc3339(wall_ms, text);
	json_cstring(j, key, text);
}

static void
recipients_write_json(struct json *j, const struct queued *message)
{
	json_array_begin(j, "recipients");
	for (size_t i = 0; i < message->envelope.recipient_count; i++) {
		const struct envelope_recipient *recipient = &message->envelope.recipients[i];

		json_object_begin(j, NULL);
		json_text(j, "address", recipient->address);
		json_cstring(j, "state", state_name(message->state.recipients[i]));
		json_text(j, "route", recipient->route);
		json_text_if(j, "grant", recipient->grant);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
message_write_json(struct json *j, const struct queued *message)
{
	const struct envelope *envelope = &message->envelope;
	const struct delivery_state *state = &message->state;

	json_object_begin(j, NULL);
	if (message->is_readable)
		json_text(j, "id", envelope->id);
	json_number(j, "uid", (int64_t)message->uid);
	json_text(j, "shard", message->shard);
	json_time(j, "stored", message->stored_wall_ms);
	json_number(j, "size", (int64_t)message->body_octets);
	json_bool(j, "readable", message->is_readable);
	if (message->is_readable) {
		json_text(j, "from", envelope->sender);
		json_text_if(j, "client", envelope->client);
		json_text_if(j, "user", envelope->login);
		json_text_if(j, "connector", envelope->connector);
		json_number(j, "tries", state->tries);
		if (state->next_wall_ms != 0)
			json_time(j, "next", state->next_wall_ms);
		json_text_if(j, "reply", state->last_reply);
		recipients_write_json(j, message);
	}
	json_object_end(j);
}

static void
queue_print_json(const struct queue *queue, const struct queue_filter *filter)
{
	struct buffer out;
	struct json j = json_on(&out);

	buffer_init(&out, OUTPUT_OCTETS_MAX);
	json_array_begin(&j, NULL);
	for (size_t i = 0; i < queue->count; i++) {
		if (message_is_wanted(filter, queue->messages[i]))
			message_write_json(&j, queue->messages[i]);
		output_put(&out);
	}
	json_array_end(&j);
	buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&out);
}

static int
filter_check(const struct relayctl *ctl, const struct queue_filter *filter)
{
	for (enum recipient_state state = RECIPIENT_WAITING; state <= RECIPIENT_DEAD; state++) {
		if (filter->state == NULL || strcmp(filter->state, state_name(state)) == 0)
			return GO_ON;
	}
	return usage_complain(ctl, "--state %s: write waiting, delivered or dead", filter->state);
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct queue_filter filter = { .route = NULL };
	struct queue queue = { .count = 0 };
	const char *state_directory;
	struct fault fault;
	const struct option options[] = {
		{ "--route", OPTION_TEXT, &filter.route },
		{ "--from", OPTION_TEXT, &filter.from },
		{ "--to", OPTION_TEXT, &filter.to },
		{ "--state", OPTION_TEXT, &filter.state },
	};
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON && argc > 0)
		return usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	if (status == GO_ON)
		status = filter_check(ctl, &filter);
	if (status == GO_ON)
		status = state_directory_need(ctl, &state_directory);
	if (status != GO_ON)
		return status;
	arena_init(&queue.arena, 64U << 10);
	if (!queue_read(&queue, state_directory, &fault)) {
		status = trouble_say(ctl, "%s", fault_text(&fault));
	} else {
		if (ctl->is_json)
			queue_print_json(&queue, &filter);
		else
			queue_print(&queue, &filter, clock_wall_ms());
		status = EXIT_YES;
	}
	free(queue.messages);
	arena_reset(&queue.arena);
	return status;
}

const struct command command_queue_list = {
	.name = "queue list",
	.summary = "the messages that relayd has accepted and not finished, oldest first",
	.help = "usage: relayctl queue list [--route R] [--from A] [--to A] [--state S] [--json]\n"
		"\n"
		"One line for each recipient. NEXT is the time until the next try. A recipient is\n"
		"waiting, delivered, or dead: refused for good by the next hop, or given up after\n"
		"its time; its message is kept until somebody decides about it (--state dead).\n"
		"relayd need not be running.\n"
		"  --route R           of this route\n"
		"  --from A, --to A    an address or @domain; --from '<>' is the null sender\n"
		"  --state S           waiting, delivered or dead\n"
		"\n"
		"examples:\n"
		"  relayctl queue list --state dead\n"
		"  relayctl queue list --route microsoft365 --to @example.com\n"
		"\n"
		"exit: 0 done (even when there is nothing), 2 usage, 3 the spool cannot be read\n",
	.run = run,
};
