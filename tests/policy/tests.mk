# SPDX-License-Identifier: ISC
if HAVE_CHECK
policy_tests = \
	tests/policy/compile_test \
	tests/policy/connector_test \
	tests/policy/decide_test \
	tests/policy/network_test \
	tests/policy/pattern_test \
	tests/policy/quota_test \
	tests/policy/reason_test \
	tests/policy/reason_text_test \
	tests/policy/rights_test \
	tests/policy/safety_test
check_PROGRAMS += $(policy_tests)
TESTS += $(policy_tests)
policy_test_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)
policy_test_ldadd = relayd/libpolicy.a relayd/libsmtp.a relayd/libbase.a $(IDN_LIBS) $(CHECK_LIBS)

tests_policy_compile_test_SOURCES = %D%/compile_test.c %D%/policy_fixture.h
tests_policy_compile_test_CFLAGS = $(policy_test_cflags)
tests_policy_compile_test_LDADD = $(policy_test_ldadd)
tests_policy_connector_test_SOURCES = %D%/connector_test.c %D%/policy_fixture.h
tests_policy_connector_test_CFLAGS = $(policy_test_cflags)
tests_policy_connector_test_LDADD = $(policy_test_ldadd)
tests_policy_decide_test_SOURCES = %D%/decide_test.c %D%/policy_fixture.h
tests_policy_decide_test_CFLAGS = $(policy_test_cflags)
tests_policy_decide_test_LDADD = $(policy_test_ldadd)
tests_policy_network_test_SOURCES = %D%/network_test.c %D%/policy_fixture.h
tests_policy_network_test_CFLAGS = $(policy_test_cflags)
tests_policy_network_test_LDADD = $(policy_test_ldadd)
tests_policy_pattern_test_SOURCES = %D%/pattern_test.c %D%/policy_fixture.h
tests_policy_pattern_test_CFLAGS = $(policy_test_cflags)
tests_policy_pattern_test_LDADD = $(policy_test_ldadd)
tests_policy_quota_test_SOURCES = %D%/quota_test.c
tests_policy_quota_test_CFLAGS = $(policy_test_cflags)
tests_policy_quota_test_LDADD = $(policy_test_ldadd)
tests_policy_reason_test_SOURCES = %D%/reason_test.c %D%/policy_fixture.h
tests_policy_reason_test_CFLAGS = $(policy_test_cflags)
tests_policy_reason_test_LDADD = $(policy_test_ldadd)
tests_policy_reason_text_test_SOURCES = %D%/reason_text_test.c %D%/policy_fixture.h
tests_policy_reason_text_test_CFLAGS = $(policy_test_cflags)
tests_policy_reason_text_test_LDADD = $(policy_test_ldadd)
tests_policy_rights_test_SOURCES = %D%/rights_test.c %D%/policy_fixture.h
tests_policy_rights_test_CFLAGS = $(policy_test_cflags)
tests_policy_rights_test_LDADD = $(policy_test_ldadd)
tests_policy_safety_test_SOURCES = %D%/safety_test.c %D%/policy_fixture.h
tests_policy_safety_test_CFLAGS = $(policy_test_cflags)
tests_policy_safety_test_LDADD = $(policy_test_ldadd)
endif
