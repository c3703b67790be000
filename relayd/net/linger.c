/* SPDX-License-Identifier: ISC */
/* Closing a connection whose peer still talks; see linger.h. */
#include "net/linger.h"

#include "base/memory.h"
#include "net/loop_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct linger_socket {
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer timer;
	struct list link; /* in loop->lingering */
	size_t octets;
};

static void
linger_end(struct linger_socket *s)
{
	loop_watch_remove(s->loop, &s->watch);
	loop_timer_cancel(s->loop, &s->timer);
	list_remove(&s->link);
	s->loop->lingering_count--;
	(void)close(s->watch.fd);
	free(s);
}

static void
linger_expired(struct loop_timer *timer)
{
	linger_end(LIST_OWNER(timer, struct linger_socket, timer));
}

static void
linger_ready(struct loop_watch *watch, unsigned events)
{
	struct linger_socket *s = LIST_OWNER(watch, struct linger_socket, watch);
	ssize_t got = recv(watch->fd, s->loop->scratch, sizeof(s->loop->scratch), 0);

	(void)events;
	if (got == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got > 0)
		s->octets += (size_t)got;
	if (got <= 0 || s->octets > LINGER_OCTETS)
		linger_end(s);
}

void
linger_begin(struct loop *loop, int fd)
{
	struct fault fault;

	if (loop->lingering_count >= LINGER_COUNT || shutdown(fd, SHUT_WR) == -1) {
		(void)close(fd);
		return;
	}
	struct linger_socket *s = memory_new(sizeof(*s));

	s->loop = loop;
	s->watch = (struct loop_watch){ .ready = linger_ready, .fd = fd, .wanted = LOOP_READ };
	s->timer.expired = linger_expired;
	list_append(&loop->lingering, &s->link);
	loop->lingering_count++;
	loop_timer_set(loop, &s->timer, LINGER_MS);
	if (!loop_watch_add(loop, &s->watch, &fault))
		linger_end(s);
}

void
linger_end_all(struct loop *loop)
{
	while (!list_is_empty(&loop->lingering))
		linger_end(LIST_OWNER(loop->lingering.next, struct linger_socket, link));
}
