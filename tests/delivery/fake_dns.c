/* SPDX-License-Identifier: ISC */
/* A resolver of the tests' own; see fake_dns.h. */
#include "fake_dns.h"

#include "base/memory.h"

#include <stdlib.h>

struct dns {
	struct loop *loop;
	const struct fake_answer *answers;
	size_t count;
	unsigned asked;
	struct list queries;
};

struct dns_query {
	struct list link;
	struct loop_timer timer;
	struct dns *dns;
	const struct fake_answer *answer;
	dns_done *done;
	void *context;
};

struct dns *
fake_dns_new(struct loop *loop, const struct fake_answer *answers, size_t count)
{
	struct dns *dns = memory_new(sizeof(*dns));

	dns->loop = loop;
	dns->answers = answers;
	dns->count = count;
	list_init(&dns->queries);
	return dns;
}

static void
query_end(struct dns_query *query)
{
	loop_timer_cancel(query->dns->loop, &query->timer);
	list_remove(&query->link);
	free(query);
}

void
fake_dns_free(struct dns **dns)
{
	while (!list_is_empty(&(*dns)->queries))
		query_end(LIST_OWNER((*dns)->queries.next, struct dns_query, link));
	free(*dns);
	*dns = NULL;
}

unsigned
fake_dns_count(const struct dns *dns)
{
	return dns->asked;
}

static void
query_answer(struct loop_timer *timer)
{
	struct dns_query *query = LIST_OWNER(timer, struct dns_query, timer);
	struct dns_query ended = *query;
	struct dns_record records[4];
	struct dns_answer answer = { .status = DNS_ABSENT, .records = records };

	query_end(query);
	memset(records, 0, sizeof(records));
	if (ended.answer != NULL) {
		answer.status = ended.answer->status;
		answer.ttl_s = ended.answer->ttl_s;
		while (answer.count < 4 && ended.answer->addresses[answer.count] != NULL) {
			(void)ip_parse(span_of(ended.answer->addresses[answer.count]),
				       &records[answer.count].ip);
			answer.count++;
		}
	}
	ended.done(ended.context, &answer);
}

struct dns_query *
dns_ask(struct dns *dns, struct span name, enum dns_type type, dns_done *done, void *context)
{
	struct dns_query *query = memory_new(sizeof(*query));

	query->dns = dns;
	query->done = done;
	query->context = context;
	query->timer.expired = query_answer;
	for (size_t i = 0; i < dns->count; i++) {
		if (dns->answers[i].type == type &&
		    span_equal_fold(span_of(dns->answers[i].name), name))
			query->answer = &dns->answers[i];
	}
	dns->asked++;
	list_init(&query->link);
	list_append(&dns->queries, &query->link);
	loop_timer_set(dns->loop, &query->timer, 0);
	return query;
}

void
dns_cancel(struct dns_query **query)
{
	query_end(*query);
	*query = NULL;
}
