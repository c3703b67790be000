/* SPDX-License-Identifier: ISC */
/* relayctl reload: the daemon reads its configuration again. */
#include "ctl/daemon_private.h"

#define TIMEOUT_MS 120000 /* large tables may have to be read */

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct buffer line, text;
	json_t *answer = NULL;
	int status = options_take(ctl, NULL, 0, &argc, argv);

	if (status != GO_ON)
		return status;
	if (argc > 0)
		return usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	buffer_init(&line, 16U << 20);
	buffer_init(&text, 16U << 20);
	status = daemon_ask(ctl, "reload", TIMEOUT_MS, &line, &answer);
	if (status != GO_ON)
		goto out;
	bool succeeded = json_is_true(json_object_get(answer, "ok"));

	status = succeeded ? EXIT_YES : EXIT_TROUBLE;
	if (ctl->is_json) {
		buffer_append_byte(&line, '\n');
		output_put(&line);
	} else if (succeeded) {
		line_put(&text, "relayd goes on with policy ", member_text(answer, "policy"));
		output_put(&text);
	} else {
		answer_errors_say(answer);
		(void)trouble_say(ctl, "relayd goes on with the configuration it had");
	}
out:
	json_decref(answer);
	buffer_reset(&text);
	buffer_reset(&line);
	return status;
}

const struct command command_reload = {
	.name = "reload",
	.summary = "have relayd read its configuration again",
	.help = "usage: relayctl reload [--json]\n"
		"\n"
		"relayd checks its configuration and goes on with it. Sessions that are open\n"
		"finish under the old one; no connection is refused meanwhile. When there is an\n"
		"error, it is printed with file and line, and the old configuration stays.\n"
		"\n"
		"exit: 0 reloaded, 3 the configuration has errors or relayd is not running\n",
	.run = run,
};
