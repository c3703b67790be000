/* SPDX-License-Identifier: ISC */
/* auth/client.h and auth/helper.h: a worker's loop against real helper processes. */
#include "auth_fixture.h"

#include "auth/client.h"
#include "auth/helper.h"
#include "base/clock.h"
#include "suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPERS	     2
#define DEADLINE_MS  1000
#define PATIENCE_MS  20000
#define GROWTH_OCTETS (4L << 20)

static struct log quiet = { .level = LOG_LEVEL_ERROR };
static struct auth_settings settings;
static struct loop *loop;
static struct auth_pool *pool;
static int ends[HELPERS][2]; /* as the supervisor keeps them */
static pid_t pids[HELPERS];
static size_t hung_helper;
static pid_t hung_pid;
static int hung_calls;

static const struct auth_facts in_tls = { .is_tls = true };

static void
helper_start(size_t i)
{
	pids[i] = fork();
	ck_assert_int_ne(pids[i], -1);
	if (pids[i] == 0) {
		const struct auth_helper_environment environment = {
			.settings = &settings, .log = &quiet, .channels = &ends[i][1],
			.channel_count = 1,
		};

		for (size_t n = 0; n < HELPERS; n++) {
			(void)close(ends[n][0]);
			if (n != i)
				(void)close(ends[n][1]);
		}
		_exit(auth_helper_run(&environment));
	}
}

static void
helper_kill(size_t i)
{
	(void)kill(pids[i], SIGKILL);
	ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	pids[i] = 0;
}

static void
note_hung(void *context, size_t helper, pid_t pid)
{
	(void)context;
	hung_helper = helper;
	hung_pid = pid;
	hung_calls++;
}

static void
pool_start(void)
{
	struct auth_pool_helper helpers[HELPERS];
	struct fault fault;

	for (size_t i = 0; i < HELPERS; i++) {
		helpers[i] = (struct auth_pool_helper){ .fd = dup(ends[i][0]) };
		ck_assert_int_ne(helpers[i].fd, -1);
	}
	const struct auth_pool_settings ps = {
		.helpers = helpers,
		.helper_count = HELPERS,
		.method = settings.method,
		.mechanisms = auth_settings_mechanisms(&settings),
		.deadline_ms = DEADLINE_MS,
		.hung = note_hung,
	};

	pool = auth_pool_new(loop, &quiet, &ps, &fault);
	ck_assert_ptr_nonnull(pool);
}

static void
set_up(void)
{
	struct fault fault;

	quiet.level = LOG_LEVEL_ERROR;
	hung_calls = 0;
	settings = users_file_settings(folder_make());
	user_put(settings.users_file, "billing", "correct horse", false);
	loop = loop_new(&fault);
	ck_assert_ptr_nonnull(loop);
	for (size_t i = 0; i < HELPERS; i++)
		ck_assert(auth_channel_open(ends[i], &fault));
	for (size_t i = 0; i < HELPERS; i++)
		helper_start(i);
	pool_start();
}

static void
tear_down(void)
{
	auth_pool_free(&pool);
	loop_free(&loop);
	for (size_t i = 0; i < HELPERS; i++) {
		if (pids[i] != 0)
			helper_kill(i);
		(void)close(ends[i][0]);
		(void)close(ends[i][1]);
	}
}

/* An exchange of a test, and what came of it. */
struct exchange {
	struct auth_ticket ticket;
	struct scram_client scram;
	bool is_done;
	int answers;
	enum auth_code code;
	char user[AUTH_LOGIN_MAX + 1];
	char data[1024];
};

static void
note_answer(struct auth_ticket *ticket, const struct auth_answer *answer)
{
	struct exchange *x = LIST_OWNER(ticket, struct exchange, ticket);

	x->answers++;
	x->code = answer->code;
	x->is_done = true;
	(void)snprintf(x->user, sizeof(x->user), SPAN_FMT, SPAN_ARG(answer->user));
	(void)snprintf(x->data, sizeof(x->data), SPAN_FMT, SPAN_ARG(answer->data));
}

static void
plain_begin(struct exchange *x, const char *password)
{
	x->ticket.answered = note_answer;
	x->is_done = false;
	auth_start(pool, &x->ticket, AUTH_PLAIN, &in_tls, true,
		   plain_message("", "billing", password));
	ck_assert(!x->is_done); /* never before it returns */
}

static void
scram_begin(struct exchange *x)
{
	x->ticket.answered = note_answer;
	x->is_done = false;
	x->scram = (struct scram_client){
		.kind = DIGEST_SHA_256, .user = "billing", .password = "correct horse",
		.gs2 = "n,,",
	};
	scram_first(&x->scram);
	auth_start(pool, &x->ticket, AUTH_SCRAM_SHA_256, &in_tls, true,
		   span_of(x->scram.message));
}

static void
step(struct exchange *x, const char *data)
{
	x->is_done = false;
	auth_step(&x->ticket, span_of(data));
	ck_assert(!x->is_done);
}

static enum auth_code
await(struct exchange *x)
{
	int64_t until_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (!x->is_done && clock_monotonic_ms() < until_ms)
		loop_turn(loop, 50);
	ck_assert(x->is_done);
	return x->code;
}

static enum auth_code
scram_finish(struct exchange *x)
{
	ck_assert(scram_final(&x->scram, span_of(x->data)));
	step(x, x->scram.message);
	if (await(x) != AUTH_CONTINUE)
		return x->code;
	step(x, "");
	return await(x);
}

static void
await_hellos(void)
{
	struct exchange x[2 * HELPERS] = { { .answers = 0 } };

	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		plain_begin(&x[i], "correct horse"); /* spread over all of them */
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		ck_assert_int_eq(await(&x[i]), AUTH_OK);
}

START_TEST(exchanges_go_through_a_helper)
{
	struct exchange a = { .answers = 0 }, b = { .answers = 0 }, c = { .answers = 0 };

	plain_begin(&a, "correct horse");
	plain_begin(&b, "wrong");
	scram_begin(&c);
	ck_assert_int_eq(await(&a), AUTH_OK);
	ck_assert_str_eq(a.user, "billing@example.com");
	ck_assert_int_eq(await(&b), AUTH_FAILED);
	ck_assert_str_eq(b.user, "billing@example.com");
	ck_assert_int_eq(await(&c), AUTH_CONTINUE);
	ck_assert_int_eq(scram_finish(&c), AUTH_OK);
	ck_assert_str_eq(c.user, "billing@example.com");
	ck_assert_int_eq(a.answers, 1);
	ck_assert_int_eq(b.answers, 1);
	ck_assert_int_eq(c.answers, 3);
	ck_assert_uint_eq(auth_pool_mechanisms(pool), auth_settings_mechanisms(&settings));
}
END_TEST

START_TEST(replaced_helper_answers_what_the_old_one_had_not_read)
{
	struct exchange asked[2 * HELPERS] = { { .answers = 0 } }, later = { .answers = 0 };

	await_hellos();
	(void)kill(pids[0], SIGSTOP);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		plain_begin(&asked[i], "correct horse");
	helper_kill(0);
	helper_start(0); /* on the old one's channel, as the supervisor does it */
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		ck_assert_int_eq(await(&asked[i]), AUTH_OK);
	for (int i = 0; i < 10; i++) {
		plain_begin(&later, "correct horse");
		ck_assert_int_eq(await(&later), AUTH_OK);
	}
	ck_assert_int_eq(hung_calls, 0);
}
END_TEST

START_TEST(what_a_helper_had_read_when_it_died_is_trouble)
{
	struct exchange asked[2 * HELPERS] = { { .answers = 0 } };
	char bytes[AUTH_MESSAGE_MAX];
	size_t troubled = 0, fine = 0;

	await_hellos();
	(void)kill(pids[0], SIGSTOP);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		plain_begin(&asked[i], "correct horse");
	helper_kill(0);
	/* in its place: one of its two questions was read */
	ck_assert_int_gt(recv(ends[0][1], bytes, sizeof(bytes), MSG_DONTWAIT), 0);
	helper_start(0);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		enum auth_code code = await(&asked[i]);

		troubled += code == AUTH_TROUBLE;
		fine += code == AUTH_OK;
	}
	ck_assert_uint_eq(troubled, 1);
	ck_assert_uint_eq(fine, ARRAY_LEN(asked) - 1);
	ck_assert_int_eq(hung_calls, 0);
}
END_TEST

START_TEST(exchange_between_two_steps_is_lost_with_its_helper)
{
	struct exchange x[HELPERS] = { { .answers = 0 } }, again = { .answers = 0 };

	await_hellos();
	for (size_t i = 0; i < HELPERS; i++) {
		scram_begin(&x[i]);
		ck_assert_int_eq(await(&x[i]), AUTH_CONTINUE);
	}
	for (size_t i = 0; i < HELPERS; i++) {
		helper_kill(i);
		helper_start(i);
	}
	for (size_t i = 0; i < HELPERS; i++)
		ck_assert_int_eq(scram_finish(&x[i]), AUTH_TROUBLE);
	scram_begin(&again);
	ck_assert_int_eq(await(&again), AUTH_CONTINUE);
	ck_assert_int_eq(scram_finish(&again), AUTH_OK);
}
END_TEST

START_TEST(helper_that_closed_its_end_is_left_out)
{
	struct exchange x = { .answers = 0 };

	await_hellos();
	(void)kill(pids[1], SIGSTOP);
	struct exchange asked[HELPERS] = { { .answers = 0 } };

	for (size_t i = 0; i < HELPERS; i++)
		plain_begin(&asked[i], "correct horse");
	helper_kill(1);
	(void)shutdown(ends[1][1], SHUT_RDWR); /* nobody will take its place */
	int troubled = 0;

	for (size_t i = 0; i < HELPERS; i++)
		troubled += await(&asked[i]) == AUTH_TROUBLE;
	ck_assert_int_eq(troubled, 1);
	for (int i = 0; i < 20; i++) {
		plain_begin(&x, "correct horse");
		ck_assert_int_eq(await(&x), AUTH_OK);
	}
}
END_TEST

START_TEST(helper_that_hangs_is_reported_and_its_exchanges_end_in_time)
{
	struct exchange asked[2] = { { .answers = 0 } };
	int64_t began_ms;
	size_t troubled = 0, other = 0;

	await_hellos();
	(void)kill(pids[0], SIGSTOP);
	began_ms = clock_monotonic_ms();
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		plain_begin(&asked[i], "correct horse");
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		enum auth_code code = await(&asked[i]);

		troubled += code == AUTH_TROUBLE;
		other += code == AUTH_OK;
	}
	ck_assert_uint_eq(troubled, 1);
	ck_assert_uint_eq(other, 1);
	ck_assert_int_ge(clock_monotonic_ms() - began_ms, DEADLINE_MS - 10);
	ck_assert_int_eq(hung_calls, 1);
	ck_assert_uint_eq(hung_helper, 0);
	ck_assert_int_eq(hung_pid, pids[0]);
	/* until it is replaced the other one has all the work */
	for (int i = 0; i < 20; i++) {
		struct exchange x = { .answers = 0 };

		plain_begin(&x, "correct horse");
		ck_assert_int_eq(await(&x), AUTH_OK);
	}
	ck_assert_int_eq(hung_calls, 1);
	helper_kill(0);
	helper_start(0);
	helper_kill(1);
	for (int i = 0; i < 20; i++) {
		struct exchange x = { .answers = 0 };

		plain_begin(&x, "correct horse");
		if (await(&x) == AUTH_OK)
			return;
	}
	ck_abort_msg("the new helper was never asked");
}
END_TEST

START_TEST(stopped_helper_that_wakes_up_is_used_again)
{
	struct exchange x = { .answers = 0 };

	await_hellos();
	for (size_t i = 0; i < HELPERS; i++)
		(void)kill(pids[i], SIGSTOP);
	plain_begin(&x, "correct horse");
	ck_assert_int_eq(await(&x), AUTH_TROUBLE);
	for (size_t i = 0; i < HELPERS; i++)
		(void)kill(pids[i], SIGCONT);
	await_hellos();
	ck_assert_int_eq(x.answers, 1); /* the late answer was for nobody */
}
END_TEST

START_TEST(full_queue_is_trouble_at_once)
{
	enum { MANY = AUTH_QUEUE_MAX * HELPERS };
	struct exchange *x = calloc(MANY + 1, sizeof(*x));

	await_hellos();
	for (size_t i = 0; i < HELPERS; i++)
		(void)kill(pids[i], SIGSTOP);
	for (size_t i = 0; i < MANY; i++)
		plain_begin(&x[i], "correct horse");
	plain_begin(&x[MANY], "correct horse");
	loop_turn(loop, 0);
	ck_assert(x[MANY].is_done);
	ck_assert_int_eq(x[MANY].code, AUTH_TROUBLE);
	for (size_t i = 0; i < HELPERS; i++)
		(void)kill(pids[i], SIGCONT);
	for (size_t i = 0; i < MANY; i++)
		ck_assert_int_eq(await(&x[i]), AUTH_OK);
	free(x);
}
END_TEST

START_TEST(exchange_can_be_given_up_in_every_state)
{
	struct exchange idle = { .answers = 0 }, asked = { .answers = 0 };
	struct exchange answered = { .answers = 0 }, failing = { .answers = 0 };

	auth_cancel(&idle.ticket);
	plain_begin(&asked, "correct horse");
	auth_cancel(&asked.ticket);
	auth_cancel(&asked.ticket);
	scram_begin(&answered);
	ck_assert_int_eq(await(&answered), AUTH_CONTINUE);
	auth_cancel(&answered.ticket);
	failing.ticket.answered = note_answer;
	char *large = calloc(1, AUTH_DATA_MAX + 1);

	auth_start(pool, &failing.ticket, AUTH_PLAIN, &in_tls, true,
		   (struct span){ large, AUTH_DATA_MAX + 1 });
	auth_cancel(&failing.ticket);
	free(large);
	await_hellos();
	ck_assert_int_eq(asked.answers, 0);
	ck_assert_int_eq(answered.answers, 1);
	ck_assert_int_eq(failing.answers, 0);
	/* and the tickets are as good as new */
	plain_begin(&asked, "correct horse");
	scram_begin(&answered);
	ck_assert_int_eq(await(&asked), AUTH_OK);
	ck_assert_int_eq(await(&answered), AUTH_CONTINUE);
	ck_assert_int_eq(scram_finish(&answered), AUTH_OK);
}
END_TEST

static long
resident_octets(pid_t pid)
{
	char path[64];
	long pages = 0, resident = 0;

	(void)snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	char text[256] = "";

	ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
	(void)fclose(file);
	char *rest;

	pages = strtol(text, &rest, 10);
	resident = strtol(rest, NULL, 10);
	ck_assert_int_gt(pages, 0);
	return resident * sysconf(_SC_PAGESIZE);
}

/* Begin an exchange and leave it at one of the places where a client may go away. */
static void
abort_one(int how)
{
	struct exchange x = { .answers = 0 };

	scram_begin(&x);
	if (how % 3 > 0)
		ck_assert_int_eq(await(&x), AUTH_CONTINUE);
	if (how % 3 > 1) {
		ck_assert(scram_final(&x.scram, span_of(x.data)));
		step(&x, x.scram.message);
	}
	auth_cancel(&x.ticket);
}

START_TEST(ten_thousand_aborted_exchanges_cost_no_memory)
{
	long before[HELPERS], own;

	for (int i = 0; i < 1500; i++)
		abort_one(i);
	await_hellos();
	own = resident_octets(getpid());
	for (size_t i = 0; i < HELPERS; i++)
		before[i] = resident_octets(pids[i]);
	for (int i = 0; i < 10000; i++)
		abort_one(i);
	await_hellos();
	if (getenv("RELAYD_SANITIZED") != NULL && strcmp(getenv("RELAYD_SANITIZED"), "yes") == 0)
		return; /* freed memory stays in quarantine there */
	for (size_t i = 0; i < HELPERS; i++)
		ck_assert_int_lt(resident_octets(pids[i]) - before[i], GROWTH_OCTETS);
	ck_assert_int_lt(resident_octets(getpid()) - own, GROWTH_OCTETS);
}
END_TEST

START_TEST(clients_that_never_answer_do_not_fill_a_helper)
{
	enum { MANY = 4 * AUTH_CHANNEL_DIALOGS_MAX };
	struct exchange *x = calloc(MANY, sizeof(*x));
	struct exchange good = { .answers = 0 };

	for (size_t i = 0; i < MANY; i++) {
		scram_begin(&x[i]);
		ck_assert_int_eq(await(&x[i]), AUTH_CONTINUE);
	}
	scram_begin(&good);
	ck_assert_int_eq(await(&good), AUTH_CONTINUE);
	ck_assert_int_eq(scram_finish(&good), AUTH_OK);
	ck_assert_int_eq(scram_finish(&x[0]), AUTH_TROUBLE); /* it was the idlest */
	ck_assert_int_eq(scram_finish(&x[MANY - 1]), AUTH_OK);
	for (size_t i = 0; i < MANY; i++)
		auth_cancel(&x[i].ticket);
	free(x);
}
END_TEST

START_TEST(worker_that_takes_over_a_slot_gets_no_answers_of_the_old_one)
{
	struct exchange old = { .answers = 0 }, new = { .answers = 0 };

	await_hellos();
	plain_begin(&old, "correct horse");
	auth_cancel(&old.ticket); /* the old worker died here */
	auth_pool_free(&pool);
	pool_start();
	for (int i = 0; i < 20; i++) {
		plain_begin(&new, i % 2 == 0 ? "correct horse" : "wrong");
		ck_assert_int_eq(await(&new), i % 2 == 0 ? AUTH_OK : AUTH_FAILED);
	}
	ck_assert_int_eq(old.answers, 0);
}
END_TEST

START_TEST(helper_survives_what_is_no_request)
{
	char junk[AUTH_MESSAGE_MAX * 2];

	await_hellos();
	for (int i = 0; i < 2000; i++) {
		size_t len = (size_t)rand() % (i % 100 == 0 ? sizeof(junk) : 200);

		for (size_t n = 0; n < len; n++)
			junk[n] = (char)rand();
		if (i % 2 == 0)
			memcpy(junk, "1AQR\0\0\0\0", len < 8 ? len : 8);
		(void)send(ends[i % HELPERS][0], junk, len, MSG_DONTWAIT);
		if (i % 50 == 0)
			await_hellos();
	}
	await_hellos();
}
END_TEST

START_TEST(pool_survives_what_is_no_answer)
{
	static const char junk[] = "1AAN and so on, much too short or too long for what it says";

	await_hellos();
	for (size_t len = 0; len < sizeof(junk); len++)
		(void)send(ends[0][1], junk, len == 0 ? 1 : len, MSG_DONTWAIT);
	await_hellos();
}
END_TEST

START_TEST(helper_ends_in_order_when_told_and_when_alone)
{
	int status;

	await_hellos();
	(void)kill(pids[0], SIGINT); /* from the terminal: not for it */
	(void)kill(pids[0], SIGTERM);
	ck_assert_int_eq(waitpid(pids[0], &status, 0), pids[0]);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pids[0] = 0;
	auth_pool_free(&pool);
	(void)close(ends[1][0]);
	ck_assert_int_eq(waitpid(pids[1], &status, 0), pids[1]);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	pids[1] = 0;
	pool_start();
}
END_TEST

START_TEST(helper_leaves_no_core_and_is_not_dumpable)
{
	char path[64], line[256];
	bool is_none = false;

	await_hellos();
	(void)snprintf(path, sizeof(path), "/proc/%ld/limits", (long)pids[0]);
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "Max core file size", 18) == 0)
			is_none = strncmp(line + 18, "        0                    0", 30) == 0;
	}
	(void)fclose(file);
	ck_assert(is_none);
}
END_TEST

/* Does some part of the process's memory hold the text? */
static bool
memory_holds(pid_t pid, const char *needle)
{
	char path[64], line[512];
	bool is_found = false;

	(void)snprintf(path, sizeof(path), "/proc/%ld/maps", (long)pid);
	FILE *maps = fopen(path, "r");

	(void)snprintf(path, sizeof(path), "/proc/%ld/mem", (long)pid);
	FILE *memory = fopen(path, "r");

	if (maps == NULL || memory == NULL) {
		if (maps != NULL)
			(void)fclose(maps);
		return false; /* not root: nothing to see, which is the point */
	}
	while (fgets(line, sizeof(line), maps) != NULL) {
		char *rest;
		unsigned long from = strtoul(line, &rest, 16);
		unsigned long to = strtoul(rest + 1, &rest, 16);

		if (rest[2] != 'w' || to - from > (64UL << 20))
			continue;
		char *copy = malloc(to - from);
		size_t got = fseek(memory, (long)from, SEEK_SET) == 0 ?
				 fread(copy, 1, to - from, memory) :
				 0;

		for (size_t i = 0; i + strlen(needle) <= got && !is_found; i++)
			is_found = memcmp(copy + i, needle, strlen(needle)) == 0;
		free(copy);
	}
	(void)fclose(maps);
	(void)fclose(memory);
	return is_found;
}

START_TEST(password_is_not_left_in_the_helpers_memory)
{
	/* made at run time, so that no copy of this process's data is in the helper's */
	char password[] = "Yfdsfu.Qbttxpse.47";

	for (char *p = password; *p != '\0'; p++)
		(*p)--;
	for (int i = 0; i < 8; i++) {
		struct exchange x = { .answers = 0 };

		plain_begin(&x, password);
		ck_assert_int_eq(await(&x), AUTH_FAILED);
		x.ticket.answered = note_answer;
		x.is_done = false;
		auth_start(pool, &x.ticket, AUTH_LOGIN, &in_tls, true, span_of("billing"));
		ck_assert_int_eq(await(&x), AUTH_CONTINUE);
		step(&x, password);
		ck_assert_int_eq(await(&x), AUTH_FAILED);
	}
	if (!memory_holds(pids[0], "billing@example.com"))
		return; /* it may not be looked at, which is the point */
	for (size_t i = 0; i < HELPERS; i++)
		ck_assert(!memory_holds(pids[i], password));
	ck_assert(memory_holds(getpid(), password));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("helpers");
	TCase *tc = tcase_create("helpers");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, exchanges_go_through_a_helper);
	tcase_add_test(tc, replaced_helper_answers_what_the_old_one_had_not_read);
	tcase_add_test(tc, what_a_helper_had_read_when_it_died_is_trouble);
	tcase_add_test(tc, exchange_between_two_steps_is_lost_with_its_helper);
	tcase_add_test(tc, helper_that_closed_its_end_is_left_out);
	tcase_add_test(tc, helper_that_hangs_is_reported_and_its_exchanges_end_in_time);
	tcase_add_test(tc, stopped_helper_that_wakes_up_is_used_again);
	tcase_add_test(tc, full_queue_is_trouble_at_once);
	tcase_add_test(tc, exchange_can_be_given_up_in_every_state);
	tcase_add_test(tc, ten_thousand_aborted_exchanges_cost_no_memory);
	tcase_add_test(tc, clients_that_never_answer_do_not_fill_a_helper);
	tcase_add_test(tc, worker_that_takes_over_a_slot_gets_no_answers_of_the_old_one);
	tcase_add_test(tc, helper_survives_what_is_no_request);
	tcase_add_test(tc, pool_survives_what_is_no_answer);
	tcase_add_test(tc, helper_ends_in_order_when_told_and_when_alone);
	tcase_add_test(tc, helper_leaves_no_core_and_is_not_dumpable);
	tcase_add_test(tc, password_is_not_left_in_the_helpers_memory);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
