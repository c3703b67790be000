/* SPDX-License-Identifier: ISC */
/*
 * One next hop of a route: its addresses, and whether it is worth connecting to. After a
 * failed connection it is left alone for a while that doubles with each further failure, and
 * then tried with a single connection before more are opened (a circuit breaker). A refused
 * login makes the pauses longer, so that no account is locked by us. A next hop that says we
 * are too fast for it is given no messages for a while.
 */
#ifndef RELAYD_DELIVERY_NEXT_HOP_H
#define RELAYD_DELIVERY_NEXT_HOP_H

#include "delivery/dane.h"
#include "delivery/delivery.h"

#define NEXT_HOP_ADDRESSES_MAX 16
#define NEXT_HOP_TEXT_MAX      (DNS_NAME_MAX + sizeof(":65535"))

/* How long to leave a next hop alone. */
struct next_hop_tuning {
	int64_t pause_first_ms;
	int64_t pause_max_ms;
	int64_t ttl_min_ms;
	int64_t ttl_max_ms;
	int64_t login_pause_first_ms; /* after a refused login */
	int64_t login_pause_max_ms;
};

enum addresses_status {
	ADDRESSES_KNOWN,
	ADDRESSES_ASKED, /* the waiter will be called */
};

/* Waits for addresses; embedded by its owner, who zeroes it. */
struct address_waiter {
	struct list link;
	/* why is empty when there are addresses now. The waiter waits no more. */
	void (*done)(struct address_waiter *waiter, struct span why);
};

/* One of the two questions about a name. */
struct address_question {
	struct next_hop *hop;
	struct dns_query *query;
	enum dns_status status;
	bool is_secure;
	uint32_t ttl_s;
	struct ip found[NEXT_HOP_ADDRESSES_MAX];
	size_t count;
};

/* Embedded by value; the members may be read. */
struct next_hop {
	const struct next_hop_settings *settings;
	const struct next_hop_tuning *tuning;
	struct loop *loop;
	struct dns *dns;
	char text[NEXT_HOP_TEXT_MAX + 3]; /* "mx1.example.com:25", "[2001:db8::1]:25" */

	/* health */
	unsigned failures;    /* in a row; 0: up */
	unsigned connecting;  /* connections on their way to their greeting */
	unsigned connected;   /* connections that were greeted */
	int64_t pause_ms;     /* how long the last one was */
	int64_t paused_until_ms;
	enum hop_trouble trouble; /* of the last failure */
	int64_t throttle_ms;	  /* how long it was left without messages the last time */
	int64_t throttled_until_ms;
	uint64_t carried;	  /* messages given to it; for balancing */

	/* addresses, the preferred first */
	struct ip addresses[NEXT_HOP_ADDRESSES_MAX];
	size_t address_count;
	int64_t addresses_until_ms; /* INT64_MAX: for ever */
	struct address_question questions[2]; /* AAAA, A */
	struct list waiters;

	/* DANE, where it is wanted */
	bool wants_dane;
	struct dane dane;
	struct dns_query *dane_query;

	/* of a destination's hops (destination.h) */
	uint16_t preference;
	bool is_fallback; /* none of the domain's own hosts */
};

/* All borrowed for its life. */
void next_hop_init(struct next_hop *hop, const struct next_hop_settings *settings,
		   const struct next_hop_tuning *tuning, struct loop *loop, struct dns *dns);

/* Look for TLSA records, too, whenever addresses are looked for. Before the first question. */
void next_hop_want_dane(struct next_hop *hop);

/* Cancel what is asked; waiters are not called. */
void next_hop_reset(struct next_hop *hop);

/* May one more connection be opened now? */
bool next_hop_may_connect(const struct next_hop *hop, int64_t now_ms);

/* When the next one may, if it is not connecting already; INT64_MAX: not by time. */
int64_t next_hop_next_ms(const struct next_hop *hop);

/* A connection came as far as its greeting, or did not. */
void next_hop_succeeded(struct next_hop *hop);
void next_hop_failed(struct next_hop *hop, int64_t now_ms, enum hop_trouble trouble);

/* It said that we are too fast for it; it took a message. */
void next_hop_throttle(struct next_hop *hop, int64_t now_ms);
void next_hop_took(struct next_hop *hop);

static inline bool
next_hop_is_throttled(const struct next_hop *hop, int64_t now_ms)
{
	return now_ms < hop->throttled_until_ms;
}

/* Forget the pause: the next connection may be tried at once. */
void next_hop_unpause(struct next_hop *hop);

/* Make sure that addresses are known: now, or when the waiter is called in a later turn. */
enum addresses_status next_hop_resolve(struct next_hop *hop, struct address_waiter *waiter);

/* The waiter waits no more; harmless when it does not. */
void address_waiter_cancel(struct address_waiter *waiter);

/* This address answered: begin with it next time. */
void next_hop_prefer(struct next_hop *hop, const struct ip *address);

#endif
