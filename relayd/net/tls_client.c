/* SPDX-License-Identifier: ISC */
/*
 * Clients: one context for each route, and a memory of sessions by next hop. What a session
 * proved is only used where the same was asked for: route, name, port and check are its key.
 */
#include "net/tls_private.h"

#include "base/clock.h"
#include "base/ip.h"
#include "base/memory.h"
#include "base/table.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define REMEMBERED_MAX 1000 /* sessions; each may hold a few KiB */
#define KEY_OCTETS_MAX (TLS_NAME_MAX + 64)

struct remembered {
	struct list link; /* the least recently used first */
	char *key;
	SSL_SESSION *session;
};

struct client_route {
	SSL_CTX *context;
	struct tls_loaded pair;
};

struct shared_ca {
	const char *path; /* NULL: nobody */
	struct tls_ca ca;
};

struct tls_client {
	struct arena arena;
	BIO_METHOD *wire;
	struct client_route *routes;
	size_t route_count;
	struct shared_ca *cas;
	size_t ca_count;
	struct tls_certificate *told;
	size_t told_count;
	struct table by_key; /* of struct remembered */
	struct list by_age;
};

/* --- the memory of sessions -------------------------------------------------------------- */

static void
remembered_free(struct tls_client *client, struct remembered *r)
{
	list_remove(&r->link);
	(void)table_remove(&client->by_key, span_of(r->key));
	SSL_SESSION_free(r->session);
	free(r->key);
	free(r);
}

void
tls_client_forget(struct tls_client *client, const char *key)
{
	struct remembered *r = table_find(&client->by_key, span_of(key));

	if (r != NULL)
		remembered_free(client, r);
}

void
tls_client_remember(struct tls_client *client, const char *key, SSL_SESSION *session)
{
	struct remembered *r = memory_new(sizeof(*r));

	tls_client_forget(client, key);
	if (client->by_key.count >= REMEMBERED_MAX)
		remembered_free(client,
				LIST_OWNER(client->by_age.next, struct remembered, link));
	r->key = memory_copy_text(span_of(key));
	r->session = session;
	(void)table_put(&client->by_key, span_of(r->key), r);
	list_append(&client->by_age, &r->link);
}

/* A session that the peer should still know, or NULL. */
static SSL_SESSION *
session_find(struct tls_client *client, const char *key)
{
	struct remembered *r = table_find(&client->by_key, span_of(key));

	if (r == NULL)
		return NULL;
	int64_t age_s = clock_wall_ms() / 1000 - (int64_t)SSL_SESSION_get_time(r->session);

	if (age_s < 0 || age_s >= TLS_TICKET_LIFE_MS / 1000 ||
	    age_s >= (int64_t)SSL_SESSION_get_timeout(r->session)) {
		remembered_free(client, r);
		return NULL;
	}
	list_remove(&r->link);
	list_append(&client->by_age, &r->link);
	return r->session;
}

static int
session_new(SSL *ssl, SSL_SESSION *session)
{
	tls_stream_session(ssl, session);
	return 1; /* taken */
}

/* --- making ------------------------------------------------------------------------------ */

static bool
path_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The store of the CA file, read at its first use. */
static X509_STORE *
store_get(struct tls_client *client, const struct tls_client_settings *settings,
	  struct fault *fault)
{
	struct shared_ca *ca = &client->cas[client->ca_count];

	for (size_t i = 0; i < client->ca_count; i++) {
		if (path_equal(client->cas[i].path, settings->ca))
			return client->cas[i].ca.store;
	}
	if (!tls_ca_load(&ca->ca, settings->name, settings->ca, fault))
		return NULL;
	ca->path = settings->ca;
	client->ca_count++;
	return ca->ca.store;
}

static bool
pair_present(struct tls_client *client, struct client_route *route,
	     const struct tls_client_settings *settings, int64_t now_ms, struct fault *fault)
{
	struct tls_pair pair = *settings->pair;

	pair.certificate = arena_copy_text(&client->arena, span_of(pair.certificate));
	if (!tls_pair_load(&route->pair,
			   arena_copy_text(&client->arena, span_of(settings->name)), &pair,
			   now_ms, fault))
		return false;
	client->told[client->told_count++] = route->pair.told;
	return tls_context_present(route->context, &route->pair, fault);
}

static bool
route_make(struct tls_client *client, struct client_route *route,
	   const struct tls_client_settings *settings, int64_t now_ms, struct fault *fault)
{
	X509_STORE *store = store_get(client, settings, fault);

	if (store == NULL)
		return false;
	route->context =
	    tls_context_new(TLS_client_method(), settings->profile, settings->name, fault);
	if (route->context == NULL)
		return false;
	SSL_CTX_set1_cert_store(route->context, store);
	(void)SSL_CTX_set_session_cache_mode(
	    route->context,
	    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_new_cb(route->context, session_new);
	if (SSL_CTX_dane_enable(route->context) != 1)
		return fault_say(fault, "route \"%s\": set up DANE: %s", settings->name,
				 tls_reason());
	return settings->pair == NULL || pair_present(client, route, settings, now_ms, fault);
}

struct tls_client *
tls_client_new(const struct tls_client_settings *settings, size_t count, int64_t now_ms,
	       struct fault *fault)
{
	struct tls_client *client = memory_new(sizeof(*client));
	bool is_made = true;

	client->wire = tls_wire_new();
	table_init(&client->by_key, 0);
	list_init(&client->by_age);
	client->routes = arena_new_array(&client->arena, count, sizeof(*client->routes));
	client->cas = arena_new_array(&client->arena, count, sizeof(*client->cas));
	client->told = arena_new_array(&client->arena, count, sizeof(*client->told));
	for (size_t i = 0; i < count && is_made; i++) {
		client->route_count++;
		is_made = route_make(client, &client->routes[i], &settings[i], now_ms, fault);
	}
	for (size_t i = 0; i < client->ca_count; i++)
		client->cas[i].path = NULL; /* was the settings' */
	if (!is_made)
		tls_client_free(&client);
	return client;
}

void
tls_client_free(struct tls_client **client)
{
	struct tls_client *c = *client;

	if (c == NULL)
		return;
	while (!list_is_empty(&c->by_age))
		remembered_free(c, LIST_OWNER(c->by_age.next, struct remembered, link));
	table_reset(&c->by_key);
	for (size_t i = 0; i < c->route_count; i++) {
		SSL_CTX_free(c->routes[i].context);
		tls_loaded_reset(&c->routes[i].pair);
	}
	for (size_t i = 0; i < c->ca_count; i++)
		tls_ca_reset(&c->cas[i].ca);
	BIO_meth_free(c->wire);
	arena_reset(&c->arena);
	free(c);
	*client = NULL;
}

const struct tls_certificate *
tls_client_certificates(const struct tls_client *client, size_t *count)
{
	*count = client->told_count;
	return client->told;
}

const BIO_METHOD *
tls_client_wire(const struct tls_client *client)
{
	return client->wire;
}

/* --- connections ------------------------------------------------------------------------- */

/* Say whom we expect; an address is no server name (RFC 6066 s.3). */
static bool
expect(SSL *ssl, char *name)
{
	struct ip ip;

	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (ip_parse(span_of(name), &ip) == PARSE_OK)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* RFC 7672 s.3: who has one of these keys, or one signed by them, is the server. */
static bool
expect_tlsa(SSL *ssl, const struct tls_request *request, char *name)
{
	char other[TLS_NAME_MAX + 1];
	bool is_any = false;

	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (SSL_dane_enable(ssl, name) != 1)
		return false;
	(void)SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	for (size_t i = 0; i < request->tlsa->count; i++) {
		const struct tls_tlsa *tlsa = &request->tlsa->records[i];

		is_any |= SSL_dane_tlsa_add(ssl, tlsa->usage, tlsa->selector, tlsa->matching,
					    (const unsigned char *)tlsa->data.ptr,
					    tlsa->data.len) == 1;
	}

	struct span clean = tls_name_clean(request->other_name, other);

	other[clean.len] = '\0';
	return is_any && (clean.len == 0 || SSL_add1_host(ssl, other) == 1);
}

static SSL *
connection_make(const struct tls_request *request, char *name)
{
	SSL *ssl = SSL_new(request->client->routes[request->route].context);

	if (ssl == NULL)
		return NULL;
	bool is_dane = request->check == TLS_CHECK_DANE;

	if (is_dane ? !expect_tlsa(ssl, request, name) : !expect(ssl, name)) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_verify(ssl,
		       request->check == TLS_CHECK_NOTHING ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
		       NULL);
	SSL_set_connect_state(ssl);
	return ssl;
}

/* Terminated, into out; false when it is neither. */
static bool
name_or_address(struct span text, char out[TLS_NAME_MAX + 1])
{
	size_t len = tls_name_clean(text, out).len;
	struct ip ip;

	if (len == 0 && text.len <= TLS_NAME_MAX && ip_parse(text, &ip) == PARSE_OK) {
		len = text.len; /* of version 6: colons are in no name */
		memcpy(out, text.ptr, len);
	}
	out[len] = '\0';
	return len > 0;
}

SSL *
tls_client_open(const struct tls_request *request, uint16_t port, char **key)
{
	char name[TLS_NAME_MAX + 1];
	struct buffer text;
	SSL_SESSION *session;
	SSL *ssl;

	assert(request->route < request->client->route_count);
	if (!name_or_address(request->name, name))
		return NULL;
	ssl = connection_make(request, name);
	if (ssl == NULL)
		return NULL;
	buffer_init(&text, KEY_OCTETS_MAX);
	(void)buffer_printf(&text, "%zu %d %s:%u", request->route, (int)request->check, name,
			    (unsigned)port);
	*key = memory_copy_text(buffer_span(&text));
	buffer_reset(&text);
	if (request->check == TLS_CHECK_DANE)
		return ssl; /* the records may be others now: they are checked each time */
	session = session_find(request->client, *key);
	if (session != NULL)
		(void)SSL_set_session(ssl, session);
	return ssl;
}
