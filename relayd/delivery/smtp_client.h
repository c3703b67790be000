/* SPDX-License-Identifier: ISC */
/*
 * One connection to a next hop: the client's side of SMTP (RFC 5321) with PIPELINING
 * (RFC 2920), SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), DSN (3461), ENHANCEDSTATUSCODES
 * (2034), LIMITS (9422), STARTTLS (3207), AUTH (4954), CHUNKING (3030) and REQUIRETLS (8689).
 * It knows nothing of routes and queues: its owner connects it, gives it one handover after
 * another, each a transaction of the protocol, and hears what became of each.
 *
 * Where the server offers PIPELINING the whole envelope goes in one write, and the envelope
 * of the next transaction right behind the dot of the one before it.
 *
 * The server is as hostile as any client: replies are bounded, a reply that nobody waits for
 * ends the connection, and nothing counts as the answer to a message whose last octet has
 * not left.
 */
#ifndef RELAYD_DELIVERY_SMTP_CLIENT_H
#define RELAYD_DELIVERY_SMTP_CLIENT_H

#include "auth/login_client.h"
#include "delivery/body_source.h"
#include "delivery/delivery.h"
#include "delivery/handover.h"
#include "net/tls.h"
#include "smtp/dot_stuff.h"
#include "smtp/reply.h"

struct smtp_client;

/* How long to wait; RFC 5321 s.4.5.3.2. */
struct smtp_client_timeouts {
	int64_t connect_ms; /* the owner's to use */
	int64_t banner_ms;
	int64_t hello_ms;
	int64_t mail_ms;
	int64_t rcpt_ms;
	int64_t data_ms;    /* for 354 */
	int64_t block_ms;   /* without any octet of the message leaving */
	int64_t dot_ms;	    /* for the reply to the message */
	int64_t quit_ms;
	int64_t idle_ms;    /* how long to keep a connection that has nothing to do */
};

struct smtp_client_events {
	/* The server greeted us: a transaction may be given. */
	void (*ready)(struct smtp_client *client);

	/*
	 * The last octet of a message was written and the next transaction may go out right
	 * behind it: smtp_client_give may be called, now or as long as it has room.
	 */
	void (*has_room)(struct smtp_client *client);

	/* A transaction is over and every recipient has its result; it is the owner's again. */
	void (*finished)(struct smtp_client *client, struct handover *handover);

	/*
	 * The connection is gone; nothing is called any more. was_greeted false: it never
	 * came to a transaction, and smtp_client_trouble says what stood in the way. why says
	 * what happened, empty after an orderly end. The client must live until a later turn
	 * of the loop.
	 */
	void (*ended)(struct smtp_client *client, bool was_greeted, struct span why);
};

/* What all clients of a worker share; borrowed for their lives. */
struct smtp_client_environment {
	struct loop *loop;
	struct span hostname;
	const struct smtp_client_timeouts *timeouts;
	const struct smtp_client_events *events;
	struct buffer *scratch; /* commands are composed here */
};

#define SMTP_CLIENT_SCRATCH_MAX	   (2 * ENVELOPE_OCTETS_MAX) /* any envelope fits */
#define SMTP_CLIENT_RECIPIENTS_MAX 100  /* of a transaction; RFC 5321 s.4.5.3.1.8 */
#define SMTP_CLIENT_MESSAGES_MAX   1000 /* of a connection */
#define SMTP_CLIENT_CHUNK_MIN	   (64U << 10) /* from here on BDAT is worth it */

/* What to be to the server before the first transaction. */
struct smtp_client_plan {
	enum route_tls tls;
	bool is_tls_implicit;	    /* TLS before the greeting, in place of STARTTLS */
	struct tls_request request; /* unless tls is none; its name is borrowed for the call */

	/* the login; mechanisms 0: none */
	struct login_client *sasl;
	unsigned mechanisms;	    /* that may be used, of AUTH_BIT */
	struct login_credential login; /* borrowed until the server greeted us */

	/* the login by token, instead; tokens NULL: none */
	struct token_board *tokens;
	size_t route;		    /* whose token it is */
	enum token_mechanism token_mechanism;
};

/* What stood in the way of a connection. */
enum smtp_client_trouble {
	TROUBLE_NONE,
	TROUBLE_CONNECT, /* no connection, no greeting */
	TROUBLE_TLS,
	TROUBLE_LOGIN,
};

/* What TLS is worth on a connection. */
struct smtp_client_tls {
	const char *version; /* NULL: clear. All three live for ever */
	const char *cipher;
	const char *unverified; /* why the server's name is not vouched for */
	bool is_verified;
	bool is_resumed;
};

enum smtp_client_state {
	CLIENT_CLOSED,
	CLIENT_CONNECTING,
	CLIENT_BANNER,	  /* waits for 220 */
	CLIENT_EHLO,	  /* waits for its reply */
	CLIENT_HELO,
	CLIENT_STARTTLS,  /* waits for its reply */
	CLIENT_HANDSHAKE, /* of TLS, before the banner or after STARTTLS */
	CLIENT_AUTH,	  /* waits for a challenge, or the verdict */
	CLIENT_AUTH_ENDS, /* said "*": waits for the reply to that */
	CLIENT_IDLE,	  /* no transaction */
	CLIENT_ENVELOPE,  /* waits for the replies to MAIL, RCPT, DATA */
	CLIENT_BODY_DUE,  /* 354 came; the message goes once what was received is read */
	CLIENT_BODY,	  /* sends the message */
	CLIENT_DOT,	  /* waits for the reply to the message */
	CLIENT_QUIT,	  /* waits for 221 */
};

/* How far the envelope of a transaction has come: MAIL is command 0, DATA the last. */
struct envelope_progress {
	struct handover *handover; /* NULL: none */
	size_t written;			 /* commands */
	size_t answered;
	bool is_sender_accepted;
	bool is_chunked;   /* BDAT takes the place of DATA, and no reply comes before it */
	bool is_reset_due; /* RSET goes before MAIL; cleared by its reply, which comes first */
};

/* Embedded by its owner, who zeroes it; private but for the functions below. */
struct smtp_client {
	struct stream stream;
	const struct smtp_client_environment *environment;
	enum smtp_client_state state;
	struct loop_timer timer;
	struct ip_endpoint peer;
	unsigned connection; /* which of its connections this is */
	struct smtp_client_plan plan;
	enum smtp_client_trouble trouble; /* what stands in the way at present */
	struct smtp_client_tls tls;
	struct login_dialog *dialog; /* while we log in by password */
	uint64_t token_number; /* of the token that we log in with; 0: none */
	struct reply_parser parser;
	struct ehlo ehlo;
	struct envelope_progress now;  /* whose replies come now */
	struct envelope_progress next; /* already written, behind the dot of now */
	struct body_source body;
	struct dot_stuff stuff;
	size_t after_dot_octets; /* written behind the dot */
	int64_t turn_at_ms;	 /* when the present transaction's turn came */
	int64_t service_ms;	 /* how long the last message took; -1: none yet */
	size_t unsent_before;	 /* when the timer of a block was last set */
	unsigned transactions;	 /* given so far */
	bool needs_reset;	 /* the last one left the server inside a transaction */
	bool is_reply_partial;	 /* the parser holds the beginning of a reply */
	bool is_answered;	 /* what ends the connection is the reply to the message */
	size_t unread_octets;	 /* received behind the reply that is being handled */
};

/* Zeroed clients only. The environment is borrowed for its life. */
void smtp_client_init(struct smtp_client *client,
		      const struct smtp_client_environment *environment);

/*
 * Connect within so many milliseconds, and be to the server what the plan says (copied).
 * False and *fault when that fails at once; ended is then not called.
 */
bool smtp_client_connect(struct smtp_client *client, const struct ip_endpoint *to,
			 const struct smtp_client_plan *plan, int64_t within_ms,
			 struct fault *fault);

/*
 * May a transaction be given now? Between transactions, and while only the reply to a
 * message is still awaited from a server that takes pipelined commands.
 */
bool smtp_client_has_room(const struct smtp_client *client);

/* Is it between transactions, greeted and open? */
static inline bool
smtp_client_is_idle(const struct smtp_client *client)
{
	return client->state == CLIENT_IDLE;
}

/* Recipients that one transaction may have. */
size_t smtp_client_recipients_max(const struct smtp_client *client);

/* How long the last message kept the connection busy; -1: there was none yet. */
static inline int64_t
smtp_client_service_ms(const struct smtp_client *client)
{
	return client->service_ms;
}

/* In ended, when the server never greeted us: what stood in the way. */
static inline enum smtp_client_trouble
smtp_client_trouble(const struct smtp_client *client)
{
	return client->trouble;
}

/* Has it carried as many messages as a connection should? */
bool smtp_client_is_worn(const struct smtp_client *client);

/*
 * Would the server be unable to take this message whatever it answers (SMTPUTF8, 8BITMIME,
 * SIZE, REQUIRETLS without a verified name)? Says why in *reply, static text, with the enhanced code.
 */
bool smtp_client_must_refuse(const struct smtp_client *client,
			     const struct envelope *envelope, struct span *reply);

/* Give a transaction (takes it until finished). Only when there is room. */
void smtp_client_give(struct smtp_client *client, struct handover *handover);

/* Say QUIT; ended comes when it is answered, or soon. Only when idle. */
void smtp_client_quit(struct smtp_client *client);

/*
 * Break off what is under way, because nobody can wait for it any longer: finished and ended
 * are called as when the server breaks the connection. Only within a transaction.
 */
void smtp_client_break(struct smtp_client *client);

/*
 * Close now. Transactions are forgotten, not finished: they are the caller's to end, and
 * ended is not called. Harmless when closed.
 */
void smtp_client_close(struct smtp_client *client);

#endif
