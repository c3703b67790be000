/* SPDX-License-Identifier: ISC */
/*
 * Who could relay from anywhere to anywhere? Asked of the compiled tables, so that unions of
 * ranges, tables and many grants are judged by what they hold, not by how they are written.
 * Exceptions do not count: all networks but one are still an open relay.
 */
#include "policy/policy_private.h"

void
anonymous_grants_find(const struct policy *p, uint64_t *map)
{
	uint32_t any =
	    key_table_find(&p->recipient_table.keys, PATTERN_ANY, (struct span){ "", 0 });

	bitmap_empty(map, p->words);
	bitmap_or_set(map, &p->recipients.rules[any].permits, window_all(p));
	bitmap_and_not(map, p->identified, p->words);
}

/* The grants that hold at every address seen so far. */
struct everywhere {
	const struct policy *policy;
	uint64_t *v4;
	uint64_t *v6;
};

static void
everywhere_join(void *context, uint32_t nothing, uint32_t number, uint64_t v4_count)
{
	struct everywhere *all = context;
	const struct policy *p = all->policy;
	const struct grant_set *set = &p->networks.rules[number].permits;
	uint64_t *map = v4_count > 0 ? all->v4 : all->v6;

	(void)nothing;
	for (size_t i = 0; i < p->words; i++) {
		uint64_t stated = i >= set->first && i - set->first < set->count ?
				      set->words[i - set->first] :
				      0;

		map[i] &= p->networks.unstated[i] | stated;
	}
}

/* What the connectors of one grant take together; grants next to each other often share it. */
struct reach {
	const struct policy *policy;
	const struct range_list *ranges; /* by connector */
	size_t grant;			 /* whose connectors these are, or NO_GRANT */
	bool is_all_v4;
	bool is_all_v6;
};

static bool
has_same_connectors(const struct policy *p, size_t a, size_t b)
{
	for (size_t i = 0; i < p->connector_count; i++) {
		if (bitmap_has(p->connector_grants[i], a) !=
		    bitmap_has(p->connector_grants[i], b))
			return false;
	}
	return true;
}

static void
reach_find(struct reach *reach, size_t grant)
{
	const struct policy *p = reach->policy;
	struct range_list all = { .items = NULL };

	if (reach->grant != NO_GRANT && has_same_connectors(p, reach->grant, grant))
		return;
	reach->grant = grant;
	for (size_t i = 0; i < p->connector_count; i++) {
		bool is_here = bitmap_has(p->connector_grants[i], grant);

		for (size_t j = 0; is_here && j < reach->ranges[i].count; j++)
			range_list_add(&all, &reach->ranges[i].items[j].range, 0);
	}
	reach->is_all_v4 = p->connector_count == 0 || range_list_is_all_v4(&all);
	reach->is_all_v6 = p->connector_count == 0 || range_list_is_all_v6(&all);
	range_list_reset(&all);
}

void
open_relays_find(const struct policy *p, const struct range_list *ranges, uint64_t *map)
{
	static const struct network_table none = { .v4_count = 0 };
	uint64_t v4[GRANT_WORDS_MAX], v6[GRANT_WORDS_MAX];
	struct everywhere all = { .policy = p, .v4 = v4, .v6 = v6 };
	struct reach reach = { .policy = p, .ranges = ranges, .grant = NO_GRANT };

	anonymous_grants_find(p, map);
	bitmap_copy(v4, map, p->words);
	bitmap_copy(v6, map, p->words);
	network_tables_meet(&none, &p->network_table, everywhere_join, &all);
	for (size_t i = bitmap_next(map, p->words, 0); i != SIZE_MAX;
	     i = bitmap_next(map, p->words, i + 1)) {
		bool is_open = bitmap_has(v4, i) || bitmap_has(v6, i);

		if (is_open) {
			reach_find(&reach, i);
			is_open = (bitmap_has(v4, i) && reach.is_all_v4) ||
				  (bitmap_has(v6, i) && reach.is_all_v6);
		}
		if (!is_open)
			bitmap_clear(map, i);
	}
}
