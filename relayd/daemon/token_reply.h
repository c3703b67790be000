/* SPDX-License-Identifier: ISC */
/* What a token endpoint answers (RFC 6749 s.5), and the file where a token is kept. */
#ifndef RELAYD_DAEMON_TOKEN_REPLY_H
#define RELAYD_DAEMON_TOKEN_REPLY_H

#include "delivery/token.h"

/* All texts terminated; secret: wipe it. */
struct token_reply {
	char token[TOKEN_OCTETS_MAX + 1];	  /* empty: the answer is an error */
	char refresh_token[TOKEN_OCTETS_MAX + 1]; /* a new one, or empty */
	int64_t lifetime_s;
	char error[64];	       /* "invalid_grant" */
	char description[200]; /* one line of printable text */
};

/* PARSE_BAD: it is neither a token nor an error of OAuth. */
enum parse_status token_reply_parse(struct span json, struct token_reply *reply);

/* Only an administrator can mend it: RFC 6749 s.5.2 and OpenID Connect s.3.1.2.6. */
bool token_error_is_final(const char *error);

struct token_file {
	char key[65]; /* of what the token was asked with: another makes the file worthless */
	char token[TOKEN_OCTETS_MAX + 1];
	char refresh_token[TOKEN_OCTETS_MAX + 1];
	int64_t expires_wall_ms;
};

enum parse_status token_file_parse(struct span json, struct token_file *file);

#endif
