/* SPDX-License-Identifier: ISC */
/*
 * The AUTH command as the session sees it (RFC 4954 s.4): lines of base64 in and out, between
 * a client and a helper. Pure: it sends nothing and asks nobody. The session
 *
 *   1. calls auth_exchange_begin with the command's arguments,
 *   2. does what the returned step says: asks the helper (auth/client.h) with exchange->data,
 *      or ends the exchange with a reply,
 *   3. gives the helper's challenge to auth_exchange_challenge, sends the line it makes, and
 *      the client's next line to auth_exchange_line; then as in 2.
 *
 * While an exchange is on, lines may have AUTH_LINE_MAX octets, and what they say is secret.
 */
#ifndef RELAYD_AUTH_EXCHANGE_H
#define RELAYD_AUTH_EXCHANGE_H

#include "auth/wire.h"
#include "smtp/command_line.h"

#define AUTH_LINE_MAX  12288 /* octets with CRLF, RFC 4954 s.4.5 */
#define AUTH_STEPS_MAX 16    /* answers of the client; no mechanism here needs half of them */

enum auth_step {
	AUTH_STEP_ASK, /* give exchange->data to the helper */

	/* The exchange is over, with this reply. */
	AUTH_STEP_MECHANISM,  /* not offered, or unknown: 504 5.5.4, auth.mechanism */
	AUTH_STEP_NEEDS_TLS,  /* a password in clear: 538 5.7.11, auth.tls-required */
	AUTH_STEP_NO_INITIAL, /* the server speaks first: 501 5.5.4 */
	AUTH_STEP_BASE64,     /* 501 5.5.2 */
	AUTH_STEP_CANCELLED,  /* "*": 501 5.7.0 */
	AUTH_STEP_TOO_LONG,   /* 500 5.5.6 */
	AUTH_STEP_TOO_MANY,   /* steps: 535 5.7.8 as for a failure */
};

struct auth_exchange {
	enum auth_mechanism mechanism;
	bool has_data; /* there is an answer in data, perhaps an empty one */
	unsigned steps;
	struct buffer data; /* decoded; secret: wiped by whatever comes next */
};

/* Embedded by value; holds no memory while nothing goes on. */
void auth_exchange_init(struct auth_exchange *exchange);

/* Wipe and give back what it holds: when the exchange is over, however it ended. */
void auth_exchange_reset(struct auth_exchange *exchange);

/*
 * AUTH mechanism [initial-response]. offered: AUTH_BITs of what the connector offers this
 * session; needs_tls: those that it would offer under TLS and refuses in clear.
 */
enum auth_step auth_exchange_begin(struct auth_exchange *exchange, unsigned offered,
				   unsigned needs_tls, const struct auth_argument *argument);

/* "334 <base64>" with CRLF, appended. False when it does not fit: end with trouble. */
bool auth_exchange_challenge(struct auth_exchange *exchange, struct span challenge,
			     struct buffer *out);

/* The client's line, without its CRLF. Of one too long no more than the limit need be given. */
enum auth_step auth_exchange_line(struct auth_exchange *exchange, struct span line);

/* The data went to the helper: wipe it here. */
void auth_exchange_sent(struct auth_exchange *exchange);

#endif
