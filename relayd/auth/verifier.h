/* SPDX-License-Identifier: ISC */
/*
 * What is kept instead of a password: SCRAM's salt, iteration count, StoredKey and ServerKey
 * (RFC 5802 s.3), enough to check a password or a SCRAM proof and not enough to log in with.
 * As text (RFC 5803 s.2):
 *
 *   SCRAM-SHA-256$4096:c2FsdHNhbHQ=$<StoredKey>:<ServerKey>     (base64 each)
 */
#ifndef RELAYD_AUTH_VERIFIER_H
#define RELAYD_AUTH_VERIFIER_H

#include "auth/digest.h"
#include "base/buffer.h"

#define VERIFIER_SALT_MAX	    64 /* octets */
#define VERIFIER_SALT_OCTETS	    16 /* of those that we make */
#define VERIFIER_ITERATIONS_DEFAULT 4096 /* the least that RFC 7677 s.4 allows */
#define VERIFIER_ITERATIONS_MIN	    1000
#define VERIFIER_ITERATIONS_MAX	    1000000
#define VERIFIER_TEXT_MAX	    256 /* octets of the longest text */
#define PASSWORD_MAX		    1024 /* octets */

struct verifier {
	enum digest_kind kind;
	uint32_t iterations;
	uint32_t salt_octets;
	unsigned char salt[VERIFIER_SALT_MAX];
	unsigned char stored_key[DIGEST_OCTETS_MAX];
	unsigned char server_key[DIGEST_OCTETS_MAX];
};

/* "SCRAM-SHA-256" */
const char *verifier_kind_name(enum digest_kind kind);

/* Derive a verifier from a password, with a new random salt. */
void verifier_make(struct verifier *verifier, enum digest_kind kind, struct span password,
		   uint32_t iterations);

/* Is this the password? Costs `iterations` rounds of HMAC whatever the answer. */
bool verifier_check(const struct verifier *verifier, struct span password);

/*
 * A verifier that no password meets, for a login that does not exist: the salt follows from
 * the secret and the login, so that asking twice shows the same one, as for a real login.
 */
void verifier_make_decoy(struct verifier *verifier, enum digest_kind kind,
			 struct span secret, struct span login, uint32_t iterations);

enum parse_status verifier_parse(struct span text, struct verifier *verifier);
bool verifier_append(const struct verifier *verifier, struct buffer *out);

#endif
