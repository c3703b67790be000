# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libspool.a
relayd_libspool_a_SOURCES = \
	%D%/spool.h
