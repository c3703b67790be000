/* SPDX-License-Identifier: ISC */
/*
 * An SMTP server that does what a table of rules says: the misbehaviour that a next hop can
 * show, in the loop of the test.
 */
#ifndef RELAYD_TESTS_DELIVERY_SMTP_SERVER_H
#define RELAYD_TESTS_DELIVERY_SMTP_SERVER_H

#include "net/listener.h"
#include "net/tls.h"

enum rule_action {
	RULE_SAY,
	RULE_CLOSE,  /* say it and close in order */
	RULE_RESET,  /* reset the connection at once */
	RULE_DRIP,   /* say it an octet a turn */
	RULE_SILENT, /* say nothing */
};

/* The first rule that matches and is not used up decides; else the server behaves well. */
struct smtp_rule {
	const char *when;  /* how the command begins; "CONNECT" the connection, "." the dot,
			    * "BODY" the first octets of a message */
	const char *reply; /* with CRLF */
	enum rule_action action;
	unsigned times; /* how often; 0: always */
};

struct received_message {
	struct list link;
	struct buffer sender; /* what MAIL said, whole */
	struct buffer recipients; /* what RCPT said, a line each, of those accepted */
	struct buffer body;	  /* dots removed */
	unsigned connection;	  /* its number, from 1 */
};

struct smtp_server {
	struct loop *loop;
	struct listener listener;
	int fd;
	struct ip_endpoint at;
	const char *ehlo; /* the reply to EHLO */
	const char *ehlo_tls; /* under TLS; NULL: the same */
	const struct tls_server *tls; /* NULL: STARTTLS is an unknown command */
	bool is_tls_implicit;
	unsigned handshakes; /* that succeeded */
	unsigned resumed;    /* of them */
	unsigned chunks;     /* BDAT commands */
	struct smtp_rule *rules;
	size_t rule_count;
	struct list sessions;
	struct list messages; /* received, oldest first */
	size_t message_count;
	size_t copied_max; /* octets of a body that are kept; the rest is counted */
	unsigned connections;
	unsigned open;
	unsigned open_max;
	unsigned resets; /* RSET commands */
	struct buffer transcript; /* commands, a line each */
	unsigned groups_max;      /* commands that came in one read, the most */
	bool reads_slowly;	  /* an eighth of a second between reads of a message */
};

/* Listens on 127.0.0.1, on a free port, or on port when that is not 0. */
struct smtp_server *smtp_server_new(struct loop *loop, uint16_t port);
void smtp_server_free(struct smtp_server **server);

/* Also count of them; borrowed and counted down. */
void smtp_server_rules(struct smtp_server *server, struct smtp_rule *rules, size_t count);

/* Stop listening and cut what is open: connections are refused from now on. */
void smtp_server_down(struct smtp_server *server);
void smtp_server_up(struct smtp_server *server);

/* The newest message, or NULL. */
struct received_message *smtp_server_last(struct smtp_server *server);

#endif
