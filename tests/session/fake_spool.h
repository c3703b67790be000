/* SPDX-License-Identifier: ISC */
/*
 * A spool in memory, behind the functions of spool/spool.h that sessions use, which does what
 * a test tells it: be full, break, take its time.
 */
#ifndef RELAYD_TESTS_SESSION_FAKE_SPOOL_H
#define RELAYD_TESTS_SESSION_FAKE_SPOOL_H

#include "spool/spool.h"

#include "base/buffer.h"

struct spool_message {
	struct spool *spool;
	struct buffer body;
	struct buffer envelope;
	struct buffer state;
	bool is_removed;
};

struct spool {
	struct loop *loop;
	/* what the test wants */
	bool is_full;		       /* spool_has_room says no */
	enum spool_status status;      /* of every commit */
	bool holds_commits;	       /* until fake_spool_release */
	size_t waits_each;	       /* append says "wait" every so many octets; 0: never */
	/* what happened */
	struct spool_message *messages[256];
	size_t message_count;
	size_t drafts; /* not dropped, not committed */
	size_t commits_waiting;
	size_t waits; /* how often append said "wait" */
	struct list commits;
};

void fake_spool_init(struct spool *spool, struct loop *loop);

/* Let the commits that are held go on. */
void fake_spool_release(struct spool *spool);

/* Forget all messages. */
void fake_spool_reset(struct spool *spool);

#endif
