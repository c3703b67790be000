# SPDX-License-Identifier: ISC
# Built when asked for: make tests/bench/decision_bench
EXTRA_PROGRAMS += tests/bench/decision_bench
tests_bench_decision_bench_SOURCES = %D%/decision_bench.c
tests_bench_decision_bench_LDADD = relayd/libpolicy.a relayd/libsmtp.a relayd/libbase.a $(IDN_LIBS)
