/* SPDX-License-Identifier: ISC */
/*
 * Counts shared by processes; see slot_counts.h.
 *
 * A slot is a table of words, each a tag of its key (44 bits) over a count (20 bits), so that
 * one load reads both. A word with count 0 is free. A key may stand in one of two buckets of
 * eight words, a cache line each; that is all a reader ever looks at, and no removal leaves a
 * trace. Two keys with one tag in one bucket would be counted as one: a matter of 2^-44.
 *
 * Taking counts first and sums afterwards, both sequentially consistent: of two processes that
 * compete, at least one sees the other.
 */
#include "base/slot_counts.h"

#include <assert.h>
#include <stdatomic.h>

#define BUCKET_WORDS 8
#define COUNT_BITS   20
#define COUNT_MASK   ((UINT64_C(1) << COUNT_BITS) - 1)
#define BUCKETS_MIN  16

typedef _Atomic uint64_t counter;

struct bucket {
	counter words[BUCKET_WORDS];
};

/* All heads stand together at the start; a slot that holds nothing is passed over by readers. */
struct slot_head {
	counter held; /* counted here, of all keys */
	counter unused[BUCKET_WORDS - 1];
};

/* Where a key may stand, and what it is known by there. */
struct place {
	size_t bucket[2];
	uint64_t tag; /* never 0 */
};

static size_t
buckets_for(unsigned keys)
{
	size_t buckets = BUCKETS_MIN;

	while (buckets * BUCKET_WORDS / 2 < keys)
		buckets *= 2;
	return buckets;
}

size_t
slot_counts_octets(unsigned slots, unsigned keys)
{
	return (sizeof(struct slot_head) + buckets_for(keys) * sizeof(struct bucket)) * slots;
}

void
slot_counts_init(struct slot_counts *c, void *memory, unsigned slots, unsigned keys)
{
	assert(slots > 0);
	c->memory = memory;
	c->slots = slots;
	c->buckets = buckets_for(keys);
	c->slot_octets = c->buckets * sizeof(struct bucket);
}

static struct slot_head *
slot_head(const struct slot_counts *c, unsigned slot)
{
	assert(slot < c->slots);
	return (struct slot_head *)c->memory + slot;
}

static struct bucket *
slot_bucket(const struct slot_counts *c, unsigned slot, size_t bucket)
{
	char *all = (char *)((struct slot_head *)c->memory + c->slots);

	return (struct bucket *)(void *)(all + slot * c->slot_octets) + bucket;
}

static struct place
place_of(const struct slot_counts *c, struct slot_key key)
{
	return (struct place){
		.bucket = { key.low & (c->buckets - 1), (key.low >> 32) & (c->buckets - 1) },
		.tag = key.high | UINT64_C(1) << 63,
	};
}

static bool
word_is(uint64_t word, uint64_t tag)
{
	return (word & COUNT_MASK) != 0 && (word | COUNT_MASK) == (tag | COUNT_MASK);
}

/* The word that counts the place in a slot, or NULL. */
static counter *
word_find(const struct slot_counts *c, unsigned slot, const struct place *place)
{
	for (int i = 0; i < 2; i++) {
		struct bucket *bucket = slot_bucket(c, slot, place->bucket[i]);

		for (int j = 0; j < BUCKET_WORDS; j++) {
			if (word_is(atomic_load(&bucket->words[j]), place->tag))
				return &bucket->words[j];
		}
	}
	return NULL;
}

/* A free word for the place, in the emptier of its buckets; NULL when both are full. */
static counter *
word_free(const struct slot_counts *c, unsigned slot, const struct place *place)
{
	counter *best = NULL;
	int best_room = 0;

	for (int i = 0; i < 2; i++) {
		struct bucket *bucket = slot_bucket(c, slot, place->bucket[i]);
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
place_take(const struct slot_counts *c, unsigned slot, const struct place *place)
{
	counter *word = word_find(c, slot, place);

	if (word != NULL) {
		uint64_t now = atomic_load(word);

		if ((now & COUNT_MASK) == COUNT_MASK)
			return false;
		atomic_store(word, now + 1);
		return true;
	}
	word = word_free(c, slot, place);
	if (word == NULL)
		return false;
	atomic_store(word, (place->tag & ~COUNT_MASK) | 1);
	return true;
}

/* The head first: a reader must not pass the slot over while one of its words counts. */
bool
slot_counts_take(const struct slot_counts *c, unsigned slot, struct slot_key key)
{
	struct place place = place_of(c, key);

	atomic_fetch_add(&slot_head(c, slot)->held, 1);
	if (place_take(c, slot, &place))
		return true;
	atomic_fetch_sub(&slot_head(c, slot)->held, 1);
	return false;
}

void
slot_counts_release(const struct slot_counts *c, unsigned slot, struct slot_key key)
{
	struct place place = place_of(c, key);
	counter *word = word_find(c, slot, &place);

	assert(word != NULL);
	atomic_fetch_sub(word, 1);
	atomic_fetch_sub(&slot_head(c, slot)->held, 1);
}

uint64_t
slot_counts_total(const struct slot_counts *c, struct slot_key key)
{
	struct place place = place_of(c, key);
	uint64_t sum = 0;

	for (unsigned slot = 0; slot < c->slots; slot++) {
		if (atomic_load(&slot_head(c, slot)->held) == 0)
			continue;
		for (int i = 0; i < 2; i++) {
			struct bucket *bucket = slot_bucket(c, slot, place.bucket[i]);

			if (i == 1 && place.bucket[1] == place.bucket[0])
				break;
			for (int j = 0; j < BUCKET_WORDS; j++) {
				uint64_t word = atomic_load(&bucket->words[j]);

				if (word_is(word, place.tag))
					sum += word & COUNT_MASK;
			}
		}
	}
	return sum;
}

/* The words first: while any of them counts, a reader must not pass the slot over. */
void
slot_counts_clear(const struct slot_counts *c, unsigned slot)
{
	for (size_t i = 0; i < c->buckets; i++) {
		struct bucket *bucket = slot_bucket(c, slot, i);

		for (int j = 0; j < BUCKET_WORDS; j++) {
			if (atomic_load_explicit(&bucket->words[j], memory_order_relaxed) != 0)
				atomic_store(&bucket->words[j], 0);
		}
	}
	atomic_store(&slot_head(c, slot)->held, 0);
}
