/* SPDX-License-Identifier: ISC */
/*
 * What reasons and codes mean, in the languages of those who read it: the cause, what the
 * administrator can do, and what whoever sends can do. One file a language.
 */
#ifndef RELAYD_POLICY_REASON_TEXT_H
#define RELAYD_POLICY_REASON_TEXT_H

#include "policy/reason.h"

enum language {
	LANGUAGE_EN,
	LANGUAGE_FR,
	LANGUAGE_COUNT,
};

struct reason_text {
	const char *cause;
	const char *remedy; /* the administrator's */
	const char *sender; /* the remedy of whoever sends, or looks after what sends */
};

/* UTF-8; NULL where a text is missing, which a test does not let pass. */
struct reason_text reason_text_get(enum reason reason, enum language language);

/*
 * A code of replies that are no reason of the policy: those of the protocol, and those that
 * next hops send and people look up. The enhanced code, without the reply code.
 */
struct code_text {
	const char *code; /* "5.7.64" */
	struct reason_text text;
};

/*
 * One of the causes for which mail servers refuse with 550 5.7.1 and its relatives, whoever
 * it is that refuses.
 */
struct cause_text {
	const char *name; /* "SPF" */
	struct reason_text text;
};

/* A language: its file. */
struct language_texts {
	const struct code_text *codes;
	size_t code_count;
	const struct cause_text *causes;
	size_t cause_count;
	const char *word_cause, *word_remedy, *word_sender; /* "remedy" */
	const char *word_here;	 /* what this relay is configured to say */
	const char *word_causes; /* above the causes */
};

const struct language_texts *language_texts_get(enum language language);

/* Does this code stand for refusals of which language_texts.causes tells? */
bool code_has_causes(struct span code);

/*
 * The language of "fr", "fr_FR.UTF-8" or "en"; LANGUAGE_COUNT for others. Of the environment:
 * the first of LC_ALL, LC_MESSAGES and LANG that is set decides, and others are English.
 */
enum language language_find(struct span name);

#endif
