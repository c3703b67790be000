/* SPDX-License-Identifier: ISC */
/* net/: streams over socket pairs and over TCP on the loopback interface. */
#include "base/memory.h"
#include "net/listener.h"
#include "net/loop_private.h"
#include "net/stream_private.h"

#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TURNS_MAX 100000 /* of a test that waits for something: then it failed */

/*
 * A layer that does what TLS does to a stream: bytes change on the way, and come in records
 * of which several are taken off the socket at once.
 */
struct veil {
	char held[4096];
	size_t from, to;
	char unsent[1000]; /* taken and kept until the socket may have it */
	size_t unsent_len;
	bool keeps;
	bool is_late; /* has work to do before it can read */
	int reads;
	int released;
};

/* A stream with a record of what was called, and what its callbacks shall do. */
struct end {
	struct stream stream;
	struct buffer got;
	size_t takes_at_most; /* per call of received */
	int received_calls;
	int ended_calls;
	enum stream_end how;
	int drained_calls;
	int connected_calls;
	int connect_error;
	bool echoes;
	bool pauses_in_received;
	bool resumes_in_received;
	bool closes_in_received;
	bool frees_in_received;
	struct span says_when_drained;
	int *clock; /* ticks at each call of received */
	const struct hook_record *hook;
	struct veil veil;
};

struct hook_record {
	struct loop_hook hook;
	int fd; /* of a peer that must not have got anything yet */
	int available; /* what it had got when the hook ran */
	int runs;
};

static struct end *
end_of(struct stream *stream)
{
	return LIST_OWNER(stream, struct end, stream);
}

static size_t
end_received(struct stream *stream, struct span bytes)
{
	struct end *e = end_of(stream);

	e->received_calls++;
	if (bytes.len > e->takes_at_most)
		bytes = span_first(bytes, e->takes_at_most);
	ck_assert(buffer_append(&e->got, bytes));
	if (e->echoes)
		(void)stream_write(stream, bytes);
	if (e->pauses_in_received)
		stream_pause(stream);
	if (e->resumes_in_received)
		stream_resume(stream);
	if (e->closes_in_received) {
		stream_close(stream);
		ck_assert(bytes.len == 0 || bytes.ptr[0] != '\0'); /* still readable */
	}
	if (e->frees_in_received) {
		buffer_reset(&e->got);
		stream_close(stream);
		free(e);
	}
	return bytes.len;
}

static void
end_ended(struct stream *stream, enum stream_end how)
{
	ck_assert(!stream_is_open(stream));
	end_of(stream)->ended_calls++;
	end_of(stream)->how = how;
}

static void
end_drained(struct stream *stream)
{
	struct end *e = end_of(stream);

	e->drained_calls++;
	if (e->says_when_drained.len > 0) {
		ck_assert(stream_write(stream, e->says_when_drained));
		e->says_when_drained.len = 0;
	}
}

static void
end_connected(struct stream *stream, int error)
{
	end_of(stream)->connected_calls++;
	end_of(stream)->connect_error = error;
}

static const struct stream_events end_events = {
	.received = end_received,
	.ended = end_ended,
	.drained = end_drained,
	.connected = end_connected,
};

static struct loop *
loop_make(void)
{
	struct fault fault;
	struct loop *loop = loop_new(&fault);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

static struct end *
end_new(void)
{
	struct end *e = memory_new(sizeof(*e));

	buffer_init(&e->got, 64 << 20);
	e->takes_at_most = SIZE_MAX;
	return e;
}

static void
end_free(struct end **e)
{
	stream_close(&(*e)->stream);
	buffer_reset(&(*e)->got);
	free(*e);
	*e = NULL;
}

/* A stream on one end of a socket pair; returns the other end. */
static int
end_on_pair(struct end *e, struct loop *loop, size_t input_max, size_t output_max)
{
	struct fault fault;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert(stream_accept(&e->stream, loop, pair[0], &end_events, input_max, output_max,
				&fault));
	return pair[1];
}

static struct ip_endpoint
loopback(uint16_t port)
{
	struct ip_endpoint at = { .port = port };

	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &at.ip), PARSE_OK);
	return at;
}

static struct ip_endpoint
local_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ip_of_sockaddr(&address);
}

/* A listening socket on a free port. */
static int
listen_somewhere(struct ip_endpoint *at)
{
	struct ip_endpoint any = loopback(0);
	struct fault fault;
	int fd = listener_open(&any, 10, 0, &fault);

	ck_assert_msg(fd != -1, "%s", fd == -1 ? fault_text(&fault) : "");
	*at = local_of(fd);
	return fd;
}

/* A stream that connects over TCP, and the descriptor that was accepted for it. */
static int
end_on_tcp(struct end *e, struct loop *loop, size_t input_max, size_t output_max)
{
	struct ip_endpoint at;
	struct fault fault;
	int listening = listen_somewhere(&at);

	ck_assert(stream_connect(&e->stream, loop, &at, NULL, &end_events, input_max, output_max,
				 &fault));
	ck_assert(stream_is_open(&e->stream));
	for (int i = 0; i < TURNS_MAX && e->connected_calls == 0; i++)
		loop_turn(loop, 1000);
	ck_assert_int_eq(e->connected_calls, 1);
	ck_assert_int_eq(e->connect_error, 0);
	int fd = accept(listening, NULL, NULL);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	(void)close(listening);
	return fd;
}

/* What the plain descriptor has received, up to room octets. */
static struct span
peer_read(int fd, char *to, size_t room)
{
	size_t len = 0;
	ssize_t n;

	while (len < room && (n = read(fd, to + len, room - len)) > 0)
		len += (size_t)n;
	return (struct span){ to, len };
}

static void
peer_write(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Closing with this set resets the connection. */
static void
peer_reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	ck_assert_int_eq(close(fd), 0);
}

static bool
got_is(const struct end *e, const char *text)
{
	return span_equal(buffer_span(&e->got), span_of(text));
}

/* --- receiving ---------------------------------------------------------------------- */

START_TEST(bytes_arrive_and_an_idle_stream_holds_no_memory)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);

	peer_write(peer, "EHLO x\r\n");
	loop_turn(loop, 1000);
	ck_assert(got_is(e, "EHLO x\r\n"));
	ck_assert_ptr_null(e->stream.input.ptr);
	ck_assert_ptr_null(e->stream.output.first);
	ck_assert_uint_le(sizeof(e->stream), 256);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(bytes_not_taken_come_again_with_more_behind_them)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);

	e->takes_at_most = 3;
	peer_write(peer, "abcdef");
	loop_turn(loop, 1000);
	ck_assert(got_is(e, "abc"));
	loop_turn(loop, 0);
	ck_assert_int_eq(e->received_calls, 1); /* nothing new, nothing handed over */
	e->takes_at_most = SIZE_MAX;
	peer_write(peer, "ghi");
	loop_turn(loop, 1000);
	ck_assert(got_is(e, "abcdefghi"));
	ck_assert_ptr_null(e->stream.input.ptr);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(paused_stream_is_silent_and_resuming_hands_over_in_a_later_turn)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);

	e->takes_at_most = 2;
	e->pauses_in_received = true;
	peer_write(peer, "abcd");
	loop_turn(loop, 1000);
	ck_assert(got_is(e, "ab"));
	peer_write(peer, "ef");
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	ck_assert(got_is(e, "ab"));
	stream_resume(&e->stream);
	ck_assert(got_is(e, "ab")); /* not from within the call */
	loop_turn(loop, -1);	    /* does not wait */
	ck_assert(got_is(e, "abcd"));
	e->takes_at_most = SIZE_MAX;
	e->pauses_in_received = false;
	stream_resume(&e->stream);
	loop_turn(loop, -1);
	loop_turn(loop, 1000);
	ck_assert(got_is(e, "abcdef"));
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(stream_paused_and_resumed_within_received_is_handed_the_rest)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);

	e->takes_at_most = 2;
	e->pauses_in_received = true;
	e->resumes_in_received = true;
	peer_write(peer, "abcdef");
	loop_turn(loop, 1000);
	ck_assert(got_is(e, "ab"));
	loop_turn(loop, -1);
	loop_turn(loop, -1);
	ck_assert(got_is(e, "abcdef"));
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(reading_stops_when_the_input_is_full_and_goes_on_when_some_is_taken)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 100000, 1000);
	char *block = memory_new(300000);
	size_t sent = 0;
	ssize_t n;

	memset(block, 'x', 300000);
	e->takes_at_most = 0;
	for (int i = 0; i < 50; i++) {
		if ((n = write(peer, block, 65536)) > 0)
			sent += (size_t)n;
		loop_turn(loop, 0);
	}
	ck_assert_uint_eq(e->stream.input.len, 100000);
	e->takes_at_most = SIZE_MAX;
	stream_resume(&e->stream);
	for (int i = 0; i < TURNS_MAX && e->got.len < sent; i++)
		loop_turn(loop, 1000);
	ck_assert_uint_eq(e->got.len, sent);
	ck_assert_uint_gt(sent, 100000);
	free(block);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(stream_that_floods_leaves_the_others_their_turn)
{
	struct loop *loop = loop_make();
	struct end *flood = end_new(), *quiet = end_new();
	int flooding = end_on_tcp(flood, loop, 1000, 1000);
	int other = end_on_pair(quiet, loop, 1000, 1000);
	static const int big = 4 << 20;
	char *block = memory_new((size_t)big);

	(void)setsockopt(flooding, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	(void)setsockopt(flood->stream.watch.fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	ck_assert_int_gt(write(flooding, block, (size_t)big), 0);
	peer_write(other, "x");
	loop_turn(loop, 1000);
	ck_assert_uint_le(flood->got.len, 4 * LOOP_SCRATCH_OCTETS);
	ck_assert(got_is(quiet, "x"));
	free(block);
	(void)close(flooding);
	(void)close(other);
	end_free(&flood);
	end_free(&quiet);
	loop_free(&loop);
}
END_TEST

/* --- callbacks that end their stream ------------------------------------------------ */

START_TEST(received_may_close_its_stream_with_and_without_kept_bytes)
{
	for (int kept = 0; kept < 2; kept++) {
		struct loop *loop = loop_make();
		struct end *e = end_new();
		int peer = end_on_pair(e, loop, 1000, 1000);

		if (kept == 1) {
			e->takes_at_most = 0;
			peer_write(peer, "first ");
			loop_turn(loop, 1000);
			e->takes_at_most = SIZE_MAX;
		}
		e->closes_in_received = true;
		peer_write(peer, "bytes");
		loop_turn(loop, 1000);
		ck_assert(!stream_is_open(&e->stream));
		ck_assert(got_is(e, kept == 1 ? "first bytes" : "bytes"));
		loop_turn(loop, 0);
		ck_assert_int_eq(e->ended_calls, 0);
		(void)close(peer);
		end_free(&e);
		loop_free(&loop);
	}
}
END_TEST

START_TEST(received_may_free_its_stream_with_output_waiting)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);

	e->echoes = true;
	e->frees_in_received = true;
	peer_write(peer, "bytes");
	loop_turn(loop, 1000);
	loop_turn(loop, 0);
	(void)close(peer);
	loop_free(&loop);
}
END_TEST

START_TEST(closed_stream_may_be_used_for_another_connection_at_once)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int first = end_on_pair(e, loop, 1000, 1000);

	peer_write(first, "one");
	stream_close(&e->stream);
	stream_close(&e->stream);
	int second = end_on_pair(e, loop, 1000, 1000);

	peer_write(second, "two");
	loop_turn(loop, 1000);
	ck_assert(got_is(e, "two"));
	(void)close(first);
	(void)close(second);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

/* --- sending ------------------------------------------------------------------------ */

static void
hook_looks(struct loop_hook *hook)
{
	struct hook_record *h = LIST_OWNER(hook, struct hook_record, hook);

	h->runs++;
	ck_assert_int_eq(ioctl(h->fd, FIONREAD, &h->available), 0);
}

START_TEST(hooks_run_before_anything_is_sent_in_every_turn)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);
	struct hook_record h = { .hook.run = hook_looks, .fd = peer };
	char text[100];

	e->echoes = true;
	loop_hook_add(loop, &h.hook);
	peer_write(peer, "MAIL\r\n");
	loop_turn(loop, 1000);
	ck_assert_int_eq(h.runs, 1);
	ck_assert_int_eq(h.available, 0);
	ck_assert(span_equal(peer_read(peer, text, sizeof(text)), span_of("MAIL\r\n")));

	/* what is written while sending waits for the next turn's hooks, which comes at once */
	e->says_when_drained = span_of("more");
	peer_write(peer, "x");
	loop_turn(loop, 1000);
	ck_assert(span_equal(peer_read(peer, text, sizeof(text)), span_of("x")));
	loop_turn(loop, -1);
	ck_assert_int_eq(h.runs, 3);
	ck_assert_int_eq(h.available, 0);
	ck_assert(span_equal(peer_read(peer, text, sizeof(text)), span_of("more")));
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(much_data_reaches_a_slow_reader_whole_and_in_order)
{
	static const int small = 4096;
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 8 << 20);
	size_t total = 6 << 20, read_octets = 0;
	char *block = memory_new(65536), *to = memory_new(65536);
	int drained = 0, wrong = 0;

	(void)setsockopt(e->stream.watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (size_t at = 0; at < total; at += 65536) {
		for (size_t i = 0; i < 65536; i++)
			block[i] = (char)((at + i) * 31 >> 7);
		ck_assert(stream_write(&e->stream, (struct span){ block, 65536 }));
	}
	ck_assert_uint_eq(stream_unsent(&e->stream), total);
	for (int i = 0; i < TURNS_MAX && read_octets < total; i++) {
		struct span part = peer_read(peer, to, 7777);

		for (size_t n = 0; n < part.len; n++)
			wrong += part.ptr[n] != (char)((read_octets + n) * 31 >> 7);
		read_octets += part.len;
		drained = e->drained_calls;
		loop_turn(loop, 1);
	}
	ck_assert_uint_eq(read_octets, total);
	ck_assert_int_eq(wrong, 0);
	ck_assert_uint_eq(stream_unsent(&e->stream), 0);
	ck_assert_int_eq(drained, 1);
	loop_turn(loop, 0);
	ck_assert_int_eq(e->drained_calls, 1);
	ck_assert_uint_eq(e->stream.watch.wanted, LOOP_READ);
	free(block);
	free(to);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(writing_beyond_the_limit_breaks_the_stream)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 10);

	ck_assert(stream_write(&e->stream, span_of("0123456789")));
	ck_assert(!stream_write(&e->stream, span_of("x")));
	ck_assert_int_eq(e->ended_calls, 0);
	loop_turn(loop, -1);
	ck_assert_int_eq(e->ended_calls, 1);
	ck_assert_int_eq(e->how, STREAM_BROKEN);
	ck_assert_int_eq(e->stream.error, ENOBUFS);
	ck_assert(!stream_write(&e->stream, span_of("x")));
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(forgotten_output_is_not_sent)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);
	char text[10];

	ck_assert(stream_write(&e->stream, span_of("250 OK\r\n")));
	stream_forget_unsent(&e->stream);
	ck_assert_uint_eq(stream_unsent(&e->stream), 0);
	loop_turn(loop, -1);
	ck_assert_uint_eq(peer_read(peer, text, sizeof(text)).len, 0);
	ck_assert_int_eq(e->drained_calls, 0);
	ck_assert(stream_is_open(&e->stream));
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(chunks_of_replies_are_used_again_and_not_allocated_anew)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 100000);
	char *block = memory_new(40000), text[10];

	ck_assert(stream_write(&e->stream, (struct span){ block, 40000 }));
	loop_turn(loop, -1);
	ck_assert_uint_eq(peer_read(peer, block, 40000).len, 40000);
	ck_assert_uint_eq(loop->pool.large_count, 3);
	ck_assert(stream_write(&e->stream, span_of("a")));
	loop_turn(loop, -1);
	ck_assert_uint_eq(loop->pool.small_count, 1);
	const struct chunk *chunk = loop->pool.small;

	ck_assert(stream_write(&e->stream, span_of("b")));
	ck_assert_ptr_eq(e->stream.output.first, chunk);
	loop_turn(loop, -1);
	ck_assert_ptr_eq(loop->pool.small, chunk);
	ck_assert(span_equal(peer_read(peer, text, sizeof(text)), span_of("ab")));
	free(block);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

/* Looks where the chunks of the pool have their bytes, whatever stands there. */
START_TEST(secret_is_overwritten_when_it_has_left_or_is_forgotten)
{
	static const char secret[] = "AGFwcABjb3JyZWN0IGhvcnNl";
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 100000);
	struct iovec piece;
	char text[100];

	ck_assert(stream_write(&e->stream, span_of("AUTH PLAIN ")));
	ck_assert(stream_write_secret(&e->stream, span_of(secret)));
	ck_assert_int_eq(output_pieces(&e->stream.output, &piece, 1), 1);
	if (_i == 0)
		loop_turn(loop, -1);
	else
		stream_forget_unsent(&e->stream);
	if (_i == 0)
		ck_assert_uint_eq(peer_read(peer, text, sizeof(text)).len,
				  strlen("AUTH PLAIN ") + strlen(secret));
	ck_assert(!e->stream.output.is_secret);
	for (size_t i = 0; i < piece.iov_len; i++)
		ck_assert_int_eq(((const char *)piece.iov_base)[i], 0);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

/* --- the end ------------------------------------------------------------------------ */

START_TEST(half_close_delivers_the_bytes_and_sends_the_answer_before_it_ends)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 1000);
	char text[100];

	e->echoes = true;
	peer_write(peer, "QUIT\r\n");
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	for (int i = 0; i < TURNS_MAX && e->ended_calls == 0; i++)
		loop_turn(loop, 1000);
	ck_assert(got_is(e, "QUIT\r\n"));
	ck_assert_int_eq(e->how, STREAM_CLOSED_BY_PEER);
	ck_assert(span_equal(peer_read(peer, text, sizeof(text)), span_of("QUIT\r\n")));
	loop_turn(loop, 0);
	ck_assert_int_eq(e->ended_calls, 1);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(end_behind_kept_bytes_is_told_only_after_they_were_offered_again)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);

	e->takes_at_most = 2;
	e->pauses_in_received = true;
	peer_write(peer, "abcdef");
	(void)close(peer);
	for (int i = 1; i <= 3; i++) {
		loop_turn(loop, 0);
		loop_turn(loop, 0);
		ck_assert_int_eq(e->received_calls, i);
		ck_assert_int_eq(e->ended_calls, 0);
		stream_resume(&e->stream);
	}
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	ck_assert(got_is(e, "abcdef"));
	ck_assert_int_eq(e->ended_calls, 1);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(reset_breaks_the_stream)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 1000);

	peer_reset(peer);
	for (int i = 0; i < TURNS_MAX && e->ended_calls == 0; i++)
		loop_turn(loop, 1000);
	ck_assert_int_eq(e->how, STREAM_BROKEN);
	ck_assert_int_eq(e->stream.error, ECONNRESET);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(reset_during_a_pause_does_not_spin_and_is_told_when_it_matters)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 1000);

	stream_pause(&e->stream);
	peer_reset(peer);
	loop_turn(loop, 1000); /* hears of it, and asks no more */
	ck_assert_uint_eq(e->stream.watch.wanted, 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(e->ended_calls, 0);
	ck_assert(stream_write(&e->stream, span_of("250 OK\r\n")));
	loop_turn(loop, 1000);
	ck_assert_int_eq(e->ended_calls, 1);
	ck_assert_int_eq(e->how, STREAM_BROKEN);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(last_words_of_a_peer_that_takes_no_more_are_heard)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_pair(e, loop, 1000, 1000);

	/* the words are there, unread, when our sending fails */
	peer_write(peer, "421 too busy\r\n");
	(void)close(peer);
	ck_assert(stream_write(&e->stream, span_of("MAIL FROM:<>\r\n")));
	stream_flush_dirty(loop);
	ck_assert_int_eq(e->ended_calls, 0);
	ck_assert(stream_write(&e->stream, span_of("lost")));
	for (int i = 0; i < 10 && e->ended_calls == 0; i++)
		loop_turn(loop, -1);
	ck_assert(got_is(e, "421 too busy\r\n"));
	ck_assert_int_eq(e->ended_calls, 1);
	ck_assert_int_eq(e->how, STREAM_BROKEN);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(closing_in_order_sends_everything_and_tells_once)
{
	static const int small = 4096;
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 1 << 20);
	char *block = memory_new(1 << 20);
	size_t octets = 0;
	ssize_t n = -1;

	(void)setsockopt(e->stream.watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	ck_assert(stream_write(&e->stream, (struct span){ block, 1 << 20 }));
	stream_close_when_drained(&e->stream);
	ck_assert(stream_is_open(&e->stream));
	for (int i = 0; i < TURNS_MAX && n != 0; i++) {
		loop_turn(loop, 1);
		n = read(peer, block, 65536);
		if (n > 0)
			octets += (size_t)n;
	}
	ck_assert_uint_eq(octets, 1 << 20);
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(e->drained_calls, 1);
	ck_assert_int_eq(e->ended_calls, 0);
	ck_assert(!stream_is_open(&e->stream));
	free(block);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(peer_that_talks_on_still_gets_the_last_reply)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 1000);
	char text[100];

	peer_write(peer, "first\r\n");
	loop_turn(loop, 1000);
	ck_assert(stream_write(&e->stream, span_of("421 enough\r\n")));
	stream_close_when_drained(&e->stream);
	peer_write(peer, "second\r\n"); /* nobody will read it */
	while (e->drained_calls == 0)
		loop_turn(loop, 1000);
	ck_assert(!stream_is_open(&e->stream));
	ck_assert_uint_eq(loop->lingering_count, 1);
	peer_write(peer, "third\r\n");
	loop_turn(loop, 1000);
	ck_assert(span_equal(peer_read(peer, text, sizeof(text)), span_of("421 enough\r\n")));
	ck_assert_int_eq(read(peer, text, sizeof(text)), 0); /* an end, not a reset */
	(void)close(peer);
	for (int i = 0; i < TURNS_MAX && loop->lingering_count > 0; i++)
		loop_turn(loop, 1000);
	ck_assert_uint_eq(loop->lingering_count, 0);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(loop_can_end_while_connections_linger)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 1000);

	peer_write(peer, "talk");
	stream_pause(&e->stream);
	stream_close_when_drained(&e->stream);
	while (e->drained_calls == 0)
		loop_turn(loop, 1000);
	ck_assert_uint_eq(loop->lingering_count, 1);
	end_free(&e);
	loop_free(&loop);
	(void)close(peer);
}
END_TEST

START_TEST(peer_that_breaks_while_we_close_in_order_is_reported)
{
	static const int small = 4096;
	struct loop *loop = loop_make();
	struct end *e = end_new();
	int peer = end_on_tcp(e, loop, 1000, 4 << 20);
	char *block = memory_new(4 << 20);

	(void)setsockopt(e->stream.watch.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	ck_assert(stream_write(&e->stream, (struct span){ block, 4 << 20 }));
	stream_close_when_drained(&e->stream);
	loop_turn(loop, 0);
	ck_assert(stream_is_open(&e->stream));
	peer_reset(peer);
	for (int i = 0; i < TURNS_MAX && e->ended_calls == 0; i++)
		loop_turn(loop, 1000);
	ck_assert_int_eq(e->how, STREAM_BROKEN);
	ck_assert_int_eq(e->drained_calls, 0);
	free(block);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

/* --- connecting --------------------------------------------------------------------- */

START_TEST(connection_knows_both_ends_and_sends_what_was_written_before_it_stood)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct ip_endpoint at, local, peer;
	struct fault fault;
	int listening = listen_somewhere(&at);
	struct ip source = loopback(0).ip;
	char text[10];

	ck_assert(stream_connect(&e->stream, loop, &at, &source, &end_events, 1000, 1000,
				 &fault));
	ck_assert(stream_write(&e->stream, span_of("hello")));
	ck_assert_int_eq(e->connected_calls, 0);
	while (e->connected_calls == 0)
		loop_turn(loop, 1000);
	peer = stream_peer(&e->stream);
	ck_assert_int_eq(peer.port, at.port);
	ck_assert_int_eq(ip_compare(&peer.ip, &at.ip), 0);
	local = stream_local(&e->stream);
	ck_assert_int_eq(ip_compare(&local.ip, &source), 0);
	ck_assert_int_ne(local.port, 0);
	int fd = accept(listening, NULL, NULL);

	ck_assert_int_eq(read(fd, text, sizeof(text)), 5);
	(void)close(fd);
	(void)close(listening);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(refused_connection_is_told_through_the_callback)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct ip_endpoint at;
	struct fault fault;

	(void)close(listen_somewhere(&at));
	ck_assert(stream_connect(&e->stream, loop, &at, NULL, &end_events, 1000, 1000, &fault));
	while (e->connected_calls == 0)
		loop_turn(loop, 1000);
	ck_assert_int_eq(e->connect_error, ECONNREFUSED);
	ck_assert(!stream_is_open(&e->stream));
	ck_assert_int_eq(stream_peer(&e->stream).port, 0);
	ck_assert_int_eq(e->ended_calls, 0);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(connection_that_cannot_even_begin_is_a_fault)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct ip_endpoint at = loopback(25);
	struct fault fault;
	struct ip foreign;

	ck_assert_int_eq(ip_parse(span_of("192.0.2.1"), &foreign), PARSE_OK);
	ck_assert(!stream_connect(&e->stream, loop, &at, &foreign, &end_events, 1000, 1000,
				  &fault));
	ck_assert_int_eq(fault.error, EADDRNOTAVAIL);
	ck_assert(!stream_is_open(&e->stream));
	end_free(&e);
	loop_free(&loop);
}
END_TEST

/* --- the layer below ---------------------------------------------------------------- */

static enum stream_io
veil_read(struct stream *stream, char *to, size_t room, size_t *got)
{
	struct veil *v = stream->layer_state;

	v->reads++;
	if (v->is_late)
		return STREAM_IO_LATER;
	if (v->from == v->to) {
		ssize_t n = read(stream->watch.fd, v->held, sizeof(v->held));

		if (n <= 0)
			return n == 0 ? STREAM_IO_END : STREAM_IO_AGAIN;
		v->from = 0;
		v->to = (size_t)n;
	}
	*got = 0;
	while (*got < room && *got < 10 && v->from < v->to)
		to[(*got)++] = (char)(v->held[v->from++] ^ 1);
	return STREAM_IO_DONE;
}

static enum stream_io
veil_write(struct stream *stream, struct iovec *pieces, int count, size_t *sent)
{
	struct veil *v = stream->layer_state;
	char record[100];

	if (v->unsent_len > 0 && v->keeps)
		return STREAM_IO_AGAIN;
	if (v->unsent_len > 0) {
		ck_assert_int_eq(write(stream->watch.fd, v->unsent, v->unsent_len),
				 (ssize_t)v->unsent_len);
		v->unsent_len = 0;
	}
	if (count == 0)
		return STREAM_IO_DONE;
	const char *from = pieces[0].iov_base;
	size_t n = pieces[0].iov_len < sizeof(record) ? pieces[0].iov_len : sizeof(record);

	if (v->keeps) {
		memcpy(v->unsent, from, n);
		*sent = v->unsent_len = n;
		return STREAM_IO_DONE;
	}
	for (size_t i = 0; i < n; i++)
		record[i] = (char)(from[i] ^ 1);
	ssize_t written = write(stream->watch.fd, record, n);

	if (written <= 0)
		return STREAM_IO_AGAIN;
	*sent = (size_t)written;
	return STREAM_IO_DONE;
}

static bool
veil_has_unread(const struct stream *stream)
{
	const struct veil *v = stream->layer_state;

	return v->from < v->to;
}

static bool
veil_has_unsent(const struct stream *stream)
{
	const struct veil *v = stream->layer_state;

	return v->unsent_len > 0;
}

static void
veil_release(struct stream *stream)
{
	struct veil *v = stream->layer_state;

	v->released++;
}

static const struct stream_layer veil_layer = {
	.read = veil_read,
	.write = veil_write,
	.has_unread = veil_has_unread,
	.has_unsent = veil_has_unsent,
	.release = veil_release,
};

START_TEST(layer_that_holds_bytes_back_is_drained_without_further_events)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct veil veil = { .from = 0 };
	int peer = end_on_pair(e, loop, 1000, 1000);
	char text[200];

	stream_layer_set(&e->stream, &veil_layer, &veil);
	e->echoes = true;
	for (int i = 0; i < 16; i++)
		peer_write(peer, "abcdefghij");
	loop_turn(loop, 1000);
	ck_assert_uint_eq(e->got.len, 40); /* four reads, then it is others' turn */
	stream_pause(&e->stream);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	ck_assert_uint_eq(e->got.len, 40);
	stream_resume(&e->stream);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, -1);
	ck_assert_uint_eq(e->got.len, 160);
	ck_assert(span_starts_fold(buffer_span(&e->got), span_of("`cbedg")));
	loop_turn(loop, 0);
	struct span echoed = peer_read(peer, text, sizeof(text));

	ck_assert_uint_eq(echoed.len, 160);
	ck_assert(span_starts_fold(echoed, span_of("abcdefghij")));
	(void)close(peer);
	end_free(&e);
	ck_assert_int_eq(veil.released, 1);
	loop_free(&loop);
}
END_TEST

START_TEST(stream_is_drained_only_when_its_layer_is)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct veil veil = { .keeps = true };
	int peer = end_on_pair(e, loop, 1000, 1000);
	char text[200];

	stream_layer_set(&e->stream, &veil_layer, &veil);
	ck_assert(stream_write(&e->stream, span_of("bye")));
	stream_close_when_drained(&e->stream);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, 0);
	ck_assert_uint_eq(stream_unsent(&e->stream), 0);
	ck_assert_int_eq(e->drained_calls, 0);
	ck_assert(stream_is_open(&e->stream));
	veil.keeps = false;
	loop_turn(loop, 1000);
	ck_assert_int_eq(e->drained_calls, 1);
	ck_assert(!stream_is_open(&e->stream));
	ck_assert_uint_eq(peer_read(peer, text, sizeof(text)).len, 3);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(what_the_layer_itself_sends_is_nothing_that_drains)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct veil veil = { .unsent = "hello", .unsent_len = 5 };
	int peer = end_on_pair(e, loop, 1000, 1000);
	char text[200];

	stream_layer_set(&e->stream, &veil_layer, &veil);
	stream_layer_flush(&e->stream);
	loop_turn(loop, 0);
	ck_assert_uint_eq(peer_read(peer, text, sizeof(text)).len, 5);
	ck_assert_int_eq(e->drained_calls, 0);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

START_TEST(layer_that_is_busy_is_asked_again_only_when_it_says_so)
{
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct veil veil = { .is_late = true };
	int peer = end_on_pair(e, loop, 1000, 1000);

	stream_layer_set(&e->stream, &veil_layer, &veil);
	peer_write(peer, "abc");
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 0);
	ck_assert_int_eq(veil.reads, 1);
	veil.is_late = false;
	stream_resume(&e->stream);
	loop_turn(loop, 1000);
	ck_assert_int_eq(e->received_calls, 1);
	(void)close(peer);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

/* As STARTTLS: a line is taken, and a layer put in place. */
static size_t
veil_begins_received(struct stream *stream, struct span bytes)
{
	struct end *e = end_of(stream);

	ck_assert_int_eq(e->received_calls++, 0);
	stream_layer_set(stream, &veil_layer, &e->veil);
	return bytes.len < 10 ? bytes.len : 10;
}

START_TEST(octets_in_clear_behind_the_start_of_a_layer_break_the_stream)
{
	static const struct stream_events events = {
		.received = veil_begins_received,
		.ended = end_ended,
	};
	/* the whole of the first: allowed */
	static const char *const said[] = { "STARTTLS\r\n", "STARTTLS\r\nM" };
	struct loop *loop = loop_make();
	struct end *e = end_new();
	struct fault fault;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	ck_assert(stream_accept(&e->stream, loop, pair[0], &events, 1000, 1000, &fault));
	peer_write(pair[1], said[_i]);
	for (int i = 0; i < 3; i++)
		loop_turn(loop, 0);
	ck_assert_int_eq(e->received_calls, 1);
	ck_assert_int_eq(e->ended_calls, _i);
	if (_i == 1) {
		ck_assert_int_eq(e->how, STREAM_BROKEN);
		ck_assert_int_eq(e->stream.error, EPROTO);
	}
	(void)close(pair[1]);
	end_free(&e);
	loop_free(&loop);
}
END_TEST

static Suite *
stream_suite(void)
{
	Suite *suite = suite_create("stream");
	TCase *tc = tcase_create("stream");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, bytes_arrive_and_an_idle_stream_holds_no_memory);
	tcase_add_test(tc, bytes_not_taken_come_again_with_more_behind_them);
	tcase_add_test(tc, paused_stream_is_silent_and_resuming_hands_over_in_a_later_turn);
	tcase_add_test(tc, stream_paused_and_resumed_within_received_is_handed_the_rest);
	tcase_add_test(tc, reading_stops_when_the_input_is_full_and_goes_on_when_some_is_taken);
	tcase_add_test(tc, stream_that_floods_leaves_the_others_their_turn);
	tcase_add_test(tc, received_may_close_its_stream_with_and_without_kept_bytes);
	tcase_add_test(tc, received_may_free_its_stream_with_output_waiting);
	tcase_add_test(tc, closed_stream_may_be_used_for_another_connection_at_once);
	tcase_add_test(tc, hooks_run_before_anything_is_sent_in_every_turn);
	tcase_add_test(tc, much_data_reaches_a_slow_reader_whole_and_in_order);
	tcase_add_test(tc, writing_beyond_the_limit_breaks_the_stream);
	tcase_add_test(tc, forgotten_output_is_not_sent);
	tcase_add_test(tc, chunks_of_replies_are_used_again_and_not_allocated_anew);
	tcase_add_loop_test(tc, secret_is_overwritten_when_it_has_left_or_is_forgotten, 0, 2);
	tcase_add_test(tc, half_close_delivers_the_bytes_and_sends_the_answer_before_it_ends);
	tcase_add_test(tc, end_behind_kept_bytes_is_told_only_after_they_were_offered_again);
	tcase_add_test(tc, reset_breaks_the_stream);
	tcase_add_test(tc, reset_during_a_pause_does_not_spin_and_is_told_when_it_matters);
	tcase_add_test(tc, last_words_of_a_peer_that_takes_no_more_are_heard);
	tcase_add_test(tc, closing_in_order_sends_everything_and_tells_once);
	tcase_add_test(tc, peer_that_talks_on_still_gets_the_last_reply);
	tcase_add_test(tc, loop_can_end_while_connections_linger);
	tcase_add_test(tc, peer_that_breaks_while_we_close_in_order_is_reported);
	tcase_add_test(tc, connection_knows_both_ends_and_sends_what_was_written_before_it_stood);
	tcase_add_test(tc, refused_connection_is_told_through_the_callback);
	tcase_add_test(tc, connection_that_cannot_even_begin_is_a_fault);
	tcase_add_test(tc, layer_that_holds_bytes_back_is_drained_without_further_events);
	tcase_add_test(tc, stream_is_drained_only_when_its_layer_is);
	tcase_add_test(tc, what_the_layer_itself_sends_is_nothing_that_drains);
	tcase_add_test(tc, layer_that_is_busy_is_asked_again_only_when_it_says_so);
	tcase_add_loop_test(tc, octets_in_clear_behind_the_start_of_a_layer_break_the_stream, 0,
			    2);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(stream_suite());
}
