/* SPDX-License-Identifier: ISC */
/* relayctl queue retry, hold, release, remove: the running daemon does them. */
#include "ctl/daemon_private.h"

#include "base/clock.h"
#include "ctl/queue.h"

#include <inttypes.h>
#include <unistd.h>

#define TIMEOUT_MS	  600000 /* a long queue by addresses: every envelope has to be read */
#define QUESTION_OCTETS   (60U << 10)
#define ANSWER_OCTETS_MAX (1U << 20)
#define ANSWER_LINE_MAX	  16 /* what a person types for yes or no */

/* ---- The question ---- */

static void
list_write(struct json *j, const char *key, const struct text_list *list)
{
	if (list->count == 0)
		return;
	json_array_begin(j, key);
	for (size_t i = 0; i < list->count; i++)
		json_text(j, NULL, list->items[i]);
	json_array_end(j);
}

static void
question_write(struct buffer *out, enum queue_action action, bool is_all,
	       const struct selection_source *source)
{
	struct json j = json_on(out);

	json_object_begin(&j, NULL);
	json_cstring(&j, "command", "queue");
	json_cstring(&j, "action", queue_action_name(action));
	if (is_all)
		json_bool(&j, "all", true);
	list_write(&j, "ids", &source->ids);
	list_write(&j, "from", &source->from);
	list_write(&j, "to", &source->to);
	json_text_if(&j, "route", source->route);
	if (source->state != QUEUE_ANY)
		json_cstring(&j, "state", queue_state_name(source->state));
	if (source->before_wall_ms != 0)
		json_number(&j, "before", source->before_wall_ms);
	if (source->after_wall_ms != 0)
		json_number(&j, "after", source->after_wall_ms);
	json_object_end(&j);
}

/* GO_ON: *answer is there, to be ended with json_decref, and *line as it came. */
static int
question_ask(struct relayctl *ctl, enum queue_action action, bool is_all,
	     const struct selection_source *source, struct buffer *line, json_t **answer)
{
	struct buffer question;
	int status = GO_ON;

	buffer_init(&question, QUESTION_OCTETS);
	question_write(&question, action, is_all, source);
	if (question.is_over)
		status = usage_complain(ctl, "these are too many ids for one request; give fewer, "
					     "or a filter");
	if (status == GO_ON)
		status = daemon_ask_json(ctl, buffer_span(&question), TIMEOUT_MS, line, answer);
	buffer_reset(&question);
	return status;
}

/* ---- The answer ---- */

struct words {
	const char *done;      /* "held" */
	const char *unchanged; /* why others were left as they were */
	const char *active;    /* of messages that are being delivered at this moment */
};

static const struct words words_of[] = {
	[QUEUE_COUNT] = { "", "", "" },
	[QUEUE_RETRY] = { "retried", "held, or nobody of theirs waits (--state dead tries the dead "
				     "again)", "being delivered at this moment" },
	[QUEUE_HOLD] = { "held", "held already, or nobody of theirs waits",
			 "being delivered at this moment: held if that does not succeed" },
	[QUEUE_RELEASE] = { "released", "not held", "being delivered at this moment" },
	[QUEUE_REMOVE] = { "removed", "left", "being delivered at this moment, and left alone: "
					       "try again" },
};

static void
count_say(struct buffer *out, uint64_t count, const char *words)
{
	if (count > 0)
		buffer_printf(out, "%" PRIu64 " %s\n", count, words);
}

static void
answer_print(const json_t *answer, enum queue_action action, uint64_t missing)
{
	const struct words *words = &words_of[action];
	uint64_t done = member_number(answer, "done");
	struct buffer out;

	buffer_init(&out, 64U << 10);
	if (member_number(answer, "matched") == 0)
		buffer_append_text(&out, "the queue holds nothing of that kind\n");
	else if (done == 0)
		buffer_printf(&out, "no message %s\n", words->done);
	else
		buffer_printf(&out, "%" PRIu64 " message%s %s\n", done, done == 1 ? "" : "s",
			      words->done);
	count_say(&out, member_number(answer, "active"), words->active);
	count_say(&out, member_number(answer, "unchanged"), words->unchanged);
	count_say(&out, member_number(answer, "failed"), "could not be read or written");
	if (missing > 0 && member_number(answer, "matched") > 0)
		count_say(&out, missing, "not in the queue");
	output_put(&out);
	buffer_reset(&out);
}

/* Ids that no message bears. */
static uint64_t
missing_count(const json_t *answer, const struct selection_source *source)
{
	uint64_t seen = member_number(answer, "matched") + member_number(answer, "failed");

	return source->ids.count > seen ? source->ids.count - seen : 0;
}

static int
answer_status(const json_t *answer, enum queue_action action, uint64_t missing)
{
	bool is_left = action == QUEUE_REMOVE && member_number(answer, "active") > 0;

	if (!json_is_true(json_object_get(answer, "ok")) || member_number(answer, "failed") > 0)
		return EXIT_TROUBLE;
	return member_number(answer, "matched") == 0 || missing > 0 || is_left ? EXIT_NO :
										 EXIT_YES;
}

static int
answer_show(struct relayctl *ctl, enum queue_action action,
	    const struct selection_source *source, struct buffer *line, const json_t *answer)
{
	bool has_counts = json_object_get(answer, "matched") != NULL;
	uint64_t missing = has_counts ? missing_count(answer, source) : 0;

	if (ctl->is_json) {
		buffer_append_byte(line, '\n');
		output_put(line);
	} else {
		if (has_counts)
			answer_print(answer, action, missing);
		(void)fflush(stdout);
		if (!json_is_true(json_object_get(answer, "ok")))
			answer_errors_say(answer);
	}
	return answer_status(answer, action, missing);
}

/* ---- Are you sure ---- */

static bool
yes_read(uint64_t count)
{
	char typed[ANSWER_LINE_MAX];

	(void)fprintf(stderr, "remove %" PRIu64 " message%s for good? [y/N] ", count,
		      count == 1 ? "" : "s");
	return fgets(typed, sizeof(typed), stdin) != NULL &&
	       (typed[0] == 'y' || typed[0] == 'Y');
}

/* What was not picked by hand is only removed by somebody who knows how much it is. */
static int
removal_confirm(struct relayctl *ctl, const struct queue_arguments *arguments,
		const struct selection_source *source)
{
	struct buffer line;
	json_t *answer = NULL;

	if (arguments->is_sure || source->ids.count == 1)
		return GO_ON;
	if (!isatty(STDIN_FILENO))
		return source->ids.count > 0 ?
			   GO_ON :
			   usage_complain(ctl, "nobody can be asked here whether that is meant; "
					       "--yes says so");
	buffer_init(&line, ANSWER_OCTETS_MAX);
	int status = question_ask(ctl, QUEUE_COUNT, arguments->is_all, source, &line, &answer);

	if (status == GO_ON && json_object_get(answer, "matched") == NULL) {
		answer_errors_say(answer);
		status = EXIT_TROUBLE;
	} else if (status == GO_ON && member_number(answer, "matched") > 0 &&
		   !yes_read(member_number(answer, "matched"))) {
		(void)fputs("nothing was removed\n", stderr);
		status = EXIT_NO;
	}
	json_decref(answer);
	buffer_reset(&line);
	return status;
}

/* ---- The commands ---- */

static bool
source_is_empty(const struct selection_source *source)
{
	return source->ids.count == 0 && source->from.count == 0 && source->to.count == 0 &&
	       source->route.len == 0 && source->state == QUEUE_ANY &&
	       source->before_wall_ms == 0 && source->after_wall_ms == 0;
}

static int
arguments_check(struct relayctl *ctl, const struct queue_arguments *arguments,
		const struct selection_source *source)
{
	int status = GO_ON;
	struct selection *selection = NULL;

	if (arguments->is_all && source->ids.count > 0)
		return usage_complain(ctl, "--all and ids exclude each other");
	if (!arguments->is_all && source_is_empty(source))
		return usage_complain(ctl, "which messages? Give ids, filters, or --all");
	selection = queue_selection_new(ctl, source, &status);
	selection_free(&selection);
	return status;
}

static int
act(struct relayctl *ctl, int argc, char **argv, enum queue_action action)
{
	struct queue_arguments arguments = {
		.may_be_all = true,
		.may_be_sure = action == QUEUE_REMOVE,
	};
	struct selection_source source;
	struct arena arena;
	struct buffer line;
	json_t *answer = NULL;

	arena_init(&arena, 0);
	buffer_init(&line, ANSWER_OCTETS_MAX);
	int status = queue_arguments_take(ctl, argc, argv, &arena, &arguments, &source);

	if (status == GO_ON)
		status = arguments_check(ctl, &arguments, &source);
	if (status == GO_ON && action == QUEUE_RELEASE && source.ids.count == 0 &&
	    source.state == QUEUE_ANY)
		source.state = QUEUE_HELD; /* others have nothing to be released from */
	if (status == GO_ON && action == QUEUE_REMOVE)
		status = removal_confirm(ctl, &arguments, &source);
	if (status == GO_ON)
		status = question_ask(ctl, action, arguments.is_all, &source, &line, &answer);
	if (status == GO_ON)
		status = answer_show(ctl, action, &source, &line, answer);
	json_decref(answer);
	buffer_reset(&line);
	arena_reset(&arena);
	return status;
}

static int
retry_run(struct relayctl *ctl, int argc, char **argv)
{
	return act(ctl, argc, argv, QUEUE_RETRY);
}

static int
hold_run(struct relayctl *ctl, int argc, char **argv)
{
	return act(ctl, argc, argv, QUEUE_HOLD);
}

static int
release_run(struct relayctl *ctl, int argc, char **argv)
{
	return act(ctl, argc, argv, QUEUE_RELEASE);
}

static int
remove_run(struct relayctl *ctl, int argc, char **argv)
{
	return act(ctl, argc, argv, QUEUE_REMOVE);
}

#define WHO_HELP \
	"  --all               every message of the queue\n" QUEUE_FILTERS_HELP "\n" \
	"A message with several recipients is meant as a whole when one of them is. Only root\n" \
	"and the account that relayd runs as may do this; each message gets an audit record\n" \
	"(relayctl why ID, relayctl audit list --event operator).\n" \
	"\n"

#define EXIT_HELP \
	"\n" \
	"exit: 0 done, 1 nothing of that kind in the queue or not all of it, 2 usage, 3 trouble\n"

const struct command command_queue_retry = {
	.name = "queue retry",
	.summary = "try messages of the queue now",
	.help = "usage: relayctl queue retry {ID... | --all | FILTERS} [--json]\n"
		"\n"
		"What waits for its time is due at once, and next hops that were given a pause are\n"
		"connected to. Held messages stay held. With --state dead the recipients that were\n"
		"refused for good or given up are tried again, too.\n" WHO_HELP
		"examples:\n"
		"  relayctl queue retry 7F3K2M9Q\n"
		"  relayctl queue retry --route microsoft365\n" EXIT_HELP,
	.run = retry_run,
};

const struct command command_queue_hold = {
	.name = "queue hold",
	.summary = "keep messages in the queue without trying them",
	.help = "usage: relayctl queue hold {ID... | --all | FILTERS} [--json]\n"
		"\n"
		"A held message is not tried and does not expire, also over restarts, until it is\n"
		"released. One that is being delivered at this moment is held if that does not\n"
		"succeed. New mail is not held.\n" WHO_HELP
		"examples:\n"
		"  relayctl queue hold --from app@billing.example.com\n"
		"  relayctl queue hold --to @partner.example --newer-than 1h\n" EXIT_HELP,
	.run = hold_run,
};

const struct command command_queue_release = {
	.name = "queue release",
	.summary = "let held messages go",
	.help = "usage: relayctl queue release {ID... | --all | FILTERS} [--json]\n"
		"\n"
		"They are tried at once. One whose time in the queue is over by then has that one\n"
		"try.\n" WHO_HELP
		"examples:\n"
		"  relayctl queue release --all\n"
		"  relayctl queue release 7F3K2M9Q\n" EXIT_HELP,
	.run = release_run,
};

const struct command command_queue_remove = {
	.name = "queue remove",
	.summary = "remove messages from the queue for good",
	.help = "usage: relayctl queue remove {ID... | --all | FILTERS} [--yes] [--json]\n"
		"\n"
		"They are gone, and nobody is told. When more than one message may be meant, it\n"
		"asks first, with their number; --yes stands for the answer, and is needed where\n"
		"there is no terminal and no ids are given. One that is being delivered at this\n"
		"moment is left alone.\n" WHO_HELP
		"examples:\n"
		"  relayctl queue remove 7F3K2M9Q\n"
		"  relayctl queue remove --state dead --older-than 30d --yes\n" EXIT_HELP,
	.run = remove_run,
};
