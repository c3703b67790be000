/* SPDX-License-Identifier: ISC */
/* Companions of the workers; see companion.h. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "daemon/companion.h"

#include "daemon/supervisor_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESTART_DELAY_MS 5000
#define END_WITHIN_MS	 2000 /* then it is killed */
#define END_LOOK_MS	 5

static _Noreturn void
child_become(const struct companion *companion, const struct settings *settings, int channel)
{
	struct log log = *companion->supervisor->log;

	inherited_close(companion->supervisor, NULL, 0);
	signals_restore();
	log.who = companion->kind->name;
	exit(companion->kind->run(companion->supervisor, settings, &log, channel));
}

static void
companion_fail(struct companion *companion, const char *step)
{
	log_error(companion->supervisor->log, "%s: %s: %s", companion->kind->name, step,
		  strerror(errno));
	loop_timer_set(companion->supervisor->loop, &companion->timer, RESTART_DELAY_MS);
}

static void
companion_start(struct companion *companion, const struct settings *settings)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) {
		companion_fail(companion, "socketpair");
		return;
	}
	pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		child_become(companion, settings, ends[1]);
	}
	(void)close(ends[1]);
	if (pid == -1) {
		companion_fail(companion, "fork");
		(void)close(ends[0]);
		return;
	}
	companion->pid = pid;
	companion->channel = ends[0];
}

static void
companion_stop(struct companion *companion)
{
	loop_timer_cancel(companion->supervisor->loop, &companion->timer);
	if (companion->channel != -1)
		(void)close(companion->channel);
	companion->channel = -1;
}

static void
companion_renew(struct companion *companion)
{
	const struct supervisor *supervisor = companion->supervisor;

	companion_stop(companion);
	if (companion->pid == 0 && !supervisor->is_stopping && supervisor->current != NULL &&
	    companion->kind->is_wanted(supervisor->current->settings))
		companion_start(companion, supervisor->current->settings);
}

static void
timer_expired(struct loop_timer *timer)
{
	companion_renew(LIST_OWNER(timer, struct companion, timer));
}

static void
companion_reap(struct companion *companion)
{
	struct supervisor *supervisor = companion->supervisor;
	bool was_told = companion->channel == -1;
	int status;

	if (companion->pid == 0 ||
	    waitpid(companion->pid, &status, WNOHANG) != companion->pid)
		return;
	companion->pid = 0;
	if (was_told) {
		companion_renew(companion);
		return;
	}
	companion_stop(companion);
	log_error(supervisor->log, "the %s process ended (status %d); starting it again soon",
		  companion->kind->name, status);
	if (!supervisor->is_stopping)
		loop_timer_set(supervisor->loop, &companion->timer, RESTART_DELAY_MS);
}

void
companions_init(struct supervisor *supervisor)
{
	static const struct companion_kind *const kinds[COMPANION_COUNT] = {
		[COMPANION_PICKUP] = &pickup_companion,
		[COMPANION_FETCHER] = &fetcher_companion,
		[COMPANION_STS] = &sts_companion,
	};

	for (size_t i = 0; i < COMPANION_COUNT; i++)
		supervisor->companions[i] = (struct companion){
			.kind = kinds[i],
			.supervisor = supervisor,
			.channel = -1,
			.timer = { .expired = timer_expired },
		};
}

void
companions_renew(struct supervisor *supervisor)
{
	for (size_t i = 0; i < COMPANION_COUNT; i++)
		companion_renew(&supervisor->companions[i]);
}

void
companions_stop(struct supervisor *supervisor)
{
	for (size_t i = 0; i < COMPANION_COUNT; i++)
		companion_stop(&supervisor->companions[i]);
}

void
companions_reap(struct supervisor *supervisor)
{
	for (size_t i = 0; i < COMPANION_COUNT; i++)
		companion_reap(&supervisor->companions[i]);
}

void
companions_close(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < COMPANION_COUNT; i++) {
		if (supervisor->companions[i].channel != -1)
			(void)close(supervisor->companions[i].channel);
	}
}

/* A token that was just renewed has to be kept: let it finish, but not for long. */
static void
companion_end(struct companion *companion)
{
	const struct timespec pause = { .tv_nsec = END_LOOK_MS * 1000000L };
	int status;

	if (companion->channel != -1)
		(void)close(companion->channel);
	companion->channel = -1;
	for (int left_ms = END_WITHIN_MS; companion->pid > 0 && left_ms > 0;
	     left_ms -= END_LOOK_MS) {
		if (waitpid(companion->pid, &status, WNOHANG) == companion->pid)
			companion->pid = 0;
		else
			(void)nanosleep(&pause, NULL);
	}
	if (companion->pid > 0) {
		(void)kill(companion->pid, SIGKILL);
		(void)waitpid(companion->pid, &status, 0);
		companion->pid = 0;
	}
}

void
companions_end(struct supervisor *supervisor)
{
	for (size_t i = 0; i < COMPANION_COUNT; i++)
		companion_end(&supervisor->companions[i]);
}
