/* SPDX-License-Identifier: ISC */
/*
 * Reading the audit trail: audit.jsonl and the files that rotation made of it (audit.jsonl.1,
 * audit.jsonl-20261121, ...), oldest first. Lines are read as they may be after a crash or a
 * full disk: what is torn is skipped and counted, and a record that another process appended
 * to a torn one is found all the same.
 */
#ifndef RELAYD_AUDIT_QUERY_H
#define RELAYD_AUDIT_QUERY_H

#include "base/arena.h"
#include "base/fault.h"
#include "base/ip.h"

/* One record; what it does not hold is empty or 0. */
struct audit_record {
	struct span line; /* the whole record as it stands in the file */
	int64_t wall_ms;
	struct span time, event, id, session, connector;
	struct span client_ip, ptr, helo;
	uint16_t client_port;
	struct span local;
	struct span proxy, xclient; /* the go-betweens, if any */
	struct span tls_version, tls_cipher, tls_client;
	const struct span *certificates; /* every name of the client's certificate */
	size_t certificate_count;
	struct span user, mechanism;
	bool has_from; /* false: no MAIL; an empty `from` is the null path */
	struct span from, to, header_from, message_id;
	uint64_t size_octets;
	struct span verdict, stage, reason, grant;
	struct span grant_line; /* "relayd.conf:41" */
	struct span reply, detail, policy;
	struct span route, next_hop, peer, result, next;
	struct span action;   /* of an operator, whose login is not `user` but an account: */
	struct span operator; /* its name */
	uint64_t uid;
	struct span report, report_to; /* of event "bounce" */
	int64_t queued_ms;
	uint64_t tries;
};

/* Read one line; texts are copied into the arena. PARSE_BAD: it is no audit record. */
enum parse_status audit_record_read(struct span line, struct arena *arena,
				    struct audit_record *record);

/* A copy that lives as long as the arena. */
struct audit_record *audit_record_copy(const struct audit_record *record,
				       struct arena *arena);

/* Which records are wanted; all that is given must hold. All zero: every record. */
struct audit_filter {
	int64_t since_ms; /* 0: from the first */
	int64_t until_ms; /* the first millisecond too late; 0: to the last */
	bool has_client;
	struct ip_range client;
	struct span user;
	struct span from;   /* an address, "@domain", or "<>" for the null path */
	struct span to;	    /* an address or "@domain" */
	struct span reason; /* a token, or its first part: "evidence" */
	struct span verdict, grant, connector, event;
	struct span id; /* of an attempt, a transaction (with all of it) or a session */
	uint64_t newest_octets; /* look only at so much of the trail's end; 0: at all of it */
};

struct audit_tally {
	uint64_t files;
	uint64_t files_compressed; /* not read */
	uint64_t records;	   /* seen by the callee */
	uint64_t torn;		   /* pieces of lines that are no records */
	bool is_cut;		   /* older octets were not looked at (newest_octets) */
};

/* Told of one record, borrowed for the call; false stops the query. */
typedef bool audit_seen(void *context, const struct audit_record *record);

/*
 * Tell seen of every record that passes, in the order of the files, which is nearly that of
 * time. False and *fault when there is no trail to read or reading fails.
 */
bool audit_query(const char *state_directory, const struct audit_filter *filter,
		 audit_seen *seen, void *context, struct audit_tally *tally,
		 struct fault *fault);

/* Is it the address wanted: equal, in "@domain", or null for "<>"? Empty wants any. */
bool audit_address_matches(struct span wanted, struct span address);

/*
 * An id as people give it: in brackets, in small letters, O for 0 and I or L for 1. Copied
 * into the arena as it would be recorded.
 */
struct span audit_id_normalise(struct span given, struct arena *arena);

/* The id of the transaction that an attempt belongs to: without ".recipient". */
struct span audit_id_transaction(struct span id);

#endif
