# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libctl.a
relayd_libctl_a_SOURCES =
