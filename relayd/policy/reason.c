/* SPDX-License-Identifier: ISC */
/*
 * The table of reasons; see reason.h. Style "standard" has registered codes only; "exchange"
 * has the words of Exchange 2016 and later where it has any that keep the classes of code and
 * enhanced code equal. The three-digit code is the same in every style.
 */
#include "policy/reason.h"

#include <assert.h>

struct reason_row {
	const char *token;
	struct reason_reply replies[REPLY_STYLE_COUNT]; /* text NULL: as in the first style */
	struct reason_reply deferred;			/* when it could not be looked up */
	const char *meaning;
	const char *remedy;
};

/* clang-format off */
#define UNABLE_TO_RELAY {									\
	[REPLY_STYLE_RELAYD]   = { 550, { 5, 7, 1 }, "Unable to relay" },			\
	[REPLY_STYLE_EXCHANGE] = { 550, { 5, 7, 54 },						\
				   "SMTP; Unable to relay recipient in non-accepted domain" } }
#define SENDER_REFUSED {									\
	[REPLY_STYLE_RELAYD]   = { 550, { 5, 7, 367 }, "Sender not authorized for relay" },	\
	[REPLY_STYLE_STANDARD] = { 550, { 5, 7, 1 },						\
				   "Client does not have permissions to send as this sender" },	\
	[REPLY_STYLE_EXCHANGE] = { 550, { 5, 7, 60 },						\
				   "SMTP; Client does not have permissions to send as this sender" } }

static const struct reason_row reasons[REASON_COUNT] = {
	[REASON_NONE] = {
		.token = "none",
		.meaning = "The message was relayed; there is nothing to explain.",
		.remedy = "Nothing needs to be done.",
	},

	/* ---- the policy's ---- */
	[REASON_AUTH_REQUIRED] = {
		.token = "auth.required",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 530, { 5, 7, 0 }, "Authentication required" },
			[REPLY_STYLE_EXCHANGE] = { 530, { 5, 7, 57 },
						   "Client not authenticated to send mail." },
		},
		.meaning = "The client did not log in, and every grant of this connector asks for "
			   "a login or a certificate.",
		.remedy = "Let the application log in as a user that a grant names, or write a grant "
			  "that names its network instead.",
	},
	[REASON_RELAY_NO_GRANT] = {
		.token = "relay.no-grant",
		.replies = UNABLE_TO_RELAY,
		.meaning = "No grant knows this client: neither its address nor its login or "
			   "certificate may relay through this connector.",
		.remedy = "If the application may send, write a grant with its address in networks "
			  "or its login in users; otherwise let it use another mail server.",
	},
	[REASON_RELAY_NETWORK] = {
		.token = "relay.network",
		.replies = UNABLE_TO_RELAY,
		.meaning = "The login or certificate is right, but it came from a network that its "
			   "grant does not name; a new site, VPN or NAT address is the usual cause.",
		.remedy = "Add the client's address to networks of the grant, or let the application "
			  "send from where it is allowed.",
	},
	[REASON_RELAY_EXPIRED] = {
		.token = "relay.expired",
		.replies = UNABLE_TO_RELAY,
		.meaning = "The grant that would apply has expired, or is not valid yet.",
		.remedy = "Ask the owner of the grant whether it is still needed, and give it a new "
			  "date in expires or starts.",
	},
	[REASON_TLS_REQUIRED] = {
		.token = "tls.required",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 530, { 5, 7, 0 },
						 "Must issue a STARTTLS command first" },
		},
		.meaning = "The connector or the grant takes mail over TLS only, and the client sent "
			   "in clear.",
		.remedy = "Turn on STARTTLS in the application, or take require-tls from the grant.",
	},
	[REASON_SENDER_NOT_AUTHORIZED] = {
		.token = "sender.not-authorized",
		.replies = SENDER_REFUSED,
		.meaning = "The client may relay, but not with this envelope sender (MAIL FROM).",
		.remedy = "Let the application send from an address that its grant lists, or add the "
			  "address or its domain to senders of the grant.",
	},
	[REASON_SENDER_HEADER_FROM] = {
		.token = "sender.header-from",
		.replies = SENDER_REFUSED,
		.meaning = "The author named in the message (From, Sender or Resent-From) is not one "
			   "that the grant permits, is missing, is written twice or cannot be read.",
		.remedy = "Correct the From field that the application writes, or relax header-from "
			  "of the grant.",
	},
	[REASON_RELAY_RECIPIENT] = {
		.token = "relay.recipient",
		.replies = UNABLE_TO_RELAY,
		.meaning = "The client may relay, but not to this recipient.",
		.remedy = "Add the recipient or its domain to recipients of the grant, if the "
			  "application may write there.",
	},
	[REASON_EVIDENCE_SPF] = {
		.token = "evidence.spf",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 550, { 5, 7, 23 }, "SPF validation failed" },
			[REPLY_STYLE_EXCHANGE] = { 550, { 5, 7, 23 },
				"The message was rejected because of Sender Policy Framework violation" },
		},
		.deferred = { 451, { 4, 7, 24 }, "SPF validation error, try again later" },
		.meaning = "The grant asks for SPF, and the sender domain's SPF record does not list "
			   "the address that the mail came from.",
		.remedy = "Add the address to the SPF record of the sender's domain, or send from a "
			  "host that it lists.",
	},
	[REASON_EVIDENCE_DKIM] = {
		.token = "evidence.dkim",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 550, { 5, 7, 20 }, "No passing DKIM signature found" },
		},
		.deferred = { 451, { 4, 7, 5 }, "DKIM key not available, try again later" },
		.meaning = "The grant asks for a DKIM signature, and the message has none that "
			   "verifies.",
		.remedy = "Sign in the application with a published key, and let nothing change the "
			  "message on its way here.",
	},
	[REASON_EVIDENCE_DMARC] = {
		.token = "evidence.dmarc",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 550, { 5, 7, 26 }, "DMARC validation failed" },
			[REPLY_STYLE_EXCHANGE] = { 550, { 5, 7, 509 },
				"Access denied, sending domain does not pass DMARC verification" },
		},
		.deferred = { 451, { 4, 7, 26 }, "DMARC policy not available, try again later" },
		.meaning = "The grant asks for DMARC, and neither SPF nor DKIM passes for the domain "
			   "in the From field.",
		.remedy = "Send with an envelope sender in the domain of the From field, or sign with "
			  "a key of that domain.",
	},
	[REASON_EVIDENCE_DNSBL] = {
		.token = "evidence.dnsbl",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 550, { 5, 7, 1 }, "Client host is on a block list" },
			[REPLY_STYLE_EXCHANGE] = { 550, { 5, 7, 1 },
				"Service unavailable, Client host blocked using block list" },
		},
		.deferred = { 451, { 4, 7, 1 }, "Block list not available, try again later" },
		.meaning = "The client's address is on a DNS block list that the connector asks.",
		.remedy = "Find and mend what got the address listed, ask the list to remove it, or "
			  "take the list from dnsbl of the connector.",
	},
	[REASON_EVIDENCE_PTR] = {
		.token = "evidence.ptr",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 550, { 5, 7, 25 }, "Reverse DNS validation failed" },
			[REPLY_STYLE_EXCHANGE] = { 550, { 5, 7, 25 },
				"Access denied, the sending address must have a reverse DNS record" },
		},
		.deferred = { 451, { 4, 7, 25 }, "Reverse DNS not available, try again later" },
		.meaning = "The client's address has no name in the DNS that points back to it.",
		.remedy = "Have whoever owns the address publish a PTR record, and an address record "
			  "for that name.",
	},
	[REASON_EVIDENCE_UNKNOWN] = {
		.token = "evidence.unknown",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 451, { 4, 7, 0 },
						 "Cannot verify the sender now, try again later" },
		},
		.meaning = "Something that the grant asks for (SPF, DKIM, DMARC, block list or reverse "
			   "name) could not be looked up for now.",
		.remedy = "Wait: the client tries again. If it lasts, look at the name servers that "
			  "relayd uses.",
	},
	[REASON_QUOTA_MESSAGES] = {
		.token = "quota.messages",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 451, { 4, 7, 1 },
						   "Too many messages, try again later" },
			[REPLY_STYLE_EXCHANGE] = { 451, { 4, 4, 2 },
				"Message submission rate for this client has exceeded the configured "
				"limit" },
		},
		.meaning = "The grant's limit of messages in its time is used up.",
		.remedy = "Wait and send again, spread the job over time, or raise limits of the "
			  "grant.",
	},
	[REASON_QUOTA_RECIPIENTS] = {
		.token = "quota.recipients",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 452, { 4, 5, 3 },
						 "Too many recipients, try again later" },
		},
		.meaning = "The grant's limit of recipients in its time is used up.",
		.remedy = "Wait and send again, spread the job over time, or raise limits of the "
			  "grant.",
	},
	[REASON_QUOTA_OCTETS] = {
		.token = "quota.octets",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 451, { 4, 7, 1 }, "Too much mail, try again later" },
		},
		.meaning = "The grant's limit of bytes in its time is used up.",
		.remedy = "Wait and send again, send smaller messages, or raise limits of the grant.",
	},

	[REASON_QUOTA_SESSIONS] = {
		.token = "quota.sessions",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 451, { 4, 7, 1 },
						 "Too many sessions, try again later" },
		},
		.meaning = "As many sessions as the grant allows at a time are sending under it.",
		.remedy = "Let the application use fewer connections, or raise limits of the grant.",
	},
	[REASON_QUOTA_TROUBLE] = {
		.token = "quota.trouble",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 451, { 4, 3, 0 },
						 "Cannot count now, try again later" },
		},
		.meaning = "The use of the grant could not be counted: Redis is away and shared says "
			   "when-away = \"closed\", or there is no room for one more counter.",
		.remedy = "See that Redis runs and can be reached, or write when-away = \"open\"; see "
			  "`relayctl limits` for how much is counted.",
	},

	/* ---- logins ---- */
	[REASON_AUTH_FAILED] = {
		.token = "auth.failed",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 535, { 5, 7, 8 },
						   "Authentication credentials invalid" },
			[REPLY_STYLE_EXCHANGE] = { 535, { 5, 7, 3 }, "Authentication unsuccessful" },
		},
		.meaning = "The user name or the password is wrong, or the login is disabled.",
		.remedy = "Check the form of the name (user or user@realm) and the password; "
			  "`relayctl user` sets a new one.",
	},
	[REASON_AUTH_MECHANISM] = {
		.token = "auth.mechanism",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 504, { 5, 5, 4 },
						   "Unrecognized authentication type" },
			[REPLY_STYLE_EXCHANGE] = { 504, { 5, 7, 4 },
						   "Unrecognized authentication type" },
		},
		.meaning = "The client asked for a way to log in that this connector does not offer.",
		.remedy = "Choose one of those that EHLO lists, or add it to auth-mechanisms of the "
			  "connector.",
	},
	[REASON_AUTH_TLS_REQUIRED] = {
		.token = "auth.tls-required",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 538, { 5, 7, 11 },
				"Encryption required for requested authentication mechanism" },
		},
		.meaning = "The client tried to log in with a password in clear without TLS.",
		.remedy = "Turn on STARTTLS in the application; if it cannot, a SCRAM mechanism or "
			  "auth-without-tls of the connector lets it in.",
	},
	[REASON_AUTH_BANNED] = {
		.token = "auth.banned",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 421, { 4, 7, 0 },
				"Too many failed logins, closing transmission channel" },
		},
		.meaning = "Too many logins from this address failed, so it is banned for a while.",
		.remedy = "Correct the password in the application and wait, or put the address into "
			  "exempt of auth-ban.",
	},
	[REASON_AUTH_TROUBLE] = {
		.token = "auth.trouble",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 454, { 4, 7, 0 },
						 "Temporary authentication failure" },
		},
		.meaning = "The store of passwords (saslauthd, LDAP, database) could not be asked.",
		.remedy = "Look at that service; nothing is wrong with the client.",
	},
	[REASON_TLS_HANDSHAKE] = {
		.token = "tls.handshake",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 454, { 4, 7, 0 }, "TLS handshake failed" },
		},
		.meaning = "Client and relayd could not agree on TLS, or the client broke off; nothing "
			   "is said any more then, the connection just ends.",
		.remedy = "The record's detail says what was wrong. An old device may need a connector "
			  "whose tls section has profile = \"legacy\"; one that does not trust the "
			  "certificate needs its CA; one that speaks in clear belongs on another port.",
	},

	/* ---- connection and session ---- */
	[REASON_CONNECTION_NO_CONNECTOR] = {
		.token = "connection.no-connector",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 421, { 4, 3, 2 }, "Service not available" },
		},
		.meaning = "No connector that listens there has a range that holds the client's "
			   "address.",
		.remedy = "Add the address to remote-ip-ranges of a connector, if the client may "
			  "connect at all.",
	},
	[REASON_CONNECTION_LIMIT] = {
		.token = "connection.limit",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 421, { 4, 3, 2 },
						   "Too many connections, try again later" },
			[REPLY_STYLE_EXCHANGE] = { 421, { 4, 3, 2 },
				"The maximum number of concurrent connections has exceeded a limit, "
				"closing transmission channel" },
		},
		.meaning = "The connector has as many connections as it may have.",
		.remedy = "Find out who holds them, or raise max-connections of the connector.",
	},
	[REASON_CONNECTION_SOURCE_LIMIT] = {
		.token = "connection.source-limit",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 421, { 4, 3, 2 },
				"Too many connections from your address, try again later" },
			[REPLY_STYLE_EXCHANGE] = { 421, { 4, 3, 2 },
				"The maximum number of concurrent connections has exceeded a limit, "
				"closing transmission channel" },
		},
		.meaning = "This client address has as many connections as one may have.",
		.remedy = "Let the application use fewer at a time, or raise "
			  "max-connections-per-source of the connector.",
	},
	[REASON_CONNECTION_PROXY_HEADER] = { /* the reply is for the table: nobody is told */
		.token = "connection.proxy-header",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 421, { 4, 3, 2 }, "Service not available" },
		},
		.meaning = "The host is named in proxy-protocol of a connector there and did not "
			   "begin with a whole PROXY header in time.",
		.remedy = "Let the proxy send PROXY headers (HAProxy: send-proxy-v2), or take its "
			  "address out of proxy-protocol if no proxy runs there.",
	},
	[REASON_CONNECTION_GO_BETWEEN] = {
		.token = "connection.go-between",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 421, { 4, 3, 2 }, "Service not available" },
		},
		.meaning = "A proxy or XCLIENT host says who the client is, and the connector whose "
			   "ranges hold this client does not take that host's word, or the client's "
			   "address is not known.",
		.remedy = "Name the host in proxy-protocol or xclient of that connector as well, if "
			  "its clients may come this way.",
	},
	[REASON_SESSION_ERRORS] = {
		.token = "session.errors",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 421, { 4, 7, 0 },
				"Too many errors, closing transmission channel" },
		},
		.meaning = "The client made too many protocol errors or failed logins in one session.",
		.remedy = "See the refusals before this one; mend the first of them.",
	},
	[REASON_SESSION_TIMEOUT] = {
		.token = "session.timeout",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 421, { 4, 4, 2 },
						   "Timeout, closing transmission channel" },
			[REPLY_STYLE_EXCHANGE] = { 421, { 4, 4, 1 }, "Connection timed out" },
		},
		.meaning = "The client was silent for too long, or the session lasted too long.",
		.remedy = "Look for a stalled application or network; inactivity-timeout and "
			  "connection-timeout of the connector set the times.",
	},
	[REASON_SESSION_RATE] = {
		.token = "session.message-rate",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 451, { 4, 7, 1 },
				"Too many messages from your address, try again later" },
			[REPLY_STYLE_EXCHANGE] = { 451, { 4, 4, 2 },
				"Message submission rate for this client has exceeded the configured "
				"limit" },
		},
		.meaning = "This client address began as many messages in a minute as one may.",
		.remedy = "Let the application send more slowly, or raise message-rate-limit of the "
			  "connector.",
	},
	[REASON_SESSION_ABANDONED] = {
		.token = "session.abandoned",
		.meaning = "The attempt was permitted, but the client left before the message was "
			   "complete.",
		.remedy = "Look at the client's log; a firewall or an application that gives up early "
			  "are the usual causes.",
	},
	[REASON_SESSION_EARLY_TALKER] = {
		.token = "session.early-talker",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 554, { 5, 5, 1 }, "Client spoke before its turn" },
		},
		.meaning = "The client sent commands before the greeting, as spam programs do.",
		.remedy = "Correct the client: it must wait for the line that starts with 220.",
	},
	[REASON_SESSION_SHUTDOWN] = {
		.token = "session.shutdown",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 421, { 4, 3, 2 },
				"Service shutting down, closing transmission channel" },
			[REPLY_STYLE_EXCHANGE] = { 421, { 4, 3, 2 }, "Service not available" },
		},
		.meaning = "relayd was being stopped or restarted.",
		.remedy = "Nothing: the client connects again.",
	},

	/* ---- the message ---- */
	[REASON_MESSAGE_SIZE] = {
		.token = "message.size",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 552, { 5, 3, 4 },
				"Message size exceeds fixed maximum message size" },
		},
		.meaning = "The message is larger than the connector permits.",
		.remedy = "Send less in one message, or raise max-message-size of the connector.",
	},
	[REASON_MESSAGE_RECIPIENTS] = {
		.token = "message.recipients",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 452, { 4, 5, 3 }, "Too many recipients" },
		},
		.meaning = "The message has more recipients than the connector permits; those before "
			   "were taken.",
		.remedy = "A good client sends the others in another message; or raise "
			  "max-recipients-per-message of the connector.",
	},
	[REASON_MESSAGE_BARE_CRLF] = {
		.token = "message.bare-crlf",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 550, { 5, 6, 11 },
				"Message contains bare CR or LF" },
		},
		.meaning = "The message has a CR or LF that is not part of a CRLF, with which a second "
			   "message could be smuggled in.",
		.remedy = "Let the application end its lines with CRLF.",
	},
	[REASON_MESSAGE_NUL] = {
		.token = "message.nul",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 550, { 5, 6, 0 }, "Message contains NUL" },
		},
		.meaning = "The message holds a byte of value zero, which no mail may.",
		.remedy = "Let the application encode binary content (base64).",
	},
	[REASON_MESSAGE_LOOP] = {
		.token = "message.loop",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 554, { 5, 4, 6 },
				"Hop count exceeded - possible mail loop" },
		},
		.meaning = "The message has passed too many servers; two of them probably send it to "
			   "each other.",
		.remedy = "Look at its Received fields and correct the route that leads back.",
	},
	[REASON_MESSAGE_HEADER] = {
		.token = "message.header",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 552, { 5, 3, 4 },
				"Message header size exceeds fixed maximum size" },
		},
		.meaning = "The header of the message is larger than relayd reads.",
		.remedy = "Let the application write fewer or shorter header fields.",
	},
	[REASON_MESSAGE_LINE] = {
		.token = "message.line-too-long",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 550, { 5, 6, 0 }, "Line too long" },
		},
		.meaning = "A line of the message is longer than mail permits.",
		.remedy = "Let the application break its lines or encode its content.",
	},

	/* ---- the next hop's ---- */
	[REASON_NEXT_HOP_REFUSED] = {
		.token = "next-hop.refused",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 554, { 5, 0, 0 },
						 "The next mail server refused the message" },
		},
		.meaning = "relayd would have relayed the message, and the mail server that it "
			   "passed it on to (cut-through) refused it; the reply is that server's.",
		.remedy = "Look up the reply at the next hop of the route: its rules, or the "
			  "recipient's address, are what refused.",
	},

	/* ---- our own trouble ---- */
	[REASON_STORAGE_FULL] = {
		.token = "storage.full",
		.replies = {
			[REPLY_STYLE_RELAYD]   = { 452, { 4, 3, 1 }, "Insufficient system storage" },
			[REPLY_STYLE_EXCHANGE] = { 452, { 4, 3, 1 },
						   "Insufficient system resources" },
		},
		.meaning = "The disk of the spool is full.",
		.remedy = "Free some space in state-dir; clients try again by themselves.",
	},
	[REASON_STORAGE_TROUBLE] = {
		.token = "storage.trouble",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 451, { 4, 3, 0 },
						 "Cannot store the message now, try again later" },
		},
		.meaning = "The spool could not make the message durable, so it was not accepted.",
		.remedy = "See relayd's log for the step that failed, and look at the disk.",
	},
	[REASON_AUDIT_TROUBLE] = {
		.token = "audit.trouble",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 451, { 4, 3, 0 },
						 "Cannot record the attempt now, try again later" },
		},
		.meaning = "The audit record could not be written, and nothing is decided without one.",
		.remedy = "See relayd's log for the step that failed, and look at the disk.",
	},
	[REASON_POLICY_TROUBLE] = {
		.token = "policy.trouble",
		.replies = {
			[REPLY_STYLE_RELAYD] = { 451, { 4, 3, 0 },
						 "Cannot decide now, try again later" },
		},
		.meaning = "Something that the decision needs could not be asked for now.",
		.remedy = "See relayd's log; clients try again by themselves.",
	},
};
/* clang-format on */

static const struct reason_row *
row_of(enum reason reason)
{
	assert(reason < REASON_COUNT);
	return &reasons[reason];
}

const char *
reason_token(enum reason reason)
{
	return row_of(reason)->token;
}

enum reason
reason_find(struct span token)
{
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		if (span_equal(span_of(reasons[reason].token), token))
			return reason;
	}
	return REASON_COUNT;
}

const struct reason_reply *
reason_reply_get(enum reason reason, enum reply_style style)
{
	const struct reason_row *row = row_of(reason);

	assert(style < REPLY_STYLE_COUNT);
	if (row->replies[style].text != NULL)
		return &row->replies[style];
	return row->replies[REPLY_STYLE_RELAYD].text == NULL ? NULL :
							       &row->replies[REPLY_STYLE_RELAYD];
}

const struct reason_reply *
reason_reply_deferred(enum reason reason, enum reply_style style)
{
	const struct reason_row *row = row_of(reason);
	const struct reason_reply *reply = reason_reply_get(reason, style);

	if (row->deferred.text != NULL)
		return &row->deferred;
	if (reply != NULL && reply->code < 500)
		return reply;
	return reason_reply_get(REASON_POLICY_TROUBLE, style);
}

/* ---- Wording ---- */

const struct reason_reply *
wording_reply(const struct reply_wording *wording, enum reason reason)
{
	assert(reason < REASON_COUNT);
	if (wording->instead[reason].text != NULL)
		return &wording->instead[reason];
	return reason_reply_get(reason, wording->style);
}

const struct reason_reply *
wording_reply_deferred(const struct reply_wording *wording, enum reason reason)
{
	const struct reason_reply *instead = &wording->instead[reason];

	/* what is said for good is not what is said for now */
	if (instead->text != NULL && instead->code < 500 &&
	    row_of(reason)->deferred.text == NULL)
		return instead;
	const struct reason_reply *reply = reason_reply_deferred(reason, wording->style);
	bool is_general = reply == reason_reply_get(REASON_POLICY_TROUBLE, wording->style);

	return is_general ? wording_reply(wording, REASON_POLICY_TROUBLE) : reply;
}

static const char *
override_text_check(struct span text)
{
	if (text.len == 0)
		return "is empty; write what the client shall read";
	if (text.len > REPLY_OVERRIDE_MAX)
		return "is longer than 300 octets; write less, and where to read more";
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] < ' ' || text.ptr[i] > '~')
			return "holds a byte that a reply may not (a line end, a control or "
			       "an accented character); write printable ASCII";
	}
	if (text.ptr[0] >= '2' && text.ptr[0] <= '5' && text.len > 3 &&
	    (text.ptr[3] == ' ' || (text.ptr[1] == '.' && text.ptr[3] == '.')))
		return "begins with a code; write that as code = or enhanced = and leave it "
		       "out of the text";
	return NULL;
}

const char *
reply_override_check(enum reason reason, const struct reason_reply *instead,
		     struct span text, const char **what)
{
	const struct reason_reply *usual = reason_reply_get(reason, REPLY_STYLE_RELAYD);

	assert(usual != NULL);
	*what = "code";
	if (instead->code / 100 != usual->code / 100)
		return usual->code >= 500 ?
			   "would make something else of a refusal; write a code from 500 to "
			   "599" :
			   "would make something else of a deferral; write a code from 400 to "
			   "499";
	if ((instead->code == 421) != (usual->code == 421))
		return usual->code == 421 ?
			   "cannot be: the session is closed after this reply, which 421 says" :
			   "cannot be: 421 says that the session is closed, and it is not";
	*what = "enhanced";
	if (instead->enhanced[0] != instead->code / 100)
		return "is of another class than the code; let both begin with the same digit";
	if (instead->enhanced[1] > 7 || instead->enhanced[2] > 999)
		return "is no enhanced code; write one as \"5.7.1\"";
	*what = "text";
	return override_text_check(text);
}

const char *
reason_meaning(enum reason reason)
{
	return row_of(reason)->meaning;
}

const char *
reason_remedy(enum reason reason)
{
	return row_of(reason)->remedy;
}

const char *
stage_name(enum stage stage)
{
	static const char *const names[] = {
		[STAGE_CONNECTION] = "connection",
		[STAGE_WHO] = "who",
		[STAGE_VALIDITY] = "validity",
		[STAGE_TLS] = "tls",
		[STAGE_SENDER] = "sender",
		[STAGE_RECIPIENT] = "recipient",
		[STAGE_HEADER_FROM] = "header-from",
		[STAGE_EVIDENCE] = "evidence",
		[STAGE_QUOTA] = "quota",
		[STAGE_PERMITTED] = "permitted",
	};

	assert(stage < (enum stage)ARRAY_LEN(names));
	return names[stage];
}
