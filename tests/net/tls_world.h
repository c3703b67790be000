/* SPDX-License-Identifier: ISC */
/*
 * The world in which TLS is tested: certificates, servers and clients made of them, ends of
 * connections that note what happens to them, and the library by itself as a client.
 */
#ifndef RELAYD_TESTS_NET_TLS_WORLD_H
#define RELAYD_TESTS_NET_TLS_WORLD_H

#include "net/certificates.h"
#include "net/loop_private.h"
#include "net/stream_private.h"
#include "net/tls.h"

#include <check.h>

#define TURNS_MAX 200000 /* of a test that waits for something: then it failed */

/* The folder of certificates is made once for a case, the rest is each test's own. */
struct world {
	char folder[100];
	struct arena arena;
	struct loop *loop; /* a test's own */
	struct tls_ticket_keys *keys;
	struct tls_client *client; /* for callbacks that have no other way to it */
	struct fault fault;
};

extern struct world w;

/* A case whose tests have the world. */
TCase *tls_case_new(const char *name);
int tls_suite_main(Suite *suite);

#define ADD_TABLE(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(table))

/* A stream with a record of what happened to it, and what its callbacks shall do. */
struct end {
	struct stream stream;
	struct arena arena;
	struct buffer got;
	const struct tls_facts *facts; /* NULL until done, or when it failed */
	struct fault fault;
	int done_calls;
	int ended_calls;
	enum stream_end how;
	int drained_calls;
	bool echoes;
	bool closes_in_done;
	bool frees_in_done;
	struct span greeting; /* written in done */
	size_t to_write;      /* octets of a pattern, as there is room */
	size_t written;
};

/* Both ends, ours, until both have said that it is over. */
struct both {
	struct end *server;
	struct end *client;
};

/* The library's client. */
struct raw {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

/* --- files, servers, clients --- */

/* The path of a file in the folder; make an identity and write its files there. */
const char *at(const char *name);
struct identity identity_named(const char *name, struct wish wish);
struct tls_pair pair_named(const char *name);

int64_t now(void);

struct tls_server *server_new(const struct tls_settings *settings, size_t count);

/* One section with the ECDSA pair and the clients' CA. */
struct tls_server *server_simple(enum tls_profile profile);

/* One route; ca and pair_name may be NULL. */
struct tls_client *client_new(const char *ca, const char *pair_name,
			      enum tls_profile profile);

/* --- ends --- */

extern const struct stream_events end_events;
size_t end_received(struct stream *stream, struct span bytes);
void end_ended(struct stream *stream, enum stream_end how);
void end_drained(struct stream *stream);
void end_done(struct stream *stream, const struct tls_facts *facts, struct fault *fault);

/* Two connected descriptors; a stream on one, in clear, or beginning TLS. */
void pair_make(int pair[2]);
struct end *end_new(int fd);
struct end *end_accept(int fd, const struct tls_offer *offer);
struct end *end_connect(int fd, struct tls_client *client, const char *name,
			enum tls_check check);
struct end *end_of(struct stream *stream);
void end_free(struct end **end);

/* Write a pattern of to_write octets, as there is room; is it what came? */
void end_write_more(struct end *e);
void pattern_check(struct span bytes);

/* Both ends begun; both handshakes over, one way or the other. */
struct both both_begin(const struct tls_offer *offer, struct tls_client *client,
		       const char *name, enum tls_check check);
struct both both_make(const struct tls_offer *offer, struct tls_client *client,
		      const char *name, enum tls_check check);
void both_free(struct both *b);

/* Turns of the loop until it is so. */
bool end_is_over(const struct end *e);
void got_wait(struct end *e, size_t octets);
void ended_wait(struct end *e);

bool has_identity(const struct tls_facts *facts, const char *text);

/* --- the library by itself --- */

/* A client on fd that takes anything, within these versions. */
struct raw raw_new(int fd, int version_min, int version_max);
void raw_free(struct raw *r);

/* A server end of ours and a raw client; not yet shaken hands. */
struct end *raw_begin(const struct tls_offer *offer, struct raw *r, int version_min,
		      int version_max);

/* Ask for a server's name; take these signatures only. (The library takes no constants.) */
void raw_ask(struct raw *r, const char *name);
void raw_sign_with(struct raw *r, const char *algorithms);

bool raw_handshake(struct raw *r);
void raw_write(struct raw *r, const char *text);

/* Read until so many octets are there, or it ends; how many. */
size_t raw_read(struct raw *r, char *to, size_t octets);

#endif
