/* SPDX-License-Identifier: ISC */
/*
 * Connections of proxies, until their PROXY header is complete. Nothing behind the header is
 * taken off the socket, so that whatever comes next (our greeting, a TLS handshake) begins as
 * if the client itself had just connected. What is no header, or none in time, is closed
 * without a word, as the protocol demands, and recorded.
 */
#include "session/session_private.h"

#include "base/memory.h"
#include "net/proxy_header.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_TIME_MS 5000

struct arrival {
	struct list link;
	struct session_server *server;
	struct loop_watch watch;
	struct loop_timer timer;
	struct ip_endpoint peer;
	struct ip_endpoint local;
	size_t len;
	char octets[PROXY_V2_MAX]; /* of the header, so far */
};

/* The socket is closed or somebody else's. */
static void
arrival_forget(struct arrival *arrival)
{
	loop_timer_cancel(arrival->server->environment.loop, &arrival->timer);
	list_remove(&arrival->link);
	arrival->server->arrival_count--;
	free(arrival);
}

static void
arrival_close(struct arrival *arrival)
{
	int fd = arrival->watch.fd;

	loop_watch_remove(arrival->server->environment.loop, &arrival->watch);
	(void)close(fd);
	arrival_forget(arrival);
}

static void
arrival_refuse(struct arrival *arrival, const char *detail)
{
	const struct session_environment *environment = &arrival->server->environment;
	static const struct span nothing;
	char id[ID_SESSION_LEN + 1];
	const struct audit_session who = {
		.id = id,
		.client = arrival->peer,
		.local = arrival->local,
	};

	id_session(atomic_fetch_add_explicit(environment->session_serial, 1,
					     memory_order_relaxed),
		   id);
	audit_connect(environment->audit, &who, loop_wall_ms(environment->loop),
		      REASON_CONNECTION_PROXY_HEADER, nothing, span_of(detail));
	arrival_close(arrival);
}

static void
arrival_expired(struct loop_timer *timer)
{
	arrival_refuse(LIST_OWNER(timer, struct arrival, timer),
		       "no whole PROXY header came in 5 seconds");
}

/* The client is whom the header tells; without an address in it the proxy itself. */
static void
arrival_serve(struct arrival *arrival, const struct proxy_header *header)
{
	struct session_server *server = arrival->server;
	const struct introduction introduction = {
		.bound = arrival->local,
		.has_proxy = true,
		.proxy = arrival->peer,
	};
	struct ip_endpoint peer = arrival->peer, local = arrival->local;
	int fd = arrival->watch.fd;

	loop_watch_remove(server->environment.loop, &arrival->watch);
	arrival_forget(arrival);
	if (header->has_endpoints)
		session_open(server, fd, &header->source, &header->destination, &introduction);
	else
		session_open(server, fd, &peer, &local, NULL);
}

/*
 * Take what belongs to the header off the socket: all that is there while the header is not
 * complete, and then no more than its end.
 */
static void
arrival_ready(struct loop_watch *watch, unsigned events)
{
	struct arrival *arrival = LIST_OWNER(watch, struct arrival, watch);
	char *room = arrival->octets + arrival->len;
	size_t room_octets = sizeof(arrival->octets) - arrival->len;
	struct proxy_header header;

	(void)events;
	assert(room_octets > 0); /* a header that long is complete, or bad */
	ssize_t n = recv(watch->fd, room, room_octets, MSG_PEEK | MSG_DONTWAIT);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (arrival->len == 0) /* nothing was wanted: a look whether we are there */
			arrival_close(arrival);
		else
			arrival_refuse(arrival, "closed in the middle of the PROXY header");
		return;
	}
	struct span in = { .ptr = arrival->octets, .len = arrival->len + (size_t)n };
	enum proxy_status status = proxy_header_take(&in, &header);

	if (status == PROXY_BAD) {
		arrival_refuse(arrival, "what came is no PROXY header, which this host must send");
		return;
	}
	size_t ours = (size_t)n - (status == PROXY_OK ? in.len : 0);

	if (recv(watch->fd, room, ours, MSG_DONTWAIT) != (ssize_t)ours) {
		arrival_refuse(arrival, "the PROXY header could not be read");
		return;
	}
	arrival->len += ours;
	if (status == PROXY_OK)
		arrival_serve(arrival, &header);
}

void
arrival_begin(struct session_server *server, int fd, const struct ip_endpoint *peer,
	      const struct ip_endpoint *local)
{
	struct loop *loop = server->environment.loop;
	struct arrival *arrival = memory_new(sizeof(*arrival));
	struct fault fault;

	arrival->server = server;
	arrival->peer = *peer;
	arrival->local = *local;
	arrival->timer.expired = arrival_expired;
	arrival->watch.ready = arrival_ready;
	arrival->watch.fd = fd;
	arrival->watch.wanted = LOOP_READ;
	if (!loop_watch_add(loop, &arrival->watch, &fault)) {
		log_error(server->environment.log, "cannot serve a proxy: %s",
			  fault_text(&fault));
		(void)close(fd);
		free(arrival);
		return;
	}
	list_append(&server->arrivals, &arrival->link);
	server->arrival_count++;
	loop_timer_set(loop, &arrival->timer, HEADER_TIME_MS);
}

void
arrivals_end(struct session_server *server)
{
	struct list *link, *next;

	for (link = server->arrivals.next; link != &server->arrivals; link = next) {
		next = link->next;
		arrival_close(LIST_OWNER(link, struct arrival, link));
	}
}
