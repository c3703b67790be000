/* SPDX-License-Identifier: ISC */
/*
 * The operational log: what the operator of this machine should know, one line an event, to
 * stderr or syslog. Decisions about mail go to the audit trail, not here. Secrets go to
 * neither. Control bytes in a line are escaped, so no client can forge one.
 */
#ifndef RELAYD_BASE_LOG_H
#define RELAYD_BASE_LOG_H

#include "base/span.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_sink {
	LOG_SINK_STDERR,
	LOG_SINK_SYSLOG,
};

/* Embedded by value; who speaks ("worker 1") and how much is wanted. All zero: errors only. */
struct log {
	const char *who; /* borrowed for the life of the log; NULL for none */
	enum log_level level;
	enum log_sink sink;
	bool has_time; /* stderr lines begin with the time */
};

void log_write(const struct log *log, enum log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

#define log_error(log, ...) log_write((log), LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(log, ...)  log_write((log), LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(log, ...)  log_write((log), LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...) log_write((log), LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
