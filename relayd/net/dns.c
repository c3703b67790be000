/* SPDX-License-Identifier: ISC */
/*
 * DNS through libunbound; see dns.h.
 *
 * libunbound calls back from its own depths, sometimes before ub_resolve_event returns. An
 * answer is therefore only kept there, and delivered by a posted call: who is told may ask,
 * cancel or free whatever it likes.
 */
#include "net/dns.h"

#include "base/memory.h"
#include "net/dns_events.h"
#include "net/dns_packet.h"
#include "net/hosts.h"

#include <stdlib.h>
#include <unbound.h>
#include <unistd.h>

#define DEADLINE_MS   30000
#define HOSTS_PATH    "/etc/hosts"
#define HOSTS_TTL_S   60
#define LABEL_MAX     63
#define CLASS_IN      1
#define SECURITY_BOGUS	1 /* what libunbound says of an answer, unbound-event.h */
#define SECURITY_SECURE 2

struct dns_query {
	struct dns *dns;
	struct list link; /* in dns->asked or dns->answered */
	dns_done *done;
	void *context;
	enum dns_type type;
	struct loop_timer deadline;
	int async_id; /* libunbound's; 0: it does not have the question */

	/* The answer, to be delivered. */
	bool is_answered;
	enum dns_status status;
	bool is_secure;
	bool is_nameless; /* NXDOMAIN */
	const struct host_address *host;
	char *packet; /* NULL: the status says all */
	size_t packet_len;
};

struct dns {
	struct loop *loop;
	struct ub_ctx *context;
	struct dns_events events;
	struct hosts hosts;
	int64_t deadline_ms;
	struct list asked;
	struct list answered;
	struct loop_call deliver;
	struct dns_query *delivering; /* the query whose done runs */
	bool is_doomed;		      /* freed from within it */
	struct dns_packet packet;
};

/* --- setting up -------------------------------------------------------------------- */

/* Names and values as in unbound.conf(5); libunbound wants the colon. */
static const struct {
	const char *name;
	const char *value;
} options[] = {
	{ "do-not-query-localhost:", "no" }, /* a resolver on this machine is a good one */
	{ "unblock-lan-zones:", "yes" },     /* names of private addresses are asked for */
	{ "insecure-lan-zones:", "yes" },    /* and not held against the root's signature */
	{ "use-caps-for-id:", "yes" },	     /* 0x20: harder to forge answers */
	{ "outgoing-range:", "256" },
	{ "outgoing-num-tcp:", "16" },
	{ "num-queries-per-thread:", "2048" },
	{ "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" },
	{ "key-cache-size:", "2m" },
	{ "neg-cache-size:", "1m" },
	{ "cache-max-negative-ttl:", "300" },
	{ "infra-host-ttl:", "60" },	   /* a dead resolver is soon tried again, */
	{ "infra-keep-probing:", "yes" }, /* and all the time */
};

static bool
option_set(struct ub_ctx *context, const char *name, const char *value, struct fault *fault)
{
	int error = ub_ctx_set_option(context, name, value);

	return error == 0 ||
	       fault_say(fault, "libunbound option %s %s: %s", name, value,
			 ub_strerror(error));
}

static bool
forwarders_set(struct ub_ctx *context, const struct dns_settings *settings,
	       struct fault *fault)
{
	int error;

	if (settings->forwarders == NULL) {
		error = ub_ctx_resolvconf(context, NULL);
		return error == 0 ||
		       fault_say(fault, "read /etc/resolv.conf: %s", ub_strerror(error));
	}
	for (size_t i = 0; i < settings->forwarder_count; i++) {
		error = ub_ctx_set_fwd(context, settings->forwarders[i]);
		if (error != 0)
			return fault_say(fault, "use name server %s: %s",
					 settings->forwarders[i], ub_strerror(error));
	}
	return true;
}

static bool
validation_set(struct ub_ctx *context, const char *anchor_file, struct fault *fault)
{
	int error;

	if (anchor_file == NULL)
		return option_set(context, "module-config:", "iterator", fault);
	if (access(anchor_file, R_OK) == -1)
		return fault_setf(fault, "read %s", anchor_file);
	error = ub_ctx_add_ta_file(context, anchor_file);
	if (error != 0)
		return fault_say(fault, "read %s: %s", anchor_file, ub_strerror(error));
	return option_set(context, "module-config:", "validator iterator", fault);
}

/* Everything before the first question: later the library takes no more of it. */
static bool
context_open(struct dns *dns, const struct dns_settings *settings, struct fault *fault)
{
	int error;

	dns->context = ub_ctx_create_ub_event(&dns->events.base);
	if (dns->context == NULL)
		return fault_set(fault, "create libunbound's context");
	(void)ub_ctx_debugout(dns->context, NULL); /* it would write to our stderr */
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (!option_set(dns->context, options[i].name, options[i].value, fault))
			return false;
	}
	if (!forwarders_set(dns->context, settings, fault) ||
	    !validation_set(dns->context, settings->trust_anchor_file, fault))
		return false;
	/* The first use of its data makes the library check what it was told. */
	error = ub_ctx_data_remove(dns->context, "relayd.invalid.");
	return error == 0 || fault_say(fault, "set up libunbound: %s", ub_strerror(error));
}

static void dns_deliver(struct loop_call *call);

struct dns *
dns_new(struct loop *loop, const struct dns_settings *settings, struct fault *fault)
{
	struct dns *dns = memory_new(sizeof(*dns));
	const char *hosts_path = settings->hosts_path;

	if (hosts_path == NULL)
		hosts_path = HOSTS_PATH;
	dns->loop = loop;
	dns->deadline_ms = settings->deadline_ms > 0 ? settings->deadline_ms : DEADLINE_MS;
	dns->deliver.run = dns_deliver;
	list_init(&dns->asked);
	list_init(&dns->answered);
	dns_events_init(&dns->events, loop);
	if (!context_open(dns, settings, fault) ||
	    (settings->uses_hosts_file && !hosts_read(&dns->hosts, hosts_path, fault)))
		dns_free(&dns);
	return dns;
}

/* --- the life of a query ----------------------------------------------------------- */

static void
query_free(struct dns_query *query)
{
	if (query->async_id != 0)
		(void)ub_cancel(query->dns->context, query->async_id);
	loop_timer_cancel(query->dns->loop, &query->deadline);
	list_remove(&query->link);
	free(query->packet);
	free(query);
}

/* The answer is there: deliver it in a later turn. */
static void
query_answered(struct dns_query *query, enum dns_status status)
{
	struct dns *dns = query->dns;

	query->is_answered = true;
	query->status = status;
	loop_timer_cancel(dns->loop, &query->deadline);
	list_remove(&query->link);
	list_append(&dns->answered, &query->link);
	if (!dns->deliver.is_posted)
		loop_post(dns->loop, &dns->deliver);
}

static void
query_expired(struct loop_timer *timer)
{
	struct dns_query *query = LIST_OWNER(timer, struct dns_query, deadline);

	if (query->async_id != 0)
		(void)ub_cancel(query->dns->context, query->async_id);
	query->async_id = 0;
	query_answered(query, DNS_TROUBLE);
}

/* libunbound has an answer. The packet is its own and has to be copied. */
static void
query_resolved(void *context, int rcode, void *packet, int packet_len, int security,
	       char *why_bogus, int was_ratelimited)
{
	struct dns_query *query = context;

	(void)why_bogus;
	(void)was_ratelimited;
	query->async_id = 0;
	query->is_secure = security == SECURITY_SECURE;
	query->is_nameless = rcode == DNS_RCODE_ABSENT;
	if (security == SECURITY_BOGUS) {
		query_answered(query, DNS_TROUBLE);
	} else if (rcode == DNS_RCODE_ABSENT) {
		query_answered(query, DNS_ABSENT);
	} else if (rcode != DNS_RCODE_OK || packet == NULL || packet_len <= 0) {
		query_answered(query, DNS_TROUBLE);
	} else {
		query->packet_len = (size_t)packet_len;
		query->packet = memory_resize(NULL, query->packet_len, 1);
		memcpy(query->packet, packet, query->packet_len);
		query_answered(query, DNS_FOUND);
	}
}

/* --- delivering -------------------------------------------------------------------- */

static enum dns_status
packet_status(struct dns_query *query, struct dns_packet *packet)
{
	struct span wire = { query->packet, query->packet_len };

	if (dns_packet_parse(wire, query->type, packet) != PARSE_OK)
		return DNS_TROUBLE;
	if (packet->rcode == DNS_RCODE_OK)
		return packet->count > 0 ? DNS_FOUND : DNS_ABSENT;
	return packet->rcode == DNS_RCODE_ABSENT ? DNS_ABSENT : DNS_TROUBLE;
}

/* The hosts file knows the name; it may have no address of this family. */
static enum dns_status
hosts_status(const struct dns_query *query, struct dns_packet *packet)
{
	packet->count = 0;
	packet->ttl_s = HOSTS_TTL_S;
	for (const struct host_address *a = query->host;
	     a != NULL && packet->count < DNS_RECORDS_MAX; a = a->next) {
		if (ip_is_v4(&a->ip) == (query->type == DNS_A))
			packet->records[packet->count++] = (struct dns_record){ .ip = a->ip };
	}
	return packet->count > 0 ? DNS_FOUND : DNS_ABSENT;
}

static void
query_deliver(struct dns_query *query)
{
	struct dns *dns = query->dns;
	struct dns_answer answer = { .status = query->status, .records = dns->packet.records };

	dns->packet.ttl_s = 0;
	if (query->packet != NULL)
		answer.status = packet_status(query, &dns->packet);
	else if (query->host != NULL)
		answer.status = hosts_status(query, &dns->packet);
	answer.is_secure = query->is_secure && answer.status != DNS_TROUBLE;
	answer.has_no_name =
	    answer.status == DNS_ABSENT &&
	    (query->is_nameless ||
	     (query->packet != NULL && dns->packet.rcode == DNS_RCODE_ABSENT));
	answer.count = answer.status == DNS_FOUND ? dns->packet.count : 0;
	answer.ttl_s = answer.status == DNS_TROUBLE ? 0 : dns->packet.ttl_s;
	dns->delivering = query;
	query->done(query->context, &answer);
	dns->delivering = NULL;
	query_free(query);
}

static void
dns_deliver(struct loop_call *call)
{
	struct dns *dns = LIST_OWNER(call, struct dns, deliver);
	struct list now, *link;

	list_init(&now);
	list_splice(&now, &dns->answered);
	while ((link = list_take_first(&now)) != NULL) {
		query_deliver(LIST_OWNER(link, struct dns_query, link));
		if (dns->is_doomed) {
			list_splice(&dns->answered, &now);
			dns_free(&dns);
			return;
		}
	}
}

/* --- asking ------------------------------------------------------------------------ */

/* Labels of 1 to 63 printable ASCII octets, 253 in all; the last dot is left out. */
static bool
name_terminate(struct span name, char out[DNS_NAME_MAX + 1])
{
	size_t label = 0;

	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (c <= ' ' || c > '~' || c == '\\' || (c == '.' && label == 0))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
	}
	memcpy(out, name.ptr, name.len);
	out[name.len] = '\0';
	return label > 0;
}

struct dns_query *
dns_ask(struct dns *dns, struct span name, enum dns_type type, dns_done *done, void *context)
{
	struct dns_query *query = memory_new(sizeof(*query));
	char text[DNS_NAME_MAX + 1];

	query->dns = dns;
	query->done = done;
	query->context = context;
	query->type = type;
	query->deadline.expired = query_expired;
	list_init(&query->link);
	list_append(&dns->asked, &query->link);
	if (type == DNS_A || type == DNS_AAAA)
		query->host = hosts_find(&dns->hosts, name);
	if (query->host != NULL) {
		query_answered(query, DNS_FOUND);
		return query;
	}
	if (!name_terminate(name, text)) {
		query_answered(query, DNS_TROUBLE);
		return query;
	}
	/* May call query_resolved before it returns; async_id says nothing then. */
	int async_id = 0;
	int error = ub_resolve_event(dns->context, text, (int)type, CLASS_IN, query,
				     query_resolved, &async_id);

	if (error != 0) {
		query_answered(query, DNS_TROUBLE);
	} else if (!query->is_answered) {
		query->async_id = async_id;
		loop_timer_set(dns->loop, &query->deadline, dns->deadline_ms);
	}
	return query;
}

void
dns_cancel(struct dns_query **query)
{
	struct dns_query *q = *query;

	*query = NULL;
	if (q != NULL && q != q->dns->delivering)
		query_free(q);
}

void
dns_free(struct dns **dns)
{
	struct dns *d = *dns;
	struct list *link;

	*dns = NULL;
	if (d == NULL)
		return;
	while ((link = list_take_first(&d->asked)) != NULL ||
	       (link = list_take_first(&d->answered)) != NULL)
		query_free(LIST_OWNER(link, struct dns_query, link));
	if (d->delivering != NULL) {
		d->is_doomed = true; /* dns_deliver comes back to it */
		return;
	}
	(void)loop_call_cancel(d->loop, &d->deliver);
	if (d->context != NULL)
		ub_ctx_delete(d->context);
	hosts_reset(&d->hosts);
	free(d);
}
