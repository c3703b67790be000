/* SPDX-License-Identifier: ISC */
/*
 * Servers: one context for each tls section. A connection has the context of its connector's
 * section for life, and with it the profile, the client CAs and the session tickets; the name
 * that the client asks for chooses among the certificates of all sections, and nothing else,
 * so that nobody gets at a laxer section by asking for its name.
 */
#include "net/tls_private.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/table.h"

#include <assert.h>
#include <openssl/err.h>
#include <stdlib.h>

#define OWN_NAMES_MAX 100 /* of one certificate, when the section states none */

struct tls_section {
	const struct tls_server *server;
	SSL_CTX *context;
	struct tls_loaded *pairs;
	size_t pair_count;
	struct table names; /* those that this section answers to */

	/* what a session belongs to: section, CAs, whether a certificate was asked for */
	unsigned char session_ids[2][TLS_DIGEST_OCTETS];
};

struct tls_server {
	struct arena arena;
	const struct tls_ticket_keys *keys;
	EVP_CIPHER *ticket_cipher;
	BIO_METHOD *wire;
	struct tls_section *sections;
	size_t section_count;
	struct table names; /* of all sections; the first that states a name has it */
	struct tls_certificate *told;
	size_t told_count;
};

/* --- the library's questions ------------------------------------------------------------- */

/* The section that answers to the name: the connector's own if it does, or NULL. */
static const struct tls_section *
section_find(const struct tls_section *own, const char *asked)
{
	const struct tls_section *found;
	char clean[TLS_NAME_MAX];
	struct span name = tls_name_clean(span_of(asked), clean);
	size_t dot = span_find(name, '.');

	if (name.len == 0)
		return NULL;
	if (table_find(&own->names, name) != NULL)
		return own;
	found = table_find(&own->server->names, name);
	if (found != NULL || dot == 0 || dot == name.len)
		return found;
	name = span_skip(name, dot - 1);
	clean[dot - 1] = '*';
	if (table_find(&own->names, name) != NULL)
		return own;
	return table_find(&own->server->names, name);
}

/* Acknowledge a name that we have; go on in any case, since SMTP clients ask for anything. */
static int
name_asked(SSL *ssl, int *alert, void *section)
{
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	if (asked == NULL || section_find(section, asked) == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

static size_t
section_present(SSL *ssl, const struct tls_section *section)
{
	static const int replacing = 1;
	size_t count = 0;

	for (size_t i = 0; i < section->pair_count; i++) {
		const struct tls_loaded *pair = &section->pairs[i];

		if (SSL_use_cert_and_key(ssl, pair->leaf, pair->key, pair->chain, replacing) == 1)
			count++;
	}
	return count;
}

/* Asked when a certificate is about to be chosen. */
static int
certificates_choose(SSL *ssl, void *section)
{
	const struct tls_section *own = section;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct tls_section *wanted = asked == NULL ? NULL : section_find(own, asked);

	if (wanted == NULL || wanted == own)
		return 1;
	SSL_certs_clear(ssl);
	/* a weak one may be too weak for this connector's profile */
	if (section_present(ssl, wanted) == 0)
		(void)section_present(ssl, own);
	ERR_clear_error();
	return 1;
}

/*
 * A client's certificate is judged, and the judgement told; what follows from it is not for
 * TLS to say. An unknown client without grants gets a reply, not an alert.
 */
static int
client_judge(X509_STORE_CTX *chain, void *unused)
{
	(void)unused;
	if (X509_verify_cert(chain) != 1 && X509_STORE_CTX_get_error(chain) == X509_V_OK)
		X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED);
	return 1;
}

static const struct tls_loaded *
pair_of(const struct tls_server *server, const X509 *leaf)
{
	for (size_t s = 0; s < server->section_count; s++) {
		const struct tls_section *section = &server->sections[s];

		for (size_t i = 0; i < section->pair_count; i++) {
			if (section->pairs[i].leaf == leaf)
				return &section->pairs[i];
		}
	}
	return NULL;
}

/* Staple the OCSP response of the chosen certificate while it is good (RFC 6066 s.8). */
static int
staple_give(SSL *ssl, void *section)
{
	const struct tls_section *own = section;
	const struct tls_loaded *pair = pair_of(own->server, SSL_get_certificate(ssl));
	unsigned char *copy;

	if (pair == NULL || pair->staple.len == 0)
		return SSL_TLSEXT_ERR_NOACK;
	if (pair->told.staple_expires_at_ms != 0 &&
	    pair->told.staple_expires_at_ms <= clock_wall_ms())
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(pair->staple.ptr, pair->staple.len);
	if (copy == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	(void)SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)pair->staple.len);
	return SSL_TLSEXT_ERR_OK;
}

static int
ticket_asked(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *sealing,
	     EVP_MAC_CTX *proof, int is_sealing)
{
	const struct tls_section *section = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const struct tls_server *server = section->server;

	return tls_ticket_prepare(server->keys, server->ticket_cipher, name, iv, sealing, proof,
				  is_sealing != 0, SSL_version(ssl) >= TLS1_3_VERSION);
}

/* --- making ------------------------------------------------------------------------------ */

static void
section_answers_to(struct tls_server *server, struct tls_section *section, struct span name)
{
	(void)table_put(&section->names, name, section);
	if (table_find(&server->names, name) == NULL)
		(void)table_put(&server->names, name, section);
}

static bool
names_load(struct tls_server *server, struct tls_section *section,
	   const struct tls_settings *settings, struct fault *fault)
{
	struct span own[OWN_NAMES_MAX];
	char clean[TLS_NAME_MAX];

	for (size_t i = 0; i < settings->server_name_count; i++) {
		const char *stated = settings->server_names[i];
		struct span name = tls_name_clean(span_of(stated), clean);

		if (name.len == 0)
			return fault_say(fault, "tls \"%s\": \"%s\" is no name of a host",
					 settings->name, stated);
		section_answers_to(server, section, arena_copy(&server->arena, name));
	}
	for (size_t p = 0; p < section->pair_count && settings->server_name_count == 0; p++) {
		size_t count = tls_dns_names(&server->arena, section->pairs[p].leaf, own,
					     OWN_NAMES_MAX);

		for (size_t i = 0; i < count; i++)
			section_answers_to(server, section, own[i]);
	}
	return true;
}

static bool
pairs_load(struct tls_server *server, struct tls_section *section,
	   const struct tls_settings *settings, int64_t now_ms, struct fault *fault)
{
	section->pairs =
	    arena_new_array(&server->arena, settings->pair_count, sizeof(*section->pairs));
	for (size_t i = 0; i < settings->pair_count; i++) {
		struct tls_pair pair = settings->pairs[i];

		/* the copy is what the server tells of later */
		pair.certificate = arena_copy_text(&server->arena, span_of(pair.certificate));
		if (!tls_pair_load(&section->pairs[i],
				   arena_copy_text(&server->arena, span_of(settings->name)), &pair,
				   now_ms, fault))
			return false;
		section->pair_count++;
		server->told[server->told_count++] = section->pairs[i].told;
		if (!tls_context_present(section->context, &section->pairs[i], fault))
			return false;
	}
	return true;
}

static bool
client_ca_load(struct tls_section *section, const struct tls_settings *settings,
	       struct fault *fault)
{
	struct tls_ca ca;

	if (!tls_ca_load(&ca, settings->name, settings->client_ca, fault))
		return false;
	SSL_CTX_set1_cert_store(section->context, ca.store);
	SSL_CTX_set_client_CA_list(section->context, ca.names); /* takes it */
	ca.names = NULL;
	for (size_t wants = 0; wants < 2; wants++) {
		EVP_MD_CTX *digest = EVP_MD_CTX_new();

		(void)EVP_DigestInit_ex2(digest, EVP_sha256(), NULL);
		(void)EVP_DigestUpdate(digest, ca.digest, sizeof(ca.digest));
		(void)EVP_DigestUpdate(digest, wants == 0 ? "no" : "ask", wants == 0 ? 2 : 3);
		(void)EVP_DigestUpdate(digest, settings->name, strlen(settings->name));
		(void)EVP_DigestFinal_ex(digest, section->session_ids[wants], NULL);
		EVP_MD_CTX_free(digest);
	}
	tls_ca_reset(&ca);
	return true;
}

static void
section_callbacks_set(struct tls_section *section)
{
	SSL_CTX *context = section->context;

	SSL_CTX_set_app_data(context, section);
	(void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	(void)SSL_CTX_set_num_tickets(context, 1);
	(void)SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_asked);
	(void)SSL_CTX_set_tlsext_servername_callback(context, name_asked);
	(void)SSL_CTX_set_tlsext_servername_arg(context, section);
	(void)SSL_CTX_set_tlsext_status_cb(context, staple_give);
	(void)SSL_CTX_set_tlsext_status_arg(context, section);
	SSL_CTX_set_cert_cb(context, certificates_choose, section);
	SSL_CTX_set_cert_verify_callback(context, client_judge, NULL);
}

static bool
section_make(struct tls_server *server, struct tls_section *section,
	     const struct tls_settings *settings, int64_t now_ms, struct fault *fault)
{
	assert(settings->pair_count > 0);
	section->server = server;
	table_init(&section->names, 0);
	section->context =
	    tls_context_new(TLS_server_method(), settings->profile, settings->name, fault);
	if (section->context == NULL)
		return false;
	section_callbacks_set(section);
	return pairs_load(server, section, settings, now_ms, fault) &&
	       names_load(server, section, settings, fault) &&
	       client_ca_load(section, settings, fault);
}

struct tls_server *
tls_server_new(const struct tls_settings *settings, size_t count,
	       const struct tls_ticket_keys *keys, int64_t now_ms, struct fault *fault)
{
	struct tls_server *server = memory_new(sizeof(*server));
	size_t pair_count = 0;

	server->keys = keys;
	server->wire = tls_wire_new();
	server->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	table_init(&server->names, 0);
	for (size_t i = 0; i < count; i++)
		pair_count += settings[i].pair_count;
	server->told = arena_new_array(&server->arena, pair_count, sizeof(*server->told));
	server->sections = arena_new_array(&server->arena, count, sizeof(*server->sections));
	for (size_t i = 0; i < count; i++) {
		server->section_count++;
		if (!section_make(server, &server->sections[i], &settings[i], now_ms, fault)) {
			tls_server_free(&server);
			return NULL;
		}
	}
	return server;
}

void
tls_server_free(struct tls_server **server)
{
	struct tls_server *s = *server;

	if (s == NULL)
		return;
	for (size_t i = 0; i < s->section_count; i++) {
		struct tls_section *section = &s->sections[i];

		SSL_CTX_free(section->context);
		table_reset(&section->names);
		for (size_t p = 0; p < section->pair_count; p++)
			tls_loaded_reset(&section->pairs[p]);
	}
	table_reset(&s->names);
	EVP_CIPHER_free(s->ticket_cipher);
	BIO_meth_free(s->wire);
	arena_reset(&s->arena);
	free(s);
	*server = NULL;
}

const struct tls_certificate *
tls_server_certificates(const struct tls_server *server, size_t *count)
{
	*count = server->told_count;
	return server->told;
}

const BIO_METHOD *
tls_server_wire(const struct tls_server *server)
{
	return server->wire;
}

SSL *
tls_server_open(const struct tls_offer *offer)
{
	assert(offer->section < offer->server->section_count);
	const struct tls_section *section = &offer->server->sections[offer->section];
	SSL *ssl = SSL_new(section->context);

	if (ssl == NULL)
		return NULL;
	if (SSL_set_session_id_context(ssl, section->session_ids[offer->wants_certificate],
				       TLS_DIGEST_OCTETS) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	if (offer->wants_certificate)
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	SSL_set_accept_state(ssl);
	return ssl;
}
