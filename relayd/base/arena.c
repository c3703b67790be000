/* SPDX-License-Identifier: ISC */
/* Arenas; see arena.h. */
#include "base/arena.h"

#include "base/memory.h"

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#define BLOCK_OCTETS_DEFAULT 1024

#if defined(__SANITIZE_ADDRESS__)
#define ONE_MALLOC_EACH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ONE_MALLOC_EACH 1
#endif
#endif
#ifndef ONE_MALLOC_EACH
#define ONE_MALLOC_EACH 0
#endif

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t room;
	alignas(max_align_t) char bytes[];
};

void
arena_init(struct arena *a, size_t block_octets)
{
	*a = (struct arena){ .block_octets = block_octets };
}

void
arena_reset(struct arena *a)
{
	struct arena_block *block = a->blocks;

	while (block != NULL) {
		struct arena_block *next = block->next;

		free(block);
		block = next;
	}
	a->blocks = NULL;
}

static struct arena_block *
block_add(struct arena *a, size_t room)
{
	assert(room < SIZE_MAX - sizeof(struct arena_block));
	struct arena_block *block = memory_new(sizeof(*block) + room);

	block->room = room;
	block->next = a->blocks;
	a->blocks = block;
	return block;
}

void *
arena_new(struct arena *a, size_t octets)
{
	const size_t align = alignof(max_align_t);
	struct arena_block *block = a->blocks;

	assert(octets < SIZE_MAX / 2);
	if (ONE_MALLOC_EACH) {
		block = block_add(a, octets);
		block->used = octets;
		return block->bytes;
	}
	size_t need = (octets + align - 1) & ~(align - 1);

	if (block == NULL || block->room - block->used < need) {
		size_t room = a->block_octets == 0 ? BLOCK_OCTETS_DEFAULT : a->block_octets;

		block = block_add(a, room < need ? need : room);
	}
	void *piece = block->bytes + block->used;

	block->used += need;
	return piece;
}

void *
arena_new_array(struct arena *a, size_t count, size_t octets_each)
{
	assert(octets_each == 0 || count <= SIZE_MAX / 2 / octets_each);
	return arena_new(a, count * octets_each);
}

struct span
arena_copy(struct arena *a, struct span bytes)
{
	return (struct span){ .ptr = arena_copy_text(a, bytes), .len = bytes.len };
}

char *
arena_copy_text(struct arena *a, struct span text)
{
	char *copy = arena_new(a, text.len + 1);

	if (text.len > 0)
		memcpy(copy, text.ptr, text.len);
	return copy;
}
