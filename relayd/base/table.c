/* SPDX-License-Identifier: ISC */
/* Hash tables; see table.h. Linear probing, removal by shifting back, at most 3/4 full. */
#include "base/table.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PLACES_FIRST 16

static uint64_t
seed_make(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = UINT64_C(0x9e3779b97f4a7c15);
	return seed;
}

static uint64_t
key_hash(const struct table *t, struct span key)
{
	return XXH3_64bits_withSeed(key.len == 0 ? "" : key.ptr, key.len, t->seed);
}

void
table_init(struct table *t, size_t expected)
{
	*t = (struct table){ .seed = seed_make() };
	if (expected == 0)
		return;
	t->places = PLACES_FIRST;
	while (t->places / 4 * 3 < expected)
		t->places *= 2;
	t->entries = memory_new_array(t->places, sizeof(*t->entries));
}

void
table_reset(struct table *t)
{
	free(t->entries);
	*t = (struct table){ .seed = t->seed };
}

/* The place that holds key, or the free place where it would go. */
static size_t
place_find(const struct table *t, struct span key, uint64_t hash)
{
	size_t at = (size_t)hash & (t->places - 1);

	while (t->entries[at].key.ptr != NULL &&
	       !(t->entries[at].hash == hash && span_equal(t->entries[at].key, key)))
		at = (at + 1) & (t->places - 1);
	return at;
}

static void
table_grow(struct table *t)
{
	struct table_entry *old = t->entries;
	size_t old_places = t->places;

	t->places = old_places == 0 ? PLACES_FIRST : old_places * 2;
	t->entries = memory_new_array(t->places, sizeof(*t->entries));
	for (size_t i = 0; i < old_places; i++) {
		if (old[i].key.ptr != NULL)
			t->entries[place_find(t, old[i].key, old[i].hash)] = old[i];
	}
	free(old);
}

void *
table_find(const struct table *t, struct span key)
{
	if (t->count == 0)
		return NULL;
	return t->entries[place_find(t, key, key_hash(t, key))].value;
}

void *
table_put(struct table *t, struct span key, void *value)
{
	static const char nothing[1] = "";

	assert(value != NULL);
	if (key.ptr == NULL)
		key.ptr = nothing;
	if (t->count + 1 > t->places / 4 * 3)
		table_grow(t);
	uint64_t hash = key_hash(t, key);
	struct table_entry *entry = &t->entries[place_find(t, key, hash)];
	void *before = entry->value;

	if (before == NULL)
		t->count++;
	*entry = (struct table_entry){ .key = key, .value = value, .hash = hash };
	return before;
}

void *
table_remove(struct table *t, struct span key)
{
	if (t->count == 0)
		return NULL;
	size_t hole = place_find(t, key, key_hash(t, key));
	void *value = t->entries[hole].value;

	if (value == NULL)
		return NULL;
	size_t mask = t->places - 1;

	for (size_t at = (hole + 1) & mask; t->entries[at].key.ptr != NULL;
	     at = (at + 1) & mask) {
		size_t home = (size_t)t->entries[at].hash & mask;

		/* may the entry at `at` move back to the hole without passing its home? */
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			t->entries[hole] = t->entries[at];
			hole = at;
		}
	}
	t->entries[hole] = (struct table_entry){ .value = NULL };
	t->count--;
	return value;
}

const struct table_entry *
table_next(const struct table *t, size_t *at)
{
	while (*at < t->places) {
		const struct table_entry *entry = &t->entries[(*at)++];

		if (entry->key.ptr != NULL)
			return entry;
	}
	return NULL;
}
