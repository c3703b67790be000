/* SPDX-License-Identifier: ISC */
/*
 * The supervisor: owns the listening sockets, starts workers and starts them again when they
 * die, reloads by starting new workers before it drains the old, answers on the control
 * socket. It parses nothing that comes from the network.
 */
#ifndef RELAYD_DAEMON_SUPERVISOR_H
#define RELAYD_DAEMON_SUPERVISOR_H

#include "config/settings.h"

/*
 * Serve until SIGTERM or SIGINT. Takes the settings. ready_fd: -1, or a descriptor that gets
 * one octet and is closed when mail can be accepted (for `relayd -d`). Returns the exit
 * status of the program; what went wrong is in the log.
 */
int supervisor_run(struct settings *settings, const struct log *log, int ready_fd);

#endif
