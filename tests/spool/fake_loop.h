/* SPDX-License-Identifier: ISC */
/* A small loop for tests of the spool; what it has beyond net/loop.h. */
#ifndef RELAYD_TESTS_SPOOL_FAKE_LOOP_H
#define RELAYD_TESTS_SPOOL_FAKE_LOOP_H

#include "net/loop.h"

/* How far the wall clock of the loops goes wrong. */
extern int64_t fake_loop_wall_shift_ms;

#endif
