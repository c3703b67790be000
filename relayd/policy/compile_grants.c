/* SPDX-License-Identifier: ISC */
/* Grants: every list becomes a group of a condition, every condition an index. */
#include "policy/compile_private.h"

#include "base/memory.h"

#include <stdlib.h>

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
			keyed_link(&c->users,
				   key_table_put(keys, LOGIN_ANY, (struct span){ "", 0 }),
				   group);
		return NULL;
	}
	size_t len = login_key_make(c->policy->realm, text, key, &realm_at);

	if (len == 0)
		return "write a login (\"billing\", \"billing@realm\"), \"*@realm\" or "
		       "\"*\"";
	if (span_starts_fold(text, in_realm)) {
		if (realm_at == len)
			return "write the realm after \"*@\"";
		if (group == NO_GROUP)
			return NULL;
		head = key_table_put(keys, LOGIN_REALM,
				     (struct span){ key + realm_at, len - realm_at });
	} else {
		if (span_find(text, '*') < text.len)
			return "a star stands for all logins (\"*\") or all of a realm "
			       "(\"*@realm\")";
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

/* clang-format off */
static const struct list_kind list_kinds[] = {
	/* option	       an entry	      type of tables   tables accepted-domains  */
	{ "users",	       "a login",     TABLE_USER,      true,  false, user_add },
	{ "certificates",      "a certificate", TABLE_USER,    false, false, certificate_add },
	{ "senders",	       "a sender",    TABLE_SENDER,    true,  true,  sender_add },
	{ "except-senders",    "a sender",    TABLE_SENDER,    true,  true,  sender_add },
	{ "recipients",	       "a recipient", TABLE_RECIPIENT, true,  true,  recipient_add },
	{ "except-recipients", "a recipient", TABLE_RECIPIENT, true,  true,  recipient_add },
};
/* clang-format on */

enum {
	LIST_USERS,
	LIST_CERTIFICATES,
	LIST_SENDERS,
	LIST_EXCEPT_SENDERS,
	LIST_RECIPIENTS,
	LIST_EXCEPT_RECIPIENTS,
};

/* The group of all accepted domains in senders or recipients, made when first used. */
static uint32_t
accepted_group(struct compiler *c, struct keyed_builder *b, const struct list_kind *kind,
	       const struct place *place)
{
	uint32_t *group = &c->accepted_group[b == &c->recipients];
	char text[DOMAIN_MAX + 2];

	if (c->policy->domain_count == 0)
		complain_at(c, false, place,
			    "option '%s': there are no accepted domains, so "
			    "\"accepted-domains\" holds "
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
		(void)kind->add(c, (struct span){ text, name.len + 1 },
				*group); /* told elsewhere */
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
			condition_group_use(&b->condition, table->group, grant,
					    is_except);
			continue;
		}
		if (kind->takes_accepted_domains && is_accepted_domains(item)) {
			condition_group_use(&b->condition,
					    accepted_group(c, b, kind, &place), grant,
					    is_except);
			continue;
		}
		if (own == NO_GROUP) {
			own = condition_group_new(&b->condition);
			condition_group_use(&b->condition, own, grant, is_except);
		}
		const char *cure = kind->add(c, item, own);

		if (cure != NULL)
			complain_at(c, true, &place,
				    "option '%s': \"" SPAN_FMT "\" is not %s; %s",
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
			struct table_state *table =
			    table_of(c, &place, option, name, TABLE_NETWORK);

			if (table == NULL)
				continue;
			if (table->group == NO_GROUP) {
				table->group = condition_group_new(&c->networks);
				network_item_read(c, &place, option, item, &c->ranges,
						  table->group);
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
			complain_unknown(c, &place, "connectors", "connector",
					 &p->connector_names, g->connectors.items[i]);
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
			    "option 'senders' is missing; write the addresses or domains "
			    "that this "
			    "application sends from, as in senders = { "
			    "\"@app.example.com\" }");
	if (g->recipients.count == 0)
		complain_at(c, true, &place,
			    "option 'recipients' is missing; write { \"*\" }, { "
			    "\"accepted-domains\" } "
			    "or the addresses or domains that it may send to");
	if (g->expires_ms != 0 && g->expires_ms <= g->starts_ms)
		complain_at(c, true, &place,
			    "option 'expires' is not after 'starts', so it would never "
			    "be "
			    "valid; "
			    "write a later date");
	if (g->mode != MODE_MONITOR && g->monitor_until_ms != 0)
		complain_at(c, true, &place,
			    "option 'monitor-until' has no meaning without mode = "
			    "\"monitor\"; add "
			    "that or take it out");
	if (g->rewrite_sender.len > 0 &&
	    mailbox_parse(g->rewrite_sender, &address) != PARSE_OK)
		complain_at(c, true, &place,
			    "option 'rewrite-sender': \"" SPAN_FMT "\" is not an "
								   "address; write one, "
								   "as in "
			    "\"noreply@example.com\"",
			    SPAN_ARG(g->rewrite_sender));
	if (g->limit_count > LIMITS_MAX)
		complain_at(c, true, &place,
			    "option 'limits': %zu limits are more than a grant may have; "
			    "leave at most %d",
			    g->limit_count, LIMITS_MAX);
	for (size_t i = 0; i < g->limit_count; i++) {
		if (g->limits[i].count == 0 ||
		    (g->limits[i].window_s == 0) != (g->limits[i].unit == LIMIT_SESSIONS))
			complain_at(c, true, &place,
				    "option 'limits': a limit of nothing would refuse "
				    "everything; write "
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
is_taking_routed(const struct grant_source *g, unsigned of)
{
	(void)of;
	return g->takes_routed;
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
	v->sets = arena_new_array(&p->arena, (v->count / VALIDITY_STEP + 1) * p->words,
				  sizeof(uint64_t));
	for (size_t i = 0; i <= v->count; i++) {
		if (i % VALIDITY_STEP == 0)
			bitmap_copy(v->sets + i / VALIDITY_STEP * p->words, valid,
				    p->words);
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
	p->takes_routed = bitmap_where(p, is_taking_routed, 0);
	for (size_t i = 0; i < p->grant_count; i++) {
		p->asks_header_from |= p->grants[i].header_from != HEADER_FROM_ANY;
		p->asks_evidence |= p->grants[i].requires_evidence != 0;
	}
	for (unsigned i = 0; i < ARRAY_LEN(p->header_from); i++)
		p->header_from[i] = bitmap_where(p, is_of_header_from, i);
	for (unsigned i = 0; i < EVIDENCE_COUNT; i++)
		p->needs_evidence[i] = bitmap_where(p, is_needing_evidence, 1U << i);
	p->connector_wants_login = arena_new_array(&p->arena, p->connector_count,
						   sizeof(*p->connector_wants_login));
	for (size_t i = 0; i < p->connector_count; i++) {
		bool has_any = false, has_open = false;

		for (size_t w = 0; w < p->words; w++) {
			has_any |= p->connector_grants[i][w] != 0;
			has_open |= (p->connector_grants[i][w] & ~p->identified[w]) != 0;
		}
		p->connector_wants_login[i] = has_any && !has_open &&
					      p->connectors[i].can_authenticate;
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
		p->connector_grants[i] =
		    arena_new_array(&p->arena, p->words, sizeof(uint64_t));
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
	list_compile(c, &c->certificates, &list_kinds[LIST_CERTIFICATES], i,
		     &g->certificates, false);
	list_compile(c, &c->senders, &list_kinds[LIST_SENDERS], i, &g->senders, false);
	list_compile(c, &c->senders, &list_kinds[LIST_EXCEPT_SENDERS], i,
		     &g->except_senders, true);
	list_compile(c, &c->recipients, &list_kinds[LIST_RECIPIENTS], i, &g->recipients,
		     false);
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

void
grants_compile(struct compiler *c)
{
	struct policy *p = c->policy;
	uint64_t *unbound = arena_new_array(&p->arena, p->words, sizeof(*unbound));

	grants_begin(c);
	for (size_t i = 0; i < p->grant_count; i++) {
		grant_connectors_compile(c, i, unbound);
		grant_compile(c, i);
	}
	unused_tables_check(c);
	grants_end(c);
	p->unbound = unbound;
}
