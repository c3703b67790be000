# SPDX-License-Identifier: ISC
# `make bench`; nothing here is part of `make check`.
EXTRA_PROGRAMS += tests/bench/source tests/bench/sink
tests_bench_source_SOURCES = %D%/source.c
tests_bench_source_LDADD = relayd/libbase.a
tests_bench_sink_SOURCES = %D%/sink.c
tests_bench_sink_LDADD = relayd/libbase.a

EXTRA_PROGRAMS += tests/bench/tls_source
tests_bench_tls_source_SOURCES = %D%/tls_source.c
tests_bench_tls_source_LDADD = relayd/libbase.a $(OPENSSL_LIBS)

EXTRA_PROGRAMS += tests/bench/tls_bench
tests_bench_tls_bench_SOURCES = %D%/tls_bench.c
tests_bench_tls_bench_LDADD = relayd/libnet.a relayd/libbase.a $(OPENSSL_LIBS)

EXTRA_DIST += tests/bench/bench.py
.PHONY: bench
bench: sbin/relayd bin/relayctl tests/bench/source tests/bench/sink tests/bench/decision_bench \
	tests/bench/logins tests/bench/tls_source tests/bench/tls_bench
	abs_builddir=$(abs_builddir) $(srcdir)/tests/bench/bench.py $(BENCHFLAGS)

# Built when asked for: make tests/bench/decision_bench
EXTRA_PROGRAMS += tests/bench/decision_bench
tests_bench_decision_bench_SOURCES = %D%/decision_bench.c
tests_bench_decision_bench_LDADD = relayd/libpolicy.a relayd/libsmtp.a relayd/libbase.a $(IDN_LIBS)

EXTRA_PROGRAMS += tests/bench/logins
tests_bench_logins_SOURCES = %D%/logins.c
tests_bench_logins_LDADD = relayd/libauth.a relayd/libbase.a $(OPENSSL_LIBS)

EXTRA_PROGRAMS += tests/bench/auth_bench
tests_bench_auth_bench_SOURCES = %D%/auth_bench.c
tests_bench_auth_bench_LDADD = relayd/libauth.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(SASL_LIBS) $(OPENSSL_LIBS) $(IDN_LIBS)
