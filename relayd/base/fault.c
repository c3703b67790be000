/* SPDX-License-Identifier: ISC */
/* Descriptions of what failed; see fault.h. */
#include "base/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
fault_set(struct fault *fault, const char *step)
{
	return fault_setf(fault, "%s", step);
}

bool
fault_setf(struct fault *fault, const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	fault->error = error;
	return false;
}

bool
fault_say(struct fault *fault, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	fault->error = 0;
	return false;
}

const char *
fault_text(struct fault *fault)
{
	if (fault->error != 0) {
		size_t used = strlen(fault->text);
		char reason[128] = "";

		if (strerror_r(fault->error, reason, sizeof(reason)) != 0)
			(void)snprintf(reason, sizeof(reason), "error %d", fault->error);
		(void)snprintf(fault->text + used, sizeof(fault->text) - used, ": %s", reason);
		fault->error = 0;
	}
	return fault->text;
}
