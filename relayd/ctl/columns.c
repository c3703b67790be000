/* SPDX-License-Identifier: ISC */
/* Tables for people; see columns.h. */
#include "ctl/columns.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define BLOCK_ROWS	   512
#define CELLS_OCTETS_MAX   (64U << 20)
#define CELL_OCTETS_MAX	   (64U << 10)
#define LINE_OCTETS_MAX	   (2U << 20)
#define GAP		   2

void
columns_init(struct columns *c, const char *const *titles, size_t count)
{
	assert(count > 0 && count <= COLUMNS_MAX);
	*c = (struct columns){ .titles = titles, .count = count };
	buffer_init(&c->cells, CELLS_OCTETS_MAX);
}

static const char *
title_text(const struct columns *c, size_t column)
{
	return c->titles[column] + (c->titles[column][0] == '>' ? 1 : 0);
}

static void
width_raise(struct columns *c, size_t column, struct span text)
{
	size_t width = utf8_count(text);

	if (width > c->widths[column])
		c->widths[column] = width;
}

/* One cell with what separates it from the next; the last one is not padded. */
static void
cell_put(const struct columns *c, size_t column, struct span text, struct buffer *line)
{
	size_t width = utf8_count(text);
	size_t padding = c->widths[column] > width ? c->widths[column] - width : 0;
	bool is_last = column + 1 == c->count;
	bool is_right = c->titles[column][0] == '>';

	if (is_right)
		buffer_printf(line, "%*s", (int)padding, "");
	buffer_append(line, text);
	if (is_last)
		buffer_append_byte(line, '\n');
	else
		buffer_printf(line, "%*s", (int)(GAP + (is_right ? 0 : padding)), "");
}

static void
titles_put(struct columns *c, struct buffer *line)
{
	for (size_t i = 0; i < c->count; i++)
		cell_put(c, i, span_of(title_text(c, i)), line);
	c->is_begun = true;
}

static void
line_write(struct buffer *line)
{
	(void)fwrite(line->ptr, 1, line->len, stdout);
	buffer_clear(line);
}

static void
block_write(struct columns *c)
{
	struct span rest = buffer_span(&c->cells);
	struct buffer line;

	buffer_init(&line, LINE_OCTETS_MAX);
	if (!c->is_begun && c->cell_count > 0) {
		for (size_t i = 0; i < c->count; i++)
			width_raise(c, i, span_of(title_text(c, i)));
		titles_put(c, &line);
	}
	for (size_t i = 0; i < c->cell_count; i++) {
		size_t len;

		memcpy(&len, rest.ptr, sizeof(len));
		rest = span_skip(rest, sizeof(len));
		cell_put(c, i % c->count, span_first(rest, len), &line);
		rest = span_skip(rest, len);
		if ((i + 1) % c->count == 0)
			line_write(&line);
	}
	buffer_clear(&c->cells);
	c->cell_count = 0;
	buffer_reset(&line);
}

void
columns_cell(struct columns *c, struct span text)
{
	static const struct span nothing = SPAN_LITERAL("-");
	size_t column = c->cell_count % c->count;
	struct buffer shown;

	if (column == 0 && c->cell_count >= BLOCK_ROWS * c->count)
		block_write(c);
	buffer_init(&shown, CELL_OCTETS_MAX);
	utf8_append_printable(&shown, text.len == 0 ? nothing : text);
	width_raise(c, column, buffer_span(&shown));
	buffer_append(&c->cells, (struct span){ (const char *)&shown.len, sizeof(shown.len) });
	buffer_append(&c->cells, buffer_span(&shown));
	c->cell_count++;
	buffer_reset(&shown);
}

void
columns_number(struct columns *c, uint64_t value)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, value);

	columns_cell(c, (struct span){ .ptr = digits, .len = (size_t)len });
}

void
octets_append(struct buffer *out, uint64_t octets)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double value = (double)octets / 1024;
	size_t unit = 0;

	if (octets < 1024) {
		buffer_printf(out, "%" PRIu64 " B", octets);
		return;
	}
	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	buffer_printf(out, "%.1f %s", value, units[unit]);
}

void
columns_octets(struct columns *c, uint64_t octets)
{
	struct buffer text;

	buffer_init(&text, 100);
	octets_append(&text, octets);
	columns_cell(c, buffer_span(&text));
	buffer_reset(&text);
}

void
columns_duration(struct columns *c, int64_t ms)
{
	struct buffer text;

	buffer_init(&text, 100);
	clock_duration(ms, &text);
	columns_cell(c, buffer_span(&text));
	buffer_reset(&text);
}

void
columns_end(struct columns *c)
{
	assert(c->cell_count % c->count == 0);
	block_write(c);
	buffer_reset(&c->cells);
}
