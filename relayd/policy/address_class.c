/* SPDX-License-Identifier: ISC */
/*
 * Which grants hold some address of a class? A table of patterns cuts all addresses into
 * classes that it cannot tell apart, and each class is shown by one address: that of the
 * pattern itself, or one below or beside it that no other pattern names. So asking for these
 * few is asking for all.
 */
#include "policy/rights_private.h"

#include <stdio.h>

#define NAME_MAX_OCTETS 80

struct search {
	const struct policy *policy;
	const struct condition *condition;
	const struct pattern_table *table;
	enum address_class class;
	uint64_t *wanted;   /* grants that are still looked for */
	uint64_t *found;
	struct buffer *example; /* of the first; or NULL */
};

struct nearest_domain {
	uint32_t value;
	unsigned specificity;
};

static void
domain_keep(void *context, uint32_t value, unsigned specificity)
{
	struct nearest_domain *nearest = context;

	if (specificity > nearest->specificity)
		*nearest = (struct nearest_domain){ value, specificity };
}

/* The accepted domain that holds this one + 1, or 0. */
static uint32_t
accepted_find(const struct policy *p, struct span domain)
{
	char key[DOMAIN_MAX];
	size_t len = domain_key_make(domain, key);
	struct nearest_domain nearest = { 0, 0 };

	if (len > 0)
		pattern_table_match_domain(&p->accepted, (struct span){ key, len },
					   domain_keep, &nearest);
	return nearest.value;
}

static bool
is_of_class(const struct search *s, const struct address *address)
{
	const struct policy *p = s->policy;
	uint32_t accepted;

	if (s->class == CLASS_ANY)
		return true;
	if (address->domain.len == 0)
		return false; /* postmaster, of this very host */
	accepted = address->is_literal ? 0 : accepted_find(p, address->domain);
	if (s->class == CLASS_OUTSIDE)
		return accepted == 0;
	return accepted != 0 && p->domains[accepted - 1].type == DOMAIN_AUTHORITATIVE;
}

static void
candidate_try(struct search *s, const struct address *address)
{
	const struct policy *p = s->policy;
	uint64_t pass[GRANT_WORDS_MAX];

	if (!is_of_class(s, address))
		return;
	if (s->table == &p->recipient_table)
		recipients_ask(p, address, window_all(p), pass);
	else
		addresses_ask(p, s->condition, s->table, address, window_all(p), pass);
	bitmap_and(pass, s->wanted, p->words);
	if (bitmap_next(pass, p->words, 0) == SIZE_MAX)
		return;
	if (s->example != NULL && s->example->len == 0)
		(void)buffer_append(s->example, address->text);
	bitmap_or(s->found, pass, p->words);
	bitmap_and_not(s->wanted, pass, p->words);
}

/* The content of a local part, quoted where it must be, "@" and the domain. */
static void
mailbox_try(struct search *s, struct span local, struct span domain)
{
	char text[2 * KEY_LOCAL_MAX + DOMAIN_MAX + 4];
	bool is_plain = local.len > 0;
	size_t len = 0;

	for (size_t i = 0; i < local.len; i++)
		is_plain = is_plain && (ascii_is_atext(local.ptr[i]) ||
					(unsigned char)local.ptr[i] >= 0x80 ||
					(local.ptr[i] == '.' && i > 0 && i + 1 < local.len &&
					 local.ptr[i - 1] != '.'));
	if (!is_plain)
		text[len++] = '"';
	for (size_t i = 0; i < local.len && i < KEY_LOCAL_MAX; i++) {
		if (local.ptr[i] == '"' || local.ptr[i] == '\\')
			text[len++] = '\\';
		text[len++] = local.ptr[i];
	}
	if (!is_plain)
		text[len++] = '"';
	struct address address = { .local = { text, len } };

	if (domain.len > 0 && domain.len <= DOMAIN_MAX) {
		text[len++] = '@';
		memcpy(text + len, domain.ptr, domain.len);
		address.domain = (struct span){ text + len, domain.len };
		address.is_literal = domain.ptr[0] == '[';
		len += domain.len;
	}
	address.text = (struct span){ text, len };
	candidate_try(s, &address);
}

/* "stem", "stem1", "stem2" ... */
static struct span
name_number(char out[NAME_MAX_OCTETS], const char *stem, size_t number)
{
	int len = number == 0 ? snprintf(out, NAME_MAX_OCTETS, "%s", stem) :
				snprintf(out, NAME_MAX_OCTETS, "%s%zu", stem, number);

	return (struct span){ out, len < 0 ? 0 : (size_t)len };
}

static bool
key_is_there(const struct search *s, enum pattern_kind kind, struct span a,
	     const char *between, struct span b)
{
	char text[KEY_OCTETS_MAX];
	size_t len = a.len + strlen(between) + b.len;

	if (len > sizeof(text))
		return true;
	memcpy(text, a.ptr, a.len);
	memcpy(text + a.len, between, strlen(between));
	memcpy(text + len - b.len, b.ptr, b.len);
	return key_table_find(&s->table->keys, (unsigned char)kind,
			      (struct span){ text, len }) != 0;
}

/* Somebody of a domain whom no pattern names. There are more names than patterns. */
static void
domain_try(struct search *s, struct span domain)
{
	char name[NAME_MAX_OCTETS];

	for (size_t i = 0; i <= s->table->keys.count; i++) {
		struct span local = name_number(name, "someone", i);

		if (key_is_there(s, PATTERN_ADDRESS, local, "@", domain))
			continue;
		mailbox_try(s, local, domain);
		return;
	}
}

/* Is the domain named by itself, among the patterns or the accepted domains? */
static bool
domain_is_named(const struct search *s, struct span domain)
{
	return key_is_there(s, PATTERN_DOMAIN, domain, "", (struct span){ "", 0 }) ||
	       key_table_find(&s->policy->accepted.keys, PATTERN_DOMAIN, domain) != 0;
}

/* Is there a pattern for what is below it? */
static bool
is_parent(const struct search *s, struct span domain)
{
	return key_is_there(s, PATTERN_BELOW, domain, "", (struct span){ "", 0 }) ||
	       key_table_find(&s->policy->accepted.keys, PATTERN_BELOW, domain) != 0;
}

/* A domain right below this one that nothing names. */
static void
below_try(struct search *s, struct span parent)
{
	char text[DOMAIN_MAX + NAME_MAX_OCTETS + 1], name[NAME_MAX_OCTETS];
	size_t names = s->table->keys.count + s->policy->accepted.keys.count;
	const char *stem = parent.len + sizeof("host") > DOMAIN_MAX ? "x" : "host";

	for (size_t i = 0; i <= names; i++) {
		struct span label = name_number(name, stem, i);
		size_t len = label.len + 1 + parent.len;

		if (len > DOMAIN_MAX)
			return; /* no name is as long */
		memcpy(text, label.ptr, label.len);
		text[label.len] = '.';
		memcpy(text + label.len + 1, parent.ptr, parent.len);
		struct span domain = { text, len };

		if (domain_is_named(s, domain))
			continue;
		domain_try(s, domain);
		return;
	}
}

/* A domain of which the patterns know nothing at all. */
static void
stranger_try(struct search *s)
{
	static const char *const tops[] = { "net", "org", "test" };
	size_t names = s->table->keys.count + s->policy->accepted.keys.count + ARRAY_LEN(tops);
	char text[2 * NAME_MAX_OCTETS], name[NAME_MAX_OCTETS];

	for (size_t i = 0; i <= names; i++) {
		struct span top = i < ARRAY_LEN(tops) ? span_of(tops[i]) :
							name_number(name, "top", i);
		int len = snprintf(text, sizeof(text), "example." SPAN_FMT, SPAN_ARG(top));
		struct span domain = { text, len < 0 ? 0 : (size_t)len };

		if (domain_is_named(s, domain) || is_parent(s, top))
			continue;
		domain_try(s, domain);
		return;
	}
}

/* a+tag@d that is not named itself. */
static void
tagged_try(struct search *s, struct span key)
{
	char text[ADDRESS_KEY_MAX + NAME_MAX_OCTETS], name[NAME_MAX_OCTETS];
	size_t at = key.len;

	while (at > 0 && key.ptr[at - 1] != '@')
		at--;
	if (at == 0)
		return;
	struct span domain = span_skip(key, at);

	for (size_t i = 0; i <= s->table->keys.count; i++) {
		struct span tag = name_number(name, "+tag", i);

		memcpy(text, key.ptr, at - 1);
		memcpy(text + at - 1, tag.ptr, tag.len);
		struct span local = { text, at - 1 + tag.len };

		if (key_is_there(s, PATTERN_ADDRESS, local, "@", domain))
			continue;
		mailbox_try(s, local, domain);
		return;
	}
}

static void
address_try(struct search *s, struct span key)
{
	size_t at = key.len;

	while (at > 0 && key.ptr[at - 1] != '@')
		at--;
	if (at == 0)
		mailbox_try(s, key, (struct span){ "", 0 });
	else
		mailbox_try(s, span_first(key, at - 1), span_skip(key, at));
}

static void
key_try(struct search *s, enum pattern_kind kind, struct span key)
{
	switch (kind) {
	case PATTERN_ANY:
		stranger_try(s);
		return;
	case PATTERN_ADDRESS:
		address_try(s, key);
		return;
	case PATTERN_TAGGED:
		tagged_try(s, key);
		return;
	case PATTERN_DOMAIN:
		domain_try(s, key);
		return;
	case PATTERN_BELOW:
		below_try(s, key);
		return;
	case PATTERN_NONE:
	case PATTERN_NULL: /* no address; see null_sender_grants */
		return;
	}
}

static void
accepted_try(struct search *s)
{
	struct pattern pattern;

	for (size_t i = 0; i < s->policy->domain_count; i++) {
		if (accepted_pattern_make(s->policy->domains[i].name, &pattern) == NULL)
			key_try(s, pattern.kind, pattern_key(&pattern));
	}
}

void
address_class_find(const struct policy *p, enum address_side side, enum address_class class,
		   uint64_t *wanted, uint64_t *found, struct buffer *example)
{
	struct search s = {
		.policy = p,
		.condition = side == SIDE_SENDER ? &p->senders : &p->recipients,
		.table = side == SIDE_SENDER ? &p->sender_table : &p->recipient_table,
		.class = class,
		.wanted = wanted,
		.found = found,
		.example = example,
	};
	unsigned char kind;
	struct span key;
	size_t at = 0;

	bitmap_empty(found, p->words);
	stranger_try(&s);
	accepted_try(&s);
	while (bitmap_next(wanted, p->words, 0) != SIZE_MAX &&
	       key_table_walk(&s.table->keys, &at, &kind, &key))
		key_try(&s, (enum pattern_kind)kind, key);
}
