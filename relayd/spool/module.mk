# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libspool.a
relayd_libspool_a_SOURCES = \
	%D%/chunk.c %D%/chunk.h \
	%D%/commit.c \
	%D%/crc32c.c %D%/crc32c.h \
	%D%/disk.c %D%/disk.h \
	%D%/disk_faulty.c %D%/disk_faulty.h \
	%D%/large.c \
	%D%/load.c \
	%D%/read.c \
	%D%/record.c %D%/record.h \
	%D%/segment.c \
	%D%/shard.c %D%/shard.h \
	%D%/spool.c %D%/spool.h %D%/spool_private.h \
	%D%/thread.c %D%/thread.h \
	%D%/upkeep.c \
	%D%/walk.c
EXTRA_DIST += docs/spool.md
