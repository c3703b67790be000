# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libsmtp.a
relayd_libsmtp_a_SOURCES = \
	%D%/address.c %D%/address.h \
	%D%/envelope.c %D%/envelope.h
