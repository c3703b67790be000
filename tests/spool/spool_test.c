/* SPDX-License-Identifier: ISC */
/* spool/: storing, finding again, removing, adopting, recycling. */
#include "spool/box.h"
#include "spool/disk_faulty.h"
#include "spool/fake_loop.h"

#include "suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct box box;

static void
setup(void)
{
	box_begin(&box);
}

static void
teardown(void)
{
	box_end(&box);
}

static void
reopen(void)
{
	box_close(&box);
	box_open(&box);
}

static struct spool_figures
figures(void)
{
	struct spool_figures f;

	spool_figures_get(box.spool, &f);
	return f;
}

static const uint32_t sizes[] = { 0,	  1,	  100,	  4096,	  8192,	   8193,   70000,
				  262143, 262144, 262145, 600000, 1048576, 3000000 };

START_TEST(stored_message_is_found_again_with_all_its_bytes)
{
	box_open(&box);
	struct letter *letter = box_store(&box, 7, sizes[_i]);

	ck_assert_int_eq(letter->status, SPOOL_OK);
	ck_assert(letter_is_whole(&box, letter)); /* from memory */
	spool_body_forget(letter->message);
	ck_assert(letter_is_whole(&box, letter)); /* from disk */

	uint64_t uid = letter->uid;

	reopen();
	ck_assert_uint_eq(box.found_count, 1);
	ck_assert_uint_eq(box.found[0]->seed, 7);
	ck_assert_uint_eq(box.found[0]->octets, sizes[_i]);
	ck_assert_uint_eq(box.found[0]->uid, uid);
	ck_assert(letter_is_whole(&box, box.found[0]));
	ck_assert_uint_eq(box_count_files(&box, "0/large", ""),
			  sizes[_i] > 262144 ? 1 : 0);
}
END_TEST

START_TEST(messages_are_found_in_order_of_arrival)
{
	box_open(&box);
	for (uint32_t i = 0; i < 700; i++) {
		(void)box_send(&box, i, i * 37 % 9000);
		if (i % 20 == 0)
			box_wait(&box);
	}
	box_wait(&box);
	ck_assert_uint_eq(figures().messages, 700);
	reopen();
	ck_assert_uint_eq(box.found_count, 700);
	for (uint32_t i = 0; i < 700; i++) {
		ck_assert_uint_eq(box.found[i]->seed, i);
		ck_assert(i == 0 || box.found[i]->uid > box.found[i - 1]->uid);
		ck_assert(letter_is_whole(&box, box.found[i]));
	}
}
END_TEST

START_TEST(uids_rise_even_when_the_clock_goes_back)
{
	uint64_t last = 0;

	for (int i = 0; i < 5; i++) {
		fake_loop_wall_shift_ms = -3600000 * i;
		box_open(&box);
		ck_assert_uint_gt(box_store(&box, 1, 100)->uid, last);
		last = box.sent[0]->uid;
		box_close(&box);
	}
}
END_TEST

START_TEST(removed_message_is_not_found_again_and_one_let_go_of_is)
{
	box_open(&box);
	struct letter *gone = box_store(&box, 1, 5000), *kept = box_store(&box, 2, 5000),
		      *large = box_store(&box, 3, 400000);

	spool_remove(&gone->message);
	ck_assert_ptr_null(gone->message);
	spool_leave(&kept->message);
	spool_remove(&large->message);
	reopen();
	ck_assert_uint_eq(box.found_count, 1);
	ck_assert_uint_eq(box.found[0]->seed, 2);
	ck_assert_uint_eq(box_count_files(&box, "0/large", ""), 0);
	spool_remove(&box.found[0]->message);
	reopen();
	ck_assert_uint_eq(box.found_count, 0);
}
END_TEST

START_TEST(state_is_as_it_was_last_written)
{
	box_open(&box);
	struct letter *letter = box_store(&box, 1, 100);

	spool_state_write(letter->message, 3, span_of("WX"));
	spool_state_write(letter->message, 15, span_of("Z"));
	spool_state_write(letter->message, 3, span_of("Y"));
	reopen();
	ck_assert_mem_eq(box.found[0]->state, "freYX\0\0\0\0\0\0\0\0\0\0Z", 16);
	spool_state_write(box.found[0]->message, 0, span_of("0123456789abcdef"));
	reopen();
	ck_assert_mem_eq(box.found[0]->state, "0123456789abcdef", 16);
}
END_TEST

static struct span envelope_seen;
static char envelope_bytes[64];

static void
envelope_read(void *context, struct span bytes, struct fault *fault)
{
	(void)context;
	ck_assert_ptr_null(fault);
	ck_assert_uint_lt(bytes.len, sizeof(envelope_bytes));
	memcpy(envelope_bytes, bytes.ptr, bytes.len);
	envelope_seen = (struct span){ envelope_bytes, bytes.len };
}

START_TEST(envelope_can_be_read_again)
{
	box_open(&box);
	struct letter *letter = box_store(&box, 12, 345);

	(void)spool_read_envelope(letter->message, envelope_read, NULL);
	box_wait(&box);
	ck_assert(span_equal(envelope_seen, span_of("12 345")));
}
END_TEST

static void
never_read(void *context, struct span bytes, struct fault *fault)
{
	(void)context;
	(void)bytes;
	(void)fault;
	ck_abort_msg("a cancelled read called back");
}

START_TEST(cancelled_read_does_not_call_back)
{
	box_open(&box);
	struct letter *letter = box_store(&box, 12, 345);

	for (int i = 0; i < 2; i++) {
		struct spool_read *read =
		    spool_read_body(letter->message, 0, 10, never_read, NULL);

		ck_assert(!spool_is_idle(box.spool));
		spool_read_cancel(&read);
		ck_assert_ptr_null(read);
		ck_assert(spool_is_idle(box.spool));
		spool_body_forget(letter->message);
	}
	spool_read_cancel(&(struct spool_read *){ NULL });
	for (int i = 0; i < 5; i++)
		loop_turn(box.loop, 10);
}
END_TEST

static void
read_nothing(void *context, struct span bytes, struct fault *fault)
{
	bool *is_over = context;

	ck_assert_ptr_null(fault);
	ck_assert_uint_eq(bytes.len, 0);
	*is_over = true;
}

START_TEST(read_beyond_the_end_gives_nothing)
{
	static const uint64_t offsets[] = { 345, 346, UINT64_MAX };

	box_open(&box);
	struct letter *letter = box_store(&box, 12, 345);

	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		bool is_over = false;

		(void)spool_read_body(letter->message, offsets[i], 10, read_nothing,
				      &is_over);
		box_wait(&box);
		ck_assert(is_over);
	}
}
END_TEST

START_TEST(body_can_be_peeked_at_while_it_is_in_memory)
{
	static const uint32_t octets[] = { 1, 5000, 200000, 900000 };

	box_open(&box);
	struct letter *letter = box_store(&box, 9, octets[_i]);
	struct span run;
	uint64_t offset = 0;

	while (spool_body_peek(letter->message, offset, &run) > 0) {
		for (size_t i = 0; i < run.len; i++)
			ck_assert_int_eq(run.ptr[i], body_octet(9, offset + i));
		offset += run.len;
	}
	ck_assert_uint_eq(offset, octets[_i]);
	ck_assert_uint_eq(spool_body_peek(letter->message, octets[_i] / 2, &run) > 0, 1);
	ck_assert_int_eq(run.ptr[0], body_octet(9, octets[_i] / 2));
	spool_body_forget(letter->message);
	ck_assert_uint_eq(spool_body_peek(letter->message, 0, &run), 0);
	ck_assert_ptr_null(run.ptr);
	ck_assert_uint_eq(figures().memory_octets, 0);
}
END_TEST

START_TEST(bodies_beyond_the_limit_do_not_stay_in_memory)
{
	box.settings.memory_octets_max = 1u << 20;
	box_open(&box);
	for (uint32_t i = 0; i < 60; i++)
		(void)box_store(&box, i, i % 3 == 0 ? 500000 : 50000);
	ck_assert_uint_le(figures().memory_octets, 1u << 20);
	ck_assert_uint_gt(figures().memory_octets, 0);
	for (uint32_t i = 0; i < 60; i++)
		ck_assert(letter_is_whole(&box, box.sent[i]));
}
END_TEST

START_TEST(dropped_draft_leaves_nothing)
{
	static const uint32_t octets[] = { 0, 5000, 300000, 2000000 };
	static char bytes[2000000];

	box_open(&box);
	for (size_t i = 0; i < ARRAY_LEN(octets); i++) {
		struct spool_draft *draft = spool_draft_new(box.spool);

		(void)spool_draft_append(draft, (struct span){ bytes, octets[i] }, NULL,
					 NULL);
		loop_turn(box.loop, 0);
		spool_draft_drop(&draft);
		ck_assert_ptr_null(draft);
		spool_draft_drop(&draft);
	}
	reopen();
	ck_assert_uint_eq(box.found_count, 0);
	ck_assert_uint_eq(figures().memory_octets, 0);
	ck_assert_uint_eq(box_count_files(&box, "0/large", ""), 0);
}
END_TEST

static int resumes;

static void
count_resume(void *context)
{
	(void)context;
	resumes++;
}

START_TEST(fast_sender_is_asked_to_pause_and_to_go_on_once)
{
	static char bytes[4u << 20];

	box_open(&box);
	struct spool_draft *draft = spool_draft_new(box.spool);

	ck_assert(!spool_draft_append(draft, (struct span){ bytes, sizeof(bytes) },
				      count_resume, NULL));
	ck_assert_int_eq(resumes, 0);
	ck_assert(!spool_is_idle(box.spool));
	box_wait(&box);
	ck_assert_int_eq(resumes, 1);
	ck_assert(spool_draft_append(draft, span_of("x"), count_resume, NULL));
	ck_assert(!spool_draft_append(draft, (struct span){ bytes, sizeof(bytes) },
				      count_resume, NULL));
	spool_draft_drop(&draft);
	box_wait(&box);
	ck_assert_int_eq(resumes, 1);
}
END_TEST

/* For messages whose envelope is none of box.c's. */
static void
letter_answer(void *context, enum spool_status status, struct spool_message *message)
{
	struct letter *letter = context;

	letter->is_over = true;
	letter->status = status;
	letter->message = message;
}

START_TEST(overlong_envelope_is_refused)
{
	static char envelope[SPOOL_ENVELOPE_MAX + 1];
	struct letter letter = { 0 };

	box_open(&box);
	struct spool_draft *draft = spool_draft_new(box.spool);

	(void)spool_draft_append(draft, span_of("body"), NULL, NULL);
	spool_draft_commit(&draft, (struct span){ envelope, sizeof(envelope) },
			   (struct span){ NULL, 0 }, letter_answer, &letter);
	ck_assert(!letter.is_over);
	box_wait(&box);
	ck_assert(letter.is_over);
	ck_assert_int_eq(letter.status, SPOOL_FULL);
}
END_TEST

START_TEST(spools_in_one_directory_have_shards_of_their_own)
{
	struct box other;

	box_open(&box);
	box_share(&other, &box);
	box_open(&other);
	(void)box_store(&box, 1, 100);
	(void)box_store(&other, 2, 100);
	spool_adopt(box.spool);
	box_wait(&box);
	ck_assert_uint_eq(box.found_count, 0);
	ck_assert_uint_ne(box.sent[0]->uid, other.sent[0]->uid);
	box_close(&other);
}
END_TEST

START_TEST(shard_that_nobody_holds_is_adopted_and_retired)
{
	struct box other;

	box_open(&box);
	box_share(&other, &box);
	box_open(&other);
	(void)box_store(&other, 1, 100);
	(void)box_store(&other, 2, 400000);
	(void)box_store(&other, 3, 5000);
	box_close(&other);
	spool_adopt(box.spool);
	spool_adopt(box.spool);
	box_wait(&box);
	ck_assert_uint_eq(box.found_count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(box.found[i]->seed, i + 1);
		ck_assert(letter_is_whole(&box, box.found[i]));
		spool_remove(&box.found[i]->message);
	}
	for (int i = 0; i < 200 && box_count_files(&box, "", "1") > 0; i++)
		loop_turn(box.loop, 10);
	ck_assert_uint_eq(box_count_files(&box, "", "1"), 0);
	reopen();
	ck_assert_uint_eq(box.found_count, 0);
}
END_TEST

/* Hand so many messages of a size through the spool, each removed once it is stored. */
static void
pass_through(uint32_t count, uint32_t octets)
{
	for (uint32_t i = 0; i < count; i += 16) {
		for (uint32_t k = 0; k < 16; k++)
			(void)box_send(&box, i + k, octets);
		box_wait(&box);
		for (size_t k = box.sent_count - 16; k < box.sent_count; k++) {
			ck_assert_int_eq(box.sent[k]->status, SPOOL_OK);
			spool_remove(&box.sent[k]->message);
		}
	}
}

START_TEST(segments_are_used_again)
{
	box_open(&box);
	pass_through(4096, 4096); /* 17 segments' worth */
	ck_assert_uint_le(box_count_files(&box, "0", "segment-"), 8);
	pass_through(4096, 4096);
	ck_assert_uint_le(box_count_files(&box, "0", "segment-") +
			      box_count_files(&box, "0", "spare-"),
			  12);
	reopen();
	ck_assert_uint_eq(box.found_count, 0);
}
END_TEST

static bool
is_kept(uint32_t seed)
{
	return seed % 400 == 0;
}

START_TEST(segments_with_few_messages_are_compacted)
{
	box_open(&box);
	for (uint32_t i = 0; i < 16000; i++) {
		(void)box_send(&box, i, i % 4000 == 0 ? 300000 : 4000);
		if (i % 32 != 31)
			continue;
		box_wait(&box);
		for (uint32_t k = i - 31; k <= i; k++) {
			if (!is_kept(k))
				spool_remove(&box.sent[k]->message);
		}
	}
	/* 62 segments were filled; a message is left in each. */
	for (int i = 0; i < 2000 && figures().segments > 12; i++) {
		(void)box_store(&box, 1000000, 10);
		spool_remove(&box.sent[box.sent_count - 1]->message);
		loop_turn(box.loop, 10);
	}
	ck_assert_uint_le(figures().segments, 12);
	for (uint32_t i = 0; i < 16000; i++) {
		if (!is_kept(i))
			continue;
		char state[] = { (char)i, (char)(i >> 8) };

		spool_state_write(box.sent[i]->message, 4, (struct span){ state, 2 });
		spool_body_forget(box.sent[i]->message);
		ck_assert(letter_is_whole(&box, box.sent[i]));
	}
	reopen();
	ck_assert_uint_eq(box.found_count, 40);
	for (uint32_t i = 0; i < 40; i++) {
		ck_assert_uint_eq(box.found[i]->seed, i * 400);
		ck_assert_int_eq(box.found[i]->state[4], (char)(i * 400));
		ck_assert(letter_is_whole(&box, box.found[i]));
	}
}
END_TEST

START_TEST(adopted_shard_with_few_messages_is_moved_and_retired)
{
	struct box other;

	box_share(&other, &box);
	box_open(&box);
	box_open(&other);
	(void)box_store(&other, 1, 100);
	(void)box_store(&other, 2, 400000);
	box_close(&other);
	spool_adopt(box.spool);
	box_wait(&box);
	ck_assert_uint_eq(box.found_count, 2);
	spool_state_write(box.found[1]->message, 0, span_of("later"));
	for (int i = 0; i < 1000 && box_count_files(&box, "", "1") > 0; i++) {
		(void)box_store(&box, 99, 10);
		spool_state_write(box.found[0]->message, 0,
				  (struct span){ (char *)&i, 4 });
		spool_remove(&box.sent[box.sent_count - 1]->message);
		loop_turn(box.loop, 10);
	}
	ck_assert_uint_eq(box_count_files(&box, "", "1"), 0);
	ck_assert_uint_eq(box_count_files(&box, "0/large", ""), 1);
	ck_assert(letter_is_whole(&box, box.found[0]));
	ck_assert(letter_is_whole(&box, box.found[1]));
	spool_state_write(box.found[0]->message, 0, span_of("at last"));
	reopen();
	ck_assert_uint_eq(box.found_count, 2);
	ck_assert_mem_eq(box.found[0]->state, "at last", 7);
	ck_assert_mem_eq(box.found[1]->state, "later", 5);
	ck_assert(letter_is_whole(&box, box.found[1]));
}
END_TEST

static void
file_change(const char *name, off_t offset, const char *bytes, size_t octets,
	    off_t length)
{
	char path[256];

	box_path(&box, name, path);
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(pwrite(fd, bytes, octets, offset), (ssize_t)octets);
	if (length >= 0)
		ck_assert_int_eq(ftruncate(fd, length), 0);
	(void)close(fd);
}

START_TEST(damaged_and_foreign_files_stop_nothing)
{
	char path[256];

	box_hush();
	box_open(&box);
	for (uint32_t i = 0; i < 10; i++)
		(void)box_store(&box, i, 3000);
	box_close(&box);
	/* The fourth record: 4096 + 3 * 3136. */
	file_change("0/segment-0000000001", 4096 + 3 * 3136 + 1000, "XXXX", 4, -1);
	file_change("0/segment-0000000050", 0, "hello", 5, -1);
	file_change("0/segment-0000000051", 0, "", 0, 0);
	file_change("0/segment-9", 0, "what is this", 12, -1);
	file_change("0/core", 0, "what is this", 12, -1);
	box_path(&box, "0/segment-0000000052", path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	box_path(&box, "0/segment-0000000053", path);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	box_path(&box, "readme", path);
	ck_assert_int_eq(mkdir(path, 0700), 0);

	box_open(&box);
	ck_assert_uint_eq(box.found_count, 9);
	for (uint32_t i = 0; i < 9; i++) {
		ck_assert_uint_eq(box.found[i]->seed, i < 3 ? i : i + 1);
		ck_assert(letter_is_whole(&box, box.found[i]));
		spool_remove(&box.found[i]->message);
	}
	ck_assert_uint_eq(box_count_files(&box, "0", "segment-0000000050.damaged"), 1);
	ck_assert_uint_eq(box_count_files(&box, "0", "segment-0000000051.damaged"), 1);
	for (int i = 0;
	     i < 200 && box_count_files(&box, "0", "segment-0000000001.damaged") == 0;
	     i++)
		loop_turn(box.loop, 10);
	ck_assert_uint_eq(box_count_files(&box, "0", "segment-0000000001.damaged"), 1);
	(void)box_store(&box, 77, 10);
	reopen();
	ck_assert_uint_eq(box.found_count, 1);
}
END_TEST

struct walked {
	size_t count;
	size_t most;
	uint64_t octets;
};

static bool
message_walked(void *context, const struct spool_glance *glance)
{
	struct walked *walked = context;

	ck_assert_str_eq(glance->shard, "0");
	ck_assert_uint_eq(glance->state.len, BOX_STATE_OCTETS);
	walked->octets += glance->info->body_octets;
	return ++walked->count < walked->most;
}

START_TEST(walk_sees_every_live_message_of_a_running_spool)
{
	struct walked all = { .most = 1000 }, some = { .most = 3 };
	struct fault fault;

	box_open(&box);
	for (uint32_t i = 0; i < 20; i++)
		(void)box_store(&box, i, 1000 + i);
	(void)box_store(&box, 20, 300000);
	spool_remove(&box.sent[4]->message);
	(void)box_store(&box, 21, 5); /* comes after the removal */
	ck_assert(spool_walk(box.directory, message_walked, &all, &fault));
	ck_assert_uint_eq(all.count, 21);
	ck_assert_uint_eq(all.octets, 19 * 1000 + 190 - 4 + 300000 + 5);
	ck_assert(spool_walk(box.directory, message_walked, &some, &fault));
	ck_assert_uint_eq(some.count, 3);
	ck_assert(!spool_walk("/nonexistent/spool", message_walked, &some, &fault));
}
END_TEST

START_TEST(spool_that_cannot_be_used_is_refused)
{
	struct fault fault;
	char path[256];

	box.settings.directory = "/nonexistent/deeper/spool";
	ck_assert(!box_try_open(&box, &fault));
	file_change("file", 0, "x", 1, -1);
	box_path(&box, "file", path);
	box.settings.directory = path;
	ck_assert(!box_try_open(&box, &fault));
	ck_assert_uint_gt(strlen(fault_text(&fault)), 10);
	box.settings.directory = box.directory;
}
END_TEST

START_TEST(messages_share_syncs)
{
	struct fault fault;
	struct disk_faulty *slow =
	    disk_faulty_new("sync-delay=20ms", box_disk(&box), &fault);

	box.settings.disk = disk_faulty_disk(slow);
	box_open(&box);
	uint64_t before = figures().syncs;

	for (uint32_t i = 0; i < 200; i++)
		(void)box_send(&box, i, 1000);
	box_wait(&box);
	ck_assert_uint_le(figures().syncs - before, 4);
	ck_assert_uint_eq(figures().commits, 200);
	box_close(&box);
	disk_faulty_free(&slow);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("spool");
	TCase *tc = tcase_create("spool");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, stored_message_is_found_again_with_all_its_bytes, 0,
			    (int)ARRAY_LEN(sizes));
	tcase_add_test(tc, messages_are_found_in_order_of_arrival);
	tcase_add_test(tc, uids_rise_even_when_the_clock_goes_back);
	tcase_add_test(tc, removed_message_is_not_found_again_and_one_let_go_of_is);
	tcase_add_test(tc, state_is_as_it_was_last_written);
	tcase_add_test(tc, envelope_can_be_read_again);
	tcase_add_test(tc, cancelled_read_does_not_call_back);
	tcase_add_test(tc, read_beyond_the_end_gives_nothing);
	tcase_add_loop_test(tc, body_can_be_peeked_at_while_it_is_in_memory, 0, 4);
	tcase_add_test(tc, bodies_beyond_the_limit_do_not_stay_in_memory);
	tcase_add_test(tc, dropped_draft_leaves_nothing);
	tcase_add_test(tc, fast_sender_is_asked_to_pause_and_to_go_on_once);
	tcase_add_test(tc, overlong_envelope_is_refused);
	tcase_add_test(tc, spools_in_one_directory_have_shards_of_their_own);
	tcase_add_test(tc, shard_that_nobody_holds_is_adopted_and_retired);
	tcase_add_test(tc, segments_are_used_again);
	tcase_add_test(tc, segments_with_few_messages_are_compacted);
	tcase_add_test(tc, adopted_shard_with_few_messages_is_moved_and_retired);
	tcase_add_test(tc, damaged_and_foreign_files_stop_nothing);
	tcase_add_test(tc, walk_sees_every_live_message_of_a_running_spool);
	tcase_add_test(tc, spool_that_cannot_be_used_is_refused);
	tcase_add_test(tc, messages_share_syncs);
	tcase_set_timeout(tc, 120);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
