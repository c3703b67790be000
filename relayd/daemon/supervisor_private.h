/* SPDX-License-Identifier: ISC */
/* What the parts of the supervisor share: supervisor.c, children.c, control.c, status.c. */
#ifndef RELAYD_DAEMON_SUPERVISOR_PRIVATE_H
#define RELAYD_DAEMON_SUPERVISOR_PRIVATE_H

#include "audit/audit.h"
#include "config/settings.h"
#include "daemon/companion.h"
#include "daemon/nat_hint.h"
#include "daemon/channel.h"
#include "daemon/control_request.h"
#include "daemon/shared.h"
#include "daemon/worker.h"
#include "delivery/share.h"
#include "delivery/sts.h"
#include "delivery/upstream.h"
#include "net/notify.h"
#include "net/tls.h"

#include <sys/types.h>

/* Worker processes at once: the largest generation, and one that drains. */
#define SLOTS (2 * WORKERS_MAX)

/* An auth helper's place: the process changes, the channels stay. */
struct auth_seat {
	struct generation *generation;
	unsigned number;
	bool is_slow;	   /* for what may wait; auth/mechanism.h */
	pid_t pid;	   /* 0: none runs now */
	int (*channels)[2]; /* one for each worker of the generation: its end, the helper's */
	int64_t started_ms;
	int64_t delay_ms; /* before the next start */
	unsigned restarts;
	struct loop_timer timer; /* to start it again; when it is to end, to kill it */
};

/* One configuration that some worker still runs under. */
struct generation {
	struct list link;
	struct supervisor *supervisor;
	struct settings *settings;
	struct tls_server *tls; /* NULL: no tls section */
	struct upstream *upstream;   /* what its routes read from files */
	struct token_board *tokens; /* NULL: no route logs in by token */
	struct sts_board *sts; /* NULL: no route wants MTA-STS */
	struct route_share **shares; /* of its routes */
	unsigned number;
	unsigned children;
	struct auth_seat *helpers;
	unsigned helper_count;
	bool is_ending; /* its helpers have been told to */
};

enum child_state {
	CHILD_STARTING,
	CHILD_RUNNING,
	CHILD_DRAINING,
};

struct child {
	struct list link;
	struct supervisor *supervisor;
	struct generation *generation;
	struct worker_figures *figures;
	struct channel channel;
	pid_t pid;
	unsigned slot;	/* in the connection limits */
	unsigned index; /* which of the generation's workers */
	enum child_state state;
	int64_t started_ms;
};

/* A listening socket; kept for ever, because closing one resets what waits in its queue. */
struct bound_socket {
	struct ip_endpoint endpoint;
	unsigned index; /* the worker that serves it */
	int fd;
};

/* What is remembered of one worker index over its processes. */
struct worker_seat {
	struct supervisor *supervisor;
	unsigned index;
	unsigned restarts;
	int64_t delay_ms; /* before the next restart */
	struct loop_timer timer;
};

/* A client of the control socket that waits for a reload to end. */
struct control_client;

struct supervisor {
	struct loop *loop;
	const struct log *log;
	struct audit *audit;
	struct shared *shared;
	struct connection_limits *limits;
	struct auth_failures *auth_failures;
	unsigned char *auth_secret; /* AUTH_SECRET_OCTETS */
	struct quota *quota; /* what is used of the grants' limits */
	struct tls_ticket_keys *ticket_keys; /* for all workers, across reloads */
	struct share_set shares;
	struct list generations; /* the last one is current, or wants to be */
	struct generation *current;
	struct generation *candidate; /* being started by a reload; NULL */
	struct list children;
	bool slot_used[SLOTS];
	struct worker_seat seats[WORKERS_MAX];
	struct bound_socket *sockets;
	size_t socket_count;
	struct companion companions[COMPANION_COUNT];
	int pickup_listener; /* where workers take what is picked up; kept for ever; -1: none */
	struct notify notify;
	struct loop_watch signals;
	struct loop_timer stop_timer;
	struct loop_timer ticket_timer;
	struct loop_timer certificates_timer;
	struct loop_watch control;
	struct list control_clients;
	struct list orders; /* of operators, under way; orders.c */
	uint64_t orders_made;
	unsigned generations_made;
	int64_t started_wall_ms;
	int64_t started_ms;
	int lock_fd;
	int ready_fd;
	bool is_stopping;
	bool wants_reload; /* again, as soon as the one under way is over */
	bool has_failed;
	struct ip gateways[GATEWAYS_MAX]; /* of the default routes when it started */
	size_t gateway_count;
	struct loop_timer nat_timer;
	struct ip nat_told[NAT_HOSTS]; /* addresses that the log has named */
	size_t nat_told_count;
	struct worker_figures *past; /* totals of workers that ended, for the current names */
};

/* ---- children.c ---- */

/* Bind what the settings name for each of their workers; keeps what is bound already. */
bool sockets_bind(struct supervisor *supervisor, const struct settings *settings,
		  struct fault *fault);

/* Fork the worker of one index of a generation. */
bool child_start(struct supervisor *supervisor, struct generation *generation, unsigned index,
		 struct fault *fault);

/* Collect every child that ended. */
void children_reap(struct supervisor *supervisor);

/* Say a word to the children of one generation, or (NULL) to all. */
void children_tell(struct supervisor *supervisor, const struct generation *generation,
		   enum worker_word word);

bool children_are_ready(const struct supervisor *supervisor,
			const struct generation *generation);

/* ---- helpers.c ---- */

/* Before anything is forked: what all helpers and workers share. */
bool helpers_prepare(struct supervisor *supervisor, const struct settings *settings,
		     struct fault *fault);

/* Start the helpers that the generation's settings ask for; none where nobody may log in. */
bool helpers_start(struct supervisor *supervisor, struct generation *generation,
		   struct fault *fault);

/* Tell them to end; who has not after a while is killed. Harmless to repeat. */
void helpers_stop(struct generation *generation);

/* Is none of them left? */
bool helpers_are_gone(const struct generation *generation);
void helpers_free(struct generation *generation);

/* Collect every helper that ended. */
void helpers_reap(struct supervisor *supervisor);

void helpers_kill(struct supervisor *supervisor);

/* A worker of the generation waits for a helper in vain. */
void helper_is_hung(struct supervisor *supervisor, const struct generation *generation,
		    const struct worker_hung *hung);

/* In a new worker: its own channels, in *helpers, taken from those to be forgotten. */
size_t helpers_inherit(const struct generation *generation, unsigned index,
		       struct auth_pool_helper **helpers);

/* In a new process that is no helper: close the channels that it has inherited, wipe secrets. */
void helpers_forget(const struct supervisor *supervisor);

/*
 * In a new process: whatever belongs to the supervisor alone is closed, and so are the sockets
 * but those that it keeps; signals are as in any program, but those of the terminal.
 */
void inherited_close(const struct supervisor *supervisor, const int *kept, size_t kept_count);
void signals_restore(void);

/* ---- pickup_companion.c ---- */

/* Open the socket where workers take what is picked up, if it is wanted and not open yet. */
bool pickup_bind(struct supervisor *supervisor, const struct settings *settings,
		 struct fault *fault);

/* ---- fetcher_companion.c ---- */

/* A place for the tokens of the generation's routes, where it has such routes. */
bool tokens_prepare(struct generation *generation, struct fault *fault);

/* ---- sts_companion.c ---- */

/* A place for MTA-STS policies, where routes want them. */
bool sts_prepare(struct generation *generation, struct fault *fault);

/* ---- supervisor.c ---- */

/* Takes the settings, also when it fails: NULL and *fault. */
struct generation *generation_new(struct supervisor *supervisor, struct settings *settings,
				  struct fault *fault);

/* Its last worker or helper may be gone: free it then, unless it is to be used. */
void generation_release(struct supervisor *supervisor, struct generation *generation);

/* While stopping: whoever is no more needed ends; when nobody is left so do we. */
void supervisor_stop_go_on(struct supervisor *supervisor);

/* A child says that it serves; a child ended (the struct is about to go). */
void supervisor_child_ready(struct supervisor *supervisor, struct child *child);
void supervisor_child_ended(struct supervisor *supervisor, struct child *child);

/*
 * Read the configuration again and begin to change over. False: it is not taken, and errors
 * holds why, a line each.
 */
bool supervisor_reload(struct supervisor *supervisor, struct buffer *errors);

/* ---- control.c ---- */

bool control_open(struct supervisor *supervisor, struct fault *fault);
void control_close(struct supervisor *supervisor);

/* The reload under way ended; those who asked for it are told. */
void control_reload_ended(struct supervisor *supervisor, bool succeeded, struct span errors);

/* What became of an order that the client gave; the client is not told twice. */
void control_order_ended(struct control_client *client, struct buffer *answer);

/* ---- orders.c ---- */

/*
 * Pass an operator's wish on to the workers. NULL, and control_order_ended will be called for
 * the client, maybe before this returns; or what to tell the client: nothing was begun.
 */
const char *order_begin(struct supervisor *supervisor, const struct control_request *request,
			struct span line, uid_t uid, struct control_client *client);

void orders_child_answered(struct supervisor *supervisor, const struct child *child,
			   struct span cargo);
void orders_child_ended(struct supervisor *supervisor, const struct child *child);

/* The client is gone; its order is carried out all the same. */
void orders_client_left(struct supervisor *supervisor, const struct control_client *client);
void orders_drop(struct supervisor *supervisor);

/* ---- status.c ---- */

/* One line of JSON, without the newline. */
void status_write(const struct supervisor *supervisor, struct buffer *out);

/* The member "limits": what is used of them now. status_limits.c */
struct json;
void status_limits_write(const struct supervisor *supervisor, struct json *json);
/* Clients that a NAT seems to hide, over all workers; how many. */
size_t nat_hints_collect(const struct supervisor *supervisor, struct nat_hint out[NAT_HOSTS]);
/* ---- status_rates.c ---- */

struct json;

/* Add what another one counted, grants by their names. */
void rates_merge(const struct settings *to_settings, struct rate_figures *to,
		 const struct settings *from_settings, struct rate_figures *from);

/* The members "grants" and "sender_domains". */
void rates_write(const struct settings *settings, struct rate_figures *rates, struct json *j);

/* Add what a worker that ends had counted to the totals of the past. */
void past_add(struct supervisor *supervisor, const struct child *child);

/* The totals of the past belong to the names of the current configuration. */
bool past_renew(struct supervisor *supervisor, const struct settings *before,
		const struct settings *after, struct fault *fault);

#endif
