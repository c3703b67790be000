/* SPDX-License-Identifier: ISC */
/*
 * Handing a message to an SMTP server and waiting for what it says (libcurl): for programs
 * and processes that have nothing else to do, never for a loop.
 */
#ifndef RELAYD_NET_SUBMIT_H
#define RELAYD_NET_SUBMIT_H

#include "base/buffer.h"

enum submit_tls {
	SUBMIT_TLS_NONE,
	SUBMIT_TLS_REQUIRED, /* STARTTLS, certificate and name checked */
	SUBMIT_TLS_IMPLICIT, /* from the first octet on, checked likewise */
};

/* Where to; all borrowed. */
struct submit_server {
	const char *host;	 /* name or address; also where socket_path is set */
	uint16_t port;
	const char *socket_path; /* of a Unix socket, instead; or NULL */
	const char *hello;	 /* what we call ourselves */
	enum submit_tls tls;
	const char *ca_file;  /* NULL: the system's */
	const char *user;     /* NULL: no login */
	const char *password;
};

struct submit_message {
	struct span sender; /* without "<>"; empty: null */
	const struct span *recipients;
	size_t recipient_count;
	struct span text; /* lines end with CRLF; dots are not stuffed */
};

enum submit_result {
	SUBMIT_ACCEPTED, /* the server answers for it now */
	SUBMIT_REFUSED,	 /* 5xx: for good, and for all recipients, if only one was refused */
	SUBMIT_LATER,	 /* 4xx, or the server could not be asked */
};

#define SUBMIT_REPLY_MAX 1024

/*
 * reply: what the server said, or what went wrong, replaced. A connection that breaks after
 * the message was sent counts as SUBMIT_LATER: better twice than never.
 */
enum submit_result submit_message(const struct submit_server *server,
				  const struct submit_message *message,
				  struct buffer *reply);

#endif
