/* SPDX-License-Identifier: ISC */
/*
 * A connected socket as the session and the SMTP client see it: bytes that arrived, bytes to
 * send. TLS, when it comes, lives below this interface (stream_private.h). What is written is
 * kept until the end of the loop's turn and then sent at once (loop.h says why). An idle
 * stream holds no buffers: reading uses one scratch buffer of the loop's. No function here
 * calls back before it returns, and a callback may close, reuse or free its stream.
 */
#ifndef RELAYD_NET_STREAM_H
#define RELAYD_NET_STREAM_H

#include "base/buffer.h"
#include "base/ip.h"
#include "net/loop.h"
#include "net/output.h"

enum stream_end {
	STREAM_CLOSED_BY_PEER, /* orderly end of file */
	STREAM_BROKEN,	       /* reset or another error of the socket; errno in stream->error,
				* which is ENOBUFS when output_max was exceeded */
};

struct stream;

struct stream_events {
	/*
	 * Bytes are there: all that was received and not yet taken. Returns how many octets
	 * were taken from the front; the rest is kept and comes again, with more behind it,
	 * when more arrives or after stream_resume. May close or free the stream; the bytes
	 * themselves stay readable until it returns.
	 */
	size_t (*received)(struct stream *stream, struct span bytes);

	/*
	 * The peer went away. What it sent before was handed over, and what was written was
	 * tried once. The stream is closed already; its owner frees or reuses it.
	 */
	void (*ended)(struct stream *stream, enum stream_end how);

	/*
	 * Everything written has left; NULL when nobody cares. After stream_close_when_drained
	 * the stream is closed when this comes, and it is the last call.
	 */
	void (*drained)(struct stream *stream);

	/*
	 * An outgoing connection stands, or failed with error (errno) and is closed. Clients
	 * only.
	 */
	void (*connected)(struct stream *stream, int error);
};

/* Embedded by its owner, who zeroes it; the members are private but for error. */
struct stream {
	struct loop *loop;
	const struct stream_events *events;
	const struct stream_layer *layer; /* what carries the bytes; stream_private.h */
	void *layer_state;
	struct loop_watch watch;
	struct list dirty;    /* in the loop's list for the end of the turn */
	struct list ready;    /* in the loop's list for the next turn */
	struct buffer input;  /* received, not taken */
	struct output output; /* written, not sent */
	size_t input_max;
	size_t output_max;
	int error;
	unsigned char state;
	bool is_paused;
	bool closes_when_drained;
	bool owes_drained; /* something was written since drained was called last */
};

/*
 * Take over a connected non-blocking socket. input_max: how many untaken octets are kept
 * before reading stops until some are taken (what one read of 64 KiB brings at most is always
 * kept). output_max: stream_write beyond it breaks the stream. False and *fault when the
 * descriptor cannot be watched (it stays the caller's). The events are kept by reference.
 */
bool stream_accept(struct stream *stream, struct loop *loop, int fd,
		   const struct stream_events *events, size_t input_max, size_t output_max,
		   struct fault *fault);

/*
 * Begin to connect; events->connected tells. source may be NULL. Same limits as above. False
 * and *fault when it fails at once (no route, no descriptor); fault->error is the errno.
 */
bool stream_connect(struct stream *stream, struct loop *loop, const struct ip_endpoint *to,
		    const struct ip *source, const struct stream_events *events,
		    size_t input_max, size_t output_max, struct fault *fault);

/*
 * Queue bytes; they leave at the end of the turn. False when output_max would be exceeded (the
 * stream then ends as STREAM_BROKEN) or the stream is closed.
 */
bool stream_write(struct stream *stream, struct span bytes);

/* How many octets wait to be sent: a writer of large data pauses by it. */
size_t stream_unsent(const struct stream *stream);

/*
 * How many octets were received and not taken. Not within received, where what is there was
 * the argument. Before STARTTLS it must be 0 (RFC 3207 s.4.2; CVE-2011-0411 and its kin).
 */
size_t stream_unread(const struct stream *stream);

/* Drop what waits to be sent (a reply whose record could not be written). */
void stream_forget_unsent(struct stream *stream);

/*
 * Within received: what it was given is secret (somebody's password). It is overwritten where
 * it was received, and where it is kept as far as it was taken.
 */
void stream_input_is_secret(struct stream *stream);

/* Another input_max from now on: for one long line among short ones. 64 KiB at most. */
void stream_limit_input(struct stream *stream, size_t input_max);

/* Stop reading; resume reading and hand over again what was not taken, in a later turn. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/*
 * Close in order once everything written has left, at the end of this turn at the earliest;
 * nothing is read any more. The last call is drained, or ended when the connection breaks
 * before all has left.
 */
void stream_close_when_drained(struct stream *stream);

/* Close now and give back all memory; the struct may be reused. Harmless when closed. */
void stream_close(struct stream *stream);

/* From stream_accept or stream_connect until it is closed, by either side. */
bool stream_is_open(const struct stream *stream);

/*
 * Has the peer left, as far as the kernel knows? For one that is not being read: its end is
 * not noticed then. One that closed its side only, with something still to be read, has not.
 */
bool stream_peer_has_left(const struct stream *stream);

/* Both ends' addresses, as the socket has them; zeroes when the stream is closed. */
struct ip_endpoint stream_peer(const struct stream *stream);
struct ip_endpoint stream_local(const struct stream *stream);

#endif
