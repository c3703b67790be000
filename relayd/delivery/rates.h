/* SPDX-License-Identifier: ISC */
/*
 * How much of what was accepted comes through, by grant and by the sender's domain: kept by
 * one worker, read by others while it runs. The number of domains is bounded; those that come
 * later are counted together.
 */
#ifndef RELAYD_DELIVERY_RATES_H
#define RELAYD_DELIVERY_RATES_H

#include "policy/policy.h"

#include <stdatomic.h>

#define RATE_DOMAINS_MAX 64
#define RATE_NAME_MAX	 100 /* octets; longer domains are among the others */

/* Recipients, since the start; but for reports. */
enum rate_event {
	RATE_DELIVERED,
	RATE_DEFERRED, /* tries */
	RATE_FAILED,
	RATE_REPORTED, /* reports that were sent */
	RATE_EVENTS,
};

struct rate {
	_Atomic uint64_t counts[RATE_EVENTS];
};

struct rate_domain {
	size_t len;
	char name[RATE_NAME_MAX]; /* lower case */
	struct rate rate;
};

/* All zero at first, but for grant_count. */
struct rate_figures {
	_Atomic size_t domain_count; /* names up to here do not change any more */
	struct rate_domain domains[RATE_DOMAINS_MAX];
	struct rate other_domains;
	struct rate no_sender; /* the null sender: reports of others, and our own */
	size_t grant_count;
	struct rate grants[];
};

/* Octets for so many grants. */
size_t rates_octets(size_t grants);

void rates_count(struct rate_figures *rates, const struct policy *policy, struct span grant,
		 struct span sender, enum rate_event event);

/* The rate of a domain, made if there is room; that of the others if not. */
struct rate *rates_domain(struct rate_figures *rates, struct span domain);

/* Add what another one counted. */
void rate_add(struct rate *to, const struct rate *from);

#endif
