/* SPDX-License-Identifier: ISC */
/*
 * The work of one route: ready jobs go, in order of arrival, to connections (couriers) that
 * are free, or into the route's Maildir. Connections are opened as long as more jobs are
 * ready than connections are free, and kept for a while; the next hops are taken in order,
 * the first that may be connected to.
 *
 * When no next hop can be connected to, the route is down: its jobs stay ready, at no cost,
 * until a single connection that is tried again and again at growing intervals succeeds.
 * They go at once then, in order of arrival.
 *
 * How many connections there may be, and when the next message may go, is shared with the
 * route's dispatches in all other workers (share.h).
 */
#ifndef RELAYD_DELIVERY_DISPATCH_H
#define RELAYD_DELIVERY_DISPATCH_H

#include "delivery/maildir.h"
#include "delivery/next_hop.h"
#include "delivery/scheduler.h"
#include "delivery/share.h"

#define DISPATCH_WHY_MAX 640

struct destination;
struct destinations;

/* Embedded by value; the members may be read. */
struct dispatch {
	struct delivery *delivery;
	const struct route_settings *settings;
	struct span name; /* for the log */
	struct route_figures *figures;
	struct schedule schedule;

	/* A route to mail exchangers has a dispatch for each domain, destination.h. */
	struct destinations *destinations; /* of such a route; else NULL */
	struct dispatch *parent; /* of such a domain: the route's; else NULL */
	struct destination *destination; /* whose dispatch it is; else NULL */
	uint32_t connections_max; /* of those that the share allows */
	struct {
		uint64_t waiting, in_flight, connections;
	} told; /* in the figures, where several dispatches count */

	struct route_share *share;
	struct route_share *pace; /* whose window is the next hops'; nearly always share */
	struct next_hop *hops;
	size_t hop_count;
	struct list couriers; /* all that are open or being opened */
	struct list idle;     /* those of them that are free */
	struct list closed;   /* freed in a later turn */
	size_t courier_count;
	size_t opening_count;
	size_t depth;	      /* how many jobs may wait for those in use */
	int64_t patience_until_ms; /* and until when; 0: none waits */
	bool is_starved;      /* other workers have all the connections there may be */
	bool needs_place;     /* one connection too many stands in the way of another */
	struct list detours;  /* detour.h */
	size_t detour_count;

	struct list passages; /* that wait for a connection; passage.h */
	size_t passage_count;
	int64_t passages_after_ms; /* none before */

	struct maildir *maildir; /* NULL: next hops */
	size_t maildir_count;	 /* handovers under way */

	struct list errands;	/* jobs whose envelopes are read for other ends */
	size_t expiring_count;	/* of them, those that are too old */
	struct loop_timer timer;
	struct loop_timer sweep; /* of the closed */
	bool is_working;
	bool works_again;
	bool is_down;
	size_t failed_hop;	     /* the last one that failed */
	char why[DISPATCH_WHY_MAX]; /* it failed */
};

/* False and *fault when the route cannot work. The delivery is borrowed for its life. */
bool dispatch_init(struct dispatch *dispatch, struct delivery *delivery,
		   const struct route_settings *settings, struct route_figures *figures,
		   struct route_share *share, struct fault *fault);

/* The same for a domain of a route to mail exchangers, whose next hops are not known yet. */
void dispatch_init_below(struct dispatch *dispatch, struct dispatch *parent, struct span name,
			 struct route_share *pace);

/* Break off everything. The jobs stay in the schedule. Harmless when never begun. */
void dispatch_halt(struct dispatch *dispatch);

/* After a halt: free what is left. The schedule must be empty. */
void dispatch_reset(struct dispatch *dispatch);

/* Do what can be done now; called whenever something changed. */
void dispatch_work(struct dispatch *dispatch);

/* The job that goes next, now active; NULL when none may go now. */
struct job *dispatch_job_take(struct dispatch *dispatch);

/* May one more message be sent now? Then it is. */
bool dispatch_message_allow(struct dispatch *dispatch);

struct courier;

/* May it take one message more, or should it make room? */
bool dispatch_courier_may_go_on(struct dispatch *dispatch, const struct courier *courier);

/* Open one more connection, unless there are as many as there may be. */
bool dispatch_courier_open(struct dispatch *dispatch, struct next_hop *hop);

/*
 * Where one more connection may go now; NULL: nowhere. In order, a next hop that serves us on
 * other connections but takes no more is not passed over: it is busy, not gone. One that says
 * we are too fast is.
 */
struct next_hop *dispatch_hop_choose(const struct dispatch *dispatch, int64_t now_ms);

/*
 * The free connection that the next message had better take; NULL: none. Says goodbye to
 * those that are not wanted any more.
 */
struct courier *dispatch_courier_choose(struct dispatch *dispatch, int64_t now_ms);

/* A next hop greeted us. */
void dispatch_came_up(struct dispatch *dispatch);

/* Start nothing; let go of connections that are free. */
void dispatch_drain(struct dispatch *dispatch);

/* Try again at once what waits for its time or for a next hop. */
void dispatch_retry_now(struct dispatch *dispatch);

/* Its next hops may be tried at once, whatever they did before. */
void dispatch_hops_unpause(struct dispatch *dispatch);

/* When the route that is down is tried next, monotonic; INT64_MAX: it is being tried. */
int64_t dispatch_next_try_ms(const struct dispatch *dispatch);

/* Look at it soon. */
void dispatch_poke(struct dispatch *dispatch);

/*
 * Nothing of this domain can be reached: what is ready waits for its next try. A domain's jobs
 * do not stay ready while it is down, as a route's do: there are too many domains.
 */
void dispatch_defer(struct dispatch *dispatch);

/* The next hop that failed last, or the domain. */
struct span dispatch_failed_name(const struct dispatch *dispatch);

/* Jobs under way. */
size_t dispatch_active_count(const struct dispatch *dispatch);

#define DISPATCH_ERRANDS_MAX 16 /* envelopes to be read at once for one purpose */

/*
 * Do something with an active job that needs its envelope, and no connection. count goes up
 * now; carry makes it go down, now or later.
 */
void dispatch_errand(struct dispatch *dispatch, struct job *job,
		     void (*carry)(struct dispatch *dispatch, struct job *job), size_t *count);

/* Keep the route's figures true. */
void dispatch_figures_update(struct dispatch *dispatch);

/* The route's figures have one writer. */
static inline void
figure_add(_Atomic uint64_t *figure, uint64_t n)
{
	uint64_t now = atomic_load_explicit(figure, memory_order_relaxed);

	atomic_store_explicit(figure, now + n, memory_order_relaxed);
}

static inline void
figure_subtract(_Atomic uint64_t *figure, uint64_t n)
{
	uint64_t now = atomic_load_explicit(figure, memory_order_relaxed);

	atomic_store_explicit(figure, now - n, memory_order_relaxed);
}

#endif
