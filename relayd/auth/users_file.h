/* SPDX-License-Identifier: ISC */
/*
 * The users file: relayd's own store of logins. One login a line:
 *
 *   # comment
 *   billing@example.com SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>
 *   printer@example.com SCRAM-SHA-256$... SCRAM-SHA-1$... disabled
 *
 * No password can be read from it. It is replaced as a whole by whoever changes it (relayctl
 * user), so a reader sees either the old or the new state, and readers notice the change by
 * themselves.
 *
 * A line that cannot be read takes its own login out and no other's; so does a second line for
 * one login. Both are told. A file that is not there at all is trouble, not an empty list.
 */
#ifndef RELAYD_AUTH_USERS_FILE_H
#define RELAYD_AUTH_USERS_FILE_H

#include "auth/login.h"
#include "auth/verifier.h"
#include "base/fault.h"

#include <sys/types.h>

#define USERS_LINE_MAX 2048	   /* octets */
#define USERS_FILE_MAX (64U << 20) /* octets */

/* A password that was found right lately, so that it need not be stretched again. */
struct password_proof {
	int64_t until_ms; /* monotonic; 0: none */
	unsigned char mac[DIGEST_OCTETS_MAX];
};

struct user {
	struct span login;			/* canonical */
	unsigned line;
	bool has_verifier[DIGEST_KINDS];
	bool is_disabled;
	struct verifier verifiers[DIGEST_KINDS];
	struct password_proof proof; /* the password check's; dies with this reading */
};

/* ---- The text ---- */

struct user_set;

/* Told of each line that was left out, and why. */
typedef void user_complain(void *context, unsigned line, const char *text);

/* Read a whole file's text. Never NULL; nothing borrows from the text. complain may be NULL. */
struct user_set *user_set_parse(struct span text, struct span realm, user_complain *complain,
				void *context);
void user_set_free(struct user_set **set);

/* By canonical login; NULL when there is none. */
struct user *user_set_find(const struct user_set *set, struct span login);
size_t user_set_count(const struct user_set *set);

/* In the order of the lines. */
const struct user *user_set_at(const struct user_set *set, size_t i);

/* How often most of its logins stretch; a default when it has none. */
uint32_t user_set_iterations(const struct user_set *set);

/* ---- The file, as a reader keeps it ---- */

struct users_file;

/* Borrows path and realm. Does not open it yet. */
struct users_file *users_file_new(const char *path, struct span realm);
void users_file_free(struct users_file **file);

/*
 * The users as they are now: looks whether the file changed and reads it again if so (a system
 * call or two when not). NULL and *fault when it cannot be read. Complaints come once for each
 * reading. The set lives until the next call; pointers into it as well.
 */
struct user_set *users_file_read(struct users_file *file, user_complain *complain,
				 void *context, struct fault *fault);

/* ---- Changing it ---- */

enum user_change {
	USER_ADD,	   /* verifiers; the login may not exist */
	USER_SET_PASSWORD, /* verifiers; the login must exist; it stays disabled if it was */
	USER_DISABLE,
	USER_ENABLE,
	USER_REMOVE,
};

enum user_result {
	USER_CHANGED,
	USER_UNCHANGED, /* it was so already */
	USER_MISSING,
	USER_EXISTS,
	USER_TROUBLE, /* *fault says what */
};

/*
 * Make an empty file, readable by that group beside its owner; (gid_t)-1: by the owner's own.
 * True as well when the file is there already, which is then left as it is.
 */
bool users_file_make(const char *path, gid_t group, struct fault *fault) MUST_CHECK;

/*
 * Change one login, by canonical name. Waits for other writers, keeps mode, owner and every
 * other line, and replaces the file so that it is the old or the new one after a crash, and
 * the new one for sure once this returns. USER_ADD makes the file when it is missing. A file
 * with a broken line is not touched.
 */
enum user_result users_file_change(const char *path, struct span realm,
				   enum user_change change, struct span login,
				   const struct verifier *verifiers, size_t verifier_count,
				   struct fault *fault);

#endif
