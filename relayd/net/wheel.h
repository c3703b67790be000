/* SPDX-License-Identifier: ISC */
/*
 * The timer wheel below loop_timer: five wheels of 64 slots, the fastest of 8 ms a slot, each
 * next one 64 times slower, together 99 days; what lies further is looked at again then.
 * Setting, moving and cancelling cost the same however many timers there are.
 */
#ifndef RELAYD_NET_WHEEL_H
#define RELAYD_NET_WHEEL_H

#include "net/loop.h"

#define WHEEL_TICK_MS	 8
#define WHEEL_LEVELS	 5
#define WHEEL_SLOT_BITS	 6
#define WHEEL_SLOTS	 (1 << WHEEL_SLOT_BITS)
#define WHEEL_NEVER	 INT64_MAX

/* Embedded by value. */
struct wheel {
	int64_t tick; /* everything up to this one is past */
	struct list due;
	uint64_t used[WHEEL_LEVELS]; /* bit n: slot n may hold something */
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, int64_t now_ms);

/* Have the timer fire delay_ms after now_ms, never earlier; less than 0 counts as 0. */
void wheel_set(struct wheel *w, struct loop_timer *timer, int64_t now_ms, int64_t delay_ms);
void wheel_cancel(struct loop_timer *timer);

/*
 * The next timer that is due at now_ms, taken out and no longer set; NULL when there is none.
 * They come in the order of their ticks.
 */
struct loop_timer *wheel_take(struct wheel *w, int64_t now_ms);

/* When to look again: no later than the next timer is due. WHEEL_NEVER without timers. */
int64_t wheel_next_ms(struct wheel *w);

#endif
