/* SPDX-License-Identifier: ISC */
/* Shared memory; see shared.h. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "daemon/shared.h"

#include "base/id.h"

#include <sys/mman.h>

static void *
mapping_new(size_t octets, struct fault *fault)
{
	void *p = mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		fault_set(fault, "mmap shared memory");
		return NULL;
	}
	return p;
}

struct shared *
shared_new(int64_t wall_ms, struct fault *fault)
{
	struct shared *shared = mapping_new(sizeof(*shared), fault);

	if (shared != NULL)
		shared->session_serial = id_serial_start(wall_ms);
	return shared;
}

void
shared_free(struct shared **shared)
{
	if (*shared != NULL)
		(void)munmap(*shared, sizeof(**shared));
	*shared = NULL;
}

struct worker_figures *
worker_figures_new(size_t connectors, size_t routes, struct fault *fault)
{
	size_t octets = sizeof(struct worker_figures) +
			connectors * sizeof(struct session_figures) +
			routes * sizeof(struct route_figures);
	struct worker_figures *figures = mapping_new(octets, fault);

	if (figures == NULL)
		return NULL;
	figures->octets = octets;
	figures->connector_count = connectors;
	figures->route_count = routes;
	figures->connectors = (struct session_figures *)(void *)(figures + 1);
	figures->routes = (struct route_figures *)(void *)(figures->connectors + connectors);
	return figures;
}

void
worker_figures_free(struct worker_figures **figures)
{
	if (*figures != NULL)
		(void)munmap(*figures, (*figures)->octets);
	*figures = NULL;
}
