/* SPDX-License-Identifier: ISC */
/* relayctl queue list: what the spool holds, whether relayd runs or not. */
#include "ctl/command.h"

#include "base/clock.h"
#include "base/memory.h"
#include "ctl/columns.h"
#include "ctl/queue.h"

#include <inttypes.h>
#include <stdlib.h>

#define OUTPUT_OCTETS_MAX (64U << 20)

struct queue {
	struct arena arena;
	struct queue_message **messages;
	size_t count, room;
	const struct selection *selection;
	bool is_narrow; /* the selection asks for something that only the readable have */
};

/* ---- Gathering ---- */

static bool
message_gather(void *context, const struct spool_glance *glance)
{
	struct queue *queue = context;
	struct queue_message *message = arena_new(&queue->arena, sizeof(*message));

	queue_message_read(message, glance, &queue->arena);
	if (!queue_message_matches(queue->selection, queue->is_narrow, message))
		return true;
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
	const struct queue_message *const *x = a;
	const struct queue_message *const *y = b;

	if ((*x)->stored_wall_ms != (*y)->stored_wall_ms)
		return (*x)->stored_wall_ms < (*y)->stored_wall_ms ? -1 : 1;
	return ((*x)->uid > (*y)->uid) - ((*x)->uid < (*y)->uid);
}

static bool
queue_read(struct queue *queue, const char *state_directory, struct fault *fault)
{
	bool succeeded = queue_walk(state_directory, message_gather, queue, fault);

	if (queue->count > 1)
		qsort(queue->messages, queue->count, sizeof(struct queue_message *),
		      message_compare);
	return succeeded;
}

/* ---- Printing ---- */

struct totals {
	uint64_t messages, octets, unreadable;
	uint64_t recipients[RECIPIENT_FAILED + 1];
	uint64_t held; /* messages */
	int64_t oldest_wall_ms; /* 0: none */
};

static void
totals_add(struct totals *totals, const struct queue_message *message)
{
	totals->messages++;
	totals->octets += message->body_octets;
	totals->unreadable += !message->is_readable;
	if (totals->oldest_wall_ms == 0)
		totals->oldest_wall_ms = message->stored_wall_ms;
	if (!message->is_readable)
		return;
	totals->held += message->state.is_held;
	for (size_t i = 0; i < message->state.recipient_count; i++)
		totals->recipients[message->state.recipients[i]]++;
}

static void
cell_next_try(struct columns *c, const struct delivery_state *state, size_t i, int64_t now)
{
	if (state->recipients[i] != RECIPIENT_WAITING || state->is_held)
		columns_cell(c, span_of(""));
	else if (state->next_wall_ms <= now)
		columns_cell(c, span_of("now"));
	else
		columns_duration(c, state->next_wall_ms - now);
}

static void
recipient_print(struct columns *c, const struct queue_message *message, size_t i, int64_t now)
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
	columns_cell(c, span_of(queue_recipient_state(message, i)));
	columns_number(c, state->tries);
	cell_next_try(c, state, i, now);
	columns_cell(c, recipient->route);
	columns_cell(c, is_done ? span_of("") : state->last_reply);
}

static void
unreadable_print(struct columns *c, const struct queue_message *message, int64_t now)
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
	if (totals->held > 0)
		buffer_printf(&out, "; %" PRIu64 " message%s held", totals->held,
			      totals->held == 1 ? "" : "s");
	if (totals->unreadable > 0)
		buffer_printf(&out, "; %" PRIu64 " unreadable", totals->unreadable);
	buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&out);
}

static void
queue_print(const struct queue *queue, int64_t now)
{
	static const char *const titles[] = { "ID",	">AGE",	  ">SIZE", "FROM",  "TO",
					      "STATE", ">TRIES", ">NEXT", "ROUTE", "LAST REPLY" };
	struct totals totals = { .messages = 0 };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t n = 0; n < queue->count; n++) {
		const struct queue_message *message = queue->messages[n];

		totals_add(&totals, message);
		if (!message->is_readable)
			unreadable_print(&c, message, now);
		for (size_t i = 0; i < message->envelope.recipient_count; i++) {
			if (message->is_readable &&
			    queue_recipient_matches(queue->selection, message, i))
				recipient_print(&c, message, i, now);
		}
	}
	columns_end(&c);
	totals_print(&totals, now);
}

static void
queue_print_json(const struct queue *queue)
{
	struct buffer out;
	struct json j = json_on(&out);

	buffer_init(&out, OUTPUT_OCTETS_MAX);
	json_array_begin(&j, NULL);
	for (size_t i = 0; i < queue->count; i++) {
		json_object_begin(&j, NULL);
		queue_message_write_json(&j, queue->messages[i]);
		json_object_end(&j);
		output_put(&out);
	}
	json_array_end(&j);
	buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&out);
}

static int
queue_list(struct relayctl *ctl, struct queue *queue)
{
	const char *state_directory;
	struct fault fault;
	int status = state_directory_need(ctl, &state_directory);

	if (status != GO_ON)
		return status;
	if (!queue_read(queue, state_directory, &fault))
		return trouble_say(ctl, "%s", fault_text(&fault));
	if (ctl->is_json)
		queue_print_json(queue);
	else
		queue_print(queue, clock_wall_ms());
	return EXIT_YES;
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct queue_arguments arguments = { .may_be_all = true };
	struct queue queue = { .count = 0 };
	struct selection_source source;
	struct selection *selection = NULL;

	arena_init(&queue.arena, 64U << 10);
	int status =
	    queue_arguments_take(ctl, argc, argv, &queue.arena, &arguments, &source);

	if (status == GO_ON)
		selection = queue_selection_new(ctl, &source, &status);
	if (status == GO_ON) {
		queue.selection = selection;
		queue.is_narrow = source.ids.count > 0 || source.from.count > 0 ||
				  source.to.count > 0 || source.route.len > 0 ||
				  source.state != QUEUE_ANY;
		status = queue_list(ctl, &queue);
	}
	selection_free(&selection);
	free(queue.messages);
	arena_reset(&queue.arena);
	return status;
}

const struct command command_queue_list = {
	.name = "queue list",
	.summary = "the messages that relayd has accepted and not finished, oldest first",
	.help = "usage: relayctl queue list [ID...] [FILTERS] [--json]\n"
		"\n"
		"One line for each recipient. NEXT is the time until the next try. A recipient is\n"
		"waiting, held (by relayctl queue hold), delivered, or dead: refused for good by the\n"
		"next hop, or given up after its time; its message is kept until somebody decides\n"
		"about it (--state dead). relayd need not be running.\n"
		QUEUE_FILTERS_HELP
		"\n"
		"examples:\n"
		"  relayctl queue list --state dead\n"
		"  relayctl queue list --route microsoft365 --to @example.com --older-than 2h\n"
		"\n"
		"exit: 0 done (even when there is nothing), 2 usage, 3 the spool cannot be read\n",
	.run = run,
};
