/* SPDX-License-Identifier: ISC */
/* Borrowed runs of bytes; see span.h. */
#include "base/span.h"

#include <assert.h>

bool
span_equal_fold(struct span a, struct span b)
{
	return a.len == b.len && span_starts_fold(a, b);
}

bool
span_starts_fold(struct span s, struct span prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++) {
		if (ascii_lower(s.ptr[i]) != ascii_lower(prefix.ptr[i]))
			return false;
	}
	return true;
}

bool
span_ends_fold(struct span s, struct span suffix)
{
	return s.len >= suffix.len &&
	       span_starts_fold(span_skip(s, s.len - suffix.len), suffix);
}

int
span_compare(struct span a, struct span b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);

	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

size_t
span_find(struct span s, char c)
{
	const char *hit = s.len == 0 ? NULL : memchr(s.ptr, c, s.len);

	return hit == NULL ? s.len : (size_t)(hit - s.ptr);
}

struct span
span_trim(struct span s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = span_skip(s, 1);
	while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

struct span
span_skip(struct span s, size_t n)
{
	assert(n <= s.len);
	if (n == 0)
		return s;
	return (struct span){ .ptr = s.ptr + n, .len = s.len - n };
}

struct span
span_first(struct span s, size_t n)
{
	return (struct span){ .ptr = s.ptr, .len = s.len < n ? s.len : n };
}

enum parse_status
number_take(struct span *in, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < in->len && ascii_is_digit(in->ptr[i]); i++) {
		uint64_t digit = (uint64_t)(in->ptr[i] - '0');

		if (digit > max || n > (max - digit) / 10)
			return PARSE_BAD;
		n = n * 10 + digit;
	}
	if (i == 0)
		return PARSE_BAD;
	*in = span_skip(*in, i);
	*value = n;
	return PARSE_OK;
}

enum parse_status
number_parse(struct span in, uint64_t max, uint64_t *value)
{
	uint64_t n;

	if (number_take(&in, max, &n) != PARSE_OK || in.len != 0)
		return PARSE_BAD;
	*value = n;
	return PARSE_OK;
}
