/* SPDX-License-Identifier: ISC */
/* What the parts of the supervisor share: supervisor.c, children.c, control.c, status.c. */
#ifndef RELAYD_DAEMON_SUPERVISOR_PRIVATE_H
#define RELAYD_DAEMON_SUPERVISOR_PRIVATE_H

#include "audit/audit.h"
#include "config/settings.h"
#include "daemon/companion.h"
#include "daemon/nat_hint.h"
#include "daemon/shared.h"
#include "daemon/worker.h"
#include "delivery/share.h"
#include "delivery/upstream.h"
#include "net/notify.h"
#include "net/tls.h"

#include <sys/types.h>

/* Worker processes at once: the largest generation, and one that drains. */
#define SLOTS (2 * WORKERS_MAX)

/* One configuration that some worker still runs under. */
struct generation {
	struct list link;
	struct settings *settings;
	struct tls_server *tls; /* NULL: no tls section */
	struct upstream *upstream;   /* what its routes read from files */
	struct token_board *tokens; /* NULL: no route logs in by token */
	struct route_share **shares; /* of its routes */
	unsigned number;
	unsigned children;
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
	struct loop_watch channel;
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

/* ---- supervisor.c ---- */

/* Takes the settings, also when it fails: NULL and *fault. */
struct generation *generation_new(struct supervisor *supervisor, struct settings *settings,
				  struct fault *fault);

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

/* ---- status.c ---- */

/* One line of JSON, without the newline. */
void status_write(const struct supervisor *supervisor, struct buffer *out);

/* The member "limits": what is used of them now. status_limits.c */
struct json;
void status_limits_write(const struct supervisor *supervisor, struct json *json);
/* Clients that a NAT seems to hide, over all workers; how many. */
size_t nat_hints_collect(const struct supervisor *supervisor, struct nat_hint out[NAT_HOSTS]);

/* Add what a worker that ends had counted to the totals of the past. */
void past_add(struct supervisor *supervisor, const struct child *child);

/* The totals of the past belong to the names of the current configuration. */
bool past_renew(struct supervisor *supervisor, const struct settings *before,
		const struct settings *after, struct fault *fault);

#endif
