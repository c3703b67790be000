/* SPDX-License-Identifier: ISC */
/* Writing JSON; see json.h. */
#include "base/json.h"

#include "base/utf8.h"

#include <inttypes.h>

#define REPLACEMENT "\\ufffd"

/* A value whose text needs no escaping. */
static void
literal_put(struct json *j, const char *key, struct span text)
{
	char *at = json_member(j, key, text.len);

	if (at != NULL && text.len > 0)
		memcpy(at, text.ptr, text.len);
}

static void
open_put(struct json *j, const char *key, char bracket)
{
	literal_put(j, key, (struct span){ .ptr = &bracket, .len = 1 });
	j->needs_comma = false;
}

static void
close_put(struct json *j, char bracket)
{
	buffer_append_byte(j->out, bracket);
	j->needs_comma = true;
}

void
json_object_begin(struct json *j, const char *key)
{
	open_put(j, key, '{');
}

void
json_object_end(struct json *j)
{
	close_put(j, '}');
}

void
json_array_begin(struct json *j, const char *key)
{
	open_put(j, key, '[');
}

void
json_array_end(struct json *j)
{
	close_put(j, ']');
}

/* Sixteen octets at once, in whatever registers the machine has. */
#define BLOCK_OCTETS 16
typedef unsigned char block __attribute__((vector_size(BLOCK_OCTETS)));

static inline bool
byte_is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* byte_is_plain of all of them. */
static inline bool
block_is_plain(block x)
{
	const block quote = (block){ 0 } + (unsigned char)'"';
	const block backslash = (block){ 0 } + (unsigned char)'\\';
	const block lowest = (block){ 0 } + (unsigned char)0x20;
	const block width = (block){ 0 } + (unsigned char)(0x7e - 0x20);
	uint64_t bad[2];
	__typeof__(x == quote) marks = (x == quote) | (x == backslash) | (x - lowest > width);

	memcpy(bad, &marks, sizeof(bad));
	return (bad[0] | bad[1]) == 0;
}

static inline bool
block_copy(char *at, const char *from)
{
	block x;

	memcpy(&x, from, sizeof(x));
	if (!block_is_plain(x))
		return false;
	memcpy(at, &x, sizeof(x));
	return true;
}

/* Copy a text shorter than a block whose first and last half octets make up all of it. */
static inline bool
halves_copy(char *at, struct span s, size_t half)
{
	char both[BLOCK_OCTETS];
	block x;

	memset(both, ' ', sizeof(both));
	memcpy(both, s.ptr, half);
	memcpy(both + half, s.ptr + s.len - half, half);
	memcpy(&x, both, sizeof(x));
	if (!block_is_plain(x))
		return false;
	memcpy(at, both, half);
	memcpy(at + s.len - half, both + half, half);
	return true;
}

size_t
json_plain_copy(char *at, struct span s)
{
	const size_t step = BLOCK_OCTETS;
	size_t i = 0;

	if (s.len >= step) {
		while (s.len - i >= step && block_copy(at + i, s.ptr + i))
			i += step;
		/* what is left ends with a block, some of which was copied already */
		if (s.len - i < step && block_copy(at + s.len - step, s.ptr + s.len - step))
			return s.len;
	} else if ((s.len >= 8 && halves_copy(at, s, 8)) ||
		   (s.len >= 4 && s.len < 8 && halves_copy(at, s, 4))) {
		return s.len;
	}
	while (i < s.len && byte_is_plain((unsigned char)s.ptr[i])) {
		at[i] = s.ptr[i];
		i++;
	}
	return i;
}

/* Write the character at the front of value as it may stand in a string; its octets. */
static size_t
escape_put(struct json *j, struct span value)
{
	uint32_t code = 0;
	size_t len = utf8_decode(value, &code);

	if (len == 0) {
		buffer_append(j->out, (struct span)SPAN_LITERAL(REPLACEMENT));
		return 1;
	}
	if (code == '"' || code == '\\') {
		buffer_append_byte(j->out, '\\');
		buffer_append_byte(j->out, (char)code);
	} else if (utf8_is_active(code)) {
		buffer_printf(j->out, "\\u%04" PRIx32, code);
	} else {
		buffer_append(j->out, span_first(value, len));
	}
	return len;
}

void
json_text_rest(struct json *j, struct span value, size_t run)
{
	/* the rest does not go in as it is: give its room back, and go on piece by piece */
	j->out->len -= value.len - run + 1;
	value = span_skip(value, run);
	while (value.len > 0) {
		value = span_skip(value, escape_put(j, value));
		char *place = buffer_reserve(j->out, value.len);

		if (place == NULL)
			return;
		run = json_plain_copy(place, value);
		buffer_claim(j->out, run);
		value = span_skip(value, run);
	}
	buffer_append_byte(j->out, '"');
}

void
json_number(struct json *j, const char *key, int64_t value)
{
	char digits[24];
	char *at = digits + sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		*--at = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest != 0);
	if (value < 0)
		*--at = '-';
	literal_put(j, key,
		    (struct span){ .ptr = at, .len = (size_t)(digits + sizeof(digits) - at) });
}

void
json_bool(struct json *j, const char *key, bool value)
{
	literal_put(j, key, span_of(value ? "true" : "false"));
}

void
json_nothing(struct json *j, const char *key)
{
	literal_put(j, key, span_of("null"));
}

void
json_encoded(struct json *j, const char *key, struct span value)
{
	literal_put(j, key, value);
}
