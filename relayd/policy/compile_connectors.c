/* SPDX-License-Identifier: ISC */
/* Connectors: who takes which client where, most specific first; overlaps are errors. */
#include "policy/compile_private.h"

#include "base/memory.h"

#include <stdlib.h>

#define COMPLAINT_MAX 512

static int
binding_rank(const struct ip_endpoint *local)
{
	static const struct ip none = { { 0 } };

	if (ip_compare(&local->ip, &none) == 0)
		return 2;
	return ip_is_v4(&local->ip) && memcmp(local->ip.bytes + 12, none.bytes, 4) == 0;
}

static int
binding_compare(const void *a, const void *b)
{
	const struct binding *x = a, *y = b;
	int order = binding_rank(&x->local) - binding_rank(&y->local);

	if (order == 0)
		order = ip_compare(&x->local.ip, &y->local.ip);
	if (order == 0)
		order = (x->local.port > y->local.port) - (x->local.port < y->local.port);
	return order;
}

static bool
connector_has_binding(const struct connector_source *connector,
		      const struct ip_endpoint *local)
{
	for (size_t i = 0; i < connector->binding_count; i++) {
		if (connector->bindings[i].port == local->port &&
		    ip_compare(&connector->bindings[i].ip, &local->ip) == 0)
			return true;
	}
	return false;
}

/* Do the same connectors listen at both? Then they share one table of clients. */
static bool
bindings_are_alike(const struct policy *p, const struct binding *a,
		   const struct binding *b)
{
	for (size_t i = 0; i < p->connector_count; i++) {
		if (connector_has_binding(&p->connectors[i], &a->local) !=
		    connector_has_binding(&p->connectors[i], &b->local))
			return false;
	}
	return true;
}

static void
complain_overlap(struct compiler *c, const struct binding *binding,
		 const struct owned_range *a, const struct owned_range *b)
{
	const struct connector_source *x = &c->policy->connectors[a->owner];
	const struct connector_source *y = &c->policy->connectors[b->owner];
	bool is_same = ip_compare(&a->range.first, &b->range.first) == 0 &&
		       ip_compare(&a->range.last, &b->range.last) == 0;
	struct place place = connector_place(y);
	char endpoint[IP_ENDPOINT_SIZE];
	struct buffer text;

	buffer_init(&text, COMPLAINT_MAX);
	ip_endpoint_text(&binding->local, endpoint);
	(void)buffer_append_text(&text, "option 'remote-ip-ranges': ");
	(void)ip_range_text(&b->range, &text);
	(void)buffer_append_text(&text, is_same ? " is also" : " overlaps with ");
	if (!is_same)
		(void)ip_range_text(&a->range, &text);
	(void)buffer_printf(
	    &text, " a range of connector \"" SPAN_FMT "\" (%s:%u) at %s; ",
	    SPAN_ARG(x->name), x->file == NULL ? "?" : x->file, x->line, endpoint);
	(void)buffer_append_text(&text, is_same ? "give it to one of them" :
						  "make one hold the other, or keep them "
						  "apart");
	complain_at(c, true, &place, "%s", buffer_text(&text));
	buffer_reset(&text);
}

static void
connector_ranges_read(struct compiler *c, size_t connector, struct range_list *out)
{
	static const struct ip_range everything = {
		{ { 0 } },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff, 0xff, 0xff } },
	};
	const struct connector_source *source = &c->policy->connectors[connector];
	struct place place = connector_place(source);

	if (source->remote_ranges.count == 0)
		range_list_add(out, &everything, (uint32_t)connector);
	for (size_t i = 0; i < source->remote_ranges.count; i++)
		network_item_read(c, &place, "remote-ip-ranges",
				  source->remote_ranges.items[i], out,
				  (uint32_t)connector);
}

static void
bindings_collect(struct policy *p)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < p->connector_count; i++)
		count += p->connectors[i].binding_count;
	p->bindings = arena_new_array(&p->arena, count, sizeof(*p->bindings));
	for (size_t i = 0, at = 0; i < p->connector_count; i++) {
		for (size_t j = 0; j < p->connectors[i].binding_count; j++)
			p->bindings[at++].local = p->connectors[i].bindings[j];
	}
	if (count > 0)
		qsort(p->bindings, count, sizeof(*p->bindings), binding_compare);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 ||
		    binding_compare(&p->bindings[kept - 1], &p->bindings[i]) != 0)
			p->bindings[kept++] = p->bindings[i];
	}
	p->binding_count = kept;
}

/* Who takes which client at the i-th binding. */
static void
binding_compile(struct compiler *c, size_t i)
{
	struct policy *p = c->policy;
	struct binding *binding = &p->bindings[i];
	struct range_list all = { .items = NULL };
	struct owned_range a, b;

	for (size_t j = 0; j < i && binding->clients == NULL; j++) {
		if (bindings_are_alike(p, binding, &p->bindings[j]))
			binding->clients = p->bindings[j].clients;
	}
	if (binding->clients != NULL)
		return;
	for (size_t k = 0; k < p->connector_count; k++) {
		bool is_here = connector_has_binding(&p->connectors[k], &binding->local);

		for (size_t r = 0; is_here && r < c->clients[k].count; r++)
			range_list_add(&all, &c->clients[k].items[r].range, (uint32_t)k);
	}
	struct network_table *table = &p->client_tables[p->client_table_count++];

	binding->clients = table;
	if (!network_table_build_nested(table, &all, &a, &b))
		complain_overlap(c, binding, &a, &b);
	range_list_reset(&all);
}

void
connectors_compile(struct compiler *c)
{
	struct policy *p = c->policy;
	size_t count = p->connector_count;

	c->clients = memory_new_array(count + 1, sizeof(*c->clients));
	p->connector_is_all_v4 = arena_new_array(&p->arena, count, sizeof(bool));
	p->connector_is_all_v6 = arena_new_array(&p->arena, count, sizeof(bool));
	for (size_t i = 0; i < count; i++) {
		const struct connector_source *connector = &p->connectors[i];
		struct place place = connector_place(connector);

		connector_ranges_read(c, i, &c->clients[i]);
		p->connector_is_all_v4[i] = range_list_is_all_v4(&c->clients[i]);
		p->connector_is_all_v6[i] = range_list_is_all_v6(&c->clients[i]);
		if (connector->mode != MODE_MONITOR && connector->monitor_until_ms != 0)
			complain_at(c, true, &place,
				    "option 'monitor-until' has no meaning without mode "
				    "= "
				    "\"monitor\"; add that or take it out");
	}
	bindings_collect(p);
	p->client_tables =
	    arena_new_array(&p->arena, p->binding_count, sizeof(*p->client_tables));
	for (size_t i = 0; i < p->binding_count; i++)
		binding_compile(c, i);
}
