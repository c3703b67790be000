/* SPDX-License-Identifier: ISC */
/* smtp/envelope.h: what decodes is what encoding it again gives. */
#include "smtp/envelope.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = { .ptr = (const char *)data, .len = size };
	struct envelope envelope;
	struct buffer again;
	struct arena arena;

	arena_init(&arena, 0);
	buffer_init(&again, ENVELOPE_OCTETS_MAX);
	if (envelope_decode(in, &arena, &envelope) == PARSE_OK &&
	    (!envelope_encode(&envelope, &again) || !span_equal(buffer_span(&again), in)))
		abort();
	buffer_reset(&again);
	arena_reset(&arena);
	return 0;
}
