# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libsession.a
relayd_libsession_a_SOURCES = \
	%D%/command_auth.c \
	%D%/command_bdat.c \
	%D%/command_data.c \
	%D%/command_ehlo.c \
	%D%/command_help.c \
	%D%/command_mail.c \
	%D%/command_noop.c \
	%D%/command_quit.c \
	%D%/command_rcpt.c \
	%D%/command_rset.c \
	%D%/command_starttls.c \
	%D%/command_table.c \
	%D%/command_vrfy.c \
	%D%/command_xclient.c \
	%D%/connection_limits.c %D%/connection_limits.h \
	%D%/content.c \
	%D%/nat_sketch.c %D%/nat_sketch.h \
	%D%/passage.c \
	%D%/proxy.c \
	%D%/session.c \
	%D%/session.h \
	%D%/session_private.h \
	%D%/session_quota.c \
	%D%/session_record.c \
	%D%/session_server.c \
	%D%/session_tls.c \
	%D%/shared_quota.c %D%/shared_quota.h \
	%D%/transaction.c

EXTRA_DIST += docs/smtp.md
