/* SPDX-License-Identifier: ISC */
/*
 * Bodies in memory: lists of chunks of two sizes, taken from and given back to a pool of
 * the loop's thread. Other threads may read chunks that were handed to them.
 */
#ifndef RELAYD_SPOOL_CHUNK_H
#define RELAYD_SPOOL_CHUNK_H

#include "base/span.h"

#define CHUNK_SMALL (8u * 1024u) /* octets of body; a usual message fits */
#define CHUNK_BIG   (64u * 1024u)

struct spool_chunk {
	struct spool_chunk *next;
	uint32_t used;
	uint32_t room;
	char bytes[];
};

/* All zero: empty. */
struct spool_chunks {
	struct spool_chunk *first;
	struct spool_chunk *last;
};

struct spool_chunk_pool {
	struct spool_chunk *free[2]; /* small, big */
	size_t free_count[2];
	uint64_t octets; /* of all chunks in use */
};

/* Append a copy of the bytes. */
void spool_chunks_append(struct spool_chunk_pool *pool, struct spool_chunks *chunks,
			 struct span bytes);

/* Give back all chunks, or the first count of them. */
void spool_chunks_free(struct spool_chunk_pool *pool, struct spool_chunks *chunks);
void spool_chunks_free_first(struct spool_chunk_pool *pool, struct spool_chunks *chunks,
			     size_t count);

/* Free what the pool keeps for later use. */
void spool_chunk_pool_reset(struct spool_chunk_pool *pool);

#endif
