/* SPDX-License-Identifier: ISC */
/*
 * What lies between a stream and its socket. A plain stream's layer is the socket itself; TLS
 * replaces it. The stream keeps all else: buffers, order, callbacks, closing.
 */
#ifndef RELAYD_NET_STREAM_PRIVATE_H
#define RELAYD_NET_STREAM_PRIVATE_H

#include "net/stream.h"

#include <sys/uio.h>

#define STREAM_PIECES_MAX 64 /* of output given to a layer at once */

enum stream_io {
	STREAM_IO_DONE,
	STREAM_IO_AGAIN, /* nothing now; the socket will be readable, or writable, later */
	STREAM_IO_END,	 /* orderly end of what the peer sends */
	STREAM_IO_ERROR, /* stream->error says which */
	STREAM_IO_LATER, /* the layer has work to do first; then it resumes, or flushes, the
			  * stream itself */
};

struct stream_layer {
	/* Read up to room octets; *got is how many, at least 1 when done. */
	enum stream_io (*read)(struct stream *stream, char *to, size_t room, size_t *got);

	/*
	 * Take octets from the pieces; *sent is how many, at least 1 when done. It is 0 at
	 * first, and counts with AGAIN, too. A layer that holds octets sends those first;
	 * count is 0 when there is nothing else to send.
	 */
	enum stream_io (*write)(struct stream *stream, struct iovec *pieces, int count,
				size_t *sent);

	/* Does the layer hold octets that the socket has not taken yet? */
	bool (*has_unsent)(const struct stream *stream);

	/* Does the layer hold received octets, of which the socket knows nothing? */
	bool (*has_unread)(const struct stream *stream);

	/* Say goodbye as far as that goes without waiting, and free layer_state. */
	void (*release)(struct stream *stream);
};

/*
 * Put the layer between the stream and its socket from now on. What was received and not
 * taken, and what was written and not sent, must have been dealt with. Within received
 * nobody can know that yet: what that call then leaves untaken came before the layer and
 * breaks the stream (EPROTO), so that nothing said in clear is ever taken for something said
 * under TLS.
 */
void stream_layer_set(struct stream *stream, const struct stream_layer *layer, void *state);

/* The layer in place has octets of its own to send, at the end of this turn. */
void stream_layer_flush(struct stream *stream);

#endif
