/* SPDX-License-Identifier: ISC */
/* The few primitives that verifiers and counters need, from libcrypto. */
#ifndef RELAYD_AUTH_DIGEST_H
#define RELAYD_AUTH_DIGEST_H

#include "base/span.h"

#define DIGEST_OCTETS_MAX 32

enum digest_kind {
	DIGEST_SHA_1,
	DIGEST_SHA_256,
	DIGEST_KINDS,
};

size_t digest_octets(enum digest_kind kind);

/* H(data), and HMAC(key, data), into out: digest_octets(kind) octets. */
void digest_hash(enum digest_kind kind, struct span data, unsigned char *out);
void digest_hmac(enum digest_kind kind, struct span key, struct span data,
		 unsigned char *out);

/* PBKDF2 with HMAC (RFC 8018 s.5.2): Hi() of RFC 5802. iterations > 0. */
void digest_stretch(enum digest_kind kind, struct span password, struct span salt,
		    uint32_t iterations, unsigned char *out);

/* Equal, in a time that does not tell where they differ. */
bool digest_equal(const unsigned char *a, const unsigned char *b, size_t octets);

/* Random bytes fit for secrets, from the kernel; ends the process when there are none. */
void digest_random(void *out, size_t octets);

#endif
