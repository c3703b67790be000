/* SPDX-License-Identifier: ISC */
/*
 * net/: DNS against a real name server, unbound(8) on a free port of the loopback interface,
 * which knows a zone of its own. Left out, with a message, when unbound is not installed.
 */
#include "net/dns.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/hosts.h"

#include "suite.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNBOUND	      "/usr/sbin/unbound"
#define START_MS      20000
#define ZONE	      "relayd-test.example."
#define LONG_TEXTS    40

/* --- the name server ---------------------------------------------------------------- */

static struct {
	pid_t pid;
	char dir[64];
	char config[96];
	char forwarder[32];
} server;

static const char *const zone_data[] = {
	"host." ZONE " 300 A 192.0.2.1",
	"host." ZONE " 60 A 192.0.2.2",
	"host." ZONE " AAAA 2001:db8::1",
	"v4only." ZONE " A 192.0.2.4",
	ZONE " MX 10 mx1." ZONE,
	ZONE " MX 20 mx2." ZONE,
	"nomail." ZONE " MX 0 .",
	"text." ZONE " TXT \"v=spf1 \" \"-all\"",
	"alias." ZONE " CNAME alias2." ZONE,
	"alias2." ZONE " CNAME host." ZONE,
	"_25._tcp.mx1." ZONE " TLSA 3 1 1 "
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
};

/* A port that is free for both protocols now. */
static unsigned
free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof(at);
	int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned port = 0;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(tcp, (const struct sockaddr *)&at, size) == 0 &&
	    getsockname(tcp, (struct sockaddr *)&at, &size) == 0 &&
	    bind(udp, (const struct sockaddr *)&at, size) == 0)
		port = ntohs(at.sin_port);
	(void)close(tcp);
	(void)close(udp);
	return port;
}

static void
config_write(unsigned port)
{
	FILE *file = fopen(server.config, "w");

	ck_assert_ptr_nonnull(file);
	(void)fprintf(file,
		      "server:\n"
		      " interface: 127.0.0.1\n port: %u\n do-daemonize: no\n use-syslog: no\n"
		      " chroot: \"\"\n username: \"\"\n pidfile: \"\"\n directory: \"%s\"\n"
		      " module-config: \"iterator\"\n do-ip6: no\n num-threads: 1\n"
		      " verbosity: 1\n so-rcvbuf: 0\n"
		      " local-zone: \"" ZONE "\" static\n"
		      " local-zone: \"refused." ZONE "\" always_refuse\n"
		      " local-zone: \"silent." ZONE "\" always_deny\n"
		      " local-zone: \"10.in-addr.arpa.\" static\n"
		      " local-data: \"7.1.20.10.in-addr.arpa. PTR app7." ZONE "\"\n",
		      port, server.dir);
	for (size_t i = 0; i < ARRAY_LEN(zone_data); i++)
		(void)fprintf(file, " local-data: '%s'\n", zone_data[i]);
	for (int i = 0; i < LONG_TEXTS; i++)
		(void)fprintf(file, " local-data: 'long." ZONE " TXT \"%02d%0150d\"'\n", i, 0);
	(void)fprintf(file, "remote-control:\n control-enable: no\n");
	ck_assert_int_eq(fclose(file), 0);
}

/* Read what the server says until it serves; false when it ends before. */
static bool
server_is_up(int log)
{
	static const char up[] = "start of service";
	int64_t until = clock_monotonic_ms() + START_MS;
	char text[8192];
	size_t len = 0;

	while (len < sizeof(text) - 1) {
		struct pollfd wait = { .fd = log, .events = POLLIN };
		int left = (int)(until - clock_monotonic_ms());

		if (left <= 0 || poll(&wait, 1, left) <= 0)
			return false;
		ssize_t n = read(log, text + len, sizeof(text) - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		if (strstr(text, up) != NULL)
			return true;
	}
	return false;
}

static bool
server_start(void)
{
	unsigned port = free_port();
	int log[2];

	config_write(port);
	(void)snprintf(server.forwarder, sizeof(server.forwarder), "127.0.0.1@%u", port);
	ck_assert_int_eq(pipe(log), 0);
	server.pid = fork();
	ck_assert_int_ne(server.pid, -1);
	if (server.pid == 0) {
		(void)dup2(log[1], STDERR_FILENO);
		(void)close(log[0]);
		(void)close(log[1]);
		(void)execl(UNBOUND, "unbound", "-d", "-c", server.config, (char *)NULL);
		_exit(127);
	}
	(void)close(log[1]);
	bool is_up = server_is_up(log[0]);

	/* the reading end stays open: the server may log more */
	return is_up;
}

static void
server_stop(void)
{
	if (server.pid > 0) {
		(void)kill(server.pid, SIGTERM);
		(void)waitpid(server.pid, NULL, 0);
	}
	server.pid = 0;
}

static void
server_setup(void)
{
	(void)snprintf(server.dir, sizeof(server.dir), "/tmp/relayd-dns-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(server.dir));
	(void)snprintf(server.config, sizeof(server.config), "%s/unbound.conf", server.dir);
	for (int tries = 0; tries < 5; tries++) { /* someone may take the port meanwhile */
		if (server_start())
			return;
		server_stop();
	}
	ck_abort_msg("unbound does not start with %s", server.config);
}

static void
server_teardown(void)
{
	server_stop();
	(void)unlink(server.config);
	(void)rmdir(server.dir);
}

/* --- asking ------------------------------------------------------------------------- */

struct asked {
	struct loop *loop;
	struct dns *dns;
	struct dns_query *query;
	int calls;
	enum dns_status status;
	size_t count;
	uint32_t ttl_s;
	bool is_secure;
	struct dns_record records[DNS_RECORDS_MAX];
	char text[DNS_RECORDS_MAX][512]; /* the records' names or data */
	struct asked *cancels;		 /* in done */
	bool frees_dns;			 /* in done */
	struct asked *asks;		 /* in done, the same question */
};

static void
asked_done(void *context, const struct dns_answer *answer)
{
	struct asked *a = context;

	a->calls++;
	a->status = answer->status;
	a->count = answer->count;
	a->ttl_s = answer->ttl_s;
	a->is_secure = answer->is_secure;
	for (size_t i = 0; i < answer->count; i++) {
		const struct dns_record *r = &answer->records[i];
		struct span text = r->name.len > 0 ? r->name : r->data;

		a->records[i] = *r;
		if (text.len > 0)
			memcpy(a->text[i], text.ptr, text.len);
		a->text[i][text.len] = '\0';
	}
	if (a->cancels != NULL)
		dns_cancel(&a->cancels->query);
	if (a->frees_dns)
		dns_free(&a->dns);
	if (a->asks != NULL)
		a->asks->query = dns_ask(a->dns, span_of("host." ZONE), DNS_A, asked_done, a->asks);
	a->query = NULL;
}

static struct dns *
dns_make(struct loop *loop, const char *forwarder)
{
	const char *forwarders[] = { forwarder };
	struct dns_settings settings = { .forwarders = forwarders, .forwarder_count = 1 };
	struct fault fault;
	struct dns *dns = dns_new(loop, &settings, &fault);

	ck_assert_msg(dns != NULL, "%s", dns == NULL ? fault_text(&fault) : "");
	return dns;
}

static struct asked *
asked_new(void)
{
	struct fault fault;
	struct asked *a = memory_new(sizeof(*a));

	a->loop = loop_new(&fault);
	ck_assert_ptr_nonnull(a->loop);
	a->dns = dns_make(a->loop, server.forwarder);
	return a;
}

static void
asked_free(struct asked *a)
{
	dns_free(&a->dns);
	loop_free(&a->loop);
	free(a);
}

static void
ask(struct asked *a, const char *name, enum dns_type type)
{
	int before = a->calls;

	a->query = dns_ask(a->dns, span_of(name), type, asked_done, a);
	ck_assert_ptr_nonnull(a->query);
	ck_assert_int_eq(a->calls, before); /* never from within */
	while (a->calls == before)
		loop_turn(a->loop, -1);
}

START_TEST(address_records_are_found_and_kept_for_the_shortest_time)
{
	struct asked *a = asked_new();
	char text[IP_TEXT_SIZE];

	ask(a, "host." ZONE, DNS_A);
	ck_assert_int_eq(a->status, DNS_FOUND);
	ck_assert_uint_eq(a->count, 2);
	ck_assert(ip_is_v4(&a->records[0].ip) && ip_is_v4(&a->records[1].ip));
	ck_assert_uint_le(a->ttl_s, 300);
	ck_assert(!a->is_secure);
	ask(a, "HOST.relayd-test.EXAMPLE", DNS_AAAA);
	ck_assert_int_eq(a->status, DNS_FOUND);
	ip_text(&a->records[0].ip, text);
	ck_assert_str_eq(text, "2001:db8::1");
	asked_free(a);
}
END_TEST

START_TEST(second_answer_comes_from_the_cache_and_still_in_a_later_turn)
{
	struct asked *a = asked_new();

	for (int i = 1; i <= 3; i++) {
		ask(a, "host." ZONE, DNS_A);
		ck_assert_int_eq(a->calls, i);
		ck_assert_uint_eq(a->count, 2);
	}
	asked_free(a);
}
END_TEST

START_TEST(mail_exchangers_text_pointers_and_certificates_are_found)
{
	struct asked *a = asked_new();
	char name[DNS_REVERSE_SIZE];
	struct ip ip;

	ask(a, ZONE, DNS_MX);
	ck_assert_uint_eq(a->count, 2);
	size_t first = a->records[0].preference == 10 ? 0 : 1;

	ck_assert_str_eq(a->text[first], "mx1.relayd-test.example");
	ck_assert_str_eq(a->text[1 - first], "mx2.relayd-test.example");
	ck_assert_uint_eq(a->records[1 - first].preference, 20);
	ask(a, "nomail." ZONE, DNS_MX);
	ck_assert_uint_eq(a->count, 1);
	ck_assert_uint_eq(a->records[0].name.len, 0);
	ask(a, "text." ZONE, DNS_TXT);
	ck_assert_str_eq(a->text[0], "v=spf1 -all");
	ck_assert_int_eq(ip_parse(span_of("10.20.1.7"), &ip), PARSE_OK);
	dns_reverse_name(&ip, name);
	ask(a, name, DNS_PTR);
	ck_assert_str_eq(a->text[0], "app7.relayd-test.example");
	ask(a, "_25._tcp.mx1." ZONE, DNS_TLSA);
	ck_assert_uint_eq(a->records[0].data.len, 35);
	asked_free(a);
}
END_TEST

START_TEST(aliases_are_followed)
{
	struct asked *a = asked_new();

	ask(a, "alias." ZONE, DNS_A);
	ck_assert_int_eq(a->status, DNS_FOUND);
	ck_assert_uint_eq(a->count, 2);
	asked_free(a);
}
END_TEST

START_TEST(answer_too_large_for_a_datagram_comes_over_tcp)
{
	struct asked *a = asked_new();

	ask(a, "long." ZONE, DNS_TXT);
	ck_assert_int_eq(a->status, DNS_FOUND);
	ck_assert_uint_eq(a->count, LONG_TEXTS);
	ck_assert_uint_eq(strlen(a->text[LONG_TEXTS - 1]), 152);
	asked_free(a);
}
END_TEST

START_TEST(what_does_not_exist_is_absent)
{
	struct asked *a = asked_new();

	ask(a, "nobody." ZONE, DNS_A);
	ck_assert_int_eq(a->status, DNS_ABSENT);
	ck_assert_uint_eq(a->count, 0);
	ask(a, "v4only." ZONE, DNS_AAAA);
	ck_assert_int_eq(a->status, DNS_ABSENT);
	asked_free(a);
}
END_TEST

START_TEST(what_cannot_be_looked_up_is_trouble)
{
	struct asked *a = asked_new();

	ask(a, "x.refused." ZONE, DNS_A);
	ck_assert_int_eq(a->status, DNS_TROUBLE);
	ck_assert_uint_eq(a->count, 0);
	asked_free(a);
}
END_TEST

START_TEST(what_cannot_even_be_asked_is_trouble)
{
	static const char *const bad[] = { "", ".", "..", "a..b", ".a", "a b", "a\tb", "a\\.b",
		"\xc3\xa4.example", "a.example..",
		"0123456789012345678901234567890123456789012345678901234567890123.example" };
	char longest[300];
	struct asked *a = asked_new();

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ask(a, bad[i], DNS_A);
		ck_assert_msg(a->status == DNS_TROUBLE, "%s", bad[i]);
	}
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 == 0 ? 'a' : '.';
	longest[254] = '\0';
	ask(a, longest, DNS_A);
	ck_assert_int_eq(a->status, DNS_TROUBLE);
	asked_free(a);
}
END_TEST

START_TEST(deadline_ends_a_question_that_nobody_answers)
{
	struct asked *a = asked_new();
	const char *forwarders[] = { server.forwarder };
	struct dns_settings settings = { .forwarders = forwarders, .forwarder_count = 1,
					 .deadline_ms = 50 };
	struct fault fault;

	dns_free(&a->dns);
	a->dns = dns_new(a->loop, &settings, &fault);
	int64_t before = clock_monotonic_ms();

	ask(a, "x.silent." ZONE, DNS_A);
	ck_assert_int_eq(a->status, DNS_TROUBLE);
	ck_assert_int_ge(clock_monotonic_ms() - before, 50);
	ask(a, "host." ZONE, DNS_A); /* goes on working */
	ck_assert_int_eq(a->status, DNS_FOUND);
	asked_free(a);
}
END_TEST

START_TEST(dead_name_server_is_trouble)
{
	struct asked *a = asked_new();
	char dead[32];
	const char *forwarders[] = { dead };
	struct dns_settings settings = { .forwarders = forwarders, .forwarder_count = 1,
					 .deadline_ms = 200 };
	struct fault fault;

	(void)snprintf(dead, sizeof(dead), "127.0.0.1@%u", free_port());
	dns_free(&a->dns);
	a->dns = dns_new(a->loop, &settings, &fault);
	ask(a, "host." ZONE, DNS_A);
	ck_assert_int_eq(a->status, DNS_TROUBLE);
	asked_free(a);
}
END_TEST

START_TEST(cancelled_question_calls_nobody)
{
	struct asked *a = asked_new();
	struct asked *b = memory_new(sizeof(*b));

	/* under way */
	b->query = dns_ask(a->dns, span_of("host." ZONE), DNS_AAAA, asked_done, b);
	dns_cancel(&b->query);
	ck_assert_ptr_null(b->query);
	dns_cancel(&b->query);
	ask(a, "host." ZONE, DNS_A);
	/* answered from the cache, not yet delivered */
	b->query = dns_ask(a->dns, span_of("host." ZONE), DNS_A, asked_done, b);
	dns_cancel(&b->query);
	ask(a, "host." ZONE, DNS_A);
	/* from within the answer to another, whose turn would come next; and itself */
	a->cancels = b;
	a->query = dns_ask(a->dns, span_of("host." ZONE), DNS_A, asked_done, a);
	b->query = dns_ask(a->dns, span_of("host." ZONE), DNS_A, asked_done, b);
	for (int i = 0; i < 3; i++)
		loop_turn(a->loop, 0);
	ck_assert_int_eq(a->calls, 3);
	a->cancels = a;
	ask(a, "host." ZONE, DNS_A);
	ck_assert_int_eq(b->calls, 0);
	free(b);
	asked_free(a);
}
END_TEST

START_TEST(question_may_be_asked_from_within_an_answer)
{
	struct asked *a = asked_new();
	struct asked *b = memory_new(sizeof(*b));

	a->asks = b;
	ask(a, "v4only." ZONE, DNS_A);
	while (b->calls == 0)
		loop_turn(a->loop, -1);
	ck_assert_uint_eq(b->count, 2);
	free(b);
	asked_free(a);
}
END_TEST

START_TEST(resolver_may_be_freed_with_questions_under_way_and_from_within_an_answer)
{
	struct asked *a = asked_new();
	struct asked *b = memory_new(sizeof(*b));

	(void)dns_ask(a->dns, span_of("x.silent." ZONE), DNS_A, asked_done, b);
	dns_free(&a->dns);
	loop_turn(a->loop, 0);
	a->dns = dns_make(a->loop, server.forwarder);
	ask(a, "host." ZONE, DNS_A);
	(void)dns_ask(a->dns, span_of("y.silent." ZONE), DNS_A, asked_done, b);
	a->query = dns_ask(a->dns, span_of("host." ZONE), DNS_A, asked_done, a);
	(void)dns_ask(a->dns, span_of("host." ZONE), DNS_A, asked_done, b);
	a->frees_dns = true;
	while (a->calls == 1)
		loop_turn(a->loop, -1);
	ck_assert_ptr_null(a->dns);
	loop_turn(a->loop, 0);
	ck_assert_int_eq(a->calls, 2);
	ck_assert_int_eq(b->calls, 0);
	/* and with an answer waiting to be delivered */
	a->frees_dns = false;
	a->dns = dns_make(a->loop, server.forwarder);
	(void)dns_ask(a->dns, span_of(""), DNS_A, asked_done, b);
	dns_free(&a->dns);
	loop_turn(a->loop, 0);
	ck_assert_int_eq(b->calls, 0);
	free(b);
	asked_free(a);
}
END_TEST

START_TEST(many_questions_at_once_are_all_answered)
{
	enum { MANY = 600 };
	struct asked *a = asked_new();
	struct asked *all = memory_new_array(MANY, sizeof(*all));
	int done = 0;

	for (int i = 0; i < MANY; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "n%d." ZONE, i);
		all[i].query = dns_ask(a->dns, span_of(name), DNS_A, asked_done, &all[i]);
	}
	while (done < MANY) {
		loop_turn(a->loop, -1);
		for (done = 0; done < MANY && all[done].calls > 0;)
			done++;
	}
	for (int i = 0; i < MANY; i++) {
		ck_assert_int_eq(all[i].calls, 1);
		ck_assert_int_eq(all[i].status, DNS_ABSENT);
	}
	free(all);
	asked_free(a);
}
END_TEST

/* --- the hosts file, and setting up --------------------------------------------------- */

static void
hosts_write(char path[64])
{
	static const char text[] = "127.0.0.1\tlocalhost\n"
				   "# 192.0.2.9 commented.example\n"
				   "192.0.2.10 Mail.Example. mail # 192.0.2.11 x\r\n"
				   "2001:db8::10 six.example\n"
				   "192.0.2.12 mail.example\n"
				   "fe80::1%lo0 scoped.example\n"
				   "not an address\n"
				   "192.0.2.13";
	int fd;

	(void)snprintf(path, 64, "/tmp/relayd-hosts-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	(void)close(fd);
}

START_TEST(hosts_file_is_read_as_the_c_library_does)
{
	struct hosts hosts;
	struct fault fault;
	char path[64];

	hosts_write(path);
	ck_assert(hosts_read(&hosts, path, &fault));
	const struct host_address *mail = hosts_find(&hosts, span_of("MAIL.example"));

	ck_assert_ptr_nonnull(mail);
	ck_assert_ptr_nonnull(mail->next);
	ck_assert_ptr_null(mail->next->next);
	ck_assert_ptr_nonnull(hosts_find(&hosts, span_of("mail")));
	ck_assert_ptr_nonnull(hosts_find(&hosts, span_of("six.example.")));
	ck_assert_ptr_null(hosts_find(&hosts, span_of("commented.example")));
	ck_assert_ptr_null(hosts_find(&hosts, span_of("scoped.example")));
	ck_assert_ptr_null(hosts_find(&hosts, span_of("x")));
	ck_assert_ptr_null(hosts_find(&hosts, span_of("")));
	hosts_reset(&hosts);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(hosts_read(&hosts, path, &fault)); /* gone: empty */
	hosts_reset(&hosts);
	ck_assert(!hosts_read(&hosts, "/tmp", &fault));
	hosts_reset(&hosts);
}
END_TEST

START_TEST(hosts_file_answers_for_addresses_and_for_nothing_else)
{
	struct asked *a = memory_new(sizeof(*a));
	const char *forwarders[] = { "127.0.0.1@1" }; /* nobody there */
	char path[64];
	struct dns_settings settings = { .forwarders = forwarders, .forwarder_count = 1,
					 .uses_hosts_file = true, .hosts_path = path,
					 .deadline_ms = 50 };
	struct fault fault;

	hosts_write(path);
	a->loop = loop_new(&fault);
	a->dns = dns_new(a->loop, &settings, &fault);
	ck_assert_ptr_nonnull(a->dns);
	ask(a, "mail.example", DNS_A);
	ck_assert_int_eq(a->status, DNS_FOUND);
	ck_assert_uint_eq(a->count, 2);
	ask(a, "mail.example", DNS_AAAA);
	ck_assert_int_eq(a->status, DNS_ABSENT);
	ask(a, "mail.example", DNS_MX);
	ck_assert_int_eq(a->status, DNS_TROUBLE); /* asked, in vain */
	ck_assert_int_eq(unlink(path), 0);
	asked_free(a);
}
END_TEST

START_TEST(settings_that_cannot_work_are_faults)
{
	static const char *const bad[] = { "not an address" };
	static const char *const good[] = { "127.0.0.1@1" };
	static const struct dns_settings settings[] = {
		{ .forwarders = bad, .forwarder_count = 1 },
		{ .forwarders = good, .forwarder_count = 1,
		  .trust_anchor_file = "/nonexistent/anchor" },
		{ .forwarders = good, .forwarder_count = 1, .trust_anchor_file = "/dev/null/x" },
		{ .forwarders = good, .forwarder_count = 1, .uses_hosts_file = true,
		  .hosts_path = "/tmp" },
	};
	struct fault fault;
	struct loop *loop = loop_new(&fault);

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		ck_assert_msg(dns_new(loop, &settings[i], &fault) == NULL, "case %zu", i);
		ck_assert_uint_gt(strlen(fault_text(&fault)), 5);
	}
	loop_free(&loop);
}
END_TEST

static Suite *
dns_suite(void)
{
	Suite *suite = suite_create("dns");
	TCase *alone = tcase_create("alone");
	TCase *tc = tcase_create("unbound");

	tcase_add_test(alone, hosts_file_is_read_as_the_c_library_does);
	tcase_add_test(alone, hosts_file_answers_for_addresses_and_for_nothing_else);
	tcase_add_test(alone, settings_that_cannot_work_are_faults);
	suite_add_tcase(suite, alone);
	if (access(UNBOUND, X_OK) == -1) {
		(void)fprintf(stderr, "dns_test: " UNBOUND " is not installed: most of it is "
				      "left out\n");
		return suite;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, server_setup, server_teardown);
	tcase_add_test(tc, address_records_are_found_and_kept_for_the_shortest_time);
	tcase_add_test(tc, second_answer_comes_from_the_cache_and_still_in_a_later_turn);
	tcase_add_test(tc, mail_exchangers_text_pointers_and_certificates_are_found);
	tcase_add_test(tc, aliases_are_followed);
	tcase_add_test(tc, answer_too_large_for_a_datagram_comes_over_tcp);
	tcase_add_test(tc, what_does_not_exist_is_absent);
	tcase_add_test(tc, what_cannot_be_looked_up_is_trouble);
	tcase_add_test(tc, what_cannot_even_be_asked_is_trouble);
	tcase_add_test(tc, deadline_ends_a_question_that_nobody_answers);
	tcase_add_test(tc, dead_name_server_is_trouble);
	tcase_add_test(tc, cancelled_question_calls_nobody);
	tcase_add_test(tc, question_may_be_asked_from_within_an_answer);
	tcase_add_test(tc,
		       resolver_may_be_freed_with_questions_under_way_and_from_within_an_answer);
	tcase_add_test(tc, many_questions_at_once_are_all_answered);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(dns_suite());
}
