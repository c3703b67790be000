/* SPDX-License-Identifier: ISC */
/*
 * What the loop and the streams cost, apart from everything built on them. Not part of make
 * bench; build it by hand: cc -O2 -I relayd tests/bench/net_bench.c libnet.a libbase.a
 *
 *   net_bench ping  CONNECTIONS SECONDS   small requests and replies over loopback TCP
 *   net_bench bulk  CONNECTIONS SECONDS   one way, in pieces of 64 KiB
 *   net_bench idle  CONNECTIONS           memory per idle stream
 *   net_bench accept CONNECTIONS SECONDS  connect, greeting, close
 *
 * The server is one process with one loop, the clients are another; the CPU times printed are
 * each process's own.
 */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/memory.h"
#include "net/listener.h"
#include "net/stream.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PING "MAIL FROM:<invoices@example.com>\r\n"
#define PIECE 65536
#define OUTPUT_MAX (1 << 20)

struct bench;

struct connection {
	struct stream stream;
	struct bench *bench;
	struct loop_timer idle;
};

struct bench {
	struct loop *loop;
	struct listener listener;
	struct connection *connections;
	int count;
	int used;
	bool is_client, is_bulk, is_accept;
	uint64_t pings, octets, accepts;
	struct ip_endpoint at;
	struct loop_timer end;
	char piece[PIECE];
};

static struct connection *
connection_of(struct stream *stream)
{
	return LIST_OWNER(stream, struct connection, stream);
}

static void connection_open(struct connection *c);

static size_t
received(struct stream *stream, struct span bytes)
{
	struct connection *c = connection_of(stream);
	struct bench *b = c->bench;

	b->octets += bytes.len;
	if (b->is_bulk || b->is_accept)
		return bytes.len;
	if (bytes.ptr[bytes.len - 1] != '\n')
		return 0;
	b->pings++;
	loop_timer_set(b->loop, &c->idle, 300000);
	(void)stream_write(stream, b->is_client ? span_of(PING) : span_of("250 2.1.0 OK\r\n"));
	return bytes.len;
}

static void
ended(struct stream *stream, enum stream_end how)
{
	struct connection *c = connection_of(stream);

	(void)how;
	loop_timer_cancel(c->bench->loop, &c->idle);
	if (c->bench->is_client && c->bench->is_accept) {
		c->bench->accepts++;
		connection_open(c);
	} else if (!c->bench->is_client && c->bench->is_accept) {
		free(c);
	}
}

static void
drained(struct stream *stream)
{
	struct connection *c = connection_of(stream);

	if (c->bench->is_bulk && c->bench->is_client) {
		for (int i = 0; i < 4; i++)
			(void)stream_write(stream, (struct span){ c->bench->piece, PIECE });
	} else if (!stream_is_open(stream)) {
		c->bench->accepts++;
		loop_timer_cancel(c->bench->loop, &c->idle);
		free(c);
	}
}

static void
connected(struct stream *stream, int error)
{
	struct connection *c = connection_of(stream);

	if (error != 0) {
		perror("connect");
		exit(1);
	}
	if (c->bench->is_bulk)
		drained(stream);
	else if (!c->bench->is_accept)
		(void)stream_write(stream, span_of(PING));
}

static const struct stream_events events = {
	.received = received, .ended = ended, .drained = drained, .connected = connected,
};

static void
connection_open(struct connection *c)
{
	struct fault fault;

	if (!stream_connect(&c->stream, c->bench->loop, &c->bench->at, NULL, &events, 4096,
			    OUTPUT_MAX, &fault)) {
		(void)fprintf(stderr, "%s\n", fault_text(&fault));
		exit(1);
	}
}

static void
idle_expired(struct loop_timer *timer)
{
	(void)timer;
}

static void
accepted(struct listener *listener, int fd, const struct ip_endpoint *peer,
	 const struct ip_endpoint *local)
{
	struct bench *b = LIST_OWNER(listener, struct bench, listener);
	struct connection *c =
	    b->is_accept ? memory_new(sizeof(*c)) : &b->connections[b->used++];
	struct fault fault;

	(void)peer;
	(void)local;
	c->bench = b;
	c->idle.expired = idle_expired;
	if (!stream_accept(&c->stream, b->loop, fd, &events, 4096, OUTPUT_MAX, &fault))
		abort();
	loop_timer_set(b->loop, &c->idle, 300000);
	if (b->is_accept) {
		(void)stream_write(&c->stream, span_of("421 4.3.2 no\r\n"));
		stream_close_when_drained(&c->stream);
	}
}

static void
time_is_up(struct loop_timer *timer)
{
	loop_stop(LIST_OWNER(timer, struct bench, end)->loop);
}

static double
cpu_s(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long
pss_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	long kib = -1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Pss:", 4) == 0)
			kib = strtol(line + 4, NULL, 10);
	}
	if (f != NULL)
		(void)fclose(f);
	return kib;
}

static void
run(struct bench *b, const char *who, double seconds)
{
	int64_t from = clock_monotonic_ns();
	double cpu = cpu_s();

	b->end.expired = time_is_up;
	loop_timer_set(b->loop, &b->end, (int64_t)(seconds * 1000));
	loop_run(b->loop);
	double took = (double)(clock_monotonic_ns() - from) / 1e9;

	cpu = cpu_s() - cpu;
	(void)printf("%s: %.2f s, CPU %.2f s (%.0f%%)", who, took, cpu, 100 * cpu / took);
	if (b->pings > 0)
		(void)printf(", %.0f pings/s, %.2f us CPU each", (double)b->pings / took,
			     cpu * 1e6 / (double)b->pings);
	if (b->is_bulk && b->octets > 0)
		(void)printf(", %.0f MB/s, %.3f ms CPU a MiB", (double)b->octets / 1e6 / took,
			     cpu * 1e3 / ((double)b->octets / 1048576));
	if (b->accepts > 0)
		(void)printf(", %.0f connections/s, %.2f us CPU each",
			     (double)b->accepts / took, cpu * 1e6 / (double)b->accepts);
	(void)printf("\n");
	(void)fflush(stdout);
}

static int
listener_make(struct ip_endpoint *at)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct fault fault;

	at->port = 0;
	(void)ip_parse(span_of("127.0.0.1"), &at->ip);
	int fd = listener_open(at, 4096, 0, &fault);

	if (fd == -1 || getsockname(fd, (struct sockaddr *)&address, &size) == -1)
		abort();
	*at = ip_of_sockaddr(&address);
	return fd;
}

int
main(int argc, char **argv)
{
	struct bench *b = memory_new(sizeof(*b));
	double seconds = argc > 3 ? strtod(argv[3], NULL) : 3;
	struct fault fault;

	if (argc < 3)
		return 2;
	b->count = (int)strtol(argv[2], NULL, 10);
	b->is_bulk = strcmp(argv[1], "bulk") == 0;
	b->is_accept = strcmp(argv[1], "accept") == 0;
	bool is_idle = strcmp(argv[1], "idle") == 0;
	int fd = listener_make(&b->at);
	pid_t client = fork();

	b->is_client = client == 0;
	b->loop = loop_new(&fault);
	b->connections = memory_new_array((size_t)b->count, sizeof(*b->connections));
	if (b->is_client) {
		for (int i = 0; i < b->count; i++) {
			b->connections[i].bench = b;
			b->connections[i].idle.expired = idle_expired;
			connection_open(&b->connections[i]);
			if (i % 64 == 63)
				loop_turn(b->loop, 0);
		}
		run(b, "client", is_idle ? 3600 : seconds);
		return 0;
	}
	long before = pss_kib();

	if (!listener_start(&b->listener, b->loop, fd, accepted, span_of(""), &fault))
		return 1;
	if (is_idle) {
		while (b->pings < 10 * (uint64_t)b->count)
			loop_turn(b->loop, 1000);
		(void)printf("%d streams: PSS %ld KiB before, %ld KiB after: %.0f octets each\n",
			     b->count, before, pss_kib(),
			     (double)(pss_kib() - before) * 1024 / b->count);
		(void)kill(client, SIGKILL);
	} else {
		run(b, "server", seconds);
	}
	(void)waitpid(client, NULL, 0);
	return 0;
}
