/* SPDX-License-Identifier: ISC */
/*
 * Asking the running daemon. Its socket is control.sock in the state directory; a question is
 * one line of JSON, {"command":"status"}, the answer is one line, then the daemon closes.
 */
#ifndef RELAYD_NET_CONTROL_H
#define RELAYD_NET_CONTROL_H

#include "base/buffer.h"
#include "base/fault.h"

#define CONTROL_SOCKET		   "control.sock"
#define CONTROL_ANSWER_OCTETS_MAX  (16U << 20)

enum control_status {
	CONTROL_ANSWERED,
	CONTROL_NOT_RUNNING, /* nobody listens there */
	CONTROL_FAILED,	     /* *fault says why */
};

/* Ask; the answer, without its newline, is appended. Gives up after timeout_ms of silence. */
enum control_status control_ask(const char *state_directory, const char *command,
				int timeout_ms, struct buffer *answer, struct fault *fault);

/* The same with a question that is JSON already, without a newline. */
enum control_status control_ask_json(const char *state_directory, struct span question,
				     int timeout_ms, struct buffer *answer,
				     struct fault *fault);

#endif
