/* SPDX-License-Identifier: ISC */
/* Table files: one entry a line, "#" comments, blank lines; see reader.h. */
#include "config/reader.h"
#include "config/value.h"
#include "smtp/address.h"

#define TABLE_OCTETS_MAX ((size_t)GB)
#define ENTRY_MAX	 512 /* octets; longer than any address or login */

/* The line's entry: less its comment, and less white space at both ends. */
static struct span
line_entry(struct span line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] == '#' &&
		    (i == 0 || line.ptr[i - 1] == ' ' || line.ptr[i - 1] == '\t'))
			line.len = i;
	return span_trim(line);
}

static bool
entry_check(struct reader *reader, const struct config_file *file, unsigned line,
	    struct span entry)
{
	const char *wrong = NULL;

	if (entry.len > ENTRY_MAX)
		wrong = "this line is too long for an entry";
	else if (!utf8_is_valid(entry))
		wrong = "this line is not UTF-8 text, or has a control byte in it";
	else if (span_find(entry, ' ') < entry.len || span_find(entry, '\t') < entry.len)
		wrong = "there is white space inside this entry; write one entry a line";
	if (wrong != NULL)
		complaint_error(reader->complaints, file->name, line, "%s", wrong);
	return wrong == NULL;
}

void
table_file_read(struct reader *reader, const struct value *path,
		struct table_source *table)
{
	const struct section *section = path->section;
	const struct config_file *file =
	    config_file_new(reader->arena, path->text, section->item->file->directory,
			    reader->outline->main->directory);
	struct fault fault;
	char *text;
	size_t len;

	table->file = span_of(file->name);
	if (!reader->outline->opens_files) {
		value_complain(path, "cannot be read: files are not opened here");
		return;
	}
	if (!config_file_read(file, reader->arena, TABLE_OCTETS_MAX, &text, &len,
			      &fault)) {
		value_complain(path, "cannot be read: %s", fault_text(&fault));
		return;
	}

	struct span rest = { .ptr = text, .len = len };

	if (span_starts_fold(rest, span_of("\xef\xbb\xbf")))
		rest = span_skip(rest, 3);

	size_t line_count = 1;

	for (size_t at = 0; at < rest.len; line_count++)
		at += span_find(span_skip(rest, at), '\n') + 1;

	struct span *entries =
	    arena_new_array(reader->arena, line_count, sizeof(*entries));
	unsigned *lines = arena_new_array(reader->arena, line_count, sizeof(*lines));
	size_t count = 0;

	for (unsigned line = 1; !span_is_empty(rest); line++) {
		size_t stop = span_find(rest, '\n');
		struct span entry = line_entry(span_first(rest, stop));

		if (!span_is_empty(entry) && entry_check(reader, file, line, entry)) {
			entries[count] = entry;
			lines[count++] = line;
		}
		rest = span_skip(rest, stop < rest.len ? stop + 1 : stop);
	}
	table->entries = (struct text_list){ .items = entries, .count = count };
	table->lines = lines;
}
