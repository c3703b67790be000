# SPDX-License-Identifier: ISC
# Every folder of tests says what it holds in its own tests.mk: unit suites are check_PROGRAMS
# and stand in TESTS; tests of the whole program are scripts in SYSTEM_TESTS.
SYSTEM_TESTS =
EXTRA_DIST += tests/suite.h tests/lint.mk

include tests/layers/tests.mk
include tests/base/tests.mk
include tests/smtp/tests.mk
include tests/net/tests.mk
include tests/spool/tests.mk
include tests/policy/tests.mk
include tests/auth/tests.mk
include tests/audit/tests.mk
include tests/session/tests.mk
include tests/delivery/tests.mk
include tests/config/tests.mk
include tests/daemon/tests.mk
include tests/ctl/tests.mk
include tests/fuzz/tests.mk
include tests/dialogs/tests.mk
include tests/crash/tests.mk
include tests/bench/tests.mk

TESTS += $(SYSTEM_TESTS)
EXTRA_DIST += $(SYSTEM_TESTS)
AM_TESTS_ENVIRONMENT = abs_builddir='$(abs_builddir)'; RELAYD_SANITIZED='$(SANITIZED)'; \
	export abs_builddir RELAYD_SANITIZED;
TEST_EXTENSIONS = .py .sh
check_PROGRAMS += $(FUZZ_REPLAYS)
# the whole programs are needed by the tests, too
check-am: $(sbin_PROGRAMS) $(bin_PROGRAMS)

.PHONY: check-units
check-units:
	$(MAKE) $(AM_MAKEFLAGS) check \
		TESTS="`echo $(check_PROGRAMS) | tr ' ' '\n' | grep '_test$$' | tr '\n' ' '`"
