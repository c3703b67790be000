# SPDX-License-Identifier: ISC
dist_man_MANS += docs/man/relayctl.8 docs/man/relayd.8 docs/man/relayd.conf.5
EXTRA_DIST += docs/dependencies.md docs/tls.md

# Samples; installed beside the documentation, so that no configuration is overwritten.
exampledir = $(docdir)/examples
dist_example_DATA = etc/relayd.conf etc/relayd-minimal.conf
