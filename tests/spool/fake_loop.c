/* SPDX-License-Identifier: ISC */
/*
 * The little of net/loop.h that the spool uses, on poll and a pipe: posted calls, hooks
 * and timers. So these tests stand on their own and each turn is theirs to take.
 */
#include "spool/fake_loop.h"

#include "base/clock.h"
#include "base/memory.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int64_t fake_loop_wall_shift_ms;

struct loop {
	pthread_mutex_t lock;
	struct loop_call *first;
	struct loop_call **end;
	int wake[2];
	struct list hooks;
	struct list timers;
	int64_t monotonic_ms;
	int64_t wall_ms;
};

static void
loop_note_time(struct loop *loop)
{
	loop->monotonic_ms = clock_monotonic_ms();
	loop->wall_ms = clock_wall_ms() + fake_loop_wall_shift_ms;
}

struct loop *
loop_new(struct fault *fault)
{
	struct loop *loop = memory_new(sizeof(*loop));

	if (pipe(loop->wake) == -1) {
		(void)fault_set(fault, "pipe");
		free(loop);
		return NULL;
	}
	(void)fcntl(loop->wake[0], F_SETFL, O_NONBLOCK);
	(void)fcntl(loop->wake[1], F_SETFL, O_NONBLOCK);
	(void)pthread_mutex_init(&loop->lock, NULL);
	loop->end = &loop->first;
	list_init(&loop->hooks);
	list_init(&loop->timers);
	loop_note_time(loop);
	return loop;
}

void
loop_free(struct loop **loop)
{
	assert((*loop)->first == NULL); /* it could never arrive */
	(void)close((*loop)->wake[0]);
	(void)close((*loop)->wake[1]);
	(void)pthread_mutex_destroy(&(*loop)->lock);
	free(*loop);
	*loop = NULL;
}

int64_t
loop_now_ms(const struct loop *loop)
{
	return loop->monotonic_ms;
}

int64_t
loop_wall_ms(const struct loop *loop)
{
	return loop->wall_ms;
}

void
loop_post(struct loop *loop, struct loop_call *call)
{
	call->next = NULL;
	(void)pthread_mutex_lock(&loop->lock);
	bool must_wake = loop->first == NULL;

	*loop->end = call;
	loop->end = &call->next;
	(void)pthread_mutex_unlock(&loop->lock);
	if (must_wake)
		assert(write(loop->wake[1], "", 1) == 1);
}

bool
loop_call_cancel(struct loop *loop, struct loop_call *call)
{
	(void)pthread_mutex_lock(&loop->lock);
	struct loop_call **at = &loop->first;

	while (*at != NULL && *at != call)
		at = &(*at)->next;
	bool is_found = *at != NULL;

	if (is_found)
		*at = call->next;
	for (loop->end = at; *loop->end != NULL;)
		loop->end = &(*loop->end)->next;
	(void)pthread_mutex_unlock(&loop->lock);
	return is_found;
}

static void
calls_run(struct loop *loop)
{
	char bytes[64];

	while (read(loop->wake[0], bytes, sizeof(bytes)) > 0)
		;
	(void)pthread_mutex_lock(&loop->lock);
	struct loop_call *call = loop->first;

	loop->first = NULL;
	loop->end = &loop->first;
	(void)pthread_mutex_unlock(&loop->lock);
	while (call != NULL) {
		struct loop_call *next = call->next;

		call->run(call);
		call = next;
	}
}

static void
timers_run(struct loop *loop)
{
	struct list *next;

	for (struct list *l = loop->timers.next; l != &loop->timers; l = next) {
		struct loop_timer *timer = LIST_OWNER(l, struct loop_timer, link);

		next = l->next;
		if (timer->due_ms > loop->monotonic_ms)
			continue;
		loop_timer_cancel(loop, timer);
		timer->expired(timer);
	}
}

void
loop_turn(struct loop *loop, int wait_ms)
{
	struct pollfd wake = { .fd = loop->wake[0], .events = POLLIN };
	struct list *next;

	if (!list_is_empty(&loop->timers) && (wait_ms < 0 || wait_ms > 8))
		wait_ms = 8;
	(void)poll(&wake, 1, wait_ms);
	loop_note_time(loop);
	calls_run(loop);
	timers_run(loop);
	for (struct list *l = loop->hooks.next; l != &loop->hooks; l = next) {
		struct loop_hook *hook = LIST_OWNER(l, struct loop_hook, link);

		next = l->next;
		hook->run(hook);
	}
}

void
loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t delay_ms)
{
	loop_timer_cancel(loop, timer);
	timer->due_ms = loop->monotonic_ms + delay_ms;
	timer->is_set = true;
	list_append(&loop->timers, &timer->link);
}

void
loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	if (timer->is_set)
		list_remove(&timer->link);
	timer->is_set = false;
}

void
loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
	list_append(&loop->hooks, &hook->link);
}

void
loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
	(void)loop;
	list_remove(&hook->link);
}
