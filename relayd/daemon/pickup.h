/* SPDX-License-Identifier: ISC */
/*
 * The pickup process: takes .eml files out of a directory and submits them to the workers,
 * over a Unix socket, as the client "pickup". It may wait for disks; the workers judge what
 * it brings like any other client's mail.
 *
 *   NAME.eml       taken as soon as it was closed or renamed to this name
 *   NAME.bad       refused, or no message; NAME.bad.txt says why
 *
 * A file goes when the worker's 250 made its message durable. A crash between the two sends it
 * again: twice, never not at all.
 */
#ifndef RELAYD_DAEMON_PICKUP_H
#define RELAYD_DAEMON_PICKUP_H

#include "base/fault.h"
#include "base/log.h"

#include <stdint.h>

#define PICKUP_SOCKET "pickup.sock" /* below state-dir */

struct pickup_start {
	const char *directory;
	const char *socket_path;
	const char *hostname; /* for Message-ID */
	uint64_t message_octets_max;
	const struct log *log;
	int supervisor; /* end of a channel: when it closes, the process ends */
};

/* The listening socket for the workers. -1 and *fault on failure. */
int pickup_socket_open(const char *path, struct fault *fault);

/* Be the pickup process until SIGTERM or until the supervisor is gone; its exit status. */
int pickup_run(const struct pickup_start *start);

#endif
