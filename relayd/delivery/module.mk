# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libdelivery.a
relayd_libdelivery_a_SOURCES = \
	%D%/delivery.h
