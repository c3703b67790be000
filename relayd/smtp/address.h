/* SPDX-License-Identifier: ISC */
/*
 * Mail addresses as RFC 5321 s.4.1.2 writes them, with the UTF-8 of RFC 6531. Refused, never
 * repaired: source routes, empty or overlong parts, control bytes, bad UTF-8.
 */
#ifndef RELAYD_SMTP_ADDRESS_H
#define RELAYD_SMTP_ADDRESS_H

#include "base/ip.h"
#include "base/span.h"

#define LOCAL_PART_MAX 64  /* octets; RFC 5321 s.4.5.3.1.1 */
#define DOMAIN_MAX     255 /* octets; RFC 5321 s.4.5.3.1.2 */
#define PATH_MAX_OCTETS 256 /* with "<" and ">"; RFC 5321 s.4.5.3.1.3 */

/* A mailbox; the spans borrow from what was parsed. All empty: the null reverse-path. */
struct address {
	struct span text;   /* local-part@domain as written, without "<>" */
	struct span local;  /* as written, quotes included */
	struct span domain; /* as written; "postmaster" alone has none */
	bool is_literal;    /* the domain is an address literal, brackets included */
	bool is_utf8;	    /* something in it is not ASCII: needs SMTPUTF8 */
};

static inline bool
address_is_null(const struct address *a)
{
	return a->text.len == 0;
}

/*
 * Domain = sub-domain *("." sub-domain); sub-domain also takes U-labels (RFC 6531 s.3.3).
 * Labels of 1 to 63 octets, no hyphen at either end, no trailing dot.
 */
enum parse_status domain_take(struct span *in, struct span *domain);

/*
 * Local-part = Dot-string / Quoted-string, the latter with its quotes; 64 octets at most.
 * The empty quoted string "" is one: valid grammar, whatever a policy says of it.
 */
enum parse_status local_part_take(struct span *in, struct span *local);

/* Quoted-string, quotes included; also the quoted-string of RFC 5322, less folding. */
enum parse_status quoted_string_take(struct span *in, struct span *quoted);

/* Mailbox = Local-part "@" ( Domain / address-literal ), the whole span. */
enum parse_status mailbox_parse(struct span in, struct address *address);

/* Reverse-path = "<" [Mailbox] ">" off the front of *in (RFC 5321 s.4.1.1.2). */
enum parse_status reverse_path_take(struct span *in, struct address *address);

/* Forward-path = "<" Mailbox ">" / "<Postmaster>" (any case; RFC 5321 s.4.1.1.3). */
enum parse_status forward_path_take(struct span *in, struct address *address);

/* Is c atext of RFC 5322 s.3.2.3? ASCII only. */
bool ascii_is_atext(char c);

/* IPv4-address-literal or "IPv6:..." in brackets (RFC 5321 s.4.1.3), the whole span. */
enum parse_status address_literal_parse(struct span in, struct ip *ip);

/* Is every byte part of well-formed UTF-8 (RFC 3629) without control characters? */
bool utf8_is_valid(struct span text);

#endif
