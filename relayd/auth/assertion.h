/* SPDX-License-Identifier: ISC */
/* Proving who a client is with a certificate's key instead of a secret (RFC 7523). */
#ifndef RELAYD_AUTH_ASSERTION_H
#define RELAYD_AUTH_ASSERTION_H

#include "base/buffer.h"
#include "base/fault.h"

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

struct assertion_request {
	const char *certificate; /* PEM file; its SHA-256 thumbprint names the key */
	const char *key;	 /* PEM file, RSA or EC P-256 */
	const char *client_id;	 /* issuer and subject */
	const char *audience;	 /* the token endpoint */
	int64_t now_wall_ms;
};

/*
 * Append a signed JSON Web Token (RFC 7515, RFC 7519) that is good for ten minutes: RS256 or
 * ES256, as the key is. False and *fault when a file cannot be read or does not fit.
 */
bool assertion_append(const struct assertion_request *request, struct buffer *out,
		      struct fault *fault) MUST_CHECK;

#endif
