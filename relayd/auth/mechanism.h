/* SPDX-License-Identifier: ISC */
/*
 * The SASL mechanisms that relayd knows, and where credentials may come from. DIGEST-MD5, NTLM
 * and ANONYMOUS are not here, so nothing can offer them.
 */
#ifndef RELAYD_AUTH_MECHANISM_H
#define RELAYD_AUTH_MECHANISM_H

#include "base/span.h"

enum auth_mechanism {
	AUTH_PLAIN,
	AUTH_LOGIN, /* our front end to the password check of PLAIN */
	AUTH_CRAM_MD5,
	AUTH_SCRAM_SHA_1,
	AUTH_SCRAM_SHA_1_PLUS,
	AUTH_SCRAM_SHA_256,
	AUTH_SCRAM_SHA_256_PLUS,
	AUTH_EXTERNAL,
	AUTH_GSSAPI,
	AUTH_MECHANISM_COUNT,
};

/* Sets of mechanisms are words of these bits. */
#define AUTH_BIT(mechanism) (1U << (mechanism))

/* sasl { method = ... }: who knows the passwords. */
enum auth_method {
	AUTH_METHOD_USERS_FILE, /* relayd's own: SCRAM verifiers, no clear text */
	AUTH_METHOD_SASLDB,	/* an existing sasldb2 */
	AUTH_METHOD_SASLAUTHD,	/* a daemon that is told name and password: PAM, LDAP, shadow */
	AUTH_METHOD_AUXPROP,	/* a Cyrus plug-in: sql, ldapdb */
	AUTH_METHOD_COUNT,
};

/* "SCRAM-SHA-256": as EHLO names it. */
const char *auth_mechanism_name(enum auth_mechanism mechanism);

/* Letters without case, RFC 4422 s.3.1. */
enum parse_status auth_mechanism_parse(struct span name, enum auth_mechanism *mechanism);

const char *auth_method_name(enum auth_method method);
enum parse_status auth_method_parse(struct span name, enum auth_method *method);

/* The password crosses the wire as it is: only under TLS. */
bool auth_mechanism_is_plain_text(enum auth_mechanism mechanism);

/* It needs the channel binding of a TLS 1.3 connection. */
bool auth_mechanism_is_bound(enum auth_mechanism mechanism);

/* The server speaks first: an initial response is a mistake (RFC 4954 s.4). */
bool auth_mechanism_is_server_first(enum auth_mechanism mechanism);

/*
 * What this source of credentials can do, whatever plug-ins are installed. scram_from_clear
 * allows SCRAM over a store of clear-text passwords, which costs milliseconds for each try.
 */
unsigned auth_mechanisms_of(enum auth_method method, bool scram_from_clear);

/* What a connector offers when it does not say. */
unsigned auth_mechanisms_default(enum auth_method method);

/* May a step of it wait for something outside the helper (saslauthd, LDAP, Kerberos)? */
bool auth_mechanism_is_slow(enum auth_method method, enum auth_mechanism mechanism);

#endif
