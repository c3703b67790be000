/* SPDX-License-Identifier: ISC */
/*
 * A fast SMTP generator: one thread, many sessions, the same conversation as smtp-source has
 * (each reply awaited), at a fraction of its cost, so that the relay is what is measured.
 *
 *   source [-s SESSIONS] [-m MESSAGES] [-l OCTETS] [-d] [-r] [-f FROM] [-t TO] HOST:PORT
 *
 * -d keeps the connection between messages; -r expects RCPT to be refused and goes on to QUIT;
 * -i N opens N sessions, says EHLO and holds them until standard input ends, while each line
 * read there makes it time one more session's EHLO. Prints one line of JSON.
 */
#define _GNU_SOURCE /* accept4, SOCK_NONBLOCK */
#include "base/buffer.h"
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

#define REPLY_MAX   4096
#define EVENTS_MAX  256
#define BODY_MARGIN 256

enum step {
	STEP_BANNER,
	STEP_EHLO,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_BODY,
	STEP_QUIT,
};

struct options {
	unsigned sessions;
	uint64_t messages;
	size_t octets;
	bool keeps_connection;
	bool expects_refusal;
	unsigned idle;
	const char *from;
	const char *to;
	struct ip_endpoint target;
};

struct session {
	int fd;
	enum step step;
	char reply[REPLY_MAX];
	size_t reply_len;
	const char *out;
	size_t out_len;
	int64_t sent_ns;
};

struct source {
	struct options options;
	int epoll;
	struct session *sessions;
	unsigned open;
	uint64_t started;  /* transactions */
	uint64_t accepted; /* or, with -r, refused as expected */
	uint64_t wrong;
	char first_wrong[256];
	struct buffer mail, rcpt, body;
	int64_t *latencies_ns; /* end of data to its reply */
};

static void
die(const char *what)
{
	perror(what);
	exit(3);
}

static int
connect_to(const struct ip_endpoint *target, int flags)
{
	struct sockaddr_storage address;
	socklen_t length = ip_to_sockaddr(target, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int on = 1;

	if (fd == -1)
		die("socket");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&address, length) == -1 && errno != EINPROGRESS)
		die("connect");
	return fd;
}

static void
events_want(struct source *source, struct session *session, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = session };

	if (epoll_ctl(source->epoll, EPOLL_CTL_MOD, session->fd, &event) == -1)
		die("epoll_ctl");
}

static void
session_open(struct source *source, struct session *session)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = session };

	session->fd = connect_to(&source->options.target, SOCK_NONBLOCK);
	session->step = STEP_BANNER;
	session->reply_len = 0;
	session->out_len = 0;
	source->open++;
	if (epoll_ctl(source->epoll, EPOLL_CTL_ADD, session->fd, &event) == -1)
		die("epoll_ctl");
}

static void
session_close(struct source *source, struct session *session)
{
	(void)close(session->fd);
	session->fd = -1;
	source->open--;
}

static void
session_flush(struct source *source, struct session *session)
{
	while (session->out_len > 0) {
		ssize_t sent = send(session->fd, session->out, session->out_len, MSG_NOSIGNAL);

		if (sent == -1 && errno == EAGAIN) {
			events_want(source, session, EPOLLIN | EPOLLOUT);
			return;
		}
		if (sent == -1)
			return; /* the read side tells */
		session->out += sent;
		session->out_len -= (size_t)sent;
		if (session->out_len == 0 && session->step == STEP_BODY)
			session->sent_ns = clock_monotonic_ns();
	}
}

static void
session_say(struct source *source, struct session *session, enum step step, struct span text)
{
	session->step = step;
	session->out = text.ptr;
	session->out_len = text.len;
	session_flush(source, session);
}

static void
session_wrong(struct source *source, struct session *session)
{
	if (source->wrong++ == 0)
		(void)snprintf(source->first_wrong, sizeof(source->first_wrong), "step %d: %.*s",
			       (int)session->step, (int)session->reply_len, session->reply);
}

static bool
transaction_begin(struct source *source, struct session *session)
{
	static const struct span quit = SPAN_LITERAL("QUIT\r\n");

	if (source->started >= source->options.messages ||
	    (session->step == STEP_BODY && !source->options.keeps_connection)) {
		session_say(source, session, STEP_QUIT, quit);
		return false;
	}
	source->started++;
	session_say(source, session, STEP_MAIL, buffer_span(&source->mail));
	return true;
}

/* A whole reply is there, its code's first digit given. */
static void
reply_take(struct source *source, struct session *session, char digit)
{
	static const struct span ehlo = SPAN_LITERAL("EHLO source.example\r\n");
	static const struct span data = SPAN_LITERAL("DATA\r\n");
	static const struct span quit = SPAN_LITERAL("QUIT\r\n");
	char wanted = session->step == STEP_DATA ? '3' : '2';

	if (session->step == STEP_RCPT && source->options.expects_refusal)
		wanted = '5';
	if (digit != wanted) {
		session_wrong(source, session);
		session_close(source, session);
		return;
	}
	switch (session->step) {
	case STEP_BANNER:
		session_say(source, session, STEP_EHLO, ehlo);
		break;
	case STEP_EHLO:
		transaction_begin(source, session);
		break;
	case STEP_MAIL:
		session_say(source, session, STEP_RCPT, buffer_span(&source->rcpt));
		break;
	case STEP_RCPT:
		if (source->options.expects_refusal) {
			source->accepted++;
			session_say(source, session, STEP_QUIT, quit);
		} else {
			session_say(source, session, STEP_DATA, data);
		}
		break;
	case STEP_DATA:
		session_say(source, session, STEP_BODY, buffer_span(&source->body));
		break;
	case STEP_BODY:
		source->latencies_ns[source->accepted++] = clock_monotonic_ns() - session->sent_ns;
		transaction_begin(source, session);
		break;
	case STEP_QUIT:
	default:
		session_close(source, session);
		break;
	}
}

/* The first digit of a whole (multi-line) reply, or 0 when more must come. */
static char
reply_digit(const struct session *session)
{
	size_t start = 0;

	for (size_t i = 1; i < session->reply_len; i++) {
		if (session->reply[i] != '\n' || session->reply[i - 1] != '\r')
			continue;
		if (i - start >= 5 && session->reply[start + 3] == ' ')
			return session->reply[start];
		start = i + 1;
	}
	return 0;
}

static void
session_readable(struct source *source, struct session *session)
{
	ssize_t got = recv(session->fd, session->reply + session->reply_len,
			   sizeof(session->reply) - session->reply_len, 0);

	if (got == -1 && errno == EAGAIN)
		return;
	if (got <= 0) {
		if (session->step != STEP_QUIT)
			session_wrong(source, session);
		session_close(source, session);
		return;
	}
	session->reply_len += (size_t)got;
	char digit = reply_digit(session);

	if (digit != 0) {
		reply_take(source, session, digit);
		session->reply_len = 0;
	}
}

static void
body_make(struct source *source)
{
	const size_t size = source->options.octets;

	buffer_init(&source->body, size + BODY_MARGIN);
	buffer_printf(&source->body, "From: <%s>\r\nTo: <%s>\r\nSubject: load\r\n\r\n",
		      source->options.from, source->options.to);
	while (source->body.len + 2 < size) {
		size_t line = size - source->body.len - 2;

		for (size_t i = 0; i < (line > 76 ? 76 : line); i++)
			buffer_append_byte(&source->body, 'X');
		buffer_append_text(&source->body, "\r\n");
	}
	buffer_append_text(&source->body, ".\r\n");
	buffer_init(&source->mail, 1024);
	buffer_init(&source->rcpt, 1024);
	buffer_printf(&source->mail, "MAIL FROM:<%s>\r\n", source->options.from);
	buffer_printf(&source->rcpt, "RCPT TO:<%s>\r\n", source->options.to);
}

static int
latency_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static double
latency_at(const struct source *source, double part)
{
	if (source->accepted == 0)
		return 0;
	size_t at = (size_t)((double)(source->accepted - 1) * part);

	return (double)source->latencies_ns[at] / 1e6;
}

static void
source_run(struct source *source)
{
	struct epoll_event events[EVENTS_MAX];
	unsigned count = source->options.sessions;
	int64_t began_ns = clock_monotonic_ns();

	source->sessions = memory_new_array(count, sizeof(*source->sessions));
	for (unsigned i = 0; i < count; i++)
		session_open(source, &source->sessions[i]);
	while (source->open > 0) {
		int ready = epoll_wait(source->epoll, events, EVENTS_MAX, 60000);

		if (ready == 0) {
			(void)fprintf(stderr, "source: nothing happens any more\n");
			exit(3);
		}
		for (int i = 0; i < ready; i++) {
			struct session *session = events[i].data.ptr;

			if ((events[i].events & EPOLLOUT) != 0) {
				events_want(source, session, EPOLLIN);
				session_flush(source, session);
			}
			if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
				session_readable(source, session);
			if (session->fd == -1 && source->wrong == 0 &&
			    source->started < source->options.messages)
				session_open(source, session);
		}
	}
	double seconds = (double)(clock_monotonic_ns() - began_ns) / 1e9;

	if (!source->options.expects_refusal)
		qsort(source->latencies_ns, source->accepted, sizeof(int64_t), latency_compare);
	(void)printf("{\"messages\":%" PRIu64 ",\"wrong\":%" PRIu64
		     ",\"seconds\":%.6f,\"per_second\":%.1f,\"p50_ms\":%.4f,\"p99_ms\":%.4f}\n",
		     source->accepted, source->wrong, seconds, (double)source->accepted / seconds,
		     latency_at(source, 0.5), latency_at(source, 0.99));
	if (source->wrong > 0)
		(void)fprintf(stderr, "source: %s\n", source->first_wrong);
}

/* ---- idle sessions ---- */

static void
blocking_reply(int fd)
{
	struct session session = { .fd = fd };

	while (reply_digit(&session) == 0) {
		ssize_t got = recv(fd, session.reply + session.reply_len,
				   sizeof(session.reply) - session.reply_len, 0);

		if (got <= 0)
			die("recv");
		session.reply_len += (size_t)got;
	}
}

/* Milliseconds from sending EHLO to its whole reply. */
static double
blocking_ehlo(int fd)
{
	static const char ehlo[] = "EHLO idle.example\r\n";

	blocking_reply(fd);
	int64_t began_ns = clock_monotonic_ns();

	if (send(fd, ehlo, sizeof(ehlo) - 1, MSG_NOSIGNAL) == -1)
		die("send");
	blocking_reply(fd);
	return (double)(clock_monotonic_ns() - began_ns) / 1e6;
}

static void
idle_run(const struct options *options)
{
	char line[16];

	for (unsigned i = 0; i < options->idle; i++)
		(void)blocking_ehlo(connect_to(&options->target, 0));
	(void)printf("{\"held\":%u}\n", options->idle);
	(void)fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		int fd = connect_to(&options->target, 0);

		(void)printf("{\"ehlo_ms\":%.4f}\n", blocking_ehlo(fd));
		(void)fflush(stdout);
		(void)close(fd);
	}
}

static void
usage(void)
{
	(void)fputs("usage: source [-s SESSIONS] [-m MESSAGES] [-l OCTETS] [-d] [-r] [-i IDLE] "
		    "[-f FROM] [-t TO] HOST:PORT\n", stderr);
	exit(2);
}

static uint64_t
option_number(const char *text)
{
	uint64_t n;

	if (number_parse(span_of(text), 1000000000, &n) != PARSE_OK)
		usage();
	return n;
}

int
main(int argc, char **argv)
{
	struct source source = {
		.options = { .sessions = 1, .messages = 1, .octets = 4096,
			     .from = "app@billing.example.com", .to = "user@partner.example" },
	};
	struct options *options = &source.options;
	int letter;

	while ((letter = getopt(argc, argv, "s:m:l:dri:f:t:")) != -1) {
		switch (letter) {
		case 's': options->sessions = (unsigned)option_number(optarg); break;
		case 'm': options->messages = option_number(optarg); break;
		case 'l': options->octets = option_number(optarg); break;
		case 'd': options->keeps_connection = true; break;
		case 'r': options->expects_refusal = true; break;
		case 'i': options->idle = (unsigned)option_number(optarg); break;
		case 'f': options->from = optarg; break;
		case 't': options->to = optarg; break;
		default: usage();
		}
	}
	if (optind + 1 != argc ||
	    ip_endpoint_parse(span_of(argv[optind]), &options->target) != PARSE_OK)
		usage();
	if (options->idle > 0) {
		idle_run(options);
		return 0;
	}
	source.epoll = epoll_create1(EPOLL_CLOEXEC);
	source.latencies_ns = memory_new_array(options->messages, sizeof(int64_t));
	body_make(&source);
	source_run(&source);
	return source.wrong == 0 && source.accepted == options->messages ? 0 : 1;
}
