/* SPDX-License-Identifier: ISC */
/* The story of an attempt, with and without a policy to ask today. */
#include "audit/story.h"

#include "audit/trail.h"
#include "suite.h"

#include <jansson.h>

static struct trail_place place;
static struct policy *policy;
static struct arena arena;
static struct story_list list;

static void
complain(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	(void)context;
	(void)line;
	if (is_error)
		ck_abort_msg("%s: %s", file, text);
}

/* A policy of one connector and the grant billing, whose senders are given. */
static struct policy *
policy_make(const char *sender_pattern)
{
	static const struct span ranges[] = { SPAN_LITERAL("10.20.0.0/16") };
	static const struct span networks[] = { SPAN_LITERAL("10.20.1.0/24") };
	static const struct span recipients[] = { SPAN_LITERAL("*") };
	static struct span senders[1];
	static struct ip_endpoint binding;
	struct connector_source connector = {
		.name = span_of("internal-apps"), .bindings = &binding, .binding_count = 1,
		.remote_ranges = { ranges, 1 }, .tls = TLS_OFFERED, .file = "relayd.conf",
		.line = 20,
	};
	struct grant_source grant = {
		.name = span_of("billing"), .owner = span_of("finance-it@example.com"),
		.ticket = span_of("CHG-1042"), .networks = { networks, 1 },
		.senders = { senders, 1 }, .recipients = { recipients, 1 },
		.file = "relayd.conf", .line = 41,
	};
	struct policy_source source = { .connectors = &connector, .connector_count = 1,
					.grants = &grant, .grant_count = 1 };

	senders[0] = span_of(sender_pattern);
	ck_assert_int_eq(ip_endpoint_parse(span_of("10.0.0.2:25"), &binding), PARSE_OK);
	struct policy *made = policy_new(&source, complain, NULL);

	ck_assert_ptr_nonnull(made);
	return made;
}

static void
setup(void)
{
	place_make(&place);
	arena_init(&arena, 0);
	policy = policy_make("@billing.example.com");
}

static void
teardown(void)
{
	policy_free(&policy);
	arena_reset(&arena);
	place_remove(&place);
}

/* Refused for its sender; then permitted for two recipients, one of which had to wait. */
static void
trail_fill(void)
{
	char hash[17];
	struct fault fault;
	struct audit_session session = session_sample();
	struct audit_attempt attempt = attempt_sample();
	struct audit_delivery delivery = delivery_sample();

	policy_hash(policy, hash);
	struct audit *audit = audit_open(place.state, hash, &quiet, &fault);

	ck_assert_ptr_nonnull(audit);
	attempt.id = "7F3K2M91";
	audit_attempt(audit, &session, &attempt);

	attempt = (struct audit_attempt){
		.id = "7F3K2M92", .wall_ms = T0 + 10000, .has_from = true,
		.from = span_of("invoices@billing.example.com"), .to = span_of("a@partner.example"),
		.verdict = VERDICT_RELAYED, .stage = STAGE_PERMITTED, .reason = REASON_NONE,
		.grant = span_of("billing"), .file = "/etc/relayd/relayd.conf", .line = 41,
		.reply = span_of("250 2.1.5 Ok"),
	};
	audit_attempt(audit, &session, &attempt);
	attempt.id = "7F3K2M92.2";
	attempt.to = span_of("b@partner.example");
	attempt.wall_ms += 5;
	audit_attempt(audit, &session, &attempt);

	delivery.id = "7F3K2M92";
	delivery.wall_ms = T0 + 11000;
	delivery.to = span_of("a@partner.example");
	audit_delivery(audit, &delivery);
	delivery.to = span_of("b@partner.example");
	delivery.result = "deferred";
	delivery.reply = span_of("450 4.2.1 mailbox busy\x1b[2J");
	delivery.next_wall_ms = T0 + 71000;
	audit_delivery(audit, &delivery);
	delivery.result = "delivered";
	delivery.reply = span_of("250 2.0.0 Ok");
	delivery.tries = 2;
	delivery.queued_ms = 61000;
	delivery.wall_ms = T0 + 71000;
	delivery.next_wall_ms = 0;
	audit_delivery(audit, &delivery);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
}

static size_t
stories_of(const char *id)
{
	struct audit_tally tally;
	struct fault fault;

	ck_assert(story_find(place.state, span_of(id), &arena, &list, &tally, &fault));
	return list.count;
}

static void
told_expect(const struct story *story, const struct policy *asked, const char *expected)
{
	const struct story_context context = { .policy = asked, .now_wall_ms = T0 + 99000 };
	struct buffer out;

	buffer_init(&out, 1U << 20);
	story_tell(story, &context, &out);
	ck_assert_str_eq(buffer_text(&out), expected);
	buffer_reset(&out);
}

START_TEST(a_refusal_is_told_with_the_cure)
{
	trail_fill();
	ck_assert_uint_eq(stories_of("[7f3k2m91]"), 1);
	told_expect(
	    &list.stories[0], policy,
	    "7F3K2M91  refused  2026-11-22T19:20:03.123Z\n"
	    "Client        10.20.1.7 (app7.example.com), which called itself app7, on connector\n"
	    "              internal-apps at 10.0.0.2:25\n"
	    "Login         billing, by SCRAM-SHA-256\n"
	    "TLS           TLSv1.3, TLS_AES_256_GCM_SHA384, client certificate "
	    "dns:billing.example.com\n"
	    "Tried         from <invoices@example.com> to <ap@partner.example>\n"
	    "Message       From: invoices@example.com, Message-ID: <1@app7>, 4096 octets\n"
	    "Decision      refused for good\n"
	    "Reason        sender.not-authorized: The client may relay, but not with this envelope\n"
	    "              sender (MAIL FROM).\n"
	    "Check         the envelope sender\n"
	    "Because       grant billing allows senders @billing.example.com; got "
	    "invoices@example.com\n"
	    "Reply         550 5.7.367 Sender not authorized for relay [7F3K2M9Q]\n"
	    "Nearest grant billing (relayd.conf:41), owner finance-it@example.com, ticket CHG-1042\n"
	    "Today         the same policy is still in force\n"
	    "Remedy        add \"invoices@example.com\" to grant \"billing\" (relayd.conf:41), option\n"
	    "              senders\n");
}
END_TEST

START_TEST(without_a_policy_the_reason_speaks_for_itself)
{
	struct buffer out;
	const struct story_context context = { .policy = NULL };

	trail_fill();
	ck_assert_uint_eq(stories_of("7F3K2M91"), 1);
	buffer_init(&out, 1U << 20);
	story_tell(&list.stories[0], &context, &out);
	const char *text = buffer_text(&out);

	ck_assert_ptr_nonnull(strstr(text, "Nearest grant billing (relayd.conf:41)\n"));
	ck_assert_ptr_nonnull(strstr(text, "Remedy        "));
	ck_assert_ptr_null(strstr(text, "Today"));
	buffer_reset(&out);
}
END_TEST

START_TEST(a_changed_policy_is_noticed)
{
	struct policy *wider = policy_make("@example.com");
	const struct story_context context = { .policy = wider, .now_wall_ms = T0 };
	struct story_today today;
	struct buffer out;

	trail_fill();
	buffer_init(&out, 1U << 20);
	ck_assert_uint_eq(stories_of("7F3K2M91"), 1);
	story_decide_again(&list.stories[0], &context, &arena, &today);
	ck_assert(today.is_known && !today.is_same_policy);
	ck_assert_int_eq(today.verdict.kind, VERDICT_RELAYED);
	story_tell(&list.stories[0], &context, &out);
	ck_assert_ptr_nonnull(strstr(
	    buffer_text(&out), "Today         today's policy would permit it, under grant billing\n"));
	ck_assert_ptr_null(strstr(buffer_text(&out), "Remedy"));

	/* and the other way round: what was relayed would be refused */
	ck_assert_uint_eq(stories_of("7F3K2M92.2"), 1);
	buffer_clear(&out);
	story_tell(&list.stories[0], &context, &out);
	ck_assert_ptr_nonnull(strstr(buffer_text(&out),
				     "Today         today's policy would refuse it: "));
	buffer_reset(&out);
	policy_free(&wider);
}
END_TEST

START_TEST(deliveries_belong_to_their_recipient)
{
	trail_fill();
	ck_assert_uint_eq(stories_of("7F3K2M92.2"), 1);
	told_expect(
	    &list.stories[0], policy,
	    "7F3K2M92.2  relayed  2026-11-22T19:20:13.128Z\n"
	    "Client        10.20.1.7 (app7.example.com), which called itself app7, on connector\n"
	    "              internal-apps at 10.0.0.2:25\n"
	    "Login         billing, by SCRAM-SHA-256\n"
	    "TLS           TLSv1.3, TLS_AES_256_GCM_SHA384, client certificate "
	    "dns:billing.example.com\n"
	    "Tried         from <invoices@billing.example.com> to <b@partner.example>\n"
	    "Decision      relayed: accepted for delivery\n"
	    "Reply         250 2.1.5 Ok\n"
	    "Grant         billing (relayd.conf:41), owner finance-it@example.com, ticket CHG-1042\n"
	    "Delivery      2026-11-22T19:20:14.123Z deferred at mx1.example.com:25 (192.0.2.1:25),\n"
	    "              route smarthost, try 1, 0.4s after it was accepted: 450 4.2.1 mailbox\n"
	    "              busy\\x1b[2J; next try 2026-11-22T19:21:14.123Z\n"
	    "Delivery      2026-11-22T19:21:14.123Z delivered at mx1.example.com:25 (192.0.2.1:25),\n"
	    "              route smarthost, try 2, 1m 1s after it was accepted: 250 2.0.0 Ok\n");
}
END_TEST

START_TEST(a_session_has_all_its_stories_newest_first)
{
	static const char *const ids[] = { "7F3K2M92.2", "7F3K2M92", "7F3K2M91" };

	trail_fill();
	ck_assert_uint_eq(stories_of("7F3K2M9"), ARRAY_LEN(ids));
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_assert(span_equal(list.stories[i].decision->id, span_of(ids[i])));
	ck_assert_uint_eq(list.stories[0].delivery_count, 2);
	ck_assert_uint_eq(list.stories[1].delivery_count, 1);
	ck_assert_uint_eq(list.stories[2].delivery_count, 0);
	ck_assert_uint_eq(stories_of("7F3K2M92"), 2); /* a transaction: both recipients */
}
END_TEST

START_TEST(deliveries_without_their_decision_are_told_all_the_same)
{
	struct audit *audit = trail_open(&place);
	struct audit_delivery delivery = delivery_sample();
	struct buffer out;
	const struct story_context context = { .policy = policy };

	audit_delivery(audit, &delivery);
	delivery.to = span_of("other@partner.example");
	audit_delivery(audit, &delivery);
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	ck_assert_uint_eq(stories_of("7F3K2M9Q"), 2);
	buffer_init(&out, 1U << 20);
	story_tell(&list.stories[0], &context, &out);
	ck_assert_ptr_nonnull(strstr(buffer_text(&out), "no longer in the trail"));
	ck_assert_ptr_nonnull(strstr(buffer_text(&out), "delivered at mx1.example.com:25"));
	buffer_reset(&out);
}
END_TEST

START_TEST(a_client_turned_away_has_a_story_too)
{
	struct audit *audit = trail_open(&place);
	struct audit_session session = { .id = "AAAAAAA",
					 .client = endpoint_of("192.0.2.9:4711"),
					 .local = endpoint_of("10.0.0.2:25") };
	struct buffer out;
	const struct story_context context = { .policy = policy };

	audit_connect(audit, &session, T0, REASON_CONNECTION_NO_CONNECTOR,
		      span_of("421 4.3.2 Service not available [AAAAAAA]"), span_of(""));
	ck_assert(audit_flush(audit));
	audit_close(&audit);
	ck_assert_uint_eq(stories_of("AAAAAAA"), 1);
	buffer_init(&out, 1U << 20);
	story_tell(&list.stories[0], &context, &out);
	ck_assert_ptr_nonnull(strstr(buffer_text(&out), "Client        192.0.2.9 at 10.0.0.2:25\n"));
	ck_assert_ptr_nonnull(strstr(buffer_text(&out), "before any grant was asked\n"));
	ck_assert_ptr_nonnull(strstr(buffer_text(&out), "Remedy        "));
	buffer_reset(&out);
}
END_TEST

START_TEST(an_unknown_id_has_no_story)
{
	static const char *const ids[] = { "ZZZZZZZZ", "", "7F3K2M", "7F3K2M91.7.7", "%n", "]" };

	trail_fill();
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_assert_uint_eq(stories_of(ids[i]), 0);
}
END_TEST

START_TEST(the_story_for_programs_is_json)
{
	const struct story_context context = { .policy = policy, .now_wall_ms = T0 };
	struct buffer out;
	struct json j = json_on(&out);
	json_error_t error;

	trail_fill();
	ck_assert_uint_eq(stories_of("7F3K2M9"), 3);
	buffer_init(&out, 1U << 20);
	json_array_begin(&j, NULL);
	for (size_t i = 0; i < list.count; i++)
		story_write_json(&list.stories[i], &context, &j);
	json_array_end(&j);
	json_t *root = json_loadb(out.ptr, out.len, 0, &error);

	ck_assert_msg(root != NULL, "%s", error.text);
	ck_assert_uint_eq(json_array_size(root), 3);
	const json_t *refused = json_array_get(root, 2);
	const json_t *today = json_object_get(refused, "today");

	ck_assert_str_eq(json_string_value(json_object_get(today, "reason")),
			 "sender.not-authorized");
	ck_assert(json_is_true(json_object_get(today, "same_policy")));
	ck_assert_ptr_nonnull(json_object_get(today, "remedy"));
	ck_assert_uint_eq(
	    json_array_size(json_object_get(json_array_get(root, 0), "deliveries")), 2);
	json_decref(root);
	buffer_reset(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit story");
	TCase *tc = tcase_create("story");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_refusal_is_told_with_the_cure);
	tcase_add_test(tc, without_a_policy_the_reason_speaks_for_itself);
	tcase_add_test(tc, a_changed_policy_is_noticed);
	tcase_add_test(tc, deliveries_belong_to_their_recipient);
	tcase_add_test(tc, a_session_has_all_its_stories_newest_first);
	tcase_add_test(tc, deliveries_without_their_decision_are_told_all_the_same);
	tcase_add_test(tc, a_client_turned_away_has_a_story_too);
	tcase_add_test(tc, an_unknown_id_has_no_story);
	tcase_add_test(tc, the_story_for_programs_is_json);
	suite_add_tcase(suite, tc);

	return suite_main(suite);
}
