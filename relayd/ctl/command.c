/* SPDX-License-Identifier: ISC */
/* What the commands of relayctl share; see command.h. */
#include "ctl/command.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdlib.h>

/* ---- Complaints ---- */

static void __attribute__((format(printf, 2, 0)))
complaint_write(const struct relayctl *ctl, const char *format, va_list args)
{
	(void)fprintf(stderr, "relayctl%s%s: ", ctl->command == NULL ? "" : " ",
		      ctl->command == NULL ? "" : ctl->command->name);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
}

int
usage_complain(const struct relayctl *ctl, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complaint_write(ctl, format, args);
	va_end(args);
	if (ctl->command == NULL)
		(void)fprintf(stderr, "relayctl --help lists the commands\n");
	else
		(void)fprintf(stderr, "relayctl %s --help explains the command\n",
			      ctl->command->name);
	return EXIT_USAGE;
}

int
trouble_say(const struct relayctl *ctl, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complaint_write(ctl, format, args);
	va_end(args);
	return EXIT_TROUBLE;
}

/* ---- Options ---- */

static const struct option *
option_find(const struct option *options, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++) {
		if (span_equal(span_of(options[i].name), name))
			return &options[i];
	}
	return NULL;
}

static void
option_set(const struct option *option, const char *value)
{
	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)option->into = true;
		break;
	case OPTION_TEXT:
		*(const char **)option->into = value;
		break;
	case OPTION_LIST: {
		struct option_list *list = option->into;

		list->items[list->count++] = value;
		break;
	}
	}
}

/* Take argv[*at], an option, with its value; *at moves over what was taken. */
static int
option_take(struct relayctl *ctl, const struct option *options, size_t count, int argc,
	    char **argv, int *at)
{
	const char *config_path = NULL;
	bool wants_help = false;
	const struct option common[] = {
		{ "-c", OPTION_TEXT, &config_path },
		{ "--config", OPTION_TEXT, &config_path },
		{ "--state-dir", OPTION_TEXT, &ctl->state_directory },
		{ "--json", OPTION_FLAG, &ctl->is_json },
		{ "--help", OPTION_FLAG, &wants_help },
		{ "-h", OPTION_FLAG, &wants_help },
	};
	struct span argument = span_of(argv[(*at)++]);
	size_t equals = argument.len > 1 && argument.ptr[1] == '-' ? span_find(argument, '=') :
								     argument.len;
	struct span name = span_first(argument, equals);
	const char *value = equals < argument.len ? argument.ptr + equals + 1 : NULL;
	const struct option *option = option_find(options, count, name);

	if (option == NULL)
		option = option_find(common, ARRAY_LEN(common), name);
	if (option == NULL)
		return usage_complain(ctl, "there is no option " SPAN_FMT, SPAN_ARG(name));
	if (option->kind == OPTION_FLAG && value != NULL)
		return usage_complain(ctl, "%s takes no value", option->name);
	if (option->kind != OPTION_FLAG && value == NULL) {
		if (*at == argc)
			return usage_complain(ctl, "%s needs a value", option->name);
		value = argv[(*at)++];
	}
	option_set(option, value);
	if (config_path != NULL) {
		ctl->config_path = config_path;
		ctl->has_config_option = true;
	}
	if (wants_help && ctl->command != NULL) {
		(void)fputs(ctl->command->help, stdout);
		return EXIT_YES;
	}
	return GO_ON;
}

int
options_take(struct relayctl *ctl, const struct option *options, size_t count, int *argc,
	     char **argv)
{
	int kept = 0;
	int at = 0;

	while (at < *argc) {
		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		if (argv[at][0] != '-' || argv[at][1] == '\0') {
			argv[kept++] = argv[at++];
			continue;
		}
		int status = option_take(ctl, options, count, *argc, argv, &at);

		if (status != GO_ON)
			return status;
	}
	while (at < *argc)
		argv[kept++] = argv[at++];
	*argc = kept;
	return GO_ON;
}

static bool
ago_parse(struct span text, int64_t *ms)
{
	static const struct { char unit; int64_t seconds; } units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 },
	};
	uint64_t count;

	if (number_take(&text, 1000000, &count) != PARSE_OK || text.len != 1)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit == text.ptr[0]) {
			*ms = (int64_t)count * units[i].seconds * 1000;
			return true;
		}
	}
	return false;
}

enum parse_status
time_option_parse(const char *text, int64_t now_wall_ms, int64_t *wall_ms)
{
	int64_t ago;

	if (!ago_parse(span_of(text), &ago))
		return clock_parse(span_of(text), wall_ms);
	*wall_ms = now_wall_ms - ago;
	return PARSE_OK;
}

/* ---- Configuration ---- */

static void
complain_to_stderr(void *context, bool is_error, const char *file, unsigned line,
		   const char *text)
{
	(void)context;
	(void)file;
	(void)line;
	if (is_error)
		(void)fprintf(stderr, "%s\n", text);
}

static void
complain_to_nobody(void *context, bool is_error, const char *file, unsigned line,
		   const char *text)
{
	(void)context;
	(void)is_error;
	(void)file;
	(void)line;
	(void)text;
}

int
settings_need(struct relayctl *ctl)
{
	if (ctl->settings == NULL)
		ctl->settings = settings_load(ctl->config_path, complain_to_stderr, NULL);
	if (ctl->settings == NULL)
		return trouble_say(ctl, "the configuration %s cannot be used%s", ctl->config_path,
				   ctl->has_config_option ? "" : "; -c FILE names another");
	return GO_ON;
}

void
settings_try(struct relayctl *ctl)
{
	if (ctl->settings == NULL)
		ctl->settings = settings_load(ctl->config_path, complain_to_nobody, NULL);
}

int
state_directory_need(struct relayctl *ctl, const char **state_directory)
{
	if (ctl->state_directory == NULL) {
		settings_try(ctl);
		if (ctl->settings == NULL)
			ctl->found_directory = settings_state_directory_find(ctl->config_path);
		ctl->state_directory = ctl->settings == NULL ? ctl->found_directory :
							       ctl->settings->state_directory;
	}
	if (ctl->state_directory == NULL) {
		int status = settings_need(ctl); /* says what is wrong */

		if (status != GO_ON)
			return status;
	}
	*state_directory = ctl->state_directory;
	return GO_ON;
}

/* ---- Output ---- */

void
output_put(struct buffer *text)
{
	if (text->len > 0)
		(void)fwrite(text->ptr, 1, text->len, stdout);
	buffer_clear(text);
}

void
reply_line_append(struct buffer *out, const struct reason_reply *reply)
{
	if (reply != NULL && reply->code != 0)
		buffer_printf(out, "%u %u.%u.%u %s", (unsigned)reply->code,
			      (unsigned)reply->enhanced[0], (unsigned)reply->enhanced[1],
			      (unsigned)reply->enhanced[2], reply->text);
}

void
reason_reply_append(struct buffer *out, enum reason reason, enum reply_style style)
{
	reply_line_append(out, reason_reply_get(reason, style));
}
