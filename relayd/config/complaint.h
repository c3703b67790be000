/* SPDX-License-Identifier: ISC */
/*
 * What is wrong with a configuration, collected while it is read and told at its end, sorted
 * by file and line, so that one run of `relayd -t` shows everything that can be known.
 */
#ifndef RELAYD_CONFIG_COMPLAINT_H
#define RELAYD_CONFIG_COMPLAINT_H

#include "base/span.h"
#include "config/settings.h"

#define COMPLAINTS_MAX 200 /* more are counted, not kept */

struct complaint {
	bool is_error;
	char *file;
	unsigned line;	    /* 0: the file as a whole */
	size_t file_rank;   /* files in the order in which they were first complained of */
	size_t serial;
	char *text;	    /* with "file:line: " before it */
};

/* Embedded by value; all zero is an empty collection. */
struct complaints {
	struct complaint items[COMPLAINTS_MAX];
	size_t count;
	size_t error_count;  /* kept or not */
	size_t unkept_count; /* errors and warnings beyond COMPLAINTS_MAX */
};

/* Keep one; the text is composed, with "file:line: " put before it. */
void complaint_error(struct complaints *complaints, const char *file, unsigned line,
		     const char *format, ...) PRINTF_LIKE(4, 5);
void complaint_warn(struct complaints *complaints, const char *file, unsigned line,
		    const char *format, ...) PRINTF_LIKE(4, 5);

/* Tell all, sorted, and forget them (error_count stays). tell NULL: to nobody. */
void complaints_tell(struct complaints *complaints, settings_complain *tell, void *context);

#endif
