/* SPDX-License-Identifier: ISC */
/*
 * SASL, the client's side: how we log in at a next hop. Cyrus SASL behind an interface of our
 * own; the mechanisms only reckon, so nothing here waits for anything.
 */
#ifndef RELAYD_AUTH_LOGIN_CLIENT_H
#define RELAYD_AUTH_LOGIN_CLIENT_H

#include "auth/mechanism.h"
#include "base/fault.h"

struct login_client;
struct login_dialog;

/* What it can do. */
#define LOGIN_MECHANISMS                                                               \
	(AUTH_BIT(AUTH_PLAIN) | AUTH_BIT(AUTH_LOGIN) | AUTH_BIT(AUTH_CRAM_MD5) |             \
	 AUTH_BIT(AUTH_SCRAM_SHA_1) | AUTH_BIT(AUTH_SCRAM_SHA_256))

#define LOGIN_PASSWORD_MAX 1024 /* octets */

/*
 * Start the library, which loads its plug-ins from files: before the process locks itself up.
 * There can be one in a process. NULL and *fault when it does not start, or when one of the
 * wanted mechanisms (of AUTH_BIT) is not installed.
 */
struct login_client *login_client_new(unsigned wanted, struct fault *fault);
void login_client_free(struct login_client **client);

/* Who logs in. */
struct login_credential {
	struct span host; /* the server's name */
	struct span user;
	struct span password; /* LOGIN_PASSWORD_MAX at most */
};

/* An exchange; what the login borrows is copied. End it with login_dialog_free. */
struct login_dialog *login_dialog_new(struct login_client *client,
						  enum auth_mechanism mechanism,
						  const struct login_credential *login);

/* Wipes the password. Harmless for NULL. */
void login_dialog_free(struct login_dialog **dialog);

/*
 * The initial response, which may be empty, if the mechanism has one. It borrows from the
 * dialog until its next call. False and *fault when the library cannot begin.
 */
bool login_dialog_begin(struct login_dialog *dialog, bool *has_initial,
		       struct span *initial, struct fault *fault) MUST_CHECK;

/* The answer to a challenge, likewise. False and *fault: there is none, break it off. */
bool login_dialog_answer(struct login_dialog *dialog, struct span challenge,
			struct span *answer, struct fault *fault) MUST_CHECK;

/*
 * Has the mechanism come to its end? A server that reports success before has not proved what
 * it should have (SCRAM: that it knows the password too).
 */
bool login_dialog_is_over(const struct login_dialog *dialog);

#endif
