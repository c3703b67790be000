/* SPDX-License-Identifier: ISC */
/* The world in which TLS is tested; see tls_world.h. */
#define _GNU_SOURCE /* mkdtemp */
#include "net/tls_world.h"

#include "base/clock.h"
#include "base/memory.h"

#include "suite.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- the world: made once, for all tests ----------------------------------------------- */

struct world w;

/* The path of a file in the folder. */
const char *
at(const char *name)
{
	struct buffer text;

	buffer_init(&text, 400);
	ck_assert(buffer_printf(&text, "%s/%s", w.folder, name));
	const char *path = arena_copy_text(&w.arena, buffer_span(&text));

	buffer_reset(&text);
	return path;
}

/* Make an identity and write its files under the name. */
struct identity
identity_named(const char *name, struct wish wish)
{
	struct identity made = identity_make(wish);

	identity_write(w.folder, name, &made, NULL);
	return made;
}

static void
world_make(void)
{
	struct identity ca, foreign_ca, ec, rsa, other, any, sub;
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(w.folder, sizeof(w.folder), "%s/relayd-tls-XXXXXX",
		       tmp == NULL ? "/tmp" : tmp);
	ck_assert_ptr_nonnull(mkdtemp(w.folder));
	ca = identity_named("ca", (struct wish){ .common_name = "Test CA", .is_ca = true });
	foreign_ca =
	    identity_named("foreign-ca", (struct wish){ .common_name = "X CA", .is_ca = true });
	ec = identity_named("ec", (struct wish){ .common_name = "relay",
						 .alternatives = "DNS:relay.example.com,"
								 "DNS:*.in.example.com,"
								 "IP:127.0.0.1",
						 .by = &ca });
	rsa = identity_named("rsa", (struct wish){ .common_name = "relay",
						   .alternatives = "DNS:relay.example.com",
						   .by = &ca,
						   .rsa_bits = 2048 });
	other = identity_named("other", (struct wish){ .common_name = "other",
						       .alternatives = "DNS:other.example.org,"
								       "DNS:relay.example.com",
						       .by = &ca });
	any = identity_named("weak", (struct wish){ .common_name = "old", .rsa_bits = 1024 });
	identity_free(&any);
	any = identity_named("expired", (struct wish){ .common_name = "old",
						       .alternatives = "DNS:relay.example.com",
						       .by = &ca,
						       .from_s = -100 * DAY_S,
						       .until_s = -2 * DAY_S });
	identity_free(&any);
	any = identity_named("client",
			     (struct wish){ .common_name = "Billing \xc3\x84",
					    .alternatives = "DNS:Billing.example.com,"
							    "email:billing@example.com,"
							    "IP:192.0.2.1",
					    .by = &ca });
	identity_free(&any);
	any = identity_named("sub-ca", (struct wish){ .common_name = "Test Sub CA",
						      .by = &foreign_ca,
						      .is_ca = true });
	sub = identity_named("sub-client", (struct wish){ .common_name = "sub",
							  .alternatives = "DNS:sub.example.com",
							  .by = &any });
	identity_free(&sub);
	identity_free(&any);
	any = identity_named("odd-client", (struct wish){ .common_name = "a\nb",
							  .alternatives = "DNS:a b,email:c\x01@d",
							  .by = &ca });
	identity_free(&any);
	any = identity_named("foreign-client", (struct wish){ .common_name = "billing",
							      .alternatives =
								  "DNS:billing.example.com",
							      .by = &foreign_ca });
	identity_free(&any);
	any = identity_named("self-signed", (struct wish){ .common_name = "relay",
							   .alternatives =
							       "DNS:relay.example.com" });
	identity_free(&any);
	key_write_encrypted(w.folder, "encrypted", ec.key);
	staple_write(w.folder, "good", &ec, &ca, V_OCSP_CERTSTATUS_GOOD, DAY_S);
	staple_write(w.folder, "old", &ec, &ca, V_OCSP_CERTSTATUS_GOOD, -30);
	staple_write(w.folder, "revoked", &ec, &ca, V_OCSP_CERTSTATUS_REVOKED, DAY_S);
	identity_write(w.folder, "chain", &ec, &ca);
	text_write(w.folder, "nonsense", "this is no certificate\n");
	text_write(w.folder, "torn.crt",
		   "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	text_write(w.folder, "empty", "");
	identity_free(&ca);
	identity_free(&foreign_ca);
	identity_free(&ec);
	identity_free(&rsa);
	identity_free(&other);
}

static void
world_unmake(void)
{
	DIR *folder = opendir(w.folder);
	const struct dirent *entry;

	ck_assert_ptr_nonnull(folder);
	while ((entry = readdir(folder)) != NULL)
		(void)unlinkat(dirfd(folder), entry->d_name, 0);
	(void)closedir(folder);
	(void)rmdir(w.folder);
	arena_reset(&w.arena);
}

static void
test_begin(void)
{
	w.loop = loop_new(&w.fault);
	ck_assert_ptr_nonnull(w.loop);
	w.keys = tls_ticket_keys_new(&w.fault);
	ck_assert_ptr_nonnull(w.keys);
}

static void
test_end(void)
{
	tls_ticket_keys_free(&w.keys);
	loop_free(&w.loop);
	arena_reset(&w.arena);
}

/* --- servers and clients --------------------------------------------------------------- */

int64_t
now(void)
{
	return clock_wall_ms();
}

struct tls_pair
pair_named(const char *name)
{
	struct buffer text;

	buffer_init(&text, 100);
	(void)buffer_printf(&text, "%s.crt", name);
	const char *certificate = at(buffer_text(&text));

	buffer_clear(&text);
	(void)buffer_printf(&text, "%s.key", name);
	const char *key = at(buffer_text(&text));

	buffer_reset(&text);
	return (struct tls_pair){ .certificate = certificate, .key = key };
}

struct tls_server *
server_new(const struct tls_settings *settings, size_t count)
{
	struct tls_server *server = tls_server_new(settings, count, w.keys, now(), &w.fault);

	ck_assert_msg(server != NULL, "%s", server == NULL ? fault_text(&w.fault) : "");
	return server;
}

/* One section with the ECDSA pair and the clients' CA. */
struct tls_server *
server_simple(enum tls_profile profile)
{
	struct tls_pair pair = pair_named("ec");
	struct tls_settings settings = { .name = "default",
					 .pairs = &pair,
					 .pair_count = 1,
					 .client_ca = at("ca.crt"),
					 .profile = profile };

	return server_new(&settings, 1);
}

struct tls_client *
client_new(const char *ca, const char *pair_name, enum tls_profile profile)
{
	struct tls_pair pair = pair_named(pair_name == NULL ? "" : pair_name);
	struct tls_client_settings settings = { .name = "out",
						.pair = pair_name == NULL ? NULL : &pair,
						.ca = ca == NULL ? NULL : at(ca),
						.profile = profile };
	struct tls_client *client = tls_client_new(&settings, 1, now(), &w.fault);

	ck_assert_msg(client != NULL, "%s", client == NULL ? fault_text(&w.fault) : "");
	return client;
}

/* --- ends of connections --------------------------------------------------------------- */

struct end *
end_of(struct stream *stream)
{
	return LIST_OWNER(stream, struct end, stream);
}

void
end_free(struct end **end)
{
	struct end *e = *end;

	stream_close(&e->stream);
	buffer_reset(&e->got);
	arena_reset(&e->arena);
	free(e);
	*end = NULL;
}

static char
pattern(size_t i)
{
	return (char)((i * 7 + (i >> 8) * 31 + (i >> 16)) & 0xff);
}

void
pattern_check(struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.ptr[i] != pattern(i))
			ck_abort_msg("octet %zu is wrong", i);
	}
}

void
end_write_more(struct end *e)
{
	char piece[5000];

	while (e->written < e->to_write && stream_unsent(&e->stream) < 200000) {
		size_t n = e->to_write - e->written < sizeof(piece) ? e->to_write - e->written :
								       sizeof(piece);

		for (size_t i = 0; i < n; i++)
			piece[i] = pattern(e->written + i);
		ck_assert(stream_write(&e->stream, (struct span){ piece, n }));
		e->written += n;
	}
}

size_t
end_received(struct stream *stream, struct span bytes)
{
	struct end *e = end_of(stream);

	ck_assert_int_eq(e->done_calls, 1);
	ck_assert(buffer_append(&e->got, bytes));
	if (e->echoes)
		(void)stream_write(stream, bytes);
	return bytes.len;
}

void
end_ended(struct stream *stream, enum stream_end how)
{
	ck_assert(!stream_is_open(stream));
	end_of(stream)->ended_calls++;
	end_of(stream)->how = how;
}

void
end_drained(struct stream *stream)
{
	end_of(stream)->drained_calls++;
	end_write_more(end_of(stream));
}

const struct stream_events end_events = {
	.received = end_received,
	.ended = end_ended,
	.drained = end_drained,
};

void
end_done(struct stream *stream, const struct tls_facts *facts, struct fault *fault)
{
	struct end *e = end_of(stream);

	e->done_calls++;
	ck_assert(stream_is_open(stream) == (facts != NULL));
	if (facts == NULL) {
		ck_assert_ptr_nonnull(fault);
		e->fault = *fault;
	} else {
		e->facts = tls_facts_copy(&e->arena, facts);
		if (e->greeting.len > 0)
			ck_assert(stream_write(stream, e->greeting));
	}
	if (e->closes_in_done)
		stream_close(stream);
	if (e->frees_in_done)
		end_free(&e);
}

/* A stream on the descriptor. */
struct end *
end_new(int fd)
{
	struct end *e = memory_new(sizeof(*e));

	buffer_init(&e->got, 64 << 20);
	ck_assert(stream_accept(&e->stream, w.loop, fd, &end_events, 100000, 4 << 20, &w.fault));
	return e;
}

struct end *
end_accept(int fd, const struct tls_offer *offer)
{
	struct end *e = end_new(fd);

	ck_assert_msg(tls_accept(&e->stream, offer, end_done, &w.fault), "%s",
		      fault_text(&w.fault));
	return e;
}

struct end *
end_connect(int fd, struct tls_client *client, const char *name, enum tls_check check)
{
	struct end *e = end_new(fd);
	struct tls_request request = { .client = client, .name = span_of(name), .check = check };

	ck_assert_msg(tls_connect(&e->stream, &request, end_done, &w.fault), "%s",
		      fault_text(&w.fault));
	return e;
}

void
pair_make(int pair[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
}

struct both
both_begin(const struct tls_offer *offer, struct tls_client *client, const char *name,
	   enum tls_check check)
{
	int pair[2];

	pair_make(pair);
	return (struct both){ end_accept(pair[0], offer),
			      end_connect(pair[1], client, name, check) };
}

bool
end_is_over(const struct end *e)
{
	return e->done_calls > 0 || e->ended_calls > 0;
}

struct both
both_make(const struct tls_offer *offer, struct tls_client *client, const char *name,
	  enum tls_check check)
{
	struct both b = both_begin(offer, client, name, check);

	for (int i = 0; i < TURNS_MAX && !(end_is_over(b.server) && end_is_over(b.client)); i++)
		loop_turn(w.loop, 1000);
	ck_assert_int_eq(b.server->done_calls, 1);
	ck_assert_int_eq(b.client->done_calls, 1);
	return b;
}

void
both_free(struct both *b)
{
	end_free(&b->server);
	end_free(&b->client);
}

void
got_wait(struct end *e, size_t octets)
{
	for (int i = 0; i < TURNS_MAX && e->got.len < octets && e->ended_calls == 0; i++)
		loop_turn(w.loop, 1000);
	ck_assert_uint_eq(e->got.len, octets);
}

void
ended_wait(struct end *e)
{
	for (int i = 0; i < TURNS_MAX && e->ended_calls == 0; i++)
		loop_turn(w.loop, 1000);
	ck_assert_int_eq(e->ended_calls, 1);
}

bool
has_identity(const struct tls_facts *facts, const char *text)
{
	for (size_t i = 0; i < facts->identity_count; i++) {
		if (span_equal(facts->identities[i], span_of(text)))
			return true;
	}
	return false;
}

/* --- the library by itself, as a client ------------------------------------------------ */

/* A client on fd that takes anything, within these versions. */
struct raw
raw_new(int fd, int version_min, int version_max)
{
	struct raw r = { SSL_CTX_new(TLS_client_method()), NULL, fd };

	ck_assert_ptr_nonnull(r.context);
	SSL_CTX_set_security_level(r.context, 0);
	ck_assert_int_eq(SSL_CTX_set_min_proto_version(r.context, version_min), 1);
	ck_assert_int_eq(SSL_CTX_set_max_proto_version(r.context, version_max), 1);
	ck_assert_int_eq(SSL_CTX_set_cipher_list(r.context, "ALL:COMPLEMENTOFALL"), 1);
	r.ssl = SSL_new(r.context);
	ck_assert_int_eq(SSL_set_fd(r.ssl, fd), 1);
	SSL_set_connect_state(r.ssl);
	return r;
}

/* Ask for a server's name. (The library's macros take no constants.) */
void
raw_ask(struct raw *r, const char *name)
{
	char *copy = memory_copy_text(span_of(name));

	ck_assert_int_eq(SSL_set_tlsext_host_name(r->ssl, copy), 1);
	free(copy);
}

/* Take these signatures only. */
void
raw_sign_with(struct raw *r, const char *algorithms)
{
	char *copy = memory_copy_text(span_of(algorithms));

	ck_assert_int_eq(SSL_set1_sigalgs_list(r->ssl, copy), 1);
	free(copy);
}

void
raw_free(struct raw *r)
{
	SSL_free(r->ssl);
	SSL_CTX_free(r->context);
	if (r->fd != -1)
		(void)close(r->fd);
}

static bool
raw_may_go_on(const struct raw *r, int result)
{
	int error = SSL_get_error(r->ssl, result);

	ERR_clear_error();
	loop_turn(w.loop, 0);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool
raw_handshake(struct raw *r)
{
	int result;

	do {
		result = SSL_do_handshake(r->ssl);
	} while (result != 1 && raw_may_go_on(r, result));
	return result == 1;
}

/* Read until so many octets are there, or it ends; how many. */
size_t
raw_read(struct raw *r, char *to, size_t octets)
{
	size_t got = 0, n;

	while (got < octets) {
		int result = SSL_read_ex(r->ssl, to + got, octets - got, &n);

		if (result == 1)
			got += n;
		else if (!raw_may_go_on(r, result))
			break;
	}
	return got;
}

void
raw_write(struct raw *r, const char *text)
{
	size_t n;
	int result;

	do {
		result = SSL_write_ex(r->ssl, text, strlen(text), &n);
	} while (result != 1 && raw_may_go_on(r, result));
	ck_assert_int_eq(result, 1);
}

/* A server end of ours and a raw client; not yet shaken hands. */
struct end *
raw_begin(const struct tls_offer *offer, struct raw *r, int version_min, int version_max)
{
	int pair[2];

	pair_make(pair);
	*r = raw_new(pair[1], version_min, version_max);
	return end_accept(pair[0], offer);
}

TCase *
tls_case_new(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_unchecked_fixture(tc, world_make, world_unmake);
	tcase_add_checked_fixture(tc, test_begin, test_end);
	return tc;
}

int
tls_suite_main(Suite *suite)
{
	(void)signal(SIGPIPE, SIG_IGN); /* the library's own client writes to closed sockets */
	return suite_main(suite);
}
