/* SPDX-License-Identifier: ISC */
/*
 * The layer that puts TLS between a stream and its socket, and the handshakes.
 *
 * The library sees a wire (a BIO) that takes whatever is sealed: it is collected in the
 * loop's scratch memory and sent at once, and only what the socket does not take is kept.
 * So writing never stops half-way through a record, what is written may be forgotten at any
 * time, and a thousand replies cost as many system calls as without TLS.
 */
#include "net/tls_private.h"

#include "base/memory.h"
#include "net/loop_private.h"
#include "net/stream_private.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RECORD_OCTETS	   LOOP_RECORD_OCTETS /* of plain text */
#define SEALED_OCTETS	   (RECORD_OCTETS + 1024) /* the most that it becomes, with company */
#define RECEIVES_PER_READ  4	 /* of the socket, so that others get their turn */
#define UNSENT_MAX	   (256 << 10) /* kept for the socket; beyond that the peer is broken */

/*
 * Messages of the handshake's kind that a peer may send after it (new tickets, new keys,
 * wishes to begin anew): each costs us far more than the peer.
 */
#define LATE_MESSAGES_MAX 64

struct tls {
	SSL *ssl;
	struct stream *stream;
	struct loop_work work;
	tls_done *done; /* NULL when the handshake is over */
	struct tls_client *client;
	char *key;	     /* of the client's sessions */
	struct buffer first; /* received before there was TLS; the library reads it first */
	struct buffer unsent;
	size_t sealed; /* octets in the loop's scratch memory */
	unsigned receives_left;
	unsigned late_messages;
	int error;		/* errno of the socket */
	enum stream_io outlook; /* of the next read: DONE unknown, AGAIN all is read, an end */
	bool is_sealing;	/* in tls_write: collect, do not keep */
	bool is_blocked;	/* the socket did not take all of unsent */
	bool is_at_end;		/* the socket's */
	bool is_broken;		/* nothing more can be said */
	bool has_begun;		/* the handshake */
};

static bool
is_established(const struct tls *tls)
{
	return tls->done == NULL;
}

/* --- the wire ---------------------------------------------------------------------------- */

/* Let the library have what was received before it was asked. */
static size_t
first_take(struct tls *tls, char *to, size_t room)
{
	size_t n = tls->first.len < room ? tls->first.len : room;

	memcpy(to, tls->first.ptr, n);
	buffer_consume(&tls->first, n);
	if (tls->first.len == 0)
		buffer_reset(&tls->first);
	return n;
}

static int
wire_read(BIO *wire, char *to, size_t room, size_t *got)
{
	struct tls *tls = BIO_get_data(wire);
	ssize_t n;

	BIO_clear_retry_flags(wire);
	if (tls->late_messages > LATE_MESSAGES_MAX)
		return 0;
	if (tls->first.len > 0) {
		*got = first_take(tls, to, room);
		return 1;
	}
	if (tls->receives_left == 0) {
		BIO_set_retry_read(wire); /* epoll will tell of the rest in the next turn */
		return 0;
	}
	tls->receives_left--;
	do {
		n = recv(tls->stream->watch.fd, to, room, 0);
	} while (n == -1 && errno == EINTR);
	if (n > 0) {
		*got = (size_t)n;
		return 1;
	}
	if (n == 0)
		tls->is_at_end = true;
	else if (errno == EAGAIN)
		BIO_set_retry_read(wire);
	else
		tls->error = errno;
	return 0;
}

static int
wire_write(BIO *wire, const char *from, size_t octets, size_t *sent)
{
	struct tls *tls = BIO_get_data(wire);
	struct loop *loop = tls->stream->loop;

	BIO_clear_retry_flags(wire);
	if (tls->is_sealing) {
		assert(octets <= sizeof(loop->scratch) - tls->sealed);
		memcpy(loop->scratch + tls->sealed, from, octets);
		tls->sealed += octets;
	} else if (!buffer_append(&tls->unsent, (struct span){ from, octets })) {
		tls->error = ENOBUFS;
		return 0;
	}
	*sent = octets;
	return 1;
}

static long
wire_control(BIO *wire, int what, long number, void *pointer)
{
	const struct tls *tls = BIO_get_data(wire);

	(void)number;
	(void)pointer;
	switch (what) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_EOF: return tls->is_at_end;
	default: return 0;
	}
}

BIO_METHOD *
tls_wire_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

	(void)BIO_meth_set_read_ex(method, wire_read);
	(void)BIO_meth_set_write_ex(method, wire_write);
	(void)BIO_meth_set_ctrl(method, wire_control);
	return method;
}

static BIO *
wire_make(struct tls *tls, const BIO_METHOD *method)
{
	BIO *wire = BIO_new(method);

	if (wire == NULL)
		return NULL;
	BIO_set_data(wire, tls);
	BIO_set_init(wire, 1);
	return wire;
}

/* Send from the octets; *taken is how many left. */
static enum stream_io
socket_send(struct tls *tls, const char *from, size_t octets, size_t *taken)
{
	ssize_t n;

	do {
		n = send(tls->stream->watch.fd, from, octets, MSG_NOSIGNAL);
	} while (n == -1 && errno == EINTR);
	*taken = n == -1 ? 0 : (size_t)n;
	if (n == -1 && errno != EAGAIN) {
		tls->stream->error = tls->error = errno;
		return STREAM_IO_ERROR;
	}
	return *taken < octets ? STREAM_IO_AGAIN : STREAM_IO_DONE;
}

/* --- reading ----------------------------------------------------------------------------- */

static void
handshake_queue(struct tls *tls)
{
	/* those that have begun go first: most of what they cost is spent, and it is the
	 * cheap half that is left */
	loop_work_add(tls->stream->loop, &tls->work, tls->has_begun);
}

/* Why SSL_read gave nothing; what it means for the stream. */
static enum stream_io
read_stopped(struct tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return STREAM_IO_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return STREAM_IO_END;
	default:
		break;
	}
	tls->is_broken = true;
	if (tls->error == 0 && tls->is_at_end)
		tls->error = ECONNABORTED; /* without a goodbye: it may be cut short */
	return STREAM_IO_ERROR;
}

static enum stream_io
tls_read(struct stream *stream, char *to, size_t room, size_t *got)
{
	struct tls *tls = stream->layer_state;
	size_t octets;

	if (!is_established(tls)) {
		/* mostly it runs in this turn: then telling the kernel is not worth it */
		if (loop_work_is_queued(&tls->work))
			return STREAM_IO_LATER;
		handshake_queue(tls);
		return STREAM_IO_AGAIN;
	}
	*got = 0;
	tls->receives_left = RECEIVES_PER_READ;
	if (tls->outlook == STREAM_IO_AGAIN)
		tls->outlook = STREAM_IO_DONE;
	while (tls->outlook == STREAM_IO_DONE && *got < room) {
		ERR_clear_error();
		int result = SSL_read_ex(tls->ssl, to + *got, room - *got, &octets);

		if (result == 1)
			*got += octets;
		else
			tls->outlook = read_stopped(tls, result);
	}
	if (tls->unsent.len > 0)
		stream_layer_flush(stream); /* an answer of the library's own */
	if (*got > 0)
		return STREAM_IO_DONE; /* an end is told by the next read */
	if (tls->outlook == STREAM_IO_ERROR)
		stream->error = tls->error != 0 ? tls->error : EPROTO;
	return tls->outlook;
}

static bool
tls_has_unread(const struct stream *stream)
{
	const struct tls *tls = stream->layer_state;

	if (!is_established(tls))
		return false;
	switch (tls->outlook) {
	case STREAM_IO_DONE:
		return tls->first.len > 0 || SSL_has_pending(tls->ssl) == 1;
	case STREAM_IO_END:
	case STREAM_IO_ERROR:
		return true;
	case STREAM_IO_AGAIN: /* what is pending then is part of a record */
	case STREAM_IO_LATER:
		break;
	}
	return false;
}

/* --- writing ----------------------------------------------------------------------------- */

static bool
tls_has_unsent(const struct stream *stream)
{
	const struct tls *tls = stream->layer_state;

	return tls->unsent.len > 0;
}

/* Send what is kept. */
static enum stream_io
unsent_send(struct tls *tls)
{
	size_t taken;
	enum stream_io status = socket_send(tls, tls->unsent.ptr, tls->unsent.len, &taken);

	buffer_consume(&tls->unsent, taken);
	tls->is_blocked = status == STREAM_IO_AGAIN;
	if (tls->unsent.len == 0 || status == STREAM_IO_ERROR)
		buffer_reset(&tls->unsent);
	return status;
}

/* Where the next octet to be sealed is. */
struct place {
	const struct iovec *pieces;
	int count;
	size_t offset; /* in the first of them */
};

static void
place_advance(struct place *at, size_t n)
{
	n += at->offset;
	while (at->count > 0 && n >= at->pieces->iov_len) {
		n -= at->pieces->iov_len;
		at->pieces++;
		at->count--;
	}
	at->offset = n;
}

/* The next octets for one record: as they lie, or gathered in plain. */
static struct span
record_take(struct place at, char plain[RECORD_OCTETS])
{
	size_t len = 0;

	while (at.count > 0 && len < RECORD_OCTETS) {
		const char *from = (const char *)at.pieces->iov_base + at.offset;
		size_t n = at.pieces->iov_len - at.offset;

		if (n > RECORD_OCTETS - len)
			n = RECORD_OCTETS - len;
		if (len == 0 && (n == RECORD_OCTETS || at.count == 1))
			return (struct span){ from, n };
		memcpy(plain + len, from, n);
		len += n;
		place_advance(&at, n);
	}
	return (struct span){ plain, len };
}

/*
 * Seal as much as fits into the scratch memory; *octets is how many. The library may take
 * less than a record when the client asked for small ones (RFC 6066 s.4).
 */
static bool
seal(struct tls *tls, struct place at, size_t *octets)
{
	struct loop *loop = tls->stream->loop;
	bool is_taken = true;

	tls->is_sealing = true;
	while (is_taken && at.count > 0 &&
	       sizeof(loop->scratch) - tls->sealed >= SEALED_OCTETS) {
		struct span record = record_take(at, loop->record);
		size_t taken = 0;

		ERR_clear_error();
		is_taken = SSL_write_ex(tls->ssl, record.ptr, record.len, &taken) == 1;
		place_advance(&at, taken);
		*octets += taken;
	}
	tls->is_sealing = false;
	return is_taken;
}

static enum stream_io
tls_write(struct stream *stream, struct iovec *pieces, int count, size_t *sent)
{
	struct tls *tls = stream->layer_state;
	struct loop *loop = stream->loop;
	enum stream_io status;
	size_t taken;

	/* what the library said by itself and nobody tried to send yet goes along */
	bool goes_along = !tls->is_blocked && count > 0 && is_established(tls) &&
			  tls->unsent.len <= RECORD_OCTETS;

	if (tls->unsent.len > 0 && !goes_along) {
		status = unsent_send(tls);
		if (status == STREAM_IO_ERROR && !is_established(tls)) {
			handshake_queue(tls); /* which will tell */
			return STREAM_IO_AGAIN;
		}
		if (status != STREAM_IO_DONE || count == 0)
			return status;
	}
	if (!is_established(tls))
		return STREAM_IO_LATER;
	tls->sealed = tls->unsent.len;
	if (tls->sealed > 0) {
		memcpy(loop->scratch, tls->unsent.ptr, tls->sealed);
		buffer_reset(&tls->unsent);
	}
	if (!seal(tls, (struct place){ pieces, count, 0 }, sent)) {
		tls->is_broken = true;
		stream->error = EPROTO;
		return STREAM_IO_ERROR;
	}
	status = socket_send(tls, loop->scratch, tls->sealed, &taken);
	tls->is_blocked = status == STREAM_IO_AGAIN;
	if (tls->is_blocked)
		(void)buffer_append(&tls->unsent,
				    (struct span){ loop->scratch + taken, tls->sealed - taken });
	return status;
}

/* --- the end ----------------------------------------------------------------------------- */

static void
tls_free(struct tls *tls)
{
	loop_work_cancel(&tls->work);
	SSL_free(tls->ssl);
	buffer_reset(&tls->first);
	buffer_reset(&tls->unsent);
	free(tls->key);
	free(tls);
}

static void
tls_release(struct stream *stream)
{
	struct tls *tls = stream->layer_state;

	ERR_clear_error();
	if (is_established(tls) && !tls->is_broken)
		(void)SSL_shutdown(tls->ssl); /* says close_notify; the answer is not awaited */
	if (tls->unsent.len > 0 && tls->error == 0)
		(void)unsent_send(tls);
	ERR_clear_error();
	stream->layer_state = NULL;
	tls_free(tls);
}

static const struct stream_layer tls_layer = {
	.read = tls_read,
	.write = tls_write,
	.has_unread = tls_has_unread,
	.has_unsent = tls_has_unsent,
	.release = tls_release,
};

/* --- handshakes -------------------------------------------------------------------------- */

/* Count what the peer says after the handshake in the handshake's manner. */
static void
message_seen(int is_ours, int version, int kind, const void *text, size_t octets, SSL *ssl,
	     void *state)
{
	struct tls *tls = state;

	(void)version;
	(void)text;
	(void)octets;
	(void)ssl;
	if (is_ours == 0 && kind == SSL3_RT_HANDSHAKE)
		tls->late_messages++;
}

void
tls_stream_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_get_app_data(ssl);

	if (SSL_SESSION_is_resumable(session) == 1)
		tls_client_remember(tls->client, tls->key, session);
	else
		SSL_SESSION_free(session);
}

static void
handshake_finished(struct tls *tls)
{
	struct stream *stream = tls->stream;
	tls_done *done = tls->done;
	struct arena arena;

	arena_init(&arena, 0);
	struct tls_facts *facts = tls_facts_make(&arena, tls->ssl, loop_wall_ms(stream->loop));

	tls->done = NULL;
	SSL_set_msg_callback(tls->ssl, message_seen);
	SSL_set_msg_callback_arg(tls->ssl, tls);
	stream_layer_flush(stream);
	stream_resume(stream);
	done(stream, facts, NULL);
	arena_reset(&arena);
}

static void
failure_describe(struct tls *tls, struct fault *fault)
{
	if (tls->error != 0) {
		errno = tls->error;
		(void)fault_set(fault, "TLS handshake");
	} else if (tls->is_at_end) {
		(void)fault_say(fault, "TLS handshake: the peer closed the connection");
	} else if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		(void)fault_say(fault, "TLS handshake: the peer's certificate: %s",
				X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl)));
	} else {
		(void)fault_say(fault, "TLS handshake: %s", tls_reason());
	}
}

static void
handshake_failed(struct tls *tls)
{
	struct stream *stream = tls->stream;
	tls_done *done = tls->done;
	struct fault fault;
	int error = tls->error != 0 ? tls->error : EPROTO;

	failure_describe(tls, &fault);
	tls->is_broken = true;
	if (tls->client != NULL)
		tls_client_forget(tls->client, tls->key);
	stream_close(stream); /* sends the alert that says why */
	stream->error = error;
	done(stream, NULL, &fault);
}

static void
handshake_step(struct loop_work *work)
{
	struct tls *tls = LIST_OWNER(work, struct tls, work);

	ERR_clear_error();
	tls->has_begun = true;
	tls->receives_left = RECEIVES_PER_READ;
	int result = tls->error != 0 ? -1 : SSL_do_handshake(tls->ssl);

	if (result == 1) {
		handshake_finished(tls);
		return;
	}
	if (tls->error != 0 || SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ) {
		handshake_failed(tls);
		return;
	}
	if (tls->unsent.len > 0)
		stream_layer_flush(tls->stream);
	stream_resume(tls->stream);
}

/* What the command in clear left behind, or has not said yet, must not get mixed up with TLS. */
static bool
is_quiet(const struct stream *stream, struct fault *fault)
{
	assert(stream_is_open(stream) && stream->layer != &tls_layer);
	if (stream_unread(stream) > 0)
		return fault_say(fault, "octets in clear wait before TLS begins");
	if (stream_unsent(stream) > 0)
		return fault_say(fault, "what was said in clear has not left yet");
	return true;
}

/* Takes ssl, which may be NULL. */
static struct tls *
tls_begin(struct stream *stream, SSL *ssl, const BIO_METHOD *method, tls_done *done,
	  struct fault *fault)
{
	struct tls *tls = memory_new(sizeof(*tls));
	BIO *wire = ssl == NULL ? NULL : wire_make(tls, method);

	tls->ssl = ssl;
	if (wire == NULL) {
		(void)fault_say(fault, "begin TLS: %s", tls_reason());
		tls_free(tls);
		return NULL;
	}
	SSL_set_bio(ssl, wire, wire);
	SSL_set_app_data(ssl, tls);
	tls->stream = stream;
	tls->done = done;
	tls->work.run = handshake_step;
	buffer_init(&tls->unsent, UNSENT_MAX);
	stream_layer_set(stream, &tls_layer, tls);
	stream_resume(stream);
	return tls;
}

bool
tls_accept(struct stream *stream, const struct tls_offer *offer, tls_done *done,
	   struct fault *fault)
{
	struct tls *tls;

	if (!is_quiet(stream, fault))
		return false;
	ERR_clear_error();
	tls = tls_begin(stream, tls_server_open(offer), tls_server_wire(offer->server), done,
			fault);
	if (tls == NULL)
		return false;
	if (offer->first.len > 0) {
		buffer_init(&tls->first, offer->first.len);
		(void)buffer_append(&tls->first, offer->first);
		handshake_queue(tls);
	}
	return true;
}

bool
tls_connect(struct stream *stream, const struct tls_request *request, tls_done *done,
	    struct fault *fault)
{
	uint16_t port = stream_peer(stream).port;
	char *key = NULL;
	struct tls *tls;
	SSL *ssl;

	if (!is_quiet(stream, fault))
		return false;
	ERR_clear_error();
	ssl = tls_client_open(request, port, &key);
	tls = tls_begin(stream, ssl, tls_client_wire(request->client), done, fault);
	if (tls == NULL) {
		free(key);
		return false;
	}
	tls->client = request->client;
	tls->key = key;
	handshake_queue(tls);
	return true;
}

bool
tls_channel_binding(const struct stream *stream, unsigned char out[TLS_BINDING_OCTETS])
{
	static const char label[] = "EXPORTER-Channel-Binding";
	const struct tls *tls = stream->layer == &tls_layer ? stream->layer_state : NULL;

	if (tls == NULL || !is_established(tls) || SSL_version(tls->ssl) < TLS1_3_VERSION)
		return false;
	ERR_clear_error();
	return SSL_export_keying_material(tls->ssl, out, TLS_BINDING_OCTETS, label,
					  sizeof(label) - 1, NULL, 0, 0) == 1;
}
