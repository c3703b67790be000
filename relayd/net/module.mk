# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libnet.a
relayd_libnet_a_SOURCES = \
	%D%/control.c %D%/control.h \
	%D%/dns.c %D%/dns.h \
	%D%/dns_events.c %D%/dns_events.h \
	%D%/dns_packet.c %D%/dns_packet.h \
	%D%/fetch.c %D%/fetch.h \
	%D%/gateway.c %D%/gateway.h \
	%D%/hosts.c %D%/hosts.h \
	%D%/linger.c %D%/linger.h \
	%D%/listener.c %D%/listener.h \
	%D%/loop.c %D%/loop.h %D%/loop_private.h \
	%D%/notify.c %D%/notify.h \
	%D%/output.c %D%/output.h \
	%D%/proxy_header.c %D%/proxy_header.h \
	%D%/redis.h %D%/redis_built_in.c \
	%D%/submit.c %D%/submit.h \
	%D%/stream.c %D%/stream.h %D%/stream_private.h \
	%D%/tls.h %D%/tls_private.h \
	%D%/tls_client.c %D%/tls_context.c %D%/tls_facts.c %D%/tls_files.c \
	%D%/tls_server.c %D%/tls_stream.c %D%/tls_ticket.c \
	%D%/wheel.c %D%/wheel.h

if HAVE_REDIS
relayd_libnet_a_SOURCES += %D%/redis.c
else
relayd_libnet_a_SOURCES += %D%/redis_absent.c
endif
