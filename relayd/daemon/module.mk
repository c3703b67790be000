# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libdaemon.a
relayd_libdaemon_a_SOURCES =
