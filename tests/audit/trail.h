/* SPDX-License-Identifier: ISC */
/* What the suites of the audit trail share: a state directory, a session, reading a file. */
#ifndef RELAYD_TESTS_AUDIT_TRAIL_H
#define RELAYD_TESTS_AUDIT_TRAIL_H

#include "audit/audit.h"
#include "base/id.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define T0 INT64_C(1795375203123) /* 2026-11-22T19:20:03.123Z */

/* A state directory of the test's own; ends with the process's temporary files. */
struct trail_place {
	char state[256];
	char file[512];
	char audit[512];
};

static inline void
place_make(struct trail_place *p)
{
	const char *parent = getenv("TMPDIR");

	(void)snprintf(p->state, sizeof(p->state), "%s/relayd-audit-XXXXXX",
		       parent == NULL ? "/tmp" : parent);
	ck_assert_ptr_nonnull(mkdtemp(p->state));
	(void)snprintf(p->audit, sizeof(p->audit), "%s/audit", p->state);
	(void)snprintf(p->file, sizeof(p->file), "%s/audit/audit.jsonl", p->state);
}

static inline void
place_remove(struct trail_place *p)
{
	static const char *const names[] = { "audit.jsonl", "audit.jsonl.1", "audit.jsonl.2",
					     "audit.jsonl.3.gz", "audit.jsonl-20260101",
					     "notes.txt" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[1024];

		(void)snprintf(path, sizeof(path), "%s/%s", p->audit, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(p->audit);
	(void)rmdir(p->state);
}

/* The whole file as a heap text; its octets in *len. */
static inline char *
file_text(const char *path, size_t *len)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 64U << 20);

	ck_assert_ptr_nonnull(in);
	ck_assert_ptr_nonnull(text);
	*len = fread(text, 1, (64U << 20) - 1, in);
	(void)fclose(in);
	return text;
}

static inline void
file_append(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0640);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
}

static const struct log quiet = { .who = NULL };

static inline struct audit *
trail_open(const struct trail_place *p)
{
	struct fault fault;
	struct audit *audit = audit_open(p->state, "00112233445566aa", &quiet, &fault);

	ck_assert_msg(audit != NULL, "%s", audit == NULL ? fault_text(&fault) : "");
	return audit;
}

static inline struct ip_endpoint
endpoint_of(const char *text)
{
	struct ip_endpoint endpoint;

	ck_assert_int_eq(ip_endpoint_parse(span_of(text), &endpoint), PARSE_OK);
	return endpoint;
}

/* The session and the attempt of docs/architecture.md. */
static inline struct audit_session
session_sample(void)
{
	return (struct audit_session){
		.id = "7F3K2M9",
		.connector = span_of("internal-apps"),
		.client = endpoint_of("10.20.1.7:51612"),
		.local = endpoint_of("10.0.0.2:25"),
		.ptr = span_of("app7.example.com"),
		.helo = span_of("app7"),
		.tls_version = span_of("TLSv1.3"),
		.tls_cipher = span_of("TLS_AES_256_GCM_SHA384"),
		.tls_client = span_of("dns:billing.example.com"),
		.user = span_of("billing"),
		.mechanism = span_of("SCRAM-SHA-256"),
	};
}

static inline struct audit_attempt
attempt_sample(void)
{
	return (struct audit_attempt){
		.id = "7F3K2M9Q",
		.wall_ms = T0,
		.from = span_of("invoices@example.com"),
		.has_from = true,
		.to = span_of("ap@partner.example"),
		.header_from = span_of("invoices@example.com"),
		.message_id = span_of("<1@app7>"),
		.size_octets = 4096,
		.verdict = VERDICT_REFUSED,
		.stage = STAGE_SENDER,
		.reason = REASON_SENDER_NOT_AUTHORIZED,
		.grant = span_of("billing"),
		.file = "/etc/relayd/relayd.conf",
		.line = 41,
		.reply = span_of("550 5.7.367 Sender not authorized for relay [7F3K2M9Q]"),
		.detail = span_of("grant billing allows senders @billing.example.com; got "
				  "invoices@example.com"),
	};
}

static inline struct audit_delivery
delivery_sample(void)
{
	return (struct audit_delivery){
		.id = "7F3K2M9Q",
		.wall_ms = T0 + 400,
		.route = span_of("smarthost"),
		.next_hop = span_of("mx1.example.com:25"),
		.peer = endpoint_of("192.0.2.1:25"),
		.from = span_of("invoices@example.com"),
		.to = span_of("ap@partner.example"),
		.result = "delivered",
		.reply = span_of("250 2.0.0 Ok: queued as X1"),
		.queued_ms = 400,
		.tries = 1,
	};
}

#endif
