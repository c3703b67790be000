# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libsmtp.a
relayd_libsmtp_a_SOURCES = \
	%D%/address.c %D%/address.h \
	%D%/address_list.c \
	%D%/command_line.c %D%/command_line.h \
	%D%/data_stream.c %D%/data_stream.h \
	%D%/dot_stuff.c %D%/dot_stuff.h \
	%D%/envelope.c %D%/envelope.h \
	%D%/header_block.c %D%/header_block.h \
	%D%/line_scan.c %D%/line_scan.h \
	%D%/passage.h \
	%D%/received.c \
	%D%/reply.c %D%/reply.h \
	%D%/reply_parser.c \
	%D%/submission.c %D%/submission.h \
	%D%/xclient.c %D%/xclient.h
