/* SPDX-License-Identifier: ISC */
/* Which messages are meant; see selection.h. */
#include "delivery/selection.h"

#include "base/id.h"
#include "base/memory.h"

#include <stdlib.h>

struct selection {
	uint64_t *ids; /* id_pack, rising; what is no id matches nothing and is left out */
	size_t id_count;
	bool has_ids;
	struct pattern_set *from; /* NULL: anybody */
	struct pattern_set *to;
	char *route; /* NULL: any */
	enum queue_state state;
	int64_t before_wall_ms;
	int64_t after_wall_ms;
};

static const struct {
	enum queue_state state;
	const char *name;
} states[] = {
	{ QUEUE_WAITING, "waiting" },
	{ QUEUE_HELD, "held" },
	{ QUEUE_DELIVERED, "delivered" },
	{ QUEUE_DEAD, "dead" },
	{ QUEUE_FAILED, "failed" },
};

enum queue_state
queue_state_of(enum recipient_state recipient, bool is_held)
{
	switch (recipient) {
	case RECIPIENT_WAITING: return is_held ? QUEUE_HELD : QUEUE_WAITING;
	case RECIPIENT_DELIVERED:
	case RECIPIENT_OWED: return QUEUE_DELIVERED;
	case RECIPIENT_DEAD: return QUEUE_DEAD;
	case RECIPIENT_FAILED: return QUEUE_FAILED;
	}
	return QUEUE_WAITING; /* deferred in the try that is under way */
}

const char *
queue_state_name(enum queue_state state)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (states[i].state == state)
			return states[i].name;
	}
	return "";
}

enum queue_state
queue_state_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (span_equal(span_of(states[i].name), name))
			return states[i].state;
	}
	return QUEUE_ANY;
}

static const struct {
	enum queue_action action;
	const char *name;
} actions[] = {
	{ QUEUE_COUNT, "count" },     { QUEUE_RETRY, "retry" },	  { QUEUE_HOLD, "hold" },
	{ QUEUE_RELEASE, "release" }, { QUEUE_REMOVE, "remove" },
};

const char *
queue_action_name(enum queue_action action)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (actions[i].action == action)
			return actions[i].name;
	}
	return "";
}

bool
queue_action_find(struct span name, enum queue_action *action)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (span_equal(span_of(actions[i].name), name)) {
			*action = actions[i].action;
			return true;
		}
	}
	return false;
}

/* ---- Making one ---- */

static int
id_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
ids_take(struct selection *selection, const struct text_list *ids)
{
	selection->has_ids = ids->count > 0;
	if (!selection->has_ids)
		return;
	selection->ids = memory_new_array(ids->count, sizeof(*selection->ids));
	for (size_t i = 0; i < ids->count; i++) {
		uint64_t id = id_pack(ids->items[i]);

		if (id != 0)
			selection->ids[selection->id_count++] = id;
	}
	qsort(selection->ids, selection->id_count, sizeof(*selection->ids), id_compare);
}

/* False: it was given, and is bad. */
static bool
patterns_take(struct pattern_set **set, const struct text_list *patterns, struct fault *fault)
{
	if (patterns->count == 0)
		return true;
	*set = pattern_set_new(patterns, NULL, fault);
	return *set != NULL;
}

struct selection *
selection_new(const struct selection_source *source, struct fault *fault)
{
	struct selection *selection = memory_new(sizeof(*selection));

	ids_take(selection, &source->ids);
	if (source->route.len > 0)
		selection->route = memory_copy_text(source->route);
	selection->state = source->state;
	selection->before_wall_ms = source->before_wall_ms;
	selection->after_wall_ms = source->after_wall_ms;
	if (!patterns_take(&selection->from, &source->from, fault) ||
	    !patterns_take(&selection->to, &source->to, fault))
		selection_free(&selection);
	return selection;
}

void
selection_free(struct selection **selection)
{
	if (*selection == NULL)
		return;
	pattern_set_free(&(*selection)->from);
	pattern_set_free(&(*selection)->to);
	free((*selection)->ids);
	free((*selection)->route);
	free(*selection);
	*selection = NULL;
}

/* ---- Asking it ---- */

bool
selection_has_packed_id(const struct selection *selection, uint64_t id)
{
	return !selection->has_ids ||
	       (selection->id_count > 0 &&
		bsearch(&id, selection->ids, selection->id_count, sizeof(id), id_compare) !=
		    NULL);
}

bool
selection_has_id(const struct selection *selection, struct span id)
{
	return selection_has_packed_id(selection, id_pack(id));
}

bool
selection_has_age(const struct selection *selection, int64_t stored_wall_ms)
{
	return stored_wall_ms >= selection->after_wall_ms &&
	       (selection->before_wall_ms == 0 || stored_wall_ms < selection->before_wall_ms);
}

bool
selection_has_route(const struct selection *selection, struct span route)
{
	return selection->route == NULL || span_equal(span_of(selection->route), route);
}

bool
selection_has_state(const struct selection *selection, enum queue_state state)
{
	return selection->state == QUEUE_ANY || selection->state == state;
}

/* The envelope's addresses are known to be good; "postmaster" alone has no domain. */
static bool
address_is_in(const struct pattern_set *set, struct span text)
{
	struct address address = { .text = { NULL, 0 } };

	if (set == NULL)
		return true;
	if (text.len > 0 && mailbox_parse(text, &address) != PARSE_OK)
		address = (struct address){ .text = text, .local = text };
	return pattern_set_match(set, &address) > 0;
}

bool
selection_has_sender(const struct selection *selection, struct span sender)
{
	return address_is_in(selection->from, sender);
}

bool
selection_has_recipient(const struct selection *selection, struct span recipient)
{
	return address_is_in(selection->to, recipient);
}

bool
selection_asks_addresses(const struct selection *selection)
{
	return selection->from != NULL || selection->to != NULL;
}

bool
selection_is_of_dead(const struct selection *selection)
{
	return selection->state == QUEUE_DEAD;
}
