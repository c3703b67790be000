/* SPDX-License-Identifier: ISC */
/*
 * Access tokens for logins upstream (OAuth 2.0, RFC 6749): one process fetches and renews
 * them, all workers of a generation read them. They lie in memory that these processes
 * share, which is in no core dump, and in a file that only our account can read.
 */
#ifndef RELAYD_DELIVERY_TOKEN_H
#define RELAYD_DELIVERY_TOKEN_H

#include "base/fault.h"

#define TOKEN_OCTETS_MAX  8192
#define TOKEN_TROUBLE_MAX 300

/* auth { token-endpoint = ... } of a route. */
struct token_settings {
	const char *endpoint; /* https URL; NULL: no tokens */
	const char *client_id;
	const char *scope; /* NULL: none */
	/* One of these says who we are: */
	const char *client_secret_file; /* NULL: none; its first line */
	const char *certificate;	/* signs an assertion (RFC 7523), with its key */
	const char *key;
	/* With one, the grant is that of a refresh token, else client credentials. */
	const char *refresh_token_file;
	const char *ca_file; /* of the endpoint; NULL: the system's */
};

enum token_state {
	TOKEN_NONE,    /* not fetched yet */
	TOKEN_VALID,
	TOKEN_TROUBLE, /* the endpoint cannot be asked now; tried again by itself */
	TOKEN_REFUSED, /* consent or secret is no good: an administrator has to act */
};

struct token_board; /* a place for each route's token */

/* Shared with processes forked later. NULL and *fault when there is no memory for it. */
struct token_board *token_board_new(size_t routes, struct fault *fault);
void token_board_free(struct token_board **board);

/* A token as a worker uses it; token_wipe it on every path out. */
struct access_token {
	char text[TOKEN_OCTETS_MAX + 1];
	size_t len;
	uint64_t number; /* which one of this route it is */
};

/* The route's token, unless there is none that is good for a minute yet. */
bool token_read(const struct token_board *board, size_t route, int64_t now_wall_ms,
		struct access_token *token) MUST_CHECK;
void token_wipe(struct access_token *token);

/* Which token of the route is the present one; 0: there was none yet. */
uint64_t token_number(const struct token_board *board, size_t route);

/* The next hop would not have this token: get another, unless that was done already. */
void token_reject(struct token_board *board, size_t route, uint64_t number);

struct token_status {
	enum token_state state;
	int64_t expires_wall_ms; /* 0: there is none */
	char trouble[TOKEN_TROUBLE_MAX]; /* why not, or empty */
};

void token_status_read(const struct token_board *board, size_t route,
		       struct token_status *status);

/* ---- The process that fetches ---- */

/* A new token. expires_wall_ms: when it ends. */
void token_publish(struct token_board *board, size_t route, struct span text,
		   int64_t expires_wall_ms);

/* No new token: an older one stays in use until it ends. */
void token_trouble(struct token_board *board, size_t route, enum token_state state,
		   const char *why);

/* Has a worker said no to the present token since it was published? */
bool token_is_rejected(const struct token_board *board, size_t route);

#endif
