/* SPDX-License-Identifier: ISC */
/* Buffers with a cap; see buffer.h. */
#include "base/buffer.h"

#include "base/memory.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM_FIRST 128 /* octets of the first allocation */

void
buffer_init(struct buffer *b, size_t max)
{
	*b = (struct buffer){ .max = max };
}

void
buffer_reset(struct buffer *b)
{
	free(b->ptr);
	buffer_init(b, b->max);
}

void
buffer_clear(struct buffer *b)
{
	b->len = 0;
	b->is_over = false;
}

/* One octet more than asked is always kept, for buffer_text's NUL. */
char *
buffer_reserve(struct buffer *b, size_t octets)
{
	if (octets > b->max - b->len) {
		b->is_over = true;
		return NULL;
	}
	if (b->len + octets + 1 > b->room) {
		size_t room = b->room == 0 ? ROOM_FIRST : b->room;

		while (room < b->len + octets + 1)
			room *= 2;
		if (room > b->max + 1)
			room = b->max + 1;
		b->ptr = memory_resize(b->ptr, room, 1);
		b->room = room;
	}
	return b->ptr + b->len;
}

void
buffer_claim(struct buffer *b, size_t octets)
{
	assert(octets <= b->max - b->len && b->len + octets < b->room);
	b->len += octets;
}

bool
buffer_append(struct buffer *b, struct span bytes)
{
	char *place = buffer_reserve(b, bytes.len);

	if (place == NULL)
		return false;
	if (bytes.len > 0)
		memcpy(place, bytes.ptr, bytes.len);
	buffer_claim(b, bytes.len);
	return true;
}

bool
buffer_append_text(struct buffer *b, const char *text)
{
	return buffer_append(b, span_of(text));
}

bool
buffer_append_byte(struct buffer *b, char byte)
{
	return buffer_append(b, (struct span){ .ptr = &byte, .len = 1 });
}

bool
buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int need = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(need >= 0);

	char *place = buffer_reserve(b, (size_t)need);

	if (place == NULL)
		return false;
	va_start(args, format);
	(void)vsnprintf(place, (size_t)need + 1, format, args);
	va_end(args);
	buffer_claim(b, (size_t)need);
	return true;
}

void
buffer_consume(struct buffer *b, size_t n)
{
	assert(n <= b->len);
	b->len -= n;
	if (b->len > 0 && n > 0)
		memmove(b->ptr, b->ptr + n, b->len);
}

const char *
buffer_text(struct buffer *b)
{
	if (b->ptr == NULL)
		return "";
	b->ptr[b->len] = '\0';
	return b->ptr;
}
