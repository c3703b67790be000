/* SPDX-License-Identifier: ISC */
/* The files of the languages, for reason_text.c. */
#ifndef RELAYD_POLICY_REASON_TEXT_PRIVATE_H
#define RELAYD_POLICY_REASON_TEXT_PRIVATE_H

#include "policy/reason_text.h"

extern const struct language_texts english_texts;
extern const struct language_texts french_texts;

/* In English cause and remedy stand beside the replies (reason.c), so only sender is here. */
extern const char *const english_senders[REASON_COUNT];
extern const struct reason_text french_reasons[REASON_COUNT];

#endif
