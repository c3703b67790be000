/* SPDX-License-Identifier: ISC */
/* Connected sockets; see stream.h. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "net/stream_private.h"

#include "base/memory.h"
#include "net/linger.h"
#include "net/loop_private.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#define READS_PER_TURN	 4 /* of LOOP_SCRATCH_OCTETS each, so that others get their turn */
#define SENT_PER_TURN	 (UINT32_C(1) << 20) /* octets, for the same reason */

enum stream_state {
	STATE_CLOSED, /* zeroed by its owner */
	STATE_CONNECTING,
	STATE_OPEN,
	STATE_ENDING, /* the peer's end was read; ended follows at the end of the turn */
	STATE_MUTE,   /* sending failed; what the peer still said is read, then ended */
	STATE_BROKEN, /* ended follows at the end of the turn */
};

/* --- the plain layer --------------------------------------------------------------- */

static enum stream_io
socket_failed(struct stream *stream)
{
	if (errno == EAGAIN)
		return STREAM_IO_AGAIN;
	stream->error = errno;
	return STREAM_IO_ERROR;
}

static enum stream_io
socket_read(struct stream *stream, char *to, size_t room, size_t *got)
{
	ssize_t n;

	do {
		n = recv(stream->watch.fd, to, room, 0);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return socket_failed(stream);
	*got = (size_t)n;
	return n == 0 ? STREAM_IO_END : STREAM_IO_DONE;
}

static enum stream_io
socket_write(struct stream *stream, struct iovec *pieces, int count, size_t *sent)
{
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = (size_t)count };
	ssize_t n;

	do {
		n = count == 1 ? send(stream->watch.fd, pieces->iov_base, pieces->iov_len,
				      MSG_NOSIGNAL) :
				 sendmsg(stream->watch.fd, &message, MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	if (n == -1)
		return socket_failed(stream);
	*sent = (size_t)n;
	return STREAM_IO_DONE;
}

static bool
socket_has_unread(const struct stream *stream)
{
	(void)stream;
	return false; /* epoll knows */
}

static bool
socket_has_unsent(const struct stream *stream)
{
	(void)stream;
	return false; /* what it took is the kernel's */
}

static void
socket_release(struct stream *stream)
{
	(void)stream;
}

static const struct stream_layer socket_layer = {
	.read = socket_read,
	.write = socket_write,
	.has_unread = socket_has_unread,
	.has_unsent = socket_has_unsent,
	.release = socket_release,
};

void
stream_layer_set(struct stream *stream, const struct stream_layer *layer, void *state)
{
	assert(stream->state == STATE_OPEN && stream->input.len == 0 &&
	       stream->output.octets == 0);
	stream->layer->release(stream);
	stream->layer = layer;
	stream->layer_state = state;
}

/* --- small things ------------------------------------------------------------------ */

static void
stream_mark_dirty(struct stream *stream)
{
	if (!list_is_linked(&stream->dirty))
		list_append(&stream->loop->dirty, &stream->dirty);
}

void
stream_layer_flush(struct stream *stream)
{
	stream_mark_dirty(stream);
}

static void
stream_mark_ready(struct stream *stream)
{
	if (!list_is_linked(&stream->ready))
		list_append(&stream->loop->ready, &stream->ready);
}

static void
stream_want(struct stream *stream, unsigned events)
{
	loop_watch_set(stream->loop, &stream->watch, stream->watch.wanted | events);
}

static void
stream_want_no(struct stream *stream, unsigned events)
{
	loop_watch_set(stream->loop, &stream->watch, stream->watch.wanted & ~events);
}

static bool
stream_has_unsent(const struct stream *stream)
{
	return stream->output.octets > 0 || stream->layer->has_unsent(stream);
}

/*
 * Around a callback: is the stream still what it was when it returns? stream_close tells, and
 * whoever frees a stream closes it first. Callbacks do not nest.
 */
static void
callback_begin(struct stream *stream)
{
	assert(stream->loop->busy == NULL);
	stream->loop->busy = stream;
	stream->loop->is_secret = false;
}

static bool
callback_left_open(struct loop *loop)
{
	bool is_open = loop->busy != NULL;

	loop->busy = NULL;
	return is_open;
}

/* The connection is over without our doing; the callback is the last use of the stream. */
static void
stream_finish(struct stream *stream, enum stream_end how)
{
	stream_close(stream);
	stream->events->ended(stream, how);
}

static void
stream_break(struct stream *stream, int error)
{
	stream->error = error;
	stream->state = STATE_BROKEN;
	output_reset(&stream->output, &stream->loop->pool);
	stream_mark_dirty(stream);
}

/* --- receiving --------------------------------------------------------------------- */

/* May the owner be given more bytes now? */
static bool
stream_may_receive(const struct stream *stream)
{
	return (stream->state == STATE_OPEN || stream->state == STATE_MUTE) &&
	       !stream->is_paused && !stream->closes_when_drained;
}

static bool
stream_has_room(const struct stream *stream)
{
	return stream->input.len == 0 || stream->input.len < stream->input_max;
}

/* Keep what the owner left. A secret gets its room at once, so that no copy is left behind. */
static void
received_keep(const struct stream *stream, struct buffer *held, struct span rest)
{
	if (stream->loop->is_secret && rest.len > 0 && rest.len < stream->input_max)
		(void)buffer_reserve(held, stream->input_max);
	(void)buffer_append(held, rest);
	assert(!held->is_over);
}

/* Overwrite a secret where it was read, and what lies behind the octets that are kept. */
static void
received_wipe(struct loop *loop, struct span fresh, struct buffer *held, size_t kept)
{
	if (!loop->is_secret)
		return;
	if (fresh.len > 0)
		memory_wipe(loop->scratch, fresh.len);
	if (held->ptr != NULL)
		memory_wipe(held->ptr + kept, held->room - kept);
}

/*
 * Give the owner what it had not taken and the new bytes, keep what it leaves. False when it
 * closed the stream, or that had to be. While it looks at the kept bytes they belong to nobody else, so that
 * they outlive even the stream.
 */
static bool
stream_hand_over(struct stream *stream, struct span fresh)
{
	struct loop *loop = stream->loop;
	const struct stream_layer *layer = stream->layer;
	struct buffer held = stream->input;
	struct span all = fresh;

	buffer_init(&stream->input, held.max);
	if (held.len > 0) {
		(void)buffer_append(&held, fresh);
		assert(!held.is_over);
		all = buffer_span(&held);
	}
	callback_begin(stream);
	size_t taken = stream->events->received(stream, all);

	if (!callback_left_open(loop)) {
		received_wipe(loop, fresh, &held, 0);
		buffer_reset(&held);
		return false;
	}
	assert(taken <= all.len);
	if (stream->layer != layer && taken < all.len) {
		received_wipe(loop, fresh, &held, 0);
		buffer_reset(&held);
		stream_break(stream, EPROTO);
		return false;
	}
	if (held.len > 0)
		buffer_consume(&held, taken);
	else
		received_keep(stream, &held, span_skip(fresh, taken));
	received_wipe(loop, fresh, &held, held.len);
	if (held.len == 0)
		buffer_reset(&held);
	stream->input = held;
	return true;
}

/* Nothing more will come. What was written in this turn still waits for its end. */
static void
stream_read_ended(struct stream *stream, enum stream_io status)
{
	if (stream->state == STATE_MUTE || status == STREAM_IO_ERROR) {
		stream_finish(stream, STREAM_BROKEN);
		return;
	}
	stream->state = STATE_ENDING;
	stream_want_no(stream, LOOP_READ);
	stream_mark_dirty(stream);
}

/* Read what is there, within bounds, as long as the owner wants it. */
static void
stream_read(struct stream *stream)
{
	struct loop *loop = stream->loop;

	for (int reads = 0; reads < READS_PER_TURN; reads++) {
		if (!stream_may_receive(stream) || !stream_has_room(stream)) {
			/* only now, since most pauses end before anything arrives */
			stream_want_no(stream, LOOP_READ);
			return;
		}
		size_t room = sizeof(loop->scratch), got;

		if (stream->input.len > 0 && room > stream->input_max - stream->input.len)
			room = stream->input_max - stream->input.len;
		enum stream_io status = stream->layer->read(stream, loop->scratch, room, &got);

		if (status == STREAM_IO_LATER) {
			stream_want_no(stream, LOOP_READ);
			return;
		}
		if (status == STREAM_IO_AGAIN && stream->state != STATE_MUTE)
			break;
		if (status != STREAM_IO_DONE) {
			stream_read_ended(stream, status);
			return;
		}
		if (!stream_hand_over(stream, (struct span){ loop->scratch, got }))
			return;
		if (got < room && !stream->layer->has_unread(stream))
			break;
	}
	if (stream->state == STATE_MUTE) {
		/* no event tells of an end that was there before */
		stream_mark_ready(stream);
	} else if (stream_may_receive(stream) && stream_has_room(stream)) {
		stream_want(stream, LOOP_READ);
		if (stream->layer->has_unread(stream))
			stream_mark_ready(stream);
	}
}

/* Hand over again what was left, then what the layer holds. */
static void
stream_serve(struct stream *stream)
{
	if (!stream_may_receive(stream))
		return;
	if (stream->input.len > 0 && !stream_hand_over(stream, (struct span){ NULL, 0 }))
		return;
	if (!stream_may_receive(stream) || !stream_has_room(stream))
		return;
	if (stream->state == STATE_MUTE || stream->layer->has_unread(stream))
		stream_read(stream);
	else
		stream_want(stream, LOOP_READ);
}

void
stream_serve_ready(struct loop *loop)
{
	struct list now, *link;

	list_init(&now);
	list_splice(&now, &loop->ready);
	while ((link = list_take_first(&now)) != NULL)
		stream_serve(LIST_OWNER(link, struct stream, ready));
}

/* --- sending ----------------------------------------------------------------------- */

/*
 * The peer does not take our bytes any more. It may have said why: a server that refuses
 * sends its 421 and closes. What it said is read first, in the next turn.
 */
static void
stream_send_failed(struct stream *stream)
{
	output_reset(&stream->output, &stream->loop->pool);
	if (stream->state == STATE_OPEN && stream_may_receive(stream)) {
		stream->state = STATE_MUTE;
		stream_want_no(stream, LOOP_READ | LOOP_WRITE);
		stream_mark_ready(stream);
		return;
	}
	stream_finish(stream, STREAM_BROKEN);
}

/* Send as much as the socket takes; false when the stream is no longer to be used. */
static bool
stream_send(struct stream *stream)
{
	struct iovec pieces[STREAM_PIECES_MAX];
	size_t sent_this_turn = 0;

	while (stream_has_unsent(stream)) {
		int count = output_pieces(&stream->output, pieces, STREAM_PIECES_MAX);
		size_t offered = 0, sent = 0;

		for (int i = 0; i < count; i++)
			offered += pieces[i].iov_len;
		enum stream_io status = stream->layer->write(stream, pieces, count, &sent);

		if (status == STREAM_IO_ERROR || status == STREAM_IO_END) {
			stream_send_failed(stream);
			return false;
		}
		output_consume(&stream->output, &stream->loop->pool, sent);
		if (status == STREAM_IO_LATER) {
			stream_want_no(stream, LOOP_WRITE);
			return true;
		}
		if (status == STREAM_IO_AGAIN || sent < offered) {
			stream_want(stream, LOOP_WRITE);
			return true;
		}
		sent_this_turn += sent;
		if (sent_this_turn >= SENT_PER_TURN && stream->output.octets > 0) {
			stream_mark_dirty(stream);
			return true;
		}
	}
	return true;
}

/*
 * Close after the last octet has left. When the peer still talks (octets wait that nobody
 * will read) its connection is not torn down at once.
 */
static void
stream_close_in_order(struct stream *stream)
{
	struct loop *loop = stream->loop;
	bool is_talking = stream->input.len > 0;
	ssize_t got;

	stream->layer->release(stream);
	stream->layer = &socket_layer;
	got = recv(stream->watch.fd, loop->scratch, sizeof(loop->scratch), 0);
	if (got > 0 || (got == -1 && errno == EAGAIN && is_talking)) {
		loop_watch_remove(loop, &stream->watch);
		linger_begin(loop, stream->watch.fd);
		stream->watch.fd = -1;
	}
	stream_close(stream);
	if (stream->events->drained != NULL)
		stream->events->drained(stream);
}

/* Everything has left. A writer of much writes again at once: the interest stays then. */
static void
stream_drained(struct stream *stream)
{
	struct loop *loop = stream->loop;

	stream->owes_drained = false;
	callback_begin(stream);
	stream->events->drained(stream);
	if (callback_left_open(loop) && !stream_has_unsent(stream))
		stream_want_no(stream, LOOP_WRITE);
}

/* What a stream has to do at the end of a turn. */
static void
stream_flush(struct stream *stream)
{
	if (stream->state == STATE_CONNECTING)
		return;
	if (stream->state == STATE_BROKEN) {
		stream_finish(stream, STREAM_BROKEN);
		return;
	}
	if (!stream_send(stream))
		return;
	bool is_drained = !stream_has_unsent(stream);

	if (stream->closes_when_drained && is_drained)
		stream_close_in_order(stream);
	else if (stream->state == STATE_ENDING)
		stream_finish(stream, STREAM_CLOSED_BY_PEER);
	else if (is_drained && stream->owes_drained && stream->events->drained != NULL)
		stream_drained(stream);
	else if (is_drained)
		stream_want_no(stream, LOOP_WRITE);
}

/* Streams that have something to do again meanwhile wait for the next turn's hooks. */
void
stream_flush_dirty(struct loop *loop)
{
	struct list now, *link;

	list_init(&now);
	list_splice(&now, &loop->dirty);
	while ((link = list_take_first(&now)) != NULL)
		stream_flush(LIST_OWNER(link, struct stream, dirty));
}

/* --- events ------------------------------------------------------------------------ */

static void
stream_connected(struct stream *stream)
{
	struct loop *loop = stream->loop;
	int error = 0;
	socklen_t size = sizeof(error);

	if (getsockopt(stream->watch.fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1)
		error = errno;
	if (error != 0) {
		stream_close(stream);
		stream->error = error;
		stream->events->connected(stream, error);
		return;
	}
	stream->state = STATE_OPEN;
	if (stream->output.octets > 0 || stream->closes_when_drained)
		stream_mark_dirty(stream);
	loop_watch_set(loop, &stream->watch, LOOP_READ);
	callback_begin(stream);
	stream->events->connected(stream, 0);
	(void)callback_left_open(loop);
}

static void
stream_ready(struct loop_watch *watch, unsigned events)
{
	struct stream *stream = LIST_OWNER(watch, struct stream, watch);

	if (stream->state == STATE_CONNECTING) {
		stream_connected(stream);
		return;
	}
	if ((events & LOOP_WRITE) != 0)
		stream_mark_dirty(stream);
	if ((events & (LOOP_READ | LOOP_HANGUP)) != 0)
		stream_read(stream);
}

/* --- secrets ----------------------------------------------------------------------- */

void
stream_input_is_secret(struct stream *stream)
{
	stream->loop->is_secret = true;
}

void
stream_limit_input(struct stream *stream, size_t input_max)
{
	assert(input_max <= LOOP_SCRATCH_OCTETS);
	stream->input_max = input_max;
}

/* --- the interface ----------------------------------------------------------------- */

static void
stream_init(struct stream *stream, struct loop *loop, int fd,
	    const struct stream_events *events, size_t input_max, size_t output_max)
{
	size_t kept_max = (input_max > LOOP_SCRATCH_OCTETS ? input_max : LOOP_SCRATCH_OCTETS);

	assert(stream->state == STATE_CLOSED);
	*stream = (struct stream){
		.loop = loop,
		.events = events,
		.layer = &socket_layer,
		.watch = { .ready = stream_ready, .fd = fd, .wanted = LOOP_READ },
		.input_max = input_max,
		.output_max = output_max,
	};
	list_init(&stream->dirty);
	list_init(&stream->ready);
	buffer_init(&stream->input, kept_max);
}

bool
stream_accept(struct stream *stream, struct loop *loop, int fd,
	      const struct stream_events *events, size_t input_max, size_t output_max,
	      struct fault *fault)
{
	stream_init(stream, loop, fd, events, input_max, output_max);
	if (!loop_watch_add(loop, &stream->watch, fault))
		return false;
	stream->state = STATE_OPEN;
	return true;
}

/* Bind to the source, if any, and begin; connected or on the way when true. */
static bool
socket_connect(int fd, const struct ip_endpoint *to, const struct ip *source,
	       struct fault *fault)
{
	struct sockaddr_storage address;
	char text[IP_ENDPOINT_SIZE];
	static const int on = 1;
	socklen_t size;

	/* accepted sockets have it from their listener (listener.h) */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (source != NULL) {
		struct ip_endpoint from = { .ip = *source };

		size = ip_to_sockaddr(&from, &address);
		ip_text(source, text);
		if (bind(fd, (const struct sockaddr *)&address, size) == -1)
			return fault_setf(fault, "bind to %s", text);
	}
	size = ip_to_sockaddr(to, &address);
	ip_endpoint_text(to, text);
	if (connect(fd, (const struct sockaddr *)&address, size) == -1 &&
	    errno != EINPROGRESS && errno != EINTR)
		return fault_setf(fault, "connect to %s", text);
	return true;
}

bool
stream_connect(struct stream *stream, struct loop *loop, const struct ip_endpoint *to,
	       const struct ip *source, const struct stream_events *events,
	       size_t input_max, size_t output_max, struct fault *fault)
{
	int fd = socket(ip_is_v4(&to->ip) ? AF_INET : AF_INET6,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return fault_set(fault, "socket");
	stream_init(stream, loop, fd, events, input_max, output_max);
	stream->watch.wanted = LOOP_WRITE;
	if (!socket_connect(fd, to, source, fault) ||
	    !loop_watch_add(loop, &stream->watch, fault)) {
		(void)close(fd);
		return false;
	}
	stream->state = STATE_CONNECTING;
	return true;
}

bool
stream_write(struct stream *stream, struct span bytes)
{
	if (stream->state == STATE_CLOSED)
		return false;
	if (stream->state == STATE_MUTE || stream->state == STATE_BROKEN)
		return true; /* as if sent; ended is on its way */
	if (bytes.len > stream->output_max - stream->output.octets) {
		stream_break(stream, ENOBUFS);
		return false;
	}
	output_append(&stream->output, &stream->loop->pool, bytes);
	stream->owes_drained |= bytes.len > 0;
	stream_mark_dirty(stream);
	return true;
}

bool
stream_write_secret(struct stream *stream, struct span bytes)
{
	stream->output.is_secret |= bytes.len > 0;
	return stream_write(stream, bytes);
}

size_t
stream_unsent(const struct stream *stream)
{
	return stream->output.octets;
}

size_t
stream_unread(const struct stream *stream)
{
	return stream->input.len;
}

void
stream_forget_unsent(struct stream *stream)
{
	if (stream->state == STATE_CLOSED)
		return;
	output_reset(&stream->output, &stream->loop->pool);
	stream->owes_drained = false;
}

void
stream_pause(struct stream *stream)
{
	stream->is_paused = true; /* the kernel is told when more arrives: stream_read */
}

void
stream_resume(struct stream *stream)
{
	if (stream->state == STATE_CLOSED)
		return;
	stream->is_paused = false;
	/* within received nobody knows yet what will be left of the input */
	bool may_be_kept = stream->input.len > 0 || stream->loop->busy == stream;

	if (stream->state == STATE_MUTE ||
	    (stream->state == STATE_OPEN &&
	     (may_be_kept || stream->layer->has_unread(stream))))
		stream_mark_ready(stream);
	else if (stream->state == STATE_OPEN)
		stream_want(stream, LOOP_READ);
}

void
stream_close_when_drained(struct stream *stream)
{
	if (stream->state == STATE_CLOSED)
		return;
	stream->closes_when_drained = true;
	stream_mark_dirty(stream);
}

void
stream_close(struct stream *stream)
{
	struct loop *loop = stream->loop;

	if (stream->state == STATE_CLOSED)
		return;
	stream->layer->release(stream);
	loop_watch_remove(loop, &stream->watch);
	if (stream->watch.fd != -1)
		(void)close(stream->watch.fd);
	stream->watch.fd = -1;
	list_remove(&stream->dirty);
	list_remove(&stream->ready);
	buffer_reset(&stream->input);
	output_reset(&stream->output, &loop->pool);
	stream->state = STATE_CLOSED;
	if (loop->busy == stream)
		loop->busy = NULL;
}

bool
stream_peer_has_left(const struct stream *stream)
{
	struct pollfd asked = { .fd = stream->watch.fd, .events = POLLRDHUP };
	char octet;

	if (stream->state != STATE_OPEN)
		return true;
	if (poll(&asked, 1, 0) != 1)
		return false;
	if ((asked.revents & (POLLERR | POLLHUP)) != 0)
		return true;
	if ((asked.revents & POLLRDHUP) == 0 || stream->input.len > 0)
		return false;
	/* under TLS what is unread says goodbye */
	return stream->layer != &socket_layer ||
	       recv(stream->watch.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

bool
stream_is_open(const struct stream *stream)
{
	return stream->state != STATE_CLOSED;
}

struct ip_endpoint
stream_peer(const struct stream *stream)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t size = sizeof(address);

	if (stream->state != STATE_CLOSED)
		(void)getpeername(stream->watch.fd, (struct sockaddr *)&address, &size);
	return ip_of_sockaddr(&address);
}

struct ip_endpoint
stream_local(const struct stream *stream)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t size = sizeof(address);

	if (stream->state != STATE_CLOSED)
		(void)getsockname(stream->watch.fd, (struct sockaddr *)&address, &size);
	return ip_of_sockaddr(&address);
}
