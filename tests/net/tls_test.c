/* SPDX-License-Identifier: ISC */
/* net/tls: files, handshakes, profiles. */
#include "net/tls_world.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* --- what is read from files ----------------------------------------------------------- */

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

/* --- handshakes ------------------------------------------------------------------------ */

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

/* --- STARTTLS and PROXY ---------------------------------------------------------------- */

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
static size_t
begins_tls(struct stream *stream, struct span bytes)
{
	struct tls_request request = { .client = w.client,
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

	w.client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
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
	tls_client_free(&w.client);
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

/* --- profiles -------------------------------------------------------------------------- */

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

/* --- company --------------------------------------------------------------------------- */

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

/* --- all of them ----------------------------------------------------------------------- */

static TCase *
files_case(void)
{
	TCase *tc = tls_case_new("files");

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
	TCase *tc = tls_case_new("handshake");

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
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("tls");

	suite_add_tcase(suite, files_case());
	suite_add_tcase(suite, handshake_case());
	return tls_suite_main(suite);
}
