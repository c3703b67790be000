/* SPDX-License-Identifier: ISC */
/*
 * Envelopes in the spool; see envelope.h. The format, all numbers in LEB128 of the shortest
 * form, every text its length and then its bytes:
 *
 *	version (1 octet)  ret  body  flags  arrived  size
 *	id  sender  envid  client  login  connector
 *	recipient count, then for each: notify  address  orcpt  route  grant
 *
 * No text may hold a control byte, in either direction: what delivery reads may stand in a
 * command, a header field or a log line.
 */
#include "smtp/envelope.h"

#define VERSION 1
#define RECIPIENT_OCTETS_MIN 6 /* notify, four lengths, and an address that is not empty */

enum envelope_flag {
	FLAG_SMTPUTF8 = 1,
	FLAG_NEEDS_TLS = 2,
	FLAGS_ALL = FLAG_SMTPUTF8 | FLAG_NEEDS_TLS,
};

static bool
text_is_clean(struct span text)
{
	bool is_dirty = false;

	for (size_t i = 0; i < text.len; i++)
		is_dirty |= ascii_is_control(text.ptr[i]);
	return !is_dirty;
}

static bool
notify_is_valid(uint64_t notify)
{
	return notify == NOTIFY_NEVER ||
	       (notify & ~(uint64_t)(NOTIFY_SUCCESS | NOTIFY_FAILURE | NOTIFY_DELAY)) == 0;
}

static bool
number_append(struct buffer *out, uint64_t n)
{
	char octets[10];
	size_t len = 0;

	do {
		octets[len++] = (char)(unsigned char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
		n >>= 7;
	} while (n > 0);
	return buffer_append(out, (struct span){ .ptr = octets, .len = len });
}

/* A number off the front; PARSE_BAD when it is not in its shortest form or exceeds max. */
static enum parse_status
leb128_take(struct span *in, uint64_t max, uint64_t *n)
{
	uint64_t value = 0;

	for (size_t i = 0; i < in->len && i < 10; i++) {
		uint64_t septet = (unsigned char)in->ptr[i] & 0x7f;

		if (i == 9 && septet > 1)
			return PARSE_BAD;
		value |= septet << (7 * i);
		if (((unsigned char)in->ptr[i] & 0x80) != 0)
			continue;
		if (value > max || (septet == 0 && i > 0))
			return PARSE_BAD;
		*in = span_skip(*in, i + 1);
		*n = value;
		return PARSE_OK;
	}
	return PARSE_BAD;
}

static bool
text_append(struct buffer *out, struct span text)
{
	return text_is_clean(text) && number_append(out, text.len) && buffer_append(out, text);
}

static enum parse_status
text_take(struct span *in, struct span *text)
{
	struct span rest = *in;
	uint64_t len;

	if (leb128_take(&rest, in->len, &len) != PARSE_OK || len > rest.len ||
	    !text_is_clean(span_first(rest, len)))
		return PARSE_BAD;
	*text = span_first(rest, len);
	*in = span_skip(rest, len);
	return PARSE_OK;
}

static bool
recipient_append(struct buffer *out, const struct envelope_recipient *r)
{
	return r->address.len > 0 && notify_is_valid(r->notify) &&
	       number_append(out, r->notify) && text_append(out, r->address) &&
	       text_append(out, r->orcpt) && text_append(out, r->route) &&
	       text_append(out, r->grant);
}

static enum parse_status
recipient_take(struct span *in, struct envelope_recipient *r)
{
	uint64_t notify;

	if (leb128_take(in, UINT32_MAX, &notify) != PARSE_OK || !notify_is_valid(notify) ||
	    text_take(in, &r->address) != PARSE_OK || r->address.len == 0 ||
	    text_take(in, &r->orcpt) != PARSE_OK || text_take(in, &r->route) != PARSE_OK ||
	    text_take(in, &r->grant) != PARSE_OK)
		return PARSE_BAD;
	r->notify = (uint32_t)notify;
	return PARSE_OK;
}

static bool
envelope_append(const struct envelope *e, struct buffer *out)
{
	uint64_t flags = (e->is_smtputf8 ? FLAG_SMTPUTF8 : 0U) | (e->needs_tls ? FLAG_NEEDS_TLS : 0U);

	if (!buffer_append_byte(out, VERSION) || !number_append(out, e->ret) ||
	    !number_append(out, e->body) || !number_append(out, flags) ||
	    e->arrived_wall_ms < 0 || !number_append(out, (uint64_t)e->arrived_wall_ms) ||
	    !number_append(out, e->size_octets) || !text_append(out, e->id) ||
	    !text_append(out, e->sender) || !text_append(out, e->envid) ||
	    !text_append(out, e->client) || !text_append(out, e->login) ||
	    !text_append(out, e->connector) || !number_append(out, e->recipient_count))
		return false;
	for (size_t i = 0; i < e->recipient_count; i++) {
		if (!recipient_append(out, &e->recipients[i]))
			return false;
	}
	return true;
}

bool
envelope_encode(const struct envelope *envelope, struct buffer *out)
{
	size_t before = out->len;

	if (envelope_append(envelope, out) && out->len - before <= ENVELOPE_OCTETS_MAX)
		return true;
	out->len = before;
	return false;
}

static enum parse_status
head_take(struct span *in, struct envelope *e, uint64_t *recipients)
{
	uint64_t ret, body, flags, arrived;

	if (!byte_take(in, VERSION) || leb128_take(in, RET_HDRS, &ret) != PARSE_OK ||
	    leb128_take(in, BODY_8BITMIME, &body) != PARSE_OK ||
	    leb128_take(in, FLAGS_ALL, &flags) != PARSE_OK ||
	    leb128_take(in, INT64_MAX, &arrived) != PARSE_OK ||
	    leb128_take(in, UINT64_MAX, &e->size_octets) != PARSE_OK ||
	    text_take(in, &e->id) != PARSE_OK || text_take(in, &e->sender) != PARSE_OK ||
	    text_take(in, &e->envid) != PARSE_OK || text_take(in, &e->client) != PARSE_OK ||
	    text_take(in, &e->login) != PARSE_OK || text_take(in, &e->connector) != PARSE_OK ||
	    leb128_take(in, in->len / RECIPIENT_OCTETS_MIN, recipients) != PARSE_OK)
		return PARSE_BAD;
	e->ret = (enum envelope_ret)ret;
	e->body = (enum envelope_body)body;
	e->is_smtputf8 = (flags & FLAG_SMTPUTF8) != 0;
	e->needs_tls = (flags & FLAG_NEEDS_TLS) != 0;
	e->arrived_wall_ms = (int64_t)arrived;
	return PARSE_OK;
}

enum parse_status
envelope_decode(struct span in, struct arena *arena, struct envelope *envelope)
{
	uint64_t count;

	*envelope = (struct envelope){ .recipient_count = 0 };
	if (in.len > ENVELOPE_OCTETS_MAX || head_take(&in, envelope, &count) != PARSE_OK)
		return PARSE_BAD;
	envelope->recipients =
	    arena_new_array(arena, count, sizeof(struct envelope_recipient));
	for (; envelope->recipient_count < count; envelope->recipient_count++) {
		if (recipient_take(&in, &envelope->recipients[envelope->recipient_count]) != PARSE_OK)
			return PARSE_BAD;
	}
	return in.len == 0 ? PARSE_OK : PARSE_BAD;
}
