/* SPDX-License-Identifier: ISC */
/* Connection counts shared by the workers; see connection_limits.h and base/slot_counts.h. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "session/connection_limits.h"

#include "base/memory.h"
#include "base/slot_counts.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define KEY_NAME_MAX 256

struct connection_limits {
	struct slot_counts counts;
	size_t memory_octets;
	uint64_t seed;
};

struct connection_limits *
connection_limits_new(unsigned slots, unsigned sources)
{
	struct connection_limits *l = memory_new(sizeof(*l));

	l->memory_octets = slot_counts_octets(slots, sources);
	if (getrandom(&l->seed, sizeof(l->seed), 0) != (ssize_t)sizeof(l->seed))
		l->seed = UINT64_C(0x2545f4914f6cdd1d);
	void *memory = mmap(NULL, l->memory_octets, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		free(l);
		return NULL;
	}
	slot_counts_init(&l->counts, memory, slots, sources);
	return l;
}

void
connection_limits_free(struct connection_limits **limits)
{
	if (*limits == NULL)
		return;
	(void)munmap((*limits)->counts.memory, (*limits)->memory_octets);
	free(*limits);
	*limits = NULL;
}

unsigned
connection_limits_slots(const struct connection_limits *limits)
{
	return limits->counts.slots;
}

/* The key of a connector's total (source NULL), or of one source there. */
static struct slot_key
key_of(const struct connection_limits *l, struct span connector, const struct ip *source)
{
	char key[1 + sizeof(struct ip) + KEY_NAME_MAX] = { source == NULL ? 'c' : 's' };
	size_t fixed = 1 + sizeof(struct ip);
	size_t len = connector.len < KEY_NAME_MAX ? connector.len : KEY_NAME_MAX;

	if (source != NULL)
		memcpy(key + 1, source->bytes, sizeof(struct ip));
	if (len > 0)
		memcpy(key + fixed, connector.ptr, len);
	XXH128_hash_t hash = XXH3_128bits_withSeed(key, fixed + len, l->seed);

	return (struct slot_key){ .low = hash.low64, .high = hash.high64 };
}

enum connection_room
connection_limits_take(struct connection_limits *l, unsigned slot, struct span connector,
		       const struct ip *source, uint32_t max, uint32_t per_source_max)
{
	struct slot_key all = key_of(l, connector, NULL);
	struct slot_key one = key_of(l, connector, source);
	enum connection_room room = CONNECTION_TAKEN;

	if (!slot_counts_take(&l->counts, slot, all))
		return CONNECTION_LIMIT;
	if (!slot_counts_take(&l->counts, slot, one)) {
		slot_counts_release(&l->counts, slot, all);
		return CONNECTION_SOURCE_LIMIT;
	}
	if (max != 0 && slot_counts_total(&l->counts, all) > max)
		room = CONNECTION_LIMIT;
	else if (per_source_max != 0 && slot_counts_total(&l->counts, one) > per_source_max)
		room = CONNECTION_SOURCE_LIMIT;
	if (room != CONNECTION_TAKEN)
		connection_limits_release(l, slot, connector, source);
	return room;
}

void
connection_limits_release(struct connection_limits *l, unsigned slot, struct span connector,
			  const struct ip *source)
{
	slot_counts_release(&l->counts, slot, key_of(l, connector, source));
	slot_counts_release(&l->counts, slot, key_of(l, connector, NULL));
}

void
connection_limits_slot_clear(struct connection_limits *l, unsigned slot)
{
	slot_counts_clear(&l->counts, slot);
}

uint64_t
connection_limits_count(const struct connection_limits *l, struct span connector,
			const struct ip *source)
{
	return slot_counts_total(&l->counts, key_of(l, connector, source));
}
