/* SPDX-License-Identifier: ISC */
/*
 * What waits: the jobs of each route, in order of arrival when they may go, ordered by time
 * when they have to wait. Pure bookkeeping: no clock of its own, no I/O.
 */
#ifndef RELAYD_DELIVERY_SCHEDULER_H
#define RELAYD_DELIVERY_SCHEDULER_H

#include "delivery/queued.h"

struct heap_entry {
	int64_t key;
	struct job *job;
};

/* A binary heap, the smallest key first. All zero but slot is an empty one. */
struct heap {
	struct heap_entry *entries;
	size_t count;
	size_t room;
	unsigned slot; /* which of job->index belongs to it */
};

/* Embedded by value. */
struct schedule {
	struct heap ready;   /* by order of arrival */
	struct heap waiting; /* by time, monotonic ms */
	struct heap held;    /* by order of arrival */
	struct heap dead;    /* by order of arrival */
	struct heap age;     /* everything ready, waiting or active, by order of arrival */
	size_t active;
};

void schedule_init(struct schedule *schedule);

/* Give the memory back; the jobs stay their owner's. */
void schedule_reset(struct schedule *schedule);

/*
 * Put a job, wherever it is, where it may go now, or no sooner than due_ms; a job whose
 * message is held is held instead, until it is put there again when that is over.
 */
void schedule_ready(struct schedule *schedule, struct job *job);
void schedule_wait(struct schedule *schedule, struct job *job, int64_t due_ms);

/* The job that came first of those that may go, to be worked on; NULL when there is none. */
struct job *schedule_take(struct schedule *schedule);

/* Take this very job, which is ready. */
void schedule_take_this(struct schedule *schedule, struct job *job);

/* It is over for this job: forget it, or keep it as dead. */
void schedule_end(struct schedule *schedule, struct job *job);
void schedule_bury(struct schedule *schedule, struct job *job);

/* Make ready what is due. */
void schedule_wake(struct schedule *schedule, int64_t now_ms);

/* Make ready what waits: all of it, or only what a broken connection made wait. */
void schedule_wake_all(struct schedule *schedule, bool only_cut);

/* Jobs that are ready or wait. */
static inline size_t
schedule_waiting_count(const struct schedule *schedule)
{
	return schedule->ready.count + schedule->waiting.count;
}

/* The job that arrived first of all that are not at their end; NULL: none. */
static inline struct job *
schedule_oldest(const struct schedule *schedule)
{
	return schedule->age.count == 0 ? NULL : schedule->age.entries[0].job;
}

/* When the first of the waiting is due; INT64_MAX: nothing waits. */
static inline int64_t
schedule_next_ms(const struct schedule *schedule)
{
	return schedule->waiting.count == 0 ? INT64_MAX : schedule->waiting.entries[0].key;
}

/* When a job that waits is due. */
static inline int64_t
schedule_due_ms(const struct schedule *schedule, const struct job *job)
{
	return schedule->waiting.entries[job->index[0]].key;
}

/*
 * How long to wait after the tries-th failed try (from 1): the queue's schedule, moved by up
 * to a tenth to either side so that what failed together does not return together; the same
 * for the same message and try.
 */
int64_t retry_delay_ms(const struct queue_settings *queue, unsigned tries, uint64_t uid);

#endif
