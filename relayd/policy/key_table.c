/* SPDX-License-Identifier: ISC */
/* Compact tables of keys; see key_table.h. Linear probing, at most half full. */
#include "policy/key_table.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PLACES_FIRST  16
#define RECORDS_FIRST 64
#define PLACES_AHEAD  16384 /* from so many on a table is larger than a near cache */
#define HEADER_WORDS  2 /* value; kind << 16 | length */

struct key_place {
	uint32_t tag;	 /* upper half of the hash */
	uint32_t record; /* 0: free */
};

void
key_table_reset(struct key_table *t)
{
	free(t->places);
	free(t->records);
	*t = (struct key_table){ .count = 0 };
}

static uint64_t
key_hash(unsigned char kind, struct span key)
{
	return XXH3_64bits_withSeed(key.len == 0 ? "" : key.ptr, key.len, kind);
}

static bool
record_is(const struct key_table *t, uint32_t record, unsigned char kind, struct span key)
{
	const uint32_t *words = t->records + record;

	return words[1] == ((uint32_t)kind << 16 | (uint32_t)key.len) &&
	       (key.len == 0 || memcmp(words + HEADER_WORDS, key.ptr, key.len) == 0);
}

/* The place of the key, or the free one where it would go. */
static struct key_place *
place_find(const struct key_table *t, uint64_t hash, unsigned char kind, struct span key)
{
	size_t mask = t->place_count - 1;
	uint32_t tag = (uint32_t)(hash >> 32);

	for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
		struct key_place *place = &t->places[at];

		if (place->record == 0 ||
		    (place->tag == tag && record_is(t, place->record, kind, key)))
			return place;
	}
}

static void
places_grow(struct key_table *t)
{
	struct key_place *old = t->places;
	size_t old_count = t->place_count;

	t->place_count = old_count == 0 ? PLACES_FIRST : old_count * 2;
	t->places = memory_new_array(t->place_count, sizeof(*t->places));
	for (size_t i = 0; i < old_count; i++) {
		if (old[i].record == 0)
			continue;
		const uint32_t *words = t->records + old[i].record;
		unsigned char kind = (unsigned char)(words[1] >> 16);
		struct span key = {
			.ptr = (const char *)(words + HEADER_WORDS),
			.len = words[1] & 0xffff,
		};
		uint64_t hash = key_hash(kind, key);
		size_t at = (size_t)hash & (t->place_count - 1);

		while (t->places[at].record != 0) /* all keys differ */
			at = (at + 1) & (t->place_count - 1);
		t->places[at] = old[i];
	}
	free(old);
}

static uint32_t
record_add(struct key_table *t, unsigned char kind, struct span key)
{
	size_t words = HEADER_WORDS + (key.len + 3) / 4;

	if (t->used == 0)
		t->used = 1;
	if (t->used + words > t->room) {
		t->room = t->room == 0 ? RECORDS_FIRST : t->room * 2;
		while (t->used + words > t->room)
			t->room *= 2;
		t->records = memory_resize(t->records, t->room, sizeof(*t->records));
	}
	assert(t->used + words <= UINT32_MAX);
	uint32_t record = (uint32_t)t->used;

	memset(t->records + record, 0, words * sizeof(*t->records));
	t->records[record + 1] = (uint32_t)kind << 16 | (uint32_t)key.len;
	if (key.len > 0)
		memcpy(t->records + record + HEADER_WORDS, key.ptr, key.len);
	t->used += words;
	return record;
}

uint32_t *
key_table_put(struct key_table *t, unsigned char kind, struct span key)
{
	uint64_t hash = key_hash(kind, key);

	assert(key.len <= KEY_OCTETS_MAX);
	if (t->count + 1 > t->place_count / 2)
		places_grow(t);
	struct key_place *place = place_find(t, hash, kind, key);

	if (place->record == 0) {
		*place = (struct key_place){
			.tag = (uint32_t)(hash >> 32),
			.record = record_add(t, kind, key),
		};
		t->count++;
	}
	return t->records + place->record;
}

uint32_t
key_table_find(const struct key_table *t, unsigned char kind, struct span key)
{
	if (t->count == 0 || key.len > KEY_OCTETS_MAX)
		return 0;
	const struct key_place *place = place_find(t, key_hash(kind, key), kind, key);

	return place->record == 0 ? 0 : t->records[place->record];
}

void
key_probe_begin(struct key_probe *probe, const struct key_table *t, unsigned char kind,
		struct span key)
{
	probe->table = NULL;
	if (t->place_count < PLACES_AHEAD || key.len > KEY_OCTETS_MAX)
		return;
	probe->table = t;
	probe->hash = key_hash(kind, key);
	__builtin_prefetch(&t->places[(size_t)probe->hash & (t->place_count - 1)]);
}

void
key_probe_go_on(const struct key_probe *probe)
{
	const struct key_table *t = probe->table;

	if (t == NULL)
		return;
	const struct key_place *place =
	    &t->places[(size_t)probe->hash & (t->place_count - 1)];

	__builtin_prefetch(&t->records[place->record]); /* record 0 is there, too */
}

uint32_t *
key_table_next(struct key_table *t, size_t *at)
{
	size_t record = *at == 0 ? 1 : *at;

	if (record >= t->used)
		return NULL;
	*at = record + HEADER_WORDS + ((t->records[record + 1] & 0xffff) + 3) / 4;
	return t->records + record;
}

bool
key_table_walk(const struct key_table *t, size_t *at, unsigned char *kind,
	       struct span *key)
{
	size_t record = *at == 0 ? 1 : *at;

	if (record >= t->used)
		return false;
	const uint32_t *words = t->records + record;

	*kind = (unsigned char)(words[1] >> 16);
	*key = (struct span){ (const char *)(words + HEADER_WORDS), words[1] & 0xffff };
	*at = record + HEADER_WORDS + (key->len + 3) / 4;
	return true;
}

void
key_table_trim(struct key_table *t)
{
	if (t->used < t->room) {
		t->records = memory_resize(t->records, t->used == 0 ? 1 : t->used,
					   sizeof(*t->records));
		t->room = t->used == 0 ? 1 : t->used;
	}
}
