/* SPDX-License-Identifier: ISC */
/* net/tls: bytes, ends, and the openssl command. */
#include "net/tls_world.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- bytes ----------------------------------------------------------------------------- */

START_TEST(much_data_goes_both_ways_at_once_whole_and_in_order)
{
	static const size_t much = 12000000;
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	struct end *ends[2] = { b.server, b.client };
	static const int small = 20000;

	for (int i = 0; i < 2; i++) {
		(void)setsockopt(ends[i]->stream.watch.fd, SOL_SOCKET, SO_SNDBUF, &small,
				 sizeof(small));
		ends[i]->to_write = much;
		end_write_more(ends[i]);
	}
	for (int i = 0; i < TURNS_MAX; i++) {
		if (ends[0]->got.len == much && ends[1]->got.len == much)
			break;
		loop_turn(w.loop, 1000);
	}
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(ends[i]->got.len, much);
		pattern_check(buffer_span(&ends[i]->got));
	}
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(paused_reader_stops_the_writer_and_loses_nothing)
{
	static const size_t much = 3000000;
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	b.client->to_write = much;
	end_write_more(b.client);
	for (int i = 0; i < 500; i++) {
		if (i % 3 == 0)
			stream_pause(&b.server->stream);
		else if (i % 3 == 2)
			stream_resume(&b.server->stream);
		loop_turn(w.loop, 0);
	}
	stream_pause(&b.server->stream);
	for (int i = 0; i < 100; i++)
		loop_turn(w.loop, 0);
	size_t so_far = b.server->got.len;

	loop_turn(w.loop, 0);
	ck_assert_uint_eq(b.server->got.len, so_far);
	stream_resume(&b.server->stream);
	got_wait(b.server, much);
	pattern_check(buffer_span(&b.server->got));
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

/* A raw client whose octets pass through our hands, to be cut as we like. */
struct hand {
	struct raw raw;
	BIO *in, *out;
	int fd;
};

static struct hand
hand_new(int fd)
{
	struct hand h = { raw_new(-1, TLS1_2_VERSION, TLS1_3_VERSION), BIO_new(BIO_s_mem()),
			  BIO_new(BIO_s_mem()), fd };

	SSL_set_bio(h.raw.ssl, h.in, h.out);
	return h;
}

/* Send what the client has to say, in pieces of so many octets, a turn for each; take answers. */
static void
hand_pass(struct hand *h, size_t piece)
{
	char bytes[8192];
	size_t n;

	while (BIO_read_ex(h->out, bytes, piece < sizeof(bytes) ? piece : sizeof(bytes), &n) == 1) {
		ck_assert_int_eq(write(h->fd, bytes, n), (ssize_t)n);
		loop_turn(w.loop, 0);
	}
	for (int i = 0; i < 3; i++)
		loop_turn(w.loop, 0);
	ssize_t got = read(h->fd, bytes, sizeof(bytes));

	if (got > 0)
		ck_assert_int_eq(BIO_write(h->in, bytes, (int)got), (int)got);
}

START_TEST(octets_may_come_one_by_one)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	char text[1000];
	int pair[2];

	pair_make(pair);
	struct end *e = end_accept(pair[0], &offer);
	struct hand h = hand_new(pair[1]);

	for (int i = 0; i < 10 && SSL_do_handshake(h.raw.ssl) != 1; i++)
		hand_pass(&h, 1);
	hand_pass(&h, 1);
	ck_assert_int_eq(e->done_calls, 1);
	ck_assert_ptr_nonnull(e->facts);
	e->echoes = true;
	for (int i = 0; i < 3; i++) { /* in one record each, and in records of one octet */
		ck_assert_int_eq(SSL_write(h.raw.ssl, "EHLO x\r\n", 8), 8);
		hand_pass(&h, 1);
	}
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(SSL_write(h.raw.ssl, "y", 1), 1);
	hand_pass(&h, SIZE_MAX);
	ck_assert_uint_eq(e->got.len, 124);
	hand_pass(&h, 1);
	int n = SSL_read(h.raw.ssl, text, sizeof(text)), all = 0;

	for (; n > 0; n = SSL_read(h.raw.ssl, text, sizeof(text)))
		all += n;
	ck_assert_int_eq(all, 124);
	/* half a record keeps nobody awake */
	ck_assert_int_eq(SSL_write(h.raw.ssl, "half", 4), 4);
	ck_assert_int_eq(BIO_read(h.out, text, 10), 10);
	ck_assert_int_eq(write(pair[1], text, 10), 10);
	for (int i = 0; i < 5; i++)
		loop_turn(w.loop, 0);
	int64_t before = clock_monotonic_ms();

	loop_turn(w.loop, 40);
	ck_assert_int_ge(clock_monotonic_ms() - before, 39);
	raw_free(&h.raw);
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(client_with_little_memory_may_ask_for_small_records)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	int version = _i == 0 ? TLS1_3_VERSION : TLS1_2_VERSION;
	struct end *e = raw_begin(&offer, &r, version, version);
	static char text[300000];

	ck_assert_int_eq(
	    SSL_set_tlsext_max_fragment_length(r.ssl, TLSEXT_max_fragment_length_512), 1);
	ck_assert(raw_handshake(&r));
	e->to_write = sizeof(text);
	end_write_more(e);
	ck_assert_uint_eq(raw_read(&r, text, sizeof(text)), sizeof(text));
	pattern_check((struct span){ text, sizeof(text) });
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(forgotten_output_is_not_sent_and_leaves_the_stream_in_order)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);

	ck_assert(stream_write(&b.server->stream, span_of("250 forgotten\r\n")));
	stream_forget_unsent(&b.server->stream);
	ck_assert(stream_write(&b.server->stream, span_of("451 so be it\r\n")));
	got_wait(b.client, 14);
	both_free(&b);

	/* also when part of what is forgotten is sealed, and waits for the socket */
	b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	stream_pause(&b.client->stream);
	b.server->to_write = 2000000;
	end_write_more(b.server);
	for (int i = 0; i < 50; i++)
		loop_turn(w.loop, 0);
	ck_assert_uint_gt(stream_unsent(&b.server->stream), 0);
	size_t forgotten = stream_unsent(&b.server->stream);

	stream_forget_unsent(&b.server->stream);
	b.server->to_write = 0;
	ck_assert(stream_write(&b.server->stream, span_of("END")));
	stream_resume(&b.client->stream);
	got_wait(b.client, b.server->written - forgotten + 3);
	ck_assert_int_eq(memcmp(b.client->got.ptr + b.client->got.len - 3, "END", 3), 0);
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

START_TEST(slow_reader_cannot_make_us_keep_more_than_the_limit)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_client *client = client_new("ca.crt", NULL, TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct both b = both_make(&offer, client, "relay.example.com", TLS_CHECK_NAME);
	static char piece[100000];
	int written = 0;

	stream_pause(&b.client->stream);
	while (stream_write(&b.server->stream, (struct span){ piece, sizeof(piece) })) {
		loop_turn(w.loop, 0);
		ck_assert_int_lt(++written, 100);
	}
	ended_wait(b.server);
	ck_assert_int_eq(b.server->stream.error, ENOBUFS);
	both_free(&b);
	tls_client_free(&client);
	tls_server_free(&server);
}
END_TEST

/* --- ends ------------------------------------------------------------------------------ */

START_TEST(goodbye_is_told_from_a_connection_that_is_cut)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	int version = _i < 2 ? TLS1_3_VERSION : TLS1_2_VERSION;
	struct end *e = raw_begin(&offer, &r, version, version);

	ck_assert(raw_handshake(&r));
	raw_write(&r, "QUIT\r\n");
	got_wait(e, 6);
	char text[10];

	(void)SSL_read(r.ssl, text, sizeof(text)); /* a ticket: left unread, it would mean a reset */
	if (_i % 2 == 0)
		(void)SSL_shutdown(r.ssl);
	(void)close(r.fd);
	r.fd = -1;
	ended_wait(e);
	ck_assert_uint_eq(e->got.len, 6); /* what came before was handed over */
	if (_i % 2 == 0) {
		ck_assert_int_eq(e->how, STREAM_CLOSED_BY_PEER);
	} else {
		ck_assert_int_eq(e->how, STREAM_BROKEN);
		ck_assert_int_eq(e->stream.error, ECONNABORTED);
	}
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(record_that_was_tampered_with_breaks_the_stream)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	char record[200];
	size_t n;
	int pair[2];

	pair_make(pair);
	struct end *e = end_accept(pair[0], &offer);
	struct hand h = hand_new(pair[1]);

	for (int i = 0; i < 10 && SSL_do_handshake(h.raw.ssl) != 1; i++)
		hand_pass(&h, SIZE_MAX);
	hand_pass(&h, SIZE_MAX);
	ck_assert_int_eq(SSL_write(h.raw.ssl, "good", 4), 4);
	hand_pass(&h, SIZE_MAX);
	ck_assert_int_eq(SSL_write(h.raw.ssl, "evil", 4), 4);
	ck_assert_int_eq(BIO_read_ex(h.out, record, sizeof(record), &n), 1);
	record[n - 1] ^= 1;
	ck_assert_int_eq(write(pair[1], record, n), (ssize_t)n);
	ended_wait(e);
	ck_assert_int_eq(e->how, STREAM_BROKEN);
	ck_assert_int_eq(e->stream.error, EPROTO);
	ck_assert(span_equal(buffer_span(&e->got), span_of("good")));
	raw_free(&h.raw);
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

START_TEST(closing_in_order_sends_everything_and_says_goodbye)
{
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server };
	struct raw r;
	struct end *e = raw_begin(&offer, &r, TLS1_3_VERSION, TLS1_3_VERSION);
	static char text[1000000];
	static char all[1000000 + 10];

	ck_assert(raw_handshake(&r));
	for (int i = 0; i < TURNS_MAX && e->done_calls == 0; i++)
		loop_turn(w.loop, 1000);
	ck_assert(stream_write(&e->stream, (struct span){ text, sizeof(text) }));
	stream_close_when_drained(&e->stream);
	ck_assert_uint_eq(raw_read(&r, all, sizeof(all)), sizeof(text));
	ck_assert((SSL_get_shutdown(r.ssl) & SSL_RECEIVED_SHUTDOWN) != 0);
	ck_assert_int_eq(e->drained_calls, 1);
	ck_assert_int_eq(e->ended_calls, 0);
	ck_assert(!stream_is_open(&e->stream));
	raw_free(&r);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

/* --- the openssl command --------------------------------------------------------------- */

/* The port that a listening socket on loopback got. */
static int
listen_somewhere(uint16_t *port)
{
	struct ip_endpoint any = { .port = 0 };
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &any.ip), PARSE_OK);
	int fd = listener_open(&any, 10, 0, &w.fault);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	*port = ip_of_sockaddr(&address).port;
	return fd;
}

/* Run a command of the shell; its input and output are the descriptor. */
static pid_t
command_start(const char *command, int fd)
{
	pid_t child = fork();

	if (child == 0) {
		(void)dup2(fd, STDIN_FILENO);
		(void)dup2(fd, STDOUT_FILENO);
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	ck_assert_int_gt(child, 0);
	return child;
}

static void
command_end(pid_t child)
{
	int status;

	(void)kill(child, SIGTERM);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
}

START_TEST(openssl_s_client_connects_and_presents_its_certificate)
{
	static const char *const options[] = { "-tls1_3", "-tls1_2" };
	struct tls_server *server = server_simple(TLS_INTERMEDIATE);
	struct tls_offer offer = { .server = server, .wants_certificate = true };
	uint16_t port;
	int listening = listen_somewhere(&port), pair[2], fd = -1;
	char command[1000], text[100];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)snprintf(command, sizeof(command),
		       "exec openssl s_client -quiet -verify_return_error -CAfile %s/ca.crt %s "
		       "-verify_hostname relay.example.com -servername relay.example.com "
		       "-cert %s/client.crt -key %s/client.key -connect 127.0.0.1:%u 2>/dev/null",
		       w.folder, options[_i], w.folder, w.folder, (unsigned)port);
	pid_t child = command_start(command, pair[1]);

	for (int i = 0; i < TURNS_MAX && (fd = accept(listening, NULL, NULL)) == -1; i++)
		loop_turn(w.loop, 5);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	struct end *e = end_accept(fd, &offer);

	e->greeting = span_of("220 relay\r\n");
	e->echoes = true;
	ck_assert_int_eq(write(pair[0], "EHLO me\r\n", 9), 9);
	got_wait(e, 9);
	ck_assert(e->facts->is_verified);
	ck_assert(has_identity(e->facts, "dns:billing.example.com"));
	loop_turn(w.loop, 0);
	size_t n = 0;

	while (n < 20) {
		ssize_t more = read(pair[0], text + n, sizeof(text) - n);

		ck_assert_int_gt(more, 0);
		n += (size_t)more;
	}
	ck_assert_int_eq(memcmp(text, "220 relay\r\nEHLO me\r\n", 20), 0);
	command_end(child);
	(void)close(listening);
	(void)close(pair[0]);
	(void)close(pair[1]);
	end_free(&e);
	tls_server_free(&server);
}
END_TEST

static void
end_connected(struct stream *stream, int error)
{
	struct tls_request request = { .client = w.client,
				       .name = SPAN_LITERAL("relay.example.com"),
				       .check = TLS_CHECK_NAME };

	if (error == 0)
		ck_assert(tls_connect(stream, &request, end_done, &w.fault));
	else
		end_of(stream)->ended_calls++;
}

START_TEST(our_client_connects_to_openssl_s_server_and_resumes)
{
	static const struct stream_events events = { .received = end_received,
						     .ended = end_ended,
						     .drained = end_drained,
						     .connected = end_connected };
	struct ip_endpoint to = { .port = 0 };
	uint16_t port;
	int pair[2];
	char command[1000];

	(void)close(listen_somewhere(&port)); /* was free a moment ago */
	to.port = port;
	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &to.ip), PARSE_OK);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	(void)snprintf(command, sizeof(command),
		       "exec openssl s_server -quiet -rev -accept 127.0.0.1:%u -Verify 1 "
		       "-verify_return_error -CAfile %s/ca.crt -cert %s/rsa.crt -key %s/rsa.key "
		       "%s 2>/dev/null",
		       (unsigned)port, w.folder, w.folder, w.folder, _i == 0 ? "-tls1_3" : "-tls1_2");
	pid_t child = command_start(command, pair[1]);

	w.client = client_new("ca.crt", "client", TLS_INTERMEDIATE);
	for (int round = 0; round < 2; round++) {
		struct end *e = NULL;

		for (int i = 0; i < 2000; i++) { /* until it listens */
			e = memory_new(sizeof(*e));
			buffer_init(&e->got, 1000);
			ck_assert(stream_connect(&e->stream, w.loop, &to, NULL, &events, 1000,
						 1000, &w.fault));
			e->greeting = span_of("olleh\n");
			while (!end_is_over(e))
				loop_turn(w.loop, 1000);
			if (e->done_calls > 0)
				break;
			end_free(&e);
			loop_turn(w.loop, 10);
		}
		ck_assert_ptr_nonnull(e);
		ck_assert_msg(e->facts != NULL, "%s", fault_text(&e->fault));
		ck_assert(e->facts->is_verified);
		ck_assert(e->facts->is_resumed == (round == 1));
		got_wait(e, 6);
		ck_assert(span_equal(buffer_span(&e->got), span_of("hello\n")));
		end_free(&e);
	}
	command_end(child);
	(void)close(pair[0]);
	(void)close(pair[1]);
	tls_client_free(&w.client);
}
END_TEST

/* --- all of them ----------------------------------------------------------------------- */

static TCase *
bytes_case(void)
{
	TCase *tc = tls_case_new("bytes");

	tcase_add_test(tc, much_data_goes_both_ways_at_once_whole_and_in_order);
	tcase_add_test(tc, paused_reader_stops_the_writer_and_loses_nothing);
	tcase_add_test(tc, octets_may_come_one_by_one);
	tcase_add_loop_test(tc, client_with_little_memory_may_ask_for_small_records, 0, 2);
	tcase_add_test(tc, forgotten_output_is_not_sent_and_leaves_the_stream_in_order);
	tcase_add_test(tc, slow_reader_cannot_make_us_keep_more_than_the_limit);
	tcase_add_loop_test(tc, goodbye_is_told_from_a_connection_that_is_cut, 0, 4);
	tcase_add_test(tc, record_that_was_tampered_with_breaks_the_stream);
	tcase_add_test(tc, closing_in_order_sends_everything_and_says_goodbye);
	return tc;
}

static TCase *
company_case(void)
{
	TCase *tc = tls_case_new("the openssl command");

	tcase_add_loop_test(tc, openssl_s_client_connects_and_presents_its_certificate, 0, 2);
	tcase_add_loop_test(tc, our_client_connects_to_openssl_s_server_and_resumes, 0, 2);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("tls bytes");

	suite_add_tcase(suite, bytes_case());
	suite_add_tcase(suite, company_case());
	return tls_suite_main(suite);
}
