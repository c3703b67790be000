# SPDX-License-Identifier: ISC
TESTS += tests/layers/includes.sh
EXTRA_DIST += tests/layers/includes_test tests/layers/includes.sh
