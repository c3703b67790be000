/* SPDX-License-Identifier: ISC */
/*
 * Bytes that wait to be sent: a chain of chunks from a pool of the loop's, so that a reply
 * costs no allocation, sending moves no bytes, and an idle stream holds none.
 */
#ifndef RELAYD_NET_OUTPUT_H
#define RELAYD_NET_OUTPUT_H

#include "base/span.h"

#include <sys/uio.h>

struct chunk;

/* Embedded by value, all zero at first; one for each loop. */
struct output_pool {
	struct chunk *small;
	struct chunk *large;
	unsigned small_count;
	unsigned large_count;
};

/* Embedded by value; all zero is empty. */
struct output {
	struct chunk *first;
	struct chunk *last;
	size_t octets;
	bool is_secret; /* what is there is overwritten when it goes; until nothing is there */
};

/* Give back all that the pool keeps. */
void output_pool_reset(struct output_pool *pool);

/* Copy the bytes behind what is there. */
void output_append(struct output *out, struct output_pool *pool, struct span bytes);

/* Describe the front in at most max pieces; returns how many. They stay where they are. */
int output_pieces(const struct output *out, struct iovec *pieces, int max);

/* Drop n octets from the front; n may not exceed out->octets. */
void output_consume(struct output *out, struct output_pool *pool, size_t n);

/* Drop everything. */
void output_reset(struct output *out, struct output_pool *pool);

#endif
