/* SPDX-License-Identifier: ISC */
/* Which route a recipient takes. */
#ifndef RELAYD_DELIVERY_ROUTE_H
#define RELAYD_DELIVERY_ROUTE_H

#include "delivery/delivery.h"

#define NO_ROUTE SIZE_MAX

struct route_table;

/* routes is borrowed for the table's life. NULL and *fault when a route cannot work. */
struct route_table *route_table_new(const struct route_settings *routes, size_t count,
				    struct fault *fault);
void route_table_free(struct route_table **table);

/* The route of this name, or NO_ROUTE. */
size_t route_find(const struct route_table *table, struct span name);

/* The route whose patterns hold the recipient most specifically, or NO_ROUTE. */
size_t route_match(const struct route_table *table, const struct address *recipient);

/*
 * The route that the grant names; else the one whose patterns hold the recipient most
 * specifically, the first in the file among equals. The configuration sees to it that there
 * is one; were there none, the first route.
 */
size_t route_choose(const struct route_table *table, struct span granted,
		    const struct address *recipient);

#endif
