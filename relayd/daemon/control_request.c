/* SPDX-License-Identifier: ISC */
/* Reading requests on the control socket; see control_request.h. */
#include "daemon/control_request.h"

#include <jansson.h>
#include <stdlib.h>

static struct span
value_text(const json_t *value, struct arena *arena)
{
	return arena_copy(arena, (struct span){ .ptr = json_string_value(value),
						.len = json_string_length(value) });
}

/* An array of texts, none of them empty. */
static bool
list_take(const json_t *value, struct arena *arena, struct text_list *list)
{
	size_t count = json_array_size(value);
	struct span *items = arena_new_array(arena, count + 1, sizeof(*items));

	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(value, i);

		if (json_string_length(item) == 0)
			return false;
		items[i] = value_text(item, arena);
	}
	*list = (struct text_list){ items, count };
	return count > 0;
}

static bool
time_take(const json_t *value, int64_t *wall_ms)
{
	*wall_ms = json_integer_value(value);
	return *wall_ms > 0;
}

/* False: the member has no such value. */
static bool
member_take(const char *key, const json_t *value, struct arena *arena,
	    struct control_request *request, bool *is_known)
{
	struct selection_source *selection = &request->selection;

	if (strcmp(key, "ids") == 0)
		return list_take(value, arena, &selection->ids);
	if (strcmp(key, "from") == 0)
		return list_take(value, arena, &selection->from);
	if (strcmp(key, "to") == 0)
		return list_take(value, arena, &selection->to);
	if (strcmp(key, "before") == 0)
		return time_take(value, &selection->before_wall_ms);
	if (strcmp(key, "after") == 0)
		return time_take(value, &selection->after_wall_ms);
	if (strcmp(key, "route") == 0) {
		selection->route = value_text(value, arena);
		return selection->route.len > 0;
	}
	if (strcmp(key, "state") == 0) {
		selection->state = queue_state_find(value_text(value, arena));
		return selection->state != QUEUE_ANY;
	}
	*is_known = strcmp(key, "all") == 0;
	return *is_known && json_is_true(value);
}

/* Everything but "command" and "action" is the selection; without any it would be all. */
static enum parse_status
queue_take(json_t *object, struct arena *arena, struct control_request *request,
	   const char **why)
{
	const json_t *action = json_object_get(object, "action");
	const char *key;
	json_t *value;
	bool is_known = true;

	if (!queue_action_find(value_text(action, arena), &request->action)) {
		*why = "\"action\" is count, retry, hold, release or remove";
		return PARSE_BAD;
	}
	(void)json_object_del(object, "command");
	(void)json_object_del(object, "action");
	if (json_object_size(object) == 0) {
		*why = "nothing says which messages; \"all\":true means every one";
		return PARSE_BAD;
	}
	json_object_foreach(object, key, value) {
		if (!member_take(key, value, arena, request, &is_known)) {
			*why = is_known ? "a member of the request has no value that it can have" :
					  "a member of the request is not known";
			return PARSE_BAD;
		}
	}
	char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);

	request->selection_json = arena_copy(arena, span_of(text));
	free(text);
	return PARSE_OK;
}

enum parse_status
control_request_parse(struct span line, struct arena *arena, struct control_request *request,
		      const char **why)
{
	json_t *object = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
	const char *command = json_string_value(json_object_get(object, "command"));
	size_t len = command == NULL ? 0 : strlen(command);
	enum parse_status status = PARSE_BAD;

	*request = (struct control_request){ .action = QUEUE_COUNT };
	*why = "the request is not understood";
	if (len > 0 && len < CONTROL_COMMAND_SIZE) {
		memcpy(request->command, command, len + 1);
		status = PARSE_OK;
		if (strcmp(command, "queue") == 0)
			status = queue_take(object, arena, request, why);
	}
	json_decref(object);
	return status;
}
