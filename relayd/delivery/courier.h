/* SPDX-License-Identifier: ISC */
/*
 * A courier is one connection of a route: it finds an address of its next hop that answers,
 * carries one message after another, and goes home when there is nothing to carry.
 */
#ifndef RELAYD_DELIVERY_COURIER_H
#define RELAYD_DELIVERY_COURIER_H

#include "delivery/delivery_private.h"

struct courier {
	struct smtp_client client;
	struct dispatch *dispatch;
	struct next_hop *hop;
	struct list link; /* in the dispatch's couriers, or closed */
	struct list idle; /* in the dispatch's idle */
	struct address_waiter waiter;
	struct ip addresses[NEXT_HOP_ADDRESSES_MAX];
	size_t address_count;
	size_t address_at;
	struct job_load load; /* of the job that it takes next */
	bool is_opening;
	bool is_clear; /* TLS failed where it may: this connection does without */
	bool is_probe; /* to a domain that failed before */
	enum route_tls tls; /* as the next hop's DNS and the domain's policy have it */
	const char *policy; /* "dane", "mta-sts", "mta-sts-testing" or NULL */
	size_t depth; /* how many jobs may wait for it */
};

/* So many jobs may wait for it to be free again. */
void courier_depth_set(struct courier *courier, size_t depth);

/* Send one off to a next hop. It may have failed when this returns. */
void courier_open(struct dispatch *dispatch, struct next_hop *hop);

/* Give a free courier an active job. False: that needed no connection, it is free still. */
bool courier_take(struct courier *courier, struct job *job);

/* Give a free courier a passage, unless it cannot carry it. */
void courier_pass(struct courier *courier, struct passage *passage);

/* Say goodbye; only to a free one. */
void courier_dismiss(struct courier *courier);

/* Close at once. Its jobs stay active. */
void courier_drop(struct courier *courier);

/* The events of the clients of couriers. */
extern const struct smtp_client_events courier_events;

#endif
