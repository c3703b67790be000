/* SPDX-License-Identifier: ISC */
/* Bytes that wait to be sent; see output.h. */
#include "net/output.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define SMALL_OCTETS 1024  /* a chunk with its head: replies */
#define LARGE_OCTETS 16640 /* the same for bodies: a full TLS record and some room */
#define SMALL_KEPT   256   /* chunks that the pool keeps for later */
#define LARGE_KEPT   64

struct chunk {
	struct chunk *next;
	uint32_t start; /* of what is not yet sent */
	uint32_t end;
	uint32_t room;
	char bytes[];
};

#define SMALL_ROOM (SMALL_OCTETS - sizeof(struct chunk))
#define LARGE_ROOM (LARGE_OCTETS - sizeof(struct chunk))

static struct chunk *
chunk_new(struct output_pool *pool, bool is_large)
{
	struct chunk **kept = is_large ? &pool->large : &pool->small;
	struct chunk *chunk = *kept;

	if (chunk != NULL) {
		*kept = chunk->next;
		*(is_large ? &pool->large_count : &pool->small_count) -= 1;
	} else {
		chunk = memory_resize(NULL, 1, is_large ? LARGE_OCTETS : SMALL_OCTETS);
		chunk->room = (uint32_t)(is_large ? LARGE_ROOM : SMALL_ROOM);
	}
	chunk->next = NULL;
	chunk->start = 0;
	chunk->end = 0;
	return chunk;
}

static void
chunk_free(struct output_pool *pool, struct chunk *chunk)
{
	bool is_large = chunk->room > SMALL_ROOM;
	struct chunk **kept = is_large ? &pool->large : &pool->small;
	unsigned *count = is_large ? &pool->large_count : &pool->small_count;

	if (*count >= (is_large ? LARGE_KEPT : SMALL_KEPT)) {
		free(chunk);
		return;
	}
	chunk->next = *kept;
	*kept = chunk;
	*count += 1;
}

static void
chunks_free(struct chunk *chunk)
{
	while (chunk != NULL) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
}

void
output_pool_reset(struct output_pool *pool)
{
	chunks_free(pool->small);
	chunks_free(pool->large);
	*pool = (struct output_pool){ .small = NULL };
}

void
output_append(struct output *out, struct output_pool *pool, struct span bytes)
{
	out->octets += bytes.len;
	while (bytes.len > 0) {
		struct chunk *last = out->last;

		if (last == NULL || last->end == last->room) {
			struct chunk *chunk = chunk_new(pool, bytes.len > SMALL_ROOM);

			*(last == NULL ? &out->first : &last->next) = chunk;
			out->last = last = chunk;
		}
		size_t n = last->room - last->end;

		if (n > bytes.len)
			n = bytes.len;
		memcpy(last->bytes + last->end, bytes.ptr, n);
		last->end += (uint32_t)n;
		bytes = span_skip(bytes, n);
	}
}

int
output_pieces(const struct output *out, struct iovec *pieces, int max)
{
	int count = 0;

	for (struct chunk *c = out->first; c != NULL && count < max; c = c->next)
		pieces[count++] = (struct iovec){ c->bytes + c->start, c->end - c->start };
	return count;
}

void
output_consume(struct output *out, struct output_pool *pool, size_t n)
{
	assert(n <= out->octets);
	out->octets -= n;
	while (n > 0) {
		struct chunk *first = out->first;
		size_t held = first->end - first->start;

		if (n < held) {
			first->start += (uint32_t)n;
			return;
		}
		n -= held;
		if (out->is_secret)
			memory_wipe(first->bytes, first->end);
		out->first = first->next;
		if (out->first == NULL)
			out->last = NULL;
		chunk_free(pool, first);
	}
	if (out->first == NULL)
		out->is_secret = false;
}

void
output_reset(struct output *out, struct output_pool *pool)
{
	output_consume(out, pool, out->octets);
}
