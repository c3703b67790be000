/* SPDX-License-Identifier: ISC */
/*
 * libcrypto behind digest.h. Its calls fail only when memory runs out or the library is
 * crippled; like running out of memory elsewhere, that ends the process: a digest that was not
 * computed may not pass for one.
 */
#include "auth/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/random.h>

static const EVP_MD *
digest_type(enum digest_kind kind)
{
	return kind == DIGEST_SHA_1 ? EVP_sha1() : EVP_sha256();
}

static const unsigned char *
octets_of(struct span s)
{
	return (const unsigned char *)(s.ptr == NULL ? "" : s.ptr);
}

size_t
digest_octets(enum digest_kind kind)
{
	return kind == DIGEST_SHA_1 ? 20 : 32;
}

void
digest_hash(enum digest_kind kind, struct span data, unsigned char *out)
{
	if (EVP_Digest(octets_of(data), data.len, out, NULL, digest_type(kind), NULL) != 1)
		abort();
}

void
digest_hmac(enum digest_kind kind, struct span key, struct span data, unsigned char *out)
{
	if (HMAC(digest_type(kind), octets_of(key), (int)key.len, octets_of(data), data.len,
		 out, NULL) == NULL)
		abort();
}

void
digest_stretch(enum digest_kind kind, struct span password, struct span salt,
	       uint32_t iterations, unsigned char *out)
{
	if (PKCS5_PBKDF2_HMAC(password.ptr == NULL ? "" : password.ptr, (int)password.len,
			      octets_of(salt), (int)salt.len, (int)iterations,
			      digest_type(kind), (int)digest_octets(kind), out) != 1)
		abort();
}

bool
digest_equal(const unsigned char *a, const unsigned char *b, size_t octets)
{
	return CRYPTO_memcmp(a, b, octets) == 0;
}

void
digest_random(void *out, size_t octets)
{
	unsigned char *at = out;

	while (octets > 0) {
		ssize_t got = getrandom(at, octets, 0);

		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		at += got;
		octets -= (size_t)got;
	}
}
