/* SPDX-License-Identifier: ISC */
/* What a test of delivery stands on: a loop, a real spool and audit trail, routes. */
#ifndef RELAYD_TESTS_DELIVERY_BED_H
#define RELAYD_TESTS_DELIVERY_BED_H

#include "delivery/delivery_private.h"
#include "fake_dns.h"
#include "smtp_server.h"

#include "suite.h"

#define BED_ROUTES_MAX 4
#define BED_HOPS_MAX   4

/* Embedded by value; zero it, set what is to be different, then bed_start. */
struct bed {
	char directory[64];
	struct loop *loop;
	struct loop_hook hook;
	struct log log;
	struct spool_settings spool_settings;
	struct spool_events spool_events;
	struct spool *spool;
	struct audit *audit;
	struct dns *dns;
	struct fake_answer *answers;
	size_t answer_count;
	struct delivery *delivery;
	struct delivery_environment environment;
	struct delivery_tuning tuning;
	struct queue_settings queue;
	int64_t retry_ms[2];
	struct route_settings routes[BED_ROUTES_MAX];
	struct next_hop_settings hops[BED_ROUTES_MAX][BED_HOPS_MAX];
	struct span patterns[BED_ROUTES_MAX];
	size_t route_count;
	struct route_figures figures[BED_ROUTES_MAX];
	struct route_share shares[BED_ROUTES_MAX];
	struct route_share *share_list[BED_ROUTES_MAX];
	struct upstream *upstream; /* of the routes, from the start on */
	struct login_client *login;
	unsigned submitted;
	unsigned stored;
	unsigned found;
	bool refuses_accepted; /* messages go to the spool only, not to delivery */
};

/* A folder, a loop, tunings that suit tests. */
void bed_init(struct bed *bed);

/* Add a route named "r0", "r1", ... for these recipients; returns its index. */
size_t bed_route(struct bed *bed, const char *pattern);
void bed_hop(struct bed *bed, size_t route, const char *host, uint16_t port);
void bed_server(struct bed *bed, size_t route, const struct smtp_server *server);

/* Open spool and trail, make the delivery. */
void bed_start(struct bed *bed);

/* End delivery and spool as a worker does, and begin again on what is in the spool. */
void bed_stop(struct bed *bed);

/* Remove everything. */
void bed_reset(struct bed *bed);

/* Turn the loop until the condition holds; fails the test after some seconds. */
#define bed_until(bed, condition)                                                            \
	do {                                                                                 \
		int64_t bed_deadline = clock_monotonic_ms() + 20000;                         \
		while (!(condition)) {                                                       \
			ck_assert_msg(clock_monotonic_ms() < bed_deadline, "never: %s",      \
				      #condition);                                           \
			loop_turn((bed)->loop, 20);                                          \
		}                                                                            \
	} while (0)

/* Turn the loop for so long: to see that something does not happen. */
void bed_turn_for(struct bed *bed, int64_t ms);

struct bed_message {
	const char *sender;
	const char *const *recipients;
	size_t recipient_count;
	struct span body;
	enum envelope_body body_kind;
	bool is_smtputf8;
	enum envelope_ret ret;
	const char *envid;
	const char *orcpt;
	uint32_t notify;
	bool needs_tls;
};

/* Store a message; delivery has it once the spool says that it is durable. */
void bed_submit(struct bed *bed, const struct bed_message *message);

/* The usual message to these recipients. */
void bed_send(struct bed *bed, const char *to);
void bed_send_several(struct bed *bed, const char *const *to, size_t count);

/* Messages in the spool. */
uint64_t bed_spooled(const struct bed *bed);

/* How many lines of the trail hold all of these texts (NULL: not asked)? */
unsigned bed_recorded(const struct bed *bed, const char *a, const char *b, const char *c);

/* The state on disk of the oldest message; *state borrows from text. */
bool bed_state(const struct bed *bed, struct delivery_state *state, struct buffer *text);

uint64_t bed_figure(const _Atomic uint64_t *figure);

#endif
