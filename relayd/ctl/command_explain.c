/* SPDX-License-Identifier: ISC */
/*
 * relayctl explain: what the policy says to an attempt that nobody made yet. Asks the same
 * functions as the daemon, of the configuration as it is on disk.
 */
#include "ctl/command.h"

#include "audit/audit.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "ctl/columns.h"

#include <stdlib.h>

#define TEXT_OCTETS_MAX (16U << 20)
#define JSON_OCTETS_MAX (64U << 20)

/* The attempt as it was given. */
struct arguments {
	const char *client, *connector, *local, *user, *from, *to, *header_from, *at;
	struct option_list certificates;
	bool is_tls;
};

/* The attempt as it was understood; facts points to the rest. */
struct attempt {
	struct facts facts;
	struct address sender, recipient, header_from;
	struct span *certificates;
	enum stage upto;
};

/* ---- Understanding the arguments ---- */

static int
mailbox_read(const struct relayctl *ctl, const char *option, const char *text,
	     struct address *address)
{
	struct span in = span_of(text);

	if (in.len >= 2 && in.ptr[0] == '<' && in.ptr[in.len - 1] == '>')
		in = (struct span){ .ptr = in.ptr + 1, .len = in.len - 2 };
	if (mailbox_parse(in, address) == PARSE_OK)
		return GO_ON;
	return usage_complain(ctl, "%s %s is not a mail address", option, text);
}

static int
sender_read(const struct relayctl *ctl, const char *text, struct address *sender)
{
	*sender = (struct address){ .is_literal = false };
	if (text[0] == '\0' || strcmp(text, "<>") == 0)
		return GO_ON; /* the null reverse-path */
	return mailbox_read(ctl, "--from", text, sender);
}

static int
envelope_read(const struct relayctl *ctl, const struct arguments *a, struct attempt *attempt)
{
	int status = sender_read(ctl, a->from, &attempt->sender);

	attempt->upto = STAGE_SENDER;
	attempt->facts.sender = &attempt->sender;
	if (status == GO_ON && a->to != NULL) {
		status = mailbox_read(ctl, "--to", a->to, &attempt->recipient);
		attempt->facts.recipient = &attempt->recipient;
		attempt->upto = STAGE_RECIPIENT;
	}
	if (status == GO_ON && a->header_from != NULL) {
		status = mailbox_read(ctl, "--header-from", a->header_from,
				      &attempt->header_from);
		attempt->facts.header_from = &attempt->header_from;
		attempt->facts.header_from_count = 1;
		attempt->facts.header_from_result = HEADER_FROM_READ;
		attempt->upto = STAGE_HEADER_FROM;
	}
	return status;
}

static int
attempt_read(const struct relayctl *ctl, const struct arguments *a, struct attempt *attempt)
{
	struct facts *facts = &attempt->facts;

	if (a->client == NULL || a->from == NULL)
		return usage_complain(ctl, "--client and --from are needed");
	if (a->header_from != NULL && a->to == NULL)
		return usage_complain(ctl, "--header-from is looked at after --to, which is not given");
	if (strcmp(a->client, "pickup") == 0)
		facts->client = (struct ip){ { 0 } };
	else if (ip_parse(span_of(a->client), &facts->client) != PARSE_OK)
		return usage_complain(ctl, "--client %s is not an address", a->client);
	facts->now_wall_ms = clock_wall_ms();
	if (a->at != NULL &&
	    time_option_parse(a->at, facts->now_wall_ms, &facts->now_wall_ms) != PARSE_OK)
		return usage_complain(ctl, "--time %s is no time; write 2026-12-31 or "
					   "2026-12-31T08:30", a->at);
	facts->user = span_of(a->user);
	facts->is_tls = a->is_tls || a->certificates.count > 0;
	for (size_t i = 0; i < a->certificates.count; i++)
		attempt->certificates[i] = span_of(a->certificates.items[i]);
	facts->certificates = attempt->certificates;
	facts->certificate_count = a->certificates.count;
	return envelope_read(ctl, a, attempt);
}

/* ---- The connector ---- */

/*
 * Where nothing says at which address the client connects: the first connector in the file
 * that takes it somewhere.
 */
static size_t
connector_guess(const struct policy *policy, const struct ip *client)
{
	size_t first = NO_CONNECTOR;

	for (size_t i = 0; i < policy_connector_count(policy); i++) {
		const struct connector_source *connector = policy_connector(policy, i);

		for (size_t b = 0; b < connector->binding_count; b++) {
			size_t found =
			    policy_connector_find(policy, &connector->bindings[b], client);

			if (found < first)
				first = found;
		}
	}
	return first;
}

static int
connector_choose(const struct relayctl *ctl, const struct arguments *a,
		 struct attempt *attempt)
{
	const struct policy *policy = ctl->settings->policy;
	struct facts *facts = &attempt->facts;
	struct ip_endpoint local;

	if (a->connector != NULL) {
		facts->connector = policy_connector_find_name(policy, span_of(a->connector));
		if (facts->connector == NO_CONNECTOR)
			return usage_complain(ctl, "the configuration has no connector %s",
					      a->connector);
		return GO_ON;
	}
	if (a->local == NULL) {
		facts->connector = connector_guess(policy, &facts->client);
		return GO_ON;
	}
	if (ip_endpoint_parse(span_of(a->local), &local) != PARSE_OK)
		return usage_complain(ctl, "--local %s is no address with a port; write "
					   "10.0.0.2:25 or [::1]:25", a->local);
	facts->connector = policy_connector_find(policy, &local, &facts->client);
	return GO_ON;
}

/* ---- The answer ---- */

/* All that is printed, worked out once. */
struct answer {
	const struct settings *settings;
	const struct attempt *attempt;
	struct verdict verdict;
	struct grant_outcome *outcomes; /* of every grant, nearest first */
	size_t outcome_count;
};

static int
outcome_compare_nearest_first(const void *a, const void *b)
{
	const struct grant_outcome *x = a, *y = b;

	if (x->stage != y->stage)
		return x->stage > y->stage ? -1 : 1;
	return (x->grant > y->grant) - (x->grant < y->grant);
}

static void
answer_make(struct answer *answer)
{
	const struct policy *policy = answer->settings->policy;
	const struct attempt *attempt = answer->attempt;

	if (attempt->facts.connector == NO_CONNECTOR) { /* answered 421 */
		answer->verdict = (struct verdict){ .kind = VERDICT_DEFERRED,
						    .reason = REASON_CONNECTION_NO_CONNECTOR,
						    .stage = STAGE_CONNECTION,
						    .grant = NO_GRANT };
		return;
	}
	answer->verdict = policy_decide(policy, &attempt->facts, attempt->upto);
	answer->outcome_count = policy_grant_count(policy);
	if (answer->outcome_count == 0)
		return;
	answer->outcomes = memory_new_array(answer->outcome_count, sizeof(*answer->outcomes));
	policy_trace(policy, &attempt->facts, attempt->upto, answer->outcomes);
	qsort(answer->outcomes, answer->outcome_count, sizeof(*answer->outcomes),
	      outcome_compare_nearest_first);
}

static bool
is_accepted(const struct verdict *verdict)
{
	return verdict->kind == VERDICT_RELAYED || verdict->kind == VERDICT_WOULD_REFUSE;
}

/* Would the client see a reply of policy? */
static bool
has_reply(const struct verdict *verdict)
{
	return verdict->kind == VERDICT_REFUSED || verdict->kind == VERDICT_DEFERRED;
}

/* "relayd.conf:41" */
static void
place_append(struct buffer *out, const char *file, unsigned line)
{
	const char *slash = file == NULL ? NULL : strrchr(file, '/');

	if (file != NULL)
		buffer_printf(out, "%s:%u", slash == NULL ? file : slash + 1, line);
}

/* Why the grant does not permit; nothing when it does. */
static void
outcome_describe(const struct answer *answer, const struct grant_outcome *outcome,
		 struct buffer *out)
{
	if (outcome->reason != REASON_NONE)
		policy_describe(answer->settings->policy, &answer->attempt->facts,
				outcome->stage, outcome->reason, outcome->grant, out);
}

static void
verdict_describe(const struct answer *answer, struct buffer *out)
{
	struct grant_outcome outcome = { answer->verdict.grant, answer->verdict.stage,
					 answer->verdict.reason };

	if (answer->attempt->facts.connector != NO_CONNECTOR)
		outcome_describe(answer, &outcome, out);
	else
		buffer_append_text(out, reason_meaning(answer->verdict.reason));
}

static void
verdict_cure(const struct answer *answer, struct buffer *out)
{
	if (answer->verdict.reason == REASON_NONE)
		return;
	if (answer->attempt->facts.connector != NO_CONNECTOR)
		policy_remedy(answer->settings->policy, &answer->attempt->facts,
			      &answer->verdict, out);
	else
		buffer_append_text(out, reason_remedy(answer->verdict.reason));
}

/* ---- For people ---- */

/* "label  words", when there are words. */
static void
field_put(struct buffer *out, const char *label, struct buffer *words)
{
	if (words->len > 0) {
		buffer_printf(out, "%-10s ", label);
		utf8_append_printable(out, buffer_span(words));
		buffer_append_byte(out, '\n');
	}
	buffer_clear(words);
}

static void
grant_words(const struct answer *answer, struct buffer *out)
{
	if (answer->verdict.grant == NO_GRANT)
		return;
	const struct grant_source *grant =
	    policy_grant(answer->settings->policy, answer->verdict.grant);

	buffer_append(out, grant->name);
	buffer_append_text(out, " (");
	place_append(out, grant->file, grant->line);
	buffer_append_text(out, ")");
	if (grant->owner.len > 0) {
		buffer_append_text(out, ", owner ");
		buffer_append(out, grant->owner);
	}
	if (grant->ticket.len > 0) {
		buffer_append_text(out, ", ticket ");
		buffer_append(out, grant->ticket);
	}
}

static void
connector_words(const struct answer *answer, struct buffer *out)
{
	size_t index = answer->attempt->facts.connector;

	if (index == NO_CONNECTOR)
		return;
	const struct connector_source *connector =
	    policy_connector(answer->settings->policy, index);

	buffer_append(out, connector->name);
	buffer_append_text(out, " (");
	place_append(out, connector->file, connector->line);
	buffer_append_text(out, ")");
}

static void
grants_print(const struct answer *answer)
{
	static const char *const titles[] = { "GRANT", "LINE", "STOPPED AT", "REASON", "WHY" };
	struct columns c;
	struct buffer text;

	columns_init(&c, titles, ARRAY_LEN(titles));
	buffer_init(&text, TEXT_OCTETS_MAX);
	for (size_t i = 0; i < answer->outcome_count; i++) {
		const struct grant_outcome *outcome = &answer->outcomes[i];
		const struct grant_source *grant =
		    policy_grant(answer->settings->policy, outcome->grant);
		bool permits = outcome->stage == STAGE_PERMITTED;

		if (i == 0)
			(void)putchar('\n');
		columns_cell(&c, grant->name);
		place_append(&text, grant->file, grant->line);
		columns_cell(&c, buffer_span(&text));
		buffer_clear(&text);
		columns_cell(&c, span_of(permits ? "permits" : stage_name(outcome->stage)));
		columns_cell(&c, span_of(outcome->reason == REASON_NONE ?
					     "" : reason_token(outcome->reason)));
		outcome_describe(answer, outcome, &text);
		columns_cell(&c, buffer_span(&text));
		buffer_clear(&text);
	}
	columns_end(&c);
	buffer_reset(&text);
}

/* What was not asked because nothing was said about it. */
static const char *
unasked_words(enum stage upto)
{
	if (upto == STAGE_SENDER)
		return "recipient (--to), header From, evidence and quotas were not asked";
	if (upto == STAGE_RECIPIENT)
		return "header From (--header-from), evidence and quotas were not asked";
	return "evidence and quotas were not asked";
}

static void
answer_print(const struct answer *answer)
{
	const struct verdict *verdict = &answer->verdict;
	struct buffer out, words;

	buffer_init(&out, TEXT_OCTETS_MAX);
	buffer_init(&words, TEXT_OCTETS_MAX);
	buffer_append_text(&words, audit_verdict_name(verdict->kind));
	if (verdict->reason != REASON_NONE)
		buffer_printf(&words, ": %s", reason_token(verdict->reason));
	field_put(&out, "verdict", &words);
	if (has_reply(verdict))
		reply_line_append(&words, verdict_reply(verdict, &answer->settings->wording));
	field_put(&out, "reply", &words);
	connector_words(answer, &words);
	field_put(&out, "connector", &words);
	grant_words(answer, &words);
	field_put(&out, is_accepted(verdict) ? "grant" : "nearest", &words);
	verdict_describe(answer, &words);
	field_put(&out, "because", &words);
	verdict_cure(answer, &words);
	field_put(&out, "remedy", &words);
	if (is_accepted(verdict))
		buffer_append_text(&words, unasked_words(answer->attempt->upto));
	field_put(&out, "note", &words);
	output_put(&out);
	grants_print(answer);
	buffer_reset(&words);
	buffer_reset(&out);
}

/* ---- For programs ---- */

/* A member made of words, when there are any. */
static void
words_write_json(struct json *j, const char *key, struct buffer *words)
{
	json_text_if(j, key, buffer_span(words));
	buffer_clear(words);
}

static void
grants_write_json(const struct answer *answer, struct json *j, struct buffer *words)
{
	json_array_begin(j, "grants");
	for (size_t i = 0; i < answer->outcome_count; i++) {
		const struct grant_outcome *outcome = &answer->outcomes[i];
		const struct grant_source *grant =
		    policy_grant(answer->settings->policy, outcome->grant);

		json_object_begin(j, NULL);
		json_text(j, "grant", grant->name);
		place_append(words, grant->file, grant->line);
		words_write_json(j, "line", words);
		json_bool(j, "permits", outcome->stage == STAGE_PERMITTED);
		if (outcome->stage != STAGE_PERMITTED)
			json_cstring(j, "stage", stage_name(outcome->stage));
		if (outcome->reason != REASON_NONE)
			json_cstring(j, "reason", reason_token(outcome->reason));
		outcome_describe(answer, outcome, words);
		words_write_json(j, "detail", words);
		json_object_end(j);
	}
	json_array_end(j);
}

static void
answer_print_json(const struct answer *answer)
{
	const struct policy *policy = answer->settings->policy;
	const struct verdict *verdict = &answer->verdict;
	size_t connector = answer->attempt->facts.connector;
	struct buffer out, words;
	struct json j = json_on(&out);
	char hash[17];

	buffer_init(&out, JSON_OCTETS_MAX);
	buffer_init(&words, TEXT_OCTETS_MAX);
	policy_hash(policy, hash);
	json_object_begin(&j, NULL);
	json_cstring(&j, "verdict", audit_verdict_name(verdict->kind));
	if (verdict->stage != STAGE_PERMITTED)
		json_cstring(&j, "stage", stage_name(verdict->stage));
	if (verdict->reason != REASON_NONE)
		json_cstring(&j, "reason", reason_token(verdict->reason));
	if (has_reply(verdict))
		reply_line_append(&words, verdict_reply(verdict, &answer->settings->wording));
	words_write_json(&j, "reply", &words);
	if (connector != NO_CONNECTOR)
		json_text(&j, "connector", policy_connector(policy, connector)->name);
	if (verdict->grant != NO_GRANT)
		json_text(&j, "grant", policy_grant(policy, verdict->grant)->name);
	verdict_describe(answer, &words);
	words_write_json(&j, "detail", &words);
	verdict_cure(answer, &words);
	words_write_json(&j, "remedy", &words);
	json_cstring(&j, "asked_up_to", stage_name(answer->attempt->upto));
	json_cstring(&j, "policy", hash);
	grants_write_json(answer, &j, &words);
	json_object_end(&j);
	buffer_append_byte(&out, '\n');
	output_put(&out);
	buffer_reset(&words);
	buffer_reset(&out);
}

static int
attempt_explain(struct relayctl *ctl, const struct arguments *a, struct attempt *attempt)
{
	int status = settings_need(ctl);

	if (status == GO_ON)
		status = connector_choose(ctl, a, attempt);
	if (status != GO_ON)
		return status;
	struct answer answer = { .settings = ctl->settings, .attempt = attempt };

	answer_make(&answer);
	if (ctl->is_json)
		answer_print_json(&answer);
	else
		answer_print(&answer);
	free(answer.outcomes);
	return is_accepted(&answer.verdict) ? EXIT_YES : EXIT_NO;
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct arguments a = { .client = NULL };
	struct attempt attempt = { .upto = STAGE_SENDER };
	const struct option options[] = {
		{ "--client", OPTION_TEXT, &a.client },
		{ "--connector", OPTION_TEXT, &a.connector },
		{ "--local", OPTION_TEXT, &a.local },
		{ "--user", OPTION_TEXT, &a.user },
		{ "--tls", OPTION_FLAG, &a.is_tls },
		{ "--cert", OPTION_LIST, &a.certificates },
		{ "--from", OPTION_TEXT, &a.from },
		{ "--to", OPTION_TEXT, &a.to },
		{ "--header-from", OPTION_TEXT, &a.header_from },
		{ "--time", OPTION_TEXT, &a.at },
		{ "--at", OPTION_TEXT, &a.at }, /* its name before */
	};
	size_t room = (size_t)argc + 1;

	a.certificates.items = memory_new_array(room, sizeof(*a.certificates.items));
	attempt.certificates = memory_new_array(room, sizeof(*attempt.certificates));
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON && argc > 0)
		status = usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	if (status == GO_ON)
		status = attempt_read(ctl, &a, &attempt);
	if (status == GO_ON)
		status = attempt_explain(ctl, &a, &attempt);
	free(attempt.certificates);
	free(a.certificates.items);
	return status;
}

const struct command command_explain = {
	.name = "explain",
	.summary = "what the policy would say to an attempt, and why",
	.help =
	    "usage: relayctl explain --client IP --from A [--to B] [OPTIONS] [--json]\n"
	    "\n"
	    "Decides an attempt by the configuration on disk, with the same code as relayd, and\n"
	    "shows for every grant how far the attempt came with it, the nearest first. Nothing\n"
	    "is sent, relayd need not run.\n"
	    "  --client IP        the client's address\n"
	    "  --from A           the envelope sender; '<>' is the null sender\n"
	    "  --to B             the recipient; without it the decision at MAIL is shown\n"
	    "  --header-from A    the From field of the message\n"
	    "  --connector C      the connector the client comes to; or\n"
	    "  --local IP:PORT    where it connects to; without either: the first connector in\n"
	    "                     the file that takes it\n"
	    "  --user U           logged in as U\n"
	    "  --tls              the session is encrypted\n"
	    "  --cert NAME        with a verified client certificate of this name (sha256:...,\n"
	    "                     dns:..., email:..., cn:...); may be given again\n"
	    "  --time TIME        at this time instead of now: 2026-12-31T08:30\n"
	    "\n"
	    "examples:\n"
	    "  relayctl explain --client 10.20.1.7 --from invoices@example.com --to ap@example.net\n"
	    "  relayctl -c new.conf explain --client 10.20.1.7 --tls --user billing \\\n"
	    "      --from invoices@example.com --to ap@example.net --json\n"
	    "\n"
	    "exit: 0 accepted (relayed, or would-refuse in monitor mode), 1 refused or deferred,\n"
	    "      2 usage, 3 the configuration has errors\n",
	.run = run,
};
