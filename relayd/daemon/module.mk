# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libdaemon.a
relayd_libdaemon_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
relayd_libdaemon_a_SOURCES = \
	%D%/certificates.c %D%/certificates.h \
	%D%/companion.c %D%/companion.h \
	%D%/children.c \
	%D%/control.c \
	%D%/control_request.c %D%/control_request.h \
	%D%/fetcher.c %D%/fetcher.h %D%/fetcher_companion.c %D%/token_reply.c %D%/token_reply.h \
	%D%/pickup.c %D%/pickup.h %D%/pickup_companion.c \
	%D%/nat_hint.c %D%/nat_hint.h \
	%D%/helpers.c \
	%D%/channel.c %D%/channel.h \
	%D%/orders.c \
	%D%/sandbox.c %D%/sandbox.h \
	%D%/shared.c %D%/shared.h \
	%D%/status.c %D%/status_rates.c \
	%D%/status_limits.c \
	%D%/sts_companion.c %D%/sts_fetcher.c %D%/sts_fetcher.h \
	%D%/supervisor.c %D%/supervisor.h %D%/supervisor_private.h \
	%D%/worker.c %D%/worker.h

sbin_PROGRAMS += sbin/relayd
sbin_relayd_SOURCES = %D%/main.c
sbin_relayd_LDADD = \
	relayd/libdaemon.a relayd/libconfig.a relayd/libdelivery.a relayd/libsession.a \
	relayd/libaudit.a relayd/libauth.a relayd/libpolicy.a relayd/libspool.a relayd/libnet.a \
	relayd/libsmtp.a relayd/libbase.a \
	$(CONFUSE_LIBS) $(CURL_LIBS) $(UNBOUND_LIBS) $(REDIS_LIBS) $(JANSSON_LIBS) $(IDN_LIBS) \
	$(SECCOMP_LIBS) $(CAPNG_LIBS) $(SASL_LIBS) $(OPENSSL_LIBS)
