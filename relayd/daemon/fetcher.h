/* SPDX-License-Identifier: ISC */
/*
 * The fetch process: asks token endpoints over HTTPS, which may take its time, for access
 * tokens that the workers log in with (delivery/token.h). One renewal serves all workers; a
 * token survives a restart in state-dir/tokens/ROUTE, a file of mode 0600.
 */
#ifndef RELAYD_DAEMON_FETCHER_H
#define RELAYD_DAEMON_FETCHER_H

#include "base/log.h"
#include "delivery/token.h"

#define FETCHER_DIRECTORY "tokens" /* below state-dir */

struct fetcher_route {
	struct span name;
	const struct token_settings *settings; /* NULL, or without endpoint: nothing to fetch */
};

struct fetcher_start {
	const struct fetcher_route *routes;
	size_t route_count;
	struct token_board *board;
	const char *state_directory;
	const struct log *log;
	int supervisor; /* end of a channel: when it closes, the process ends */
	/* Called when all secrets were read: confine the process. */
	bool (*confine)(void *context, struct fault *fault);
	void *context;
};

/* Be the fetch process until the supervisor is gone; its exit status. */
int fetcher_run(const struct fetcher_start *start);

#endif
