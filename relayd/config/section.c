/* SPDX-License-Identifier: ISC */
/* Typed access to the options of a section; see reader.h. */
#include "base/clock.h"
#include "config/reader.h"
#include "config/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define NUMBER_EXAMPLE 4 /* where the default is none that one would write */
#define WORDS_MAX      1000 /* octets of a complaint before its file and line are put to it */

/* ---- Sections and their items ---- */

static const struct outline_item *
section_items(const struct section *section)
{
	return section->item == NULL ? section->reader->outline->items
				     : section->item->items;
}

static const struct outline_item *
item_find(const struct section *section, const char *option)
{
	const struct outline_item *item = section_items(section);

	while (item != NULL &&
	       (item->is_refused || !span_equal(item->name, span_of(option))))
		item = item->next;
	return item;
}

struct section *
sections_open(struct reader *reader, const char *name, size_t *count)
{
	cfg_opt_t *option = cfg_getopt(reader->root.cfg, name);
	size_t room = option == NULL ? 0 : cfg_opt_size(option);
	struct section *sections =
	    arena_new_array(reader->arena, room, sizeof(*sections));

	*count = 0;
	for (const struct outline_item *item = reader->outline->items; item != NULL;
	     item = item->next) {
		if (item->is_refused || !span_equal(item->name, span_of(name)))
			continue;
		assert(*count < room);
		sections[*count] = (struct section){
			.reader = reader,
			.cfg = cfg_opt_getnsec(option, (unsigned)*count),
			.item = item,
			.owner = schema_owner_text(item, reader->arena),
		};
		assert(!item->has_title ||
		       span_equal(item->title, span_of(cfg_title(sections[*count].cfg))));
		++*count;
	}
	assert(*count == room);
	return sections;
}

bool
section_open(struct reader *reader, const char *name, struct section *out)
{
	size_t count;
	struct section *sections = sections_open(reader, name, &count);

	if (count == 1)
		*out = sections[0];
	return count == 1;
}

bool
section_inner(const struct section *outer, const char *name, struct section *out)
{
	const struct outline_item *item = item_find(outer, name);
	struct buffer owner;

	if (item == NULL)
		return false;
	buffer_init(&owner, WORDS_MAX);
	(void)buffer_printf(&owner, " of %s%s", name, outer->owner);
	*out = (struct section){
		.reader = outer->reader,
		.cfg = cfg_getsec(outer->cfg, name),
		.item = item,
		.owner = arena_copy_text(outer->reader->arena, buffer_span(&owner)),
	};
	buffer_reset(&owner);
	return true;
}

static const char *
section_file(const struct section *section)
{
	return section->item == NULL ? section->reader->outline->main->name
				     : section->item->file->name;
}

void
section_complain(const struct section *section, const char *format, ...)
{
	char words[WORDS_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	complaint_error(section->reader->complaints, section_file(section),
			section->item == NULL ? 0 : section->item->line, "%s%s%s",
			section->item == NULL ? "" : section->owner + strlen(" of "),
			section->item == NULL ? "" : " ", words);
}

bool
section_has_refused(const struct section *section, const char *option)
{
	const struct outline_item *item = section_items(section);

	while (item != NULL &&
	       !(item->is_refused && text_distance(item->name, span_of(option)) < 3))
		item = item->next;
	return item != NULL;
}

void
section_complain_missing(const struct section *section, const char *option,
			 const char *example)
{
	if (section_has_refused(section, option))
		return;
	if (section->item == NULL)
		section_complain(section,
				 "option '%s' is missing; write for example %s = %s",
				 option, option, example);
	else
		section_complain(section, "has no %s; write for example %s = %s", option,
				 option, example);
}

bool
section_has(const struct section *section, const char *option)
{
	return item_find(section, option) != NULL;
}

/* ---- Values ---- */

static void __attribute__((format(printf, 3, 0)))
value_say(const struct value *value, bool is_error, const char *format, va_list args)
{
	const struct section *section = value->section;
	const struct outline_item *item = item_find(section, value->option);
	char words[WORDS_MAX];

	(void)vsnprintf(words, sizeof(words), format, args);
	(is_error ? complaint_error : complaint_warn)(
	    section->reader->complaints, item->file->name, value->line,
	    "option '%s'%s: '" SPAN_FMT "' %s", value->option, section->owner,
	    SPAN_ARG(span_first(value->text, 200)), words);
}

void
value_complain(const struct value *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	value_say(value, true, format, args);
	va_end(args);
}

void
value_warn(const struct value *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	value_say(value, false, format, args);
	va_end(args);
}

/* The value at one place of an option that is written there. */
static struct value
value_at(const struct section *section, const char *name, const struct outline_item *item,
	 unsigned index)
{
	cfg_opt_t *option = cfg_getopt(section->cfg, name);

	assert(option != NULL && index < cfg_opt_size(option) &&
	       index < item->value_count);
	return (struct value){
		.section = section,
		.option = name,
		.text = arena_copy(section->reader->arena,
				   span_of(cfg_opt_getnstr(option, index))),
		.line = item->lines[index],
	};
}

bool
section_value_at(const struct section *section, const char *option, size_t index,
		 struct value *value)
{
	const struct outline_item *item = item_find(section, option);

	if (item == NULL || index >= item->value_count)
		return false;
	*value = value_at(section, option, item, (unsigned)index);
	return true;
}

bool
section_value(const struct section *section, const char *option, struct value *value)
{
	return section_value_at(section, option, 0, value);
}

struct span
section_text(const struct section *section, const char *option)
{
	struct value value;

	if (!section_value(section, option, &value))
		return (struct span){ .ptr = NULL };
	if (span_is_empty(value.text))
		value_complain(&value, "is empty; write something, or remove the option");
	return value.text;
}

struct text_list
section_list(const struct section *section, const char *option, value_check *check)
{
	const struct outline_item *item = item_find(section, option);
	struct text_list list = { NULL, 0 };

	if (item == NULL)
		return list;

	struct span *items =
	    arena_new_array(section->reader->arena, item->value_count, sizeof(*items));

	for (unsigned i = 0; i < item->value_count; i++) {
		struct value value = value_at(section, option, item, i);

		if (check == NULL || check(&value))
			items[list.count++] = value.text;
	}
	list.items = items;
	return list;
}

void
section_complain_empty(const struct section *section, const char *option,
		       const char *cure)
{
	const struct outline_item *item = item_find(section, option);

	if (item != NULL && item->value_count == 0)
		complaint_error(section->reader->complaints, item->file->name, item->line,
				"option '%s'%s: the list is empty; %s", option,
				section->owner, cure);
}

struct text_list
section_list_required(const struct section *section, const char *option,
		      value_check *check, const char *example)
{
	char cure[WORDS_MAX];

	(void)snprintf(cure, sizeof(cure), "write for example %s = %s", option, example);
	section_complain_empty(section, option, cure);
	if (!section_has(section, option))
		section_complain_missing(section, option, example);
	return section_list(section, option, check);
}

uint64_t
section_size(const struct section *section, const char *option, uint64_t fallback,
	     uint64_t min, uint64_t max)
{
	char least[VALUE_TEXT_SIZE], most[VALUE_TEXT_SIZE];
	struct value value;
	uint64_t octets;

	if (!section_value(section, option, &value))
		return fallback;
	if (size_parse(value.text, &octets) != PARSE_OK) {
		value_complain(&value, "is not a size; write for example \"36MB\", "
				       "\"100KB\" or a number of octets");
		return fallback;
	}
	if (octets < min || octets > max) {
		size_text(min, least);
		size_text(max, most);
		value_complain(&value, "is out of range; write \"%s\" to \"%s\"", least,
			       most);
		return fallback;
	}
	return octets;
}

static int64_t
value_duration(const struct value *value, int64_t fallback, int64_t min, int64_t max)
{
	char least[VALUE_TEXT_SIZE], most[VALUE_TEXT_SIZE];
	uint64_t number;
	int64_t ms;

	if (duration_parse(value->text, &ms) != PARSE_OK) {
		if (number_parse(value->text, UINT32_MAX, &number) == PARSE_OK)
			value_complain(value,
				       "has no unit; write \"%" PRIu64 "s\" for seconds, "
				       "or one of ms, s, "
				       "m, h, d",
				       number);
		else
			value_complain(value, "is not a duration; write for example "
					      "\"5s\", \"10m\", \"1h\" or \"5d\"");
		return fallback;
	}
	if (ms < min || ms > max) {
		duration_text(min, least);
		duration_text(max, most);
		value_complain(value, "is out of range; write \"%s\" to \"%s\"", least,
			       most);
		return fallback;
	}
	return ms;
}

int64_t
section_duration(const struct section *section, const char *option, int64_t fallback,
		 int64_t min, int64_t max)
{
	struct value value;

	if (!section_value(section, option, &value))
		return fallback;
	return value_duration(&value, fallback, min, max);
}

const int64_t *
section_durations(const struct section *section, const char *option, size_t *count,
		  int64_t min, int64_t max)
{
	const struct outline_item *item = item_find(section, option);

	*count = 0;
	if (item == NULL)
		return NULL;

	int64_t *list =
	    arena_new_array(section->reader->arena, item->value_count, sizeof(*list));

	for (unsigned i = 0; i < item->value_count; i++) {
		struct value value = value_at(section, option, item, i);

		list[(*count)++] = value_duration(&value, min, min, max);
	}
	return list;
}

int64_t
section_date(const struct section *section, const char *option)
{
	struct value value;
	int64_t ms;

	if (!section_value(section, option, &value))
		return 0;
	if (clock_parse(value.text, &ms) != PARSE_OK || ms <= 0) {
		value_complain(&value, "is not a date; write for example \"2026-12-31\" "
				       "or \"2026-12-31T18:00\" (UTC)");
		return 0;
	}
	return ms;
}

bool
section_bool(const struct section *section, const char *option, bool fallback)
{
	struct value value;

	if (!section_value(section, option, &value))
		return fallback;

	char text[8] = "";

	if (value.text.len < sizeof(text))
		memcpy(text, value.text.ptr, value.text.len);

	int read = cfg_parse_boolean(text);

	if (read == -1) {
		value_complain(&value, "is neither true nor false; write one of them");
		return fallback;
	}
	return read == 1;
}

static bool
is_digits(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]))
			return false;
	return text.len > 0;
}

uint32_t
section_number(const struct section *section, const char *option, uint32_t fallback,
	       uint32_t min, uint32_t max, bool has_unlimited)
{
	struct value value;
	uint64_t number;

	if (!section_value(section, option, &value))
		return fallback;
	if (has_unlimited && (span_equal_fold(value.text, span_of("unlimited")) ||
			      span_equal(value.text, span_of("0"))))
		return 0;
	if (!is_digits(value.text)) {
		value_complain(&value, "is not a number; write for example %" PRIu32 "%s",
			       fallback > 0 ? fallback : NUMBER_EXAMPLE,
			       has_unlimited ? " or \"unlimited\"" : "");
		return fallback;
	}
	if (number_parse(value.text, UINT32_MAX, &number) != PARSE_OK || number < min ||
	    number > max) {
		value_complain(&value,
			       "is out of range; write %" PRIu32 " to %" PRIu32 "%s", min,
			       max, has_unlimited ? " or \"unlimited\"" : "");
		return fallback;
	}
	return (uint32_t)number;
}

int
choice_find(const struct value *value, const struct choice *choices, size_t count)
{
	struct buffer words;

	for (size_t i = 0; i < count; i++)
		if (span_equal_fold(value->text, span_of(choices[i].name)) &&
		    choices[i].availability == IN_THIS_RELEASE)
			return choices[i].value;

	bool is_known = false;

	buffer_init(&words, 400);
	for (size_t i = 0; i < count; i++) {
		is_known |= span_equal_fold(value->text, span_of(choices[i].name));
		if (choices[i].availability == IN_THIS_RELEASE)
			(void)buffer_printf(&words, "%s\"%s\"",
					    words.len == 0 ? "" : " or ",
					    choices[i].name);
	}
	if (is_known && words.len == 0)
		value_complain(value, "is not available in this release of relayd; "
				      "remove it");
	else if (is_known)
		value_complain(value,
			       "is not available in this release of relayd; write %s",
			       buffer_text(&words));
	else if (words.len == 0)
		value_complain(value, "is unknown; remove it");
	else
		value_complain(value, "is unknown; write %s", buffer_text(&words));
	buffer_reset(&words);
	return -1;
}

int
section_choice(const struct section *section, const char *option,
	       const struct choice *choices, size_t count, int fallback)
{
	struct value value;

	if (!section_value(section, option, &value))
		return fallback;

	int read = choice_find(&value, choices, count);

	return read == -1 ? fallback : read;
}

struct span
section_path(const struct section *section, const char *option)
{
	struct value value;

	if (!section_value(section, option, &value))
		return (struct span){ .ptr = NULL };
	if (value.text.len == 0 || value.text.ptr[0] != '/')
		value_complain(&value, "is not an absolute path; write one that begins "
				       "with \"/\"");
	return value.text;
}

enum policy_mode
section_mode(const struct section *section, int64_t *monitor_until_ms)
{
	static const struct choice modes[] = {
		{ "enforce", MODE_ENFORCE, IN_THIS_RELEASE },
		{ "monitor", MODE_MONITOR, IN_THIS_RELEASE },
	};
	enum policy_mode mode = (enum policy_mode)section_choice(
	    section, "mode", modes, ARRAY_LEN(modes), MODE_ENFORCE);
	struct value until;

	*monitor_until_ms = section_date(section, "monitor-until");
	if (mode == MODE_ENFORCE && section_value(section, "monitor-until", &until))
		value_complain(&until, "has no effect without monitor mode; write mode = "
				       "\"monitor\", or remove it");
	return mode;
}
