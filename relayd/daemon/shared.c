/* SPDX-License-Identifier: ISC */
/* Shared memory; see shared.h. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "daemon/shared.h"

#include "base/id.h"
#include "policy/quota.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

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

/* A number that no clock explains is not ours: the file was damaged, or the clock was. */
#define SERIAL_LEAD_MAX (UINT64_C(1) << 32)

static struct shared *
serial_map(int fd, int64_t wall_ms, struct fault *fault)
{
	struct shared before = { .session_serial = 0 };
	uint64_t start = id_serial_start(wall_ms);

	if (pread(fd, &before, sizeof(before), 0) == (ssize_t)sizeof(before) &&
	    before.session_serial > start && before.session_serial - start < SERIAL_LEAD_MAX)
		start = before.session_serial;
	before.session_serial = start;
	/* written, not only mapped: a full disk must show here, not in a page fault later */
	if (pwrite(fd, &before, sizeof(before), 0) != (ssize_t)sizeof(before)) {
		fault_set(fault, "write the file serial of state-dir");
		return NULL;
	}
	void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED) {
		fault_set(fault, "mmap the file serial of state-dir");
		return NULL;
	}
	return p;
}

struct shared *
shared_new(const char *state_directory, int64_t wall_ms, struct fault *fault)
{
	struct buffer path;

	buffer_init(&path, 4096);
	buffer_printf(&path, "%s/serial", state_directory);
	int fd = open(buffer_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd == -1)
		fault_setf(fault, "open %s", buffer_text(&path));
	buffer_reset(&path);
	if (fd == -1)
		return NULL;
	struct shared *shared = serial_map(fd, wall_ms, fault);

	(void)close(fd);
	return shared;
}

void
shared_free(struct shared **shared)
{
	if (*shared != NULL)
		(void)munmap(*shared, sizeof(**shared));
	*shared = NULL;
}

struct quota *
shared_quota_memory_new(unsigned slots, struct fault *fault)
{
	void *memory = mapping_new(quota_octets(slots), fault);
	uint64_t seed;

	if (memory == NULL)
		return NULL;
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
		fault_set(fault, "getrandom");
		return NULL;
	}
	return quota_init(memory, slots, seed);
}

struct worker_figures *
worker_figures_new(size_t connectors, size_t routes, size_t grants, struct fault *fault)
{
	size_t octets = sizeof(struct worker_figures) +
			connectors * sizeof(struct session_figures) +
			routes * sizeof(struct route_figures) + rates_octets(grants);
	struct worker_figures *figures = mapping_new(octets, fault);

	if (figures == NULL)
		return NULL;
	figures->octets = octets;
	figures->connector_count = connectors;
	figures->route_count = routes;
	figures->connectors = (struct session_figures *)(void *)(figures + 1);
	figures->routes = (struct route_figures *)(void *)(figures->connectors + connectors);
	figures->rates = (struct rate_figures *)(void *)(figures->routes + routes);
	figures->rates->grant_count = grants;
	return figures;
}

void
worker_figures_free(struct worker_figures **figures)
{
	if (*figures != NULL)
		(void)munmap(*figures, (*figures)->octets);
	*figures = NULL;
}
