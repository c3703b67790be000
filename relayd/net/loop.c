/* SPDX-License-Identifier: ISC */
/* The event loop; see loop.h. */
#include "net/loop_private.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/linger.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void
loop_note_time(struct loop *loop)
{
	loop->monotonic_ms = clock_monotonic_ms();
	loop->wall_ms = clock_wall_ms();
}

/* Make the two descriptors. On failure those that were made stay in the loop. */
static bool
loop_open(struct loop *loop, struct fault *fault)
{
	struct epoll_event wake = { .events = EPOLLIN | EPOLLET };

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd == -1)
		return fault_set(fault, "epoll_create1");
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd == -1)
		return fault_set(fault, "eventfd");
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &wake) == -1)
		return fault_set(fault, "epoll_ctl eventfd");
	return true;
}

struct loop *
loop_new(struct fault *fault)
{
	struct loop *loop = memory_new(sizeof(*loop));

	loop->epoll_fd = -1;
	loop->wake_fd = -1;
	atomic_init(&loop->posted, NULL);
	list_init(&loop->work);
	list_init(&loop->hooks);
	list_init(&loop->dirty);
	list_init(&loop->ready);
	list_init(&loop->lingering);
	loop_note_time(loop);
	wheel_init(&loop->wheel, loop->monotonic_ms);
	if (!loop_open(loop, fault))
		loop_free(&loop);
	return loop;
}

void
loop_free(struct loop **loop)
{
	struct loop *l = *loop;

	if (l == NULL)
		return;
	linger_end_all(l);
	output_pool_reset(&l->pool);
	if (l->wake_fd != -1)
		(void)close(l->wake_fd);
	if (l->epoll_fd != -1)
		(void)close(l->epoll_fd);
	free(l);
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

/* --- descriptors ------------------------------------------------------------------- */

/*
 * A watch that wants nothing is not with the kernel at all: epoll would go on reporting a
 * hang-up to an owner who cannot deal with it now.
 */
static bool
watch_tell_kernel(struct loop *loop, struct loop_watch *watch, int operation)
{
	struct epoll_event event = { .data.ptr = watch };

	if ((watch->wanted & LOOP_READ) != 0)
		event.events |= EPOLLIN;
	if ((watch->wanted & LOOP_WRITE) != 0)
		event.events |= EPOLLOUT;
	return epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) == 0;
}

bool
loop_watch_add(struct loop *loop, struct loop_watch *watch, struct fault *fault)
{
	assert(!watch->is_watched && watch->fd >= 0);
	if (watch->wanted != 0 && !watch_tell_kernel(loop, watch, EPOLL_CTL_ADD))
		return fault_set(fault, "epoll_ctl add");
	watch->is_watched = true;
	return true;
}

void
loop_watch_set(struct loop *loop, struct loop_watch *watch, unsigned wanted)
{
	unsigned before = watch->wanted;

	wanted &= LOOP_READ | LOOP_WRITE;
	if (before == wanted)
		return;
	watch->wanted = wanted;
	if (!watch->is_watched)
		return;
	if (before == 0)
		(void)watch_tell_kernel(loop, watch, EPOLL_CTL_ADD);
	else
		(void)watch_tell_kernel(loop, watch,
					wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD);
}

void
loop_watch_remove(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->is_watched)
		return;
	if (watch->wanted != 0)
		(void)watch_tell_kernel(loop, watch, EPOLL_CTL_DEL);
	watch->is_watched = false;
	for (int i = loop->batch_at + 1; i < loop->batch_count; i++) {
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
	}
}

static void
loop_run_events(struct loop *loop)
{
	for (loop->batch_at = 0; loop->batch_at < loop->batch_count; loop->batch_at++) {
		const struct epoll_event *event = &loop->batch[loop->batch_at];
		struct loop_watch *watch = event->data.ptr;
		unsigned events = 0;

		if (watch == NULL) /* taken back, or the wake-up */
			continue;
		if ((event->events & EPOLLIN) != 0)
			events |= LOOP_READ;
		if ((event->events & EPOLLOUT) != 0)
			events |= LOOP_WRITE;
		events &= watch->wanted; /* which may have changed since */
		if ((event->events & (EPOLLERR | EPOLLHUP)) != 0 && watch->wanted != 0)
			events |= LOOP_HANGUP;
		if (events != 0)
			watch->ready(watch, events);
	}
	loop->batch_count = 0;
}

/* --- timers ------------------------------------------------------------------------ */

void
loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t delay_ms)
{
	/* not the noted time: a turn, or what went before the first one, may have taken long */
	wheel_set(&loop->wheel, timer, clock_monotonic_ms(), delay_ms);
}

void
loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	wheel_cancel(timer);
}

static void
loop_run_timers(struct loop *loop)
{
	struct loop_timer *timer;

	while ((timer = wheel_take(&loop->wheel, loop->monotonic_ms)) != NULL)
		timer->expired(timer);
}

/* --- posted calls ------------------------------------------------------------------ */

void
loop_post(struct loop *loop, struct loop_call *call)
{
	struct loop_call *head = atomic_load_explicit(&loop->posted, memory_order_relaxed);
	static const uint64_t one = 1;

	assert(!call->is_posted);
	call->is_posted = true;
	do {
		call->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&loop->posted, &head, call,
							memory_order_release,
							memory_order_relaxed));
	if (head != NULL)
		return; /* whoever put the first one woke the loop */
	ssize_t written = write(loop->wake_fd, &one, sizeof(one));

	assert(written == (ssize_t)sizeof(one));
	(void)written;
}

/* Move what was posted so far behind what was taken before, oldest first. */
static void
loop_take_posted(struct loop *loop)
{
	struct loop_call *newest, *oldest = NULL, **end = &loop->taken;

	if (atomic_load_explicit(&loop->posted, memory_order_relaxed) == NULL)
		return;
	newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
	while (newest != NULL) {
		struct loop_call *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (*end != NULL)
		end = &(*end)->next;
	*end = oldest;
}

/* Calls that these calls post run in the next turn. */
static void
loop_run_posted(struct loop *loop)
{
	loop_take_posted(loop);
	loop->running = loop->taken;
	loop->taken = NULL;
	while (loop->running != NULL) {
		struct loop_call *call = loop->running;

		loop->running = call->next;
		call->is_posted = false;
		call->run(call);
	}
}

static bool
calls_remove(struct loop_call **calls, struct loop_call *call)
{
	while (*calls != NULL && *calls != call)
		calls = &(*calls)->next;
	if (*calls == NULL)
		return false;
	*calls = call->next;
	call->is_posted = false;
	return true;
}

bool
loop_call_cancel(struct loop *loop, struct loop_call *call)
{
	loop_take_posted(loop);
	return calls_remove(&loop->running, call) || calls_remove(&loop->taken, call);
}

/* --- work -------------------------------------------------------------------------- */

void
loop_work_add(struct loop *loop, struct loop_work *work, bool is_urgent)
{
	if (work->is_queued)
		return;
	work->is_queued = true;
	if (is_urgent)
		list_prepend(&loop->work, &work->link);
	else
		list_append(&loop->work, &work->link);
}

void
loop_work_cancel(struct loop_work *work)
{
	if (!work->is_queued)
		return;
	work->is_queued = false;
	list_remove(&work->link);
}

static void
loop_run_work(struct loop *loop)
{
	if (list_is_empty(&loop->work))
		return;
	int64_t until_ns = clock_monotonic_ns() + LOOP_WORK_MS * INT64_C(1000000);
	struct list *link;

	while ((link = list_take_first(&loop->work)) != NULL) {
		struct loop_work *work = LIST_OWNER(link, struct loop_work, link);

		work->is_queued = false;
		work->run(work);
		if (clock_monotonic_ns() >= until_ns)
			break;
	}
}

/* --- hooks ------------------------------------------------------------------------- */

void
loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
	list_append(&loop->hooks, &hook->link);
}

void
loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
	if (loop->hook_next == &hook->link)
		loop->hook_next = hook->link.next;
	list_remove(&hook->link);
}

static void
loop_run_hooks(struct loop *loop)
{
	struct list *link = loop->hooks.next;

	while (link != &loop->hooks) {
		struct loop_hook *hook = LIST_OWNER(link, struct loop_hook, link);

		loop->hook_next = link->next;
		hook->run(hook);
		link = loop->hook_next;
	}
	loop->hook_next = NULL;
}

/* --- turns ------------------------------------------------------------------------- */

/* How long epoll may wait: less than asked when a timer or work left over demands it. */
static int
loop_wait_ms(struct loop *loop, int asked_ms)
{
	int64_t next_ms, left_ms;

	if (!list_is_empty(&loop->dirty) || !list_is_empty(&loop->ready) ||
	    !list_is_empty(&loop->work) || loop->taken != NULL ||
	    atomic_load_explicit(&loop->posted, memory_order_relaxed) != NULL)
		return 0;
	next_ms = asked_ms == 0 ? WHEEL_NEVER : wheel_next_ms(&loop->wheel);
	if (next_ms == WHEEL_NEVER)
		return asked_ms;
	left_ms = next_ms - clock_monotonic_ms();
	if (left_ms < 0)
		left_ms = 0;
	if (left_ms > INT_MAX)
		left_ms = INT_MAX;
	return asked_ms >= 0 && asked_ms < left_ms ? asked_ms : (int)left_ms;
}

void
loop_turn(struct loop *loop, int wait_ms)
{
	int count = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH_MAX,
			       loop_wait_ms(loop, wait_ms));

	assert(count != -1 || errno == EINTR);
	loop_note_time(loop);
	loop->batch_at = -1;
	loop->batch_count = count == -1 ? 0 : count;
	stream_serve_ready(loop); /* first: those of this turn wait for the next one */
	loop_run_posted(loop);
	loop_run_events(loop);
	loop_run_timers(loop);
	loop_run_work(loop);
	loop_run_hooks(loop);
	stream_flush_dirty(loop);
}

void
loop_run(struct loop *loop)
{
	while (!loop->is_stopping)
		loop_turn(loop, -1);
	loop->is_stopping = false;
}

void
loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}
