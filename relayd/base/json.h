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
void json_text_under(struct json *j, struct span key, struct span value);
static inline void
json_text(struct json *j, const char *key, struct span value)
{
	json_text_under(j, span_of(key), value); /* a literal's length costs nothing here */
}
void json_cstring(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_nothing(struct json *j, const char *key);

/* A value that is JSON already, on one line. */
void json_encoded(struct json *j, const char *key, struct span value);

/* The same, left out altogether when the value is empty. */
static inline void
json_text_if(struct json *j, const char *key, struct span value)
{
	if (value.len > 0)
		json_text(j, key, value);
}

#endif
