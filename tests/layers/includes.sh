#!/bin/sh
# SPDX-License-Identifier: ISC
# The includes of the whole tree, checked; and the checker itself, with a tree that is wrong.
set -eu
here=${srcdir:-.}
"$here/tests/layers/includes_test" "$here/relayd"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/base" "$work/smtp"
echo '#include "smtp/address.h"' >"$work/base/span.c"
echo '#include "base/span.h"' >"$work/smtp/address.c"
if "$here/tests/layers/includes_test" "$work" >"$work/out"; then
	echo "an upward include was not noticed"
	exit 1
fi
grep -q 'base/span.c:1: base may not include smtp/address.h' "$work/out"
