/* SPDX-License-Identifier: ISC */
/* The state area's layout; see state.h. */
#include "delivery/state.h"

#include <assert.h>

#define LAYOUT	       1
#define AT_REPLY_LEN   2
#define AT_TRIES       4
#define AT_NEXT	       8
#define AT_COUNT       16
#define AT_REPLY       20

static void
number_put(char *at, unsigned octets, uint64_t value)
{
	for (unsigned i = 0; i < octets; i++)
		at[i] = (char)(unsigned char)(value >> (8 * i));
}

static uint64_t
number_get(const char *at, unsigned octets)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < octets; i++)
		value |= (uint64_t)(unsigned char)at[i] << (8 * i);
	return value;
}

void
state_head_set(struct state_head *head, unsigned flags, uint32_t tries,
	       int64_t next_wall_ms, size_t recipient_count, struct span reply)
{
	assert(next_wall_ms >= 0 && recipient_count <= STATE_RECIPIENTS_MAX);
	reply = span_first(reply, STATE_REPLY_MAX);

	memset(head->bytes, 0, sizeof(head->bytes));
	head->bytes[0] = LAYOUT;
	number_put(head->bytes + STATE_FLAGS_AT, 1, flags);
	number_put(head->bytes + AT_REPLY_LEN, 2, reply.len);
	number_put(head->bytes + AT_TRIES, 4, tries);
	number_put(head->bytes + AT_NEXT, 8, (uint64_t)next_wall_ms);
	number_put(head->bytes + AT_COUNT, 4, recipient_count);
	if (reply.len > 0)
		memcpy(head->bytes + AT_REPLY, reply.ptr, reply.len);
	head->len = AT_REPLY + reply.len;
}

bool
state_initial_append(struct buffer *out, size_t recipient_count)
{
	struct state_head head;
	char *recipients;

	state_head_set(&head, 0, 0, 0, recipient_count, (struct span){ NULL, 0 });
	if (!buffer_append(out, (struct span){ head.bytes, sizeof(head.bytes) }))
		return false;
	recipients = buffer_reserve(out, recipient_count);
	if (recipients == NULL)
		return false;
	memset(recipients, RECIPIENT_WAITING, recipient_count);
	buffer_claim(out, recipient_count);
	return true;
}

static bool
recipient_state_is_known(unsigned char state)
{
	return state <= RECIPIENT_DEAD || state == RECIPIENT_OWED || state == RECIPIENT_FAILED;
}

enum parse_status
delivery_state_read(struct span state, struct delivery_state *out)
{
	struct delivery_state read;

	if (state.len <= STATE_HEAD_OCTETS || state.len > SPOOL_STATE_MAX)
		return PARSE_BAD;
	if (state.ptr[0] != LAYOUT)
		return PARSE_BAD;

	uint64_t reply_octets = number_get(state.ptr + AT_REPLY_LEN, 2);
	uint64_t next_wall_ms = number_get(state.ptr + AT_NEXT, 8);
	uint64_t count = number_get(state.ptr + AT_COUNT, 4);

	if (reply_octets > STATE_REPLY_MAX || next_wall_ms > INT64_MAX ||
	    count != state.len - STATE_HEAD_OCTETS)
		return PARSE_BAD;

	read.flags = (unsigned char)state.ptr[STATE_FLAGS_AT];
	read.is_held = (read.flags & STATE_HELD) != 0;
	read.tries = (uint32_t)number_get(state.ptr + AT_TRIES, 4);
	read.next_wall_ms = (int64_t)next_wall_ms;
	read.recipients = (const unsigned char *)state.ptr + STATE_HEAD_OCTETS;
	read.recipient_count = (size_t)count;
	read.last_reply = (struct span){ state.ptr + AT_REPLY, (size_t)reply_octets };
	for (size_t i = 0; i < read.recipient_count; i++) {
		if (!recipient_state_is_known(read.recipients[i]))
			return PARSE_BAD;
	}
	*out = read;
	return PARSE_OK;
}
