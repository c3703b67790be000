/* SPDX-License-Identifier: ISC */
/*
 * Reasons: stable dotted tokens that say why an attempt ended as it did. The same token
 * stands in the audit record, in metrics, in relayctl and in the documentation. Each has a
 * reply in three styles; a table test holds that classes of code and enhanced code agree.
 */
#ifndef RELAYD_POLICY_REASON_H
#define RELAYD_POLICY_REASON_H

#include "base/span.h"

/* How far an attempt came with a grant; the order is the order of the checks. */
enum stage {
	STAGE_CONNECTION, /* before any grant: connector, limits, block lists */
	STAGE_WHO,	  /* networks, users, certificates, connectors */
	STAGE_VALIDITY,	  /* starts, expires */
	STAGE_TLS,
	STAGE_SENDER,
	STAGE_RECIPIENT,
	STAGE_HEADER_FROM,
	STAGE_EVIDENCE,
	STAGE_QUOTA,
	STAGE_PERMITTED, /* past every stage */
};

enum reason {
	REASON_NONE, /* nothing to say: relayed */

	/* the policy's (docs/architecture.md) */
	REASON_AUTH_REQUIRED,	      /* auth.required */
	REASON_RELAY_NO_GRANT,	      /* relay.no-grant */
	REASON_RELAY_NETWORK,	      /* relay.network */
	REASON_RELAY_EXPIRED,	      /* relay.expired */
	REASON_TLS_REQUIRED,	      /* tls.required */
	REASON_SENDER_NOT_AUTHORIZED, /* sender.not-authorized */
	REASON_SENDER_HEADER_FROM,    /* sender.header-from */
	REASON_RELAY_RECIPIENT,	      /* relay.recipient */
	REASON_EVIDENCE_SPF,
	REASON_EVIDENCE_DKIM,
	REASON_EVIDENCE_DMARC,
	REASON_EVIDENCE_DNSBL,
	REASON_EVIDENCE_PTR,
	REASON_EVIDENCE_UNKNOWN,      /* evidence.unknown: could not look, 451 4.7.x */
	REASON_QUOTA_MESSAGES,
	REASON_QUOTA_RECIPIENTS,
	REASON_QUOTA_OCTETS,
	REASON_QUOTA_SESSIONS,
	REASON_QUOTA_TROUBLE, /* quota.trouble: could not count, 451 4.3.0 */

	/* logins (issue "Logins, TLS and certificates") */
	REASON_AUTH_FAILED,	  /* auth.failed: 535 5.7.8 */
	REASON_AUTH_MECHANISM,	  /* auth.mechanism: 504 5.5.4 */
	REASON_AUTH_TLS_REQUIRED, /* auth.tls-required: 538 5.7.11 */
	REASON_AUTH_BANNED,	  /* auth.banned: 421 4.7.0 */
	REASON_AUTH_TROUBLE,	  /* auth.trouble: 454 4.7.0 */
	REASON_TLS_HANDSHAKE,	  /* tls.handshake: the connection ends without a reply */

	/* the connection's and the session's */
	REASON_CONNECTION_NO_CONNECTOR, /* connection.no-connector: 421 4.3.2 */
	REASON_CONNECTION_LIMIT,	/* connection.limit: 421 4.3.2 */
	REASON_CONNECTION_SOURCE_LIMIT, /* connection.source-limit: 421 4.3.2 */
	REASON_CONNECTION_PROXY_HEADER, /* connection.proxy-header: closed without a word */
	REASON_CONNECTION_GO_BETWEEN,	/* connection.go-between: 421 4.3.2 */
	REASON_SESSION_ERRORS,		/* session.errors: 421 4.7.0 */
	REASON_SESSION_TIMEOUT,		/* session.timeout: 421 4.4.2 */
	REASON_SESSION_ABANDONED,	/* session.abandoned: permitted, the client left */
	REASON_SESSION_EARLY_TALKER,	/* session.early-talker: 554 5.5.1 */
	REASON_SESSION_SHUTDOWN,	/* session.shutdown: 421 4.3.2 */
	REASON_SESSION_RATE,		/* session.message-rate: 451 4.7.1 */

	/* the message's */
	REASON_MESSAGE_SIZE,	   /* message.size: 552 5.3.4 */
	REASON_MESSAGE_RECIPIENTS, /* message.recipients: 452 4.5.3 */
	REASON_MESSAGE_BARE_CRLF,  /* message.bare-crlf: 550 5.6.11 */
	REASON_MESSAGE_NUL,	   /* message.nul: 550 5.6.0 */
	REASON_MESSAGE_LOOP,	   /* message.loop: 554 5.4.6 */
	REASON_MESSAGE_HEADER,	   /* message.header: 552 5.3.4, header too large */
	REASON_MESSAGE_LINE,	   /* message.line-too-long: 550 5.6.0 */

	/* what the next hop said while the client waited */
	REASON_NEXT_HOP_REFUSED, /* next-hop.refused: its own reply, 5xx */

	/* our own trouble: always 4xx */
	REASON_STORAGE_FULL,	/* storage.full: 452 4.3.1 */
	REASON_STORAGE_TROUBLE, /* storage.trouble: 451 4.3.0 */
	REASON_AUDIT_TROUBLE,	/* audit.trouble: 451 4.3.0 */
	REASON_POLICY_TROUBLE,	/* policy.trouble: 451 4.3.0 */
	REASON_COUNT,
};

enum reply_style {
	REPLY_STYLE_RELAYD,
	REPLY_STYLE_STANDARD,
	REPLY_STYLE_EXCHANGE,
	REPLY_STYLE_COUNT,
};

/* One line of the reply table. */
struct reason_reply {
	uint16_t code;		 /* 550 */
	uint16_t enhanced[3];	 /* 5, 7, 367 */
	const char *text;	 /* "Sender not authorized for relay" */
};

/* The token; never NULL. */
const char *reason_token(enum reason reason);

/* The reason of a token; REASON_COUNT when there is none such. */
enum reason reason_find(struct span token);

/* What a reason answers in a style; REASON_NONE and REASON_SESSION_ABANDONED answer nothing. */
const struct reason_reply *reason_reply_get(enum reason reason, enum reply_style style);

/*
 * What to say when the thing that the reason is about could not be looked up: the 4xx twin, as
 * 451 4.7.24 for evidence.spf. For reasons that are temporary anyway their own reply. Always
 * 4xx; never NULL.
 */
const struct reason_reply *reason_reply_deferred(enum reason reason, enum reply_style style);

/*
 * How this relay answers: a style, and what the configuration says instead (reply "TOKEN" {}).
 * All zero: the style "relayd".
 */
struct reply_wording {
	enum reply_style style;
	struct reason_reply instead[REASON_COUNT]; /* text NULL: as the style says */
};

/* As reason_reply_get and reason_reply_deferred, in this wording. */
const struct reason_reply *wording_reply(const struct reply_wording *wording,
					 enum reason reason);
const struct reason_reply *wording_reply_deferred(const struct reply_wording *wording,
						  enum reason reason);

#define REPLY_OVERRIDE_MAX 300 /* octets of a text */

/*
 * May this be said instead of what a reason says? The class stays (a refusal a refusal, a
 * deferral a deferral), 421 closes the session and so comes and goes with it, code and
 * enhanced code agree, and the text is short, printable ASCII. NULL, or what is wrong and what
 * to write instead (a constant); *what then is "text", "code" or "enhanced".
 */
const char *reply_override_check(enum reason reason, const struct reason_reply *instead,
				 struct span text, const char **what);

/* One sentence each, for the administrator who reads `relayctl why` or `relayctl reason`. */
const char *reason_meaning(enum reason reason);
const char *reason_remedy(enum reason reason);

const char *stage_name(enum stage stage); /* "who", "sender", ... as the audit record says */

#endif
