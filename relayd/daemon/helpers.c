/* SPDX-License-Identifier: ISC */
/*
 * Auth helpers: the processes in which Cyrus SASL works (auth/helper.h). They belong to a
 * generation, since they have its settings: a reload starts new ones, and the old ones end
 * with the last worker that may still ask them.
 *
 * Each has a seat with a channel to every worker of its generation. The supervisor keeps both
 * ends of all of them, so that a helper or worker that ended can be replaced, and the others
 * notice nothing but a hello.
 */
#define _GNU_SOURCE /* close_range */
#include "daemon/supervisor_private.h"

#include "auth/helper.h"
#include "base/memory.h"
#include "daemon/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#define FAST_HELPERS	  2 /* at least: one may be busy, or be replaced */
#define SLOW_HELPERS	  8 /* each waits for one login at a time */
#define WORKERS_PER_FAST  4
#define STOP_MS		  3000 /* then it is killed */
#define RESTART_DELAY_MS  100
#define RESTART_DELAY_MAX_MS 30000
#define LIVED_LONG_MS	  10000
#define FAILURE_KEYS	  65536 /* addresses, logins and their pairs that are remembered */

bool
helpers_prepare(struct supervisor *supervisor, const struct settings *settings,
		struct fault *fault)
{
	struct buffer path;

	supervisor->auth_secret = memory_new(AUTH_SECRET_OCTETS);
	buffer_init(&path, 4096);
	buffer_printf(&path, "%s/auth.secret", settings->state_directory);
	bool ok = auth_secret_load(buffer_text(&path), supervisor->auth_secret, fault);

	buffer_reset(&path);
	supervisor->auth_failures = auth_failures_new(FAILURE_KEYS);
	if (supervisor->auth_failures == NULL)
		return fault_set(fault, "memory for failed logins");
	return ok;
}

/* ---- Channels ---- */

static void
channels_close(struct auth_seat *seat)
{
	unsigned workers = seat->generation->settings->workers;

	for (unsigned i = 0; seat->channels != NULL && i < workers; i++) {
		for (int end = 0; end < 2; end++) {
			if (seat->channels[i][end] != -1)
				(void)close(seat->channels[i][end]);
			seat->channels[i][end] = -1;
		}
	}
}

static bool
channels_open(struct auth_seat *seat, struct fault *fault)
{
	unsigned workers = seat->generation->settings->workers;

	seat->channels = memory_new_array(workers, sizeof(*seat->channels));
	for (unsigned i = 0; i < workers; i++)
		seat->channels[i][0] = seat->channels[i][1] = -1;
	for (unsigned i = 0; i < workers; i++) {
		if (!auth_channel_open(seat->channels[i], fault))
			return false;
	}
	return true;
}

size_t
helpers_inherit(const struct generation *generation, unsigned index,
		struct auth_pool_helper **helpers)
{
	size_t count = generation->helper_count;

	*helpers = memory_new_array(count + 1, sizeof(**helpers));
	for (size_t i = 0; i < count; i++) {
		struct auth_seat *seat = &generation->helpers[i];

		(*helpers)[i] = (struct auth_pool_helper){
			.fd = seat->channels[index][0],
			.is_slow = seat->is_slow,
		};
		seat->channels[index][0] = -1;
	}
	return count;
}

void
helpers_forget(const struct supervisor *supervisor)
{
	for (struct list *l = supervisor->generations.next; l != &supervisor->generations;
	     l = l->next) {
		struct generation *generation = LIST_OWNER(l, struct generation, link);

		for (unsigned i = 0; i < generation->helper_count; i++)
			channels_close(&generation->helpers[i]);
		memory_wipe(generation->settings->auth.secret, AUTH_SECRET_OCTETS);
	}
	memory_wipe(supervisor->auth_secret, AUTH_SECRET_OCTETS);
}

/* ---- The process ---- */

static int
descriptor_compare(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Close everything but the standard streams and these. */
static void
descriptors_keep(int *kept, size_t count)
{
	unsigned from = STDERR_FILENO + 1;

	qsort(kept, count, sizeof(*kept), descriptor_compare);
	for (size_t i = 0; i < count; i++) {
		if ((unsigned)kept[i] > from)
			(void)close_range(from, (unsigned)kept[i] - 1, 0);
		from = (unsigned)kept[i] + 1;
	}
	(void)close_range(from, ~0U, 0);
}

static _Noreturn void
child_become_helper(const struct supervisor *supervisor, const struct auth_seat *seat)
{
	const struct settings *settings = seat->generation->settings;
	int *channels = memory_new_array(settings->workers, sizeof(*channels));
	struct fault fault = { .error = 0 };
	struct log log = *supervisor->log;
	char who[32];

	for (unsigned i = 0; i < settings->workers; i++)
		channels[i] = seat->channels[i][1];
	closelog();
	descriptors_keep(channels, settings->workers);
	if (log.sink == LOG_SINK_SYSLOG)
		openlog("relayd", LOG_PID | LOG_NDELAY, LOG_MAIL);
	signals_restore();
	(void)snprintf(who, sizeof(who), "helper %u", seat->number);
	log.who = who;
	const struct auth_helper_environment environment = {
		.settings = &settings->auth,
		.log = &log,
		.channels = channels,
		.channel_count = settings->workers,
	};

	if (!privileges_drop(NULL, false, &fault) || !sandbox_enter_helper(&log, &fault)) {
		log_error(&log, "cannot start: %s", fault_text(&fault));
		exit(WORKER_EXIT_TROUBLE);
	}
	int status = auth_helper_run(&environment);

	free(channels);
	exit(status);
}

static bool
helper_start(struct auth_seat *seat, struct fault *fault)
{
	struct supervisor *supervisor = seat->generation->supervisor;
	pid_t pid = fork();

	if (pid == -1)
		return fault_set(fault, "fork");
	if (pid == 0)
		child_become_helper(supervisor, seat);
	seat->pid = pid;
	seat->started_ms = loop_now_ms(supervisor->loop);
	return true;
}

/* ---- Their number ---- */

static bool
is_any_slow(const struct settings *settings, bool is_slow)
{
	for (int m = 0; m < AUTH_MECHANISM_COUNT; m++) {
		if ((settings->auth_mechanisms & AUTH_BIT(m)) != 0 &&
		    auth_mechanism_is_slow(settings->auth.method, (enum auth_mechanism)m) ==
			is_slow)
			return true;
	}
	return false;
}

static unsigned
fast_count(const struct settings *settings)
{
	unsigned wanted = settings->workers / WORKERS_PER_FAST;

	if (!is_any_slow(settings, false))
		return 0;
	return wanted < FAST_HELPERS ? FAST_HELPERS : wanted;
}

static void
seat_timer_expired(struct loop_timer *timer)
{
	struct auth_seat *seat = LIST_OWNER(timer, struct auth_seat, timer);
	struct supervisor *supervisor = seat->generation->supervisor;
	struct fault fault = { .error = 0 };

	if (seat->generation->is_ending) {
		if (seat->pid != 0)
			(void)kill(seat->pid, SIGKILL);
		return;
	}
	seat->restarts++;
	log_warn(supervisor->log, "starting auth helper %u again", seat->number);
	if (helper_start(seat, &fault))
		return;
	log_error(supervisor->log, "cannot start auth helper %u: %s", seat->number,
		  fault_text(&fault));
	loop_timer_set(supervisor->loop, &seat->timer, RESTART_DELAY_MAX_MS);
}

bool
helpers_start(struct supervisor *supervisor, struct generation *generation,
	      struct fault *fault)
{
	struct settings *settings = generation->settings;
	unsigned fast = fast_count(settings);
	unsigned count = fast + (is_any_slow(settings, true) ? SLOW_HELPERS : 0);

	memcpy(settings->auth.secret, supervisor->auth_secret, AUTH_SECRET_OCTETS);
	generation->helpers = memory_new_array(count + 1, sizeof(*generation->helpers));
	for (unsigned i = 0; i < count; i++) {
		struct auth_seat *seat = &generation->helpers[i];

		*seat = (struct auth_seat){
			.generation = generation,
			.number = i,
			.is_slow = i >= fast,
			.timer = { .expired = seat_timer_expired },
		};
		generation->helper_count++;
		if (!channels_open(seat, fault))
			return false;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!helper_start(&generation->helpers[i], fault))
			return false;
	}
	return true;
}

/* ---- Their end ---- */

void
helpers_stop(struct generation *generation)
{
	struct loop *loop = generation->supervisor->loop;

	if (generation->is_ending)
		return;
	generation->is_ending = true;
	for (unsigned i = 0; i < generation->helper_count; i++) {
		struct auth_seat *seat = &generation->helpers[i];

		loop_timer_cancel(loop, &seat->timer);
		if (seat->pid == 0)
			continue;
		(void)kill(seat->pid, SIGTERM);
		loop_timer_set(loop, &seat->timer, STOP_MS);
	}
}

bool
helpers_are_gone(const struct generation *generation)
{
	for (unsigned i = 0; i < generation->helper_count; i++) {
		if (generation->helpers[i].pid != 0)
			return false;
	}
	return true;
}

void
helpers_free(struct generation *generation)
{
	for (unsigned i = 0; i < generation->helper_count; i++) {
		struct auth_seat *seat = &generation->helpers[i];

		loop_timer_cancel(generation->supervisor->loop, &seat->timer);
		channels_close(seat);
		free(seat->channels);
	}
	free(generation->helpers);
	generation->helpers = NULL;
	generation->helper_count = 0;
}

void
helpers_kill(struct supervisor *supervisor)
{
	for (struct list *l = supervisor->generations.next; l != &supervisor->generations;
	     l = l->next) {
		const struct generation *generation = LIST_OWNER(l, struct generation, link);

		for (unsigned i = 0; i < generation->helper_count; i++) {
			if (generation->helpers[i].pid != 0)
				(void)kill(generation->helpers[i].pid, SIGKILL);
		}
	}
}

static void
end_log(const struct supervisor *supervisor, const struct auth_seat *seat, int status)
{
	const struct log *log = supervisor->log;

	if (WIFSIGNALED(status))
		log_error(log, "auth helper %u (pid %d) was killed by signal %d", seat->number,
			  (int)seat->pid, WTERMSIG(status));
	else if (seat->generation->is_ending && WEXITSTATUS(status) == 0)
		log_debug(log, "auth helper %u (pid %d) ended", seat->number, (int)seat->pid);
	else
		log_error(log, "auth helper %u (pid %d) ended with status %d", seat->number,
			  (int)seat->pid, WEXITSTATUS(status));
}

static void
helper_ended(struct auth_seat *seat)
{
	struct supervisor *supervisor = seat->generation->supervisor;
	int64_t lived_ms = loop_now_ms(supervisor->loop) - seat->started_ms;

	seat->pid = 0;
	loop_timer_cancel(supervisor->loop, &seat->timer);
	if (seat->generation->is_ending)
		return;
	if (lived_ms >= LIVED_LONG_MS)
		seat->delay_ms = 0;
	loop_timer_set(supervisor->loop, &seat->timer, seat->delay_ms);
	seat->delay_ms = seat->delay_ms == 0 ? RESTART_DELAY_MS : seat->delay_ms * 2;
	if (seat->delay_ms > RESTART_DELAY_MAX_MS)
		seat->delay_ms = RESTART_DELAY_MAX_MS;
}

void
helpers_reap(struct supervisor *supervisor)
{
	struct list *next;

	for (struct list *l = supervisor->generations.next; l != &supervisor->generations;
	     l = next) {
		struct generation *generation = LIST_OWNER(l, struct generation, link);

		next = l->next;
		for (unsigned i = 0; i < generation->helper_count; i++) {
			struct auth_seat *seat = &generation->helpers[i];
			int status;

			if (seat->pid == 0 || waitpid(seat->pid, &status, WNOHANG) != seat->pid)
				continue;
			end_log(supervisor, seat, status);
			helper_ended(seat);
		}
		generation_release(supervisor, generation);
	}
	supervisor_stop_go_on(supervisor);
}

void
helper_is_hung(struct supervisor *supervisor, const struct generation *generation,
	       const struct worker_hung *hung)
{
	if (hung->helper >= generation->helper_count || hung->pid <= 0 ||
	    generation->helpers[hung->helper].pid != hung->pid)
		return;
	log_warn(supervisor->log, "auth helper %u (pid %d) hangs and is killed",
		 (unsigned)hung->helper, (int)hung->pid);
	(void)kill(hung->pid, SIGKILL);
}
