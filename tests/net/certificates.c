/* SPDX-License-Identifier: ISC */
/* Certificates and keys for tests; see certificates.h. */
#include "net/certificates.h"

#include <check.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static void
extension_add(X509 *to, const X509 *by, int kind, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, (X509 *)(uintptr_t)by, to, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	ck_assert_ptr_nonnull(extension);
	ck_assert_int_eq(X509_add_ext(to, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

struct identity
identity_make(struct wish wish)
{
	static long serial;
	struct identity made = { X509_new(), NULL };
	X509 *x = made.certificate;
	const struct identity *by = wish.by != NULL ? wish.by : &made;

	made.key = wish.rsa_bits != 0 ? EVP_RSA_gen((unsigned)wish.rsa_bits) : EVP_EC_gen("P-256");
	ck_assert_ptr_nonnull(made.key);
	ck_assert_int_eq(X509_set_version(x, 2), 1);
	ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial * 1000 + 7), 1);
	ck_assert_int_eq(
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
				       (const unsigned char *)wish.common_name, -1, -1, 0),
	    1);
	X509_set_issuer_name(x, X509_get_subject_name(by->certificate));
	X509_gmtime_adj(X509_getm_notBefore(x), wish.from_s != 0 ? wish.from_s : -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), wish.until_s != 0 ? wish.until_s : 90 * DAY_S);
	X509_set_pubkey(x, made.key);
	extension_add(x, by->certificate, NID_basic_constraints,
		      wish.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	if (wish.alternatives != NULL)
		extension_add(x, by->certificate, NID_subject_alt_name, wish.alternatives);
	ck_assert_int_gt(X509_sign(x, by->key, EVP_sha256()), 0);
	return made;
}

void
identity_free(struct identity *identity)
{
	X509_free(identity->certificate);
	EVP_PKEY_free(identity->key);
	*identity = (struct identity){ NULL, NULL };
}

static FILE *
file_make(const char *folder, const char *name, const char *suffix)
{
	char path[400];
	FILE *file;

	ck_assert_int_lt(snprintf(path, sizeof(path), "%s/%s%s", folder, name, suffix),
			 (int)sizeof(path));
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	return file;
}

void
identity_write(const char *folder, const char *name, const struct identity *identity,
	       const struct identity *chain)
{
	FILE *file = file_make(folder, name, ".crt");

	ck_assert_int_eq(PEM_write_X509(file, identity->certificate), 1);
	if (chain != NULL)
		ck_assert_int_eq(PEM_write_X509(file, chain->certificate), 1);
	(void)fclose(file);
	file = file_make(folder, name, ".key");
	ck_assert_int_eq(PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL), 1);
	(void)fclose(file);
}

void
key_write_encrypted(const char *folder, const char *name, const EVP_PKEY *key)
{
	FILE *file = file_make(folder, name, ".key");
	unsigned char word[] = "secret";

	ck_assert_int_eq(
	    PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), word, 6, NULL, NULL), 1);
	(void)fclose(file);
}

void
staple_write(const char *folder, const char *name, const struct identity *about,
	     const struct identity *by, int status, long until_s)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), about->certificate, by->certificate);
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *until = X509_gmtime_adj(NULL, until_s);
	FILE *file = file_make(folder, name, ".ocsp");
	OCSP_RESPONSE *response;

	ck_assert_ptr_nonnull(OCSP_basic_add1_status(basic, id, status, 0,
						     status == V_OCSP_CERTSTATUS_REVOKED ? now :
											   NULL,
						     now, until));
	ck_assert_int_eq(OCSP_basic_sign(basic, by->certificate, by->key, EVP_sha256(), NULL, 0),
			 1);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	unsigned char *der = NULL;
	int octets = i2d_OCSP_RESPONSE(response, &der);

	ck_assert_int_gt(octets, 0);
	ck_assert_uint_eq(fwrite(der, 1, (size_t)octets, file), (size_t)octets);
	OPENSSL_free(der);
	(void)fclose(file);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(now);
	ASN1_TIME_free(until);
}

void
text_write(const char *folder, const char *name, const char *text)
{
	FILE *file = file_make(folder, name, "");

	ck_assert_int_ge(fputs(text, file), 0);
	(void)fclose(file);
}
