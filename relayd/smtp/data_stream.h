/* SPDX-License-Identifier: ISC */
/*
 * Message bodies as they arrive, in pieces of any size: behind DATA (RFC 5321 s.4.1.1.4,
 * transparency s.4.5.2) and behind BDAT (RFC 3030). The two share no state.
 *
 * A message behind DATA ends at CRLF.CRLF, and at ".CRLF" where the body would begin, and
 * nowhere else: no lone CR or LF plays a part in it, whatever the mode.
 */
#ifndef RELAYD_SMTP_DATA_STREAM_H
#define RELAYD_SMTP_DATA_STREAM_H

#include "smtp/line_scan.h"

#define TEXT_LINE_MAX 998 /* octets without CRLF; RFC 5321 s.4.5.3.1.6 */

/* What to do with a CR or LF that stands alone (RFC 5321 s.2.3.8 forbids them). */
enum data_mode {
	DATA_REFUSE,	/* note it, hand out no more of the body: 550 5.6.11 at the end */
	DATA_NORMALISE, /* each becomes CRLF in the body */
};

/* Embedded by value. Read facts, has_bare and octets at any time. */
struct data_stream {
	struct line_facts facts; /* of the body, dots removed */
	uint64_t octets;	 /* of the body so far, dots removed, line ends made canonical */
	bool has_bare;		 /* a bare CR or LF was seen */
	enum data_mode mode;
	unsigned state;
};

enum data_progress {
	DATA_RUN,   /* *run is the next part of the body; call again */
	DATA_MORE,  /* *in is used up and the message goes on */
	DATA_ENDED, /* the message ended; *in begins behind it */
};

void data_stream_init(struct data_stream *stream, enum data_mode mode);

/*
 * Take bytes off the front of *in. The body comes out in as few runs as there are: each
 * borrows from *in, or is a few octets of static memory, and none is empty. Together they
 * are the body with CRLF at every line's end and without the dots that transparency added.
 * After DATA_ENDED the stream takes nothing more.
 */
enum data_progress data_stream_take(struct data_stream *stream, struct span *in,
				    struct span *run);

/* Watches a body that comes in chunks of known size: nothing in it is removed or changed. */
struct bdat_stream {
	struct line_facts facts;
	uint64_t octets;
	bool has_bare;
	bool is_after_cr;
	bool ends_line; /* the body so far is empty or ends with CRLF */
};

void bdat_stream_init(struct bdat_stream *stream);

/* The next bytes of the body, from whichever chunk. */
void bdat_stream_add(struct bdat_stream *stream, struct span bytes);

/* The last chunk is over. */
void bdat_stream_end(struct bdat_stream *stream);

#endif
