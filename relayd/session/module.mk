# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libsession.a
relayd_libsession_a_SOURCES = \
	%D%/session.h
