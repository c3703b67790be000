/* SPDX-License-Identifier: ISC */
/* Any bytes as the file of a segment: the scan finds whole records or none, and ends. */
#include "spool/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct span image;
	uint64_t end;
	uint64_t sum; /* of all bytes of all parts: they must be there */
};

static void
bytes_touch(struct seen *seen, uint64_t at, uint64_t octets)
{
	if (at > seen->image.len || octets > seen->image.len - at)
		abort();
	for (uint64_t i = 0; i < octets; i++)
		seen->sum += (unsigned char)seen->image.ptr[at + i];
}

static bool
record_seen(void *context, uint64_t offset, const struct spool_record *record)
{
	struct seen *seen = context;

	if (offset % RECORD_ALIGN != 0 || offset < seen->end)
		abort();
	bytes_touch(seen, offset + record_state_at(), record->state_octets);
	bytes_touch(seen, offset + record_envelope_at(record), record->envelope_octets);
	if ((record->flags & RECORD_IS_EXTERNAL) == 0)
		bytes_touch(seen, offset + record_body_at(record), record->body_octets);
	seen->end = offset + record_octets(record);
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { .image = { (const char *)data, size } };
	struct segment_scan scan;
	struct spool_record record;

	segment_scan(seen.image, &scan, record_seen, &seen);
	if (record_glance(seen.image, &record) == PARSE_OK &&
	    record_body_at(&record) > seen.image.len)
		abort();
	return 0;
}
