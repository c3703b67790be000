/* SPDX-License-Identifier: ISC */
/* Patterns of addresses; see pattern_table.h. */
#include "policy/pattern_table.h"

#include <assert.h>
#include <idn2.h>

/* How specific a match is: longer domains outdo shorter ones within "@*.d" only. */

/* ---- Addresses as they are compared ---- */

static bool
is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.ptr[i] >= 0x80)
			return false;
	}
	return true;
}

static void
lower_copy(char *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		out[i] = ascii_lower(text.ptr[i]);
}

/* Is it made of labels of 1 to 63 octets that a host name may have (and underscores)? */
static bool
domain_is_plain(struct span domain)
{
	size_t label = 0;

	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.ptr[i];

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!(ascii_is_alnum(c) || c == '-' || c == '_') || ++label > 63) {
			return false;
		}
	}
	return label > 0;
}

size_t
domain_key_make(struct span domain, char out[DOMAIN_MAX])
{
	if (domain.len == 0 || domain.len > DOMAIN_MAX)
		return 0;
	if (is_ascii(domain)) {
		lower_copy(out, domain);
		return domain_is_plain(domain) ? domain.len : 0;
	}
	unsigned char text[DOMAIN_MAX + 1], *converted = NULL;

	if (span_find(domain, '\0') < domain.len)
		return 0;
	memcpy(text, domain.ptr, domain.len);
	text[domain.len] = '\0';
	if (idn2_lookup_u8(text, &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
	    IDN2_OK)
		return 0;
	struct span ascii = span_of((const char *)converted);
	size_t len = ascii.len <= DOMAIN_MAX && domain_is_plain(ascii) ? ascii.len : 0;

	lower_copy(out, span_first(ascii, len));
	idn2_free(converted);
	return len;
}

/* The content of a local part into out[KEY_LOCAL_MAX]; false when there is no room. */
static bool
local_key_make(struct span local, char *out, size_t *len)
{
	bool is_quoted = local.len >= 2 && local.ptr[0] == '"';
	bool folds = is_ascii(local);
	size_t used = 0;

	if (is_quoted)
		local = (struct span){ local.ptr + 1, local.len - 2 };
	for (size_t i = 0; i < local.len; i++) {
		if (is_quoted && local.ptr[i] == '\\' && i + 1 < local.len)
			i++;
		if (used == KEY_LOCAL_MAX)
			return false;
		out[used++] = folds ? ascii_lower(local.ptr[i]) : local.ptr[i];
	}
	*len = used;
	return true;
}

void
address_key_make(struct address_key *key, const struct address *address)
{
	char *domain;

	key->kind = ADDRESS_STRANGE;
	key->len = key->local_len = 0;
	if (address_is_null(address)) {
		key->kind = ADDRESS_NULL;
		return;
	}
	if (!local_key_make(address->local, key->text, &key->local_len))
		return;
	key->len = key->local_len;
	if (address->domain.len == 0) {
		key->kind = ADDRESS_BARE;
		return;
	}
	domain = key->text + key->local_len + 1;
	domain[-1] = '@';
	size_t domain_len;

	if (address->is_literal) {
		if (address->domain.len > DOMAIN_MAX)
			return;
		lower_copy(domain, address->domain);
		domain_len = address->domain.len;
	} else {
		domain_len = domain_key_make(address->domain, domain);
		if (domain_len == 0)
			return;
	}
	key->len = key->local_len + 1 + domain_len;
	key->kind = address->is_literal ? ADDRESS_LITERAL : ADDRESS_DOMAIN;
}

/* ---- Reading patterns ---- */

/* "@domain" into the pattern's key. */
static const char *
domain_pattern_parse(struct span domain, struct pattern *pattern)
{
	struct span rest = domain, taken;

	if (domain.len > 0 && domain.ptr[0] == '[')
		return "an address literal stands in whole addresses only, as in "
		       "user@[10.0.0.1]";
	if (domain.len > 0 && domain.ptr[domain.len - 1] == '.')
		return "leave the dot at its end out";
	if (domain_take(&rest, &taken) != PARSE_OK || rest.len != 0)
		return "write a domain after \"@\", as in \"@example.com\"";
	size_t len = domain_key_make(domain, pattern->key.text + 1);

	if (len == 0)
		return "its domain is no name that the DNS can hold";
	pattern->key.text[0] = '@';
	pattern->key.kind = ADDRESS_DOMAIN;
	pattern->key.local_len = 0;
	pattern->key.len = len + 1;
	return NULL;
}

static const char *
address_pattern_parse(struct span text, struct pattern *pattern)
{
	struct address address;

	if (mailbox_parse(text, &address) != PARSE_OK)
		return "write an address, \"@domain\", \"@*.domain\", \"<>\" or \"*\"";
	bool is_quoted = address.local.ptr[0] == '"';
	size_t star = span_find(address.local, '*');

	pattern->kind = PATTERN_ADDRESS;
	if (!is_quoted && star == address.local.len - 1 && star >= 2 &&
	    address.local.ptr[star - 1] == '+') {
		pattern->kind = PATTERN_TAGGED;
		address.local.len -= 2;
	} else if (!is_quoted && address.local.len == 1 && star == 0) {
		return "for every address of a domain write \"@domain\"";
	} else if (!is_quoted && star < address.local.len) {
		return "a star stands for a whole address, a whole tag (a+*@domain) or "
		       "labels "
		       "(@*.domain); a real star is written in quotes";
	}
	address_key_make(&pattern->key, &address);
	if (pattern->key.kind == ADDRESS_STRANGE)
		return "its domain is no name that the DNS can hold";
	if (pattern->kind == PATTERN_TAGGED && pattern->key.kind != ADDRESS_DOMAIN)
		return "tags go with a domain, not with an address literal";
	return NULL;
}

const char *
pattern_parse(struct span text, struct pattern *pattern)
{
	static const struct span any = SPAN_LITERAL("*"), null = SPAN_LITERAL("<>");
	static const struct span below = SPAN_LITERAL("@*."), bare = SPAN_LITERAL("postma"
										  "ster");

	pattern->key.kind = ADDRESS_NULL;
	pattern->key.len = pattern->key.local_len = 0;
	pattern->kind = PATTERN_NONE;
	if (text.len == 0)
		return "it is empty; write \"<>\" for the null sender, \"*\" for any";
	if (span_equal(text, any)) {
		pattern->kind = PATTERN_ANY;
		return NULL;
	}
	if (span_equal(text, null)) {
		pattern->kind = PATTERN_NULL;
		return NULL;
	}
	if (span_equal_fold(text, bare)) {
		struct address address = { .text = bare, .local = bare };

		pattern->kind = PATTERN_ADDRESS;
		address_key_make(&pattern->key, &address);
		return NULL;
	}
	if (text.len > below.len && span_starts_fold(text, below)) {
		pattern->kind = PATTERN_BELOW;
		return domain_pattern_parse(span_skip(text, below.len), pattern);
	}
	if (text.ptr[0] == '@') {
		pattern->kind = PATTERN_DOMAIN;
		return domain_pattern_parse(span_skip(text, 1), pattern);
	}
	if (text.ptr[0] == '<')
		return "write the address without \"<\" and \">\"";
	if (span_find(text, '@') == text.len)
		return "write \"@\" before a domain (\"@example.com\"; "
		       "\"@*.example.com\" for those "
		       "below it), or a whole address";
	return address_pattern_parse(text, pattern);
}

struct span
pattern_key(const struct pattern *pattern)
{
	struct span key = { pattern->key.text, pattern->key.len };

	return pattern->kind == PATTERN_DOMAIN || pattern->kind == PATTERN_BELOW ?
		   span_skip(key, 1) :
		   key;
}

/* Is `domain` below `parent`? Both are keys. */
static bool
domain_is_below(struct span domain, struct span parent)
{
	return domain.len > parent.len + 1 &&
	       domain.ptr[domain.len - parent.len - 1] == '.' &&
	       span_equal(span_skip(domain, domain.len - parent.len), parent);
}

/* Is `inner`, an address or a tagged one, a+tag@d of the tagged `outer`? */
static bool
tagged_covers(const struct pattern *outer, const struct pattern *inner)
{
	size_t base = outer->key.local_len;
	struct span a = { outer->key.text, base },
		    b = { inner->key.text, inner->key.local_len };

	if (inner->key.kind != outer->key.kind || b.len <= base || b.ptr[base] != '+')
		return outer->kind == inner->kind &&
		       span_equal(pattern_key(outer), pattern_key(inner));
	return span_equal(a, span_first(b, base)) &&
	       span_equal(address_key_domain(&outer->key),
			  address_key_domain(&inner->key));
}

bool
pattern_covers(const struct pattern *outer, const struct pattern *inner)
{
	bool has_domain = inner->kind != PATTERN_ANY && inner->kind != PATTERN_NULL &&
			  inner->key.kind == ADDRESS_DOMAIN;

	switch (outer->kind) {
	case PATTERN_NONE:
		return false;
	case PATTERN_ANY:
		return true;
	case PATTERN_NULL:
		return inner->kind == PATTERN_NULL;
	case PATTERN_ADDRESS:
		return inner->kind == PATTERN_ADDRESS &&
		       span_equal(pattern_key(outer), pattern_key(inner));
	case PATTERN_TAGGED:
		return (inner->kind == PATTERN_ADDRESS ||
			inner->kind == PATTERN_TAGGED) &&
		       tagged_covers(outer, inner);
	case PATTERN_DOMAIN:
		return has_domain && inner->kind != PATTERN_BELOW &&
		       span_equal(pattern_key(outer), address_key_domain(&inner->key));
	case PATTERN_BELOW:
		return has_domain &&
		       (domain_is_below(address_key_domain(&inner->key),
					pattern_key(outer)) ||
			(inner->kind == PATTERN_BELOW &&
			 span_equal(pattern_key(outer), pattern_key(inner))));
	}
	return false;
}

/* ---- Tables ---- */

static size_t
labels_count(struct span domain)
{
	size_t count = 1;

	for (size_t i = 0; i < domain.len; i++)
		count += domain.ptr[i] == '.';
	return count;
}

void
pattern_table_reset(struct pattern_table *t)
{
	key_table_reset(&t->keys);
	*t = (struct pattern_table){ .kinds = 0 };
}

uint32_t *
pattern_table_put(struct pattern_table *t, const struct pattern *pattern)
{
	assert(pattern->kind != PATTERN_NONE);
	t->kinds |= 1U << pattern->kind;
	if (pattern->kind == PATTERN_BELOW) {
		size_t depth = labels_count(pattern_key(pattern)) - 1;

		assert(depth < LABELS_MAX); /* 255 octets hold no more */
		t->below_depths[depth / 64] |= UINT64_C(1) << (depth % 64);
	}
	return key_table_put(&t->keys, (unsigned char)pattern->kind,
			     pattern_key(pattern));
}

static void
key_match(const struct pattern_table *t, enum pattern_kind kind, struct span key,
	  unsigned specificity, pattern_hit *hit, void *context)
{
	uint32_t value;

	if ((t->kinds >> kind & 1) == 0)
		return;
	value = key_table_find(&t->keys, (unsigned char)kind, key);
	if (value != 0)
		hit(context, value, specificity);
}

/* Every a+*@d that holds the address; a may have plus signs of its own. */
static void
tagged_match(const struct pattern_table *t, const struct address_key *key,
	     pattern_hit *hit, void *context)
{
	char text[ADDRESS_KEY_MAX];

	for (size_t plus = 1; plus < key->local_len; plus++) {
		if (key->text[plus] != '+')
			continue;
		size_t tail = key->len - key->local_len; /* "@" and the domain */

		memcpy(text, key->text, plus);
		memcpy(text + plus, key->text + key->local_len, tail);
		key_match(t, PATTERN_TAGGED, (struct span){ text, plus + tail },
			  SPECIFIC_TAGGED, hit, context);
	}
}

/* "@d" and every "@*.d" that holds the domain; only depths that some pattern has are tried. */
static void
domain_match(const struct pattern_table *t, struct span domain, pattern_hit *hit,
	     void *context)
{
	key_match(t, PATTERN_DOMAIN, domain, SPECIFIC_DOMAIN, hit, context);
	if ((t->kinds >> PATTERN_BELOW & 1) == 0)
		return;
	for (size_t depth = labels_count(domain) - 1; depth > 0; depth--) {
		domain = span_skip(domain, span_find(domain, '.') + 1);
		if (depth <= LABELS_MAX &&
		    (t->below_depths[(depth - 1) / 64] >> ((depth - 1) % 64) & 1) != 0)
			key_match(t, PATTERN_BELOW, domain,
				  SPECIFIC_BELOW + (unsigned)domain.len, hit, context);
	}
}

void
pattern_table_match(const struct pattern_table *t, const struct address_key *key,
		    pattern_hit *hit, void *context)
{
	static const struct span none = SPAN_LITERAL("");
	struct span text = { key->text, key->len };

	key_match(t, PATTERN_ANY, none, SPECIFIC_ANY, hit, context);
	switch (key->kind) {
	case ADDRESS_STRANGE:
		return;
	case ADDRESS_NULL:
		key_match(t, PATTERN_NULL, none, SPECIFIC_ADDRESS, hit, context);
		return;
	case ADDRESS_DOMAIN:
		domain_match(t, address_key_domain(key), hit, context);
		if ((t->kinds >> PATTERN_TAGGED & 1) != 0)
			tagged_match(t, key, hit, context);
		break;
	case ADDRESS_BARE:
	case ADDRESS_LITERAL:
		break;
	}
	key_match(t, PATTERN_ADDRESS, text, SPECIFIC_ADDRESS, hit, context);
}

void
pattern_table_match_domain(const struct pattern_table *t, struct span domain,
			   pattern_hit *hit, void *context)
{
	key_match(t, PATTERN_ANY, (struct span){ "", 0 }, SPECIFIC_ANY, hit, context);
	domain_match(t, domain, hit, context);
}
