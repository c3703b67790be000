/* SPDX-License-Identifier: ISC */
/* UTF-8; see utf8.h. */
#include "base/utf8.h"

#include <inttypes.h>

size_t
utf8_decode(struct span s, uint32_t *code)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)s.ptr[0];
	size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 :
		     first < 0xf5 ? 4 : 0;

	if (len == 0 || len > s.len)
		return 0;
	uint32_t value = len == 1 ? first : first & (0x7fU >> len);

	for (size_t i = 1; i < len; i++) {
		unsigned char next = (unsigned char)s.ptr[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		value = (value << 6) | (next & 0x3f);
	}
	if (value < lowest[len] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*code = value;
	return len;
}

bool
utf8_is_active(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 ||
	       code == 0x2029 || code == 0x200e || code == 0x200f ||
	       (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
	       code == 0xfeff || code == 0x061c;
}

bool
utf8_append_printable(struct buffer *out, struct span s)
{
	bool fits = true;

	while (s.len > 0) {
		uint32_t code = (unsigned char)s.ptr[0];
		size_t len = utf8_decode(s, &code);

		if (len > 0 && !utf8_is_active(code))
			fits = buffer_append(out, span_first(s, len)) && fits;
		else if (code <= 0xff)
			fits = buffer_printf(out, "\\x%02" PRIx32, code) && fits;
		else
			fits = buffer_printf(out, "\\u%04" PRIx32, code) && fits;
		s = span_skip(s, len == 0 ? 1 : len);
	}
	return fits;
}

size_t
utf8_count(struct span s)
{
	size_t count = 0;

	while (s.len > 0) {
		uint32_t code;
		size_t len = utf8_decode(s, &code);

		s = span_skip(s, len == 0 ? 1 : len);
		count++;
	}
	return count;
}
