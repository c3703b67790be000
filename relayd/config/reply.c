/* SPDX-License-Identifier: ISC */
/* reply "TOKEN" { }: what a reason answers instead of what the style says; see reader.h. */
#include "config/reader.h"
#include "config/value.h"

/* "5.7.367" */
static bool
enhanced_parse(struct span text, uint16_t out[3])
{
	uint64_t number;

	for (size_t i = 0; i < 3; i++) {
		if (i > 0 && !byte_take(&text, '.'))
			return false;
		if (number_take(&text, 999, &number) != PARSE_OK)
			return false;
		out[i] = (uint16_t)number;
	}
	return text.len == 0;
}

static void
title_complain(const struct section *section)
{
	struct span title = section->item->title;
	const char *best = NULL;
	unsigned best_distance = 4; /* not as far as this */

	for (enum reason reason = REASON_NONE + 1; reason < REASON_COUNT; reason++) {
		unsigned distance = text_distance(span_of(reason_token(reason)), title);

		if (distance < best_distance) {
			best = reason_token(reason);
			best_distance = distance;
		}
	}
	section_complain(section, "is for no reason that there is%s%s%s",
			 best == NULL ? "; relayctl reason lists them" : "; did you mean \"",
			 best == NULL ? "" : best, best == NULL ? "" : "\"?");
}

static bool
codes_read(const struct section *section, struct reason_reply *reply)
{
	struct value value;
	uint64_t number;

	if (section_value(section, "code", &value)) {
		if (number_parse(value.text, 999, &number) != PARSE_OK) {
			value_complain(&value, "is not a code; write for example 550");
			return false;
		}
		reply->code = (uint16_t)number;
	}
	if (section_value(section, "enhanced", &value) &&
	    !enhanced_parse(value.text, reply->enhanced)) {
		value_complain(&value, "is no enhanced code; write one as \"5.7.1\"");
		return false;
	}
	return true;
}

static void
reply_read(const struct section *section, struct reply_wording *wording)
{
	enum reason reason = reason_find(section->item->title);
	const struct reason_reply *usual;
	struct reason_reply reply;
	struct value value;
	const char *what, *cure;

	if (reason == REASON_COUNT || reason == REASON_NONE) {
		title_complain(section);
		return;
	}
	usual = reason_reply_get(reason, wording->style);
	if (usual == NULL) {
		section_complain(section, "cannot be: the client is gone, so nothing is "
					  "answered; remove it");
		return;
	}
	reply = *usual;
	if (!section_has(section, "text") && !section_has(section, "code") &&
	    !section_has(section, "enhanced"))
		section_complain_missing(section, "text", "\"Ask it@example.com for a grant\"");
	if (!codes_read(section, &reply))
		return;
	if (section_value(section, "text", &value))
		reply.text = arena_copy_text(section->reader->arena, value.text);
	cure = reply_override_check(reason, &reply, span_of(reply.text), &what);
	if (cure == NULL)
		wording->instead[reason] = reply;
	else if (section_value(section, what, &value))
		value_complain(&value, "%s", cure);
}

void
replies_read(struct reader *reader)
{
	size_t count;
	const struct section *sections = sections_open(reader, "reply", &count);

	for (size_t i = 0; i < count; i++)
		reply_read(&sections[i], &reader->settings->wording);
}
