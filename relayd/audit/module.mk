# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libaudit.a
relayd_libaudit_a_SOURCES = \
	%D%/audit.h
