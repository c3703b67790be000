# SPDX-License-Identifier: ISC
# Every folder of tests says what it holds in its own tests.mk.
EXTRA_DIST += tests/suite.h

include tests/layers/tests.mk
include tests/base/tests.mk
include tests/smtp/tests.mk
include tests/net/tests.mk
include tests/spool/tests.mk
include tests/policy/tests.mk
include tests/audit/tests.mk
include tests/session/tests.mk
include tests/delivery/tests.mk
include tests/config/tests.mk
include tests/dialogs/tests.mk
include tests/fuzz/tests.mk
include tests/crash/tests.mk
include tests/bench/tests.mk
