/* SPDX-License-Identifier: ISC */
/* The words of reports, and headers with other senders. */
#include "delivery/report.h"
#include "delivery/rewrite.h"

#include "suite.h"

/* ---- What a reply says ---- */

static const struct {
	const char *reply;
	bool is_refusal;
} refusals[] = {
	{ "550 5.7.1 Unable to relay", true },
	{ "554 5.7.1 <a@b.example>: Relay access denied", true },
	{ "550 5.7.64 TenantAttribution; Relay Access Denied", true },
	{ "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", true },
	{ "550 5.7.367 whatever it says", true },
	{ "550 relaying denied", true },
	{ "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", true },
	{ "550 5.7.1 Message content rejected", false },
	{ "550 5.1.1 No such user", false },
	{ "451 4.7.1 Relay access denied", false },
	{ "5.6.3 the next hop does not take 8BITMIME", false },
	{ "relay access denied", false },
	{ "550", false },
	{ "", false },
};

START_TEST(knows_a_next_hop_that_does_not_relay)
{
	ck_assert_int_eq(report_is_relay_refusal(span_of(refusals[_i].reply)),
			 refusals[_i].is_refusal);
}
END_TEST

static const struct {
	enum report_action action;
	bool is_expired;
	const char *reply;
	unsigned class, subject, detail;
} statuses[] = {
	{ REPORT_FAILED, false, "550 5.1.1 No such user", 5, 1, 1 },
	{ REPORT_FAILED, false, "550 No such user", 5, 0, 0 },
	{ REPORT_FAILED, false, "5.6.3 the next hop does not take 8BITMIME", 5, 6, 3 },
	{ REPORT_FAILED, false, "550 2.1.1 contradicts itself", 5, 0, 0 },
	{ REPORT_FAILED, true, "451 4.3.0 not now", 4, 4, 7 },
	{ REPORT_FAILED, true, "", 4, 4, 7 },
	{ REPORT_DELAYED, false, "4.4.1 Connection refused", 4, 4, 1 },
	{ REPORT_DELAYED, false, "451 not now", 4, 0, 0 },
	{ REPORT_DELIVERED, false, "", 2, 0, 0 },
	{ REPORT_RELAYED, false, "250 2.6.0 queued", 2, 6, 0 },
};

START_TEST(finds_the_status_of_a_recipient)
{
	struct report_recipient recipient = {
		.action = statuses[_i].action,
		.is_expired = statuses[_i].is_expired,
		.reply = span_of(statuses[_i].reply),
	};
	struct enhanced_code status = report_status(&recipient);

	ck_assert_uint_eq(status.class, statuses[_i].class);
	ck_assert_uint_eq(status.subject, statuses[_i].subject);
	ck_assert_uint_eq(status.detail, statuses[_i].detail);
}
END_TEST

/* ---- Whole reports ---- */

#define ORIGINAL "Received: by x\r\nSubject: hello\r\n\r\n"

static struct envelope_recipient to = { .address = SPAN_LITERAL("b@p.example") };

static struct envelope about = {
	.id = SPAN_LITERAL("7F3K2M9Q"),
	.sender = SPAN_LITERAL("a@example.com"),
	.client = SPAN_LITERAL("192.0.2.1"),
	.arrived_wall_ms = INT64_C(1790000000000),
	.recipients = &to,
	.recipient_count = 1,
};

static struct report
report_of(const struct report_recipient *recipient)
{
	return (struct report){
		.hostname = SPAN_LITERAL("relay.example.com"),
		.id = SPAN_LITERAL("7F3K2MA1"),
		.from = SPAN_LITERAL("postmaster@example.com"),
		.to = SPAN_LITERAL("a@example.com"),
		.envelope = &about,
		.now_wall_ms = INT64_C(1790000001000),
		.expires_wall_ms = INT64_C(1790000002000),
		.recipients = recipient,
		.recipient_count = 1,
		.original = SPAN_LITERAL(ORIGINAL "body\r\n"),
	};
}

static bool
has(struct buffer *out, const char *text)
{
	return strstr(buffer_text(out), text) != NULL;
}

/* Every line ends with CRLF, is short enough, and is ASCII unless 8-bit is said. */
static void
lines_check(const struct buffer *out, bool is_8bit)
{
	size_t line = 0;

	for (size_t i = 0; i < out->len; i++) {
		char c = out->ptr[i];

		ck_assert(is_8bit || (unsigned char)c < 0x80);
		ck_assert(c != '\0');
		ck_assert(c != '\n' || (i > 0 && out->ptr[i - 1] == '\r'));
		ck_assert(c != '\r' || (i + 1 < out->len && out->ptr[i + 1] == '\n'));
		line = c == '\n' ? 0 : line + 1;
		ck_assert_uint_le(line, 998);
	}
}

START_TEST(lets_no_reply_end_a_field)
{
	static const char reply[] = "550 5.1.1 no\r\nBcc: x@y.example\r\n\r\nand\x01 more";
	struct report_recipient recipient = {
		.address = SPAN_LITERAL("b@p.example"),
		.next_hop = SPAN_LITERAL("[2001:db8::1]:25"),
		.reply = SPAN_LITERAL(reply),
		.orcpt = SPAN_LITERAL("rfc822;b+0D+0ATo:+20c@p.example"),
	};
	struct report report = report_of(&recipient);
	struct report_needs needs;
	struct buffer out;

	buffer_init(&out, REPORT_OCTETS_MAX);
	ck_assert(report_compose(&report, &out, &needs));
	lines_check(&out, false);
	ck_assert(!has(&out, "\nBcc:") && !has(&out, "\nTo: c@"));
	ck_assert(has(&out, "Original-Recipient: rfc822; b??To: c@p.example\r\n"));
	buffer_reset(&out);
}
END_TEST

START_TEST(folds_and_cuts_endless_replies)
{
	char reply[6000] = "550 5.0.0 ";
	struct report_recipient recipient = {
		.address = SPAN_LITERAL("b@p.example"),
		.next_hop = SPAN_LITERAL("mx.example.net:25"),
		.reply = { reply, sizeof(reply) },
	};
	struct report report = report_of(&recipient);
	struct report_needs needs;
	struct buffer out;

	memset(reply + 10, 'x', sizeof(reply) - 10);
	buffer_init(&out, REPORT_OCTETS_MAX);
	(void)report_compose(&report, &out, &needs);
	lines_check(&out, false);
	ck_assert(has(&out, "Remote-MTA: dns; mx.example.net\r\n"));
	buffer_reset(&out);
}
END_TEST

START_TEST(chooses_a_boundary_that_the_original_does_not_hold)
{
	struct report_recipient recipient = { .address = SPAN_LITERAL("b@p.example") };
	struct report report = report_of(&recipient);
	struct report_needs needs;
	struct buffer out;

	report.original = span_of(ORIGINAL "--=_7F3K2MA1/0\r\n--=_7F3K2MA1/1--\r\n");
	report.is_whole = true;
	buffer_init(&out, REPORT_OCTETS_MAX);
	ck_assert(report_compose(&report, &out, &needs));
	ck_assert(has(&out, "boundary=\"=_7F3K2MA1/2\""));
	ck_assert(has(&out, "\r\n--=_7F3K2MA1/2--\r\n"));
	buffer_reset(&out);
}
END_TEST

START_TEST(stays_ascii_for_a_reader_whose_address_is)
{
	struct report_recipient recipient = {
		.address = SPAN_LITERAL("b\xc3\xa4@p.example"),
		.reply = SPAN_LITERAL("550 5.1.1 na\xc3\xaf"),
	};
	struct report report = report_of(&recipient);
	struct report_needs needs;
	struct buffer out;

	report.original = span_of("Subject: gr\xc3\xbc\xc3\x9f" "e\r\n\r\nk\xc3\xb6rper\r\n");
	buffer_init(&out, REPORT_OCTETS_MAX);
	ck_assert(report_compose(&report, &out, &needs));
	lines_check(&out, false);
	ck_assert(!needs.is_8bit && !needs.is_smtputf8);
	ck_assert(has(&out, "Final-Recipient: utf-8; b\\x{E4}@p.example\r\n"));
	ck_assert(has(&out, "Subject: gr=C3=BC=C3=9Fe\r\n"));
	ck_assert(!has(&out, "rper"));

	buffer_clear(&out);
	report.to = span_of("\xc3\xa4@example.com");
	ck_assert(report_compose(&report, &out, &needs));
	ck_assert(needs.is_8bit && needs.is_smtputf8);
	ck_assert(has(&out, "message/global-delivery-status"));
	ck_assert(has(&out, "Final-Recipient: utf-8; b\xc3\xa4@p.example\r\n"));
	buffer_reset(&out);
}
END_TEST

/* ---- Headers with other senders ---- */

static const struct {
	const char *from;
	const char *to;
	const char *in;
	const char *out; /* NULL: refused */
	bool is_all;
} rewrites[] = {
	/* every sender */
	{ "", "n@e.com", "From: a@b.c\r\nTo: x@y.z\r\n\r\nbody",
	  "From: n@e.com\r\nTo: x@y.z\r\nReply-To: a@b.c\r\n\r\n", false },
	{ "", "n@e.com", "From: \"A, B\" <a@b.c>\r\n\r\n",
	  "From: \"A, B\" <n@e.com>\r\nReply-To: \"A, B\" <a@b.c>\r\n\r\n", false },
	{ "", "n@e.com", "From: A\r\n B <a@b.c>\r\nReply-To: r@b.c\r\n\r\n",
	  "From: A\r\n B <n@e.com>\r\nReply-To: r@b.c\r\n\r\n", false },
	{ "", "n@e.com", "From: a@b.c, d@e.f\r\nSender: a@b.c\r\n\r\n",
	  "From: n@e.com\r\nReply-To: a@b.c, d@e.f\r\n\r\n", false },
	{ "", "n@e.com", "FROM : <a@b.c>\r\n\r\n",
	  "From: n@e.com\r\nReply-To: <a@b.c>\r\n\r\n", false },
	{ "", "n@e.com", "Subject: x\r\n\r\n", "Subject: x\r\nFrom: n@e.com\r\n\r\n", false },
	{ "", "n@e.com", "From: a@b.c\r\nFrom: d@e.f\r\nX: y\r\n\r\n",
	  "From: n@e.com\r\nX: y\r\n\r\n", false },
	{ "", "n@e.com", "From: not an address\r\n\r\n", "From: n@e.com\r\n\r\n", false },
	{ "", "n@e.com", "From: a@b.c\r\nno field\r\nFrom: d@e.f\r\n",
	  "From: n@e.com\r\nReply-To: a@b.c\r\n\r\n", false },
	{ "", "n@e.com", "\r\nbody", "From: n@e.com\r\n\r\n", false },
	{ "", "n@e.com", "From: a@b.c\n\nbody", "From: n@e.com\r\nReply-To: a@b.c\n\r\n", false },
	{ "", "n@e.com", "From: a@b.c\r\n", "From: n@e.com\r\nReply-To: a@b.c\r\n\r\n", true },
	/* one sender */
	{ "root@localhost", "o@e.com",
	  "From: Cron <ROOT@localhost>\r\nReply-To: root@localhost\r\nTo: root@localhost\r\n\r\n",
	  "From: Cron <o@e.com>\r\nReply-To: o@e.com\r\nTo: root@localhost\r\n\r\n", false },
	{ "root@localhost", "o@e.com", "From: xroot@localhost, root@localhost.de,\r\n "
				       "<root@localhost>\r\nSender: root@localhost\r\n\r\n",
	  "From: xroot@localhost, root@localhost.de,\r\n <o@e.com>\r\nSender: o@e.com\r\n\r\n",
	  false },
	{ "root@localhost", "o@e.com", "From: a@b.c\r\n\r\n", "From: a@b.c\r\n\r\n", false },
	/* no end */
	{ "", "n@e.com", "From: a@b.c\r\n", NULL, false },
	{ "", "n@e.com", "From: a@b.c\r\nX: unfinis", NULL, false },
	{ "", "n@e.com", "", NULL, false },
};

START_TEST(rewrites_a_header)
{
	struct rewriting rewriting = { .from = span_of(rewrites[_i].from),
				       .to = span_of(rewrites[_i].to) };
	struct span in = span_of(rewrites[_i].in);
	struct buffer out;
	size_t octets;

	buffer_init(&out, 10000);
	bool is_done = rewrite_header(&rewriting, in, rewrites[_i].is_all, &out, &octets);

	ck_assert_int_eq(is_done, rewrites[_i].out != NULL);
	if (is_done)
		ck_assert_str_eq(buffer_text(&out), rewrites[_i].out);
	else
		ck_assert_uint_eq(out.len, 0);
	buffer_reset(&out);
}
END_TEST

START_TEST(writes_nothing_where_there_is_no_room)
{
	struct rewriting rewriting = { .to = SPAN_LITERAL("n@e.com") };
	struct span in = SPAN_LITERAL("From: A <a@b.c>\r\nX: y\r\n\r\n");
	struct buffer out;
	size_t octets;

	for (size_t room = 0; room < 50; room++) {
		buffer_init(&out, room);
		if (!rewrite_header(&rewriting, in, true, &out, &octets))
			ck_assert_uint_eq(out.len, 0);
		buffer_reset(&out);
	}
}
END_TEST

static const struct {
	const char *text;
	const char *from; /* NULL: refused */
	const char *to;
} maps[] = {
	{ "root@localhost = ops@example.com", "root@localhost", "ops@example.com" },
	{ "@localhost  =  a=b@example.com", "@localhost", "a=b@example.com" },
	{ "a=b@c = d@e", "a=b@c", "d@e" },
	{ "a@b=c@d", NULL, NULL },
	{ " = a@b", NULL, NULL },
	{ "a@b = ", NULL, NULL },
	{ "", NULL, NULL },
};

START_TEST(reads_an_entry_of_a_map)
{
	struct span from, to_;
	bool is_good = sender_map_parse(span_of(maps[_i].text), &from, &to_) == PARSE_OK;

	ck_assert_int_eq(is_good, maps[_i].from != NULL);
	if (!is_good)
		return;
	ck_assert(span_equal(from, span_of(maps[_i].from)));
	ck_assert(span_equal(to_, span_of(maps[_i].to)));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("reports");
	TCase *words = tcase_create("words");
	TCase *whole = tcase_create("whole");
	TCase *header = tcase_create("header");

	tcase_add_loop_test(words, knows_a_next_hop_that_does_not_relay, 0,
			    ARRAY_LEN(refusals));
	tcase_add_loop_test(words, finds_the_status_of_a_recipient, 0, ARRAY_LEN(statuses));
	suite_add_tcase(suite, words);
	tcase_add_test(whole, lets_no_reply_end_a_field);
	tcase_add_test(whole, folds_and_cuts_endless_replies);
	tcase_add_test(whole, chooses_a_boundary_that_the_original_does_not_hold);
	tcase_add_test(whole, stays_ascii_for_a_reader_whose_address_is);
	suite_add_tcase(suite, whole);
	tcase_add_loop_test(header, rewrites_a_header, 0, ARRAY_LEN(rewrites));
	tcase_add_test(header, writes_nothing_where_there_is_no_room);
	tcase_add_loop_test(header, reads_an_entry_of_a_map, 0, ARRAY_LEN(maps));
	suite_add_tcase(suite, header);
	return suite_main(suite);
}
