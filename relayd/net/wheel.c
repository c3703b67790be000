/* SPDX-License-Identifier: ISC */
/*
 * The timer wheel; see wheel.h.
 *
 * A timer stands in the level of the highest group of six bits in which its tick differs from
 * the present one, in the slot that these six bits name. So every slot of a level comes before
 * every slot of the next, and when time reaches a slot, what is in it is either due or moves
 * to a faster level.
 *
 * A timer that is set again to a later time, as an idle timer is with every command, stays
 * where it is: only its due time changes, and it moves when time reaches its slot.
 */
#include "net/wheel.h"

#include <assert.h>

#define SLOT_MASK (WHEEL_SLOTS - 1)

/* The furthest that the slowest level can tell apart from now. */
#define TICKS_MAX (INT64_C(63) << (WHEEL_SLOT_BITS * (WHEEL_LEVELS - 1)))

void
wheel_init(struct wheel *w, int64_t now_ms)
{
	*w = (struct wheel){ .tick = now_ms / WHEEL_TICK_MS };
	list_init(&w->due);
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		for (int slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
	}
}

/* The first tick that is not before the timer's time. */
static int64_t
timer_tick(const struct loop_timer *timer)
{
	return (timer->due_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
}

static int
level_of(int64_t tick, int64_t now)
{
	int level = (63 - __builtin_clzll((uint64_t)(tick ^ now))) / WHEEL_SLOT_BITS;

	return level < WHEEL_LEVELS ? level : WHEEL_LEVELS - 1;
}

static void
wheel_place(struct wheel *w, struct loop_timer *timer)
{
	int64_t tick = timer_tick(timer);

	assert(tick > w->tick);
	if (tick - w->tick > TICKS_MAX)
		tick = w->tick + TICKS_MAX;
	int level = level_of(tick, w->tick);
	int slot = (int)(tick >> (WHEEL_SLOT_BITS * level)) & SLOT_MASK;

	list_append(&w->slots[level][slot], &timer->link);
	w->used[level] |= UINT64_C(1) << slot;
}

void
wheel_set(struct wheel *w, struct loop_timer *timer, int64_t now_ms, int64_t delay_ms)
{
	int64_t due_ms = now_ms + (delay_ms > 0 ? delay_ms : 0) + 1; /* now_ms was cut */
	bool is_postponed = timer->is_set && due_ms >= timer->due_ms;

	if (!is_postponed)
		wheel_cancel(timer);
	timer->due_ms = due_ms;
	if (!is_postponed)
		wheel_place(w, timer);
	timer->is_set = true;
}

void
wheel_cancel(struct loop_timer *timer)
{
	if (!timer->is_set)
		return;
	list_remove(&timer->link);
	timer->is_set = false;
}

static uint64_t
rotate_right(uint64_t bits, unsigned by)
{
	return by == 0 ? bits : bits >> by | bits << (64 - by);
}

/*
 * The first slot in use of this level after the present one: how many slots ahead, from 1;
 * 0 without any. Slots that were emptied by cancelling are noticed here.
 */
static int
level_next(struct wheel *w, int level)
{
	unsigned digit = (unsigned)(w->tick >> (WHEEL_SLOT_BITS * level)) & SLOT_MASK;

	while (w->used[level] != 0) {
		uint64_t ahead = rotate_right(w->used[level], (digit + 1) & SLOT_MASK);
		int distance = __builtin_ctzll(ahead) + 1;
		unsigned slot = (digit + (unsigned)distance) & SLOT_MASK;

		if (!list_is_empty(&w->slots[level][slot]))
			return distance;
		w->used[level] &= ~(UINT64_C(1) << slot);
	}
	return 0;
}

/* The next slot in use, and the tick at which it begins; NULL without any. */
static struct list *
wheel_next_slot(struct wheel *w, int64_t *tick)
{
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		int distance = level_next(w, level);
		int64_t round = (w->tick >> (WHEEL_SLOT_BITS * level)) + distance;

		if (distance == 0)
			continue;
		*tick = round << (WHEEL_SLOT_BITS * level);
		return &w->slots[level][round & SLOT_MASK];
	}
	return NULL;
}

struct loop_timer *
wheel_take(struct wheel *w, int64_t now_ms)
{
	int64_t now_tick = now_ms / WHEEL_TICK_MS;

	for (;;) {
		struct list *link;

		while ((link = list_take_first(&w->due)) != NULL) {
			struct loop_timer *timer = LIST_OWNER(link, struct loop_timer, link);

			if (timer_tick(timer) <= w->tick) {
				timer->is_set = false;
				return timer;
			}
			wheel_place(w, timer);
		}
		int64_t next = WHEEL_NEVER;
		struct list *slot = wheel_next_slot(w, &next);

		if (slot == NULL || next > now_tick) {
			if (now_tick > w->tick)
				w->tick = now_tick;
			return NULL;
		}
		w->tick = next;
		list_splice(&w->due, slot);
	}
}

int64_t
wheel_next_ms(struct wheel *w)
{
	int64_t tick = w->tick;

	if (list_is_empty(&w->due) && wheel_next_slot(w, &tick) == NULL)
		return WHEEL_NEVER;
	return tick * WHEEL_TICK_MS;
}
