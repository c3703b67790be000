#!/bin/sh
# SPDX-License-Identifier: ISC
# What fail2ban reads in our log: the addresses of guesses, and none that a guesser wrote there.
set -eu
here=${srcdir:-.}
command -v fail2ban-regex >/dev/null || {
	echo "fail2ban is not installed"
	exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# as installed: beside fail2ban's common.conf
cp /etc/fail2ban/filter.d/common.conf "$here/contrib/fail2ban/relayd.conf" "$work"
for form in own syslog; do
	"${abs_builddir:-.}/tests/auth/failure_lines" $form 2>"$work/log"
	fail2ban-regex --out ip "$work/log" "$work/relayd.conf" |
		sort >"$work/found"
	printf '192.0.2.1\n192.0.2.1\n2001:db8::1\n' >"$work/expected"
	cmp "$work/found" "$work/expected" || {
		cat "$work/log" "$work/found"
		exit 1
	}
done
