/* SPDX-License-Identifier: ISC */
/*
 * Certificates, keys, CAs and OCSP staples, read from their files and checked, so that what
 * is wrong is said with the name of the file and before any client meets it.
 */
#include "net/tls_private.h"

#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#define PAIR_OCTETS_MAX	  (256 << 10)
#define STAPLE_OCTETS_MAX (64 << 10)
#define CA_OCTETS_MAX	  (16 << 20)
#define CA_NAMES_MAX	  100 /* beyond that none are told: clients then look at all they have */
#define DAY_MS		  (INT64_C(24) * 3600 * 1000)
#define READ_STEP	  16384

int64_t
tls_certificate_days_left(const struct tls_certificate *certificate, int64_t now_ms)
{
	int64_t left_ms = certificate->expires_at_ms - now_ms;

	return left_ms >= 0 ? left_ms / DAY_MS : -1 - (-1 - left_ms) / DAY_MS;
}

const char *
tls_reason(void)
{
	unsigned long error = ERR_peek_last_error();
	const char *reason = ERR_SYSTEM_ERROR(error) ? NULL : ERR_reason_error_string(error);

	return reason == NULL ? "the library does not say why" : reason;
}

int64_t
tls_time_ms(const ASN1_TIME *when)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days, seconds;
	int64_t ms = INT64_MAX;

	if (epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, when) == 1)
		ms = days * DAY_MS + seconds * INT64_C(1000);
	ASN1_TIME_free(epoch);
	return ms;
}

/* --- files ------------------------------------------------------------------------------- */

static bool
descriptor_read(int fd, struct buffer *into)
{
	ssize_t got;

	do {
		size_t room = into->max - into->len < READ_STEP ? into->max - into->len : READ_STEP;

		if (room == 0) {
			errno = EFBIG;
			return false;
		}
		char *at = buffer_reserve(into, room);

		do {
			got = read(fd, at, room);
		} while (got == -1 && errno == EINTR);
		if (got > 0)
			buffer_claim(into, (size_t)got);
	} while (got > 0);
	return got == 0;
}

static bool
file_read(const char *section, const char *path, struct buffer *into, struct fault *fault)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return fault_setf(fault, "tls \"%s\": open %s", section, path);
	bool is_read = descriptor_read(fd, into);

	if (!is_read)
		(void)fault_setf(fault, "tls \"%s\": read %s", section, path);
	(void)close(fd);
	return is_read;
}

static void
buffer_wipe(struct buffer *b)
{
	if (b->ptr != NULL)
		memory_wipe(b->ptr, b->room);
	buffer_reset(b);
}

static BIO *
bio_of(const struct buffer *b)
{
	return BIO_new_mem_buf(b->len == 0 ? "" : b->ptr, (int)b->len);
}

/* Instead of asking at the terminal. */
static int
password_none(char *to, int room, int is_writing, void *was_asked)
{
	(void)to;
	(void)room;
	(void)is_writing;
	*(bool *)was_asked = true;
	return -1;
}

static X509 *
certificate_next(BIO *pem)
{
	bool was_asked = false;

	return PEM_read_bio_X509(pem, NULL, password_none, &was_asked);
}

/* Did reading stop because nothing more was there, rather than at damage? */
static bool
pem_is_at_end(void)
{
	unsigned long error = ERR_peek_last_error();

	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* --- a pair ------------------------------------------------------------------------------ */

static bool
chain_read(struct tls_loaded *loaded, const struct buffer *text, struct fault *fault)
{
	const char *section = loaded->told.section, *file = loaded->told.file;
	BIO *pem = bio_of(text);
	X509 *next;

	ERR_clear_error();
	loaded->chain = sk_X509_new_null();
	loaded->leaf = certificate_next(pem);
	while (loaded->leaf != NULL && (next = certificate_next(pem)) != NULL)
		(void)sk_X509_push(loaded->chain, next);
	bool is_whole = pem_is_at_end();

	BIO_free(pem);
	if (loaded->leaf == NULL && is_whole)
		return fault_say(fault, "tls \"%s\": %s holds no certificate", section, file);
	if (!is_whole)
		return fault_say(fault, "tls \"%s\": %s: certificate %d in it is damaged: %s",
				 section, file,
				 loaded->leaf == NULL ? 1 : sk_X509_num(loaded->chain) + 2,
				 tls_reason());
	return true;
}

static bool
key_read(struct tls_loaded *loaded, const char *file, const struct buffer *text,
	 struct fault *fault)
{
	const char *section = loaded->told.section;
	bool was_asked = false;
	BIO *pem = bio_of(text);

	ERR_clear_error();
	loaded->key = PEM_read_bio_PrivateKey(pem, NULL, password_none, &was_asked);
	BIO_free(pem);
	if (was_asked)
		return fault_say(fault,
				 "tls \"%s\": the key in %s is encrypted; nobody is there to type "
				 "its password: store it in clear, readable by root alone",
				 section, file);
	if (loaded->key == NULL)
		return fault_say(fault, "tls \"%s\": %s holds no private key: %s", section, file,
				 pem_is_at_end() ? "nothing of the kind is in it" : tls_reason());
	if (X509_check_private_key(loaded->leaf, loaded->key) != 1)
		return fault_say(fault,
				 "tls \"%s\": the key in %s does not belong to the certificate "
				 "in %s",
				 section, file, loaded->told.file);
	return true;
}

static bool
expiry_check(struct tls_loaded *loaded, int64_t now_ms, struct fault *fault)
{
	struct tls_certificate *told = &loaded->told;
	char when[CLOCK_RFC3339_SIZE];

	told->expires_at_ms = tls_time_ms(X509_get0_notAfter(loaded->leaf));
	if (told->expires_at_ms > now_ms)
		return true;
	clock_rfc3339(told->expires_at_ms, when);
	return fault_say(fault, "tls \"%s\": the certificate in %s expired on %.10s",
			 told->section, told->file, when);
}

/* --- a staple ---------------------------------------------------------------------------- */

static bool
is_about(OCSP_SINGLERESP *single, X509 *leaf)
{
	OCSP_CERTID *id = OCSP_CERTID_dup(OCSP_SINGLERESP_get0_id(single));
	ASN1_INTEGER *serial = NULL;
	bool is_same = id != NULL && OCSP_id_get0_info(NULL, NULL, NULL, &serial, id) == 1 &&
		       ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;

	OCSP_CERTID_free(id);
	return is_same;
}

/* The part of the response about the certificate, or NULL. */
static OCSP_SINGLERESP *
answer_find(OCSP_BASICRESP *basic, X509 *leaf)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

		if (is_about(single, leaf))
			return single;
	}
	return NULL;
}

/* NULL, or what is wrong with the answer. */
static const char *
staple_judge(struct tls_loaded *loaded, OCSP_RESPONSE *response)
{
	ASN1_GENERALIZEDTIME *next_update = NULL;
	OCSP_BASICRESP *basic;
	OCSP_SINGLERESP *single;
	const char *wrong = NULL;

	if (response == NULL)
		return "is no OCSP response in DER";
	if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return "is an OCSP error, not an answer";
	basic = OCSP_response_get1_basic(response);
	single = basic == NULL ? NULL : answer_find(basic, loaded->leaf);
	if (single == NULL)
		wrong = "is an OCSP response for another certificate";
	else if (OCSP_single_get0_status(single, NULL, NULL, NULL, &next_update) ==
		 V_OCSP_CERTSTATUS_REVOKED)
		wrong = "says that the certificate is revoked";
	else if (next_update != NULL)
		loaded->told.staple_expires_at_ms = tls_time_ms(next_update);
	OCSP_BASICRESP_free(basic);
	return wrong;
}

static bool
staple_read(struct tls_loaded *loaded, const char *file, struct fault *fault)
{
	const unsigned char *at;
	OCSP_RESPONSE *response;
	const char *wrong;

	buffer_init(&loaded->staple, STAPLE_OCTETS_MAX);
	if (!file_read(loaded->told.section, file, &loaded->staple, fault))
		return false;
	at = (const unsigned char *)loaded->staple.ptr;
	response = d2i_OCSP_RESPONSE(NULL, &at, (long)loaded->staple.len);
	wrong = staple_judge(loaded, response);
	OCSP_RESPONSE_free(response);
	if (wrong == NULL)
		return true;
	return fault_say(fault, "tls \"%s\": %s %s", loaded->told.section, file, wrong);
}

/* --- together ---------------------------------------------------------------------------- */

static const char *
key_kind(const EVP_PKEY *key)
{
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA: return "RSA";
	case EVP_PKEY_EC: return "ECDSA";
	case EVP_PKEY_ED25519: return "Ed25519";
	case EVP_PKEY_ED448: return "Ed448";
	default: return EVP_PKEY_get0_type_name(key);
	}
}

bool
tls_pair_load(struct tls_loaded *loaded, const char *section, const struct tls_pair *pair,
	      int64_t now_ms, struct fault *fault)
{
	struct buffer text, key_text;
	bool has_key_file = pair->key != NULL;

	*loaded = (struct tls_loaded){ .told = { .section = section, .file = pair->certificate } };
	/* room is made at once: a growing buffer would leave copies of the key behind */
	buffer_init(&text, PAIR_OCTETS_MAX);
	buffer_init(&key_text, PAIR_OCTETS_MAX);
	(void)buffer_reserve(&text, PAIR_OCTETS_MAX);
	(void)buffer_reserve(&key_text, PAIR_OCTETS_MAX);
	bool is_good =
	    file_read(section, pair->certificate, &text, fault) &&
	    chain_read(loaded, &text, fault) &&
	    (!has_key_file || file_read(section, pair->key, &key_text, fault)) &&
	    key_read(loaded, has_key_file ? pair->key : pair->certificate,
		     has_key_file ? &key_text : &text, fault) &&
	    expiry_check(loaded, now_ms, fault) &&
	    (pair->ocsp_staple == NULL || staple_read(loaded, pair->ocsp_staple, fault));

	buffer_wipe(&text);
	buffer_wipe(&key_text);
	if (is_good)
		loaded->told.kind = key_kind(loaded->key);
	else
		tls_loaded_reset(loaded);
	return is_good;
}

void
tls_loaded_reset(struct tls_loaded *loaded)
{
	X509_free(loaded->leaf);
	EVP_PKEY_free(loaded->key);
	sk_X509_pop_free(loaded->chain, X509_free);
	buffer_reset(&loaded->staple);
	*loaded = (struct tls_loaded){ .leaf = NULL };
}

/* --- CAs --------------------------------------------------------------------------------- */

static void
ca_add(struct tls_ca *ca, X509 *certificate)
{
	X509_NAME *name;

	(void)X509_STORE_add_cert(ca->store, certificate);
	if (sk_X509_NAME_num(ca->names) >= CA_NAMES_MAX)
		return;
	name = X509_NAME_dup(X509_get_subject_name(certificate));
	if (name != NULL)
		(void)sk_X509_NAME_push(ca->names, name);
}

static bool
ca_read(struct tls_ca *ca, const char *section, const char *path, struct fault *fault)
{
	struct buffer text;
	X509 *next;
	int count = 0;

	buffer_init(&text, CA_OCTETS_MAX);
	if (!file_read(section, path, &text, fault)) {
		buffer_reset(&text);
		return false;
	}
	BIO *pem = bio_of(&text);

	ERR_clear_error();
	(void)EVP_Digest(text.ptr, text.len, ca->digest, NULL, EVP_sha256(), NULL);
	while ((next = certificate_next(pem)) != NULL) {
		ca_add(ca, next);
		X509_free(next);
		count++;
	}
	bool is_whole = pem_is_at_end();

	BIO_free(pem);
	buffer_reset(&text);
	if (!is_whole)
		return fault_say(fault, "tls \"%s\": %s: CA certificate %d in it is damaged: %s",
				 section, path, count + 1, tls_reason());
	if (count == 0)
		return fault_say(fault, "tls \"%s\": %s holds no CA certificate", section, path);
	if (sk_X509_NAME_num(ca->names) >= CA_NAMES_MAX) {
		sk_X509_NAME_pop_free(ca->names, X509_NAME_free);
		ca->names = sk_X509_NAME_new_null();
	}
	return true;
}

bool
tls_ca_load(struct tls_ca *ca, const char *section, const char *path, struct fault *fault)
{
	*ca = (struct tls_ca){ .store = X509_STORE_new(), .names = sk_X509_NAME_new_null() };
	/* who names an intermediate CA means that one, and not whoever signed it */
	(void)X509_STORE_set_flags(ca->store, X509_V_FLAG_PARTIAL_CHAIN);
	if (path == NULL || ca_read(ca, section, path, fault))
		return true;
	tls_ca_reset(ca);
	return false;
}

void
tls_ca_reset(struct tls_ca *ca)
{
	X509_STORE_free(ca->store);
	sk_X509_NAME_pop_free(ca->names, X509_NAME_free);
	*ca = (struct tls_ca){ .store = NULL };
}
