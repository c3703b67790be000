/* SPDX-License-Identifier: ISC */
/*
 * Any text as a configuration: it is refused with a complaint, or gives settings. What
 * the pre-pass lets through libconfuse must read as well, or the two disagree about the
 * grammar.
 */
#include "config/reader.h"

#include <stdlib.h>
#include <string.h>

struct heard {
	unsigned error_count;
};

static void
hear(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	struct heard *heard = context;

	(void)line;
	heard->error_count += is_error;
	if (strncmp(text, file, strlen(file)) != 0 ||
	    strncmp(text + strlen(file), ": libconfuse", 12) == 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_input input = { .path = "/etc/relayd/relayd.conf",
				      .text = { size == 0 ? "" : (const char *)data, size } };
	struct heard heard = { 0 };
	struct settings *settings = settings_read(&input, hear, &heard);

	if ((settings == NULL) != (heard.error_count > 0))
		abort();
	if (settings != NULL)
		settings_lint(settings, INT64_C(1800000000000), hear, &heard);
	settings_free(&settings);
	return 0;
}
