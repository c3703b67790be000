/* SPDX-License-Identifier: ISC */
/* The users file as a helper asks it; see store.h. */
#include "auth/store.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define PROOF_LIFE_MS 3600000

struct user_store {
	const struct auth_settings *settings;
	const struct log *log;
	struct users_file *file;
	struct user_set *users; /* NULL: not read yet, or not readable */
	bool is_told;		/* that it is not readable */
	unsigned char proof_key[DIGEST_OCTETS_MAX];
};

struct user_store *
user_store_new(const struct auth_settings *settings, const struct log *log)
{
	struct user_store *store = memory_new(sizeof(*store));

	store->settings = settings;
	store->log = log;
	store->file = users_file_new(settings->users_file, span_of(settings->realm));
	digest_random(store->proof_key, sizeof(store->proof_key));
	return store;
}

void
user_store_free(struct user_store **store)
{
	if (*store == NULL)
		return;
	users_file_free(&(*store)->file);
	memory_wipe(*store, sizeof(**store));
	free(*store);
	*store = NULL;
}

static void
complain_of_line(void *context, unsigned line, const char *text)
{
	const struct user_store *store = context;

	log_warn(store->log, "%s:%u: %s; nobody can log in by this line",
		 store->settings->users_file, line, text);
}

void
user_store_refresh(struct user_store *store)
{
	struct fault fault;

	store->users = users_file_read(store->file, complain_of_line, store, &fault);
	if (store->users == NULL && !store->is_told)
		log_error(store->log, "users file: %s; logins are put off until it can be read",
			  fault_text(&fault));
	store->is_told = store->users == NULL;
}

/* The user, when the kind of verifier is there and may be used; else NULL. */
static struct user *
user_with(const struct user_store *store, struct span login, enum digest_kind kind)
{
	struct user *user = user_set_find(store->users, login);

	return user != NULL && !user->is_disabled && user->has_verifier[kind] ? user : NULL;
}

static void
decoy_make(const struct user_store *store, struct span login, enum digest_kind kind,
	   struct verifier *decoy)
{
	struct span secret = { (const char *)store->settings->secret, AUTH_SECRET_OCTETS };

	verifier_make_decoy(decoy, kind, secret, login, user_set_iterations(store->users));
}

/* HMAC(key of this process, StoredKey || password) */
static void
proof_make(const struct user_store *store, const struct verifier *verifier, struct span password,
	   unsigned char mac[DIGEST_OCTETS_MAX])
{
	char text[DIGEST_OCTETS_MAX + PASSWORD_MAX];
	struct span key = { (const char *)store->proof_key, sizeof(store->proof_key) };

	memcpy(text, verifier->stored_key, DIGEST_OCTETS_MAX);
	memcpy(text + DIGEST_OCTETS_MAX, password.ptr, password.len);
	digest_hmac(DIGEST_SHA_256, key,
		    (struct span){ text, DIGEST_OCTETS_MAX + password.len }, mac);
	memory_wipe(text, DIGEST_OCTETS_MAX + password.len);
}

enum user_store_answer
user_store_check_password(struct user_store *store, struct span login, struct span password,
		     int64_t now_ms)
{
	unsigned char mac[DIGEST_OCTETS_MAX];
	struct verifier verifier;
	enum digest_kind kind = DIGEST_SHA_256;

	assert(password.len > 0 && password.len <= PASSWORD_MAX);
	if (store->users == NULL)
		return STORE_TROUBLE;
	struct user *user = user_with(store, login, kind);

	if (user == NULL && user_with(store, login, DIGEST_SHA_1) != NULL)
		user = user_with(store, login, kind = DIGEST_SHA_1);
	decoy_make(store, login, kind, &verifier);
	if (user != NULL)
		verifier = user->verifiers[kind];
	proof_make(store, &verifier, password, mac);
	if (user != NULL && now_ms < user->proof.until_ms &&
	    digest_equal(mac, user->proof.mac, sizeof(mac)))
		return STORE_YES;
	bool is_right = verifier_check(&verifier, password) && user != NULL;

	if (is_right) {
		user->proof.until_ms = now_ms + PROOF_LIFE_MS;
		memcpy(user->proof.mac, mac, sizeof(mac));
	}
	memory_wipe(mac, sizeof(mac));
	return is_right ? STORE_YES : STORE_NO;
}

enum user_store_answer
user_store_is_open(const struct user_store *store, struct span login)
{
	if (store->users == NULL)
		return STORE_TROUBLE;
	const struct user *user = user_set_find(store->users, login);

	return user == NULL || !user->is_disabled ? STORE_YES : STORE_NO;
}

enum user_store_answer
user_store_verifier(const struct user_store *store, struct span login, enum digest_kind kind,
	       struct verifier *verifier)
{
	if (store->users == NULL)
		return STORE_TROUBLE;
	const struct user *user = user_with(store, login, kind);

	decoy_make(store, login, kind, verifier);
	if (user != NULL)
		*verifier = user->verifiers[kind];
	return user == NULL ? STORE_NO : STORE_YES;
}
