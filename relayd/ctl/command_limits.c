/* SPDX-License-Identifier: ISC */
/* relayctl limits: how much of each grant's limits is used now. */
#include "ctl/daemon_private.h"

#include "ctl/columns.h"

#include <inttypes.h>
#include <stdlib.h>

#define TIMEOUT_MS 10000

static void
cell_share(struct columns *c, uint64_t used, uint64_t max)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRIu64 "%%",
			   max == 0 ? 0 : used >= max ? 100 : used * 100 / max);

	columns_cell(c, (struct span){ .ptr = text, .len = (size_t)len });
}

/* One row; use says how much, or nothing where that is not known. */
static void
row_print(struct columns *c, const json_t *limit, struct span key, const json_t *use)
{
	uint64_t used = member_number(use, "used"), frees_s = member_number(use, "frees_s");

	columns_cell(c, member_text(limit, "grant"));
	columns_cell(c, member_text(limit, "limit"));
	columns_cell(c, key);
	if (json_is_integer(json_object_get(use, "used"))) {
		columns_number(c, used);
		cell_share(c, used, member_number(limit, "max"));
	} else {
		columns_cell(c, span_of(""));
		columns_cell(c, span_of(""));
	}
	if (frees_s > 0)
		columns_duration(c, (int64_t)frees_s * 1000);
	else
		columns_cell(c, span_of(""));
}

static void
limit_print(struct columns *c, const json_t *limit)
{
	const json_t *top = json_object_get(limit, "top");
	size_t shown = json_array_size(top);
	uint64_t keys = member_number(limit, "keys");
	char more[64];

	if (shown == 0)
		row_print(c, limit, span_of(json_is_array(top) ? "(nobody)" : ""), limit);
	for (size_t i = 0; i < shown; i++) {
		const json_t *use = json_array_get(top, i);

		row_print(c, limit, member_text(use, "key"), use);
	}
	if (keys > shown) {
		int len = snprintf(more, sizeof(more), "(%" PRIu64 " more)", keys - shown);

		row_print(c, limit, (struct span){ more, (size_t)len }, NULL);
	}
}

void
limits_print(const json_t *limits)
{
	static const char *const titles[] = { "GRANT", "LIMIT", "OF", ">USED", ">SHARE",
					      ">FREES-IN" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < json_array_size(limits); i++)
		limit_print(&c, json_array_get(limits, i));
	columns_end(&c);
}

/* The part of the daemon's answer, as JSON or for people. */
static void
answer_print(const struct relayctl *ctl, const json_t *answer)
{
	const json_t *limits = json_object_get(answer, "limits");
	struct buffer line;

	if (!ctl->is_json) {
		if (json_array_size(limits) == 0)
			(void)puts("no grant has limits");
		else
			limits_print(limits);
		return;
	}
	char *text = json_dumps(limits, JSON_COMPACT);

	buffer_init(&line, 16U << 20);
	buffer_append_text(&line, text == NULL ? "[]" : text);
	buffer_append_byte(&line, '\n');
	output_put(&line);
	buffer_reset(&line);
	free(text);
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct buffer line;
	json_t *answer = NULL;
	int status = options_take(ctl, NULL, 0, &argc, argv);

	if (status != GO_ON)
		return status;
	if (argc > 0)
		return usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	buffer_init(&line, 16U << 20);
	status = daemon_ask(ctl, "status", TIMEOUT_MS, &line, &answer);
	if (status == GO_ON && json_is_false(json_object_get(answer, "ok"))) {
		answer_errors_say(answer);
		status = EXIT_TROUBLE;
	} else if (status == GO_ON) {
		answer_print(ctl, answer);
		status = EXIT_YES;
	}
	json_decref(answer);
	buffer_reset(&line);
	return status;
}

const struct command command_limits = {
	.name = "limits",
	.summary = "how much of each grant's limits is used now, and when it frees",
	.help = "usage: relayctl limits [--json]\n"
		"\n"
		"Asks the running relayd. A limit that is counted per login, address or sender has\n"
		"a line for each of the ten that used most; those of sessions are not listed. With\n"
		"Redis (shared) this is what came through this gateway.\n"
		"\n"
		"examples:\n"
		"  relayctl limits\n"
		"  relayctl limits --json | jq '.[] | select(.used == .max)'\n"
		"\n"
		"exit: 0 it runs, 3 it does not, or cannot be asked\n",
	.run = run,
};
