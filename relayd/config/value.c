/* SPDX-License-Identifier: ISC */
/* Values of a configuration; see value.h. */
#include "config/value.h"

#include "policy/quota.h"
#include "smtp/address.h"

#include <inttypes.h>
#include <stdio.h>

#define DURATION_MAX_DAYS 10000
#define TITLE_MAX	  64
#define DISTANCE_TEXT_MAX 40 /* octets; longer names are not compared */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "GB", GB }, { "MB", MB }, { "KB", KB }, { "", 1 }
};

static const struct unit duration_units[] = {
	{ "d", DAY_MS },    { "h", HOUR_MS }, { "m", MINUTE_MS },
	{ "s", SECOND_MS }, { "ms", 1 },
};

/* number unit, the whole span; PARSE_BAD also when the product exceeds max. */
static enum parse_status
quantity_parse(struct span text, const struct unit *units, size_t count, uint64_t max,
	       uint64_t *value)
{
	uint64_t number;

	if (number_take(&text, max, &number) != PARSE_OK)
		return PARSE_BAD;
	for (size_t i = 0; i < count; i++) {
		if (!span_equal_fold(text, span_of(units[i].name)))
			continue;
		if (number > max / units[i].factor)
			return PARSE_BAD;
		*value = number * units[i].factor;
		return PARSE_OK;
	}
	return PARSE_BAD;
}

/* The value in the largest unit that divides it. */
static void
quantity_text(uint64_t value, const struct unit *units, size_t count,
	      char out[VALUE_TEXT_SIZE])
{
	size_t i = 0;

	while (i + 1 < count && (value == 0 || value % units[i].factor != 0))
		i++;
	(void)snprintf(out, VALUE_TEXT_SIZE, "%" PRIu64 "%s", value / units[i].factor,
		       units[i].name);
}

enum parse_status
size_parse(struct span text, uint64_t *octets)
{
	return quantity_parse(text, size_units, ARRAY_LEN(size_units), INT64_MAX, octets);
}

void
size_text(uint64_t octets, char out[VALUE_TEXT_SIZE])
{
	quantity_text(octets, size_units, ARRAY_LEN(size_units), out);
}

enum parse_status
duration_parse(struct span text, int64_t *ms)
{
	uint64_t value;

	if (quantity_parse(text, duration_units, ARRAY_LEN(duration_units),
			   DURATION_MAX_DAYS * (uint64_t)DAY_MS, &value) != PARSE_OK)
		return PARSE_BAD;
	*ms = (int64_t)value;
	return PARSE_OK;
}

void
duration_text(int64_t ms, char out[VALUE_TEXT_SIZE])
{
	if (ms == 0)
		(void)snprintf(out, VALUE_TEXT_SIZE, "0s");
	else
		quantity_text((uint64_t)ms, duration_units, ARRAY_LEN(duration_units),
			      out);
}

/* A word, which ends at a space, a slash or the end; empty at the end. */
static struct span
word_take(struct span *text)
{
	struct span rest = span_trim(*text), word = rest;
	size_t len = 0;

	while (len < rest.len && rest.ptr[len] != ' ' && rest.ptr[len] != '\t' &&
	       rest.ptr[len] != '/')
		len++;
	word.len = len;
	*text = span_trim(span_skip(rest, len));
	return word;
}

/* "hour", or a duration of whole seconds such as "15m". */
static enum parse_status
window_parse(struct span text, uint32_t *window_s)
{
	static const struct {
		const char *name;
		uint32_t seconds;
	} windows[] = {
		{ "second", 1 }, { "minute", 60 }, { "hour", 3600 }, { "day", 86400 }
	};
	int64_t ms;

	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		if (span_equal_fold(text, span_of(windows[i].name))) {
			*window_s = windows[i].seconds;
			return PARSE_OK;
		}
	}
	if (duration_parse(text, &ms) != PARSE_OK || ms < SECOND_MS || ms % SECOND_MS != 0 ||
	    ms / SECOND_MS > QUOTA_WINDOW_MAX_S)
		return PARSE_BAD;
	*window_s = (uint32_t)(ms / SECOND_MS);
	return PARSE_OK;
}

static enum parse_status
limit_unit_parse(struct span text, enum limit_unit *unit)
{
	static const struct {
		const char *name;
		enum limit_unit unit;
	} units[] = {
		{ "messages", LIMIT_MESSAGES }, { "recipients", LIMIT_RECIPIENTS },
		{ "bytes", LIMIT_OCTETS },	{ "octets", LIMIT_OCTETS },
		{ "sessions", LIMIT_SESSIONS },
	};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (span_equal_fold(text, span_of(units[i].name))) {
			*unit = units[i].unit;
			return PARSE_OK;
		}
	}
	return PARSE_BAD;
}

/* ["per" key], to the end. */
static enum parse_status
limit_key_parse(struct span text, enum limit_key *key)
{
	static const struct {
		const char *name;
		enum limit_key key;
	} keys[] = {
		{ "grant", LIMIT_PER_GRANT },
		{ "login", LIMIT_PER_LOGIN },
		{ "address", LIMIT_PER_ADDRESS },
		{ "sender", LIMIT_PER_SENDER },
	};

	*key = LIMIT_PER_GRANT;
	if (span_is_empty(text))
		return PARSE_OK;
	if (!span_equal_fold(word_take(&text), span_of("per")))
		return PARSE_BAD;
	struct span name = word_take(&text);

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (span_is_empty(text) &&
		    span_equal_fold(name, span_of(keys[i].name))) {
			*key = keys[i].key;
			return PARSE_OK;
		}
	}
	return PARSE_BAD;
}

enum parse_status
limit_parse(struct span text, struct limit_source *limit)
{
	struct limit_source read = { .count = 0 };
	size_t space = span_find(text, ' ');
	struct span count = span_first(text, space);
	struct span rest = span_skip(text, space);

	if (limit_unit_parse(word_take(&rest), &read.unit) != PARSE_OK)
		return PARSE_BAD;
	if (read.unit != LIMIT_SESSIONS &&
	    (!byte_take(&rest, '/') ||
	     window_parse(word_take(&rest), &read.window_s) != PARSE_OK))
		return PARSE_BAD;
	if (limit_key_parse(rest, &read.key) != PARSE_OK)
		return PARSE_BAD;
	enum parse_status status =
	    read.unit == LIMIT_OCTETS ? size_parse(count, &read.count)
				      : number_parse(count, UINT32_MAX, &read.count);

	if (status != PARSE_OK || read.count == 0 || read.count > QUOTA_COUNT_MAX)
		return PARSE_BAD;
	*limit = read;
	return PARSE_OK;
}

bool
domain_is_valid(struct span text)
{
	struct span domain;

	return domain_take(&text, &domain) == PARSE_OK && span_is_empty(text);
}

static bool
host_is_valid(struct span text)
{
	struct ip ip;

	if (ip_parse(text, &ip) == PARSE_OK)
		return true;

	/* A name of digits and dots alone is a mistyped address. */
	bool has_letter = false;

	for (size_t i = 0; i < text.len; i++)
		has_letter |= !ascii_is_digit(text.ptr[i]) && text.ptr[i] != '.';
	return has_letter && domain_is_valid(text);
}

enum parse_status
next_hop_parse(struct span text, struct next_hop_settings *next_hop)
{
	struct next_hop_settings read = { .host = text, .port = SMTP_PORT };
	struct span port = { .ptr = NULL };
	struct ip ip;

	if (span_equal_fold(text, span_of("mx"))) {
		*next_hop =
		    (struct next_hop_settings){ .port = SMTP_PORT, .is_mx = true };
		return PARSE_OK;
	}
	if (text.len > 0 && text.ptr[0] == '[') {
		size_t bracket = span_find(text, ']');

		if (bracket == text.len)
			return PARSE_BAD;
		read.host = span_skip(span_first(text, bracket), 1);
		port = span_skip(text, bracket + 1);
		if (ip_parse(read.host, &ip) != PARSE_OK)
			return PARSE_BAD;
	} else if (ip_parse(text, &ip) != PARSE_OK) {
		read.host = span_first(text, span_find(text, ':'));
		port = span_skip(text, read.host.len);
	}
	if (!span_is_empty(port)) {
		uint64_t number;

		if (!byte_take(&port, ':') ||
		    number_parse(port, UINT16_MAX, &number) != PARSE_OK || number == 0)
			return PARSE_BAD;
		read.port = (uint16_t)number;
	}
	if (!host_is_valid(read.host))
		return PARSE_BAD;
	*next_hop = read;
	return PARSE_OK;
}

bool
title_is_valid(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.')
			return false;
	}
	return text.len > 0 && text.len <= TITLE_MAX;
}

bool
certificate_name_is_valid(struct span text)
{
	struct span digest_prefix = span_of("sha256:");

	if (span_starts_fold(text, digest_prefix)) {
		struct span digest = span_skip(text, digest_prefix.len);

		for (size_t i = 0; i < digest.len; i++) {
			char c = ascii_lower(digest.ptr[i]);

			if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'f'))
				return false;
		}
		return digest.len == 64;
	}
	if (span_starts_fold(text, span_of("dns:"))) {
		struct span name = span_skip(text, 4);

		if (span_starts_fold(name, span_of("*.")))
			name = span_skip(name, 2);
		return domain_is_valid(name);
	}
	if (span_starts_fold(text, span_of("email:"))) {
		struct address address;

		return mailbox_parse(span_skip(text, 6), &address) == PARSE_OK;
	}
	return span_starts_fold(text, span_of("cn:")) && text.len > 3;
}

unsigned
text_distance(struct span a, struct span b)
{
	/* Three rows of the usual table: the current one and the two before it. */
	unsigned rows[3][DISTANCE_TEXT_MAX + 1];

	if (a.len > DISTANCE_TEXT_MAX || b.len > DISTANCE_TEXT_MAX)
		return DISTANCE_TEXT_MAX;
	for (unsigned j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			char x = ascii_lower(a.ptr[i - 1]), y = ascii_lower(b.ptr[j - 1]);
			unsigned best = above[j - 1] + (x == y ? 0u : 1u);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) &&
			    ascii_lower(a.ptr[i - 2]) == y && two_above[j - 2] + 1 < best)
				best = two_above[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[a.len % 3][b.len];
}
