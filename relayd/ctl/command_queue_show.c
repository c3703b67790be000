/* SPDX-License-Identifier: ISC */
/* relayctl queue show: all that is known of one queued message. */
#include "ctl/command.h"

#include "audit/query.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "ctl/columns.h"
#include "ctl/queue.h"

#include <inttypes.h>

#define HEADER_OCTETS_MAX (256U << 10) /* of the message's head, to be shown */
#define OUTPUT_OCTETS_MAX (64U << 20)

/* The message that was looked for. */
struct found {
	struct arena *arena;
	const struct selection *selection;
	bool is_there;
	struct queue_message message;
	struct span header; /* as it stands, up to the empty line */
	struct fault fault; /* why the header could not be read */
	bool has_header;
};

/* ---- Finding ---- */

/* The length of the header with its last line end. */
static size_t
header_length(struct span text)
{
	static const struct span ends[] = { SPAN_LITERAL("\r\n\r\n"), SPAN_LITERAL("\n\n") };

	if (text.len > 0 && (text.ptr[0] == '\r' || text.ptr[0] == '\n'))
		return 0;
	for (size_t at = 0; at < text.len; at++) {
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			struct span rest = span_skip(text, at);

			if (rest.len >= ends[i].len &&
			    span_equal(span_first(rest, ends[i].len), ends[i]))
				return at + ends[i].len / 2;
		}
	}
	return text.len;
}

static void
header_read(struct found *found, const struct spool_glance *glance)
{
	struct buffer head;

	buffer_init(&head, HEADER_OCTETS_MAX + 1);
	found->has_header = spool_glance_body(glance, HEADER_OCTETS_MAX, &head, &found->fault);
	found->header = arena_copy(found->arena,
				   span_first(buffer_span(&head), header_length(buffer_span(&head))));
	buffer_reset(&head);
}

static bool
message_seen(void *context, const struct spool_glance *glance)
{
	struct found *found = context;
	struct arena arena;
	struct queue_message message;

	arena_init(&arena, 4096);
	queue_message_read(&message, glance, &arena);
	if (queue_message_matches(found->selection, true, &message)) {
		found->is_there = true;
		queue_message_read(&found->message, glance, found->arena);
		header_read(found, glance);
	}
	arena_reset(&arena);
	return !found->is_there;
}

/* ---- Its history ---- */

struct history {
	struct arena *arena;
	const struct audit_record *records[1000]; /* the newest of them, as a ring */
	size_t count;
};

static bool
record_seen(void *context, const struct audit_record *record)
{
	struct history *history = context;
	struct span none = { NULL, 0 };

	if (record->next_hop.len == 0 && record->action.len == 0 &&
	    span_equal(record->route, none))
		return true; /* the decision: relayctl why tells it */
	history->records[history->count++ % ARRAY_LEN(history->records)] =
	    audit_record_copy(record, history->arena);
	return true;
}

static size_t
history_first(const struct history *history)
{
	size_t max = ARRAY_LEN(history->records);

	return history->count > max ? history->count - max : 0;
}

static const struct audit_record *
history_at(const struct history *history, size_t at)
{
	return history->records[at % ARRAY_LEN(history->records)];
}

/* ---- For people ---- */

static void
line_say(struct buffer *out, const char *label, struct span text)
{
	if (text.len == 0)
		return;
	buffer_printf(out, "%-10s ", label);
	utf8_append_printable(out, text);
	buffer_append_byte(out, '\n');
}

static void
times_say(struct buffer *out, const struct queue_message *message, int64_t now)
{
	char stored[CLOCK_RFC3339_SIZE];

	clock_rfc3339(message->stored_wall_ms, stored);
	buffer_printf(out, "%-10s %s, ", "Accepted", stored);
	clock_duration(now - message->stored_wall_ms, out);
	buffer_append_text(out, " ago\n");
	buffer_printf(out, "%-10s %" PRIu64 " octets\n", "Size", message->body_octets);
	buffer_printf(out, "%-10s %" PRIu32, "Tries", message->state.tries);
	if (message->state.is_held) {
		buffer_append_text(out, "; held by an operator");
	} else if (message->state.next_wall_ms > now) {
		buffer_append_text(out, "; the next in ");
		clock_duration(message->state.next_wall_ms - now, out);
	}
	buffer_append_byte(out, '\n');
}

static void
envelope_say(struct buffer *out, const struct queue_message *message, int64_t now)
{
	static const struct span null_path = SPAN_LITERAL("<>");
	const struct envelope *envelope = &message->envelope;

	line_say(out, "Message", envelope->id);
	line_say(out, "From", envelope->sender.len == 0 ? null_path : envelope->sender);
	line_say(out, "Client", envelope->client);
	line_say(out, "Login", envelope->login);
	line_say(out, "Connector", envelope->connector);
	line_say(out, "Envid", envelope->envid);
	times_say(out, message, now);
	line_say(out, "Last reply", message->state.last_reply);
	buffer_printf(out, "%-10s shard ", "Spool");
	buffer_append(out, message->shard);
	buffer_printf(out, ", uid %" PRIu64 "\n\n", message->uid);
}

static void
recipients_print(const struct queue_message *message)
{
	static const char *const titles[] = { "TO", "STATE", "ROUTE", "GRANT" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < message->envelope.recipient_count; i++) {
		const struct envelope_recipient *recipient = &message->envelope.recipients[i];

		columns_cell(&c, recipient->address);
		columns_cell(&c, span_of(queue_recipient_state(message, i)));
		columns_cell(&c, recipient->route);
		columns_cell(&c, recipient->grant);
	}
	columns_end(&c);
}

static void
history_print(const struct history *history)
{
	static const char *const titles[] = { "TIME", "EVENT", "RESULT", "TO", "NEXT HOP",
					      "REPLY" };
	struct columns c;

	if (history->count > 0)
		(void)putchar('\n');
	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = history_first(history); i < history->count; i++) {
		const struct audit_record *record = history_at(history, i);
		bool is_operator = record->action.len > 0;

		columns_cell(&c, record->time);
		columns_cell(&c, record->event);
		columns_cell(&c, is_operator ? record->action : record->result);
		columns_cell(&c, record->to);
		columns_cell(&c, record->next_hop);
		columns_cell(&c, is_operator ? record->operator : record->reply);
	}
	columns_end(&c);
}

/* Line by line, and nothing in it that a terminal could take for more than text. */
static void
header_print(const struct found *found)
{
	struct span rest = found->header;
	struct buffer out;

	buffer_init(&out, OUTPUT_OCTETS_MAX);
	buffer_append_byte(&out, '\n');
	while (rest.len > 0) {
		size_t len = span_find(rest, '\n');
		struct span line = span_first(rest, len);

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		while (line.len > 0 && line.ptr[0] == '\t') {
			buffer_append_text(&out, "    ");
			line = span_skip(line, 1);
		}
		utf8_append_printable(&out, line);
		buffer_append_byte(&out, '\n');
		rest = span_skip(rest, len < rest.len ? len + 1 : len);
	}
	output_put(&out);
	buffer_reset(&out);
}

static void
message_print(const struct found *found, const struct history *history, int64_t now)
{
	struct buffer out;

	buffer_init(&out, OUTPUT_OCTETS_MAX);
	envelope_say(&out, &found->message, now);
	output_put(&out);
	recipients_print(&found->message);
	history_print(history);
	header_print(found);
	buffer_reset(&out);
}

/* ---- For programs ---- */

static void
message_print_json(const struct found *found, const struct history *history)
{
	struct buffer out;
	struct json j = json_on(&out);

	buffer_init(&out, OUTPUT_OCTETS_MAX);
	json_object_begin(&j, NULL);
	queue_message_write_json(&j, &found->message);
	json_array_begin(&j, "history");
	for (size_t i = history_first(history); i < history->count; i++)
		json_encoded(&j, NULL, history_at(history, i)->line);
	json_array_end(&j);
	if (found->has_header)
		json_text(&j, "header", found->header);
	json_object_end(&j);
	buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&out);
}

/* ---- All of it ---- */

static int
message_show(struct relayctl *ctl, struct found *found, const struct selection_source *source)
{
	const char *state_directory;
	struct history history = { .arena = found->arena };
	struct audit_filter filter = { .id = source->ids.items[0] };
	struct audit_tally tally;
	struct fault fault;
	int status = state_directory_need(ctl, &state_directory);

	if (status != GO_ON)
		return status;
	if (!queue_walk(state_directory, message_seen, found, &fault))
		return trouble_say(ctl, "%s", fault_text(&fault));
	if (!found->is_there) {
		(void)fprintf(stderr, "relayctl queue show: " SPAN_FMT " is not in the queue; "
				      "relayctl why " SPAN_FMT " tells what became of it\n",
			      SPAN_ARG(filter.id), SPAN_ARG(filter.id));
		return EXIT_NO;
	}
	if (!audit_query(state_directory, &filter, record_seen, &history, &tally, &fault))
		(void)trouble_say(ctl, "no history: %s", fault_text(&fault));
	if (ctl->is_json)
		message_print_json(found, &history);
	else
		message_print(found, &history, clock_wall_ms());
	if (!found->has_header)
		return trouble_say(ctl, "no header: %s", fault_text(&found->fault));
	return EXIT_YES;
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct queue_arguments arguments = { .route = NULL };
	struct selection_source source;
	struct selection *selection = NULL;
	struct arena arena;

	arena_init(&arena, 64U << 10);
	struct found found = { .arena = &arena };
	int status = queue_arguments_take(ctl, argc, argv, &arena, &arguments, &source);

	if (status == GO_ON && source.ids.count != 1)
		status = usage_complain(ctl, "one id is expected; relayctl queue list shows them");
	if (status == GO_ON)
		selection = queue_selection_new(ctl, &source, &status);
	if (status == GO_ON) {
		found.selection = selection;
		status = message_show(ctl, &found, &source);
	}
	selection_free(&selection);
	arena_reset(&arena);
	return status;
}

const struct command command_queue_show = {
	.name = "queue show",
	.summary = "one message of the queue: envelope, history, header",
	.help = "usage: relayctl queue show ID [--json]\n"
		"\n"
		"The envelope, how each recipient stands, every try so far with the next hop's\n"
		"reply and what operators did (as the audit trail has it), and the header of the\n"
		"message. The text of the message is not shown. relayd need not be running.\n"
		"\n"
		"example:\n"
		"  relayctl queue show 7F3K2M9Q\n"
		"\n"
		"exit: 0 shown, 1 not in the queue, 2 usage, 3 it cannot be read\n",
	.run = run,
};
