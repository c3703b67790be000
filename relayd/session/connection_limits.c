/* SPDX-License-Identifier: ISC */
/*
 * Connection counts shared by the workers; see connection_limits.h.
 *
 * A slot is a table of words, each a tag of its key (44 bits of a seeded hash) over a count (20
 * bits), so that one load reads both. A word with count 0 is free. A key may stand in one of
 * two buckets of eight words, a cache line each; that is all a reader ever looks at, and no
 * removal leaves a trace. Two keys with one tag in one bucket would be counted as one; with
 * the seed unknown to clients that is a matter of 2^-44.
 *
 * Taking counts first and sums afterwards, both sequentially consistent: of two workers that
 * compete, at least one sees the other.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "session/connection_limits.h"

#include "base/memory.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKET_WORDS 8
#define COUNT_BITS   20
#define COUNT_MASK   ((UINT64_C(1) << COUNT_BITS) - 1)
#define KEY_NAME_MAX 256

typedef _Atomic uint64_t counter;

struct bucket {
	counter words[BUCKET_WORDS];
};

/* All heads stand together at the start; a slot that holds nothing is passed over by readers. */
struct slot_head {
	counter held; /* connections counted here, of all connectors */
	counter unused[BUCKET_WORDS - 1];
};

struct connection_limits {
	void *memory;
	size_t memory_octets;
	size_t slot_octets;
	unsigned slots;
	size_t buckets; /* of a slot; a power of two */
	uint64_t seed;
};

/* Where a key may stand, and what it is known by there. */
struct place {
	size_t bucket[2];
	uint64_t tag; /* never 0 */
};

struct connection_limits *
connection_limits_new(unsigned slots, unsigned sources)
{
	struct connection_limits *l = memory_new(sizeof(*l));

	assert(slots > 0);
	l->slots = slots;
	l->buckets = 16;
	while (l->buckets * BUCKET_WORDS / 2 < sources)
		l->buckets *= 2;
	l->slot_octets = l->buckets * sizeof(struct bucket);
	l->memory_octets = (sizeof(struct slot_head) + l->slot_octets) * slots;
	if (getrandom(&l->seed, sizeof(l->seed), 0) != (ssize_t)sizeof(l->seed))
		l->seed = UINT64_C(0x2545f4914f6cdd1d);
	l->memory = mmap(NULL, l->memory_octets, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->memory == MAP_FAILED) {
		free(l);
		return NULL;
	}
	return l;
}

void
connection_limits_free(struct connection_limits **limits)
{
	if (*limits == NULL)
		return;
	(void)munmap((*limits)->memory, (*limits)->memory_octets);
	free(*limits);
	*limits = NULL;
}

unsigned
connection_limits_slots(const struct connection_limits *limits)
{
	return limits->slots;
}

static struct slot_head *
slot_head(const struct connection_limits *l, unsigned slot)
{
	assert(slot < l->slots);
	return (struct slot_head *)l->memory + slot;
}

static struct bucket *
slot_bucket(const struct connection_limits *l, unsigned slot, size_t bucket)
{
	char *all = (char *)((struct slot_head *)l->memory + l->slots);

	return (struct bucket *)(void *)(all + slot * l->slot_octets) + bucket;
}

/* The place of a connector's total (source NULL), or of one source there. */
static struct place
place_of(const struct connection_limits *l, struct span connector, const struct ip *source)
{
	char key[1 + sizeof(struct ip) + KEY_NAME_MAX] = { source == NULL ? 'c' : 's' };
	size_t fixed = 1 + sizeof(struct ip);
	size_t len = connector.len < KEY_NAME_MAX ? connector.len : KEY_NAME_MAX;

	if (source != NULL)
		memcpy(key + 1, source->bytes, sizeof(struct ip));
	if (len > 0)
		memcpy(key + fixed, connector.ptr, len);
	XXH128_hash_t hash = XXH3_128bits_withSeed(key, fixed + len, l->seed);

	return (struct place){
		.bucket = { hash.low64 & (l->buckets - 1),
			    (hash.low64 >> 32) & (l->buckets - 1) },
		.tag = hash.high64 | UINT64_C(1) << 63,
	};
}

static bool
word_is(uint64_t word, uint64_t tag)
{
	return (word & COUNT_MASK) != 0 && (word | COUNT_MASK) == (tag | COUNT_MASK);
}

/* The word that counts the place in a slot, or NULL. */
static counter *
word_find(const struct connection_limits *l, unsigned slot, const struct place *place)
{
	for (int i = 0; i < 2; i++) {
		struct bucket *bucket = slot_bucket(l, slot, place->bucket[i]);

		for (int j = 0; j < BUCKET_WORDS; j++) {
			if (word_is(atomic_load(&bucket->words[j]), place->tag))
				return &bucket->words[j];
		}
	}
	return NULL;
}

/* A free word for the place, in the emptier of its buckets; NULL when both are full. */
static counter *
word_free(const struct connection_limits *l, unsigned slot, const struct place *place)
{
	counter *best = NULL;
	int best_room = 0;

	for (int i = 0; i < 2; i++) {
		struct bucket *bucket = slot_bucket(l, slot, place->bucket[i]);
		counter *word = NULL;
		int room = 0;

		for (int j = 0; j < BUCKET_WORDS; j++) {
			if ((atomic_load(&bucket->words[j]) & COUNT_MASK) == 0) {
				word = &bucket->words[j];
				room++;
			}
		}
		if (room > best_room) {
			best_room = room;
			best = word;
		}
	}
	return best;
}

static bool
place_take(struct connection_limits *l, unsigned slot, const struct place *place)
{
	counter *word = word_find(l, slot, place);

	if (word != NULL) {
		uint64_t now = atomic_load(word);

		if ((now & COUNT_MASK) == COUNT_MASK)
			return false;
		atomic_store(word, now + 1);
		return true;
	}
	word = word_free(l, slot, place);
	if (word == NULL)
		return false;
	atomic_store(word, (place->tag & ~COUNT_MASK) | 1);
	return true;
}

static void
place_release(struct connection_limits *l, unsigned slot, const struct place *place)
{
	counter *word = word_find(l, slot, place);

	assert(word != NULL);
	atomic_fetch_sub(word, 1);
}

static uint64_t
place_count(const struct connection_limits *l, const struct place *place)
{
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < l->slots; slot++) {
		if (atomic_load(&slot_head(l, slot)->held) == 0)
			continue;
		for (int i = 0; i < 2; i++) {
			struct bucket *bucket = slot_bucket(l, slot, place->bucket[i]);

			if (i == 1 && place->bucket[1] == place->bucket[0])
				break;
			for (int j = 0; j < BUCKET_WORDS; j++) {
				uint64_t word = atomic_load(&bucket->words[j]);

				if (word_is(word, place->tag))
					sum += word & COUNT_MASK;
			}
		}
	}
	return sum;
}

enum connection_room
connection_limits_take(struct connection_limits *l, unsigned slot, struct span connector,
		       const struct ip *source, uint32_t max, uint32_t per_source_max)
{
	struct place all = place_of(l, connector, NULL);
	struct place one = place_of(l, connector, source);
	enum connection_room room = CONNECTION_TAKEN;

	atomic_fetch_add(&slot_head(l, slot)->held, 1);
	if (!place_take(l, slot, &all)) {
		atomic_fetch_sub(&slot_head(l, slot)->held, 1);
		return CONNECTION_LIMIT;
	}
	if (!place_take(l, slot, &one)) {
		place_release(l, slot, &all);
		atomic_fetch_sub(&slot_head(l, slot)->held, 1);
		return CONNECTION_SOURCE_LIMIT;
	}
	if (max != 0 && place_count(l, &all) > max)
		room = CONNECTION_LIMIT;
	else if (per_source_max != 0 && place_count(l, &one) > per_source_max)
		room = CONNECTION_SOURCE_LIMIT;
	if (room != CONNECTION_TAKEN)
		connection_limits_release(l, slot, connector, source);
	return room;
}

void
connection_limits_release(struct connection_limits *l, unsigned slot, struct span connector,
			  const struct ip *source)
{
	struct place all = place_of(l, connector, NULL);
	struct place one = place_of(l, connector, source);

	place_release(l, slot, &one);
	place_release(l, slot, &all);
	atomic_fetch_sub(&slot_head(l, slot)->held, 1);
}

/* The words first: while any of them counts, a reader must not pass the slot over. */
void
connection_limits_slot_clear(struct connection_limits *l, unsigned slot)
{
	for (size_t i = 0; i < l->buckets; i++) {
		struct bucket *bucket = slot_bucket(l, slot, i);

		for (int j = 0; j < BUCKET_WORDS; j++) {
			if (atomic_load_explicit(&bucket->words[j], memory_order_relaxed) != 0)
				atomic_store(&bucket->words[j], 0);
		}
	}
	atomic_store(&slot_head(l, slot)->held, 0);
}

uint64_t
connection_limits_count(const struct connection_limits *l, struct span connector,
			const struct ip *source)
{
	struct place place = place_of(l, connector, source);

	return place_count(l, &place);
}
