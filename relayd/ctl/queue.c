/* SPDX-License-Identifier: ISC */
/* What the commands of relayctl queue share; see queue.h. */
#include "ctl/queue.h"

#include "audit/query.h"
#include "base/clock.h"
#include "base/memory.h"

#include <stdlib.h>

#define SPOOL_DIRECTORY "spool"

/* ---- The command line ---- */

static int
time_take(const struct relayctl *ctl, const char *option, const char *text, int64_t now,
	  int64_t *wall_ms)
{
	if (text == NULL || time_option_parse(text, now, wall_ms) == PARSE_OK)
		return GO_ON;
	return usage_complain(ctl, "%s %s is no time; write 2h, 7d, 2026-12-31 or "
				   "2026-12-31T08:30", option, text);
}

static int
state_take(const struct relayctl *ctl, const char *text, enum queue_state *state)
{
	if (text == NULL)
		return GO_ON;
	*state = queue_state_find(span_of(text));
	if (*state != QUEUE_ANY)
		return GO_ON;
	return usage_complain(ctl, "--state %s: write waiting, held, delivered or dead", text);
}

static struct text_list
texts_of(const struct option_list *list, struct arena *arena)
{
	struct span *items = arena_new_array(arena, list->count + 1, sizeof(*items));

	for (size_t i = 0; i < list->count; i++)
		items[i] = span_of(list->items[i]);
	return (struct text_list){ items, list->count };
}

/* Ids of recipients ("7F3K2M9Q.2") mean their messages. */
static int
ids_take(const struct relayctl *ctl, int argc, char **argv, struct arena *arena,
	 struct text_list *ids)
{
	struct span *items = arena_new_array(arena, (size_t)argc + 1, sizeof(*items));

	for (int i = 0; i < argc; i++) {
		items[i] = audit_id_transaction(audit_id_normalise(span_of(argv[i]), arena));
		if (id_pack(items[i]) == 0)
			return usage_complain(ctl, "%s is not the id of a message; relayctl queue "
						   "list shows them", argv[i]);
	}
	*ids = (struct text_list){ items, (size_t)argc };
	return GO_ON;
}

static int
source_take(const struct relayctl *ctl, const struct queue_arguments *a, struct arena *arena,
	    struct selection_source *source)
{
	int64_t now = clock_wall_ms();
	int status = state_take(ctl, a->state, &source->state);

	source->from = texts_of(&a->from, arena);
	source->to = texts_of(&a->to, arena);
	source->route = span_of(a->route);
	if (status == GO_ON)
		status = time_take(ctl, "--older-than", a->older_than, now,
				   &source->before_wall_ms);
	if (status == GO_ON)
		status = time_take(ctl, "--newer-than", a->newer_than, now,
				   &source->after_wall_ms);
	return status;
}

int
queue_arguments_take(struct relayctl *ctl, int argc, char **argv, struct arena *arena,
		     struct queue_arguments *a, struct selection_source *source)
{
	const struct option options[] = {
		{ "--from", OPTION_LIST, &a->from },
		{ "--to", OPTION_LIST, &a->to },
		{ "--route", OPTION_TEXT, &a->route },
		{ "--state", OPTION_TEXT, &a->state },
		{ "--older-than", OPTION_TEXT, &a->older_than },
		{ "--newer-than", OPTION_TEXT, &a->newer_than },
		{ "--all", OPTION_FLAG, &a->is_all },
		{ "--yes", OPTION_FLAG, &a->is_sure },
	};
	size_t count = ARRAY_LEN(options) - !a->may_be_sure - (!a->may_be_all && !a->may_be_sure);

	*source = (struct selection_source){ .state = QUEUE_ANY };
	a->from.items = arena_new_array(arena, (size_t)argc + 1, sizeof(*a->from.items));
	a->to.items = arena_new_array(arena, (size_t)argc + 1, sizeof(*a->to.items));
	int status = options_take(ctl, options, count, &argc, argv);

	if (status == GO_ON)
		status = source_take(ctl, a, arena, source);
	if (status == GO_ON)
		status = ids_take(ctl, argc, argv, arena, &source->ids);
	return status;
}

struct selection *
queue_selection_new(struct relayctl *ctl, const struct selection_source *source, int *status)
{
	struct fault fault = { .error = 0 };
	struct selection *selection = selection_new(source, &fault);

	if (selection == NULL)
		*status = usage_complain(ctl, "%s", fault_text(&fault));
	return selection;
}

/* ---- What is there ---- */

void
queue_message_read(struct queue_message *message, const struct spool_glance *glance,
		   struct arena *arena)
{
	struct span envelope = arena_copy(arena, glance->envelope);
	struct span state = arena_copy(arena, glance->state);

	*message = (struct queue_message){
		.uid = glance->info->uid,
		.shard = arena_copy(arena, span_of(glance->shard)),
		.stored_wall_ms = glance->info->stored_wall_ms,
		.body_octets = glance->info->body_octets,
	};
	message->is_readable =
	    envelope_decode(envelope, arena, &message->envelope) == PARSE_OK &&
	    delivery_state_read(state, &message->state) == PARSE_OK &&
	    message->state.recipient_count == message->envelope.recipient_count;
}

static enum queue_state
recipient_stands(const struct queue_message *message, size_t recipient)
{
	return queue_state_of((enum recipient_state)message->state.recipients[recipient],
			      message->state.is_held);
}

const char *
queue_recipient_state(const struct queue_message *message, size_t recipient)
{
	return queue_state_name(recipient_stands(message, recipient));
}

bool
queue_walk(const char *state_directory,
	   bool (*seen)(void *context, const struct spool_glance *), void *context,
	   struct fault *fault)
{
	struct buffer path;

	buffer_init(&path, 8192);
	buffer_printf(&path, "%s/" SPOOL_DIRECTORY, state_directory);
	bool succeeded = spool_walk(buffer_text(&path), seen, context, fault);

	buffer_reset(&path);
	return succeeded;
}

/* ---- Is it meant ---- */

bool
queue_recipient_matches(const struct selection *selection, const struct queue_message *message,
			size_t recipient)
{
	const struct envelope_recipient *whom = &message->envelope.recipients[recipient];

	return selection_has_route(selection, whom->route) &&
	       selection_has_state(selection, recipient_stands(message, recipient)) &&
	       selection_has_recipient(selection, whom->address);
}

bool
queue_message_matches(const struct selection *selection, bool is_narrow,
		      const struct queue_message *message)
{
	if (!message->is_readable)
		return !is_narrow && selection_has_age(selection, message->stored_wall_ms);
	if (!selection_has_id(selection, message->envelope.id) ||
	    !selection_has_age(selection, message->stored_wall_ms) ||
	    !selection_has_sender(selection, message->envelope.sender))
		return false;
	for (size_t i = 0; i < message->envelope.recipient_count; i++) {
		if (queue_recipient_matches(selection, message, i))
			return true;
	}
	return false;
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
recipients_write_json(struct json *j, const struct queue_message *message)
{
	json_array_begin(j, "recipients");
	for (size_t i = 0; i < message->envelope.recipient_count; i++) {
		const struct envelope_recipient *recipient = &message->envelope.recipients[i];

		json_object_begin(j, NULL);
		json_text(j, "address", recipient->address);
		json_cstring(j, "state", queue_recipient_state(message, i));
		json_text(j, "route", recipient->route);
		json_text_if(j, "grant", recipient->grant);
		json_object_end(j);
	}
	json_array_end(j);
}

void
queue_message_write_json(struct json *j, const struct queue_message *message)
{
	const struct envelope *envelope = &message->envelope;
	const struct delivery_state *state = &message->state;

	if (message->is_readable)
		json_text(j, "id", envelope->id);
	json_number(j, "uid", (int64_t)message->uid);
	json_text(j, "shard", message->shard);
	json_time(j, "stored", message->stored_wall_ms);
	json_number(j, "size", (int64_t)message->body_octets);
	json_bool(j, "readable", message->is_readable);
	if (!message->is_readable)
		return;
	json_text(j, "from", envelope->sender);
	json_text_if(j, "client", envelope->client);
	json_text_if(j, "user", envelope->login);
	json_text_if(j, "connector", envelope->connector);
	json_bool(j, "held", state->is_held);
	json_number(j, "tries", state->tries);
	if (state->next_wall_ms != 0 && !state->is_held)
		json_time(j, "next", state->next_wall_ms);
	json_text_if(j, "reply", state->last_reply);
	recipients_write_json(j, message);
}
