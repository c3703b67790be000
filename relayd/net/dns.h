/* SPDX-License-Identifier: ISC */
/*
 * DNS through libunbound in event mode: answers come as calls from the loop, nothing blocks.
 * An answer tells "there is none" from "could not look": the first may decide, the second
 * only ever defers.
 */
#ifndef RELAYD_NET_DNS_H
#define RELAYD_NET_DNS_H

#include "base/ip.h"
#include "net/loop.h"

#define DNS_NAME_MAX	  253
#define DNS_RECORDS_MAX	  64

struct dns;
struct dns_query;

enum dns_status {
	DNS_FOUND,   /* at least one record */
	DNS_ABSENT,  /* NXDOMAIN, or no record of this type */
	DNS_TROUBLE, /* SERVFAIL, time-out, bogus: could not look */
};

enum dns_type {
	DNS_A = 1,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52,
};

/* One record; what it holds depends on the type. Spans live as long as the call. */
struct dns_record {
	struct ip ip;	     /* A, AAAA */
	struct span name;    /* PTR, MX: text without the last dot; "" is the root. Printable
			      * ASCII always: records with other names are left out */
	struct span data;    /* TXT: the strings joined; TLSA: the raw record data */
	uint16_t preference; /* MX */
};

struct dns_answer {
	enum dns_status status;
	bool is_secure; /* DNSSEC-validated */
	bool has_no_name; /* DNS_ABSENT: not even the name exists (NXDOMAIN) */
	const struct dns_record *records;
	size_t count;
	uint32_t ttl_s; /* of the shortest-lived record; of an absence as the zone says */
};

struct dns_settings {
	const char *const *forwarders; /* "127.0.0.1@5399", ... or NULL: /etc/resolv.conf */
	size_t forwarder_count;
	const char *trust_anchor_file; /* NULL: no DNSSEC validation */
	bool uses_hosts_file;	       /* /etc/hosts answers for A and AAAA */
	const char *hosts_path;	       /* that file's path; NULL: /etc/hosts */
	int64_t deadline_ms;	       /* after which a question is DNS_TROUBLE; 0: 30 s */
};

typedef void dns_done(void *context, const struct dns_answer *answer);

/* NULL and *fault on failure. The settings are read, not kept. */
struct dns *dns_new(struct loop *loop, const struct dns_settings *settings,
		    struct fault *fault);

/* Cancels what is under way; no call comes after it. */
void dns_free(struct dns **dns);

/*
 * Look name up (A-labels; a last dot is allowed; copied). done is always called from a later
 * turn of the loop, exactly once, unless dns_cancel comes first. Never NULL: what cannot even
 * be asked answers DNS_TROUBLE.
 */
struct dns_query *dns_ask(struct dns *dns, struct span name, enum dns_type type,
			  dns_done *done, void *context);

/*
 * No call comes any more. The query is gone when done returns; within done, cancelling it is
 * harmless. NULL is, too.
 */
void dns_cancel(struct dns_query **query);

/* "7.1.20.10.in-addr.arpa", or the nibbles of an IPv6 address under ip6.arpa; terminated. */
#define DNS_REVERSE_SIZE 73
void dns_reverse_name(const struct ip *ip, char out[DNS_REVERSE_SIZE]);

#endif
