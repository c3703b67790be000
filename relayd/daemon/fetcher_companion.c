/* SPDX-License-Identifier: ISC */
/* The fetch process as a companion. */
#include "daemon/fetcher.h"
#include "daemon/sandbox.h"
#include "daemon/supervisor_private.h"

#include "base/memory.h"

#include <stdlib.h>

static bool
has_tokens(const struct settings *settings)
{
	for (size_t i = 0; i < settings->route_count; i++) {
		if (settings->routes[i].auth.token.endpoint != NULL)
			return true;
	}
	return false;
}

bool
tokens_prepare(struct generation *generation, struct fault *fault)
{
	if (!has_tokens(generation->settings))
		return true;
	generation->tokens = token_board_new(generation->settings->route_count, fault);
	return generation->tokens != NULL;
}

struct confinement {
	const struct settings *settings;
	const struct log *log;
};

static bool
fetcher_confine(void *context, struct fault *fault)
{
	const struct confinement *confinement = context;
	const char *writable[] = { confinement->settings->state_directory };
	/* it lives long and asks the C library for names, which reads what is there then */
	static const char *const readable[] = { "/etc" };
	const struct sandbox_paths paths = {
		.readable = readable, .readable_count = ARRAY_LEN(readable),
		.writable = writable, .writable_count = ARRAY_LEN(writable),
	};

	return privileges_drop(NULL, false, fault) &&
	       sandbox_enter(&paths, confinement->log, fault);
}

static int
fetcher_companion_run(struct supervisor *supervisor, const struct settings *settings,
		      const struct log *log, int channel)
{
	struct fetcher_route *routes = memory_new_array(settings->route_count, sizeof(*routes));
	struct confinement confinement = { .settings = settings, .log = log };
	const struct fetcher_start start = {
		.routes = routes,
		.route_count = settings->route_count,
		.board = supervisor->current->tokens,
		.state_directory = settings->state_directory,
		.log = log,
		.supervisor = channel,
		.confine = fetcher_confine,
		.context = &confinement,
	};

	for (size_t i = 0; i < settings->route_count; i++)
		routes[i] = (struct fetcher_route){ .name = settings->routes[i].name,
						    .settings = &settings->routes[i].auth.token };

	int status = fetcher_run(&start);

	free(routes);
	return status;
}

const struct companion_kind fetcher_companion = {
	.name = "fetcher",
	.is_wanted = has_tokens,
	.run = fetcher_companion_run,
};
