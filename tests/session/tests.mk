# SPDX-License-Identifier: ISC
if HAVE_CHECK
check_PROGRAMS += tests/session/connection_limits_test tests/session/session_test \
	tests/session/stored_test
TESTS += tests/session/connection_limits_test tests/session/session_test \
	tests/session/stored_test
tests_session_connection_limits_test_SOURCES = \
	%D%/connection_limits_test.c
tests_session_connection_limits_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_session_connection_limits_test_LDADD = relayd/libsession.a relayd/libbase.a $(CHECK_LIBS)

tests_session_session_test_SOURCES = \
	%D%/content_test.c \
	%D%/dialog_test.c \
	%D%/endurance_test.c \
	%D%/fake_spool.c %D%/fake_spool.h \
	%D%/fixture.c %D%/fixture.h \
	%D%/nat_sketch_test.c \
	%D%/order_test.c \
	%D%/passage_test.c \
	%D%/record_test.c \
	%D%/session_test.c %D%/session_test.h \
	%D%/spool_in_memory.c
tests_session_session_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_session_session_test_LDADD = relayd/libsession.a relayd/libaudit.a relayd/libauth.a \
	relayd/libpolicy.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a $(IDN_LIBS) $(UNBOUND_LIBS) \
	$(REDIS_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS) $(CHECK_LIBS)

tests_session_stored_test_SOURCES = \
	%D%/fixture.c %D%/fixture.h \
	%D%/stored_test.c
tests_session_stored_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_session_stored_test_LDADD = relayd/libsession.a relayd/libaudit.a relayd/libauth.a \
	relayd/libpolicy.a relayd/libspool.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(IDN_LIBS) $(UNBOUND_LIBS) $(REDIS_LIBS) $(JANSSON_LIBS) $(OPENSSL_LIBS) $(CHECK_LIBS)
endif
