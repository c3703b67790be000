/* SPDX-License-Identifier: ISC */
/*
 * The decision core. A policy is compiled once from what the configuration says and never
 * changes; deciding is a pure function of (policy, facts): no clock, no I/O, no logging. The
 * daemon, `relayctl explain`, `replay` and `suggest` call the same functions.
 *
 * Safety property, tested exhaustively: a verdict RELAYED names a grant whose every stated
 * condition holds. What could not be looked up defers; it never permits.
 */
#ifndef RELAYD_POLICY_POLICY_H
#define RELAYD_POLICY_POLICY_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/ip.h"
#include "policy/reason.h"
#include "smtp/address.h"

#define NO_GRANT SIZE_MAX
#define NO_CONNECTOR SIZE_MAX

struct policy;

enum policy_mode {
	MODE_ENFORCE,
	MODE_MONITOR,
};

enum tls_demand {
	TLS_NONE,
	TLS_OFFERED,
	TLS_REQUIRED,
	TLS_IMPLICIT,
};

enum header_from_demand {
	HEADER_FROM_ANY,	 /* not looked at */
	HEADER_FROM_SAME_DOMAIN, /* its domain is the reverse-path's */
	HEADER_FROM_AUTHORIZED,	 /* the grant's senders cover it */
};

enum evidence {
	EVIDENCE_SPF = 1,
	EVIDENCE_DKIM = 2,
	EVIDENCE_DMARC = 4,
	EVIDENCE_DNSBL = 8,
	EVIDENCE_PTR = 16,
};

enum limit_unit {
	LIMIT_MESSAGES,
	LIMIT_RECIPIENTS,
	LIMIT_OCTETS,
	LIMIT_SESSIONS, /* at the same time; has no window */
};

/* Whose use is counted apart from others'. */
enum limit_key {
	LIMIT_PER_GRANT,   /* all under the grant together */
	LIMIT_PER_LOGIN,   /* those without one together */
	LIMIT_PER_ADDRESS, /* of the client */
	LIMIT_PER_SENDER,  /* reverse-path, in whatever case it is written */
};

/* ---- What the configuration says. Built by config/, borrowed by policy_new. ---- */

/* A list that was written in the configuration: texts as written. */
struct text_list {
	const struct span *items;
	size_t count;
};

enum table_type {
	TABLE_NETWORK,
	TABLE_SENDER,
	TABLE_RECIPIENT,
	TABLE_USER,
};

/* table "name" { type file }: its entries already read from the file, one text each. */
struct table_source {
	struct span name;
	enum table_type type;
	struct span file;
	struct text_list entries;
	const unsigned *lines; /* of each entry in the file; NULL when unknown */
	unsigned line;	       /* in the configuration */
};

enum accepted_domain_type {
	DOMAIN_AUTHORITATIVE,
	DOMAIN_INTERNAL_RELAY,
	DOMAIN_EXTERNAL_RELAY,
};

struct accepted_domain_source {
	struct span name; /* "example.com", or "*.example.com" for the domains below it */
	enum accepted_domain_type type;
	unsigned line;
};

/* Hosts that speak for clients of theirs, by the way in which they say who these are. */
enum go_between {
	GO_BETWEEN_PROXY,   /* proxy-protocol: the header of the PROXY protocol, required */
	GO_BETWEEN_XCLIENT, /* xclient: the command XCLIENT, when they like */
	GO_BETWEEN_COUNT,
};

struct connector_source {
	struct span name;
	const struct ip_endpoint *bindings;
	size_t binding_count;
	struct text_list remote_ranges; /* addresses, prefixes, a-b, table:NAME */
	struct text_list go_betweens[GO_BETWEEN_COUNT]; /* the same */
	bool can_authenticate;		/* it offers at least one AUTH mechanism */
	enum tls_demand tls;
	enum policy_mode mode;
	int64_t monitor_until_ms; /* 0: none */
	const char *file;
	unsigned line;
};

struct limit_source {
	uint64_t count;
	enum limit_unit unit;
	enum limit_key key;
	uint32_t window_s; /* 0: LIMIT_SESSIONS */
};

#define LIMITS_MAX 16 /* of one grant */

struct grant_source {
	struct span name;
	struct span owner;
	struct span ticket;
	struct text_list connectors;   /* names; empty: all */
	struct text_list users;	       /* "billing", "*@domain", "table:NAME"; empty: no condition */
	struct text_list networks;     /* ranges, "table:NAME", "pickup" (is ::); empty: no condition */
	struct text_list certificates; /* "sha256:..", "dns:..", "email:..", "cn:.." */
	struct text_list senders;      /* patterns; must not be empty */
	struct text_list recipients;   /* patterns, "accepted-domains", "table:NAME" */
	struct text_list except_networks;
	struct text_list except_senders;
	struct text_list except_recipients;
	bool takes_routed; /* by domain, recipients whose local part names another host */
	bool requires_tls;
	enum header_from_demand header_from;
	unsigned requires_evidence; /* of enum evidence */
	const struct limit_source *limits;
	size_t limit_count;
	struct span route;	    /* name, or empty */
	struct span rewrite_sender; /* or empty */
	struct text_list sender_map; /* "PATTERN = ADDRESS" */
	struct span bounce_to;	     /* who is told in place of a doubtful sender, or empty */
	int64_t starts_ms;	    /* 0: always */
	int64_t expires_ms;	    /* the first millisecond that is too late; 0: never */
	enum policy_mode mode;
	int64_t monitor_until_ms;
	bool is_open_relay_accepted; /* open-relay = "I know" */
	const char *file;
	unsigned line;
};

struct policy_source {
	const struct connector_source *connectors;
	size_t connector_count;
	const struct grant_source *grants;
	size_t grant_count;
	const struct table_source *tables;
	size_t table_count;
	const struct accepted_domain_source *domains;
	size_t domain_count;
	struct span realm; /* of logins: "billing" and "billing@realm" are the same */
};

/* Told of every problem of a source: where, what is wrong, what to write instead. */
typedef void policy_complain(void *context, bool is_error, const char *file, unsigned line,
			     const char *text);

/*
 * Compile a policy. NULL when there was an error (all were told); warnings (lint) do not
 * stop it. The policy copies what it keeps. End it with policy_free.
 */
struct policy *policy_new(const struct policy_source *source, policy_complain *complain,
			  void *context);
void policy_free(struct policy **policy);

/*
 * Warn of what is right but probably not meant, at a time (wall clock): grants that nothing
 * can reach or that others shadow, expired ones, tables never used, senders outside every
 * accepted domain, monitor mode, grants that together make an open relay.
 */
void policy_lint(const struct policy *policy, int64_t now_ms, policy_complain *complain,
		 void *context);

/*
 * A login by its one name, into out: "billing", "billing@example.com" and "billing@EXAMPLE.com" are
 * one in the realm example.com. Its length; 0 when there is none, or it is too long to be known.
 */
#define POLICY_LOGIN_MAX 512
size_t policy_login_key(const struct policy *policy, struct span login,
			char out[POLICY_LOGIN_MAX]);

/* ---- What is known of an attempt ---- */

enum evidence_result {
	EVIDENCE_NOT_LOOKED,
	EVIDENCE_PASSES,
	EVIDENCE_FAILS,
	EVIDENCE_TROUBLE, /* temporary: could not look */
};

enum header_from_result {
	HEADER_FROM_READ,
	HEADER_FROM_MISSING,
	HEADER_FROM_SEVERAL_FIELDS,
	HEADER_FROM_UNREADABLE,
};

/*
 * Facts in the order in which a session learns them. All pointers are borrowed for the call.
 * A policy reads only what belongs to the stages asked for (policy_decide's `upto`).
 */
struct facts {
	size_t connector; /* index, from policy_connector_find */
	struct ip client;
	struct span user; /* login (authorization identity), or empty */
	const struct span *certificates; /* "sha256:..", "dns:..", ... of the verified client */
	size_t certificate_count;
	bool is_tls;
	int64_t now_wall_ms;
	const struct address *sender;
	const struct address *recipient;
	enum header_from_result header_from_result;
	const struct address *header_from; /* From, Sender and Resent-From mailboxes */
	size_t header_from_count;
	enum evidence_result evidence[5]; /* SPF, DKIM, DMARC, DNSBL, PTR */
	/* May this grant take one more now? NULL: yes. Must be without effect. */
	bool (*has_quota)(void *context, size_t grant, enum reason *which);
	void *quota_context;
};

/*
 * Trouble with evidence defers, in monitor mode too. A quota that is used up defers, because
 * its reply is 4xx; in monitor mode it is what would have been refused, and is accepted.
 */
enum verdict_kind {
	VERDICT_RELAYED,
	VERDICT_REFUSED,
	VERDICT_DEFERRED,
	VERDICT_WOULD_REFUSE, /* monitor mode: accepted, would have been refused */
};

/*
 * The nearest grant is the first in the file that came furthest. Of grants that stopped at
 * STAGE_WHO it is the first that knows the login or certificate and not the network
 * (relay.network); else the first whose connectors and networks hold and whose users or
 * certificates do not; else there is none. Of those that stopped at the evidence, one that
 * could not look comes before those that failed: it might have passed, so the verdict defers.
 */

struct verdict {
	enum verdict_kind kind;
	enum reason reason;
	enum stage stage; /* STAGE_PERMITTED, or the furthest stage reached, which failed */
	size_t grant;	  /* that admitted it, or the nearest; NO_GRANT */
	enum reason cause; /* of evidence.unknown: evidence.spf ...; else REASON_NONE */
};

/*
 * What a verdict answers, or would have answered: for one that is deferred always a 4xx.
 * NULL: nothing (relayed).
 */
const struct reason_reply *verdict_reply(const struct verdict *verdict,
					 const struct reply_wording *wording);

/*
 * The connector that takes a client: bound where it connected (a specific address before
 * 0.0.0.0 or [::]), and whose ranges hold the client most specifically. NO_CONNECTOR: none.
 */
size_t policy_connector_find(const struct policy *policy, const struct ip_endpoint *local,
			     const struct ip *client);

/*
 * Is the host a go-between of some connector that is bound where it connected? This is asked
 * before the connector is known: that depends on who the client turns out to be.
 */
bool policy_is_go_between(const struct policy *policy, enum go_between kind,
			  const struct ip_endpoint *local, const struct ip *host);

/* Does this connector take clients by the word of this host? */
bool policy_connector_believes(const struct policy *policy, size_t connector,
			       enum go_between kind, const struct ip *host);

/*
 * Decide by the facts of the stages up to and including `upto`. VERDICT_RELAYED then means
 * "not refused so far": some grant passes all of them; the first such in the file is named.
 * With upto == STAGE_QUOTA everything was asked.
 */
struct verdict policy_decide(const struct policy *policy, const struct facts *facts,
			     enum stage upto);

/*
 * The same, and whatever `upto` is, of the grants that pass only one that has_quota is named:
 * for a session that takes what it needs of a grant's limits as early as at RCPT.
 */
struct verdict policy_decide_by_quota(const struct policy *policy, const struct facts *facts,
				      enum stage upto);

/* What stopped (or passed) one grant: for traces. */
struct grant_outcome {
	size_t grant;
	enum stage stage; /* STAGE_PERMITTED: passes up to `upto` */
	enum reason reason;
};

/* The outcome of every grant in file order, into out[policy_grant_count]. */
void policy_trace(const struct policy *policy, const struct facts *facts, enum stage upto,
		  struct grant_outcome *out);

/*
 * The condition that failed, in words: "grant billing allows senders @billing.example.com;
 * got invoices@example.com". Appended to out.
 */
void policy_describe(const struct policy *policy, const struct facts *facts,
		     enum stage stage, enum reason reason, size_t grant, struct buffer *out);

/* What would have to be granted for this to pass, in configuration words. Appended. */
void policy_remedy(const struct policy *policy, const struct facts *facts,
		   const struct verdict *verdict, struct buffer *out);

/* ---- Looking at a policy ---- */

size_t policy_grant_count(const struct policy *policy);
size_t policy_connector_count(const struct policy *policy);

/* The source of one grant or connector, as copied; valid as long as the policy. */
const struct grant_source *policy_grant(const struct policy *policy, size_t grant);
const struct connector_source *policy_connector(const struct policy *policy, size_t connector);
size_t policy_grant_find(const struct policy *policy, struct span name); /* or NO_GRANT */
size_t policy_connector_find_name(const struct policy *policy, struct span name);

/* Is the connector, or the grant, in monitor mode at a time (wall clock)? */
bool connector_is_monitoring(const struct connector_source *connector, int64_t now_ms);
bool grant_is_monitoring(const struct grant_source *grant, int64_t now_ms);

/* Is the address in an accepted domain? */
bool policy_is_accepted_domain(const struct policy *policy, struct span domain);

/* Are any domains declared accepted at all? */
bool policy_has_accepted_domains(const struct policy *policy);

/* How the senders of a grant hold an address; the closest of those that do. */
enum sender_hold {
	SENDER_NOT_HELD,
	SENDER_HELD_BY_ANY,    /* "*" */
	SENDER_HELD_BY_DOMAIN, /* "@d", "@*.d", an accepted domain */
	SENDER_HELD_BY_NAME,   /* the address itself, with a tag perhaps, or "<>" */
};
enum sender_hold policy_sender_hold(const struct policy *policy, size_t grant,
				    const struct address *sender);

/* Eight bytes as 16 hex digits and a NUL: changes whenever the policy means something else. */
void policy_hash(const struct policy *policy, char out[17]);

/* "root@localhost = ops@example.com" of a sender-map: both sides; the left is a pattern. */
enum parse_status sender_map_parse(struct span text, struct span *from, struct span *to);
/* A limit as one writes it: "600 messages/hour per sender". Appended. */
void limit_append(const struct limit_source *limit, struct buffer *out);

/* "grant", "login", "address" or "sender". */
const char *limit_key_name(enum limit_key key);

/* ---- Patterns, shared with the choice of routes ---- */

struct pattern_set;

/*
 * Compile sender or recipient patterns: an address, "a+*@domain" (a with any tag; a@domain
 * itself holds no tags), "@domain", "@*.domain" (any depth below, not the domain itself), "*"
 * (the null sender too), "<>" (null sender), "accepted-domains", "table:NAME" (both only with a
 * policy source to look in; may be NULL). pattern_table.h says how addresses are compared.
 * NULL and the fault's words when one is bad.
 */
struct pattern_set *pattern_set_new(const struct text_list *patterns,
				    const struct policy_source *source, struct fault *fault);
void pattern_set_free(struct pattern_set **set);

/*
 * How specifically does the set hold the address? 0: not at all; "*" 1; "@*.domain" more, the
 * longer the domain; "@domain" more than any of these; the address itself most.
 */
unsigned pattern_set_match(const struct pattern_set *set, const struct address *address);

#endif
