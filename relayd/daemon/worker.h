/* SPDX-License-Identifier: ISC */
/*
 * A worker: one process, one event loop. It accepts on its listening sockets, decides,
 * spools to a shard of its own and delivers from it. Workers share nothing but the figures,
 * the connection limits and the audit file.
 */
#ifndef RELAYD_DAEMON_WORKER_H
#define RELAYD_DAEMON_WORKER_H

#include "auth/client.h"
#include "config/settings.h"
#include "daemon/shared.h"

/* Said with WORD_HUNG (daemon/channel.h): this auth helper hangs. */
struct worker_hung {
	uint32_t helper;
	int32_t pid;
};

#define WORKER_EXIT_OK	    0
#define WORKER_EXIT_TROUBLE 3 /* it could not start; the log says why */

struct worker_start {
	const struct settings *settings;
	const struct log *log;
	struct shared *shared;
	struct connection_limits *limits;
	struct quota *quota;
	const struct tls_server *tls; /* NULL: no tls section */
	struct worker_figures *figures;
	const struct upstream *upstream;
	struct token_board *tokens;
	struct sts_board *sts;
	struct route_share *const *shares; /* of the routes */
	unsigned slot;	      /* in limits, quota and the shares */
	const int *listeners; /* listening sockets, this worker's alone */
	size_t listener_count;
	int channel; /* to the supervisor; daemon/channel.h */
	const struct auth_pool_helper *helpers;
	size_t helper_count; /* 0: nobody can log in */
	struct auth_failures *auth_failures;
};

/* Run until told to stop; returns the process's exit status. */
int worker_run(const struct worker_start *start);

#endif
