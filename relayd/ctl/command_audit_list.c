/* SPDX-License-Identifier: ISC */
/* relayctl audit list: records of the audit trail, filtered. */
#include "ctl/command.h"

#include "audit/query.h"
#include "base/clock.h"
#include "base/memory.h"
#include "ctl/columns.h"

#include <stdlib.h>

#define LIMIT_MAX 10000000
#define NEWEST_OCTETS (4U << 20) /* of the trail, for a first look at its newest records */
#define NEWEST_GROWTH 8		 /* how much more for the next look, when that was not enough */

/* The filters as they were given. */
struct arguments {
	const char *since, *until, *client, *user, *from, *to, *verdict, *reason, *grant;
	const char *connector, *event, *id, *limit;
};

/* Where records go: out at once, or into a ring of the newest `limit` lines. */
struct listing {
	bool is_json;
	struct columns columns;
	struct span *ring; /* heap texts */
	size_t limit;	   /* 0: no ring */
	size_t seen;
};

static const char *const titles[] = { "TIME", "ID",   "EVENT", "VERDICT", "REASON",
				      "CLIENT", "USER", "FROM",	 "TO",	    "GRANT" };

static void
record_print(struct listing *listing, const struct audit_record *record)
{
	static const struct span null_path = SPAN_LITERAL("<>");
	struct columns *c = &listing->columns;

	if (listing->is_json) {
		(void)fwrite(record->line.ptr, 1, record->line.len, stdout);
		(void)fputc('\n', stdout);
		return;
	}
	columns_cell(c, record->time);
	columns_cell(c, record->id);
	columns_cell(c, record->event);
	columns_cell(c, record->verdict.len > 0 ? record->verdict : record->result);
	columns_cell(c, record->reason.len > 0 ? record->reason : record->action);
	columns_cell(c, record->client_ip);
	columns_cell(c, record->user.len > 0 ? record->user : record->operator);
	columns_cell(c, record->has_from && record->from.len == 0 ? null_path : record->from);
	columns_cell(c, record->to);
	columns_cell(c, record->grant);
}

static bool
record_take(void *context, const struct audit_record *record)
{
	struct listing *listing = context;

	if (listing->limit == 0) {
		record_print(listing, record);
		return !ferror(stdout);
	}
	struct span *place = &listing->ring[listing->seen++ % listing->limit];

	free((void *)(uintptr_t)place->ptr);
	*place = (struct span){ .ptr = memory_copy_text(record->line), .len = record->line.len };
	return true;
}

static size_t
ring_count(const struct listing *listing)
{
	return listing->seen < listing->limit ? listing->seen : listing->limit;
}

static void
ring_clear(struct listing *listing)
{
	for (size_t i = 0; i < ring_count(listing); i++) {
		free((void *)(uintptr_t)listing->ring[i].ptr);
		listing->ring[i].ptr = NULL;
	}
	listing->seen = 0;
}

static void
ring_print(struct listing *listing)
{
	struct arena arena;

	arena_init(&arena, 4096);
	for (size_t i = listing->seen - ring_count(listing); i < listing->seen; i++) {
		struct audit_record record;

		if (audit_record_read(listing->ring[i % listing->limit], &arena, &record) ==
		    PARSE_OK)
			record_print(listing, &record);
		arena_reset(&arena);
	}
	ring_clear(listing);
}

/* The newest records stand at the end: look there first, and further back as needed. */
static bool
newest_query(const char *state_directory, const struct audit_filter *filter,
	     struct listing *listing, struct audit_tally *tally, struct fault *fault)
{
	struct audit_filter part = *filter;

	part.newest_octets = NEWEST_OCTETS;
	listing->ring = memory_new_array(listing->limit, sizeof(*listing->ring));
	for (;;) {
		if (!audit_query(state_directory, &part, record_take, listing, tally, fault))
			return false;
		if (ring_count(listing) == listing->limit || !tally->is_cut)
			return true;
		ring_clear(listing);
		part.newest_octets *= NEWEST_GROWTH;
	}
}

static int
filter_read(const struct relayctl *ctl, const struct arguments *a, struct arena *arena,
	    struct audit_filter *filter)
{
	int64_t now = clock_wall_ms();

	*filter = (struct audit_filter){
		.has_client = a->client != NULL,
		.user = span_of(a->user),
		.from = span_of(a->from),
		.to = span_of(a->to),
		.verdict = span_of(a->verdict),
		.reason = span_of(a->reason),
		.grant = span_of(a->grant),
		.connector = span_of(a->connector),
		.event = span_of(a->event),
	};
	if (a->id != NULL)
		filter->id = audit_id_normalise(span_of(a->id), arena);
	if (a->client != NULL && ip_range_parse(filter->has_client ? span_of(a->client) :
								     span_of(""),
						&filter->client) != PARSE_OK)
		return usage_complain(ctl, "--client %s is no address, prefix or range; "
					   "write for example 10.20.0.0/16", a->client);
	if (a->since != NULL && time_option_parse(a->since, now, &filter->since_ms) != PARSE_OK)
		return usage_complain(ctl, "--since %s is no time; write 2026-12-31, "
					   "2026-12-31T08:30 or 2h", a->since);
	if (a->until != NULL && time_option_parse(a->until, now, &filter->until_ms) != PARSE_OK)
		return usage_complain(ctl, "--until %s is no time; write 2026-12-31, "
					   "2026-12-31T08:30 or 2h", a->until);
	return GO_ON;
}

/* A filter that can match nothing is a slip of the pen: say so. */
static int
words_check(const struct relayctl *ctl, const struct arguments *a)
{
	static const char *const verdicts[] = { "relayed", "refused", "deferred", "would-refuse" };
	static const char *const events[] = { "attempt", "connect", "auth",  "delivery", "bounce",
					      "expire",	 "start",   "stop", "reload",   "operator" };
	const struct { const char *given, *option; const char *const *words; size_t count; }
	checks[] = {
		{ a->verdict, "--verdict", verdicts, ARRAY_LEN(verdicts) },
		{ a->event, "--event", events, ARRAY_LEN(events) },
	};

	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		bool is_known = checks[i].given == NULL;

		for (size_t n = 0; n < checks[i].count && !is_known; n++)
			is_known = strcmp(checks[i].given, checks[i].words[n]) == 0;
		if (!is_known)
			return usage_complain(ctl, "%s %s: there is none such", checks[i].option,
					      checks[i].given);
	}
	return GO_ON;
}

static int
limit_read(const struct relayctl *ctl, const char *text, size_t *limit)
{
	uint64_t value = 0;

	if (text != NULL &&
	    (number_parse(span_of(text), LIMIT_MAX, &value) != PARSE_OK || value == 0))
		return usage_complain(ctl, "--limit %s: a number from 1 to %d is expected", text,
				      LIMIT_MAX);
	*limit = (size_t)value;
	return GO_ON;
}

static int
records_list(struct relayctl *ctl, const struct audit_filter *filter, size_t limit)
{
	const char *state_directory;
	struct listing listing = { .is_json = ctl->is_json, .limit = limit };
	struct audit_tally tally;
	struct fault fault;
	int status = state_directory_need(ctl, &state_directory);

	if (status != GO_ON)
		return status;
	columns_init(&listing.columns, titles, ARRAY_LEN(titles));
	bool succeeded =
	    limit == 0 ?
		audit_query(state_directory, filter, record_take, &listing, &tally, &fault) :
		newest_query(state_directory, filter, &listing, &tally, &fault);

	if (limit > 0)
		ring_print(&listing);
	columns_end(&listing.columns);
	free(listing.ring);
	if (!succeeded)
		return trouble_say(ctl, "%s", fault_text(&fault));
	if (tally.torn > 0 || tally.files_compressed > 0)
		(void)fprintf(stderr,
			      "relayctl audit list: left out: %llu torn lines, %llu compressed "
			      "files\n",
			      (unsigned long long)tally.torn,
			      (unsigned long long)tally.files_compressed);
	return EXIT_YES;
}

static int
run(struct relayctl *ctl, int argc, char **argv)
{
	struct arguments a = { .since = NULL };
	struct audit_filter filter;
	struct arena arena;
	size_t limit = 0;
	const struct option options[] = {
		{ "--since", OPTION_TEXT, &a.since },	  { "--until", OPTION_TEXT, &a.until },
		{ "--client", OPTION_TEXT, &a.client },	  { "--user", OPTION_TEXT, &a.user },
		{ "--from", OPTION_TEXT, &a.from },	  { "--to", OPTION_TEXT, &a.to },
		{ "--verdict", OPTION_TEXT, &a.verdict }, { "--reason", OPTION_TEXT, &a.reason },
		{ "--grant", OPTION_TEXT, &a.grant },	  { "--event", OPTION_TEXT, &a.event },
		{ "--connector", OPTION_TEXT, &a.connector },
		{ "--id", OPTION_TEXT, &a.id },		  { "--limit", OPTION_TEXT, &a.limit },
	};
	int status = options_take(ctl, options, ARRAY_LEN(options), &argc, argv);

	if (status == GO_ON && argc > 0)
		return usage_complain(ctl, "no argument is expected; got %s", argv[0]);
	if (status == GO_ON)
		status = limit_read(ctl, a.limit, &limit);
	if (status == GO_ON)
		status = words_check(ctl, &a);
	arena_init(&arena, 0);
	if (status == GO_ON)
		status = filter_read(ctl, &a, &arena, &filter);
	if (status == GO_ON)
		status = records_list(ctl, &filter, limit);
	arena_reset(&arena);
	return status;
}

const struct command command_audit_list = {
	.name = "audit list",
	.summary = "records of the audit trail, filtered, newest last",
	.help =
	    "usage: relayctl audit list [FILTERS] [--limit N] [--json]\n"
	    "\n"
	    "Reads the audit trail and what rotation left of it, oldest first. With several\n"
	    "filters, a record must pass all of them.\n"
	    "  --since TIME, --until TIME  2026-12-31, 2026-12-31T08:30 (UTC), or ago: 90s 15m\n"
	    "                              2h 7d 4w\n"
	    "  --client CIDR      an address, a prefix or a range: 10.20.0.0/16\n"
	    "  --user LOGIN\n"
	    "  --from A, --to A   an address or @domain; --from '<>' is the null sender\n"
	    "  --verdict V        relayed, refused, deferred, would-refuse\n"
	    "  --reason TOKEN     relay.no-grant, or the first part alone: evidence\n"
	    "  --grant NAME, --connector NAME\n"
	    "  --event E          attempt, connect, auth, delivery, expire, start, stop, reload,\n"
	    "                     operator\n"
	    "  --id ID            as relayctl why takes it\n"
	    "  --limit N          the newest N of them\n"
	    "--json prints the records as they stand in the trail, one a line.\n"
	    "\n"
	    "examples:\n"
	    "  relayctl audit list --since 1h --verdict refused\n"
	    "  relayctl audit list --client 10.20.0.0/16 --reason sender.not-authorized\n"
	    "  relayctl audit list --since 7d --event attempt --json | jq -r .client.ip | sort -u\n"
	    "\n"
	    "exit: 0 done (even when nothing matched), 2 usage, 3 the trail cannot be read\n",
	.run = run,
};
