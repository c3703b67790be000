/* SPDX-License-Identifier: ISC */
/*
 * SASL, server side, inside an auth helper: Cyrus SASL behind an interface of our own. Calls
 * may block (saslauthd, LDAP, Kerberos); whoever cannot wait is not the one to call them.
 *
 * One answer for every kind of "no": a login that does not exist goes the same way, in the same
 * time, as a wrong password, and its SCRAM challenges are as stable as a real one's.
 */
#ifndef RELAYD_AUTH_SASL_H
#define RELAYD_AUTH_SASL_H

#include "auth/settings.h"
#include "auth/wire.h"
#include "base/log.h"

struct sasl_engine;
struct sasl_dialog;

/*
 * Start the library; there can be one engine in a process. Borrows settings and log for its
 * life. NULL and *fault when the library does not start.
 */
struct sasl_engine *sasl_engine_new(const struct auth_settings *settings,
				    const struct log *log, struct fault *fault);
void sasl_engine_free(struct sasl_engine **engine);

/* The mechanisms that it can serve: configured, and their plug-ins installed. */
unsigned sasl_engine_mechanisms(const struct sasl_engine *engine);

/*
 * An exchange; each gets a server object of its own. What the facts borrow is copied. Never
 * NULL: what cannot be is answered by the first step.
 */
struct sasl_dialog *sasl_dialog_new(struct sasl_engine *engine, enum auth_mechanism mechanism,
				    const struct auth_facts *facts);
void sasl_dialog_free(struct sasl_dialog **dialog);

/*
 * Take a step. The first one takes the initial response, if has_data; every other one the
 * client's answer, which may be empty. *answer gets code, user and data; they borrow from the
 * dialog until its next call. Unless the code is AUTH_CONTINUE the exchange is over.
 */
void sasl_dialog_step(struct sasl_dialog *dialog, bool has_data, struct span data,
		      struct auth_answer *answer);

#endif
