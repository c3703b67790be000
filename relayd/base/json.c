/* SPDX-License-Identifier: ISC */
/* Writing JSON; see json.h. */
#include "base/json.h"

#include "base/utf8.h"

#include <inttypes.h>

#define REPLACEMENT "\\ufffd"

static char *
bytes_put(char *at, const char *bytes, size_t len)
{
	if (len > 0)
		memcpy(at, bytes, len);
	return at + len;
}

/*
 * Room for a member whose value takes octets, with its key (ptr NULL: none) already written in
 * front; NULL, and nothing written, when it does not fit. The caller writes exactly that many.
 */
static inline char *
member_put(struct json *j, struct span key, size_t octets)
{
	struct buffer *out = j->out;
	size_t whole = (j->needs_comma ? 1 : 0) + (key.ptr == NULL ? 0 : key.len + 3) + octets;
	char *at = out->room - out->len > whole ? out->ptr + out->len :
						  buffer_reserve(out, whole);

	if (at == NULL)
		return NULL;
	out->len += whole;
	if (j->needs_comma)
		*at++ = ',';
	j->needs_comma = true;
	if (key.ptr != NULL) {
		*at++ = '"';
		at = bytes_put(at, key.ptr, key.len);
		*at++ = '"';
		*at++ = ':';
	}
	return at;
}

/* A value whose text needs no escaping. */
static void
literal_put(struct json *j, const char *key, struct span text)
{
	char *at = member_put(j, span_of(key), text.len);

	if (at != NULL)
		(void)bytes_put(at, text.ptr, text.len);
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

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))
#define HIGH_BITS    EACH_BYTE(0x80)

/* High bits set where a byte of x is zero; only above such a byte may others be set too. */
static inline uint64_t
zero_bytes(uint64_t x)
{
	return (x - EACH_BYTE(1)) & ~x & HIGH_BITS;
}

/* Does any of eight bytes need a closer look: control, 0x7f and up, quote, backslash? */
static inline bool
word_is_plain(uint64_t x)
{
	uint64_t low = (x - EACH_BYTE(0x20)) & ~x & HIGH_BITS;

	return ((x & HIGH_BITS) | low | zero_bytes(x ^ EACH_BYTE(0x7f)) |
		zero_bytes(x ^ EACH_BYTE('"')) | zero_bytes(x ^ EACH_BYTE('\\'))) == 0;
}

static inline bool
byte_is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Copy the eight bytes at from when all of them are plain. */
static inline bool
word_copy(char *at, const char *from)
{
	uint64_t word;

	memcpy(&word, from, sizeof(word));
	if (!word_is_plain(word))
		return false;
	memcpy(at, &word, sizeof(word));
	return true;
}

/*
 * Copy bytes as long as they need no escaping, eight at a time while it lasts; there is room
 * for all of s. How many were copied.
 */
static size_t
plain_copy(char *at, struct span s)
{
	const size_t step = sizeof(uint64_t);
	size_t i = 0;

	while (s.len - i >= step && word_copy(at + i, s.ptr + i))
		i += step;
	/* what is left of a longer text ends with eight bytes, some of which were copied */
	if (s.len - i < step && s.len >= step &&
	    word_copy(at + s.len - step, s.ptr + s.len - step))
		return s.len;
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
json_text_under(struct json *j, struct span key, struct span value)
{
	char *at = member_put(j, key, value.len + 2);

	if (at == NULL)
		return;
	*at++ = '"';
	size_t run = plain_copy(at, value);

	if (run == value.len) {
		at[run] = '"';
		return;
	}
	/* the rest does not go in as it is: give its room back, and go on piece by piece */
	j->out->len -= value.len - run + 1;
	value = span_skip(value, run);
	while (value.len > 0) {
		value = span_skip(value, escape_put(j, value));
		char *place = buffer_reserve(j->out, value.len);

		if (place == NULL)
			return;
		run = plain_copy(place, value);
		buffer_claim(j->out, run);
		value = span_skip(value, run);
	}
	buffer_append_byte(j->out, '"');
}

void
json_cstring(struct json *j, const char *key, const char *value)
{
	json_text(j, key, span_of(value));
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
