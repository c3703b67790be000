/* SPDX-License-Identifier: ISC */
/* The rules of the three profiles, for both sides; docs/tls.md gives the reasons. */
#include "net/tls_private.h"

#include <openssl/err.h>

#define CERTIFICATES_OCTETS_MAX (32 * 1024) /* that a peer may send */
#define CERTIFICATE_DEPTH_MAX	6
#define GROUPS_SIZE		40

/* The library's names for things, by profile. */
struct profile_rules {
	int version_min;
	int security_level; /* 2: at least 112 bits, so RSA from 2048 on, no SHA-1 */
	const char *ciphers; /* up to TLS 1.2; those of 1.3 are all good */
	char groups[GROUPS_SIZE];
};

#define STRONG                                                                                 \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                           \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                           \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

static const struct profile_rules profiles[] = {
	[TLS_MODERN] = { TLS1_3_VERSION, 2, STRONG, "X25519:P-256:P-384" },
	[TLS_INTERMEDIATE] = { TLS1_2_VERSION, 2, STRONG, "X25519:P-256:P-384" },
	/*
	 * Old devices know no forward secrecy, some only 3DES (where the library still has
	 * it), and fail at Diffie-Hellman groups of a decent size.
	 */
	[TLS_LEGACY] = { TLS1_VERSION, 0,
			 STRONG ":ECDHE+AES:RSA+AES:RSA+3DES:!aNULL:!eNULL:!PSK:!SRP",
			 "X25519:P-256:P-384:P-521" },
};

#define OPTIONS                                                                                \
	(SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |   \
	 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_CLEANSE_PLAINTEXT)

/*
 * An idle connection holds no buffers of records. We build no chains at a handshake: what to
 * present is what the file holds.
 */
#define MODES                                                                                  \
	(SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |                            \
	 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN)

SSL_CTX *
tls_context_new(const SSL_METHOD *method, enum tls_profile profile, const char *section,
		struct fault *fault)
{
	const struct profile_rules *rules = &profiles[profile];
	char groups[GROUPS_SIZE]; /* the library's macro takes no constant */
	SSL_CTX *context;

	memcpy(groups, rules->groups, sizeof(groups));
	ERR_clear_error();
	context = SSL_CTX_new(method);
	if (context == NULL) {
		(void)fault_say(fault, "tls \"%s\": %s", section, tls_reason());
		return NULL;
	}
	/* the system's own configuration of the library may have said otherwise */
	(void)SSL_CTX_clear_options(context, SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 |
						 SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3 |
						 SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_options(context, OPTIONS);
	(void)SSL_CTX_set_mode(context, MODES);
	SSL_CTX_set_security_level(context, rules->security_level);
	SSL_CTX_set_read_ahead(context, 1);
	(void)SSL_CTX_set_max_early_data(context, 0);
	(void)SSL_CTX_set_recv_max_early_data(context, 0);
	SSL_CTX_set_max_cert_list(context, CERTIFICATES_OCTETS_MAX);
	SSL_CTX_set_verify_depth(context, CERTIFICATE_DEPTH_MAX);
	(void)SSL_CTX_set_timeout(context, TLS_TICKET_LIFE_MS / 1000);
	if (SSL_CTX_set_min_proto_version(context, rules->version_min) == 1 &&
	    SSL_CTX_set_max_proto_version(context, 0) == 1 &&
	    SSL_CTX_set_cipher_list(context, rules->ciphers) == 1 &&
	    SSL_CTX_set1_groups_list(context, groups) == 1)
		return context;
	(void)fault_say(fault, "tls \"%s\": %s", section, tls_reason());
	SSL_CTX_free(context);
	return NULL;
}

bool
tls_context_present(SSL_CTX *context, const struct tls_loaded *loaded, struct fault *fault)
{
	static const int no_replacing = 0;

	ERR_clear_error();
	if (SSL_CTX_use_cert_and_key(context, loaded->leaf, loaded->key, loaded->chain,
				     no_replacing) == 1)
		return true;
	if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_NOT_REPLACING_CERTIFICATE)
		return fault_say(fault,
				 "tls \"%s\": %s: a second %s certificate; a section takes one "
				 "of each kind",
				 loaded->told.section, loaded->told.file, loaded->told.kind);
	return fault_say(fault, "tls \"%s\": %s: %s", loaded->told.section,
			 loaded->told.file, tls_reason());
}
