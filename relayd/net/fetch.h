/* SPDX-License-Identifier: ISC */
/* One HTTPS request, waiting for its answer (libcurl): for processes that may wait. */
#ifndef RELAYD_NET_FETCH_H
#define RELAYD_NET_FETCH_H

#include "base/buffer.h"
#include "base/fault.h"

#define FETCH_ANSWER_MAX 65536 /* octets; what is longer is trouble */

struct fetch_request {
	const char *url;     /* https only */
	struct span form;    /* application/x-www-form-urlencoded body of a POST; ptr NULL: GET */
	struct span ca;	     /* authorities to believe, PEM; empty: the system's */
	/*
	 * Where the URL's host is, as "HOST:PORT:ADDRESS,ADDRESS"; NULL: the system's resolver
	 * says it.
	 */
	const char *where;
	long within_s;
	bool follows_redirects; /* to https, at most three */
};

struct fetch_answer {
	long status;		/* of HTTP */
	struct buffer *content; /* replaced; give it FETCH_ANSWER_MAX */
	char content_type[64];
};

/*
 * Ask, and take the answer, whatever its status. False and *fault when there was none: no
 * connection, no TLS that we believe, too slow, too long. Nothing of the form is ever part of
 * the fault.
 */
bool fetch(const struct fetch_request *request, struct fetch_answer *answer,
	   struct fault *fault) MUST_CHECK;

/* Append name=value to a form, the value percent-encoded. */
bool form_append(struct buffer *form, const char *name, struct span value);

#endif
