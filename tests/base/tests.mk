# SPDX-License-Identifier: ISC
if HAVE_CHECK
check_PROGRAMS += tests/base/base_test
TESTS += tests/base/base_test
tests_base_base_test_SOURCES = \
	%D%/base_test.c
tests_base_base_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_base_base_test_LDADD = relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/base/base64_test
TESTS += tests/base/base64_test
tests_base_base64_test_SOURCES = \
	%D%/base64_test.c
tests_base_base64_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_base_base64_test_LDADD = relayd/libbase.a $(CHECK_LIBS)
endif
