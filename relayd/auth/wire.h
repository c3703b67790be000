/* SPDX-License-Identifier: ISC */
/*
 * What workers and auth helpers say to each other: one SOCK_SEQPACKET datagram for each step of
 * an exchange, one for its answer. Both ends run the same program on the same machine, so the
 * numbers have the machine's byte order; but neither trusts the other's lengths.
 */
#ifndef RELAYD_AUTH_WIRE_H
#define RELAYD_AUTH_WIRE_H

#include "auth/login.h"
#include "auth/mechanism.h"
#include "base/buffer.h"

#include <sys/types.h>

#define AUTH_DATA_MAX	   9216 /* octets that 12,288 of base64 carry; RFC 4954 s.4.5 */
#define AUTH_BINDING_LEN   32	/* octets of tls-exporter, RFC 9266 s.2 */
#define AUTH_MESSAGE_MAX   10240 /* octets of a datagram */

enum auth_op {
	AUTH_OP_START,
	AUTH_OP_STEP,
	AUTH_OP_CANCEL,
	AUTH_OP_RESET, /* I am new here: forget every exchange of this channel, and say hello */
	AUTH_OP_SYNC,  /* say hello with this id, once all that was asked before is answered */
	AUTH_OP_COUNT,
};

/* What is true of the session; with AUTH_OP_START. */
struct auth_facts {
	bool is_tls;
	bool allows_plain_text; /* without TLS: loopback, or auth-without-tls */
	/*
	 * The channel binding, of the type tls-exporter (TLS 1.3). Given exactly where the
	 * connector offers a -PLUS mechanism to this session: a client that could have bound
	 * and did not is then refused (RFC 5802 s.6).
	 */
	bool has_binding;
	unsigned char binding[AUTH_BINDING_LEN];
	struct span external; /* the verified certificate's login, or empty; borrowed */
};

struct auth_request {
	uint64_t id;
	enum auth_op op;
	enum auth_mechanism mechanism; /* with start */
	struct auth_facts facts;       /* with start */
	bool has_data; /* with start: there is an initial response, perhaps an empty one */
	struct span data;
};

enum auth_code {
	AUTH_OK,       /* logged in as user */
	AUTH_CONTINUE, /* data goes to the client, its answer comes back in a step */
	AUTH_FAILED,   /* wrong, whatever was wrong: 535 */
	AUTH_TROUBLE,  /* could not look: 454 */
	AUTH_HELLO,    /* of no exchange: a helper is new, was asked to, or lives in spite of delay */
	AUTH_CODE_COUNT,
};

struct auth_answer {
	uint64_t id; /* with hello: of the sync, or 0 */
	enum auth_code code;
	struct span user;    /* who, in canonical form; when failed who it claimed to be */
	struct span data;    /* to the client, with AUTH_CONTINUE */
	unsigned mechanisms; /* with hello: those that this helper can serve */
	pid_t pid;	     /* with hello: who speaks */
};

/* Append a datagram; its parts are within the limits above (asserted). */
void auth_request_write(const struct auth_request *request, struct buffer *out);
void auth_answer_write(const struct auth_answer *answer, struct buffer *out);

/* Read one. The spans borrow from the datagram. PARSE_BAD for anything else. */
enum parse_status auth_request_read(struct span datagram, struct auth_request *request);
enum parse_status auth_answer_read(struct span datagram, struct auth_answer *answer);

#endif
