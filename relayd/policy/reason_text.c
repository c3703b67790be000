/* SPDX-License-Identifier: ISC */
/* Choosing a language, and its texts; see reason_text.h. */
#include "policy/reason_text_private.h"

#include <assert.h>

struct reason_text
reason_text_get(enum reason reason, enum language language)
{
	assert(reason < REASON_COUNT);
	if (language == LANGUAGE_FR)
		return french_reasons[reason];
	return (struct reason_text){
		.cause = reason_meaning(reason),
		.remedy = reason_remedy(reason),
		.sender = english_senders[reason],
	};
}

const struct language_texts *
language_texts_get(enum language language)
{
	assert(language < LANGUAGE_COUNT);
	return language == LANGUAGE_FR ? &french_texts : &english_texts;
}

bool
code_has_causes(struct span code)
{
	static const char *const codes[] = {
		"550", "554", "5.7.1", "5.7.54", "5.7.60", "5.7.64", "5.7.367",
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		if (span_equal(span_of(codes[i]), code))
			return true;
	}
	return false;
}

enum language
language_find(struct span name)
{
	static const char *const names[LANGUAGE_COUNT] = {
		[LANGUAGE_EN] = "en",
		[LANGUAGE_FR] = "fr",
	};

	for (enum language language = LANGUAGE_EN; language < LANGUAGE_COUNT; language++) {
		struct span rest = span_skip(name, name.len < 2 ? name.len : 2);

		if (span_equal_fold(span_first(name, 2), span_of(names[language])) &&
		    (rest.len == 0 || rest.ptr[0] == '_' || rest.ptr[0] == '-' ||
		     rest.ptr[0] == '.' || rest.ptr[0] == '@'))
			return language;
	}
	return LANGUAGE_COUNT;
}
