/* SPDX-License-Identifier: ISC */
/* Reading the audit trail; see query.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif
#include "audit/query.h"

#include "audit/trail_private.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_START   "{\"time\":\"" /* how every record begins; no text can hold it */
#define TIME_LEN       (CLOCK_RFC3339_SIZE - 1)

#define BLOCK_OCTETS	(1U << 20)
#define LINE_OCTETS_MAX (4U << 20) /* longer: no line of ours */
#define DISORDER_MS	INT64_C(600000) /* how far a record may stand from its place in time */
#define SEARCH_OCTETS	(64 << 10) /* a file is halved until no more than this is left */
#define NEEDLES_MAX	8

/* ---- One record ---- */

static struct span
text_of(const json_t *value, struct arena *arena)
{
	if (!json_is_string(value))
		return (struct span){ NULL, 0 };
	return arena_copy(arena, (struct span){ .ptr = json_string_value(value),
						.len = json_string_length(value) });
}

static struct span
text_at(const json_t *object, const char *key, struct arena *arena)
{
	return text_of(json_object_get(object, key), arena);
}

/* A number that is not negative; anything else is 0. */
static uint64_t
number_at(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value < 0 ? 0 : (uint64_t)value;
}

static void
client_read(const json_t *client, struct arena *arena, struct audit_record *record)
{
	uint64_t port = number_at(client, "port");

	record->client_ip = text_at(client, "ip", arena);
	record->ptr = text_at(client, "ptr", arena);
	record->helo = text_at(client, "helo", arena);
	record->client_port = port > UINT16_MAX ? 0 : (uint16_t)port;
}

/* Where only one name was recorded it stands in "client" alone. */
static void
certificates_read(const json_t *tls, struct arena *arena, struct audit_record *record)
{
	const json_t *names = json_object_get(tls, "names");
	size_t count = json_array_size(names);
	struct span *list = arena_new_array(arena, count + 1, sizeof(*list));

	for (size_t i = 0; i < count; i++)
		list[i] = text_of(json_array_get(names, i), arena);
	if (count == 0 && record->tls_client.len > 0)
		list[count++] = record->tls_client;
	record->certificates = list;
	record->certificate_count = count;
}

static void
record_fill(const json_t *object, struct arena *arena, struct audit_record *record)
{
	static const struct { const char *key; size_t offset; } texts[] = {
		{ "id", offsetof(struct audit_record, id) },
		{ "session", offsetof(struct audit_record, session) },
		{ "connector", offsetof(struct audit_record, connector) },
		{ "local", offsetof(struct audit_record, local) },
		{ "proxy", offsetof(struct audit_record, proxy) },
		{ "xclient", offsetof(struct audit_record, xclient) },
		{ "from", offsetof(struct audit_record, from) },
		{ "to", offsetof(struct audit_record, to) },
		{ "header_from", offsetof(struct audit_record, header_from) },
		{ "message_id", offsetof(struct audit_record, message_id) },
		{ "verdict", offsetof(struct audit_record, verdict) },
		{ "stage", offsetof(struct audit_record, stage) },
		{ "reason", offsetof(struct audit_record, reason) },
		{ "grant", offsetof(struct audit_record, grant) },
		{ "line", offsetof(struct audit_record, grant_line) },
		{ "reply", offsetof(struct audit_record, reply) },
		{ "detail", offsetof(struct audit_record, detail) },
		{ "policy", offsetof(struct audit_record, policy) },
		{ "route", offsetof(struct audit_record, route) },
		{ "next_hop", offsetof(struct audit_record, next_hop) },
		{ "peer", offsetof(struct audit_record, peer) },
		{ "result", offsetof(struct audit_record, result) },
		{ "next", offsetof(struct audit_record, next) },
		{ "action", offsetof(struct audit_record, action) },
		{ "user", offsetof(struct audit_record, operator) },
		{ "report", offsetof(struct audit_record, report) },
		{ "report_to", offsetof(struct audit_record, report_to) },
	};
	const json_t *tls = json_object_get(object, "tls");
	const json_t *auth = json_object_get(object, "auth");

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct span text = text_at(object, texts[i].key, arena);

		memcpy((char *)record + texts[i].offset, &text, sizeof(text));
	}
	client_read(json_object_get(object, "client"), arena, record);
	record->tls_version = text_at(tls, "version", arena);
	record->tls_cipher = text_at(tls, "cipher", arena);
	record->tls_client = text_at(tls, "client", arena);
	certificates_read(tls, arena, record);
	record->user = text_at(auth, "user", arena);
	record->mechanism = text_at(auth, "mechanism", arena);
	record->has_from = json_is_string(json_object_get(object, "from"));
	record->size_octets = number_at(object, "size");
	record->queued_ms = (int64_t)number_at(object, "queued_ms");
	record->tries = number_at(object, "tries");
	record->uid = number_at(object, "uid");
}

enum parse_status
audit_record_read(struct span line, struct arena *arena, struct audit_record *record)
{
	json_error_t error;
	json_t *object;
	enum parse_status status = PARSE_BAD;

	if (line.len == 0)
		return PARSE_BAD;
	object = json_loadb(line.ptr, line.len, JSON_ALLOW_NUL, &error);
	*record = (struct audit_record){ .line = line };
	if (json_is_object(object)) {
		record->time = text_at(object, "time", arena);
		record->event = text_at(object, "event", arena);
		if (record->event.len > 0)
			status = clock_parse(record->time, &record->wall_ms);
	}
	if (status == PARSE_OK)
		record_fill(object, arena, record);
	json_decref(object);
	return status;
}

struct audit_record *
audit_record_copy(const struct audit_record *record, struct arena *arena)
{
	struct audit_record *copy = arena_new(arena, sizeof(*copy));

	/* it was a record before, so it is one again */
	if (audit_record_read(arena_copy(arena, record->line), arena, copy) != PARSE_OK)
		*copy = (struct audit_record){ .wall_ms = record->wall_ms };
	return copy;
}

/* ---- Ids ---- */

struct span
audit_id_normalise(struct span given, struct arena *arena)
{
	given = span_trim(given);
	if (given.len >= 2 && given.ptr[0] == '[' && given.ptr[given.len - 1] == ']')
		given = (struct span){ .ptr = given.ptr + 1, .len = given.len - 2 };
	char *text = arena_copy_text(arena, given);

	for (size_t i = 0; i < given.len; i++) {
		char c = text[i];

		if (c >= 'a' && c <= 'z')
			c = (char)(c - 'a' + 'A');
		text[i] = (char)(c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c == 'U' ? 'V' : c);
	}
	return (struct span){ .ptr = text, .len = given.len };
}

struct span
audit_id_transaction(struct span id)
{
	return span_first(id, span_find(id, '.'));
}

static bool
span_starts(struct span s, struct span prefix)
{
	return s.len >= prefix.len && span_equal(span_first(s, prefix.len), prefix);
}

static bool
id_matches(struct span wanted, const struct audit_record *record)
{
	struct span transaction = audit_id_transaction(wanted);

	if (wanted.len == 0 || span_equal(record->id, wanted) ||
	    span_equal(record->session, wanted))
		return true;
	if (wanted.len == ID_SESSION_LEN)
		return span_starts(record->id, wanted);
	if (transaction.len == wanted.len) /* all of a transaction */
		return span_equal(audit_id_transaction(record->id), transaction);
	/* one recipient's attempt: its deliveries, what was reported and what operators did
	   bear the transaction's id */
	return span_equal(record->id, transaction) &&
	       (record->next_hop.len > 0 || record->action.len > 0 ||
		span_equal(record->event, span_of("bounce")));
}

/* ---- Filters ---- */

bool
audit_address_matches(struct span wanted, struct span address)
{
	static const struct span null_path = SPAN_LITERAL("<>");

	if (wanted.len == 0)
		return true;
	if (span_equal(wanted, null_path))
		return address.len == 0;
	if (wanted.ptr[0] == '@')
		return address.len > wanted.len && span_ends_fold(address, wanted);
	return span_equal_fold(wanted, address);
}

static bool
from_matches(struct span wanted, const struct audit_record *record)
{
	return wanted.len == 0 ||
	       (record->has_from && audit_address_matches(wanted, record->from));
}

static bool
reason_matches(struct span wanted, struct span reason)
{
	return wanted.len == 0 || span_equal(wanted, reason) ||
	       (span_starts(reason, wanted) && reason.ptr[wanted.len] == '.');
}

static bool
client_matches(const struct audit_filter *filter, const struct audit_record *record)
{
	struct ip ip;

	return !filter->has_client || (ip_parse(record->client_ip, &ip) == PARSE_OK &&
				       ip_range_has(&filter->client, &ip));
}

static bool
equal_or_any(struct span wanted, struct span value)
{
	return wanted.len == 0 || span_equal(wanted, value);
}

static bool
time_matches(const struct audit_filter *filter, int64_t wall_ms)
{
	return (filter->since_ms == 0 || wall_ms >= filter->since_ms) &&
	       (filter->until_ms == 0 || wall_ms < filter->until_ms);
}

static bool
filter_matches(const struct audit_filter *filter, const struct audit_record *record)
{
	return time_matches(filter, record->wall_ms) &&
	       equal_or_any(filter->event, record->event) &&
	       equal_or_any(filter->verdict, record->verdict) &&
	       equal_or_any(filter->grant, record->grant) &&
	       equal_or_any(filter->connector, record->connector) &&
	       reason_matches(filter->reason, record->reason) &&
	       client_matches(filter, record) && from_matches(filter->from, record) &&
	       (filter->user.len == 0 || span_equal_fold(filter->user, record->user)) &&
	       audit_address_matches(filter->to, record->to) &&
	       id_matches(filter->id, record);
}

/* ---- Scanning ---- */

struct scan {
	const struct audit_filter *filter;
	struct span needles[NEEDLES_MAX]; /* bytes that a line must hold to be worth reading */
	size_t needle_count;
	struct arena arena; /* of the record in hand */
	audit_seen *seen;
	void *context;
	struct audit_tally *tally;
	bool is_stopped; /* by the callee */
	bool is_past;	 /* the rest of the file is later than what is wanted */
};

/* Only texts that JSON writes as they are can be looked for in the raw line. */
static void
needle_add(struct scan *scan, struct span text)
{
	if (text.len == 0)
		return;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			return;
	}
	scan->needles[scan->needle_count++] = text;
}

static void
needles_set(struct scan *scan)
{
	const struct audit_filter *filter = scan->filter;

	needle_add(scan, audit_id_transaction(filter->id));
	needle_add(scan, filter->reason);
	needle_add(scan, filter->verdict);
	needle_add(scan, filter->grant);
	needle_add(scan, filter->connector);
	needle_add(scan, filter->event);
}

/* The time at the front of a record, without reading the rest of it. */
static bool
time_peek(struct span line, int64_t *wall_ms)
{
	static const struct span start = SPAN_LITERAL(RECORD_START);

	return span_starts(line, start) && line.len >= start.len + TIME_LEN &&
	       clock_parse(span_first(span_skip(line, start.len), TIME_LEN), wall_ms) ==
		   PARSE_OK;
}

static bool
is_worth_reading(struct scan *scan, struct span line)
{
	const struct audit_filter *filter = scan->filter;
	int64_t wall_ms;

	for (size_t i = 0; i < scan->needle_count; i++) {
		struct span needle = scan->needles[i];

		if (memmem(line.ptr, line.len, needle.ptr, needle.len) == NULL)
			return false;
	}
	if ((filter->since_ms == 0 && filter->until_ms == 0) || !time_peek(line, &wall_ms))
		return true;
	if (filter->until_ms != 0 && wall_ms >= filter->until_ms + DISORDER_MS)
		scan->is_past = true;
	return time_matches(filter, wall_ms);
}

/* A line that began as a record and is none is torn; anything else there is foreign. */
static void
piece_take(struct scan *scan, struct span piece)
{
	struct audit_record record;

	if (piece.len == 0 || !is_worth_reading(scan, piece))
		return;
	if (audit_record_read(piece, &scan->arena, &record) != PARSE_OK) {
		scan->tally->torn++;
	} else if (filter_matches(scan->filter, &record)) {
		scan->tally->records++;
		scan->is_stopped = !scan->seen(scan->context, &record);
	}
	arena_reset(&scan->arena);
}

/* A line is one record, unless a torn one stands before it. */
static void
line_take(struct scan *scan, struct span line)
{
	static const struct span start = SPAN_LITERAL(RECORD_START);

	while (line.len > 1 && !scan->is_stopped) {
		const char *next = memmem(line.ptr + 1, line.len - 1, start.ptr, start.len);
		size_t len = next == NULL ? line.len : (size_t)(next - line.ptr);

		piece_take(scan, span_first(line, len));
		line = span_skip(line, len);
	}
}

/* Take every whole line out of the bytes; what is left of them begins a line. */
static struct span
lines_take(struct scan *scan, struct span bytes)
{
	while (!scan->is_stopped && !scan->is_past) {
		size_t len = span_find(bytes, '\n');

		if (len == bytes.len)
			break;
		line_take(scan, span_first(bytes, len));
		bytes = span_skip(bytes, len + 1);
	}
	return bytes;
}

/* Up to octets from offset; -1 on failure. */
static ssize_t
file_read(int fd, char *into, size_t octets, off_t offset)
{
	ssize_t n;

	do {
		n = pread(fd, into, octets, offset);
	} while (n == -1 && errno == EINTR);
	return n;
}

/* The time of the first record that begins after offset; false when none is near. */
static bool
time_after(int fd, off_t offset, char *block, int64_t *wall_ms)
{
	ssize_t n = file_read(fd, block, SEARCH_OCTETS, offset);
	struct span bytes = { .ptr = block, .len = n <= 0 ? 0 : (size_t)n };

	while (bytes.len > 0) {
		size_t newline = span_find(bytes, '\n');

		if (newline == bytes.len)
			return false;
		bytes = span_skip(bytes, newline + 1);
		if (time_peek(bytes, wall_ms))
			return true;
	}
	return false;
}

/*
 * Where to begin for records from since_ms on: the file is nearly in order of time, so halve
 * it. The place need not begin a line: the piece in front is skipped.
 */
static off_t
start_find(int fd, off_t size, int64_t since_ms, char *block)
{
	off_t low = 0, high = size;

	if (since_ms == 0)
		return 0;
	while (high - low > SEARCH_OCTETS) {
		off_t middle = low + (high - low) / 2;
		int64_t wall_ms;

		if (!time_after(fd, middle, block, &wall_ms))
			break;
		if (wall_ms < since_ms - DISORDER_MS)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Scan a file, from no earlier than an offset, which need not begin a line. */
static bool
file_scan(struct scan *scan, int fd, off_t from, off_t size, struct buffer *kept)
{
	char *first = buffer_reserve(kept, BLOCK_OCTETS);
	off_t at = start_find(fd, size, scan->filter->since_ms, first);

	if (at < from)
		at = from;
	bool is_within_line = at > 0;

	scan->is_past = false;
	while (at < size && !scan->is_stopped && !scan->is_past) {
		char *block = buffer_reserve(kept, BLOCK_OCTETS);

		if (block == NULL) { /* no newline for too long: not ours */
			scan->tally->torn++;
			buffer_clear(kept);
			is_within_line = true;
			continue;
		}
		ssize_t n = file_read(fd, block, BLOCK_OCTETS, at);

		if (n == -1)
			return false;
		if (n == 0)
			break;
		at += n;
		buffer_claim(kept, (size_t)n);
		struct span bytes = buffer_span(kept);

		if (is_within_line) {
			size_t newline = span_find(bytes, '\n');

			is_within_line = newline == bytes.len;
			bytes = span_skip(bytes, is_within_line ? newline : newline + 1);
		}
		bytes = lines_take(scan, bytes);
		buffer_consume(kept, kept->len - bytes.len);
	}
	/* a last line without its newline: torn, or being written right now */
	if (!scan->is_stopped && !scan->is_past)
		line_take(scan, buffer_span(kept));
	buffer_clear(kept);
	return true;
}

/* ---- The files of the trail ---- */

struct trail_file {
	char *name;
	int fd;
	off_t size;
	dev_t device;
	ino_t inode;
	int64_t first_ms; /* time of its first record */
};

struct trail {
	struct trail_file *files;
	size_t count;
};

static bool
name_belongs(const char *name)
{
	static const struct span base = SPAN_LITERAL(TRAIL_FILE);
	struct span text = span_of(name);

	return span_starts(text, base) &&
	       (text.len == base.len || text.ptr[base.len] == '.' || text.ptr[base.len] == '-');
}

static bool
name_is_compressed(const char *name)
{
	static const char *const endings[] = { ".gz", ".xz", ".zst", ".bz2" };

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		if (span_ends_fold(span_of(name), span_of(endings[i])))
			return true;
	}
	return false;
}

static int64_t
first_time(int fd, off_t size)
{
	char head[sizeof(RECORD_START) + TIME_LEN];
	ssize_t n = file_read(fd, head, sizeof(head), 0);
	int64_t wall_ms = 0;
	bool is_known = n > 0 && time_peek((struct span){ head, (size_t)n }, &wall_ms);

	if (!is_known && size > 0) {
		char *block = memory_new(SEARCH_OCTETS);

		is_known = time_after(fd, 0, block, &wall_ms);
		free(block);
	}
	return is_known ? wall_ms : INT64_MAX;
}

/* A file that is rotated while the folder is read shows up under both names. */
static bool
trail_has(const struct trail *trail, const struct stat *status)
{
	for (size_t i = 0; i < trail->count; i++) {
		if (trail->files[i].inode == status->st_ino &&
		    trail->files[i].device == status->st_dev)
			return true;
	}
	return false;
}

static bool
trail_add(struct trail *trail, int directory_fd, const char *name, struct fault *fault)
{
	struct stat status;
	int fd = openat(directory_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1 && errno == ENOENT)
		return true; /* rotated away just now */
	if (fd == -1)
		return fault_setf(fault, "open %s", name);
	if (fstat(fd, &status) == -1 || !S_ISREG(status.st_mode) ||
	    trail_has(trail, &status)) {
		(void)close(fd);
		return true; /* nothing of ours, or nothing new */
	}
	trail->files = memory_resize(trail->files, trail->count + 1, sizeof(*trail->files));
	trail->files[trail->count++] = (struct trail_file){
		.name = memory_copy_text(span_of(name)),
		.fd = fd,
		.size = status.st_size,
		.device = status.st_dev,
		.inode = status.st_ino,
		.first_ms = first_time(fd, status.st_size),
	};
	return true;
}

static int
trail_file_compare(const void *a, const void *b)
{
	const struct trail_file *x = a, *y = b;

	if (x->first_ms != y->first_ms)
		return x->first_ms < y->first_ms ? -1 : 1;
	return strcmp(y->name, x->name); /* audit.jsonl itself last */
}

static bool
trail_find(struct trail *trail, const char *state_directory, struct audit_tally *tally,
	   struct fault *fault)
{
	char path[4096];
	struct span directory = span_of(state_directory);
	bool succeeded = true;

	if (directory.len > sizeof(path) - sizeof("/" TRAIL_DIRECTORY))
		return fault_say(fault, "%s: too long", state_directory);
	memcpy(path, directory.ptr, directory.len);
	memcpy(path + directory.len, "/" TRAIL_DIRECTORY, sizeof("/" TRAIL_DIRECTORY));
	DIR *stream = opendir(path);

	if (stream == NULL)
		return fault_setf(fault, "open %s", path);
	for (struct dirent *entry; succeeded && (entry = readdir(stream)) != NULL;) {
		if (!name_belongs(entry->d_name))
			continue;
		if (name_is_compressed(entry->d_name))
			tally->files_compressed++;
		else
			succeeded = trail_add(trail, dirfd(stream), entry->d_name, fault);
	}
	(void)closedir(stream);
	if (trail->count > 1)
		qsort(trail->files, trail->count, sizeof(*trail->files), trail_file_compare);
	return succeeded;
}

static void
trail_reset(struct trail *trail)
{
	for (size_t i = 0; i < trail->count; i++) {
		(void)close(trail->files[i].fd);
		free(trail->files[i].name);
	}
	free(trail->files);
}

/* Nothing of what is wanted can be in a file whose successor begins before it. */
static bool
file_is_wanted(const struct trail *trail, size_t i, const struct audit_filter *filter)
{
	bool ends_before = filter->since_ms != 0 && i + 1 < trail->count &&
			   trail->files[i + 1].first_ms < filter->since_ms - DISORDER_MS;
	bool begins_after = filter->until_ms != 0 &&
			    trail->files[i].first_ms != INT64_MAX &&
			    trail->files[i].first_ms >= filter->until_ms + DISORDER_MS;

	return !ends_before && !begins_after;
}

/* Where to begin in file i when only the newest octets of the trail are wanted. */
static off_t
file_from(const struct trail *trail, size_t i, uint64_t newest_octets)
{
	uint64_t later = 0;

	for (size_t n = i + 1; n < trail->count; n++)
		later += (uint64_t)trail->files[n].size;
	uint64_t wanted = newest_octets > later ? newest_octets - later : 0;
	uint64_t size = (uint64_t)trail->files[i].size;

	return newest_octets == 0 || wanted >= size ? 0 : (off_t)(size - wanted);
}

bool
audit_query(const char *state_directory, const struct audit_filter *filter, audit_seen *seen,
	    void *context, struct audit_tally *tally, struct fault *fault)
{
	struct trail trail = { NULL, 0 };
	struct scan scan = { .filter = filter, .seen = seen, .context = context };
	struct buffer kept;

	*tally = (struct audit_tally){ .files = 0 };
	scan.tally = tally;
	needles_set(&scan);
	arena_init(&scan.arena, 4096);
	buffer_init(&kept, LINE_OCTETS_MAX + BLOCK_OCTETS);
	bool succeeded = trail_find(&trail, state_directory, tally, fault);

	for (size_t i = 0; succeeded && i < trail.count && !scan.is_stopped; i++) {
		if (!file_is_wanted(&trail, i, filter))
			continue;
		const struct trail_file *file = &trail.files[i];
		off_t from = file_from(&trail, i, filter->newest_octets);

		tally->files++;
		tally->is_cut = tally->is_cut || from > 0;
		if (from == file->size)
			continue;
		succeeded = file_scan(&scan, file->fd, from, file->size, &kept);
		if (!succeeded)
			fault_setf(fault, "read %s", file->name);
	}
	trail_reset(&trail);
	buffer_reset(&kept);
	arena_reset(&scan.arena);
	return succeeded;
}
