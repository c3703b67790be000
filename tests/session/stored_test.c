/* SPDX-License-Identifier: ISC */
/* Sessions on the real spool: 250 is said when the message is durable, and it is all there. */
#include "session/fixture.h"

#include "base/clock.h"
#include "smtp/envelope.h"

#include "suite.h"

#include <stdio.h>
#include <stdlib.h>

static struct fixture f;
static struct client client;

/* --- the spool --- */

static struct spool_settings settings;
static char directory[128];
static size_t found_count;
static char found_sender[64];

static void
found(void *context, struct spool_message *message, struct span envelope, struct span state)
{
	struct arena arena = { NULL, 0 };
	struct envelope decoded;

	(void)context;
	ck_assert_int_eq(envelope_decode(envelope, &arena, &decoded), PARSE_OK);
	(void)snprintf(found_sender, sizeof(found_sender), SPAN_FMT, SPAN_ARG(decoded.sender));
	ck_assert_uint_eq(state.len, decoded.recipient_count);
	found_count++;
	arena_reset(&arena);
	spool_leave(&message);
}

static const struct spool_events events = { .found = found };

struct spool *
fixture_spool_open(struct fixture *fixture)
{
	struct fault fault;

	(void)snprintf(directory, sizeof(directory), "%s/spool", fixture->directory);
	settings = (struct spool_settings){ .directory = directory, .reserve_octets = 1 };
	struct spool *spool =
	    spool_open(&settings, fixture->loop, &events, NULL, &fixture->log, &fault);

	ck_assert_msg(spool != NULL, "%s", spool == NULL ? fault_text(&fault) : "");
	return spool;
}

void
fixture_spool_close(struct fixture *fixture)
{
	spool_close(&fixture->spool);
	fixture_settle(fixture);
}

/* --- the tests --- */

static void
setup(void)
{
	fixture_init(&f);
	f.settings[0].message_octets_max = 4U << 20;
	fixture_start(&f);
	client = client_connect(&f, CLIENT_BILLING, PORT_APPS);
	client_send_text(&client, "EHLO app7\r\n");
	client_take(&client);
}

static void
teardown(void)
{
	client_close(&client);
	fixture_end(&f);
}

static void
data_begin(void)
{
	client_send_text(&client, "MAIL FROM:<a@billing.example.com>\r\n"
				  "RCPT TO:<b@else.example>\r\nDATA\r\n");
	client_take(&client);
}

START_TEST(message_is_durable_when_250_is_said)
{
	data_begin();
	client_send_text(&client, "Date: x\r\nMessage-ID: <x>\r\n\r\n..dot\r\n.\r\n");
	client_wait_lines(&client, 1);
	ck_assert(text_fits(client_take(&client), "250 2.0.0 Ok: queued as *\r\n"));
	ck_assert_uint_eq(f.accepted, 1);
	struct span body;

	ck_assert_uint_gt(spool_body_peek(f.last, 0, &body), 0);
	ck_assert(span_equal(message_body(body), span_of("Date: x\r\nMessage-ID: <x>\r\n\r\n.dot\r\n")));

	/* a process that is killed now leaves this behind */
	spool_leave(&f.last);
	session_server_free(&f.server);
	fixture_spool_close(&f);
	f.spool = fixture_spool_open(&f);
	int64_t until = clock_monotonic_ms() + 5000;

	while (found_count == 0 && clock_monotonic_ms() < until)
		loop_turn(f.loop, 10);
	ck_assert_uint_eq(found_count, 1);
	ck_assert_str_eq(found_sender, "a@billing.example.com");
}
END_TEST

START_TEST(large_message_goes_through_at_the_disk_s_pace)
{
	enum { LINES = 50000 };
	static const char line[] = "0123456789012345678901234567890123456789012345678901234\r\n";
	struct buffer all;

	buffer_init(&all, 8U << 20);
	(void)buffer_append_text(&all, "\r\n");
	for (int i = 0; i < LINES; i++)
		(void)buffer_append_text(&all, line);
	data_begin();
	client_push(&client, buffer_span(&all));
	client_push(&client, span_of(".\r\n"));
	client_wait_lines(&client, 1);
	ck_assert(text_fits(client_take(&client), "250 2.0.0 Ok: queued as *\r\n"));
	ck_assert_uint_gt(spool_message_info(f.last)->body_octets, all.len);
	spool_remove(&f.last);
	buffer_reset(&all);
}
END_TEST

START_TEST(client_that_leaves_in_the_middle_leaves_nothing)
{
	struct spool_figures figures;

	data_begin();
	client_send_text(&client, "half a mess");
	client_close(&client);
	spool_figures_get(f.spool, &figures);
	ck_assert_uint_eq(figures.messages, 0);
	ck_assert_uint_eq(figures.memory_octets, 0);
	ck_assert_uint_eq(session_server_count(f.server), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("session on the spool");
	TCase *tc = tcase_create("stored");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, message_is_durable_when_250_is_said);
	tcase_add_test(tc, large_message_goes_through_at_the_disk_s_pace);
	tcase_add_test(tc, client_that_leaves_in_the_middle_leaves_nothing);
	suite_add_tcase(suite, tc);
	return suite_main(suite);
}
