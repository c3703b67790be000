# SPDX-License-Identifier: ISC
AUTH_TEST_LIBS = relayd/libauth.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(SASL_LIBS) $(OPENSSL_LIBS) $(IDN_LIBS) $(CHECK_LIBS)
AUTH_TEST_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) -I$(top_srcdir)/tests/auth
if HAVE_CHECK
check_PROGRAMS += tests/auth/exchange_test
TESTS += tests/auth/exchange_test
tests_auth_exchange_test_SOURCES = \
	%D%/exchange_test.c
tests_auth_exchange_test_CFLAGS = $(AUTH_TEST_CFLAGS)
tests_auth_exchange_test_LDADD = $(AUTH_TEST_LIBS)

check_PROGRAMS += tests/auth/failures_test
TESTS += tests/auth/failures_test
tests_auth_failures_test_SOURCES = \
	%D%/failures_test.c
tests_auth_failures_test_CFLAGS = $(AUTH_TEST_CFLAGS)
tests_auth_failures_test_LDADD = $(AUTH_TEST_LIBS)

check_PROGRAMS += tests/auth/pool_test
TESTS += tests/auth/pool_test
tests_auth_pool_test_SOURCES = \
	%D%/auth_fixture.c %D%/auth_fixture.h \
	%D%/pool_test.c
tests_auth_pool_test_CFLAGS = $(AUTH_TEST_CFLAGS)
tests_auth_pool_test_LDADD = $(AUTH_TEST_LIBS)

check_PROGRAMS += tests/auth/sasl_test
TESTS += tests/auth/sasl_test
tests_auth_sasl_test_SOURCES = \
	%D%/auth_fixture.c %D%/auth_fixture.h \
	%D%/sasl_test.c
tests_auth_sasl_test_CFLAGS = $(AUTH_TEST_CFLAGS)
tests_auth_sasl_test_LDADD = $(AUTH_TEST_LIBS)

check_PROGRAMS += tests/auth/sources_test
TESTS += tests/auth/sources_test
tests_auth_sources_test_SOURCES = \
	%D%/auth_fixture.c %D%/auth_fixture.h \
	%D%/sources_test.c
tests_auth_sources_test_CFLAGS = $(AUTH_TEST_CFLAGS) $(SASL_CFLAGS) $(OPENSSL_CFLAGS)
tests_auth_sources_test_LDADD = $(AUTH_TEST_LIBS)

check_PROGRAMS += tests/auth/users_file_test
TESTS += tests/auth/users_file_test
tests_auth_users_file_test_SOURCES = \
	%D%/auth_fixture.c %D%/auth_fixture.h \
	%D%/users_file_test.c
tests_auth_users_file_test_CFLAGS = $(AUTH_TEST_CFLAGS)
tests_auth_users_file_test_LDADD = $(AUTH_TEST_LIBS)
endif

# What fail2ban makes of our log.
check_PROGRAMS += tests/auth/failure_lines
tests_auth_failure_lines_SOURCES = %D%/failure_lines.c
tests_auth_failure_lines_LDADD = relayd/libauth.a relayd/libbase.a $(OPENSSL_LIBS)
TESTS += tests/auth/fail2ban.sh
EXTRA_DIST += tests/auth/fail2ban.sh contrib/fail2ban/relayd.conf contrib/fail2ban/jail.conf
