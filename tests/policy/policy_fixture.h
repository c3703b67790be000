/* SPDX-License-Identifier: ISC */
/* What the suites of the policy share: lists, complaints and addresses written shortly. */
#ifndef RELAYD_TESTS_POLICY_FIXTURE_H
#define RELAYD_TESTS_POLICY_FIXTURE_H

#include "suite.h"

#include "policy/policy.h"

/* S("x") inside LIST(): a span. LIST lives as long as the block it stands in. */
#define S(text) { (text), sizeof(text) - 1 }
#define LIST(...)                                                                             \
	((struct text_list){                                                                  \
	    .items = (const struct span[]){ __VA_ARGS__ },                                    \
	    .count = sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span),      \
	})

/* As ck_assert, which tells its parent of every call: too slow for a million of them. */
#define REQUIRE(condition)                                                                    \
	do {                                                                                  \
		if (!(condition))                                                             \
			ck_abort_msg("%s", #condition);                                       \
	} while (0)

/* Everything that was complained of, a line each: "error relayd.conf:12 text". */
struct complaints {
	struct buffer text;
	unsigned errors;
	unsigned warnings;
};

static inline void
complaint_note(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	struct complaints *all = context;

	all->errors += is_error;
	all->warnings += !is_error;
	(void)buffer_printf(&all->text, "%s %s:%u %s\n", is_error ? "error" : "warning",
			    file == NULL ? "-" : file, line, text);
}

static inline void
complaints_init(struct complaints *all)
{
	*all = (struct complaints){ .errors = 0 };
	buffer_init(&all->text, 1U << 20);
}

/* Compile, expecting no error. */
static inline struct policy *
policy_make(const struct policy_source *source)
{
	struct complaints all;

	complaints_init(&all);
	struct policy *policy = policy_new(source, complaint_note, &all);

	ck_assert_msg(policy != NULL, "%s", buffer_text(&all.text));
	ck_assert_uint_eq(all.errors, 0);
	buffer_reset(&all.text);
	return policy;
}

/* The address; a test that writes a bad one is wrong. */
static inline struct address
address_of(const char *text)
{
	struct address address = { .is_literal = false };

	if (text[0] == '\0')
		return address;
	if (span_equal_fold(span_of(text), span_of("postmaster"))) {
		address.text = address.local = span_of(text);
		return address;
	}
	REQUIRE(mailbox_parse(span_of(text), &address) == PARSE_OK);
	return address;
}

static inline struct ip
ip_of(const char *text)
{
	struct ip ip;

	REQUIRE(ip_parse(span_of(text), &ip) == PARSE_OK);
	return ip;
}

static inline struct ip_endpoint
endpoint_of(const char *text)
{
	struct ip_endpoint endpoint;

	ck_assert_msg(ip_endpoint_parse(span_of(text), &endpoint) == PARSE_OK, "%s", text);
	return endpoint;
}

/* A grant that permits everything to everybody, to be narrowed by a test. */
static inline struct grant_source
grant_any(const char *name, unsigned line)
{
	static const struct span star[] = { S("*") };

	return (struct grant_source){
		.name = span_of(name),
		.senders = { star, 1 },
		.recipients = { star, 1 },
		.is_open_relay_accepted = true,
		.file = "relayd.conf",
		.line = line,
	};
}

#endif
