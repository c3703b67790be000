# SPDX-License-Identifier: ISC
if HAVE_CHECK
check_PROGRAMS += tests/daemon/sandbox_test
TESTS += tests/daemon/sandbox_test
tests_daemon_sandbox_test_SOURCES = %D%/sandbox_test.c
tests_daemon_sandbox_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_daemon_sandbox_test_LDADD = relayd/libdaemon.a relayd/libbase.a $(SECCOMP_LIBS) \
	$(CAPNG_LIBS) $(CHECK_LIBS)
endif
