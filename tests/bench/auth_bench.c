/* SPDX-License-Identifier: ISC */
/*
 * What logins cost, with the users file. Built when asked for: make tests/bench/auth_bench
 *
 *   auth_bench            in process, and through a helper; figures for one CPU each
 */
#define _GNU_SOURCE
#include "auth/client.h"
#include "auth/helper.h"
#include "auth/sasl.h"
#include "auth/users_file.h"
#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REALM	 "example.com"
#define LOGINS	 20000
#define PAIRS	 1000
#define IN_FLIGHT 32

static const struct log quiet;
static const struct auth_facts in_tls = { .is_tls = true };
static struct auth_settings settings = { .hostname = "relay.example.com", .realm = REALM };

static void
die(const char *what)
{
	(void)fprintf(stderr, "auth_bench: %s\n", what);
	exit(1);
}

static double
cpu_ms(int who)
{
	struct rusage usage;

	(void)getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static struct span
plain_message(const char *user, const char *password)
{
	static char message[1024];
	int len = snprintf(message, sizeof(message), "%c%s%c%s", 0, user, 0, password);

	return (struct span){ message, (size_t)len };
}

static enum auth_code
plain_try(struct sasl_engine *engine, const char *user, const char *password)
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_PLAIN, &in_tls);
	struct auth_answer answer;

	sasl_dialog_step(dialog, true, plain_message(user, password), &answer);
	enum auth_code code = answer.code;

	sasl_dialog_free(&dialog);
	return code;
}

static enum auth_code
scram_first_try(struct sasl_engine *engine, const char *user, const char *password)
{
	struct sasl_dialog *dialog = sasl_dialog_new(engine, AUTH_SCRAM_SHA_256, &in_tls);
	struct auth_answer answer;
	char message[256];

	(void)password;
	(void)snprintf(message, sizeof(message), "n,,n=%s,r=abcdefghijklmnop", user);
	sasl_dialog_step(dialog, true, span_of(message), &answer);
	enum auth_code code = answer.code;

	sasl_dialog_free(&dialog);
	return code;
}

typedef enum auth_code attempt(struct sasl_engine *engine, const char *user,
			       const char *password);

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
once_us(struct sasl_engine *engine, attempt *try_it, const char *user)
{
	int64_t began = clock_monotonic_ns();

	(void)try_it(engine, user, "wrong");
	return (double)(clock_monotonic_ns() - began) / 1e3;
}

/* In turns, in random order, so that nothing but the login differs. */
static void
timing_compare(struct sasl_engine *engine, const char *what, attempt *try_it)
{
	static double known[PAIRS], unknown[PAIRS];

	for (int i = 0; i < PAIRS; i++) {
		if (rand() % 2 == 0) {
			known[i] = once_us(engine, try_it, "billing");
			unknown[i] = once_us(engine, try_it, "nobody7");
		} else {
			unknown[i] = once_us(engine, try_it, "nobody7");
			known[i] = once_us(engine, try_it, "billing");
		}
	}
	qsort(known, PAIRS, sizeof(double), compare);
	qsort(unknown, PAIRS, sizeof(double), compare);
	(void)printf("%-32s known %8.1f us   unknown %8.1f us   ratio %.3f\n", what,
		     known[PAIRS / 2], unknown[PAIRS / 2], unknown[PAIRS / 2] / known[PAIRS / 2]);
}

static void
in_process(void)
{
	struct fault fault;
	struct sasl_engine *engine = sasl_engine_new(&settings, &quiet, &fault);

	if (engine == NULL)
		die(fault_text(&fault));
	int64_t began = clock_monotonic_ns();

	if (plain_try(engine, "billing", "correct horse") != AUTH_OK)
		die("the first login failed");
	(void)printf("PLAIN, first time                %8.1f us\n",
		     (double)(clock_monotonic_ns() - began) / 1e3);
	double cpu = cpu_ms(RUSAGE_SELF);

	for (int i = 0; i < LOGINS; i++) {
		if (plain_try(engine, "billing", "correct horse") != AUTH_OK)
			die("a login failed");
	}
	(void)printf("PLAIN, known password            %8.1f us of CPU\n",
		     (cpu_ms(RUSAGE_SELF) - cpu) * 1e3 / LOGINS);
	cpu = cpu_ms(RUSAGE_SELF);
	for (int i = 0; i < 1000; i++)
		(void)plain_try(engine, "billing", "wrong");
	(void)printf("PLAIN, wrong password            %8.1f us of CPU\n",
		     (cpu_ms(RUSAGE_SELF) - cpu) * 1e3 / 1000);
	timing_compare(engine, "PLAIN, wrong password: median", plain_try);
	timing_compare(engine, "SCRAM, first step: median", scram_first_try);
	sasl_engine_free(&engine);
}

/* ---- Through a helper ---- */

struct runner {
	struct auth_ticket ticket;
	struct auth_pool *pool;
};

static int left, pending;

static void
answered(struct auth_ticket *ticket, const struct auth_answer *answer)
{
	struct runner *runner = LIST_OWNER(ticket, struct runner, ticket);

	if (answer->code != AUTH_OK)
		die("a login through the helper failed");
	pending--;
	if (left-- > 0) {
		pending++;
		auth_start(runner->pool, ticket, AUTH_PLAIN, &in_tls, true,
			   plain_message("billing", "correct horse"));
	}
}

static void
through_helper(void)
{
	struct fault fault;
	struct loop *loop = loop_new(&fault);
	int ends[2];

	if (loop == NULL || !auth_channel_open(ends, &fault))
		die("no channel");
	pid_t pid = fork();

	if (pid == 0) {
		const struct auth_helper_environment environment = {
			.settings = &settings, .log = &quiet, .channels = &ends[1],
			.channel_count = 1,
		};

		(void)close(ends[0]);
		_exit(auth_helper_run(&environment));
	}
	(void)close(ends[1]);
	const struct auth_pool_helper helper = { .fd = ends[0] };
	const struct auth_pool_settings ps = {
		.helpers = &helper, .helper_count = 1, .method = settings.method,
		.mechanisms = auth_settings_mechanisms(&settings),
		.deadline_ms = AUTH_DEADLINE_MS,
	};
	struct auth_pool *pool = auth_pool_new(loop, &quiet, &ps, &fault);
	static struct runner runners[IN_FLIGHT];
	double own = cpu_ms(RUSAGE_SELF);
	int64_t began = clock_monotonic_ns();

	left = LOGINS;
	for (int i = 0; i < IN_FLIGHT; i++) {
		runners[i].pool = pool;
		runners[i].ticket.answered = answered;
		pending++;
		left--;
		auth_start(pool, &runners[i].ticket, AUTH_PLAIN, &in_tls, true,
			   plain_message("billing", "correct horse"));
	}
	while (pending > 0)
		loop_turn(loop, 100);
	double seconds = (double)(clock_monotonic_ns() - began) / 1e9;

	own = cpu_ms(RUSAGE_SELF) - own;
	auth_pool_free(&pool);
	loop_free(&loop);
	(void)waitpid(pid, NULL, 0); /* it is alone now */
	(void)printf("PLAIN through one helper         %8.0f logins a second; CPU of the helper "
		     "%.1f us, of the worker %.1f us\n", LOGINS / seconds,
		     cpu_ms(RUSAGE_CHILDREN) * 1e3 / LOGINS, own * 1e3 / LOGINS);
}

int
main(void)
{
	char folder[] = "/tmp/relayd-auth-bench.XXXXXX", path[64];
	struct verifier verifier;
	struct fault fault;

	if (mkdtemp(folder) == NULL)
		die("no folder");
	(void)snprintf(path, sizeof(path), "%s/users", folder);
	settings.users_file = path;
	verifier_make(&verifier, DIGEST_SHA_256, span_of("correct horse"),
		      VERIFIER_ITERATIONS_DEFAULT);
	if (users_file_change(path, span_of(REALM), USER_ADD, span_of("billing@" REALM), &verifier,
			      1, &fault) != USER_CHANGED)
		die(fault_text(&fault));
	const struct timespec settle = { .tv_sec = 3 }; /* until the file is no longer fresh */

	(void)nanosleep(&settle, NULL);
	in_process();
	through_helper();
	(void)unlink(path);
	(void)rmdir(folder);
	return 0;
}
