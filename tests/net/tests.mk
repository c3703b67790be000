# SPDX-License-Identifier: ISC
if HAVE_CHECK
check_PROGRAMS += tests/net/loop_test
TESTS += tests/net/loop_test
tests_net_loop_test_SOURCES = \
	%D%/loop_test.c
tests_net_loop_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_loop_test_LDADD = relayd/libnet.a relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/stream_test
TESTS += tests/net/stream_test
tests_net_stream_test_SOURCES = \
	%D%/stream_test.c
tests_net_stream_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_stream_test_LDADD = relayd/libnet.a relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/listener_test
TESTS += tests/net/listener_test
tests_net_listener_test_SOURCES = \
	%D%/listener_test.c
tests_net_listener_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_listener_test_LDADD = relayd/libnet.a relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/notify_test
TESTS += tests/net/notify_test
tests_net_notify_test_SOURCES = \
	%D%/notify_test.c
tests_net_notify_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_notify_test_LDADD = relayd/libnet.a relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/proxy_header_test
TESTS += tests/net/proxy_header_test
tests_net_proxy_header_test_SOURCES = \
	%D%/proxy_header_test.c
tests_net_proxy_header_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_proxy_header_test_LDADD = relayd/libnet.a relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/gateway_test
TESTS += tests/net/gateway_test
tests_net_gateway_test_SOURCES = \
	%D%/gateway_test.c
tests_net_gateway_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_gateway_test_LDADD = relayd/libnet.a relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/dns_packet_test
TESTS += tests/net/dns_packet_test
tests_net_dns_packet_test_SOURCES = \
	%D%/dns_packet_test.c
tests_net_dns_packet_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_dns_packet_test_LDADD = relayd/libnet.a relayd/libbase.a $(CHECK_LIBS)

check_PROGRAMS += tests/net/dns_test
TESTS += tests/net/dns_test
tests_net_dns_test_SOURCES = \
	%D%/dns_test.c
tests_net_dns_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_dns_test_LDADD = relayd/libnet.a relayd/libbase.a $(UNBOUND_LIBS) $(CHECK_LIBS)

tls_world = \
	%D%/certificates.c %D%/certificates.h \
	%D%/tls_world.c %D%/tls_world.h

check_PROGRAMS += tests/net/tls_test
TESTS += tests/net/tls_test
tests_net_tls_test_SOURCES = $(tls_world) \
	%D%/tls_test.c
tests_net_tls_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_tls_test_LDADD = relayd/libnet.a relayd/libbase.a $(OPENSSL_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/net/tls_trust_test
TESTS += tests/net/tls_trust_test
tests_net_tls_trust_test_SOURCES = $(tls_world) \
	%D%/tls_trust_test.c
tests_net_tls_trust_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_tls_trust_test_LDADD = relayd/libnet.a relayd/libbase.a $(OPENSSL_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/net/tls_bytes_test
TESTS += tests/net/tls_bytes_test
tests_net_tls_bytes_test_SOURCES = $(tls_world) \
	%D%/tls_bytes_test.c
tests_net_tls_bytes_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_tls_bytes_test_LDADD = relayd/libnet.a relayd/libbase.a $(OPENSSL_LIBS) $(CHECK_LIBS)

if HAVE_REDIS
check_PROGRAMS += tests/net/redis_test
TESTS += tests/net/redis_test
tests_net_redis_test_SOURCES = \
	%D%/redis_test.c
tests_net_redis_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_net_redis_test_LDADD = relayd/libnet.a relayd/libbase.a $(REDIS_LIBS) $(UNBOUND_LIBS) $(CHECK_LIBS)
endif
endif
