/* SPDX-License-Identifier: ISC */
/*
 * From what the configuration says to a policy. Everything that is wrong is told, with where
 * it stands and what to write instead; only then is the policy refused.
 */
#include "policy/compile_private.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

/* ---- Copies ---- */

static struct text_list
list_copy(struct arena *arena, struct text_list list)
{
	struct span *items = arena_new_array(arena, list.count, sizeof(*items));

	for (size_t i = 0; i < list.count; i++)
		items[i] = arena_copy(arena, list.items[i]);
	return (struct text_list){ items, list.count };
}

static void
grant_copy(struct arena *arena, struct grant_source *g)
{
	struct limit_source *limits =
	    arena_new_array(arena, g->limit_count, sizeof(*limits));

	if (g->limit_count > 0)
		memcpy(limits, g->limits, g->limit_count * sizeof(*limits));
	g->limits = limits;
	g->name = arena_copy(arena, g->name);
	g->owner = arena_copy(arena, g->owner);
	g->ticket = arena_copy(arena, g->ticket);
	g->route = arena_copy(arena, g->route);
	g->rewrite_sender = arena_copy(arena, g->rewrite_sender);
	g->bounce_to = arena_copy(arena, g->bounce_to);
	g->sender_map = list_copy(arena, g->sender_map);
	g->file = g->file == NULL ? NULL : arena_copy_text(arena, span_of(g->file));
	g->connectors = list_copy(arena, g->connectors);
	g->users = list_copy(arena, g->users);
	g->networks = list_copy(arena, g->networks);
	g->certificates = list_copy(arena, g->certificates);
	g->senders = list_copy(arena, g->senders);
	g->recipients = list_copy(arena, g->recipients);
	g->except_networks = list_copy(arena, g->except_networks);
	g->except_senders = list_copy(arena, g->except_senders);
	g->except_recipients = list_copy(arena, g->except_recipients);
}

static void
connector_copy(struct arena *arena, struct connector_source *k)
{
	struct ip_endpoint *bindings =
	    arena_new_array(arena, k->binding_count, sizeof(*bindings));

	if (k->binding_count > 0)
		memcpy(bindings, k->bindings, k->binding_count * sizeof(*bindings));
	k->bindings = bindings;
	k->name = arena_copy(arena, k->name);
	k->remote_ranges = list_copy(arena, k->remote_ranges);
	for (size_t i = 0; i < ARRAY_LEN(k->go_betweens); i++)
		k->go_betweens[i] = list_copy(arena, k->go_betweens[i]);
	k->file = k->file == NULL ? NULL : arena_copy_text(arena, span_of(k->file));
}

static void
source_copy(struct compiler *c)
{
	struct policy *p = c->policy;
	const struct policy_source *s = c->source;

	p->realm = arena_copy(&p->arena, s->realm);
	p->grants = arena_new_array(&p->arena, s->grant_count, sizeof(*p->grants));
	p->connectors =
	    arena_new_array(&p->arena, s->connector_count, sizeof(*p->connectors));
	p->domains = arena_new_array(&p->arena, s->domain_count, sizeof(*p->domains));
	p->tables = arena_new_array(&p->arena, s->table_count, sizeof(*p->tables));
	p->grant_count = s->grant_count;
	p->connector_count = s->connector_count;
	p->domain_count = s->domain_count;
	p->table_count = s->table_count;
	p->words = (s->grant_count + 63) / 64;
	for (size_t i = 0; i < s->grant_count; i++) {
		p->grants[i] = s->grants[i];
		grant_copy(&p->arena, &p->grants[i]);
	}
	for (size_t i = 0; i < s->connector_count; i++) {
		p->connectors[i] = s->connectors[i];
		connector_copy(&p->arena, &p->connectors[i]);
	}
	for (size_t i = 0; i < s->domain_count; i++) {
		p->domains[i] = s->domains[i];
		p->domains[i].name = arena_copy(&p->arena, s->domains[i].name);
	}
	for (size_t i = 0; i < s->table_count; i++) {
		p->tables[i].name = arena_copy(&p->arena, s->tables[i].name);
		p->tables[i].file = arena_copy(&p->arena, s->tables[i].file);
		p->tables[i].line = s->tables[i].line;
	}
}

/* ---- Names ---- */

/* Put a title in; complain when it is empty or stood there before. */
static void
name_add(struct compiler *c, struct table *names, const struct place *place, void *value)
{
	if (place->name.len == 0) {
		complain_at(c, true, place,
			    "a %s needs a name; write %s \"name\" { ... }", place->kind,
			    place->kind);
		return;
	}
	if (table_find(names, place->name) != NULL) {
		complain_at(c, true, place,
			    "there is another %s of this name; rename one of them",
			    place->kind);
		return;
	}
	(void)table_put(names, place->name, value);
}

static void
names_collect(struct compiler *c)
{
	struct policy *p = c->policy;

	table_init(&p->grant_names, p->grant_count);
	table_init(&p->connector_names, p->connector_count);
	table_init(&c->table_names, p->table_count);
	for (size_t i = 0; i < p->grant_count; i++) {
		struct place place = grant_place(&p->grants[i]);

		name_add(c, &p->grant_names, &place, &p->grants[i]);
	}
	for (size_t i = 0; i < p->connector_count; i++) {
		struct place place = connector_place(&p->connectors[i]);

		name_add(c, &p->connector_names, &place, &p->connectors[i]);
	}
	c->tables = memory_new_array(p->table_count + 1, sizeof(*c->tables));
	for (size_t i = 0; i < p->table_count; i++) {
		struct place place = { NULL, p->tables[i].line, "table",
				       p->tables[i].name };

		c->tables[i] = (struct table_state){
			.source = &c->source->tables[i],
			.seen = &p->tables[i],
			.group = NO_GROUP,
		};
		name_add(c, &c->table_names, &place, &c->tables[i]);
	}
}

/* ---- Accepted domains ---- */

/* "example.com" or "*.example.com" as a pattern. */
const char *
accepted_pattern_make(struct span name, struct pattern *pattern)
{
	char text[DOMAIN_MAX + 3];

	if (name.len == 0 || name.len > DOMAIN_MAX + 2)
		return "write a domain, as in \"example.com\"";
	text[0] = '@';
	memcpy(text + 1, name.ptr, name.len);
	return pattern_parse((struct span){ text, name.len + 1 }, pattern);
}

static void
domains_compile(struct compiler *c)
{
	struct policy *p = c->policy;

	for (size_t i = 0; i < p->domain_count; i++) {
		struct place place = { NULL, p->domains[i].line, "accepted-domain",
				       p->domains[i].name };
		struct pattern pattern;
		const char *cure = accepted_pattern_make(p->domains[i].name, &pattern);

		if (cure != NULL) {
			complain_at(c, true, &place,
				    "this is not a domain; write \"example.com\", or "
				    "\"*.example.com\" for the domains below it");
			continue;
		}
		uint32_t *value = pattern_table_put(&p->accepted, &pattern);

		if (*value != 0)
			complain_at(c, true, &place,
				    "the domain is written twice; remove one of the two");
		*value = (uint32_t)i + 1;
	}
}

/* ---- Open relays ---- */

static void
open_relays_check(struct compiler *c)
{
	struct policy *p = c->policy;
	uint64_t open[GRANT_WORDS_MAX];

	open_relays_find(p, c->clients, open);
	for (size_t i = bitmap_next(open, p->words, 0); i != SIZE_MAX;
	     i = bitmap_next(open, p->words, i + 1)) {
		struct place place = grant_place(&p->grants[i]);

		if (p->grants[i].is_open_relay_accepted)
			complain_at(c, false, &place,
				    "this is an open relay: anybody may send to anybody "
				    "through it; it "
				    "is loaded because of open-relay = \"I know\"");
		else
			complain_at(c, true, &place,
				    "this is an open relay: any network may send to any "
				    "recipient "
				    "without a login or certificate; write 'networks', "
				    "'users' or "
				    "'certificates', or other recipients than \"*\", or, "
				    "if you mean it, "
				    "open-relay = \"I know\"");
	}
}

/* ---- Public ---- */

static void
compile(struct compiler *c)
{
	struct policy *p = c->policy;

	names_collect(c);
	domains_compile(c);
	connectors_compile(c);
	go_betweens_compile(c);
	grants_compile(c);
	open_relays_check(c);
	policy_source_hash(c->source, p->hash);
	for (size_t i = 0; i < p->connector_count; i++)
		range_list_reset(&c->clients[i]);
	free(c->clients);
	for (size_t i = 0; i < p->table_count; i++)
		free(c->tables[i].ranges);
	free(c->tables);
	table_reset(&c->table_names);
	range_list_reset(&c->ranges);
}

struct policy *
policy_new(const struct policy_source *source, policy_complain *complain, void *context)
{
	struct policy *p = memory_new(sizeof(*p));
	struct compiler c = {
		.source = source,
		.policy = p,
		.complain = complain,
		.context = context,
	};

	arena_init(&p->arena, 1U << 14);
	if (source->grant_count > GRANTS_MAX) {
		complain_text(&c, true, source->grants[GRANTS_MAX].file,
			      source->grants[GRANTS_MAX].line,
			      "there are more than 16384 grants; join those of one "
			      "application and put "
			      "their networks, users, senders and recipients into "
			      "tables");
		policy_free(&p);
		return NULL;
	}
	source_copy(&c);
	compile(&c);
	if (c.error_count > 0)
		policy_free(&p);
	return p;
}

void
policy_free(struct policy **policy)
{
	struct policy *p = *policy;

	if (p == NULL)
		return;
	*policy = NULL;
	for (size_t i = 0; i < p->client_table_count; i++)
		network_table_reset(&p->client_tables[i]);
	go_betweens_reset(p);
	network_table_reset(&p->network_table);
	key_table_reset(&p->user_keys);
	key_table_reset(&p->certificate_keys);
	pattern_table_reset(&p->sender_table);
	pattern_table_reset(&p->recipient_table);
	pattern_table_reset(&p->accepted);
	table_reset(&p->grant_names);
	table_reset(&p->connector_names);
	arena_reset(&p->arena);
	free(p);
}
