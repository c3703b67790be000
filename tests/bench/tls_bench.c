/* SPDX-License-Identifier: ISC */
/*
 * What TLS costs below the session: net/tls next to the bare library doing the same.
 *
 *   tls_bench full    SECONDS [rsa]   full TLS 1.3 handshakes, ours and the library's
 *   tls_bench resumed SECONDS [rsa]   resumed ones
 *   tls_bench bulk    SECONDS         one way, plain and under TLS
 *   tls_bench idle    CONNECTIONS     memory of an idle connection, plain and under TLS
 *   tls_bench company SECONDS RATE    a plain stream's round trips, alone, next to RATE
 *                                     handshakes a second, and next to as many at once
 *
 * Build it by hand: make tests/bench/tls_bench. Servers are the process itself, clients are
 * its children; the processor time shown is the server's.
 */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/memory.h"
#include "net/listener.h"
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETING   "220 relay.example.com ESMTP\r\n"
#define PIECE	   65536
#define OUTPUT_MAX (4 << 20)
#define CLIENTS	   2

struct bench {
	struct loop *loop;
	struct listener listener, plain;
	struct tls_server *server;
	struct ip_endpoint at, plain_at;
	struct loop_timer end;
	bool is_plain, is_kept, is_bulk;
	uint64_t handshakes, resumed, octets, open;
	char folder[64];
};

struct connection {
	struct stream stream;
	struct bench *bench;
};

static _Noreturn void
die(const char *what)
{
	perror(what);
	exit(1);
}

static double
cpu_s(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double
now_s(void)
{
	return (double)clock_monotonic_ns() / 1e9;
}

/* --- our server -------------------------------------------------------------------------- */

static struct connection *
connection_of(struct stream *stream)
{
	return LIST_OWNER(stream, struct connection, stream);
}

static void
connection_free(struct connection *c)
{
	stream_close(&c->stream);
	c->bench->open--;
	free(c);
}

static size_t
received(struct stream *stream, struct span bytes)
{
	struct bench *b = connection_of(stream)->bench;

	b->octets += bytes.len;
	if (!b->is_bulk) /* a ping */
		(void)stream_write(stream, span_of("250 OK\r\n"));
	return bytes.len;
}

static void
ended(struct stream *stream, enum stream_end how)
{
	(void)how;
	connection_free(connection_of(stream));
}

static void
drained(struct stream *stream)
{
	if (!stream_is_open(stream))
		connection_free(connection_of(stream));
}

static const struct stream_events events = {
	.received = received,
	.ended = ended,
	.drained = drained,
};

static void
greet(struct connection *c)
{
	(void)stream_write(&c->stream, span_of(GREETING));
	if (!c->bench->is_kept)
		stream_close_when_drained(&c->stream);
}

static void
done(struct stream *stream, const struct tls_facts *facts, struct fault *fault)
{
	struct connection *c = connection_of(stream);

	if (facts == NULL) {
		(void)fault;
		connection_free(c);
		return;
	}
	c->bench->handshakes++;
	c->bench->resumed += facts->is_resumed;
	greet(c);
}

static void
connection_take(struct bench *b, int fd, bool is_plain)
{
	struct connection *c = memory_new(sizeof(*c));
	struct tls_offer offer = { .server = b->server };
	struct fault fault;

	c->bench = b;
	b->open++;
	if (!stream_accept(&c->stream, b->loop, fd, &events, 4096, OUTPUT_MAX, &fault))
		die(fault_text(&fault));
	if (is_plain)
		greet(c);
	else if (!tls_accept(&c->stream, &offer, done, &fault))
		die(fault_text(&fault));
}

static void
accepted(struct listener *listener, int fd, const struct ip_endpoint *peer,
	 const struct ip_endpoint *local)
{
	struct bench *b = LIST_OWNER(listener, struct bench, listener);

	(void)peer;
	(void)local;
	connection_take(b, fd, b->is_plain);
}

static void
accepted_plain(struct listener *listener, int fd, const struct ip_endpoint *peer,
	       const struct ip_endpoint *local)
{
	(void)peer;
	(void)local;
	connection_take(LIST_OWNER(listener, struct bench, plain), fd, true);
}

static void
time_is_up(struct loop_timer *timer)
{
	loop_stop(LIST_OWNER(timer, struct bench, end)->loop);
}

static int
listen_somewhere(struct ip_endpoint *at)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct fault fault;

	at->port = 0;
	(void)ip_parse(span_of("127.0.0.1"), &at->ip);
	int fd = listener_open(at, 4096, 0, &fault);

	if (fd == -1 || getsockname(fd, (struct sockaddr *)&address, &size) == -1)
		die("listen");
	*at = ip_of_sockaddr(&address);
	return fd;
}

static void
certificate_make(struct bench *b, bool is_rsa)
{
	char command[600];

	(void)snprintf(b->folder, sizeof(b->folder), "/tmp/relayd-tls-bench-XXXXXX");
	if (mkdtemp(b->folder) == NULL)
		die("mkdtemp");
	(void)snprintf(command, sizeof(command),
		       "openssl req -x509 -newkey %s -nodes -days 30 -subj /CN=bench "
		       "-keyout %s/key.pem -out %s/cert.pem 2>/dev/null",
		       is_rsa ? "rsa:2048" : "ec -pkeyopt ec_paramgen_curve:P-256", b->folder,
		       b->folder);
	if (system(command) != 0)
		die("openssl req");
}

static const char *
file(const struct bench *b, const char *name)
{
	static char path[2][100];
	char *to = path[name[0] == 'k'];

	(void)snprintf(to, sizeof(path[0]), "%s/%s", b->folder, name);
	return to;
}

static struct tls_server *
server_make(const struct bench *b)
{
	struct fault fault;
	struct tls_pair pair = { file(b, "cert.pem"), file(b, "key.pem"), NULL };
	struct tls_settings settings = { .name = "bench", .pairs = &pair, .pair_count = 1,
					 .profile = TLS_INTERMEDIATE };
	struct tls_server *server = tls_server_new(&settings, 1, tls_ticket_keys_new(&fault),
						   clock_wall_ms(), &fault);

	if (server == NULL)
		die(fault_text(&fault));
	return server;
}

static void
server_start(struct bench *b, int fd)
{
	struct fault fault;

	b->loop = loop_new(&fault);
	if (!listener_start(&b->listener, b->loop, fd, accepted, span_of(""), &fault))
		die(fault_text(&fault));
}

static void
server_run(struct bench *b, double seconds)
{
	b->end.expired = time_is_up;
	loop_timer_set(b->loop, &b->end, (int64_t)(seconds * 1000));
	loop_run(b->loop);
}

/* --- the library's own server, as plain as it gets ---------------------------------------- */

static uint64_t
raw_serve(const struct bench *b, int listening, double seconds)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	double until = now_s() + seconds;
	uint64_t count = 0;

	if (SSL_CTX_use_certificate_file(context, file(b, "cert.pem"), SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey_file(context, file(b, "key.pem"), SSL_FILETYPE_PEM) != 1)
		die("certificate");
	(void)SSL_CTX_set_num_tickets(context, 1);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	while (now_s() < until) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

		if (fd == -1) {
			(void)usleep(20);
			continue;
		}
		SSL *ssl = SSL_new(context);

		if (SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) {
			(void)SSL_write(ssl, GREETING, sizeof(GREETING) - 1);
			(void)SSL_shutdown(ssl);
			count++;
		}
		SSL_free(ssl);
		(void)close(fd);
	}
	SSL_CTX_free(context);
	return count;
}

/* --- clients ------------------------------------------------------------------------------ */

static int
socket_connect(const struct ip_endpoint *to)
{
	struct sockaddr_storage address;
	socklen_t size = ip_to_sockaddr(to, &address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || connect(fd, (struct sockaddr *)&address, size) == -1)
		die("connect");
	return fd;
}

static SSL_CTX *
client_context(void)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	return context;
}

static pid_t
child_new(void)
{
	(void)fflush(stdout);
	pid_t child = fork();

	if (child == -1)
		die("fork");
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)signal(SIGPIPE, SIG_IGN);
	}
	return child;
}

static void
child_end(pid_t child)
{
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

/* One connection: handshake, greeting, end. Keeps its session in *session, unless NULL. */
static void
client_once(const struct bench *b, SSL_CTX *context, SSL_SESSION **session)
{
	char text[200];
	int fd = socket_connect(&b->at);
	SSL *ssl = SSL_new(context);

	(void)SSL_set_fd(ssl, fd);
	if (session != NULL && *session != NULL)
		(void)SSL_set_session(ssl, *session);
	if (SSL_connect(ssl) == 1) {
		while (SSL_read(ssl, text, sizeof(text)) > 0 && !b->is_kept)
			;
		if (session != NULL) {
			SSL_SESSION_free(*session);
			*session = SSL_get1_session(ssl);
		}
		(void)SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	(void)close(fd);
}

static _Noreturn void
client_hammer(const struct bench *b, bool is_resuming)
{
	SSL_CTX *context = client_context();
	SSL_SESSION *session = NULL;

	for (;;)
		client_once(b, context, is_resuming ? &session : NULL);
}

/* --- full and resumed handshakes ------------------------------------------------------------ */

static void
handshakes_measure(struct bench *b, double seconds, bool is_resuming)
{
	static const char *const names[] = { "library", "relayd " };
	double cost[2];

	for (int ours = 0; ours < 2; ours++) {
		pid_t clients[CLIENTS];
		int fd = listen_somewhere(&b->at);
		uint64_t count;

		for (int i = 0; i < CLIENTS; i++) {
			clients[i] = child_new();
			if (clients[i] == 0)
				client_hammer(b, is_resuming);
		}
		double cpu = cpu_s(), from = now_s();

		if (ours == 1) {
			b->server = server_make(b);
			server_start(b, fd);
			cpu = cpu_s();
			server_run(b, seconds);
			count = b->handshakes;
			listener_stop(&b->listener);
		} else {
			count = raw_serve(b, fd, seconds);
		}
		cpu = cpu_s() - cpu;
		from = now_s() - from;
		for (int i = 0; i < CLIENTS; i++)
			child_end(clients[i]);
		(void)close(fd);
		cost[ours] = cpu * 1e3 / (double)count;
		(void)printf("%s: %.0f handshakes/s, %.3f ms CPU each\n", names[ours],
			     (double)count / from, cost[ours]);
	}
	(void)printf("ratio: %.2f; %.0f%% of ours were resumed\n", cost[1] / cost[0],
		     100.0 * (double)b->resumed / (double)b->handshakes);
}

/* --- bulk ------------------------------------------------------------------------------------ */

static _Noreturn void
client_pour(const struct bench *b)
{
	static char piece[PIECE];
	int fd = socket_connect(&b->at);
	SSL_CTX *context = client_context();
	SSL *ssl = SSL_new(context);

	(void)SSL_set_fd(ssl, fd);
	if (!b->is_plain && SSL_connect(ssl) != 1)
		die("handshake");
	for (;;) {
		if (b->is_plain ? send(fd, piece, sizeof(piece), MSG_NOSIGNAL) <= 0 :
				  SSL_write(ssl, piece, sizeof(piece)) <= 0)
			_exit(0);
	}
}

static size_t
pour_ignored(struct stream *stream, struct span bytes)
{
	(void)stream;
	return bytes.len;
}

static void
pour_more(struct stream *stream)
{
	static char piece[PIECE];
	struct bench *b = connection_of(stream)->bench;

	while (stream_unsent(stream) < 512 << 10) {
		(void)stream_write(stream, (struct span){ piece, sizeof(piece) });
		b->octets += sizeof(piece);
	}
}

static void
pour_done(struct stream *stream, const struct tls_facts *facts, struct fault *fault)
{
	if (facts == NULL)
		die(fault_text(fault));
	pour_more(stream);
}

static void
pour_connected(struct stream *stream, int error)
{
	struct bench *b = connection_of(stream)->bench;
	struct tls_client_settings settings = { .name = "bench", .profile = TLS_MODERN };
	struct fault fault;
	struct tls_request request = { .name = SPAN_LITERAL("bench") };

	if (error != 0)
		die("connect");
	if (b->is_plain) {
		pour_more(stream);
		return;
	}
	request.client = tls_client_new(&settings, 1, clock_wall_ms(), &fault);
	if (!tls_connect(stream, &request, pour_done, &fault))
		die(fault_text(&fault));
}

static const struct stream_events pour_events = {
	.received = pour_ignored,
	.ended = ended,
	.drained = pour_more,
	.connected = pour_connected,
};

static _Noreturn void
client_swallow(const struct bench *b, int listening)
{
	static char piece[PIECE];
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	int fd;

	(void)SSL_CTX_use_certificate_file(context, file(b, "cert.pem"), SSL_FILETYPE_PEM);
	(void)SSL_CTX_use_PrivateKey_file(context, file(b, "key.pem"), SSL_FILETYPE_PEM);
	while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) == -1)
		(void)usleep(100);
	SSL *ssl = SSL_new(context);

	(void)SSL_set_fd(ssl, fd);
	if (!b->is_plain && SSL_accept(ssl) != 1)
		die("handshake");
	while (b->is_plain ? recv(fd, piece, sizeof(piece), 0) > 0 :
			     SSL_read(ssl, piece, sizeof(piece)) > 0)
		;
	_exit(0);
}

static void
bulk_print(const struct bench *b, const char *what, double cpu, double took)
{
	(void)printf("%s %s: %.0f MB/s, %.3f ms CPU a MiB\n", what,
		     b->is_plain ? "plain" : "TLS  ", (double)b->octets / 1e6 / took,
		     cpu * 1e3 / ((double)b->octets / 1048576));
}

static void
bulk_measure(struct bench *b, double seconds)
{
	b->is_bulk = b->is_kept = true;
	b->server = server_make(b);
	for (int plain = 1; plain >= 0; plain--) {
		int fd = listen_somewhere(&b->at);

		b->is_plain = plain == 1;
		pid_t client = child_new();

		if (client == 0)
			client_pour(b);
		server_start(b, fd);
		b->octets = 0;
		double cpu = cpu_s(), from = now_s();

		server_run(b, seconds);
		bulk_print(b, "receiving", cpu_s() - cpu, now_s() - from);
		child_end(client);
		loop_turn(b->loop, 100);
		listener_stop(&b->listener);
		(void)close(fd);
	}
	for (int plain = 1; plain >= 0; plain--) {
		int fd = listen_somewhere(&b->at);
		struct connection *c = memory_new(sizeof(*c));
		struct fault fault;

		b->is_plain = plain == 1;
		pid_t client = child_new();

		if (client == 0)
			client_swallow(b, fd);
		c->bench = b;
		b->octets = 0;
		if (!stream_connect(&c->stream, b->loop, &b->at, NULL, &pour_events, 4096,
				    OUTPUT_MAX, &fault))
			die(fault_text(&fault));
		double cpu = cpu_s(), from = now_s();

		server_run(b, seconds);
		bulk_print(b, "sending  ", cpu_s() - cpu, now_s() - from);
		stream_close(&c->stream);
		child_end(client);
		(void)close(fd);
	}
}

/* --- memory ------------------------------------------------------------------------------------ */

static double
pss_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	double kib = -1;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Pss:", 4) == 0)
			kib = strtod(line + 4, NULL);
	}
	if (f != NULL)
		(void)fclose(f);
	return kib;
}

static _Noreturn void
client_many(const struct bench *b, int count)
{
	SSL_CTX *context = client_context();
	char text[200];

	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	for (int i = 0; i < count; i++) {
		int fd = socket_connect(&b->at);
		SSL *ssl = SSL_new(context);

		(void)SSL_set_fd(ssl, fd);
		if (b->is_plain) {
			(void)!read(fd, text, sizeof(text));
			(void)!write(fd, "EHLO x\r\n", 8);
			(void)!read(fd, text, sizeof(text));
			SSL_free(ssl);
		} else if (SSL_connect(ssl) == 1) {
			(void)SSL_read(ssl, text, sizeof(text));
			(void)SSL_write(ssl, "EHLO x\r\n", 8);
			(void)SSL_read(ssl, text, sizeof(text));
		}
	}
	for (;;)
		(void)pause();
}

static void
idle_measure(struct bench *b, int count)
{
	double each[2];

	b->is_kept = true;
	b->server = server_make(b);
	for (int plain = 1; plain >= 0; plain--) {
		int fd = listen_somewhere(&b->at);

		b->is_plain = plain == 1;
		b->octets = 0;
		pid_t client = child_new();

		if (client == 0)
			client_many(b, count);
		server_start(b, fd);
		double before = pss_kib();

		while (b->octets < (uint64_t)count * 8)
			loop_turn(b->loop, 1000);
		loop_turn(b->loop, 10);
		each[plain] = (pss_kib() - before) / count;
		(void)printf("%s: %.2f KiB each\n", plain == 1 ? "plain" : "TLS  ", each[plain]);
		child_end(client);
		while (b->open > 0)
			loop_turn(b->loop, 1000);
		listener_stop(&b->listener);
		(void)close(fd);
	}
	(void)printf("TLS beyond plain: %.2f KiB\n", each[0] - each[1]);
}

/* --- company ------------------------------------------------------------------------------------- */

static int
double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Ping the plain port, a little apart, and print how long the answers took. */
static _Noreturn void
client_ping(const struct bench *b, double seconds, const char *what)
{
	int fd = socket_connect(&b->plain_at);
	double until = now_s() + seconds, *took = memory_new_array(1000000, sizeof(*took));
	size_t count = 0;
	char text[200];

	(void)!read(fd, text, sizeof(text));
	while (now_s() < until && count < 1000000) {
		double from = now_s();

		if (write(fd, "EHLO x\r\n", 8) != 8 || read(fd, text, sizeof(text)) <= 0)
			die("ping");
		took[count++] = now_s() - from;
		(void)usleep(500);
	}
	qsort(took, count, sizeof(*took), double_compare);
	(void)printf("EHLO %-28s p50 %.3f ms, p99 %.3f ms, max %.3f ms of %zu\n", what,
		     took[count / 2] * 1e3, took[count * 99 / 100] * 1e3, took[count - 1] * 1e3,
		     count);
	(void)fflush(stdout);
	_exit(0);
}

/* So many handshakes a second: evenly, or all at once at each second's beginning. */
static _Noreturn void
client_pace(const struct bench *b, int rate, bool is_burst)
{
	SSL_CTX *context = client_context();
	double next = now_s();

	for (;;) {
		if (is_burst) {
			int fds[1000];
			SSL *ssls[1000];
			char text[200];

			for (int i = 0; i < rate && i < 1000; i++) { /* all have asked ... */
				fds[i] = socket_connect(&b->at);
				(void)!fcntl(fds[i], F_SETFL, O_NONBLOCK);
				ssls[i] = SSL_new(context);
				(void)SSL_set_fd(ssls[i], fds[i]);
				(void)SSL_connect(ssls[i]);
			}
			for (int i = 0; i < rate && i < 1000; i++) { /* ... before any is answered */
				(void)!fcntl(fds[i], F_SETFL, 0);
				if (SSL_connect(ssls[i]) == 1)
					(void)SSL_read(ssls[i], text, sizeof(text));
				SSL_free(ssls[i]);
				(void)close(fds[i]);
			}
			next += 1;
		} else {
			client_once(b, context, NULL);
			next += 1.0 / rate;
		}
		while (now_s() < next)
			(void)usleep(200);
	}
}

static void
company_measure(struct bench *b, double seconds, int rate)
{
	static const char *const names[] = { "alone", "with handshakes", "with bursts of handshakes" };
	int fd = listen_somewhere(&b->at), plain_fd = listen_somewhere(&b->plain_at);
	struct fault fault;

	b->server = server_make(b);
	for (int company = 0; company < 3; company++) {
		pid_t pacer = -1, pinger;

		b->is_kept = true;
		if (company > 0) {
			pacer = child_new();
			if (pacer == 0)
				client_pace(b, rate, company == 2);
		}
		pinger = child_new();
		if (pinger == 0)
			client_ping(b, seconds, names[company]);
		server_start(b, fd);
		if (!listener_start(&b->plain, b->loop, plain_fd, accepted_plain, span_of(""),
				    &fault))
			die(fault_text(&fault));
		b->handshakes = 0;
		double cpu = cpu_s();

		server_run(b, seconds + 0.2);
		(void)printf("  %.0f handshakes/s, server CPU %.0f%%\n",
			     (double)b->handshakes / (seconds + 0.2),
			     100 * (cpu_s() - cpu) / (seconds + 0.2));
		if (pacer != -1)
			child_end(pacer);
		child_end(pinger);
		loop_turn(b->loop, 50);
		listener_stop(&b->listener);
		listener_stop(&b->plain);
	}
	(void)close(fd);
	(void)close(plain_fd);
}

int
main(int argc, char **argv)
{
	struct bench *b = memory_new(sizeof(*b));
	struct rlimit files = { 200000, 200000 };
	const char *what = argc > 2 ? argv[1] : "";
	double much = argc > 2 ? strtod(argv[2], NULL) : 0;

	(void)signal(SIGPIPE, SIG_IGN);
	if (setrlimit(RLIMIT_NOFILE, &files) == -1 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	certificate_make(b, argc > 3 && strcmp(argv[3], "rsa") == 0);
	if (strcmp(what, "full") == 0)
		handshakes_measure(b, much, false);
	else if (strcmp(what, "resumed") == 0)
		handshakes_measure(b, much, true);
	else if (strcmp(what, "bulk") == 0)
		bulk_measure(b, much);
	else if (strcmp(what, "idle") == 0)
		idle_measure(b, (int)much);
	else if (strcmp(what, "company") == 0)
		company_measure(b, much, argc > 3 ? (int)strtol(argv[3], NULL, 10) : 200);
	else
		(void)fprintf(stderr, "usage: tls_bench full|resumed|bulk|idle|company N [rsa|RATE]\n");
	(void)unlink(file(b, "cert.pem"));
	(void)unlink(file(b, "key.pem"));
	(void)rmdir(b->folder);
	return 0;
}
