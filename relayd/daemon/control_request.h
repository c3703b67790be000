/* SPDX-License-Identifier: ISC */
/* What a client of the control socket asks for: {"command":"status"}. */
#ifndef RELAYD_DAEMON_CONTROL_REQUEST_H
#define RELAYD_DAEMON_CONTROL_REQUEST_H

#include "base/span.h"

#define CONTROL_COMMAND_SIZE 32

/* The command's name, terminated; PARSE_BAD when the line is no such JSON object. */
enum parse_status control_request_parse(struct span line, char name[CONTROL_COMMAND_SIZE]);

#endif
