/* SPDX-License-Identifier: ISC */
/* The schema of the configuration; see schema.h. */
#include "config/schema.h"

#include "base/table.h"
#include "config/value.h"

#include <stdio.h>

/* clang-format off */
#define SECTION(options) { (options), ARRAY_LEN(options) }

static const struct option_schema tls_options[] = {
	{ "certificate", OPTION_LIST,  IN_THIS_RELEASE, "\"/etc/relayd/tls/fullchain.pem\"", NULL },
	{ "key",         OPTION_LIST,  IN_THIS_RELEASE, "\"/etc/relayd/tls/key.pem\"", NULL },
	{ "ocsp-staple", OPTION_LIST,  IN_THIS_RELEASE, "\"/etc/relayd/tls/staple.der\"", NULL },
	{ "server-names", OPTION_LIST, IN_THIS_RELEASE, "{ \"mx.example.com\" }", NULL },
	{ "client-ca",   OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/clients.pem\"", NULL },
	{ "profile",     OPTION_VALUE, IN_THIS_RELEASE, "\"intermediate\"", NULL },
};
static const struct section_schema tls_schema = SECTION(tls_options);

static const struct option_schema sasl_options[] = {
	{ "method",     OPTION_VALUE, IN_THIS_RELEASE, "\"users-file\"", NULL },
	{ "users-file", OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/users\"", NULL },
	{ "realm",      OPTION_VALUE, IN_THIS_RELEASE, "\"example.com\"", NULL },
	{ "sasldb-path", OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/sasldb2\"", NULL },
	{ "saslauthd-path", OPTION_VALUE, IN_THIS_RELEASE, "\"/run/saslauthd/mux\"", NULL },
	{ "plugin",     OPTION_VALUE, IN_THIS_RELEASE, "\"sql\"", NULL },
	{ "options",    OPTION_LIST,  IN_THIS_RELEASE, "{ \"sql_engine: pgsql\" }", NULL },
	{ "keytab",     OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/smtp.keytab\"", NULL },
	{ "scram-from-clear", OPTION_VALUE, IN_THIS_RELEASE, "false", NULL },
};
static const struct section_schema sasl_schema = SECTION(sasl_options);

static const struct option_schema accepted_domain_options[] = {
	{ "type", OPTION_VALUE, IN_THIS_RELEASE, "\"authoritative\"", NULL },
};
static const struct section_schema accepted_domain_schema = SECTION(accepted_domain_options);

static const struct option_schema table_options[] = {
	{ "type", OPTION_VALUE, IN_THIS_RELEASE, "\"network\"", NULL },
	{ "file", OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/printers.txt\"", NULL },
};
static const struct section_schema table_schema = SECTION(table_options);

static const struct option_schema connector_options[] = {
	{ "bindings",          OPTION_LIST,  IN_THIS_RELEASE, "{ \"0.0.0.0:25\", \"[::]:25\" }", NULL },
	{ "remote-ip-ranges",  OPTION_LIST,  IN_THIS_RELEASE, "{ \"10.0.0.0/8\" }", NULL },
	{ "tls",               OPTION_VALUE, IN_THIS_RELEASE, "\"none\"", NULL },
	{ "tls-section",       OPTION_VALUE, IN_THIS_RELEASE, "\"default\"", NULL },
	{ "auth-mechanisms",   OPTION_LIST,  IN_THIS_RELEASE, "{ }", NULL },
	{ "auth-without-tls",  OPTION_VALUE, IN_THIS_RELEASE, "false", NULL },
	{ "mode",              OPTION_VALUE, IN_THIS_RELEASE, "\"enforce\"", NULL },
	{ "monitor-until",     OPTION_VALUE, IN_THIS_RELEASE, "\"2026-12-31\"", NULL },
	{ "proxy-protocol",    OPTION_LIST,  IN_THIS_RELEASE, "{ \"10.0.0.5\" }", NULL },
	{ "xclient",           OPTION_LIST,  IN_THIS_RELEASE, "{ \"127.0.0.1\" }", NULL },
	{ "max-message-size",  OPTION_VALUE, IN_THIS_RELEASE, "\"36MB\"", NULL },
	{ "max-header-size",   OPTION_VALUE, IN_THIS_RELEASE, "\"256KB\"", NULL },
	{ "max-recipients-per-message", OPTION_VALUE, IN_THIS_RELEASE, "200", NULL },
	{ "max-connections",   OPTION_VALUE, IN_THIS_RELEASE, "5000", NULL },
	{ "max-connections-per-source", OPTION_VALUE, IN_THIS_RELEASE, "20", NULL },
	{ "message-rate-limit", OPTION_VALUE, IN_THIS_RELEASE, "600", NULL },
	{ "max-protocol-errors", OPTION_VALUE, IN_THIS_RELEASE, "5", NULL },
	{ "max-logon-failures", OPTION_VALUE, IN_THIS_RELEASE, "3", NULL },
	{ "max-hop-count",     OPTION_VALUE, IN_THIS_RELEASE, "60", NULL },
	{ "tarpit-interval",   OPTION_VALUE, IN_THIS_RELEASE, "\"5s\"", NULL },
	{ "inactivity-timeout", OPTION_VALUE, IN_THIS_RELEASE, "\"5m\"", NULL },
	{ "connection-timeout", OPTION_VALUE, IN_THIS_RELEASE, "\"10m\"", NULL },
	{ "bare-newlines",     OPTION_VALUE, IN_THIS_RELEASE, "\"refuse\"", NULL },
	{ "hide-client",       OPTION_VALUE, IN_THIS_RELEASE, "false", NULL },
	{ "dnsbl",             OPTION_LIST,  NOT_YET,         "{ \"zen.spamhaus.org\" }", NULL },
};
static const struct section_schema connector_schema = SECTION(connector_options);

static const struct option_schema grant_options[] = {
	{ "owner",         OPTION_VALUE, IN_THIS_RELEASE, "\"finance-it@example.com\"", NULL },
	{ "ticket",        OPTION_VALUE, IN_THIS_RELEASE, "\"CHG-1042\"", NULL },
	{ "starts",        OPTION_VALUE, IN_THIS_RELEASE, "\"2026-12-01\"", NULL },
	{ "expires",       OPTION_VALUE, IN_THIS_RELEASE, "\"2027-06-30\"", NULL },
	{ "connectors",    OPTION_LIST,  IN_THIS_RELEASE, "{ \"internal-apps\" }", NULL },
	{ "users",         OPTION_LIST,  IN_THIS_RELEASE, "{ \"billing\" }", NULL },
	{ "networks",      OPTION_LIST,  IN_THIS_RELEASE, "{ \"10.20.1.0/24\" }", NULL },
	{ "certificates",  OPTION_LIST,  IN_THIS_RELEASE, "{ \"dns:billing.example.com\" }", NULL },
	{ "require-tls",   OPTION_VALUE, IN_THIS_RELEASE, "true", NULL },
	{ "senders",       OPTION_LIST,  IN_THIS_RELEASE, "{ \"@example.com\" }", NULL },
	{ "header-from",   OPTION_VALUE, IN_THIS_RELEASE, "\"authorized\"", NULL },
	{ "recipients",    OPTION_LIST,  IN_THIS_RELEASE, "{ \"*\" }", NULL },
	{ "except-networks", OPTION_LIST, IN_THIS_RELEASE, "{ \"10.20.1.13\" }", NULL },
	{ "except-senders", OPTION_LIST, IN_THIS_RELEASE, "{ \"root@example.com\" }", NULL },
	{ "except-recipients", OPTION_LIST, IN_THIS_RELEASE, "{ \"@example.net\" }", NULL },
	{ "routed-local-parts", OPTION_VALUE, IN_THIS_RELEASE, "\"refuse\"", NULL },
	{ "require",       OPTION_LIST,  NOT_YET,         "{ \"spf\", \"dkim\" }", NULL },
	{ "limits",        OPTION_LIST,  IN_THIS_RELEASE, "{ \"600 messages/hour\" }", NULL },
	{ "route",         OPTION_VALUE, IN_THIS_RELEASE, "\"microsoft365\"", NULL },
	{ "rewrite-sender", OPTION_VALUE, IN_THIS_RELEASE, "\"noreply@example.com\"", NULL },
	{ "sender-map",    OPTION_LIST,  IN_THIS_RELEASE, "{ \"root@localhost = ops@example.com\" }", NULL },
	{ "bounce-to",     OPTION_VALUE, IN_THIS_RELEASE, "\"ops@example.com\"", NULL },
	{ "mode",          OPTION_VALUE, IN_THIS_RELEASE, "\"enforce\"", NULL },
	{ "monitor-until", OPTION_VALUE, IN_THIS_RELEASE, "\"2026-12-31\"", NULL },
	{ "open-relay",    OPTION_VALUE, IN_THIS_RELEASE, "\"I know\"", NULL },
};
static const struct section_schema grant_schema = SECTION(grant_options);

static const struct option_schema route_auth_options[] = {
	{ "mechanism",      OPTION_VALUE, IN_THIS_RELEASE, "\"SCRAM-SHA-256\"", NULL },
	{ "user",           OPTION_VALUE, IN_THIS_RELEASE, "\"relay@example.com\"", NULL },
	{ "password-file",  OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/password\"", NULL },
	{ "token-endpoint", OPTION_VALUE, IN_THIS_RELEASE, "\"https://login.example.com/oauth2/token\"", NULL },
	{ "client-id",      OPTION_VALUE, IN_THIS_RELEASE, "\"relayd\"", NULL },
	{ "client-secret-file", OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/secret\"", NULL },
	{ "certificate",    OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/assertion.pem\"", NULL },
	{ "key",            OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/assertion.key\"", NULL },
	{ "refresh-token-file", OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/refresh-token\"", NULL },
	{ "scope",          OPTION_VALUE, IN_THIS_RELEASE, "\"https://outlook.office365.com/.default\"", NULL },
	{ "token-ca",       OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/token-ca.pem\"", NULL },
};
static const struct section_schema route_auth_schema = SECTION(route_auth_options);

static const struct option_schema route_options[] = {
	{ "recipients",  OPTION_LIST,  IN_THIS_RELEASE, "{ \"*\" }", NULL },
	{ "senders",     OPTION_LIST,  IN_THIS_RELEASE, "{ \"@billing.example.com\" }", NULL },
	{ "min-size",    OPTION_VALUE, IN_THIS_RELEASE, "\"10MB\"", NULL },
	{ "max-size",    OPTION_VALUE, IN_THIS_RELEASE, "\"10MB\"", NULL },
	{ "next-hops",   OPTION_LIST,  IN_THIS_RELEASE, "{ \"mail.example.com:25\" }", NULL },
	{ "balance",     OPTION_VALUE, IN_THIS_RELEASE, "true", NULL },
	{ "tls",         OPTION_VALUE, IN_THIS_RELEASE, "\"verify\"", NULL },
	{ "tls-implicit", OPTION_VALUE, IN_THIS_RELEASE, "true", NULL },
	{ "tls-ca",      OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/upstream-ca.pem\"", NULL },
	{ "tls-name",    OPTION_VALUE, IN_THIS_RELEASE, "\"mail.example.com\"", NULL },
	{ "certificate", OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/client.pem\"", NULL },
	{ "key",         OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/client.key\"", NULL },
	{ "auth",        OPTION_SECTION, IN_THIS_RELEASE, NULL, &route_auth_schema },
	{ "port",        OPTION_VALUE, IN_THIS_RELEASE, "25", NULL },
	{ "mta-sts",     OPTION_VALUE, IN_THIS_RELEASE, "true", NULL },
	{ "connections", OPTION_VALUE, IN_THIS_RELEASE, "20", NULL },
	{ "messages-per-minute", OPTION_VALUE, IN_THIS_RELEASE, "30", NULL },
	{ "cut-through", OPTION_VALUE, IN_THIS_RELEASE, "true", NULL },
	{ "cut-through-wait", OPTION_VALUE, IN_THIS_RELEASE, "\"10s\"", NULL },
	{ "maildir",     OPTION_VALUE, IN_THIS_RELEASE, "\"/var/lib/relayd/drop\"", NULL },
};
static const struct section_schema route_schema = SECTION(route_options);

static const struct option_schema auth_ban_options[] = {
	{ "failures", OPTION_VALUE, IN_THIS_RELEASE, "10", NULL },
	{ "window",   OPTION_VALUE, IN_THIS_RELEASE, "\"10m\"", NULL },
	{ "duration", OPTION_VALUE, IN_THIS_RELEASE, "\"1h\"", NULL },
	{ "exempt",   OPTION_LIST,  IN_THIS_RELEASE, "{ \"10.20.0.0/16\" }", NULL },
};
static const struct section_schema auth_ban_schema = SECTION(auth_ban_options);

static const struct option_schema pickup_options[] = {
	{ "directory", OPTION_VALUE, IN_THIS_RELEASE, "\"/var/lib/relayd/pickup\"", NULL },
	{ "max-message-size", OPTION_VALUE, IN_THIS_RELEASE, "\"36MB\"", NULL },
};
static const struct section_schema pickup_schema = SECTION(pickup_options);

static const struct option_schema queue_options[] = {
	{ "retry",       OPTION_LIST,  IN_THIS_RELEASE, "{ \"1m\", \"5m\", \"15m\", \"30m\", \"1h\" }", NULL },
	{ "expires",     OPTION_VALUE, IN_THIS_RELEASE, "\"5d\"", NULL },
	{ "warn-after",  OPTION_VALUE, IN_THIS_RELEASE, "\"4h\"", NULL },
	{ "bounce-from", OPTION_VALUE, IN_THIS_RELEASE, "\"postmaster@example.com\"", NULL },
	{ "undeliverable", OPTION_VALUE, IN_THIS_RELEASE, "\"postmaster\"", NULL },
};
static const struct section_schema queue_schema = SECTION(queue_options);

static const struct option_schema audit_options[] = {
	{ "jsonl",  OPTION_VALUE, IN_THIS_RELEASE, "true", NULL },
	{ "sqlite", OPTION_VALUE, NOT_YET,         "true", NULL },
	{ "keep",   OPTION_VALUE, NOT_YET,         "\"400d\"", NULL },
	{ "syslog", OPTION_VALUE, NOT_YET,         "false", NULL },
};
static const struct section_schema audit_schema = SECTION(audit_options);

static const struct option_schema dns_options[] = {
	{ "forwarders",        OPTION_LIST,  IN_THIS_RELEASE, "{ \"127.0.0.1@5399\" }", NULL },
	{ "trust-anchor-file", OPTION_VALUE, IN_THIS_RELEASE, "\"/usr/share/dns/root.key\"", NULL },
	{ "hosts-file",        OPTION_VALUE, IN_THIS_RELEASE, "true", NULL },
};
static const struct section_schema dns_schema = SECTION(dns_options);

static const struct option_schema sts_options[] = {
	{ "ca",   OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/tls/policy-ca.pem\"", NULL },
	{ "port", OPTION_VALUE, IN_THIS_RELEASE, "443", NULL },
};
static const struct section_schema sts_schema = SECTION(sts_options);

static const struct option_schema metrics_options[] = {
	{ "listen", OPTION_VALUE, IN_THIS_RELEASE, "\"127.0.0.1:9925\"", NULL },
};
static const struct section_schema metrics_schema = SECTION(metrics_options);

static const struct option_schema shared_options[] = {
	{ "redis", OPTION_VALUE, IN_THIS_RELEASE, "\"redis://127.0.0.1:6379/0\"", NULL },
	{ "password-file", OPTION_VALUE, IN_THIS_RELEASE, "\"/etc/relayd/redis-password\"", NULL },
	{ "when-away", OPTION_VALUE, IN_THIS_RELEASE, "\"open\"", NULL },
};
static const struct section_schema shared_schema = SECTION(shared_options);

static const struct option_schema reply_options[] = {
	{ "text",     OPTION_VALUE, IN_THIS_RELEASE, "\"Ask it@example.com for a grant\"", NULL },
	{ "code",     OPTION_VALUE, IN_THIS_RELEASE, "550", NULL },
	{ "enhanced", OPTION_VALUE, IN_THIS_RELEASE, "\"5.7.1\"", NULL },
};
static const struct section_schema reply_schema = SECTION(reply_options);

static const struct option_schema root_options[] = {
	{ "hostname",        OPTION_VALUE, IN_THIS_RELEASE, "\"relay.example.com\"", NULL },
	{ "state-dir",       OPTION_VALUE, IN_THIS_RELEASE, "\"/var/lib/relayd\"", NULL },
	{ "workers",         OPTION_VALUE, IN_THIS_RELEASE, "0", NULL },
	{ "user",            OPTION_VALUE, IN_THIS_RELEASE, "\"_relayd\"", NULL },
	{ "reply-style",     OPTION_VALUE, IN_THIS_RELEASE, "\"relayd\"", NULL },
	{ "tls",             OPTION_TITLED_SECTION, IN_THIS_RELEASE, NULL, &tls_schema },
	{ "reply",           OPTION_TITLED_SECTION, IN_THIS_RELEASE, NULL, &reply_schema },
	{ "sasl",            OPTION_SECTION,        IN_THIS_RELEASE,        NULL, &sasl_schema },
	{ "accepted-domain", OPTION_TITLED_SECTION, IN_THIS_RELEASE, NULL, &accepted_domain_schema },
	{ "table",           OPTION_TITLED_SECTION, IN_THIS_RELEASE, NULL, &table_schema },
	{ "connector",       OPTION_TITLED_SECTION, IN_THIS_RELEASE, NULL, &connector_schema },
	{ "grant",           OPTION_TITLED_SECTION, IN_THIS_RELEASE, NULL, &grant_schema },
	{ "route",           OPTION_TITLED_SECTION, IN_THIS_RELEASE, NULL, &route_schema },
	{ "auth-ban",        OPTION_SECTION,        IN_THIS_RELEASE, NULL, &auth_ban_schema },
	{ "pickup",          OPTION_SECTION,        IN_THIS_RELEASE,        NULL, &pickup_schema },
	{ "queue",           OPTION_SECTION,        IN_THIS_RELEASE, NULL, &queue_schema },
	{ "audit",           OPTION_SECTION,        IN_THIS_RELEASE, NULL, &audit_schema },
	{ "dns",             OPTION_SECTION,        IN_THIS_RELEASE, NULL, &dns_schema },
	{ "mta-sts",         OPTION_SECTION,        IN_THIS_RELEASE, NULL, &sts_schema },
	{ "metrics",         OPTION_SECTION,        IN_THIS_RELEASE, NULL, &metrics_schema },
	{ "shared",          OPTION_SECTION,        IN_THIS_RELEASE, NULL, &shared_schema },
};
const struct section_schema schema_root = SECTION(root_options);
/* clang-format on */

static bool
option_is_section(const struct option_schema *option)
{
	return option->kind == OPTION_SECTION || option->kind == OPTION_TITLED_SECTION;
}

static const struct option_schema *
option_find(const struct section_schema *schema, struct span name)
{
	for (size_t i = 0; i < schema->count; i++)
		if (span_equal(span_of(schema->options[i].name), name))
			return &schema->options[i];
	return NULL;
}

/* The option with the likest name; NULL when none is like it. */
static const struct option_schema *
option_guess(const struct section_schema *schema, struct span name)
{
	const struct option_schema *best = NULL;
	unsigned best_distance = name.len < 5 ? 2 : 3; /* not as far as this */

	for (size_t i = 0; i < schema->count; i++) {
		unsigned distance = text_distance(span_of(schema->options[i].name), name);

		if (distance < best_distance) {
			best = &schema->options[i];
			best_distance = distance;
		}
	}
	return best;
}

const char *
schema_owner_text(const struct outline_item *section, struct arena *arena)
{
	struct buffer text;
	const char *kept;

	if (section == NULL)
		return "";
	buffer_init(&text, 200);
	(void)buffer_printf(&text, " of " SPAN_FMT, SPAN_ARG(section->name));
	if (section->has_title)
		(void)buffer_printf(&text, " \"" SPAN_FMT "\"",
				    SPAN_ARG(span_first(section->title, 100)));
	kept = arena_copy_text(arena, buffer_span(&text));
	buffer_reset(&text);
	return kept;
}

/* ---- Holding the outline against the schema ---- */

struct check {
	struct outline *outline;
	const struct section_schema *schema;
	const char *owner; /* schema_owner_text of the section that is looked through */
};

#define item_complain(check, item, ...)                                                  \
	complaint_error((check)->outline->complaints, (item)->file->name, (item)->line,  \
			__VA_ARGS__)

static void
unknown_complain(const struct check *check, const struct outline_item *item)
{
	const char *what = item->kind == OUTLINE_SECTION ? "section" : "option";
	const struct option_schema *guess = option_guess(check->schema, item->name);

	if (guess != NULL) {
		item_complain(check, item,
			      "unknown %s '" SPAN_FMT "'%s; did you mean '%s'?", what,
			      SPAN_ARG(item->name), check->owner, guess->name);
		return;
	}
	if (option_find(&schema_root, item->name) != NULL) {
		item_complain(
		    check, item,
		    "%s '" SPAN_FMT "' may not stand%s%s; put it at the top level of the "
		    "file (is a \"}\" missing before it?)",
		    what, SPAN_ARG(item->name), check->owner[0] == '\0' ? "" : " inside",
		    check->owner[0] == '\0' ? "" : check->owner + strlen(" of"));
		return;
	}
	for (size_t i = 0; i < schema_root.count; i++) {
		const struct option_schema *section = &schema_root.options[i];

		if (option_is_section(section) &&
		    option_find(section->section, item->name) != NULL) {
			item_complain(check, item,
				      "unknown %s '" SPAN_FMT "'%s; it belongs into a "
				      "section '%s'",
				      what, SPAN_ARG(item->name), check->owner,
				      section->name);
			return;
		}
	}
	item_complain(check, item,
		      "unknown %s '" SPAN_FMT "'%s; relayd.conf(5) tells which there are",
		      what, SPAN_ARG(item->name), check->owner);
}

/* Is the item of the kind that its option wants, with a title where one belongs? */
static bool
kind_check(const struct check *check, const struct outline_item *item,
	   const struct option_schema *option)
{
	if (option_is_section(option) && item->kind != OUTLINE_SECTION) {
		item_complain(check, item, "'%s' is a section; write %s%s { ... }",
			      option->name, option->name,
			      option->kind == OPTION_TITLED_SECTION ? " \"NAME\"" : "");
		return false;
	}
	if (!option_is_section(option)) {
		if (item->kind == OUTLINE_SECTION ||
		    (item->kind == OUTLINE_LIST && option->kind == OPTION_VALUE)) {
			item_complain(check, item,
				      "option '%s'%s takes %s; write for example %s = %s",
				      option->name, check->owner,
				      option->kind == OPTION_VALUE ? "one value"
								   : "a list of values",
				      option->name, option->example);
			return false;
		}
		return true;
	}
	if (option->kind == OPTION_SECTION && item->has_title) {
		item_complain(check, item,
			      "section '%s' has no name of its own; write %s { ... }",
			      option->name, option->name);
		return false;
	}
	if (option->kind == OPTION_SECTION)
		return true;
	if (!item->has_title) {
		item_complain(check, item,
			      "section '%s' needs a name; write %s \"NAME\" { ... }",
			      option->name, option->name);
		return false;
	}
	/* accepted-domain "*.example.com": its reader looks closer */
	if (!title_is_valid(item->title) && option->section != &accepted_domain_schema) {
		item_complain(check, item,
			      "'" SPAN_FMT "' cannot be the name of a %s; a name has 1 "
			      "to 64 letters, digits, \"-\", \"_\" and "
			      "\".\"",
			      SPAN_ARG(span_first(item->title, 80)), option->name);
		return false;
	}
	return true;
}

/* Has the same stood before? seen: from names and titles to items. */
static bool
once_check(const struct check *check, struct outline_item *item,
	   const struct option_schema *option, struct table *seen)
{
	size_t len = item->name.len + 1 + item->title.len;
	char *key = arena_new(check->outline->arena, len);
	struct span name = { .ptr = key, .len = len };

	memcpy(key, item->name.ptr, item->name.len);
	key[item->name.len] = ' ';
	for (size_t i = 0; i < item->title.len; i++)
		key[item->name.len + 1 + i] = ascii_lower(item->title.ptr[i]);

	const struct outline_item *first = table_find(seen, name);

	if (first == NULL) {
		(void)table_put(seen, name, item);
		return true;
	}
	if (option->kind == OPTION_TITLED_SECTION)
		item_complain(check, item,
			      "there is already a %s \"" SPAN_FMT "\" (%s:%u); give this "
			      "one a name of its own",
			      option->name, SPAN_ARG(item->title), first->file->name,
			      first->line);
	else
		item_complain(check, item,
			      "%s '%s'%s stands twice (first %s:%u); remove one",
			      option_is_section(option) ? "section" : "option",
			      option->name, check->owner, first->file->name, first->line);
	return false;
}

static void
items_check(struct outline *outline, const struct section_schema *schema,
	    struct outline_item *items, const struct outline_item *section)
{
	struct check check = { .outline = outline,
			       .schema = schema,
			       .owner = schema_owner_text(section, outline->arena) };
	struct table seen;

	table_init(&seen, 0);
	for (struct outline_item *item = items; item != NULL; item = item->next) {
		const struct option_schema *option = option_find(schema, item->name);

		if (option == NULL) {
			unknown_complain(&check, item);
			outline_refuse(item);
		} else if (option->availability == NOT_YET) {
			item_complain(&check, item,
				      "%s '%s'%s: not available in this release of "
				      "relayd; remove it",
				      option_is_section(option) ? "section" : "option",
				      option->name, check.owner);
			outline_refuse(item);
		} else if (!kind_check(&check, item, option) ||
			   !once_check(&check, item, option, &seen)) {
			outline_refuse(item);
		} else if (option_is_section(option)) {
			items_check(outline, option->section, item->items, item);
		}
	}
	table_reset(&seen);
}

void
schema_check(struct outline *outline)
{
	items_check(outline, &schema_root, outline->items, NULL);
}

cfg_opt_t *
schema_options(const struct section_schema *schema, struct arena *arena)
{
	cfg_opt_t *options = arena_new_array(arena, schema->count + 1, sizeof(*options));

	for (size_t i = 0; i < schema->count; i++) {
		const struct option_schema *from = &schema->options[i];
		cfg_opt_t *to = &options[i];

		to->name = from->name;
		to->type = option_is_section(from) ? CFGT_SEC : CFGT_STR;
		to->flags = CFGF_NODEFAULT;
		if (from->kind == OPTION_LIST)
			to->flags |= CFGF_LIST;
		if (from->kind == OPTION_TITLED_SECTION)
			to->flags |= CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
		if (option_is_section(from))
			to->subopts = schema_options(from->section, arena);
	}
	return options; /* the last, all zero, is libconfuse's end mark */
}
