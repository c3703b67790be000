/* SPDX-License-Identifier: ISC */
/*
 * What bodies on the wire mean, said as plainly and slowly as possible: the suite and the
 * fuzz target hold the fast code against it.
 */
#ifndef RELAYD_TESTS_REFERENCE_H
#define RELAYD_TESTS_REFERENCE_H

#include "base/buffer.h"

static inline bool
reference_has(struct span in, size_t at, const char *text)
{
	return in.len - at >= strlen(text) && memcmp(in.ptr + at, text, strlen(text)) == 0;
}

/* Where the dot that ends the data stands; in.len when there is none. */
static inline size_t
reference_end(struct span in)
{
	for (size_t i = 0; i < in.len; i++) {
		if (reference_has(in, i, ".\r\n") &&
		    (i == 0 || (i >= 2 && reference_has(in, i - 2, "\r\n"))))
			return i;
	}
	return in.len;
}

static inline bool
reference_has_bare(struct span in)
{
	for (size_t i = 0; i < in.len; i++) {
		bool is_cr = in.ptr[i] == '\r', is_lf = in.ptr[i] == '\n';

		if (is_cr && (i + 1 == in.len || in.ptr[i + 1] != '\n'))
			return true;
		if (is_lf && (i == 0 || in.ptr[i - 1] != '\r'))
			return true;
	}
	return false;
}

/* The octets of the line at the front, without its end: CRLF, a bare CR, a bare LF. */
static inline size_t
reference_line(struct span in, size_t *end_octets)
{
	size_t i = 0;

	while (i < in.len && in.ptr[i] != '\r' && in.ptr[i] != '\n')
		i++;
	*end_octets = i == in.len ? 0 : reference_has(in, i, "\r\n") ? 2 : 1;
	return i;
}

/* The body before the end, each line end made CRLF, the added dots removed. */
static inline void
reference_unstuff(struct span body, struct buffer *out, size_t *longest)
{
	*longest = 0;
	while (body.len > 0) {
		size_t end_octets, len = reference_line(body, &end_octets);
		struct span line = span_first(body, len);

		if (line.len > 1 && line.ptr[0] == '.')
			line = span_skip(line, 1);
		if (line.len > *longest)
			*longest = line.len;
		buffer_append(out, line);
		if (end_octets > 0)
			buffer_append_text(out, "\r\n");
		body = span_skip(body, len + end_octets);
	}
}

/* The body as it goes out behind DATA. */
static inline void
reference_stuff(struct span body, struct buffer *out)
{
	while (body.len > 0) {
		size_t end_octets, len = reference_line(body, &end_octets);

		if (len > 0 && body.ptr[0] == '.')
			buffer_append_byte(out, '.');
		buffer_append(out, span_first(body, len));
		buffer_append_text(out, "\r\n");
		body = span_skip(body, len + end_octets);
	}
	buffer_append_text(out, ".\r\n");
}

static inline bool
reference_has_nul(struct span in)
{
	return span_find(in, '\0') < in.len;
}

static inline bool
reference_has_8bit(struct span in)
{
	for (size_t i = 0; i < in.len; i++) {
		if (((unsigned char)in.ptr[i] & 0x80) != 0)
			return true;
	}
	return false;
}

#endif
