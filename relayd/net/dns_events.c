/* SPDX-License-Identifier: ISC */
/*
 * libunbound's event base on our loop; see dns_events.h. It behaves as libunbound's own one
 * does: a time-out fires once, and does not begin anew when the descriptor becomes ready.
 */
#include "net/dns_events.h"

#include "base/memory.h"

#include <stdlib.h>
#include <sys/time.h>

typedef void event_callback(int fd, short bits, void *argument);

struct dns_event {
	struct ub_event event; /* first, as above */
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer timer;
	short bits;
	event_callback *callback;
	void *argument;
};

static struct dns_event *
event_of(struct ub_event *event)
{
	return (struct dns_event *)(void *)event;
}

static void
event_disarm(struct dns_event *e)
{
	loop_watch_remove(e->loop, &e->watch);
	loop_timer_cancel(e->loop, &e->timer);
}

/* The callback may free the event. */
static void
event_ready(struct loop_watch *watch, unsigned events)
{
	struct dns_event *e = LIST_OWNER(watch, struct dns_event, watch);
	int bits = 0;

	/* an error is found by trying what was wanted */
	if ((events & (LOOP_READ | LOOP_HANGUP)) != 0)
		bits |= e->bits & UB_EV_READ;
	if ((events & (LOOP_WRITE | LOOP_HANGUP)) != 0)
		bits |= e->bits & UB_EV_WRITE;
	if ((e->bits & UB_EV_PERSIST) == 0)
		event_disarm(e);
	e->callback(watch->fd, (short)bits, e->argument);
}

static void
event_expired(struct loop_timer *timer)
{
	struct dns_event *e = LIST_OWNER(timer, struct dns_event, timer);

	if ((e->bits & UB_EV_PERSIST) == 0)
		event_disarm(e);
	e->callback(e->watch.fd, UB_EV_TIMEOUT, e->argument);
}

static void
event_add_bits(struct ub_event *event, short bits)
{
	event_of(event)->bits = (short)(event_of(event)->bits | bits);
}

static void
event_del_bits(struct ub_event *event, short bits)
{
	event_of(event)->bits = (short)(event_of(event)->bits & ~bits);
}

static void
event_set_fd(struct ub_event *event, int fd)
{
	event_of(event)->watch.fd = fd;
}

static int
event_add(struct ub_event *event, struct timeval *timeout)
{
	struct dns_event *e = event_of(event);
	struct fault fault;
	unsigned wanted = 0;

	if ((e->bits & UB_EV_READ) != 0)
		wanted |= LOOP_READ;
	if ((e->bits & UB_EV_WRITE) != 0)
		wanted |= LOOP_WRITE;
	event_disarm(e);
	e->watch.wanted = wanted;
	if (e->watch.fd != -1 && wanted != 0 && !loop_watch_add(e->loop, &e->watch, &fault))
		return -1;
	if ((e->bits & UB_EV_TIMEOUT) != 0 && timeout != NULL) {
		int64_t us = (int64_t)timeout->tv_sec * 1000000 + timeout->tv_usec;

		loop_timer_set(e->loop, &e->timer, (us + 999) / 1000);
	}
	return 0;
}

static int
event_del(struct ub_event *event)
{
	event_disarm(event_of(event));
	return 0;
}

static void
event_free(struct ub_event *event)
{
	event_disarm(event_of(event));
	free(event_of(event));
}

static int
event_add_timer(struct ub_event *event, struct ub_event_base *base, event_callback *callback,
		void *argument, struct timeval *timeout)
{
	struct dns_event *e = event_of(event);

	(void)base;
	event_disarm(e);
	e->watch.fd = -1;
	e->bits = UB_EV_TIMEOUT;
	e->callback = callback;
	e->argument = argument;
	return event_add(event, timeout);
}

/* Signals are none of a library's business; it does not ask for them. */
static int
event_add_signal(struct ub_event *event, struct timeval *timeout)
{
	(void)event;
	(void)timeout;
	return -1;
}

static struct ub_event_vmt event_table = {
	.add_bits = event_add_bits,
	.del_bits = event_del_bits,
	.set_fd = event_set_fd,
	.free = event_free,
	.add = event_add,
	.del = event_del,
	.add_timer = event_add_timer,
	.del_timer = event_del,
	.add_signal = event_add_signal,
	.del_signal = event_del,
};

static struct ub_event *
base_new_event(struct ub_event_base *base, int fd, short bits, event_callback *callback,
	       void *argument)
{
	struct dns_events *events = (struct dns_events *)(void *)base;
	struct dns_event *e = memory_new(sizeof(*e));

	e->event = (struct ub_event){ .magic = UB_EVENT_MAGIC, .vmt = &event_table };
	e->loop = events->loop;
	e->watch = (struct loop_watch){ .ready = event_ready, .fd = fd };
	e->timer.expired = event_expired;
	e->bits = bits;
	e->callback = callback;
	e->argument = argument;
	return &e->event;
}

static struct ub_event *
base_new_signal(struct ub_event_base *base, int number, event_callback *callback,
		void *argument)
{
	(void)base;
	(void)number;
	(void)callback;
	(void)argument;
	return NULL;
}

/* Our loop is neither ended nor run by the library, nor is the base its to free. */
static int
base_exit(struct ub_event_base *base, struct timeval *after)
{
	(void)base;
	(void)after;
	return 0;
}

static int
base_dispatch(struct ub_event_base *base)
{
	(void)base;
	return -1;
}

static void
base_free(struct ub_event_base *base)
{
	(void)base;
}

static struct ub_event_base_vmt base_table = {
	.free = base_free,
	.dispatch = base_dispatch,
	.loopexit = base_exit,
	.new_event = base_new_event,
	.new_signal = base_new_signal,
};

void
dns_events_init(struct dns_events *events, struct loop *loop)
{
	events->base = (struct ub_event_base){ .magic = UB_EVENT_MAGIC, .vmt = &base_table };
	events->loop = loop;
}
