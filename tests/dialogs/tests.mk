# SPDX-License-Identifier: ISC
# The whole program, on loopback, as clients and administrators see it.
SYSTEM_TESTS += \
	tests/dialogs/clients_test.py \
	tests/dialogs/dialogs_test.py \
	tests/dialogs/main_job_test.py \
	tests/dialogs/supervisor_test.py
EXTRA_DIST += tests/dialogs/harness.py
