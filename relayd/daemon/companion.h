/* SPDX-License-Identifier: ISC */
/*
 * Companions: processes beside the workers that may wait, one of each kind for the current
 * configuration. A companion ends when its channel closes; the supervisor starts it again
 * when it ends by itself, and in a new configuration after a reload.
 */
#ifndef RELAYD_DAEMON_COMPANION_H
#define RELAYD_DAEMON_COMPANION_H

#include "base/log.h"
#include "net/loop.h"

#include <sys/types.h>

struct supervisor;
struct settings;

struct companion_kind {
	const char *name; /* in the log */
	bool (*is_wanted)(const struct settings *settings);
	/* In its process, as the account of relayd; it confines itself. The exit status. */
	int (*run)(struct supervisor *supervisor, const struct settings *settings,
		   const struct log *log, int channel);
};

extern const struct companion_kind pickup_companion;
extern const struct companion_kind fetcher_companion;
extern const struct companion_kind sts_companion;

enum { COMPANION_PICKUP, COMPANION_FETCHER, COMPANION_STS, COMPANION_COUNT };

/* Embedded by the supervisor. */
struct companion {
	const struct companion_kind *kind;
	struct supervisor *supervisor;
	pid_t pid;   /* 0: none */
	int channel; /* -1: none, or it was told to end */
	struct loop_timer timer; /* to start it again */
};

void companions_init(struct supervisor *supervisor);

/* Run those that the current configuration wants, anew. */
void companions_renew(struct supervisor *supervisor);

/* They finish what they are at, and end. */
void companions_stop(struct supervisor *supervisor);

/* Collect those that ended. */
void companions_reap(struct supervisor *supervisor);

/* In a new process: their channels are not ours. */
void companions_close(const struct supervisor *supervisor);

/* The supervisor ends: wait for them, two seconds each at most, and kill what still runs. */
void companions_end(struct supervisor *supervisor);

#endif
