/* SPDX-License-Identifier: ISC */
/*
 * spool/: power cuts. A run is recorded; then, for many moments of it, a disk is made up
 * as a power cut at that moment may leave it, and the spool is opened on that.
 */
#include "spool/box.h"
#include "spool/recording_disk.h"

#include "suite.h"

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

static void
cut_check(size_t moment, uint64_t random)
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
	ck_assert_int_eq(box_store(&after, 100000, 10)->status, SPOOL_OK);
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
		cut_check(1 + i * (all - 1) / (CUTS - 1), 88172645463325252u + i * 77777);
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
	tcase_set_timeout(tc, 300);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
