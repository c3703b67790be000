/* SPDX-License-Identifier: ISC */
/*
 * A passage: a message that is passed on while its client waits ("cut-through"). Who receives
 * and who sends share nothing but these words about it.
 */
#ifndef RELAYD_SMTP_PASSAGE_H
#define RELAYD_SMTP_PASSAGE_H

#include "base/span.h"

struct passage;

enum passage_result {
	PASSAGE_OPEN,	 /* put off, not known, or it did not come to that: for the spool */
	PASSAGE_TAKEN,	 /* 2xx to the message: the next hop has it */
	PASSAGE_REFUSED, /* 5xx */
};

/* One recipient of the envelope. */
struct passage_recipient {
	enum passage_result result;
	struct span reply; /* the next hop's; empty: none */
};

/*
 * What came of it. all is PASSAGE_TAKEN or PASSAGE_REFUSED when the next hop answered the same
 * for every recipient: then the passage is over and gone after this call. Else it is
 * PASSAGE_OPEN, and the passage waits for what its owner makes of it. recipients, in the
 * envelope's order, are borrowed for the call.
 */
typedef void passage_done(void *context, enum passage_result all,
			  const struct passage_recipient *recipients);

#endif
