/* SPDX-License-Identifier: ISC */
/*
 * A session server as a worker has it: the real loop, streams, policy and audit trail, in a
 * directory of its own; the spool is what the test program links. Clients are socket pairs
 * with the addresses that the test gives them.
 */
#ifndef RELAYD_TESTS_SESSION_FIXTURE_H
#define RELAYD_TESTS_SESSION_FIXTURE_H

#include "session/connection_limits.h"
#include "session/session.h"

#include <jansson.h>

/* The connectors, in the order of the policy; each has a port of its own on 10.0.0.2. */
enum {
	PORT_APPS = 25,	       /* enforces; 10.20.0.0/16 */
	PORT_MONITOR = 2525,   /* monitor mode; 10.20.0.0/16 */
	PORT_NORMALISE = 26,   /* makes bare newlines CRLF; 10.20.0.0/16 */
	PORT_SUBMISSION = 587, /* its grant needs a login; 10.20.0.0/16 */
	CONNECTOR_COUNT = 4,
};

/* Clients of the grants; see fixture.c. */
#define CLIENT_BILLING	 "10.20.1.7" /* from @billing.example.com to anybody */
#define CLIENT_PARTNERS	 "10.20.2.7" /* from anybody to @partner.example */
#define CLIENT_TLS	 "10.20.3.7" /* only under TLS */
#define CLIENT_HEADER	 "10.20.4.7" /* header From must be @hf.example.com too */
#define CLIENT_NOBODY	 "10.20.9.9" /* on the connector, without a grant */
#define CLIENT_STRANGER	 "192.0.2.1" /* on no connector */

struct fixture {
	char directory[64];
	struct loop *loop;
	struct audit *audit;
	struct log log;
	struct policy *policy;
	struct spool *spool;
	struct session_settings settings[CONNECTOR_COUNT];
	struct session_figures figures[CONNECTOR_COUNT];
	struct connection_limits *limits;
	_Atomic uint64_t serial;
	struct session_server *server;
	size_t accepted; /* messages that were handed to session_next */
	struct spool_message *last; /* of them */
	const struct session_next *passages; /* its part about passages; NULL: none */
	struct arena arena;
};

/* Everything but the server, so that a test may change settings first. */
void fixture_init(struct fixture *f);
void fixture_start(struct fixture *f);
void fixture_end(struct fixture *f);

/* The spool of this test program: in memory (spool_in_memory.c), or the real one. */
struct spool *fixture_spool_open(struct fixture *f);
void fixture_spool_close(struct fixture *f);

struct client {
	struct fixture *fixture;
	int fd;
	bool has_ended; /* the server closed */
	struct buffer received;
};

struct client client_connect(struct fixture *f, const char *address, uint16_t port);

/* The same with octets that are there before the server looks. */
struct client client_connect_speaking(struct fixture *f, const char *address, uint16_t port,
				      struct span early);
void client_close(struct client *client);

/* Send, and run turns until the server has done with it and nothing more comes. */
void client_send(struct client *client, struct span bytes);
void client_send_text(struct client *client, const char *text);

/* Send without running the loop. */
void client_push(struct client *client, struct span bytes);

/* Run turns until nothing happens any more. */
void fixture_settle(struct fixture *f);
void client_settle(struct client *client);

/* Run turns until that many whole lines are there, or the end, or two seconds passed. */
void client_wait_lines(struct client *client, size_t lines);

/* What has come so far, forgotten by this; arena memory of the fixture. */
const char *client_take(struct client *client);

/* The code of the last reply line that has come; what has come is forgotten. 0: none. */
int client_code(struct client *client, const char *command);

/* Every record of the trail, oldest first; json_decref it. */
json_t *fixture_records(struct fixture *f);

/* The nth record of that event (negative: from the end), borrowed from records; or NULL. */
json_t *record_find(json_t *records, const char *event, int nth);
size_t record_count(json_t *records, const char *event);
const char *record_text(json_t *record, const char *key);

/* Does text fit the pattern, in which '*' stands for anything? */
bool text_fits(const char *text, const char *pattern);

/* What is behind our Received field, which must be there. */
struct span message_body(struct span stored);

#endif
