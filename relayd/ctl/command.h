/* SPDX-License-Identifier: ISC */
/*
 * relayctl: a table of commands, one file for each (command_<name>.c), and what they share:
 * options, exit codes, where the configuration and the state directory are.
 */
#ifndef RELAYD_CTL_COMMAND_H
#define RELAYD_CTL_COMMAND_H

#include "base/buffer.h"
#include "base/fault.h"
#include "config/settings.h"

#include <stdio.h>

#define RELAYCTL_CONFIG_VARIABLE "RELAYD_CONFIG" /* names the file where -c does not */

/* Exit statuses, as relayctl(8) says. */
enum {
	EXIT_YES = 0,
	EXIT_NO = 1, /* refused, not found */
	EXIT_USAGE = 2,
	EXIT_TROUBLE = 3,
	GO_ON = -1, /* no exit: carry on */
};

struct relayctl;

struct command {
	const char *name; /* "audit list" */
	const char *summary;
	const char *help; /* usage, options, examples */
	int (*run)(struct relayctl *ctl, int argc, char **argv); /* argv[0] is the first argument */
};

/* One run of relayctl. */
struct relayctl {
	const struct command *command; /* NULL until it is known */
	const char *config_path;
	const char *state_directory; /* --state-dir, the configuration's, or NULL so far */
	char *found_directory; /* of a configuration that is not usable; ours */
	bool has_config_option;	     /* -c was given */
	bool is_json;
	struct settings *settings; /* once loaded */
};

extern const struct command command_status;
extern const struct command command_explain;
extern const struct command command_why;
extern const struct command command_audit_list;
extern const struct command command_queue_list;
extern const struct command command_queue_show;
extern const struct command command_queue_retry;
extern const struct command command_queue_hold;
extern const struct command command_queue_release;
extern const struct command command_queue_remove;
extern const struct command command_limits;
extern const struct command command_reload;
extern const struct command command_reason;
extern const struct command command_rights;
extern const struct command command_user_add;
extern const struct command command_user_passwd;
extern const struct command command_user_disable;
extern const struct command command_user_enable;
extern const struct command command_user_remove;
extern const struct command command_user_list;

/* ---- Options ---- */

enum option_kind {
	OPTION_FLAG, /* into: bool */
	OPTION_TEXT, /* into: const char * */
	OPTION_LIST, /* into: struct option_list; may be given again and again */
};

struct option_list {
	const char **items; /* the caller's array of argc places */
	size_t count;
};

struct option {
	const char *name; /* "--since" */
	enum option_kind kind;
	void *into;
};

/*
 * Take the options out of argv (the command's own and -c, --state-dir, --json, --help) and
 * leave *argc arguments at its front. GO_ON, or the exit code after help or a complaint.
 * "--name VALUE" and "--name=VALUE"; "--" ends them.
 */
int options_take(struct relayctl *ctl, const struct option *options, size_t count, int *argc,
		 char **argv);

/* Complain about how the command was called, and point to its help. EXIT_USAGE. */
int usage_complain(const struct relayctl *ctl, const char *format, ...) PRINTF_LIKE(2, 3);

/* Say on stderr what failed. EXIT_TROUBLE. */
int trouble_say(const struct relayctl *ctl, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * A time as options give it: as clock_parse reads it, or how long ago ("90s", "15m", "2h",
 * "7d", "4w").
 */
enum parse_status time_option_parse(const char *text, int64_t now_wall_ms, int64_t *wall_ms);

/* ---- Configuration ---- */

/* Load the configuration into ctl; errors are printed as `relayd -t` prints them. */
int settings_need(struct relayctl *ctl);

/* The same without a word when it cannot be loaded: ctl->settings stays NULL. */
void settings_try(struct relayctl *ctl);

/*
 * The state directory: --state-dir, or what the configuration says (which is loaded for it).
 * GO_ON, or the exit code.
 */
int state_directory_need(struct relayctl *ctl, const char **state_directory);

/* ---- Output ---- */

/* Write the text to stdout and clear it. */
void output_put(struct buffer *text);

/* "550 5.7.1 Unable to relay", as configured, without an id. Nothing when it answers nothing. */
void reason_reply_append(struct buffer *out, enum reason reason, enum reply_style style);

/* A line of the reply table in the same form; NULL: nothing. */
void reply_line_append(struct buffer *out, const struct reason_reply *reply);

#endif
