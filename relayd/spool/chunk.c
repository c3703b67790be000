/* SPDX-License-Identifier: ISC */
/* Bodies in memory; see chunk.h. */
#include "spool/chunk.h"

#include "base/memory.h"

#include <stdlib.h>

#define KEPT_OCTETS_MAX (4u * 1024u * 1024u) /* of free chunks, for each size */

static int
chunk_class(uint32_t room)
{
	return room == CHUNK_SMALL ? 0 : 1;
}

static struct spool_chunk *
chunk_take(struct spool_chunk_pool *pool, uint32_t room)
{
	int class = chunk_class(room);
	struct spool_chunk *chunk = pool->free[class];

	if (chunk != NULL) {
		pool->free[class] = chunk->next;
		pool->free_count[class]--;
	} else {
		chunk =
		    memory_resize(NULL, 1, sizeof(*chunk) + room); /* need not be zero */
		chunk->room = room;
	}
	chunk->next = NULL;
	chunk->used = 0;
	pool->octets += room;
	return chunk;
}

static void
chunk_give_back(struct spool_chunk_pool *pool, struct spool_chunk *chunk)
{
	int class = chunk_class(chunk->room);

	pool->octets -= chunk->room;
	if (pool->free_count[class] * chunk->room >= KEPT_OCTETS_MAX) {
		free(chunk);
		return;
	}
	chunk->next = pool->free[class];
	pool->free[class] = chunk;
	pool->free_count[class]++;
}

static struct spool_chunk *
chunks_grow(struct spool_chunk_pool *pool, struct spool_chunks *chunks, size_t octets)
{
	bool is_small = chunks->first == NULL && octets <= CHUNK_SMALL;
	struct spool_chunk *chunk = chunk_take(pool, is_small ? CHUNK_SMALL : CHUNK_BIG);

	if (chunks->last == NULL)
		chunks->first = chunk;
	else
		chunks->last->next = chunk;
	chunks->last = chunk;
	return chunk;
}

void
spool_chunks_append(struct spool_chunk_pool *pool, struct spool_chunks *chunks,
		    struct span bytes)
{
	struct spool_chunk *chunk = chunks->last;

	while (bytes.len > 0) {
		if (chunk == NULL || chunk->used == chunk->room)
			chunk = chunks_grow(pool, chunks, bytes.len);

		struct span part = span_first(bytes, chunk->room - chunk->used);

		memcpy(chunk->bytes + chunk->used, part.ptr, part.len);
		chunk->used += (uint32_t)part.len;
		bytes = span_skip(bytes, part.len);
	}
}

void
spool_chunks_free(struct spool_chunk_pool *pool, struct spool_chunks *chunks)
{
	spool_chunks_free_first(pool, chunks, SIZE_MAX);
}

void
spool_chunks_free_first(struct spool_chunk_pool *pool, struct spool_chunks *chunks,
			size_t count)
{
	while (count-- > 0 && chunks->first != NULL) {
		struct spool_chunk *chunk = chunks->first;

		chunks->first = chunk->next;
		if (chunks->first == NULL)
			chunks->last = NULL;
		chunk_give_back(pool, chunk);
	}
}

void
spool_chunk_pool_reset(struct spool_chunk_pool *pool)
{
	for (int class = 0; class < 2; class ++) {
		while (pool->free[class] != NULL) {
			struct spool_chunk *chunk = pool->free[class];

			pool->free[class] = chunk->next;
			free(chunk);
		}
		pool->free_count[class] = 0;
	}
}
