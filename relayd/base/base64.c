/* SPDX-License-Identifier: ISC */
/* Base64; see base64.h. */
#include "base/base64.h"

#define NO_VALUE 0xff

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint32_t
letter_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : NO_VALUE;
}

bool
base64_encode(struct buffer *out, struct span bytes)
{
	char *to = buffer_reserve(out, BASE64_ENCODED_LEN(bytes.len));

	if (to == NULL)
		return false;
	for (size_t i = 0; i < bytes.len; i += 3, to += 4) {
		size_t left = bytes.len - i;
		uint32_t group = (uint32_t)(unsigned char)bytes.ptr[i] << 16;

		if (left > 1)
			group |= (uint32_t)(unsigned char)bytes.ptr[i + 1] << 8;
		if (left > 2)
			group |= (uint32_t)(unsigned char)bytes.ptr[i + 2];
		to[0] = alphabet[group >> 18];
		to[1] = alphabet[group >> 12 & 63];
		to[2] = left > 1 ? alphabet[group >> 6 & 63] : '=';
		to[3] = left > 2 ? alphabet[group & 63] : '=';
	}
	buffer_claim(out, BASE64_ENCODED_LEN(bytes.len));
	return true;
}

/* One group of four letters, the last `padding` of which are "=". */
static enum parse_status
group_decode(const char *in, unsigned padding, char *out)
{
	uint32_t group = 0;

	for (unsigned i = 0; i < 4 - padding; i++) {
		uint32_t value = letter_value(in[i]);

		if (value == NO_VALUE)
			return PARSE_BAD;
		group |= value << (18 - 6 * i);
	}
	if ((group & ((UINT32_C(1) << (8 * padding)) - 1)) != 0)
		return PARSE_BAD;
	for (unsigned i = 0; i < 3 - padding; i++)
		out[i] = (char)(group >> (16 - 8 * i) & 0xff);
	return PARSE_OK;
}

enum parse_status
base64_decode(struct span in, char *out, size_t *len)
{
	unsigned padding = 0;
	size_t at = 0;

	if (in.len % 4 != 0)
		return PARSE_BAD;
	if (in.len > 0 && in.ptr[in.len - 1] == '=')
		padding = in.ptr[in.len - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < in.len; i += 4) {
		unsigned here = i + 4 == in.len ? padding : 0;

		if (group_decode(in.ptr + i, here, out + at) != PARSE_OK)
			return PARSE_BAD;
		at += 3 - here;
	}
	*len = at;
	return PARSE_OK;
}
