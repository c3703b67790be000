/* SPDX-License-Identifier: ISC */
/* net/tls: who is whom, and for how long. */
#define _GNU_SOURCE /* popen */
#include "net/tls_world.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the name that the client asks for ------------------------------------------------- */

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

/* --- clients' certificates ------------------------------------------------------------- */

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

START_TEST(intermediate_ca_vouches_for_its_own_clients_and_no_others)
{
	static const char *const clients[] = { "sub-client", "foreign-client" };
	struct tls_pair pair = pair_named("ec");
	struct tls_settings settings = { .name = "s", .pairs = &pair, .pair_count = 1,
					 .client_ca = at("sub-ca.crt") };
	struct tls_server *server = server_new(&settings, 1);
	struct tls_client *client = client_new("ca.crt", clients[_i], TLS_MODERN);
	struct tls_offer offer = { .server = server, .wants_certificate = true };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	ck_assert(b.server->facts->is_verified == (_i == 0));
	both_free(&b);
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

/* --- resumption ------------------------------------------------------------------------ */

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

/* --- whom our client believes ---------------------------------------------------------- */

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

/* --- channel binding ------------------------------------------------------------------- */

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

/* --- OCSP ------------------------------------------------------------------------------ */

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

/* --- all of them ----------------------------------------------------------------------- */

static TCase *
names_case(void)
{
	TCase *tc = tls_case_new("names");

	ADD_TABLE(tc, asked_name_chooses_the_certificate, choices);
	tcase_add_test(tc, asking_for_a_laxer_sections_name_does_not_get_its_profile_or_cas);
	tcase_add_test(tc, weak_certificate_of_another_section_is_not_shown_where_it_may_not_be);
	ADD_TABLE(tc, client_is_known_by_what_its_certificate_proves, guests);
	tcase_add_loop_test(tc, intermediate_ca_vouches_for_its_own_clients_and_no_others, 0, 2);
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
	TCase *tc = tls_case_new("resumption");

	tcase_add_test(tc, session_resumes_with_any_worker_until_its_key_is_gone);
	tcase_add_loop_test(tc, sessions_of_both_versions_resume_and_keep_to_their_connector, 0,
			    2);
	tcase_add_test(tc, handshakes_leave_nothing_behind);
	tcase_add_test(tc, tickets_of_other_keys_are_of_no_use);
	tcase_add_test(tc, key_made_before_a_fork_serves_the_processes_behind_it);
	tcase_add_test(tc, both_ends_have_the_same_channel_binding_and_no_other_connection_has);
	tcase_add_test(tc, there_is_no_channel_binding_in_clear_or_before_tls_1_3);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("tls trust");

	suite_add_tcase(suite, names_case());
	suite_add_tcase(suite, resumption_case());
	return tls_suite_main(suite);
}
