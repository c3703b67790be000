/* SPDX-License-Identifier: ISC */
/*
 * Writing JSON (RFC 8259) into a buffer, in one pass. What comes out is always valid UTF-8 on
 * one line: control bytes, C1, U+2028/2029 and bidirectional controls are escaped, bytes that
 * are not UTF-8 become U+FFFD. Reading JSON is jansson's job; no name here is one of its, so
 * that a source may do both.
 */
#ifndef RELAYD_BASE_JSON_H
#define RELAYD_BASE_JSON_H

#include "base/buffer.h"

/* Embedded by value. The buffer is borrowed; its is_over tells whether all fitted. */
struct json {
	struct buffer *out;
	bool needs_comma;
};

static inline struct json
json_on(struct buffer *out)
{
	return (struct json){ .out = out };
}

/* key NULL: the value stands in an array, or is the whole text. */
void json_object_begin(struct json *j, const char *key);
void json_object_end(struct json *j);
void json_array_begin(struct json *j, const char *key);
void json_array_end(struct json *j);
static inline void json_text(struct json *j, const char *key, struct span value);
static inline void json_cstring(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_nothing(struct json *j, const char *key);

/* A value that is JSON already, on one line. */
void json_encoded(struct json *j, const char *key, struct span value);

/* A value that is JSON already, on one line. */
void json_encoded(struct json *j, const char *key, struct span value);

/* A text, left out altogether when it is empty. */
static inline void json_text_if(struct json *j, const char *key, struct span value);

/*
 * What the inline functions below stand on: with a literal for a key, its length and its
 * copying are settled at compile time, which halves the time of an audit record.
 */

/* Copy bytes as long as they need no escaping; at has room for all of s. How many. */
size_t json_plain_copy(char *at, struct span s);

/* Finish a text of which so many bytes were copied, with room taken for all of it. */
void json_text_rest(struct json *j, struct span value, size_t run);

/*
 * Room for a member whose value takes octets, with its key already written in front; NULL,
 * and nothing written, when it does not fit. The caller writes exactly that many.
 */
static inline __attribute__((always_inline)) char *
json_member(struct json *j, const char *key, size_t octets)
{
	struct buffer *out = j->out;
	size_t len = key == NULL ? 0 : strlen(key);
	size_t whole = (j->needs_comma ? 1 : 0) + (key == NULL ? 0 : len + 3) + octets;
	char *at = out->room - out->len > whole ? out->ptr + out->len :
						  buffer_reserve(out, whole);

	if (at == NULL)
		return NULL;
	out->len += whole;
	if (j->needs_comma)
		*at++ = ',';
	j->needs_comma = true;
	if (key != NULL) {
		*at++ = '"';
		memcpy(at, key, len);
		at += len;
		*at++ = '"';
		*at++ = ':';
	}
	return at;
}

static inline __attribute__((always_inline)) void
json_text(struct json *j, const char *key, struct span value)
{
	char *at = json_member(j, key, value.len + 2);

	if (at == NULL)
		return;
	*at++ = '"';
	size_t run = json_plain_copy(at, value);

	if (run == value.len)
		at[run] = '"';
	else
		json_text_rest(j, value, run);
}

static inline __attribute__((always_inline)) void
json_cstring(struct json *j, const char *key, const char *value)
{
	json_text(j, key, span_of(value));
}

static inline __attribute__((always_inline)) void
json_text_if(struct json *j, const char *key, struct span value)
{
	if (value.len > 0)
		json_text(j, key, value);
}

#endif
