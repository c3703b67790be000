/* SPDX-License-Identifier: ISC */
/* relayctl why: the story of one attempt. */
#include "ctl/command.h"

#include "audit/story.h"
#include "base/clock.h"

#define OUTPUT_OCTETS_MAX (256U << 20)

static void
stories_tell(const struct story_list *list, const struct story_context *context,
	     struct buffer *out)
{
	for (size_t i = 0; i < list->count; i++) {
		buffer_append_text(out, i == 0 ? "" : "\n");
		story_tell(&list->stories[i], context, out);
		output_put(out);
	}
}

static void
stories_write_json(const struct story_list *list, const struct story_context *context,
		   struct buffer *out)
{
	struct json j = json_on(out);

	json_array_begin(&j, NULL);
	for (size_t i = 0; i < list->count; i++) {
		story_write_json(&list->stories[i], context, &j);
		output_put(out);
	}
	json_array_end(&j);
	buffer_append_byte(out, '\n');
	output_put(out);
}

static int
id_miss(const struct relayctl *ctl, const char *id, const struct audit_tally *tally)
{
	if (ctl->is_json)
		(void)puts("[]");
	(void)fprintf(stderr, "relayctl why: the audit trail holds nothing about %s", id);
	if (tally->files_compressed > 0)
		(void)fprintf(stderr, " (%llu compressed files were not read)",
			      (unsigned long long)tally->files_compressed);
	(void)fputc('\n', stderr);
	return EXIT_NO;
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	const char *state_directory;
	struct story_list list;
	struct audit_tally tally;
	struct arena arena;
	struct buffer out;
	struct fault fault;
	int status = options_take(ctl, NULL, 0, &argc, argv);

	if (status == GO_ON && argc != 1)
		return usage_complain(ctl, "one id is expected: what stands in [] in the reply");
	if (status == GO_ON)
		status = state_directory_need(ctl, &state_directory);
	if (status != GO_ON)
		return status;
	arena_init(&arena, 64U << 10);
	buffer_init(&out, OUTPUT_OCTETS_MAX);
	if (!story_find(state_directory, span_of(argv[0]), &arena, &list, &tally, &fault)) {
		status = trouble_say(ctl, "%s", fault_text(&fault));
	} else if (list.count == 0) {
		status = id_miss(ctl, argv[0], &tally);
	} else {
		settings_try(ctl);
		struct story_context context = {
			.policy = ctl->settings == NULL ? NULL : ctl->settings->policy,
			.now_wall_ms = clock_wall_ms(),
		};

		if (ctl->is_json)
			stories_write_json(&list, &context, &out);
		else
			stories_tell(&list, &context, &out);
		status = EXIT_YES;
	}
	buffer_reset(&out);
	arena_reset(&arena);
	return status;
}

const struct command command_why = {
	.name = "why",
	.summary = "the story of one attempt: what was decided, why, what became of it",
	.help = "usage: relayctl why ID [--json]\n"
		"\n"
		"ID is what stands in brackets at the end of a reply, or the id in a Received\n"
		"field or in relayctl queue list. The id of a transaction stands for all its\n"
		"recipients, that of a session (its first seven characters) for all its attempts;\n"
		"the newest is told first. Small letters will do, and O for 0, I or L for 1.\n"
		"\n"
		"Tells who tried what, which check refused it and which grant came nearest; what\n"
		"would have to be granted, and whether today's policy would decide otherwise; then\n"
		"every try to deliver it.\n"
		"\n"
		"examples:\n"
		"  relayctl why 7F3K2M9Q\n"
		"  relayctl why 7F3K2M9Q --json | jq '.[0].today'\n"
		"\n"
		"exit: 0 found, 1 not in the audit trail, 3 the trail cannot be read\n",
	.run = run,
};
