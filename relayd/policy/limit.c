/* SPDX-License-Identifier: ISC */
/* A limit in the words of the configuration. */
#include "policy/policy.h"

#include <inttypes.h>

#define DAY_S 86400

struct unit {
	uint64_t factor;
	const char *name;
};

static const char *const unit_names[] = {
	[LIMIT_MESSAGES] = "messages",
	[LIMIT_RECIPIENTS] = "recipients",
	[LIMIT_OCTETS] = "bytes",
	[LIMIT_SESSIONS] = "sessions",
};

static const char *const key_names[] = {
	[LIMIT_PER_GRANT] = "grant",
	[LIMIT_PER_LOGIN] = "login",
	[LIMIT_PER_ADDRESS] = "address",
	[LIMIT_PER_SENDER] = "sender",
};

const char *
limit_key_name(enum limit_key key)
{
	return key_names[key];
}

/* The largest unit that divides the value. */
static const struct unit *
unit_of(uint64_t value, const struct unit *units)
{
	while (units->factor > 1 && value % units->factor != 0)
		units++;
	return units;
}

static void
window_append(uint32_t window_s, struct buffer *out)
{
	static const struct unit units[] = {
		{ DAY_S, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" }
	};
	static const struct unit words[] = {
		{ DAY_S, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" }
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (window_s == words[i].factor) {
			(void)buffer_append_text(out, words[i].name);
			return;
		}
	}
	const struct unit *unit = unit_of(window_s, units);

	(void)buffer_printf(out, "%" PRIu64 "%s", window_s / unit->factor, unit->name);
}

void
limit_append(const struct limit_source *limit, struct buffer *out)
{
	static const struct unit sizes[] = {
		{ UINT64_C(1) << 30, "GB" }, { 1U << 20, "MB" }, { 1U << 10, "KB" }, { 1, "" }
	};
	static const struct unit none[] = { { 1, "" } };
	const struct unit *unit =
	    unit_of(limit->count, limit->unit == LIMIT_OCTETS ? sizes : none);

	(void)buffer_printf(out, "%" PRIu64 "%s %s", limit->count / unit->factor, unit->name,
			    unit_names[limit->unit]);
	if (limit->window_s > 0) {
		(void)buffer_append_byte(out, '/');
		window_append(limit->window_s, out);
	}
	if (limit->key != LIMIT_PER_GRANT)
		(void)buffer_printf(out, " per %s", key_names[limit->key]);
}
