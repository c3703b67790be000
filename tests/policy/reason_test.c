/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy/reason.h"

static void
check_reply(const struct reason_reply *reply, bool is_temporary)
{
	ck_assert_uint_ge(reply->code, 400);
	ck_assert_uint_lt(reply->code, 600);
	ck_assert_uint_eq(reply->code / 100, reply->enhanced[0]);
	ck_assert(!is_temporary || reply->code < 500);
	ck_assert_uint_le(reply->enhanced[1], 7);
	ck_assert_uint_le(reply->enhanced[2], 999);
	ck_assert_ptr_nonnull(reply->text);
	ck_assert_uint_gt(strlen(reply->text), 0);
	ck_assert_uint_le(strlen(reply->text), 120); /* a line of 512 with an id and a fold */
	for (const char *c = reply->text; *c != '\0'; c++)
		ck_assert(*c >= ' ' && *c <= '~');
}

START_TEST(every_reply_has_equal_classes_of_code_and_enhanced_code)
{
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		for (enum reply_style style = 0; style < REPLY_STYLE_COUNT; style++) {
			const struct reason_reply *reply = reason_reply_get(reason, style);

			if (reason == REASON_NONE || reason == REASON_SESSION_ABANDONED)
				ck_assert_ptr_null(reply);
			else
				check_reply(reply, false);
			check_reply(reason_reply_deferred(reason, style), true);
		}
	}
}
END_TEST

START_TEST(the_code_of_three_digits_is_the_same_in_every_style)
{
	for (enum reason reason = REASON_AUTH_REQUIRED; reason < REASON_COUNT; reason++) {
		if (reason == REASON_SESSION_ABANDONED)
			continue;
		uint16_t code = reason_reply_get(reason, REPLY_STYLE_RELAYD)->code;

		ck_assert_uint_eq(reason_reply_get(reason, REPLY_STYLE_STANDARD)->code, code);
		ck_assert_uint_eq(reason_reply_get(reason, REPLY_STYLE_EXCHANGE)->code, code);
	}
}
END_TEST

START_TEST(the_standard_style_has_registered_codes_only)
{
	for (enum reason reason = REASON_AUTH_REQUIRED; reason < REASON_COUNT; reason++) {
		const struct reason_reply *reply = reason_reply_get(reason, REPLY_STYLE_STANDARD);

		ck_assert(reply == NULL || reply->enhanced[2] <= 30); /* the registry ends there */
	}
}
END_TEST

START_TEST(every_reason_has_a_token_a_meaning_and_a_remedy)
{
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		ck_assert_ptr_nonnull(reason_token(reason));
		ck_assert_uint_eq(reason_find(span_of(reason_token(reason))), reason);
		ck_assert_ptr_nonnull(reason_meaning(reason));
		ck_assert_ptr_nonnull(reason_remedy(reason));
		const char *meaning = reason_meaning(reason);

		ck_assert(meaning[strlen(meaning) - 1] == '.');
	}
	ck_assert_uint_eq(reason_find(span_of("relay")), REASON_COUNT);
	ck_assert_uint_eq(reason_find(span_of("")), REASON_COUNT);
	ck_assert_uint_eq(reason_find(span_of("RELAY.NO-GRANT")), REASON_COUNT);
}
END_TEST

static const struct {
	enum reason reason;
	const char *token;
	const char *lines[REPLY_STYLE_COUNT];
} known[] = {
	{ REASON_RELAY_NO_GRANT, "relay.no-grant",
	  { "550 5.7.1 Unable to relay", "550 5.7.1 Unable to relay",
	    "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain" } },
	{ REASON_SENDER_NOT_AUTHORIZED, "sender.not-authorized",
	  { "550 5.7.367 Sender not authorized for relay",
	    "550 5.7.1 Client does not have permissions to send as this sender",
	    "550 5.7.60 SMTP; Client does not have permissions to send as this sender" } },
	{ REASON_SENDER_HEADER_FROM, "sender.header-from",
	  { "550 5.7.367 Sender not authorized for relay",
	    "550 5.7.1 Client does not have permissions to send as this sender",
	    "550 5.7.60 SMTP; Client does not have permissions to send as this sender" } },
	{ REASON_AUTH_REQUIRED, "auth.required",
	  { "530 5.7.0 Authentication required", "530 5.7.0 Authentication required",
	    "530 5.7.57 Client not authenticated to send mail." } },
	{ REASON_TLS_REQUIRED, "tls.required",
	  { "530 5.7.0 Must issue a STARTTLS command first",
	    "530 5.7.0 Must issue a STARTTLS command first",
	    "530 5.7.0 Must issue a STARTTLS command first" } },
	{ REASON_AUTH_FAILED, "auth.failed",
	  { "535 5.7.8 Authentication credentials invalid",
	    "535 5.7.8 Authentication credentials invalid",
	    "535 5.7.3 Authentication unsuccessful" } },
	{ REASON_AUTH_MECHANISM, "auth.mechanism",
	  { "504 5.5.4 Unrecognized authentication type",
	    "504 5.5.4 Unrecognized authentication type",
	    "504 5.7.4 Unrecognized authentication type" } },
	{ REASON_MESSAGE_SIZE, "message.size",
	  { "552 5.3.4 Message size exceeds fixed maximum message size",
	    "552 5.3.4 Message size exceeds fixed maximum message size",
	    "552 5.3.4 Message size exceeds fixed maximum message size" } },
};

START_TEST(says_the_exact_words)
{
	struct buffer line;

	buffer_init(&line, 512);
	ck_assert_str_eq(reason_token(known[_i].reason), known[_i].token);
	for (enum reply_style style = 0; style < REPLY_STYLE_COUNT; style++) {
		const struct reason_reply *reply = reason_reply_get(known[_i].reason, style);

		buffer_clear(&line);
		(void)buffer_printf(&line, "%u %u.%u.%u %s", reply->code, reply->enhanced[0],
				    reply->enhanced[1], reply->enhanced[2], reply->text);
		ck_assert_str_eq(buffer_text(&line), known[_i].lines[style]);
	}
	buffer_reset(&line);
}
END_TEST

START_TEST(what_could_not_be_looked_up_has_its_own_twin)
{
	static const struct {
		enum reason reason;
		unsigned detail;
	} twins[] = {
		{ REASON_EVIDENCE_SPF, 24 }, { REASON_EVIDENCE_DKIM, 5 },
		{ REASON_EVIDENCE_DMARC, 26 }, { REASON_EVIDENCE_DNSBL, 1 },
		{ REASON_EVIDENCE_PTR, 25 },
	};

	for (size_t i = 0; i < ARRAY_LEN(twins); i++) {
		const struct reason_reply *reply =
		    reason_reply_deferred(twins[i].reason, REPLY_STYLE_RELAYD);

		ck_assert_uint_eq(reply->code, 451);
		ck_assert_uint_eq(reply->enhanced[1], 7);
		ck_assert_uint_eq(reply->enhanced[2], twins[i].detail);
	}
}
END_TEST

/* ---- What a configuration says instead ---- */

static bool
answers(enum reason reason)
{
	return reason_reply_get(reason, REPLY_STYLE_RELAYD) != NULL;
}

/* Every reason in every style: other words are said, everything else stays as it was. */
START_TEST(other_words_are_said_for_one_reason_alone)
{
	static struct reply_wording wording;

	for (enum reply_style style = 0; style < REPLY_STYLE_COUNT; style++) {
		for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
			const struct reason_reply *usual = reason_reply_get(reason, style);
			const char *what;

			wording = (struct reply_wording){ .style = style };
			if (usual == NULL) {
				ck_assert_ptr_null(wording_reply(&wording, reason));
				continue;
			}
			struct reason_reply instead = *usual;

			instead.text = "Ask it@example.com";
			ck_assert_ptr_null(reply_override_check(reason, &instead,
								span_of(instead.text), &what));
			wording.instead[reason] = instead;
			for (enum reason other = REASON_NONE + 1; other < REASON_COUNT; other++) {
				const struct reason_reply *said = wording_reply(&wording, other);

				if (other == reason)
					ck_assert_str_eq(said->text, instead.text);
				else
					ck_assert_ptr_eq(said, reason_reply_get(other, style));
				check_reply(wording_reply_deferred(&wording, other), true);
			}
		}
	}
}
END_TEST

/* No class becomes another: every reason against every code. */
START_TEST(other_words_never_change_what_a_reply_means)
{
	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		if (!answers(reason))
			continue;
		const struct reason_reply *usual = reason_reply_get(reason, REPLY_STYLE_RELAYD);

		for (uint16_t code = 0; code < 1000; code++) {
			struct reason_reply instead = { code, { (uint16_t)(code / 100), 7, 1 },
							"No" };
			const char *what = NULL;
			const char *cure =
			    reply_override_check(reason, &instead, span_of("No"), &what);
			bool may_be = code / 100 == usual->code / 100 &&
				      (code == 421) == (usual->code == 421);

			REQUIRE((cure == NULL) == may_be);
			REQUIRE(cure == NULL || strcmp(what, "code") == 0);
			instead.enhanced[0] = code / 100 == 5 ? 4 : 5;
			REQUIRE(reply_override_check(reason, &instead, span_of("No"), &what) !=
				NULL);
		}
	}
}
END_TEST

static const struct {
	const char *text;
	size_t len;
	bool is_right;
} texts[] = {
	{ "Ask it@example.com: https://intra.example.com/relay?x=1 [a]", 59, true },
	{ "x", 1, true },
	{ "4 eyes, 20 hands", 16, true },
	{ "", 0, false },
	{ "No\r\n250 2.0.0 Ok", 16, false },
	{ "No\nno", 5, false },
	{ "No\rno", 5, false },
	{ "No\0no", 5, false },
	{ "No\tno", 5, false },
	{ "No\x7f", 3, false },
	{ "Refus\xc3\xa9", 7, false },
	{ "550 5.7.1 No", 12, false },
	{ "5.7.1 No", 8, false },
};

START_TEST(other_words_are_short_printable_ascii)
{
	struct reason_reply instead = { 550, { 5, 7, 1 }, texts[_i].text };
	const char *what = NULL;
	const char *cure = reply_override_check(
	    REASON_RELAY_NO_GRANT, &instead, (struct span){ texts[_i].text, texts[_i].len }, &what);

	ck_assert_int_eq(cure == NULL, texts[_i].is_right);
	ck_assert_str_eq(what, "text");
}
END_TEST

START_TEST(other_words_have_a_longest_length)
{
	char text[REPLY_OVERRIDE_MAX + 1];
	struct reason_reply instead = { 550, { 5, 7, 1 }, "" };
	const char *what;

	memset(text, 'x', sizeof(text));
	ck_assert_ptr_null(reply_override_check(REASON_RELAY_NO_GRANT, &instead,
						(struct span){ text, sizeof(text) - 1 }, &what));
	ck_assert_ptr_nonnull(reply_override_check(REASON_RELAY_NO_GRANT, &instead,
						   (struct span){ text, sizeof(text) }, &what));
}
END_TEST

START_TEST(every_stage_has_a_name)
{
	for (enum stage stage = STAGE_CONNECTION; stage <= STAGE_PERMITTED; stage++)
		ck_assert_uint_gt(strlen(stage_name(stage)), 0);
}
END_TEST

static Suite *
reason_suite(void)
{
	Suite *suite = suite_create("reason");
	TCase *table = tcase_create("table");

	tcase_add_test(table, every_reply_has_equal_classes_of_code_and_enhanced_code);
	tcase_add_test(table, the_code_of_three_digits_is_the_same_in_every_style);
	tcase_add_test(table, the_standard_style_has_registered_codes_only);
	tcase_add_test(table, every_reason_has_a_token_a_meaning_and_a_remedy);
	tcase_add_loop_test(table, says_the_exact_words, 0, ARRAY_LEN(known));
	tcase_add_test(table, what_could_not_be_looked_up_has_its_own_twin);
	tcase_add_test(table, every_stage_has_a_name);
	tcase_add_test(table, other_words_are_said_for_one_reason_alone);
	tcase_add_test(table, other_words_never_change_what_a_reply_means);
	tcase_add_loop_test(table, other_words_are_short_printable_ascii, 0, ARRAY_LEN(texts));
	tcase_add_test(table, other_words_have_a_longest_length);
	suite_add_tcase(suite, table);
	return suite;
}

int
main(void)
{
	return suite_main(reason_suite());
}
