# SPDX-License-Identifier: ISC
SYSTEM_TESTS += tests/crash/crash_test.py tests/crash/faults_test.py
EXTRA_DIST += tests/crash/upstream.py
