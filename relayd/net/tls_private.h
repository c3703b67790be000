/* SPDX-License-Identifier: ISC */
/* What the files of the TLS part share; the only header of ours that knows OpenSSL's. */
#ifndef RELAYD_NET_TLS_PRIVATE_H
#define RELAYD_NET_TLS_PRIVATE_H

#include "base/buffer.h"
#include "net/tls.h"

#include <openssl/ssl.h>

#define TLS_NAME_MAX	  253	/* octets of a domain name in text form */
#define TLS_TICKET_SECRET 32	/* octets of each of the two secrets of a ticket key */
#define TLS_DIGEST_OCTETS 32	/* of SHA-256 */

/* --- tls_files.c: what is read from disk ------------------------------------------------ */

struct tls_loaded {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) *chain;
	struct buffer staple; /* DER, or empty */
	struct tls_certificate told;
};

/* Read and check a pair for the section; its told borrows the names. False and *fault. */
bool tls_pair_load(struct tls_loaded *loaded, const char *section,
		   const struct tls_pair *pair, int64_t now_ms, struct fault *fault);
void tls_loaded_reset(struct tls_loaded *loaded);

struct tls_ca {
	X509_STORE *store;
	STACK_OF(X509_NAME) *names; /* for clients to choose a certificate by */
	unsigned char digest[TLS_DIGEST_OCTETS]; /* of the file */
};

/* path NULL: an empty store, which nobody's certificate satisfies. */
bool tls_ca_load(struct tls_ca *ca, const char *section, const char *path,
		 struct fault *fault);
void tls_ca_reset(struct tls_ca *ca);

/* The reason of the last error of the library, for a person. */
const char *tls_reason(void);

/* --- tls_context.c: what servers and clients have in common ----------------------------- */

/* A context with our rules for the profile. NULL and *fault. */
SSL_CTX *tls_context_new(const SSL_METHOD *method, enum tls_profile profile,
			 const char *section, struct fault *fault);

/* Let the context present the pair; *fault when the profile does not allow it. */
bool tls_context_present(SSL_CTX *context, const struct tls_loaded *loaded,
			 struct fault *fault);

/* --- tls_ticket.c ------------------------------------------------------------------------ */

/* For SSL_CTX_set_tlsext_ticket_key_evp_cb, with the keys and the cipher at hand. */
int tls_ticket_prepare(const struct tls_ticket_keys *keys, const EVP_CIPHER *cipher,
		       unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *sealing,
		       EVP_MAC_CTX *proof, bool is_sealing, bool is_renewed_always);

/* --- tls_facts.c ------------------------------------------------------------------------- */

/* What the finished handshake has shown; all in the arena. */
struct tls_facts *tls_facts_make(struct arena *arena, const SSL *ssl, int64_t now_ms);

/* The DNS names in a certificate, added to names (lower case, in the arena); at most max. */
size_t tls_dns_names(struct arena *arena, X509 *certificate, struct span *names, size_t max);

/* Milliseconds since 1970; INT64_MAX for a time that makes no sense. */
int64_t tls_time_ms(const ASN1_TIME *time);

/*
 * The name in lower case and without a dot at its end, in out; empty when it is none that a
 * host could have.
 */
struct span tls_name_clean(struct span name, char out[TLS_NAME_MAX]);

/* --- tls_server.c, tls_client.c ---------------------------------------------------------- */

/* A connection of the section, set up but for its BIO. NULL when the library fails. */
SSL *tls_server_open(const struct tls_offer *offer);
const BIO_METHOD *tls_server_wire(const struct tls_server *server);

/*
 * A connection to what the request names, at that port; resumes when it can. *key (heap) is
 * what sessions of this next hop are remembered under. NULL when the library fails or the
 * name is none.
 */
SSL *tls_client_open(const struct tls_request *request, uint16_t port, char **key);
const BIO_METHOD *tls_client_wire(const struct tls_client *client);

/* Remember the session (takes it) instead of an older one; forget what did not help. */
void tls_client_remember(struct tls_client *client, const char *key, SSL_SESSION *session);
void tls_client_forget(struct tls_client *client, const char *key);

/* --- tls_stream.c ------------------------------------------------------------------------ */

/* How octets come and go, in the library's terms. End it with BIO_meth_free. */
BIO_METHOD *tls_wire_new(void);

/* A client connection has a new session (takes it). */
void tls_stream_session(SSL *ssl, SSL_SESSION *session);

#endif
