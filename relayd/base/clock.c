/* SPDX-License-Identifier: ISC */
/* Time; see clock.h. */
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#define MS_PER_SECOND 1000
#define NS_PER_MS     1000000
#define MS_PER_DAY    (INT64_C(86400) * MS_PER_SECOND)

int64_t
clock_monotonic_ns(void)
{
	struct timespec now;
	int status = clock_gettime(CLOCK_MONOTONIC, &now);

	assert(status == 0);
	(void)status;
	return (int64_t)now.tv_sec * MS_PER_SECOND * NS_PER_MS + now.tv_nsec;
}

int64_t
clock_monotonic_ms(void)
{
	return clock_monotonic_ns() / NS_PER_MS;
}

int64_t
clock_wall_ms(void)
{
	struct timespec now;
	int status = clock_gettime(CLOCK_REALTIME, &now);

	assert(status == 0);
	(void)status;
	return (int64_t)now.tv_sec * MS_PER_SECOND + now.tv_nsec / NS_PER_MS;
}

/* Split without the C library: no locale, no time zone, the same for every year. */
struct civil {
	int year, month, day, hour, minute, second, ms, weekday;
};

/* Days since 1970 to a proleptic Gregorian date, counting years from March. */
static struct civil
civil_of(int64_t wall_ms)
{
	int64_t days = wall_ms / MS_PER_DAY;
	int64_t rest = wall_ms % MS_PER_DAY;

	if (rest < 0) {
		rest += MS_PER_DAY;
		days--;
	}
	int64_t z = days + 719468; /* days from 0000-03-01 */
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year =
	    day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted_month = (5 * day_of_year + 2) / 153;
	int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;

	return (struct civil){
		.year = (int)(year_of_era + era * 400 + (month <= 2)),
		.month = (int)month,
		.day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1),
		.hour = (int)(rest / 3600000),
		.minute = (int)(rest / 60000 % 60),
		.second = (int)(rest / 1000 % 60),
		.ms = (int)(rest % 1000),
		.weekday = (int)(((days % 7) + 11) % 7), /* 1970-01-01 was a Thursday */
	};
}

static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	int64_t day_of_era =
	    year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void
digits_put(char *out, int value, int count)
{
	while (count-- > 0) {
		out[count] = (char)('0' + value % 10);
		value /= 10;
	}
}

void
clock_rfc3339(int64_t wall_ms, char out[CLOCK_RFC3339_SIZE])
{
	struct civil t = civil_of(wall_ms);

	memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339_SIZE);
	digits_put(out, t.year, 4);
	digits_put(out + 5, t.month, 2);
	digits_put(out + 8, t.day, 2);
	digits_put(out + 11, t.hour, 2);
	digits_put(out + 14, t.minute, 2);
	digits_put(out + 17, t.second, 2);
	digits_put(out + 20, t.ms, 3);
}

bool
clock_rfc5322(int64_t wall_ms, struct buffer *out)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct civil t = civil_of(wall_ms);

	return buffer_printf(out, "%s, %d %s %04d %02d:%02d:%02d +0000", days[t.weekday],
			     t.day, months[t.month - 1], t.year, t.hour, t.minute, t.second);
}

/* Exactly count digits, no greater than max. */
static bool
fixed_take(struct span *in, size_t count, int64_t max, int64_t *value)
{
	uint64_t n;

	if (in->len < count ||
	    number_parse(span_first(*in, count), (uint64_t)max, &n) != PARSE_OK)
		return false;
	*in = span_skip(*in, count);
	*value = (int64_t)n;
	return true;
}

static bool
time_of_day_take(struct span *in, int64_t *ms)
{
	int64_t hour, minute, second = 0, fraction = 0;

	if (!fixed_take(in, 2, 23, &hour) || !byte_take(in, ':') ||
	    !fixed_take(in, 2, 59, &minute))
		return false;
	if (byte_take(in, ':')) {
		if (!fixed_take(in, 2, 60, &second))
			return false;
		if (byte_take(in, '.') && !fixed_take(in, 3, 999, &fraction))
			return false;
	}
	*ms = ((hour * 60 + minute) * 60 + second) * MS_PER_SECOND + fraction;
	return true;
}

enum parse_status
clock_parse(struct span text, int64_t *wall_ms)
{
	static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t year, month, day, ms = 0;

	if (!fixed_take(&text, 4, 9999, &year) || !byte_take(&text, '-') ||
	    !fixed_take(&text, 2, 12, &month) || month == 0 || !byte_take(&text, '-') ||
	    !fixed_take(&text, 2, month_days[month - 1], &day) || day == 0)
		return PARSE_BAD;
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month == 2 && day == 29 && !is_leap)
		return PARSE_BAD;
	if (byte_take(&text, 'T') && !time_of_day_take(&text, &ms))
		return PARSE_BAD;
	(void)byte_take(&text, 'Z');
	if (text.len != 0)
		return PARSE_BAD;
	*wall_ms = days_of(year, month, day) * MS_PER_DAY + ms;
	return PARSE_OK;
}

bool
clock_duration(int64_t ms, struct buffer *out)
{
	static const struct { char name; int64_t seconds; } units[] = {
		{ 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 },
	};
	int64_t seconds = ms / MS_PER_SECOND;

	if (ms < 0)
		return buffer_append_text(out, "0s");
	if (seconds < 10 && ms % MS_PER_SECOND >= 100)
		return buffer_printf(out, "%d.%ds", (int)seconds,
				     (int)(ms % MS_PER_SECOND / 100));
	for (size_t i = 0; i + 1 < ARRAY_LEN(units); i++) {
		int64_t rest = seconds % units[i].seconds / units[i + 1].seconds;

		if (seconds < units[i].seconds)
			continue;
		if (!buffer_printf(out, "%lld%c", (long long)(seconds / units[i].seconds),
				   units[i].name))
			return false;
		return rest == 0 ||
		       buffer_printf(out, " %d%c", (int)rest, units[i + 1].name);
	}
	return buffer_printf(out, "%ds", (int)seconds);
}
