/* SPDX-License-Identifier: ISC */
/* Questions to the daemon and reading its answers; see daemon_private.h. */
#include "ctl/daemon_private.h"

#include "base/utf8.h"
#include "net/control.h"

#include <errno.h>

/* What came of asking. */
static int
answer_take(struct relayctl *ctl, const char *state_directory, enum control_status asked,
	    struct fault *why, struct buffer *line, json_t **answer)
{
	json_error_t error;

	switch (asked) {
	case CONTROL_ANSWERED:
		break;
	case CONTROL_NOT_RUNNING:
		return trouble_say(ctl,
				   "relayd is not running (nobody listens at %s/" CONTROL_SOCKET
				   ")\nstart it with: systemctl start relayd, or: relayd -c %s",
				   state_directory, ctl->config_path);
	case CONTROL_FAILED:
		return trouble_say(ctl, "%s%s", fault_text(why),
				   why->error == EACCES ?
				       "\nask again as root or as the user that relayd runs as" :
				       "");
	}
	*answer = json_loadb(line->ptr, line->len, 0, &error);
	if (!json_is_object(*answer)) {
		json_decref(*answer);
		return trouble_say(ctl, "relayd's answer is not understood: %s", error.text);
	}
	return GO_ON;
}

int
daemon_ask_json(struct relayctl *ctl, struct span question, int timeout_ms, struct buffer *line,
		json_t **answer)
{
	const char *state_directory;
	struct fault fault = { .error = 0 };
	int status = state_directory_need(ctl, &state_directory);

	if (status != GO_ON)
		return status;
	enum control_status asked =
	    control_ask_json(state_directory, question, timeout_ms, line, &fault);

	return answer_take(ctl, state_directory, asked, &fault, line, answer);
}

int
daemon_ask(struct relayctl *ctl, const char *question, int timeout_ms, struct buffer *line,
	   json_t **answer)
{
	const char *state_directory;
	struct fault fault = { .error = 0 };
	int status = state_directory_need(ctl, &state_directory);

	if (status != GO_ON)
		return status;
	enum control_status asked =
	    control_ask(state_directory, question, timeout_ms, line, &fault);

	return answer_take(ctl, state_directory, asked, &fault, line, answer);
}

struct span
member_text(const json_t *object, const char *key)
{
	const json_t *member = json_object_get(object, key);

	return (struct span){ .ptr = json_string_value(member),
			      .len = json_string_length(member) };
}

uint64_t
member_number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value < 0 ? 0 : (uint64_t)value;
}

void
line_put(struct buffer *text, const char *prefix, struct span line)
{
	buffer_append_text(text, prefix);
	utf8_append_printable(text, line);
	buffer_append_byte(text, '\n');
}

void
answer_errors_say(const json_t *answer)
{
	const json_t *errors = json_object_get(answer, "errors");
	struct buffer text;

	buffer_init(&text, 16U << 20);
	if (json_array_size(errors) == 0)
		line_put(&text, "", member_text(answer, "error"));
	for (size_t i = 0; i < json_array_size(errors); i++) {
		const json_t *error = json_array_get(errors, i);

		line_put(&text, "",
			 (struct span){ json_string_value(error), json_string_length(error) });
	}
	if (text.len > 0)
		(void)fwrite(text.ptr, 1, text.len, stderr);
	buffer_reset(&text);
}
