/* SPDX-License-Identifier: ISC */
/*
 * Delivery to Postfix's smtp-sink, which was written by others. Left out where it is not
 * installed. `DRAIN=100000 sink_test` stores so many messages first, with the next hop down,
 * and prints what they cost and how fast they go.
 */
#include "bed.h"

#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SINK "/usr/sbin/smtp-sink"

static struct bed bed;
static pid_t sink = -1;
static struct ip_endpoint sink_at;

static bool
sink_answers(void)
{
	struct sockaddr_storage to;
	socklen_t to_len = ip_to_sockaddr(&sink_at, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = connect(fd, (struct sockaddr *)&to, to_len) == 0;

	(void)close(fd);
	return answers;
}

/* A port that is free now. */
static void
sink_place(void)
{
	struct smtp_server *server = smtp_server_new(bed.loop, 0);

	sink_at = server->at;
	smtp_server_free(&server);
}

static void
sink_start(const char *option, const char *argument)
{
	char name[] = SINK, as[] = "-u", nobody[] = "nobody", backlog[] = "128";
	char flag[8] = "", value[32] = "", at[IP_ENDPOINT_SIZE];
	char *words[8];
	size_t count = 0;

	words[count++] = name;
	if (geteuid() == 0) { /* it insists */
		words[count++] = as;
		words[count++] = nobody;
	}
	if (option != NULL) {
		(void)snprintf(flag, sizeof(flag), "%s", option);
		words[count++] = flag;
	}
	if (argument != NULL) {
		(void)snprintf(value, sizeof(value), "%s", argument);
		words[count++] = value;
	}
	ip_endpoint_text(&sink_at, at);
	words[count++] = at;
	words[count++] = backlog;
	words[count] = NULL;
	sink = fork();
	ck_assert_int_ne(sink, -1);
	if (sink == 0) {
		execv(SINK, words);
		_exit(127);
	}
	bed_until(&bed, sink_answers());
}

static void
sink_stop(void)
{
	if (sink == -1)
		return;
	(void)kill(sink, SIGTERM);
	(void)waitpid(sink, NULL, 0);
	sink = -1;
}

static void
setup(void)
{
	bed_init(&bed);
	sink_place();
	bed_route(&bed, "*");
	bed_hop(&bed, 0, "127.0.0.1", sink_at.port);
}

static void
teardown(void)
{
	sink_stop();
	bed_reset(&bed);
}

/* Faults that end, or that only change the dialogue. */
static const struct sink_option {
	const char *option;
	const char *argument;
} options[] = {
	{ NULL, NULL }, { "-e", NULL }, { "-p", NULL },  { "-8", NULL },
	{ "-N", NULL }, { "-E", NULL }, { "-w", "1" },
};

START_TEST(delivers_to_smtp_sink)
{
	unsigned count = options[_i].argument == NULL ? 200 : 2;

	sink_start(options[_i].option, options[_i].argument);
	bed_start(&bed);
	for (unsigned i = 0; i < count; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == count);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].deferred), 0);
}
END_TEST

static const struct sink_fault {
	const char *option;
	const char *argument;
	bool is_permanent;
} faults[] = {
	{ "-f", "MAIL", true },	    { "-f", "RCPT", true },	 { "-f", "DATA", true },
	{ "-f", ".", true },	    { "-r", "MAIL", false },	 { "-r", "RCPT", false },
	{ "-r", "DATA", false },    { "-r", ".", false },	 { "-q", "CONNECT", false },
	{ "-q", "EHLO", false },    { "-q", "MAIL", false },	 { "-q", "RCPT", false },
	{ "-q", "DATA", false },    { "-q", ".", false },	 { "-Q", "MAIL", false },
	{ "-Q", ".", false },	    { "-f", "CONNECT", false },	 { "-A", "0", true },
};

START_TEST(loses_nothing_to_the_faults_of_smtp_sink)
{
	struct sink_fault fault = faults[_i];

	bed.retry_ms[0] = bed.retry_ms[1] = 300;
	sink_start(fault.option, fault.argument);
	bed_start(&bed);
	for (unsigned i = 0; i < 5; i++)
		bed_send(&bed, "one@example.org");
	if (fault.is_permanent) {
		bed_until(&bed, bed_figure(&bed.figures[0].failed) == 5);
		ck_assert_uint_eq(bed_figure(&bed.figures[0].dead), 5);
		ck_assert_uint_eq(bed_figure(&bed.figures[0].waiting), 0);
		ck_assert_uint_eq(bed_spooled(&bed), 5);
		return;
	}
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", NULL, NULL) >= 5);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].failed), 0);
	ck_assert_uint_eq(bed_spooled(&bed), 5);
	sink_stop();
	sink_start(NULL, NULL);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 5);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

/* ---- Figures ---- */

static long
resident_kib(void)
{
	char line[256];
	long kib = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "VmRSS:", 6) == 0)
			kib = strtol(line + 6, NULL, 10);
	}
	if (file != NULL)
		(void)fclose(file);
	return kib;
}

static double
cpu_seconds(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double
seconds_now(void)
{
	return (double)clock_monotonic_ns() / 1e9;
}

static void
drain_phase(const char *what, unsigned count, double began, double cpu)
{
	double took = seconds_now() - began;

	(void)fflush(stdout);
	printf("%-10s %7.2f s %9.0f messages/s %6.1f us CPU a message, resident %ld KiB\n", what,
	       took, count / took, (cpu_seconds() - cpu) / count * 1e6, resident_kib());
}

START_TEST(drains_a_long_queue)
{
	unsigned count = (unsigned)strtoul(getenv("DRAIN"), NULL, 10);
	const char *to = "one@example.org";
	struct buffer body;
	long before;
	double began, cpu;

	buffer_init(&body, 8192);
	(void)buffer_append_text(&body, "Subject: drain\r\n\r\n");
	while (body.len < 4096)
		(void)buffer_append_text(&body, "0123456789012345678901234567890123456789\r\n");
	bed.routes[0].connections_max = 20;
	bed.tuning.envelope_octets_max = 8U << 20;
	bed.tuning.hops.pause_max_ms = 1000;
	bed_start(&bed);
	before = resident_kib();
	began = seconds_now();
	cpu = cpu_seconds();
	for (unsigned i = 0; i < count; i++) {
		bed_submit(&bed, &(struct bed_message){ .sender = "sender@example.com",
							.recipients = &to,
							.recipient_count = 1,
							.body = buffer_span(&body) });
		while (bed.submitted - bed.stored > 200)
			loop_turn(bed.loop, 20);
	}
	while (bed.stored < count)
		loop_turn(bed.loop, 20);
	drain_phase("stored", count, began, cpu);
	printf("           %ld octets of memory a message\n",
	       (resident_kib() - before) * 1024 / (long)count);
	bed_stop(&bed);

	began = seconds_now();
	cpu = cpu_seconds();
	bed_start(&bed);
	while (bed.found < count)
		loop_turn(bed.loop, 20);
	drain_phase("found", count, began, cpu);

	sink_start(NULL, NULL);
	began = seconds_now();
	cpu = cpu_seconds();
	delivery_retry_now(bed.delivery, span_of(""));
	while (bed_figure(&bed.figures[0].delivered) < count)
		loop_turn(bed.loop, 20);
	drain_phase("drained", count, began, cpu);

	began = seconds_now();
	cpu = cpu_seconds();
	for (unsigned i = 0; i < count; i++) {
		bed_submit(&bed, &(struct bed_message){ .sender = "sender@example.com",
							.recipients = &to,
							.recipient_count = 1,
							.body = buffer_span(&body) });
		while (bed.submitted - bed_figure(&bed.figures[0].delivered) > 40)
			loop_turn(bed.loop, 20);
	}
	while (bed_figure(&bed.figures[0].delivered) < 2 * count)
		loop_turn(bed.loop, 20);
	drain_phase("through", count, began, cpu);
	buffer_reset(&body);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("smtp-sink");
	TCase *sinks = tcase_create("smtp-sink");

	if (access(SINK, X_OK) == -1) {
		printf("no %s here\n", SINK);
		return 77;
	}
	tcase_add_checked_fixture(sinks, setup, teardown);
	if (getenv("DRAIN") != NULL) {
		tcase_set_timeout(sinks, 3600);
		tcase_add_test(sinks, drains_a_long_queue);
	} else {
		tcase_set_timeout(sinks, 60);
		tcase_add_loop_test(sinks, delivers_to_smtp_sink, 0, ARRAY_LEN(options));
		tcase_add_loop_test(sinks, loses_nothing_to_the_faults_of_smtp_sink, 0,
				    ARRAY_LEN(faults));
	}
	suite_add_tcase(suite, sinks);
	return suite_main(suite);
}
