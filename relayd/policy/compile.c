/* SPDX-License-Identifier: ISC */
/*
 * From what the configuration says to a policy. Everything that is wrong is told, with where
 * it stands and what to write instead; only then is the policy refused.
 */
#include "policy/policy_private.h"

#include "base/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPLAINT_MAX	 512
#define TABLE_ERRORS_MAX 20 /* told of one table; then only counted */
#define NO_GROUP	 UINT32_MAX
#define DISTANCE_MAX	 64 /* octets of names that are compared for "did you mean" */

/* A table while it is compiled: its group in the conditions where it is used. */
struct table_state {
	const struct table_source *source;
	struct table_seen *seen;
	uint32_t group;		  /* in its condition, or NO_GROUP */
	struct ip_range *ranges; /* TABLE_NETWORK, once read */
	size_t range_count;
	bool is_read;
};

/* A condition whose entries are keys: each key has a list of groups until the end. */
struct keyed_builder {
	struct condition_builder condition;
	struct key_link {
		uint32_t group;
		uint32_t next;
	} *links; /* link 0 is none */
	size_t link_count;
	size_t link_room;
};

struct compiler {
	const struct policy_source *source;
	struct policy *policy;
	policy_complain *complain;
	void *context;
	unsigned error_count;
	struct table_state *tables;
	struct table table_names; /* -> struct table_state */
	struct condition_builder networks;
	struct range_list ranges;   /* owner: group of networks */
	struct range_list *clients; /* of each connector */
	struct keyed_builder users;
	struct keyed_builder certificates;
	struct keyed_builder senders;
	struct keyed_builder recipients;
	uint32_t accepted_group[2]; /* "accepted-domains" in senders and recipients */
};

/* Where a complaint belongs. */
struct place {
	const char *file;
	unsigned line;
	const char *kind; /* "grant" */
	struct span name;
};

/* ---- Complaining ---- */

static void
complain_text(struct compiler *c, bool is_error, const char *file, unsigned line,
	      const char *text)
{
	c->error_count += is_error;
	if (c->complain != NULL)
		c->complain(c->context, is_error, file, line, text);
}

static void complain_at(struct compiler *c, bool is_error, const struct place *place,
			const char *format, ...) PRINTF_LIKE(4, 5);

static void
complain_at(struct compiler *c, bool is_error, const struct place *place, const char *format,
	    ...)
{
	char text[COMPLAINT_MAX];
	va_list args;
	int used = snprintf(text, sizeof(text), "%s \"" SPAN_FMT "\": ", place->kind,
			    SPAN_ARG(place->name));

	if (used < 0 || (size_t)used >= sizeof(text))
		used = 0;
	va_start(args, format);
	(void)vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
	va_end(args);
	complain_text(c, is_error, place->file, place->line, text);
}

static struct place
grant_place(const struct grant_source *grant)
{
	return (struct place){ grant->file, grant->line, "grant", grant->name };
}

static struct place
connector_place(const struct connector_source *connector)
{
	return (struct place){ connector->file, connector->line, "connector", connector->name };
}

/* How many letters must change to make b of a; at most DISTANCE_MAX of each are looked at. */
static size_t
edit_distance(struct span a, struct span b)
{
	size_t row[DISTANCE_MAX + 1];

	a = span_first(a, DISTANCE_MAX);
	b = span_first(b, DISTANCE_MAX);
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			bool is_same = ascii_lower(a.ptr[i - 1]) == ascii_lower(b.ptr[j - 1]);
			size_t best = diagonal + !is_same;

			best = row[j] + 1 < best ? row[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b.len];
}

/* The name in the table that was probably meant; empty when none is near. */
static struct span
name_guess(const struct table *names, struct span name)
{
	const struct table_entry *entry;
	struct span best = { "", 0 };
	size_t best_distance = name.len / 3 + 2, at = 0;

	while ((entry = table_next(names, &at)) != NULL) {
		size_t distance = edit_distance(entry->key, name);

		if (distance < best_distance ||
		    (distance == best_distance && best.len > 0 &&
		     span_compare(entry->key, best) < 0)) {
			best_distance = distance;
			best = entry->key;
		}
	}
	return best;
}

static void
complain_unknown(struct compiler *c, const struct place *place, const char *option,
		 const char *what, const struct table *names, struct span name)
{
	struct span guess = name_guess(names, name);

	if (guess.len > 0)
		complain_at(c, true, place,
			    "option '%s': there is no %s \"" SPAN_FMT "\"; did you mean \"" SPAN_FMT
			    "\"?",
			    option, what, SPAN_ARG(name), SPAN_ARG(guess));
	else
		complain_at(c, true, place,
			    "option '%s': there is no %s \"" SPAN_FMT
			    "\"; write a section %s \"" SPAN_FMT "\" { ... } or correct the name",
			    option, what, SPAN_ARG(name), what, SPAN_ARG(name));
}

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
	struct limit_source *limits = arena_new_array(arena, g->limit_count, sizeof(*limits));

	if (g->limit_count > 0)
		memcpy(limits, g->limits, g->limit_count * sizeof(*limits));
	g->limits = limits;
	g->name = arena_copy(arena, g->name);
	g->owner = arena_copy(arena, g->owner);
	g->ticket = arena_copy(arena, g->ticket);
	g->route = arena_copy(arena, g->route);
	g->rewrite_sender = arena_copy(arena, g->rewrite_sender);
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
	k->file = k->file == NULL ? NULL : arena_copy_text(arena, span_of(k->file));
}

static void
source_copy(struct compiler *c)
{
	struct policy *p = c->policy;
	const struct policy_source *s = c->source;

	p->realm = arena_copy(&p->arena, s->realm);
	p->grants = arena_new_array(&p->arena, s->grant_count, sizeof(*p->grants));
	p->connectors = arena_new_array(&p->arena, s->connector_count, sizeof(*p->connectors));
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
		complain_at(c, true, place, "a %s needs a name; write %s \"name\" { ... }",
			    place->kind, place->kind);
		return;
	}
	if (table_find(names, place->name) != NULL) {
		complain_at(c, true, place, "there is another %s of this name; rename one of them",
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
		struct place place = { NULL, p->tables[i].line, "table", p->tables[i].name };

		c->tables[i] = (struct table_state){
			.source = &c->source->tables[i],
			.seen = &p->tables[i],
			.group = NO_GROUP,
		};
		name_add(c, &c->table_names, &place, &c->tables[i]);
	}
}

/* ---- Tables ---- */

static const char *
table_type_name(enum table_type type)
{
	static const char *const names[] = {
		[TABLE_NETWORK] = "network",
		[TABLE_SENDER] = "sender",
		[TABLE_RECIPIENT] = "recipient",
		[TABLE_USER] = "user",
	};

	return names[type];
}

/* A bad line of a table; only the first few are told. */
static void
complain_entry(struct compiler *c, const struct table_state *table, size_t entry,
	       unsigned *count, const char *cure)
{
	const struct table_source *source = table->source;
	char file[COMPLAINT_MAX], text[COMPLAINT_MAX];

	if (++*count > TABLE_ERRORS_MAX) {
		c->error_count++;
		return;
	}
	(void)snprintf(file, sizeof(file), SPAN_FMT, SPAN_ARG(source->file));
	(void)snprintf(text, sizeof(text), "table \"" SPAN_FMT "\": \"" SPAN_FMT "\" is not a %s; %s",
		       SPAN_ARG(source->name), SPAN_ARG(span_first(source->entries.items[entry], 100)),
		       table_type_name(source->type), cure);
	complain_text(c, true, file, source->lines == NULL ? 0 : source->lines[entry], text);
}

static void
complain_entries_left(struct compiler *c, const struct table_state *table, unsigned count)
{
	struct place place = { NULL, table->source->line, "table", table->source->name };

	if (count > TABLE_ERRORS_MAX)
		complain_at(c, true, &place, "and %u bad lines more", count - TABLE_ERRORS_MAX);
}

/* The table that a list names, when it is one of this type; otherwise complain and NULL. */
static struct table_state *
table_of(struct compiler *c, const struct place *place, const char *option, struct span name,
	 enum table_type type)
{
	struct table_state *table = table_find(&c->table_names, name);

	if (table == NULL) {
		complain_unknown(c, place, option, "table", &c->table_names, name);
		return NULL;
	}
	if (table->source->type != type) {
		complain_at(c, true, place,
			    "option '%s': table \"" SPAN_FMT
			    "\" is of type \"%s\"; here one of type \"%s\" is needed",
			    option, SPAN_ARG(name), table_type_name(table->source->type),
			    table_type_name(type));
		return NULL;
	}
	table->seen->is_used = true;
	return table;
}

#define RANGE_CURE                                                                            \
	"write an address (10.20.1.7), a prefix (10.20.0.0/16, 2001:db8::/32) or a range "     \
	"(10.20.1.1-10.20.1.40)"

static void
table_ranges_read(struct compiler *c, struct table_state *table)
{
	const struct text_list *entries = &table->source->entries;
	unsigned bad = 0;

	if (table->is_read)
		return;
	table->is_read = true;
	table->ranges = memory_new_array(entries->count + 1, sizeof(*table->ranges));
	for (size_t i = 0; i < entries->count; i++) {
		if (ip_range_parse(span_trim(entries->items[i]),
				   &table->ranges[table->range_count]) == PARSE_OK)
			table->range_count++;
		else
			complain_entry(c, table, i, &bad, RANGE_CURE);
	}
	complain_entries_left(c, table, bad);
}

/* One item of a list of networks: every range of it goes to `out`, owned by `owner`. */
static void
network_item_read(struct compiler *c, const struct place *place, const char *option,
		  struct span item, struct range_list *out, uint32_t owner)
{
	struct span name;
	struct ip_range range;

	if (table_reference_take(item, &name)) {
		struct table_state *table = table_of(c, place, option, name, TABLE_NETWORK);

		if (table == NULL)
			return;
		table_ranges_read(c, table);
		for (size_t i = 0; i < table->range_count; i++)
			range_list_add(out, &table->ranges[i], owner);
		return;
	}
	if (ip_range_parse(item, &range) == PARSE_OK)
		range_list_add(out, &range, owner);
	else
		complain_at(c, true, place,
			    "option '%s': \"" SPAN_FMT
			    "\" is not an IP address, prefix or range; " RANGE_CURE,
			    option, SPAN_ARG(item));
}

/* ---- Connectors ---- */

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
connector_has_binding(const struct connector_source *connector, const struct ip_endpoint *local)
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
bindings_are_alike(const struct policy *p, const struct binding *a, const struct binding *b)
{
	for (size_t i = 0; i < p->connector_count; i++) {
		if (connector_has_binding(&p->connectors[i], &a->local) !=
		    connector_has_binding(&p->connectors[i], &b->local))
			return false;
	}
	return true;
}

static void
complain_overlap(struct compiler *c, const struct binding *binding, const struct owned_range *a,
		 const struct owned_range *b)
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
	(void)buffer_printf(&text, " a range of connector \"" SPAN_FMT "\" (%s:%u) at %s; ",
			    SPAN_ARG(x->name), x->file == NULL ? "?" : x->file, x->line, endpoint);
	(void)buffer_append_text(&text, is_same ? "give it to one of them" :
						  "make one hold the other, or keep them apart");
	complain_at(c, true, &place, "%s", buffer_text(&text));
	buffer_reset(&text);
}

static void
connector_ranges_read(struct compiler *c, size_t connector, struct range_list *out)
{
	static const struct ip_range everything = {
		{ { 0 } },
		{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff, 0xff } },
	};
	const struct connector_source *source = &c->policy->connectors[connector];
	struct place place = connector_place(source);

	if (source->remote_ranges.count == 0)
		range_list_add(out, &everything, (uint32_t)connector);
	for (size_t i = 0; i < source->remote_ranges.count; i++)
		network_item_read(c, &place, "remote-ip-ranges", source->remote_ranges.items[i], out,
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
		if (kept == 0 || binding_compare(&p->bindings[kept - 1], &p->bindings[i]) != 0)
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

static void
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
				    "option 'monitor-until' has no meaning without mode = "
				    "\"monitor\"; add that or take it out");
	}
	bindings_collect(p);
	p->client_tables =
	    arena_new_array(&p->arena, p->binding_count, sizeof(*p->client_tables));
	for (size_t i = 0; i < p->binding_count; i++)
		binding_compile(c, i);
}

/* ---- Conditions whose entries are keys ---- */

static void
keyed_begin(struct keyed_builder *b, struct policy *p)
{
	*b = (struct keyed_builder){ .link_count = 1 };
	condition_begin(&b->condition, &p->arena, p->grant_count);
}

/* The key, whose value is the head of its list, stands in the group. */
static void
keyed_link(struct keyed_builder *b, uint32_t *head, uint32_t group)
{
	if (b->links != NULL && *head != 0 && b->links[*head].group == group)
		return; /* written twice */
	if (b->link_count >= b->link_room) {
		b->link_room = b->link_room == 0 ? 64 : b->link_room * 2;
		b->links = memory_resize(b->links, b->link_room, sizeof(*b->links));
	}
	b->links[b->link_count] = (struct key_link){ group, *head };
	*head = (uint32_t)b->link_count++;
}

static int
group_compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Every key's list of groups becomes its rule. */
static void
keyed_end(struct keyed_builder *b, struct key_table *keys, struct condition *condition)
{
	uint32_t *groups = memory_new_array(b->link_count + 1, sizeof(*groups));
	uint32_t *value;
	size_t at = 0;

	while ((value = key_table_next(keys, &at)) != NULL) {
		size_t count = 0, kept = 0;

		for (uint32_t link = *value; link != 0; link = b->links[link].next)
			groups[count++] = b->links[link].group;
		if (count > 1)
			qsort(groups, count, sizeof(*groups), group_compare);
		for (size_t i = 0; i < count; i++) {
			if (kept == 0 || groups[kept - 1] != groups[i])
				groups[kept++] = groups[i];
		}
		*value = condition_rule(&b->condition, groups, kept);
	}
	free(groups);
	free(b->links);
	condition_end(&b->condition, condition);
	key_table_trim(keys);
}

/* What adding one entry to a table of keys says: NULL, or the cure. */
typedef const char *entry_add(struct compiler *c, struct span text, uint32_t group);

static const char *
pattern_add(struct keyed_builder *b, struct pattern_table *table, struct span text,
	    uint32_t group)
{
	struct pattern pattern;
	const char *cure = pattern_parse(text, &pattern);

	if (cure == NULL && group != NO_GROUP)
		keyed_link(b, pattern_table_put(table, &pattern), group);
	return cure;
}

static const char *
sender_add(struct compiler *c, struct span text, uint32_t group)
{
	return pattern_add(&c->senders, &c->policy->sender_table, text, group);
}

static const char *
recipient_add(struct compiler *c, struct span text, uint32_t group)
{
	static const struct span null = SPAN_LITERAL("<>");

	if (span_equal(text, null))
		return "\"<>\" is a sender; no mail goes there";
	return pattern_add(&c->recipients, &c->policy->recipient_table, text, group);
}

static const char *
user_add(struct compiler *c, struct span text, uint32_t group)
{
	static const struct span any = SPAN_LITERAL("*"), in_realm = SPAN_LITERAL("*@");
	char key[LOGIN_MAX];
	size_t realm_at;
	struct key_table *keys = &c->policy->user_keys;
	uint32_t *head;

	if (span_equal(text, any)) {
		if (group != NO_GROUP)
			keyed_link(&c->users, key_table_put(keys, LOGIN_ANY, (struct span){ "", 0 }),
				   group);
		return NULL;
	}
	size_t len = login_key_make(c->policy->realm, text, key, &realm_at);

	if (len == 0)
		return "write a login (\"billing\", \"billing@realm\"), \"*@realm\" or \"*\"";
	if (span_starts_fold(text, in_realm)) {
		if (realm_at == len)
			return "write the realm after \"*@\"";
		if (group == NO_GROUP)
			return NULL;
		head = key_table_put(keys, LOGIN_REALM,
				     (struct span){ key + realm_at, len - realm_at });
	} else {
		if (span_find(text, '*') < text.len)
			return "a star stands for all logins (\"*\") or all of a realm (\"*@realm\")";
		if (group == NO_GROUP)
			return NULL;
		head = key_table_put(keys, LOGIN_EXACT, (struct span){ key, len });
	}
	keyed_link(&c->users, head, group);
	return NULL;
}

static const char *
certificate_add(struct compiler *c, struct span text, uint32_t group)
{
	char key[IDENTITY_MAX];
	size_t len = identity_key_make(text, key);

	if (len == 0)
		return "write \"sha256:\" and 64 hexadecimal digits, \"dns:name\", "
		       "\"email:address\" or \"cn:name\"";
	keyed_link(&c->certificates,
		   key_table_put(&c->policy->certificate_keys, LOGIN_EXACT,
				 (struct span){ key, len }),
		   group);
	return NULL;
}

/* One kind of list in a grant, and how its entries are read. */
struct list_kind {
	const char *option;
	const char *entry; /* what an entry is called */
	enum table_type table_type;
	bool takes_tables;
	bool takes_accepted_domains;
	entry_add *add;
};

static const struct list_kind list_kinds[] = {
	/* option	       an entry	      type of tables   tables accepted-domains  */
	{ "users",	       "a login",     TABLE_USER,      true,  false, user_add },
	{ "certificates",      "a certificate", TABLE_USER,    false, false, certificate_add },
	{ "senders",	       "a sender",    TABLE_SENDER,    true,  true,  sender_add },
	{ "except-senders",    "a sender",    TABLE_SENDER,    true,  true,  sender_add },
	{ "recipients",	       "a recipient", TABLE_RECIPIENT, true,  true,  recipient_add },
	{ "except-recipients", "a recipient", TABLE_RECIPIENT, true,  true,  recipient_add },
};

enum {
	LIST_USERS,
	LIST_CERTIFICATES,
	LIST_SENDERS,
	LIST_EXCEPT_SENDERS,
	LIST_RECIPIENTS,
	LIST_EXCEPT_RECIPIENTS,
};

/* Read a table into its condition, once; into no group, only to check it, when unused. */
static void
table_keys_read(struct compiler *c, struct table_state *table, entry_add *add)
{
	const struct text_list *entries = &table->source->entries;
	unsigned bad = 0;

	if (table->is_read)
		return;
	table->is_read = true;
	for (size_t i = 0; i < entries->count; i++) {
		const char *cure = add(c, span_trim(entries->items[i]), table->group);

		if (cure != NULL)
			complain_entry(c, table, i, &bad, cure);
	}
	complain_entries_left(c, table, bad);
}

/* The group of all accepted domains in senders or recipients, made when first used. */
static uint32_t
accepted_group(struct compiler *c, struct keyed_builder *b, const struct list_kind *kind,
	       const struct place *place)
{
	uint32_t *group = &c->accepted_group[b == &c->recipients];
	char text[DOMAIN_MAX + 2];

	if (c->policy->domain_count == 0)
		complain_at(c, false, place,
			    "option '%s': there are no accepted domains, so \"accepted-domains\" holds "
			    "nothing; write accepted-domain \"example.com\" { }",
			    kind->option);
	if (*group != NO_GROUP)
		return *group;
	*group = condition_group_new(&b->condition);
	for (size_t i = 0; i < c->policy->domain_count; i++) {
		struct span name = c->policy->domains[i].name;

		if (name.len > DOMAIN_MAX)
			continue;
		text[0] = '@';
		memcpy(text + 1, name.ptr, name.len);
		(void)kind->add(c, (struct span){ text, name.len + 1 }, *group); /* told elsewhere */
	}
	return *group;
}

static void
list_compile(struct compiler *c, struct keyed_builder *b, const struct list_kind *kind,
	     size_t grant, const struct text_list *list, bool is_except)
{
	struct place place = grant_place(&c->policy->grants[grant]);
	uint32_t own = NO_GROUP;

	for (size_t i = 0; i < list->count; i++) {
		struct span item = list->items[i], name;

		if (table_reference_take(item, &name) && kind->takes_tables) {
			struct table_state *table =
			    table_of(c, &place, kind->option, name, kind->table_type);

			if (table == NULL)
				continue;
			if (table->group == NO_GROUP)
				table->group = condition_group_new(&b->condition);
			table_keys_read(c, table, kind->add);
			condition_group_use(&b->condition, table->group, grant, is_except);
			continue;
		}
		if (kind->takes_accepted_domains && is_accepted_domains(item)) {
			condition_group_use(&b->condition, accepted_group(c, b, kind, &place), grant,
					    is_except);
			continue;
		}
		if (own == NO_GROUP) {
			own = condition_group_new(&b->condition);
			condition_group_use(&b->condition, own, grant, is_except);
		}
		const char *cure = kind->add(c, item, own);

		if (cure != NULL)
			complain_at(c, true, &place, "option '%s': \"" SPAN_FMT "\" is not %s; %s",
				    kind->option, SPAN_ARG(item), kind->entry, cure);
	}
}

/* ---- Grants ---- */

static void
networks_compile(struct compiler *c, size_t grant, const char *option,
		 const struct text_list *list, bool is_except)
{
	struct place place = grant_place(&c->policy->grants[grant]);
	uint32_t own = NO_GROUP;

	for (size_t i = 0; i < list->count; i++) {
		struct span item = list->items[i], name;

		if (table_reference_take(item, &name)) {
			struct table_state *table = table_of(c, &place, option, name, TABLE_NETWORK);

			if (table == NULL)
				continue;
			if (table->group == NO_GROUP) {
				table->group = condition_group_new(&c->networks);
				network_item_read(c, &place, option, item, &c->ranges, table->group);
			}
			condition_group_use(&c->networks, table->group, grant, is_except);
			continue;
		}
		if (own == NO_GROUP) {
			own = condition_group_new(&c->networks);
			condition_group_use(&c->networks, own, grant, is_except);
		}
		network_item_read(c, &place, option, item, &c->ranges, own);
	}
}

static void
grant_connectors_compile(struct compiler *c, size_t grant, uint64_t *unbound)
{
	struct policy *p = c->policy;
	const struct grant_source *g = &p->grants[grant];
	struct place place = grant_place(g);

	if (g->connectors.count == 0) {
		bitmap_set(unbound, grant);
		for (size_t i = 0; i < p->connector_count; i++)
			bitmap_set(p->connector_grants[i], grant);
	}
	for (size_t i = 0; i < g->connectors.count; i++) {
		size_t connector = policy_connector_find_name(p, g->connectors.items[i]);

		if (connector == NO_CONNECTOR)
			complain_unknown(c, &place, "connectors", "connector", &p->connector_names,
					 g->connectors.items[i]);
		else
			bitmap_set(p->connector_grants[connector], grant);
	}
}

/* What does not make sense in one grant alone. */
static void
grant_check(struct compiler *c, const struct grant_source *g)
{
	struct place place = grant_place(g);
	struct address address;

	if (g->senders.count == 0)
		complain_at(c, true, &place,
			    "option 'senders' is missing; write the addresses or domains that this "
			    "application sends from, as in senders = { \"@app.example.com\" }");
	if (g->recipients.count == 0)
		complain_at(c, true, &place,
			    "option 'recipients' is missing; write { \"*\" }, { \"accepted-domains\" } "
			    "or the addresses or domains that it may send to");
	if (g->expires_ms != 0 && g->expires_ms <= g->starts_ms)
		complain_at(c, true, &place,
			    "option 'expires' is not after 'starts', so it would never be valid; "
			    "write a later date");
	if (g->mode != MODE_MONITOR && g->monitor_until_ms != 0)
		complain_at(c, true, &place,
			    "option 'monitor-until' has no meaning without mode = \"monitor\"; add "
			    "that or take it out");
	if (g->rewrite_sender.len > 0 && mailbox_parse(g->rewrite_sender, &address) != PARSE_OK)
		complain_at(c, true, &place,
			    "option 'rewrite-sender': \"" SPAN_FMT
			    "\" is not an address; write one, as in \"noreply@example.com\"",
			    SPAN_ARG(g->rewrite_sender));
	for (size_t i = 0; i < g->limit_count; i++) {
		if (g->limits[i].count == 0 || g->limits[i].window_s == 0)
			complain_at(c, true, &place,
				    "option 'limits': a limit of nothing would refuse everything; write "
				    "as in \"600 messages/hour\", or remove the grant");
	}
}

static const uint64_t *
bitmap_where(struct policy *p, bool (*is_in)(const struct grant_source *g, unsigned of),
	     unsigned of)
{
	uint64_t *map = arena_new_array(&p->arena, p->words, sizeof(*map));

	for (size_t i = 0; i < p->grant_count; i++) {
		if (is_in(&p->grants[i], of))
			bitmap_set(map, i);
	}
	return map;
}

static bool
is_any_grant(const struct grant_source *g, unsigned of)
{
	(void)g;
	return of == 0;
}

static bool
is_identified(const struct grant_source *g, unsigned of)
{
	(void)of;
	return g->users.count > 0 || g->certificates.count > 0;
}

static bool
is_anonymous(const struct grant_source *g, unsigned of)
{
	return !is_identified(g, of);
}

static bool
is_needing_tls(const struct grant_source *g, unsigned of)
{
	(void)of;
	return g->requires_tls;
}

static bool
is_of_header_from(const struct grant_source *g, unsigned of)
{
	return (unsigned)g->header_from == of;
}

static bool
is_needing_evidence(const struct grant_source *g, unsigned of)
{
	return (g->requires_evidence & of) != 0;
}

static int
change_compare(const void *a, const void *b)
{
	const struct validity_change *x = a, *y = b;

	return (x->at_ms > y->at_ms) - (x->at_ms < y->at_ms);
}

static void
validity_compile(struct policy *p)
{
	struct validity *v = &p->validity;
	uint64_t *valid = arena_new_array(&p->arena, p->words, sizeof(*valid));

	v->changes = arena_new_array(&p->arena, p->grant_count * 2, sizeof(*v->changes));
	for (size_t i = 0; i < p->grant_count; i++) {
		const struct grant_source *g = &p->grants[i];

		if (g->starts_ms == 0)
			bitmap_set(valid, i);
		else
			v->changes[v->count++] =
			    (struct validity_change){ g->starts_ms, (uint32_t)i, true };
		if (g->expires_ms != 0)
			v->changes[v->count++] =
			    (struct validity_change){ g->expires_ms, (uint32_t)i, false };
	}
	if (v->count > 0)
		qsort(v->changes, v->count, sizeof(*v->changes), change_compare);
	v->sets =
	    arena_new_array(&p->arena, (v->count / VALIDITY_STEP + 1) * p->words, sizeof(uint64_t));
	for (size_t i = 0; i <= v->count; i++) {
		if (i % VALIDITY_STEP == 0)
			bitmap_copy(v->sets + i / VALIDITY_STEP * p->words, valid, p->words);
		if (i == v->count)
			break;
		if (v->changes[i].becomes_valid)
			bitmap_set(valid, v->changes[i].grant);
		else
			bitmap_clear(valid, v->changes[i].grant);
	}
}

static void
bitmaps_compile(struct policy *p)
{
	p->all = bitmap_where(p, is_any_grant, 0);
	p->identified = bitmap_where(p, is_identified, 0);
	p->anonymous = bitmap_where(p, is_anonymous, 0);
	p->needs_tls = bitmap_where(p, is_needing_tls, 0);
	for (size_t i = 0; i < p->grant_count; i++) {
		p->asks_header_from |= p->grants[i].header_from != HEADER_FROM_ANY;
		p->asks_evidence |= p->grants[i].requires_evidence != 0;
	}
	for (unsigned i = 0; i < ARRAY_LEN(p->header_from); i++)
		p->header_from[i] = bitmap_where(p, is_of_header_from, i);
	for (unsigned i = 0; i < EVIDENCE_COUNT; i++)
		p->needs_evidence[i] = bitmap_where(p, is_needing_evidence, 1U << i);
	p->connector_wants_login =
	    arena_new_array(&p->arena, p->connector_count, sizeof(*p->connector_wants_login));
	for (size_t i = 0; i < p->connector_count; i++) {
		bool has_any = false, has_open = false;

		for (size_t w = 0; w < p->words; w++) {
			has_any |= p->connector_grants[i][w] != 0;
			has_open |= (p->connector_grants[i][w] & ~p->identified[w]) != 0;
		}
		p->connector_wants_login[i] =
		    has_any && !has_open && p->connectors[i].can_authenticate;
	}
	validity_compile(p);
}

static void
grants_begin(struct compiler *c)
{
	struct policy *p = c->policy;

	condition_begin(&c->networks, &p->arena, p->grant_count);
	keyed_begin(&c->users, p);
	keyed_begin(&c->certificates, p);
	keyed_begin(&c->senders, p);
	keyed_begin(&c->recipients, p);
	c->accepted_group[0] = c->accepted_group[1] = NO_GROUP;
	p->connector_grants =
	    arena_new_array(&p->arena, p->connector_count, sizeof(*p->connector_grants));
	for (size_t i = 0; i < p->connector_count; i++)
		p->connector_grants[i] = arena_new_array(&p->arena, p->words, sizeof(uint64_t));
}

static void
grant_compile(struct compiler *c, size_t i)
{
	const struct grant_source *g = &c->policy->grants[i];

	grant_check(c, g);
	if (g->networks.count > 0)
		condition_state(&c->networks, i);
	if (g->users.count > 0)
		condition_state(&c->users.condition, i);
	if (g->certificates.count > 0)
		condition_state(&c->certificates.condition, i);
	condition_state(&c->senders.condition, i);
	condition_state(&c->recipients.condition, i);
	networks_compile(c, i, "networks", &g->networks, false);
	networks_compile(c, i, "except-networks", &g->except_networks, true);
	list_compile(c, &c->users, &list_kinds[LIST_USERS], i, &g->users, false);
	list_compile(c, &c->certificates, &list_kinds[LIST_CERTIFICATES], i, &g->certificates,
		     false);
	list_compile(c, &c->senders, &list_kinds[LIST_SENDERS], i, &g->senders, false);
	list_compile(c, &c->senders, &list_kinds[LIST_EXCEPT_SENDERS], i, &g->except_senders, true);
	list_compile(c, &c->recipients, &list_kinds[LIST_RECIPIENTS], i, &g->recipients, false);
	list_compile(c, &c->recipients, &list_kinds[LIST_EXCEPT_RECIPIENTS], i,
		     &g->except_recipients, true);
}

static void
grants_end(struct compiler *c)
{
	struct policy *p = c->policy;

	network_table_build(&p->network_table, &c->ranges, &c->networks);
	condition_end(&c->networks, &p->networks);
	keyed_end(&c->users, &p->user_keys, &p->users);
	keyed_end(&c->certificates, &p->certificate_keys, &p->certificates);
	keyed_end(&c->senders, &p->sender_table.keys, &p->senders);
	keyed_end(&c->recipients, &p->recipient_table.keys, &p->recipients);
	bitmaps_compile(p);
}

/* Tables that nobody uses may still not be wrong. */
static void
unused_tables_check(struct compiler *c)
{
	for (size_t i = 0; i < c->policy->table_count; i++) {
		switch (c->tables[i].source->type) {
		case TABLE_NETWORK:
			table_ranges_read(c, &c->tables[i]);
			break;
		case TABLE_SENDER:
			table_keys_read(c, &c->tables[i], sender_add);
			break;
		case TABLE_RECIPIENT:
			table_keys_read(c, &c->tables[i], recipient_add);
			break;
		case TABLE_USER:
			table_keys_read(c, &c->tables[i], user_add);
			break;
		}
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
		*value = 1;
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
				    "this is an open relay: anybody may send to anybody through it; it "
				    "is loaded because of open-relay = \"I know\"");
		else
			complain_at(c, true, &place,
				    "this is an open relay: any network may send to any recipient "
				    "without a login or certificate; write 'networks', 'users' or "
				    "'certificates', or other recipients than \"*\", or, if you mean it, "
				    "open-relay = \"I know\"");
	}
}

/* ---- Public ---- */

static void
compile(struct compiler *c)
{
	struct policy *p = c->policy;
	uint64_t *unbound = arena_new_array(&p->arena, p->words, sizeof(*unbound));

	names_collect(c);
	domains_compile(c);
	connectors_compile(c);
	grants_begin(c);
	for (size_t i = 0; i < p->grant_count; i++) {
		grant_connectors_compile(c, i, unbound);
		grant_compile(c, i);
	}
	unused_tables_check(c);
	grants_end(c);
	p->unbound = unbound;
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
			      "there are more than 16384 grants; join those of one application and put "
			      "their networks, users, senders and recipients into tables");
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
