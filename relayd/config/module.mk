# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libconfig.a
relayd_libconfig_a_SOURCES = \
	%D%/complaint.c %D%/complaint.h \
	%D%/connector.c \
	%D%/globals.c \
	%D%/grant.c \
	%D%/lint.c \
	%D%/pickup.c \
	%D%/outline.c %D%/outline.h \
	%D%/reader.h \
	%D%/references.c \
	%D%/route.c %D%/route_mx.c %D%/route_upstream.c \
	%D%/reply.c \
	%D%/sasl.c \
	%D%/schema.c %D%/schema.h \
	%D%/section.c \
	%D%/sendmail_file.c %D%/sendmail_file.h \
	%D%/settings.c %D%/settings.h \
	%D%/shared.c \
	%D%/table_file.c \
	%D%/tls.c \
	%D%/value.c %D%/value.h
relayd_libconfig_a_CPPFLAGS = $(AM_CPPFLAGS) $(CONFUSE_CFLAGS)
