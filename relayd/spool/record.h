/* SPDX-License-Identifier: ISC */
/*
 * The bytes of a segment: its header, its records, and the scan that finds the records
 * again after a crash. No I/O. docs/spool.md has the layout and the reasons.
 *
 * Numbers are little-endian. A record begins at a multiple of 64 octets:
 *
 *   header (64) | state area, padded to 8 | extension | envelope | body | padding to 64
 *
 * The extension holds the number of the body's file (RECORD_IS_EXTERNAL) and where the
 * record was before (RECORD_IS_MOVED). The checksum in the header covers the header but
 * for the mark, the extension and the envelope; a second one, itself covered by the
 * first, is that of the body. The state area and the mark are overwritten in place.
 */
#ifndef RELAYD_SPOOL_RECORD_H
#define RELAYD_SPOOL_RECORD_H

#include "base/span.h"

#define SEGMENT_HEADER_OCTETS 4096u /* where the first record begins */
#define RECORD_HEADER_OCTETS  64u
#define RECORD_ALIGN	      64u
#define RECORD_MARK_AT	      56u /* of the mark, in the header */
#define RECORD_MARK_OCTETS    4u
#define RECORD_PREFIX_EXTRA   40u /* the longest extension */

struct segment_header {
	uint64_t
	    generation; /* random, new at each use of the file; all its records bear it */
	uint64_t shard;
	uint64_t number;
	uint64_t octets; /* of the segment */
	uint64_t
	    uid_limit; /* no message that was first stored here has this uid or more */
};

enum record_flags {
	RECORD_IS_EXTERNAL = 1, /* the body has a file of its own */
	RECORD_IS_MOVED = 2,	/* a copy made by compaction; see record_origin */
};

/* What became of a record since it was written. Any other value counts as live. */
enum record_mark {
	RECORD_LIVE = 0,
	RECORD_REMOVED = 0x564f4d52, /* done with */
	RECORD_MOVED = 0x44564f4d,   /* a durable copy elsewhere took its place */
};

/* Where the original of a moved record is, or was. */
struct record_origin {
	uint64_t shard;
	uint64_t number;
	uint64_t generation;
	uint64_t offset;
};

/* A record's header and extension, decoded. */
struct spool_record {
	uint64_t generation;
	uint64_t uid;
	int64_t stored_wall_ms;
	uint64_t body_octets;
	uint32_t envelope_octets;
	uint32_t state_octets;
	uint32_t body_sum;
	uint32_t flags;		     /* of enum record_flags */
	uint32_t mark;		     /* of enum record_mark */
	uint64_t file;		     /* when external */
	struct record_origin origin; /* when moved */
};

/* Where its parts lie, counted from the beginning of the record. */
static inline uint64_t
record_state_at(void)
{
	return RECORD_HEADER_OCTETS;
}

static inline uint64_t
record_extension_at(const struct spool_record *record)
{
	return RECORD_HEADER_OCTETS + ((record->state_octets + 7u) & ~(uint64_t)7);
}

static inline uint64_t
record_envelope_at(const struct spool_record *record)
{
	return record_extension_at(record) +
	       (record->flags & RECORD_IS_EXTERNAL ? 8u : 0u) +
	       (record->flags & RECORD_IS_MOVED ? 32u : 0u);
}

static inline uint64_t
record_body_at(const struct spool_record *record)
{
	return record_envelope_at(record) + record->envelope_octets;
}

/* Its end without and with the padding. */
static inline uint64_t
record_end(const struct spool_record *record)
{
	return record_body_at(record) +
	       (record->flags & RECORD_IS_EXTERNAL ? 0u : record->body_octets);
}

static inline uint64_t
record_octets(const struct spool_record *record)
{
	return (record_end(record) + (RECORD_ALIGN - 1)) & ~(uint64_t)(RECORD_ALIGN - 1);
}

/*
 * Write header and extension into the record_body_at octets at prefix, where state area
 * and envelope already stand at their places.
 */
void record_encode(const struct spool_record *record, char *prefix);

/*
 * The record at the front of the bytes, header and extension only; nothing is checked but
 * the magic, the version and that all of it lies within the bytes but for the body. For
 * records that were seen to be whole before.
 */
enum parse_status record_glance(struct span bytes, struct spool_record *record);

/* A whole, undamaged record at the front of the bytes. */
enum parse_status record_parse(struct span bytes, struct spool_record *record);

void segment_header_encode(const struct segment_header *header,
			   char block[SEGMENT_HEADER_OCTETS]);
enum parse_status segment_header_parse(struct span bytes, struct segment_header *header);

/* What a scan found out about a segment. */
struct segment_scan {
	struct segment_header header;
	bool has_header;  /* false: damaged; records may be there all the same */
	uint64_t records; /* whole records, live or not */
	uint64_t end;	  /* where the unbroken run of records ends */
	uint64_t lost_at; /* damage with records behind it begins here; 0: none */
	uint64_t lost_octets;
};

/*
 * Walk the whole records of a segment's image, in order. Bytes of earlier uses of the
 * file are never taken for records; where a record is torn or damaged the scan goes on at
 * the next whole record of the same generation. seen returns false to stop.
 */
void segment_scan(struct span image, struct segment_scan *scan,
		  bool (*seen)(void *context, uint64_t offset,
			       const struct spool_record *record),
		  void *context);

#endif
