/* SPDX-License-Identifier: ISC */
/*
 * What the files of this folder share: the server, its sessions and their transactions.
 *
 * Who may end what: nothing here frees a session while one of its functions runs. A session
 * is told to end (session_end), says its last words, and is freed when its stream tells that
 * they left, or that the client did. A transaction whose message is with the commit thread
 * outlives its session if it must.
 */
#ifndef RELAYD_SESSION_SESSION_PRIVATE_H
#define RELAYD_SESSION_SESSION_PRIVATE_H

#include "base/arena.h"
#include "base/id.h"
#include "net/stream.h"
#include "session/connection_limits.h"
#include "session/session.h"
#include "smtp/command_line.h"
#include "smtp/data_stream.h"
#include "smtp/header_block.h"
#include "smtp/reply.h"
#include "smtp/xclient.h"

#define SESSION_INPUT_MAX   COMMAND_LINE_MAX
#define SESSION_OUTPUT_MAX  65536 /* octets of replies that a client may leave untaken */
#define SESSION_OUTPUT_FULL 16384 /* from here on no more commands until it takes some */
#define SESSION_ENDING_MS   10000 /* how long a client may take to read the last reply */
#define SESSION_SHAKING_MS  60000 /* how long a TLS handshake may take, if time allows that */
#define USELESS_MAX	    100	  /* commands that lead nowhere, between two messages */
#define PROGRESS_OCTETS	    1024  /* of a message, that count as a sign of life */
#define DETAIL_MAX	    4096

/* Where a session stands: the columns of the command table. */
enum session_state {
	STATE_CONNECTED, /* no EHLO or HELO yet */
	STATE_READY,
	STATE_MAIL,   /* MAIL was accepted, no recipient yet */
	STATE_RCPT,   /* at least one recipient was accepted */
	STATE_CHUNKS, /* BDAT has begun; the last chunk is still to come */
	STATE_COUNT,
	STATE_SAME = STATE_COUNT, /* "then" of commands that change nothing */
};

/* What the next octets are. */
enum session_input {
	INPUT_COMMAND,
	INPUT_SKIP_LINE, /* the rest of a line that was too long */
	INPUT_DATA,
	INPUT_CHUNK,
	INPUT_SKIP_CHUNK, /* a chunk that is refused, whose refusal follows it */
	INPUT_AUTH,	  /* a line of an AUTH exchange */
};

/* Why nothing is read at the moment; several may hold. */
enum session_wait {
	WAIT_TARPIT = 1, /* session->held leaves when the timer fires */
	WAIT_SPOOL = 2,	 /* the spool has enough to write */
	WAIT_COMMIT = 4, /* the message is on its way to the disk, or a next hop */
	WAIT_OUTPUT = 8, /* the client does not take its replies */
	WAIT_STARTTLS = 16,  /* our 220 leaves, then the handshake begins */
	WAIT_HANDSHAKE = 32, /* it is under way; the stream reads, we do not */
	WAIT_AUTH = 64,	     /* an auth helper thinks */
	WAIT_QUOTA = 128,    /* the shared store is asked whether a limit holds one more */
};

#define QUOTA_DENIALS_MAX 16 /* grants that may deny one attempt before no more are tried */

enum quota_answer {
	QUOTA_GRANTED,
	QUOTA_DENIED,
	QUOTA_PENDING, /* transaction_quota_answered will be called */
};

/* A grant that could not take an attempt. */
struct quota_denial {
	size_t grant;
	size_t limit; /* of the grant's, the first that was used up */
	enum reason reason;
	uint64_t wanted;
	int64_t frees_ms; /* 0: not known */
};

/* What a transaction has of its grants' limits; session_quota.c. */
struct transaction_quota {
	struct quota_hold *holds;
	struct quota_denial denials[QUOTA_DENIALS_MAX]; /* in the attempt that is decided */
	unsigned denial_count;
	unsigned session_holds_before;
	struct quota_ask *pending;
	enum quota_answer answer; /* of what was pending */
};

/* Who a session has logged in as. */
struct session_login {
	const char *mechanism;
	size_t len;
	char user[]; /* canonical */
};

struct session_auth; /* an AUTH exchange; command_auth.c */

struct recipient {
	struct address address;
	struct span orcpt;
	uint32_t notify;
	uint32_t number; /* of the attempt within the transaction, from 1 */
	struct verdict verdict;
	size_t counted; /* the grant whose limits it was counted under, or NO_GRANT */
	struct span detail; /* in monitor mode: what it would have been refused for */
};

/* MAIL to its end. All it refers to is in its arena. */
struct transaction {
	struct session_server *server; /* NULL: gone, before the commit was done */
	struct session *session;
	struct arena arena;
	char id[ID_SIZE];
	struct address sender;
	struct span envid;
	enum envelope_ret ret;
	enum envelope_body body;
	bool is_smtputf8;
	bool needs_tls;
	uint64_t declared_octets; /* SIZE; 0: not given */

	struct recipient *recipients; /* the accepted ones */
	uint32_t recipient_count;
	uint32_t recipient_room;
	uint32_t attempts; /* recipients that were decided, accepted or not */

	struct transaction_quota quota;
	struct rcpt_argument asked; /* the recipient whose limits are asked for; copied */
	uint32_t asked_number;	    /* 0: there is none */
	struct verdict asked_verdict;
	uint32_t judged;	    /* recipients that the end of the data was decided for */

	/* the content, once DATA or BDAT was accepted */
	struct spool_draft *draft;
	union {
		struct data_stream data;
		struct bdat_stream chunks;
	} content;
	struct header_block header;
	enum header_from_result authors_result;
	const struct address *authors; /* From, and Sender and Resent-From */
	size_t author_count;
	struct span header_from; /* for the record: the address, or the field as it is */
	struct span message_id;
	struct span given_message_id; /* by us, because it had none */
	bool holds_cr;		      /* the last octet of the header so far, not stored yet */
	bool header_ends_line;	      /* the last octet stored was LF */
	bool has_content;
	bool is_chunked;
	bool is_too_big;	/* more than the connector takes; the rest is dropped */
	bool wants_header;	/* header_block_add has not had enough */
	bool is_committing;	/* the message is on its way to the disk, or a next hop */
	struct passage *passage; /* it was given to a next hop first; NULL: no */
	struct envelope envelope; /* once it is */
};

/* What go-betweens said of a client; what they did not say is empty. */
struct introduction {
	struct ip_endpoint bound; /* where the connection came in; local is where the client's did */
	bool has_proxy;
	bool has_xclient;
	struct ip_endpoint proxy;   /* that sent a PROXY header with an address in it */
	struct ip_endpoint xclient; /* the host that said XCLIENT */
	struct xclient_text name;
	struct xclient_text helo; /* goes before what EHLO says */
};

struct session {
	struct stream stream;
	struct loop_timer timer;
	struct list link;     /* in the server's sessions */
	struct list recorded; /* in the server's list of those that recorded in this turn */
	struct session *next_spare;
	struct session_server *server;
	const struct session_settings *settings;
	struct session_figures *figures; /* NULL: no connector */
	struct transaction *transaction;
	size_t connector;
	struct ip_endpoint peer;
	struct ip_endpoint local;
	struct introduction *introduction; /* NULL: the client speaks for itself */
	char id[ID_SESSION_LEN + 1];
	uint32_t transactions; /* begun so far */
	uint32_t errors;
	uint32_t useless; /* commands since the last message */
	int64_t opened_ms;
	int64_t alive_ms; /* when the client last did what it is here for */
	uint64_t progress_octets; /* of the message, since then */
	uint64_t chunk_left;
	struct session_hold *quota_holds; /* grants whose sessions it is counted with */
	unsigned quota_hold_count;
	const struct tls_facts *tls; /* of the handshake, in tls_arena; NULL: in clear */
	struct arena tls_arena;
	char *held; /* a negative reply that waits in the tarpit */
	size_t held_len;
	struct session_auth *auth;   /* the exchange under way, or NULL */
	struct session_login *login; /* or NULL: nobody */
	uint32_t logon_failures;
	enum reason farewell; /* ends the session behind the reply in the tarpit, or NONE */
	size_t behind; /* octets received behind the command that is being run */
	enum session_state state;
	enum session_input input;
	unsigned waits;		      /* of enum session_wait */
	enum reply_id chunk_refusal;  /* said behind INPUT_SKIP_CHUNK */
	enum reply_id line_refusal;   /* said behind INPUT_SKIP_LINE */
	bool chunk_is_last;
	bool skip_has_cr; /* INPUT_SKIP_LINE: the last octet was CR */
	bool is_ending;	  /* its last words are written */
	bool is_gone;	  /* its connection is given back; a commit is still under way */
	bool is_counted;  /* in the connection limits */
	bool is_esmtp;
	unsigned char helo_len;
	char helo[DOMAIN_MAX];
};

/* What the sessions of a connector say again and again. */
struct connector_texts {
	struct span hello[2];  /* the reply to EHLO: in clear, and under TLS */
	struct span own_token; /* what our own Received fields hold */
	struct span rate_owner; /* whose message-rate-limit is counted */
};

/* TLS handshakes that failed lately. */
struct tls_failures {
	int64_t since_ms; /* 0: none yet */
	unsigned told;
	unsigned left_out;
};

struct session_server {
	struct session_environment environment;
	struct loop_hook hook;
	struct list sessions;
	struct session *spares; /* closed sessions, kept for the next clients */
	struct list recorded;
	struct list arrivals; /* connections of proxies, whose header is to come */
	size_t arrival_count;
	size_t session_count;
	size_t spare_count;
	struct connector_texts *texts; /* of each connector */
	struct arena arena;
	struct buffer reply;  /* the one being written */
	struct buffer detail; /* of the record being written */
	struct buffer scratch;
	struct buffer state; /* of the message being committed */
	struct tls_failures tls_failures;
	bool drains_at_once;
};

/* --- session.c: the connection --- */

extern const struct stream_events session_stream_events;

void session_timer_expired(struct loop_timer *timer);

/* Begin: greet (where TLS comes first, behind it), and wait for the first command. */
void session_greet(struct session *session);

/* Send one whole reply; a negative one waits in the tarpit if there is one. */
void session_send(struct session *session, struct span reply);

/*
 * The same, but not before delay_ms have passed. If farewell is set, the session ends behind
 * it with the words of that reason.
 */
void session_send_late(struct session *session, struct span reply, int64_t delay_ms);

/* Send an entry of the table. */
void session_say(struct session *session, enum reply_id reply);

/* The same for what the client did wrong: counted, and too many end the session. */
void session_protest(struct session *session, enum reply_id reply);

/*
 * A reply of policy, " [id]" at its end unless id is empty; lives in the server's reply buffer
 * until the next reply is made.
 */
struct span session_reply_make(struct session *session, const struct reason_reply *entry,
			       struct span id);

/* What the reason answers in our wording; NULL: nothing. */
const struct reason_reply *session_reason(const struct session *session, enum reason reason);

/* Say the last words, if not empty, and close; what was accepted so far ends for the reason. */
void session_end(struct session *session, enum reason reason, struct span last_words);

/* The same with the words of the reason itself, recorded as a `connect` event. */
void session_turn_away(struct session *session, enum reason reason, const char *detail);

void session_wait(struct session *session, enum session_wait wait);
void session_go_on(struct session *session, enum session_wait wait);

/* Worker stops: end the session, unless it is in a transaction. */
void session_drain(struct session *session);

/* One more protocol error; false when that was one too many, and the session ends. */
bool session_count_error(struct session *session);

/* One more command that leads nowhere; beyond USELESS_MAX each is a protocol error. */
bool session_may_dawdle(struct session *session);

/* The client is alive and at work. */
void session_note_life(struct session *session);

/* Arm the timer for what is due next. It may fire early, never late. */
void session_set_timer(struct session *session);

/* --- session_tls.c --- */

/* What the handshake proved, as long as the session lives; NULL in clear. */
const struct tls_facts *session_tls(const struct session *session);

/*
 * The name by which the client's certificate is spoken of: the first that our CAs vouch for, or
 * else its fingerprint; empty without a certificate. AUTH EXTERNAL chooses among all of them,
 * session_tls(session)->identities.
 */
struct span session_certificate(const struct session *session);

/* The tls-exporter binding of this connection, for SCRAM-*-PLUS; false as tls_channel_binding. */
bool session_channel_binding(const struct session *session,
			     unsigned char out[TLS_BINDING_OCTETS]);

/* Is STARTTLS offered to it now? */
bool session_may_start_tls(const struct session *session);

/* Is it a session whose first octets must be TLS, and are not yet? Then nothing can be said. */
bool session_awaits_tls(const struct session *session);

/* Has XCLIENT in clear made it one of a connector that begins with TLS? It is too late then. */
bool session_missed_tls(const struct session *session);

/* After XCLIENT: the certificate was the host's, and says nothing of its client. */
void session_forget_certificate(struct session *session);

/*
 * Begin the handshake; what was written has left. first: octets of the client's that were read
 * already, behind a PROXY header; never any that came behind STARTTLS.
 */
void session_begin_tls(struct session *session, struct span first);

/* Count and record that a handshake came to nothing; session_fail_tls ends the session, too. */
void session_note_tls_failure(struct session *session, const char *why);
void session_fail_tls(struct session *session, const char *why);

/* --- session_record.c: the audit trail --- */

struct audit_session session_audit(const struct session *session);

/* One attempt's end. id: the attempt's; to: empty for none. */
void session_record(struct session *session, const struct transaction *transaction,
		    const char *id, struct span to, const struct verdict *verdict,
		    struct span reply, struct span detail);

void session_record_connect(struct session *session, enum reason reason, struct span reply,
			    struct span detail);

/*
 * The trail could not be written, so the client was told this reply instead of those that its
 * last records have. Written behind them when it can be.
 */
void session_record_taken_back(struct session *session, struct span reply);

/*
 * A login that succeeded (REASON_NONE) or not. user: as proved, or as claimed; may be empty.
 * What failed also goes to the log, in words for fail2ban.
 */
void session_record_auth(struct session *session, struct span user, struct span mechanism,
			 enum reason reason);

/* --- command_auth.c --- */

/* "AUTH PLAIN ...", appended; false when this session is offered nothing. */
bool session_auth_offer(const struct session *session, struct buffer *line);

/* The client's answer in an exchange, without CRLF. */
void session_auth_line(struct session *session, struct span line);

/* Give up the exchange, if there is one, without a reply. */
void session_auth_end(struct session *session);

/* Is the client's address banned for its failed logins? */
bool session_is_banned(const struct session *session);

/* Who is logged in; empty: nobody. */
struct span session_user(const struct session *session);

/* user is copied; mechanism lives for ever. */
void session_login_set(struct session *session, struct span user, const char *mechanism);
void session_login_forget(struct session *session);

/* --- session_server.c --- */

/* Its stream is closed: give back what it holds, the struct itself included. */
void session_release(struct session *session);

/*
 * Serve a client that a PROXY header told of, or (introduction NULL) one that speaks for
 * itself. Takes the socket and copies the rest.
 */
void session_open(struct session_server *server, int fd, const struct ip_endpoint *peer,
		  const struct ip_endpoint *local, const struct introduction *introduction);

/* Its place among the connections of its connector is free: before the peer changes. */
void session_uncount(struct session *session);

/* The client is another one from now on: choose the connector anew, and greet it. */
void session_begin_again(struct session *session);

/* --- proxy.c: connections whose PROXY header is to come --- */

/* Wait for the header; then session_open. Takes the socket. */
void arrival_begin(struct session_server *server, int fd, const struct ip_endpoint *peer,
		   const struct ip_endpoint *local);

/* Close them all without a word. */
void arrivals_end(struct session_server *server);

/* --- command_xclient.c --- */

/* The reply to EHLO with XCLIENT among what is offered, where it is. */
struct span xclient_offer(struct session *session, struct span hello);

/* --- command_table.c --- */

/* Run one command line, given without CRLF. */
void session_run_command(struct session *session, struct span line);

/* Each returns true when the command succeeded and the session is in its next state. */
bool command_ehlo(struct session *session, struct span argument);
bool command_helo(struct session *session, struct span argument);
bool command_mail(struct session *session, struct span argument);
bool command_rcpt(struct session *session, struct span argument);
bool command_data(struct session *session, struct span argument);
bool command_bdat(struct session *session, struct span argument);
bool command_rset(struct session *session, struct span argument);
bool command_noop(struct session *session, struct span argument);
bool command_quit(struct session *session, struct span argument);
bool command_vrfy(struct session *session, struct span argument);
bool command_expn(struct session *session, struct span argument);
bool command_help(struct session *session, struct span argument);
bool command_starttls(struct session *session, struct span argument);
bool command_auth(struct session *session, struct span argument);
bool command_xclient(struct session *session, struct span argument);

/* --- transaction.c --- */

/* MAIL was well formed: begin. Everything is copied. */
struct transaction *transaction_begin(struct session *session,
				      const struct mail_argument *mail);

/* What is known of the session and its transaction from MAIL on. */
struct facts transaction_facts(struct transaction *transaction);

/*
 * Decide an attempt by what is known now. When it is refused or deferred: record it, answer,
 * true. Without a recipient (NULL) only what need not wait for one is answered. Else *verdict
 * admits it so far.
 */
bool attempt_is_refused(struct transaction *transaction, uint32_t number,
			const struct address *recipient, enum stage upto,
			struct verdict *verdict);

/*
 * Decide a recipient with what the limits hold, and keep it if it is accepted; recorded and
 * answered here, maybe later. True: accepted now.
 */
bool transaction_offer(struct transaction *transaction, const struct rcpt_argument *rcpt,
		       uint32_t number);

/* The shared store has answered, and transaction->quota.answer says what. */
void transaction_quota_answered(struct transaction *transaction);

/* Record and answer an attempt that ends for a reason of our own. recipient may be empty. */
void attempt_refuse_for(struct transaction *transaction, uint32_t number,
			struct span recipient, enum reason reason, struct span detail);

/* Its content is complete: judge it, and make it durable if it passes. */
void transaction_complete(struct transaction *transaction);

/*
 * The session's transaction, if there is one, comes to nothing: each accepted recipient is
 * recorded with the reason and what was replied (may be empty). One that is being committed
 * is left to its fate.
 */
void session_abandon(struct session *session, enum reason reason, struct span reply);

/* One accepted recipient's end, of the i-th. */
void transaction_record(const struct transaction *transaction, uint32_t i,
			const struct verdict *verdict, struct span reply, struct span detail);

/* Record, answer and count what was accepted. */
void transaction_succeed(struct transaction *transaction, struct span reply);

/* Make it durable. The envelope is made. */
void transaction_store(struct transaction *transaction);

/* What the session waited for is over: it ends if there is nobody any more to go on with. */
void session_come_back(struct session *session);

/* The server goes away. What is being committed then will not be taken. */
void transaction_detach(struct transaction *transaction);

/* Free it and all it holds; the session has none then. */
void transaction_free(struct transaction *transaction);

/* --- passage.c: messages that are passed on while their client waits --- */

/* The envelope is made. False: it is to be stored. */
bool transaction_pass_on(struct transaction *transaction);

/* --- session_quota.c: the limits of grants --- */

/* struct facts' has_quota: everybody who was not denied since transaction_quota_begin. */
void transaction_quota_begin(struct transaction *transaction);
bool transaction_has_quota(void *transaction, size_t grant, enum reason *which);

/*
 * Take what is still needed to accept a message of so many octets under the grant, for one more
 * recipient or for one that is counted already. QUOTA_DENIED: nothing was taken.
 */
enum quota_answer transaction_quota_take(struct transaction *transaction, size_t grant,
					 uint64_t octets, bool is_new_recipient);

/* Every recipient is decided, and the message has so many octets: give back what is too much. */
void transaction_quota_settle(struct transaction *transaction, uint64_t octets);

/* The message was accepted: what was taken stays so. Or it was not: give it back. */
void transaction_quota_keep(struct transaction *transaction);
void transaction_quota_give_back(struct transaction *transaction);

/* Which limit denied, and when it frees; false: none did. Appended. */
bool transaction_quota_describe(struct transaction *transaction,
				const struct verdict *verdict, struct buffer *out);

/* May this client begin one more message now (message-rate-limit)? Counts it if so. */
bool session_may_begin(struct session *session, struct buffer *detail);

/* The client leaves: it is no session of anybody's any more. */
void session_quota_end(struct session *session);

/* --- content.c: the octets of a message --- */

/* Open the draft and put our Received field in front. */
void content_begin(struct transaction *transaction, bool is_chunked);

/* Give up what was received; the transaction goes on being one without content. */
void content_reset(struct transaction *transaction);

/* A chunk of that many octets comes; it is over at once when it has none. */
void content_begin_chunk(struct session *session, const struct bdat_argument *bdat);

/* Take what belongs to the message off the front. */
void content_take_data(struct session *session, struct span *in);
void content_take_chunk(struct session *session, struct span *in);

/* Octets of the message so far, without our Received field; 0: none. */
uint64_t content_octets(const struct transaction *transaction);

/* The message is over: if that was still the header, add what it lacks. */
void content_complete_header(struct transaction *transaction);

/* What is wrong with the complete content, explained in detail; REASON_NONE: nothing. */
enum reason content_judge(const struct transaction *transaction, struct buffer *detail);

#endif
