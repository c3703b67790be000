# SPDX-License-Identifier: ISC
# The whole program, on loopback, as clients and administrators see it.
SYSTEM_TESTS += \
	tests/dialogs/auth_sql_test.py \
	tests/dialogs/auth_test.py \
	tests/dialogs/bounce_test.py \
	tests/dialogs/clients_test.py \
	tests/dialogs/cut_through_test.py \
	tests/dialogs/dialogs_test.py \
	tests/dialogs/limits_test.py \
	tests/dialogs/main_job_test.py \
	tests/dialogs/metrics_test.py \
	tests/dialogs/mx_test.py \
	tests/dialogs/oauth_test.py \
	tests/dialogs/pickup_test.py \
	tests/dialogs/policy_test.py \
	tests/dialogs/postfix_differential_test.py \
	tests/dialogs/proxy_test.py \
	tests/dialogs/proxy_tls_test.py \
	tests/dialogs/queue_test.py \
	tests/dialogs/quickstart_test.py \
	tests/dialogs/reasons_test.py \
	tests/dialogs/routes_test.py \
	tests/dialogs/secure_clients_test.py \
	tests/dialogs/supervisor_test.py \
	tests/dialogs/tls_test.py \
	tests/dialogs/upstream_test.py \
	tests/dialogs/whole_policy_test.py

# A client of TLS that tells its channel binding.
check_PROGRAMS += tests/dialogs/exporter_client
tests_dialogs_exporter_client_SOURCES = %D%/exporter_client.c
tests_dialogs_exporter_client_CFLAGS = $(OPENSSL_CFLAGS)
tests_dialogs_exporter_client_LDADD = $(OPENSSL_LIBS)

EXTRA_DIST += \
	tests/dialogs/bytes.dialog \
	tests/dialogs/chunking.dialog \
	tests/dialogs/commands.dialog \
	tests/dialogs/errors.dialog \
	tests/dialogs/harness.py \
	tests/dialogs/hello.dialog \
	tests/dialogs/http.dialog \
	tests/dialogs/limits.dialog \
	tests/dialogs/normalise.dialog \
	tests/dialogs/order.dialog \
	tests/dialogs/refused.dialog \
	tests/dialogs/relayed.dialog \
	tests/dialogs/smuggling.dialog \
	tests/dialogs/stranger.dialog \
	tests/dialogs/syntax.dialog
