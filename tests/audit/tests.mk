# SPDX-License-Identifier: ISC
EXTRA_DIST += tests/audit/trail.h
audit_test_libs = relayd/libaudit.a relayd/libpolicy.a relayd/libsmtp.a relayd/libbase.a \
	$(JANSSON_LIBS) $(IDN_LIBS) $(CHECK_LIBS)
if HAVE_CHECK
check_PROGRAMS += tests/audit/audit_test
TESTS += tests/audit/audit_test
tests_audit_audit_test_SOURCES = \
	%D%/audit_test.c
tests_audit_audit_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_audit_audit_test_LDADD = $(audit_test_libs)

check_PROGRAMS += tests/audit/query_test
TESTS += tests/audit/query_test
tests_audit_query_test_SOURCES = \
	%D%/query_test.c
tests_audit_query_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_audit_query_test_LDADD = $(audit_test_libs)

check_PROGRAMS += tests/audit/story_test
TESTS += tests/audit/story_test
tests_audit_story_test_SOURCES = \
	%D%/story_test.c
tests_audit_story_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_audit_story_test_LDADD = $(audit_test_libs)
endif
