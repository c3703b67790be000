/* SPDX-License-Identifier: ISC */
/*
 * Arenas: memory that is taken piece by piece and given back all at once, one arena for each
 * lifetime (configuration generation, session, transaction). Under the address sanitizer
 * every piece is a malloc of its own, so that the tool sees overruns.
 */
#ifndef RELAYD_BASE_ARENA_H
#define RELAYD_BASE_ARENA_H

#include "base/span.h"

struct arena_block;

/* Embedded by value; all zero is an empty arena. */
struct arena {
	struct arena_block *blocks;
	size_t block_octets; /* size of the next block; 0: a default of 1 KiB */
};

/* An empty arena whose blocks hold at least block_octets. Takes no memory yet. */
void arena_init(struct arena *a, size_t block_octets);

/* Give everything back; the arena is empty and usable again. */
void arena_reset(struct arena *a);

/* Zeroed memory, aligned for any object. Never NULL. */
void *arena_new(struct arena *a, size_t octets) __attribute__((returns_nonnull));
void *arena_new_array(struct arena *a, size_t count, size_t octets_each)
    __attribute__((returns_nonnull));

/* A copy of the bytes; the copy is followed by a NUL that is not counted. */
struct span arena_copy(struct arena *a, struct span bytes);

/* The same as a terminated string. */
char *arena_copy_text(struct arena *a, struct span text) __attribute__((returns_nonnull));

#endif
