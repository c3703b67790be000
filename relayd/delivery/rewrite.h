/* SPDX-License-Identifier: ISC */
/*
 * Other senders than the client gave: `rewrite-sender` and `sender-map` of grants. The spool
 * keeps what the client sent; envelope and header are changed on their way out, the same in
 * each try.
 */
#ifndef RELAYD_DELIVERY_REWRITE_H
#define RELAYD_DELIVERY_REWRITE_H

#include "policy/policy.h"
#include "smtp/header_block.h"

/* One field of a header as it stands there, its continuation lines and CRLF included. */
struct header_line {
	struct span name;  /* blanks before the colon left out */
	struct span value; /* behind the colon, up to the last line's end, folded as it was */
	struct span whole;
};

enum header_progress {
	HEADER_FIELD,
	HEADER_END, /* the empty line: *in starts behind it */
	HEADER_JUNK, /* no field: *in starts with it */
	HEADER_CUT,  /* the octets end */
};

/* Take the next field off the front of a header. */
enum header_progress header_line_take(struct span *in, struct header_line *line);

/* The value of the first field of this name, unfolded, into out; false when there is none. */
bool header_find(struct span header, struct span name, struct buffer *out);

/*
 * What is to become of a sender. to empty: nothing. from empty: every sender, and header From
 * is to's (its name stays, the mailbox that was there goes to Reply-To where there is none).
 * Else every mailbox in From, Sender and Reply-To that is exactly `from` becomes `to`.
 */
struct rewriting {
	struct span from;
	struct span to;
};

/*
 * Append the header rewritten, the empty line included. in holds the message from its front,
 * all of it if is_all. Where a line is no field the header ends, and the empty line that is
 * missing is put there. True: *octets of in were the header. False, and nothing appended:
 * the header does not end within in, or out is too small.
 */
bool rewrite_header(const struct rewriting *rewriting, struct span in, bool is_all,
		    struct buffer *out, size_t *octets);

/* ---- Which grants rewrite, and how ---- */

struct rewrite_table;

/* NULL: no grant rewrites anything. The policy is borrowed for the table's life. */
struct rewrite_table *rewrite_table_new(const struct policy *policy);
void rewrite_table_free(struct rewrite_table **table);

/*
 * What the grant makes of a sender: the first entry of its sender-map that holds it, else its
 * rewrite-sender. The spans are the policy's and the caller's. table may be NULL.
 */
struct rewriting rewrite_find(const struct rewrite_table *table, struct span grant,
			      struct span sender);

#endif
