/* SPDX-License-Identifier: ISC */
/* relayctl status: what the running daemon does, at a glance. */
#include "ctl/daemon_private.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "ctl/columns.h"

#include <inttypes.h>

#define TIMEOUT_MS 10000

static void
cell_number_of(struct columns *c, const json_t *object, const char *key)
{
	columns_number(c, member_number(object, key));
}

/* A count over a time, as "12.3". */
static void
cell_rate(struct columns *c, uint64_t count, uint64_t seconds)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%.1f",
			   seconds == 0 ? 0.0 : (double)count / (double)seconds);

	columns_cell(c, (struct span){ .ptr = text, .len = (size_t)len });
}

/* How long ago a time of the answer was; empty when it is not there. */
static void
cell_age(struct columns *c, struct span time)
{
	int64_t wall_ms;

	if (time.len > 0 && clock_parse(time, &wall_ms) == PARSE_OK)
		columns_duration(c, clock_wall_ms() - wall_ms);
	else
		columns_cell(c, span_of(""));
}

static void
say_text(struct buffer *text, const char *words, struct span value)
{
	if (value.len == 0)
		return;
	buffer_append_text(text, words);
	utf8_append_printable(text, value);
}

static void
head_print(const json_t *answer)
{
	struct buffer text;
	uint64_t uptime_s = member_number(answer, "uptime_s");

	buffer_init(&text, 64U << 10);
	say_text(&text, "relayd ", member_text(answer, "version"));
	say_text(&text, " on ", member_text(answer, "hostname"));
	say_text(&text, ": ", member_text(answer, "state"));
	buffer_append_text(&text, ", up ");
	clock_duration((int64_t)uptime_s * 1000, &text);
	say_text(&text, " since ", member_text(answer, "started"));
	buffer_printf(&text, ", process %" PRIu64 "\n", member_number(answer, "pid"));
	say_text(&text, "configuration ", member_text(answer, "config"));
	say_text(&text, ", policy ", member_text(answer, "policy"));
	buffer_append_byte(&text, '\n');
	output_put(&text);
	buffer_reset(&text);
}

/* "a, b, c" out of an array of texts. */
static void
cell_list(struct columns *c, const json_t *list)
{
	struct buffer text;

	buffer_init(&text, 16U << 10);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);

		buffer_append_text(&text, i == 0 ? "" : ", ");
		buffer_append(&text, (struct span){ json_string_value(item),
						    json_string_length(item) });
	}
	columns_cell(c, buffer_span(&text));
	buffer_reset(&text);
}

static void
workers_print(const json_t *workers)
{
	static const char *const titles[] = { "WORKER", ">PROCESS", ">GENERATION", "STATE",
					      ">RESTARTS" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < json_array_size(workers); i++) {
		const json_t *worker = json_array_get(workers, i);

		if (i == 0)
			(void)putchar('\n');
		cell_number_of(&c, worker, "slot");
		cell_number_of(&c, worker, "pid");
		cell_number_of(&c, worker, "generation");
		columns_cell(&c, member_text(worker, "state"));
		cell_number_of(&c, worker, "restarts");
	}
	columns_end(&c);
}

static void
helpers_print(const json_t *helpers)
{
	static const char *const titles[] = { "AUTH HELPER", "POOL",  ">PROCESS",
					      ">GENERATION", "STATE", ">RESTARTS" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < json_array_size(helpers); i++) {
		const json_t *helper = json_array_get(helpers, i);

		if (i == 0)
			(void)putchar('\n');
		cell_number_of(&c, helper, "slot");
		columns_cell(&c, member_text(helper, "pool"));
		cell_number_of(&c, helper, "pid");
		cell_number_of(&c, helper, "generation");
		columns_cell(&c, member_text(helper, "state"));
		cell_number_of(&c, helper, "restarts");
	}
	columns_end(&c);
}

static void
connectors_print(const json_t *connectors, uint64_t uptime_s)
{
	static const char *const titles[] = {
		"CONNECTOR", "MODE",	   ">OPEN",	    ">SESSIONS", ">TURNED-AWAY", ">RELAYED",
		">REFUSED",  ">DEFERRED", ">WOULD-REFUSE", ">MESSAGES", ">PER-SECOND",	 ">SIZE",
		">LOGINS",   ">FAILED-LOGINS", "LISTENS AT",
	};
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < json_array_size(connectors); i++) {
		const json_t *connector = json_array_get(connectors, i);

		if (i == 0)
			(void)putchar('\n');
		columns_cell(&c, member_text(connector, "name"));
		columns_cell(&c, member_text(connector, "mode"));
		cell_number_of(&c, connector, "sessions_open");
		cell_number_of(&c, connector, "sessions");
		cell_number_of(&c, connector, "connections_refused");
		cell_number_of(&c, connector, "relayed");
		cell_number_of(&c, connector, "refused");
		cell_number_of(&c, connector, "deferred");
		cell_number_of(&c, connector, "would_refuse");
		cell_number_of(&c, connector, "messages");
		cell_rate(&c, member_number(connector, "messages"), uptime_s);
		columns_octets(&c, member_number(connector, "octets"));
		cell_number_of(&c, connector, "logins");
		cell_number_of(&c, connector, "logins_failed");
		cell_list(&c, json_object_get(connector, "bindings"));
	}
	columns_end(&c);
}

static void
routes_print(const json_t *routes, uint64_t uptime_s)
{
	static const char *const titles[] = {
		"ROUTE",      ">WAITING", ">OLDEST", ">HELD",   ">IN-FLIGHT",   ">DEAD",
		">DELIVERED", ">PER-SECOND", ">DEFERRED", ">FAILED", ">CONNECTIONS",
	};
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < json_array_size(routes); i++) {
		const json_t *route = json_array_get(routes, i);

		if (i == 0)
			(void)putchar('\n');
		columns_cell(&c, member_text(route, "name"));
		cell_number_of(&c, route, "waiting");
		cell_age(&c, member_text(route, "oldest"));
		cell_number_of(&c, route, "held");
		cell_number_of(&c, route, "in_flight");
		cell_number_of(&c, route, "dead");
		cell_number_of(&c, route, "delivered");
		cell_rate(&c, member_number(route, "delivered"), uptime_s);
		cell_number_of(&c, route, "deferred");
		cell_number_of(&c, route, "failed");
		cell_number_of(&c, route, "connections_open");
	}
	columns_end(&c);
}

/* Those that are paused, with why and until when. */
static void
next_hops_print(const json_t *routes)
{
	static const char *const titles[] = { "NEXT HOP", "ROUTE", "STATE", "TROUBLE", "UNTIL" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0, shown = 0; i < json_array_size(routes); i++) {
		const json_t *route = json_array_get(routes, i);
		const json_t *hops = json_object_get(route, "next_hops");

		for (size_t h = 0; h < json_array_size(hops); h++) {
			const json_t *hop = json_array_get(hops, h);

			if (member_text(hop, "trouble").len == 0)
				continue;
			if (shown++ == 0)
				(void)putchar('\n');
			columns_cell(&c, member_text(hop, "name"));
			columns_cell(&c, member_text(route, "name"));
			columns_cell(&c, member_text(hop, "state"));
			columns_cell(&c, member_text(hop, "trouble"));
			columns_cell(&c, member_text(hop, "until"));
		}
	}
	columns_end(&c);
}

/* Of what was tried to the end; empty while nothing was. */
static void
cell_percent(struct columns *c, uint64_t part, uint64_t whole)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%.1f%%", 100.0 * (double)part / (double)whole);

	columns_cell(c, whole == 0 ? span_of("")
				   : (struct span){ .ptr = text, .len = (size_t)len });
}

/* How much comes through; title names what the rates are of. */
static void
rates_print(const json_t *rates, const char *title)
{
	const char *const titles[] = { title, ">DELIVERED", ">DEFERRED", ">FAILED",
				       ">FAILED-RATE", ">REPORTED" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < json_array_size(rates); i++) {
		const json_t *rate = json_array_get(rates, i);
		uint64_t delivered = member_number(rate, "delivered");
		uint64_t failed = member_number(rate, "failed");

		if (i == 0)
			(void)putchar('\n');
		columns_cell(&c, member_text(rate, "name"));
		cell_number_of(&c, rate, "delivered");
		cell_number_of(&c, rate, "deferred");
		cell_number_of(&c, rate, "failed");
		cell_percent(&c, failed, delivered + failed);
		cell_number_of(&c, rate, "reported");
	}
	columns_end(&c);
}

static void
spool_print(const json_t *spool)
{
	struct buffer text;
	uint64_t syncs = member_number(spool, "syncs");
	uint64_t commits = member_number(spool, "commits");

	if (!json_is_object(spool))
		return;
	buffer_init(&text, 4000);
	buffer_printf(&text, "\nspool: %" PRIu64 " messages, ", member_number(spool, "messages"));
	octets_append(&text, member_number(spool, "body_octets"));
	buffer_append_text(&text, " (");
	octets_append(&text, member_number(spool, "memory_octets"));
	buffer_printf(&text, " in memory), %" PRIu64 " segments; %" PRIu64
		      " messages made durable by %" PRIu64 " syncs",
		      member_number(spool, "segments"), commits, syncs);
	if (syncs > 0)
		buffer_printf(&text, ", %.1f each", (double)commits / (double)syncs);
	buffer_append_byte(&text, '\n');
	output_put(&text);
	buffer_reset(&text);
}

static void
certificates_print(const json_t *certificates)
{
	static const char *const titles[] = { "TLS", "KIND", ">DAYS LEFT", "EXPIRES",
					      "CERTIFICATE" };
	struct columns c;

	columns_init(&c, titles, ARRAY_LEN(titles));
	for (size_t i = 0; i < json_array_size(certificates); i++) {
		const json_t *certificate = json_array_get(certificates, i);
		char days[24];
		int len = snprintf(days, sizeof(days), "%" JSON_INTEGER_FORMAT,
				   json_integer_value(json_object_get(certificate, "days_left")));

		if (i == 0)
			(void)putchar('\n');
		columns_cell(&c, member_text(certificate, "section"));
		columns_cell(&c, member_text(certificate, "kind"));
		columns_cell(&c, (struct span){ days, (size_t)len });
		columns_cell(&c, span_first(member_text(certificate, "expires"), 10));
		columns_cell(&c, member_text(certificate, "file"));
	}
	columns_end(&c);
}

static void
warnings_print(const json_t *warnings)
{
	struct buffer text;

	buffer_init(&text, 1U << 20);
	for (size_t i = 0; i < json_array_size(warnings); i++) {
		const json_t *warning = json_array_get(warnings, i);

		buffer_append_text(&text, i == 0 ? "\nwarning: " : "warning: ");
		utf8_append_printable(&text, (struct span){ json_string_value(warning),
							    json_string_length(warning) });
		buffer_append_byte(&text, '\n');
	}
	output_put(&text);
	buffer_reset(&text);
}

static void
hidden_clients_print(const json_t *hidden)
{
	struct buffer text;

	buffer_init(&text, 1U << 20);
	for (size_t i = 0; i < json_array_size(hidden); i++) {
		buffer_append_text(&text, i == 0 ? "\nhint: " : "hint: ");
		utf8_append_printable(&text, member_text(json_array_get(hidden, i), "hint"));
		buffer_append_byte(&text, '\n');
	}
	output_put(&text);
	buffer_reset(&text);
}

static void
status_print(const json_t *answer)
{
	uint64_t uptime_s = member_number(answer, "uptime_s");

	head_print(answer);
	workers_print(json_object_get(answer, "workers"));
	helpers_print(json_object_get(answer, "helpers"));
	connectors_print(json_object_get(answer, "connectors"), uptime_s);
	routes_print(json_object_get(answer, "routes"), uptime_s);
	next_hops_print(json_object_get(answer, "routes"));
	rates_print(json_object_get(answer, "grants"), "GRANT");
	rates_print(json_object_get(answer, "sender_domains"), "SENDER DOMAIN");
	if (json_array_size(json_object_get(answer, "limits")) > 0)
		(void)putchar('\n');
	limits_print(json_object_get(answer, "limits"));
	spool_print(json_object_get(answer, "spool"));
	certificates_print(json_object_get(answer, "certificates"));
	hidden_clients_print(json_object_get(answer, "hidden_clients"));
	warnings_print(json_object_get(answer, "warnings"));
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct buffer line;
	json_t *answer = NULL;
	int status = options_take(ctl, NULL, 0, &argc, argv);

	if (status != GO_ON)
		return status;
	if (argc > 0)
		return usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	buffer_init(&line, 16U << 20);
	status = daemon_ask(ctl, "status", TIMEOUT_MS, &line, &answer);
	if (status == GO_ON && json_is_false(json_object_get(answer, "ok"))) {
		answer_errors_say(answer);
		json_decref(answer);
		status = EXIT_TROUBLE;
	}
	if (status == GO_ON) {
		buffer_append_byte(&line, '\n');
		if (ctl->is_json)
			output_put(&line);
		else
			status_print(answer);
		json_decref(answer);
		status = EXIT_YES;
	}
	buffer_reset(&line);
	return status;
}

const struct command command_status = {
	.name = "status",
	.summary = "what the running relayd does: sessions, verdicts, queue, workers, certificates",
	.help = "usage: relayctl status [--json]\n"
		"\n"
		"Asks the running relayd. Counts are since its start, rates are means over that\n"
		"time. OPEN, WAITING, HELD, IN-FLIGHT, DEAD and CONNECTIONS are as of now; OLDEST is the\n"
		"age of the oldest message that waits. Next hops are shown that are left alone for\n"
		"a while, with the reason and the time of the next try.\n"
		"A hint names a client address that many\n"
		"machines seem to share behind a NAT, so that networks cannot tell them apart.\n"
		"\n"
		"examples:\n"
		"  relayctl status\n"
		"  relayctl status --json | jq '.routes[] | select(.waiting > 100)'\n"
		"\n"
		"exit: 0 it runs, 3 it does not, or cannot be asked\n",
	.run = run,
};
