/* SPDX-License-Identifier: ISC */
/*
 * Destinations: the domains that a route to mail exchangers (next-hops = { "mx" }) has mail
 * for. Each has a dispatch of its own below the route's, with its own next hops (the domain's
 * MX), health, window and connections, so that a domain that is dead holds up no other.
 *
 * The route's dispatch keeps the jobs that wait for their time, are dead, or came in while no
 * more domains could be in memory. A job that may go is given to its domain's dispatch, which
 * has it while it is ready or active. A domain without jobs is kept for a while, for what is
 * known of it; when there are too many domains, those go first.
 */
#ifndef RELAYD_DELIVERY_DESTINATION_H
#define RELAYD_DELIVERY_DESTINATION_H

#include "delivery/dispatch.h"
#include "delivery/sts_policy.h"

#define DESTINATIONS_MAX 1000 /* of a route, in one worker */

struct destinations;

/* ---- On the route's dispatch; nothing happens on any other ---- */

struct destinations *destinations_new(struct dispatch *route);

/* Break off everything; the jobs are the route's again, and ready. NULL is harmless. */
void destinations_free(struct destinations **destinations);

/* Give what is ready to its domains. */
void destinations_work(struct dispatch *route);

void destinations_each(struct dispatch *route, void (*run)(struct dispatch *dispatch));
size_t destinations_active_count(const struct dispatch *route);

/* Figures of domains, and of the oldest message. */
void destinations_figures_update(struct dispatch *dispatch);

/* ---- On a domain's dispatch; nothing happens on any other ---- */

/*
 * Are its next hops known, and still so? If not, and there is mail, look for them; mail to a
 * domain that takes none is failed here.
 */
bool destination_prepare(struct dispatch *dispatch, int64_t now_ms);

/* Its next hops have to be looked for again, once its connections are closed. */
bool destination_is_stale(const struct dispatch *dispatch, int64_t now_ms);

/* When to look for its next hops again; INT64_MAX: not by time. */
int64_t destination_next_ms(const struct dispatch *dispatch);

/* Look again at once. */
void destination_forgive(struct dispatch *dispatch);

/* Is this connection no mere try, or are there not too many tries to dead domains already? */
bool destination_may_probe(const struct dispatch *dispatch, const struct next_hop *hop);

/* Such a try begins (1) or is over (-1). */
void destination_probe_count(struct dispatch *dispatch, int change);

/* Has it mail, and may open no connection? Does another domain of the route? */
void destination_want(struct dispatch *dispatch, bool wants);
bool destination_others_want(const struct dispatch *dispatch);

/* The addresses of this next hop are our own: it is none for us, nor is any behind it. */
void destination_found_self(struct dispatch *dispatch, const struct next_hop *hop);

/* The domain (empty for other dispatches), and what its MTA-STS policy asks. */
struct span destination_domain(const struct dispatch *dispatch);
enum sts_mode destination_sts_mode(const struct dispatch *dispatch);
bool destination_sts_allows(const struct dispatch *dispatch, const struct next_hop *hop);

#endif
