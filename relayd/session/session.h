/* SPDX-License-Identifier: ISC */
/*
 * The receiving side: ESMTP sessions (RFC 5321 and the extensions named in docs/smtp.md) and
 * their transactions. A worker has one session_server; it takes connected sockets and makes
 * messages of what its policy permits. Where an accepted message goes is its owner's matter
 * (struct session_next), so this module knows nothing of delivery.
 */
#ifndef RELAYD_SESSION_SESSION_H
#define RELAYD_SESSION_SESSION_H

#include "audit/audit.h"
#include "auth/mechanism.h"
#include "net/loop.h"
#include "net/tls.h"
#include "policy/policy.h"
#include "smtp/envelope.h"
#include "smtp/passage.h"
#include "spool/spool.h"

#include <stdatomic.h>

struct auth_ban_settings;
struct auth_failures;
struct auth_pool;
struct session_server;
struct connection_limits; /* session/connection_limits.h */
struct quota;		  /* policy/quota.h */
struct shared_quota;	  /* session/shared_quota.h */
struct nat_sketch;	  /* session/nat_sketch.h */

enum bare_newline {
	BARE_NEWLINE_REFUSE,	/* 550 5.6.11 after the end of data */
	BARE_NEWLINE_NORMALISE, /* made CRLF; never ends the data */
};

/* What a connector demands and allows; one for each of the policy's, same index. */
struct session_settings {
	struct span name;
	struct span hostname; /* banner, EHLO, Received */
	enum tls_demand tls;
	size_t tls_section;	/* its own, of the server's sections; with a demand */
	bool wants_certificate; /* some grant, or AUTH, asks for the client's */
	enum bare_newline bare_newline;
	uint64_t message_octets_max;
	uint64_t header_octets_max;
	uint32_t recipients_max;	      /* per message */
	uint32_t connections_max;	      /* of this connector, over all workers; 0: no limit */
	uint32_t connections_per_source_max; /* 0: no limit */
	uint32_t protocol_errors_max;	      /* 0: no limit */
	uint32_t hops_max;		      /* Received fields */
	uint32_t message_rate_max; /* messages a minute that one address begins; 0: no limit */
	int64_t tarpit_ms;
	int64_t inactivity_ms;
	int64_t connection_ms;
	bool hides_client; /* Received does not name the client */
	bool auth_without_tls;	     /* passwords may come in clear */
	uint32_t logon_failures_max; /* of a session; 0: no limit */
	size_t auth_count;	     /* 0: no AUTH */
	enum auth_mechanism auth[AUTH_MECHANISM_COUNT]; /* offered, in this order */
};

/* Figures of one connector, kept by one worker, read by others while it runs. */
struct session_figures {
	_Atomic uint64_t sessions_open;
	_Atomic uint64_t sessions;
	_Atomic uint64_t connections_refused;
	_Atomic uint64_t relayed;  /* attempts, by verdict */
	_Atomic uint64_t refused;
	_Atomic uint64_t deferred;
	_Atomic uint64_t would_refuse;
	_Atomic uint64_t messages; /* accepted */
	_Atomic uint64_t octets;   /* of accepted messages */
	_Atomic uint64_t logins;
	_Atomic uint64_t logins_failed;
	_Atomic uint64_t tls_handshakes; /* that succeeded, resumed ones included */
	_Atomic uint64_t tls_resumed;
	_Atomic uint64_t tls_failures;
};

/* What becomes of an accepted message; all are called in the loop's thread. */
struct session_next {
	/*
	 * The name of the route for a recipient; never empty. Borrowed for ever. grant is the
	 * one that admitted it or, in monitor mode, the nearest; NULL when there is none.
	 */
	struct span (*route_choose)(void *context, const struct grant_source *grant,
				    const struct address *sender,
				    const struct address *recipient, uint64_t size_octets);
	/* The first content of the spool's state area. */
	void (*state_initial)(void *context, const struct envelope *envelope,
			      struct buffer *state);
	/* It is durable and answered: take it. The envelope is borrowed for the call. */
	void (*accepted)(void *context, struct spool_message *message,
			 const struct envelope *envelope);
	/*
	 * Pass the message on while its client waits. NULL: this one is to be stored at once,
	 * as all are where there is no such function. The draft, which must not grow, is
	 * borrowed until done is called. done comes from a later turn, exactly once unless
	 * passage_drop comes first. When it says PASSAGE_OPEN, passage_accepted or
	 * passage_drop ends the passage.
	 */
	struct passage *(*pass_on)(void *context, const struct envelope *envelope,
				   const struct spool_draft *draft, passage_done *done,
				   void *done_context);
	/* It is to be stored: mark in what state_initial made whom the next hop has taken. */
	void (*passage_state)(void *context, const struct passage *passage,
			      struct buffer *state);
	/* In place of accepted. Takes the passage. */
	void (*passage_accepted)(void *context, struct passage **passage,
				 struct spool_message *message,
				 const struct envelope *envelope);
	/* It will not be stored: what the next hop says from now on is only recorded. */
	void (*passage_drop)(void *context, struct passage **passage);
	void *context;
};

/* All borrowed for the server's life. */
struct session_environment {
	struct loop *loop;
	struct spool *spool;
	struct audit *audit;
	const struct log *log;
	const struct policy *policy;
	const struct reply_wording *wording;
	const struct session_settings *connectors; /* policy_connector_count of them */
	const struct tls_server *tls;		   /* NULL: no connector has TLS */
	struct session_figures *figures;	   /* as many */
	struct connection_limits *limits;	   /* shared by all workers; NULL: none */
	unsigned slot;				   /* this worker's, in limits and quota */
	struct quota *quota;	     /* shared by all workers; NULL: limits cannot be counted */
	struct shared_quota *shared; /* counts for several gateways; NULL: none */
	bool is_quota_closed;	     /* while that is away, limits defer */
	struct nat_sketch *nat;			   /* this worker's; NULL: none */
	_Atomic uint64_t *session_serial;	   /* shared by all workers; base/id.h */
	struct auth_pool *auth;			   /* NULL: nobody can log in */
	struct auth_failures *auth_failures;	   /* shared by all workers; NULL: not counted */
	const struct auth_ban_settings *auth_ban;  /* with auth_failures */
	struct session_next next;
};

struct session_server *session_server_new(const struct session_environment *environment);

/*
 * Ends every session at once, without a word. Messages that are being committed are removed
 * again if the loop still turns, since nobody was told of them: to be kind, drain and wait
 * until session_server_count is 0. Before spool_close.
 */
void session_server_free(struct session_server **server);

/*
 * Serve a connected non-blocking socket (takes it). From a host that some connector there
 * names in proxy-protocol a PROXY header must come first, and the client is whom it tells.
 * Then the connector is chosen; none, or too many connections: 421, recorded, closed.
 */
void session_server_take(struct session_server *server, int fd,
			 const struct ip_endpoint *peer, const struct ip_endpoint *local);

/*
 * The worker stops soon. Sessions outside a transaction are told 421 4.3.2 and closed when
 * at_once is true, or else go on to their natural end (a reload).
 */
void session_server_drain(struct session_server *server, bool at_once);

/* Open sessions, those to come, and closed ones whose message is being committed. */
size_t session_server_count(const struct session_server *server);

#endif
