/* SPDX-License-Identifier: ISC */
/*
 * Memory that the supervisor and its workers share: one block for the daemon's life, and one
 * of figures for each worker process, which the worker writes and the supervisor reads.
 */
#ifndef RELAYD_DAEMON_SHARED_H
#define RELAYD_DAEMON_SHARED_H

#include "delivery/delivery.h"
#include "session/nat_sketch.h"
#include "delivery/rates.h"
#include "session/session.h"

struct shared {
	_Atomic uint64_t session_serial; /* base/id.h */
};

struct worker_figures {
	size_t octets; /* of the whole mapping */
	size_t connector_count;
	size_t route_count;
	struct nat_sketch nat;
	_Atomic uint64_t spool_messages;
	_Atomic uint64_t spool_body_octets;
	_Atomic uint64_t spool_memory_octets;
	_Atomic uint64_t spool_segments;
	_Atomic uint64_t spool_syncs;
	_Atomic uint64_t spool_commits;
	struct session_figures *connectors;
	struct route_figures *routes;
	struct rate_figures *rates; /* by grant and sender's domain */
};

/*
 * The block lives in the file state-dir/serial, so that a daemon that is started again goes on
 * counting where a killed one stopped, and no id is given twice. NULL and *fault when the file
 * cannot be written or mapped.
 */
struct shared *shared_new(const char *state_directory, int64_t wall_ms, struct fault *fault);
void shared_free(struct shared **shared);

/*
 * The counts of the grants' limits, for so many worker slots; they last as long as the daemon.
 * NULL and *fault when there is no memory. Ends with the process.
 */
struct quota *shared_quota_memory_new(unsigned slots, struct fault *fault);

struct worker_figures *worker_figures_new(size_t connectors, size_t routes, size_t grants,
					  struct fault *fault);
void worker_figures_free(struct worker_figures **figures);

#endif
