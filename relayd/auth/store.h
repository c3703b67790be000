/* SPDX-License-Identifier: ISC */
/*
 * The users file as a helper asks it: is this the password, and what verifier shall SCRAM use.
 * A login that does not exist, is disabled or lacks the kind of verifier is answered with a
 * decoy, in the same way and time; only is_decoy tells, and must make the login fail.
 */
#ifndef RELAYD_AUTH_STORE_H
#define RELAYD_AUTH_STORE_H

#include "auth/settings.h"
#include "auth/users_file.h"
#include "base/log.h"

struct user_store;

/* Borrows settings and log for its life. */
struct user_store *user_store_new(const struct auth_settings *settings, const struct log *log);
void user_store_free(struct user_store **store);

/* Notice changes of the file: at the beginning of every exchange. */
void user_store_refresh(struct user_store *store);

enum user_store_answer {
	STORE_YES,
	STORE_NO,
	STORE_TROUBLE, /* the file cannot be read */
};

/*
 * Is this the login's password? A wrong one, or one for a login that does not exist, always
 * costs the full stretching (a millisecond); one that was right within the hour is recognised
 * by a keyed digest (docs/logins.md says why that is safe).
 */
enum user_store_answer user_store_check_password(struct user_store *store, struct span login,
				       struct span password, int64_t now_ms);

/* Has the login been shut out? For mechanisms that prove who it is by other means. */
enum user_store_answer user_store_is_open(const struct user_store *store, struct span login);

/*
 * The verifier for SCRAM: STORE_YES the login's, STORE_NO a decoy. Nothing with
 * STORE_TROUBLE.
 */
enum user_store_answer user_store_verifier(const struct user_store *store, struct span login,
				 enum digest_kind kind, struct verifier *verifier);

#endif
