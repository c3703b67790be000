/* SPDX-License-Identifier: ISC */
/* Proving who a client is with a certificate's key instead of a secret (RFC 7523). */
#ifndef RELAYD_AUTH_ASSERTION_H
#define RELAYD_AUTH_ASSERTION_H

#include "base/buffer.h"
#include "base/fault.h"

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

struct assertion_key;

/*
 * Read certificate and key, PEM files; RSA, or EC with the curve P-256. NULL and *fault when
 * one cannot be read or they do not belong together.
 */
struct assertion_key *assertion_key_new(const char *certificate, const char *key,
					struct fault *fault);
void assertion_key_free(struct assertion_key **key);

struct assertion_request {
	const struct assertion_key *key;
	const char *client_id; /* issuer and subject */
	const char *audience;  /* the token endpoint */
	int64_t now_wall_ms;
};

/*
 * Append a signed JSON Web Token (RFC 7515, RFC 7519) that is good for ten minutes: RS256 or
 * ES256, as the key is; the certificate's thumbprints name the key. False when it does not fit
 * or cannot be signed.
 */
bool assertion_append(const struct assertion_request *request, struct buffer *out) MUST_CHECK;

#endif
