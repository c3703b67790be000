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
#include "delivery/token_login.h"
#include "net/dns.h"
#include "net/loop.h"
#include "policy/policy.h"
#include "smtp/envelope.h"
#include "smtp/passage.h"
#include "spool/spool.h"

#include <stdatomic.h>

struct delivery;
struct login_client;
struct route_share;
struct sts_board;
struct upstream;
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

#define NEXT_HOPS_MAX 16 /* of a route */

/* auth { } of a route: how we log in at its next hops. */
struct route_auth {
	unsigned mechanisms; /* that may be used, of AUTH_BIT; 0: no login */
	struct span user;
	const char *password_file;
	/* XOAUTH2 and OAUTHBEARER log in with a token; mechanisms is 0 then */
	struct token_settings token;
	enum token_mechanism token_mechanism;
};

struct route_settings {
	struct span name;
	struct text_list recipients; /* patterns; empty: only by a grant that names it */
	const struct next_hop_settings *next_hops;
	size_t next_hop_count;
	struct span maildir; /* or empty */
	bool has_mx;	     /* the first next hop is the recipient's MX; others: if that fails */
	uint16_t mx_port;    /* of the mail exchangers: 25 */
	bool wants_sts;	     /* MTA-STS policies of the recipients' domains hold */
	bool is_balanced; /* over the next hops; else they are taken in order */
	enum route_tls tls;
	bool is_tls_implicit;	 /* from the first octet on; always so on port 465 */
	const char *tls_ca;	 /* file of the CAs to believe; NULL: the system's */
	struct span tls_name;	 /* the name that certificates must have; empty: the next hop's */
	const char *certificate; /* ours, and its key (NULL: in the same file); or NULL */
	const char *key;
	struct route_auth auth;
	bool is_cut_through;	      /* hand messages over while their clients wait */
	int64_t cut_through_wait_ms;  /* for so long */
	uint32_t connections_max;     /* at once, of all workers together */
	uint32_t messages_per_minute; /* of all workers together; 0: no limit */
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

/* What is the matter with a next hop. */
enum hop_trouble {
	HOP_IS_WELL,
	HOP_HAS_NO_CONNECTION, /* no address, no connection, no greeting */
	HOP_HAS_NO_TLS,
	HOP_REFUSES_LOGIN,
	HOP_THROTTLES, /* it said that we are too fast for it */
};

/* One next hop as one worker sees it. */
struct hop_figures {
	_Atomic uint32_t trouble;	  /* enum hop_trouble */
	_Atomic int64_t paused_until_wall_ms; /* 0: it is not paused */
	_Atomic uint32_t connections;	  /* that were greeted */
};

/* Figures of one route, kept by one worker, read by others while it runs. */
struct route_figures {
	_Atomic uint64_t waiting;	   /* messages: due now or later */
	_Atomic uint64_t in_flight;	   /* messages */
	_Atomic uint64_t held;		   /* messages, by an operator */
	_Atomic uint64_t dead;		   /* messages with a dead recipient */
	_Atomic uint64_t delivered;	   /* recipients, since the start */
	_Atomic uint64_t deferred;
	_Atomic uint64_t failed;
	_Atomic uint64_t connections_open;
	_Atomic uint64_t tls_failures;	   /* connections that failed for it, since the start */
	_Atomic uint64_t login_failures;
	struct hop_figures hops[NEXT_HOPS_MAX];
	_Atomic uint64_t domains; /* of a route to mail exchangers: in memory, */
	_Atomic uint64_t domains_down; /* and those that cannot be reached */
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
	struct route_share *const *shares; /* route_count of them */
	unsigned worker;	       /* which of the shares' workers we are */
	const struct upstream *upstream; /* NULL: neither TLS nor logins */
	struct login_client *login;	 /* NULL: no logins by password */
	struct token_board *tokens;	 /* NULL: none by token */
	struct sts_board *sts;		 /* NULL: no MTA-STS */
	uint16_t sts_port;		 /* of the hosts that have policies: 443 */
	const struct ip_endpoint *own_endpoints; /* where we listen: no MX for us to use */
	size_t own_endpoint_count;
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

/*
 * The four of a session's messages that are passed on while their clients wait (struct
 * session_next). Passages must be at their end before delivery_free.
 */
struct passage *delivery_pass_on(void *context, const struct envelope *envelope,
				 const struct spool_draft *draft, passage_done *done,
				 void *done_context);
void delivery_passage_state(void *context, const struct passage *passage,
			    struct buffer *state);
void delivery_passage_accepted(void *context, struct passage **passage,
			       struct spool_message *message,
			       const struct envelope *envelope);
void delivery_passage_drop(void *context, struct passage **passage);

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
	unsigned char flags; /* as they stand in the state area (state.h) */
	bool is_held;	     /* by an operator */
	uint32_t tries;
	int64_t next_wall_ms;		  /* when a retry is due; 0: at once */
	const unsigned char *recipients;  /* enum recipient_state each; borrowed */
	size_t recipient_count;
	struct span last_reply;		  /* of the last failed try; borrowed, maybe cut */
};

enum parse_status delivery_state_read(struct span state, struct delivery_state *out);

#endif
