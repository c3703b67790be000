/* SPDX-License-Identifier: ISC */
/*
 * The argument of XCLIENT, with which a host that is trusted to do so says who its client is
 * (Postfix's XCLIENT_README). Grammar only.
 */
#ifndef RELAYD_SMTP_XCLIENT_H
#define RELAYD_SMTP_XCLIENT_H

#include "smtp/command_line.h"

#define XCLIENT_TEXT_MAX 255 /* octets of NAME, HELO or LOGIN, decoded */

/* What EHLO offers behind "XCLIENT". */
#define XCLIENT_ATTRIBUTES "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

enum xclient_attribute {
	XCLIENT_NAME = 1,
	XCLIENT_ADDR = 2,
	XCLIENT_PORT = 4,
	XCLIENT_PROTO = 8, /* looked at, not kept: EHLO or HELO follows and says it */
	XCLIENT_HELO = 16,
	XCLIENT_LOGIN = 32,
	XCLIENT_DESTADDR = 64,
	XCLIENT_DESTPORT = 128,
};

struct xclient_text {
	size_t len;
	char text[XCLIENT_TEXT_MAX];
};

static inline struct span
xclient_span(const struct xclient_text *text)
{
	return (struct span){ .ptr = text->text, .len = text->len };
}

/* What is not known holds nothing: no text, port 0, the address ::. */
struct xclient_argument {
	unsigned given; /* of enum xclient_attribute */
	unsigned known; /* of these: neither [UNAVAILABLE] nor [TEMPUNAVAIL] */
	struct ip_endpoint client;
	struct ip_endpoint destination;
	struct xclient_text name;
	struct xclient_text helo;
	struct xclient_text login; /* UTF-8 without control characters */
};

/*
 * attribute=value, one or more, each once, in xtext. Addresses as "10.0.0.1" and
 * "IPV6:2001:db8::1". PARSE_BAD, and *out unchanged, when one is unknown or malformed.
 */
enum parse_status xclient_argument_parse(struct span argument, struct xclient_argument *out);

#endif
