/* SPDX-License-Identifier: ISC */
/*
 * The audit trail: one JSON object a line in state-dir/audit/audit.jsonl, docs/architecture.md.
 * Records are collected during a turn of the loop and appended with one write at its end,
 * before any reply of that turn leaves (net/loop.h). Several processes append to one file:
 * each write is whole lines on a descriptor opened with O_APPEND.
 *
 * Client bytes may be anything; what is written is valid UTF-8 with control characters
 * escaped. Passwords and SASL payloads have no way in: no function takes them.
 */
#ifndef RELAYD_AUDIT_AUDIT_H
#define RELAYD_AUDIT_AUDIT_H

#include "base/fault.h"
#include "base/ip.h"
#include "base/log.h"
#include "policy/policy.h"

struct audit;

/*
 * Open (and make) the trail below state_directory for appending. policy_hash is copied and
 * named in every attempt record. NULL and *fault when it cannot be written to.
 */
struct audit *audit_open(const char *state_directory, const char *policy_hash,
			 const struct log *log, struct fault *fault);

/* Flush and close. */
void audit_close(struct audit **audit);

/*
 * Append what was recorded since the last call. False: the kernel did not take it (logged;
 * the lines are kept and tried again by the next call) and no reply that depends on a record
 * of this turn may leave. True and cheap when nothing was recorded.
 */
bool audit_flush(struct audit *audit);

/* Did the last flush fail? Then no new decision should be made: answer 451 4.3.0. */
bool audit_is_broken(const struct audit *audit);

/* "relayed", "refused", "deferred", "would-refuse": the words of the records. */
const char *audit_verdict_name(enum verdict_kind verdict);

/* What is known of a session; empty spans and NULLs are left out of the record. */
struct audit_session {
	const char *id;	       /* session id */
	struct span connector; /* name */
	struct ip_endpoint client;
	struct ip_endpoint local;
	struct ip_endpoint proxy;   /* that sent a PROXY header; port 0: none */
	struct ip_endpoint xclient; /* the host that said XCLIENT; port 0: none */
	struct span ptr;
	struct span helo;
	struct span tls_version, tls_cipher;
	struct span tls_client;	      /* the certificate's name to show */
	const struct span *tls_names; /* all of it, as grants may ask for them */
	size_t tls_name_count;
	struct span user, mechanism;
};

/* One decision on one recipient (or on a sender, when there is no recipient yet). */
struct audit_attempt {
	const char *id; /* attempt id */
	int64_t wall_ms;
	struct span from; /* reverse-path without "<>" */
	bool has_from;	  /* false: no MAIL was seen; an empty `from` is the null path */
	struct span to;	  /* empty: none */
	struct span header_from;
	struct span message_id;
	uint64_t size_octets; /* 0: unknown */
	enum verdict_kind verdict;
	enum stage stage;
	enum reason reason;	/* REASON_NONE when relayed */
	struct span grant;	/* name, or empty */
	const char *file;	/* of the grant, or NULL */
	unsigned line;
	struct span reply;  /* as sent, without CRLF */
	struct span detail; /* policy_describe's words */
};

void audit_attempt(struct audit *audit, const struct audit_session *session,
		   const struct audit_attempt *attempt);

/* event "connect": a client was turned away before its first command. */
void audit_connect(struct audit *audit, const struct audit_session *session, int64_t wall_ms,
		   enum reason reason, struct span reply, struct span detail);

/* One try to hand one message to one next hop for some recipients of it. */
struct audit_delivery {
	const char *id; /* queue id: the transaction's */
	int64_t wall_ms;
	struct span route;
	struct span next_hop;	 /* "mx1.example.com:25", or the Maildir's path */
	struct ip_endpoint peer; /* port 0: none */
	struct span tls_version; /* empty: clear */
	struct span tls_cipher;
	struct span tls_unverified; /* why the next hop's name is not vouched for */
	bool is_tls_verified;
	const char *tls_policy; /* that it had to satisfy: "dane", "mta-sts", "mta-sts-testing" */
	bool is_tls_policy_met;
	struct span from;
	struct span to;		/* this recipient */
	const char *result;	/* "delivered", "deferred", "failed" */
	struct span reply;	/* the next hop's, or what happened instead */
	int64_t queued_ms;	/* since it was accepted */
	unsigned tries;		/* this one included */
	int64_t next_wall_ms;	/* when deferred: the next try; else 0 */
};

void audit_delivery(struct audit *audit, const struct audit_delivery *delivery);

/* event "expire": a recipient was given up because its time was over. */
void audit_expire(struct audit *audit, const struct audit_delivery *delivery);

/* What was done about one recipient of a message that did not simply arrive. */
struct audit_bounce {
	const char *id; /* queue id of the message */
	int64_t wall_ms;
	struct span from;
	struct span to; /* this recipient */
	/*
	 * "failed", "delayed", "delivered", "relayed": a report of that was made; "kept": nobody
	 * can be told, and it is kept as dead; "unwanted": the sender asked not to be told.
	 */
	const char *result;
	const char *report;    /* id of the report, or NULL */
	struct span report_to; /* who is told, or empty */
};

/* event "bounce" */
void audit_bounce(struct audit *audit, const struct audit_bounce *bounce);

/* event "auth": a login that succeeded, or failed with a reason. */
void audit_auth(struct audit *audit, const struct audit_session *session, int64_t wall_ms,
		enum reason reason);

/*
 * event "operator": somebody acted on the queue. One record for each message, with its id, and
 * one for the whole, with the selection and how many messages there were.
 */
struct audit_operator {
	const char *id; /* of the message; NULL: the whole */
	int64_t wall_ms;
	const char *action;	/* "hold", "remove" ... */
	uint32_t uid;		/* who asked for it */
	struct span user;	/* the account's name, or empty */
	const char *result;	/* "done", or what it came to */
	struct span selection;	/* of the whole: JSON */
	uint64_t count;		/* of the whole: messages */
};

void audit_operator(struct audit *audit, const struct audit_operator *operator);

/* events "start", "stop", "reload": of the daemon; detail may be empty. */
void audit_daemon(struct audit *audit, const char *event, int64_t wall_ms, bool succeeded,
		  struct span detail);

#endif
