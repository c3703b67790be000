/* SPDX-License-Identifier: ISC */
/* net/: what the service manager is told, and what it hands over. */
#include "net/notify.h"

#include "net/listener.h"

#include "suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

/* A datagram socket as the service manager has it, under dir. */
static int
manager_open(char dir[64], char path[96])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	(void)snprintf(dir, 64, "/tmp/relayd-notify-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	(void)snprintf(path, 96, "%s/socket", dir);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void
manager_close(int fd, const char *dir, const char *path)
{
	(void)close(fd);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

static const char *
manager_heard(int fd, char text[512])
{
	ssize_t n = recv(fd, text, 511, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

START_TEST(service_manager_hears_each_state)
{
	char dir[64], path[96], text[512];
	int fd = manager_open(dir, path);
	struct notify notify;
	struct fault fault;

	ck_assert(notify_init(&notify, path, &fault));
	notify_ready(&notify, "2 workers");
	ck_assert_str_eq(manager_heard(fd, text), "READY=1\nSTATUS=2 workers");
	notify_status(&notify, "busy\nREADY=1");
	ck_assert_str_eq(manager_heard(fd, text), "STATUS=busy READY=1");
	notify_reloading(&notify, NULL);
	ck_assert_ptr_nonnull(strstr(manager_heard(fd, text), "RELOADING=1\nMONOTONIC_USEC="));
	notify_stopping(&notify, "draining");
	ck_assert_str_eq(manager_heard(fd, text), "STOPPING=1\nSTATUS=draining");
	notify_main_pid(&notify, 4711);
	ck_assert_str_eq(manager_heard(fd, text), "MAINPID=4711\n");
	manager_close(fd, dir, path);
	notify_ready(&notify, "nobody listens any more");
}
END_TEST

START_TEST(abstract_socket_is_written_with_an_at_sign)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char name[64], text[512];
	struct notify notify;
	struct fault fault;

	(void)snprintf(name, sizeof(name), "@relayd-notify-test-%ld", (long)getpid());
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address,
			      (socklen_t)(sizeof(sa_family_t) + strlen(name))), 0);
	ck_assert(notify_init(&notify, name, &fault));
	notify_ready(&notify, NULL);
	ck_assert_str_eq(manager_heard(fd, text), "READY=1\n");
	(void)close(fd);
}
END_TEST

START_TEST(without_a_service_manager_nothing_happens)
{
	static const char *const bad[] = { "", "/", "relative", "vsock:2:1234" };
	char longest[200];
	struct notify notify;
	struct fault fault;

	ck_assert(notify_init(&notify, NULL, &fault));
	notify_ready(&notify, "x");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(!notify_init(&notify, bad[i], &fault), "%s", bad[i]);
		notify_ready(&notify, "x");
	}
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	ck_assert(!notify_init(&notify, longest, &fault));
}
END_TEST

/*
 * Take what LISTEN_FDS speaks of with fd as the first of them, and put back what was there:
 * Check reports through it.
 */
static bool
take_with(int fd, const char *pid, const char *fds, struct notify_listen *taken, size_t *count,
	  struct fault *fault, int flags[2])
{
	int saved = dup(NOTIFY_LISTEN_FIRST);

	(void)dup2(fd, NOTIFY_LISTEN_FIRST);
	bool is_taken = notify_take_listeners(pid, fds, 77, taken, count, fault);

	flags[0] = fcntl(NOTIFY_LISTEN_FIRST, F_GETFD);
	flags[1] = fcntl(NOTIFY_LISTEN_FIRST, F_GETFL);
	if (saved != -1)
		(void)dup2(saved, NOTIFY_LISTEN_FIRST);
	(void)close(saved);
	(void)close(fd);
	return is_taken;
}

START_TEST(handed_over_socket_is_taken_with_its_address)
{
	struct notify_listen taken[NOTIFY_LISTEN_MAX];
	struct ip_endpoint at = { .port = 0 };
	struct fault fault;
	size_t count;
	int flags[2];

	ck_assert_int_eq(ip_parse(span_of("127.0.0.1"), &at.ip), PARSE_OK);
	int fd = listener_open(&at, 1, 0, &fault);

	ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
	ck_assert(take_with(fd, "77", "1", taken, &count, &fault, flags));
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(taken[0].fd, NOTIFY_LISTEN_FIRST);
	ck_assert_int_eq(ip_compare(&taken[0].at.ip, &at.ip), 0);
	ck_assert_int_ne(taken[0].at.port, 0);
	ck_assert_int_ne(flags[0] & FD_CLOEXEC, 0);
	ck_assert_int_ne(flags[1] & O_NONBLOCK, 0);
}
END_TEST

START_TEST(sockets_for_another_process_are_none_of_ours)
{
	static const struct { const char *pid; const char *fds; } cases[] = {
		{ NULL, NULL }, { "1", NULL }, { NULL, "1" }, { "1", "3" },
	};
	struct notify_listen taken[NOTIFY_LISTEN_MAX];
	struct fault fault;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t count = 7;

		ck_assert(notify_take_listeners(cases[i].pid, cases[i].fds, getpid(), taken,
						&count, &fault));
		ck_assert_uint_eq(count, 0);
	}
}
END_TEST

START_TEST(hand_over_that_makes_no_sense_is_refused)
{
	static const struct { const char *pid; const char *fds; } cases[] = {
		{ "", "1" }, { "x", "1" }, { "-1", "1" }, { "1 ", "1" },
		{ "77", "" }, { "77", "65" }, { "77", "-1" }, { "77", "one" },
		{ "77", "1" }, /* a pipe */
	};
	struct notify_listen taken[NOTIFY_LISTEN_MAX];
	struct fault fault;
	size_t count;
	int flags[2];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int pipe_ends[2];

		ck_assert_int_eq(pipe(pipe_ends), 0);
		ck_assert_msg(!take_with(pipe_ends[0], cases[i].pid, cases[i].fds, taken, &count,
					 &fault, flags), "case %zu", i);
		ck_assert_uint_eq(count, 0);
		ck_assert_uint_gt(strlen(fault_text(&fault)), 10);
		(void)close(pipe_ends[1]);
	}
}
END_TEST

START_TEST(socket_that_does_not_listen_is_refused)
{
	struct notify_listen taken[NOTIFY_LISTEN_MAX];
	struct fault fault;
	size_t count;
	int flags[2];

	ck_assert(!take_with(socket(AF_INET, SOCK_STREAM, 0), "77", "1", taken, &count, &fault,
			     flags));
	ck_assert_ptr_nonnull(strstr(fault_text(&fault), "listening"));
}
END_TEST

static Suite *
notify_suite(void)
{
	Suite *suite = suite_create("notify");
	TCase *tc = tcase_create("notify");

	tcase_add_test(tc, service_manager_hears_each_state);
	tcase_add_test(tc, abstract_socket_is_written_with_an_at_sign);
	tcase_add_test(tc, without_a_service_manager_nothing_happens);
	tcase_add_test(tc, handed_over_socket_is_taken_with_its_address);
	tcase_add_test(tc, sockets_for_another_process_are_none_of_ours);
	tcase_add_test(tc, hand_over_that_makes_no_sense_is_refused);
	tcase_add_test(tc, socket_that_does_not_listen_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(notify_suite());
}
