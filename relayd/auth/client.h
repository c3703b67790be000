/* SPDX-License-Identifier: ISC */
/*
 * The worker's side of the auth helpers: exchanges given to a helper step by step, answers
 * brought back by the loop. A helper that dies, is replaced, hangs or has too much to do turns
 * into AUTH_TROUBLE for the exchanges that it had, and for no others; nothing here waits.
 */
#ifndef RELAYD_AUTH_CLIENT_H
#define RELAYD_AUTH_CLIENT_H

#include "auth/wire.h"
#include "base/fault.h"
#include "base/log.h"
#include "net/loop.h"

#define AUTH_DEADLINE_MS 10000 /* for one step */
#define AUTH_QUEUE_MAX	 64    /* steps that wait for one helper; beyond that: trouble */

struct auth_pool;
struct auth_helper_end; /* private */

struct auth_pool_helper {
	int fd;	      /* the worker's end of the channel; the pool closes it */
	bool is_slow; /* of the pool for what may wait (auth_mechanism_is_slow) */
};

struct auth_pool_settings {
	const struct auth_pool_helper *helpers; /* not kept */
	size_t helper_count;
	enum auth_method method;
	unsigned mechanisms; /* auth_settings_mechanisms */
	int64_t deadline_ms; /* AUTH_DEADLINE_MS */
	/*
	 * A helper has not said a word for a whole deadline: have the supervisor kill and
	 * replace process pid, if that is still the one. Called once for each such process.
	 */
	void (*hung)(void *context, size_t helper, pid_t pid);
	void *context;
};

/* NULL and *fault on failure; the descriptors are closed then, too. */
struct auth_pool *auth_pool_new(struct loop *loop, const struct log *log,
				const struct auth_pool_settings *settings,
				struct fault *fault);

/* Tickets that are still in use must have been cancelled. */
void auth_pool_free(struct auth_pool **pool);

/*
 * What the helpers can serve, of what the settings ask: AUTH_BITs. What depends on plug-ins
 * (GSSAPI) is there once a helper has said so.
 */
unsigned auth_pool_mechanisms(const struct auth_pool *pool);

enum auth_ticket_state {
	AUTH_TICKET_IDLE,
	AUTH_TICKET_ASKED,    /* the helper's turn */
	AUTH_TICKET_ANSWERED, /* AUTH_CONTINUE came: the client's turn */
	AUTH_TICKET_LOST,     /* the same, but its helper is gone meanwhile */
	AUTH_TICKET_FAILING,  /* trouble was found at once, and will be told in a later turn */
};

/* One exchange; embedded by the session, who zeroes it. Private but for answered. */
struct auth_ticket {
	/*
	 * The answer to a start or step, in a later turn of the loop; never AUTH_HELLO. Its
	 * spans last for the call. Unless it is AUTH_CONTINUE the ticket is idle again. May
	 * start, step or cancel, and may free the ticket.
	 */
	void (*answered)(struct auth_ticket *ticket, const struct auth_answer *answer);
	struct auth_pool *pool;
	struct auth_helper_end *helper;
	struct list link; /* in the helper's list, while it knows of us */
	struct loop_timer deadline;
	struct loop_call failing;
	uint64_t id;
	uint64_t asked; /* grows with each request of the pool */
	int64_t asked_ms;
	enum auth_ticket_state state;
};

/* Begin an exchange with an idle ticket. facts and data are copied, and may be wiped. */
void auth_start(struct auth_pool *pool, struct auth_ticket *ticket,
		enum auth_mechanism mechanism, const struct auth_facts *facts, bool has_data,
		struct span data);

/* The client's answer to the AUTH_CONTINUE that came last. */
void auth_step(struct auth_ticket *ticket, struct span data);

/* Give it up, in whatever state; no answer comes any more. Harmless when idle or all zero. */
void auth_cancel(struct auth_ticket *ticket);

#endif
