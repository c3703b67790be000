/* SPDX-License-Identifier: ISC */
/* net/tls: against itself, against the library by itself, and against the openssl command. */
#define _GNU_SOURCE /* mkdtemp, wildcards of signals */
#include "base/clock.h"
#include "base/memory.h"
#include "net/certificates.h"
#include "net/listener.h"
#include "net/loop_private.h"
#include "net/stream_private.h"
#include "net/tls.h"

#include "suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define TURNS_MAX 200000 /* of a test that waits for something: then it failed */

/* --- the world: made once, for all tests --------------------------------------------------- */

static struct world {
	char folder[100];
	struct arena arena;
	struct loop *loop; /* a test's own */
	struct tls_ticket_keys *keys;
	struct fault fault;
} w;

/* The path of a file in the folder. */
static const char *
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
static struct identity
identity_named(const char *name, struct wish wish)
{
	struct identity made = identity_make(wish);

	identity_write(w.folder, name, &made, NULL);
	return made;
}

static void
world_make(void)
{
	struct identity ca, foreign_ca, ec, rsa, other, any;
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

/* --- servers and clients ------------------------------------------------------------------- */

static int64_t
now(void)
{
	return clock_wall_ms();
}

static struct tls_pair
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

static struct tls_server *
server_new(const struct tls_settings *settings, size_t count)
{
	struct tls_server *server = tls_server_new(settings, count, w.keys, now(), &w.fault);

	ck_assert_msg(server != NULL, "%s", server == NULL ? fault_text(&w.fault) : "");
	return server;
}

/* One section with the ECDSA pair and the clients' CA. */
static struct tls_server *
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

static struct tls_client *
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

/* --- ends of connections ------------------------------------------------------------------- */

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

static struct end *
end_of(struct stream *stream)
{
	return LIST_OWNER(stream, struct end, stream);
}

static void
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

static void
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

static size_t
end_received(struct stream *stream, struct span bytes)
{
	struct end *e = end_of(stream);

	ck_assert_int_eq(e->done_calls, 1);
	ck_assert(buffer_append(&e->got, bytes));
	if (e->echoes)
		(void)stream_write(stream, bytes);
	return bytes.len;
}

static void
end_ended(struct stream *stream, enum stream_end how)
{
	ck_assert(!stream_is_open(stream));
	end_of(stream)->ended_calls++;
	end_of(stream)->how = how;
}

static void
end_drained(struct stream *stream)
{
	end_of(stream)->drained_calls++;
	end_write_more(end_of(stream));
}

static const struct stream_events end_events = {
	.received = end_received,
	.ended = end_ended,
	.drained = end_drained,
};

static void
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
static struct end *
end_new(int fd)
{
	struct end *e = memory_new(sizeof(*e));

	buffer_init(&e->got, 64 << 20);
	ck_assert(stream_accept(&e->stream, w.loop, fd, &end_events, 100000, 4 << 20, &w.fault));
	return e;
}

static struct end *
end_accept(int fd, const struct tls_offer *offer)
{
	struct end *e = end_new(fd);

	ck_assert_msg(tls_accept(&e->stream, offer, end_done, &w.fault), "%s",
		      fault_text(&w.fault));
	return e;
}

static struct end *
end_connect(int fd, struct tls_client *client, const char *name, enum tls_check check)
{
	struct end *e = end_new(fd);
	struct tls_request request = { .client = client, .name = span_of(name), .check = check };

	ck_assert_msg(tls_connect(&e->stream, &request, end_done, &w.fault), "%s",
		      fault_text(&w.fault));
	return e;
}

static void
pair_make(int pair[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
}

/* Both ends, ours, until both have said that it is over. */
struct both {
	struct end *server;
	struct end *client;
};

static struct both
both_begin(const struct tls_offer *offer, struct tls_client *client, const char *name,
	   enum tls_check check)
{
	int pair[2];

	pair_make(pair);
	return (struct both){ end_accept(pair[0], offer),
			      end_connect(pair[1], client, name, check) };
}

static bool
end_is_over(const struct end *e)
{
	return e->done_calls > 0 || e->ended_calls > 0;
}

static struct both
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

static void
both_free(struct both *b)
{
	end_free(&b->server);
	end_free(&b->client);
}

static void
got_wait(struct end *e, size_t octets)
{
	for (int i = 0; i < TURNS_MAX && e->got.len < octets && e->ended_calls == 0; i++)
		loop_turn(w.loop, 1000);
	ck_assert_uint_eq(e->got.len, octets);
}

static void
ended_wait(struct end *e)
{
	for (int i = 0; i < TURNS_MAX && e->ended_calls == 0; i++)
		loop_turn(w.loop, 1000);
	ck_assert_int_eq(e->ended_calls, 1);
}

static bool
has_identity(const struct tls_facts *facts, const char *text)
{
	for (size_t i = 0; i < facts->identity_count; i++) {
		if (span_equal(facts->identities[i], span_of(text)))
			return true;
	}
	return false;
}

/* --- the library by itself, as a client ---------------------------------------------------- */

struct raw {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

/* A client on fd that takes anything, within these versions. */
static struct raw
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
static void
raw_ask(struct raw *r, const char *name)
{
	char *copy = memory_copy_text(span_of(name));

	ck_assert_int_eq(SSL_set_tlsext_host_name(r->ssl, copy), 1);
	free(copy);
}

/* Take these signatures only. */
static void
raw_sign_with(struct raw *r, const char *algorithms)
{
	char *copy = memory_copy_text(span_of(algorithms));

	ck_assert_int_eq(SSL_set1_sigalgs_list(r->ssl, copy), 1);
	free(copy);
}

static void
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

static bool
raw_handshake(struct raw *r)
{
	int result;

	do {
		result = SSL_do_handshake(r->ssl);
	} while (result != 1 && raw_may_go_on(r, result));
	return result == 1;
}

/* Read until so many octets are there, or it ends; how many. */
static size_t
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

static void
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
static struct end *
raw_begin(const struct tls_offer *offer, struct raw *r, int version_min, int version_max)
{
	int pair[2];

	pair_make(pair);
	*r = raw_new(pair[1], version_min, version_max);
	return end_accept(pair[0], offer);
}

/* --- what is read from files ---------------------------------------------------------------- */

START_TEST(server_needs_its_files_no_longer_once_it_is_made)
{
	struct tls_pair pair = { at("copy.crt"), at("copy.key"), NULL };
	struct tls_settings settings = { .name = "default", .pairs = &pair, .pair_count = 1,
					 .client_ca = at("copy.crt") };
	struct identity made = identity_named("copy", (struct wish){ .common_name = "x" });
	struct tls_server *server = server_new(&settings, 1);
	struct tls_client *client = client_new("copy.crt", "copy", TLS_MODERN);

	identity_free(&made);
	ck_assert_int_eq(unlink(pair.certificate), 0);
	ck_assert_int_eq(unlink(pair.key), 0);
	struct tls_offer offer = { .server = server, .wants_certificate = true };
	struct both b = both_make(&offer, client, "x", TLS_CHECK_NOTHING);

	ck_assert_ptr_nonnull(b.server->facts);
	ck_assert_ptr_nonnull(b.client->facts);
	ck_assert_uint_ge(b.server->facts->identity_count, 1);
	both_free(&b);
	tls_server_free(&server);
	tls_client_free(&client);
}
END_TEST

static const struct {
	const char *certificate, *key, *staple, *client_ca;
	enum tls_profile profile;
	const char *says[2]; /* both in the fault */
} unusable[] = {
	{ "absent.crt", "ec.key", NULL, NULL, TLS_MODERN, { "/absent.crt", "No such file" } },
	{ "ec.crt", "absent.key", NULL, NULL, TLS_MODERN, { "/absent.key", "No such file" } },
	{ ".", "ec.key", NULL, NULL, TLS_MODERN, { "read ", "Is a directory" } },
	{ "nonsense", "ec.key", NULL, NULL, TLS_MODERN, { "/nonsense", "holds no certificate" } },
	{ "empty", "ec.key", NULL, NULL, TLS_MODERN, { "/empty", "holds no certificate" } },
	{ "torn.crt", "ec.key", NULL, NULL, TLS_MODERN, { "/torn.crt", "damaged" } },
	{ "ec.key", "ec.key", NULL, NULL, TLS_MODERN, { "/ec.key", "holds no certificate" } },
	{ "ec.crt", "ec.crt", NULL, NULL, TLS_MODERN, { "/ec.crt", "no private key" } },
	{ "ec.crt", NULL, NULL, NULL, TLS_MODERN, { "/ec.crt", "no private key" } },
	{ "ec.crt", "rsa.key", NULL, NULL, TLS_MODERN, { "/rsa.key does not belong", "/ec.crt" } },
	{ "ec.crt", "other.key", NULL, NULL, TLS_MODERN, { "/other.key does", "/ec.crt" } },
	{ "ec.crt", "encrypted.key", NULL, NULL, TLS_MODERN, { "/encrypted.key", "is encrypted" } },
	{ "expired.crt", "expired.key", NULL, NULL, TLS_MODERN, { "/expired.crt", "expired on 20" } },
	{ "weak.crt", "weak.key", NULL, NULL, TLS_INTERMEDIATE, { "/weak.crt", "too small" } },
	{ "ec.crt", "ec.key", "absent", NULL, TLS_MODERN, { "/absent", "No such file" } },
	{ "ec.crt", "ec.key", "nonsense", NULL, TLS_MODERN, { "/nonsense", "no OCSP response" } },
	{ "rsa.crt", "rsa.key", "good.ocsp", NULL, TLS_MODERN, { "/good.ocsp", "another cert" } },
	{ "ec.crt", "ec.key", "revoked.ocsp", NULL, TLS_MODERN, { "/revoked.ocsp", "revoked" } },
	{ "ec.crt", "ec.key", NULL, "absent", TLS_MODERN, { "/absent", "No such file" } },
	{ "ec.crt", "ec.key", NULL, "nonsense", TLS_MODERN, { "/nonsense", "no CA" } },
	{ "ec.crt", "ec.key", NULL, "torn.crt", TLS_MODERN, { "/torn.crt", "damaged" } },
};

START_TEST(unusable_file_is_a_fault_that_names_section_and_file)
{
	struct tls_pair pair = {
		at(unusable[_i].certificate),
		unusable[_i].key == NULL ? NULL : at(unusable[_i].key),
		unusable[_i].staple == NULL ? NULL : at(unusable[_i].staple),
	};
	struct tls_settings settings = {
		.name = "section 7",
		.pairs = &pair,
		.pair_count = 1,
		.client_ca = unusable[_i].client_ca == NULL ? NULL : at(unusable[_i].client_ca),
		.profile = unusable[_i].profile,
	};

	ck_assert_ptr_null(tls_server_new(&settings, 1, w.keys, now(), &w.fault));
	const char *text = fault_text(&w.fault);

	ck_assert_msg(strstr(text, "section 7") != NULL, "%s", text);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(strstr(text, unusable[_i].says[i]) != NULL, "%s", text);
}
END_TEST

START_TEST(two_certificates_of_one_kind_in_a_section_are_a_fault)
{
	struct tls_pair pairs[] = { pair_named("ec"), pair_named("other") };
	struct tls_settings settings = { .name = "s", .pairs = pairs, .pair_count = 2 };

	ck_assert_ptr_null(tls_server_new(&settings, 1, w.keys, now(), &w.fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&w.fault), "/other.crt: a second ECDSA"));
}
END_TEST

START_TEST(name_that_no_host_can_have_is_a_fault)
{
	static const char *const names[] = { "relay.example.com", "not a name" };
	struct tls_pair pair = pair_named("ec");
	struct tls_settings settings = { .name = "s", .pairs = &pair, .pair_count = 1,
					 .server_names = names, .server_name_count = 2 };

	ck_assert_ptr_null(tls_server_new(&settings, 1, w.keys, now(), &w.fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&w.fault), "not a name"));
}
END_TEST

START_TEST(clients_files_are_checked_like_a_servers)
{
	struct tls_pair pair = { at("ec.crt"), at("rsa.key"), NULL };
	struct tls_client_settings wrong_pair = { .name = "r", .pair = &pair };
	struct tls_client_settings wrong_ca[] = { { .name = "a", .ca = at("ca.crt") },
						  { .name = "b", .ca = at("absent") } };

	ck_assert_ptr_null(tls_client_new(&wrong_pair, 1, now(), &w.fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&w.fault), "/rsa.key does not belong"));
	ck_assert_ptr_null(tls_client_new(wrong_ca, 2, now(), &w.fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&w.fault), "tls \"b\""));
}
END_TEST

START_TEST(certificates_tell_when_they_expire)
{
	struct tls_pair pairs[] = { pair_named("ec"), pair_named("rsa") };
	size_t count;

	pairs[0].ocsp_staple = at("good.ocsp");
	struct tls_settings settings = { .name = "s", .pairs = pairs, .pair_count = 2 };
	struct tls_server *server = server_new(&settings, 1);
	const struct tls_certificate *told = tls_server_certificates(server, &count);

	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(told[0].section, "s");
	ck_assert_str_eq(told[0].file, at("ec.crt"));
	ck_assert_str_eq(told[0].kind, "ECDSA");
	ck_assert_str_eq(told[1].kind, "RSA");
	ck_assert_int_eq(tls_certificate_days_left(&told[0], now()), 89);
	ck_assert_int_eq(tls_certificate_days_left(&told[0], told[0].expires_at_ms), 0);
	ck_assert_int_eq(tls_certificate_days_left(&told[0], told[0].expires_at_ms + 1), -1);
	ck_assert_int_eq(
	    tls_certificate_days_left(&told[0], told[0].expires_at_ms + 86400000), -1);
	ck_assert_int_eq(
	    tls_certificate_days_left(&told[0], told[0].expires_at_ms + 86400001), -2);
	ck_assert_int_eq((told[0].staple_expires_at_ms - now()) / 3600000, 23);
	ck_assert_int_eq(told[1].staple_expires_at_ms, 0);
	tls_server_free(&server);
}
END_TEST

START_TEST(expiry_is_judged_by_the_time_that_is_given)
{
	struct tls_pair pair = pair_named("expired");
	struct tls_settings settings = { .name = "s", .pairs = &pair, .pair_count = 1 };
	struct tls_server *server =
	    tls_server_new(&settings, 1, w.keys, now() - 3 * 86400000, &w.fault);

	ck_assert_ptr_nonnull(server);
	tls_server_free(&server);
}
END_TEST

/* --- handshakes --------------------------------------------------------------------------- */

START_TEST(handshake_ends_with_facts_and_bytes_go_both_ways)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "Relay.Example.com.", TLS_CHECK_NAME);

	ck_assert_str_eq(b.server->facts->version, "TLSv1.3");
	ck_assert_str_eq(b.server->facts->cipher, "TLS_AES_256_GCM_SHA384");
	ck_assert_uint_eq(b.server->facts->cipher_bits, 256);
	ck_assert(!b.server->facts->is_resumed);
	ck_assert(span_equal(b.server->facts->server_name, span_of("relay.example.com")));
	ck_assert_uint_eq(b.server->facts->identity_count, 0);
	ck_assert(!b.server->facts->is_verified);
	ck_assert_ptr_null(b.server->facts->unverified);
	ck_assert(b.client->facts->is_verified);
	ck_assert(has_identity(b.client->facts, "dns:relay.example.com"));
	ck_assert(has_identity(b.client->facts, "dns:*.in.example.com"));
	ck_assert(has_identity(b.client->facts, "cn:relay"));
	b.server->echoes = true;
	ck_assert(stream_write(&b.client->stream, span_of("EHLO there\r\n")));
	got_wait(b.client, 12);
	ck_assert(span_equal(buffer_span(&b.client->got), span_of("EHLO there\r\n")));
	for (int i = 0; i < 5; i++)
		loop_turn(w.loop, 0);
	ck_assert_int_eq(b.client->drained_calls, 1); /* for what was written, no more */
	ck_assert_int_eq(b.server->drained_calls, 1);
	both_free(&b);
	tls_server_free(&server);
	tls_client_free(&client);
}
END_TEST

START_TEST(greeting_may_be_written_as_soon_as_the_handshake_is_done)
{
	struct tls_server *server = server_simple(TLS_MODERN);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_MODERN);
	struct tls_offer offer = { .server = server };
	struct both b = both_begin(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	b.server->greeting = span_of("220 relay\r\n");
	b.client->greeting = span_of("EHLO early\r\n"); /* in one segment with its last message */
	got_wait(b.client, 11);
	got_wait(b.server, 12);
	both_free(&b);
	tls_server_free(&server);
	tls_client_free(&client);
}
END_TEST

START_TEST(what_is_written_during_the_handshake_leaves_after_it)
{
	struct tls_server *server = server_simple(TLS_MODERN);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_MODERN);
	struct tls_offer offer = { .server = server };
	struct both b = both_begin(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	ck_assert(stream_write(&b.server->stream, span_of("220 relay\r\n")));
	for (int i = 0; i < 3; i++)
		loop_turn(w.loop, 0);
	ck_assert(stream_write(&b.client->stream, span_of("EHLO\r\n")));
	got_wait(b.client, 11);
	got_wait(b.server, 6);
	both_free(&b);

	/* and not at all when there is none: nothing goes in clear, and nobody spins */
	int pair[2];
	char text[10];

	pair_make(pair);
	struct end *e = end_accept(pair[0], &offer);

	ck_assert(stream_write(&e->stream, span_of("220 relay\r\n")));
	stream_close_when_drained(&e->stream);
	for (int i = 0; i < 3; i++)
		loop_turn(w.loop, 0);
	int64_t before = clock_monotonic_ms();

	loop_turn(w.loop, 40);
	ck_assert_int_ge(clock_monotonic_ms() - before, 39);
	ck_assert_int_eq(read(pair[1], text, sizeof(text)), -1);
	end_free(&e);
	ck_assert_int_eq(read(pair[1], text, sizeof(text)), 0);
	(void)close(pair[1]);
	tls_server_free(&server);
	tls_client_free(&client);
}
END_TEST

START_TEST(done_may_close_or_free_its_stream)
{
	struct tls_server *server = server_simple(TLS_MODERN);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_MODERN);
	struct tls_offer offer = { .server = server };
	struct both b = both_begin(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	b.server->closes_in_done = _i == 0;
	b.server->frees_in_done = _i == 1;
	ended_wait(b.client);
	ck_assert_int_eq(b.client->how, STREAM_CLOSED_BY_PEER); /* it said goodbye */
	if (_i == 0)
		end_free(&b.server);
	end_free(&b.client);
	tls_server_free(&server);
	tls_client_free(&client);
}
END_TEST

START_TEST(failed_handshake_may_free_its_stream_in_done)
{
	struct tls_server *server = server_simple(TLS_MODERN);
	struct tls_client *client = client_new("foreign-ca.crt", NULL, TLS_MODERN);
	struct tls_offer offer = { .server = server };
	struct both b = both_begin(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	b.client->frees_in_done = true;
	for (int i = 0; i < TURNS_MAX && b.server->done_calls + b.server->ended_calls == 0; i++)
		loop_turn(w.loop, 1000);
	ck_assert_int_eq(b.server->done_calls, 1);
	ck_assert_ptr_null(b.server->facts);
	ck_assert_msg(strstr(fault_text(&b.server->fault), "unknown ca") != NULL, "%s",
		      b.server->fault.text); /* the alert arrived */
	end_free(&b.server);
	tls_server_free(&server);
	tls_client_free(&client);
}
END_TEST

START_TEST(owner_may_close_at_any_step_of_a_handshake)
{
	struct tls_server *server = server_simple(TLS_MODERN);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_MODERN);
	struct tls_offer offer = { .server = server };
	struct both b = both_begin(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	for (int i = 0; i < _i; i++)
		loop_turn(w.loop, 0);
	if (end_is_over(b.server) || end_is_over(b.client)) {
		both_free(&b); /* closed at all of its steps by now */
	} else {
		stream_close(&b.server->stream);
		for (int i = 0; i < TURNS_MAX && !end_is_over(b.client); i++)
			loop_turn(w.loop, 1000);
		ck_assert_int_eq(b.client->done_calls, 1);
		if (b.client->facts != NULL) /* it was done, and the server was not */
			ended_wait(b.client);
		ck_assert_int_eq(b.server->done_calls + b.server->ended_calls, 0);
		both_free(&b);
	}
	tls_server_free(&server);
	tls_client_free(&client);
}
END_TEST

static const struct {
	const char *said;
	const char *reason;
} not_tls[] = {
	{ "EHLO client.example.com\r\nMAIL FROM:<>\r\n", "wrong version number" },
	{ "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http request" },
	{ "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "" },
	{ "\x16\x03\x01\xff\xff\x01\x00\x00\x01\x00", "" },
	{ "\x80\x2e\x01\x03\x01", "" },
	{ "", "the peer closed the connection" },
	{ "\x16", "the peer closed the connection" },
};

START_TEST(what_is_not_tls_fails_and_says_why)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	int pair[2];

	pair_make(pair);
	struct end *e = end_accept(pair[0], &offer);
	size_t len = _i == 2 || _i == 3 ? 10 : strlen(not_tls[_i].said);

	ck_assert_int_eq(write(pair[1], not_tls[_i].said, len), (ssize_t)len);
	ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
	for (int i = 0; i < TURNS_MAX && !end_is_over(e); i++)
		loop_turn(w.loop, 1000);
	ck_assert_int_eq(e->done_calls, 1);
	ck_assert_ptr_null(e->facts);
	ck_assert_msg(strstr(fault_text(&e->fault), not_tls[_i].reason) != NULL, "%s",
		      e->fault.text);
	ck_assert_int_eq(e->ended_calls, 0);
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(peer_that_resets_in_a_handshake_fails_it)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_3_VERSION, TLS1_3_VERSION);

	ck_assert_int_ne(SSL_do_handshake(r.ssl), 1); /* the first message is out */
	(void)close(r.fd); /* our answer finds nobody */
	r.fd = -1;
	for (int i = 0; i < TURNS_MAX && !end_is_over(e); i++)
		loop_turn(w.loop, 1000);
	ck_assert_int_eq(e->done_calls, 1);
	ck_assert_ptr_null(e->facts);
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* --- STARTTLS and PROXY ------------------------------------------------------------------- */

static size_t
takes_a_line(struct stream *stream, struct span bytes)
{
	(void)stream;
	return bytes.len < 10 ? bytes.len : 10;
}

START_TEST(tls_does_not_begin_while_octets_in_clear_wait)
{
	static const struct stream_events events = { .received = takes_a_line,
						     .ended = end_ended };
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct end *e = memory_new(sizeof(*e));
	int pair[2];

	pair_make(pair);
	buffer_init(&e->got, 1000);
	ck_assert(stream_accept(&e->stream, w.loop, pair[0], &events, 1000, 1000, &w.fault));
	ck_assert_int_eq(write(pair[1], "STARTTLS\r\nMAIL FROM:<>\r\n", 24), 24);
	loop_turn(w.loop, 1000);
	ck_assert_uint_eq(stream_unread(&e->stream), 14);
	ck_assert(!tls_accept(&e->stream, &offer, end_done, &w.fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&w.fault), "in clear"));
	ck_assert(stream_is_open(&e->stream)); /* the owner may still say so */
	stream_close(&e->stream);
	(void)close(pair[1]);

	pair_make(pair);
	ck_assert(stream_accept(&e->stream, w.loop, pair[0], &events, 1000, 1000, &w.fault));
	ck_assert(stream_write(&e->stream, span_of("220 Go ahead\r\n")));
	ck_assert(!tls_accept(&e->stream, &offer, end_done, &w.fault));
	ck_assert_ptr_nonnull(strstr(fault_text(&w.fault), "has not left"));
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* A client that reads "220 ...\r\n" and begins TLS at once, in received. */
static struct tls_client *injected_client;

static size_t
begins_tls(struct stream *stream, struct span bytes)
{
	struct tls_request request = { .client = injected_client,
				       .name = SPAN_LITERAL("relay.example.com") };
	struct end *e = end_of(stream);
	size_t line = span_find(bytes, '\n') + 1;

	if (e->done_calls > 0)
		return end_received(stream, bytes);
	ck_assert(tls_connect(stream, &request, end_done, &w.fault));
	return line;
}

START_TEST(answer_in_clear_behind_the_one_to_starttls_breaks_the_stream)
{
	static const struct stream_events events = { .received = begins_tls, .ended = end_ended };
	static const char *const answers[] = { "220 Go ahead\r\n", "220 Go ahead\r\n250 ok\r\n" };
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct end *e = memory_new(sizeof(*e));
	int pair[2];

	injected_client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	pair_make(pair);
	buffer_init(&e->got, 1000);
	ck_assert(stream_accept(&e->stream, w.loop, pair[1], &events, 1000, 1000, &w.fault));
	struct end *s = end_new(pair[0]);

	ck_assert(stream_write(&s->stream, span_of(answers[_i])));
	loop_turn(w.loop, 0);
	ck_assert(tls_accept(&s->stream, &offer, end_done, &w.fault));
	for (int i = 0; i < TURNS_MAX && !end_is_over(e); i++)
		loop_turn(w.loop, 1000);
	ck_assert_int_eq(e->done_calls, _i == 0);
	ck_assert_int_eq(e->ended_calls, _i == 1);
	if (_i == 1)
		ck_assert_int_eq(e->stream.error, EPROTO);
	end_free(&s);
	end_free(&e);
	tls_server_free(&server);
	tls_client_free(&injected_client);
}
END_TEST

START_TEST(octets_behind_a_proxy_header_are_the_first_of_tls)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	char hello[4000];
	int pair[2];

	pair_make(pair);
	struct raw r = raw_new(pair[1], TLS1_3_VERSION, TLS1_3_VERSION);

	ck_assert_int_ne(SSL_do_handshake(r.ssl), 1);
	ssize_t n = read(pair[0], hello, sizeof(hello));

	ck_assert_int_gt(n, 100);
	/* a part was read with the header, the rest comes by itself */
	offer.first = (struct span){ hello, (size_t)n / 2 };
	ck_assert_int_eq(write(pair[1], hello + n / 2, (size_t)(n - n / 2)), n - n / 2);
	struct end *e = end_accept(pair[0], &offer);

	memset(hello, 0, sizeof(hello)); /* it was copied */
	ck_assert(raw_handshake(&r));
	raw_write(&r, "EHLO x\r\n");
	got_wait(e, 8);
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* --- profiles ----------------------------------------------------------------------------- */

static const struct {
	enum tls_profile profile;
	int version;
	const char *cipher; /* of the client, NULL: all */
	bool is_rsa;
	const char *agreed; /* NULL: no */
} limits[] = {
	{ TLS_MODERN, TLS1_3_VERSION, NULL, false, "TLS_AES_256_GCM_SHA384" },
	{ TLS_MODERN, TLS1_2_VERSION, NULL, false, NULL },
	{ TLS_INTERMEDIATE, TLS1_3_VERSION, NULL, true, "TLS_AES_256_GCM_SHA384" },
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, NULL, false, "ECDHE-ECDSA-AES128-GCM-SHA256" },
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, NULL, true, "ECDHE-RSA-AES128-GCM-SHA256" },
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", true,
	  "ECDHE-RSA-AES256-GCM-SHA384" },
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA256", true, NULL }, /* CBC */
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, "AES128-GCM-SHA256", true, NULL }, /* no secrecy */
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, "DHE-RSA-AES128-GCM-SHA256", true, NULL },
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, "eNULL", true, NULL },
	{ TLS_INTERMEDIATE, TLS1_2_VERSION, "aNULL", true, NULL },
	{ TLS_INTERMEDIATE, TLS1_1_VERSION, NULL, true, NULL },
	{ TLS_INTERMEDIATE, TLS1_VERSION, NULL, true, NULL },
	{ TLS_LEGACY, TLS1_3_VERSION, NULL, true, "TLS_AES_256_GCM_SHA384" },
	{ TLS_LEGACY, TLS1_2_VERSION, NULL, true, "ECDHE-RSA-AES128-GCM-SHA256" },
	{ TLS_LEGACY, TLS1_2_VERSION, "AES128-SHA", true, "AES128-SHA" },
	{ TLS_LEGACY, TLS1_1_VERSION, "AES256-SHA", true, "AES256-SHA" },
	{ TLS_LEGACY, TLS1_VERSION, "AES128-SHA", true, "AES128-SHA" },
	{ TLS_LEGACY, TLS1_VERSION, NULL, true, "ECDHE-RSA-AES256-SHA" },
	{ TLS_LEGACY, TLS1_VERSION, NULL, false, "ECDHE-ECDSA-AES256-SHA" },
	{ TLS_LEGACY, TLS1_2_VERSION, "eNULL", true, NULL },
	{ TLS_LEGACY, TLS1_2_VERSION, "aNULL", true, NULL },
};

START_TEST(profile_decides_on_versions_and_ciphers)
{
	struct tls_pair pair = pair_named(limits[_i].is_rsa ? "rsa" : "ec");
	struct tls_settings settings = { .name = "s", .pairs = &pair, .pair_count = 1,
					 .profile = limits[_i].profile };
	struct tls_server *server = server_new(&settings, 1);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, limits[_i].version, limits[_i].version);

	if (limits[_i].cipher != NULL)
		ck_assert_int_eq(SSL_set_cipher_list(r.ssl, limits[_i].cipher), 1);
	bool is_agreed = raw_handshake(&r);

	for (int i = 0; i < 10; i++)
		loop_turn(w.loop, 0);
	ck_assert_int_eq(e->done_calls, 1);
	ck_assert(is_agreed == (limits[_i].agreed != NULL));
	ck_assert((e->facts != NULL) == is_agreed);
	if (is_agreed) {
		ck_assert_str_eq(e->facts->cipher, limits[_i].agreed);
		ck_assert_str_eq(e->facts->version, SSL_get_version(r.ssl));
		e->echoes = true;
		raw_write(&r, "ping");
		char text[4];

		ck_assert_uint_eq(raw_read(&r, text, 4), 4);
	}
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(legacy_takes_the_weak_key_of_an_old_device)
{
	struct tls_pair pair = pair_named("weak");
	struct tls_settings settings = { .name = "s", .pairs = &pair, .pair_count = 1,
					 .profile = TLS_LEGACY };
	struct tls_server *server = server_new(&settings, 1);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_VERSION, TLS1_VERSION);

	ck_assert(raw_handshake(&r));
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(rsa_and_ecdsa_stand_side_by_side)
{
	struct tls_pair pairs[] = { pair_named("rsa"), pair_named("ec") };
	struct tls_settings settings = { .name = "s", .pairs = pairs, .pair_count = 2,
					 .profile = TLS_INTERMEDIATE };
	struct tls_server *server = server_new(&settings, 1);
	struct tls_offer offer = { .server = server };
	static const char *const lists[] = { "ECDHE-RSA-AES128-GCM-SHA256",
					     "ECDHE-ECDSA-AES128-GCM-SHA256" };
	static const int kinds[] = { EVP_PKEY_RSA, EVP_PKEY_EC };

	for (int i = 0; i < 2; i++) {
		struct raw r;
		struct end *e = raw_begin(&offer, &r, TLS1_2_VERSION, TLS1_2_VERSION);

		ck_assert_int_eq(SSL_set_cipher_list(r.ssl, lists[i]), 1);
		ck_assert(raw_handshake(&r));
		ck_assert_int_eq(EVP_PKEY_get_base_id(X509_get0_pubkey(
				     SSL_get0_peer_certificate(r.ssl))),
				 kinds[i]);
		raw_free(&r);
		end_free(&e);
	}
	tls_server_free(&server);
}
END_TEST

START_TEST(chain_behind_the_certificate_is_presented)
{
	struct tls_pair pair = { at("chain.crt"), at("chain.key"), NULL };
	struct tls_settings settings = { .name = "s", .pairs = &pair, .pair_count = 1 };
	struct tls_server *server = server_new(&settings, 1);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_3_VERSION, TLS1_3_VERSION);

	ck_assert(raw_handshake(&r));
	ck_assert_int_eq(sk_X509_num(SSL_get_peer_cert_chain(r.ssl)), 2);
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(client_that_wants_to_begin_anew_is_refused)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_2_VERSION, TLS1_2_VERSION);
	char text[10];

	ck_assert(raw_handshake(&r));
	ck_assert_int_eq(SSL_renegotiate(r.ssl), 1);
	ck_assert(!raw_handshake(&r)); /* a no_renegotiation alert, which its library takes ill */
	ck_assert_uint_eq(raw_read(&r, text, 1), 0);
	ck_assert_int_eq(e->done_calls, 1);
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(flood_of_key_updates_breaks_the_connection)
{
	static const int counts[] = { 30, 200 };
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_3_VERSION, TLS1_3_VERSION);

	ck_assert(raw_handshake(&r));
	for (int i = 0; i < counts[_i] && e->ended_calls == 0; i++) {
		ck_assert_int_eq(SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		(void)SSL_do_handshake(r.ssl);
		loop_turn(w.loop, 0);
	}
	if (_i == 0) {
		raw_write(&r, "hello");
		got_wait(e, 5);
	} else {
		ended_wait(e);
		ck_assert_int_eq(e->how, STREAM_BROKEN);
		ck_assert_int_eq(e->stream.error, EPROTO);
	}
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(client_that_asks_for_new_keys_gets_them)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_3_VERSION, TLS1_3_VERSION);
	char text[5];

	ck_assert(raw_handshake(&r));
	e->echoes = true;
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(SSL_key_update(r.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		raw_write(&r, "hello");
		ck_assert_uint_eq(raw_read(&r, text, 5), 5);
	}
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* --- the name that the client asks for ------------------------------------------------------ */

static const struct {
	size_t connector; /* section */
	const char *asked;
	const char *shown; /* the common name of the certificate, here unique */
} choices[] = {
	{ 0, NULL, "relay" },
	{ 0, "relay.example.com", "relay" }, /* both sections have it: the connector's own */
	{ 0, "other.example.org", "other" },
	{ 0, "OTHER.example.org", "other" },
	{ 0, "a.stated.example.net", "stated" },
	{ 0, "stated.example.net", "relay" },
	{ 0, "a.b.stated.example.net", "relay" },
	{ 0, "x.in.example.com", "relay" },
	{ 0, "unknown.example.com", "relay" },
	{ 1, NULL, "other" },
	{ 1, "relay.example.com", "other" },
	{ 1, "x.in.example.com", "relay" },
	{ 2, "stated", "stated" },
};

START_TEST(asked_name_chooses_the_certificate)
{
	static const char *const stated[] = { "*.stated.example.net" };
	struct identity made = identity_named("stated", (struct wish){ .common_name = "stated" });
	struct tls_pair pairs[] = { pair_named("ec"), pair_named("other"), pair_named("stated") };
	struct tls_settings settings[] = {
		{ .name = "a", .pairs = &pairs[0], .pair_count = 1, .profile = TLS_INTERMEDIATE },
		{ .name = "b", .pairs = &pairs[1], .pair_count = 1, .profile = TLS_INTERMEDIATE },
		{ .name = "c", .pairs = &pairs[2], .pair_count = 1, .profile = TLS_INTERMEDIATE,
		  .server_names = stated, .server_name_count = 1 },
	};
	struct tls_server *server = server_new(settings, 3);
	struct tls_offer offer = { .server = server, .section = choices[_i].connector };

	identity_free(&made);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct raw r;
		struct end *e = raw_begin(&offer, &r, version, version);
		char shown[100];

		if (choices[_i].asked != NULL)
			raw_ask(&r, choices[_i].asked);
		ck_assert(raw_handshake(&r));
		ck_assert_int_gt(X509_NAME_get_text_by_NID(
				     X509_get_subject_name(SSL_get0_peer_certificate(r.ssl)),
				     NID_commonName, shown, sizeof(shown)),
				 0);
		ck_assert_str_eq(shown, choices[_i].shown);
		loop_turn(w.loop, 0);
		ck_assert(span_equal_fold(e->facts->server_name, span_of(choices[_i].asked)));
		raw_free(&r);
		end_free(&e);
	}
	tls_server_free(&server);
}
END_TEST

START_TEST(asking_for_a_laxer_sections_name_does_not_get_its_profile_or_cas)
{
	struct tls_pair pairs[] = { pair_named("ec"), pair_named("other") };
	struct tls_settings settings[] = {
		{ .name = "strict", .pairs = &pairs[0], .pair_count = 1, .profile = TLS_MODERN,
		  .client_ca = at("ca.crt") },
		{ .name = "lax", .pairs = &pairs[1], .pair_count = 1, .profile = TLS_LEGACY,
		  .client_ca = at("foreign-ca.crt") },
	};
	struct tls_server *server = server_new(settings, 2);
	struct tls_offer offer = { .server = server, .wants_certificate = true };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_VERSION, TLS1_2_VERSION);

	raw_ask(&r, "other.example.org");
	ck_assert(!raw_handshake(&r));
	raw_free(&r);
	end_free(&e);

	/* the other section's CA does not vouch for clients of this one */
	struct tls_client *client = client_new("ca.crt", "foreign-client", TLS_INTERMEDIATE);
	struct both b = both_make(&offer, client, "other.example.org", TLS_CHECK_NAME);

	ck_assert(has_identity(b.client->facts, "dns:other.example.org"));
	ck_assert(!b.server->facts->is_verified);
	both_free(&b);
	offer.section = 1;
	b = both_make(&offer, client, "other.example.org", TLS_CHECK_NAME);
	ck_assert(b.server->facts->is_verified);
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(weak_certificate_of_another_section_is_not_shown_where_it_may_not_be)
{
	static const char *const names[] = { "old.example.com" };
	struct tls_pair pairs[] = { pair_named("ec"), pair_named("weak") };
	struct tls_settings settings[] = {
		{ .name = "a", .pairs = &pairs[0], .pair_count = 1, .profile = TLS_INTERMEDIATE },
		{ .name = "b", .pairs = &pairs[1], .pair_count = 1, .profile = TLS_LEGACY,
		  .server_names = names, .server_name_count = 1 },
	};
	struct tls_server *server = server_new(settings, 2);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_3_VERSION, TLS1_3_VERSION);

	raw_ask(&r, "old.example.com");
	ck_assert(raw_handshake(&r));
	ck_assert_int_eq(
	    EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(r.ssl))),
	    EVP_PKEY_EC);
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* --- clients' certificates ------------------------------------------------------------------ */

static const struct {
	const char *pair; /* the client's; NULL: none */
	bool is_wanted;
	bool is_verified;
	const char *has[4];
	const char *lacks;
	const char *unverified;
} guests[] = {
	{ "client", true, true,
	  { "dns:billing.example.com", "email:billing@example.com", "cn:Billing \xc3\x84" },
	  NULL, NULL },
	{ "client", false, false, { NULL }, "dns:billing.example.com", NULL },
	{ NULL, true, false, { NULL }, NULL, NULL },
	{ "foreign-client", true, false, { NULL }, "dns:billing.example.com", "unable to get" },
	{ "self-signed", true, false, { NULL }, "dns:relay.example.com", "self" },
	{ "odd-client", true, true, { NULL }, "cn:a\nb", NULL },
};

START_TEST(client_is_known_by_what_its_certificate_proves)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", guests[_i].pair, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server,
				   .wants_certificate = guests[_i].is_wanted };

	for (int round = 0; round < 2; round++) {
		struct both b =
		    both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
		const struct tls_facts *facts = b.server->facts;

		ck_assert_ptr_nonnull(facts);
		ck_assert(facts->is_verified == guests[_i].is_verified);
		for (int i = 0; i < 4 && guests[_i].has[i] != NULL; i++)
			ck_assert(has_identity(facts, guests[_i].has[i]));
		if (guests[_i].lacks != NULL)
			ck_assert(!has_identity(facts, guests[_i].lacks));
		if (guests[_i].pair != NULL && guests[_i].is_wanted) {
			ck_assert_uint_eq(facts->identities[0].len, 7 + 64);
			ck_assert(span_starts_fold(facts->identities[0], span_of("sha256:")));
		}
		if (!facts->is_verified)
			ck_assert_uint_le(facts->identity_count, 1);
		ck_assert((facts->unverified != NULL) == (guests[_i].unverified != NULL));
		if (facts->unverified != NULL)
			ck_assert_ptr_nonnull(strstr(facts->unverified, guests[_i].unverified));
		/* the same is known after a resumption, without asking again */
		ck_assert(facts->is_resumed == (round == 1));
		loop_turn(w.loop, 0); /* the ticket arrives */
		both_free(&b);
	}
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(fingerprint_is_that_of_the_openssl_command)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", "client", TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server, .wants_certificate = true };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	char command[500], text[200] = "", digits[65] = "";
	size_t len = 0;

	(void)snprintf(command, sizeof(command),
		       "openssl x509 -in %s/client.crt -noout -fingerprint -sha256", w.folder);
	FILE *output = popen(command, "r");

	ck_assert_ptr_nonnull(output);
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), output));
	(void)pclose(output);
	for (const char *c = strchr(text, '=') + 1; *c != '\0' && *c != '\n'; c++) {
		if (*c != ':' && len < 64)
			digits[len++] = ascii_lower(*c);
	}
	ck_assert(span_equal(span_skip(b.server->facts->identities[0], 7), span_of(digits)));
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

/* --- resumption ----------------------------------------------------------------------------- */

/* A connection that leaves its ticket with the client; was it a resumed one? */
static bool
connect_is_resumed(const struct tls_offer *offer, struct tls_client *client, const char *name)
{
	struct both b = both_make(offer, client, name, TLS_CHECK_NAME);

	ck_assert_ptr_nonnull(b.server->facts);
	ck_assert_ptr_nonnull(b.client->facts);
	ck_assert(b.server->facts->is_resumed == b.client->facts->is_resumed);
	bool is_resumed = b.server->facts->is_resumed;

	for (int i = 0; i < 3; i++)
		loop_turn(w.loop, 0);
	both_free(&b);
	return is_resumed;
}

START_TEST(session_resumes_with_any_worker_until_its_key_is_gone)
{
	struct tls_server *one = server_simple(TLS_INTERMEDIATE);
	struct tls_server *two = server_simple(TLS_INTERMEDIATE); /* as after a reload */
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer with_one = { .server = one }, with_two = { .server = two };

	ck_assert(!connect_is_resumed(&with_one, client, "relay.example.com"));
	ck_assert(connect_is_resumed(&with_two, client, "relay.example.com"));
	ck_assert(connect_is_resumed(&with_one, client, "relay.example.com"));
	ck_assert(!connect_is_resumed(&with_one, client, "x.in.example.com"));
	ck_assert(tls_ticket_keys_rotate(w.keys, &w.fault));
	ck_assert(connect_is_resumed(&with_two, client, "relay.example.com"));
	ck_assert(tls_ticket_keys_rotate(w.keys, &w.fault));
	ck_assert(connect_is_resumed(&with_one, client, "relay.example.com"));
	ck_assert(tls_ticket_keys_rotate(w.keys, &w.fault));
	ck_assert(tls_ticket_keys_rotate(w.keys, &w.fault));
	ck_assert(!connect_is_resumed(&with_two, client, "relay.example.com"));
	ck_assert(connect_is_resumed(&with_one, client, "relay.example.com"));
	tls_client_free(&client);
	tls_server_free(&one);
	tls_server_free(&two);
}
END_TEST

/* Resume a session of the library's client, as long as the server lets it. */
static bool
raw_is_resumed(const struct tls_offer *offer, int version, SSL_SESSION **session)
{
	struct raw r;
	struct end *e = raw_begin(offer, &r, version, version);
	char text[4];

	if (*session != NULL)
		ck_assert_int_eq(SSL_set_session(r.ssl, *session), 1);
	e->echoes = true;
	ck_assert(raw_handshake(&r));
	raw_write(&r, "ping");
	ck_assert_uint_eq(raw_read(&r, text, 4), 4);
	bool is_resumed = e->facts->is_resumed;

	ck_assert_int_eq(SSL_session_reused(r.ssl), is_resumed);
	SSL_SESSION_free(*session);
	*session = SSL_get1_session(r.ssl);
	(void)SSL_shutdown(r.ssl);
	raw_free(&r);
	end_free(&e);
	return is_resumed;
}

START_TEST(sessions_of_both_versions_resume_and_keep_to_their_connector)
{
	static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
	struct tls_pair pair = pair_named("ec");
	struct tls_settings settings[] = {
		{ .name = "a", .pairs = &pair, .pair_count = 1, .client_ca = at("ca.crt"),
		  .profile = TLS_INTERMEDIATE },
		{ .name = "b", .pairs = &pair, .pair_count = 1, .client_ca = at("ca.crt"),
		  .profile = TLS_INTERMEDIATE },
		{ .name = "a", .pairs = &pair, .pair_count = 1, .client_ca = at("foreign-ca.crt"),
		  .profile = TLS_INTERMEDIATE },
	};
	struct tls_server *server = server_new(settings, 3);
	struct tls_offer offer = { .server = server };
	SSL_SESSION *session = NULL;
	int version = versions[_i];

	ck_assert(!raw_is_resumed(&offer, version, &session));
	ck_assert(raw_is_resumed(&offer, version, &session));
	ck_assert(raw_is_resumed(&offer, version, &session));
	offer.wants_certificate = true; /* where one is asked for, not having been asked is no way in */
	ck_assert(!raw_is_resumed(&offer, version, &session));
	ck_assert(raw_is_resumed(&offer, version, &session));
	offer.section = 1;
	ck_assert(!raw_is_resumed(&offer, version, &session));
	offer.section = 2;
	ck_assert(!raw_is_resumed(&offer, version, &session));
	SSL_SESSION_free(session);
	tls_server_free(&server);
}
END_TEST

START_TEST(tickets_of_other_keys_are_of_no_use)
{
	struct tls_ticket_keys *others = tls_ticket_keys_new(&w.fault), *own = w.keys;
	struct tls_server *mine = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = mine };
	SSL_SESSION *session = NULL;

	w.keys = others;
	struct tls_server *theirs = server_simple(TLS_INTERMEDIATE);
	struct tls_offer other_offer = { .server = theirs };

	w.keys = own;
	ck_assert(!raw_is_resumed(&other_offer, TLS1_3_VERSION, &session));
	ck_assert(!raw_is_resumed(&offer, TLS1_3_VERSION, &session));
	SSL_SESSION_free(session);
	tls_server_free(&mine);
	tls_server_free(&theirs);
	tls_ticket_keys_free(&others);
}
END_TEST

START_TEST(key_made_before_a_fork_serves_the_processes_behind_it)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };

	ck_assert(!connect_is_resumed(&offer, client, "relay.example.com"));
	pid_t child = fork();

	if (child == 0) {
		struct fault fault;
		bool is_rotated = tls_ticket_keys_rotate(w.keys, &fault) &&
				  tls_ticket_keys_rotate(w.keys, &fault);

		_exit(is_rotated ? 0 : 1);
	}
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(!connect_is_resumed(&offer, client, "relay.example.com"));
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

/* --- whom our client believes ---------------------------------------------------------------- */

static const struct {
	const char *server; /* pair */
	const char *ca;
	const char *name;
	enum tls_check check;
	bool is_connected;
	bool is_verified;
	const char *reason;
} beliefs[] = {
	{ "ec", "ca.crt", "relay.example.com", TLS_CHECK_NAME, true, true, NULL },
	{ "ec", "ca.crt", "mail.in.example.com", TLS_CHECK_NAME, true, true, NULL },
	{ "ec", "ca.crt", "127.0.0.1", TLS_CHECK_NAME, true, true, NULL },
	{ "ec", "ca.crt", "in.example.com", TLS_CHECK_NAME, false, false, "hostname mismatch" },
	{ "ec", "ca.crt", "a.b.in.example.com", TLS_CHECK_NAME, false, false, "hostname mismatch" },
	{ "ec", "ca.crt", "other.example.org", TLS_CHECK_NAME, false, false, "hostname mismatch" },
	{ "ec", "ca.crt", "127.0.0.2", TLS_CHECK_NAME, false, false, "IP address mismatch" },
	{ "ec", "ca.crt", "2001:db8::1", TLS_CHECK_NAME, false, false, "IP address mismatch" },
	{ "ec", "foreign-ca.crt", "relay.example.com", TLS_CHECK_NAME, false, false, "unable to get" },
	{ "ec", NULL, "relay.example.com", TLS_CHECK_NAME, false, false, "unable to get" },
	{ "self-signed", "ca.crt", "relay.example.com", TLS_CHECK_NAME, false, false, "self-signed" },
	{ "self-signed", "self-signed.crt", "relay.example.com", TLS_CHECK_NAME, true, true, NULL },
	{ "expired", "ca.crt", "relay.example.com", TLS_CHECK_NAME, false, false, "has expired" },
	{ "ec", "ca.crt", "relay.example.com", TLS_CHECK_NOTHING, true, true, NULL },
	{ "ec", "ca.crt", "other.example.org", TLS_CHECK_NOTHING, true, false, "mismatch" },
	{ "ec", NULL, "relay.example.com", TLS_CHECK_NOTHING, true, false, "unable to get" },
	{ "expired", "ca.crt", "relay.example.com", TLS_CHECK_NOTHING, true, false, "expired" },
	{ "self-signed", NULL, "relay.example.com", TLS_CHECK_NOTHING, true, false, "self-signed" },
};

START_TEST(client_believes_what_it_is_told_to_check)
{
	struct tls_pair pair = pair_named(beliefs[_i].server);
	struct tls_settings settings = { .name = "s", .pairs = &pair, .pair_count = 1 };
	struct tls_server *server =
	    tls_server_new(&settings, 1, w.keys, now() - 5 * 86400000, &w.fault);
	struct tls_client *client = client_new(beliefs[_i].ca, NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };

	ck_assert_ptr_nonnull(server);
	for (int round = 0; round < 2; round++) { /* a resumed one is believed no more */
		struct both b = both_make(&offer, client, beliefs[_i].name, beliefs[_i].check);
		struct end *e = b.client;

		ck_assert((e->facts != NULL) == beliefs[_i].is_connected);
		if (e->facts != NULL) {
			ck_assert(e->facts->is_verified == beliefs[_i].is_verified);
			ck_assert(e->facts->is_resumed == (round == 1));
			if (beliefs[_i].reason != NULL)
				ck_assert_ptr_nonnull(
				    strstr(e->facts->unverified, beliefs[_i].reason));
		} else {
			ck_assert_msg(strstr(fault_text(&e->fault), beliefs[_i].reason) != NULL,
				      "%s", e->fault.text);
		}
		for (int i = 0; i < 3; i++)
			loop_turn(w.loop, 0);
		both_free(&b);
	}
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(session_that_was_not_checked_does_not_serve_where_it_must_be)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("foreign-ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NOTHING);

	for (int i = 0; i < 3; i++)
		loop_turn(w.loop, 0);
	both_free(&b);
	b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	ck_assert_ptr_null(b.client->facts);
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(impossible_name_of_a_next_hop_is_a_fault_at_once)
{
	static const char *const names[] = { "", "a b", "x\r\nEHLO", "h\xc3\xa4" };
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	int pair[2];

	pair_make(pair);
	struct end *e = end_new(pair[0]);
	struct tls_request request = { .client = client, .name = span_of(names[_i]) };

	ck_assert(!tls_connect(&e->stream, &request, end_done, &w.fault));
	ck_assert(stream_is_open(&e->stream));
	(void)close(pair[1]);
	end_free(&e);
	tls_client_free(&client);
}
END_TEST

/* --- bytes ----------------------------------------------------------------------------------- */

START_TEST(much_data_goes_both_ways_at_once_whole_and_in_order)
{
	static const size_t much = 12000000;
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	struct end *ends[2] = { b.server, b.client };
	static const int small = 20000;

	for (int i = 0; i < 2; i++) {
		(void)setsockopt(ends[i]->stream.watch.fd, SOL_SOCKET, SO_SNDBUF, &small,
				 sizeof(small));
		ends[i]->to_write = much;
		end_write_more(ends[i]);
	}
	for (int i = 0; i < TURNS_MAX; i++) {
		if (ends[0]->got.len == much && ends[1]->got.len == much)
			break;
		loop_turn(w.loop, 1000);
	}
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(ends[i]->got.len, much);
		for (size_t k = 0; k < much; k++) {
			if (ends[i]->got.ptr[k] != pattern(k))
				ck_abort_msg("octet %zu is wrong", k);
		}
	}
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(paused_reader_stops_the_writer_and_loses_nothing)
{
	static const size_t much = 3000000;
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	b.client->to_write = much;
	end_write_more(b.client);
	for (int i = 0; i < 500; i++) {
		if (i % 3 == 0)
			stream_pause(&b.server->stream);
		else if (i % 3 == 2)
			stream_resume(&b.server->stream);
		loop_turn(w.loop, 0);
	}
	stream_pause(&b.server->stream);
	for (int i = 0; i < 100; i++)
		loop_turn(w.loop, 0);
	size_t so_far = b.server->got.len;

	loop_turn(w.loop, 0);
	ck_assert_uint_eq(b.server->got.len, so_far);
	stream_resume(&b.server->stream);
	got_wait(b.server, much);
	for (size_t k = 0; k < much; k++)
		ck_assert(b.server->got.ptr[k] == pattern(k));
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

/* A raw client whose octets pass through our hands, to be cut as we like. */
struct hand {
	struct raw raw;
	BIO *in, *out;
	int fd;
};

static struct hand
hand_new(int fd)
{
	struct hand h = { raw_new(-1, TLS1_2_VERSION, TLS1_3_VERSION), BIO_new(BIO_s_mem()),
			  BIO_new(BIO_s_mem()), fd };

	SSL_set_bio(h.raw.ssl, h.in, h.out);
	return h;
}

/* Send what the client has to say, in pieces of so many octets, a turn for each; take answers. */
static void
hand_pass(struct hand *h, size_t piece)
{
	char bytes[8192];
	size_t n;

	while (BIO_read_ex(h->out, bytes, piece < sizeof(bytes) ? piece : sizeof(bytes), &n) == 1) {
		ck_assert_int_eq(write(h->fd, bytes, n), (ssize_t)n);
		loop_turn(w.loop, 0);
	}
	for (int i = 0; i < 3; i++)
		loop_turn(w.loop, 0);
	ssize_t got = read(h->fd, bytes, sizeof(bytes));

	if (got > 0)
		ck_assert_int_eq(BIO_write(h->in, bytes, (int)got), (int)got);
}

START_TEST(octets_may_come_one_by_one)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	char text[1000];
	int pair[2];

	pair_make(pair);
	struct end *e = end_accept(pair[0], &offer);
	struct hand h = hand_new(pair[1]);

	for (int i = 0; i < 10 && SSL_do_handshake(h.raw.ssl) != 1; i++)
		hand_pass(&h, 1);
	hand_pass(&h, 1);
	ck_assert_int_eq(e->done_calls, 1);
	ck_assert_ptr_nonnull(e->facts);
	e->echoes = true;
	for (int i = 0; i < 3; i++) { /* in one record each, and in records of one octet */
		ck_assert_int_eq(SSL_write(h.raw.ssl, "EHLO x\r\n", 8), 8);
		hand_pass(&h, 1);
	}
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(SSL_write(h.raw.ssl, "y", 1), 1);
	hand_pass(&h, SIZE_MAX);
	ck_assert_uint_eq(e->got.len, 124);
	hand_pass(&h, 1);
	int n = SSL_read(h.raw.ssl, text, sizeof(text)), all = 0;

	for (; n > 0; n = SSL_read(h.raw.ssl, text, sizeof(text)))
		all += n;
	ck_assert_int_eq(all, 124);
	/* half a record keeps nobody awake */
	ck_assert_int_eq(SSL_write(h.raw.ssl, "half", 4), 4);
	ck_assert_int_eq(BIO_read(h.out, text, 10), 10);
	ck_assert_int_eq(write(pair[1], text, 10), 10);
	for (int i = 0; i < 5; i++)
		loop_turn(w.loop, 0);
	int64_t before = clock_monotonic_ms();

	loop_turn(w.loop, 40);
	ck_assert_int_ge(clock_monotonic_ms() - before, 39);
	raw_free(&h.raw);
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(client_with_little_memory_may_ask_for_small_records)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	int version = _i == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	struct end *e = raw_begin(&offer, &r, version, version);
	static char text[300000];

	ck_assert_int_eq(
	    SSL_set_tlsext_max_fragment_length(r.ssl, TLSEXT_max_fragment_length_512), 1);
	ck_assert(raw_handshake(&r));
	e->to_write = sizeof(text);
	end_write_more(e);
	ck_assert_uint_eq(raw_read(&r, text, sizeof(text)), sizeof(text));
	for (size_t k = 0; k < sizeof(text); k++)
		ck_assert(text[k] == pattern(k));
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(forgotten_output_is_not_sent_and_leaves_the_stream_in_order)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	ck_assert(stream_write(&b.server->stream, span_of("250 forgotten\r\n")));
	stream_forget_unsent(&b.server->stream);
	ck_assert(stream_write(&b.server->stream, span_of("451 so be it\r\n")));
	got_wait(b.client, 14);
	both_free(&b);

	/* also when part of what is forgotten is sealed, and waits for the socket */
	b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	stream_pause(&b.client->stream);
	b.server->to_write = 2000000;
	end_write_more(b.server);
	for (int i = 0; i < 50; i++)
		loop_turn(w.loop, 0);
	ck_assert_uint_gt(stream_unsent(&b.server->stream), 0);
	size_t forgotten = stream_unsent(&b.server->stream);

	stream_forget_unsent(&b.server->stream);
	b.server->to_write = 0;
	ck_assert(stream_write(&b.server->stream, span_of("END")));
	stream_resume(&b.client->stream);
	got_wait(b.client, b.server->written - forgotten + 3);
	ck_assert_int_eq(memcmp(b.client->got.ptr + b.client->got.len - 3, "END", 3), 0);
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(slow_reader_cannot_make_us_keep_more_than_the_limit)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	static char piece[100000];
	int written = 0;

	stream_pause(&b.client->stream);
	while (stream_write(&b.server->stream, (struct span){ piece, sizeof(piece) })) {
		loop_turn(w.loop, 0);
		ck_assert_int_lt(++written, 100);
	}
	ended_wait(b.server);
	ck_assert_int_eq(b.server->stream.error, ENOBUFS);
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

/* --- ends ------------------------------------------------------------------------------------- */

START_TEST(goodbye_is_told_from_a_connection_that_is_cut)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	int version = _i < 2 ? TLS1_3_VERSION : TLS1_2_VERSION;
	struct end *e = raw_begin(&offer, &r, version, version);

	ck_assert(raw_handshake(&r));
	raw_write(&r, "QUIT\r\n");
	got_wait(e, 6);
	char text[10];

	(void)SSL_read(r.ssl, text, sizeof(text)); /* a ticket: left unread, it would mean a reset */
	if (_i % 2 == 0)
		(void)SSL_shutdown(r.ssl);
	(void)close(r.fd);
	r.fd = -1;
	ended_wait(e);
	ck_assert_uint_eq(e->got.len, 6); /* what came before was handed over */
	if (_i % 2 == 0) {
		ck_assert_int_eq(e->how, STREAM_CLOSED_BY_PEER);
	} else {
		ck_assert_int_eq(e->how, STREAM_BROKEN);
		ck_assert_int_eq(e->stream.error, ECONNABORTED);
	}
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(record_that_was_tampered_with_breaks_the_stream)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	char record[200];
	size_t n;
	int pair[2];

	pair_make(pair);
	struct end *e = end_accept(pair[0], &offer);
	struct hand h = hand_new(pair[1]);

	for (int i = 0; i < 10 && SSL_do_handshake(h.raw.ssl) != 1; i++)
		hand_pass(&h, SIZE_MAX);
	hand_pass(&h, SIZE_MAX);
	ck_assert_int_eq(SSL_write(h.raw.ssl, "good", 4), 4);
	hand_pass(&h, SIZE_MAX);
	ck_assert_int_eq(SSL_write(h.raw.ssl, "evil", 4), 4);
	ck_assert_int_eq(BIO_read_ex(h.out, record, sizeof(record), &n), 1);
	record[n - 1] ^= 1;
	ck_assert_int_eq(write(pair[1], record, n), (ssize_t)n);
	ended_wait(e);
	ck_assert_int_eq(e->how, STREAM_BROKEN);
	ck_assert_int_eq(e->stream.error, EPROTO);
	ck_assert(span_equal(buffer_span(&e->got), span_of("good")));
	raw_free(&h.raw);
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(closing_in_order_sends_everything_and_says_goodbye)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_3_VERSION, TLS1_3_VERSION);
	static char text[1000000];
	static char all[1000000 + 10];

	ck_assert(raw_handshake(&r));
	for (int i = 0; i < TURNS_MAX && e->done_calls == 0; i++)
		loop_turn(w.loop, 1000);
	ck_assert(stream_write(&e->stream, (struct span){ text, sizeof(text) }));
	stream_close_when_drained(&e->stream);
	ck_assert_uint_eq(raw_read(&r, all, sizeof(all)), sizeof(text));
	ck_assert((SSL_get_shutdown(r.ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
	ck_assert_int_eq(e->drained_calls, 1);
	ck_assert_int_eq(e->ended_calls, 0);
	ck_assert(!stream_is_open(&e->stream));
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* --- channel binding ---------------------------------------------------------------------------- */

START_TEST(both_ends_have_the_same_channel_binding_and_no_other_connection_has)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	unsigned char bindings[4][TLS_BINDING_OCTETS];

	for (int i = 0; i < 2; i++) { /* the second is resumed, and new nevertheless */
		struct both b =
		    both_begin(&offer, client, "relay.example.com", TLS_CHECK_NAME);

		ck_assert(!tls_channel_binding(&b.server->stream, bindings[0]));
		while (b.server->done_calls == 0 || b.client->done_calls == 0)
			loop_turn(w.loop, 1000);
		for (int k = 0; k < 3; k++)
			loop_turn(w.loop, 0);
		ck_assert(tls_channel_binding(&b.server->stream, bindings[2 * i]));
		ck_assert(tls_channel_binding(&b.client->stream, bindings[2 * i + 1]));
		ck_assert_mem_eq(bindings[2 * i], bindings[2 * i + 1], TLS_BINDING_OCTETS);
		stream_close(&b.server->stream);
		ck_assert(!tls_channel_binding(&b.server->stream, bindings[0]) || i == 1);
		both_free(&b);
	}
	ck_assert_mem_ne(bindings[0], bindings[2], TLS_BINDING_OCTETS);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(there_is_no_channel_binding_in_clear_or_before_tls_1_3)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	unsigned char binding[TLS_BINDING_OCTETS];
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_2_VERSION, TLS1_2_VERSION);
	int pair[2];

	ck_assert(raw_handshake(&r));
	loop_turn(w.loop, 0);
	ck_assert_int_eq(e->done_calls, 1);
	ck_assert(!tls_channel_binding(&e->stream, binding));
	raw_free(&r);
	end_free(&e);
	pair_make(pair);
	e = end_new(pair[0]);
	ck_assert(!tls_channel_binding(&e->stream, binding));
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* --- OCSP ---------------------------------------------------------------------------------------- */

static const struct {
	const char *staple;
	bool asks;
	bool is_given;
} staples[] = {
	{ "good.ocsp", true, true },
	{ "good.ocsp", false, false },
	{ "old.ocsp", true, false },
	{ NULL, true, false },
};

START_TEST(staple_is_given_to_who_asks_while_it_is_good)
{
	struct tls_pair pairs[] = { pair_named("ec"), pair_named("rsa") };

	pairs[0].ocsp_staple = staples[_i].staple == NULL ? NULL : at(staples[_i].staple);
	struct tls_settings settings = { .name = "s", .pairs = pairs, .pair_count = 2,
					 .profile = TLS_INTERMEDIATE };
	struct tls_server *server = server_new(&settings, 1);
	struct tls_offer offer = { .server = server };

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct raw r;
		struct end *e = raw_begin(&offer, &r, version, version);
		unsigned char *given = NULL;

		if (staples[_i].asks)
			ck_assert_int_eq(
			    SSL_set_tlsext_status_type(r.ssl, TLSEXT_STATUSTYPE_ocsp), 1);
		raw_sign_with(&r, "ECDSA+SHA256");
		ck_assert(raw_handshake(&r));
		long len = SSL_get_tlsext_status_ocsp_resp(r.ssl, &given);

		ck_assert((len > 0 && given != NULL) == staples[_i].is_given);
		raw_free(&r);
		end_free(&e);

		/* the other certificate has none */
		e = raw_begin(&offer, &r, version, version);
		ck_assert_int_eq(SSL_set_tlsext_status_type(r.ssl, TLSEXT_STATUSTYPE_ocsp), 1);
		raw_sign_with(&r, "rsa_pss_rsae_sha256:RSA+SHA256");
		ck_assert(raw_handshake(&r));
		given = NULL;
		ck_assert(SSL_get_tlsext_status_ocsp_resp(r.ssl, &given) <= 0 || given == NULL);
		raw_free(&r);
		end_free(&e);
	}
	tls_server_free(&server);
}
END_TEST

/* --- company -------------------------------------------------------------------------------------- */

START_TEST(crowd_of_handshakes_leaves_a_plain_stream_its_turn)
{
	enum { CROWD = 60 };
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw crowd[CROWD];
	struct end *ends[CROWD];
	int pair[2], done = 0;
	char text[4];

	for (int i = 0; i < CROWD; i++) {
		ends[i] = raw_begin(&offer, &crowd[i], TLS1_3_VERSION, TLS1_3_VERSION);
		ck_assert_int_ne(SSL_do_handshake(crowd[i].ssl), 1);
	}
	pair_make(pair);
	struct end *plain = end_new(pair[0]);

	plain->done_calls = 1;
	plain->echoes = true;
	loop_turn(w.loop, 0);
	ck_assert_int_eq(write(pair[1], "EHLO", 4), 4);
	loop_turn(w.loop, 0); /* all have asked, and it takes longer than two turns */
	ck_assert_int_eq(read(pair[1], text, 4), 4);
	for (int i = 0; i < CROWD; i++)
		done += SSL_do_handshake(crowd[i].ssl) == 1; /* whoever was answered */
	ck_assert_int_gt(done, 0);
	ck_assert_int_lt(done, CROWD);
	for (int i = 0; i < CROWD; i++) {
		ck_assert(raw_handshake(&crowd[i]));
		raw_free(&crowd[i]);
		end_free(&ends[i]);
	}
	(void)close(pair[1]);
	end_free(&plain);
	tls_server_free(&server);
}
END_TEST

START_TEST(handshakes_leave_nothing_behind)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", "client", TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server, .wants_certificate = true };

	for (int i = 0; i < 300; i++) {
		char name[40];

		(void)snprintf(name, sizeof(name), "n%d.in.example.com", i);
		(void)connect_is_resumed(&offer, client, name);
	}
	ck_assert_uint_eq(ERR_peek_error(), 0);
	tls_client_free(&client);
	tls_server_free(&server); /* the sanitizer counts */
}
END_TEST

/* --- the openssl command ---------------------------------------------------------------------------- */

/* The port that a listening socket on loopback got. */
static int
listen_somewhere(uint16_t *port)
{
	struct ip_endpoint any = { .port = 0 };
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &any.ip), PARSE_OK);
	int fd = listener_open(&any, 10, 0, &w.fault);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ip_of_sockaddr(&address).port;
	return fd;
}

/* Run a command of the shell; its input and output are the descriptor. */
static pid_t
command_start(const char *command, int fd)
{
	pid_t child = fork();

	if (child == 0) {
		(void)dup2(fd, STDIN_FILENO);
		(void)dup2(fd, STDOUT_FILENO);
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_gt(child, 0);
	return child;
}

static void
command_end(pid_t child)
{
	int status;

	(void)kill(child, SIGTERM);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
}

START_TEST(openssl_s_client_connects_and_presents_its_certificate)
{
	static const char *const options[] = { "-tls1_3", "-tls1_2" };
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server, .wants_certificate = true };
	uint16_t port;
	int listening = listen_somewhere(&port), pair[2], fd = -1;
	char command[1000], text[100];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)snprintf(command, sizeof(command),
		       "exec openssl s_client -quiet -verify_return_error -CAfile %s/ca.crt %s "
		       "-verify_hostname relay.example.com -servername relay.example.com "
		       "-cert %s/client.crt -key %s/client.key -connect 127.0.0.1:%u 2>/dev/null",
		       w.folder, options[_i], w.folder, w.folder, (unsigned)port);
	pid_t child = command_start(command, pair[1]);

	for (int i = 0; i < TURNS_MAX && (fd = accept(listening, NULL, NULL)) == -1; i++)
		loop_turn(w.loop, 5);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	struct end *e = end_accept(fd, &offer);

	e->greeting = span_of("220 relay\r\n");
	e->echoes = true;
	ck_assert_int_eq(write(pair[0], "EHLO me\r\n", 9), 9);
	got_wait(e, 9);
	ck_assert(e->facts->is_verified);
	ck_assert(has_identity(e->facts, "dns:billing.example.com"));
	loop_turn(w.loop, 0);
	size_t n = 0;

	while (n < 20) {
		ssize_t more = read(pair[0], text + n, sizeof(text) - n);

		ck_assert_int_gt(more, 0);
		n += (size_t)more;
	}
	ck_assert_int_eq(memcmp(text, "220 relay\r\nEHLO me\r\n", 20), 0);
	command_end(child);
	(void)close(listening);
	(void)close(pair[0]);
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

static void
end_connected(struct stream *stream, int error)
{
	struct tls_request request = { .client = injected_client,
				       .name = SPAN_LITERAL("relay.example.com"),
				       .check = TLS_CHECK_NAME };

	if (error == 0)
		ck_assert(tls_connect(stream, &request, end_done, &w.fault));
	else
		end_of(stream)->ended_calls++;
}

START_TEST(our_client_connects_to_openssl_s_server_and_resumes)
{
	static const struct stream_events events = { .received = end_received,
						     .ended = end_ended,
						     .drained = end_drained,
						     .connected = end_connected };
	struct ip_endpoint to = { .port = 0 };
	uint16_t port;
	int pair[2];
	char command[1000];

	(void)close(listen_somewhere(&port)); /* was free a moment ago */
	to.port = port;
	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &to.ip), PARSE_OK);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)snprintf(command, sizeof(command),
		       "exec openssl s_server -quiet -rev -accept 127.0.0.1:%u -Verify 1 "
		       "-verify_return_error -CAfile %s/ca.crt -cert %s/rsa.crt -key %s/rsa.key "
		       "%s 2>/dev/null",
		       (unsigned)port, w.folder, w.folder, w.folder, _i == 0 ? "-tls1_3" : "-tls1_2");
	pid_t child = command_start(command, pair[1]);

	injected_client = client_new("ca.crt", "client", TLS_INTERMEDIATE);
	for (int round = 0; round < 2; round++) {
		struct end *e = NULL;

		for (int i = 0; i < 2000; i++) { /* until it listens */
			e = memory_new(sizeof(*e));
			buffer_init(&e->got, 1000);
			ck_assert(stream_connect(&e->stream, w.loop, &to, NULL, &events, 1000,
						 1000, &w.fault));
			e->greeting = span_of("olleh\n");
			while (!end_is_over(e))
				loop_turn(w.loop, 1000);
			if (e->done_calls > 0)
				break;
			end_free(&e);
			loop_turn(w.loop, 10);
		}
		ck_assert_ptr_nonnull(e);
		ck_assert_msg(e->facts != NULL, "%s", fault_text(&e->fault));
		ck_assert(e->facts->is_verified);
		ck_assert(e->facts->is_resumed == (round == 1));
		got_wait(e, 6);
		ck_assert(span_equal(buffer_span(&e->got), span_of("hello\n")));
		end_free(&e);
	}
	command_end(child);
	(void)close(pair[0]);
	(void)close(pair[1]);
	tls_client_free(&injected_client);
}
END_TEST

/* --- all of them ------------------------------------------------------------------------------------- */

#define ADD_TABLE(tc, test, table) tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(table))

static TCase *
case_new(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_unchecked_fixture(tc, world_make, world_unmake);
	tcase_add_checked_fixture(tc, test_begin, test_end);
	return tc;
}

static TCase *
files_case(void)
{
	TCase *tc = case_new("files");

	tcase_add_test(tc, server_needs_its_files_no_longer_once_it_is_made);
	ADD_TABLE(tc, unusable_file_is_a_fault_that_names_section_and_file, unusable);
	tcase_add_test(tc, two_certificates_of_one_kind_in_a_section_are_a_fault);
	tcase_add_test(tc, name_that_no_host_can_have_is_a_fault);
	tcase_add_test(tc, clients_files_are_checked_like_a_servers);
	tcase_add_test(tc, certificates_tell_when_they_expire);
	tcase_add_test(tc, expiry_is_judged_by_the_time_that_is_given);
	return tc;
}

static TCase *
handshake_case(void)
{
	TCase *tc = case_new("handshake");

	tcase_add_test(tc, handshake_ends_with_facts_and_bytes_go_both_ways);
	tcase_add_test(tc, greeting_may_be_written_as_soon_as_the_handshake_is_done);
	tcase_add_test(tc, what_is_written_during_the_handshake_leaves_after_it);
	tcase_add_loop_test(tc, done_may_close_or_free_its_stream, 0, 2);
	tcase_add_test(tc, failed_handshake_may_free_its_stream_in_done);
	tcase_add_loop_test(tc, owner_may_close_at_any_step_of_a_handshake, 0, 5);
	ADD_TABLE(tc, what_is_not_tls_fails_and_says_why, not_tls);
	tcase_add_test(tc, peer_that_resets_in_a_handshake_fails_it);
	tcase_add_test(tc, tls_does_not_begin_while_octets_in_clear_wait);
	tcase_add_loop_test(tc, answer_in_clear_behind_the_one_to_starttls_breaks_the_stream, 0,
			    2);
	tcase_add_test(tc, octets_behind_a_proxy_header_are_the_first_of_tls);
	ADD_TABLE(tc, profile_decides_on_versions_and_ciphers, limits);
	tcase_add_test(tc, legacy_takes_the_weak_key_of_an_old_device);
	tcase_add_test(tc, rsa_and_ecdsa_stand_side_by_side);
	tcase_add_test(tc, chain_behind_the_certificate_is_presented);
	tcase_add_test(tc, client_that_wants_to_begin_anew_is_refused);
	tcase_add_loop_test(tc, flood_of_key_updates_breaks_the_connection, 0, 2);
	tcase_add_test(tc, client_that_asks_for_new_keys_gets_them);
	tcase_add_test(tc, crowd_of_handshakes_leaves_a_plain_stream_its_turn);
	tcase_add_test(tc, handshakes_leave_nothing_behind);
	return tc;
}

static TCase *
names_case(void)
{
	TCase *tc = case_new("names");

	ADD_TABLE(tc, asked_name_chooses_the_certificate, choices);
	tcase_add_test(tc, asking_for_a_laxer_sections_name_does_not_get_its_profile_or_cas);
	tcase_add_test(tc, weak_certificate_of_another_section_is_not_shown_where_it_may_not_be);
	ADD_TABLE(tc, client_is_known_by_what_its_certificate_proves, guests);
	tcase_add_test(tc, fingerprint_is_that_of_the_openssl_command);
	ADD_TABLE(tc, client_believes_what_it_is_told_to_check, beliefs);
	tcase_add_test(tc, session_that_was_not_checked_does_not_serve_where_it_must_be);
	tcase_add_loop_test(tc, impossible_name_of_a_next_hop_is_a_fault_at_once, 0, 4);
	ADD_TABLE(tc, staple_is_given_to_who_asks_while_it_is_good, staples);
	return tc;
}

static TCase *
resumption_case(void)
{
	TCase *tc = case_new("resumption");

	tcase_add_test(tc, session_resumes_with_any_worker_until_its_key_is_gone);
	tcase_add_loop_test(tc, sessions_of_both_versions_resume_and_keep_to_their_connector, 0,
			    2);
	tcase_add_test(tc, tickets_of_other_keys_are_of_no_use);
	tcase_add_test(tc, key_made_before_a_fork_serves_the_processes_behind_it);
	tcase_add_test(tc, both_ends_have_the_same_channel_binding_and_no_other_connection_has);
	tcase_add_test(tc, there_is_no_channel_binding_in_clear_or_before_tls_1_3);
	return tc;
}

static TCase *
bytes_case(void)
{
	TCase *tc = case_new("bytes");

	tcase_add_test(tc, much_data_goes_both_ways_at_once_whole_and_in_order);
	tcase_add_test(tc, paused_reader_stops_the_writer_and_loses_nothing);
	tcase_add_test(tc, octets_may_come_one_by_one);
	tcase_add_loop_test(tc, client_with_little_memory_may_ask_for_small_records, 0, 2);
	tcase_add_test(tc, forgotten_output_is_not_sent_and_leaves_the_stream_in_order);
	tcase_add_test(tc, slow_reader_cannot_make_us_keep_more_than_the_limit);
	tcase_add_loop_test(tc, goodbye_is_told_from_a_connection_that_is_cut, 0, 4);
	tcase_add_test(tc, record_that_was_tampered_with_breaks_the_stream);
	tcase_add_test(tc, closing_in_order_sends_everything_and_says_goodbye);
	return tc;
}

static TCase *
company_case(void)
{
	TCase *tc = case_new("the openssl command");

	tcase_add_loop_test(tc, openssl_s_client_connects_and_presents_its_certificate, 0, 2);
	tcase_add_loop_test(tc, our_client_connects_to_openssl_s_server_and_resumes, 0, 2);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("tls");

	(void)signal(SIGPIPE, SIG_IGN); /* the library's own client writes to closed sockets */
	suite_add_tcase(suite, files_case());
	suite_add_tcase(suite, handshake_case());
	suite_add_tcase(suite, names_case());
	suite_add_tcase(suite, resumption_case());
	suite_add_tcase(suite, bytes_case());
	suite_add_tcase(suite, company_case());
	return suite_main(suite);
}
