# SPDX-License-Identifier: ISC
dist_man_MANS += docs/man/relayctl.8 docs/man/relayd.8 docs/man/relayd-sendmail.8 docs/man/relayd.conf.5
EXTRA_DIST += docs/postfix-differences.md docs/proxy.md
EXTRA_DIST += docs/architecture.md docs/benchmarks.md docs/dependencies.md docs/limits.md docs/logins.md docs/metrics.md docs/policy.md docs/tls.md
# docs/delivery.md, queue.md, smtp.md and spool.md are named beside the code that they describe
EXTRA_DIST += contrib/check contrib/deps contrib/quickstart contrib/relayd.service .ci/run

# Samples; installed beside the documentation, so that no configuration is overwritten.
exampledir = $(docdir)/examples
dist_example_DATA = etc/relayd.conf etc/relayd-minimal.conf
exampleroutesdir = $(exampledir)/routes
dist_exampleroutes_DATA = etc/routes/amazon-ses.conf etc/routes/exchange.conf \
	etc/routes/google-workspace.conf etc/routes/microsoft365.conf \
	etc/routes/microsoft365-connector.conf etc/routes/microsoft-hve.conf
