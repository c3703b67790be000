/* SPDX-License-Identifier: ISC */
/* The choice of routes; see route.h. */
#include "delivery/route.h"

#include "base/memory.h"
#include "base/table.h"

#include <assert.h>
#include <stdlib.h>

struct compiled_route {
	const struct route_settings *settings;
	struct pattern_set *recipients;
};

struct route_table {
	struct table by_name; /* of struct compiled_route */
	struct compiled_route *routes;
	size_t count;
};

/* What would otherwise only be noticed by the first message. */
static bool
route_check(const struct route_settings *route, struct fault *fault)
{
	if (route->maildir.len > 0)
		return true;
	if (route->next_hop_count == 0)
		return fault_say(fault, "route " SPAN_FMT ": neither next hops nor a Maildir",
				 SPAN_ARG(route->name));
	if (route->connections_max == 0)
		return fault_say(fault, "route " SPAN_FMT ": no connections are allowed",
				 SPAN_ARG(route->name));
	for (size_t i = 0; i < route->next_hop_count; i++) {
		if (route->next_hops[i].is_mx != (i == 0 && route->has_mx))
			return fault_say(fault, "route " SPAN_FMT ": mx is not its first next hop",
					 SPAN_ARG(route->name));
	}
	if (route->next_hop_count > NEXT_HOPS_MAX)
		return fault_say(fault, "route " SPAN_FMT ": more than %d next hops",
				 SPAN_ARG(route->name), NEXT_HOPS_MAX);
	return true;
}

static bool
route_compile(struct compiled_route *compiled, const struct route_settings *route,
	      struct fault *fault)
{
	compiled->settings = route;
	if (!route_check(route, fault))
		return false;
	if (route->recipients.count == 0)
		return true;
	compiled->recipients = pattern_set_new(&route->recipients, NULL, fault);
	return compiled->recipients != NULL;
}

struct route_table *
route_table_new(const struct route_settings *routes, size_t count, struct fault *fault)
{
	assert(count > 0);

	struct route_table *table = memory_new(sizeof(*table));

	table->routes = memory_new_array(count, sizeof(*table->routes));
	table->count = count;
	table_init(&table->by_name, count);
	for (size_t i = 0; i < count; i++) {
		if (!route_compile(&table->routes[i], &routes[i], fault)) {
			route_table_free(&table);
			return NULL;
		}
		(void)table_put(&table->by_name, routes[i].name, &table->routes[i]);
	}
	return table;
}

void
route_table_free(struct route_table **table)
{
	if (*table == NULL)
		return;
	for (size_t i = 0; i < (*table)->count; i++)
		pattern_set_free(&(*table)->routes[i].recipients);
	table_reset(&(*table)->by_name);
	free((*table)->routes);
	free(*table);
	*table = NULL;
}

size_t
route_find(const struct route_table *table, struct span name)
{
	const struct compiled_route *route = table_find(&table->by_name, name);

	return route == NULL ? NO_ROUTE : (size_t)(route - table->routes);
}

size_t
route_match(const struct route_table *table, const struct address *recipient)
{
	size_t chosen = NO_ROUTE;
	unsigned best = 0;

	for (size_t i = 0; i < table->count; i++) {
		if (table->routes[i].recipients == NULL)
			continue;

		unsigned match = pattern_set_match(table->routes[i].recipients, recipient);

		if (match > best) {
			best = match;
			chosen = i;
		}
	}
	return chosen;
}

size_t
route_choose(const struct route_table *table, struct span granted,
	     const struct address *recipient)
{
	size_t chosen = granted.len == 0 ? NO_ROUTE : route_find(table, granted);

	if (chosen == NO_ROUTE)
		chosen = route_match(table, recipient);
	return chosen == NO_ROUTE ? 0 : chosen;
}
