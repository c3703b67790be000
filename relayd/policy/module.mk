# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libpolicy.a
relayd_libpolicy_a_SOURCES = \
	%D%/address_class.c \
	%D%/compile.c %D%/compile_private.h \
	%D%/compile_connectors.c \
	%D%/compile_grants.c \
	%D%/compile_tables.c \
	%D%/complain.c \
	%D%/decide.c \
	%D%/describe.c \
	%D%/go_between.c \
	%D%/grant_set.c %D%/grant_set.h \
	%D%/hash.c \
	%D%/key_table.c %D%/key_table.h \
	%D%/limit.c \
	%D%/lint.c \
	%D%/look.c \
	%D%/names.c \
	%D%/network_table.c %D%/network_table.h \
	%D%/open_relay.c \
	%D%/own_sender.c \
	%D%/pattern_set.c \
	%D%/pattern_table.c %D%/pattern_table.h \
	%D%/policy.h %D%/policy_private.h \
	%D%/reason.c %D%/reason.h \
	%D%/reason_text.c %D%/reason_text.h %D%/reason_text_private.h \
	%D%/reason_text_en.c %D%/reason_text_fr.c \
	%D%/quota.c %D%/quota.h \
	%D%/rights.c %D%/rights.h %D%/rights_private.h
relayd_libpolicy_a_CFLAGS = $(AM_CFLAGS) $(IDN_CFLAGS)
