/* SPDX-License-Identifier: ISC */
/*
 * spool/: power cuts. A run is recorded; then, for many moments of it, a disk is made up
 * as a power cut at that moment may leave it, and the spool is opened on that.
 */
#include "spool/box.h"
#include "spool/recording_disk.h"

#include "base/clock.h"

#include "suite.h"

#include <unistd.h>

#define LETTERS 500
#define ADOPTED 12 /* of them, were stored by another process */
#define CUTS	600

static struct box box;
static struct recording *recording;
static size_t stored_at[LETTERS]; /* moment of the acknowledgement; 0: never */
static size_t remove_at[LETTERS]; /* moment at which it was given up; 0: never */

static void
letter_answered(struct letter *letter)
{
	if (letter->seed < LETTERS && letter->status == SPOOL_OK)
		stored_at[letter->seed] = recording_now(recording);
}

static uint32_t
letter_octets(uint32_t seed)
{
	if (seed % 17 == 0)
		return 20000 + seed * 31;
	return seed * 2654435761u >> 19;
}

static void
letter_remove(struct letter *letter)
{
	if (letter->message == NULL)
		return;
	remove_at[letter->seed] = recording_now(recording);
	spool_remove(&letter->message);
}

/* Some messages stay for long, each in a segment that others leave. */
static bool
stays(uint32_t seed)
{
	return seed % 35 == 0;
}

/* A shard of another process, which is adopted when that is gone. */
static void
adoption_record(void)
{
	struct box other;

	box_share(&other, &box);
	other.answered = letter_answered;
	box_open(&other);
	for (uint32_t i = 0; i < ADOPTED; i++)
		(void)box_store(&other, i, letter_octets(i));
	box_close(&other);
	spool_adopt(box.spool);
	box_wait(&box);
	ck_assert_uint_eq(box.found_count, ADOPTED);
	for (size_t i = 0; i < ADOPTED; i++) {
		if (i % 4 != 0)
			letter_remove(box.found[i]);
	}
}

/* Traffic of all kinds on small segments, so that they are recycled and compacted often.
 */
static void
traffic_record(void)
{
	for (uint32_t i = ADOPTED; i < LETTERS; i++) {
		(void)box_send(&box, i, letter_octets(i));
		if (i % 3 == 0)
			box_wait(&box);
		if (i < ADOPTED + 10)
			continue;
		struct letter *letter = box.sent[i - 10 - ADOPTED];

		if (!stays(letter->seed))
			letter_remove(letter);
		else if (letter->message != NULL)
			spool_state_write(letter->message, 0, span_of("noted"));
	}
	struct spool_figures figures;
	size_t tries = 0;

	do { /* until compaction has done its work */
		box_wait(&box);
		loop_turn(box.loop, 5);
		spool_state_write(box.found[0]->message, 0, span_of("noted"));
		spool_figures_get(box.spool, &figures);
	} while (figures.segments > 9 && ++tries < 2000);
	ck_assert_uint_le(figures.segments, 9);
}

static bool
has_shard(struct box *at, const char *shard)
{
	char path[256];

	box_path(at, shard, path);
	return access(path, F_OK) == 0;
}

/*
 * Give the spool turns until the adopted shard, which is sparse, was emptied by compaction and
 * removed. A message written to makes the commit thread look what is to be done; nothing
 * depends on when it does it.
 */
static void
adopted_shard_outlive(struct box *at, struct letter *letter)
{
	int64_t until_ms = clock_monotonic_ms() + 30000;

	while (has_shard(at, "1")) {
		ck_assert_msg(clock_monotonic_ms() < until_ms, "the shard never goes");
		spool_state_write(letter->message, 0, span_of("noted"));
		box_wait(at);
		loop_turn(at->loop, 5);
	}
}

/* With outlives the adopted shard, if it is there, must go on going away. */
static void
cut_check(size_t moment, uint64_t random, bool outlives)
{
	static bool is_found[LETTERS];
	struct box after;

	box_begin(&after);
	after.settings = box.settings;
	after.settings.disk = box_disk(&after);
	after.settings.directory = after.directory;
	recording_cut(recording, moment, random, after.directory);
	memset(is_found, 0, sizeof(is_found));
	box_open(&after);
	spool_adopt(after.spool);
	box_wait(&after);
	for (size_t i = 0; i < after.found_count; i++) {
		struct letter *letter = after.found[i];

		ck_assert_uint_lt(letter->seed, LETTERS);
		ck_assert_msg(!is_found[letter->seed], "cut %zu: %u is there twice",
			      moment, letter->seed);
		is_found[letter->seed] = true;
		ck_assert(memcmp(letter->state, "fresh", 6) == 0 ||
			  memcmp(letter->state, "noted", 6) == 0);
		ck_assert_msg(letter_is_whole(&after, letter), "cut %zu: %u is mangled",
			      moment, letter->seed);
	}
	for (uint32_t i = 0; i < LETTERS; i++) {
		bool is_stored = stored_at[i] != 0 && stored_at[i] <= moment;
		bool is_removed = remove_at[i] != 0 && remove_at[i] <= moment;

		ck_assert_msg(is_found[i] || !is_stored || is_removed,
			      "cut %zu (%llu): %u is lost", moment,
			      (unsigned long long)random, i);
	}
	/* And it works. */
	struct letter *letter = box_store(&after, 100000, 10);

	ck_assert_int_eq(letter->status, SPOOL_OK);
	if (outlives) {
		for (size_t i = 0; i < after.found_count; i++) { /* what came back is done */
			if (after.found[i]->seed % 4 != 0)
				spool_remove(&after.found[i]->message);
		}
		adopted_shard_outlive(&after, letter);
	}
	box_close(&after);
	box_end(&after);
}

START_TEST(power_cut_at_any_moment_loses_nothing)
{
	box_hush();
	box_begin(&box);
	recording = recording_new(box.directory);
	box.settings.disk = recording_disk(recording);
	box.settings.segment_octets = 64 * 1024;
	box.answered = letter_answered;
	box_open(&box);
	adoption_record();
	traffic_record();
	box_close(&box);

	size_t all = recording_now(recording);

	for (size_t i = 0; i < CUTS; i++)
		cut_check(1 + i * (all - 1) / (CUTS - 1), 88172645463325252u + i * 77777, false);
	box_end(&box);
	recording_free(&recording);
}
END_TEST

/* Every moment from the adoption to the end of the emptied shard. */
START_TEST(power_cut_while_an_adopted_shard_is_emptied_loses_nothing)
{
	box_hush();
	memset(stored_at, 0, sizeof(stored_at));
	memset(remove_at, 0, sizeof(remove_at));
	box_begin(&box);
	recording = recording_new(box.directory);
	box.settings.disk = recording_disk(recording);
	box.settings.segment_octets = 64 * 1024;
	box.answered = letter_answered;
	box_open(&box);

	size_t first = recording_now(recording);

	adoption_record();
	adopted_shard_outlive(&box, box_store(&box, ADOPTED, 100));
	for (size_t i = 0; i < ADOPTED; i += 4) {
		spool_state_write(box.found[i]->message, 0, span_of("noted"));
		ck_assert(letter_is_whole(&box, box.found[i]));
	}
	box_close(&box);

	size_t all = recording_now(recording);

	ck_assert_uint_gt(all, first);
	for (size_t moment = first; moment < all; moment++)
		cut_check(moment, 2862933555777941757u + moment * 3037, moment % 32 == 0);
	box_end(&box);
	recording_free(&recording);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("power");
	TCase *tc = tcase_create("power");

	tcase_add_test(tc, power_cut_at_any_moment_loses_nothing);
	tcase_add_test(tc, power_cut_while_an_adopted_shard_is_emptied_loses_nothing);
	tcase_set_timeout(tc, 300);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
