/* SPDX-License-Identifier: ISC */
/* The pickup process as a companion, and the socket where workers take what it brings. */
#include "daemon/pickup.h"
#include "daemon/sandbox.h"
#include "daemon/supervisor_private.h"

#include <stdlib.h>

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

	if (settings->pickup.directory == NULL || supervisor->pickup_listener != -1)
		return true;
	supervisor->pickup_listener =
	    pickup_socket_open(socket_path(settings, &path), fault);
	buffer_reset(&path);
	return supervisor->pickup_listener != -1;
}

static bool
pickup_is_wanted(const struct settings *settings)
{
	return settings->pickup.directory != NULL;
}

static int
pickup_companion_run(struct supervisor *supervisor, const struct settings *settings,
		     const struct log *log, int channel)
{
	const char *writable[] = { settings->pickup.directory, settings->state_directory };
	const struct sandbox_paths paths = {
		.writable = writable, .writable_count = ARRAY_LEN(writable),
	};
	struct fault fault = { .error = 0 };
	struct buffer path;
	const struct pickup_start start = {
		.directory = settings->pickup.directory,
		.socket_path = socket_path(settings, &path),
		.hostname = settings->hostname,
		.message_octets_max = settings->pickup.message_octets_max,
		.log = log,
		.supervisor = channel,
	};
	int status = EXIT_FAILURE;

	(void)supervisor;
	if (privileges_drop(NULL, false, &fault) &&
	    sandbox_enter(&paths, log, &fault))
		status = pickup_run(&start);
	else
		log_error(log, "cannot start: %s", fault_text(&fault));
	buffer_reset(&path);
	return status;
}

const struct companion_kind pickup_companion = {
	.name = "pickup",
	.is_wanted = pickup_is_wanted,
	.run = pickup_companion_run,
};
