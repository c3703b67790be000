# SPDX-License-Identifier: ISC
if HAVE_CHECK
check_PROGRAMS += tests/smtp/smtp_test
TESTS += tests/smtp/smtp_test
tests_smtp_smtp_test_SOURCES = \
	%D%/address_test.c \
	%D%/command_line_test.c \
	%D%/data_stream_test.c \
	%D%/envelope_test.c \
	%D%/header_block_test.c \
	%D%/reference.h \
	%D%/reply_test.c \
	%D%/smtp_test.c %D%/smtp_test.h \
	%D%/submission_test.c \
	%D%/xclient_test.c
tests_smtp_smtp_test_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_smtp_smtp_test_LDADD = relayd/libsmtp.a relayd/libbase.a $(CHECK_LIBS)
endif
