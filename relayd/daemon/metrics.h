/* SPDX-License-Identifier: ISC */
/*
 * Figures for Prometheus: a small HTTP server in a process of its own, which asks the
 * supervisor for its status on the control socket and says it in Prometheus' words.
 */
#ifndef RELAYD_DAEMON_METRICS_H
#define RELAYD_DAEMON_METRICS_H

#include "base/log.h"

struct metrics_start {
	int listener;		     /* bound, listening, not blocking; taken */
	int supervisor;		     /* when it closes, we end */
	const char *state_directory; /* of the control socket */
	const struct log *log;
};

/* Serve until the supervisor goes. The exit status. */
int metrics_run(const struct metrics_start *start);

#endif
