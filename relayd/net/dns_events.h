/* SPDX-License-Identifier: ISC */
/* libunbound's pluggable event base (unbound-event.h), on our loop. */
#ifndef RELAYD_NET_DNS_EVENTS_H
#define RELAYD_NET_DNS_EVENTS_H

#include "net/loop.h"

#include <unbound-event.h>

/* Embedded by value; outlives the context that is made with it. */
struct dns_events {
	struct ub_event_base base; /* first: libunbound hands its address back */
	struct loop *loop;
};

void dns_events_init(struct dns_events *events, struct loop *loop);

#endif
