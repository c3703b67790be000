# SPDX-License-Identifier: ISC
SYSTEM_TESTS += tests/crash/crash_test.py
