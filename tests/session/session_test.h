/* SPDX-License-Identifier: ISC */
/* The parts of the session suite. */
#ifndef RELAYD_TESTS_SESSION_SESSION_TEST_H
#define RELAYD_TESTS_SESSION_SESSION_TEST_H

#include "session/fixture.h"

#include <check.h>

TCase *dialog_tcase(void);
TCase *order_tcase(void);
TCase *content_tcase(void);
TCase *endurance_tcase(void);
TCase *nat_sketch_tcase(void);
TCase *passage_tcase(void);
TCase *record_tcase(void);

#endif
