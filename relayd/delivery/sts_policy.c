/* SPDX-License-Identifier: ISC */
/* MTA-STS as text; see sts_policy.h. */
#include "delivery/sts_policy.h"

#define WALL_MS_MAX INT64_C(253402300799999) /* the end of year 9999 */
#define AGE_DIGITS_MAX 10

/* Up to the separator, which goes too; the rest when there is none. */
static struct span
part_take(struct span *in, char separator)
{
	size_t end = span_find(*in, separator);
	struct span part = span_first(*in, end);

	*in = span_skip(*in, end < in->len ? end + 1 : end);
	return part;
}

/* ---- The record ---- */

static bool
is_id(struct span text)
{
	bool is_good = text.len > 0 && text.len <= STS_ID_MAX;

	for (size_t i = 0; is_good && i < text.len; i++)
		is_good = ascii_is_alnum(text.ptr[i]);
	return is_good;
}

static void
id_copy(struct span text, char id[STS_ID_MAX + 1])
{
	memcpy(id, text.ptr, text.len);
	id[text.len] = '\0';
}

enum parse_status
sts_record_parse(struct span text, char id[STS_ID_MAX + 1])
{
	struct span found = { NULL, 0 };

	if (!span_equal(span_trim(part_take(&text, ';')), span_of("v=STSv1")))
		return PARSE_BAD;
	while (text.len > 0) {
		struct span field = span_trim(part_take(&text, ';'));

		if (field.len > 3 && span_equal(span_first(field, 3), span_of("id=")) &&
		    found.len == 0)
			found = span_skip(field, 3);
	}
	if (!is_id(found))
		return PARSE_BAD;
	id_copy(found, id);
	return PARSE_OK;
}

/* ---- The policy ---- */

/* Domain, maybe with "*." before it; only what a host name in DNS may have. */
static bool
pattern_add(struct sts_policy *policy, struct span text)
{
	struct span name = text;
	size_t label = 0;

	if (name.len > 2 && name.ptr[0] == '*' && name.ptr[1] == '.')
		name = span_skip(name, 2);
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c == '.' ? label == 0 : !(ascii_is_alnum(c) || c == '-' || c == '_'))
			return false;
		label = c == '.' ? 0 : label + 1;
	}
	if (label == 0 || text.len + 1 > sizeof(policy->mx) - policy->mx_octets)
		return false;
	for (size_t i = 0; i < text.len; i++)
		policy->mx[policy->mx_octets++] = ascii_lower(text.ptr[i]);
	policy->mx[policy->mx_octets++] = '\n';
	return true;
}

static bool
mode_read(struct span text, enum sts_mode *mode)
{
	static const struct span names[] = {
		[STS_MODE_NONE] = SPAN_LITERAL("none"),
		[STS_MODE_TESTING] = SPAN_LITERAL("testing"),
		[STS_MODE_ENFORCE] = SPAN_LITERAL("enforce"),
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (span_equal(text, names[i])) {
			*mode = (enum sts_mode)i;
			return true;
		}
	}
	return false;
}

enum field { FIELD_VERSION = 1, FIELD_MODE = 2, FIELD_AGE = 4 };

/* One field; of those that may stand only once the first counts. */
static bool
field_read(struct sts_policy *policy, struct span key, struct span value, unsigned *seen)
{
	uint64_t age_s;

	if (span_equal(key, span_of("mx")))
		return pattern_add(policy, value);
	if (span_equal(key, span_of("version")) && (*seen & FIELD_VERSION) == 0) {
		*seen |= FIELD_VERSION;
		return span_equal(value, span_of("STSv1"));
	}
	if (span_equal(key, span_of("mode")) && (*seen & FIELD_MODE) == 0) {
		*seen |= FIELD_MODE;
		return mode_read(value, &policy->mode);
	}
	if (span_equal(key, span_of("max_age")) && (*seen & FIELD_AGE) == 0) {
		*seen |= FIELD_AGE;
		if (value.len > AGE_DIGITS_MAX ||
		    number_parse(value, UINT64_MAX, &age_s) != PARSE_OK)
			return false;
		policy->max_age_s = (uint32_t)(age_s < STS_AGE_MAX_S ? age_s : STS_AGE_MAX_S);
	}
	return true; /* of a later version of the standard, or a repetition */
}

enum parse_status
sts_policy_parse(struct span text, struct sts_policy *policy)
{
	unsigned seen = 0;

	policy->mx_octets = 0;
	while (text.len > 0) {
		struct span line = part_take(&text, '\n');

		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		line = span_trim(line);
		if (line.len == 0)
			continue;

		size_t colon = span_find(line, ':');

		if (colon == line.len ||
		    !field_read(policy, span_trim(span_first(line, colon)),
				span_trim(span_skip(line, colon + 1)), &seen))
			return PARSE_BAD;
	}
	if (seen != (FIELD_VERSION | FIELD_MODE | FIELD_AGE))
		return PARSE_BAD;
	return policy->mode != STS_MODE_NONE && policy->mx_octets == 0 ? PARSE_BAD : PARSE_OK;
}

/* "*." stands for exactly one label. */
static bool
pattern_allows(struct span pattern, struct span host)
{
	if (pattern.ptr[0] != '*')
		return span_equal(pattern, host);

	size_t label = span_find(host, '.');

	return label > 0 && span_equal(span_skip(pattern, 1), span_skip(host, label));
}

bool
sts_policy_allows(const struct sts_policy *policy, struct span host)
{
	struct span rest = { policy->mx, policy->mx_octets };

	while (rest.len > 0) {
		if (pattern_allows(part_take(&rest, '\n'), host))
			return true;
	}
	return false;
}

/* ---- The file ---- */

enum parse_status
sts_file_parse(struct span text, int64_t *expires_wall_ms, struct sts_policy *policy)
{
	struct span line = part_take(&text, '\n');
	uint64_t expires_wall_ms_read;

	if (number_parse(part_take(&line, ' '), WALL_MS_MAX, &expires_wall_ms_read) != PARSE_OK ||
	    !is_id(line))
		return PARSE_BAD;
	*expires_wall_ms = (int64_t)expires_wall_ms_read;
	id_copy(line, policy->id);
	return sts_policy_parse(text, policy);
}
