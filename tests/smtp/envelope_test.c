/* SPDX-License-Identifier: ISC */
/* smtp/envelope.h */
#include "smtp/envelope.h"

#include "smtp_test.h"

static struct envelope_recipient recipients[] = {
	{ SPAN_LITERAL("ap@partner.example"), SPAN_LITERAL("rfc822;ap@old.example"),
	  SPAN_LITERAL("microsoft365"), SPAN_LITERAL("billing"), NOTIFY_FAILURE | NOTIFY_DELAY },
	{ SPAN_LITERAL("\xc3\xa9@example.com"), { NULL, 0 }, SPAN_LITERAL("drop"),
	  SPAN_LITERAL("x"), NOTIFY_NEVER },
	{ SPAN_LITERAL("Postmaster"), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, 0 },
};

static const struct envelope example = {
	.id = SPAN_LITERAL("7F3K2M9Q"),
	.sender = SPAN_LITERAL("invoices@example.com"),
	.envid = SPAN_LITERAL("QQ314159"),
	.client = SPAN_LITERAL("10.20.1.7"),
	.login = SPAN_LITERAL("billing"),
	.connector = SPAN_LITERAL("internal-apps"),
	.ret = RET_HDRS,
	.body = BODY_8BITMIME,
	.is_smtputf8 = true,
	.needs_tls = true,
	.arrived_wall_ms = 1795375203123,
	.size_octets = UINT64_MAX,
	.recipients = recipients,
	.recipient_count = ARRAY_LEN(recipients),
};

static void
encode(const struct envelope *envelope, struct buffer *out)
{
	buffer_init(out, ENVELOPE_OCTETS_MAX);
	must(envelope_encode(envelope, out));
}

START_TEST(envelope_is_read_as_it_was_written)
{
	struct buffer out;
	struct arena arena;
	struct envelope e;

	encode(&example, &out);
	arena_init(&arena, 0);
	ck_assert(envelope_decode(buffer_span(&out), &arena, &e) == PARSE_OK);
	ck_assert(span_equal(e.id, example.id));
	ck_assert(span_equal(e.sender, example.sender));
	ck_assert(span_equal(e.envid, example.envid));
	ck_assert(span_equal(e.client, example.client));
	ck_assert(span_equal(e.login, example.login));
	ck_assert(span_equal(e.connector, example.connector));
	ck_assert_int_eq(e.ret, example.ret);
	ck_assert_int_eq(e.body, example.body);
	ck_assert(e.is_smtputf8 && e.needs_tls);
	ck_assert_int_eq(e.arrived_wall_ms, example.arrived_wall_ms);
	ck_assert_uint_eq(e.size_octets, example.size_octets);
	ck_assert_uint_eq(e.recipient_count, example.recipient_count);
	for (size_t i = 0; i < e.recipient_count; i++) {
		ck_assert(span_equal(e.recipients[i].address, recipients[i].address));
		ck_assert(span_equal(e.recipients[i].orcpt, recipients[i].orcpt));
		ck_assert(span_equal(e.recipients[i].route, recipients[i].route));
		ck_assert(span_equal(e.recipients[i].grant, recipients[i].grant));
		ck_assert_uint_eq(e.recipients[i].notify, recipients[i].notify);
	}
	arena_reset(&arena);
	buffer_reset(&out);
}
END_TEST

START_TEST(null_sender_and_empty_texts_survive)
{
	struct envelope least = { .recipients = recipients, .recipient_count = 1 }, e;
	struct buffer out;
	struct arena arena;

	encode(&least, &out);
	arena_init(&arena, 0);
	ck_assert(envelope_decode(buffer_span(&out), &arena, &e) == PARSE_OK);
	ck_assert_uint_eq(e.sender.len + e.login.len + e.envid.len + e.id.len, 0);
	ck_assert(!e.is_smtputf8 && !e.needs_tls && e.ret == RET_NONE && e.body == BODY_7BIT);
	arena_reset(&arena);
	buffer_reset(&out);
}
END_TEST

START_TEST(envelope_cut_or_prolonged_anywhere_is_refused)
{
	struct buffer out;
	struct arena arena;
	struct envelope e;

	encode(&example, &out);
	arena_init(&arena, 0);
	for (size_t len = 0; len < out.len; len++)
		ck_assert(envelope_decode(span_first(buffer_span(&out), len), &arena, &e) ==
			  PARSE_BAD);
	ck_assert(buffer_append_byte(&out, '\0'));
	ck_assert(envelope_decode(buffer_span(&out), &arena, &e) == PARSE_BAD);
	arena_reset(&arena);
	buffer_reset(&out);
}
END_TEST

/* What decodes must be what encoding it again gives: there is one form of each envelope. */
START_TEST(changed_octet_is_refused_or_makes_another_whole_envelope)
{
	struct buffer out, again;
	struct arena arena;
	struct envelope e;

	encode(&example, &out);
	arena_init(&arena, 0);
	for (size_t i = 0; i < out.len; i++) {
		for (unsigned value = 0; value < 256; value++) {
			char kept = out.ptr[i];

			out.ptr[i] = (char)(unsigned char)value;
			if (envelope_decode(buffer_span(&out), &arena, &e) == PARSE_OK) {
				encode(&e, &again);
				must(span_equal(buffer_span(&out), buffer_span(&again)));
				buffer_reset(&again);
			}
			out.ptr[i] = kept;
			arena_reset(&arena);
		}
	}
	buffer_reset(&out);
}
END_TEST

START_TEST(text_with_a_control_byte_is_never_written)
{
	static const char *const bad[] = { "a\r\nDATA@b", "a\nb", "\x7f", "a\tb", "\x01" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct envelope_recipient one = { .address = span_of("a@b") };
		struct envelope e = { .recipients = &one, .recipient_count = 1 };
		struct buffer out;

		buffer_init(&out, ENVELOPE_OCTETS_MAX);
		ck_assert(buffer_append_text(&out, "kept"));
		e.sender = span_of(bad[i]);
		ck_assert(!envelope_encode(&e, &out));
		e.sender = span_of("");
		one.orcpt = span_of(bad[i]);
		ck_assert(!envelope_encode(&e, &out));
		one.orcpt = span_of("");
		one.address = span_of("");
		ck_assert(!envelope_encode(&e, &out));
		ck_assert_str_eq(buffer_text(&out), "kept");
		buffer_reset(&out);
	}
}
END_TEST

START_TEST(envelope_beyond_the_limit_is_not_written)
{
	struct buffer out;

	buffer_init(&out, 60);
	ck_assert(!envelope_encode(&example, &out));
	ck_assert_uint_eq(out.len, 0);
	ck_assert(out.is_over);
	buffer_reset(&out);
}
END_TEST

TCase *
envelope_tcase(void)
{
	TCase *tc = tcase_create("envelope");

	tcase_add_test(tc, envelope_is_read_as_it_was_written);
	tcase_add_test(tc, null_sender_and_empty_texts_survive);
	tcase_add_test(tc, envelope_cut_or_prolonged_anywhere_is_refused);
	tcase_add_test(tc, changed_octet_is_refused_or_makes_another_whole_envelope);
	tcase_add_test(tc, text_with_a_control_byte_is_never_written);
	tcase_add_test(tc, envelope_beyond_the_limit_is_not_written);
	return tc;
}
