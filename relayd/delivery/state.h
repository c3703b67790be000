/* SPDX-License-Identifier: ISC */
/*
 * The state area of a queued message, as it lies in the spool. Integers are little-endian.
 *
 *	offset	octets
 *	0	1	layout, 1
 *	1	1	flags: 1 held, 2 its sender was warned; others are left as they are
 *	2	2	octets of the last reply
 *	4	4	tries
 *	8	8	when a retry is due, milliseconds since 1970; 0: at once
 *	16	4	number of recipients
 *	20	200	the last reply
 *	220	1 each	enum recipient_state of each recipient, in the envelope's order
 *
 * It is written in place, and a crash may leave any octet at its earlier value. Whatever
 * mixture results is readable: no octet's meaning depends on another's having changed too.
 */
#ifndef RELAYD_DELIVERY_STATE_H
#define RELAYD_DELIVERY_STATE_H

#include "delivery/delivery.h"

#define STATE_REPLY_MAX	     200
#define STATE_HEAD_OCTETS    220
#define STATE_RECIPIENTS_MAX (SPOOL_STATE_MAX - STATE_HEAD_OCTETS)

/* The state area of a message that nobody tried yet. False when out is too small. */
bool state_initial_append(struct buffer *out, size_t recipient_count);

/* What a try changed beside the recipients; bytes for state area offset 0. */
struct state_head {
	char bytes[STATE_HEAD_OCTETS];
	size_t len; /* as much as has to be written */
};

/* reply is cut to what fits. */
void state_head_set(struct state_head *head, unsigned flags, uint32_t tries,
		    int64_t next_wall_ms, size_t recipient_count, struct span reply);

#define STATE_FLAGS_AT 1 /* octet of the flags */

#endif
