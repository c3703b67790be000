/* SPDX-License-Identifier: ISC */
/*
 * The event loop of a process: epoll, timers, and the order of work inside one turn:
 *
 *   1. wait, note the time once
 *   2. run posted calls, the handlers of readable and writable descriptors, due timers, then
 *      some of the queued work
 *   3. run the end-of-turn hooks in the order in which they were added (the audit trail
 *      writes the turn's records here)
 *   4. send what streams have to say
 *
 * so that no reply leaves before the record of it is with the kernel. Nothing that a handler
 * does may block. One loop belongs to one thread; loop_post alone may be called from others.
 */
#ifndef RELAYD_NET_LOOP_H
#define RELAYD_NET_LOOP_H

#include "base/fault.h"
#include "base/list.h"

struct loop;

enum loop_events {
	LOOP_READ = 1,
	LOOP_WRITE = 2,
	LOOP_HANGUP = 4, /* reported whether asked for or not */
};

/* A watched descriptor; embedded by its owner, who zeroes it. */
struct loop_watch {
	void (*ready)(struct loop_watch *watch, unsigned events);
	int fd;
	unsigned wanted; /* of enum loop_events; loop_watch_set changes it */
	bool is_watched; /* private */
};

/* A timer; embedded by its owner, who zeroes it (it may then be cancelled safely). */
struct loop_timer {
	void (*expired)(struct loop_timer *timer);
	struct list link;  /* private */
	int64_t due_ms;	   /* monotonic; private */
	bool is_set;	   /* private; see loop_timer_is_set */
};

/* Work for a later moment of the loop's thread; embedded by its owner. */
struct loop_call {
	void (*run)(struct loop_call *call);
	struct loop_call *next; /* private */
	bool is_posted;		/* private; only the loop's thread may look */
};

/*
 * Work that takes much of the processor, such as a step of a TLS handshake; embedded by its
 * owner, who zeroes it.
 */
struct loop_work {
	void (*run)(struct loop_work *work);
	struct list link; /* private */
	bool is_queued;	  /* private; see loop_work_is_queued */
};

/* Work at the end of every turn; embedded by its owner. */
struct loop_hook {
	void (*run)(struct loop_hook *hook);
	struct list link; /* private */
};

/* NULL and *fault on failure. */
struct loop *loop_new(struct fault *fault);

/* Whoever watches, waits or has posted has to end that first. */
void loop_free(struct loop **loop);

/*
 * Run turns until loop_stop; loop_stop (in the loop's thread) ends it after the current turn,
 * hooks and sending included.
 */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One turn that waits at most wait_ms (-1: for ever). For tests and for draining. */
void loop_turn(struct loop *loop, int wait_ms);

/* The time noted at the start of this turn. */
int64_t loop_now_ms(const struct loop *loop);  /* monotonic */
int64_t loop_wall_ms(const struct loop *loop); /* since 1970 */

/* Begin to watch watch->fd for watch->wanted; false and *fault when the kernel refuses. */
bool loop_watch_add(struct loop *loop, struct loop_watch *watch, struct fault *fault);

/* Want other events from now on; 0 keeps the descriptor known but silent. */
void loop_watch_set(struct loop *loop, struct loop_watch *watch, unsigned wanted);

/* Forget it; must come before close(fd). Events already fetched are not delivered. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/*
 * (Re)arm to fire delay_ms from this moment; the wheel's resolution is 8 ms, never early.
 * Moving a timer that is set to a later time is the cheapest of all: do it freely.
 */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t delay_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

static inline bool
loop_timer_is_set(const struct loop_timer *timer)
{
	return timer->is_set;
}

/*
 * Have call->run run in the loop's thread, soon. From any thread; wakes the loop. The call
 * must stay alive and may not be posted again until it has begun to run. What is posted in
 * one turn runs at the beginning of the next one, in the order of posting.
 */
void loop_post(struct loop *loop, struct loop_call *call);

/* Take a posted call back, in the loop's thread. False when it was not posted or has run. */
bool loop_call_cancel(struct loop *loop, struct loop_call *call);

/*
 * Have the work run when the small things of a turn are done. Each turn runs one piece, and
 * more until LOOP_WORK_MS have passed; the rest waits for the next turn, so that however much
 * is queued, whoever wants little of the loop waits for no more than that and one piece.
 * Urgent work goes before all other. Nothing happens when it is queued already.
 */
#define LOOP_WORK_MS 1
void loop_work_add(struct loop *loop, struct loop_work *work, bool is_urgent);

/* Take it back; harmless when it is not queued. */
void loop_work_cancel(struct loop_work *work);

static inline bool
loop_work_is_queued(const struct loop_work *work)
{
	return work->is_queued;
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook);
void loop_hook_remove(struct loop *loop, struct loop_hook *hook);

#endif
