# SPDX-License-Identifier: ISC
# One target for each parser. Configured with --enable-fuzzing they are libFuzzer programs
# (`make fuzzers`); otherwise replay.c feeds them their corpus in `make check`.
FUZZ_LIBS = relayd/libconfig.a relayd/libdelivery.a relayd/libsession.a relayd/libaudit.a relayd/libauth.a \
	relayd/libpolicy.a relayd/libspool.a relayd/libnet.a relayd/libsmtp.a relayd/libbase.a \
	$(CONFUSE_LIBS) $(UNBOUND_LIBS) $(REDIS_LIBS) $(JANSSON_LIBS) $(IDN_LIBS) $(SASL_LIBS) \
	$(OPENSSL_LIBS)
FUZZ_TARGETS =
EXTRA_PROGRAMS += $(FUZZ_TARGETS)
EXTRA_DIST += tests/fuzz/run tests/fuzz/corpus.sh tests/fuzz/corpus tests/smtp/reference.h

if FUZZING
FUZZ_REPLAYS =
FUZZ_MAIN =
FUZZ_FLAGS = -fsanitize=fuzzer
else
FUZZ_REPLAYS = $(FUZZ_TARGETS)
FUZZ_MAIN = %D%/replay.c
FUZZ_FLAGS =
TESTS += tests/fuzz/corpus.sh
endif

.PHONY: fuzzers
fuzzers: $(FUZZ_TARGETS)

FUZZ_TARGETS += tests/fuzz/address_fuzz
tests_fuzz_address_fuzz_SOURCES = %D%/address_fuzz.c $(FUZZ_MAIN)
tests_fuzz_address_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_address_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/command_line_fuzz
tests_fuzz_command_line_fuzz_SOURCES = %D%/command_line_fuzz.c $(FUZZ_MAIN)
tests_fuzz_command_line_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_command_line_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/config_fuzz
tests_fuzz_config_fuzz_SOURCES = %D%/config_fuzz.c $(FUZZ_MAIN)
tests_fuzz_config_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_config_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/data_stream_fuzz
tests_fuzz_data_stream_fuzz_SOURCES = %D%/data_stream_fuzz.c $(FUZZ_MAIN)
tests_fuzz_data_stream_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_data_stream_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/dns_fuzz
tests_fuzz_dns_fuzz_SOURCES = %D%/dns_fuzz.c $(FUZZ_MAIN)
tests_fuzz_dns_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_dns_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/envelope_fuzz
tests_fuzz_envelope_fuzz_SOURCES = %D%/envelope_fuzz.c $(FUZZ_MAIN)
tests_fuzz_envelope_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_envelope_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/header_block_fuzz
tests_fuzz_header_block_fuzz_SOURCES = %D%/header_block_fuzz.c $(FUZZ_MAIN)
tests_fuzz_header_block_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_header_block_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/pattern_fuzz
tests_fuzz_pattern_fuzz_SOURCES = %D%/pattern_fuzz.c $(FUZZ_MAIN)
tests_fuzz_pattern_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_pattern_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/proxy_header_fuzz
tests_fuzz_proxy_header_fuzz_SOURCES = %D%/proxy_header_fuzz.c $(FUZZ_MAIN)
tests_fuzz_proxy_header_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_proxy_header_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/reply_parser_fuzz
tests_fuzz_reply_parser_fuzz_SOURCES = %D%/reply_parser_fuzz.c $(FUZZ_MAIN)
tests_fuzz_reply_parser_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_reply_parser_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/segment_fuzz
tests_fuzz_segment_fuzz_SOURCES = %D%/segment_fuzz.c $(FUZZ_MAIN)
tests_fuzz_segment_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_segment_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/session_fuzz
tests_fuzz_session_fuzz_SOURCES = %D%/session_fuzz.c $(FUZZ_MAIN)
tests_fuzz_session_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_session_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/audit_record_fuzz
tests_fuzz_audit_record_fuzz_SOURCES = %D%/audit_record_fuzz.c $(FUZZ_MAIN)
tests_fuzz_audit_record_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_audit_record_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/delivery_state_fuzz
tests_fuzz_delivery_state_fuzz_SOURCES = %D%/delivery_state_fuzz.c $(FUZZ_MAIN)
tests_fuzz_delivery_state_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_delivery_state_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/rewrite_fuzz
tests_fuzz_rewrite_fuzz_SOURCES = %D%/rewrite_fuzz.c $(FUZZ_MAIN)
tests_fuzz_rewrite_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_rewrite_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/smtp_client_fuzz
tests_fuzz_smtp_client_fuzz_SOURCES = %D%/smtp_client_fuzz.c $(FUZZ_MAIN)
tests_fuzz_smtp_client_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_smtp_client_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/auth_exchange_fuzz
tests_fuzz_auth_exchange_fuzz_SOURCES = %D%/auth_exchange_fuzz.c $(FUZZ_MAIN)
tests_fuzz_auth_exchange_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_auth_exchange_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/auth_line_fuzz
tests_fuzz_auth_line_fuzz_SOURCES = %D%/auth_line_fuzz.c $(FUZZ_MAIN)
tests_fuzz_auth_line_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_auth_line_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/submission_fuzz
tests_fuzz_submission_fuzz_SOURCES = %D%/submission_fuzz.c $(FUZZ_MAIN)
tests_fuzz_submission_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_submission_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/sts_policy_fuzz
tests_fuzz_sts_policy_fuzz_SOURCES = %D%/sts_policy_fuzz.c $(FUZZ_MAIN)
tests_fuzz_sts_policy_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_sts_policy_fuzz_LDADD = $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/token_reply_fuzz
tests_fuzz_token_reply_fuzz_SOURCES = %D%/token_reply_fuzz.c $(FUZZ_MAIN)
tests_fuzz_token_reply_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_token_reply_fuzz_LDADD = relayd/libdaemon.a $(FUZZ_LIBS)

FUZZ_TARGETS += tests/fuzz/users_file_fuzz
tests_fuzz_users_file_fuzz_SOURCES = %D%/users_file_fuzz.c $(FUZZ_MAIN)
tests_fuzz_users_file_fuzz_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_FLAGS)
tests_fuzz_users_file_fuzz_LDADD = $(FUZZ_LIBS)
