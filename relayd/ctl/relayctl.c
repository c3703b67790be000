/* SPDX-License-Identifier: ISC */
/*
 * relayctl: questions to relayd, to its configuration and to what it wrote. Finds the command
 * by its name (one word or two) and lets it do the rest.
 */
#include "ctl/command.h"

#include "config.h"

#include <stdlib.h>

static const struct command *const commands[] = {
	&command_status, &command_explain,    &command_why,    &command_audit_list,
	&command_reason, &command_limits, &command_queue_list, &command_reload, &command_rights,
	&command_queue_show, &command_queue_retry, &command_queue_hold,
	&command_queue_release, &command_queue_remove,
	&command_user_add, &command_user_passwd, &command_user_disable,
	&command_user_enable, &command_user_remove, &command_user_list,
};

/* Named in the documentation, not in this release. */
static const char *const later_commands[] = {
	"audit summary", "audit report", "replay", "suggest", "import",
};

static void
help_print(void)
{
	(void)fputs("usage: relayctl [-c FILE] COMMAND [OPTIONS]\n\ncommands:\n", stdout);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		(void)printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
	(void)fputs("\noptions of every command:\n"
		    "  -c FILE          the configuration (default: $" RELAYCTL_CONFIG_VARIABLE
		    ", else " CONFIG_PATH_DEFAULT ")\n"
		    "  --state-dir DIR  look there instead of where the configuration says\n"
		    "  --json           for programs\n"
		    "  --help           what the command does, with examples\n"
		    "\nexit: 0 yes or done, 1 no or not found, 2 usage, 3 trouble\n",
		    stdout);
}

/* How many of the arguments make up this name; 0: another command. */
static int
name_words(const char *name, int argc, char **argv)
{
	struct span rest = span_of(name);
	int words = 0;

	while (rest.len > 0) {
		struct span word = span_first(rest, span_find(rest, ' '));

		if (words == argc || !span_equal(span_of(argv[words]), word))
			return 0;
		words++;
		rest = span_skip(rest, word.len);
		(void)byte_take(&rest, ' ');
	}
	return words;
}

static const struct command *
command_find(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		*words = name_words(commands[i]->name, argc, argv);
		if (*words > 0)
			return commands[i];
	}
	return NULL;
}

/* "audit" alone, or with something that is not one of its commands. */
static bool
is_first_word(const char *word)
{
	struct span given = span_of(word);

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		struct span name = span_of(commands[i]->name);

		if (name.len > given.len && name.ptr[given.len] == ' ' &&
		    span_equal(span_first(name, given.len), given))
			return true;
	}
	return false;
}

static void
group_explain(const char *word)
{
	size_t len = strlen(word);

	(void)fprintf(stderr, "relayctl %s: which of these?\n", word);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ')
			(void)fprintf(stderr, "  relayctl %-12s %s\n", commands[i]->name,
				      commands[i]->summary);
	}
}

static int
command_miss(const struct relayctl *ctl, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(later_commands); i++) {
		if (name_words(later_commands[i], argc, argv) > 0) {
			(void)fprintf(stderr, "relayctl %s: not available in this release\n",
				      later_commands[i]);
			return EXIT_USAGE;
		}
	}
	if (is_first_word(argv[0])) {
		group_explain(argv[0]);
		return EXIT_USAGE;
	}
	return usage_complain(ctl, "there is no command %s", argv[0]);
}

/* Options before the command: as many arguments as they take. */
static int
leading_options_take(struct relayctl *ctl, int argc, char **argv, int *taken)
{
	int at = 0;

	while (at < argc && argv[at][0] == '-') {
		bool has_value = strcmp(argv[at], "-c") == 0 ||
				 strcmp(argv[at], "--config") == 0 ||
				 strcmp(argv[at], "--state-dir") == 0;
		int count = has_value && at + 1 < argc ? 2 : 1;

		if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0) {
			help_print();
			return EXIT_YES;
		}
		if (strcmp(argv[at], "--version") == 0 || strcmp(argv[at], "-V") == 0) {
			(void)puts("relayctl " PACKAGE_VERSION);
			return EXIT_YES;
		}
		int rest = count;
		int status = options_take(ctl, NULL, 0, &rest, argv + at);

		if (status != GO_ON)
			return status;
		at += count;
	}
	*taken = at;
	return GO_ON;
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	int taken = 0, words = 0;
	int status = leading_options_take(ctl, argc, argv, &taken);

	if (status != GO_ON)
		return status;
	argc -= taken;
	argv += taken;
	bool wants_help = argc > 0 && strcmp(argv[0], "help") == 0;

	if (wants_help) {
		argc--;
		argv++;
	}
	if (argc == 0) {
		if (!wants_help)
			return usage_complain(ctl, "what shall it do?");
		help_print();
		return EXIT_YES;
	}
	const struct command *command = command_find(argc, argv, &words);

	if (command == NULL)
		return command_miss(ctl, argc, argv);
	ctl->command = command;
	if (wants_help) {
		(void)fputs(command->help, stdout);
		return EXIT_YES;
	}
	return command->run(ctl, argc - words, argv + words);
}

int
main(int argc, char **argv)
{
	const char *variable = getenv(RELAYCTL_CONFIG_VARIABLE);
	struct relayctl ctl = {
		.config_path = variable == NULL || variable[0] == '\0' ? CONFIG_PATH_DEFAULT :
									 variable,
	};
	int status = run(&ctl, argc == 0 ? 0 : argc - 1, argv + (argc == 0 ? 0 : 1));

	settings_free(&ctl.settings);
	free(ctl.found_directory);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("relayctl: standard output");
		return EXIT_TROUBLE;
	}
	return status;
}
