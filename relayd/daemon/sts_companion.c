/* SPDX-License-Identifier: ISC */
/* The MTA-STS process as a companion. */
#include "daemon/sandbox.h"
#include "daemon/sts_fetcher.h"
#include "daemon/supervisor_private.h"

static bool
has_sts(const struct settings *settings)
{
	for (size_t i = 0; i < settings->route_count; i++) {
		if (settings->routes[i].wants_sts)
			return true;
	}
	return false;
}

bool
sts_prepare(struct generation *generation, struct fault *fault)
{
	if (!has_sts(generation->settings))
		return true;
	generation->sts = sts_board_new(fault);
	return generation->sts != NULL;
}

struct confinement {
	const struct settings *settings;
	const struct log *log;
};

static bool
sts_confine(void *context, struct fault *fault)
{
	const struct confinement *confinement = context;
	const char *writable[] = { confinement->settings->state_directory };

	return privileges_drop(NULL, false, fault) &&
	       sandbox_enter(writable, ARRAY_LEN(writable), confinement->log, fault);
}

static int
sts_companion_run(struct supervisor *supervisor, const struct settings *settings,
		  const struct log *log, int channel)
{
	struct confinement confinement = { .settings = settings, .log = log };
	const struct sts_fetcher_start start = {
		.board = supervisor->current->sts,
		.state_directory = settings->state_directory,
		.ca_file = settings->sts.ca_file,
		.port = settings->sts.port,
		.log = log,
		.supervisor = channel,
		.confine = sts_confine,
		.context = &confinement,
	};

	return sts_fetcher_run(&start);
}

const struct companion_kind sts_companion = {
	.name = "mta-sts",
	.is_wanted = has_sts,
	.run = sts_companion_run,
};
