/* SPDX-License-Identifier: ISC */
/* Tables of networks; see network_table.h. */
#include "policy/network_table.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

#define INDEX_BITS  16
#define INDEX_COUNT ((1U << INDEX_BITS) + 1)
#define INDEX_FROM  256 /* below so many pieces a plain search is as fast */
#define LIST_FIRST  16

static const struct ip_range v4_all = {
	{ { [10] = 0xff, [11] = 0xff } },
	{ { [10] = 0xff, [11] = 0xff, [12] = 0xff, [13] = 0xff, [14] = 0xff, [15] = 0xff } },
};
static const struct ip_range v6_below = {
	{ { 0 } },
	{ { [10] = 0xff, [11] = 0xfe, [12] = 0xff, [13] = 0xff, [14] = 0xff, [15] = 0xff } },
};
static const struct ip_range v6_above = {
	{ { [9] = 0x01 } },
	{ { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff } },
};

static uint32_t
v4_number(const struct ip *ip)
{
	const unsigned char *b = ip->bytes + 12;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

bool
ip_next(const struct ip *ip, struct ip *next)
{
	*next = *ip;
	for (size_t i = sizeof(next->bytes); i-- > 0;) {
		if (++next->bytes[i] != 0)
			return true;
	}
	return false;
}

bool
ip_previous(const struct ip *ip, struct ip *previous)
{
	*previous = *ip;
	for (size_t i = sizeof(previous->bytes); i-- > 0;) {
		if (previous->bytes[i]-- != 0)
			return true;
	}
	return false;
}

/* ---- Looking up ---- */

/* The last of pieces[low..high) that starts no later than x; pieces[low] does. */
static size_t
v4_search(const struct v4_piece *pieces, size_t low, size_t high, uint32_t x)
{
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (pieces[middle].start <= x)
			low = middle;
		else
			high = middle;
	}
	return low;
}

uint32_t
network_table_find(const struct network_table *t, const struct ip *ip)
{
	if (ip_is_v4(ip)) {
		uint32_t x = v4_number(ip);
		size_t low = 0, high = t->v4_count;

		if (high == 0)
			return 0;
		if (t->v4_index != NULL) {
			uint32_t top = x >> (32 - INDEX_BITS);

			/* the piece before the first that starts in this 16-bit block may reach in */
			low = t->v4_index[top];
			low -= low > 0;
			high = t->v4_index[top + 1];
		}
		return t->v4[v4_search(t->v4, low, high, x)].value;
	}
	size_t low = 0, high = t->v6_count;

	if (high == 0)
		return 0;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (ip_compare(&t->v6[middle].start, ip) <= 0)
			low = middle;
		else
			high = middle;
	}
	return ip_compare(&t->v6[low].start, ip) <= 0 ? t->v6[low].value : 0;
}

/* ---- Building ---- */

static void
v4_index_make(struct network_table *t)
{
	size_t piece = 0;

	if (t->v4_count < INDEX_FROM)
		return;
	t->v4_index = memory_new_array(INDEX_COUNT, sizeof(*t->v4_index));
	for (uint32_t top = 0; top + 1 < INDEX_COUNT; top++) {
		while (piece < t->v4_count &&
		       t->v4[piece].start < top << (32 - INDEX_BITS))
			piece++;
		t->v4_index[top] = (uint32_t)piece;
	}
	t->v4_index[INDEX_COUNT - 1] = (uint32_t)t->v4_count;
}

void
network_table_init(struct network_table *t, const struct network_piece *pieces,
		   size_t count)
{
	uint32_t at_v4 = 0; /* the value where IPv4 begins */
	size_t v4 = 1, v6 = 0;

	for (size_t i = 0; i < count; i++) {
		if (ip_is_v4(&pieces[i].start))
			v4++;
		else
			v6++;
		if (ip_compare(&pieces[i].start, &v4_all.first) < 0)
			at_v4 = pieces[i].value;
	}
	*t = (struct network_table){ .v4_count = 1 };
	t->v4 = memory_new_array(v4, sizeof(*t->v4));
	t->v6 = memory_new_array(v6 + 2, sizeof(*t->v6));
	t->v4[0].value = at_v4;
	uint32_t value = at_v4; /* of the piece that reaches over the end of IPv4 */
	bool has_resumed = false;

	for (size_t i = 0; i < count; i++) {
		if (ip_is_v4(&pieces[i].start)) {
			uint32_t start = v4_number(&pieces[i].start);
			size_t at = start == 0 ? 0 : t->v4_count++;

			t->v4[at] = (struct v4_piece){ start, pieces[i].value };
			value = pieces[i].value;
			continue;
		}
		int order = ip_compare(&pieces[i].start, &v6_above.first);

		if (order >= 0 && !has_resumed) {
			if (order > 0)
				t->v6[t->v6_count++] =
				    (struct network_piece){ v6_above.first, value };
			has_resumed = true;
		}
		t->v6[t->v6_count++] = pieces[i];
	}
	if (!has_resumed)
		t->v6[t->v6_count++] = (struct network_piece){ v6_above.first, value };
	v4_index_make(t);
}

void
network_table_reset(struct network_table *t)
{
	free(t->v4);
	free(t->v4_index);
	free(t->v6);
	*t = (struct network_table){ .v4_count = 0 };
}

void
range_list_add(struct range_list *list, const struct ip_range *range, uint32_t owner)
{
	if (list->count == list->room) {
		list->room = list->room == 0 ? LIST_FIRST : list->room * 2;
		list->items =
		    memory_resize(list->items, list->room, sizeof(*list->items));
	}
	list->items[list->count++] =
	    (struct owned_range){ .range = *range, .owner = owner };
}

void
range_list_reset(struct range_list *list)
{
	free(list->items);
	*list = (struct range_list){ .items = NULL };
}

/* Where a range of a group begins, or the first address after it. */
struct edge {
	struct ip at;
	uint32_t group;
	bool is_end;
};

static int
edge_compare(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return ip_compare(&x->at, &y->at);
}

/* The groups that hold the address where the sweep stands, ascending, each with a count. */
struct sweep {
	uint32_t *groups;
	size_t count;
	uint32_t *holds; /* by group: how many of its ranges */
};

static void
sweep_pass(struct sweep *sweep, const struct edge *edge)
{
	uint32_t *holds = &sweep->holds[edge->group];
	size_t low = 0, high = sweep->count;

	if (edge->is_end ? --*holds > 0 : (*holds)++ > 0)
		return;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sweep->groups[middle] < edge->group)
			low = middle + 1;
		else
			high = middle;
	}
	uint32_t *place = sweep->groups + low;
	size_t after = (sweep->count - low) * sizeof(*place);

	if (edge->is_end) {
		memmove(place, place + 1, after - sizeof(*place));
		sweep->count--;
	} else {
		memmove(place + 1, place, after);
		*place = edge->group;
		sweep->count++;
	}
}

void
network_table_build(struct network_table *t, const struct range_list *list,
		    struct condition_builder *builder)
{
	struct edge *edges = memory_new_array(list->count * 2 + 1, sizeof(*edges));
	struct network_piece *pieces =
	    memory_new_array(list->count * 2 + 1, sizeof(*pieces));
	struct sweep sweep = {
		.groups = memory_new_array(builder->group_count + 1, sizeof(uint32_t)),
		.holds = memory_new_array(builder->group_count + 1, sizeof(uint32_t)),
	};
	size_t edge_count = 0, piece_count = 0;
	uint32_t value = 0;

	for (size_t i = 0; i < list->count; i++) {
		const struct owned_range *item = &list->items[i];
		struct ip after;

		edges[edge_count++] =
		    (struct edge){ item->range.first, item->owner, false };
		if (ip_next(&item->range.last, &after))
			edges[edge_count++] = (struct edge){ after, item->owner, true };
	}
	qsort(edges, edge_count, sizeof(*edges), edge_compare);
	for (size_t i = 0; i < edge_count; i++) {
		sweep_pass(&sweep, &edges[i]);
		if (i + 1 < edge_count && ip_compare(&edges[i].at, &edges[i + 1].at) == 0)
			continue;
		uint32_t rule = condition_rule(builder, sweep.groups, sweep.count);

		if (rule == value)
			continue;
		value = rule;
		pieces[piece_count++] = (struct network_piece){ edges[i].at, rule };
	}
	network_table_init(t, pieces, piece_count);
	free(sweep.groups);
	free(sweep.holds);
	free(pieces);
	free(edges);
}

/* By first address; of those that begin together, the largest first. */
static int
range_compare(const void *a, const void *b)
{
	const struct owned_range *x = a, *y = b;
	int order = ip_compare(&x->range.first, &y->range.first);

	return order != 0 ? order : ip_compare(&y->range.last, &x->range.last);
}

static int
owner_compare(const void *a, const void *b)
{
	const struct owned_range *x = a, *y = b;

	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return range_compare(a, b);
}

/*
 * Where ranges of one owner overlap and neither holds the other, make the outer one as long as
 * both, so that what is left of each owner is nested or apart.
 */
static void
ranges_join(struct owned_range *ranges, size_t count)
{
	struct owned_range **open = memory_new_array(count + 1, sizeof(*open));
	size_t depth = 0;

	qsort(ranges, count, sizeof(*ranges), owner_compare);
	for (size_t i = 0; i < count; i++) {
		struct ip_range *range = &ranges[i].range;

		while (depth > 0 &&
		       (open[depth - 1]->owner != ranges[i].owner ||
			ip_compare(&open[depth - 1]->range.last, &range->first) < 0))
			depth--;
		for (size_t outer = depth; outer-- > 0;) {
			if (ip_compare(&open[outer]->range.last, &range->last) < 0)
				open[outer]->range.last = range->last;
		}
		open[depth++] = &ranges[i];
	}
	free(open);
}

/* The ranges that hold the address where the sweep stands, each inside the one before. */
struct nest {
	const struct owned_range **ranges;
	size_t depth;
	struct network_piece *pieces;
	size_t piece_count;
};

static void
nest_piece(struct nest *nest, const struct ip *at)
{
	uint32_t value = nest->depth == 0 ? 0 : nest->ranges[nest->depth - 1]->owner + 1;

	if (nest->piece_count > 0 &&
	    ip_compare(&nest->pieces[nest->piece_count - 1].start, at) == 0)
		nest->piece_count--;
	nest->pieces[nest->piece_count++] = (struct network_piece){ *at, value };
}

/* Leave the ranges that end before the address; all of them when it is NULL. */
static void
nest_leave(struct nest *nest, const struct ip *at)
{
	while (nest->depth > 0) {
		const struct ip *last = &nest->ranges[nest->depth - 1]->range.last;
		struct ip after;

		if (at != NULL && ip_compare(last, at) >= 0)
			break;
		nest->depth--;
		if (ip_next(last, &after))
			nest_piece(nest, &after);
	}
}

static bool
nest_all(struct nest *nest, const struct owned_range *ranges, size_t count,
	 struct owned_range *a, struct owned_range *b)
{
	for (size_t i = 0; i < count; i++) {
		nest_leave(nest, &ranges[i].range.first);
		const struct owned_range *outer =
		    nest->depth == 0 ? NULL : nest->ranges[nest->depth - 1];

		if (outer != NULL && outer->owner != ranges[i].owner &&
		    (ip_compare(&outer->range.last, &ranges[i].range.last) < 0 ||
		     (ip_compare(&outer->range.first, &ranges[i].range.first) == 0 &&
		      ip_compare(&outer->range.last, &ranges[i].range.last) == 0))) {
			*a = *outer;
			*b = ranges[i];
			return false;
		}
		nest->ranges[nest->depth++] = &ranges[i];
		nest_piece(nest, &ranges[i].range.first);
	}
	nest_leave(nest, NULL);
	return true;
}

bool
network_table_build_nested(struct network_table *t, const struct range_list *list,
			   struct owned_range *a, struct owned_range *b)
{
	struct owned_range *ranges = memory_new_array(list->count + 1, sizeof(*ranges));
	struct nest nest = {
		.ranges = memory_new_array(list->count + 1, sizeof(*nest.ranges)),
		.pieces = memory_new_array(list->count * 2 + 1, sizeof(*nest.pieces)),
	};

	if (list->count > 0)
		memcpy(ranges, list->items, list->count * sizeof(*ranges));
	ranges_join(ranges, list->count);
	qsort(ranges, list->count, sizeof(*ranges), range_compare);
	bool is_nested = nest_all(&nest, ranges, list->count, a, b);

	if (is_nested)
		network_table_init(t, nest.pieces, nest.piece_count);
	free(nest.ranges);
	free(nest.pieces);
	free(ranges);
	return is_nested;
}

/* Do the ranges, sorted, leave nothing of `whole` out? */
static bool
ranges_cover(const struct owned_range *ranges, size_t count, const struct ip_range *whole)
{
	struct ip next = whole->first; /* the first address not known to be held */

	for (size_t i = 0; i < count; i++) {
		if (ip_compare(&ranges[i].range.first, &next) > 0)
			return false;
		if (ip_compare(&ranges[i].range.last, &next) < 0)
			continue;
		if (ip_compare(&ranges[i].range.last, &whole->last) >= 0)
			return true;
		(void)ip_next(&ranges[i].range.last, &next);
	}
	return false;
}

static struct owned_range *
ranges_sorted(const struct range_list *list)
{
	struct owned_range *ranges = memory_new_array(list->count + 1, sizeof(*ranges));

	if (list->count > 0)
		memcpy(ranges, list->items, list->count * sizeof(*ranges));
	qsort(ranges, list->count, sizeof(*ranges), range_compare);
	return ranges;
}

bool
range_list_is_all_v4(const struct range_list *list)
{
	struct owned_range *ranges = ranges_sorted(list);
	bool is_all = ranges_cover(ranges, list->count, &v4_all);

	free(ranges);
	return is_all;
}

bool
range_list_is_all_v6(const struct range_list *list)
{
	struct owned_range *ranges = ranges_sorted(list);
	bool is_all = ranges_cover(ranges, list->count, &v6_below) &&
		      ranges_cover(ranges, list->count, &v6_above);

	free(ranges);
	return is_all;
}

/* The IPv4 part of network_tables_meet. */
static void
v4_meet(const struct network_table *a, const struct network_table *b, network_meet *meet,
	void *context)
{
	const uint64_t end = UINT64_C(1) << 32;
	size_t i = 0, j = 0;

	for (uint64_t at = 0; at < end;) {
		uint64_t next_a = i + 1 < a->v4_count ? a->v4[i + 1].start : end;
		uint64_t next_b = j + 1 < b->v4_count ? b->v4[j + 1].start : end;
		uint64_t next = next_a < next_b ? next_a : next_b;

		meet(context, a->v4_count == 0 ? 0 : a->v4[i].value,
		     b->v4_count == 0 ? 0 : b->v4[j].value, next - at);
		i += next == next_a && next < end;
		j += next == next_b && next < end;
		at = next;
	}
}

/* The rest of it. Before the first piece the value is 0. */
static void
v6_meet(const struct network_table *a, const struct network_table *b, network_meet *meet,
	void *context)
{
	static const struct ip zero = { { 0 } };
	size_t i = 0, j = 0; /* pieces that have begun */
	uint32_t value_a = 0, value_b = 0;

	for (;;) {
		const struct ip *next_a = i < a->v6_count ? &a->v6[i].start : NULL;
		const struct ip *next_b = j < b->v6_count ? &b->v6[j].start : NULL;
		int order = next_a == NULL ? 1 :
			    next_b == NULL ? -1 :
					     ip_compare(next_a, next_b);
		const struct ip *next = order <= 0 ? next_a : next_b;

		if (next == NULL || ip_compare(next, &zero) != 0)
			meet(context, value_a, value_b, 0);
		if (next == NULL)
			return;
		if (order <= 0)
			value_a = a->v6[i++].value;
		if (order >= 0)
			value_b = b->v6[j++].value;
	}
}

void
network_tables_meet(const struct network_table *a, const struct network_table *b,
		    network_meet *meet, void *context)
{
	v4_meet(a, b, meet, context);
	v6_meet(a, b, meet, context);
}

static struct ip
v4_ip(uint32_t number)
{
	struct ip ip = v4_all.first;

	ip.bytes[12] = (unsigned char)(number >> 24);
	ip.bytes[13] = (unsigned char)(number >> 16);
	ip.bytes[14] = (unsigned char)(number >> 8);
	ip.bytes[15] = (unsigned char)number;
	return ip;
}

/* Where the pieces of one table begin to hold next, and what they hold. */
struct v6_cursor {
	const struct network_table *table;
	size_t next;
	uint32_t value;
};

/* Take what begins no later than here; the earliest later beginning into *next, if any. */
static bool
cursor_move(struct v6_cursor *cursor, const struct ip *here, struct ip *next)
{
	const struct network_table *t = cursor->table;

	while (cursor->next < t->v6_count &&
	       ip_compare(&t->v6[cursor->next].start, here) <= 0)
		cursor->value = t->v6[cursor->next++].value;
	if (cursor->next == t->v6_count)
		return false;
	*next = t->v6[cursor->next].start;
	return true;
}

/* The addresses of `within`, none of which is an IPv4 one. */
static void
v6_walk(struct v6_cursor *a, struct v6_cursor *b, const struct ip_range *within,
	network_walk *walk, void *context)
{
	struct ip_range range = { within->first, within->last };

	for (;;) {
		struct ip next_a = { { 0 } }, next_b = { { 0 } };
		bool has_a = cursor_move(a, &range.first, &next_a);
		bool has_b = cursor_move(b, &range.first, &next_b);
		struct ip next = !has_b || (has_a && ip_compare(&next_a, &next_b) < 0) ?
				     next_a :
				     next_b;
		bool is_last =
		    !(has_a || has_b) || ip_compare(&next, &within->last) > 0;

		range.last = within->last;
		if (!is_last)
			(void)ip_previous(&next, &range.last);
		walk(context, &range, a->value, b->value);
		if (is_last)
			return;
		range.first = next;
	}
}

void
network_tables_walk(const struct network_table *a, const struct network_table *b,
		    network_walk *walk, void *context)
{
	const uint64_t end = UINT64_C(1) << 32;
	struct v6_cursor cursor_a = { .table = a }, cursor_b = { .table = b };
	size_t i = 0, j = 0;

	v6_walk(&cursor_a, &cursor_b, &v6_below, walk, context);
	v6_walk(&cursor_a, &cursor_b, &v6_above, walk, context);
	for (uint64_t at = 0; at < end;) {
		uint64_t next_a = i + 1 < a->v4_count ? a->v4[i + 1].start : end;
		uint64_t next_b = j + 1 < b->v4_count ? b->v4[j + 1].start : end;
		uint64_t next = next_a < next_b ? next_a : next_b;
		struct ip_range range = { v4_ip((uint32_t)at), v4_ip((uint32_t)(next - 1)) };

		walk(context, &range, a->v4_count == 0 ? 0 : a->v4[i].value,
		     b->v4_count == 0 ? 0 : b->v4[j].value);
		i += next == next_a && next < end;
		j += next == next_b && next < end;
		at = next;
	}
}

void
range_list_join(struct range_list *list)
{
	size_t kept = 0;

	if (list->count > 0)
		qsort(list->items, list->count, sizeof(*list->items), range_compare);
	for (size_t i = 0; i < list->count; i++) {
		struct ip_range *last = kept == 0 ? NULL : &list->items[kept - 1].range;
		const struct ip_range *range = &list->items[i].range;
		struct ip next;
		bool joins = last != NULL && (!ip_next(&last->last, &next) ||
					      ip_compare(&range->first, &next) <= 0);

		if (joins && ip_is_v4(&range->first) == ip_is_v4(&last->last)) {
			if (ip_compare(&range->last, &last->last) > 0)
				last->last = range->last;
			continue;
		}
		list->items[kept++] = (struct owned_range){ .range = *range };
	}
	list->count = kept;
}
