/* SPDX-License-Identifier: ISC */
/* Sets of grants; see grant_set.h. */
#include "policy/grant_set.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define ROOM_FIRST 16

size_t
bitmap_next(const uint64_t *map, size_t words, size_t from)
{
	size_t at = from / 64;

	if (at >= words)
		return SIZE_MAX;
	uint64_t word = map[at] & (UINT64_MAX << (from % 64));

	while (word == 0) {
		if (++at == words)
			return SIZE_MAX;
		word = map[at];
	}
	return at * 64 + (size_t)__builtin_ctzll(word);
}

struct window
bitmap_meet(uint64_t *to, const uint64_t *a, const uint64_t *b, struct window w)
{
	struct window left = { w.end, w.end };

	for (size_t i = w.first; i < w.end; i++) {
		to[i] = a[i] & b[i];
		if (to[i] != 0) {
			left.first = left.first == w.end ? i : left.first;
			left.end = i + 1;
		}
	}
	return left;
}

/* Make room for one element more. */
static void *
room_make(void *old, size_t count, size_t *room, size_t octets_each)
{
	if (count < *room)
		return old;
	*room = *room == 0 ? ROOM_FIRST : *room * 2;
	return memory_resize(old, *room, octets_each);
}

static struct grant_rule *
rule_add(struct condition_builder *b)
{
	b->rules = room_make(b->rules, b->rule_count, &b->rule_room, sizeof(*b->rules));
	struct grant_rule *rule = &b->rules[b->rule_count++];

	*rule = (struct grant_rule){ .permits = { .count = 0 } };
	return rule;
}

void
condition_begin(struct condition_builder *b, struct arena *arena, size_t grant_count)
{
	assert(grant_count <= GRANTS_MAX);
	*b = (struct condition_builder){ .arena = arena,
					 .words = (grant_count + 63) / 64 };
	table_init(&b->known, 0);
	arena_init(&b->lists, 1U << 16);
	b->unstated = arena_new_array(arena, b->words, sizeof(*b->unstated));
	for (size_t i = 0; i < grant_count; i++)
		bitmap_set(b->unstated, i);
	b->use_count = 1;
	(void)rule_add(b);
}

void
condition_state(struct condition_builder *b, size_t grant)
{
	bitmap_clear(b->unstated, grant);
}

uint32_t
condition_group_new(struct condition_builder *b)
{
	b->first_uses = room_make(b->first_uses, b->group_count, &b->group_room,
				  sizeof(*b->first_uses));
	b->first_uses[b->group_count] = 0;
	return (uint32_t)b->group_count++;
}

void
condition_group_use(struct condition_builder *b, uint32_t group, size_t grant,
		    bool is_except)
{
	b->uses = room_make(b->uses, b->use_count, &b->use_room, sizeof(*b->uses));
	b->uses[b->use_count] = (struct condition_use){
		.grant = (uint32_t)grant,
		.next = b->first_uses[group],
		.is_except = is_except,
	};
	b->first_uses[group] = (uint32_t)b->use_count++;
	b->has_excepts |= is_except;
}

/* The uses of the groups, of one kind, as a set that keeps only the words that matter. */
static struct grant_set
uses_set(struct condition_builder *b, const uint32_t *groups, size_t count,
	 bool is_except)
{
	UNCLEARED uint64_t map[GRANT_WORDS_MAX];
	size_t first = b->words, end = 0;

	bitmap_empty(map, b->words);
	for (size_t i = 0; i < count; i++) {
		for (uint32_t u = b->first_uses[groups[i]]; u != 0; u = b->uses[u].next) {
			size_t word = b->uses[u].grant / 64;

			if (b->uses[u].is_except != is_except)
				continue;
			bitmap_set(map, b->uses[u].grant);
			first = word < first ? word : first;
			end = word + 1 > end ? word + 1 : end;
		}
	}
	if (end == 0)
		return (struct grant_set){ .words = NULL };
	uint64_t *words = arena_new_array(b->arena, end - first, sizeof(*words));

	bitmap_copy(words, map + first, end - first);
	return (struct grant_set){
		.words = words,
		.first = (uint32_t)first,
		.count = (uint32_t)(end - first),
	};
}

uint32_t
condition_rule(struct condition_builder *b, const uint32_t *groups, size_t count)
{
	struct span key = { .ptr = (const char *)groups, .len = count * sizeof(*groups) };

	if (count == 0)
		return 0;
	void *known = table_find(&b->known, key);

	if (known != NULL)
		return (uint32_t)(uintptr_t)known;
	uint32_t number = (uint32_t)b->rule_count;
	struct grant_rule *rule = rule_add(b);

	rule->permits = uses_set(b, groups, count, false);
	rule->excepts = uses_set(b, groups, count, true);
	(void)table_put(&b->known, arena_copy(&b->lists, key), (void *)(uintptr_t)number);
	return number;
}

void
condition_end(struct condition_builder *b, struct condition *condition)
{
	struct grant_rule *rules =
	    arena_new_array(b->arena, b->rule_count, sizeof(*rules));

	memcpy(rules, b->rules, b->rule_count * sizeof(*rules));
	*condition = (struct condition){
		.unstated = b->unstated,
		.rules = rules,
		.rule_count = b->rule_count,
		.has_excepts = b->has_excepts,
	};
	free(b->first_uses);
	free(b->uses);
	free(b->rules);
	table_reset(&b->known);
	arena_reset(&b->lists);
	*b = (struct condition_builder){ .arena = NULL };
}
