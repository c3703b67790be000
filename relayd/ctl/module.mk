# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libctl.a
relayd_libctl_a_SOURCES = \
	%D%/columns.c %D%/columns.h \
	%D%/command.c %D%/command.h \
	%D%/command_audit_list.c \
	%D%/command_explain.c \
	%D%/command_queue_act.c \
	%D%/command_limits.c \
	%D%/command_queue_list.c \
	%D%/command_queue_show.c \
	%D%/command_reason.c \
	%D%/command_reload.c \
	%D%/command_rights.c \
	%D%/command_status.c \
	%D%/command_user.c \
	%D%/command_why.c \
	%D%/daemon.c %D%/daemon_private.h \
	%D%/password.c %D%/password.h \
	%D%/queue.c %D%/queue.h
relayd_libctl_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)

bin_PROGRAMS += bin/relayctl
bin_relayctl_SOURCES = %D%/relayctl.c
bin_relayctl_LDADD = relayd/libctl.a relayd/libconfig.a relayd/libdelivery.a relayd/libaudit.a relayd/libauth.a \
	relayd/libpolicy.a relayd/libspool.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(CONFUSE_LIBS) $(IDN_LIBS) $(JANSSON_LIBS) $(XXHASH_LIBS) $(OPENSSL_LIBS)

bin_PROGRAMS += bin/relayd-sendmail
bin_relayd_sendmail_SOURCES = %D%/sendmail.c
bin_relayd_sendmail_LDADD = relayd/libconfig.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(CONFUSE_LIBS) $(CURL_LIBS) $(IDN_LIBS) $(XXHASH_LIBS)
