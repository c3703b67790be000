/* SPDX-License-Identifier: ISC */
/* The operational log; see log.h. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_OCTETS 2048

/* Replace what a terminal or a log reader could take for more than text. */
static void
line_escape(char *line)
{
	for (char *p = line; *p != '\0'; p++) {
		if (ascii_is_control(*p))
			*p = '?';
	}
}

static const char *
level_name(enum log_level level)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	return names[level];
}

static int
level_priority(enum log_level level)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

	return priorities[level];
}

void
log_write(const struct log *log, enum log_level level, const char *format, ...)
{
	char text[LINE_MAX_OCTETS];
	char line[LINE_MAX_OCTETS + 128];
	char now[CLOCK_RFC3339_SIZE] = "";
	va_list args;

	if (level > log->level)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line_escape(text);

	const char *who = log->who == NULL ? "" : log->who;
	const char *colon = log->who == NULL ? "" : ": ";

	if (log->sink == LOG_SINK_SYSLOG) {
		syslog(LOG_MAIL | level_priority(level), "%s%s%s", who, colon, text);
		return;
	}
	if (log->has_time)
		clock_rfc3339(clock_wall_ms(), now);
	int used = snprintf(line, sizeof(line), "%s%srelayd: %s: %s%s%s\n", now,
			    log->has_time ? " " : "", level_name(level), who, colon, text);

	if (used > 0 && write(STDERR_FILENO, line, (size_t)used) == -1)
		return; /* nobody to tell */
}
