/* SPDX-License-Identifier: ISC */
/*
 * The envelope of an accepted message as the spool keeps it: written by the session that
 * accepted it, read by delivery, maybe in another process and another release. A line of
 * text can never become part of it (lengths rule), so nothing can be injected into it.
 */
#ifndef RELAYD_SMTP_ENVELOPE_H
#define RELAYD_SMTP_ENVELOPE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/id.h"

#define ENVELOPE_OCTETS_MAX (4U << 20) /* 1000 recipients of the longest kind fit well */

enum envelope_body {
	BODY_7BIT,
	BODY_8BITMIME,
};

/* RFC 3461 s.4.1 NOTIFY; none: the parameter was absent. */
enum envelope_notify {
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8,
};

enum envelope_ret {
	RET_NONE,
	RET_FULL,
	RET_HDRS,
};

struct envelope_recipient {
	struct span address; /* the mailbox without "<>" */
	struct span orcpt;   /* RFC 3461 ORCPT as given ("rfc822;..."), or empty */
	struct span route;   /* name of the route that policy chose for it */
	struct span grant;   /* name of the grant that admitted it */
	uint32_t notify;     /* of enum envelope_notify */
};

struct envelope {
	struct span id;		  /* the transaction's id, also the queue id */
	struct span sender;	  /* reverse-path without "<>"; empty: null */
	struct span envid;	  /* RFC 3461 ENVID as given (xtext), or empty */
	struct span client;	  /* address of the client, text */
	struct span login;	  /* SASL authorization identity, or empty */
	struct span connector;	  /* name */
	enum envelope_ret ret;
	enum envelope_body body;
	bool is_smtputf8;	  /* the transaction used SMTPUTF8 */
	bool needs_tls;		  /* REQUIRETLS, RFC 8689 */
	int64_t arrived_wall_ms;
	uint64_t size_octets;	  /* of the body as spooled, our Received included */
	struct envelope_recipient *recipients;
	size_t recipient_count;
};

/*
 * Append the encoded envelope. False, and nothing appended, when out would exceed its limit,
 * when a text holds a control byte (the parsers let none through), a recipient is empty, or
 * the time lies before 1970: the session then answers 4xx.
 */
bool envelope_encode(const struct envelope *envelope, struct buffer *out);

/*
 * Read what envelope_encode wrote. On PARSE_OK the spans borrow from in, and the recipients
 * are the arena's. PARSE_BAD for anything else; *envelope is then undefined.
 */
enum parse_status envelope_decode(struct span in, struct arena *arena,
				  struct envelope *envelope);

#endif
