/* SPDX-License-Identifier: ISC */
/* The bytes of a segment; see record.h. */
#include "spool/record.h"

#include "spool/crc32c.h"

#define RECORD_MAGIC   0x63655272u /* "rRec" */
#define RECORD_VERSION 1u
#define SEGMENT_MAGIC  0x0a31676553796c52u /* "RlySeg1\n" */

/* Octets of a record's header and of a segment's that their checksums cover. */
#define RECORD_COVERED	52u
#define SEGMENT_COVERED 48u

static void
u16_put(char *p, uint32_t value)
{
	p[0] = (char)(value & 0xff);
	p[1] = (char)(value >> 8 & 0xff);
}

static void
u32_put(char *p, uint32_t value)
{
	u16_put(p, value);
	u16_put(p + 2, value >> 16);
}

static void
u64_put(char *p, uint64_t value)
{
	u32_put(p, (uint32_t)value);
	u32_put(p + 4, (uint32_t)(value >> 32));
}

static uint32_t
u16_get(const char *p)
{
	return (uint32_t)(unsigned char)p[0] | (uint32_t)(unsigned char)p[1] << 8;
}

static uint32_t
u32_get(const char *p)
{
	return u16_get(p) | u16_get(p + 2) << 16;
}

static uint64_t
u64_get(const char *p)
{
	return u32_get(p) | (uint64_t)u32_get(p + 4) << 32;
}

/* The checksum of the covered part of the header, the extension and the envelope. */
static uint32_t
record_sum(const struct spool_record *record, const char *prefix)
{
	uint64_t from = record_extension_at(record);
	struct span head = { .ptr = prefix, .len = RECORD_COVERED };
	struct span rest = { .ptr = prefix + from, .len = record_body_at(record) - from };

	return crc32c(crc32c(0, head), rest);
}

static void
extension_encode(const struct spool_record *record, char *p)
{
	if (record->flags & RECORD_IS_EXTERNAL) {
		u64_put(p, record->file);
		p += 8;
	}
	if (record->flags & RECORD_IS_MOVED) {
		u64_put(p, record->origin.shard);
		u64_put(p + 8, record->origin.number);
		u64_put(p + 16, record->origin.generation);
		u64_put(p + 24, record->origin.offset);
	}
}

static void
extension_decode(struct spool_record *record, const char *p)
{
	if (record->flags & RECORD_IS_EXTERNAL) {
		record->file = u64_get(p);
		p += 8;
	}
	if (record->flags & RECORD_IS_MOVED) {
		record->origin.shard = u64_get(p);
		record->origin.number = u64_get(p + 8);
		record->origin.generation = u64_get(p + 16);
		record->origin.offset = u64_get(p + 24);
	}
}

void
record_encode(const struct spool_record *record, char *prefix)
{
	extension_encode(record, prefix + record_extension_at(record));
	u32_put(prefix, RECORD_MAGIC);
	u16_put(prefix + 4, RECORD_VERSION);
	u16_put(prefix + 6, record->flags);
	u64_put(prefix + 8, record->generation);
	u64_put(prefix + 16, record->uid);
	u64_put(prefix + 24, (uint64_t)record->stored_wall_ms);
	u64_put(prefix + 32, record->body_octets);
	u32_put(prefix + 40, record->envelope_octets);
	u32_put(prefix + 44, record->state_octets);
	u32_put(prefix + 48, record->body_sum);
	u32_put(prefix + 52, record_sum(record, prefix));
	u32_put(prefix + RECORD_MARK_AT, record->mark);
	u32_put(prefix + 60, 0);
}

enum parse_status
record_glance(struct span bytes, struct spool_record *record)
{
	if (bytes.len < RECORD_HEADER_OCTETS || u32_get(bytes.ptr) != RECORD_MAGIC ||
	    u16_get(bytes.ptr + 4) != RECORD_VERSION)
		return PARSE_BAD;

	*record = (struct spool_record){
		.flags = u16_get(bytes.ptr + 6),
		.generation = u64_get(bytes.ptr + 8),
		.uid = u64_get(bytes.ptr + 16),
		.stored_wall_ms = (int64_t)u64_get(bytes.ptr + 24),
		.body_octets = u64_get(bytes.ptr + 32),
		.envelope_octets = u32_get(bytes.ptr + 40),
		.state_octets = u32_get(bytes.ptr + 44),
		.body_sum = u32_get(bytes.ptr + 48),
		.mark = u32_get(bytes.ptr + RECORD_MARK_AT),
	};
	if ((record->flags & ~(uint32_t)(RECORD_IS_EXTERNAL | RECORD_IS_MOVED)) != 0 ||
	    record_body_at(record) > bytes.len)
		return PARSE_BAD;
	extension_decode(record, bytes.ptr + record_extension_at(record));
	return PARSE_OK;
}

enum parse_status
record_parse(struct span bytes, struct spool_record *record)
{
	if (record_glance(bytes, record) != PARSE_OK)
		return PARSE_BAD;

	uint64_t body_at = record_body_at(record);
	bool is_inline = (record->flags & RECORD_IS_EXTERNAL) == 0;

	if (is_inline && record->body_octets > bytes.len - body_at)
		return PARSE_BAD;
	if (record_sum(record, bytes.ptr) != u32_get(bytes.ptr + RECORD_COVERED))
		return PARSE_BAD;
	if (is_inline) {
		struct span body = { .ptr = bytes.ptr + body_at,
				     .len = record->body_octets };

		if (crc32c(0, body) != record->body_sum)
			return PARSE_BAD;
	}
	return PARSE_OK;
}

void
segment_header_encode(const struct segment_header *header,
		      char block[SEGMENT_HEADER_OCTETS])
{
	struct span covered = { .ptr = block, .len = SEGMENT_COVERED };

	memset(block, 0, SEGMENT_HEADER_OCTETS);
	u64_put(block, SEGMENT_MAGIC);
	u64_put(block + 8, header->generation);
	u64_put(block + 16, header->shard);
	u64_put(block + 24, header->number);
	u64_put(block + 32, header->octets);
	u64_put(block + 40, header->uid_limit);
	u32_put(block + SEGMENT_COVERED, crc32c(0, covered));
}

enum parse_status
segment_header_parse(struct span bytes, struct segment_header *header)
{
	if (bytes.len < SEGMENT_COVERED + 4 || u64_get(bytes.ptr) != SEGMENT_MAGIC ||
	    crc32c(0, span_first(bytes, SEGMENT_COVERED)) !=
		u32_get(bytes.ptr + SEGMENT_COVERED))
		return PARSE_BAD;
	*header = (struct segment_header){
		.generation = u64_get(bytes.ptr + 8),
		.shard = u64_get(bytes.ptr + 16),
		.number = u64_get(bytes.ptr + 24),
		.octets = u64_get(bytes.ptr + 32),
		.uid_limit = u64_get(bytes.ptr + 40),
	};
	return PARSE_OK;
}

/*
 * The generation of the records. When the header is damaged, that of the first record
 * tells: a record always begins there, so no sender of mail could have put it there.
 */
static bool
scan_begin(struct span image, struct segment_scan *scan)
{
	struct spool_record first;

	*scan = (struct segment_scan){ .end = SEGMENT_HEADER_OCTETS };
	scan->has_header = segment_header_parse(image, &scan->header) == PARSE_OK;
	if (image.len < SEGMENT_HEADER_OCTETS)
		return false;
	if (scan->has_header)
		return true;
	if (record_parse(span_skip(image, SEGMENT_HEADER_OCTETS), &first) != PARSE_OK)
		return false;
	scan->header.generation = first.generation;
	return true;
}

/* The next whole record at offset or behind it; false when there is none. */
static bool
record_find(struct span image, uint64_t generation, uint64_t *offset,
	    struct spool_record *record)
{
	for (; *offset + RECORD_HEADER_OCTETS <= image.len; *offset += RECORD_ALIGN) {
		const char *p = image.ptr + *offset;

		if (u32_get(p) == RECORD_MAGIC && u64_get(p + 8) == generation &&
		    record_parse(span_skip(image, *offset), record) == PARSE_OK)
			return true;
	}
	return false;
}

void
segment_scan(struct span image, struct segment_scan *scan,
	     bool (*seen)(void *context, uint64_t offset,
			  const struct spool_record *record),
	     void *context)
{
	struct spool_record record;

	if (!scan_begin(image, scan))
		return;
	for (uint64_t offset = scan->end;; offset += record_octets(&record)) {
		uint64_t expected = offset;

		if (!record_find(image, scan->header.generation, &offset, &record))
			return;
		if (offset != expected) {
			if (scan->lost_at == 0)
				scan->lost_at = expected;
			scan->lost_octets += offset - expected;
		}
		scan->records++;
		scan->end = offset + record_octets(&record);
		if (!seen(context, offset, &record))
			return;
	}
}
