# SPDX-License-Identifier: ISC
# relayctl without a daemon.
check_PROGRAMS += tests/ctl/state_fill
tests_ctl_state_fill_SOURCES = %D%/state_fill.c
tests_ctl_state_fill_LDADD = relayd/libdelivery.a relayd/libaudit.a relayd/libpolicy.a \
	relayd/libspool.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(JANSSON_LIBS) $(IDN_LIBS)
SYSTEM_TESTS += tests/ctl/ctl_test.py
SYSTEM_TESTS += tests/ctl/user_test.py
SYSTEM_TESTS += tests/ctl/sendmail_test.py
