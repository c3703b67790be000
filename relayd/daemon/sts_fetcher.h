/* SPDX-License-Identifier: ISC */
/*
 * The MTA-STS process: fetches policies over HTTPS for the workers (delivery/sts.h), from
 * hosts that any domain may name. It holds no secret, waits for several of them at once, and
 * keeps what it got in state-dir/mta-sts/DOMAIN until the policy's time is over.
 */
#ifndef RELAYD_DAEMON_STS_FETCHER_H
#define RELAYD_DAEMON_STS_FETCHER_H

#include "base/log.h"
#include "delivery/sts.h"

#define STS_DIRECTORY "mta-sts" /* below state-dir */

struct sts_fetcher_start {
	struct sts_board *board;
	const char *state_directory;
	const char *ca_file; /* of the policy hosts; NULL: the system's */
	uint16_t port;	     /* of the policy hosts: 443 */
	const struct log *log;
	int supervisor; /* end of a channel: when it closes, the process ends */
	bool (*confine)(void *context, struct fault *fault);
	void *context;
};

/* Be that process until the supervisor is gone; its exit status. */
int sts_fetcher_run(const struct sts_fetcher_start *start);

#endif
