/* SPDX-License-Identifier: ISC */
#include "policy_fixture.h"

#include "policy/reason_text.h"
#include "smtp/reply.h"

#include <stdio.h>

/* Words of the other language that none of these texts has a use for. */
static const char *const english_words[] = {
	"the", "and", "of", "is", "are", "with", "your", "that", "wait", "check", "have", "has",
	"from", "this", "which", "ask", "tell", "send", "sent", "sender", "recipient", "login",
	"password", "server", "relay", "grant", "network", "message's", "not", "it", "its", "by",
	"for", "to", "in", "or", "an", "be", "was", "were", "who", "what", "when", "see", "let",
};
static const char *const french_words[] = {
	"le", "la", "les", "et", "un", "une", "est", "avec", "votre", "que", "pour", "pas", "des",
	"vous", "ce", "cette", "dans", "du", "attendez",
};

static bool
is_word_byte(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_' || c == '.' || c == '\'' ||
	       ((unsigned char)c & 0x80) != 0;
}

/* Does the word stand in the text, small, and not as a part of an option's name? */
static bool
has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
		if ((at == text || !is_word_byte(at[-1])) && !is_word_byte(at[len]))
			return true;
	}
	return false;
}

static void
check_words(const char *what, const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(!has_word(text, words[i]), "%s: \"%s\" in: %s", what, words[i], text);
}

static void
check_text(const char *what, const char *text, enum language language)
{
	ck_assert_msg(text != NULL && text[0] != '\0', "%s has no text in language %u", what,
		      (unsigned)language);
	ck_assert_msg(text[strlen(text) - 1] == '.', "%s: %s", what, text);
	ck_assert_msg(utf8_is_valid(span_of(text)), "%s: %s", what, text);
	if (language == LANGUAGE_FR)
		check_words(what, text, english_words, ARRAY_LEN(english_words));
	else
		check_words(what, text, french_words, ARRAY_LEN(french_words));
}

static void
check_texts(const char *what, const struct reason_text *text, enum language language)
{
	check_text(what, text->cause, language);
	check_text(what, text->remedy, language);
	check_text(what, text->sender, language);
}

START_TEST(every_reason_has_cause_and_remedies_in_every_language)
{
	for (enum reason reason = REASON_NONE; reason < REASON_COUNT; reason++) {
		struct reason_text english = reason_text_get(reason, LANGUAGE_EN);
		struct reason_text french = reason_text_get(reason, LANGUAGE_FR);

		check_texts(reason_token(reason), &english, LANGUAGE_EN);
		check_texts(reason_token(reason), &french, LANGUAGE_FR);
		ck_assert_str_ne(english.cause, french.cause);
		ck_assert_str_ne(english.remedy, french.remedy);
		ck_assert_str_ne(english.sender, french.sender);
	}
}
END_TEST

START_TEST(every_language_tells_of_the_same_codes_and_causes)
{
	const struct language_texts *english = language_texts_get(LANGUAGE_EN);

	for (enum language language = LANGUAGE_EN; language < LANGUAGE_COUNT; language++) {
		const struct language_texts *texts = language_texts_get(language);

		ck_assert_uint_eq(texts->code_count, english->code_count);
		ck_assert_uint_eq(texts->cause_count, english->cause_count);
		for (size_t i = 0; i < texts->code_count; i++) {
			ck_assert_str_eq(texts->codes[i].code, english->codes[i].code);
			check_texts(texts->codes[i].code, &texts->codes[i].text, language);
		}
		for (size_t i = 0; i < texts->cause_count; i++) {
			ck_assert_uint_gt(strlen(texts->causes[i].name), 0);
			check_texts(texts->causes[i].name, &texts->causes[i].text, language);
		}
		ck_assert_uint_gt(strlen(texts->word_cause), 0);
		ck_assert_uint_gt(strlen(texts->word_remedy), 0);
		ck_assert_uint_gt(strlen(texts->word_sender), 0);
		ck_assert_uint_gt(strlen(texts->word_here), 0);
		ck_assert_uint_gt(strlen(texts->word_causes), 0);
	}
}
END_TEST

START_TEST(the_causes_that_articles_list_are_told)
{
	static const char *const names[] = {
		"SPF", "DKIM", "DMARC", "Block list", "Wrong login", "Other network",
		"Missing reverse name", "Rate", "Content", "Recipient policy",
		"Relay not permitted",
	};
	const struct language_texts *texts = language_texts_get(LANGUAGE_EN);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		bool is_there = false;

		for (size_t j = 0; j < texts->cause_count; j++)
			is_there |= strcmp(texts->causes[j].name, names[i]) == 0;
		ck_assert_msg(is_there, "%s", names[i]);
	}
	ck_assert(code_has_causes(span_of("5.7.1")) && code_has_causes(span_of("5.7.367")));
	ck_assert(!code_has_causes(span_of("5.7.0")) && !code_has_causes(span_of("")));
}
END_TEST

static bool
enhanced_is(const struct reason_reply *reply, const struct enhanced_code *code)
{
	return reply != NULL && reply->enhanced[0] == code->class &&
	       reply->enhanced[1] == code->subject && reply->enhanced[2] == code->detail;
}

START_TEST(every_code_that_relayd_says_is_told_of)
{
	const struct language_texts *texts = language_texts_get(LANGUAGE_EN);

	for (enum reply_id id = 0; id < REPLY_COUNT; id++) {
		const struct reply *reply = reply_of(id);
		char code[24];
		bool is_told = reply->code < 400;

		(void)snprintf(code, sizeof(code), "%u.%u.%u", (unsigned)reply->enhanced.class,
			       (unsigned)reply->enhanced.subject,
			       (unsigned)reply->enhanced.detail);
		for (size_t i = 0; i < texts->code_count; i++)
			is_told |= strcmp(texts->codes[i].code, code) == 0;
		for (enum reason r = REASON_NONE; r < REASON_COUNT; r++)
			is_told |= enhanced_is(reason_reply_get(r, REPLY_STYLE_RELAYD),
					       &reply->enhanced) ||
				   enhanced_is(reason_reply_deferred(r, REPLY_STYLE_RELAYD),
					       &reply->enhanced);
		ck_assert_msg(is_told, "%u %s %s", (unsigned)reply->code, code, reply->text);
	}
}
END_TEST

START_TEST(languages_are_found_by_the_names_that_locales_have)
{
	static const struct { const char *name; enum language language; } names[] = {
		{ "en", LANGUAGE_EN }, { "fr", LANGUAGE_FR }, { "fr_FR.UTF-8", LANGUAGE_FR },
		{ "fr-CA", LANGUAGE_FR }, { "FR", LANGUAGE_FR }, { "fr@euro", LANGUAGE_FR },
		{ "en_GB", LANGUAGE_EN }, { "C", LANGUAGE_COUNT }, { "", LANGUAGE_COUNT },
		{ "f", LANGUAGE_COUNT }, { "fra", LANGUAGE_COUNT }, { "de_DE", LANGUAGE_COUNT },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert_msg(language_find(span_of(names[i].name)) == names[i].language, "%s",
			      names[i].name);
}
END_TEST

static Suite *
reason_text_suite(void)
{
	Suite *suite = suite_create("reason_text");
	TCase *tc = tcase_create("texts");

	tcase_add_test(tc, every_reason_has_cause_and_remedies_in_every_language);
	tcase_add_test(tc, every_language_tells_of_the_same_codes_and_causes);
	tcase_add_test(tc, the_causes_that_articles_list_are_told);
	tcase_add_test(tc, every_code_that_relayd_says_is_told_of);
	tcase_add_test(tc, languages_are_found_by_the_names_that_locales_have);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	return suite_main(reason_text_suite());
}
