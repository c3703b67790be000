# SPDX-License-Identifier: ISC
EXTRA_DIST += tests/spool/box.h tests/spool/fake_loop.h tests/spool/recording_disk.h
if HAVE_CHECK
check_PROGRAMS += tests/spool/record_test tests/spool/spool_test tests/spool/crash_test \
	tests/spool/power_test
TESTS += tests/spool/record_test tests/spool/spool_test tests/spool/crash_test \
	tests/spool/power_test
tests_spool_record_test_SOURCES = %D%/record_test.c
tests_spool_record_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_spool_record_test_LDADD = relayd/libspool.a relayd/libbase.a $(CHECK_LIBS) $(XXHASH_LIBS)
tests_spool_spool_test_SOURCES = %D%/spool_test.c %D%/box.c %D%/fake_loop.c
tests_spool_spool_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_spool_spool_test_LDADD = relayd/libspool.a relayd/libbase.a $(CHECK_LIBS) $(XXHASH_LIBS)
tests_spool_crash_test_SOURCES = %D%/crash_test.c %D%/box.c %D%/fake_loop.c
tests_spool_crash_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_spool_crash_test_LDADD = relayd/libspool.a relayd/libbase.a $(CHECK_LIBS) $(XXHASH_LIBS)
tests_spool_power_test_SOURCES = %D%/power_test.c %D%/recording_disk.c %D%/box.c %D%/fake_loop.c
tests_spool_power_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_spool_power_test_LDADD = relayd/libspool.a relayd/libbase.a $(CHECK_LIBS) $(XXHASH_LIBS)
endif
# make tests/spool/spool_bench: the spool alone, for comparing.
EXTRA_PROGRAMS += tests/spool/spool_bench
tests_spool_spool_bench_SOURCES = %D%/spool_bench.c %D%/fake_loop.c
tests_spool_spool_bench_LDADD = relayd/libspool.a relayd/libbase.a $(XXHASH_LIBS)
