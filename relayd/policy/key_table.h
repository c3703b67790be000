/* SPDX-License-Identifier: ISC */
/*
 * A compact table from (kind, bytes) to a number, for the 10^6 addresses or logins of a large
 * policy: 16 octets and the bytes an entry. Filled while a policy is compiled, then only read.
 * The keys are the administrator's, so nobody can choose them to collide.
 */
#ifndef RELAYD_POLICY_KEY_TABLE_H
#define RELAYD_POLICY_KEY_TABLE_H

#include "base/span.h"

#define KEY_OCTETS_MAX 1024

/* Embedded by value; all zero is an empty table. */
struct key_table {
	struct key_place *places;
	size_t place_count; /* a power of two, or 0 */
	size_t count;
	uint32_t *records; /* value, kind and length, bytes; record 0 is none */
	size_t used;	   /* in words */
	size_t room;
};

void key_table_reset(struct key_table *t);

/*
 * The place of the value of a key, which is put in with value 0 when it is new; good until the
 * next put. The key is copied; it may have KEY_OCTETS_MAX octets.
 */
uint32_t *key_table_put(struct key_table *t, unsigned char kind, struct span key);

/* The value of a key, or 0. */
uint32_t key_table_find(const struct key_table *t, unsigned char kind, struct span key);

/*
 * Looking up ahead, for tables that no cache holds: begin asks the memory for the place where
 * the key would be, go_on, some other work later, for its record. Then key_table_find finds
 * both there. Several at once cost the time of one.
 */
struct key_probe {
	const struct key_table *table; /* NULL: nothing to do */
	uint64_t hash;
};

void key_probe_begin(struct key_probe *probe, const struct key_table *t, unsigned char kind,
		     struct span key);
void key_probe_go_on(const struct key_probe *probe);

/* Walk over the values: *at starts at 0; NULL at the end. */
uint32_t *key_table_next(struct key_table *t, size_t *at);

/* The same with the key, which is the table's. False at the end. */
bool key_table_walk(const struct key_table *t, size_t *at, unsigned char *kind,
		    struct span *key);

/* Give back what growing left over. */
void key_table_trim(struct key_table *t);

#endif
