# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libauth.a
relayd_libauth_a_SOURCES = \
	%D%/assertion.c %D%/assertion.h \
	%D%/client.c %D%/client.h \
	%D%/digest.c %D%/digest.h \
	%D%/exchange.c %D%/exchange.h \
	%D%/failures.c %D%/failures.h \
	%D%/helper.c %D%/helper.h \
	%D%/login.c %D%/login.h \
	%D%/login_client.h \
	%D%/mechanism.c %D%/mechanism.h \
	%D%/sasl.h %D%/sasl_cyrus.c %D%/sasl_cyrus_client.c \
	%D%/sasl_memory.c %D%/sasl_memory.h \
	%D%/settings.c %D%/settings.h \
	%D%/store.c %D%/store.h \
	%D%/user_set.c \
	%D%/users_file.c %D%/users_file.h \
	%D%/verifier.c %D%/verifier.h \
	%D%/wire.c %D%/wire.h
relayd_libauth_a_CFLAGS = $(AM_CFLAGS) $(OPENSSL_CFLAGS) $(SASL_CFLAGS)
