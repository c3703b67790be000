/* SPDX-License-Identifier: ISC */
/*
 * The scanner below DATA, BDAT and dot-stuffing: it runs over text in which lines end with
 * CRLF, 64 octets at a time, and stops only where its caller has something to do.
 */
#ifndef RELAYD_SMTP_LINE_SCAN_H
#define RELAYD_SMTP_LINE_SCAN_H

#include "base/span.h"

#define SCAN_BLOCK 64 /* octets looked at together */

/* What stands in a block: bit i for octet i. */
struct scan_marks {
	uint64_t cr;
	uint64_t lf;
	bool has_nul;
	bool has_8bit;
};

/* Mark 64 octets; both do the same, the second without SSE2. */
struct scan_marks scan_block(const char octets[SCAN_BLOCK]);
struct scan_marks scan_block_portable(const char octets[SCAN_BLOCK]);

/* What was seen on the way. All zero at the start of a message. */
struct line_facts {
	size_t line_octets; /* of the line that has not ended yet */
	size_t longest;	    /* octets of the longest line that ended, without its CRLF */
	bool has_nul;
	bool has_8bit;
};

enum line_scan_stop {
	STOP_AT_DOT = 1,  /* before a dot that follows a CRLF */
	STOP_AT_BARE = 2, /* before a CR without its LF, or a LF without its CR */
};

/*
 * How many octets from the front of in come before the first that stops the scan. A CR at
 * the end of in, which may or may not turn out to be bare, always stops it; a dot at the
 * front of in never does. *facts gathers what stands in those octets; *ends_line: the last
 * of them ended a line.
 */
size_t line_scan(struct span in, unsigned stops, struct line_facts *facts, bool *ends_line);

/* A line ended whose octets were counted in facts->line_octets. */
static inline void
line_facts_end(struct line_facts *facts)
{
	if (facts->line_octets > facts->longest)
		facts->longest = facts->line_octets;
	facts->line_octets = 0;
}

#endif
