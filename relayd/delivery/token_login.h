/* SPDX-License-Identifier: ISC */
/*
 * Logins with an access token: XOAUTH2, as Microsoft and Google define it, and OAUTHBEARER
 * (RFC 7628). What the client says is one text; a server that does not like it explains in
 * JSON and waits for a last word before its 535.
 */
#ifndef RELAYD_DELIVERY_TOKEN_LOGIN_H
#define RELAYD_DELIVERY_TOKEN_LOGIN_H

#include "base/buffer.h"
#include "delivery/token.h"

enum token_mechanism {
	TOKEN_XOAUTH2,
	TOKEN_OAUTHBEARER,
};

const char *token_mechanism_name(enum token_mechanism mechanism);

/* Who logs in where; OAUTHBEARER names the server too. */
struct token_login {
	struct span user;
	struct span host;
	uint16_t port;
};

/* Append the initial response, not encoded. A secret. False when it does not fit. */
bool token_response_append(enum token_mechanism mechanism, const struct token_login *login,
			   struct span token, struct buffer *out);

/* What to answer to the explanation, encoded already: "" or "AQ==". */
const char *token_last_word(enum token_mechanism mechanism);

#endif
