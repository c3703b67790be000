# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libconfig.a
relayd_libconfig_a_SOURCES = \
	%D%/settings.h
