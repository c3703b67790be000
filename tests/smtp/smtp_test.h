/* SPDX-License-Identifier: ISC */
/* The cases of this suite, a file each. */
#ifndef RELAYD_TESTS_SMTP_TEST_H
#define RELAYD_TESTS_SMTP_TEST_H

#include "base/span.h"

#include <check.h>

TCase *address_tcase(void);
TCase *command_line_tcase(void);
TCase *data_stream_tcase(void);
TCase *envelope_tcase(void);
TCase *header_block_tcase(void);
TCase *reply_tcase(void);
TCase *submission_tcase(void);
TCase *xclient_tcase(void);

/* Like ck_assert, but free when it holds: for what is asserted a million times. */
#define must(condition)                                          \
	do {                                                     \
		if (!(condition))                                \
			ck_abort_msg("not so: %s", #condition);  \
	} while (0)

/* Is the span exactly this text? */
#define ck_assert_span_eq(have, want)                                                  \
	do {                                                                           \
		struct span have_ = (have);                                            \
                                                                                       \
		ck_assert_msg(span_equal(have_, span_of(want)), "\"%.*s\", not \"%s\"", \
			      SPAN_ARG(have_), want);                                  \
	} while (0)

#endif
