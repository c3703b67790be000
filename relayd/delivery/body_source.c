/* SPDX-License-Identifier: ISC */
/* Bodies from memory or disk; see body_source.h. */
#include "delivery/body_source.h"

#include <assert.h>

/* The largest header there is, and the beginning of what may follow it. */
#define HEADER_READ_MAX (HEADER_BLOCK_MAX + 1024)

/* A rewritten header: two addresses more in each of its fields are far below this. */
#define HEADER_WRITE_MAX (4 * HEADER_BLOCK_MAX)

void
body_source_start(struct body_source *source, struct spool_message *message,
		  void (*arrived)(struct body_source *source, struct span run,
				  struct fault *fault))
{
	*source = (struct body_source){ .message = message, .arrived = arrived };
	buffer_init(&source->header, HEADER_WRITE_MAX);
}

void
body_source_start_draft(struct body_source *source, const struct spool_draft *draft)
{
	*source = (struct body_source){ .draft = draft };
	buffer_init(&source->header, HEADER_WRITE_MAX);
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

void
body_source_rewrite(struct body_source *source, const struct rewriting *rewriting)
{
	assert(source->offset == 0);
	source->rewriting = *rewriting;
}

/* ---- The header, when it is to be another ---- */

/* The front of the body is at hand: make the header of it. */
static void
header_make(struct body_source *source, struct span front)
{
	bool is_all = front.len == spool_message_info(source->message)->body_octets;
	size_t octets = 0;

	if (rewrite_header(&source->rewriting, front, is_all, &source->header, &octets))
		source->offset = octets;
	source->rewriting.to.len = 0;
}

/* What is left of the rewritten header. */
static bool
header_take(struct body_source *source, struct span *run)
{
	*run = span_first(span_skip(buffer_span(&source->header), source->header_at),
			  BODY_PIECE_OCTETS);
	source->header_at += run->len;
	return run->len > 0;
}

/* Gather the front from memory. False: it is not there. */
static bool
front_gather(struct body_source *source)
{
	struct buffer front;
	struct span run;
	uint64_t offset = 0;

	if (spool_body_peek(source->message, 0, &run) == 0)
		return false;
	buffer_init(&front, HEADER_READ_MAX);
	while (front.len < HEADER_READ_MAX &&
	       spool_body_peek(source->message, offset, &run) > 0) {
		run = span_first(run, HEADER_READ_MAX - front.len);
		(void)buffer_append(&front, run);
		offset += run.len;
	}
	header_make(source, buffer_span(&front));
	buffer_reset(&front);
	return true;
}

static void
front_was_read(void *context, struct span bytes, struct fault *fault)
{
	struct body_source *source = context;
	struct span run = bytes;

	source->read = NULL;
	if (bytes.ptr != NULL) {
		header_make(source, bytes);
		if (!header_take(source, &run)) { /* it goes as it is */
			run = span_first(bytes, BODY_PIECE_OCTETS);
			source->offset = run.len;
		}
	}
	source->arrived(source, run, fault);
}

/* ---- Piece by piece ---- */

static void
body_was_read(void *context, struct span bytes, struct fault *fault)
{
	struct body_source *source = context;

	source->read = NULL;
	if (bytes.ptr != NULL)
		source->offset += bytes.len;
	source->arrived(source, bytes, fault);
}

static enum body_progress
body_go_on(struct body_source *source, struct span *run)
{
	uint64_t left = body_octets(source) - source->offset;

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

enum body_progress
body_source_next(struct body_source *source, struct span *run)
{
	uint64_t octets = body_octets(source);

	assert(source->read == NULL);
	if (source->rewriting.to.len > 0 && octets > 0 && !front_gather(source)) {
		source->read = spool_read_body(source->message, 0,
					       octets < HEADER_READ_MAX ? (size_t)octets
									: HEADER_READ_MAX,
					       front_was_read, source);
		return BODY_LATER;
	}
	if (header_take(source, run))
		return BODY_RUN;
	return body_go_on(source, run);
}

void
body_source_stop(struct body_source *source)
{
	if (source->read != NULL)
		spool_read_cancel(&source->read);
	if (source->message != NULL || source->draft != NULL)
		buffer_reset(&source->header);
	source->message = NULL;
	source->draft = NULL;
}
