/* SPDX-License-Identifier: ISC */
/*
 * When the world fails (disk, DNS, a helper), a function returns false and describes it in a
 * fault. Only the level that knows the session or the file logs it, once.
 */
#ifndef RELAYD_BASE_FAULT_H
#define RELAYD_BASE_FAULT_H

#include "base/span.h"

#define FAULT_TEXT_MAX 512

struct fault {
	int error;		   /* errno value, or 0 */
	char text[FAULT_TEXT_MAX]; /* what was tried, on what: "open /var/lib/relayd" */
};

/* Describe a failed system call; takes errno. Always false, so that callers can return it. */
bool fault_set(struct fault *fault, const char *step);
bool fault_setf(struct fault *fault, const char *format, ...) PRINTF_LIKE(2, 3);

/* The same where errno says nothing. */
bool fault_say(struct fault *fault, const char *format, ...) PRINTF_LIKE(2, 3);

/* "open /x: Permission denied"; the text lives in the fault. */
const char *fault_text(struct fault *fault);

#endif
