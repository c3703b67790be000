# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libbase.a
relayd_libbase_a_SOURCES = \
	%D%/arena.c %D%/arena.h \
	%D%/base64.c %D%/base64.h \
	%D%/buffer.c %D%/buffer.h \
	%D%/clock.c %D%/clock.h \
	%D%/fault.c %D%/fault.h \
	%D%/id.c %D%/id.h \
	%D%/ip.c %D%/ip.h \
	%D%/json.c %D%/json.h \
	%D%/list.h \
	%D%/log.c %D%/log.h \
	%D%/memory.c %D%/memory.h \
	%D%/slot_counts.c %D%/slot_counts.h \
	%D%/span.c %D%/span.h \
	%D%/table.c %D%/table.h \
	%D%/utf8.c %D%/utf8.h
