/* SPDX-License-Identifier: ISC */
/*
 * Counts of what is open now (connections, sessions), shared by processes, in a block of memory
 * that somebody made before they were forked. Each process has a slot and only it writes there;
 * a total is the sum over the slots. So there is no lock that a killed process could leave
 * behind: whatever instruction it died at, its slot is cleared and the totals are exact again.
 */
#ifndef RELAYD_BASE_SLOT_COUNTS_H
#define RELAYD_BASE_SLOT_COUNTS_H

#include "base/span.h"

/* What is counted, as 128 bits of a hash whose seed no peer knows. */
struct slot_key {
	uint64_t low;
	uint64_t high;
};

/* Embedded by value; the same in every process. */
struct slot_counts {
	void *memory;
	size_t slot_octets;
	size_t buckets; /* of a slot; a power of two */
	unsigned slots;
};

/* How large a block must be for so many slots and so many keys in one slot at a time. */
size_t slot_counts_octets(unsigned slots, unsigned keys);

/* Use a block of that size, all zero; aligned as memory from mmap is. It is borrowed. */
void slot_counts_init(struct slot_counts *counts, void *memory, unsigned slots, unsigned keys);

/* Count one more here. False, and nothing is counted: this slot has no room for the key. */
bool slot_counts_take(const struct slot_counts *counts, unsigned slot, struct slot_key key);

/* One less; only for what was taken. */
void slot_counts_release(const struct slot_counts *counts, unsigned slot, struct slot_key key);

/*
 * The total now. Who takes first and then asks gets more than a maximum only if it is exceeded
 * or somebody else takes, too: of two that compete for the last place, at least one sees the
 * other.
 */
uint64_t slot_counts_total(const struct slot_counts *counts, struct slot_key key);

/* The process of this slot is dead: what it counted is no more. */
void slot_counts_clear(const struct slot_counts *counts, unsigned slot);

#endif
