/* SPDX-License-Identifier: ISC */
/*
 * A connected socket as the session and the SMTP client see it: bytes that arrived, bytes to
 * send, time-outs. TLS, when it comes, lives below this interface. What is written is kept
 * until the end of the loop's turn and then sent at once (loop.h says why). An idle stream
 * holds no buffers: reading uses one scratch buffer of the loop's.
 */
#ifndef RELAYD_NET_STREAM_H
#define RELAYD_NET_STREAM_H

#include "base/buffer.h"
#include "base/ip.h"
#include "net/loop.h"

enum stream_end {
	STREAM_CLOSED_BY_PEER, /* orderly end of file */
	STREAM_BROKEN,	       /* reset or another error of the socket; errno in stream->error */
};

struct stream;

struct stream_events {
	/*
	 * Bytes are there: all that was received and not yet taken. Returns how many octets
	 * were taken from the front; the rest is kept and comes again, with more behind it,
	 * when more arrives or after stream_resume. May close or free the stream.
	 */
	size_t (*received)(struct stream *stream, struct span bytes);

	/* The peer went away. The stream is silent from here on; its owner frees it. */
	void (*ended)(struct stream *stream, enum stream_end how);

	/* Everything written has left; NULL when nobody cares. */
	void (*drained)(struct stream *stream);

	/* An outgoing connection stands, or failed with error (errno). Clients only. */
	void (*connected)(struct stream *stream, int error);
};

/* Embedded by its owner; the members are private but for those named in functions below. */
struct stream {
	struct loop *loop;
	const struct stream_events *events;
	struct loop_watch watch;
	struct list dirty;    /* in the loop's list of streams with something to send */
	struct buffer input;  /* received, not taken */
	struct buffer output; /* written, not sent */
	size_t input_max;
	int error;
	unsigned char state;
	bool is_paused;
	bool closes_when_drained;
};

/*
 * Take over a connected non-blocking socket. input_max: how many untaken octets are kept
 * before reading stops until some are taken. output_max: stream_write beyond it breaks the
 * stream. False and *fault when the descriptor cannot be watched (it stays the caller's).
 */
bool stream_accept(struct stream *stream, struct loop *loop, int fd,
		   const struct stream_events *events, size_t input_max, size_t output_max,
		   struct fault *fault);

/* Begin to connect; events->connected tells. source may be NULL. Same limits as above. */
bool stream_connect(struct stream *stream, struct loop *loop, const struct ip_endpoint *to,
		    const struct ip *source, const struct stream_events *events,
		    size_t input_max, size_t output_max, struct fault *fault);

/* Queue bytes; they leave at the end of the turn. False when output_max would be exceeded. */
bool stream_write(struct stream *stream, struct span bytes);

/* How many octets wait to be sent: a writer of large data pauses by it. */
size_t stream_unsent(const struct stream *stream);

/* Drop what waits to be sent (a reply whose record could not be written). */
void stream_forget_unsent(struct stream *stream);

/* Stop reading; resume reading and hand over again what was not taken, in a later turn. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Close in order once everything written has left; ended is not called. */
void stream_close_when_drained(struct stream *stream);

/* Close now and give back all memory; the struct may be reused. Harmless when closed. */
void stream_close(struct stream *stream);

bool stream_is_open(const struct stream *stream);

/* Both ends' addresses, as the socket has them. */
struct ip_endpoint stream_peer(const struct stream *stream);
struct ip_endpoint stream_local(const struct stream *stream);

#endif
