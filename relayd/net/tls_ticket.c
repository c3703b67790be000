/* SPDX-License-Identifier: ISC */
/*
 * Keys that seal session tickets, shared by all processes (tls.h).
 *
 * There are three places: the present key, the previous one, and one that nobody uses. To
 * rotate, the supervisor fills the unused place, then makes it the present one; what was the
 * previous key is overwritten. Readers take no lock: a place that is in use by anybody who
 * just looked is only ever overwritten with random octets, and a ticket opened with those
 * does not prove itself. No place is ever zero, or anybody could forge a ticket under it.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */
#include "net/tls_private.h"

#include "base/memory.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define PLACES	     3
#define NAME_OCTETS  16
#define IV_OCTETS    16

struct ticket_key {
	unsigned char name[NAME_OCTETS]; /* in clear at the front of each ticket */
	unsigned char cipher_secret[TLS_TICKET_SECRET];
	unsigned char proof_secret[TLS_TICKET_SECRET];
};

_Static_assert(sizeof(struct ticket_key) == 80, "a ticket key is 80 octets");

struct tls_ticket_keys {
	_Atomic unsigned rotations; /* modulo PLACES: the present key's place */
	struct ticket_key places[PLACES];
};

static bool
place_fill(struct ticket_key *place, struct fault *fault)
{
	if (RAND_priv_bytes((unsigned char *)place, sizeof(*place)) == 1)
		return true;
	return fault_say(fault, "make a key for session tickets: %s", tls_reason());
}

struct tls_ticket_keys *
tls_ticket_keys_new(struct fault *fault)
{
	struct tls_ticket_keys *keys = mmap(NULL, sizeof(*keys), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (keys == MAP_FAILED) {
		(void)fault_set(fault, "mmap for the keys of session tickets");
		return NULL;
	}
	(void)madvise(keys, sizeof(*keys), MADV_DONTDUMP);
	atomic_init(&keys->rotations, 0);
	for (unsigned i = 0; i < PLACES; i++) {
		if (!place_fill(&keys->places[i], fault)) {
			tls_ticket_keys_free(&keys);
			return NULL;
		}
	}
	return keys;
}

bool
tls_ticket_keys_rotate(struct tls_ticket_keys *keys, struct fault *fault)
{
	unsigned next = atomic_load(&keys->rotations) + 1;
	struct ticket_key fresh, noise;

	if (!place_fill(&fresh, fault) || !place_fill(&noise, fault))
		return false;
	keys->places[next % PLACES] = fresh;
	atomic_store_explicit(&keys->rotations, next, memory_order_release);
	keys->places[(next + 1) % PLACES] = noise;
	memory_wipe(&fresh, sizeof(fresh));
	return true;
}

void
tls_ticket_keys_free(struct tls_ticket_keys **keys)
{
	if (*keys == NULL)
		return;
	memory_wipe(*keys, sizeof(**keys));
	(void)munmap(*keys, sizeof(**keys));
	*keys = NULL;
}

static bool
secrets_set(const struct ticket_key *key, const EVP_CIPHER *cipher, const unsigned char *iv,
	    EVP_CIPHER_CTX *sealing, EVP_MAC_CTX *proof, bool is_sealing)
{
	unsigned char secret[TLS_TICKET_SECRET];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	memcpy(secret, key->proof_secret, sizeof(secret));
	bool is_set = EVP_CipherInit_ex2(sealing, cipher, key->cipher_secret, iv, is_sealing,
					 NULL) == 1 &&
		      EVP_MAC_CTX_set_params(proof, params) == 1;

	memory_wipe(secret, sizeof(secret));
	return is_set;
}

/*
 * Returns what the library asks for: -1 trouble, 0 no such key (a full handshake follows),
 * 1 all is set, 2 the same and the client shall have a new ticket. TLS 1.3 wants a new one
 * each time (RFC 8446 s.C.4).
 */
int
tls_ticket_prepare(const struct tls_ticket_keys *keys, const EVP_CIPHER *cipher,
		   unsigned char name[NAME_OCTETS], unsigned char *iv,
		   EVP_CIPHER_CTX *sealing, EVP_MAC_CTX *proof, bool is_sealing,
		   bool is_renewed_always)
{
	unsigned present = atomic_load_explicit(&keys->rotations, memory_order_acquire);
	const struct ticket_key *key = &keys->places[present % PLACES];
	int found = is_renewed_always ? 2 : 1;

	if (is_sealing) {
		if (RAND_bytes(iv, IV_OCTETS) != 1)
			return -1;
		memcpy(name, key->name, NAME_OCTETS);
	} else if (memcmp(name, key->name, NAME_OCTETS) != 0) {
		key = &keys->places[(present + PLACES - 1) % PLACES];
		if (memcmp(name, key->name, NAME_OCTETS) != 0)
			return 0;
		found = 2;
	}
	return secrets_set(key, cipher, iv, sealing, proof, is_sealing) ? found : -1;
}
