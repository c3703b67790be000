/* SPDX-License-Identifier: ISC */
/* The header of a message as it streams by; see header_block.h. */
#include "smtp/header_block.h"

#include <assert.h>

enum block_state {
	STATE_LINE,  /* where a line begins */
	STATE_EMPTY, /* CR where a line begins */
	STATE_NAME,
	STATE_FOLD, /* the blanks that begin a continuation line */
	STATE_VALUE,
};

struct field_entry {
	struct span name;
	size_t octets_max; /* of the value, as far as we keep it */
};

static const struct field_entry fields[HEADER_FIELD_COUNT] = {
	[HEADER_RECEIVED] = { SPAN_LITERAL("Received"), 1024 },
	[HEADER_FROM] = { SPAN_LITERAL("From"), 4096 },
	[HEADER_SENDER] = { SPAN_LITERAL("Sender"), 1024 },
	[HEADER_RESENT_FROM] = { SPAN_LITERAL("Resent-From"), 4096 },
	[HEADER_REPLY_TO] = { SPAN_LITERAL("Reply-To"), 4096 },
	[HEADER_MESSAGE_ID] = { SPAN_LITERAL("Message-ID"), 998 },
	[HEADER_DATE] = { SPAN_LITERAL("Date"), 100 },
	[HEADER_DELIVERED_TO] = { SPAN_LITERAL("Delivered-To"), 320 },
};

#define DELIVERED_MAX (8U << 10)
#define VALUES_MAX (16U << 10) /* octets; no less than all the above together */

void
header_block_init(struct header_block *block, struct span own_token)
{
	*block = (struct header_block){ .own_token = own_token, .state = STATE_LINE };
	buffer_init(&block->text, VALUES_MAX);
	buffer_init(&block->delivered_to, DELIVERED_MAX);
}

void
header_block_reset(struct header_block *block)
{
	buffer_reset(&block->text);
	buffer_reset(&block->delivered_to);
	header_block_init(block, (struct span){ NULL, 0 });
}

struct span
header_block_value(const struct header_block *block, enum header_field field)
{
	const struct header_value *value = &block->values[field];

	if (value->len == 0)
		return (struct span){ NULL, 0 };
	return (struct span){ .ptr = block->text.ptr + value->at, .len = value->len };
}

/* Does part stand somewhere in it, in any case? An empty part does not. */
static bool
span_has_fold(struct span in, struct span part)
{
	for (; in.len >= part.len && part.len > 0; in = span_skip(in, 1)) {
		if (span_starts_fold(in, part))
			return true;
	}
	return false;
}

/* Add to the value of the current field as much as is kept of it. */
static void
value_add(struct header_block *b, struct span bytes)
{
	struct header_value *value = &b->values[b->field];
	size_t room = fields[b->field].octets_max - value->len;

	if (bytes.len > room)
		value->is_cut = true;
	bytes = span_first(bytes, room);

	char *place = buffer_reserve(&b->text, bytes.len);

	assert(place != NULL); /* VALUES_MAX holds them all */
	for (size_t i = 0; i < bytes.len; i++)
		place[i] = bytes.ptr[i] == '\t' ? ' ' : bytes.ptr[i];
	buffer_claim(&b->text, bytes.len);
	value->len += bytes.len;
}

/* The line of a value is over: its CR is none of it. */
static void
value_line_end(struct header_block *b)
{
	struct header_value *value = &b->values[b->field];

	if (value->len > 0 && !value->is_cut && b->text.ptr[b->text.len - 1] == '\r') {
		value->len--;
		b->text.len--;
	}
}

static void
delivered_to_add(struct header_block *b, struct span mailbox)
{
	if (b->delivered_to.len + mailbox.len + 1 > DELIVERED_MAX)
		return;
	(void)buffer_append_byte(&b->delivered_to, '\n');
	(void)buffer_append(&b->delivered_to, mailbox);
}

bool
header_block_was_delivered_to(const struct header_block *block, struct span mailbox)
{
	struct span rest = buffer_span(&block->delivered_to);

	while (rest.len > 0) {
		rest = span_skip(rest, 1);

		struct span one = span_first(rest, span_find(rest, '\n'));

		if (span_equal_fold(one, mailbox))
			return true;
		rest = span_skip(rest, one.len);
	}
	return false;
}

static void
field_end(struct header_block *b)
{
	struct header_value *value;

	b->has_field = false;
	if (!b->is_kept)
		return;
	b->is_kept = false;
	value = &b->values[b->field];

	struct span text = span_trim(header_block_value(b, b->field));

	if (b->field != HEADER_RECEIVED && b->field != HEADER_DELIVERED_TO) {
		value->at = text.len == 0 ? 0 : (size_t)(text.ptr - b->text.ptr);
		value->len = text.len;
		return;
	}
	if (b->field == HEADER_DELIVERED_TO)
		delivered_to_add(b, text);
	else if (span_has_fold(text, b->own_token))
		b->own_hops++;
	b->text.len = value->at;
	*value = (struct header_value){ .len = 0 };
}

static enum header_field
field_find(struct span name)
{
	for (unsigned i = 0; i < HEADER_FIELD_COUNT; i++) {
		if (span_equal_fold(name, fields[i].name))
			return (enum header_field)i;
	}
	return HEADER_OTHER;
}

/* The colon behind a name. */
static void
field_begin(struct header_block *b)
{
	struct span name = { .ptr = b->name, .len = b->name_len };

	b->is_malformed |= b->name_len == 0;
	b->field = b->name_len > sizeof(b->name) ? HEADER_OTHER : field_find(name);
	b->has_field = true;
	if (b->field == HEADER_OTHER)
		return;
	b->is_kept = b->counts[b->field]++ == 0 || b->field == HEADER_RECEIVED ||
		     b->field == HEADER_DELIVERED_TO;
	if (b->is_kept)
		b->values[b->field] = (struct header_value){ .at = b->text.len };
}

/*
 * field-name = 1*(%d33-57 / %d59-126), and blanks before the colon, which the obsolete
 * grammar has and readers of mail accept (RFC 5322 s.2.2, s.4.5.8).
 */
static void
name_byte_add(struct header_block *b, char c)
{
	if (c == ' ' || c == '\t') {
		b->has_blank = true;
		return;
	}
	if (c < '!' || c > '~' || b->has_blank) {
		b->is_malformed = true;
		b->name_len = sizeof(b->name); /* too long for any name that we know */
	}
	if (b->name_len < sizeof(b->name))
		b->name[b->name_len] = c;
	b->name_len++;
}

/* A byte where a line begins. */
static void
line_byte_add(struct header_block *b, char c)
{
	if (c == ' ' || c == '\t') {
		b->is_malformed |= !b->has_field;
		if (b->is_kept)
			value_add(b, (struct span)SPAN_LITERAL(" "));
		b->state = STATE_FOLD;
		return;
	}
	field_end(b);
	if (c == '\r') {
		b->state = STATE_EMPTY;
		return;
	}
	if (c == '\n') {
		b->has_ended = true;
		return;
	}
	b->name_len = 0;
	b->has_blank = false;
	if (c == ':') {
		field_begin(b);
		b->state = STATE_VALUE;
		return;
	}
	name_byte_add(b, c);
	b->state = STATE_NAME;
}

/* A byte within a name. A line that ends there is no field. */
static void
name_take(struct header_block *b, char c)
{
	if (c == ':') {
		field_begin(b);
		b->state = STATE_VALUE;
	} else if (c == '\n') {
		b->is_malformed = true;
		b->state = STATE_LINE;
	} else {
		name_byte_add(b, c);
	}
}

/*
 * A CR within a value: whoever takes it for the end of a line, as a delivery that normalises
 * does, sees other fields than we do.
 */
static void
value_cr_check(struct header_block *b, struct span part, bool ends_line)
{
	size_t cr = span_find(part, '\r');

	if (part.len > 0) {
		b->is_malformed |= b->has_cr || cr + 1 < part.len;
		b->has_cr = cr < part.len;
	}
	b->has_cr &= !ends_line;
}

/* Take what belongs to a value, to its line's end at most. */
static void
value_take(struct header_block *b, struct span *in)
{
	size_t end = span_find(*in, '\n');
	bool ends_line = end < in->len;

	value_cr_check(b, span_first(*in, end), ends_line);
	if (b->is_kept)
		value_add(b, span_first(*in, end));
	*in = span_skip(*in, ends_line ? end + 1 : end);
	if (ends_line) {
		if (b->is_kept)
			value_line_end(b);
		b->state = STATE_LINE;
	}
}

static void
header_take(struct header_block *b, struct span *in)
{
	char c = in->ptr[0];

	switch ((enum block_state)b->state) {
	case STATE_LINE:
		line_byte_add(b, c);
		break;
	case STATE_EMPTY:
		b->has_ended = c == '\n';
		b->is_malformed |= c != '\n';
		b->state = STATE_VALUE; /* of no field: up to the line's end */
		break;
	case STATE_NAME:
		name_take(b, c);
		break;
	case STATE_FOLD:
		if (c == ' ' || c == '\t')
			break;
		b->state = STATE_VALUE;
		value_take(b, in);
		return;
	case STATE_VALUE:
		value_take(b, in);
		return;
	}
	*in = span_skip(*in, 1);
}

bool
header_block_add(struct header_block *block, struct span bytes)
{
	struct span in = span_first(bytes, HEADER_BLOCK_MAX - block->octets);
	bool is_short = in.len < bytes.len;

	while (in.len > 0 && !block->has_ended) {
		size_t before = in.len;

		header_take(block, &in);
		block->octets += before - in.len;
	}
	if (!block->has_ended && is_short) {
		block->is_too_big = true;
		header_block_end(block);
	}
	return !block->has_ended;
}

void
header_block_end(struct header_block *block)
{
	if (block->state == STATE_NAME || block->state == STATE_EMPTY)
		block->is_malformed |= !block->has_ended;
	block->is_malformed |= block->has_cr;
	field_end(block);
	block->has_ended = true;
}

enum header_addresses
header_addresses_read(const struct header_block *block, enum header_field field,
		      struct arena *arena, struct address_list *list)
{
	if (block->counts[field] > 1)
		return ADDRESSES_REPEATED;
	if (block->is_malformed || block->is_too_big || block->values[field].is_cut)
		return ADDRESSES_UNPARSABLE;
	if (block->counts[field] == 0)
		return ADDRESSES_MISSING;
	if (address_list_parse(header_block_value(block, field), arena, list) != PARSE_OK)
		return ADDRESSES_UNPARSABLE;
	return ADDRESSES_OK;
}
