/* SPDX-License-Identifier: ISC */
/* Which route a recipient takes. */
#ifndef RELAYD_DELIVERY_ROUTE_H
#define RELAYD_DELIVERY_ROUTE_H

#include "delivery/delivery.h"

#define NO_ROUTE SIZE_MAX

struct route_table;

/* What a route is chosen by. */
struct route_letter {
	const struct address *sender; /* NULL: not known; routes with conditions do not fit then */
	const struct address *recipient;
	uint64_t size_octets;
};

/*
 * routes is borrowed for the table's life. source is where patterns find tables and accepted
 * domains, or NULL (tests). NULL and *fault when a route cannot work.
 */
struct route_table *route_table_new(const struct route_settings *routes, size_t count,
				    const struct policy_source *source, struct fault *fault);
void route_table_free(struct route_table **table);

/* The route of this name, or NO_ROUTE. */
size_t route_find(const struct route_table *table, struct span name);

/* The route without conditions that holds the recipient most specifically, or NO_ROUTE. */
size_t route_match(const struct route_table *table, const struct address *recipient);

/*
 * The route that the grant names. Else, of those whose patterns hold the sender and the
 * recipient and whose sizes hold the message's, the one that holds the sender most
 * specifically (not to ask for one is least), then the recipient, then one that asks for a
 * size; the first in the file among equals. The configuration sees to it that there is one;
 * were there none, the first route.
 */
size_t route_choose(const struct route_table *table, struct span granted,
		    const struct route_letter *letter);

#endif
