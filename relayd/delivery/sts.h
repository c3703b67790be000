/* SPDX-License-Identifier: ISC */
/*
 * MTA-STS policies in memory that all workers and the process that fetches them share
 * (RFC 8461). A worker looks a domain up, or asks for it; the other process answers by
 * publishing what it found. Both ends are bounded and neither waits for the other.
 */
#ifndef RELAYD_DELIVERY_STS_H
#define RELAYD_DELIVERY_STS_H

#include "base/fault.h"
#include "base/ip.h"
#include "delivery/sts_policy.h"

#define STS_DOMAIN_MAX	  253
#define STS_ADDRESSES_MAX 4
#define STS_HOST_PREFIX	  "mta-sts." /* s.3.3 */

struct sts_board;

/* Shared with processes forked later. NULL and *fault when there is no memory for it. */
struct sts_board *sts_board_new(struct fault *fault);
void sts_board_free(struct sts_board **board);

enum sts_state {
	STS_UNKNOWN, /* not looked for */
	STS_ABSENT,  /* looked for: there is none that could be had */
	STS_KNOWN,
};

struct sts_finding {
	enum sts_state state;
	uint32_t number;	 /* another one whenever something is published; 0: unknown */
	int64_t expires_wall_ms; /* of the policy */
	int64_t again_wall_ms;	 /* do not ask for another one before */
	struct sts_policy policy; /* its id is set for STS_ABSENT, too */
};

/* What is known of the domain (lower-case A-labels). A copy, never half of one. */
void sts_find(const struct sts_board *board, struct span domain, struct sts_finding *finding);

/* A wish for a policy. */
struct sts_wish {
	size_t domain_len;
	char domain[STS_DOMAIN_MAX + 1];
	char id[STS_ID_MAX + 1]; /* of the record; empty: there is none, only look on disk */
	size_t address_count;
	struct ip addresses[STS_ADDRESSES_MAX]; /* of the host that has the policy */
};

/* False: too many wishes at once; try again later. */
bool sts_ask(struct sts_board *board, const struct sts_wish *wish);

/* ---- The process that fetches; by several threads of it ---- */

/* Wait for a wish, for ever. */
void sts_wish_take(struct sts_board *board, struct sts_wish *wish);

/* Answer it. By one thread at a time. */
void sts_publish(struct sts_board *board, struct span domain,
		 const struct sts_finding *finding);

#endif
