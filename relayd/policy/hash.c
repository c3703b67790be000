/* SPDX-License-Identifier: ISC */
/* The hash of what a policy means: all of its source but files and lines. */
#include "policy/policy_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static void
hash_number(XXH3_state_t *state, uint64_t number)
{
	(void)XXH3_64bits_update(state, &number, sizeof(number));
}

static void
hash_text(XXH3_state_t *state, struct span text)
{
	hash_number(state, text.len);
	if (text.len > 0)
		(void)XXH3_64bits_update(state, text.ptr, text.len);
}

static void
hash_list(XXH3_state_t *state, const struct text_list *list)
{
	hash_number(state, list->count);
	for (size_t i = 0; i < list->count; i++)
		hash_text(state, list->items[i]);
}

static void
hash_grant(XXH3_state_t *state, const struct grant_source *g)
{
	const struct span texts[] = { g->name, g->owner, g->ticket, g->route,
				      g->rewrite_sender, g->bounce_to };
	const struct text_list lists[] = { g->connectors,	g->users,
					   g->networks,		g->certificates,
					   g->senders,		g->recipients,
					   g->except_networks,	g->except_senders,
					   g->except_recipients, g->sender_map };
	const uint64_t numbers[] = { g->requires_tls,	     g->takes_routed,
				     g->header_from,
				     g->requires_evidence,
				     (uint64_t)g->starts_ms,
				     (uint64_t)g->expires_ms,
				     g->mode,
				     (uint64_t)g->monitor_until_ms,
				     g->is_open_relay_accepted,
				     g->limit_count };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		hash_text(state, texts[i]);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		hash_list(state, &lists[i]);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		hash_number(state, numbers[i]);
	for (size_t i = 0; i < g->limit_count; i++) {
		hash_number(state, g->limits[i].count);
		hash_number(state, g->limits[i].unit);
		hash_number(state, g->limits[i].key);
		hash_number(state, g->limits[i].window_s);
	}
}

static void
hash_connector(XXH3_state_t *state, const struct connector_source *k)
{
	hash_text(state, k->name);
	hash_list(state, &k->remote_ranges);
	for (size_t i = 0; i < ARRAY_LEN(k->go_betweens); i++)
		hash_list(state, &k->go_betweens[i]);
	hash_number(state, k->can_authenticate);
	hash_number(state, k->tls);
	hash_number(state, k->mode);
	hash_number(state, (uint64_t)k->monitor_until_ms);
	hash_number(state, k->binding_count);
	for (size_t i = 0; i < k->binding_count; i++) {
		(void)XXH3_64bits_update(state, k->bindings[i].ip.bytes,
					 sizeof(k->bindings[i].ip.bytes));
		hash_number(state, k->bindings[i].port);
	}
}

void
policy_source_hash(const struct policy_source *s, char out[17])
{
	XXH3_state_t *state = XXH3_createState();

	if (state == NULL)
		abort(); /* out of memory, like everywhere */
	(void)XXH3_64bits_reset(state);
	hash_text(state, s->realm);
	hash_number(state, s->connector_count);
	for (size_t i = 0; i < s->connector_count; i++)
		hash_connector(state, &s->connectors[i]);
	hash_number(state, s->grant_count);
	for (size_t i = 0; i < s->grant_count; i++)
		hash_grant(state, &s->grants[i]);
	hash_number(state, s->domain_count);
	for (size_t i = 0; i < s->domain_count; i++) {
		hash_text(state, s->domains[i].name);
		hash_number(state, s->domains[i].type);
	}
	hash_number(state, s->table_count);
	for (size_t i = 0; i < s->table_count; i++) {
		hash_text(state, s->tables[i].name);
		hash_number(state, s->tables[i].type);
		hash_list(state, &s->tables[i].entries);
	}
	(void)snprintf(out, 17, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(state));
	(void)XXH3_freeState(state);
}
