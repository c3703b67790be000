/* SPDX-License-Identifier: ISC */
/*
 * What all workers share of one route, in memory that is mapped into each of them: how many
 * connections there may be and are, and when the next message may go. A worker that dies
 * leaves nothing behind but its own counter, which the supervisor clears.
 *
 * The window is how many connections the next hops bear at present: it grows with each
 * message that they take, and is halved when there is trouble. It never exceeds the route's
 * `connections`.
 */
#ifndef RELAYD_DELIVERY_SHARE_H
#define RELAYD_DELIVERY_SHARE_H

#include "base/fault.h"
#include "base/list.h"

#include <stdatomic.h>

#define SHARE_WORKERS_MAX 256

struct route_share {
	_Atomic int64_t next_send_us;	  /* monotonic; no message goes before */
	_Atomic int64_t halved_at_ms;	  /* monotonic */
	_Atomic uint32_t window_milli;	  /* in thousandths; 0: as at the start */
	_Atomic uint32_t threshold_milli; /* from here on it grows slowly; 0: none yet */
	_Atomic uint16_t held[SHARE_WORKERS_MAX]; /* connections of each worker */
	_Atomic bool wants[SHARE_WORKERS_MAX];	  /* it has mail, and may open no connection */
};

/* ---- Connections ---- */

/* How many there may be now. */
uint32_t share_window(const struct route_share *share, uint32_t max);

/* How many there are. */
uint32_t share_held(const struct route_share *share);

/*
 * Take the right to one more connection, and give it back. False: there are as many as there
 * may be; two who ask at the same moment may both be told so.
 */
bool share_take(struct route_share *share, unsigned worker, uint32_t max);
void share_give_back(struct route_share *share, unsigned worker);

/* Say whether this worker has mail for which it may open no connection. */
void share_want(struct route_share *share, unsigned worker, bool wants);

/* Does some other worker? */
bool share_is_wanted(const struct route_share *share, unsigned worker);

/* There is no window: the next hops are many, and each has one of its own. */
void share_open(struct route_share *share, uint32_t max);

/* A message was taken; the next hop is in trouble. */
void share_grow(struct route_share *share, uint32_t max);
void share_halve(struct route_share *share, uint32_t max, int64_t now_ms);

/* ---- Messages a minute ---- */

/* When the next message may go, monotonic; 0: at once. */
int64_t share_next_send_ms(const struct route_share *share);

/*
 * Take the right to send a message: at most so many in any minute, by all workers together,
 * evenly spaced. False: not yet.
 */
bool share_message_take(struct route_share *share, uint32_t messages_per_minute,
			int64_t now_ms);

/* ---- For the supervisor ---- */

/* The shares of all routes by name: they outlive the generations of workers. */
struct share_set {
	struct list entries;
};

void share_set_init(struct share_set *set);
void share_set_reset(struct share_set *set);

/* The share of the route of this name, made if need be. NULL and *fault: no memory. */
struct route_share *share_set_take(struct share_set *set, struct span name,
				   struct fault *fault);

/* It is used once less; the last one frees it. */
void share_set_give_back(struct share_set *set, struct route_share *share);

/* The worker is gone: its connections are, too. */
void share_set_clear(struct share_set *set, unsigned worker);

#endif
