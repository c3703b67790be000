/* SPDX-License-Identifier: ISC */
/* What the commands that talk to the daemon share. */
#ifndef RELAYD_CTL_DAEMON_PRIVATE_H
#define RELAYD_CTL_DAEMON_PRIVATE_H

#include "ctl/command.h"

#include <jansson.h>

/*
 * Ask the daemon; a failure is said, with what to do about it. GO_ON: *line holds the answer
 * as it came and *answer what it says (end it with json_decref).
 */
int daemon_ask(struct relayctl *ctl, const char *question, int timeout_ms, struct buffer *line,
	       json_t **answer);

/* The same with a question that is JSON already. */
int daemon_ask_json(struct relayctl *ctl, struct span question, int timeout_ms,
		    struct buffer *line, json_t **answer);

/* A member's text or number; empty or 0 when it is not there. */
struct span member_text(const json_t *object, const char *key);
uint64_t member_number(const json_t *object, const char *key);

/* One line of an answer's text, made safe to show. */
void line_put(struct buffer *text, const char *prefix, struct span line);

/* What is used of the limits, a row each; nothing when there are none. */
void limits_print(const json_t *limits);

/* The answer's "errors", a line each, on standard error. */
void answer_errors_say(const json_t *answer);

#endif
