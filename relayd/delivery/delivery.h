/* SPDX-License-Identifier: ISC */
/*
 * The sending side: routes, the schedule of what waits, next hops and their connections, the
 * SMTP client, Maildirs. A worker has one; it takes durable messages, brings each recipient
 * to an end (delivered, or refused for good, or expired), reports that to whoever has to know
 * (bounce.h), and removes the message from the spool when nobody is left. Recipients that
 * failed and of which nobody can be told are dead: they keep it until an operator acts.
 */
#ifndef RELAYD_DELIVERY_DELIVERY_H
#define RELAYD_DELIVERY_DELIVERY_H

#include "audit/audit.h"
#include "net/dns.h"
#include "net/loop.h"
#include "policy/policy.h"
#include "smtp/envelope.h"
#include "spool/spool.h"

#include <stdatomic.h>

struct delivery;
struct rate_figures; /* delivery/rates.h */

enum route_tls {
	ROUTE_TLS_NONE,
	ROUTE_TLS_OPPORTUNISTIC,
	ROUTE_TLS_REQUIRED,
	ROUTE_TLS_VERIFY,
	ROUTE_TLS_DANE,
};

struct next_hop_settings {
	struct span host; /* name, or address literal without brackets; empty with is_mx */
	uint16_t port;
	bool is_mx; /* the recipient's own MX */
};

struct route_settings {
	struct span name;
	struct text_list recipients; /* patterns; empty: only by a grant that names it */
	const struct next_hop_settings *next_hops;
	size_t next_hop_count;
	struct span maildir; /* or empty */
	enum route_tls tls;
	uint32_t connections_max;     /* at once, of one worker */
	uint32_t messages_per_minute; /* 0: no limit */
	const char *file;
	unsigned line;
};

/* What becomes of a message that failed and that nobody can be told of. */
enum undeliverable {
	UNDELIVERABLE_KEEP,	  /* in the spool, as dead, until an operator acts */
	UNDELIVERABLE_POSTMASTER, /* it is returned to bounce_from, and goes */
};

struct queue_settings {
	const int64_t *retry_ms; /* delays after the 1st, 2nd, ... failure; the last repeats */
	size_t retry_count;
	int64_t expires_ms;
	int64_t warn_after_ms; /* tell the sender that it waits; 0: never */
	struct span bounce_from; /* header From of reports */
	enum undeliverable undeliverable;
};

/* Figures of one route, kept by one worker, read by others while it runs. */
struct route_figures {
	_Atomic uint64_t waiting;	   /* messages: due now or later */
	_Atomic uint64_t in_flight;	   /* messages */
	_Atomic uint64_t dead;		   /* messages with a dead recipient */
	_Atomic uint64_t delivered;	   /* recipients, since the start */
	_Atomic uint64_t deferred;
	_Atomic uint64_t failed;
	_Atomic uint64_t connections_open;
	_Atomic int64_t oldest_wall_ms;	   /* arrival of the oldest waiting; 0: none */
};

/* All borrowed for its life. */
struct delivery_environment {
	struct loop *loop;
	struct spool *spool;
	struct audit *audit;
	const struct log *log;
	struct dns *dns;
	struct span hostname; /* EHLO */
	const struct route_settings *routes;
	size_t route_count;
	const struct queue_settings *queue;
	struct route_figures *figures; /* route_count of them */
	/*
	 * Who may be told that mail failed, and whose sender is rewritten. NULL (tests): nobody
	 * is told, what fails is kept.
	 */
	const struct policy *policy;
	_Atomic uint64_t *serial;	/* of ids, shared with the sessions; base/id.h */
	struct rate_figures *rates;	/* rates.h; NULL: not counted */
};

/* NULL and *fault when a route cannot work (an unusable Maildir, a bad pattern). */
struct delivery *delivery_new(const struct delivery_environment *environment,
			      struct fault *fault);

/* Break off what is in flight; every message stays in the spool. */
void delivery_free(struct delivery **delivery);

/* The three that a session needs (struct session_next). context is the delivery. */
struct span delivery_route_choose(void *context, const struct grant_source *grant,
				  const struct address *sender,
				  const struct address *recipient, uint64_t size_octets);
void delivery_state_initial(void *context, const struct envelope *envelope,
			    struct buffer *state);
void delivery_accepted(void *context, struct spool_message *message,
		       const struct envelope *envelope);

/* struct spool_events.found; context is the delivery. */
void delivery_found(void *context, struct spool_message *message, struct span envelope,
		    struct span state);

/* Start nothing new; what is in flight ends. Then delivery_is_idle becomes true. */
void delivery_drain(struct delivery *delivery);
bool delivery_is_idle(const struct delivery *delivery);

/* Everything that waits for a retry is due now; route empty: all routes. */
void delivery_retry_now(struct delivery *delivery, struct span route);

/* ---- The state area of a queued message, for delivery and for tools ---- */

enum recipient_state {
	RECIPIENT_WAITING,
	RECIPIENT_DELIVERED,
	RECIPIENT_DEAD,	      /* failed, and nobody could be told: kept for an operator */
	RECIPIENT_OWED = 4,   /* delivered; the report that was asked for is not made yet */
	RECIPIENT_FAILED = 5, /* failed, and whoever is to know was told */
};

/* Flags of a message in its state area. */
#define STATE_HELD   1U /* an operator holds it */
#define STATE_WARNED 2U /* its sender knows that it waits */

struct delivery_state {
	unsigned flags; /* STATE_HELD ... */
	uint32_t tries;
	int64_t next_wall_ms;		  /* when a retry is due; 0: at once */
	const unsigned char *recipients;  /* enum recipient_state each; borrowed */
	size_t recipient_count;
	struct span last_reply;		  /* of the last failed try; borrowed, maybe cut */
};

enum parse_status delivery_state_read(struct span state, struct delivery_state *out);

#endif
