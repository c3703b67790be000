/* SPDX-License-Identifier: ISC */
/* Bodies from memory or disk; see body_source.h. */
#include "delivery/body_source.h"

#include <assert.h>

void
body_source_start(struct body_source *source, struct spool_message *message,
		  void (*arrived)(struct body_source *source, struct span run,
				  struct fault *fault))
{
	*source = (struct body_source){ .message = message, .arrived = arrived };
}

void
body_source_start_draft(struct body_source *source, const struct spool_draft *draft)
{
	*source = (struct body_source){ .draft = draft };
}

static uint64_t
body_octets(const struct body_source *source)
{
	return source->draft != NULL ? spool_draft_octets(source->draft)
				     : spool_message_info(source->message)->body_octets;
}

static size_t
body_peek(const struct body_source *source, struct span *run)
{
	return source->draft != NULL
		   ? spool_draft_peek(source->draft, source->offset, run)
		   : spool_body_peek(source->message, source->offset, run);
}

static void
body_was_read(void *context, struct span bytes, struct fault *fault)
{
	struct body_source *source = context;

	source->read = NULL;
	if (bytes.ptr != NULL)
		source->offset += bytes.len;
	source->arrived(source, bytes, fault);
}

enum body_progress
body_source_next(struct body_source *source, struct span *run)
{
	uint64_t left = body_octets(source) - source->offset;

	assert(source->read == NULL);
	if (left == 0)
		return BODY_END;
	if (body_peek(source, run) > 0) {
		*run = span_first(*run, BODY_PIECE_OCTETS);
		source->offset += run->len;
		return BODY_RUN;
	}
	assert(source->draft == NULL);
	source->read = spool_read_body(source->message, source->offset,
				       left < BODY_PIECE_OCTETS ? (size_t)left
								: BODY_PIECE_OCTETS,
				       body_was_read, source);
	return BODY_LATER;
}

void
body_source_stop(struct body_source *source)
{
	if (source->read != NULL)
		spool_read_cancel(&source->read);
	source->message = NULL;
	source->draft = NULL;
}
