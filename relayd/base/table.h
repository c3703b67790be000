/* SPDX-License-Identifier: ISC */
/*
 * A hash table from borrowed bytes to pointers (open addressing, xxHash with a random seed
 * for keys that clients choose). Keys and values stay the caller's.
 */
#ifndef RELAYD_BASE_TABLE_H
#define RELAYD_BASE_TABLE_H

#include "base/span.h"

struct table_entry {
	struct span key; /* ptr NULL: free place */
	void *value;
	uint64_t hash;
};

/* Embedded by value. */
struct table {
	struct table_entry *entries;
	size_t count;
	size_t places; /* a power of two, or 0 */
	uint64_t seed;
};

/* An empty table; expected is how many entries are likely (0: unknown). */
void table_init(struct table *t, size_t expected);

/* Free the places (not keys or values); the table is empty and usable again. */
void table_reset(struct table *t);

/* The value under key, or NULL. */
void *table_find(const struct table *t, struct span key);

/*
 * Put value (not NULL) under key, which is kept by reference: it must outlive the entry.
 * Returns the value that stood there before, or NULL.
 */
void *table_put(struct table *t, struct span key, void *value);

/* Take the entry out; returns its value, or NULL when there was none. */
void *table_remove(struct table *t, struct span key);

/* Walk: *at starts at 0; NULL at the end. The table may not change meanwhile. */
const struct table_entry *table_next(const struct table *t, size_t *at);

#endif
