/* SPDX-License-Identifier: ISC */
/* Words between supervisor and workers; see channel.h. */
#include "daemon/channel.h"

#define UNSENT_MAX (4U << 20) /* some dozen of the longest orders, for one who is busy */

static bool
word_carries(char word)
{
	return word == WORD_ORDER || word == WORD_TALLY || word == WORD_HUNG;
}

/* How many octets the word at the front of bytes takes; 0: not all of it is there. */
static size_t
word_octets(struct span bytes, struct span *cargo)
{
	uint32_t octets;

	*cargo = (struct span){ NULL, 0 };
	if (!word_carries(bytes.ptr[0]))
		return 1;
	if (bytes.len < 1 + sizeof(octets))
		return 0;
	memcpy(&octets, bytes.ptr + 1, sizeof(octets));
	if (octets > CHANNEL_CARGO_MAX)
		return SIZE_MAX;
	if (bytes.len - 1 - sizeof(octets) < octets)
		return 0;
	*cargo = span_first(span_skip(bytes, 1 + sizeof(octets)), octets);
	return 1 + sizeof(octets) + octets;
}

static size_t
channel_received(struct stream *stream, struct span bytes)
{
	struct channel *channel = LIST_OWNER(stream, struct channel, stream);
	size_t taken = 0;

	while (taken < bytes.len && stream_is_open(stream)) {
		struct span rest = span_skip(bytes, taken);
		struct span cargo;
		size_t octets = word_octets(rest, &cargo);

		if (octets == 0)
			break;
		if (octets == SIZE_MAX) {
			channel_close(channel);
			channel->events->ended(channel);
			break;
		}
		taken += octets;
		channel->events->said(channel, rest.ptr[0], cargo);
	}
	return taken;
}

static void
channel_ended(struct stream *stream, enum stream_end how)
{
	struct channel *channel = LIST_OWNER(stream, struct channel, stream);

	(void)how;
	channel->fd = -1;
	channel->events->ended(channel);
}

bool
channel_open(struct channel *channel, struct loop *loop, int fd,
	     const struct channel_events *events, struct fault *fault)
{
	static const struct stream_events stream_events = {
		.received = channel_received,
		.ended = channel_ended,
	};

	channel->events = events;
	channel->fd = fd;
	if (stream_accept(&channel->stream, loop, fd, &stream_events,
			  CHANNEL_CARGO_MAX + 16, UNSENT_MAX, fault))
		return true;
	channel->fd = -1;
	return false;
}

void
channel_close(struct channel *channel)
{
	stream_close(&channel->stream);
	channel->fd = -1;
}

bool
channel_say(struct channel *channel, enum worker_word word, struct span cargo)
{
	char head[1 + sizeof(uint32_t)] = { (char)word };
	uint32_t octets = (uint32_t)cargo.len;
	bool carries = word_carries((char)word);

	memcpy(head + 1, &octets, sizeof(octets));
	return stream_is_open(&channel->stream) &&
	       stream_write(&channel->stream, (struct span){ head, carries ? sizeof(head) : 1 }) &&
	       (!carries || stream_write(&channel->stream, cargo));
}
