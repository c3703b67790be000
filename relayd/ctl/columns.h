/* SPDX-License-Identifier: ISC */
/*
 * Tables for people: aligned columns, an empty cell shown as "-", and nothing in a cell that
 * a terminal could take for more than text. Rows are written in blocks, so a long listing
 * starts at once and takes little memory.
 */
#ifndef RELAYD_CTL_COLUMNS_H
#define RELAYD_CTL_COLUMNS_H

#include "base/buffer.h"

#define COLUMNS_MAX 16

struct columns {
	const char *const *titles; /* ">messages": to the right */
	size_t count;
	size_t widths[COLUMNS_MAX];
	struct buffer cells; /* of the block, each behind its length */
	size_t cell_count;
	bool is_begun; /* the titles were written */
};

/* An empty table; the titles are borrowed. */
void columns_init(struct columns *c, const char *const *titles, size_t count);

/* The next cell of the row; when the row is full the next one begins. */
void columns_cell(struct columns *c, struct span text);
void columns_number(struct columns *c, uint64_t value);
void columns_octets(struct columns *c, uint64_t octets); /* "4.0 KiB" */
void columns_duration(struct columns *c, int64_t ms);	 /* "2h 5m" */

/* Write what is left (to stdout) and free; without a row nothing is written. */
void columns_end(struct columns *c);

/* Octets for people: "512 B", "4.0 KiB", "36.0 MiB". Appended. */
void octets_append(struct buffer *out, uint64_t octets);

#endif
