/* SPDX-License-Identifier: ISC */
/*
 * Deciding. The grants still alive are a bitmap; every stage gives the bitmap of those that
 * pass it, and both are joined. When nothing is left, that stage is the furthest that any
 * grant came to, and the first bit before it is the nearest grant. Nothing allocates.
 */
#include "policy/policy_private.h"

#include <assert.h>

/* Grants by what they say of who the client is. */
struct who {
	const uint64_t *connector;
	const uint64_t *identities;	    /* users and certificates hold */
	uint64_t networks[GRANT_WORDS_MAX]; /* networks and connector hold */
	uint64_t known[GRANT_WORDS_MAX];    /* behind identities, when there is a login */
	bool has_keys;			    /* sender and recipient were made ready */
	struct address_key sender;
	struct address_key recipient;
};

/* ---- One condition ---- */

struct rule_union {
	const struct condition *condition;
	struct window window;
	uint64_t *permits;
	uint64_t *excepts;
};

static void
rule_add(void *context, uint32_t value, unsigned specificity)
{
	const struct rule_union *all = context;
	const struct grant_rule *rule = &all->condition->rules[value];

	(void)specificity;
	bitmap_or_set(all->permits, &rule->permits, all->window);
	bitmap_or_set(all->excepts, &rule->excepts, all->window);
}

void
keys_ask(const struct condition *condition, const struct pattern_table *table,
	 const struct address_key *key, struct window w, uint64_t *pass)
{
	UNCLEARED uint64_t excepts[GRANT_WORDS_MAX];
	struct rule_union all = { condition, w, pass, excepts };
	size_t words = w.end - w.first;

	bitmap_copy(pass + w.first, condition->unstated + w.first, words);
	if (condition->has_excepts)
		bitmap_empty(excepts + w.first, words);
	pattern_table_match(table, key, rule_add, &all);
	if (condition->has_excepts)
		bitmap_and_not(pass + w.first, excepts + w.first, words);
}

void
addresses_ask(const struct policy *p, const struct condition *condition,
	      const struct pattern_table *table, const struct address *address,
	      struct window w, uint64_t *pass)
{
	UNCLEARED struct address_key key;

	(void)p;
	assert(address != NULL);
	address_key_make(&key, address);
	keys_ask(condition, table, &key, w, pass);
}

bool
address_key_is_routed(const struct address_key *key)
{
	if (key->kind != ADDRESS_DOMAIN)
		return false;
	for (size_t i = 0; i < key->local_len; i++) {
		if (key->text[i] == '%' || key->text[i] == '!' || key->text[i] == '@')
			return true;
	}
	return false;
}

static void
named_add(void *context, uint32_t value, unsigned specificity)
{
	if (specificity == SPECIFIC_ANY || specificity > SPECIFIC_DOMAIN)
		rule_add(context, value, specificity);
}

/* Of those that pass, only grants that name the address and not just its domain. */
static void
routed_ask(const struct policy *p, const struct address_key *key, struct window w,
	   uint64_t *pass)
{
	UNCLEARED uint64_t named[GRANT_WORDS_MAX];
	UNCLEARED uint64_t excepts[GRANT_WORDS_MAX];
	struct rule_union all = { &p->recipients, w, named, excepts };

	bitmap_empty(excepts + w.first, w.end - w.first);
	bitmap_copy(named + w.first, p->takes_routed + w.first, w.end - w.first);
	pattern_table_match(&p->recipient_table, key, named_add, &all);
	for (size_t i = w.first; i < w.end; i++)
		pass[i] &= named[i];
}

static void
recipient_keys_ask(const struct policy *p, const struct address_key *key, struct window w,
		   uint64_t *pass)
{
	keys_ask(&p->recipients, &p->recipient_table, key, w, pass);
	if (address_key_is_routed(key))
		routed_ask(p, key, w, pass);
}

void
recipients_ask(const struct policy *p, const struct address *recipient, struct window w,
	       uint64_t *pass)
{
	UNCLEARED struct address_key key;

	assert(recipient != NULL);
	address_key_make(&key, recipient);
	recipient_keys_ask(p, &key, w, pass);
}

void
networks_ask(const struct policy *p, const struct ip *client, uint64_t *pass)
{
	const struct grant_rule *rule =
	    &p->networks.rules[network_table_find(&p->network_table, client)];

	bitmap_copy(pass, p->networks.unstated, p->words);
	bitmap_or_set(pass, &rule->permits, window_all(p));
	bitmap_and_not_set(pass, &rule->excepts, window_all(p));
}

static void
users_ask(const struct policy *p, struct span user, uint64_t *pass)
{
	UNCLEARED char key[LOGIN_MAX];
	size_t realm_at, len;

	bitmap_copy(pass, p->users.unstated, p->words);
	if (user.len == 0 || p->user_keys.count == 0)
		return;
	len = login_key_make(p->realm, user, key, &realm_at);
	struct rule_union all = { &p->users, window_all(p), pass, pass };
	const struct {
		enum login_key kind;
		struct span key;
	} asked[] = {
		{ LOGIN_EXACT, { key, len } },
		{ LOGIN_REALM, { key + realm_at, len - realm_at } },
		{ LOGIN_ANY, { "", 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		if (len == 0 && asked[i].kind != LOGIN_ANY)
			continue;
		if (asked[i].kind == LOGIN_REALM && realm_at == len)
			continue;
		uint32_t value = key_table_find(
		    &p->user_keys, (unsigned char)asked[i].kind, asked[i].key);

		if (value != 0)
			rule_add(&all, value, 0);
	}
}

static void
certificates_ask(const struct policy *p, const struct facts *facts, uint64_t *pass)
{
	UNCLEARED char key[IDENTITY_MAX];
	struct rule_union all = { &p->certificates, window_all(p), pass, pass };

	bitmap_copy(pass, p->certificates.unstated, p->words);
	for (size_t i = 0; i < facts->certificate_count && p->certificate_keys.count > 0;
	     i++) {
		size_t len = identity_key_make(facts->certificates[i], key);
		uint32_t value = len == 0 ?
				     0 :
				     key_table_find(&p->certificate_keys, LOGIN_EXACT,
						    (struct span){ key, len });

		if (value != 0)
			rule_add(&all, value, 0);
	}
}

void
identities_ask(const struct policy *p, const struct facts *facts, uint64_t *users,
	       uint64_t *certificates)
{
	users_ask(p, facts->user, users);
	certificates_ask(p, facts, certificates);
}

/* ---- The stages: each gives the grants that pass it, within the window ---- */

/*
 * The client's network is known to some grant, so the rest will be looked up, too: have the
 * memory fetch it all at once. Tables of 10^6 entries are in no cache, and waiting for one
 * after the other is most of what a decision costs with them.
 */
static void
keys_fetch(const struct policy *p, const struct facts *facts, enum stage upto,
	   struct who *who)
{
	UNCLEARED char login[LOGIN_MAX];
	struct key_probe probes[3] = { { .table = NULL } };
	size_t realm_at;

	who->has_keys = upto >= STAGE_RECIPIENT;
	if (facts->user.len > 0 && p->user_keys.count > 0) {
		size_t len = login_key_make(p->realm, facts->user, login, &realm_at);

		key_probe_begin(&probes[0], &p->user_keys, LOGIN_EXACT,
				(struct span){ login, len });
	}
	if (who->has_keys) {
		address_key_make(&who->sender, facts->sender);
		key_probe_begin(&probes[1], &p->sender_table.keys, PATTERN_ADDRESS,
				(struct span){ who->sender.text, who->sender.len });
		address_key_make(&who->recipient, facts->recipient);
		key_probe_begin(&probes[2], &p->recipient_table.keys, PATTERN_ADDRESS,
				(struct span){ who->recipient.text, who->recipient.len });
	}
	for (size_t i = 0; i < ARRAY_LEN(probes); i++)
		key_probe_go_on(&probes[i]);
}

static struct window
who_ask(const struct policy *p, const struct facts *facts, enum stage upto,
	struct who *who)
{
	UNCLEARED uint64_t certificates[GRANT_WORDS_MAX];
	struct window w = window_all(p);

	assert(facts->connector == NO_CONNECTOR || facts->connector < p->connector_count);
	who->connector = facts->connector == NO_CONNECTOR ?
			     p->unbound :
			     p->connector_grants[facts->connector];
	networks_ask(p, &facts->client, who->networks);
	w = bitmap_meet(who->networks, who->networks, who->connector, w);
	who->identities = p->anonymous;
	who->has_keys = false;
	if (w.first != w.end)
		keys_fetch(p, facts, upto, who);
	if (facts->user.len > 0 || facts->certificate_count > 0) {
		identities_ask(p, facts, who->known, certificates);
		bitmap_and(who->known, certificates, p->words);
		who->identities = who->known;
	}
	return w;
}

static void
validity_ask(const struct policy *p, int64_t now_ms, struct window w, uint64_t *pass)
{
	const struct validity *v = &p->validity;
	size_t low = 0, high = v->count; /* low changes are known to have happened */

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (v->changes[middle].at_ms <= now_ms)
			low = middle + 1;
		else
			high = middle;
	}
	size_t set = low / VALIDITY_STEP;

	bitmap_copy(pass + w.first, v->sets + set * p->words + w.first, w.end - w.first);
	for (size_t i = set * VALIDITY_STEP; i < low; i++) {
		size_t word = v->changes[i].grant / 64;

		if (word < w.first || word >= w.end)
			continue;
		if (v->changes[i].becomes_valid)
			bitmap_set(pass, v->changes[i].grant);
		else
			bitmap_clear(pass, v->changes[i].grant);
	}
}

static bool
connector_demands_tls(const struct policy *p, const struct facts *facts)
{
	enum tls_demand tls = facts->connector == NO_CONNECTOR ?
				  TLS_NONE :
				  p->connectors[facts->connector].tls;

	return tls == TLS_REQUIRED || tls == TLS_IMPLICIT;
}

/* Everybody has TLS, or the connector demands it: then nobody's demand matters. */
static void
tls_ask(const struct policy *p, const struct facts *facts, struct window w,
	uint64_t *pass)
{
	bool is_demanded = connector_demands_tls(p, facts);

	for (size_t i = w.first; i < w.end; i++)
		pass[i] = facts->is_tls ? UINT64_MAX : is_demanded ? 0 : ~p->needs_tls[i];
}

bool
address_is_same_domain(const struct address *a, const struct address *b)
{
	char x[DOMAIN_MAX], y[DOMAIN_MAX];

	if (a->domain.len == 0 || b->domain.len == 0 || a->is_literal != b->is_literal)
		return false;
	if (a->is_literal)
		return span_equal_fold(a->domain, b->domain);
	size_t m = domain_key_make(a->domain, x), n = domain_key_make(b->domain, y);

	return m > 0 && span_equal((struct span){ x, m }, (struct span){ y, n });
}

/*
 * Every mailbox of From, Sender and Resent-From must be right; where there is none that could
 * be read, only grants that do not look pass.
 */
static void
header_from_ask(const struct policy *p, const struct facts *facts, struct window w,
		uint64_t *pass)
{
	UNCLEARED uint64_t authorized[GRANT_WORDS_MAX];
	UNCLEARED uint64_t holds[GRANT_WORDS_MAX];
	size_t first = w.first, words = w.end - w.first;
	bool is_same = true;

	bitmap_copy(pass + first, p->header_from[HEADER_FROM_ANY] + first, words);
	if (facts->header_from_result != HEADER_FROM_READ ||
	    facts->header_from_count == 0)
		return;
	struct window left = bitmap_meet(authorized,
					 p->header_from[HEADER_FROM_AUTHORIZED],
					 p->header_from[HEADER_FROM_AUTHORIZED], w);

	for (size_t i = 0; i < facts->header_from_count; i++) {
		const struct address *address = &facts->header_from[i];

		is_same = is_same && address_is_same_domain(facts->sender, address);
		if (address_is_null(address))
			left.end = left.first;
		if (left.first == left.end)
			continue;
		addresses_ask(p, &p->senders, &p->sender_table, address, left, holds);
		left = bitmap_meet(authorized, authorized, holds, left);
	}
	bitmap_or(pass + left.first, authorized + left.first, left.end - left.first);
	if (is_same)
		bitmap_or(pass + first, p->header_from[HEADER_FROM_SAME_DOMAIN] + first,
			  words);
}

static void
evidence_ask(const struct policy *p, const struct facts *facts, struct window w,
	     uint64_t *pass)
{
	bitmap_copy(pass + w.first, p->all + w.first, w.end - w.first);
	for (size_t i = 0; i < EVIDENCE_COUNT; i++) {
		if (facts->evidence[i] != EVIDENCE_PASSES)
			bitmap_and_not(pass + w.first, p->needs_evidence[i] + w.first,
				       w.end - w.first);
	}
}

/* Does no grant fail here, whatever the facts? */
static bool
stage_is_idle(const struct policy *p, const struct facts *facts, enum stage stage)
{
	return (stage == STAGE_VALIDITY && p->validity.count == 0) ||
	       (stage == STAGE_TLS && facts->is_tls) ||
	       (stage == STAGE_HEADER_FROM && !p->asks_header_from) ||
	       (stage == STAGE_EVIDENCE && !p->asks_evidence);
}

/* The grants that pass this stage, whatever the other stages say, into pass. */
static void
stage_ask(const struct policy *p, const struct facts *facts, enum stage stage,
	  const struct who *who, struct window w, uint64_t *pass)
{
	assert(stage > STAGE_CONNECTION && stage < STAGE_QUOTA);
	switch (stage) {
	case STAGE_WHO:
		(void)bitmap_meet(pass, who->networks, who->identities, w);
		return;
	case STAGE_VALIDITY:
		validity_ask(p, facts->now_wall_ms, w, pass);
		return;
	case STAGE_TLS:
		tls_ask(p, facts, w, pass);
		return;
	case STAGE_SENDER:
		if (who->has_keys)
			keys_ask(&p->senders, &p->sender_table, &who->sender, w, pass);
		else
			addresses_ask(p, &p->senders, &p->sender_table, facts->sender, w,
				      pass);
		return;
	case STAGE_RECIPIENT:
		if (who->has_keys)
			recipient_keys_ask(p, &who->recipient, w, pass);
		else
			recipients_ask(p, facts->recipient, w, pass);
		return;
	case STAGE_HEADER_FROM:
		header_from_ask(p, facts, w, pass);
		return;
	case STAGE_EVIDENCE:
		evidence_ask(p, facts, w, pass);
		return;
	case STAGE_CONNECTION:
	case STAGE_QUOTA:
	case STAGE_PERMITTED:
		return;
	}
}

/* ---- Reasons ---- */

static const enum reason evidence_reasons[EVIDENCE_COUNT] = {
	REASON_EVIDENCE_SPF,   REASON_EVIDENCE_DKIM, REASON_EVIDENCE_DMARC,
	REASON_EVIDENCE_DNSBL, REASON_EVIDENCE_PTR,
};

/* The first evidence that the grant needs and that could not be looked at, or REASON_NONE. */
static enum reason
grant_trouble(const struct policy *p, const struct facts *facts, size_t grant)
{
	for (size_t i = 0; i < EVIDENCE_COUNT; i++) {
		enum evidence_result result = facts->evidence[i];

		if (bitmap_has(p->needs_evidence[i], grant) &&
		    (result == EVIDENCE_TROUBLE || result == EVIDENCE_NOT_LOOKED))
			return evidence_reasons[i];
	}
	return REASON_NONE;
}

/* Why a grant stopped at the evidence: trouble before failure, then in the order of the enum. */
static enum reason
evidence_reason(const struct policy *p, const struct facts *facts, size_t grant)
{
	if (grant_trouble(p, facts, grant) != REASON_NONE)
		return REASON_EVIDENCE_UNKNOWN;
	for (size_t i = 0; i < EVIDENCE_COUNT; i++) {
		if (bitmap_has(p->needs_evidence[i], grant) &&
		    facts->evidence[i] != EVIDENCE_PASSES)
			return evidence_reasons[i];
	}
	return REASON_EVIDENCE_UNKNOWN;
}

/* Of the stages that have one reason each. */
static enum reason
stage_reason(enum stage stage)
{
	switch (stage) {
	case STAGE_VALIDITY:
		return REASON_RELAY_EXPIRED;
	case STAGE_TLS:
		return REASON_TLS_REQUIRED;
	case STAGE_SENDER:
		return REASON_SENDER_NOT_AUTHORIZED;
	case STAGE_RECIPIENT:
		return REASON_RELAY_RECIPIENT;
	case STAGE_HEADER_FROM:
		return REASON_SENDER_HEADER_FROM;
	case STAGE_CONNECTION:
	case STAGE_WHO:
	case STAGE_EVIDENCE:
	case STAGE_QUOTA:
	case STAGE_PERMITTED:
		break;
	}
	return REASON_RELAY_NO_GRANT;
}

static enum reason
quota_ask(const struct facts *facts, size_t grant)
{
	enum reason which = REASON_QUOTA_MESSAGES;

	if (facts->has_quota == NULL ||
	    facts->has_quota(facts->quota_context, grant, &which))
		return REASON_NONE;
	return which;
}

static bool
reason_is_quota(enum reason reason)
{
	return reason == REASON_QUOTA_MESSAGES || reason == REASON_QUOTA_RECIPIENTS ||
	       reason == REASON_QUOTA_OCTETS || reason == REASON_QUOTA_SESSIONS ||
	       reason == REASON_QUOTA_TROUBLE;
}

static struct verdict
verdict_of(enum verdict_kind kind, enum reason reason, enum stage stage, size_t grant)
{
	return (struct verdict){ kind, reason, stage, grant, REASON_NONE };
}

/* The first grant of the window; there is one, or NO_GRANT. */
static size_t
first_alive(const uint64_t *alive, struct window w)
{
	return bitmap_next(alive, w.end, w.first * 64);
}

/* The first grant that is in all of them, or NO_GRANT. */
static size_t
first_common(const struct policy *p, const uint64_t *a, const uint64_t *b,
	     const uint64_t *c)
{
	for (size_t i = 0; i < p->words; i++) {
		uint64_t word = a[i] & b[i] & c[i];

		if (word != 0)
			return i * 64 + (size_t)__builtin_ctzll(word);
	}
	return NO_GRANT;
}

/*
 * No grant knows this client. Nearest is a grant that knows its login or certificate and not
 * its network; then one that would take it if it were (or had) another login.
 */
static struct verdict
who_refuse(const struct policy *p, const struct facts *facts, const struct who *who,
	   struct window near)
{
	struct verdict verdict = { .kind = VERDICT_REFUSED, .stage = STAGE_WHO };

	verdict.reason = REASON_RELAY_NETWORK;
	verdict.grant =
	    who->identities == p->anonymous ?
		NO_GRANT :
		first_common(p, who->connector, who->identities, p->identified);
	if (verdict.grant != NO_GRANT)
		return verdict;
	verdict.grant = first_alive(who->networks, near);
	verdict.reason = REASON_RELAY_NO_GRANT;
	if (facts->user.len == 0 && facts->connector != NO_CONNECTOR &&
	    p->connector_wants_login[facts->connector])
		verdict.reason = REASON_AUTH_REQUIRED;
	return verdict;
}

static struct verdict
evidence_refuse(const struct policy *p, const struct facts *facts, const uint64_t *alive,
		struct window w)
{
	size_t nearest = first_alive(alive, w);

	/* a grant that could not look might have passed: only then is waiting of use */
	for (size_t grant = nearest; grant != SIZE_MAX;
	     grant = bitmap_next(alive, w.end, grant + 1)) {
		enum reason cause = grant_trouble(p, facts, grant);

		if (cause != REASON_NONE)
			return (struct verdict){ VERDICT_DEFERRED,
						 REASON_EVIDENCE_UNKNOWN, STAGE_EVIDENCE,
						 grant, cause };
	}
	return verdict_of(VERDICT_REFUSED, evidence_reason(p, facts, nearest),
			  STAGE_EVIDENCE, nearest);
}

/* The grants alive passed everything else. */
static struct verdict
quota_decide(const struct facts *facts, const uint64_t *alive, struct window w)
{
	size_t nearest = first_alive(alive, w);
	enum reason reason = REASON_NONE;

	for (size_t grant = nearest; grant != SIZE_MAX;
	     grant = bitmap_next(alive, w.end, grant + 1)) {
		enum reason why = quota_ask(facts, grant);

		if (why == REASON_NONE)
			return verdict_of(VERDICT_RELAYED, REASON_NONE, STAGE_PERMITTED,
					  grant);
		if (grant == nearest)
			reason = why;
	}
	return verdict_of(VERDICT_DEFERRED, reason, STAGE_QUOTA, nearest);
}

static struct verdict
grants_ask(const struct policy *p, const struct facts *facts, enum stage upto, bool by_quota)
{
	UNCLEARED uint64_t maps[2][GRANT_WORDS_MAX];
	UNCLEARED uint64_t pass[GRANT_WORDS_MAX];
	UNCLEARED struct who who;
	const uint64_t *alive = p->all; /* then one of maps, the other being next */
	struct window w = window_all(p);

	if (p->grant_count == 0)
		return verdict_of(VERDICT_REFUSED, REASON_RELAY_NO_GRANT, STAGE_WHO,
				  NO_GRANT);
	if (upto >= STAGE_WHO)
		w = who_ask(p, facts, upto, &who);
	for (enum stage stage = STAGE_WHO; stage <= upto && stage < STAGE_QUOTA;
	     stage++) {
		uint64_t *next = maps[alive == maps[0]];

		if (stage_is_idle(p, facts, stage))
			continue;
		stage_ask(p, facts, stage, &who, w, pass);
		struct window left = bitmap_meet(next, alive, pass, w);

		if (left.first != left.end) {
			alive = next;
			w = left;
			continue;
		}
		if (stage == STAGE_WHO)
			return who_refuse(p, facts, &who, w);
		if (stage == STAGE_EVIDENCE)
			return evidence_refuse(p, facts, alive, w);
		return verdict_of(VERDICT_REFUSED, stage_reason(stage), stage,
				  first_alive(alive, w));
	}
	if (by_quota)
		return quota_decide(facts, alive, w);
	return verdict_of(VERDICT_RELAYED, REASON_NONE, STAGE_PERMITTED,
			  first_alive(alive, w));
}

/* ---- Monitor mode ---- */

bool
connector_is_monitoring(const struct connector_source *connector, int64_t now_ms)
{
	return connector->mode == MODE_MONITOR &&
	       (connector->monitor_until_ms == 0 || now_ms < connector->monitor_until_ms);
}

bool
grant_is_monitoring(const struct grant_source *grant, int64_t now_ms)
{
	return grant->mode == MODE_MONITOR &&
	       (grant->monitor_until_ms == 0 || now_ms < grant->monitor_until_ms);
}

static bool
is_monitoring(const struct policy *p, const struct facts *facts,
	      const struct verdict *verdict)
{
	if (facts->connector != NO_CONNECTOR &&
	    connector_is_monitoring(&p->connectors[facts->connector], facts->now_wall_ms))
		return true;
	return verdict->grant != NO_GRANT && verdict->stage > STAGE_WHO &&
	       grant_is_monitoring(&p->grants[verdict->grant], facts->now_wall_ms);
}

/* ---- Public ---- */

/*
 * A client that nobody knows, in clear where the connector demands TLS: it may have the very
 * login or certificate that its grant asks for, and cannot say so yet.
 */
static bool
is_unknown_in_clear(const struct policy *p, const struct facts *facts, enum stage upto,
		    const struct verdict *verdict)
{
	return verdict->stage == STAGE_WHO && upto >= STAGE_TLS && !facts->is_tls &&
	       connector_demands_tls(p, facts);
}

static struct verdict
decide(const struct policy *p, const struct facts *facts, enum stage upto, bool by_quota)
{
	struct verdict verdict = grants_ask(p, facts, upto, by_quota);

	if (is_unknown_in_clear(p, facts, upto, &verdict))
		verdict = verdict_of(VERDICT_REFUSED, REASON_TLS_REQUIRED, STAGE_TLS, NO_GRANT);

	bool is_no =
	    verdict.kind == VERDICT_REFUSED ||
	    (verdict.kind == VERDICT_DEFERRED && reason_is_quota(verdict.reason));

	if (is_no && is_monitoring(p, facts, &verdict))
		verdict.kind = VERDICT_WOULD_REFUSE;
	return verdict;
}

struct verdict
policy_decide(const struct policy *p, const struct facts *facts, enum stage upto)
{
	return decide(p, facts, upto, upto >= STAGE_QUOTA);
}

struct verdict
policy_decide_by_quota(const struct policy *p, const struct facts *facts, enum stage upto)
{
	return decide(p, facts, upto, true);
}

const struct reason_reply *
verdict_reply(const struct verdict *verdict, const struct reply_wording *wording)
{
	if (verdict->kind != VERDICT_DEFERRED)
		return wording_reply(wording, verdict->reason);
	return wording_reply_deferred(
	    wording, verdict->cause != REASON_NONE ? verdict->cause : verdict->reason);
}

/* Why one grant stopped at STAGE_WHO. */
static enum reason
who_reason(const struct policy *p, const struct facts *facts, const struct who *who,
	   size_t grant)
{
	bool is_here = bitmap_has(who->connector, grant);

	if (is_here && bitmap_has(who->identities, grant) &&
	    bitmap_has(p->identified, grant))
		return REASON_RELAY_NETWORK;
	if (is_here && bitmap_has(who->networks, grant) &&
	    bitmap_has(p->identified, grant) && facts->user.len == 0 &&
	    facts->connector != NO_CONNECTOR &&
	    p->connectors[facts->connector].can_authenticate)
		return REASON_AUTH_REQUIRED;
	return REASON_RELAY_NO_GRANT;
}

static enum reason
trace_reason(const struct policy *p, const struct facts *facts, const struct who *who,
	     enum stage stage, size_t grant)
{
	if (stage == STAGE_WHO)
		return who_reason(p, facts, who, grant);
	if (stage == STAGE_EVIDENCE)
		return evidence_reason(p, facts, grant);
	return stage_reason(stage);
}

void
policy_trace(const struct policy *p, const struct facts *facts, enum stage upto,
	     struct grant_outcome *out)
{
	UNCLEARED uint64_t pass[GRANT_WORDS_MAX];
	UNCLEARED struct who who;

	if (p->grant_count == 0)
		return;
	if (upto >= STAGE_WHO)
		(void)who_ask(p, facts, upto, &who);
	for (size_t grant = 0; grant < p->grant_count; grant++)
		out[grant] =
		    (struct grant_outcome){ grant, STAGE_PERMITTED, REASON_NONE };
	for (enum stage stage = STAGE_WHO; stage <= upto && stage < STAGE_QUOTA;
	     stage++) {
		stage_ask(p, facts, stage, &who, window_all(p), pass);
		for (size_t grant = 0; grant < p->grant_count; grant++) {
			if (out[grant].stage != STAGE_PERMITTED ||
			    bitmap_has(pass, grant))
				continue;
			out[grant].stage = stage;
			out[grant].reason = trace_reason(p, facts, &who, stage, grant);
		}
	}
	for (size_t grant = 0; upto >= STAGE_QUOTA && grant < p->grant_count; grant++) {
		if (out[grant].stage != STAGE_PERMITTED)
			continue;
		out[grant].reason = quota_ask(facts, grant);
		if (out[grant].reason != REASON_NONE)
			out[grant].stage = STAGE_QUOTA;
	}
}
