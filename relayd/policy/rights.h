/* SPDX-License-Identifier: ISC */
/*
 * What a client may do, whatever it will try: which grants hold for it, which of Exchange's
 * rights that amounts to, and from where anybody may relay without a login. Pure, like
 * deciding; slower, for people who ask.
 */
#ifndef RELAYD_POLICY_RIGHTS_H
#define RELAYD_POLICY_RIGHTS_H

#include "policy/network_table.h"
#include "policy/policy.h"

/* The rights that Exchange gives to a session, as far as they mean something here. */
enum exchange_right {
	RIGHT_SUBMIT,			/* may begin a message at all */
	RIGHT_ANY_RECIPIENT,		/* recipients outside the accepted domains: to relay */
	RIGHT_ANY_SENDER,		/* senders outside the accepted domains */
	RIGHT_AUTHORITATIVE_SENDER,	/* senders in authoritative domains */
	RIGHT_HEADERS_ROUTING,		/* Received and Resent-* fields are kept */
	RIGHT_BYPASS_ANTI_SPAM,		/* no SPF, DKIM, DMARC, block list or PTR is asked for */
	RIGHT_BYPASS_SIZE,		/* no limit of size: nobody has that */
	RIGHT_COUNT,
};

enum right_extent {
	RIGHT_NONE,
	RIGHT_SOME, /* as far as the grants say */
	RIGHT_ALL,
};

const char *right_name(enum exchange_right right); /* "Ms-Exch-SMTP-Submit" */
const char *right_extent_name(enum right_extent extent); /* "none", "some", "all" */

struct rights {
	bool is_monitored; /* a connector or grant in monitor mode lets everything through */
	enum right_extent extents[RIGHT_COUNT];
};

/*
 * What the client of the facts may do on their connector (not NO_CONNECTOR); sender, recipient
 * and what comes after them is not looked at. has_client false: wherever it connects from,
 * facts->client is not looked at, and grants count that hold for some network. The standing
 * of every grant goes into out[policy_grant_count], as policy_trace tells it up to STAGE_TLS.
 */
void policy_rights(const struct policy *policy, const struct facts *facts, bool has_client,
		   struct grant_outcome *out, struct rights *rights);

/* ---- Open relays, exactly ---- */

/* Anonymous clients from here may relay: to a recipient outside every accepted domain. */
struct relay_way {
	struct ip_range range;
	size_t connector;
	size_t grant; /* the first in the file; NO_GRANT: the connector is in monitor mode */
	bool is_monitored;
};

struct relay_ways {
	struct relay_way *items; /* ascending within each connector; neighbours are joined */
	size_t count;
	size_t room;
};

/*
 * Every address from which a client without login and certificate may relay now or, by a grant
 * that starts later, one day: the address space is cut where any network of the policy begins
 * or ends, and each piece is judged. Nothing is sampled. Evidence is taken to pass, limits to
 * have room, and a client to use TLS where it is offered; a grant in monitor mode relays
 * everything for the clients that it knows. End it with relay_ways_reset.
 */
void policy_relay_ways(const struct policy *policy, int64_t now_ms, struct relay_ways *ways);
void relay_ways_reset(struct relay_ways *ways);

/*
 * The networks that a policy names: the ranges and tables in networks of grants and in
 * remote-ip-ranges of connectors, as far as each is one that a site may have (at most as many
 * addresses as 10.0.0.0/8, or as a /16 of IPv6), and the private, link-local and loopback ones.
 * Joined and sorted; end it with range_list_reset.
 */
void policy_networks_named(const struct policy_source *source, struct range_list *named);

/* A client that may relay and should not, with a message that proves it. */
struct relay_witness {
	struct relay_way way;
	struct ip client;
	bool is_too_many; /* in a named network, but these hold most of the Internet */
	struct buffer sender; /* an address; "" is the null sender */
	struct buffer recipient;
};

/*
 * Is there a way for clients outside `named` (sorted and joined)? False: proved that there is
 * none. True: *witness shows one; end it with relay_witness_reset. Ways that together hold more
 * than half of all IPv4 addresses are one too, whatever the networks are called.
 */
bool policy_open_relay_find(const struct policy *policy, const struct relay_ways *ways,
			    const struct range_list *named, struct relay_witness *witness);
void relay_witness_reset(struct relay_witness *witness);

#endif
