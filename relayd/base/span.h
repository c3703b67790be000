/* SPDX-License-Identifier: ISC */
/*
 * Borrowed runs of bytes, and the ASCII classes that protocols use. Nothing here looks at
 * the locale, allocates, or assumes that bytes end with NUL.
 */
#ifndef RELAYD_BASE_SPAN_H
#define RELAYD_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* Borrowed bytes: any value, NUL included; never freed, never assumed terminated. */
struct span {
	const char *ptr;
	size_t len;
};

/* For "%.*s": the length is cut to what an int holds. */
#define SPAN_FMT "%.*s"
#define SPAN_ARG(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), (s).ptr

/* A span over a string literal, usable in static initialisers. */
#define SPAN_LITERAL(text) { .ptr = (text), .len = sizeof(text) - 1 }

/* What a parser says: it took the thing, or it took nothing. */
enum parse_status {
	PARSE_OK,
	PARSE_BAD,
};

/* A span over a terminated string; NULL gives the empty span. */
static inline struct span
span_of(const char *text)
{
	return (struct span){ .ptr = text, .len = text == NULL ? 0 : strlen(text) };
}

static inline bool
span_is_empty(struct span s)
{
	return s.len == 0;
}

/* Same length and same bytes. */
static inline bool
span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool
ascii_is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

static inline bool
ascii_is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/* Equal but for the case of ASCII letters. */
bool span_equal_fold(struct span a, struct span b);

/* Does s begin, or end, with the other, ASCII letters compared without case? */
bool span_starts_fold(struct span s, struct span prefix);
bool span_ends_fold(struct span s, struct span suffix);

/* Three-way comparison by bytes, shorter first: for sorting. */
int span_compare(struct span a, struct span b);

/* The offset of the first byte c, or s.len. */
size_t span_find(struct span s, char c);

/* s without white space (space and tab) at both ends. */
struct span span_trim(struct span s);

/* s less its first n bytes; n may not exceed s.len. */
struct span span_skip(struct span s, size_t n);

/* The first n bytes of s; all of it when it is shorter. */
struct span span_first(struct span s, size_t n);

/* Take one byte off the front of *in when it is c. */
static inline bool
byte_take(struct span *in, char c)
{
	if (in->len == 0 || in->ptr[0] != c)
		return false;
	in->ptr++;
	in->len--;
	return true;
}

/*
 * Take a decimal number of 1*DIGIT off the front. PARSE_BAD, and nothing changed, when there
 * is no digit or the value exceeds max.
 */
enum parse_status number_take(struct span *in, uint64_t max, uint64_t *value);

/* The whole span as a decimal number no greater than max. */
enum parse_status number_parse(struct span in, uint64_t max, uint64_t *value);

#endif
