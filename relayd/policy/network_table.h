/* SPDX-License-Identifier: ISC */
/*
 * A table from addresses to numbers: ranges cut into pieces that do not overlap. IPv4 (and the
 * IPv4-mapped IPv6 addresses, which are the same) has an array of its own with an index over
 * the first 16 bits, so that 10^6 networks cost one or two cache misses.
 *
 * A range that spans ::ffff:0:0/96, as ::/0 does, holds the IPv4 clients too.
 */
#ifndef RELAYD_POLICY_NETWORK_TABLE_H
#define RELAYD_POLICY_NETWORK_TABLE_H

#include "base/ip.h"
#include "policy/grant_set.h"

/* From this address on, until the next piece, the value is this; 0: nothing. */
struct network_piece {
	struct ip start;
	uint32_t value;
};

/* Embedded by value; all zero is an empty table. */
struct network_table {
	struct v4_piece {
		uint32_t start; /* ascending; the first is 0 */
		uint32_t value;
	} *v4;
	size_t v4_count;
	uint32_t *v4_index; /* of 65537: the first piece that starts at or after n << 16 */
	struct network_piece *v6;
	size_t v6_count;
};

/* Pieces in ascending order, each start once. They are copied. */
void network_table_init(struct network_table *t, const struct network_piece *pieces,
			size_t count);
void network_table_reset(struct network_table *t);

/* The value at an address; 0: none. */
uint32_t network_table_find(const struct network_table *t, const struct ip *ip);

/* ---- Ranges with an owner, before they are cut ---- */

struct owned_range {
	struct ip_range range;
	uint32_t owner;
};

struct range_list {
	struct owned_range *items;
	size_t count;
	size_t room;
};

void range_list_add(struct range_list *list, const struct ip_range *range, uint32_t owner);
void range_list_reset(struct range_list *list);

/* Owners are groups of the builder: every piece gets the rule of the groups that hold it. */
void network_table_build(struct network_table *t, const struct range_list *list,
			 struct condition_builder *builder);

/*
 * Owners are numbers from 0 up (connectors): every piece gets the owner of the smallest range
 * that holds it, plus 1. False when two ranges of different owners overlap and neither holds
 * the other, or are the same: *a and *b say which.
 */
bool network_table_build_nested(struct network_table *t, const struct range_list *list,
				struct owned_range *a, struct owned_range *b);

/* Do the ranges together hold every IPv4 address, or every other one? Owners are ignored. */
bool range_list_is_all_v4(const struct range_list *list);
bool range_list_is_all_v6(const struct range_list *list);

/*
 * Walk over all addresses: tells the values of both tables wherever one of them changes, and
 * how many addresses they hold for when these are IPv4 (IPv6: 0).
 */
typedef void network_meet(void *context, uint32_t a, uint32_t b, uint64_t v4_count);
void network_tables_meet(const struct network_table *a, const struct network_table *b,
			 network_meet *meet, void *context);

/*
 * The same with the addresses, in ascending order of IPv6, then of IPv4 (as IPv4-mapped): the
 * ranges are all addresses there are, none overlaps, and within one both values are the same.
 */
typedef void network_walk(void *context, const struct ip_range *range, uint32_t a, uint32_t b);
void network_tables_walk(const struct network_table *a, const struct network_table *b,
			 network_walk *walk, void *context);

/* The address after; false at the end of all addresses. */
bool ip_next(const struct ip *ip, struct ip *next);

/* The address before; false at the first of all. */
bool ip_previous(const struct ip *ip, struct ip *previous);

/*
 * Sort by first address and join what touches or overlaps; owners are forgotten. IPv4 addresses
 * stay apart from the others.
 */
void range_list_join(struct range_list *list);

#endif
