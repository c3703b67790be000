/* SPDX-License-Identifier: ISC */
/*
 * Sets of grants as bitmaps, in the order of the file: bit i is grant i. A decision is a walk
 * through the stages that keeps one bitmap of the grants still alive; so its cost does not
 * depend on how many grants a client matches, and the first grant in the file that came
 * furthest is the first bit of the last bitmap that was not empty.
 *
 * Conditions are compiled by groups. A group is one list of entries: a table, or the entries
 * that one grant wrote itself. An entry that stands in several groups gets one rule for all of
 * them, and equal rules are kept once: a table of 10^6 entries that 500 grants use costs one.
 */
#ifndef RELAYD_POLICY_GRANT_SET_H
#define RELAYD_POLICY_GRANT_SET_H

#include "base/arena.h"
#include "base/table.h"

#define GRANTS_MAX	16384
#define GRANT_WORDS_MAX (GRANTS_MAX / 64)

/* Before a bitmap on the stack: do not pay for clearing the words that no grant needs. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define UNCLEARED __attribute__((uninitialized))
#endif
#endif
#ifndef UNCLEARED
#define UNCLEARED
#endif

/* The words first .. first + count - 1 of a bitmap; the others are zero. */
struct grant_set {
	const uint64_t *words;
	uint32_t first;
	uint32_t count;
};

/* What one entry says: which grants name it, and which name it as an exception. */
struct grant_rule {
	struct grant_set permits;
	struct grant_set excepts;
};

static inline void
bitmap_set(uint64_t *map, size_t bit)
{
	map[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline void
bitmap_clear(uint64_t *map, size_t bit)
{
	map[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

static inline bool
bitmap_has(const uint64_t *map, size_t bit)
{
	return (map[bit / 64] >> (bit % 64) & 1) != 0;
}

static inline void
bitmap_copy(uint64_t *to, const uint64_t *from, size_t words)
{
	memcpy(to, from, words * sizeof(*to));
}

static inline void
bitmap_empty(uint64_t *map, size_t words)
{
	memset(map, 0, words * sizeof(*map));
}

static inline void
bitmap_or(uint64_t *to, const uint64_t *other, size_t words)
{
	for (size_t i = 0; i < words; i++)
		to[i] |= other[i];
}

static inline void
bitmap_and(uint64_t *to, const uint64_t *other, size_t words)
{
	for (size_t i = 0; i < words; i++)
		to[i] &= other[i];
}

static inline void
bitmap_and_not(uint64_t *to, const uint64_t *other, size_t words)
{
	for (size_t i = 0; i < words; i++)
		to[i] &= ~other[i];
}

/* The words of a bitmap that are looked at; all others are zero, or do not matter. */
struct window {
	size_t first;
	size_t end;
};

/* to |= set, within the window. */
static inline void
bitmap_or_set(uint64_t *to, const struct grant_set *set, struct window w)
{
	size_t end = set->first + (size_t)set->count;
	size_t first = set->first > w.first ? set->first : w.first;

	end = end < w.end ? end : w.end;
	for (size_t i = first; i < end; i++)
		to[i] |= set->words[i - set->first];
}

/* to &= ~set, within the window. */
static inline void
bitmap_and_not_set(uint64_t *to, const struct grant_set *set, struct window w)
{
	size_t end = set->first + (size_t)set->count;
	size_t first = set->first > w.first ? set->first : w.first;

	end = end < w.end ? end : w.end;
	for (size_t i = first; i < end; i++)
		to[i] &= ~set->words[i - set->first];
}

/* to = a & b within the window; what is left of it. Empty (first == end) when nothing is. */
struct window bitmap_meet(uint64_t *to, const uint64_t *a, const uint64_t *b, struct window w);

/* The first bit at or after `from`, or SIZE_MAX. */
size_t bitmap_next(const uint64_t *map, size_t words, size_t from);

/* ---- One kind of condition (networks, users, senders ...) over all grants ---- */

struct condition {
	const uint64_t *unstated;	/* grants that do not state it */
	const struct grant_rule *rules; /* by number; rule 0 says nothing */
	size_t rule_count;
	bool has_excepts;
};

struct condition_builder {
	struct arena *arena; /* the policy's */
	size_t words;
	uint32_t *first_uses; /* of each group: number of a use, or 0 */
	size_t group_count;
	size_t group_room;
	struct condition_use {
		uint32_t grant;
		uint32_t next; /* number of a use, or 0 */
		bool is_except;
	} *uses; /* use 0 is none */
	size_t use_count;
	size_t use_room;
	struct grant_rule *rules;
	size_t rule_count;
	size_t rule_room;
	struct table known; /* list of groups -> number of its rule */
	struct arena lists; /* the keys of known */
	uint64_t *unstated;
	bool has_excepts;
};

/* Every one of grant_count grants is in `unstated` until condition_state. */
void condition_begin(struct condition_builder *b, struct arena *arena, size_t grant_count);
void condition_state(struct condition_builder *b, size_t grant);
uint32_t condition_group_new(struct condition_builder *b);

/* The grant lists the group, as permitted or as excepted. */
void condition_group_use(struct condition_builder *b, uint32_t group, size_t grant,
			 bool is_except);

/* The rule of entries that stand in exactly these groups (ascending, each once). */
uint32_t condition_rule(struct condition_builder *b, const uint32_t *groups, size_t count);

/* Hand the rules over to the condition; the builder is empty again. */
void condition_end(struct condition_builder *b, struct condition *condition);

#endif
