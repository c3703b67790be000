# SPDX-License-Identifier: ISC
noinst_LIBRARIES += relayd/libdelivery.a
relayd_libdelivery_a_SOURCES = \
	%D%/body_source.c %D%/body_source.h \
	%D%/bounce.c %D%/bounce.h \
	%D%/courier.c %D%/courier.h \
	%D%/dane.c %D%/dane.h \
	%D%/delivery.c %D%/delivery.h %D%/delivery_private.h \
	%D%/destination.c %D%/destination.h \
	%D%/detour.c %D%/detour.h \
	%D%/dispatch.c %D%/dispatch.h \
	%D%/handover.c %D%/handover.h \
	%D%/maildir.c %D%/maildir.h \
	%D%/message.c \
	%D%/mx.c %D%/mx.h \
	%D%/next_hop.c %D%/next_hop.h \
	%D%/operation.c %D%/operation.h \
	%D%/passage.c %D%/passage.h \
	%D%/queued.c %D%/queued.h \
	%D%/rates.c %D%/rates.h \
	%D%/report.c %D%/report.h \
	%D%/rewrite.c %D%/rewrite.h \
	%D%/route.c %D%/route.h \
	%D%/scheduler.c %D%/scheduler.h \
	%D%/selection.c %D%/selection.h \
	%D%/share.c %D%/share.h \
	%D%/smtp_client.c %D%/smtp_client.h \
	%D%/sts.c %D%/sts.h %D%/sts_policy.c %D%/sts_policy.h \
	%D%/state.c %D%/state.h \
	%D%/token.c %D%/token.h %D%/token_login.c %D%/token_login.h \
	%D%/upstream.c %D%/upstream.h
EXTRA_DIST += docs/delivery.md docs/queue.md
