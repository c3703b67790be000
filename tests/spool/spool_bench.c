/* SPDX-License-Identifier: ISC */
/*
 * How fast the spool alone is: commits a second, processor time for each, and how long
 * one takes, with so many messages under way at a time. Each message is removed as soon
 * as it is stored. spool_bench DIRECTORY [OCTETS [SECONDS [DISK-FAULTS]]]
 */
#include "base/clock.h"
#include "base/memory.h"
#include "net/loop.h"
#include "spool/disk_faulty.h"
#include "spool/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define SAMPLES_MAX 1000000

struct bench {
	struct loop *loop;
	struct spool *spool;
	char *body;
	size_t octets;
	int64_t until_ns;
	uint64_t done;
	uint64_t failed;
	uint32_t *samples; /* microseconds x 10 */
	size_t sample_count;
};

/* One of the messages under way. */
struct slot {
	struct bench *bench;
	struct spool_draft *draft;
	size_t at; /* of the body */
	int64_t ended_ns;
};

static void slot_begin(struct slot *slot);

static int
sample_compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double
cpu_seconds(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void
slot_stored(void *context, enum spool_status status, struct spool_message *message)
{
	struct slot *slot = context;
	struct bench *bench = slot->bench;
	int64_t now_ns = clock_monotonic_ns();

	bench->done++;
	if (bench->sample_count < SAMPLES_MAX)
		bench->samples[bench->sample_count++] =
		    (uint32_t)((now_ns - slot->ended_ns) / 100);
	if (status != SPOOL_OK)
		bench->failed++;
	else
		spool_remove(&message);
	if (now_ns < bench->until_ns)
		slot_begin(slot);
}

static void
slot_go_on(void *context)
{
	static const char envelope[400];
	struct slot *slot = context;
	const struct bench *bench = slot->bench;

	while (slot->at < bench->octets) {
		struct span part = { bench->body + slot->at, bench->octets - slot->at };

		part = span_first(part, 64 * 1024);
		slot->at += part.len;
		if (!spool_draft_append(slot->draft, part, slot_go_on, slot))
			return;
	}
	slot->ended_ns = clock_monotonic_ns();
	spool_draft_commit(&slot->draft, (struct span){ envelope, sizeof(envelope) },
			   (struct span){ envelope, 32 }, slot_stored, slot);
}

static void
slot_begin(struct slot *slot)
{
	slot->draft = spool_draft_new(slot->bench->spool);
	slot->at = 0;
	slot_go_on(slot);
}

static void
message_found(void *context, struct spool_message *message, struct span envelope,
	      struct span state)
{
	(void)context;
	(void)envelope;
	(void)state;
	spool_remove(&message);
}

static void
bench_run(struct bench *bench, size_t outstanding, double seconds)
{
	struct slot *slots = memory_new_array(outstanding, sizeof(*slots));
	struct spool_figures before, after;
	double cpu = cpu_seconds();
	int64_t begin_ns = clock_monotonic_ns();

	bench->until_ns = begin_ns + (int64_t)(seconds * 1e9);
	bench->done = bench->failed = bench->sample_count = 0;
	spool_figures_get(bench->spool, &before);
	for (size_t i = 0; i < outstanding; i++) {
		slots[i].bench = bench;
		slot_begin(&slots[i]);
	}
	while (clock_monotonic_ns() < bench->until_ns || !spool_is_idle(bench->spool))
		loop_turn(bench->loop, 100);
	spool_figures_get(bench->spool, &after);
	double wall = (double)(clock_monotonic_ns() - begin_ns) / 1e9;
	double done = (double)bench->done;

	cpu = cpu_seconds() - cpu;
	qsort(bench->samples, bench->sample_count, sizeof(uint32_t), sample_compare);
	(void)printf("%4zu outstanding: %8.0f commits/s %7.1f MB/s, %6.1f us CPU each, "
		     "%5.1f a sync, p50 %.2f ms, p99 %.2f ms, failed %llu\n",
		     outstanding, done / wall, done * (double)bench->octets / wall / 1e6,
		     cpu / done * 1e6, done / (double)(after.syncs - before.syncs),
		     bench->samples[bench->sample_count / 2] / 1e4,
		     bench->samples[bench->sample_count * 99 / 100] / 1e4,
		     (unsigned long long)bench->failed);
	free(slots);
}

int
main(int argc, char **argv)
{
	static const size_t outstanding[] = { 1, 4, 20, 200 };
	static const struct spool_events events = { .found = message_found };
	struct spool_settings settings = { .directory =
					       argc > 1 ? argv[1] : "bench.spool" };
	struct bench bench = { .octets =
				   argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 4096 };
	double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
	struct log log = { .level = LOG_LEVEL_WARN };
	struct fault fault;
	struct disk_faulty *faulty = NULL;

	if (argc > 4) {
		faulty = disk_faulty_new(argv[4], NULL, &fault);
		if (faulty == NULL) {
			(void)fprintf(stderr, "%s\n", fault_text(&fault));
			return 2;
		}
		settings.disk = disk_faulty_disk(faulty);
	}
	bench.body = memory_new(bench.octets + 1);
	bench.samples = memory_new_array(SAMPLES_MAX, sizeof(uint32_t));
	bench.loop = loop_new(&fault);
	if (bench.loop != NULL)
		bench.spool =
		    spool_open(&settings, bench.loop, &events, NULL, &log, &fault);
	if (bench.spool == NULL) {
		(void)fprintf(stderr, "%s\n", fault_text(&fault));
		return 3;
	}
	for (size_t i = 0; i < ARRAY_LEN(outstanding); i++)
		bench_run(&bench, outstanding[i], seconds);
	spool_close(&bench.spool);
	loop_turn(bench.loop, 0);
	loop_free(&bench.loop);
	if (faulty != NULL)
		disk_faulty_free(&faulty);
	free(bench.samples);
	free(bench.body);
	return 0;
}
