/* SPDX-License-Identifier: ISC */
/* The metrics process as a companion, and the socket on which it listens. */
#define _GNU_SOURCE /* F_DUPFD_CLOEXEC */
#include "daemon/metrics.h"
#include "daemon/sandbox.h"
#include "daemon/supervisor_private.h"
#include "net/listener.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKLOG 64

static bool
metrics_are_wanted(const struct settings *settings)
{
	return settings->metrics.is_wanted;
}

static bool
is_same(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
	return a->port == b->port && ip_compare(&a->ip, &b->ip) == 0;
}

bool
metrics_bind(struct generation *generation, struct fault *fault)
{
	const struct metrics_settings *wanted = &generation->settings->metrics;
	const struct generation *current = generation->supervisor->current;

	if (!wanted->is_wanted)
		return true;
	if (current != NULL && current->metrics_fd != -1 &&
	    is_same(&current->settings->metrics.listen, &wanted->listen)) {
		generation->metrics_fd = fcntl(current->metrics_fd, F_DUPFD_CLOEXEC, 0);
		return generation->metrics_fd != -1 || fault_set(fault, "dup of metrics");
	}
	generation->metrics_fd =
	    listener_open(&wanted->listen, BACKLOG, LISTENER_V6ONLY, fault);
	return generation->metrics_fd != -1;
}

void
metrics_unbind(struct generation *generation)
{
	if (generation->metrics_fd != -1)
		(void)close(generation->metrics_fd);
	generation->metrics_fd = -1;
}

static int
metrics_companion_run(struct supervisor *supervisor, const struct settings *settings,
		      const struct log *log, int channel)
{
	const struct metrics_start start = {
		.listener = supervisor->current->metrics_fd,
		.supervisor = channel,
		.state_directory = settings->state_directory,
		.log = log,
	};
	const struct sandbox_paths nothing = { .readable_count = 0 };
	struct fault fault = { .error = 0 };

	if (privileges_drop(NULL, false, &fault) && sandbox_enter(&nothing, log, &fault))
		return metrics_run(&start);
	log_error(log, "cannot start: %s", fault_text(&fault));
	return EXIT_FAILURE;
}

const struct companion_kind metrics_companion = {
	.name = "metrics",
	.keeps_metrics = true,
	.is_wanted = metrics_are_wanted,
	.run = metrics_companion_run,
};
