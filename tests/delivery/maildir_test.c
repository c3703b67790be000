/* SPDX-License-Identifier: ISC */
/* Maildir routes. */
#include "bed.h"

#include "base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct bed bed;
static char path[128];

static void
setup(void)
{
	bed_init(&bed);
	(void)snprintf(path, sizeof(path), "%s/drop", bed.directory);
	bed_route(&bed, "*");
	bed.routes[0].maildir = span_of(path);
}

static void
teardown(void)
{
	bed_reset(&bed);
}

/* How many files are in the folder; the name of the last one seen goes to name. */
static unsigned
files_count(const char *folder, char name[256])
{
	char where[160];
	struct dirent *entry;
	unsigned count = 0;
	DIR *open;

	(void)snprintf(where, sizeof(where), "%s/%s", path, folder);
	open = opendir(where);
	while (open != NULL && (entry = readdir(open)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (name != NULL)
			(void)snprintf(name, 256, "%s", entry->d_name);
		count++;
	}
	if (open != NULL)
		(void)closedir(open);
	return count;
}

static void
file_read(const char *name, struct buffer *text)
{
	char where[512];
	char bytes[4096];
	size_t got;
	FILE *file;

	buffer_init(text, 64U << 20);
	(void)snprintf(where, sizeof(where), "%s/new/%s", path, name);
	file = fopen(where, "r");
	ck_assert_ptr_nonnull(file);
	while ((got = fread(bytes, 1, sizeof(bytes), file)) > 0)
		ck_assert(buffer_append(text, (struct span){ bytes, got }));
	(void)fclose(file);
}

START_TEST(stores_a_message_with_its_envelope_in_front)
{
	struct buffer text;
	char name[256];

	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
	ck_assert_uint_eq(files_count("new", name), 1);
	ck_assert_uint_eq(files_count("tmp", NULL), 0);
	ck_assert_uint_eq(files_count("cur", NULL), 0);
	file_read(name, &text);
	ck_assert_str_eq(buffer_text(&text), "Return-Path: <sender@example.com>\n"
					     "X-Original-To: one@example.org\n"
					     "Delivered-To: one@example.org\n"
					     "Received: by test\nSubject: usual\n\n"
					     "Hello\n.a line with a dot\n..\nBye\n");
	buffer_reset(&text);
	bed_until(&bed, bed_recorded(&bed, "\"delivered\"", path, name) == 1);
	ck_assert_uint_eq(bed_figure(&bed.figures[0].in_flight), 0);
}
END_TEST

START_TEST(gives_each_recipient_a_file)
{
	static const char *const to[] = { "a@example.org", "b@example.org", "c@example.org" };

	bed_start(&bed);
	bed_send_several(&bed, to, 3);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 3);
	ck_assert_uint_eq(files_count("new", NULL), 3);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

START_TEST(stores_many_messages)
{
	bed_start(&bed);
	for (unsigned i = 0; i < 300; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 300);
	ck_assert_uint_eq(files_count("new", NULL), 300);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

/* Line ends are converted wherever the pieces of the body are cut. */
START_TEST(stores_a_large_body_from_memory_or_disk)
{
	const char *to = "one@example.org";
	struct buffer body;
	struct buffer text;
	struct span stored;
	char name[256];
	size_t lines = 0;

	buffer_init(&body, 4U << 20);
	while (body.len < 2U << 20) {
		ck_assert(buffer_printf(&body, "line %zu%.*s\r\n", lines, (int)(lines % 67),
					"................................................"
					"........................"));
		lines++;
	}
	if (_i == 1)
		bed.spool_settings.memory_octets_max = 1;
	bed_start(&bed);
	bed_submit(&bed, &(struct bed_message){ .sender = "",
						.recipients = &to,
						.recipient_count = 1,
						.body = buffer_span(&body) });
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(files_count("new", name), 1);
	file_read(name, &text);
	stored = buffer_span(&text);
	for (unsigned i = 0; i < 3; i++)
		stored = span_skip(stored, span_find(stored, '\n') + 1);
	ck_assert_uint_eq(stored.len, body.len - lines);
	ck_assert_uint_eq(span_find(stored, '\r'), stored.len);
	buffer_reset(&text);
	buffer_reset(&body);
}
END_TEST

/* As after a crash between the rename and the removal from the spool. */
START_TEST(replaces_the_file_when_it_delivers_again)
{
	char name[256];
	char again[256];

	bed.refuses_accepted = true;
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed.stored == 1);
	bed_stop(&bed);

	bed_start(&bed);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(files_count("new", name), 1);
	bed_stop(&bed);

	/* names follow from the message: its uid, its recipient, its time */
	bed.refuses_accepted = false;
	bed_start(&bed);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(files_count("new", again), 2);
}
END_TEST

START_TEST(defers_when_the_folder_is_gone_and_recovers)
{
	char new_path[160];

	bed_start(&bed);
	(void)snprintf(new_path, sizeof(new_path), "%s/tmp", path);
	ck_assert_int_eq(rmdir(new_path), 0);
	bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) >= 1);
	ck_assert_uint_eq(bed_spooled(&bed), 1);
	bed_until(&bed, bed_recorded(&bed, "\"deferred\"", "4.3.0", path) >= 1);
	bed_stop(&bed);
	bed_start(&bed); /* makes what is missing */
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(bed_spooled(&bed), 0);
}
END_TEST

/* A file that outgrows the limit fails in the middle: nothing half must be seen in new. */
START_TEST(leaves_nothing_half_written)
{
	const struct rlimit small = { 3U << 20, RLIM_INFINITY };
	const struct rlimit large = { RLIM_INFINITY, RLIM_INFINITY };
	const char *to = "one@example.org";
	struct buffer body;

	bed.retry_ms[0] = 200;
	buffer_init(&body, 8U << 20);
	while (body.len < 5U << 20)
		ck_assert(buffer_append_text(&body, "0123456789012345678901234567890\r\n"));
	bed_start(&bed);
	bed_submit(&bed, &(struct bed_message){ .sender = "",
						.recipients = &to,
						.recipient_count = 1,
						.body = buffer_span(&body) });
	bed.refuses_accepted = true;
	bed_until(&bed, bed.stored == 1);
	bed_stop(&bed);

	ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	bed_start(&bed);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	bed_until(&bed, bed_figure(&bed.figures[0].deferred) == 1);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
	ck_assert_uint_eq(files_count("new", NULL), 0);
	ck_assert_uint_eq(files_count("tmp", NULL), 0);
	bed_until(&bed, bed_figure(&bed.figures[0].delivered) == 1);
	ck_assert_uint_eq(files_count("new", NULL), 1);
	buffer_reset(&body);
}
END_TEST

START_TEST(ends_in_the_middle_without_losing_anything)
{
	bed_start(&bed);
	for (unsigned i = 0; i < 40; i++)
		bed_send(&bed, "one@example.org");
	bed_until(&bed, bed_figure(&bed.figures[0].in_flight) > 0);

	uint64_t delivered = bed_figure(&bed.figures[0].delivered);

	bed_stop(&bed);
	bed_start(&bed);
	bed_until(&bed, bed_spooled(&bed) == 0 && bed.found >= 1);
	ck_assert_uint_le(bed_figure(&bed.figures[0].delivered) + delivered, 40);
	ck_assert_uint_eq(files_count("tmp", NULL), 0);
}
END_TEST

START_TEST(refuses_an_unusable_maildir)
{
	struct fault fault = { .error = 0 };

	ck_assert_ptr_null(maildir_open(span_of("/nonexistent/parent/drop"), &fault));
	ck_assert_uint_gt(strlen(fault_text(&fault)), 0);
	ck_assert_ptr_null(maildir_open(span_of("/dev/null"), &fault));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("maildir");
	TCase *maildir = tcase_create("maildir");

	tcase_add_checked_fixture(maildir, setup, teardown);
	tcase_set_timeout(maildir, 60);
	tcase_add_test(maildir, stores_a_message_with_its_envelope_in_front);
	tcase_add_test(maildir, gives_each_recipient_a_file);
	tcase_add_test(maildir, stores_many_messages);
	tcase_add_loop_test(maildir, stores_a_large_body_from_memory_or_disk, 0, 2);
	tcase_add_test(maildir, replaces_the_file_when_it_delivers_again);
	tcase_add_test(maildir, defers_when_the_folder_is_gone_and_recovers);
	tcase_add_test(maildir, leaves_nothing_half_written);
	tcase_add_test(maildir, ends_in_the_middle_without_losing_anything);
	tcase_add_test(maildir, refuses_an_unusable_maildir);
	suite_add_tcase(suite, maildir);
	return suite_main(suite);
}
