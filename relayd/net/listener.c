/* SPDX-License-Identifier: ISC */
/* Listening sockets; see listener.h. */
#define _GNU_SOURCE /* accept4 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define RETRY_MS	 100

static bool
option_on(int fd, int level, int name)
{
	static const int on = 1;

	return setsockopt(fd, level, name, &on, sizeof(on)) == 0;
}

static bool
socket_listen(int fd, const struct ip_endpoint *at, int backlog, unsigned flags,
	      struct fault *fault)
{
	struct sockaddr_storage address;
	socklen_t size = ip_to_sockaddr(at, &address);
	char text[IP_ENDPOINT_SIZE];

	ip_endpoint_text(at, text);
	if (!option_on(fd, SOL_SOCKET, SO_REUSEADDR) ||
	    !option_on(fd, IPPROTO_TCP, TCP_NODELAY))
		return fault_setf(fault, "set options of %s", text);
	if ((flags & LISTENER_REUSEPORT) != 0 && !option_on(fd, SOL_SOCKET, SO_REUSEPORT))
		return fault_setf(fault, "set SO_REUSEPORT of %s", text);
	if ((flags & LISTENER_V6ONLY) != 0 && !ip_is_v4(&at->ip) &&
	    !option_on(fd, IPPROTO_IPV6, IPV6_V6ONLY))
		return fault_setf(fault, "set IPV6_V6ONLY of %s", text);
	if (bind(fd, (const struct sockaddr *)&address, size) == -1)
		return fault_setf(fault, "bind to %s", text);
	if (listen(fd, backlog) == -1)
		return fault_setf(fault, "listen on %s", text);
	return true;
}

int
listener_open(const struct ip_endpoint *at, int backlog, unsigned flags, struct fault *fault)
{
	int fd = socket(ip_is_v4(&at->ip) ? AF_INET : AF_INET6,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1) {
		(void)fault_set(fault, "socket");
		return -1;
	}
	if (!socket_listen(fd, at, backlog, flags, fault)) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int
spare_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static struct ip_endpoint
local_of(int fd)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t size = sizeof(address);

	(void)getsockname(fd, (struct sockaddr *)&address, &size);
	return ip_of_sockaddr(&address);
}

static bool
is_wildcard(const struct ip *ip)
{
	static const struct ip any_v6;
	static const struct ip any_v4 = { { [10] = 0xff, [11] = 0xff } };

	return ip_compare(ip, &any_v6) == 0 || ip_compare(ip, &any_v4) == 0;
}

/* Stop listening for events for a while: epoll would report the same connection at once. */
static void
listener_rest(struct listener *listener)
{
	loop_watch_set(listener->loop, &listener->watch, 0);
	loop_timer_set(listener->loop, &listener->retry, RETRY_MS);
}

/*
 * Out of descriptors: accept with the spare one, say so, hang up. 0, or errno: EAGAIN when
 * there was nobody, as accept says it is out of descriptors before it looks.
 */
static int
listener_turn_away(struct listener *listener)
{
	int error = EMFILE, fd;

	if (listener->spare_fd != -1) {
		(void)close(listener->spare_fd);
		fd = accept4(listener->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		error = fd == -1 ? errno : 0;
		if (fd != -1) {
			(void)send(fd, listener->farewell.ptr, listener->farewell.len,
				   MSG_NOSIGNAL);
			(void)close(fd);
			listener->turned_away++;
		}
	}
	listener->spare_fd = spare_open();
	return error;
}

/* After accept failed: go on with the next connection now? */
static bool
listener_failed(struct listener *listener, int error)
{
	if (error == EMFILE || error == ENFILE)
		error = listener_turn_away(listener);
	switch (error) {
	case 0:
		return true;
	case EAGAIN:
		return false;
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM: /* the packet filter said no */
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOPROTOOPT:
	case ENONET:
	case EOPNOTSUPP:
		return true; /* that one connection's trouble, accept(2) */
	default: /* descriptors, memory, or something that nobody foresaw */
		listener_rest(listener);
		return false;
	}
}

static void
listener_ready(struct loop_watch *watch, unsigned events)
{
	struct listener *listener = LIST_OWNER(watch, struct listener, watch);

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
		socklen_t size = sizeof(address);
		int fd = accept4(watch->fd, (struct sockaddr *)&address, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd == -1) {
			if (!listener_failed(listener, errno))
				return;
			continue;
		}
		struct ip_endpoint peer = ip_of_sockaddr(&address);
		struct ip_endpoint local = listener->local;

		if (is_wildcard(&local.ip))
			local = local_of(fd);
		listener->accepted(listener, fd, &peer, &local);
		if (!listener->is_started || listener->is_paused)
			return;
	}
}

static void
listener_retry(struct loop_timer *timer)
{
	struct listener *listener = LIST_OWNER(timer, struct listener, retry);

	if (listener->spare_fd == -1)
		listener->spare_fd = spare_open();
	if (!listener->is_paused)
		loop_watch_set(listener->loop, &listener->watch, LOOP_READ);
}

bool
listener_start(struct listener *listener, struct loop *loop, int fd,
	       listener_accepted *accepted, struct span farewell, struct fault *fault)
{
	*listener = (struct listener){
		.loop = loop,
		.watch = { .ready = listener_ready, .fd = fd, .wanted = LOOP_READ },
		.retry = { .expired = listener_retry },
		.accepted = accepted,
		.farewell = farewell,
		.local = local_of(fd),
		.spare_fd = spare_open(),
	};
	if (listener->spare_fd == -1)
		return fault_set(fault, "open /dev/null");
	if (!loop_watch_add(loop, &listener->watch, fault)) {
		(void)close(listener->spare_fd);
		return false;
	}
	listener->is_started = true;
	return true;
}

void
listener_pause(struct listener *listener)
{
	listener->is_paused = true;
	if (listener->is_started)
		loop_watch_set(listener->loop, &listener->watch, 0);
}

void
listener_resume(struct listener *listener)
{
	listener->is_paused = false;
	if (listener->is_started && !loop_timer_is_set(&listener->retry))
		loop_watch_set(listener->loop, &listener->watch, LOOP_READ);
}

void
listener_stop(struct listener *listener)
{
	if (!listener->is_started)
		return;
	listener->is_started = false;
	loop_watch_remove(listener->loop, &listener->watch);
	loop_timer_cancel(listener->loop, &listener->retry);
	if (listener->spare_fd != -1)
		(void)close(listener->spare_fd);
	listener->spare_fd = -1;
}
