/* SPDX-License-Identifier: ISC */
/* Reading requests on the control socket; see control_request.h. */
#include "daemon/control_request.h"

#include <jansson.h>

enum parse_status
control_request_parse(struct span line, char name[CONTROL_COMMAND_SIZE])
{
	json_t *request = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
	const char *command = json_string_value(json_object_get(request, "command"));
	size_t len = command == NULL ? 0 : strlen(command);
	bool ok = len > 0 && len < CONTROL_COMMAND_SIZE;

	if (ok)
		memcpy(name, command, len + 1);
	json_decref(request);
	return ok ? PARSE_OK : PARSE_BAD;
}
