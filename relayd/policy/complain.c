/* SPDX-License-Identifier: ISC */
/* What is wrong with a source: where, what, and what to write instead. */
#include "policy/compile_private.h"

#include <stdarg.h>
#include <stdio.h>

#define COMPLAINT_MAX 512
#define DISTANCE_MAX  64 /* octets of names that are compared for "did you mean" */

void
complain_text(struct compiler *c, bool is_error, const char *file, unsigned line,
	      const char *text)
{
	c->error_count += is_error;
	if (c->complain != NULL)
		c->complain(c->context, is_error, file, line, text);
}

void
complain_at(struct compiler *c, bool is_error, const struct place *place,
	    const char *format, ...)
{
	char text[COMPLAINT_MAX];
	va_list args;
	int used = snprintf(text, sizeof(text), "%s \"" SPAN_FMT "\": ", place->kind,
			    SPAN_ARG(place->name));

	if (used < 0 || (size_t)used >= sizeof(text))
		used = 0;
	va_start(args, format);
	(void)vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
	va_end(args);
	complain_text(c, is_error, place->file, place->line, text);
}

struct place
grant_place(const struct grant_source *grant)
{
	return (struct place){ grant->file, grant->line, "grant", grant->name };
}

struct place
connector_place(const struct connector_source *connector)
{
	return (struct place){ connector->file, connector->line, "connector",
			       connector->name };
}

/* How many letters must change to make b of a; at most DISTANCE_MAX of each are looked at. */
static size_t
edit_distance(struct span a, struct span b)
{
	size_t row[DISTANCE_MAX + 1];

	a = span_first(a, DISTANCE_MAX);
	b = span_first(b, DISTANCE_MAX);
	for (size_t j = 0; j <= b.len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			bool is_same = ascii_lower(a.ptr[i - 1]) ==
				       ascii_lower(b.ptr[j - 1]);
			size_t best = diagonal + !is_same;

			best = row[j] + 1 < best ? row[j] + 1 : best;
			best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b.len];
}

/* The name in the table that was probably meant; empty when none is near. */
static struct span
name_guess(const struct table *names, struct span name)
{
	const struct table_entry *entry;
	struct span best = { "", 0 };
	size_t best_distance = name.len / 3 + 2, at = 0;

	while ((entry = table_next(names, &at)) != NULL) {
		size_t distance = edit_distance(entry->key, name);

		if (distance < best_distance ||
		    (distance == best_distance && best.len > 0 &&
		     span_compare(entry->key, best) < 0)) {
			best_distance = distance;
			best = entry->key;
		}
	}
	return best;
}

void
complain_unknown(struct compiler *c, const struct place *place, const char *option,
		 const char *what, const struct table *names, struct span name)
{
	struct span guess = name_guess(names, name);

	if (guess.len > 0)
		complain_at(c, true, place,
			    "option '%s': there is no %s \"" SPAN_FMT "\"; did you mean "
								      "\"" SPAN_FMT "\"?",
			    option, what, SPAN_ARG(name), SPAN_ARG(guess));
	else
		complain_at(c, true, place,
			    "option '%s': there is no %s \"" SPAN_FMT
			    "\"; write a section %s \"" SPAN_FMT "\" { ... } or correct "
								 "the name",
			    option, what, SPAN_ARG(name), what, SPAN_ARG(name));
}
