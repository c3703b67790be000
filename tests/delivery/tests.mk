# SPDX-License-Identifier: ISC
if HAVE_CHECK
delivery_libs = relayd/libdelivery.a relayd/libaudit.a relayd/libauth.a relayd/libpolicy.a \
	relayd/libspool.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(CHECK_LIBS) $(JANSSON_LIBS) $(XXHASH_LIBS) $(IDN_LIBS) $(SASL_LIBS) $(OPENSSL_LIBS)
delivery_bed = \
	tests/delivery/bed.c tests/delivery/bed.h \
	tests/delivery/fake_dns.c tests/delivery/fake_dns.h \
	tests/delivery/smtp_server.c tests/delivery/smtp_server.h

check_PROGRAMS += tests/delivery/delivery_test
TESTS += tests/delivery/delivery_test
tests_delivery_delivery_test_SOURCES = %D%/delivery_test.c $(delivery_bed)
tests_delivery_delivery_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_delivery_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/maildir_test
TESTS += tests/delivery/maildir_test
tests_delivery_maildir_test_SOURCES = %D%/maildir_test.c $(delivery_bed)
tests_delivery_maildir_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_maildir_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/operation_test
TESTS += tests/delivery/operation_test
tests_delivery_operation_test_SOURCES = %D%/operation_test.c $(delivery_bed)
tests_delivery_operation_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_operation_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/sink_test
TESTS += tests/delivery/sink_test
tests_delivery_sink_test_SOURCES = %D%/sink_test.c $(delivery_bed)
tests_delivery_sink_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_sink_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/upstream_test
TESTS += tests/delivery/upstream_test
tests_delivery_upstream_test_SOURCES = %D%/upstream_test.c $(delivery_bed) \
	tests/net/certificates.c tests/net/certificates.h
tests_delivery_upstream_test_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/tests
tests_delivery_upstream_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS) $(OPENSSL_CFLAGS)
tests_delivery_upstream_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/failover_test
TESTS += tests/delivery/failover_test
tests_delivery_failover_test_SOURCES = %D%/failover_test.c $(delivery_bed)
tests_delivery_failover_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_failover_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/passage_test
TESTS += tests/delivery/passage_test
tests_delivery_passage_test_SOURCES = %D%/passage_test.c $(delivery_bed)
tests_delivery_passage_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_passage_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/share_test
TESTS += tests/delivery/share_test
tests_delivery_share_test_SOURCES = %D%/share_test.c
tests_delivery_share_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_share_test_LDADD = relayd/libdelivery.a relayd/libbase.a $(CHECK_LIBS)
check_PROGRAMS += tests/delivery/report_test
TESTS += tests/delivery/report_test
tests_delivery_report_test_SOURCES = %D%/report_test.c
tests_delivery_report_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_report_test_LDADD = relayd/libdelivery.a relayd/libpolicy.a \
	relayd/libsmtp.a relayd/libbase.a $(CHECK_LIBS) $(XXHASH_LIBS) $(IDN_LIBS)

check_PROGRAMS += tests/delivery/mx_test
TESTS += tests/delivery/mx_test
tests_delivery_mx_test_SOURCES = %D%/mx_test.c
tests_delivery_mx_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_mx_test_LDADD = $(delivery_libs)

check_PROGRAMS += tests/delivery/schedule_test
TESTS += tests/delivery/schedule_test
tests_delivery_schedule_test_SOURCES = %D%/schedule_test.c
tests_delivery_schedule_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_delivery_schedule_test_LDADD = relayd/libdelivery.a relayd/libpolicy.a \
	relayd/libsmtp.a relayd/libbase.a $(CHECK_LIBS) $(XXHASH_LIBS) $(IDN_LIBS)
endif
