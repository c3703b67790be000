/* SPDX-License-Identifier: ISC */
/*
 * TLS clients for measuring a server that speaks TLS from the first octet. All print JSON.
 *
 *   tls_source full    SECONDS HOST:PORT   two clients: handshake, greeting, close, again
 *   tls_source resumed SECONDS HOST:PORT   the same with the session before
 *   tls_source idle    COUNT   HOST:PORT   so many sessions, kept until standard input ends
 *   tls_source pace    RATE    HOST:PORT   full handshakes, so many a second, until killed
 */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/ip.h"
#include "base/memory.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS 2

struct source {
	struct ip_endpoint to;
	SSL_CTX *context;
	SSL_SESSION *session; /* to be resumed, or NULL */
	bool is_resuming;
	unsigned long resumed;
};

static _Noreturn void
die(const char *what)
{
	perror(what);
	exit(1);
}

static double
now_s(void)
{
	return (double)clock_monotonic_ns() / 1e9;
}

/* A server that says things in several small segments must not wait 40 ms for our ACK. */
static void
acknowledge_at_once(int fd)
{
	static const int yes = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &yes, sizeof(yes));
}

static SSL *
session_open(struct source *s)
{
	struct sockaddr_storage address;
	socklen_t size = ip_to_sockaddr(&s->to, &address);
	int fd = socket(ip_is_v4(&s->to.ip) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = SSL_new(s->context);
	char text[512];

	if (fd == -1 || connect(fd, (struct sockaddr *)&address, size) == -1)
		die("connect");
	acknowledge_at_once(fd);
	(void)SSL_set_fd(ssl, fd);
	if (s->session != NULL)
		(void)SSL_set_session(ssl, s->session);
	bool is_good = SSL_connect(ssl) == 1;

	acknowledge_at_once(fd);
	if (!is_good || SSL_read(ssl, text, sizeof(text)) <= 0 || text[0] != '2')
		die("handshake and greeting");
	s->resumed += (unsigned long)SSL_session_reused(ssl);
	return ssl;
}

static void
session_close(struct source *s, SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	if (s->is_resuming) {
		SSL_SESSION_free(s->session);
		s->session = SSL_get1_session(ssl);
	}
	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)close(fd);
}

/* Two processes, since a client's handshake costs about as much as a server's. */
static void
hammer(struct source *s, double seconds)
{
	unsigned long total = 0, resumed = 0;
	int ends[2];

	if (pipe(ends) == -1)
		die("pipe");
	for (int i = 0; i < CLIENTS; i++) {
		pid_t child = fork();

		if (child == -1)
			die("fork");
		if (child > 0)
			continue;
		unsigned long counts[2] = { 0, 0 };

		for (double until = now_s() + seconds; now_s() < until; counts[0]++)
			session_close(s, session_open(s));
		counts[1] = s->resumed;
		_exit(write(ends[1], counts, sizeof(counts)) == sizeof(counts) ? 0 : 1);
	}
	for (int i = 0; i < CLIENTS; i++) {
		unsigned long counts[2];

		if (read(ends[0], counts, sizeof(counts)) != sizeof(counts))
			die("a client failed");
		total += counts[0];
		resumed += counts[1];
	}
	while (wait(NULL) > 0)
		;
	(void)printf("{\"handshakes\": %lu, \"resumed\": %lu}\n", total, resumed);
}

static void
hold(struct source *s, int count)
{
	char text[8];

	for (int i = 0; i < count; i++)
		(void)session_open(s);
	(void)printf("{\"sessions\": %d}\n", count);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, text, sizeof(text)) > 0)
		;
}

static _Noreturn void
pace(struct source *s, double rate)
{
	for (double next = now_s();; next += 1 / rate) {
		session_close(s, session_open(s));
		while (now_s() < next)
			(void)usleep(200);
	}
}

int
main(int argc, char **argv)
{
	struct source s = { .session = NULL };
	const char *what = argc == 4 ? argv[1] : "";
	double much = argc == 4 ? strtod(argv[2], NULL) : 0;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc != 4 || ip_endpoint_parse(span_of(argv[3]), &s.to) != PARSE_OK) {
		(void)fputs("usage: tls_source full|resumed|idle|pace N HOST:PORT\n", stderr);
		return 2;
	}
	s.context = SSL_CTX_new(TLS_client_method());
	(void)SSL_CTX_set_session_cache_mode(s.context, SSL_SESS_CACHE_OFF);
	s.is_resuming = strcmp(what, "resumed") == 0;
	if (strcmp(what, "full") == 0 || s.is_resuming)
		hammer(&s, much);
	else if (strcmp(what, "idle") == 0)
		hold(&s, (int)much);
	else if (strcmp(what, "pace") == 0)
		pace(&s, much);
	SSL_CTX_free(s.context);
	return 0;
}
