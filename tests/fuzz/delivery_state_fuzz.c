/* SPDX-License-Identifier: ISC */
/* The state area of a queued message, from a disk that may hold anything. */
#include "delivery/state.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read can be written again, and then reads the same. */
static void
state_check(const struct delivery_state *state)
{
	struct delivery_state again;
	struct state_head head;
	struct buffer bytes;

	buffer_init(&bytes, SPOOL_STATE_MAX);
	if (!state_initial_append(&bytes, state->recipient_count))
		abort();
	state_head_set(&head, state->flags, state->tries, state->next_wall_ms, state->recipient_count,
		       state->last_reply);
	memcpy(bytes.ptr, head.bytes, head.len);
	memcpy(bytes.ptr + STATE_HEAD_OCTETS, state->recipients, state->recipient_count);
	if (delivery_state_read(buffer_span(&bytes), &again) != PARSE_OK ||
	    again.tries != state->tries || again.flags != state->flags ||
	    again.is_held != state->is_held || again.next_wall_ms != state->next_wall_ms ||
	    !span_equal(again.last_reply, state->last_reply) ||
	    memcmp(again.recipients, state->recipients, state->recipient_count) != 0)
		abort();
	buffer_reset(&bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = { .ptr = (const char *)data, .len = size };
	struct delivery_state state;

	if (delivery_state_read(in, &state) == PARSE_OK)
		state_check(&state);
	return 0;
}
