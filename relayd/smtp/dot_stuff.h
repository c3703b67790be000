/* SPDX-License-Identifier: ISC */
/*
 * A body on its way out behind DATA: dots are added where a line begins with one (RFC 5321
 * s.4.5.2), and at the end CRLF.CRLF. Whatever the body holds, what comes out has no bare CR
 * or LF, and CRLF.CRLF stands only at its end.
 */
#ifndef RELAYD_SMTP_DOT_STUFF_H
#define RELAYD_SMTP_DOT_STUFF_H

#include "smtp/line_scan.h"

/* Embedded by value. */
struct dot_stuff {
	struct line_facts facts; /* of the body; not of the dots added */
	unsigned state;
};

void dot_stuff_init(struct dot_stuff *stuff);

/*
 * Take bytes off the front of *in and give the next run to send: borrowed from *in, or a few
 * octets of static memory, never empty. False when *in is used up.
 */
bool dot_stuff_take(struct dot_stuff *stuff, struct span *in, struct span *run);

/* The body is over: what ends it on the wire. Static memory. */
struct span dot_stuff_end(struct dot_stuff *stuff);

#endif
