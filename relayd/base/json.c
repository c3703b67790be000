/* SPDX-License-Identifier: ISC */
/* Writing JSON; see json.h. */
#include "base/json.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>

#define REPLACEMENT "\\ufffd"

static void
key_put(struct json *j, const char *key)
{
	if (j->needs_comma)
		buffer_append_byte(j->out, ',');
	j->needs_comma = true;
	if (key != NULL) {
		buffer_append_byte(j->out, '"');
		buffer_append_text(j->out, key);
		buffer_append(j->out, (struct span)SPAN_LITERAL("\":"));
	}
}

void
json_object_begin(struct json *j, const char *key)
{
	key_put(j, key);
	buffer_append_byte(j->out, '{');
	j->needs_comma = false;
}

void
json_object_end(struct json *j)
{
	buffer_append_byte(j->out, '}');
	j->needs_comma = true;
}

void
json_array_begin(struct json *j, const char *key)
{
	key_put(j, key);
	buffer_append_byte(j->out, '[');
	j->needs_comma = false;
}

void
json_array_end(struct json *j)
{
	buffer_append_byte(j->out, ']');
	j->needs_comma = true;
}

/* Characters that are valid but may act on a terminal or a reader of lines. */
static bool
code_is_active(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 ||
	       code == 0x2029 || code == 0x200e || code == 0x200f ||
	       (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
	       code == 0xfeff || code == 0x061c;
}

static size_t
plain_run(struct span s)
{
	size_t i = 0;

	while (i < s.len) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			break;
		i++;
	}
	return i;
}

static void
escaped_put(struct json *j, struct span value)
{
	while (value.len > 0) {
		size_t run = plain_run(value);
		uint32_t code = 0;

		if (run > 0) {
			buffer_append(j->out, span_first(value, run));
			value = span_skip(value, run);
			continue;
		}
		size_t len = utf8_decode(value, &code);

		if (len == 0) {
			buffer_append(j->out, (struct span)SPAN_LITERAL(REPLACEMENT));
			len = 1;
		} else if (code == '"' || code == '\\') {
			buffer_append_byte(j->out, '\\');
			buffer_append_byte(j->out, (char)code);
		} else if (code_is_active(code)) {
			buffer_printf(j->out, "\\u%04" PRIx32, code);
		} else {
			buffer_append(j->out, span_first(value, len));
		}
		value = span_skip(value, len);
	}
}

void
json_text(struct json *j, const char *key, struct span value)
{
	key_put(j, key);
	buffer_append_byte(j->out, '"');
	escaped_put(j, value);
	buffer_append_byte(j->out, '"');
}

void
json_text_if(struct json *j, const char *key, struct span value)
{
	if (value.len > 0)
		json_text(j, key, value);
}

void
json_string(struct json *j, const char *key, const char *value)
{
	json_text(j, key, span_of(value));
}

void
json_number(struct json *j, const char *key, int64_t value)
{
	char digits[24];

	key_put(j, key);
	(void)snprintf(digits, sizeof(digits), "%" PRId64, value);
	buffer_append_text(j->out, digits);
}

void
json_bool(struct json *j, const char *key, bool value)
{
	key_put(j, key);
	buffer_append_text(j->out, value ? "true" : "false");
}

void
json_null(struct json *j, const char *key)
{
	key_put(j, key);
	buffer_append_text(j->out, "null");
}
