/* SPDX-License-Identifier: ISC */
/* Effective permissions; see rights.h. */
#include "policy/rights_private.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define EXAMPLE_MAX 1024
#define NAMED_V4_MAX (UINT64_C(1) << 24)

const char *
right_name(enum exchange_right right)
{
	static const char *const names[RIGHT_COUNT] = {
		[RIGHT_SUBMIT] = "Ms-Exch-SMTP-Submit",
		[RIGHT_ANY_RECIPIENT] = "Ms-Exch-SMTP-Accept-Any-Recipient",
		[RIGHT_ANY_SENDER] = "Ms-Exch-SMTP-Accept-Any-Sender",
		[RIGHT_AUTHORITATIVE_SENDER] =
		    "Ms-Exch-SMTP-Accept-Authoritative-Domain-Sender",
		[RIGHT_HEADERS_ROUTING] = "Ms-Exch-Accept-Headers-Routing",
		[RIGHT_BYPASS_ANTI_SPAM] = "Ms-Exch-Bypass-Anti-Spam",
		[RIGHT_BYPASS_SIZE] = "Ms-Exch-Bypass-Message-Size-Limit",
	};

	assert(right < RIGHT_COUNT);
	return names[right];
}

const char *
right_extent_name(enum right_extent extent)
{
	return extent == RIGHT_ALL ? "all" : extent == RIGHT_SOME ? "some" : "none";
}

/* ---- Which grants hold ---- */

static bool
connector_demands_tls(const struct connector_source *connector)
{
	return connector->tls == TLS_REQUIRED || connector->tls == TLS_IMPLICIT;
}

/* Where a client whose address is not known comes to with the grant. */
static struct grant_outcome
grant_standing(const struct policy *p, const struct facts *facts, size_t grant,
	       bool is_identified)
{
	const struct connector_source *k = &p->connectors[facts->connector];
	const struct grant_source *g = &p->grants[grant];
	int64_t now_ms = facts->now_wall_ms;
	struct grant_outcome out = { grant, STAGE_PERMITTED, REASON_NONE };

	if (!bitmap_has(p->connector_grants[facts->connector], grant) || !is_identified) {
		bool may_log_in = facts->user.len == 0 && k->can_authenticate &&
				  bitmap_has(p->identified, grant);

		out.stage = STAGE_WHO;
		out.reason = may_log_in ? REASON_AUTH_REQUIRED : REASON_RELAY_NO_GRANT;
	} else if ((g->starts_ms != 0 && now_ms < g->starts_ms) ||
		   (g->expires_ms != 0 && now_ms >= g->expires_ms)) {
		out.stage = STAGE_VALIDITY;
		out.reason = REASON_RELAY_EXPIRED;
	} else if (!facts->is_tls && (g->requires_tls || connector_demands_tls(k))) {
		out.stage = STAGE_TLS;
		out.reason = REASON_TLS_REQUIRED;
	}
	return out;
}

static void
standings_find(const struct policy *p, const struct facts *facts, struct grant_outcome *out)
{
	uint64_t users[GRANT_WORDS_MAX], certificates[GRANT_WORDS_MAX];

	if (p->grant_count == 0)
		return;
	identities_ask(p, facts, users, certificates);
	for (size_t i = 0; i < p->grant_count; i++)
		out[i] = grant_standing(p, facts, i,
					bitmap_has(users, i) && bitmap_has(certificates, i));
}

/* ---- What that amounts to ---- */

static enum right_extent
extent_of(bool is_all, bool is_some)
{
	return is_all ? RIGHT_ALL : is_some ? RIGHT_SOME : RIGHT_NONE;
}

/* Does one of the grants hold every address, "*" without exceptions? */
static bool
has_any(const struct policy *p, enum address_side side, const uint64_t *grants)
{
	const struct pattern_table *table =
	    side == SIDE_SENDER ? &p->sender_table : &p->recipient_table;
	const struct condition *condition = side == SIDE_SENDER ? &p->senders : &p->recipients;
	uint32_t any = key_table_find(&table->keys, PATTERN_ANY, (struct span){ "", 0 });
	uint64_t map[GRANT_WORDS_MAX];

	bitmap_empty(map, p->words);
	bitmap_or_set(map, &condition->rules[any].permits, window_all(p));
	bitmap_and(map, grants, p->words);
	for (size_t i = bitmap_next(map, p->words, 0); i != SIZE_MAX;
	     i = bitmap_next(map, p->words, i + 1)) {
		const struct grant_source *g = &p->grants[i];

		if ((side == SIDE_SENDER ? g->except_senders : g->except_recipients).count == 0)
			return true;
	}
	return false;
}

static bool
has_class(const struct policy *p, enum address_side side, enum address_class class,
	  const uint64_t *grants)
{
	uint64_t wanted[GRANT_WORDS_MAX], found[GRANT_WORDS_MAX];

	bitmap_copy(wanted, grants, p->words);
	address_class_find(p, side, class, wanted, found, NULL);
	return bitmap_next(found, p->words, 0) != SIZE_MAX;
}

/* Is every authoritative domain among the senders of a grant without exceptions? */
static bool
has_all_authoritative(const struct policy *p, const uint64_t *grants)
{
	bool is_any = false;

	for (size_t d = 0; d < p->domain_count; d++) {
		struct pattern domain, sender;
		bool is_held = has_any(p, SIDE_SENDER, grants);

		if (p->domains[d].type != DOMAIN_AUTHORITATIVE ||
		    accepted_pattern_make(p->domains[d].name, &domain) != NULL)
			continue;
		is_any = true;
		for (size_t i = bitmap_next(grants, p->words, 0); i != SIZE_MAX && !is_held;
		     i = bitmap_next(grants, p->words, i + 1)) {
			const struct grant_source *g = &p->grants[i];

			for (size_t s = 0; s < g->senders.count && g->except_senders.count == 0;
			     s++)
				is_held |= is_accepted_domains(g->senders.items[s]) ||
					   (pattern_parse(g->senders.items[s], &sender) == NULL &&
					    pattern_covers(&sender, &domain));
		}
		if (!is_held)
			return false;
	}
	return is_any;
}

static void
extents_find(const struct policy *p, const uint64_t *grants, struct rights *rights)
{
	enum right_extent *e = rights->extents;
	size_t count = 0, unasked = 0;

	for (size_t i = bitmap_next(grants, p->words, 0); i != SIZE_MAX;
	     i = bitmap_next(grants, p->words, i + 1)) {
		count++;
		unasked += p->grants[i].requires_evidence == 0;
	}
	if (count == 0)
		return;
	e[RIGHT_SUBMIT] = e[RIGHT_HEADERS_ROUTING] = RIGHT_ALL;
	e[RIGHT_BYPASS_ANTI_SPAM] = extent_of(unasked == count, unasked > 0);
	e[RIGHT_ANY_RECIPIENT] = extent_of(has_any(p, SIDE_RECIPIENT, grants),
					   has_class(p, SIDE_RECIPIENT, CLASS_OUTSIDE, grants));
	e[RIGHT_ANY_SENDER] = extent_of(has_any(p, SIDE_SENDER, grants),
					has_class(p, SIDE_SENDER, CLASS_OUTSIDE, grants));
	e[RIGHT_AUTHORITATIVE_SENDER] =
	    extent_of(has_all_authoritative(p, grants),
		      has_class(p, SIDE_SENDER, CLASS_AUTHORITATIVE, grants));
}

void
policy_rights(const struct policy *p, const struct facts *facts, bool has_client,
	      struct grant_outcome *out, struct rights *rights)
{
	const struct connector_source *k = &p->connectors[facts->connector];
	uint64_t grants[GRANT_WORDS_MAX];

	assert(facts->connector < p->connector_count);
	*rights = (struct rights){
		.is_monitored = connector_is_monitoring(k, facts->now_wall_ms),
	};
	if (has_client)
		policy_trace(p, facts, STAGE_TLS, out);
	else
		standings_find(p, facts, out);
	bitmap_empty(grants, p->words);
	for (size_t i = 0; i < p->grant_count; i++) {
		if (out[i].stage == STAGE_PERMITTED)
			bitmap_set(grants, i);
		rights->is_monitored |= out[i].stage > STAGE_WHO &&
					grant_is_monitoring(&p->grants[i], facts->now_wall_ms);
	}
	extents_find(p, grants, rights);
	if (!rights->is_monitored)
		return;
	for (size_t i = 0; i < RIGHT_COUNT; i++)
		rights->extents[i] = i == RIGHT_BYPASS_SIZE ? RIGHT_NONE : RIGHT_ALL;
}

/* ---- From where anybody may relay ---- */

/* The grants by which an anonymous client may relay, if its address is right. */
static void
relaying_grants_find(const struct policy *p, int64_t now_ms, uint64_t *map)
{
	uint64_t wanted[GRANT_WORDS_MAX], senders[GRANT_WORDS_MAX];
	const struct address nobody = { .is_literal = false };

	bitmap_copy(wanted, p->anonymous, p->words);
	for (size_t i = 0; i < p->grant_count; i++) {
		if (p->grants[i].expires_ms != 0 && p->grants[i].expires_ms <= now_ms)
			bitmap_clear(wanted, i);
	}
	address_class_find(p, SIDE_RECIPIENT, CLASS_OUTSIDE, wanted, map, NULL);
	bitmap_copy(wanted, map, p->words);
	address_class_find(p, SIDE_SENDER, CLASS_ANY, wanted, senders, NULL);

	/* of those left only the null sender may be: then nobody can be in From */
	addresses_ask(p, &p->senders, &p->sender_table, &nobody, window_all(p), wanted);
	bitmap_and(wanted, p->header_from[HEADER_FROM_ANY], p->words);
	bitmap_or(senders, wanted, p->words);
	bitmap_and(map, senders, p->words);
	for (size_t i = 0; i < p->grant_count; i++) {
		if (bitmap_has(p->anonymous, i) && grant_is_monitoring(&p->grants[i], now_ms))
			bitmap_set(map, i);
	}
}

struct ways_search {
	const struct policy *policy;
	int64_t now_ms;
	uint64_t relaying[GRANT_WORDS_MAX];
	struct relay_ways *ways;
};

static void
way_add(struct relay_ways *ways, const struct relay_way *way)
{
	struct relay_way *last = ways->count == 0 ? NULL : &ways->items[ways->count - 1];
	struct ip next;

	if (last != NULL && last->connector == way->connector && last->grant == way->grant &&
	    ip_is_v4(&last->range.last) == ip_is_v4(&way->range.first) &&
	    ip_next(&last->range.last, &next) && ip_compare(&next, &way->range.first) == 0) {
		last->range.last = way->range.last;
		return;
	}
	if (ways->count == ways->room) {
		ways->room = ways->room == 0 ? 64 : ways->room * 2;
		ways->items = memory_resize(ways->items, ways->room, sizeof(*ways->items));
	}
	ways->items[ways->count++] = *way;
}

/* The first grant by which clients of a network, with this rule, may relay at a connector. */
static size_t
piece_grant(const struct ways_search *s, size_t connector, uint32_t number)
{
	const struct policy *p = s->policy;
	const struct grant_rule *rule = &p->networks.rules[number];
	uint64_t here[GRANT_WORDS_MAX];
	size_t grant;

	bitmap_copy(here, p->networks.unstated, p->words);
	bitmap_or_set(here, &rule->permits, window_all(p));
	bitmap_and_not_set(here, &rule->excepts, window_all(p));
	bitmap_and(here, p->connector_grants[connector], p->words);
	bitmap_and(here, s->relaying, p->words);
	for (grant = bitmap_next(here, p->words, 0); grant != SIZE_MAX;
	     grant = bitmap_next(here, p->words, grant + 1)) {
		if (!p->grants[grant].requires_tls ||
		    p->connectors[connector].tls != TLS_NONE ||
		    grant_is_monitoring(&p->grants[grant], s->now_ms))
			break;
	}
	return grant;
}

static void
piece_judge(void *context, const struct ip_range *range, uint32_t value, uint32_t number)
{
	const struct ways_search *s = context;
	const struct policy *p = s->policy;

	if (value == 0)
		return; /* no connector takes these */
	struct relay_way way = { *range, value - 1, NO_GRANT, false };

	way.is_monitored = connector_is_monitoring(&p->connectors[way.connector], s->now_ms);
	if (!way.is_monitored) {
		way.grant = piece_grant(s, way.connector, number);
		if (way.grant == SIZE_MAX)
			return;
		way.is_monitored = grant_is_monitoring(&p->grants[way.grant], s->now_ms);
	}
	way_add(s->ways, &way);
}

static int
way_compare(const void *a, const void *b)
{
	const struct relay_way *x = a, *y = b;
	int order = (x->connector > y->connector) - (x->connector < y->connector);

	if (order == 0)
		order = ip_compare(&x->range.first, &y->range.first);
	return order != 0 ? order : ip_compare(&x->range.last, &y->range.last);
}

/* Sort, forget what stands twice (two ports, one table), join neighbours. */
static void
ways_join(struct relay_ways *ways)
{
	struct relay_ways joined = { .items = NULL };

	if (ways->count > 0)
		qsort(ways->items, ways->count, sizeof(*ways->items), way_compare);
	for (size_t i = 0; i < ways->count; i++) {
		if (i == 0 || way_compare(&ways->items[i - 1], &ways->items[i]) != 0)
			way_add(&joined, &ways->items[i]);
	}
	relay_ways_reset(ways);
	*ways = joined;
}

void
policy_relay_ways(const struct policy *p, int64_t now_ms, struct relay_ways *ways)
{
	struct ways_search s = { .policy = p, .now_ms = now_ms, .ways = ways };

	*ways = (struct relay_ways){ .items = NULL };
	relaying_grants_find(p, now_ms, s.relaying);
	for (size_t i = 0; i < p->client_table_count; i++)
		network_tables_walk(&p->client_tables[i], &p->network_table, piece_judge, &s);
	ways_join(ways);
}

void
relay_ways_reset(struct relay_ways *ways)
{
	free(ways->items);
	*ways = (struct relay_ways){ .items = NULL };
}

/* ---- Networks with a name ---- */

/* How many addresses, or UINT64_MAX when that is a larger number. */
static uint64_t
range_octets_differ(const struct ip_range *range, size_t first, size_t count)
{
	uint64_t a = 0, b = 0;

	for (size_t i = first; i < first + count; i++) {
		a = a << 8 | range->first.bytes[i];
		b = b << 8 | range->last.bytes[i];
	}
	return b - a;
}

/* At most 2^24 IPv4 addresses, or 2^112 others: what a site may have. */
static bool
range_is_network(const struct ip_range *range)
{
	if (ip_is_v4(&range->first) != ip_is_v4(&range->last))
		return false;
	if (ip_is_v4(&range->first))
		return range_octets_differ(range, 12, 4) < NAMED_V4_MAX;
	return range_octets_differ(range, 0, 2) == 0;
}

static void
named_add(struct range_list *named, struct span text)
{
	struct ip_range range;

	if (ip_range_parse(span_trim(text), &range) == PARSE_OK && range_is_network(&range))
		range_list_add(named, &range, 0);
}

static void
named_add_list(const struct policy_source *source, const struct text_list *list,
	       struct range_list *named)
{
	struct span name;

	for (size_t i = 0; i < list->count; i++) {
		if (!table_reference_take(list->items[i], &name)) {
			named_add(named, list->items[i]);
			continue;
		}
		for (size_t t = 0; t < source->table_count; t++) {
			const struct table_source *table = &source->tables[t];

			for (size_t e = 0; e < table->entries.count &&
					   span_equal_fold(table->name, name);
			     e++)
				named_add(named, table->entries.items[e]);
		}
	}
}

void
policy_networks_named(const struct policy_source *source, struct range_list *named)
{
	static const char *const private[] = {
		"10.0.0.0/8",  "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
		"127.0.0.0/8", "::1",		"fc00::/7",	  "fe80::/10",
	};
	struct ip_range range;

	*named = (struct range_list){ .items = NULL };
	for (size_t i = 0; i < ARRAY_LEN(private); i++) {
		if (ip_range_parse(span_of(private[i]), &range) == PARSE_OK)
			range_list_add(named, &range, 0);
	}
	for (size_t i = 0; i < source->grant_count; i++)
		named_add_list(source, &source->grants[i].networks, named);
	for (size_t i = 0; i < source->connector_count; i++)
		named_add_list(source, &source->connectors[i].remote_ranges, named);
	range_list_join(named);
}

/* ---- The proof ---- */

/* The first address of the range that is in none of the sorted, joined ones. */
static bool
range_is_left(const struct ip_range *range, const struct range_list *named, struct ip *first)
{
	size_t low = 0, high = named->count; /* the last that begins no later than the range */

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ip_compare(&named->items[middle].range.first, &range->first) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	*first = range->first;
	if (low == 0 || ip_compare(&named->items[low - 1].range.last, first) < 0)
		return true;
	/* joined: behind its end comes an address that is in none */
	return ip_next(&named->items[low - 1].range.last, first) &&
	       ip_compare(first, &range->last) <= 0;
}

/* A sender and a recipient with which it goes through, as far as they can be told. */
static void
witness_dress(const struct policy *p, struct relay_witness *w)
{
	uint64_t wanted[GRANT_WORDS_MAX], found[GRANT_WORDS_MAX];
	bool is_free = w->way.is_monitored;

	buffer_init(&w->sender, EXAMPLE_MAX);
	buffer_init(&w->recipient, EXAMPLE_MAX);
	if (!is_free) {
		bitmap_empty(wanted, p->words);
		bitmap_set(wanted, w->way.grant);
		address_class_find(p, SIDE_SENDER, CLASS_ANY, wanted, found, &w->sender);
		bitmap_empty(wanted, p->words);
		bitmap_set(wanted, w->way.grant);
		address_class_find(p, SIDE_RECIPIENT, CLASS_OUTSIDE, wanted, found,
				   &w->recipient);
		return;
	}
	(void)buffer_append_text(&w->sender, "someone@example.net");
	(void)buffer_append_text(&w->recipient, "someone@example.org");
}

/* Do the ways hold more than half of all IPv4 addresses? */
static bool
ways_are_too_many(const struct relay_ways *ways)
{
	struct range_list all = { .items = NULL };
	uint64_t count = 0;

	for (size_t i = 0; i < ways->count; i++)
		range_list_add(&all, &ways->items[i].range, 0);
	range_list_join(&all);
	for (size_t i = 0; i < all.count; i++) {
		if (ip_is_v4(&all.items[i].range.first) && ip_is_v4(&all.items[i].range.last))
			count += range_octets_differ(&all.items[i].range, 12, 4) + 1;
	}
	range_list_reset(&all);
	return count > UINT64_C(1) << 31;
}

bool
policy_open_relay_find(const struct policy *p, const struct relay_ways *ways,
		       const struct range_list *named, struct relay_witness *witness)
{
	*witness = (struct relay_witness){ .is_too_many = false };
	for (size_t i = 0; i < ways->count; i++) {
		if (!range_is_left(&ways->items[i].range, named, &witness->client))
			continue;
		witness->way = ways->items[i];
		witness_dress(p, witness);
		return true;
	}
	if (!ways_are_too_many(ways))
		return false;
	witness->is_too_many = true;
	witness->way = ways->items[0];
	witness->client = ways->items[0].range.first;
	witness_dress(p, witness);
	return true;
}

void
relay_witness_reset(struct relay_witness *witness)
{
	buffer_reset(&witness->sender);
	buffer_reset(&witness->recipient);
}
