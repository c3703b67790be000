/* SPDX-License-Identifier: ISC */
/* The pre-pass in front of libconfuse; see outline.h. */
#include "config/outline.h"

#include "base/memory.h"
#include "smtp/address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define BRACKETS_MAX 32 /* open at once; the grammar needs fewer */
#define FOUND_MAX    40 /* octets of the text that a message repeats */

/* ---- Files ---- */

const struct config_file *
config_file_new(struct arena *arena, struct span path, const char *directory,
		const char *main_directory)
{
	struct config_file *file = arena_new(arena, sizeof(*file));
	struct span start = span_of(path.len > 0 && path.ptr[0] == '/' ? "" : directory);
	char *joined = arena_new(arena, start.len + path.len + 1);

	memcpy(joined, start.ptr, start.len);
	if (path.len > 0)
		memcpy(joined + start.len, path.ptr, path.len);
	file->path = joined;

	size_t main_len = strlen(main_directory);
	const char *slash = strrchr(joined, '/');

	file->name =
	    strncmp(joined, main_directory, main_len) == 0 ? joined + main_len : joined;
	file->directory =
	    slash == NULL
		? ""
		: arena_copy_text(arena,
				  (struct span){ .ptr = joined,
						 .len = (size_t)(slash - joined) + 1 });
	return file;
}

bool
config_file_read(const struct config_file *file, struct arena *arena, size_t max,
		 char **text, size_t *len, struct fault *fault)
{
	struct buffer content;
	bool is_read = false;
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd == -1)
		return fault_say(fault, "%s", strerror(errno));
	buffer_init(&content, max);
	for (;;) {
		size_t want = max - content.len < 65536 ? max - content.len : 65536;
		char *place = buffer_reserve(&content, want);
		char beyond;
		ssize_t got = want > 0 ? read(fd, place, want) : read(fd, &beyond, 1);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1) {
			(void)fault_say(fault, "%s", strerror(errno));
			break;
		}
		if (got == 0) {
			is_read = true;
			break;
		}
		if (want == 0) {
			(void)fault_say(fault, "it is larger than %zu MB",
					max / (1024 * 1024));
			break;
		}
		buffer_claim(&content, (size_t)got);
	}
	(void)close(fd);
	if (is_read) {
		*text = arena_copy_text(arena, buffer_span(&content));
		*len = content.len;
	}
	buffer_reset(&content);
	return is_read;
}

/* ---- Looking through one file ---- */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,
	TOKEN_STRING,
	TOKEN_PUNCTUATION, /* one of = { } ( ) , or "+=" */
	TOKEN_OTHER,	   /* begins with a byte that must stand in quotes */
};

struct token {
	enum token_kind kind;
	struct span text;  /* of a string: less its quotes */
	const char *begin; /* with quotes */
	const char *end;
	unsigned line;
};

struct scan {
	struct outline *outline;
	const struct config_file *file;
	char *begin;
	char *at;
	char *end;
	unsigned line;
	struct token token; /* the one to look at */
	unsigned depth;	    /* of includes */
	bool is_unclosed;   /* a bracket is open at the end of the file: complained of */
};

/* A reference to the environment, which libconfuse would follow, begins here. */
static bool
is_variable(const struct scan *scan, const char *at)
{
	return *at == '$' && at + 1 < scan->end && at[1] == '{';
}

static bool
is_word_byte(char c)
{
	return ascii_is_alnum(c) || (c != '\0' && strchr("-_.:/@%", c) != NULL) ||
	       (c & 0x80);
}

/* Complain at a line; false, so that callers can return it. */
#define scan_complain(scan, at_line, ...)                                                \
	(complaint_error((scan)->outline->complaints, (scan)->file->name, (at_line),     \
			 __VA_ARGS__),                                                   \
	 false)

/* The text from here to the end of the line, short enough for a message. */
static struct span
found_text(const char *at, const char *end)
{
	size_t len = 0;

	while (at + len < end && !ascii_is_control(at[len]) && len < FOUND_MAX)
		len++;
	return span_trim((struct span){ .ptr = at, .len = len });
}

/* The bytes that may stand in no configuration: control bytes, and what is not UTF-8. */
static bool
bytes_check(struct scan *scan)
{
	unsigned line = 1;

	if (scan->end - scan->begin >= 3 && memcmp(scan->begin, "\xef\xbb\xbf", 3) == 0)
		memcpy(scan->begin, "   ", 3);
	for (char *start = scan->begin; start < scan->end; line++) {
		char *stop = memchr(start, '\n', (size_t)(scan->end - start));

		if (stop == NULL)
			stop = scan->end;
		if (stop > start && stop[-1] == '\r')
			stop[-1] = ' ';
		for (char *c = start; c < stop; c++) {
			if (*c == '\t')
				*c = ' ';
			if (ascii_is_control(*c))
				return scan_complain(scan, line,
						     "the control byte 0x%02X may not "
						     "stand in a configuration; remove "
						     "it",
						     (unsigned)(unsigned char)*c);
		}
		if (!utf8_is_valid(
			(struct span){ .ptr = start, .len = (size_t)(stop - start) }))
			return scan_complain(scan, line,
					     "this line is not UTF-8 text; save the file "
					     "in UTF-8");
		start = stop < scan->end ? stop + 1 : stop;
	}
	return true;
}

#define VARIABLE_REFUSED                                                                 \
	"\"${\" may not stand in a value: nothing is taken from the environment; write " \
	"the value itself"

/* *at stands on an opening quote; on success it stands behind the closing one. */
static bool
string_check(struct scan *scan, char **at, unsigned line)
{
	char quote = **at;
	char *c = *at + 1;

	for (; c < scan->end && *c != '\n' && *c != quote; c++) {
		if (is_variable(scan, c))
			return scan_complain(scan, line, VARIABLE_REFUSED);
		if (*c != '\\')
			continue;
		if (quote == '\'' || c + 1 == scan->end || (c[1] != '\\' && c[1] != '"'))
			return scan_complain(scan, line,
					     "a backslash may stand only before '\"' or "
					     "another backslash, inside double quotes; "
					     "write \"\\\\\" for one backslash");
		c++;
	}
	if (c == scan->end || *c != quote)
		return scan_complain(scan, line,
				     "the string that begins here is not closed on its "
				     "line; add the closing %s",
				     quote == '"' ? "double quote" : "single quote");
	*at = c + 1;
	return true;
}

/* Blank from begin to end, but keep the line ends. */
static void
blank(char *begin, char *end)
{
	for (; begin < end; begin++)
		if (*begin != '\n')
			*begin = ' ';
}

/* *at stands on "#", "//" or on the "/" of a long comment. */
static bool
comment_blank(struct scan *scan, char **at, unsigned *line)
{
	char *begin = *at, *end = begin;
	bool is_long = begin[0] == '/' && begin[1] == '*';
	unsigned begin_line = *line;

	if (!is_long) {
		while (end < scan->end && *end != '\n')
			end++;
	} else {
		for (end = begin + 2;; end++) {
			if (scan->end - end < 2)
				return scan_complain(scan, begin_line,
						     "the comment that begins here is "
						     "never closed; add \"*/\"");
			if (end[0] == '*' && end[1] == '/')
				break;
			*line += *end == '\n';
		}
		end += 2;
	}
	blank(begin, end);
	*at = end;
	return true;
}

/*
 * Blank the comments; quotes and brackets must be closed. A bracket that stays open is told
 * and noted only: what stands behind it may tell better what is wrong.
 */
static bool
text_clean(struct scan *scan)
{
	struct {
		char closer;
		unsigned line;
	} open[BRACKETS_MAX];
	size_t depth = 0;
	unsigned line = 1;

	for (char *at = scan->begin; at < scan->end;) {
		char c = *at;
		bool has_next = at + 1 < scan->end;

		if (c == '"' || c == '\'') {
			if (!string_check(scan, &at, line))
				return false;
			continue;
		}
		if (c == '#' ||
		    (c == '/' && has_next && (at[1] == '/' || at[1] == '*'))) {
			if (!comment_blank(scan, &at, &line))
				return false;
			continue;
		}
		if (is_variable(scan, at))
			return scan_complain(scan, line, VARIABLE_REFUSED);
		if (c == '\n')
			line++;
		if (c == '{' || c == '(') {
			if (depth == BRACKETS_MAX)
				return scan_complain(scan, line,
						     "too many braces are open here");
			open[depth].closer = c == '{' ? '}' : ')';
			open[depth++].line = line;
		}
		if (c == '}' || c == ')') {
			if (depth == 0)
				return scan_complain(scan, line,
						     "this \"%c\" closes nothing; remove "
						     "it, or add what it should close",
						     c);
			if (open[--depth].closer != c)
				return scan_complain(scan, line,
						     "\"%c\" stands here, but what is "
						     "open since line %u needs \"%c\"",
						     c, open[depth].line,
						     open[depth].closer);
		}
		at++;
	}
	if (depth > 0)
		(void)scan_complain(scan, open[depth - 1].line,
				    "the \"%c\" on this line is never closed; add \"%c\"",
				    open[depth - 1].closer == '}' ? '{' : '(',
				    open[depth - 1].closer);
	scan->is_unclosed = depth > 0;
	return true;
}

/* ---- Tokens ---- */

static void
token_next(struct scan *scan)
{
	while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n')) {
		if (*scan->at == '\n')
			scan->line++;
		scan->at++;
	}

	char *begin = scan->at, *end = begin + 1;
	struct token token = { .kind = TOKEN_OTHER, .begin = begin, .line = scan->line };

	if (begin == scan->end) {
		token.kind = TOKEN_END;
		end = begin;
	} else if (*begin == '"' || *begin == '\'') {
		token.kind = TOKEN_STRING;
		while (*end != *begin)
			end += *end == '\\' ? 2 : 1;
		end++;
	} else if (strchr("={}(),", *begin) != NULL) {
		token.kind = TOKEN_PUNCTUATION;
	} else if (*begin == '+' && end < scan->end && *end == '=') {
		token.kind = TOKEN_PUNCTUATION;
		end++;
	} else {
		/* a word, or what should have been a string: up to the next space or mark */
		token.kind = TOKEN_WORD;
		for (end = begin; end < scan->end && strchr(" \n={}(),\"'", *end) == NULL;
		     end++)
			if (!is_word_byte(*end))
				token.kind = TOKEN_OTHER;
	}
	token.end = end;
	token.text = (struct span){ .ptr = begin, .len = (size_t)(end - begin) };
	if (token.kind == TOKEN_STRING)
		token.text = (struct span){ .ptr = begin + 1, .len = token.text.len - 2 };
	scan->at = end;
	scan->token = token;
}

static bool
token_is(const struct scan *scan, const char *punctuation)
{
	return scan->token.kind == TOKEN_PUNCTUATION &&
	       span_equal(scan->token.text, span_of(punctuation));
}

#define SEMICOLON_REFUSED "\";\" is not used here; remove it"

/* Complain that something else was expected than what stands here. */
static bool
token_unexpected(struct scan *scan, const char *expected)
{
	const struct token *token = &scan->token;
	struct span found = found_text(token->begin, token->end);

	if (token->kind == TOKEN_OTHER && span_equal(found, span_of(";")))
		return scan_complain(scan, token->line, SEMICOLON_REFUSED);
	if (token->kind == TOKEN_END && scan->is_unclosed)
		return false; /* told */
	if (token->kind == TOKEN_END)
		return scan_complain(scan, token->line,
				     "expected %s, but the file ends here", expected);
	return scan_complain(scan, token->line, "expected %s, found '" SPAN_FMT "'",
			     expected, SPAN_ARG(found));
}

static bool
token_is_value(const struct scan *scan)
{
	return scan->token.kind == TOKEN_WORD || scan->token.kind == TOKEN_STRING;
}

/* Complain of a value that libconfuse would read as something else. */
static bool
token_must_be_quoted(struct scan *scan)
{
	struct span found = found_text(scan->token.begin, scan->token.end);

	if (span_ends_fold(found, span_of(";")))
		return scan_complain(scan, scan->token.line, SEMICOLON_REFUSED);
	return scan_complain(scan, scan->token.line,
			     "'" SPAN_FMT "' must stand in double quotes; write "
			     "\"" SPAN_FMT "\"",
			     SPAN_ARG(found), SPAN_ARG(found));
}

/* ---- Items ---- */

static bool items_take(struct scan *scan, struct outline_item ***tail, unsigned depth);

/* "{" stands here. Takes the list and the line of each value. */
static bool
list_take(struct scan *scan, struct outline_item *item)
{
	unsigned *lines = NULL;
	size_t count = 0, room = 0;
	bool is_taken = false;

	token_next(scan);
	while (!token_is(scan, "}")) {
		if (scan->token.kind == TOKEN_OTHER) {
			(void)token_must_be_quoted(scan);
			goto out;
		}
		if (!token_is_value(scan)) {
			(void)token_unexpected(scan, "a value or \"}\"");
			goto out;
		}
		if (count == room) {
			room = room == 0 ? 8 : room * 2;
			lines = memory_resize(lines, room, sizeof(lines[0]));
		}
		lines[count++] = scan->token.line;
		token_next(scan);
		if (token_is(scan, ",")) {
			token_next(scan);
		} else if (!token_is(scan, "}")) {
			(void)token_unexpected(scan, "\",\" or \"}\" after a value of a "
						     "list");
			goto out;
		}
	}
	is_taken = true;
	item->kind = OUTLINE_LIST;
	item->value_count = count;
	if (count > 0) {
		unsigned *kept =
		    arena_new_array(scan->outline->arena, count, sizeof(lines[0]));

		memcpy(kept, lines, count * sizeof(lines[0]));
		item->lines = kept;
	}
out:
	free(lines);
	return is_taken;
}

/* The item's name and "=" are taken: its value or list. */
static bool
value_take(struct scan *scan, struct outline_item *item, unsigned equal_line)
{
	if (token_is(scan, "{"))
		return list_take(scan, item);
	if (scan->token.kind == TOKEN_OTHER)
		return token_must_be_quoted(scan);
	if (!token_is_value(scan) ||
	    (scan->token.kind == TOKEN_WORD && scan->token.line != equal_line))
		return scan_complain(scan, equal_line,
				     "option '" SPAN_FMT "' has no value; write one "
				     "behind the \"=\"",
				     SPAN_ARG(item->name));
	unsigned *line = arena_new(scan->outline->arena, sizeof(*line));

	*line = scan->token.line;
	item->kind = OUTLINE_VALUE;
	item->lines = line;
	item->value_count = 1;
	return true;
}

/* The item's name, and title where it has one, are taken and "{" stands here. */
static bool
section_take(struct scan *scan, struct outline_item *item, unsigned depth)
{
	struct outline_item **tail = &item->items;

	if (depth == SECTION_DEPTH_MAX)
		return scan_complain(scan, item->line,
				     "sections are nested too deeply here");
	item->kind = OUTLINE_SECTION;
	token_next(scan);
	if (scan->token.kind == TOKEN_STRING || token_is(scan, ","))
		return scan_complain(scan, item->line,
				     "a list of values follows '" SPAN_FMT
				     "'; write " SPAN_FMT " = { ... }",
				     SPAN_ARG(item->name), SPAN_ARG(item->name));
	return items_take(scan, &tail, depth + 1);
}

static bool
item_take(struct scan *scan, struct outline_item *item, unsigned depth)
{
	char *begin = scan->at - scan->token.text.len;

	*item = (struct outline_item){
		.name = arena_copy(scan->outline->arena, scan->token.text),
		.file = scan->file,
		.line = scan->token.line,
		.text = begin,
	};
	token_next(scan);

	unsigned line = scan->token.line;

	if (token_is(scan, "=")) {
		token_next(scan);
		if (!value_take(scan, item, line))
			return false;
	} else if (token_is(scan, "+=")) {
		return scan_complain(scan, line,
				     "\"+=\" is not used here; write one list with "
				     "\"=\"");
	} else {
		if (scan->token.kind == TOKEN_STRING ||
		    (scan->token.kind == TOKEN_WORD && line == item->line)) {
			item->title = arena_copy(scan->outline->arena, scan->token.text);
			item->has_title = true;
			token_next(scan);
			if (!token_is(scan, "{"))
				return scan_complain(
				    scan, line,
				    "expected \"=\" after '" SPAN_FMT "', found "
				    "'" SPAN_FMT
				    "'; write " SPAN_FMT " = \"" SPAN_FMT "\"",
				    SPAN_ARG(item->name), SPAN_ARG(item->title),
				    SPAN_ARG(item->name), SPAN_ARG(item->title));
		}
		if (scan->token.kind == TOKEN_OTHER && line == item->line)
			return token_must_be_quoted(scan);
		if (!token_is(scan, "{"))
			return scan_complain(scan, item->line,
					     "expected \"=\" or \"{\" after '" SPAN_FMT
					     "'",
					     SPAN_ARG(item->name));
		if (!section_take(scan, item, depth))
			return false;
	}
	item->len = (size_t)(scan->at - begin);
	token_next(scan);
	return true;
}

static bool file_outline(struct outline *outline, const struct config_file *file,
			 struct span text_given, struct outline_item ***tail,
			 unsigned depth, const struct scan *from);

/* include("path"): the name stands here, and "(" behind it. */
static bool
include_take(struct scan *scan, struct outline_item ***tail)
{
	unsigned line = scan->token.line;

	token_next(scan);
	if (!token_is(scan, "("))
		return scan_complain(scan, line,
				     "expected \"(\" after 'include'; write "
				     "include(\"FILE\")");
	token_next(scan);
	if (!token_is_value(scan) || span_is_empty(scan->token.text))
		return scan_complain(scan, line,
				     "'include' needs the name of a file; write "
				     "include(\"FILE\")");

	struct span path = scan->token.text;

	token_next(scan);
	if (scan->token.kind == TOKEN_END)
		return token_unexpected(scan, "\")\"");
	if (!token_is(scan, ")"))
		return scan_complain(scan, line,
				     "'include' takes one file; write include(\"FILE\")");
	token_next(scan);
	if (scan->depth == INCLUDE_DEPTH_MAX)
		return scan_complain(scan, line,
				     "more than %u files include one another here; does "
				     "one of them include itself?",
				     INCLUDE_DEPTH_MAX);

	const struct config_file *file =
	    config_file_new(scan->outline->arena, path, scan->file->directory,
			    scan->outline->main->directory);
	struct scan from = *scan;

	from.line = line;
	return file_outline(scan->outline, file, (struct span){ .ptr = NULL }, tail,
			    scan->depth + 1, &from);
}

/* Items up to the end of the section or, at depth 0, of the file. */
static bool
items_take(struct scan *scan, struct outline_item ***tail, unsigned depth)
{
	while (depth == 0 ? scan->token.kind != TOKEN_END : !token_is(scan, "}")) {
		if (scan->token.kind != TOKEN_WORD)
			return token_unexpected(scan, "the name of an option or section");
		if (span_equal(scan->token.text, span_of("include"))) {
			if (depth > 0)
				return scan_complain(scan, scan->token.line,
						     "'include' may not stand inside a "
						     "section; put whole sections into "
						     "the other file");
			if (!include_take(scan, tail))
				return false;
			continue;
		}
		struct outline_item *item =
		    arena_new(scan->outline->arena, sizeof(*item));

		if (!item_take(scan, item, depth))
			return false;
		**tail = item;
		*tail = &item->next;
	}
	return true;
}

/* One file into the list that *tail ends. from: where it is included; NULL: the main file. */
static bool
file_outline(struct outline *outline, const struct config_file *file,
	     struct span text_given, struct outline_item ***tail, unsigned depth,
	     const struct scan *from)
{
	struct scan scan = {
		.outline = outline, .file = file, .line = 1, .depth = depth
	};
	struct fault fault;
	size_t len = text_given.len;

	if (text_given.ptr != NULL) {
		scan.begin = arena_copy_text(outline->arena, text_given);
	} else if (!outline->opens_files ||
		   !config_file_read(file, outline->arena, CONFIG_OCTETS_MAX, &scan.begin,
				     &len, &fault)) {
		if (!outline->opens_files)
			(void)fault_say(&fault, "files are not opened here");
		complaint_error(
		    outline->complaints, from == NULL ? file->name : from->file->name,
		    from == NULL ? 0 : from->line,
		    "cannot read the configuration file '%s': %s",
		    from == NULL ? file->path : file->name, fault_text(&fault));
		return false;
	}
	scan.at = scan.begin;
	scan.end = scan.begin + len;
	if (!bytes_check(&scan) || !text_clean(&scan))
		return false;
	token_next(&scan);
	return items_take(&scan, tail, 0) && !scan.is_unclosed;
}

bool
outline_read(struct outline *outline, struct span text_given)
{
	struct outline_item **tail = &outline->items;

	*tail = NULL;
	return file_outline(outline, outline->main, text_given, &tail, 0, NULL);
}

void
outline_refuse(struct outline_item *item)
{
	item->is_refused = true;
	blank(item->text, item->text + item->len);
}

void
outline_text(const struct outline *outline, struct buffer *out)
{
	for (const struct outline_item *item = outline->items; item != NULL;
	     item = item->next) {
		if (item->is_refused)
			continue;
		(void)buffer_append(out,
				    (struct span){ .ptr = item->text, .len = item->len });
		(void)buffer_append_byte(out, '\n');
	}
}
