/* SPDX-License-Identifier: ISC */
/* net/: listening sockets, with and without descriptors to accept on. */
#include "net/listener.h"

#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#define CLIENTS_MAX 200
#define FAREWELL    "421 4.3.2 Too many connections\r\n"

struct acceptor {
	struct listener listener;
	struct ip_endpoint at;
	int fd;
	int accepted[CLIENTS_MAX];
	int count;
	int pauses_after; /* connections; 0: never */
	struct ip_endpoint peer, local;
};

static void
acceptor_accepted(struct listener *listener, int fd, const struct ip_endpoint *peer,
		  const struct ip_endpoint *local)
{
	struct acceptor *a = LIST_OWNER(listener, struct acceptor, listener);

	a->accepted[a->count++] = fd;
	a->peer = *peer;
	a->local = *local;
	if (a->count == a->pauses_after)
		listener_pause(listener);
}

static struct ip_endpoint
name_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ip_of_sockaddr(&address);
}

static void
acceptor_open(struct acceptor *a, struct loop *loop, const char *ip)
{
	struct ip_endpoint any = { .port = 0 };
	struct fault fault;

	*a = (struct acceptor){ .count = 0 };
	ck_assert_int_eq(ip_parse(span_of(ip), &any.ip), PARSE_OK);
	a->fd = listener_open(&any, 256, LISTENER_V6ONLY, &fault);
	ck_assert_int_ne(a->fd, -1);
	a->at = name_of(a->fd);
	ck_assert(listener_start(&a->listener, loop, a->fd, acceptor_accepted,
				 span_of(FAREWELL), &fault));
}

static void
acceptor_close(struct acceptor *a)
{
	listener_stop(&a->listener);
	listener_stop(&a->listener);
	(void)close(a->fd);
	while (a->count > 0)
		(void)close(a->accepted[--a->count]);
}

static int
client_connect(const struct ip_endpoint *to)
{
	struct sockaddr_storage address;
	socklen_t size = ip_to_sockaddr(to, &address);
	int fd = socket(address.ss_family, SOCK_STREAM, 0);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&address, size), 0);
	return fd;
}

static struct loop *
loop_make(void)
{
	struct fault fault;
	struct loop *loop = loop_new(&fault);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

START_TEST(connections_are_accepted_with_both_ends_known_and_without_delay_or_blocking)
{
	struct loop *loop = loop_make();
	struct acceptor a;
	int no_delay = 0;
	socklen_t size = sizeof(no_delay);

	acceptor_open(&a, loop, "127.0.0.1");
	int client = client_connect(&a.at);

	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 1);
	struct ip_endpoint own = name_of(client);

	ck_assert_int_eq(a.peer.port, own.port);
	ck_assert_int_eq(ip_compare(&a.peer.ip, &own.ip), 0);
	ck_assert_int_eq(a.local.port, a.at.port);
	ck_assert_int_ne(fcntl(a.accepted[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(a.accepted[0], F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(
	    getsockopt(a.accepted[0], IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
	ck_assert_int_ne(no_delay, 0);
	(void)close(client);
	acceptor_close(&a);
	loop_free(&loop);
}
END_TEST

START_TEST(address_that_a_wildcard_listener_was_reached_at_is_told)
{
	struct loop *loop = loop_make();
	struct acceptor a;
	struct ip loopback;

	acceptor_open(&a, loop, "0.0.0.0");
	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &loopback), PARSE_OK);
	a.at.ip = loopback;
	int client = client_connect(&a.at);

	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 1);
	ck_assert_int_eq(ip_compare(&a.local.ip, &loopback), 0);
	ck_assert_int_eq(a.local.port, a.at.port);
	(void)close(client);
	acceptor_close(&a);
	loop_free(&loop);
}
END_TEST

START_TEST(two_sockets_share_an_address_only_when_both_say_so)
{
	struct ip_endpoint at = { .port = 0 };
	struct fault fault;

	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &at.ip), PARSE_OK);
	int first = listener_open(&at, 1, LISTENER_REUSEPORT, &fault);

	ck_assert_int_ne(first, -1);
	at = name_of(first);
	int second = listener_open(&at, 1, LISTENER_REUSEPORT, &fault);

	ck_assert_int_ne(second, -1);
	ck_assert_int_eq(listener_open(&at, 1, 0, &fault), -1);
	ck_assert_int_eq(fault.error, EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(fault_text(&fault), "127.0.0.1:"));
	(void)close(first);
	(void)close(second);
}
END_TEST

START_TEST(a_turn_accepts_a_bounded_number_and_the_next_one_goes_on)
{
	struct loop *loop = loop_make();
	struct acceptor a;
	int clients[100];

	acceptor_open(&a, loop, "127.0.0.1");
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = client_connect(&a.at);
	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 64);
	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 100);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		(void)close(clients[i]);
	acceptor_close(&a);
	loop_free(&loop);
}
END_TEST

START_TEST(paused_listener_leaves_connections_waiting)
{
	struct loop *loop = loop_make();
	struct acceptor a;
	int clients[3];

	acceptor_open(&a, loop, "127.0.0.1");
	a.pauses_after = 1;
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = client_connect(&a.at);
	loop_turn(loop, 1000);
	loop_turn(loop, 0);
	ck_assert_int_eq(a.count, 1);
	listener_resume(&a.listener);
	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 3);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		(void)close(clients[i]);
	acceptor_close(&a);
	loop_free(&loop);
}
END_TEST

/* Take every descriptor that is left under a low limit; returns how many. */
static int
descriptors_use_up(int taken[CLIENTS_MAX])
{
	struct rlimit limit;
	int count = 0, fd = dup(0);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = (rlim_t)fd + 5;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	do {
		taken[count++] = fd;
	} while ((fd = dup(0)) != -1);
	ck_assert_int_eq(errno, EMFILE);
	return count;
}

static void
client_was_told(int client)
{
	char text[100];
	size_t len = 0;
	ssize_t n;

	while ((n = read(client, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	ck_assert_int_eq(n, 0);
	ck_assert(span_equal((struct span){ text, len }, span_of(FAREWELL)));
	(void)close(client);
}

START_TEST(clients_are_told_when_descriptors_run_out_and_served_when_they_are_back)
{
	struct loop *loop = loop_make();
	struct acceptor a;
	int clients[8], taken[CLIENTS_MAX];

	acceptor_open(&a, loop, "127.0.0.1");
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		clients[i] = client_connect(&a.at);
	int count = descriptors_use_up(taken);

	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 0);
	ck_assert_uint_eq(a.listener.turned_away, ARRAY_LEN(clients));
	ck_assert_int_ne(a.listener.spare_fd, -1);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		client_was_told(clients[i]);
	while (count > 0)
		(void)close(taken[--count]);
	int client = client_connect(&a.at);

	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 1);
	(void)close(client);
	acceptor_close(&a);
	loop_free(&loop);
}
END_TEST

START_TEST(listener_without_even_a_spare_descriptor_rests_instead_of_spinning)
{
	struct loop *loop = loop_make();
	struct acceptor a;
	int taken[CLIENTS_MAX], turns = 0;

	acceptor_open(&a, loop, "127.0.0.1");
	int client = client_connect(&a.at);

	(void)close(a.listener.spare_fd);
	a.listener.spare_fd = -1;
	int count = descriptors_use_up(taken);

	loop_turn(loop, 1000);
	ck_assert_int_eq(a.count, 0);
	ck_assert_uint_eq(a.listener.watch.wanted, 0);
	ck_assert(loop_timer_is_set(&a.listener.retry));
	listener_resume(&a.listener); /* does not undo the rest */
	ck_assert_uint_eq(a.listener.watch.wanted, 0);
	while (count > 0)
		(void)close(taken[--count]);
	for (; a.count == 0; turns++)
		loop_turn(loop, 1000);
	ck_assert_int_le(turns, 10);
	ck_assert_int_ne(a.listener.spare_fd, -1);
	(void)close(client);
	acceptor_close(&a);
	loop_free(&loop);
}
END_TEST

static Suite *
listener_suite(void)
{
	Suite *suite = suite_create("listener");
	TCase *tc = tcase_create("listener");

	tcase_add_test(tc,
		       connections_are_accepted_with_both_ends_known_and_without_delay_or_blocking);
	tcase_add_test(tc, address_that_a_wildcard_listener_was_reached_at_is_told);
	tcase_add_test(tc, two_sockets_share_an_address_only_when_both_say_so);
	tcase_add_test(tc, a_turn_accepts_a_bounded_number_and_the_next_one_goes_on);
	tcase_add_test(tc, paused_listener_leaves_connections_waiting);
	tcase_add_test(tc,
		       clients_are_told_when_descriptors_run_out_and_served_when_they_are_back);
	tcase_add_test(tc, listener_without_even_a_spare_descriptor_rests_instead_of_spinning);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(listener_suite());
}
