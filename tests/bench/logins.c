/* SPDX-License-Identifier: ISC */
/*
 * Many clients that connect, log in and leave.
 *
 *   logins [-s SESSIONS] [-n LOGINS] -u USER -p PASSWORD -a PLAIN|SCRAM-SHA-256 HOST:PORT
 *
 * Sessions at once are processes, each blocking; a client stretches the password once for each
 * salt, as real ones do. Prints one object of JSON; anything but 235 ends it.
 */
#define _DEFAULT_SOURCE /* MSG_NOSIGNAL, getopt */
#include "auth/digest.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/ip.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX 4096
#define SHA	 DIGEST_SHA_256

struct client {
	struct ip_endpoint server;
	const char *user, *password;
	bool is_scram;
	int fd;
	size_t reply_len;
	char reply[TEXT_MAX];
	char salt[TEXT_MAX]; /* for which salted was made */
	unsigned char salted[DIGEST_OCTETS_MAX];
};

static _Noreturn void
fail(const char *what, const char *text)
{
	(void)fprintf(stderr, "logins: %s: %s\n", what, text);
	exit(1);
}

/* A whole reply, of which only the last line matters. */
static void
reply_expect(struct client *c, const char *code)
{
	size_t line = 0;

	c->reply_len = 0;
	for (;;) {
		ssize_t got = recv(c->fd, c->reply + c->reply_len,
				   sizeof(c->reply) - 1 - c->reply_len, 0);

		if (got <= 0)
			fail("no reply", code);
		c->reply_len += (size_t)got;
		c->reply[c->reply_len] = '\0';
		for (char *end; (end = strstr(c->reply + line, "\r\n")) != NULL;
		     line = (size_t)(end - c->reply) + 2) {
			if (c->reply[line + 3] == '-')
				continue;
			*end = '\0';
			memmove(c->reply, c->reply + line, strlen(c->reply + line) + 1);
			if (strncmp(c->reply, code, 3) != 0)
				fail("unexpected", c->reply);
			return;
		}
	}
}

static void
say(struct client *c, struct buffer *line)
{
	(void)buffer_append_text(line, "\r\n");
	if (send(c->fd, line->ptr, line->len, MSG_NOSIGNAL) != (ssize_t)line->len)
		fail("send", c->reply);
	buffer_clear(line);
}

static void
say_text(struct client *c, struct buffer *line, const char *text)
{
	(void)buffer_append_text(line, text);
	say(c, line);
}

static void
plain_log_in(struct client *c, struct buffer *line)
{
	struct buffer message;

	buffer_init(&message, TEXT_MAX);
	(void)buffer_append_byte(&message, '\0');
	(void)buffer_append_text(&message, c->user);
	(void)buffer_append_byte(&message, '\0');
	(void)buffer_append_text(&message, c->password);
	(void)buffer_append_text(line, "AUTH PLAIN ");
	(void)base64_encode(line, buffer_span(&message));
	say(c, line);
	buffer_reset(&message);
}

/* The value of "x=" in the server's first message; up to the comma. */
static struct span
attribute(const char *message, const char *name)
{
	const char *at = strstr(message, name);

	if (at == NULL)
		fail("SCRAM", message);
	struct span rest = span_of(at + strlen(name));

	return span_first(rest, span_find(rest, ','));
}

static void
salted_make(struct client *c, struct span salt, uint64_t iterations)
{
	char octets[TEXT_MAX];
	size_t len;

	if (span_equal(salt, span_of(c->salt)))
		return;
	if (base64_decode(salt, octets, &len) != PARSE_OK)
		fail("SCRAM", "salt");
	digest_stretch(SHA, span_of(c->password), (struct span){ octets, len },
		       (uint32_t)iterations, c->salted);
	memcpy(c->salt, salt.ptr, salt.len);
	c->salt[salt.len] = '\0';
}

static struct span
octets_of(const unsigned char *digest)
{
	return (struct span){ (const char *)digest, digest_octets(SHA) };
}

static void
scram_log_in(struct client *c, struct buffer *line)
{
	char bare[TEXT_MAX / 4], first[TEXT_MAX], without[TEXT_MAX / 2];
	unsigned char key[DIGEST_OCTETS_MAX], stored[DIGEST_OCTETS_MAX], proof[DIGEST_OCTETS_MAX];
	struct buffer text;
	uint64_t iterations;
	size_t len;

	buffer_init(&text, TEXT_MAX * 2);
	(void)snprintf(bare, sizeof(bare), "n=%s,r=%dx%lld", c->user, (int)getpid(),
		       (long long)clock_monotonic_ms());
	(void)buffer_printf(&text, "n,,%s", bare);
	(void)buffer_append_text(line, "AUTH SCRAM-SHA-256 ");
	(void)base64_encode(line, buffer_span(&text));
	say(c, line);
	reply_expect(c, "334");
	if (base64_decode(span_of(c->reply + 4), first, &len) != PARSE_OK)
		fail("SCRAM", c->reply);
	first[len] = '\0';
	if (number_parse(attribute(first, ",i="), UINT32_MAX, &iterations) != PARSE_OK)
		fail("SCRAM", first);
	salted_make(c, attribute(first, ",s="), iterations);
	(void)snprintf(without, sizeof(without), "c=biws,r=" SPAN_FMT,
		       SPAN_ARG(attribute(first, "r=")));
	buffer_clear(&text);
	(void)buffer_printf(&text, "%s,%s,%s", bare, first, without);
	digest_hmac(SHA, octets_of(c->salted), span_of("Client Key"), key);
	digest_hash(SHA, octets_of(key), stored);
	digest_hmac(SHA, octets_of(stored), buffer_span(&text), proof);
	for (size_t i = 0; i < digest_octets(SHA); i++)
		proof[i] ^= key[i];
	buffer_clear(&text);
	(void)buffer_printf(&text, "%s,p=", without);
	(void)base64_encode(&text, octets_of(proof));
	(void)base64_encode(line, buffer_span(&text));
	say(c, line);
	reply_expect(c, "334");
	say_text(c, line, "");
	buffer_reset(&text);
}

static void
log_in(struct client *c)
{
	static const int on = 1;
	struct sockaddr_storage address;
	socklen_t size = ip_to_sockaddr(&c->server, &address);
	struct buffer line;

	buffer_init(&line, TEXT_MAX);
	c->fd = socket(address.ss_family, SOCK_STREAM, 0);
	if (c->fd == -1 || connect(c->fd, (const struct sockaddr *)&address, size) == -1)
		fail("connect", "refused");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	reply_expect(c, "220");
	say_text(c, &line, "EHLO client.example");
	reply_expect(c, "250");
	if (c->is_scram)
		scram_log_in(c, &line);
	else
		plain_log_in(c, &line);
	reply_expect(c, "235");
	say_text(c, &line, "QUIT");
	reply_expect(c, "221");
	(void)close(c->fd);
	buffer_reset(&line);
}

int
main(int argc, char **argv)
{
	struct client client = { .user = "billing", .password = "" };
	uint64_t sessions = 16, logins = 1000;
	int letter, failed = 0;

	while ((letter = getopt(argc, argv, "s:n:u:p:a:")) != -1) {
		bool is_number = letter == 's' || letter == 'n';

		if (is_number && number_parse(span_of(optarg), UINT32_MAX,
					      letter == 's' ? &sessions : &logins) != PARSE_OK)
			fail("not a number", optarg);
		if (letter == 'u')
			client.user = optarg;
		else if (letter == 'p')
			client.password = optarg;
		else if (letter == 'a')
			client.is_scram = strcmp(optarg, "PLAIN") != 0;
		else if (!is_number)
			return 2;
	}
	if (optind + 1 != argc || sessions == 0 ||
	    ip_endpoint_parse(span_of(argv[optind]), &client.server) != PARSE_OK)
		fail("usage", "logins [-s N] [-n N] -u USER -p PASSWORD -a MECHANISM HOST:PORT");
	int64_t began_ms = clock_monotonic_ms();

	for (uint64_t s = 0; s < sessions; s++) {
		if (fork() != 0)
			continue;
		for (uint64_t i = s; i < logins; i += sessions)
			log_in(&client);
		exit(0);
	}
	for (int status; wait(&status) != -1;)
		failed += status != 0;
	(void)printf("{\"logins\": %llu, \"ms\": %lld}\n", (unsigned long long)logins,
		     (long long)(clock_monotonic_ms() - began_ms));
	return failed > 0;
}
