/* SPDX-License-Identifier: ISC */
/*
 * Listening sockets: opened by the supervisor, served by a worker's loop. When descriptors
 * run out a kept spare one is given up to tell the client so, and nothing spins.
 */
#ifndef RELAYD_NET_LISTENER_H
#define RELAYD_NET_LISTENER_H

#include "base/ip.h"
#include "net/loop.h"

enum listener_flags {
	LISTENER_REUSEPORT = 1, /* several sockets share the address, one for each worker */
	LISTENER_V6ONLY = 2,	/* "::" leaves IPv4 to another socket */
};

struct listener;

/* Takes over the connected, non-blocking socket. May stop or pause the listener. */
typedef void listener_accepted(struct listener *listener, int fd,
			       const struct ip_endpoint *peer,
			       const struct ip_endpoint *local);

/* Embedded by its owner, who zeroes it; the members are private but for the counter. */
struct listener {
	struct loop *loop;
	struct loop_watch watch;
	struct loop_timer retry; /* after trouble that giving up the spare did not cure */
	listener_accepted *accepted;
	struct span farewell;
	struct ip_endpoint local; /* :: or 0.0.0.0 when each connection has to be asked */
	int spare_fd;
	bool is_started;
	bool is_paused;
	uint64_t turned_away; /* connections that got the farewell; anyone may read it */
};

/*
 * A non-blocking listening socket on the address, whose accepted sockets have TCP_NODELAY;
 * port 0 lets the kernel choose. -1 and *fault on failure.
 */
int listener_open(const struct ip_endpoint *at, int backlog, unsigned flags,
		  struct fault *fault);

/*
 * Accept on fd, up to 64 connections a turn. farewell (kept by reference, may be empty) is
 * sent to whom no descriptor is left for: a whole "421 4.3.2 ..." line. False and *fault on
 * failure; fd stays the caller's in either case.
 */
bool listener_start(struct listener *listener, struct loop *loop, int fd,
		    listener_accepted *accepted, struct span farewell, struct fault *fault);

/* Leave new connections in the kernel's queue, and take them again. */
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);

/* Accept no more. Harmless when it is not started. */
void listener_stop(struct listener *listener);

#endif
