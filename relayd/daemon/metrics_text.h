/* SPDX-License-Identifier: ISC */
/* The daemon's status in the text format of Prometheus (version 0.0.4). */
#ifndef RELAYD_DAEMON_METRICS_TEXT_H
#define RELAYD_DAEMON_METRICS_TEXT_H

#include "base/buffer.h"
#include "base/fault.h"

#define METRICS_OCTETS_MAX ((size_t)64 << 20)

/*
 * Append the figures of a status (the control socket's answer, one object of JSON). False and
 * *fault when it is none, or when they do not fit. docs/metrics.md lists them.
 */
bool metrics_text(struct span status, struct buffer *out, struct fault *fault);

#endif
