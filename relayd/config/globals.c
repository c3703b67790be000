/* SPDX-License-Identifier: ISC */
/* The top of the file, accepted domains, tables, queue, audit, dns; see reader.h. */
#include "config/reader.h"
#include "config/value.h"
#include "smtp/address.h"

#include <pwd.h>
#include <unistd.h>

#define USER_DEFAULT	 "_relayd"
#define STATE_DEFAULT	 "/var/lib/relayd"
#define TIME_AHEAD_MAX	 (400 * DAY_MS)
#define SUBDOMAIN_PREFIX "*."

static const char *
text_or(struct reader *reader, struct span text, const char *fallback)
{
	return span_is_empty(text) ? fallback : arena_copy_text(reader->arena, text);
}

/* The account to run as; only root can become another, so only then must it exist. */
static void
user_read(struct reader *reader)
{
	struct value value;
	bool is_named = section_value(&reader->root, "user", &value);
	const char *user =
	    text_or(reader, section_text(&reader->root, "user"), USER_DEFAULT);

	reader->settings->user = user;
	if (!reader->input->is_root || getpwnam(user) != NULL)
		return;
	if (is_named)
		value_complain(&value, "is not an account of this machine; create it, or "
				       "name another");
	else
		complaint_warn(reader->complaints, reader->outline->main->name, 0,
			       "there is no account \"%s\", as which relayd would run; "
			       "create it, or name another with user = \"...\"",
			       user);
}

static unsigned
workers_read(struct reader *reader)
{
	unsigned workers =
	    section_number(&reader->root, "workers", 0, 0, WORKERS_MAX, false);
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (workers > 0)
		return workers;
	if (cores < 1)
		return 1;
	return cores > WORKERS_MAX ? WORKERS_MAX : (unsigned)cores;
}

/* Where reports come from unless the configuration says otherwise. */
static struct span
postmaster_make(struct reader *reader)
{
	struct buffer text;
	struct span kept;

	buffer_init(&text, DOMAIN_MAX + 20);
	(void)buffer_printf(&text, "postmaster@%s", reader->settings->hostname);
	kept = arena_copy(reader->arena, buffer_span(&text));
	buffer_reset(&text);
	return kept;
}

/* What is told to those whose mail is late or comes to nothing. */
static void
reports_read(const struct section *section, struct queue_settings *queue)
{
	static const struct choice undeliverable[] = {
		{ "keep", UNDELIVERABLE_KEEP, IN_THIS_RELEASE },
		{ "postmaster", UNDELIVERABLE_POSTMASTER, IN_THIS_RELEASE },
	};
	struct address address;
	struct value value;
	bool has_from = section_value(section, "bounce-from", &value);

	if (has_from) {
		queue->bounce_from = section_text(section, "bounce-from");
		if (mailbox_parse(queue->bounce_from, &address) != PARSE_OK || address.is_utf8)
			value_complain(&value, "is not an address; write for example "
					       "\"postmaster@example.com\"");
	}
	queue->undeliverable = (enum undeliverable)section_choice(
	    section, "undeliverable", undeliverable, ARRAY_LEN(undeliverable),
	    has_from ? UNDELIVERABLE_POSTMASTER : UNDELIVERABLE_KEEP);
	if (!section_value(section, "warn-after", &value))
		return;
	if (span_equal(value.text, span_of("never")))
		queue->warn_after_ms = 0;
	else
		queue->warn_after_ms =
		    section_duration(section, "warn-after", queue->warn_after_ms, 10,
				     TIME_AHEAD_MAX);
}

static void
queue_read(struct reader *reader)
{
	static const int64_t retry_default[] = { MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS,
						 30 * MINUTE_MS, HOUR_MS };
	struct queue_settings *queue = &reader->settings->queue;
	struct section section;

	*queue = (struct queue_settings){
		.retry_ms = retry_default,
		.retry_count = ARRAY_LEN(retry_default),
		.expires_ms = 5 * DAY_MS,
		.warn_after_ms = 4 * HOUR_MS,
	};
	queue->bounce_from = postmaster_make(reader);
	if (!section_open(reader, "queue", &section))
		return;
	reports_read(&section, queue);
	queue->expires_ms = section_duration(&section, "expires", queue->expires_ms,
					     SECOND_MS, TIME_AHEAD_MAX);
	if (!section_has(&section, "retry"))
		return;
	(void)section_list_required(&section, "retry", NULL,
				    "{ \"1m\", \"5m\", \"15m\", \"30m\", \"1h\" }");
	queue->retry_ms =
	    section_durations(&section, "retry", &queue->retry_count, 10, TIME_AHEAD_MAX);
}

static void
audit_read(struct reader *reader)
{
	struct section section;
	struct value value;

	if (section_open(reader, "audit", &section) &&
	    !section_bool(&section, "jsonl", true) &&
	    section_value(&section, "jsonl", &value))
		value_complain(&value, "cannot be: the JSON Lines are the record of "
				       "truth and are always written; write true, or "
				       "remove the option");
}

/* "127.0.0.1@5399" or an address. */
static bool
forwarder_check(const struct value *value)
{
	size_t at = span_find(value->text, '@');
	uint64_t port = 1;
	struct ip ip;

	if (ip_parse(span_first(value->text, at), &ip) == PARSE_OK &&
	    (at == value->text.len || number_parse(span_skip(value->text, at + 1),
						   UINT16_MAX, &port) == PARSE_OK) &&
	    port > 0)
		return true;
	value_complain(value, "is not the address of a name server; write for example "
			      "\"192.0.2.53\" or \"127.0.0.1@5399\"");
	return false;
}

static void
dns_read(struct reader *reader)
{
	struct dns_settings *dns = &reader->settings->dns;
	struct section section;
	struct value value;

	dns->uses_hosts_file = true;
	if (!section_open(reader, "dns", &section))
		return;
	dns->uses_hosts_file = section_bool(&section, "hosts-file", true);

	struct text_list list = section_list(&section, "forwarders", forwarder_check);
	const char **forwarders =
	    arena_new_array(reader->arena, list.count, sizeof(*forwarders));

	for (size_t i = 0; i < list.count; i++)
		forwarders[i] = arena_copy_text(reader->arena, list.items[i]);
	dns->forwarders = list.count == 0 ? NULL : forwarders;
	dns->forwarder_count = list.count;
	dns->trust_anchor_file =
	    text_or(reader, section_path(&section, "trust-anchor-file"), NULL);
	if (dns->trust_anchor_file != NULL && dns->trust_anchor_file[0] == '/' &&
	    reader->outline->opens_files && access(dns->trust_anchor_file, R_OK) == -1 &&
	    section_value(&section, "trust-anchor-file", &value))
		value_complain(&value, "cannot be read; name a file such as "
				       "\"/usr/share/dns/root.key\", or remove the "
				       "option");
}

void
globals_read(struct reader *reader)
{
	static const struct choice styles[] = {
		{ "relayd", REPLY_STYLE_RELAYD, IN_THIS_RELEASE },
		{ "standard", REPLY_STYLE_STANDARD, IN_THIS_RELEASE },
		{ "exchange", REPLY_STYLE_EXCHANGE, IN_THIS_RELEASE },
	};
	struct settings *settings = reader->settings;
	struct value value;

	settings->hostname = "";
	if (section_value(&reader->root, "hostname", &value))
		settings->hostname = value.text.ptr;
	else
		section_complain_missing(&reader->root, "hostname",
					 "\"relay.example.com\"");
	if (section_has(&reader->root, "hostname") && !domain_is_valid(value.text))
		value_complain(&value, "is not a host name; write for example "
				       "\"relay.example.com\"");
	settings->state_directory =
	    text_or(reader, section_path(&reader->root, "state-dir"), STATE_DEFAULT);
	settings->workers = workers_read(reader);
	settings->wording.style = (enum reply_style)section_choice(
	    &reader->root, "reply-style", styles, ARRAY_LEN(styles), REPLY_STYLE_RELAYD);
	user_read(reader);
	queue_read(reader);
	audit_read(reader);
	dns_read(reader);
	sts_read(reader);
}

void
accepted_domains_read(struct reader *reader)
{
	static const struct choice types[] = {
		{ "authoritative", DOMAIN_AUTHORITATIVE, IN_THIS_RELEASE },
		{ "internal-relay", DOMAIN_INTERNAL_RELAY, IN_THIS_RELEASE },
		{ "external-relay", DOMAIN_EXTERNAL_RELAY, IN_THIS_RELEASE },
	};
	struct policy_source *source = &reader->settings->source;
	const struct section *sections =
	    sections_open(reader, "accepted-domain", &source->domain_count);
	struct accepted_domain_source *domains =
	    arena_new_array(reader->arena, source->domain_count, sizeof(*domains));

	for (size_t i = 0; i < source->domain_count; i++) {
		const struct section *section = &sections[i];
		struct span name = section->item->title;
		struct span domain = span_starts_fold(name, span_of(SUBDOMAIN_PREFIX))
					 ? span_skip(name, strlen(SUBDOMAIN_PREFIX))
					 : name;

		if (!domain_is_valid(domain))
			section_complain(section, "is not a domain; write for example "
						  "accepted-domain \"example.com\", or "
						  "\"*.example.com\" for those below it");
		domains[i] = (struct accepted_domain_source){
			.name = arena_copy(reader->arena, name),
			.type = (enum accepted_domain_type)section_choice(
			    section, "type", types, ARRAY_LEN(types),
			    DOMAIN_AUTHORITATIVE),
			.line = section->item->line,
		};
	}
	source->domains = domains;
}

void
tables_read(struct reader *reader)
{
	static const struct choice types[] = {
		{ "network", TABLE_NETWORK, IN_THIS_RELEASE },
		{ "sender", TABLE_SENDER, IN_THIS_RELEASE },
		{ "recipient", TABLE_RECIPIENT, IN_THIS_RELEASE },
		{ "user", TABLE_USER, IN_THIS_RELEASE },
	};
	struct policy_source *source = &reader->settings->source;
	const struct section *sections =
	    sections_open(reader, "table", &source->table_count);
	struct table_source *tables =
	    arena_new_array(reader->arena, source->table_count, sizeof(*tables));

	for (size_t i = 0; i < source->table_count; i++) {
		const struct section *section = &sections[i];
		struct value value;

		tables[i].name = arena_copy(reader->arena, section->item->title);
		tables[i].line = section->item->line;
		tables[i].type = (enum table_type)section_choice(
		    section, "type", types, ARRAY_LEN(types), TABLE_NETWORK);
		if (!section_has(section, "type"))
			section_complain_missing(section, "type", "\"network\"");
		if (section_value(section, "file", &value))
			table_file_read(reader, &value, &tables[i]);
		else
			section_complain_missing(section, "file",
						 "\"/etc/relayd/table.txt\"");
	}
	source->tables = tables;
}
