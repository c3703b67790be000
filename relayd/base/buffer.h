/* SPDX-License-Identifier: ISC */
/*
 * Text and bytes that we build. A buffer is made with the largest size that it may ever
 * reach; what would exceed it is left out whole and remembered in is_over.
 */
#ifndef RELAYD_BASE_BUFFER_H
#define RELAYD_BASE_BUFFER_H

#include "base/span.h"

struct buffer {
	char *ptr;	/* heap, or NULL while nothing was ever appended */
	size_t len;	/* octets in use */
	size_t room;	/* octets allocated */
	size_t max;	/* octets it may reach */
	bool is_over;	/* something did not fit and was left out */
};

/* Make an empty buffer that may reach max octets. Holds no memory until used. */
void buffer_init(struct buffer *b, size_t max);

/* Free the memory and be as after buffer_init. */
void buffer_reset(struct buffer *b);

/* Forget the content, keep the memory, clear is_over. */
void buffer_clear(struct buffer *b);

/* Append; false, is_over set and nothing changed, when it would exceed max. */
bool buffer_append(struct buffer *b, struct span bytes);
bool buffer_append_text(struct buffer *b, const char *text);
bool buffer_append_byte(struct buffer *b, char byte);
bool buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * Room for at least octets more, to be written at the returned place and then claimed with
 * buffer_claim. NULL when that would exceed max.
 */
char *buffer_reserve(struct buffer *b, size_t octets);
void buffer_claim(struct buffer *b, size_t octets);

/* Drop n octets from the front. */
void buffer_consume(struct buffer *b, size_t n);

static inline struct span
buffer_span(const struct buffer *b)
{
	return (struct span){ .ptr = b->ptr, .len = b->len };
}

/* The content as a terminated string; the NUL is not counted in len. */
const char *buffer_text(struct buffer *b);

#endif
