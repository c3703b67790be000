/* SPDX-License-Identifier: ISC */
/* The story of an attempt; see story.h. */
#include "audit/story.h"

#include "audit/audit.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <stdlib.h>

#define TEXT_OCTETS_MAX (256U << 10) /* of one field of a story */
#define LABEL_WIDTH	14
#define LINE_WIDTH	90

/* ---- Finding ---- */

/* Records of one id, in the order of the trail. */
struct collection {
	struct arena *arena;
	const struct audit_record **records;
	size_t count;
	size_t room;
};

static bool
record_collect(void *context, const struct audit_record *record)
{
	struct collection *c = context;

	if (c->count == c->room) {
		c->room = c->room == 0 ? 16 : c->room * 2;
		c->records = memory_resize(c->records, c->room, sizeof(*c->records));
	}
	c->records[c->count++] = audit_record_copy(record, c->arena);
	return true;
}

static bool
is_event(const struct audit_record *record, const char *event)
{
	return span_equal(record->event, span_of(event));
}

static bool
is_decision(const struct audit_record *record)
{
	return is_event(record, "attempt") || is_event(record, "connect") ||
	       is_event(record, "auth");
}

/* Does the delivery belong to the recipient that was decided on? */
static bool
delivery_follows(const struct audit_record *decision, const struct audit_record *delivery)
{
	return is_event(decision, "attempt") &&
	       span_equal(audit_id_transaction(decision->id), delivery->id) &&
	       (decision->to.len == 0 || is_event(delivery, "operator") || span_equal_fold(decision->to, delivery->to));
}

static bool
deliveries_are_one(const struct audit_record *a, const struct audit_record *b)
{
	return span_equal(a->id, b->id) &&
	       (span_equal_fold(a->to, b->to) || is_event(b, "operator"));
}

/* By time, then by the number of the try. */
static int
record_compare(const void *a, const void *b)
{
	const struct audit_record *const *x = a;
	const struct audit_record *const *y = b;

	if ((*x)->wall_ms != (*y)->wall_ms)
		return (*x)->wall_ms < (*y)->wall_ms ? -1 : 1;
	return ((*x)->tries > (*y)->tries) - ((*x)->tries < (*y)->tries);
}

static int64_t
story_time(const struct story *story)
{
	return story->decision != NULL ? story->decision->wall_ms :
					 story->deliveries[0]->wall_ms;
}

static int
story_compare_newest_first(const void *a, const void *b)
{
	int64_t x = story_time(a), y = story_time(b);

	return (x < y) - (x > y);
}

/* Gather the deliveries that belong to a decision, or to the same message and recipient. */
static void
deliveries_attach(struct story *story, struct collection *c, bool *is_told,
		  const struct audit_record *first)
{
	story->deliveries = arena_new_array(c->arena, c->count, sizeof(*story->deliveries));
	for (size_t i = 0; i < c->count; i++) {
		const struct audit_record *record = c->records[i];
		bool belongs = first == NULL ? delivery_follows(story->decision, record) :
					       deliveries_are_one(first, record);

		if (is_decision(record) || !belongs)
			continue;
		story->deliveries[story->delivery_count++] = record;
		is_told[i] = true;
	}
	qsort(story->deliveries, story->delivery_count, sizeof(*story->deliveries),
	      record_compare);
}

/*
 * A story for each decision, and for deliveries whose decision is no longer there. With the
 * id of one recipient the other recipients' deliveries were found, too: leave them.
 */
static void
stories_make(struct collection *c, bool is_one_recipient, struct story_list *list)
{
	bool *is_told = memory_new_array(c->count, sizeof(*is_told));

	list->stories = arena_new_array(c->arena, c->count, sizeof(*list->stories));
	for (size_t i = 0; i < c->count; i++) {
		if (!is_decision(c->records[i]))
			continue;
		struct story *story = &list->stories[list->count++];

		story->decision = c->records[i];
		if (is_event(story->decision, "attempt"))
			deliveries_attach(story, c, is_told, NULL);
	}
	bool is_complete = is_one_recipient && list->count > 0;

	for (size_t i = 0; i < c->count && !is_complete; i++) {
		if (!is_decision(c->records[i]) && !is_told[i])
			deliveries_attach(&list->stories[list->count++], c, is_told,
					  c->records[i]);
	}
	qsort(list->stories, list->count, sizeof(*list->stories), story_compare_newest_first);
	free(is_told);
}

bool
story_find(const char *state_directory, struct span id, struct arena *arena,
	   struct story_list *list, struct audit_tally *tally, struct fault *fault)
{
	struct audit_filter filter = { .id = audit_id_normalise(id, arena) };
	struct collection c = { .arena = arena };

	*list = (struct story_list){ NULL, 0 };
	*tally = (struct audit_tally){ .files = 0 };
	if (filter.id.len == 0)
		return true;
	bool succeeded =
	    audit_query(state_directory, &filter, record_collect, &c, tally, fault);

	if (succeeded && c.count > 0)
		stories_make(&c, audit_id_transaction(filter.id).len < filter.id.len, list);
	free(c.records);
	return succeeded;
}

/* ---- Deciding again ---- */

static enum stage
stage_find(struct span name)
{
	for (enum stage stage = STAGE_CONNECTION; stage < STAGE_PERMITTED; stage++) {
		if (span_equal(name, span_of(stage_name(stage))))
			return stage;
	}
	return STAGE_PERMITTED;
}

static bool
is_permit(struct span verdict)
{
	return span_equal(verdict, span_of("relayed"));
}

/* The recorded facts, and how far they allow to decide. The pieces are what facts point to. */
struct recorded_facts {
	struct facts facts;
	struct address sender, recipient, header_from;
	enum stage upto;
};

static bool
facts_read(const struct audit_record *record, const struct story_context *context,
	   struct recorded_facts *out)
{
	*out = (struct recorded_facts){ .upto = STAGE_SENDER };
	struct facts *facts = &out->facts;

	facts->connector = policy_connector_find_name(context->policy, record->connector);
	facts->user = record->user;
	facts->certificates = record->certificates;
	facts->certificate_count = record->certificate_count;
	facts->is_tls = record->tls_version.len > 0;
	facts->now_wall_ms = context->now_wall_ms;
	facts->sender = &out->sender;
	facts->recipient = &out->recipient;
	facts->header_from = &out->header_from;
	if (!record->has_from || ip_parse(record->client_ip, &facts->client) != PARSE_OK ||
	    (record->from.len > 0 && mailbox_parse(record->from, &out->sender) != PARSE_OK))
		return false;
	if (record->to.len == 0)
		return true;
	if (mailbox_parse(record->to, &out->recipient) != PARSE_OK) {
		/* "postmaster" alone is the only recipient without a domain */
		if (span_find(record->to, '@') < record->to.len)
			return false;
		out->recipient = (struct address){ .text = record->to, .local = record->to };
	}
	out->upto = STAGE_RECIPIENT;
	if (record->header_from.len == 0 ||
	    mailbox_parse(record->header_from, &out->header_from) != PARSE_OK)
		return true;
	facts->header_from_result = HEADER_FROM_READ;
	facts->header_from_count = 1;
	out->upto = STAGE_HEADER_FROM;
	return true;
}

/* Words that the policy appends, as a text of the arena. */
static void
verdict_explain(const struct recorded_facts *recorded, const struct story_context *context,
		struct arena *arena, struct story_today *today)
{
	const struct verdict *verdict = &today->verdict;
	struct buffer text;

	if (verdict->reason == REASON_NONE)
		return;
	buffer_init(&text, TEXT_OCTETS_MAX);
	policy_describe(context->policy, &recorded->facts, verdict->stage, verdict->reason,
			verdict->grant, &text);
	today->description = arena_copy(arena, buffer_span(&text));
	buffer_clear(&text);
	policy_remedy(context->policy, &recorded->facts, verdict, &text);
	today->remedy = arena_copy(arena, buffer_span(&text));
	buffer_reset(&text);
}

static int
outcome_compare_nearest_first(const void *a, const void *b)
{
	const struct grant_outcome *x = a, *y = b;

	if (x->stage != y->stage)
		return x->stage > y->stage ? -1 : 1;
	return (x->grant > y->grant) - (x->grant < y->grant);
}

/* How far it comes with each grant, as relayctl explain tells it. */
static void
grants_explain(const struct recorded_facts *recorded, const struct story_context *context,
	       struct arena *arena, struct story_today *today)
{
	const struct policy *policy = context->policy;
	size_t count = policy_grant_count(policy);
	struct grant_outcome *outcomes = memory_new_array(count + 1, sizeof(*outcomes));
	struct buffer text;

	policy_trace(policy, &recorded->facts, recorded->upto, outcomes);
	qsort(outcomes, count, sizeof(*outcomes), outcome_compare_nearest_first);
	today->grant_count = count < STORY_GRANTS_MAX ? count : STORY_GRANTS_MAX;
	today->grants_more = count - today->grant_count;
	buffer_init(&text, TEXT_OCTETS_MAX);
	for (size_t i = 0; i < today->grant_count; i++) {
		const struct grant_outcome *o = &outcomes[i];

		if (o->reason != REASON_NONE)
			policy_describe(policy, &recorded->facts, o->stage, o->reason, o->grant,
					&text);
		today->grants[i] = (struct story_grant){
			.name = policy_grant(policy, o->grant)->name,
			.stage = o->stage,
			.reason = o->reason,
			.description = text.len == 0 ? (struct span){ NULL, 0 } :
						       arena_copy(arena, buffer_span(&text)),
		};
		buffer_clear(&text);
	}
	buffer_reset(&text);
	free(outcomes);
}

void
story_decide_again(const struct story *story, const struct story_context *context,
		   struct arena *arena, struct story_today *today)
{
	const struct audit_record *record = story->decision;
	struct recorded_facts recorded;
	char hash[17];

	*today = (struct story_today){ .has_connector = true };
	if (context->policy == NULL || record == NULL || !is_event(record, "attempt"))
		return;
	policy_hash(context->policy, hash);
	today->is_same_policy = span_equal(record->policy, span_of(hash));
	if (!facts_read(record, context, &recorded))
		return;
	today->has_connector = recorded.facts.connector != NO_CONNECTOR;
	if (!today->has_connector)
		return;
	/* what stopped it then must be among what can be decided now */
	if (!is_permit(record->verdict) && stage_find(record->stage) > recorded.upto)
		return;
	today->is_known = true;
	today->verdict = policy_decide(context->policy, &recorded.facts, recorded.upto);
	verdict_explain(&recorded, context, arena, today);
	if (policy_grant_count(context->policy) > 0)
		grants_explain(&recorded, context, arena, today);
}

/* ---- Telling ---- */

/* The story being told: where to, and the field that is being put together. */
struct teller {
	struct buffer *out;
	struct buffer field;
};

static void
say(struct teller *t, const char *words)
{
	buffer_append_text(&t->field, words);
}

static void
say_text(struct teller *t, struct span text)
{
	utf8_append_printable(&t->field, text);
}

/* "words text", or nothing when there is no text. */
static void
say_if(struct teller *t, const char *words, struct span text)
{
	if (text.len == 0)
		return;
	say(t, words);
	say_text(t, text);
}

static void
spaces_put(struct buffer *out, size_t count)
{
	while (count-- > 0)
		buffer_append_byte(out, ' ');
}

/* End the field: its label, and its words broken into lines that stand under each other. */
static void
field_end(struct teller *t, const char *label)
{
	struct span rest = buffer_span(&t->field);
	size_t column = LABEL_WIDTH;
	size_t label_len = strlen(label);

	if (rest.len == 0)
		return;
	buffer_append_text(t->out, label);
	spaces_put(t->out, label_len < LABEL_WIDTH ? LABEL_WIDTH - label_len : 1);
	while (rest.len > 0) {
		struct span word = span_first(rest, span_find(rest, ' '));
		size_t width = utf8_count(word);

		if (column > LABEL_WIDTH && column + 1 + width > LINE_WIDTH) {
			buffer_append_byte(t->out, '\n');
			spaces_put(t->out, LABEL_WIDTH);
			column = LABEL_WIDTH;
		} else if (column > LABEL_WIDTH) {
			buffer_append_byte(t->out, ' ');
			column++;
		}
		buffer_append(t->out, word);
		column += width;
		rest = span_skip(rest, word.len);
		(void)byte_take(&rest, ' ');
	}
	buffer_append_byte(t->out, '\n');
	buffer_clear(&t->field);
}

static const char *
check_words(enum stage stage)
{
	switch (stage) {
	case STAGE_CONNECTION: return "the connection itself, before any grant was asked";
	case STAGE_WHO: return "who the client is: its network, login or certificate";
	case STAGE_VALIDITY: return "whether the grant is in force at this time";
	case STAGE_TLS: return "whether the session is encrypted";
	case STAGE_SENDER: return "the envelope sender";
	case STAGE_RECIPIENT: return "the recipient";
	case STAGE_HEADER_FROM: return "the From field of the message";
	case STAGE_EVIDENCE: return "the evidence: SPF, DKIM, DMARC, block lists, reverse DNS";
	case STAGE_QUOTA: return "how much the grant allows";
	case STAGE_PERMITTED: return "";
	}
	return "";
}

static const char *
verdict_words(const struct audit_record *record)
{
	static const struct { const char *verdict, *words; } table[] = {
		{ "relayed", "relayed: accepted for delivery" },
		{ "refused", "refused for good" },
		{ "deferred", "put off: the client was asked to try again later" },
		{ "would-refuse", "accepted, but only because this is monitor mode; when "
				  "enforced it will be refused" },
	};

	if (is_event(record, "auth"))
		return span_equal(record->result, span_of("failed")) ? "the login failed" :
								       "the login succeeded";
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (span_equal(record->verdict, span_of(table[i].verdict)))
			return table[i].words;
	}
	return "decided in a way that this release has no words for";
}

static void
tell_title(struct teller *t, const struct audit_record *record)
{
	say_text(t, record->id);
	say_if(t, "  ", record->verdict.len > 0 ? record->verdict : record->result);
	say_if(t, "  ", record->time);
	buffer_append(t->out, buffer_span(&t->field));
	buffer_append_byte(t->out, '\n');
	buffer_clear(&t->field);
}

static void
tell_client(struct teller *t, const struct audit_record *record)
{
	say_text(t, record->client_ip);
	if (record->ptr.len > 0) {
		say_if(t, " (", record->ptr);
		say(t, ")");
	}
	say_if(t, ", which called itself ", record->helo);
	say_if(t, ", on connector ", record->connector);
	say_if(t, " at ", record->local);
	say_if(t, ", through the proxy ", record->proxy);
	say_if(t, ", by XCLIENT of ", record->xclient);
	field_end(t, "Client");
	if (!is_event(record, "attempt") && record->user.len == 0)
		return;
	if (record->user.len == 0)
		say(t, "nobody logged in");
	say_text(t, record->user);
	say_if(t, ", by ", record->mechanism);
	field_end(t, "Login");
	if (record->tls_version.len == 0)
		say(t, "none: the session was in clear text");
	say_text(t, record->tls_version);
	say_if(t, ", ", record->tls_cipher);
	say_if(t, ", client certificate ", record->tls_client);
	field_end(t, "TLS");
}

static void
tell_message(struct teller *t, const struct audit_record *record)
{
	if (record->has_from) {
		say_if(t, "from <", record->from);
		say(t, record->from.len == 0 ? "from <> (the null sender, as bounces have)" : ">");
	}
	if (record->to.len > 0) {
		say_if(t, " to <", record->to);
		say(t, ">");
	}
	field_end(t, "Tried");
	say_if(t, "From: ", record->header_from);
	if (record->message_id.len > 0) {
		say(t, t->field.len > 0 ? ", " : "");
		say_if(t, "Message-ID: ", record->message_id);
	}
	if (record->size_octets > 0)
		buffer_printf(&t->field, "%s%llu octets", t->field.len > 0 ? ", " : "",
			      (unsigned long long)record->size_octets);
	field_end(t, "Message");
}

static void
tell_decision(struct teller *t, const struct audit_record *record)
{
	enum reason reason = reason_find(record->reason);
	enum stage stage = stage_find(record->stage);

	say(t, verdict_words(record));
	field_end(t, "Decision");
	say_text(t, record->reason);
	if (reason != REASON_NONE && reason < REASON_COUNT) {
		say(t, ": ");
		say(t, reason_meaning(reason));
	}
	field_end(t, "Reason");
	if (stage < STAGE_PERMITTED) {
		say(t, check_words(stage));
		field_end(t, "Check");
	}
	say_text(t, record->detail);
	field_end(t, "Because");
	say_text(t, record->reply);
	field_end(t, "Reply");
}

/* A grant as the record names it; owner and ticket as the configuration says today. */
static void
tell_grant(struct teller *t, const struct audit_record *record, const struct policy *policy)
{
	size_t index = policy == NULL ? NO_GRANT : policy_grant_find(policy, record->grant);

	if (record->grant.len == 0)
		return;
	say_text(t, record->grant);
	if (record->grant_line.len > 0) {
		say_if(t, " (", record->grant_line);
		say(t, ")");
	}
	if (index != NO_GRANT) {
		say_if(t, ", owner ", policy_grant(policy, index)->owner);
		say_if(t, ", ticket ", policy_grant(policy, index)->ticket);
	} else if (policy != NULL) {
		say(t, ", which today's configuration no longer has");
	}
	field_end(t, is_permit(record->verdict) ? "Grant" : "Nearest grant");
}

static bool
today_permits(const struct story_today *today)
{
	return today->verdict.kind == VERDICT_RELAYED ||
	       today->verdict.kind == VERDICT_WOULD_REFUSE;
}

static void
tell_today(struct teller *t, const struct audit_record *record,
	   const struct story_today *today, const struct policy *policy)
{
	bool was_permitted = is_permit(record->verdict) ||
			     span_equal(record->verdict, span_of("would-refuse"));

	if (!today->has_connector) {
		say(t, "the configuration has no connector of that name any more");
	} else if (!today->is_known) {
		return;
	} else if (!today_permits(today)) {
		say(t, was_permitted ? "today's policy would refuse it: " :
		       today->is_same_policy ? "the same policy is still in force" :
					       "today's policy would refuse it too: ");
		if (was_permitted || !today->is_same_policy)
			say_text(t, today->description);
	} else if (!was_permitted || !today->is_same_policy) {
		say(t, was_permitted ? "today's policy permits it too" :
				       "today's policy would permit it");
		if (today->verdict.grant != NO_GRANT)
			say_if(t, ", under grant ",
			       policy_grant(policy, today->verdict.grant)->name);
		if (today->verdict.kind == VERDICT_WOULD_REFUSE)
			say(t, ", but only as long as it is in monitor mode");
	}
	field_end(t, "Today");
}

/* Every grant of today and where the attempt stops with it, the nearest first. */
static void
tell_grants_today(struct teller *t, const struct story_today *today)
{
	if (!today->is_known || today->verdict.kind == VERDICT_RELAYED ||
	    today->grant_count < 2) /* the one there is was told of */
		return;
	for (size_t i = 0; i < today->grant_count; i++) {
		const struct story_grant *grant = &today->grants[i];

		say_text(t, grant->name);
		if (grant->stage == STAGE_PERMITTED) {
			say(t, " would permit it so far");
		} else {
			say(t, " stops it at ");
			say(t, stage_name(grant->stage));
			say(t, ", ");
			say(t, reason_token(grant->reason));
			say_if(t, ": ", grant->description);
		}
		field_end(t, i == 0 ? "Grants today" : "");
	}
	if (today->grants_more == 0)
		return;
	buffer_printf(&t->field, "and %zu more; relayctl explain shows them all",
		      today->grants_more);
	field_end(t, "");
}

/* What to do: the policy's own words where it can be asked, else what the reason means. */
static void
tell_remedy(struct teller *t, const struct audit_record *record,
	    const struct story_today *today)
{
	enum reason reason = reason_find(record->reason);
	bool is_settled = today->is_known && today->verdict.kind == VERDICT_RELAYED;

	if (is_permit(record->verdict) || is_settled)
		return;
	if (today->is_known && today->remedy.len > 0)
		say_text(t, today->remedy);
	else if (reason != REASON_NONE && reason < REASON_COUNT)
		say(t, reason_remedy(reason));
	field_end(t, "Remedy");
}

/* What somebody did to the message while it was in the queue. */
static void
tell_operator(struct teller *t, const struct audit_record *record)
{
	say_text(t, record->time);
	say_if(t, " ", record->action);
	say_if(t, ", by ", record->operator);
	buffer_printf(&t->field, "%s(uid %llu)", record->operator.len > 0 ? " " : ", by ",
		      (unsigned long long)record->uid);
	field_end(t, "Operator");
}

/* Who was told, or why nobody was. */
static void
tell_bounce(struct teller *t, const struct audit_record *record)
{
	say_text(t, record->time);
	if (span_equal(record->result, span_of("kept"))) {
		say(t, " nobody can be told that it failed; it is kept as dead");
	} else if (span_equal(record->result, span_of("unwanted"))) {
		say(t, " it failed, and the sender had asked not to be told");
	} else {
		say_if(t, " reported as ", record->result);
		say_if(t, " to ", record->report_to);
		say_if(t, " in message ", record->report);
	}
	field_end(t, "Report");
}

static void
tell_delivery(struct teller *t, const struct audit_record *record)
{
	if (is_event(record, "operator")) {
		tell_operator(t, record);
		return;
	}
	if (is_event(record, "bounce")) {
		tell_bounce(t, record);
		return;
	}
	say_text(t, record->time);
	say_if(t, " ", record->result.len > 0 ? record->result : record->event);
	if (is_event(record, "expire"))
		say(t, ": given up, its time in the queue was over");
	say_if(t, is_event(record, "expire") ? "; next hop " : " at ", record->next_hop);
	if (record->peer.len > 0 && !span_equal(record->peer, record->next_hop)) {
		say_if(t, " (", record->peer);
		say(t, ")");
	}
	say_if(t, ", ", record->tls_version);
	say_if(t, ", route ", record->route);
	say(t, ", ");
	if (record->tries > 0)
		buffer_printf(&t->field, "try %llu, ", (unsigned long long)record->tries);
	clock_duration(record->queued_ms, &t->field);
	say(t, " after it was accepted");
	say_if(t, ": ", record->reply);
	say_if(t, "; next try ", record->next);
	field_end(t, "Delivery");
}

static void
tell_deliveries(struct teller *t, const struct story *story)
{
	const struct audit_record *record = story->decision;
	bool is_accepted = record != NULL && is_event(record, "attempt") &&
			   (is_permit(record->verdict) ||
			    span_equal(record->verdict, span_of("would-refuse")));

	for (size_t i = 0; i < story->delivery_count; i++)
		tell_delivery(t, story->deliveries[i]);
	if (story->delivery_count > 0 || !is_accepted || record->reason.len > 0)
		return;
	say(t, "not tried yet, as far as the trail says; relayctl queue list shows what waits");
	field_end(t, "Delivery");
}

void
story_tell(const struct story *story, const struct story_context *context, struct buffer *out)
{
	const struct audit_record *record = story->decision;
	struct teller t = { .out = out };
	struct story_today today;
	struct arena arena;

	buffer_init(&t.field, TEXT_OCTETS_MAX);
	arena_init(&arena, 0);
	if (record == NULL) {
		tell_title(&t, story->deliveries[0]);
		say(&t, "the record of the decision is no longer in the trail");
		field_end(&t, "Decision");
		tell_message(&t, story->deliveries[0]);
	} else {
		tell_title(&t, record);
		tell_client(&t, record);
		tell_message(&t, record);
		tell_decision(&t, record);
		tell_grant(&t, record, context->policy);
		story_decide_again(story, context, &arena, &today);
		tell_today(&t, record, &today, context->policy);
		tell_grants_today(&t, &today);
		tell_remedy(&t, record, &today);
	}
	tell_deliveries(&t, story);
	arena_reset(&arena);
	buffer_reset(&t.field);
}

/* ---- As JSON ---- */

static void
today_write_json(const struct story_today *today, const struct policy *policy, struct json *j)
{
	if (!today->is_known)
		return;
	json_object_begin(j, "today");
	json_cstring(j, "verdict", audit_verdict_name(today->verdict.kind));
	if (today->verdict.reason != REASON_NONE)
		json_cstring(j, "reason", reason_token(today->verdict.reason));
	if (today->verdict.grant != NO_GRANT)
		json_text(j, "grant", policy_grant(policy, today->verdict.grant)->name);
	json_bool(j, "same_policy", today->is_same_policy);
	json_text_if(j, "detail", today->description);
	json_text_if(j, "remedy", today->remedy);
	json_array_begin(j, "grants");
	for (size_t i = 0; i < today->grant_count; i++) {
		const struct story_grant *grant = &today->grants[i];

		json_object_begin(j, NULL);
		json_text(j, "grant", grant->name);
		json_bool(j, "permits", grant->stage == STAGE_PERMITTED);
		if (grant->stage != STAGE_PERMITTED)
			json_cstring(j, "stage", stage_name(grant->stage));
		if (grant->reason != REASON_NONE)
			json_cstring(j, "reason", reason_token(grant->reason));
		json_text_if(j, "detail", grant->description);
		json_object_end(j);
	}
	json_array_end(j);
	json_object_end(j);
}

void
story_write_json(const struct story *story, const struct story_context *context,
		 struct json *j)
{
	struct story_today today;
	struct arena arena;

	arena_init(&arena, 0);
	json_object_begin(j, NULL);
	if (story->decision != NULL)
		json_encoded(j, "decision", story->decision->line);
	json_array_begin(j, "deliveries");
	for (size_t i = 0; i < story->delivery_count; i++)
		json_encoded(j, NULL, story->deliveries[i]->line);
	json_array_end(j);
	story_decide_again(story, context, &arena, &today);
	today_write_json(&today, context->policy, j);
	json_object_end(j);
	arena_reset(&arena);
}
