/* SPDX-License-Identifier: ISC */
/* spool/: checksums, the bytes of a segment, descriptions of faulty disks. */
#include "base/memory.h"
#include "spool/crc32c.h"
#include "spool/disk_faulty.h"
#include "spool/record.h"

#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define IMAGE_OCTETS (64u * 1024)

static char image[IMAGE_OCTETS];
static size_t image_end;
static uint64_t seen_uids[64];
static size_t seen_count;

static void
image_begin(uint64_t generation)
{
	struct segment_header header = { .generation = generation,
					 .shard = 3,
					 .number = 7,
					 .octets = IMAGE_OCTETS,
					 .uid_limit = 1000 };

	memset(image, 0, sizeof(image));
	segment_header_encode(&header, image);
	image_end = SEGMENT_HEADER_OCTETS;
}

/* Append a record with a body of that many octets; returns where it begins. */
static size_t
image_add(uint64_t generation, uint64_t uid, size_t body_octets, uint32_t flags)
{
	struct spool_record record = { .generation = generation,
				       .uid = uid,
				       .stored_wall_ms = 1234,
				       .body_octets = body_octets,
				       .envelope_octets = 11,
				       .state_octets = 5,
				       .flags = flags,
				       .file = 99,
				       .origin = { 1, 2, 3, 4 } };
	size_t at = image_end;
	char *p = image + at;

	memcpy(p + record_state_at(), "state", 5);
	memcpy(p + record_envelope_at(&record), "an envelope", 11);
	if ((flags & RECORD_IS_EXTERNAL) == 0) {
		memset(p + record_body_at(&record), 'b', body_octets);
		record.body_sum =
		    crc32c(0, (struct span){ p + record_body_at(&record), body_octets });
	}
	record_encode(&record, p);
	image_end += record_octets(&record);
	return at;
}

static bool
record_seen(void *context, uint64_t offset, const struct spool_record *record)
{
	(void)context;
	ck_assert_uint_eq(offset % RECORD_ALIGN, 0);
	ck_assert_uint_lt(seen_count, ARRAY_LEN(seen_uids));
	seen_uids[seen_count++] = record->uid;
	return true;
}

static struct segment_scan
image_scan(size_t octets)
{
	struct segment_scan scan;
	char *copy = memory_resize(NULL, octets + 1, 1); /* so that overruns are seen */

	memcpy(copy, image, octets);
	seen_count = 0;
	segment_scan((struct span){ copy, octets }, &scan, record_seen, NULL);
	free(copy);
	return scan;
}

START_TEST(checksum_is_that_of_the_standard)
{
	char zeros[32] = { 0 }, ones[32], rising[32];

	for (int i = 0; i < 32; i++) {
		ones[i] = (char)0xff;
		rising[i] = (char)i;
	}
	/* RFC 3720 appendix B.4 */
	ck_assert_uint_eq(crc32c(0, (struct span){ zeros, 32 }), 0x8a9136aau);
	ck_assert_uint_eq(crc32c(0, (struct span){ ones, 32 }), 0x62a8ab43u);
	ck_assert_uint_eq(crc32c(0, (struct span){ rising, 32 }), 0x46dd794eu);
	ck_assert_uint_eq(crc32c(0, span_of("123456789")), 0xe3069283u);
	ck_assert_uint_eq(crc32c(0, span_of("")), 0);
}
END_TEST

START_TEST(checksum_is_the_same_with_and_without_the_instruction)
{
	size_t most = 40000;
	char *bytes = memory_new(most);

	for (size_t i = 0; i < most; i++)
		bytes[i] = (char)(i * i * 31 + i / 7);
	for (size_t n = 0; n <= most; n += 1 + n / 13) {
		struct span s = { bytes, n };
		uint32_t half = crc32c(77, span_first(s, n / 3));

		ck_assert_uint_eq(crc32c(77, s), crc32c_plain(77, s));
		ck_assert_uint_eq(crc32c(half, span_skip(s, n / 3)), crc32c(77, s));
	}
	free(bytes);
}
END_TEST

START_TEST(record_is_read_as_it_was_written)
{
	static const uint32_t flags[] = { 0, RECORD_IS_EXTERNAL, RECORD_IS_MOVED,
					  RECORD_IS_EXTERNAL | RECORD_IS_MOVED };
	struct spool_record record;

	image_begin(5);
	size_t at = image_add(5, 42, 1000, flags[_i]);

	ck_assert_int_eq(
	    record_parse((struct span){ image + at, image_end - at }, &record), PARSE_OK);
	ck_assert_uint_eq(record.uid, 42);
	ck_assert_uint_eq(record.generation, 5);
	ck_assert_int_eq(record.stored_wall_ms, 1234);
	ck_assert_uint_eq(record.body_octets, 1000);
	ck_assert_uint_eq(record.flags, flags[_i]);
	ck_assert_uint_eq(record.mark, RECORD_LIVE);
	ck_assert_uint_eq(record.file, flags[_i] & RECORD_IS_EXTERNAL ? 99 : 0);
	ck_assert_uint_eq(record.origin.offset, flags[_i] & RECORD_IS_MOVED ? 4 : 0);
	ck_assert(
	    span_equal((struct span){ image + at + record_envelope_at(&record), 11 },
		       span_of("an envelope")));
}
END_TEST

START_TEST(record_with_any_bit_changed_is_refused)
{
	struct spool_record record, before;

	image_begin(5);
	size_t at = image_add(5, 42, 300, 0);
	struct span bytes = { image + at, image_end - at };

	ck_assert_int_eq(record_parse(bytes, &before), PARSE_OK);
	for (size_t i = 0; i < record_end(&before); i++) {
		bool is_mutable = i >= RECORD_MARK_AT && i < record_extension_at(&before);

		image[at + i] = (char)(image[at + i] ^ 0x10);
		ck_assert_int_eq(record_parse(bytes, &record),
				 is_mutable ? PARSE_OK : PARSE_BAD);
		image[at + i] = (char)(image[at + i] ^ 0x10);
	}
	for (size_t n = 0; n < record_end(&before); n++)
		ck_assert_int_eq(record_parse(span_first(bytes, n), &record), PARSE_BAD);
}
END_TEST

START_TEST(segment_cut_anywhere_gives_the_records_before_the_cut)
{
	size_t ends[6] = { SEGMENT_HEADER_OCTETS };

	image_begin(5);
	for (uint64_t uid = 1; uid <= 5; uid++) {
		(void)image_add(5, uid, 100 * uid, 0);
		ends[uid] = image_end;
	}
	for (size_t n = 0; n <= image_end; n++) {
		struct segment_scan scan = image_scan(n);
		size_t least = 0;

		while (least < 5 && n >= ends[least + 1])
			least++;
		/* The padding of the last one may be missing. */
		ck_assert_uint_ge(scan.records, least);
		ck_assert_uint_le(scan.records, least + 1);
		ck_assert_uint_eq(scan.lost_at, 0);
	}
}
END_TEST

START_TEST(records_of_an_earlier_use_are_never_found)
{
	/* The same places in the file, the generation before. */
	image_begin(5);
	for (uint64_t uid = 1; uid <= 8; uid++)
		(void)image_add(5, uid, 500, 0);

	struct segment_header header = { .generation = 6, .octets = IMAGE_OCTETS };

	segment_header_encode(&header, image);
	ck_assert_uint_eq(image_scan(sizeof(image)).records, 0);
	image_end = SEGMENT_HEADER_OCTETS;
	(void)image_add(6, 100, 500, 0);

	struct segment_scan scan = image_scan(sizeof(image));

	ck_assert_uint_eq(scan.records, 1);
	ck_assert_uint_eq(seen_uids[0], 100);
	ck_assert_uint_eq(scan.lost_at, 0);
}
END_TEST

START_TEST(damage_in_the_middle_costs_no_other_record)
{
	image_begin(5);
	size_t at = 0;

	for (uint64_t uid = 1; uid <= 9; uid++) {
		size_t here = image_add(5, uid, 700, 0);

		if (uid == 4)
			at = here;
	}
	for (size_t i = 0; i < 700; i += 7) {
		char before = image[at + i];

		image[at + i] = (char)~before;
		if (i >= RECORD_MARK_AT && i < record_state_at() + 8) {
			image[at + i] = before;
			continue; /* is meant to change */
		}
		struct segment_scan scan = image_scan(sizeof(image));

		ck_assert_uint_eq(scan.records, 8);
		ck_assert_uint_eq(scan.lost_at, at);
		ck_assert_uint_eq(seen_uids[3], 5);
		image[at + i] = before;
	}
}
END_TEST

START_TEST(damaged_header_costs_no_record)
{
	image_begin(5);
	for (uint64_t uid = 1; uid <= 3; uid++)
		(void)image_add(5, uid, 700, 0);
	memset(image, 0xee, SEGMENT_HEADER_OCTETS);

	struct segment_scan scan = image_scan(sizeof(image));

	ck_assert(!scan.has_header);
	ck_assert_uint_eq(scan.records, 3);
}
END_TEST

START_TEST(foreign_bytes_hold_no_record)
{
	uint64_t random = 88172645463325252u;

	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < sizeof(image); i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			image[i] = (char)random;
		}
		struct segment_scan scan = image_scan(sizeof(image));

		ck_assert(!scan.has_header);
		ck_assert_uint_eq(scan.records, 0);
	}
	ck_assert_uint_eq(image_scan(0).records, 0);
}
END_TEST

static const char *const good_faults[] = {
	"",
	"sync-delay=5ms",
	"sync-delay=250us",
	"fail-sync=17",
	"fail-write=5:ENOSPC",
	"fail-write=5+:EDQUOT",
	"kill-sync=3",
	"short-write=2",
	"sync-delay=1s, fail-open=1,fail-rename=2+",
	"kill-write=1",
};
static const char *const bad_faults[] = {
	"x",
	"sync-delay=",
	"sync-delay=5",
	"sync-delay=99999999s",
	"fail-sync",
	"fail-sync=",
	"fail-sync=0",
	"fail-sync=1:EWHAT",
	"fail-what=1",
	"short-sync=1",
	"kill-sync=1:EIO",
	"fail-write=1x",
	"fail-write=-1",
	",",
	"fail-write=18446744073709551616",
};

START_TEST(description_of_a_faulty_disk_is_understood)
{
	struct fault fault;
	struct disk_faulty *faulty = disk_faulty_new(good_faults[_i], NULL, &fault);

	ck_assert_ptr_nonnull(faulty);
	disk_faulty_free(&faulty);
	ck_assert_ptr_null(faulty);
}
END_TEST

START_TEST(bad_description_of_a_faulty_disk_is_refused)
{
	struct fault fault;

	ck_assert_ptr_null(disk_faulty_new(bad_faults[_i], NULL, &fault));
	ck_assert_int_eq(strncmp(fault.text, "not a disk fault", 16), 0);
}
END_TEST

START_TEST(faulty_disk_fails_the_call_that_was_named)
{
	struct fault fault;
	struct disk_faulty *faulty =
	    disk_faulty_new("fail-open=2:ENOSPC,fail-open=4+", NULL, &fault);
	const struct spool_disk *disk = disk_faulty_disk(faulty);
	static const int expected[] = { 0, ENOSPC, 0, EIO, EIO };

	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		errno = 0;
		int fd = disk->open(disk->context, AT_FDCWD, "/dev/null", O_RDONLY, 0);

		ck_assert_int_eq(fd == -1 ? errno : 0, expected[i]);
		if (fd != -1)
			(void)close(fd);
	}
	ck_assert_uint_eq(disk_faulty_calls(faulty, "open"), 5);
	ck_assert_uint_eq(disk_faulty_calls(faulty, NULL), 5);
	disk_faulty_free(&faulty);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("record");
	TCase *tc = tcase_create("record");

	tcase_add_test(tc, checksum_is_that_of_the_standard);
	tcase_add_test(tc, checksum_is_the_same_with_and_without_the_instruction);
	tcase_add_loop_test(tc, record_is_read_as_it_was_written, 0, 4);
	tcase_add_test(tc, record_with_any_bit_changed_is_refused);
	tcase_add_test(tc, segment_cut_anywhere_gives_the_records_before_the_cut);
	tcase_add_test(tc, records_of_an_earlier_use_are_never_found);
	tcase_add_test(tc, damage_in_the_middle_costs_no_other_record);
	tcase_add_test(tc, damaged_header_costs_no_record);
	tcase_add_test(tc, foreign_bytes_hold_no_record);
	tcase_add_loop_test(tc, description_of_a_faulty_disk_is_understood, 0,
			    (int)ARRAY_LEN(good_faults));
	tcase_add_loop_test(tc, bad_description_of_a_faulty_disk_is_refused, 0,
			    (int)ARRAY_LEN(bad_faults));
	tcase_add_test(tc, faulty_disk_fails_the_call_that_was_named);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
