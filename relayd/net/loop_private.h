/* SPDX-License-Identifier: ISC */
/* What loop.c shares with the streams: the loop itself. */
#ifndef RELAYD_NET_LOOP_PRIVATE_H
#define RELAYD_NET_LOOP_PRIVATE_H

#include "net/output.h"
#include "net/wheel.h"

#include <stdatomic.h>
#include <sys/epoll.h>

#define LOOP_BATCH_MAX	    256	  /* events taken from the kernel at once */
#define LOOP_SCRATCH_OCTETS 65536 /* the most that a stream reads at once */
#define LOOP_RECORD_OCTETS  16384

struct stream;

struct loop {
	int epoll_fd;
	int wake_fd; /* an eventfd, edge-triggered: written to, never read */
	bool is_stopping;
	int64_t monotonic_ms;
	int64_t wall_ms;
	struct wheel wheel;

	struct list work; /* what is queued */

	struct list hooks;
	struct list *hook_next; /* the hook that runs after the present one */

	/* Newest first. Whoever finds it empty writes to wake_fd. */
	_Atomic(struct loop_call *) posted;

	/* Oldest first: taken from there to run in the next turn; running in this one. */
	struct loop_call *taken;
	struct loop_call *running;

	struct epoll_event batch[LOOP_BATCH_MAX];
	int batch_at;	 /* the event being handled */
	int batch_count; /* 0 outside the handling */

	/* For stream.c. */
	struct list dirty;	/* streams with something to do at the end of this turn */
	struct list ready;	/* streams to be served in the next turn without an event */
	struct list lingering;	/* see linger.h */
	size_t lingering_count;
	struct stream *busy; /* whose callback runs; NULL as soon as that closes it */
	bool is_secret;	     /* what that callback was given is */
	struct output_pool pool;
	char scratch[LOOP_SCRATCH_OCTETS]; /* while reading: received; while sending: sealed */
	char record[LOOP_RECORD_OCTETS];   /* plain text that TLS gathers for one record */
};

/* In stream.c: serve the streams in loop->ready, and those in loop->dirty. */
void stream_serve_ready(struct loop *loop);
void stream_flush_dirty(struct loop *loop);

#endif
