# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libaudit.a
relayd_libaudit_a_SOURCES = \
	%D%/audit.c %D%/audit.h \
	%D%/query.c %D%/query.h \
	%D%/story.c %D%/story.h \
	%D%/trail_private.h
relayd_libaudit_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
