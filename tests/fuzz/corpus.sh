#!/bin/sh
# SPDX-License-Identifier: ISC
# Every fuzz target with its corpus; a target without one is not finished.
set -eu
here=${srcdir:-.}
failed=0
for target in "${abs_builddir:-.}"/tests/fuzz/*_fuzz; do
	name=$(basename "$target" _fuzz)
	printf '%s: ' "$name"
	"$target" "$here/tests/fuzz/corpus/$name" || failed=1
done
exit $failed
