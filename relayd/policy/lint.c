/* SPDX-License-Identifier: ISC */
/*
 * What is right but probably not meant. Each finding says where, and what to do. Findings are
 * certain, not complete: a grant is called shadowed only where its lists say so plainly.
 */
#include "policy/policy_private.h"

#include "base/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FINDING_MAX 512
#define PAIRS_MAX   (1U << 16) /* of items of two lists that are compared one by one */
#define SHADOW_GRANTS_MAX                                                                \
	4096 /* more grants than this are not compared with each other */

struct lint {
	const struct policy *policy;
	int64_t now_ms;
	policy_complain *complain;
	void *context;
};

static void warn_at(const struct lint *lint, const char *file, unsigned line,
		    const char *format, ...) PRINTF_LIKE(4, 5);

static void
warn_at(const struct lint *lint, const char *file, unsigned line, const char *format, ...)
{
	char text[FINDING_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lint->complain(lint->context, false, file, line, text);
}

/* ---- Dates and modes ---- */

static void
lint_dates(const struct lint *lint, const struct grant_source *g)
{
	if (g->expires_ms != 0 && g->expires_ms <= lint->now_ms)
		warn_at(lint, g->file, g->line,
			"grant \"" SPAN_FMT "\" has expired and permits nothing; remove "
					    "it, or ask "
			"its owner (" SPAN_FMT ") for a new date",
			SPAN_ARG(g->name),
			SPAN_ARG(g->owner.len > 0 ? g->owner : span_of("none named")));
	if (grant_is_monitoring(g, lint->now_ms))
		warn_at(lint, g->file, g->line,
			"grant \"" SPAN_FMT "\" is in monitor mode%s: what it would "
					    "refuse is relayed; "
			"set mode = \"enforce\" when you have seen enough",
			SPAN_ARG(g->name),
			g->monitor_until_ms == 0 ? " without an end" : "");
}

static void
lint_connectors(const struct lint *lint)
{
	const struct policy *p = lint->policy;

	for (size_t i = 0; i < p->connector_count; i++) {
		const struct connector_source *k = &p->connectors[i];

		if (bitmap_next(p->connector_grants[i], p->words, 0) == SIZE_MAX)
			warn_at(lint, k->file, k->line,
				"connector \"" SPAN_FMT "\" has no grants, so it refuses "
							"everything; name "
				"it in connectors of a grant, or remove it",
				SPAN_ARG(k->name));
		if (connector_is_monitoring(k, lint->now_ms))
			warn_at(lint, k->file, k->line,
				"connector \"" SPAN_FMT "\" is in monitor mode%s: "
							"everybody may relay "
				"through it; set mode = \"enforce\" when you have seen "
				"enough",
				SPAN_ARG(k->name),
				k->monitor_until_ms == 0 ? " without an end" : "");
	}
}

static void
lint_tables(const struct lint *lint)
{
	const struct policy *p = lint->policy;

	for (size_t i = 0; i < p->table_count; i++) {
		if (!p->tables[i].is_used)
			warn_at(lint, NULL, p->tables[i].line,
				"table \"" SPAN_FMT "\" is never used; write "
						    "\"table:" SPAN_FMT "\" where it "
									"belongs, or "
									"remove it",
				SPAN_ARG(p->tables[i].name), SPAN_ARG(p->tables[i].name));
	}
}

/* ---- Grants that nothing reaches ---- */

struct reachable {
	const struct policy *policy;
	uint64_t *map;
	uint32_t last_connector;
	uint32_t last_rule;
};

static void
reachable_add(void *context, uint32_t connector, uint32_t number, uint64_t v4_count)
{
	struct reachable *r = context;
	const struct policy *p = r->policy;
	uint64_t here[GRANT_WORDS_MAX];

	(void)v4_count;
	if (connector == 0 || (connector == r->last_connector && number == r->last_rule))
		return;
	r->last_connector = connector;
	r->last_rule = number;
	const struct grant_rule *rule = &p->networks.rules[number];

	bitmap_copy(here, p->networks.unstated, p->words);
	bitmap_or_set(here, &rule->permits, window_all(p));
	bitmap_and_not_set(here, &rule->excepts, window_all(p));
	bitmap_and(here, p->connector_grants[connector - 1], p->words);
	bitmap_or(r->map, here, p->words);
}

/* A connector of the grant where what it demands can be had. */
static bool
is_possible(const struct policy *p, size_t grant)
{
	const struct grant_source *g = &p->grants[grant];

	for (size_t i = 0; i < p->connector_count; i++) {
		const struct connector_source *k = &p->connectors[i];
		bool has_tls = k->tls != TLS_NONE;
		bool has_logins = k->can_authenticate ||
				  k->go_betweens[GO_BETWEEN_XCLIENT].count > 0;

		if (bitmap_has(p->connector_grants[i], grant) &&
		    (g->users.count == 0 || has_logins) &&
		    (g->certificates.count == 0 || has_tls) &&
		    (!g->requires_tls || has_tls))
			return true;
	}
	return p->connector_count == 0;
}

static bool
list_has(const struct text_list *list, struct span item)
{
	for (size_t i = 0; i < list->count; i++) {
		if (span_equal_fold(list->items[i], item))
			return true;
	}
	return false;
}

static void
lint_reach(const struct lint *lint)
{
	const struct policy *p = lint->policy;
	uint64_t *map = memory_new_array(p->words + 1, sizeof(*map));
	struct reachable r = { .policy = p, .map = map };
	const struct span any = SPAN_LITERAL("*");

	for (size_t i = 0; i < p->client_table_count; i++) {
		r.last_connector = 0;
		network_tables_meet(&p->client_tables[i], &p->network_table,
				    reachable_add, &r);
	}
	for (size_t i = 0; i < p->grant_count; i++) {
		const struct grant_source *g = &p->grants[i];

		if (p->client_table_count > 0 && !bitmap_has(map, i))
			warn_at(lint, g->file, g->line,
				"grant \"" SPAN_FMT "\" is unreachable: none of its "
						    "connectors takes clients "
				"from its networks; correct networks or connectors",
				SPAN_ARG(g->name));
		else if (!is_possible(p, i))
			warn_at(lint, g->file, g->line,
				"grant \"" SPAN_FMT "\" is unreachable: it demands a "
						    "login, a certificate "
				"or TLS, and none of its connectors offers that; see "
				"auth-mechanisms and "
				"tls of the connectors",
				SPAN_ARG(g->name));
		else if (list_has(&g->except_senders, any) ||
			 list_has(&g->except_recipients, any))
			warn_at(lint, g->file, g->line,
				"grant \"" SPAN_FMT "\" is unreachable: its exceptions "
						    "leave nothing; take "
				"\"*\" out of them",
				SPAN_ARG(g->name));
	}
	free(map);
}

/* ---- Grants that others shadow ---- */

static bool
lists_contain(const struct text_list *outer, const struct text_list *inner)
{
	if (outer->count * inner->count > PAIRS_MAX)
		return false;
	for (size_t i = 0; i < inner->count; i++) {
		if (!list_has(outer, inner->items[i]))
			return false;
	}
	return true;
}

/* As a list of conditions: none given holds everything. */
static bool
conditions_contain(const struct text_list *outer, const struct text_list *inner)
{
	return outer->count == 0 || (inner->count > 0 && lists_contain(outer, inner));
}

static bool
network_is_in(struct span item, const struct text_list *outer)
{
	struct ip_range range, other;

	if (list_has(outer, item))
		return true;
	if (ip_range_parse(item, &range) != PARSE_OK)
		return false; /* a table that the other does not name */
	for (size_t i = 0; i < outer->count; i++) {
		if (ip_range_parse(outer->items[i], &other) == PARSE_OK &&
		    ip_range_has(&other, &range.first) &&
		    ip_range_has(&other, &range.last))
			return true;
	}
	return false;
}

static bool
networks_contain(const struct text_list *outer, const struct text_list *inner)
{
	if (outer->count == 0)
		return true;
	if (inner->count == 0 || outer->count * inner->count > PAIRS_MAX)
		return false;
	for (size_t i = 0; i < inner->count; i++) {
		if (!network_is_in(inner->items[i], outer))
			return false;
	}
	return true;
}

static bool
pattern_is_in(struct span item, const struct text_list *outer)
{
	struct pattern inner, other;

	if (list_has(outer, item))
		return true;
	bool is_pattern = pattern_parse(item, &inner) == NULL &&
			  !address_key_is_routed(&inner.key); /* domains may not hold it */

	for (size_t i = 0; i < outer->count; i++) {
		if (pattern_parse(outer->items[i], &other) != NULL)
			continue; /* a table or accepted-domains */
		if (other.kind == PATTERN_ANY ||
		    (is_pattern && pattern_covers(&other, &inner)))
			return true;
	}
	return false;
}

static bool
patterns_contain(const struct text_list *outer, const struct text_list *inner)
{
	if (outer->count * inner->count > PAIRS_MAX)
		return false;
	for (size_t i = 0; i < inner->count; i++) {
		if (!pattern_is_in(inner->items[i], outer))
			return false;
	}
	return true;
}

/* Does every attempt that `inner` permits also pass `outer`, at every time? */
static bool
grant_contains(const struct grant_source *outer, const struct grant_source *inner)
{
	bool is_always =
	    (outer->starts_ms == 0 ||
	     (inner->starts_ms != 0 && outer->starts_ms <= inner->starts_ms)) &&
	    (outer->expires_ms == 0 ||
	     (inner->expires_ms != 0 && outer->expires_ms >= inner->expires_ms));

	return is_always && outer->limit_count == 0 &&
	       (!outer->requires_tls || inner->requires_tls) &&
	       (outer->takes_routed || !inner->takes_routed) &&
	       (outer->requires_evidence & ~inner->requires_evidence) == 0 &&
	       (outer->header_from == HEADER_FROM_ANY ||
		(outer->header_from == inner->header_from &&
		 outer->header_from == HEADER_FROM_SAME_DOMAIN)) &&
	       lists_contain(&inner->except_networks, &outer->except_networks) &&
	       lists_contain(&inner->except_senders, &outer->except_senders) &&
	       lists_contain(&inner->except_recipients, &outer->except_recipients) &&
	       conditions_contain(&outer->connectors, &inner->connectors) &&
	       conditions_contain(&outer->users, &inner->users) &&
	       conditions_contain(&outer->certificates, &inner->certificates) &&
	       networks_contain(&outer->networks, &inner->networks) &&
	       patterns_contain(&outer->senders, &inner->senders) &&
	       patterns_contain(&outer->recipients, &inner->recipients);
}

static void
lint_shadows(const struct lint *lint)
{
	const struct policy *p = lint->policy;

	if (p->grant_count > SHADOW_GRANTS_MAX)
		return;
	for (size_t i = 1; i < p->grant_count; i++) {
		const struct grant_source *g = &p->grants[i];

		for (size_t j = 0; j < i; j++) {
			const struct grant_source *before = &p->grants[j];

			if (!grant_contains(before, g))
				continue;
			warn_at(lint, g->file, g->line,
				"grant \"" SPAN_FMT "\" is shadowed: grant \"" SPAN_FMT
				"\" (line %u) comes first and permits all that it "
				"permits; move it "
				"before that, narrow that, or remove it",
				SPAN_ARG(g->name), SPAN_ARG(before->name), before->line);
			break;
		}
	}
}

/* ---- Senders of foreign domains ---- */

/* May some domain below d be an accepted one? */
static bool
has_accepted_below(const struct policy *p, struct span d)
{
	for (size_t i = 0; i < p->domain_count; i++) {
		struct span name = p->domains[i].name;

		if (span_ends_fold(name, d) &&
		    (name.len == d.len || name.ptr[name.len - d.len - 1] == '.'))
			return true;
	}
	/* "*.example.com" also holds all that is below d.example.com */
	for (size_t i = 0; i < p->domain_count; i++) {
		struct span name = p->domains[i].name;

		if (name.len > 2 && name.ptr[0] == '*' &&
		    span_ends_fold(d, span_skip(name, 1)))
			return true;
	}
	return false;
}

static bool
is_foreign(const struct policy *p, struct span text)
{
	struct pattern pattern;

	if (pattern_parse(text, &pattern) != NULL || pattern.kind == PATTERN_ANY ||
	    pattern.kind == PATTERN_NULL || pattern.key.kind != ADDRESS_DOMAIN)
		return false;
	if (pattern.kind == PATTERN_BELOW)
		return !has_accepted_below(p, pattern_key(&pattern));
	return !policy_is_accepted_domain(p, address_key_domain(&pattern.key));
}

static void
lint_senders(const struct lint *lint, const struct grant_source *g)
{
	size_t count = 0, first = 0;

	if (lint->policy->domain_count == 0)
		return;
	for (size_t i = g->senders.count; i-- > 0;) {
		if (is_foreign(lint->policy, g->senders.items[i])) {
			first = i;
			count++;
		}
	}
	if (count > 0)
		warn_at(lint, g->file, g->line,
			"grant \"" SPAN_FMT "\" has senders outside every accepted "
					    "domain (%zu, as \"" SPAN_FMT "\"): answers "
									  "and bounces "
									  "to them do "
									  "not come "
									  "here; add an "
			"accepted-domain if it is yours",
			SPAN_ARG(g->name), count, SPAN_ARG(g->senders.items[first]));
}

/* ---- Open relays that no single grant is ---- */

struct openness {
	const struct policy *policy;
	const uint64_t *grants; /* anonymous, any recipient, one connector's */
	uint64_t v4_held;
	bool has_v6_hole;
};

static void
openness_add(void *context, uint32_t nothing, uint32_t number, uint64_t v4_count)
{
	struct openness *open = context;
	const struct policy *p = open->policy;
	const struct grant_set *set = &p->networks.rules[number].permits;
	bool is_held = false;

	(void)nothing;
	for (size_t i = 0; i < p->words && !is_held; i++)
		is_held = (p->networks.unstated[i] & open->grants[i]) != 0;
	for (size_t i = 0; i < set->count && !is_held; i++)
		is_held = (set->words[i] & open->grants[set->first + i]) != 0;
	if (v4_count == 0)
		open->has_v6_hole |= !is_held;
	else if (is_held)
		open->v4_held += v4_count;
}

static void
lint_openness(const struct lint *lint)
{
	static const struct network_table none = { .v4_count = 0 };
	const struct policy *p = lint->policy;
	uint64_t anonymous[GRANT_WORDS_MAX], here[GRANT_WORDS_MAX];

	anonymous_grants_find(p, anonymous);
	for (size_t i = 0; i < p->connector_count; i++) {
		const struct connector_source *k = &p->connectors[i];
		struct openness open = { .policy = p, .grants = here };

		bitmap_copy(here, anonymous, p->words);
		bitmap_and(here, p->connector_grants[i], p->words);
		if (bitmap_next(here, p->words, 0) == SIZE_MAX)
			continue;
		network_tables_meet(&none, &p->network_table, openness_add, &open);
		bool is_open =
		    (p->connector_is_all_v6[i] && !open.has_v6_hole) ||
		    (p->connector_is_all_v4[i] && open.v4_held == UINT64_C(1) << 32);

		if (is_open)
			warn_at(lint, k->file, k->line,
				"connector \"" SPAN_FMT "\" is an open relay: its grants "
							"together let any "
				"network send to any recipient without a login or "
				"certificate; narrow "
				"their networks or recipients",
				SPAN_ARG(k->name));
		else if (p->connector_is_all_v4[i] && open.v4_held > UINT64_C(1) << 31)
			warn_at(lint, k->file, k->line,
				"connector \"" SPAN_FMT "\" is nearly an open relay: its "
							"grants together let "
				"more than half of all IPv4 addresses send to any "
				"recipient without a "
				"login or certificate; narrow their networks or "
				"recipients",
				SPAN_ARG(k->name));
	}
}

void
policy_lint(const struct policy *p, int64_t now_ms, policy_complain *complain,
	    void *context)
{
	const struct lint lint = {
		.policy = p,
		.now_ms = now_ms,
		.complain = complain,
		.context = context,
	};

	lint_connectors(&lint);
	go_betweens_lint(p, complain, context);
	for (size_t i = 0; i < p->grant_count; i++) {
		lint_dates(&lint, &p->grants[i]);
		lint_senders(&lint, &p->grants[i]);
	}
	lint_reach(&lint);
	lint_shadows(&lint);
	lint_openness(&lint);
	lint_tables(&lint);
}
