/* SPDX-License-Identifier: ISC */
/* smtp/submission.h */
#include "smtp/submission.h"

#include "smtp_test.h"

static const struct { const char *text, *header, *body; } cuts[] = {
	{ "A: b\n\nbody\n", "A: b\n", "body\n" },
	{ "A: b\r\n\r\nbody", "A: b\r\n", "body" },
	{ "From root Sat Nov 21\nA: b\n\nx", "A: b\n", "x" },
	{ "A: b\n c\n\td\n\nx", "A: b\n c\n\td\n", "x" },
	{ "just text\nTo: a@b.example\n", "", "just text\nTo: a@b.example\n" },
	{ "A: b\njust text\n", "A: b\n", "just text\n" },
	{ " folded: first\n\nx", "", " folded: first\n\nx" },
	{ "A: b\n", "A: b\n", "" },
	{ "A: b", "A: b", "" },
	{ "\nbody", "", "body" },
	{ "", "", "" },
};

START_TEST(a_message_is_cut_behind_its_header)
{
	struct submission s = submission_split(span_of(cuts[_i].text));

	ck_assert_span_eq(s.header, cuts[_i].header);
	ck_assert_span_eq(s.body, cuts[_i].body);
}
END_TEST

static const struct { const char *header, *sender; const char *recipients; } envelopes[] = {
	{ "From: a@x.example\nTo: b@y.example\n", "a@x.example", "b@y.example" },
	{ "From: A <a@x.example>\nSender: s@x.example\nTo: b@y.example\n", "s@x.example", "b@y.example" },
	{ "X-Sender: e@x.example\nX-Receiver: <f@y.example>\nX-Receiver: g@y.example\nFrom: a@x.example\nTo: b@y.example\n",
	  "e@x.example", "f@y.example g@y.example" },
	{ "x-sender: <>\nx-receiver: f@y.example\n", "", "f@y.example" },
	{ "X-Sender: e@x.example\nTo: b@y.example\n", "e@x.example", "b@y.example" },
	{ "From: a@x.example\nTo: b@y.example, \"C, D\" <c@y.example>\nCc: (x, y) d@y.example\nBcc: e@y.example\n",
	  "a@x.example", "b@y.example c@y.example d@y.example e@y.example" },
	{ "From: a@x.example\nTo: friends: b@y.example, C <c@y.example>;, d@y.example\n", "a@x.example",
	  "b@y.example c@y.example d@y.example" },
	{ "From: a@x.example\nTo: undisclosed-recipients:;\nBcc: b@y.example\n", "a@x.example", "b@y.example" },
	{ "From: a@x.example\nTo: b@y.example,\n\tc@y.example\n", "a@x.example", "b@y.example c@y.example" },
	{ "From: a@x.example\nTo: b@y.example, b@y.example\nCc: b@y.example\n", "a@x.example", "b@y.example" },
	{ "From: a@x.example\nTo: b@[192.0.2.1], \"a:b;c\"@y.example\n", "a@x.example", "b@[192.0.2.1] \"a:b;c\"@y.example" },
	{ "From: a@x.example\nTo: b@[IPv6:2001:db8::1]\n", "a@x.example", "b@[IPv6:2001:db8::1]" },
	{ "From: a@x.example\nTo: b@y.example\nResent-From: r@x.example\nResent-To: s@y.example\n", "r@x.example", "s@y.example" },
	{ "From: a@x.example\nTo: ,b@y.example,,\n", "a@x.example", "b@y.example" },
};

START_TEST(the_envelope_is_read)
{
	struct submission s = submission_split(span_of(envelopes[_i].header));
	struct submission_envelope envelope;
	struct fault fault = { .error = 0 };
	struct arena arena = { .blocks = NULL };
	struct buffer found;

	buffer_init(&found, 1000);
	ck_assert_msg(submission_envelope_read(&s, SUBMISSION_SENDER | SUBMISSION_RECIPIENTS,
					       &arena, &envelope, &fault),
		      "%s", fault.text);
	ck_assert_span_eq(envelope.sender.text, envelopes[_i].sender);
	for (size_t i = 0; i < envelope.recipient_count; i++)
		ck_assert(buffer_printf(&found, "%s" SPAN_FMT, i == 0 ? "" : " ",
					SPAN_ARG(envelope.recipients[i].text)));
	ck_assert_span_eq(buffer_span(&found), envelopes[_i].recipients);
	buffer_reset(&found);
	arena_reset(&arena);
}
END_TEST

static const struct { const char *header, *complaint; } bad[] = {
	{ "To: b@y.example\n", "there is no sender; write X-Sender, Sender or From" },
	{ "From: a@x.example\n", "there is no recipient; write X-Receiver, To, Cc or Bcc" },
	{ "From: a@x.example\nTo: undisclosed-recipients:;\n", "there is no recipient; write X-Receiver, To, Cc or Bcc" },
	{ "From: a@x.example, b@x.example\nTo: b@y.example\n", "the field From must hold one address to send from" },
	{ "From: nobody\nTo: b@y.example\n", "the field From must hold one address to send from" },
	{ "From: a@x.example\nTo: everyone\n", "the field To holds something that is no address" },
	{ "From: a@x.example\nTo: b@y.example; c@y.example\n", "the field To holds something that is no address" },
	{ "From: a@x.example\nTo: g: h: b@y.example;;\n", "the field To holds something that is no address" },
	{ "From: a@x.example\nTo: g: b@y.example\n", "the field To holds something that is no address" },
	{ "From: a@x.example\nCc: <b@y.example\n", "the field Cc holds something that is no address" },
	{ "From: a@x.example\nTo: (b@y.example\n", "the field To holds something that is no address" },
	{ "From: a@x.example\nTo: @relay.example:b@y.example\n", "the field To holds something that is no address" },
	{ "X-Sender: nobody\nTo: b@y.example\n", "the field X-Sender is not an address; write for example <a@example.com>" },
	{ "X-Sender: a@x.example\nX-Sender: b@x.example\nTo: b@y.example\n", "there are several fields X-Sender; leave one" },
	{ "From: a@x.example\nX-Receiver: <>\n", "the field X-Receiver is not an address; write for example <a@example.com>" },
	{ "From: a@x.example\nX-Receiver: b@y.example, c@y.example\n", "the field X-Receiver is not an address; write for example <a@example.com>" },
};

START_TEST(what_is_no_envelope_is_refused_with_a_reason)
{
	struct submission s = submission_split(span_of(bad[_i].header));
	struct submission_envelope envelope;
	struct fault fault = { .error = 0 };
	struct arena arena = { .blocks = NULL };

	ck_assert(!submission_envelope_read(&s, SUBMISSION_SENDER | SUBMISSION_RECIPIENTS, &arena,
					    &envelope, &fault));
	ck_assert_str_eq(fault.text, bad[_i].complaint);
	arena_reset(&arena);
}
END_TEST

START_TEST(no_more_recipients_than_a_message_may_have)
{
	struct submission_envelope envelope;
	struct fault fault = { .error = 0 };
	struct arena arena = { .blocks = NULL };
	struct buffer text;

	buffer_init(&text, 1U << 20);
	(void)buffer_append_text(&text, "From: a@x.example\nTo: ");
	for (int i = 0; i <= SUBMISSION_RECIPIENTS_MAX; i++)
		ck_assert(buffer_printf(&text, "r%d@y.example,", i));

	struct submission s = submission_split(buffer_span(&text));

	ck_assert(!submission_envelope_read(&s, SUBMISSION_RECIPIENTS, &arena, &envelope, &fault));
	ck_assert_str_eq(fault.text, "more than 5000 recipients");
	buffer_reset(&text);
	arena_reset(&arena);
}
END_TEST

static const struct { const char *text, *sent; } written[] = {
	{ "From: a@x.example\nMessage-ID: <1@x>\nDate: today\n\nhi\n.\n", "From: a@x.example\r\nMessage-ID: <1@x>\r\nDate: today\r\n\r\nhi\r\n.\r\n" },
	{ "From: a@x.example\nBcc: s@y.example,\n t@y.example\nX-Receiver: s@y.example\nX-Sender: a@x.example\nDate: d\nMessage-Id: i\n\nhi",
	  "From: a@x.example\r\nDate: d\r\nMessage-Id: i\r\n\r\nhi\r\n" },
	{ "hi\n", "From: me@x.example\r\nMessage-ID: <2@x>\r\nDate: Thu, 1 Jan 1970 00:00:01 +0000\r\n\r\nhi\r\n" },
	{ "Subject: a\r\n b\r\nDate: d\r\n\r\n", "Subject: a\r\n b\r\nDate: d\r\nFrom: me@x.example\r\nMessage-ID: <2@x>\r\n\r\n" },
};

START_TEST(a_message_is_written_as_smtp_sends_it)
{
	const struct submission_additions additions = { .from = span_of("me@x.example"),
							.message_id = span_of("<2@x>"),
							.date_wall_ms = 1000 };
	struct submission s = submission_split(span_of(written[_i].text));
	struct buffer out;

	buffer_init(&out, 1000);
	ck_assert(submission_write(&s, &additions, &out));
	ck_assert_span_eq(buffer_span(&out), written[_i].sent);
	buffer_reset(&out);
}
END_TEST

TCase *
submission_tcase(void)
{
	TCase *tc = tcase_create("submission");

	tcase_add_loop_test(tc, a_message_is_cut_behind_its_header, 0, ARRAY_LEN(cuts));
	tcase_add_loop_test(tc, the_envelope_is_read, 0, ARRAY_LEN(envelopes));
	tcase_add_loop_test(tc, what_is_no_envelope_is_refused_with_a_reason, 0, ARRAY_LEN(bad));
	tcase_add_test(tc, no_more_recipients_than_a_message_may_have);
	tcase_add_loop_test(tc, a_message_is_written_as_smtp_sends_it, 0, ARRAY_LEN(written));
	return tc;
}
