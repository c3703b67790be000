/* SPDX-License-Identifier: ISC */
/*
 * The header of a message (RFC 5322), looked at while the body streams by: what loops and
 * policy need to know of it, and our own Received field.
 */
#ifndef RELAYD_SMTP_HEADER_BLOCK_H
#define RELAYD_SMTP_HEADER_BLOCK_H

#include "base/arena.h"
#include "base/buffer.h"
#include "smtp/address.h"

#define HEADER_BLOCK_MAX (256U << 10) /* octets up to the empty line; Exchange's MaxHeaderSize */
#define ADDRESSES_MAX	 100	      /* in one field */

enum header_field {
	HEADER_RECEIVED, /* counted; the value is looked at and not kept */
	HEADER_FROM,
	HEADER_SENDER,
	HEADER_RESENT_FROM,
	HEADER_REPLY_TO,
	HEADER_MESSAGE_ID,
	HEADER_DATE,
	HEADER_DELIVERED_TO, /* all of them, see header_block_was_delivered_to */
	HEADER_FIELD_COUNT,
	HEADER_OTHER = HEADER_FIELD_COUNT,
};

/* The first field of its name, unfolded, without blanks around it. */
struct header_value {
	size_t at; /* where it begins among the values */
	size_t len;
	bool is_cut; /* it was longer than we keep */
};

#define HEADER_NAME_ROOM 16 /* octets; no name that we know is as long */

/* Embedded by value; header_block_reset gives its memory back. */
struct header_block {
	unsigned counts[HEADER_FIELD_COUNT]; /* how many fields of each name */
	unsigned own_hops;    /* Received fields that hold the token */
	size_t octets;	      /* seen so far, the empty line included */
	bool is_malformed;    /* a line that is neither field nor continuation, a bad name, a
				 CR that ends no line */
	bool is_too_big;      /* no end within HEADER_BLOCK_MAX */
	bool has_ended;	      /* nothing more is wanted */

	struct span own_token;
	unsigned state;
	enum header_field field; /* the field being read */
	bool is_kept;		 /* its value is kept */
	bool has_field;		 /* a continuation line may follow */
	bool has_blank;		 /* a blank was seen in the name */
	bool has_cr;		 /* the last octet of the value was a CR */
	size_t name_len;
	char name[HEADER_NAME_ROOM];
	struct header_value values[HEADER_FIELD_COUNT];
	struct buffer text; /* the values */
	struct buffer delivered_to; /* the values of that field, each behind a newline */
};

/*
 * Begin a message. own_token: what a Received field of ours holds (see received_by_append),
 * compared without case; kept until the reset. Empty: nothing is recognised.
 */
void header_block_init(struct header_block *block, struct span own_token);

/* Free the memory. The block may be initialised again. */
void header_block_reset(struct header_block *block);

/* The next bytes of the message; false once no more are wanted. */
bool header_block_add(struct header_block *block, struct span bytes);

/* The message is over, maybe within its header. */
void header_block_end(struct header_block *block);

/* The kept value; empty when there is none. Lives until the reset. */
struct span header_block_value(const struct header_block *block, enum header_field field);

/*
 * Does a Delivered-To field name this mailbox, in any case? Then it was there already. Only
 * the first 8 KiB of such fields are known.
 */
bool header_block_was_delivered_to(const struct header_block *block, struct span mailbox);

struct address_list {
	struct address *items; /* the arena's, and so is the text they borrow */
	size_t count;
};

/*
 * mailbox-list of RFC 5322 s.3.4 in an unfolded value: comments and blanks wherever the
 * grammar allows them, none of its obsolete forms but dots in an unquoted name. PARSE_BAD
 * for all that parsers are known to disagree on: groups, routes, addresses without domain,
 * encoded words in an address, control bytes, bad UTF-8, bytes left over, an empty list.
 */
enum parse_status address_list_parse(struct span value, struct arena *arena,
				     struct address_list *list);

enum header_addresses {
	ADDRESSES_OK,
	ADDRESSES_MISSING,    /* no such field */
	ADDRESSES_REPEATED,   /* more than one: which counts is anyone's guess */
	ADDRESSES_UNPARSABLE, /* also when the header is malformed, too big, or the value cut */
};

/* The addresses of From, Sender or Resent-From. *list is set only on ADDRESSES_OK. */
enum header_addresses header_addresses_read(const struct header_block *block,
					    enum header_field field, struct arena *arena,
					    struct address_list *list);

/* What our Received field says. Empty spans are left out. */
struct received {
	struct span helo;      /* what the client called itself */
	struct span ptr;       /* its verified name */
	const struct ip *ip;   /* NULL: the client is hidden, no "from" clause at all */
	struct span host;      /* our name */
	bool is_esmtp;	       /* EHLO, not HELO */
	bool is_smtputf8;      /* RFC 6531 s.3.7.3 */
	bool is_tls;	       /* RFC 3848 */
	bool is_authenticated; /* RFC 3848 */
	struct span cipher;    /* RFC 8314 s.4.3 */
	struct span tls_version; /* "TLSv1.3", told as a comment behind the cipher */
	struct span id;
	struct span recipient; /* without "<>"; only when there is a single one */
	int64_t wall_ms;
};

/*
 * Append the field, folded, with its CRLF (RFC 5321 s.4.4). Bytes that could be taken for
 * structure are written as '?'. False, and nothing appended, when out would exceed its limit.
 */
bool received_append(struct buffer *out, const struct received *received);

/* Append the part of it that names us: "by HOST (relayd)". */
bool received_by_append(struct buffer *out, struct span host);

#endif
