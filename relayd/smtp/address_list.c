/* SPDX-License-Identifier: ISC */
/* The addresses of a header field; see header_block.h. */
#include "smtp/header_block.h"

/*
 * CFWS in an unfolded value: blanks and comments, which nest (RFC 5322 s.3.2.2). False when
 * a comment does not end.
 */
static bool
cfws_skip(struct span *in)
{
	size_t depth = 0;

	while (in->len > 0) {
		char c = in->ptr[0];

		if (c == '(') {
			depth++;
		} else if (depth == 0) {
			if (c != ' ')
				return true;
		} else if (c == ')') {
			depth--;
		} else if (c == '\\') {
			if (in->len < 2)
				return false;
			*in = span_skip(*in, 1);
		}
		*in = span_skip(*in, 1);
	}
	return depth == 0;
}

static bool
has_encoded_word(struct span text)
{
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.ptr[i] == '=' && text.ptr[i + 1] == '?')
			return true;
	}
	return false;
}

/* domain = dot-atom / domain-literal, of the latter only those that SMTP has. */
static enum parse_status
domain_part_take(struct span *in, struct span *domain)
{
	size_t end;

	if (in->len == 0 || in->ptr[0] != '[')
		return domain_take(in, domain);
	end = span_find(*in, ']');
	if (end == in->len)
		return PARSE_BAD;
	*domain = span_first(*in, end + 1);
	*in = span_skip(*in, end + 1);
	return PARSE_OK;
}

/* addr-spec = local-part "@" domain, with CFWS around each                RFC 5322 s.3.4.1 */
static enum parse_status
addr_spec_take(struct span *in, struct arena *arena, struct address *address)
{
	struct span rest = *in, local, domain;

	if (!cfws_skip(&rest) || local_part_take(&rest, &local) != PARSE_OK ||
	    has_encoded_word(local) || !cfws_skip(&rest) || !byte_take(&rest, '@') ||
	    !cfws_skip(&rest) || domain_part_take(&rest, &domain) != PARSE_OK ||
	    !cfws_skip(&rest) || domain.len > DOMAIN_MAX)
		return PARSE_BAD;

	char text[LOCAL_PART_MAX + 1 + DOMAIN_MAX];
	struct span whole = { .ptr = text, .len = local.len + 1 + domain.len };

	memcpy(text, local.ptr, local.len);
	text[local.len] = '@';
	memcpy(text + local.len + 1, domain.ptr, domain.len);
	if (mailbox_parse(whole, address) != PARSE_OK ||
	    mailbox_parse(arena_copy(arena, whole), address) != PARSE_OK)
		return PARSE_BAD;
	*in = rest;
	return PARSE_OK;
}

/* [display-name]: words, and dots between them as in "J. Doe" (obs-phrase). */
static bool
display_name_skip(struct span *in)
{
	struct span quoted;

	for (;;) {
		size_t before = in->len;

		if (!cfws_skip(in))
			return false;
		while (in->len > 0 && (ascii_is_atext(in->ptr[0]) || in->ptr[0] == '.' ||
				       ((unsigned char)in->ptr[0] & 0x80) != 0))
			*in = span_skip(*in, 1);
		if (in->len > 0 && in->ptr[0] == '"' &&
		    quoted_string_take(in, &quoted) != PARSE_OK)
			return false;
		if (in->len == before)
			return true;
	}
}

static bool
is_at_list_end(struct span in)
{
	return in.len == 0 || in.ptr[0] == ',';
}

/* mailbox = [display-name] "<" addr-spec ">" / addr-spec                    RFC 5322 s.3.4 */
static enum parse_status
list_mailbox_take(struct span *in, struct arena *arena, struct address *address)
{
	struct span rest = *in;

	if (addr_spec_take(&rest, arena, address) == PARSE_OK && is_at_list_end(rest)) {
		*in = rest;
		return PARSE_OK;
	}
	rest = *in;
	if (!display_name_skip(&rest) || !byte_take(&rest, '<') ||
	    addr_spec_take(&rest, arena, address) != PARSE_OK || !byte_take(&rest, '>') ||
	    !cfws_skip(&rest) || !is_at_list_end(rest))
		return PARSE_BAD;
	*in = rest;
	return PARSE_OK;
}

enum parse_status
address_list_parse(struct span value, struct arena *arena, struct address_list *list)
{
	struct address found[ADDRESSES_MAX];
	struct address_list l = { .count = 0 };

	if (!utf8_is_valid(value))
		return PARSE_BAD;
	do {
		if (l.count == ADDRESSES_MAX ||
		    list_mailbox_take(&value, arena, &found[l.count]) != PARSE_OK)
			return PARSE_BAD;
		l.count++;
	} while (byte_take(&value, ','));
	l.items = arena_new_array(arena, l.count, sizeof(struct address));
	memcpy(l.items, found, l.count * sizeof(struct address));
	*list = l;
	return PARSE_OK;
}
