/* SPDX-License-Identifier: ISC */
/* Other senders than the client gave; see rewrite.h. */
#include "delivery/rewrite.h"

#include "base/memory.h"
#include "base/table.h"

#include <stdlib.h>

/* ---- Fields as they stand ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Up to and with the next LF; false when there is none. */
static bool
line_take(struct span *in, struct span *line)
{
	size_t end = span_find(*in, '\n');

	if (end == in->len)
		return false;
	*line = span_first(*in, end + 1);
	*in = span_skip(*in, end + 1);
	return true;
}

/* field-name *WSP ":" off the front; RFC 5322 s.2.2, s.4.5.8 */
static bool
name_take(struct span *in, struct span *name)
{
	size_t len = 0;

	while (len < in->len && in->ptr[len] > ' ' && in->ptr[len] < 0x7f && in->ptr[len] != ':')
		len++;
	*name = span_first(*in, len);
	while (len < in->len && is_blank(in->ptr[len]))
		len++;
	if (name->len == 0 || len == in->len || in->ptr[len] != ':')
		return false;
	*in = span_skip(*in, len + 1);
	return true;
}

enum header_progress
header_line_take(struct span *in, struct header_line *line)
{
	struct span rest = *in, first, more;

	if (!line_take(&rest, &first))
		return HEADER_CUT;
	if (first.len == 1 || (first.len == 2 && first.ptr[0] == '\r')) {
		*in = rest;
		return HEADER_END;
	}
	line->value = first;
	if (!name_take(&line->value, &line->name))
		return HEADER_JUNK;
	while (rest.len > 0 && is_blank(rest.ptr[0])) {
		if (!line_take(&rest, &more))
			return HEADER_CUT;
		line->value.len += more.len;
	}
	line->whole = span_first(*in, in->len - rest.len);
	*in = rest;
	return HEADER_FIELD;
}

/* Without the line breaks; blanks at both ends are left out. */
static bool
value_unfold(struct span value, struct buffer *out)
{
	size_t before = out->len;

	value = span_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];
		bool ends_line = c == '\n' || (c == '\r' && i + 1 < value.len &&
					       value.ptr[i + 1] == '\n');

		if (!ends_line && !buffer_append_byte(out, c == '\t' ? ' ' : c))
			return false;
	}
	while (out->len > before && out->ptr[out->len - 1] == ' ')
		out->len--;
	return true;
}

bool
header_find(struct span header, struct span name, struct buffer *out)
{
	struct header_line line;

	while (header_line_take(&header, &line) == HEADER_FIELD) {
		if (span_equal_fold(line.name, name))
			return value_unfold(line.value, out);
	}
	return false;
}

/* ---- Every sender becomes one ---- */

/* What is known of the header before any of it is written. */
struct author {
	struct span value;   /* of the first From, folded */
	struct span display; /* what stands before its "<", folded; or empty */
	bool is_there;
	bool is_readable; /* one From, and every parser reads it alike */
	bool has_reply_to;
};

/* The words in front of the address, where there is one mailbox in angle brackets. */
static struct span
display_find(struct span value, const struct address_list *list)
{
	struct span trimmed = value;
	size_t at;

	while (trimmed.len > 0 && (is_blank(trimmed.ptr[trimmed.len - 1]) ||
				   trimmed.ptr[trimmed.len - 1] == '\r' ||
				   trimmed.ptr[trimmed.len - 1] == '\n'))
		trimmed.len--;
	if (list->count != 1 || trimmed.len == 0 || trimmed.ptr[trimmed.len - 1] != '>')
		return (struct span){ NULL, 0 };
	at = trimmed.len;
	while (at > 0 && trimmed.ptr[at - 1] != '<')
		at--;
	return at == 0 ? (struct span){ NULL, 0 } : span_first(trimmed, at - 1);
}

static bool
span_is_blank(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_blank(text.ptr[i]) && text.ptr[i] != '\r' && text.ptr[i] != '\n')
			return false;
	}
	return true;
}

static void
author_read(struct author *author)
{
	struct address_list list;
	struct buffer text;
	struct arena arena;

	buffer_init(&text, author->value.len + 1);
	arena_init(&arena, 0);
	author->is_readable = value_unfold(author->value, &text) &&
			      address_list_parse(buffer_span(&text), &arena, &list) == PARSE_OK;
	if (author->is_readable)
		author->display = display_find(author->value, &list);
	if (span_is_blank(author->display))
		author->display.len = 0;
	arena_reset(&arena);
	buffer_reset(&text);
}

static struct author
author_find(struct span header)
{
	struct author author = { .is_there = false };
	struct header_line line;
	unsigned count = 0;

	while (header_line_take(&header, &line) == HEADER_FIELD) {
		author.has_reply_to |= span_equal_fold(line.name, span_of("Reply-To"));
		if (!span_equal_fold(line.name, span_of("From")))
			continue;
		if (count++ == 0)
			author.value = line.value;
	}
	author.is_there = count > 0;
	if (count == 1)
		author_read(&author);
	return author;
}

static bool
author_write(const struct author *author, struct span to, struct buffer *out)
{
	if (!buffer_append_text(out, "From:"))
		return false;
	if (author->display.len == 0)
		return buffer_append_text(out, " ") && buffer_append(out, to) &&
		       buffer_append_text(out, "\r\n");
	return buffer_append(out, author->display) && buffer_append_text(out, "<") &&
	       buffer_append(out, to) && buffer_append_text(out, ">\r\n");
}

/* The fields that come after all others. */
static bool
author_finish(const struct author *author, struct span to, struct buffer *out)
{
	if (!author->is_there && !author_write(author, to, out))
		return false;
	if (author->has_reply_to || !author->is_readable)
		return true;
	return buffer_append_text(out, "Reply-To:") && buffer_append(out, author->value);
}

static bool
author_line_write(const struct author *author, const struct header_line *line, struct span to,
		  bool *has_written, struct buffer *out)
{
	if (span_equal_fold(line->name, span_of("Sender")))
		return true;
	if (!span_equal_fold(line->name, span_of("From")))
		return buffer_append(out, line->whole);
	if (*has_written)
		return true;
	*has_written = true;
	return author_write(author, to, out);
}

/* ---- One mailbox becomes another ---- */

/* May the byte be part of an address, so that what stands beside it is only a piece of one? */
static bool
is_address_byte(char c)
{
	return ascii_is_atext(c) || c == '.' || c == '@' || (unsigned char)c >= 0x80;
}

static bool
mailbox_replace(struct span value, const struct rewriting *rewriting, struct buffer *out)
{
	struct span from = rewriting->from;
	size_t i = 0;

	while (i < value.len) {
		struct span rest = span_skip(value, i);
		bool is_it = span_starts_fold(rest, from) &&
			     (i == 0 || !is_address_byte(value.ptr[i - 1])) &&
			     (rest.len == from.len || !is_address_byte(rest.ptr[from.len]));

		if (is_it ? !buffer_append(out, rewriting->to)
			  : !buffer_append_byte(out, value.ptr[i]))
			return false;
		i += is_it ? from.len : 1;
	}
	return true;
}

static bool
mailbox_line_write(const struct header_line *line, const struct rewriting *rewriting,
		   struct buffer *out)
{
	if (!span_equal_fold(line->name, span_of("From")) &&
	    !span_equal_fold(line->name, span_of("Sender")) &&
	    !span_equal_fold(line->name, span_of("Reply-To")))
		return buffer_append(out, line->whole);
	return buffer_append(out, line->name) && buffer_append_text(out, ":") &&
	       mailbox_replace(line->value, rewriting, out);
}

/* ---- The header ---- */

/* How many octets the header has, the empty line included; *is_whole: it is there. */
static bool
header_measure(struct span in, bool is_all, size_t *octets)
{
	struct span rest = in;
	struct header_line line;
	enum header_progress progress;

	do {
		progress = header_line_take(&rest, &line);
	} while (progress == HEADER_FIELD);
	*octets = in.len - rest.len;
	return progress != HEADER_CUT || is_all;
}

static bool
header_write(const struct rewriting *rewriting, struct span header, struct buffer *out)
{
	bool takes_all = rewriting->from.len == 0;
	bool has_written = false;
	struct author author = { .is_there = false };
	struct span rest = header;
	struct header_line line;

	if (takes_all)
		author = author_find(header);
	while (header_line_take(&rest, &line) == HEADER_FIELD) {
		if (takes_all ? !author_line_write(&author, &line, rewriting->to, &has_written,
						   out)
			      : !mailbox_line_write(&line, rewriting, out))
			return false;
	}
	return (!takes_all || author_finish(&author, rewriting->to, out)) &&
	       buffer_append_text(out, "\r\n");
}

bool
rewrite_header(const struct rewriting *rewriting, struct span in, bool is_all,
	       struct buffer *out, size_t *octets)
{
	size_t before = out->len;

	if (header_measure(in, is_all, octets) &&
	    header_write(rewriting, span_first(in, *octets), out))
		return true;
	out->len = before;
	return false;
}

/* ---- Which grants rewrite, and how ---- */

struct map_entry {
	struct pattern_set *from;
	struct span to;
};

struct grant_rewrite {
	struct span sender; /* of those that no entry holds; or empty */
	struct map_entry *entries;
	size_t entry_count;
};

struct rewrite_table {
	struct table by_name; /* of struct grant_rewrite */
	struct grant_rewrite *grants;
	size_t count;
};

/* The configuration has looked at the entries; one that is bad all the same maps nothing. */
static void
grant_rewrite_read(struct grant_rewrite *rewrite, const struct grant_source *grant)
{
	const struct text_list *map = &grant->sender_map;

	rewrite->sender = grant->rewrite_sender;
	rewrite->entries = memory_new_array(map->count, sizeof(*rewrite->entries));
	for (size_t i = 0; i < map->count; i++) {
		struct map_entry *entry = &rewrite->entries[rewrite->entry_count];
		struct text_list pattern = { .count = 1 };
		struct span from;
		struct fault fault;

		if (sender_map_parse(map->items[i], &from, &entry->to) != PARSE_OK)
			continue;
		pattern.items = &from;
		entry->from = pattern_set_new(&pattern, NULL, &fault);
		if (entry->from != NULL)
			rewrite->entry_count++;
	}
}

static bool
grant_rewrites(const struct grant_source *grant)
{
	return grant->rewrite_sender.len > 0 || grant->sender_map.count > 0;
}

struct rewrite_table *
rewrite_table_new(const struct policy *policy)
{
	size_t grants = policy_grant_count(policy);
	size_t count = 0;

	for (size_t i = 0; i < grants; i++)
		count += grant_rewrites(policy_grant(policy, i));
	if (count == 0)
		return NULL;

	struct rewrite_table *table = memory_new(sizeof(*table));

	table->grants = memory_new_array(count, sizeof(*table->grants));
	table_init(&table->by_name, count);
	for (size_t i = 0; i < grants; i++) {
		const struct grant_source *grant = policy_grant(policy, i);

		if (!grant_rewrites(grant))
			continue;
		struct grant_rewrite *rewrite = &table->grants[table->count++];

		grant_rewrite_read(rewrite, grant);
		(void)table_put(&table->by_name, grant->name, rewrite);
	}
	return table;
}

void
rewrite_table_free(struct rewrite_table **table)
{
	if (*table == NULL)
		return;
	for (size_t i = 0; i < (*table)->count; i++) {
		struct grant_rewrite *rewrite = &(*table)->grants[i];

		for (size_t j = 0; j < rewrite->entry_count; j++)
			pattern_set_free(&rewrite->entries[j].from);
		free(rewrite->entries);
	}
	table_reset(&(*table)->by_name);
	free((*table)->grants);
	free(*table);
	*table = NULL;
}

struct rewriting
rewrite_find(const struct rewrite_table *table, struct span grant, struct span sender)
{
	static const struct rewriting nothing;
	const struct grant_rewrite *rewrite =
	    table == NULL ? NULL : table_find(&table->by_name, grant);
	struct address address;

	if (rewrite == NULL || mailbox_parse(sender, &address) != PARSE_OK)
		return nothing; /* the null sender stays what it is */
	for (size_t i = 0; i < rewrite->entry_count; i++) {
		if (pattern_set_match(rewrite->entries[i].from, &address) > 0)
			return (struct rewriting){ .from = sender,
						   .to = rewrite->entries[i].to };
	}
	return (struct rewriting){ .to = rewrite->sender };
}
