/* SPDX-License-Identifier: ISC */
/*
 * Delivery status notifications (RFC 3461, RFC 3464, RFC 6522, RFC 6533): what is told to
 * whoever sent a message about what became of it. Pure text: who is told, and when, is
 * bounce.h's matter.
 *
 * A report is 7-bit wherever its reader's address allows it, whatever it is about: it must
 * reach its reader also over next hops that could not take the message itself.
 */
#ifndef RELAYD_DELIVERY_REPORT_H
#define RELAYD_DELIVERY_REPORT_H

#include "smtp/envelope.h"
#include "smtp/reply.h"

enum report_action {
	REPORT_FAILED,
	REPORT_DELAYED,
	REPORT_DELIVERED, /* into a mailbox */
	REPORT_RELAYED,	  /* to a next hop that reports nothing */
};

struct report_recipient {
	struct span address;
	struct span orcpt; /* RFC 3461 ORCPT as given, or empty */
	enum report_action action;
	bool is_expired;       /* failed because its time was over */
	struct span next_hop;  /* "mx.example.com:25", a Maildir's path, or empty */
	struct span reply;     /* the next hop's, or what happened instead; or empty */
	int64_t tried_wall_ms; /* 0: unknown */
};

enum report_reader {
	REPORT_TO_SENDER,
	REPORT_TO_OWNER,      /* the grant's owner, because the sender is not known to be real */
	REPORT_TO_POSTMASTER, /* because nobody else can be told */
};

struct report {
	struct span hostname;
	struct span id;	  /* the report's own */
	struct span from; /* address of the header From */
	struct span to;
	enum report_reader reader;
	const struct envelope *envelope; /* of the message it is about */
	struct span grant;		 /* name, for REPORT_TO_OWNER; or empty */
	int64_t now_wall_ms;
	int64_t expires_wall_ms; /* when delayed ones are given up */
	const struct report_recipient *recipients;
	size_t recipient_count;
	struct span original; /* the message, or its first octets, the whole header if it fits */
	bool is_whole;	      /* return all of it, not the header alone, if that is possible */
};

/* What the report needs of those who carry it. */
struct report_needs {
	bool is_8bit;
	bool is_smtputf8;
};

#define REPORT_OCTETS_MAX (8U << 20)

/* Append the whole message, header first, lines ended by CRLF. False when it does not fit. */
bool report_compose(const struct report *report, struct buffer *out,
		    struct report_needs *needs);

/* "failed", "delayed", "delivered", "relayed": RFC 3464 s.2.3.3. */
const char *report_action_name(enum report_action action);

/* The enhanced code that stands for the recipient's fate, RFC 3463. */
struct enhanced_code report_status(const struct report_recipient *recipient);

/*
 * Does the reply (code, enhanced code, text) of a next hop say that it does not relay for us,
 * as opposed to any other refusal? Only 5xx replies do.
 */
bool report_is_relay_refusal(struct span reply);

/* What stands in front of such a reply in records and reports. */
#define REPORT_RELAY_REFUSED                                                                 \
	"550 5.7.367 Remote server returned not permitted to relay -> "

#endif
