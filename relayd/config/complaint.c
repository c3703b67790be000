/* SPDX-License-Identifier: ISC */
/* Complaints about a configuration; see complaint.h. */
#include "config/complaint.h"

#include "base/buffer.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 2000 /* octets of one complaint; what is longer is cut */

static size_t
file_rank(const struct complaints *complaints, const char *file)
{
	size_t highest = 0;

	for (size_t i = 0; i < complaints->count; i++) {
		const struct complaint *known = &complaints->items[i];

		if (strcmp(known->file, file) == 0)
			return known->file_rank;
		if (known->file_rank >= highest)
			highest = known->file_rank + 1;
	}
	return highest;
}

static void __attribute__((format(printf, 5, 0)))
complaint_keep(struct complaints *complaints, bool is_error, const char *file,
	       unsigned line, const char *format, va_list args)
{
	char text[TEXT_MAX];
	int used;

	if (is_error)
		complaints->error_count++;
	if (complaints->count == COMPLAINTS_MAX) {
		complaints->unkept_count++;
		return;
	}
	if (line == 0)
		used = snprintf(text, sizeof(text), "%s: ", file);
	else
		used = snprintf(text, sizeof(text), "%s:%u: ", file, line);
	if (used >= 0 && (size_t)used < sizeof(text))
		(void)vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);

	struct complaint *kept = &complaints->items[complaints->count];

	*kept = (struct complaint){
		.is_error = is_error,
		.file = memory_copy_text(span_of(file)),
		.line = line,
		.file_rank = file_rank(complaints, file),
		.serial = complaints->count,
		.text = memory_copy_text(span_of(text)),
	};
	complaints->count++;
}

void
complaint_error(struct complaints *complaints, const char *file, unsigned line,
		const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complaint_keep(complaints, true, file, line, format, args);
	va_end(args);
}

void
complaint_warn(struct complaints *complaints, const char *file, unsigned line,
	       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complaint_keep(complaints, false, file, line, format, args);
	va_end(args);
}

static int
complaint_compare(const void *left, const void *right)
{
	const struct complaint *a = left, *b = right;

	if (a->file_rank != b->file_rank)
		return a->file_rank < b->file_rank ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->serial < b->serial ? -1 : a->serial > b->serial;
}

void
complaints_tell(struct complaints *complaints, settings_complain *tell, void *context)
{
	qsort(complaints->items, complaints->count, sizeof(complaints->items[0]),
	      complaint_compare);
	for (size_t i = 0; i < complaints->count; i++) {
		struct complaint *c = &complaints->items[i];

		if (tell != NULL)
			tell(context, c->is_error, c->file, c->line, c->text);
		if (tell != NULL && i + 1 == COMPLAINTS_MAX &&
		    complaints->unkept_count > 0) {
			char text[80];

			(void)snprintf(text, sizeof(text), "%s: and %zu more like these",
				       c->file, complaints->unkept_count);
			tell(context, complaints->error_count > 0, c->file, 0, text);
		}
		free(c->file);
		free(c->text);
	}
	complaints->count = 0;
	complaints->unkept_count = 0;
}
