/* SPDX-License-Identifier: ISC */
/* Signed assertions; see assertion.h. */
#include "auth/assertion.h"

#include "auth/digest.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/memory.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#define GOOD_FOR_S     600
#define NOT_BEFORE_S   60 /* clocks differ */
#define PART_MAX       4096
#define ES256_OCTETS   64 /* R and S of 32 octets each, RFC 7518 s.3.4 */
#define SIGNATURE_MAX  1024

/* base64url without padding, RFC 7515 s.2. */
static bool
url_append(struct buffer *out, struct span bytes)
{
	size_t from = out->len;

	if (!base64_encode(out, bytes))
		return false;
	while (out->len > from && out->ptr[out->len - 1] == '=')
		out->len--;
	for (size_t i = from; i < out->len; i++) {
		if (out->ptr[i] == '+')
			out->ptr[i] = '-';
		else if (out->ptr[i] == '/')
			out->ptr[i] = '_';
	}
	return true;
}

static EVP_PKEY *
key_load(const char *path, struct fault *fault)
{
	FILE *file = fopen(path, "re");
	EVP_PKEY *key;

	if (file == NULL) {
		fault_setf(fault, "open %s", path);
		return NULL;
	}
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	(void)fclose(file);
	if (key == NULL)
		fault_say(fault, "%s holds no private key that can be read", path);
	return key;
}

static X509 *
certificate_load(const char *path, struct fault *fault)
{
	FILE *file = fopen(path, "re");
	X509 *certificate;

	if (file == NULL) {
		fault_setf(fault, "open %s", path);
		return NULL;
	}
	certificate = PEM_read_X509(file, NULL, NULL, NULL);
	(void)fclose(file);
	if (certificate == NULL)
		fault_say(fault, "%s holds no certificate", path);
	return certificate;
}

static bool
header_append(X509 *certificate, bool is_ec, struct buffer *out)
{
	unsigned char sha1[EVP_MAX_MD_SIZE], sha256[EVP_MAX_MD_SIZE];
	unsigned sha1_len = 0, sha256_len = 0;
	struct buffer text, thumb, thumb256;
	struct json json;
	bool ok;

	buffer_init(&text, PART_MAX);
	buffer_init(&thumb, 128);
	buffer_init(&thumb256, 128);
	ok = X509_digest(certificate, EVP_sha1(), sha1, &sha1_len) == 1 &&
	     X509_digest(certificate, EVP_sha256(), sha256, &sha256_len) == 1 &&
	     url_append(&thumb, (struct span){ (char *)sha1, sha1_len }) &&
	     url_append(&thumb256, (struct span){ (char *)sha256, sha256_len });
	json = json_on(&text);
	json_object_begin(&json, NULL);
	json_cstring(&json, "alg", is_ec ? "ES256" : "RS256");
	json_cstring(&json, "typ", "JWT");
	json_text(&json, "x5t", buffer_span(&thumb));
	json_text(&json, "x5t#S256", buffer_span(&thumb256));
	json_object_end(&json);
	ok = ok && !text.is_over && url_append(out, buffer_span(&text));
	buffer_reset(&text);
	buffer_reset(&thumb);
	buffer_reset(&thumb256);
	return ok;
}

static bool
claims_append(const struct assertion_request *request, struct buffer *out)
{
	int64_t now_s = request->now_wall_ms / 1000;
	unsigned char number[16];
	struct buffer text, id;
	struct json json;
	bool ok;

	buffer_init(&text, PART_MAX);
	buffer_init(&id, 64);
	digest_random(number, sizeof(number));
	ok = url_append(&id, (struct span){ (char *)number, sizeof(number) });
	json = json_on(&text);
	json_object_begin(&json, NULL);
	json_cstring(&json, "aud", request->audience);
	json_cstring(&json, "iss", request->client_id);
	json_cstring(&json, "sub", request->client_id);
	json_text(&json, "jti", buffer_span(&id));
	json_number(&json, "nbf", now_s - NOT_BEFORE_S);
	json_number(&json, "iat", now_s);
	json_number(&json, "exp", now_s + GOOD_FOR_S);
	json_object_end(&json);
	ok = ok && !text.is_over && url_append(out, buffer_span(&text));
	buffer_reset(&text);
	buffer_reset(&id);
	return ok;
}

/* The two numbers of a DER signature, side by side. */
static bool
es256_flatten(const unsigned char *der, size_t len, unsigned char out[ES256_OCTETS])
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = pair != NULL &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, ES256_OCTETS / 2) != -1 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + ES256_OCTETS / 2,
			       ES256_OCTETS / 2) != -1;

	ECDSA_SIG_free(pair);
	return ok;
}

static bool
signature_append(EVP_PKEY *key, bool is_ec, size_t from, struct buffer *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char signature[SIGNATURE_MAX], flat[ES256_OCTETS];
	size_t len = sizeof(signature);
	bool ok = context != NULL &&
		  EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestSign(context, signature, &len,
				 (const unsigned char *)out->ptr + from, out->len - from) == 1 &&
		  (!is_ec || es256_flatten(signature, len, flat)) &&
		  buffer_append_byte(out, '.') &&
		  url_append(out, is_ec ? (struct span){ (char *)flat, sizeof(flat) } :
					  (struct span){ (char *)signature, len });

	EVP_MD_CTX_free(context);
	return ok;
}

struct assertion_key {
	X509 *certificate;
	EVP_PKEY *key;
	bool is_ec;
};

static bool
key_is_usable(const struct assertion_key *key, struct fault *fault, const char *path)
{
	char curve[32] = "";
	size_t len = 0;

	if (EVP_PKEY_is_a(key->key, "RSA") == 1)
		return true;
	if (key->is_ec &&
	    EVP_PKEY_get_group_name(key->key, curve, sizeof(curve), &len) == 1 &&
	    strcmp(curve, "prime256v1") == 0)
		return true;
	return fault_say(fault, "the key in %s cannot sign an assertion; use RSA, or EC with the "
				"curve P-256",
			 path);
}

struct assertion_key *
assertion_key_new(const char *certificate, const char *key, struct fault *fault)
{
	struct assertion_key *pair = memory_new(sizeof(*pair));

	pair->certificate = certificate_load(certificate, fault);
	pair->key = pair->certificate == NULL ? NULL : key_load(key, fault);
	pair->is_ec = pair->key != NULL && EVP_PKEY_is_a(pair->key, "EC") == 1;

	bool ok = pair->key != NULL && key_is_usable(pair, fault, key);

	if (ok && X509_check_private_key(pair->certificate, pair->key) != 1)
		ok = fault_say(fault, "the key in %s is not that of the certificate in %s", key,
			       certificate);
	if (!ok)
		assertion_key_free(&pair);
	return pair;
}

void
assertion_key_free(struct assertion_key **key)
{
	if (*key == NULL)
		return;
	EVP_PKEY_free((*key)->key);
	X509_free((*key)->certificate);
	free(*key);
	*key = NULL;
}

bool
assertion_append(const struct assertion_request *request, struct buffer *out)
{
	const struct assertion_key *key = request->key;
	size_t from = out->len;

	return header_append(key->certificate, key->is_ec, out) &&
	       buffer_append_byte(out, '.') && claims_append(request, out) &&
	       signature_append(key->key, key->is_ec, from, out);
}
