# SPDX-License-Identifier: ISC
if HAVE_CHECK
check_PROGRAMS += tests/config/config_test
TESTS += tests/config/config_test
tests_config_config_test_SOURCES = \
	%D%/broken.h \
	%D%/config_test.c
tests_config_config_test_CPPFLAGS = $(AM_CPPFLAGS) $(CONFUSE_CFLAGS)
tests_config_config_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_config_config_test_LDADD = relayd/libconfig.a relayd/libpolicy.a relayd/libauth.a \
	relayd/libnet.a relayd/libsmtp.a relayd/libbase.a $(CONFUSE_LIBS) $(OPENSSL_LIBS) $(IDN_LIBS) $(CHECK_LIBS)
endif
