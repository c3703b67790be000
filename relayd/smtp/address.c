/* SPDX-License-Identifier: ISC */
/* Mail addresses; see address.h. */
#include "smtp/address.h"

#include "base/utf8.h"

#define LABEL_MAX 63 /* octets; RFC 1035 s.2.3.4 */

#define BIT(c) (UINT64_C(1) << ((unsigned char)(c) & 63))
#define DIGIT_BITS UINT64_C(0x03ff000000000000)
#define ALPHA_BITS UINT64_C(0x07fffffe07fffffe)

/* Members of a class of ASCII bytes: those below 64, those from 64 on. */
struct byte_set {
	uint64_t bits[2];
};

/* atext, RFC 5322 s.3.2.3 */
static const struct byte_set atext = { {
	DIGIT_BITS | BIT('!') | BIT('#') | BIT('$') | BIT('%') | BIT('&') | BIT('\'') |
	    BIT('*') | BIT('+') | BIT('-') | BIT('/') | BIT('=') | BIT('?'),
	ALPHA_BITS | BIT('^') | BIT('_') | BIT('`') | BIT('{') | BIT('|') | BIT('}') | BIT('~'),
} };

/* Let-dig / "-", RFC 5321 s.4.1.2 */
static const struct byte_set ldh = { { DIGIT_BITS | BIT('-'), ALPHA_BITS } };

static inline bool
byte_set_has(const struct byte_set *set, char c)
{
	unsigned char u = (unsigned char)c;

	return u < 0x80 && (set->bits[u >> 6] >> (u & 63) & 1) != 0;
}

bool
ascii_is_atext(char c)
{
	return byte_set_has(&atext, c);
}

static inline bool
byte_is_8bit(char c)
{
	return ((unsigned char)c & 0x80) != 0;
}

/*
 * UTF8-non-ascii = UTF8-2 / UTF8-3 / UTF8-4                        RFC 6531 s.3.3
 *
 * Less the C1 controls. The character's octets at the front of s, or 0.
 */
static size_t
non_ascii_len(struct span s, uint32_t *code)
{
	size_t len = utf8_decode(s, code);

	return len > 1 && *code > 0x9f ? len : 0;
}

bool
utf8_is_valid(struct span text)
{
	uint32_t code;

	while (text.len > 0) {
		size_t len = 1;

		if (ascii_is_control(text.ptr[0]))
			return false;
		if (byte_is_8bit(text.ptr[0]) && (len = non_ascii_len(text, &code)) == 0)
			return false;
		text = span_skip(text, len);
	}
	return true;
}

/* 1*( member of the set / UTF8-non-ascii ) off the front. */
static enum parse_status
run_take(struct span *in, const struct byte_set *set)
{
	struct span rest = *in;
	uint32_t code;

	while (rest.len > 0) {
		size_t len = byte_set_has(set, rest.ptr[0]);

		if (len == 0 && byte_is_8bit(rest.ptr[0]))
			len = non_ascii_len(rest, &code);
		if (len == 0)
			break;
		rest = span_skip(rest, len);
	}
	if (rest.len == in->len)
		return PARSE_BAD;
	*in = rest;
	return PARSE_OK;
}

/*
 * No letter of a U-label (RFC 5892 disallows them all): the full stops that IDNA may turn into
 * dots, so that the name looked up were not the one judged; blanks; format and bidirectional
 * controls.
 */
static bool
code_is_deceptive(uint32_t code)
{
	return code == 0x3002 || code == 0xff0e || code == 0xff61 || code == 0xa0 ||
	       (code >= 0x2000 && code <= 0x200b) || code == 0x200e || code == 0x200f ||
	       (code >= 0x2024 && code <= 0x202f) || (code >= 0x205f && code <= 0x206f) ||
	       code == 0x3000 || code == 0xfeff;
}

static bool
label_is_deceptive(struct span label)
{
	uint32_t code;

	while (label.len > 0) {
		size_t len = 1;

		if (byte_is_8bit(label.ptr[0])) {
			len = non_ascii_len(label, &code);
			if (code_is_deceptive(code))
				return true;
		}
		label = span_skip(label, len);
	}
	return false;
}

/* sub-domain = Let-dig [Ldh-str] / U-label                  RFC 5321 s.4.1.2, RFC 6531 s.3.3 */
static enum parse_status
label_take(struct span *in)
{
	struct span rest = *in;

	if (run_take(&rest, &ldh) != PARSE_OK)
		return PARSE_BAD;
	struct span label = span_first(*in, in->len - rest.len);

	if (label.len > LABEL_MAX || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-' ||
	    label_is_deceptive(label))
		return PARSE_BAD;
	*in = rest;
	return PARSE_OK;
}

enum parse_status
domain_take(struct span *in, struct span *domain)
{
	struct span rest = *in;

	do {
		if (label_take(&rest) != PARSE_OK)
			return PARSE_BAD;
	} while (byte_take(&rest, '.'));

	size_t used = in->len - rest.len;

	if (used > DOMAIN_MAX)
		return PARSE_BAD;
	*domain = span_first(*in, used);
	*in = rest;
	return PARSE_OK;
}

/* Dot-string = Atom *("." Atom)                                    RFC 5321 s.4.1.2 */
static enum parse_status
dot_string_take(struct span *in, struct span *text)
{
	struct span rest = *in;

	do {
		if (run_take(&rest, &atext) != PARSE_OK)
			return PARSE_BAD;
	} while (byte_take(&rest, '.'));
	*text = span_first(*in, in->len - rest.len);
	*in = rest;
	return PARSE_OK;
}

/*
 * Quoted-string = DQUOTE *QcontentSMTP DQUOTE                      RFC 5321 s.4.1.2
 * QcontentSMTP  = qtextSMTP / quoted-pairSMTP / UTF8-non-ascii     RFC 6531 s.3.3
 */
enum parse_status
quoted_string_take(struct span *in, struct span *quoted)
{
	struct span rest = *in;
	uint32_t code;

	if (!byte_take(&rest, '"'))
		return PARSE_BAD;
	while (rest.len > 0 && rest.ptr[0] != '"') {
		size_t len = 1;

		if (byte_is_8bit(rest.ptr[0])) {
			len = non_ascii_len(rest, &code);
			if (len == 0)
				return PARSE_BAD;
		} else if (rest.ptr[0] == '\\') {
			if (rest.len < 2 || rest.ptr[1] < ' ' || rest.ptr[1] > '~')
				return PARSE_BAD;
			len = 2;
		} else if (ascii_is_control(rest.ptr[0])) {
			return PARSE_BAD;
		}
		rest = span_skip(rest, len);
	}
	if (!byte_take(&rest, '"'))
		return PARSE_BAD;
	*quoted = span_first(*in, in->len - rest.len);
	*in = rest;
	return PARSE_OK;
}

enum parse_status
local_part_take(struct span *in, struct span *local)
{
	struct span rest = *in, text = { NULL, 0 };
	bool is_quoted = rest.len > 0 && rest.ptr[0] == '"';
	enum parse_status status = is_quoted ? quoted_string_take(&rest, &text) :
					       dot_string_take(&rest, &text);

	if (status != PARSE_OK || text.len > LOCAL_PART_MAX)
		return PARSE_BAD;
	*local = text;
	*in = rest;
	return PARSE_OK;
}

enum parse_status
address_literal_parse(struct span in, struct ip *ip)
{
	static const struct span v6_tag = SPAN_LITERAL("IPv6:");
	bool is_v6;

	if (in.len < 2 || in.ptr[0] != '[' || in.ptr[in.len - 1] != ']')
		return PARSE_BAD;
	in = (struct span){ .ptr = in.ptr + 1, .len = in.len - 2 };
	is_v6 = span_starts_fold(in, v6_tag);
	if (is_v6)
		in = span_skip(in, v6_tag.len);
	if ((span_find(in, ':') < in.len) != is_v6)
		return PARSE_BAD;
	return ip_parse(in, ip);
}

/* address-literal off the front: to its "]". */
static enum parse_status
literal_take(struct span *in, struct span *literal)
{
	size_t end = span_find(*in, ']');
	struct ip ip;

	if (end == in->len || address_literal_parse(span_first(*in, end + 1), &ip) != PARSE_OK)
		return PARSE_BAD;
	*literal = span_first(*in, end + 1);
	*in = span_skip(*in, end + 1);
	return PARSE_OK;
}

static bool
has_8bit(struct span s)
{
	unsigned char any = 0;

	for (size_t i = 0; i < s.len; i++)
		any |= (unsigned char)s.ptr[i];
	return any >= 0x80;
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) off the front. */
static enum parse_status
mailbox_take(struct span *in, struct address *address)
{
	struct span rest = *in;
	struct address taken = { .is_literal = false };
	enum parse_status status;

	if (local_part_take(&rest, &taken.local) != PARSE_OK || !byte_take(&rest, '@'))
		return PARSE_BAD;
	taken.is_literal = rest.len > 0 && rest.ptr[0] == '[';
	status = taken.is_literal ? literal_take(&rest, &taken.domain) :
				    domain_take(&rest, &taken.domain);
	taken.text = span_first(*in, in->len - rest.len);
	if (status != PARSE_OK || taken.text.len > PATH_MAX_OCTETS - 2)
		return PARSE_BAD;
	taken.is_utf8 = has_8bit(taken.text);
	*address = taken;
	*in = rest;
	return PARSE_OK;
}

enum parse_status
mailbox_parse(struct span in, struct address *address)
{
	struct address taken;

	if (mailbox_take(&in, &taken) != PARSE_OK || in.len != 0)
		return PARSE_BAD;
	*address = taken;
	return PARSE_OK;
}

enum parse_status
reverse_path_take(struct span *in, struct address *address)
{
	struct span rest = *in;
	struct address taken = { .is_literal = false };

	if (!byte_take(&rest, '<'))
		return PARSE_BAD;
	if (!byte_take(&rest, '>') &&
	    (mailbox_take(&rest, &taken) != PARSE_OK || !byte_take(&rest, '>')))
		return PARSE_BAD;
	*address = taken;
	*in = rest;
	return PARSE_OK;
}

enum parse_status
forward_path_take(struct span *in, struct address *address)
{
	static const struct span postmaster = SPAN_LITERAL("<Postmaster>");
	struct span rest = *in;
	struct address taken = { .is_literal = false };

	if (span_starts_fold(rest, postmaster)) {
		taken.text = (struct span){ .ptr = rest.ptr + 1, .len = postmaster.len - 2 };
		taken.local = taken.text;
		rest = span_skip(rest, postmaster.len);
	} else if (!byte_take(&rest, '<') || mailbox_take(&rest, &taken) != PARSE_OK ||
		   !byte_take(&rest, '>')) {
		return PARSE_BAD;
	}
	*address = taken;
	*in = rest;
	return PARSE_OK;
}
