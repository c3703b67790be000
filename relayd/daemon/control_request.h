/* SPDX-License-Identifier: ISC */
/*
 * What a client of the control socket asks for: {"command":"status"}, or what is to be done
 * with the queue: {"command":"queue","action":"hold","from":["@example.com"]}. A member that
 * is not known makes the request bad: it might have narrowed down what is meant.
 */
#ifndef RELAYD_DAEMON_CONTROL_REQUEST_H
#define RELAYD_DAEMON_CONTROL_REQUEST_H

#include "base/arena.h"
#include "delivery/operation.h"

#define CONTROL_COMMAND_SIZE 32

/* Texts and lists are the arena's. */
struct control_request {
	char command[CONTROL_COMMAND_SIZE];
	enum queue_action action; /* of "queue", as what follows */
	struct selection_source selection;
	struct span selection_json; /* the selection alone, as JSON on one line */
};

/* PARSE_BAD and *why, a constant, when the line is no such JSON object. */
enum parse_status control_request_parse(struct span line, struct arena *arena,
					struct control_request *request, const char **why);

#endif
