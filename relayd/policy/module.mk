# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libpolicy.a
relayd_libpolicy_a_SOURCES = \
	%D%/policy.h \
	%D%/reason.h
