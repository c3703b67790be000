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
	struct pattern_set *senders; /* NULL: any */
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
patterns_compile(struct pattern_set **set, const struct text_list *patterns,
		 const struct policy_source *source, struct fault *fault)
{
	if (patterns->count > 0)
		*set = pattern_set_new(patterns, source, fault);
	return patterns->count == 0 || *set != NULL;
}

static bool
route_compile(struct compiled_route *compiled, const struct route_settings *route,
	      const struct policy_source *source, struct fault *fault)
{
	compiled->settings = route;
	return route_check(route, fault) &&
	       patterns_compile(&compiled->recipients, &route->recipients, source, fault) &&
	       patterns_compile(&compiled->senders, &route->senders, source, fault);
}

struct route_table *
route_table_new(const struct route_settings *routes, size_t count,
		const struct policy_source *source, struct fault *fault)
{
	assert(count > 0);

	struct route_table *table = memory_new(sizeof(*table));

	table->routes = memory_new_array(count, sizeof(*table->routes));
	table->count = count;
	table_init(&table->by_name, count);
	for (size_t i = 0; i < count; i++) {
		if (!route_compile(&table->routes[i], &routes[i], source, fault)) {
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
	for (size_t i = 0; i < (*table)->count; i++) {
		pattern_set_free(&(*table)->routes[i].recipients);
		pattern_set_free(&(*table)->routes[i].senders);
	}
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

/* How well a route fits; what stands first counts first. */
struct fit {
	unsigned sender; /* 0: it asks for none */
	unsigned recipient;
	unsigned size;
};

static bool
fit_is_better(const struct fit *fit, const struct fit *best)
{
	if (fit->sender != best->sender)
		return fit->sender > best->sender;
	if (fit->recipient != best->recipient)
		return fit->recipient > best->recipient;
	return fit->size > best->size;
}

/* False: not at all. */
static bool
route_fits(const struct compiled_route *route, const struct route_letter *letter,
	   struct fit *fit)
{
	const struct route_settings *settings = route->settings;

	*fit = (struct fit){ .size = settings->octets_min > 0 || settings->octets_max > 0 };
	if (route->recipients == NULL ||
	    (letter->sender == NULL && route_has_conditions(settings)))
		return false;
	fit->recipient = pattern_set_match(route->recipients, letter->recipient);
	if (route->senders != NULL)
		fit->sender = pattern_set_match(route->senders, letter->sender);
	return fit->recipient > 0 && (route->senders == NULL || fit->sender > 0) &&
	       letter->size_octets >= settings->octets_min &&
	       (settings->octets_max == 0 || letter->size_octets <= settings->octets_max);
}

static size_t
letter_match(const struct route_table *table, const struct route_letter *letter)
{
	struct fit best = { .recipient = 0 }, fit;
	size_t chosen = NO_ROUTE;

	for (size_t i = 0; i < table->count; i++) {
		if (route_fits(&table->routes[i], letter, &fit) && fit_is_better(&fit, &best)) {
			best = fit;
			chosen = i;
		}
	}
	return chosen;
}

size_t
route_match(const struct route_table *table, const struct address *recipient)
{
	const struct route_letter letter = { .recipient = recipient };

	return letter_match(table, &letter);
}

size_t
route_choose(const struct route_table *table, struct span granted,
	     const struct route_letter *letter)
{
	size_t chosen = granted.len == 0 ? NO_ROUTE : route_find(table, granted);

	if (chosen == NO_ROUTE)
		chosen = letter_match(table, letter);
	return chosen == NO_ROUTE ? 0 : chosen;
}
