# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libnet.a
relayd_libnet_a_SOURCES = \
	%D%/dns.h \
	%D%/loop.h \
	%D%/stream.h
