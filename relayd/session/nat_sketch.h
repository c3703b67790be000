/* SPDX-License-Identifier: ISC */
/*
 * How many names the busiest client addresses call themselves by. One machine has one name; an
 * address with many of them is that of a NAT, and whoever is behind it cannot be told apart.
 *
 * The memory is fixed: of the addresses that say EHLO or HELO most often (Space-Saving: an
 * address with more than 1/NAT_HOSTS of all is among them) a bitmap of the names' hashes. One
 * process writes to a sketch while others read it.
 */
#ifndef RELAYD_SESSION_NAT_SKETCH_H
#define RELAYD_SESSION_NAT_SKETCH_H

#include "base/ip.h"

#include <stdatomic.h>

#define NAT_HOSTS      32
#define NAT_NAME_WORDS 4 /* of 64 bits: up to 256 names are told apart */

struct nat_host {
	_Atomic uint32_t version; /* odd while another address moves in */
	_Atomic uint64_t ip[2];
	_Atomic uint64_t hellos;    /* 0: free. Counts those of who was here before, too */
	_Atomic uint64_t inherited; /* that many of them */
	_Atomic uint64_t names[NAT_NAME_WORDS];
};

/* All zero: empty. May live in shared memory. */
struct nat_sketch {
	struct nat_host hosts[NAT_HOSTS];
};

/* A client said hello by that name; letters of either case are the same. */
void nat_sketch_note(struct nat_sketch *sketch, const struct ip *client, struct span name);

/* Add what another sketch knows. `to` is the caller's alone; `from` may be written to. */
void nat_sketch_add(struct nat_sketch *to, struct nat_sketch *from);

/* What is known of one host. */
struct nat_seen {
	struct ip client;
	uint64_t hellos;
	unsigned names; /* at least */
};

/* False: the place is free, or just changing hands. */
bool nat_sketch_look(struct nat_sketch *sketch, size_t host, struct nat_seen *seen);

#endif
