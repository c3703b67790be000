/* SPDX-License-Identifier: ISC */
/* config/: what is refused and in which words, what is loaded and with which meaning. */
#include "config/reader.h"
#include "config/value.h"

#include "base/clock.h"

#include "auth/mechanism.h"

#include "suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOSTNAME  "hostname = \"relay.example.com\"\n"
#define CONNECTOR "connector \"apps\" { bindings = { \"127.0.0.1:2525\" } }\n"
#define ROUTE	  "route \"out\" { recipients = \"*\" next-hops = \"192.0.2.1\" }\n"
#define GRANT                                                                            \
	"grant \"app\" { networks = \"10.0.0.0/8\" senders = \"@example.com\" "          \
	"recipients = \"*\" }\n"

#include "broken.h"

#define SAID_MAX 100000

/* Files that the configurations name, beside relayd.conf. */
static const struct {
	const char *name;
	const char *text;
} files[] = {
	{ "networks.txt", "# printers\n10.1.0.0/16\n\n10.2.0.1  # one\n" },
	{ "bad-networks.txt",
	  "10.1.0.0/16\n# next is wrong\n10.2.0.300\nprinter.example.com\n" },
	{ "spaced.txt", "@example.com\napp @example.net\n" },
	{ "senders.txt",
	  "\xef\xbb\xbf@example.com\r\n  app@example.net\t# b\r\n#@no.example\n" },
	{ "bad-senders.txt", "@good.example\n@bad..example\n" },
	{ "latin.txt", "@caf\xe9.example\n" },
	{ "empty.txt", "# nothing\n" },
	{ "loop.conf", "include(\"loop.conf\")\n" },
	{ "unclosed.conf", "\n\ngrant \"inc\" {\n" },
	{ "wrong.conf", "# more\ngrant \"more\" {\n    networks = { \"10.0.0.0/99\" }\n"
			"    senders = \"@example.com\"\n    recipients = \"*\"\n}\n" },
	{ "twice.conf", GRANT },
};

/* ---- A directory with those files, for each test ---- */

struct fixture {
	char directory[200];
	char path[256]; /* of relayd.conf in it */
	struct buffer said;
	unsigned error_count;
	unsigned warning_count;
};

static struct fixture fixture;

static void
file_write(const char *name, const char *text, size_t len)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/%s", fixture.directory, name);

	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text, 1, len, file), len);
	ck_assert_int_eq(fclose(file), 0);
}

static void
fixture_begin(void)
{
	const char *base = getenv("TMPDIR");

	(void)snprintf(fixture.directory, sizeof(fixture.directory),
		       "%s/relayd-config-XXXXXX", base == NULL ? "/tmp" : base);
	ck_assert_ptr_nonnull(mkdtemp(fixture.directory));
	(void)snprintf(fixture.path, sizeof(fixture.path), "%s/relayd.conf",
		       fixture.directory);
	buffer_init(&fixture.said, SAID_MAX);
	fixture.error_count = fixture.warning_count = 0;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		file_write(files[i].name, files[i].text, strlen(files[i].text));
}

static void
fixture_end(void)
{
	static const char *const others[] = { "relayd.conf", "large.txt", "sub/a.conf",
					      "sub/n.txt", "more.conf" };
	char path[300];

	for (size_t i = 0; i < ARRAY_LEN(files) + ARRAY_LEN(others); i++) {
		const char *name =
		    i < ARRAY_LEN(files) ? files[i].name : others[i - ARRAY_LEN(files)];

		(void)snprintf(path, sizeof(path), "%s/%s", fixture.directory, name);
		(void)unlink(path);
	}
	(void)snprintf(path, sizeof(path), "%s/sub", fixture.directory);
	(void)rmdir(path);
	ck_assert_int_eq(rmdir(fixture.directory), 0);
	buffer_reset(&fixture.said);
}

static void
hear(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	char prefix[200];

	(void)context;
	if (line > 0)
		(void)snprintf(prefix, sizeof(prefix), "%s:%u: ", file, line);
	else
		(void)snprintf(prefix, sizeof(prefix), "%s: ", file);
	ck_assert_msg(strncmp(text, prefix, strlen(prefix)) == 0, "'%s' is not at %s",
		      text, prefix);
	is_error ? fixture.error_count++ : fixture.warning_count++;
	(void)buffer_printf(&fixture.said, "%s\n", text);
}

static struct settings *
settings_of_bytes(const char *text, size_t len, bool is_root)
{
	struct config_input input = { .path = fixture.path,
				      .text = { text, len },
				      .opens_files = true,
				      .is_root = is_root };

	buffer_clear(&fixture.said);
	fixture.error_count = fixture.warning_count = 0;
	return settings_read(&input, hear, NULL);
}

/* The settings of a text that must load without a word. */
static struct settings *
settings_of(const char *text)
{
	struct settings *settings = settings_of_bytes(text, strlen(text), false);

	ck_assert_msg(settings != NULL, "%s", buffer_text(&fixture.said));
	ck_assert_str_eq(buffer_text(&fixture.said), "");
	ck_assert_ptr_nonnull(settings->policy);
	return settings;
}

/* Equal, but "..." at the end of an expected line stands for the rest of it. */
static bool
said_matches(const char *said, const char *expected)
{
	while (*expected != '\0') {
		size_t len = strcspn(expected, "\n"), said_len = strcspn(said, "\n");
		bool is_cut = len > 3 && memcmp(expected + len - 3, "...", 3) == 0 &&
			      !(said_len == len && memcmp(said, expected, len) == 0);

		if (is_cut ? said_len < len - 3 || memcmp(said, expected, len - 3) != 0
			   : said_len != len || memcmp(said, expected, len) != 0)
			return false;
		said += said_len + (said[said_len] == '\n');
		expected += len + (expected[len] == '\n');
	}
	return *said == '\0';
}

static void
assert_text(struct span actual, const char *expected)
{
	ck_assert_msg(span_equal(actual, span_of(expected)), "'" SPAN_FMT "' is not '%s'",
		      SPAN_ARG(actual), expected);
}

/* ---- What is refused ---- */

START_TEST(broken_configuration_is_refused_with_every_complaint_at_its_line)
{
	const struct broken *b = &broken[_i];
	struct settings *settings = settings_of_bytes(b->text, strlen(b->text), false);

	ck_assert_msg(settings == NULL, "%s: loaded", b->name);
	ck_assert_msg(fixture.error_count > 0, "%s: no error", b->name);
	ck_assert_msg(said_matches(buffer_text(&fixture.said), b->complaints),
		      "%s: says\n%sand not\n%s", b->name, buffer_text(&fixture.said),
		      b->complaints);
}
END_TEST

START_TEST(nul_byte_is_refused)
{
	static const char text[] = HOSTNAME "user = \"a\0b\"\n";

	ck_assert_ptr_null(settings_of_bytes(text, sizeof(text) - 1, false));
	ck_assert_str_eq(
	    buffer_text(&fixture.said),
	    "relayd.conf:2: the control byte 0x00 may not stand in a configuration; "
	    "remove it\n");
}
END_TEST

START_TEST(file_that_cannot_be_read_is_named)
{
	char expected[600];

	(void)snprintf(
	    expected, sizeof(expected),
	    "relayd.conf: cannot read the configuration file '%s': No such file or "
	    "directory\n",
	    fixture.path);
	ck_assert_ptr_null(settings_load(fixture.path, hear, NULL));
	ck_assert_str_eq(buffer_text(&fixture.said), expected);
	ck_assert_ptr_null(settings_load(fixture.path, NULL, NULL));
}
END_TEST

START_TEST(more_complaints_than_anybody_reads_are_counted)
{
	struct buffer text;
	unsigned lines = 0;

	buffer_init(&text, 100000);
	(void)buffer_append_text(&text, HOSTNAME CONNECTOR);
	for (unsigned i = 0; i < 300; i++)
		(void)buffer_printf(&text, "colour%u = 1\n", i);
	ck_assert_ptr_null(settings_of_bytes(text.ptr, text.len, false));
	for (size_t i = 0; i < fixture.said.len; i++)
		lines += fixture.said.ptr[i] == '\n';
	ck_assert_uint_eq(lines, COMPLAINTS_MAX + 1);
	ck_assert_ptr_nonnull(
	    strstr(buffer_text(&fixture.said), "relayd.conf: and 100 more like these\n"));
	buffer_reset(&text);
}
END_TEST

START_TEST(account_must_exist_only_where_it_is_needed)
{
	static const char text[] = HOSTNAME "user = \"no-such-account\"\n" CONNECTOR;
	struct settings *settings = settings_of(text);

	ck_assert_str_eq(settings->user, "no-such-account");
	settings_free(&settings);
	ck_assert_ptr_null(settings_of_bytes(text, strlen(text), true));
	ck_assert_str_eq(
	    buffer_text(&fixture.said),
	    "relayd.conf:2: option 'user': 'no-such-account' is not an account of this "
	    "machine; create it, or name another\n");

	static const char known[] = HOSTNAME "user = \"root\"\n" CONNECTOR;

	settings = settings_of_bytes(known, strlen(known), true);
	ck_assert_ptr_nonnull(settings);
	ck_assert_str_eq(settings->user, "root");
	settings_free(&settings);
}
END_TEST

/* ---- What is loaded ---- */

START_TEST(defaults_are_those_of_the_manual)
{
	struct settings *s = settings_of(HOSTNAME CONNECTOR ROUTE GRANT);
	const struct session_settings *session = &s->connectors[0];

	ck_assert_str_eq(s->path, fixture.path);
	ck_assert_str_eq(s->hostname, "relay.example.com");
	ck_assert_str_eq(s->state_directory, "/var/lib/relayd");
	ck_assert_uint_ge(s->workers, 1);
	ck_assert_str_eq(s->user, "_relayd");
	ck_assert_int_eq(s->wording.style, REPLY_STYLE_RELAYD);
	ck_assert_int_eq(s->audit_keep_ms, 0);

	ck_assert_uint_eq(s->source.connector_count, 1);
	ck_assert_uint_eq(s->source.connectors[0].remote_ranges.count, 0);
	ck_assert_int_eq(s->source.connectors[0].mode, MODE_ENFORCE);
	ck_assert_int_eq(s->source.connectors[0].tls, TLS_NONE);
	ck_assert(!s->source.connectors[0].can_authenticate);
	assert_text(session->name, "apps");
	assert_text(session->hostname, "relay.example.com");
	ck_assert_int_eq(session->bare_newline, BARE_NEWLINE_REFUSE);
	ck_assert_uint_eq(session->message_octets_max, 37748736);
	ck_assert_uint_eq(session->header_octets_max, 262144);
	ck_assert_uint_eq(session->recipients_max, 200);
	ck_assert_uint_eq(session->connections_max, 5000);
	ck_assert_uint_eq(session->connections_per_source_max, 20);
	ck_assert_uint_eq(session->protocol_errors_max, 5);
	ck_assert_uint_eq(session->message_rate_max, 0);
	ck_assert_uint_eq(session->hops_max, 60);
	ck_assert_int_eq(session->tarpit_ms, 5000);
	ck_assert_int_eq(session->inactivity_ms, 300000);
	ck_assert_int_eq(session->connection_ms, 600000);
	ck_assert(!session->hides_client);

	ck_assert_int_eq(s->source.grants[0].header_from, HEADER_FROM_ANY);
	ck_assert_int_eq(s->source.grants[0].expires_ms, 0);
	ck_assert_uint_eq(s->source.grants[0].limit_count, 0);
	ck_assert(!s->shared.is_wanted);
	ck_assert_uint_eq(s->routes[0].next_hop_count, 1);
	assert_text(s->routes[0].next_hops[0].host, "192.0.2.1");
	ck_assert_uint_eq(s->routes[0].next_hops[0].port, 25);
	ck_assert_int_eq(s->routes[0].tls, ROUTE_TLS_OPPORTUNISTIC);
	ck_assert(!s->routes[0].is_balanced && !s->routes[0].is_tls_implicit);
	ck_assert_uint_eq(s->routes[0].auth.mechanisms, 0);
	ck_assert_uint_eq(s->routes[0].connections_max, 20);
	ck_assert_uint_eq(s->routes[0].messages_per_minute, 0);
	ck_assert(!s->routes[0].is_cut_through);
	ck_assert_int_eq(s->routes[0].cut_through_wait_ms, 10000);
	ck_assert_uint_eq(s->queue.retry_count, 5);
	ck_assert_int_eq(s->queue.retry_ms[4], 3600000);
	ck_assert_int_eq(s->queue.expires_ms, INT64_C(432000000));
	ck_assert_ptr_null(s->dns.forwarders);
	ck_assert_ptr_null(s->dns.trust_anchor_file);
	ck_assert(s->dns.uses_hosts_file);
	settings_free(&s);
	ck_assert_ptr_null(s);
	settings_free(&s);
}
END_TEST

/* clang-format off */
/* Comments, lists over several lines and several options on one: the lines stay right. */
static const char full[] =
    "# relayd.conf { \" '\n"						  /* 1 */
    "hostname = relay.example.com  // a word\n"				  /* 2 */
    "state-dir = '/srv/relayd' workers = 3 user = \"_relayd\"\n"		  /* 3 */
    "reply-style = \"Exchange\" reply \"relay.no-grant\" { text = \"Ask it\" code = 554 }\n" /* 4 */
    "/* several\n"							  /* 5 */
    "   lines \" { */ accepted-domain \"example.com\" { }\n"		  /* 6 */
    "accepted-domain \"*.Example.org\" { type = \"internal-relay\" }\n"	  /* 7 */
    "table \"nets\" { type = \"network\"  file = \"networks.txt\" }\n"	  /* 8 */
    "table \"from\" { type = \"sender\"  file = \"senders.txt\" }\n"	  /* 9 */
    "connector \"apps\" {\n"						  /* 10 */
    "    bindings = { \"0.0.0.0:25\", # all\n"				  /* 11 */
    "                 \"[::]:25\",\n"					  /* 12 */
    "               }\n"						  /* 13 */
    "    remote-ip-ranges = { \"10.0.0.0/8\", table:nets }\n"		  /* 14 */
    "    mode = \"monitor\" monitor-until = \"2027-03-31\"\n"		  /* 15 */
    "    tls = none auth-mechanisms = { } auth-without-tls = false\n"	  /* 16 */
    "    max-message-size = \"10MB\" max-header-size = 65536\n"		  /* 17 */
    "    max-recipients-per-message = \"1000\" max-connections = unlimited\n" /* 18 */
    "    max-connections-per-source = 0 max-protocol-errors = 3\n"	  /* 19 */
    "    max-hop-count = 25 tarpit-interval = \"250ms\"\n"		  /* 20 */
    "    inactivity-timeout = \"90s\" connection-timeout = \"1h\"\n"	  /* 21 */
    "    bare-newlines = \"normalise\" hide-client = yes\n"		  /* 22 */
    "}\n"								  /* 23 */
    "connector \"two\" { bindings = \"127.0.0.1:2525\" }\n"		  /* 24 */
    "queue { retry = { \"10s\", \"1m\" } expires = \"2d\" }\n"		  /* 25 */
    "audit { jsonl = true }\n"						  /* 26 */
    "dns { forwarders = { \"127.0.0.1@5399\", \"::1\" } hosts-file = false }\n" /* 27 */
    "# the grants\n"							  /* 28 */
    "\n"								  /* 29 */
    "grant \"billing\" {\n"						  /* 30 */
    "    owner = \"Finance \\\"IT\\\" \\\\ a@example.com\" ticket = \"CHG-1\"\n" /* 31 */
    "    starts = \"2026-12-01\" expires = \"2027-06-30T12:00\"\n"	  /* 32 */
    "    connectors = { \"apps\" } networks = { \"10.20.1.0/24\", \"table:nets\" }\n"
    "    except-networks = { \"10.20.1.13\" }\n"
    "    senders = { \"@example.com\", \"table:from\", \"<>\" } except-senders = \"x@example.com\"\n"
    "    recipients = { \"accepted-domains\", \"*\" } except-recipients = { \"@example.net\" }\n"
    "    header-from = \"authorized\" route = \"drop\"\n"
    "    mode = \"enforce\"\n"
    "}\n"
    "grant \"everybody\" { senders = \"*\" recipients = \"*\" open-relay = \"I know\" }\n"
    "route \"drop\" { maildir = \"/var/mail/drop\" }\n"
    "route \"out\" {\n"
    "    recipients = { \"*\" }\n"
    "    next-hops = { \"smtp.example.com:587\", \"[2001:db8::1]:26\", \"2001:db8::2\",\n"
    "                  \"backup.example.net\" }\n"
    "    tls = \"verify\" connections = 3 messages-per-minute = 30\n"
    "    cut-through = true cut-through-wait = \"20s\"\n"
    "    tls-implicit = true tls-ca = \"/etc/relayd/ca.pem\" tls-name = \"smtp.example.com\"\n"
    "    certificate = \"/etc/relayd/client.pem\" key = \"/etc/relayd/client.key\"\n"
    "    auth { mechanism = \"SCRAM-SHA-1\" user = \"relay@example.com\"\n"
    "           password-file = \"/etc/relayd/password\" }\n"
    "    balance = true\n"
    "}\n";

/* clang-format on */

START_TEST(every_option_of_this_release_arrives)
{
	struct settings *s = settings_of_bytes(full, strlen(full), false);

	ck_assert_msg(s != NULL, "%s", buffer_text(&fixture.said));
	ck_assert_uint_eq(fixture.error_count, 0);
	ck_assert_str_eq(s->hostname, "relay.example.com");
	ck_assert_str_eq(s->state_directory, "/srv/relayd");
	ck_assert_uint_eq(s->workers, 3);
	ck_assert_int_eq(s->wording.style, REPLY_STYLE_EXCHANGE);
	const struct reason_reply *reply = wording_reply(&s->wording, REASON_RELAY_NO_GRANT);

	ck_assert_str_eq(reply->text, "Ask it");
	ck_assert_uint_eq(reply->code, 554);
	ck_assert_uint_eq(reply->enhanced[2], 54);

	ck_assert_uint_eq(s->source.domain_count, 2);
	ck_assert_int_eq(s->source.domains[0].type, DOMAIN_AUTHORITATIVE);
	assert_text(s->source.domains[1].name, "*.Example.org");
	ck_assert_int_eq(s->source.domains[1].type, DOMAIN_INTERNAL_RELAY);

	ck_assert_uint_eq(s->source.table_count, 2);
	ck_assert_uint_eq(s->source.tables[0].entries.count, 2);
	assert_text(s->source.tables[0].entries.items[1], "10.2.0.1");
	ck_assert_uint_eq(s->source.tables[0].lines[1], 4);
	assert_text(s->source.tables[0].file, "networks.txt");
	ck_assert_uint_eq(s->source.tables[1].entries.count, 2);
	assert_text(s->source.tables[1].entries.items[0], "@example.com");
	assert_text(s->source.tables[1].entries.items[1], "app@example.net");

	ck_assert_uint_eq(s->source.connector_count, 2);
	const struct connector_source *apps = &s->source.connectors[0];
	const struct session_settings *session = &s->connectors[0];
	char endpoint[IP_ENDPOINT_SIZE];

	ck_assert_uint_eq(apps->binding_count, 2);
	ip_endpoint_text(&apps->bindings[1], endpoint);
	ck_assert_str_eq(endpoint, "[::]:25");
	assert_text(apps->remote_ranges.items[1], "table:nets");
	ck_assert_int_eq(apps->mode, MODE_MONITOR);
	ck_assert_int_eq(apps->monitor_until_ms, INT64_C(1806451200000));
	ck_assert_uint_eq(session->message_octets_max, 10485760);
	ck_assert_uint_eq(session->header_octets_max, 65536);
	ck_assert_uint_eq(session->recipients_max, 1000);
	ck_assert_uint_eq(session->connections_max, 0);
	ck_assert_uint_eq(session->connections_per_source_max, 0);
	ck_assert_uint_eq(session->protocol_errors_max, 3);
	ck_assert_uint_eq(session->hops_max, 25);
	ck_assert_int_eq(session->tarpit_ms, 250);
	ck_assert_int_eq(session->inactivity_ms, 90000);
	ck_assert_int_eq(session->connection_ms, 3600000);
	ck_assert_int_eq(session->bare_newline, BARE_NEWLINE_NORMALISE);
	ck_assert(session->hides_client);
	assert_text(s->connectors[1].name, "two");

	const struct grant_source *billing = &s->source.grants[0];

	ck_assert_uint_eq(s->source.grant_count, 2);
	assert_text(billing->owner, "Finance \"IT\" \\ a@example.com");
	assert_text(billing->ticket, "CHG-1");
	ck_assert_int_eq(billing->starts_ms, INT64_C(1796083200000));
	ck_assert_int_eq(billing->expires_ms, INT64_C(1814356800000));
	assert_text(billing->connectors.items[0], "apps");
	ck_assert_uint_eq(billing->networks.count, 2);
	assert_text(billing->except_networks.items[0], "10.20.1.13");
	ck_assert_uint_eq(billing->senders.count, 3);
	assert_text(billing->except_senders.items[0], "x@example.com");
	ck_assert_uint_eq(billing->recipients.count, 2);
	assert_text(billing->except_recipients.items[0], "@example.net");
	ck_assert_int_eq(billing->header_from, HEADER_FROM_AUTHORIZED);
	assert_text(billing->route, "drop");
	ck_assert(s->source.grants[1].is_open_relay_accepted);

	ck_assert_uint_eq(s->route_count, 2);
	assert_text(s->routes[0].maildir, "/var/mail/drop");
	ck_assert_uint_eq(s->routes[0].recipients.count, 0);
	ck_assert_uint_eq(s->routes[1].next_hop_count, 4);
	assert_text(s->routes[1].next_hops[0].host, "smtp.example.com");
	ck_assert_uint_eq(s->routes[1].next_hops[0].port, 587);
	assert_text(s->routes[1].next_hops[1].host, "2001:db8::1");
	ck_assert_uint_eq(s->routes[1].next_hops[1].port, 26);
	assert_text(s->routes[1].next_hops[2].host, "2001:db8::2");
	ck_assert_uint_eq(s->routes[1].next_hops[2].port, 25);
	ck_assert_uint_eq(s->routes[1].connections_max, 3);
	ck_assert_uint_eq(s->routes[1].messages_per_minute, 30);
	ck_assert(s->routes[1].is_cut_through);
	ck_assert_int_eq(s->routes[1].cut_through_wait_ms, 20000);
	ck_assert_int_eq(s->routes[1].tls, ROUTE_TLS_VERIFY);
	ck_assert(s->routes[1].is_tls_implicit && s->routes[1].is_balanced);
	ck_assert_str_eq(s->routes[1].tls_ca, "/etc/relayd/ca.pem");
	assert_text(s->routes[1].tls_name, "smtp.example.com");
	ck_assert_str_eq(s->routes[1].certificate, "/etc/relayd/client.pem");
	ck_assert_str_eq(s->routes[1].key, "/etc/relayd/client.key");
	ck_assert_uint_eq(s->routes[1].auth.mechanisms, AUTH_BIT(AUTH_SCRAM_SHA_1));
	assert_text(s->routes[1].auth.user, "relay@example.com");
	ck_assert_str_eq(s->routes[1].auth.password_file, "/etc/relayd/password");

	ck_assert_uint_eq(s->queue.retry_count, 2);
	ck_assert_int_eq(s->queue.retry_ms[0], 10000);
	ck_assert_int_eq(s->queue.expires_ms, 2 * DAY_MS);
	ck_assert_uint_eq(s->dns.forwarder_count, 2);
	ck_assert_str_eq(s->dns.forwarders[0], "127.0.0.1@5399");
	ck_assert(!s->dns.uses_hosts_file);
	settings_free(&s);
}
END_TEST

static const char with_logins[] =
    "hostname = relay.example.com\n"
    "sasl { method = \"auxprop\" plugin = sql realm = Example.com scram-from-clear = true\n"
    "       keytab = \"/etc/relayd/smtp.keytab\"\n"
    "       options = { \"sql_engine: pgsql\", \"sql_select: select a from b where c = '%u'\" } }\n"
    "auth-ban { failures = 5 window = \"1m\" duration = \"2h\" exempt = { \"10.0.0.0/8\" } }\n"
    "connector \"apps\" {\n"
    "    bindings = { \"127.0.0.1:2525\", \"192.0.2.1:25\" }\n"
    "    auth-mechanisms = { \"scram-sha-256\", \"GSSAPI\", \"PLAIN\" }\n"
    "    auth-without-tls = true max-logon-failures = unlimited\n"
    "}\n"
    "connector \"silent\" { bindings = { \"127.0.0.1:2526\" } }\n"
    "grant \"people\" { users = { \"billing\", \"*@example.net\" } senders = { \"*\" }\n"
    "    recipients = { \"*\" } }\n"
    "route \"drop\" { recipients = { \"*\" } maildir = \"/var/mail/drop\" }\n";

START_TEST(logins_arrive)
{
	struct settings *s = settings_of_bytes(with_logins, strlen(with_logins), false);

	ck_assert_msg(s != NULL, "%s", buffer_text(&fixture.said));
	ck_assert_int_eq(s->auth.method, AUTH_METHOD_AUXPROP);
	ck_assert_str_eq(s->auth.auxprop_plugin, "sql");
	ck_assert_str_eq(s->auth.realm, "Example.com");
	assert_text(s->source.realm, "Example.com");
	ck_assert_str_eq(s->auth.hostname, "relay.example.com");
	ck_assert_str_eq(s->auth.keytab, "/etc/relayd/smtp.keytab");
	ck_assert_ptr_null(s->auth.users_file);
	ck_assert(s->auth.scram_from_clear);
	ck_assert_uint_eq(s->auth.option_count, 2);
	ck_assert_str_eq(s->auth.options[0].name, "sql_engine");
	ck_assert_str_eq(s->auth.options[0].value, "pgsql");
	ck_assert_str_eq(s->auth.options[1].value, "select a from b where c = '%u'");
	ck_assert_uint_eq(s->auth_ban.failures, 5);
	ck_assert_int_eq(s->auth_ban.window_ms, MINUTE_MS);
	ck_assert_int_eq(s->auth_ban.duration_ms, 2 * HOUR_MS);
	ck_assert_uint_eq(s->auth_ban.exempt_count, 1);
	ck_assert_uint_eq(s->auth_mechanisms, AUTH_BIT(AUTH_SCRAM_SHA_256) |
						  AUTH_BIT(AUTH_GSSAPI) | AUTH_BIT(AUTH_PLAIN));
	ck_assert_uint_eq(s->connectors[0].auth_count, 3);
	ck_assert_int_eq(s->connectors[0].auth[0], AUTH_SCRAM_SHA_256);
	ck_assert_int_eq(s->connectors[0].auth[2], AUTH_PLAIN);
	ck_assert(s->connectors[0].auth_without_tls);
	ck_assert_uint_eq(s->connectors[0].logon_failures_max, 0);
	ck_assert(s->source.connectors[0].can_authenticate);
	ck_assert_uint_eq(s->connectors[1].auth_count, 0);
	ck_assert_uint_eq(s->connectors[1].logon_failures_max, 3);
	ck_assert(!s->source.connectors[1].can_authenticate);
	settings_free(&s);
}
END_TEST

START_TEST(logins_come_from_the_users_file_by_default)
{
	static const char text[] =
	    "hostname = relay.example.com sasl { }\n"
	    "connector \"a\" { bindings = { \"192.0.2.1:25\" } auth-mechanisms = { \"LOGIN\",\n"
	    "    \"EXTERNAL\" } }\n"
	    "connector \"b\" { bindings = { \"127.0.0.1:25\" } auth-mechanisms = { \"LOGIN\" } }\n"
	    "route \"drop\" { recipients = { \"*\" } maildir = \"/var/mail/drop\" }\n"
	    "grant \"g\" { users = { \"a\" } senders = { \"*\" } recipients = { \"*\" } }\n";
	struct settings *s = settings_of_bytes(text, strlen(text), false);

	ck_assert_msg(s != NULL, "%s", buffer_text(&fixture.said));
	ck_assert_str_eq(s->auth.users_file, "/etc/relayd/users");
	ck_assert_str_eq(s->auth.realm, "relay.example.com");
	ck_assert_uint_eq(s->auth_ban.failures, 10);
	ck_assert_int_eq(s->auth_ban.duration_ms, HOUR_MS);
	buffer_clear(&fixture.said);
	settings_lint(s, 0, hear, NULL);
	const char *said = buffer_text(&fixture.said);

	ck_assert_ptr_nonnull(strstr(said, "connector \"a\" offers LOGIN to clients of this very "
					   "machine only"));
	ck_assert_ptr_nonnull(strstr(said, "connector \"a\" offers EXTERNAL to nobody"));
	ck_assert_ptr_null(strstr(said, "connector \"b\" offers"));
	settings_free(&s);
}
END_TEST

START_TEST(lines_are_those_where_a_section_begins)
{
	struct settings *s = settings_of_bytes(full, strlen(full), false);

	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(s->source.domains[0].line, 6);
	ck_assert_uint_eq(s->source.tables[1].line, 9);
	ck_assert_uint_eq(s->source.connectors[0].line, 10);
	ck_assert_uint_eq(s->source.connectors[1].line, 24);
	ck_assert_uint_eq(s->source.grants[0].line, 30);
	ck_assert_str_eq(s->source.grants[0].file, "relayd.conf");
	ck_assert_uint_eq(s->source.grants[1].line, 40);
	ck_assert_uint_eq(s->routes[1].line, 42);
	settings_free(&s);
}
END_TEST

START_TEST(file_from_windows_is_read_alike)
{
	struct settings *s =
	    settings_of("\xef\xbb\xbf" HOSTNAME "\r\n"
			"connector \"apps\" {\r\n"
			"\tbindings = { \"127.0.0.1:2525\" } # comment\r\n"
			"}\r\n" ROUTE "\r\n" GRANT "// the end");

	ck_assert_uint_eq(s->source.connectors[0].line, 3);
	ck_assert_uint_eq(s->source.grants[0].line, 8);
	settings_free(&s);
}
END_TEST

START_TEST(included_files_keep_order_names_and_relative_paths)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "%s/sub", fixture.directory);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	static const char more[] =
	    "grant \"second\" { networks = \"10.2.0.0/16\" senders = \"*\" "
	    "recipients = \"*\" }\ninclude(\"sub/a.conf\")\n";
	static const char a[] =
	    "# a\n\ntable \"n\" { type = network file = \"n.txt\" }\n"
	    "grant \"third\" { networks = \"table:n\" senders = \"*\" "
	    "recipients = \"*\" }";

	file_write("more.conf", more, strlen(more));
	file_write("sub/a.conf", a, strlen(a));
	file_write("sub/n.txt", "10.9.0.0/16\n", 12);

	struct settings *s = settings_of(
	    HOSTNAME CONNECTOR ROUTE GRANT
	    "include(\"more.conf\")\n"
	    "grant \"last\" { networks = \"10.4.0.0/16\" senders = \"*\" recipients = \"*\" }\n");

	static const struct {
		const char *name;
		const char *file;
		unsigned line;
	} expected[] = { { "app", "relayd.conf", 4 },
			 { "second", "more.conf", 1 },
			 { "third", "sub/a.conf", 4 },
			 { "last", "relayd.conf", 6 } };

	ck_assert_uint_eq(s->source.grant_count, ARRAY_LEN(expected));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_text(s->source.grants[i].name, expected[i].name);
		ck_assert_str_eq(s->source.grants[i].file, expected[i].file);
		ck_assert_uint_eq(s->source.grants[i].line, expected[i].line);
	}
	assert_text(s->source.tables[0].file, "sub/n.txt");
	settings_free(&s);
}
END_TEST

START_TEST(recipients_may_be_covered_by_several_routes)
{
	struct settings *s = settings_of(
	    HOSTNAME CONNECTOR
	    "accepted-domain \"example.com\" { }\n"
	    "route \"a\" { recipients = { \"@Example.com\", \"accepted-domains\" } "
	    "next-hops = \"192.0.2.1\" }\n"
	    "route \"b\" { recipients = { \"@*.example.net\" } next-hops = \"192.0.2.2\" }\n"
	    "route \"c\" { maildir = \"/var/mail/c\" }\n"
	    "grant \"x\" { networks = \"10.0.0.0/8\" senders = \"*\" recipients = { "
	    "\"a@example.com\", \"@example.com\", \"accepted-domains\", \"@*.b.example.net\", "
	    "\"x@c.example.net\" } }\n"
	    "grant \"y\" { networks = \"10.0.0.0/8\" senders = \"*\" recipients = \"*\" "
	    "route = \"c\" }\n");

	settings_free(&s);
}
END_TEST

START_TEST(unused_route_is_a_warning)
{
	static const char text[] = HOSTNAME CONNECTOR ROUTE GRANT
	    "route \"spare\" { next-hops = \"192.0.2.9\" }\n";
	struct settings *s = settings_of_bytes(text, strlen(text), false);

	ck_assert_ptr_nonnull(s);
	ck_assert_uint_eq(fixture.warning_count, 1);
	ck_assert_str_eq(
	    buffer_text(&fixture.said),
	    "relayd.conf:5: route \"spare\" is never used: it has no recipients, and no "
	    "grant names it\n");
	settings_free(&s);
}
END_TEST

START_TEST(monitor_mode_is_allowed_where_not_everybody_can_connect)
{
	/* a listener on loopback, or ranges that are not everything */
	struct settings *s =
	    settings_of(HOSTNAME ROUTE
			"connector \"a\" { bindings = \"127.0.0.1:26\" "
			"mode = \"monitor\" }\n"
			"connector \"b\" { bindings = \"0.0.0.0:25\" mode = \"monitor\" "
			"remote-ip-ranges = { \"0.0.0.0/1\", \"2000::/4\" } }\n");

	settings_free(&s);
}
END_TEST

START_TEST(decision_follows_from_the_file)
{
	struct settings *s = settings_of(HOSTNAME CONNECTOR ROUTE GRANT);
	struct ip_endpoint local;
	struct address sender, recipient;
	struct facts facts = { .now_wall_ms = 1,
			       .sender = &sender,
			       .recipient = &recipient };

	ck_assert_int_eq(ip_endpoint_parse(span_of("127.0.0.1:2525"), &local), PARSE_OK);
	ck_assert_int_eq(ip_parse(span_of("10.1.2.3"), &facts.client), PARSE_OK);
	ck_assert_int_eq(mailbox_parse(span_of("a@example.com"), &sender), PARSE_OK);
	ck_assert_int_eq(mailbox_parse(span_of("b@example.net"), &recipient), PARSE_OK);
	facts.connector = policy_connector_find(s->policy, &local, &facts.client);
	ck_assert_uint_eq(facts.connector, 0);
	ck_assert_int_eq(policy_decide(s->policy, &facts, STAGE_RECIPIENT).kind,
			 VERDICT_RELAYED);
	ck_assert_int_eq(mailbox_parse(span_of("a@example.org"), &sender), PARSE_OK);

	struct verdict verdict = policy_decide(s->policy, &facts, STAGE_RECIPIENT);

	ck_assert_int_eq(verdict.kind, VERDICT_REFUSED);
	ck_assert_int_eq(verdict.reason, REASON_SENDER_NOT_AUTHORIZED);
	settings_free(&s);
}
END_TEST

START_TEST(table_of_a_million_lines_loads_in_seconds)
{
	struct buffer text;

	buffer_init(&text, 32 * 1024 * 1024);
	for (unsigned i = 0; i < 1000000; i++)
		(void)buffer_printf(&text, "10.%u.%u.%u # printer %u\n", i >> 16,
				    (i >> 8) & 255, i & 255, i);
	file_write("large.txt", text.ptr, text.len);
	buffer_reset(&text);

	int64_t begin_ms = clock_monotonic_ms();
	struct settings *s = settings_of(
	    HOSTNAME CONNECTOR ROUTE
	    "table \"large\" { type = \"network\" file = \"large.txt\" }\n"
	    "grant \"app\" { networks = \"table:large\" senders = \"*\" recipients = \"*\" }\n");
	int64_t took_ms = clock_monotonic_ms() - begin_ms;

	ck_assert_uint_eq(s->source.tables[0].entries.count, 1000000);
	ck_assert_uint_eq(s->source.tables[0].lines[999999], 1000000);
	assert_text(s->source.tables[0].entries.items[999999], "10.15.66.63");
	ck_assert_msg(took_ms < 5000, "took %ld ms", (long)took_ms);
	settings_free(&s);
}
END_TEST

START_TEST(sample_configurations_load)
{
	static const char *const samples[] = { "relayd.conf", "relayd-minimal.conf" };
	const char *source = getenv("srcdir");
	char path[500];

	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		(void)snprintf(path, sizeof(path), "%s/etc/%s",
			       source == NULL ? "." : source, samples[i]);

		struct config_input input = { .path = path, .opens_files = true };
		struct settings *s = settings_read(&input, hear, NULL);

		ck_assert_msg(s != NULL, "%s", buffer_text(&fixture.said));
		ck_assert_str_eq(buffer_text(&fixture.said), "");
		ck_assert_uint_gt(s->source.grant_count, 1);
		settings_free(&s);
	}
}
END_TEST

/* ---- Warnings ---- */

static const char tls_text[] =
    HOSTNAME
    "tls \"default\" {\n"
    "    certificate = { \"/c/rsa.pem\", \"/c/ecdsa.pem\" } key = { \"/c/rsa.key\", \"/c/ecdsa.key\" }\n"
    "    ocsp-staple = { \"\", \"/c/ecdsa.der\" } server-names = \"*.Example.com\"\n"
    "    client-ca = \"/c/ca.pem\" profile = \"modern\"\n"
    "}\n"
    "tls \"old\" { certificate = \"/c/both.pem\" profile = \"legacy\" }\n"
    "connector \"apps\" { bindings = \"127.0.0.1:2525\" tls = \"offered\" }\n"
    "connector \"printers\" { bindings = \"127.0.0.1:2526\" tls = \"implicit\" tls-section = \"old\" }\n"
    "connector \"clear\" { bindings = \"127.0.0.1:2527\" }\n"
    "grant \"certified\" { connectors = { \"apps\" } certificates = { \"dns:a.example.com\" }\n"
    "    require-tls = true senders = \"*\" recipients = \"*\" }\n"
    "grant \"other\" { connectors = \"printers\" networks = \"10.0.0.0/8\" senders = \"*\" recipients = \"*\" }\n"
    ROUTE;

START_TEST(tls_sections_arrive_at_their_connectors)
{
	struct settings *s = settings_of(tls_text);

	ck_assert_uint_eq(s->tls_count, 2);
	const struct tls_settings *tls = &s->tls[0];

	ck_assert_str_eq(tls->name, "default");
	ck_assert_int_eq(tls->profile, TLS_MODERN);
	ck_assert_uint_eq(tls->pair_count, 2);
	ck_assert_str_eq(tls->pairs[1].certificate, "/c/ecdsa.pem");
	ck_assert_str_eq(tls->pairs[1].key, "/c/ecdsa.key");
	ck_assert_ptr_null(tls->pairs[0].ocsp_staple);
	ck_assert_str_eq(tls->pairs[1].ocsp_staple, "/c/ecdsa.der");
	ck_assert_uint_eq(tls->server_name_count, 1);
	ck_assert_str_eq(tls->server_names[0], "*.Example.com");
	ck_assert_str_eq(tls->client_ca, "/c/ca.pem");
	ck_assert_int_eq(s->tls[1].profile, TLS_LEGACY);
	ck_assert_ptr_null(s->tls[1].pairs[0].key);
	ck_assert_ptr_null(s->tls[1].client_ca);

	ck_assert_int_eq(s->connectors[0].tls, TLS_OFFERED);
	ck_assert_uint_eq(s->connectors[0].tls_section, 0);
	ck_assert(s->connectors[0].wants_certificate);
	ck_assert_int_eq(s->connectors[1].tls, TLS_IMPLICIT);
	ck_assert_uint_eq(s->connectors[1].tls_section, 1);
	ck_assert(!s->connectors[1].wants_certificate);
	ck_assert_int_eq(s->connectors[2].tls, TLS_NONE);
	ck_assert(s->source.grants[0].requires_tls);
	settings_free(&s);
}
END_TEST

static bool
lint_says(const char *text, const char *words)
{
	struct settings *s = settings_of(text);

	buffer_clear(&fixture.said);
	settings_lint(s, INT64_C(1800000000000), hear, NULL);
	settings_free(&s);
	return strstr(buffer_text(&fixture.said), words) != NULL;
}

START_TEST(lint_tells_of_certificates_that_nobody_vouches_for)
{
	static const char without_ca[] =
	    HOSTNAME "tls \"a\" { certificate = \"/c\" }\n"
		     "connector \"apps\" { bindings = \"127.0.0.1:2525\" tls = \"offered\" }\n" ROUTE
		     "grant \"g\" { certificates = { \"%s\" } senders = \"*\" recipients = \"*\" }\n";
	static const char words[] = "names certificates that nobody vouches for; write client-ca";
	static const char *const names[] = {
		"cn:x",
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	};

	ck_assert(!lint_says(tls_text, words));
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buffer text;

		buffer_init(&text, 4096);
		(void)buffer_printf(&text, without_ca, names[i]);
		ck_assert_int_eq(lint_says(buffer_text(&text), words), i == 0);
		buffer_reset(&text);
	}
	ck_assert(lint_says(HOSTNAME CONNECTOR ROUTE GRANT "tls \"a\" { certificate = \"/c\" }\n",
			    "tls \"a\" is of no use: no connector has TLS"));
}
END_TEST

START_TEST(lint_tells_what_deserves_a_look)
{
	static const char text[] =
	    "hostname = \"relay\"\n" ROUTE
	    "table \"none\" { type = \"network\" file = \"empty.txt\" }\n"
	    "connector \"apps\" { bindings = \"127.0.0.1:26\"\n"
	    "    mode = \"monitor\" monitor-until = \"2026-01-01\"\n"
	    "    max-recipients-per-message = 10 inactivity-timeout = \"5s\" }\n"
	    "grant \"old\" { networks = { \"10.0.0.0/8\", \"table:none\" } senders = \"@example.com\" "
	    "recipients = \"*\" expires = \"2026-12-20\" owner = \"it@example.com\" }\n";
	static const char *const expected[] = {
		"relayd.conf: hostname \"relay\" is not fully qualified; next hops may refuse it\n",
		"relayd.conf:4: connector \"apps\": its monitor mode ended on 2026-01-01 and it "
		"enforces now; remove mode and monitor-until\n",
		"relayd.conf:4: connector \"apps\" takes 10 recipients a message; RFC 5321 asks for at "
		"least 100, and some clients rely on it\n",
		"relayd.conf:4: connector \"apps\" closes sessions that are quiet for less than a "
		"minute; RFC 5321 asks for five minutes\n",
		"relayd.conf:7: grant \"old\" expires on 2026-12-20; ask its owner (it@example.com) "
		"whether it is still needed\n",
		"empty.txt: table \"none\" is empty\n",
	};
	struct settings *s = settings_of(text);
	int64_t now_ms;

	ck_assert_int_eq(clock_parse(span_of("2026-12-01"), &now_ms), PARSE_OK);
	settings_lint(s, now_ms, hear, NULL);
	ck_assert_uint_eq(fixture.error_count, 0);
	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		ck_assert_msg(strstr(buffer_text(&fixture.said), expected[i]) != NULL,
			      "%snot in\n%s", expected[i], buffer_text(&fixture.said));
	settings_free(&s);
}
END_TEST

/* ---- Values ---- */

START_TEST(size_is_read_in_powers_of_1024)
{
	static const struct {
		const char *text;
		uint64_t octets;
	} good[] = { { "0", 0 },	   { "1", 1 },
		     { "100KB", 102400 },  { "36MB", 37748736 },
		     { "36mb", 37748736 }, { "2GB", UINT64_C(2147483648) } };
	static const char *const bad[] = {
		"",	 "MB",	  "36 MB", "36M",	   "-1",
		"1.5MB", "36MBs", "0x10",  "9999999999GB", "99999999999999999999"
	};
	uint64_t octets = 7;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[VALUE_TEXT_SIZE];

		ck_assert_int_eq(size_parse(span_of(good[i].text), &octets), PARSE_OK);
		ck_assert_uint_eq(octets, good[i].octets);
		size_text(octets, text);
		ck_assert_int_eq(size_parse(span_of(text), &octets), PARSE_OK);
		ck_assert_uint_eq(octets, good[i].octets);
	}
	octets = 7;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(size_parse(span_of(bad[i]), &octets) == PARSE_BAD, "%s",
			      bad[i]);
		ck_assert_uint_eq(octets, 7);
	}
}
END_TEST

START_TEST(duration_needs_its_unit)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = { { "250ms", 250 },	{ "0s", 0 },	   { "5s", 5000 },
		     { "10m", 600000 }, { "1h", 3600000 }, { "5d", INT64_C(432000000) } };
	static const char *const bad[] = {
		"",	 "5",	"s",	"5 s",	  "5min",
		"1h30m", "-5s", "1.5h", "10001d", "99999999999999999999d"
	};
	int64_t ms = 7;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[VALUE_TEXT_SIZE];

		ck_assert_int_eq(duration_parse(span_of(good[i].text), &ms), PARSE_OK);
		ck_assert_int_eq(ms, good[i].ms);
		duration_text(ms, text);
		ck_assert_str_eq(text, good[i].text);
	}
	ms = 7;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		ck_assert_msg(duration_parse(span_of(bad[i]), &ms) == PARSE_BAD, "%s",
			      bad[i]);
		ck_assert_int_eq(ms, 7);
	}
}
END_TEST

static const struct {
	const char *url;
	const char *host;
	uint16_t port;
	uint32_t database;
} redis_urls[] = {
	{ "redis://127.0.0.1:6379/0", "127.0.0.1", 6379, 0 },
	{ "redis://127.0.0.1", "127.0.0.1", 6379, 0 },
	{ "redis://redis.example.com:7000/15", "redis.example.com", 7000, 15 },
	{ "REDIS://redis.example.com/", "redis.example.com", 6379, 0 },
	{ "redis://[2001:db8::1]", "2001:db8::1", 6379, 0 },
	{ "redis://[2001:db8::1]:25/1", "2001:db8::1", 25, 1 },
};

START_TEST(redis_is_a_host_a_port_and_a_database)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
		       HOSTNAME CONNECTOR ROUTE GRANT "shared { redis = \"%s\" }\n",
		       redis_urls[_i].url);
	struct settings *s = settings_of(text);

	ck_assert(s->shared.is_wanted);
	ck_assert(!s->shared.is_closed_when_away);
	assert_text(s->shared.redis.host, redis_urls[_i].host);
	ck_assert_uint_eq(s->shared.redis.port, redis_urls[_i].port);
	ck_assert_uint_eq(s->shared.redis.database, redis_urls[_i].database);
	settings_free(&s);
}
END_TEST

START_TEST(limit_has_a_count_a_unit_and_a_window)
{
	static const struct {
		const char *text;
		struct limit_source limit;
	} good[] = {
		{ "600 messages/hour", { 600, LIMIT_MESSAGES, LIMIT_PER_GRANT, 3600 } },
		{ "5000 recipients/day",
		  { 5000, LIMIT_RECIPIENTS, LIMIT_PER_GRANT, 86400 } },
		{ "2GB octets/day",
		  { UINT64_C(2147483648), LIMIT_OCTETS, LIMIT_PER_GRANT, 86400 } },
		{ "2GB bytes/day per login",
		  { UINT64_C(2147483648), LIMIT_OCTETS, LIMIT_PER_LOGIN, 86400 } },
		{ "10 messages / minute", { 10, LIMIT_MESSAGES, LIMIT_PER_GRANT, 60 } },
		{ "1 Messages/Second", { 1, LIMIT_MESSAGES, LIMIT_PER_GRANT, 1 } },
		{ "7 messages/15m per sender",
		  { 7, LIMIT_MESSAGES, LIMIT_PER_SENDER, 900 } },
		{ "7 messages/31d Per Grant",
		  { 7, LIMIT_MESSAGES, LIMIT_PER_GRANT, 31 * 86400 } },
		{ "20 sessions", { 20, LIMIT_SESSIONS, LIMIT_PER_GRANT, 0 } },
		{ "3 sessions per address", { 3, LIMIT_SESSIONS, LIMIT_PER_ADDRESS, 0 } },
	};
	static const char *const bad[] = { "",
					   "600",
					   "600 messages",
					   "messages/hour",
					   "600 mails/hour",
					   "600 messages/week",
					   "600 messages/500ms",
					   "600 messages/32d",
					   "600 messages/",
					   "600 messages hour",
					   "600 messages/hour sender",
					   "600 messages/hour per",
					   "600 messages/hour per network",
					   "600 messages/hour per sender per login",
					   "20 sessions/hour",
					   "2TB bytes/day",
					   "2000GB bytes/day",
					   "0 messages/hour",
					   "0 sessions",
					   "2GB messages/day",
					   "600messages/hour",
					   "-1 messages/hour",
					   "600 messages/hour/day" };

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct limit_source limit;

		ck_assert_msg(limit_parse(span_of(good[i].text), &limit) == PARSE_OK,
			      "%s", good[i].text);
		ck_assert_uint_eq(limit.count, good[i].limit.count);
		ck_assert_int_eq(limit.unit, good[i].limit.unit);
		ck_assert_int_eq(limit.key, good[i].limit.key);
		ck_assert_uint_eq(limit.window_s, good[i].limit.window_s);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct limit_source limit;

		ck_assert_msg(limit_parse(span_of(bad[i]), &limit) == PARSE_BAD, "%s",
			      bad[i]);
	}
}
END_TEST

START_TEST(certificate_is_named_by_digest_or_by_a_name_in_it)
{
	static const char *const good[] = {
		"sha256:0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789",
		"dns:billing.example.com",
		"dns:*.example.com",
		"email:a@example.com",
		"cn:Billing app",
	};
	static const char *const bad[] = { "",
					   "sha256:",
					   "sha256:12",
					   "dns:",
					   "dns:a..b",
					   "email:a",
					   "cn:",
					   "billing.example.com",
					   ("sha256:z123456789012345678901234567890"
					    "12345678901234567890123456789012") };

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(certificate_name_is_valid(span_of(good[i])), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!certificate_name_is_valid(span_of(bad[i])), "%s", bad[i]);
}
END_TEST

START_TEST(distance_counts_the_slips_of_a_typist)
{
	static const struct {
		const char *a;
		const char *b;
		unsigned distance;
	} cases[] = { { "", "", 0 },
		      { "abc", "", 3 },
		      { "senders", "senders", 0 },
		      { "sender", "senders", 1 },
		      { "sednders", "senders", 1 },
		      { "snedres", "senders", 2 },
		      { "Networks", "networks", 0 },
		      { "ab", "ba", 1 } };

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span a = span_of(cases[i].a), b = span_of(cases[i].b);

		ck_assert_uint_eq(text_distance(a, b), cases[i].distance);
		ck_assert_uint_eq(text_distance(b, a), cases[i].distance);
	}
}
END_TEST

static Suite *
config_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *refused = tcase_create("refused"), *loaded = tcase_create("loaded");
	TCase *values = tcase_create("values");

	tcase_add_checked_fixture(refused, fixture_begin, fixture_end);
	tcase_add_loop_test(
	    refused, broken_configuration_is_refused_with_every_complaint_at_its_line, 0,
	    (int)ARRAY_LEN(broken));
	tcase_add_test(refused, nul_byte_is_refused);
	tcase_add_test(refused, file_that_cannot_be_read_is_named);
	tcase_add_test(refused, more_complaints_than_anybody_reads_are_counted);
	tcase_add_test(refused, account_must_exist_only_where_it_is_needed);
	suite_add_tcase(suite, refused);

	tcase_add_checked_fixture(loaded, fixture_begin, fixture_end);
	tcase_set_timeout(loaded, 60);
	if (redis_is_built_in())
		tcase_add_loop_test(loaded, redis_is_a_host_a_port_and_a_database, 0,
				    ARRAY_LEN(redis_urls));
	tcase_add_test(loaded, defaults_are_those_of_the_manual);
	tcase_add_test(loaded, every_option_of_this_release_arrives);
	tcase_add_test(loaded, logins_arrive);
	tcase_add_test(loaded, logins_come_from_the_users_file_by_default);
	tcase_add_test(loaded, lines_are_those_where_a_section_begins);
	tcase_add_test(loaded, file_from_windows_is_read_alike);
	tcase_add_test(loaded, included_files_keep_order_names_and_relative_paths);
	tcase_add_test(loaded, recipients_may_be_covered_by_several_routes);
	tcase_add_test(loaded, unused_route_is_a_warning);
	tcase_add_test(loaded, monitor_mode_is_allowed_where_not_everybody_can_connect);
	tcase_add_test(loaded, decision_follows_from_the_file);
	tcase_add_test(loaded, table_of_a_million_lines_loads_in_seconds);
	tcase_add_test(loaded, sample_configurations_load);
	tcase_add_test(loaded, lint_tells_what_deserves_a_look);
	tcase_add_test(loaded, tls_sections_arrive_at_their_connectors);
	tcase_add_test(loaded, lint_tells_of_certificates_that_nobody_vouches_for);
	suite_add_tcase(suite, loaded);

	tcase_add_test(values, size_is_read_in_powers_of_1024);
	tcase_add_test(values, duration_needs_its_unit);
	tcase_add_test(values, limit_has_a_count_a_unit_and_a_window);
	tcase_add_test(values, certificate_is_named_by_digest_or_by_a_name_in_it);
	tcase_add_test(values, distance_counts_the_slips_of_a_typist);
	suite_add_tcase(suite, values);
	return suite;
}

int
main(void)
{
	return suite_main(config_suite());
}
