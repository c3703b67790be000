/* SPDX-License-Identifier: ISC */
/*
 * A message's body, piece by piece from its front: from memory where the spool has it there,
 * else from disk, one piece read ahead of the taker's asking.
 */
#ifndef RELAYD_DELIVERY_BODY_SOURCE_H
#define RELAYD_DELIVERY_BODY_SOURCE_H

#include "delivery/rewrite.h"
#include "spool/spool.h"

#define BODY_PIECE_OCTETS (128U << 10)

struct body_source;

enum body_progress {
	BODY_RUN,   /* *run holds the next octets */
	BODY_LATER, /* they are being read: arrived will be called */
	BODY_END,
};

/* Embedded by value. */
struct body_source {
	struct spool_message *message;	 /* or */
	const struct spool_draft *draft; /* that is in memory */
	uint64_t offset;
	struct spool_read *read;
	struct rewriting rewriting; /* to empty: none, or done */
	struct buffer header;	    /* the rewritten one */
	size_t header_at;	    /* how much of it was given */
	/*
	 * The piece that body_source_next promised for later; ptr NULL and *fault when it
	 * could not be read. Borrowed for the call, in which body_source_next may be called.
	 */
	void (*arrived)(struct body_source *source, struct span run, struct fault *fault);
};

/* From the front. The message is borrowed until body_source_stop. */
void body_source_start(struct body_source *source, struct spool_message *message,
		       void (*arrived)(struct body_source *source, struct span run,
				       struct fault *fault));

/* The same with a draft that is in memory and does not change. */
void body_source_start_draft(struct body_source *source, const struct spool_draft *draft);

/*
 * Right after the start: give the header rewritten. The texts are borrowed until the first
 * piece came.
 */
void body_source_rewrite(struct body_source *source, const struct rewriting *rewriting);

/* The next piece, of at most BODY_PIECE_OCTETS; from memory it stays until the message goes. */
enum body_progress body_source_next(struct body_source *source, struct span *run);

/* No call comes after this. Harmless when stopped. */
void body_source_stop(struct body_source *source);

#endif
