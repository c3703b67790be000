/* SPDX-License-Identifier: ISC */
/*
 * Names of logins. "billing" and "billing@example.com" are one login where the realm is
 * example.com; everything inside works with the second form, the canonical one: the name as
 * given (case matters, as it does to most stores), the realm in lower case.
 */
#ifndef RELAYD_AUTH_LOGIN_H
#define RELAYD_AUTH_LOGIN_H

#include "base/span.h"

#define AUTH_LOGIN_MAX 320 /* octets of a canonical name */

/*
 * Write the canonical form into out and its length into *len. realm may be empty: then a bare
 * name stays bare. PARSE_BAD, out untouched, for what can be no login: empty, or an empty part
 * around "@", too long, not UTF-8, with control characters, or with a blank at either end.
 * What is canonical stays as it is.
 */
enum parse_status login_canonical(struct span realm, struct span name,
				  char out[AUTH_LOGIN_MAX], size_t *len);

#endif
