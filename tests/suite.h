/* SPDX-License-Identifier: ISC */
/* What every suite's main does. */
#ifndef RELAYD_TESTS_SUITE_H
#define RELAYD_TESTS_SUITE_H

#include <check.h>

/* Run the suite and free it; the exit status of the test program. */
static inline int
suite_main(Suite *suite)
{
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}

#endif
