/* SPDX-License-Identifier: ISC */
/* What a finished handshake shows of the peer: names, and how far to trust them. */
#include "net/tls_private.h"

#include "base/utf8.h"

#include <openssl/x509v3.h>
#include <stdio.h>

#define IDENTITIES_MAX	      32  /* that anybody looks at */
#define IDENTITY_OCTETS_MAX   320 /* of one name; a mail address may have 254 */

/* --- names ------------------------------------------------------------------------------- */

struct span
tls_name_clean(struct span name, char out[TLS_NAME_MAX])
{
	struct span clean = { out, 0 };

	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len > TLS_NAME_MAX)
		return clean;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!ascii_is_alnum(c) && c != '-' && c != '.' && c != '_' && c != '*')
			return clean;
		out[i] = ascii_lower(c);
	}
	clean.len = name.len;
	return clean;
}

static struct span
asn1_span(const ASN1_STRING *text)
{
	int len = ASN1_STRING_length(text);

	return (struct span){ (const char *)ASN1_STRING_get0_data(text),
			      len < 0 ? 0 : (size_t)len };
}

static GENERAL_NAMES *
alternative_names(const X509 *certificate)
{
	return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

size_t
tls_dns_names(struct arena *arena, X509 *certificate, struct span *names, size_t max)
{
	GENERAL_NAMES *all = alternative_names(certificate);
	char clean[TLS_NAME_MAX];
	size_t count = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && count < max; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type != GEN_DNS)
			continue;
		struct span found = tls_name_clean(asn1_span(name->d.dNSName), clean);

		if (found.len > 0)
			names[count++] = arena_copy(arena, found);
	}
	GENERAL_NAMES_free(all);
	return count;
}

/* --- identities -------------------------------------------------------------------------- */

struct identities {
	struct arena *arena;
	struct span *list;
	size_t count;
};

/* UTF-8 without control characters. */
static bool
is_readable(struct span text)
{
	while (text.len > 0) {
		uint32_t code;
		size_t octets = utf8_decode(text, &code);

		if (octets == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
			return false;
		text = span_skip(text, octets);
	}
	return true;
}

/* One more, unless it is something that no name should look like. */
static void
identity_add(struct identities *to, const char *kind, struct span name)
{
	char text[IDENTITY_OCTETS_MAX + 16];
	size_t prefix = strlen(kind);

	if (name.len == 0 || name.len > IDENTITY_OCTETS_MAX || to->count == IDENTITIES_MAX ||
	    !is_readable(name))
		return;
	memcpy(text, kind, prefix);
	memcpy(text + prefix, name.ptr, name.len);
	to->list[to->count++] = arena_copy(to->arena, (struct span){ text, prefix + name.len });
}

static void
fingerprint_add(struct identities *to, const X509 *certificate)
{
	unsigned char digest[TLS_DIGEST_OCTETS];
	char digits[2 * TLS_DIGEST_OCTETS + 1];

	if (X509_digest(certificate, EVP_sha256(), digest, NULL) != 1)
		return;
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(digits + 2 * i, 3, "%02x", digest[i]);
	identity_add(to, "sha256:", (struct span){ digits, 2 * TLS_DIGEST_OCTETS });
}

static void
alternatives_add(struct identities *to, const X509 *certificate)
{
	GENERAL_NAMES *all = alternative_names(certificate);
	char clean[TLS_NAME_MAX];

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type == GEN_DNS)
			identity_add(to, "dns:",
				     tls_name_clean(asn1_span(name->d.dNSName), clean));
		else if (name->type == GEN_EMAIL)
			identity_add(to, "email:", asn1_span(name->d.rfc822Name));
	}
	GENERAL_NAMES_free(all);
}

/* The last common name is the most specific one. */
static void
common_name_add(struct identities *to, const X509 *certificate)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	unsigned char *text = NULL;
	int at = -1, last = -1;

	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return;
	int len = ASN1_STRING_to_UTF8(
	    &text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));

	if (len > 0)
		identity_add(to, "cn:", (struct span){ (const char *)text, (size_t)len });
	OPENSSL_free(text);
}

/*
 * A resumed session tells what was verified when it began; the certificate may have run out
 * since.
 */
static long
verification(const SSL *ssl, const X509 *certificate, int64_t now_ms)
{
	long result = SSL_get_verify_result(ssl);
	uint8_t usage = 0;

	if (result == X509_V_OK &&
	    SSL_get0_dane_tlsa((SSL *)(uintptr_t)ssl, &usage, NULL, NULL, NULL, NULL) >= 0 &&
	    usage == TLSA_USAGE_EE)
		return result; /* its dates do not matter */
	if (result == X509_V_OK && tls_time_ms(X509_get0_notAfter(certificate)) <= now_ms)
		return X509_V_ERR_CERT_HAS_EXPIRED;
	return result;
}

static void
peer_tell(struct tls_facts *facts, struct arena *arena, const SSL *ssl, int64_t now_ms)
{
	const X509 *certificate = SSL_get0_peer_certificate(ssl);
	struct identities all = { .arena = arena };

	if (certificate == NULL)
		return;
	long result = verification(ssl, certificate, now_ms);

	all.list = arena_new_array(arena, IDENTITIES_MAX, sizeof(*all.list));
	facts->is_verified = result == X509_V_OK;
	fingerprint_add(&all, certificate);
	if (facts->is_verified) {
		alternatives_add(&all, certificate);
		common_name_add(&all, certificate);
	} else {
		facts->unverified = X509_verify_cert_error_string(result);
	}
	facts->identities = all.list;
	facts->identity_count = all.count;
}

/* --- together ---------------------------------------------------------------------------- */

struct tls_facts *
tls_facts_make(struct arena *arena, const SSL *ssl, int64_t now_ms)
{
	struct tls_facts *facts = arena_new(arena, sizeof(*facts));
	struct span asked = span_of(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	char clean[TLS_NAME_MAX];
	int bits = SSL_get_cipher_bits(ssl, NULL);

	*facts = (struct tls_facts){
		.version = SSL_get_version(ssl),
		.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)),
		.cipher_bits = bits < 0 ? 0 : (unsigned)bits,
		.is_resumed = SSL_session_reused(ssl) == 1,
	};
	facts->server_name = arena_copy(arena, tls_name_clean(asked, clean));
	peer_tell(facts, arena, ssl, now_ms);
	return facts;
}

struct tls_facts *
tls_facts_copy(struct arena *arena, const struct tls_facts *facts)
{
	struct tls_facts *copy = arena_new(arena, sizeof(*copy));
	struct span *list =
	    arena_new_array(arena, facts->identity_count, sizeof(*facts->identities));

	*copy = *facts;
	copy->server_name = arena_copy(arena, facts->server_name);
	for (size_t i = 0; i < facts->identity_count; i++)
		list[i] = arena_copy(arena, facts->identities[i]);
	copy->identities = list;
	return copy;
}
