/* SPDX-License-Identifier: ISC */
/* Certificates and keys, made and written to files for a test. Whatever fails ends it. */
#ifndef RELAYD_TESTS_NET_CERTIFICATES_H
#define RELAYD_TESTS_NET_CERTIFICATES_H

#include <openssl/ssl.h>
#include <stdbool.h>

#define DAY_S (24L * 3600)

/* A certificate and its key. */
struct identity {
	X509 *certificate;
	EVP_PKEY *key;
};

/* What it shall be; zero: an ECDSA key, valid for 90 days, signed by itself. */
struct wish {
	const char *common_name;
	const char *alternatives; /* "DNS:a.example.com,email:b@example.com"; or NULL */
	const struct identity *by; /* NULL: itself */
	bool is_ca;
	int rsa_bits; /* 0: ECDSA on P-256 */
	long from_s;  /* from now on; 0: an hour ago */
	long until_s; /* 0: 90 days */
};

struct identity identity_make(struct wish wish);
void identity_free(struct identity *identity);

/* Files in the folder: NAME.crt (with a second certificate behind it, if any) and NAME.key. */
void identity_write(const char *folder, const char *name, const struct identity *identity,
		    const struct identity *chain);

/* The same key, encrypted. */
void key_write_encrypted(const char *folder, const char *name, const EVP_PKEY *key);

/* An OCSP response about the certificate: V_OCSP_CERTSTATUS_..., until so many seconds from now. */
void staple_write(const char *folder, const char *name, const struct identity *about,
		  const struct identity *by, int status, long until_s);

void text_write(const char *folder, const char *name, const char *text);

#endif
