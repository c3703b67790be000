/* SPDX-License-Identifier: ISC */
/* The supervisor's side of the pickup process: one for the current configuration. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "daemon/pickup.h"
#include "daemon/sandbox.h"
#include "daemon/supervisor_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESTART_DELAY_MS 5000

static const struct settings *
settings_now(const struct supervisor *supervisor)
{
	return supervisor->current == NULL ? NULL : supervisor->current->settings;
}

static const char *
socket_path(const struct settings *settings, struct buffer *path)
{
	buffer_init(path, 4096);
	(void)buffer_printf(path, "%s/" PICKUP_SOCKET, settings->state_directory);
	return buffer_text(path);
}

bool
pickup_bind(struct supervisor *supervisor, const struct settings *settings,
	    struct fault *fault)
{
	struct buffer path;

	if (settings->pickup.directory == NULL || supervisor->pickup.listener != -1)
		return true;
	supervisor->pickup.listener =
	    pickup_socket_open(socket_path(settings, &path), fault);
	buffer_reset(&path);
	return supervisor->pickup.listener != -1;
}

static _Noreturn void
child_become_pickup(const struct supervisor *supervisor, const struct settings *settings,
		    int channel)
{
	const char *writable[] = { settings->pickup.directory, settings->state_directory };
	struct log log = *supervisor->log;
	struct fault fault = { .error = 0 };
	struct buffer path;

	inherited_close(supervisor, NULL, 0);
	signals_restore();
	log.who = "pickup";

	const struct pickup_start start = {
		.directory = settings->pickup.directory,
		.socket_path = socket_path(settings, &path),
		.hostname = settings->hostname,
		.message_octets_max = settings->pickup.message_octets_max,
		.log = &log,
		.supervisor = channel,
	};

	if (!privileges_drop(NULL, false, &fault) ||
	    !sandbox_enter(writable, ARRAY_LEN(writable), &log, &fault)) {
		log_error(&log, "cannot start: %s", fault_text(&fault));
		exit(EXIT_FAILURE);
	}
	exit(pickup_run(&start));
}

static void
pickup_start(struct supervisor *supervisor, const struct settings *settings)
{
	struct pickup_seat *seat = &supervisor->pickup;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) {
		log_error(supervisor->log, "pickup: socketpair: %s", strerror(errno));
		loop_timer_set(supervisor->loop, &seat->timer, RESTART_DELAY_MS);
		return;
	}
	seat->pid = fork();
	if (seat->pid == 0) {
		(void)close(ends[0]);
		child_become_pickup(supervisor, settings, ends[1]);
	}
	(void)close(ends[1]);
	if (seat->pid == -1) {
		log_error(supervisor->log, "pickup: fork: %s", strerror(errno));
		(void)close(ends[0]);
		seat->pid = 0;
		loop_timer_set(supervisor->loop, &seat->timer, RESTART_DELAY_MS);
		return;
	}
	seat->channel = ends[0];
}

static void
timer_expired(struct loop_timer *timer)
{
	struct supervisor *supervisor = LIST_OWNER(timer, struct supervisor, pickup.timer);

	pickup_renew(supervisor);
}

void
pickup_seat_init(struct pickup_seat *seat)
{
	*seat = (struct pickup_seat){
		.channel = -1,
		.listener = -1,
		.timer = { .expired = timer_expired },
	};
}

void
pickup_stop(struct supervisor *supervisor)
{
	struct pickup_seat *seat = &supervisor->pickup;

	loop_timer_cancel(supervisor->loop, &seat->timer);
	if (seat->channel != -1)
		(void)close(seat->channel);
	seat->channel = -1;
}

void
pickup_renew(struct supervisor *supervisor)
{
	const struct settings *settings = settings_now(supervisor);

	pickup_stop(supervisor);
	if (supervisor->pickup.pid == 0 && !supervisor->is_stopping && settings != NULL &&
	    settings->pickup.directory != NULL)
		pickup_start(supervisor, settings);
}

void
pickup_reap(struct supervisor *supervisor)
{
	struct pickup_seat *seat = &supervisor->pickup;
	bool was_told = seat->channel == -1;
	int status;

	if (seat->pid == 0 || waitpid(seat->pid, &status, WNOHANG) != seat->pid)
		return;
	seat->pid = 0;
	if (was_told) {
		pickup_renew(supervisor);
		return;
	}
	pickup_stop(supervisor);
	log_error(supervisor->log, "the pickup process ended (status %d); starting it again soon",
		  status);
	if (!supervisor->is_stopping)
		loop_timer_set(supervisor->loop, &seat->timer, RESTART_DELAY_MS);
}

void
pickup_seat_reset(struct supervisor *supervisor)
{
	struct pickup_seat *seat = &supervisor->pickup;
	int status;

	if (seat->channel != -1)
		(void)close(seat->channel);
	if (seat->listener != -1)
		(void)close(seat->listener);
	if (seat->pid > 0) {
		(void)kill(seat->pid, SIGKILL);
		(void)waitpid(seat->pid, &status, 0);
	}
}
