/* SPDX-License-Identifier: ISC */
/*
 * A fast SMTP sink: one thread; takes every message, keeps none. With -m N it prints a line of
 * JSON and ends when N messages came. With -w MS each reply leaves so much later, as over a
 * distance.
 *
 *   sink [-m MESSAGES] [-w MS] HOST:PORT
 */
#define _GNU_SOURCE /* accept4 */
#include "base/clock.h"
#include "base/ip.h"
#include "base/memory.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_MAX  (256U << 10)
#define OUTPUT_MAX 4096
#define EVENTS_MAX 256

struct peer {
	int fd;
	bool in_data;
	bool quits;
	char tail[5]; /* the last octets of the data so far */
	char line[2048];
	size_t line_len;
	char output[OUTPUT_MAX];
	size_t output_len;
	unsigned late; /* replies on their way; it is not freed before */
	bool is_gone;
};

/* Replies that are on their way. */
struct late {
	struct late *next;
	struct peer *peer;
	int64_t due_ns;
	bool ends;
	size_t len;
	char bytes[];
};

struct sink {
	int64_t delay_ns;
	struct late *first_late, *last_late; /* in order of time */
	int epoll;
	int listener;
	uint64_t wanted;
	uint64_t taken;
	uint64_t octets;
	int64_t first_ns;
	char input[INPUT_MAX];
};

static void
die(const char *what)
{
	perror(what);
	exit(3);
}

static void
say(struct peer *peer, const char *text)
{
	size_t len = strlen(text);

	if (peer->output_len + len > sizeof(peer->output))
		return; /* more pipelined commands than any relay of ours sends */
	memcpy(peer->output + peer->output_len, text, len);
	peer->output_len += len;
}

static void
message_taken(struct sink *sink, struct peer *peer)
{
	peer->in_data = false;
	say(peer, "250 2.0.0 taken\r\n");
	sink->taken++;
}

static void
command_take(struct peer *peer)
{
	struct span line = { peer->line, peer->line_len };

	if (span_starts_fold(line, span_of("EHLO")))
		say(peer, "250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n");
	else if (span_starts_fold(line, span_of("DATA"))) {
		say(peer, "354 go on\r\n");
		peer->in_data = true;
		memcpy(peer->tail, "\0\0\0\r\n", sizeof(peer->tail));
	} else if (span_starts_fold(line, span_of("QUIT"))) {
		say(peer, "221 2.0.0 bye\r\n");
		peer->quits = true;
	} else {
		say(peer, "250 2.0.0 ok\r\n");
	}
}

/* Take data up to CRLF.CRLF; how many octets were taken. */
static size_t
data_take(struct sink *sink, struct peer *peer, struct span in)
{
	static const char end[] = "\r\n.\r\n";
	char seam[8];
	size_t head = in.len < 4 ? in.len : 4;

	/* an end that lies across the seam of two reads */
	memcpy(seam, peer->tail + 1, 4);
	memcpy(seam + 4, in.ptr, head);
	const char *hit = memmem(seam, 4 + head, end, 5);
	size_t used = in.len;
	bool is_end = false;

	if (hit != NULL) {
		used = (size_t)(hit - seam) + 1;
		is_end = true;
	} else if ((hit = memmem(in.ptr, in.len, end, 5)) != NULL) {
		used = (size_t)(hit - in.ptr) + 5;
		is_end = true;
	}
	sink->octets += used;
	if (is_end) {
		message_taken(sink, peer);
		return used;
	}
	char both[10];
	size_t kept = in.len < 5 ? in.len : 5;

	memcpy(both, peer->tail, 5);
	memcpy(both + 5, in.ptr + in.len - kept, kept);
	memcpy(peer->tail, both + kept, 5);
	return used;
}

static void
input_take(struct sink *sink, struct peer *peer, struct span in)
{
	while (in.len > 0) {
		if (peer->in_data) {
			in = span_skip(in, data_take(sink, peer, in));
			continue;
		}
		size_t end = span_find(in, '\n');
		size_t part = end < in.len ? end + 1 : in.len;

		if (peer->line_len + part > sizeof(peer->line))
			die("a command is too long");
		memcpy(peer->line + peer->line_len, in.ptr, part);
		peer->line_len += part;
		in = span_skip(in, part);
		if (end < part) {
			command_take(peer);
			peer->line_len = 0;
		}
	}
}

static void
peer_close(struct peer *peer)
{
	if (!peer->is_gone)
		(void)close(peer->fd);
	peer->is_gone = true;
	if (peer->late == 0)
		free(peer);
}

static void
reply_delay(struct sink *sink, struct peer *peer)
{
	struct late *late = memory_new(sizeof(*late) + peer->output_len);

	late->peer = peer;
	late->due_ns = clock_monotonic_ns() + sink->delay_ns;
	late->ends = peer->quits;
	late->len = peer->output_len;
	memcpy(late->bytes, peer->output, late->len);
	peer->output_len = 0;
	peer->late++;
	if (sink->first_late == NULL)
		sink->first_late = late;
	else
		sink->last_late->next = late;
	sink->last_late = late;
}

/* Send what is due; in how many milliseconds the next is; -1: there is none. */
static int
late_send(struct sink *sink)
{
	struct late *late;

	while ((late = sink->first_late) != NULL) {
		int64_t left_ns = late->due_ns - clock_monotonic_ns();
		struct peer *peer = late->peer;

		if (left_ns > 0)
			return (int)(left_ns / 1000000) + 1;
		sink->first_late = late->next;
		peer->late--;
		if (!peer->is_gone && send(peer->fd, late->bytes, late->len, MSG_NOSIGNAL) != -1 &&
		    !late->ends)
			peer = NULL;
		if (peer != NULL)
			peer_close(peer);
		free(late);
	}
	return -1;
}

static void
peer_ready(struct sink *sink, struct peer *peer)
{
	ssize_t got = recv(peer->fd, sink->input, sizeof(sink->input), 0);

	if (got == -1 && errno == EAGAIN)
		return;
	if (got <= 0) {
		peer_close(peer);
		return;
	}
	if (sink->first_ns == 0)
		sink->first_ns = clock_monotonic_ns();
	input_take(sink, peer, (struct span){ sink->input, (size_t)got });
	if (peer->output_len > 0 && sink->delay_ns > 0) {
		reply_delay(sink, peer);
		return;
	}
	if (peer->output_len > 0 &&
	    send(peer->fd, peer->output, peer->output_len, MSG_NOSIGNAL) == -1) {
		peer_close(peer);
		return;
	}
	peer->output_len = 0;
	if (peer->quits)
		peer_close(peer);
}

static void
peers_accept(struct sink *sink)
{
	int fd;

	while ((fd = accept4(sink->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		struct peer *peer = memory_new(sizeof(*peer));
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = peer };
		int on = 1;

		peer->fd = fd;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (epoll_ctl(sink->epoll, EPOLL_CTL_ADD, fd, &event) == -1)
			die("epoll_ctl");
		if (send(fd, "220 sink.example ESMTP\r\n", 24, MSG_NOSIGNAL) == -1)
			peer_close(peer);
	}
}

static void
sink_listen(struct sink *sink, const struct ip_endpoint *at)
{
	struct sockaddr_storage address;
	socklen_t length = ip_to_sockaddr(at, &address);
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	int on = 1;

	sink->listener =
	    socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (sink->listener == -1 ||
	    setsockopt(sink->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(sink->listener, (struct sockaddr *)&address, length) == -1 ||
	    listen(sink->listener, 4096) == -1)
		die("listen");
	sink->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_ctl(sink->epoll, EPOLL_CTL_ADD, sink->listener, &event) == -1)
		die("epoll_ctl");
}

static void
sink_run(struct sink *sink)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int next_ms = late_send(sink);

		if (sink->wanted > 0 && sink->taken >= sink->wanted && next_ms == -1)
			break;

		int ready = epoll_wait(sink->epoll, events, EVENTS_MAX, next_ms);

		for (int i = 0; i < ready; i++) {
			if (events[i].data.ptr == NULL)
				peers_accept(sink);
			else
				peer_ready(sink, events[i].data.ptr);
		}
	}
	(void)printf("{\"taken\":%" PRIu64 ",\"octets\":%" PRIu64 ",\"seconds\":%.6f}\n",
		     sink->taken, sink->octets,
		     (double)(clock_monotonic_ns() - sink->first_ns) / 1e9);
}

static void
usage(void)
{
	(void)fputs("usage: sink [-m MESSAGES] [-w MS] HOST:PORT\n", stderr);
	exit(2);
}

int
main(int argc, char **argv)
{
	struct sink *sink = memory_new(sizeof(*sink));
	struct ip_endpoint at;
	int letter;

	uint64_t number;

	while ((letter = getopt(argc, argv, "m:w:")) != -1) {
		if ((letter != 'm' && letter != 'w') ||
		    number_parse(span_of(optarg), UINT32_MAX, &number) != PARSE_OK)
			usage();
		if (letter == 'm')
			sink->wanted = number;
		else
			sink->delay_ns = (int64_t)number * 1000000;
	}
	if (optind + 1 != argc || ip_endpoint_parse(span_of(argv[optind]), &at) != PARSE_OK)
		usage();
	sink_listen(sink, &at);
	sink_run(sink);
	free(sink);
	return 0;
}
