/* SPDX-License-Identifier: ISC */
/* Queues of jobs; see scheduler.h. */
#include "delivery/scheduler.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define HEAP_ROOM_FIRST 64

enum {
	SLOT_PLACE,
	SLOT_AGE,
};

static void
entry_put(struct heap *heap, size_t at, struct heap_entry entry)
{
	heap->entries[at] = entry;
	entry.job->index[heap->slot] = (uint32_t)at;
}

static void
heap_rise(struct heap *heap, size_t at, struct heap_entry entry)
{
	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (heap->entries[parent].key <= entry.key)
			break;
		entry_put(heap, at, heap->entries[parent]);
		at = parent;
	}
	entry_put(heap, at, entry);
}

static void
heap_sink(struct heap *heap, size_t at, struct heap_entry entry)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count &&
		    heap->entries[child + 1].key < heap->entries[child].key)
			child++;
		if (entry.key <= heap->entries[child].key)
			break;
		entry_put(heap, at, heap->entries[child]);
		at = child;
	}
	entry_put(heap, at, entry);
}

static void
heap_add(struct heap *heap, struct job *job, int64_t key)
{
	if (heap->count == heap->room) {
		heap->room = heap->room == 0 ? HEAP_ROOM_FIRST : heap->room * 2;
		assert(heap->room <= UINT32_MAX);
		heap->entries =
		    memory_resize(heap->entries, heap->room, sizeof(*heap->entries));
	}
	heap->count++;
	heap_rise(heap, heap->count - 1, (struct heap_entry){ .key = key, .job = job });
}

/* A long queue is an exception: give its memory back once it has drained. */
static void
heap_shrink(struct heap *heap)
{
	if (heap->room <= HEAP_ROOM_FIRST || heap->count > heap->room / 4)
		return;
	heap->room /= 2;
	heap->entries = memory_resize(heap->entries, heap->room, sizeof(*heap->entries));
}

static void
heap_remove(struct heap *heap, struct job *job)
{
	size_t at = job->index[heap->slot];

	assert(at < heap->count && heap->entries[at].job == job);
	heap->count--;

	struct heap_entry last = heap->entries[heap->count];

	if (at < heap->count) {
		if (at > 0 && last.key < heap->entries[(at - 1) / 2].key)
			heap_rise(heap, at, last);
		else
			heap_sink(heap, at, last);
	}
	heap_shrink(heap);
}

static int64_t
job_arrival(const struct job *job)
{
	return (int64_t)spool_message_info(job->queued->message)->uid;
}

/* Out of whatever place it is in; the heap by age is looked after by the callers. */
static void
job_displace(struct schedule *schedule, struct job *job)
{
	switch ((enum job_place)job->place) {
	case JOB_NOWHERE:
		break;
	case JOB_READY:
		heap_remove(&schedule->ready, job);
		break;
	case JOB_WAITING:
		heap_remove(&schedule->waiting, job);
		break;
	case JOB_HELD:
		heap_remove(&schedule->held, job);
		break;
	case JOB_ACTIVE:
		schedule->active--;
		break;
	case JOB_DEAD:
		heap_remove(&schedule->dead, job);
		break;
	}
}

/* Is it among those that age? */
static bool
job_is_open(const struct job *job)
{
	return job->place != JOB_NOWHERE && job->place != JOB_HELD && job->place != JOB_DEAD;
}

static void
job_open(struct schedule *schedule, struct job *job)
{
	if (!job_is_open(job))
		heap_add(&schedule->age, job, job_arrival(job));
}

static void
job_close(struct schedule *schedule, struct job *job)
{
	if (job_is_open(job))
		heap_remove(&schedule->age, job);
}

void
schedule_init(struct schedule *schedule)
{
	*schedule = (struct schedule){ .age = { .slot = SLOT_AGE } };
}

void
schedule_reset(struct schedule *schedule)
{
	free(schedule->ready.entries);
	free(schedule->waiting.entries);
	free(schedule->held.entries);
	free(schedule->dead.entries);
	free(schedule->age.entries);
	schedule_init(schedule);
}

static void
job_hold(struct schedule *schedule, struct job *job)
{
	job_close(schedule, job);
	job_displace(schedule, job);
	job->place = JOB_HELD;
	heap_add(&schedule->held, job, job_arrival(job));
}

void
schedule_ready(struct schedule *schedule, struct job *job)
{
	if (queued_is_held(job->queued)) {
		job_hold(schedule, job);
		return;
	}
	job_open(schedule, job);
	job_displace(schedule, job);
	job->place = JOB_READY;
	job->was_cut = false;
	heap_add(&schedule->ready, job, job_arrival(job));
}

void
schedule_wait(struct schedule *schedule, struct job *job, int64_t due_ms)
{
	if (queued_is_held(job->queued)) {
		job_hold(schedule, job);
		return;
	}
	job_open(schedule, job);
	job_displace(schedule, job);
	job->place = JOB_WAITING;
	heap_add(&schedule->waiting, job, due_ms);
}

void
schedule_take_this(struct schedule *schedule, struct job *job)
{
	assert(job->place == JOB_READY);
	job_displace(schedule, job);
	job->place = JOB_ACTIVE;
	schedule->active++;
}

struct job *
schedule_take(struct schedule *schedule)
{
	if (schedule->ready.count == 0)
		return NULL;

	struct job *job = schedule->ready.entries[0].job;

	schedule_take_this(schedule, job);
	return job;
}

void
schedule_end(struct schedule *schedule, struct job *job)
{
	job_close(schedule, job);
	job_displace(schedule, job);
	job->place = JOB_NOWHERE;
}

void
schedule_bury(struct schedule *schedule, struct job *job)
{
	job_close(schedule, job);
	job_displace(schedule, job);
	job->place = JOB_DEAD;
	heap_add(&schedule->dead, job, job_arrival(job));
}

void
schedule_wake(struct schedule *schedule, int64_t now_ms)
{
	while (schedule->waiting.count > 0 && schedule->waiting.entries[0].key <= now_ms)
		schedule_ready(schedule, schedule->waiting.entries[0].job);
}

void
schedule_wake_all(struct schedule *schedule, bool only_cut)
{
	struct heap *waiting = &schedule->waiting;
	size_t kept = 0;

	for (size_t i = 0; i < waiting->count; i++) {
		struct heap_entry entry = waiting->entries[i];

		if (only_cut && !entry.job->was_cut) {
			waiting->entries[kept++] = entry;
			continue;
		}
		entry.job->place = JOB_READY;
		entry.job->was_cut = false;
		heap_add(&schedule->ready, entry.job, job_arrival(entry.job));
	}
	waiting->count = kept;
	for (size_t i = kept; i-- > 0;)
		heap_sink(waiting, i, waiting->entries[i]);
}

static uint64_t
bits_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

int64_t
retry_delay_ms(const struct queue_settings *queue, unsigned tries, uint64_t uid)
{
	assert(tries > 0 && queue->retry_count > 0);

	size_t step = tries - 1 < queue->retry_count ? tries - 1 : queue->retry_count - 1;
	int64_t delay = queue->retry_ms[step];
	int64_t tenth = delay / 10;

	if (tenth > 0)
		delay += (int64_t)(bits_mix(uid + tries) % (uint64_t)(2 * tenth + 1)) - tenth;
	return delay;
}
