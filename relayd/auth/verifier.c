/* SPDX-License-Identifier: ISC */
/* SCRAM verifiers; see verifier.h. */
#include "auth/verifier.h"

#include "base/base64.h"
#include "base/memory.h"

#include <assert.h>

static const struct span kind_names[DIGEST_KINDS] = {
	[DIGEST_SHA_1] = SPAN_LITERAL("SCRAM-SHA-1"),
	[DIGEST_SHA_256] = SPAN_LITERAL("SCRAM-SHA-256"),
};

const char *
verifier_kind_name(enum digest_kind kind)
{
	return kind_names[kind].ptr;
}

static struct span
span_of_octets(const unsigned char *octets, size_t len)
{
	return (struct span){ (const char *)octets, len };
}

/*
 * SaltedPassword := Hi(password, salt, i)         RFC 5802 s.3
 * ClientKey      := HMAC(SaltedPassword, "Client Key")
 * StoredKey      := H(ClientKey)
 */
static void
stored_key_derive(const struct verifier *v, struct span password,
		  unsigned char salted[DIGEST_OCTETS_MAX], unsigned char *stored_key)
{
	unsigned char client_key[DIGEST_OCTETS_MAX];
	size_t octets = digest_octets(v->kind);

	digest_stretch(v->kind, password, span_of_octets(v->salt, v->salt_octets),
		       v->iterations, salted);
	digest_hmac(v->kind, span_of_octets(salted, octets), span_of("Client Key"), client_key);
	digest_hash(v->kind, span_of_octets(client_key, octets), stored_key);
	memory_wipe(client_key, sizeof(client_key));
}

void
verifier_make(struct verifier *verifier, enum digest_kind kind, struct span password,
	      uint32_t iterations)
{
	unsigned char salted[DIGEST_OCTETS_MAX];

	*verifier = (struct verifier){
		.kind = kind,
		.iterations = iterations,
		.salt_octets = VERIFIER_SALT_OCTETS,
	};
	digest_random(verifier->salt, VERIFIER_SALT_OCTETS);
	stored_key_derive(verifier, password, salted, verifier->stored_key);
	digest_hmac(kind, span_of_octets(salted, digest_octets(kind)), span_of("Server Key"),
		    verifier->server_key);
	memory_wipe(salted, sizeof(salted));
}

bool
verifier_check(const struct verifier *verifier, struct span password)
{
	unsigned char salted[DIGEST_OCTETS_MAX], stored_key[DIGEST_OCTETS_MAX];

	stored_key_derive(verifier, password, salted, stored_key);
	bool is_equal = digest_equal(stored_key, verifier->stored_key,
				     digest_octets(verifier->kind));

	memory_wipe(salted, sizeof(salted));
	memory_wipe(stored_key, sizeof(stored_key));
	return is_equal;
}

/* HMAC-SHA-256(secret, "<purpose>" login): as good as random to who has no secret. */
static void
decoy_part(struct span secret, char purpose, struct span login, unsigned char *out)
{
	struct buffer text;

	buffer_init(&text, login.len + 1);
	(void)buffer_append_byte(&text, purpose);
	(void)buffer_append(&text, login);
	digest_hmac(DIGEST_SHA_256, secret, buffer_span(&text), out);
	buffer_reset(&text);
}

void
verifier_make_decoy(struct verifier *verifier, enum digest_kind kind, struct span secret,
		    struct span login, uint32_t iterations)
{
	*verifier = (struct verifier){
		.kind = kind,
		.iterations = iterations,
		.salt_octets = VERIFIER_SALT_OCTETS,
	};
	unsigned char salt[DIGEST_OCTETS_MAX];

	decoy_part(secret, kind == DIGEST_SHA_1 ? 'a' : 'A', login, salt);
	memcpy(verifier->salt, salt, VERIFIER_SALT_OCTETS);
	decoy_part(secret, 'B', login, verifier->stored_key);
	decoy_part(secret, 'C', login, verifier->server_key);
}

/* Take the bytes up to the character off the front, and the character; false without it. */
static bool
part_take(struct span *in, char end, struct span *part)
{
	size_t at = span_find(*in, end);

	if (at == in->len)
		return false;
	*part = span_first(*in, at);
	*in = span_skip(*in, at + 1);
	return true;
}

/* Decode base64 that gives no more than max octets; 0 when it does not. */
static size_t
octets_decode(struct span text, unsigned char *out, size_t max)
{
	char octets[BASE64_DECODED_SIZE(BASE64_ENCODED_LEN(VERIFIER_SALT_MAX))];
	size_t len;

	if (text.len > BASE64_ENCODED_LEN(VERIFIER_SALT_MAX) ||
	    base64_decode(text, octets, &len) != PARSE_OK || len > max)
		return 0;
	memcpy(out, octets, len);
	return len;
}

enum parse_status
verifier_parse(struct span text, struct verifier *verifier)
{
	struct verifier v = { .kind = DIGEST_SHA_1 };
	struct span scheme, iterations, salt, stored_key;
	uint64_t count;

	if (!part_take(&text, '$', &scheme) || !part_take(&text, ':', &iterations) ||
	    !part_take(&text, '$', &salt) || !part_take(&text, ':', &stored_key))
		return PARSE_BAD;
	while (!span_equal(scheme, kind_names[v.kind])) {
		if (++v.kind == DIGEST_KINDS)
			return PARSE_BAD;
	}
	if (number_parse(iterations, VERIFIER_ITERATIONS_MAX, &count) != PARSE_OK ||
	    count < VERIFIER_ITERATIONS_MIN)
		return PARSE_BAD;
	v.iterations = (uint32_t)count;
	v.salt_octets = (uint32_t)octets_decode(salt, v.salt, sizeof(v.salt));

	size_t octets = digest_octets(v.kind);

	if (v.salt_octets == 0 ||
	    octets_decode(stored_key, v.stored_key, sizeof(v.stored_key)) != octets ||
	    octets_decode(text, v.server_key, sizeof(v.server_key)) != octets)
		return PARSE_BAD;
	*verifier = v;
	return PARSE_OK;
}

bool
verifier_append(const struct verifier *verifier, struct buffer *out)
{
	size_t octets = digest_octets(verifier->kind);

	return buffer_printf(out, "%s$%lu:", verifier_kind_name(verifier->kind),
			     (unsigned long)verifier->iterations) &&
	       base64_encode(out, span_of_octets(verifier->salt, verifier->salt_octets)) &&
	       buffer_append_byte(out, '$') &&
	       base64_encode(out, span_of_octets(verifier->stored_key, octets)) &&
	       buffer_append_byte(out, ':') &&
	       base64_encode(out, span_of_octets(verifier->server_key, octets));
}
