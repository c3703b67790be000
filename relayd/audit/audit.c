/* SPDX-License-Identifier: ISC */
/*
 * Writing the audit trail; see audit.h. Records gather in one buffer that is used again and
 * again; audit_flush hands it to the kernel with one write. What the kernel did not take is
 * kept from the beginning of its first incomplete line on, so a record is never lost and
 * never continued after another process wrote in between: the torn piece that stays in the
 * file is closed by a newline, and readers skip it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* fallocate */
#endif
#include "audit/audit.h"

#include "audit/trail_private.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_MODE 0750
#define FILE_MODE      0640

#define LINES_OCTETS_MAX  (16U << 20) /* what is kept while the kernel takes nothing */
#define LINES_OCTETS_IDLE (256U << 10) /* memory kept between turns */
#define TAIL_OCTETS	  (1U << 20)  /* preallocated beyond the end of the file */
#define TAIL_CHECK_OCTETS (256U << 10) /* of ours between two looks at the tail */
#define PATH_CHECK_MS	  1000	      /* between two looks for a rotation */

#define TIME_SECOND_LEN 20 /* "2026-11-21T19:20:03." */

struct audit {
	int directory_fd;
	int fd; /* -1: could not be opened again after a rotation */
	dev_t device;
	ino_t inode;
	int64_t path_checked_ms;    /* monotonic */
	uint64_t octets_until_tail; /* to be written before the tail is looked at */
	struct buffer lines;	    /* whole lines that the kernel has not taken yet */
	bool is_broken;		    /* the last flush failed */
	bool is_lossy;		    /* a record of this turn found no room */
	bool has_torn_tail;	    /* the file ends within a line */
	int64_t second;		    /* what time_text is for */
	char time_text[CLOCK_RFC3339_SIZE];
	char policy_hash[32];
	const struct log *log;
};

/* ---- The file ---- */

/* Files that root makes belong to whom the state directory belongs: the workers. */
static void
owner_inherit(int directory_fd, int fd)
{
	struct stat parent;

	if (geteuid() == 0 && fstat(directory_fd, &parent) == 0 &&
	    fchown(fd, parent.st_uid, parent.st_gid) == -1)
		return; /* then opening it as that user will say why */
}

static int
directory_open(const char *state_directory, struct fault *fault)
{
	int state_fd = open(state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1;

	if (state_fd == -1) {
		fault_setf(fault, "open %s", state_directory);
		return -1;
	}
	bool is_new = mkdirat(state_fd, TRAIL_DIRECTORY, DIRECTORY_MODE) == 0;

	if (is_new || errno == EEXIST)
		fd = openat(state_fd, TRAIL_DIRECTORY,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		fault_setf(fault, "open %s/%s", state_directory, TRAIL_DIRECTORY);
	else if (is_new)
		owner_inherit(state_fd, fd);
	(void)close(state_fd);
	return fd;
}

static bool
ends_within_line(int fd, off_t size)
{
	char last;

	return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* Open the file of that name, or make it. */
static bool
file_open(struct audit *audit, struct fault *fault)
{
	struct stat status;
	int fd = openat(audit->directory_fd, TRAIL_FILE,
			O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
			FILE_MODE);

	if (fd == -1)
		return fault_set(fault, "open " TRAIL_FILE);
	if (fstat(fd, &status) == -1 || !S_ISREG(status.st_mode)) {
		fault_set(fault, TRAIL_FILE " is not a regular file");
		(void)close(fd);
		return false;
	}
	owner_inherit(audit->directory_fd, fd);
	audit->fd = fd;
	audit->device = status.st_dev;
	audit->inode = status.st_ino;
	audit->octets_until_tail = 0;
	audit->has_torn_tail = ends_within_line(fd, status.st_size);
	return true;
}

static void
file_close(struct audit *audit)
{
	if (audit->fd != -1)
		(void)close(audit->fd);
	audit->fd = -1;
}

/*
 * Has somebody moved the file away? Then go on in a new one of the same name. False: there is
 * no file to write to.
 */
static bool
file_follow(struct audit *audit, struct fault *fault)
{
	int64_t now = clock_monotonic_ms();
	struct stat status;

	if (audit->fd != -1 && now - audit->path_checked_ms < PATH_CHECK_MS)
		return true;
	audit->path_checked_ms = now;
	if (audit->fd != -1 &&
	    fstatat(audit->directory_fd, TRAIL_FILE, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
	    status.st_dev == audit->device && status.st_ino == audit->inode)
		return true;
	file_close(audit);
	return file_open(audit, fault);
}

/*
 * Have the disk set room aside behind the end of the file, so that it being full is noticed
 * between records and seldom within one. Where that fails, write() will tell.
 */
static void
tail_reserve(struct audit *audit, size_t octets)
{
	struct stat status;

	if (audit->octets_until_tail >= octets) {
		audit->octets_until_tail -= octets;
		return;
	}
	audit->octets_until_tail = TAIL_CHECK_OCTETS;
	if (fstat(audit->fd, &status) == -1)
		return;
	off_t wanted = status.st_size + (off_t)octets + (off_t)TAIL_OCTETS;

	wanted -= wanted % (off_t)TAIL_OCTETS;
	if (fallocate(audit->fd, FALLOC_FL_KEEP_SIZE, 0, wanted) == -1)
		return;
}

struct audit *
audit_open(const char *state_directory, const char *policy_hash, const struct log *log,
	   struct fault *fault)
{
	int directory_fd = directory_open(state_directory, fault);

	if (directory_fd == -1)
		return NULL;
	struct audit *audit = memory_new(sizeof(*audit));

	audit->directory_fd = directory_fd;
	audit->fd = -1;
	audit->second = INT64_MIN;
	audit->log = log;
	audit->path_checked_ms = clock_monotonic_ms();
	size_t len = strnlen(policy_hash, sizeof(audit->policy_hash) - 1);

	memcpy(audit->policy_hash, policy_hash, len);
	buffer_init(&audit->lines, LINES_OCTETS_MAX);
	if (!file_open(audit, fault)) {
		(void)close(directory_fd);
		free(audit);
		return NULL;
	}
	return audit;
}

void
audit_close(struct audit **audit)
{
	if (*audit == NULL)
		return;
	(void)audit_flush(*audit);
	file_close(*audit);
	(void)close((*audit)->directory_fd);
	buffer_reset(&(*audit)->lines);
	free(*audit);
	*audit = NULL;
}

/*
 * How much of the lines is done with when the kernel took n octets: the whole lines, and one
 * of which nothing but its newline is missing.
 */
static size_t
lines_done(struct span lines, size_t n)
{
	if (n < lines.len && lines.ptr[n] == '\n')
		return n + 1;
	while (n > 0 && lines.ptr[n - 1] != '\n')
		n--;
	return n;
}

/* Hand everything over; what was not taken stays, from the start of a line. */
static bool
lines_write(struct audit *audit, struct fault *fault)
{
	if (!file_follow(audit, fault))
		return false;
	tail_reserve(audit, audit->lines.len);
	while (audit->has_torn_tail || audit->lines.len > 0) {
		struct span next = audit->has_torn_tail ? (struct span)SPAN_LITERAL("\n") :
							  buffer_span(&audit->lines);
		ssize_t n = write(audit->fd, next.ptr, next.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_set(fault, "write " TRAIL_FILE);
		if (audit->has_torn_tail) {
			audit->has_torn_tail = false;
			continue;
		}
		size_t done = lines_done(next, (size_t)n);

		audit->has_torn_tail = next.ptr[(size_t)n - 1] != '\n';
		buffer_consume(&audit->lines, done);
		if (done == 0)
			return fault_say(fault, "write " TRAIL_FILE ": only a part was taken");
	}
	return true;
}

static bool
flush_report(struct audit *audit, bool succeeded, struct fault *fault)
{
	if (!succeeded && !audit->is_broken)
		log_error(audit->log,
			  "the audit trail cannot be written: %s; mail is answered 451 until it can",
			  fault_text(fault));
	if (succeeded && audit->is_broken)
		log_info(audit->log, "the audit trail can be written again");
	audit->is_broken = !succeeded;
	return succeeded;
}

bool
audit_flush(struct audit *audit)
{
	struct fault fault = { .error = 0 };
	bool was_lossy = audit->is_lossy;

	if (audit->lines.len == 0 && !audit->is_broken && !was_lossy)
		return true;
	audit->is_lossy = false;
	bool succeeded = lines_write(audit, &fault);

	if (succeeded && audit->lines.room > LINES_OCTETS_IDLE)
		buffer_reset(&audit->lines);
	return flush_report(audit, succeeded, &fault) && !was_lossy;
}

bool
audit_is_broken(const struct audit *audit)
{
	return audit->is_broken || audit->is_lossy;
}

/* ---- Parts of records ---- */

/* The time, of which only the milliseconds change from record to record in a second. */
static struct span
time_of(struct audit *audit, int64_t wall_ms)
{
	int64_t second = wall_ms / 1000;
	int ms = (int)(wall_ms % 1000);

	if (second != audit->second || ms < 0) {
		clock_rfc3339(wall_ms, audit->time_text);
		audit->second = ms < 0 ? INT64_MIN : second;
	} else {
		char *at = audit->time_text + TIME_SECOND_LEN;

		at[0] = (char)('0' + ms / 100);
		at[1] = (char)('0' + ms / 10 % 10);
		at[2] = (char)('0' + ms % 10);
	}
	return (struct span){ .ptr = audit->time_text, .len = CLOCK_RFC3339_SIZE - 1 };
}

static void
string_if(struct json *j, const char *key, const char *value)
{
	if (value != NULL && value[0] != '\0')
		json_cstring(j, key, value);
}

static void
number_if(struct json *j, const char *key, uint64_t value)
{
	if (value > 0)
		json_number(j, key, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void
time_text_if(struct json *j, const char *key, int64_t wall_ms)
{
	char text[CLOCK_RFC3339_SIZE];

	if (wall_ms == 0)
		return;
	clock_rfc3339(wall_ms, text);
	json_cstring(j, key, text);
}

static void
endpoint_if(struct json *j, const char *key, const struct ip_endpoint *endpoint)
{
	char text[IP_ENDPOINT_SIZE];

	if (endpoint->port == 0)
		return;
	ip_endpoint_text(endpoint, text);
	json_cstring(j, key, text);
}

static struct json
record_begin(struct audit *audit, const char *event, int64_t wall_ms)
{
	struct json j = json_on(&audit->lines);

	json_object_begin(&j, NULL);
	json_text(&j, "time", time_of(audit, wall_ms));
	json_cstring(&j, "event", event);
	return j;
}

/* The line is complete, or (no room) as if it had never been begun. */
static void
record_end(struct audit *audit, struct json *j, size_t start)
{
	json_object_end(j);
	buffer_append_byte(&audit->lines, '\n');
	if (!audit->lines.is_over)
		return;
	audit->lines.len = start;
	audit->lines.is_over = false;
	audit->is_lossy = true;
}

static void
client_put(struct json *j, const struct audit_session *session)
{
	char ip[IP_TEXT_SIZE];

	ip_text(&session->client.ip, ip);
	json_object_begin(j, "client");
	json_cstring(j, "ip", ip);
	number_if(j, "port", session->client.port);
	json_text_if(j, "ptr", session->ptr);
	json_text_if(j, "helo", session->helo);
	json_object_end(j);
}

static void
tls_put(struct json *j, struct span version, struct span cipher,
	const struct audit_session *session)
{
	if (version.len == 0)
		return;
	json_object_begin(j, "tls");
	json_text(j, "version", version);
	json_text_if(j, "cipher", cipher);
	if (session != NULL)
		json_text_if(j, "client", session->tls_client);
	if (session != NULL && session->tls_name_count > 1) {
		json_array_begin(j, "names");
		for (size_t i = 0; i < session->tls_name_count; i++)
			json_text(j, NULL, session->tls_names[i]);
		json_array_end(j);
	}
	json_object_end(j);
}

static void
auth_put(struct json *j, const struct audit_session *session)
{
	if (session->user.len == 0 && session->mechanism.len == 0)
		return;
	json_object_begin(j, "auth");
	json_text_if(j, "user", session->user);
	json_text_if(j, "mechanism", session->mechanism);
	json_object_end(j);
}

static void
session_put(struct json *j, const struct audit_session *session)
{
	string_if(j, "session", session->id);
	json_text_if(j, "connector", session->connector);
	client_put(j, session);
	endpoint_if(j, "local", &session->local);
	endpoint_if(j, "proxy", &session->proxy);
	endpoint_if(j, "xclient", &session->xclient);
	tls_put(j, session->tls_version, session->tls_cipher, session);
	auth_put(j, session);
}

static void
reason_put(struct json *j, enum stage stage, enum reason reason)
{
	if (stage != STAGE_PERMITTED)
		json_cstring(j, "stage", stage_name(stage));
	if (reason != REASON_NONE)
		json_cstring(j, "reason", reason_token(reason));
}

/* "relayd.conf:41": the file without its folders. */
static void
line_put(struct json *j, const char *file, unsigned line)
{
	char digits[12];
	size_t at = sizeof(digits);
	char text[256 + sizeof(digits)];

	if (file == NULL || line == 0)
		return;
	const char *slash = strrchr(file, '/');
	const char *name = slash == NULL ? file : slash + 1;
	size_t len = strnlen(name, 255);

	for (digits[--at] = '\0'; line != 0; line /= 10)
		digits[--at] = (char)('0' + line % 10);
	memcpy(text, name, len);
	text[len] = ':';
	memcpy(text + len + 1, digits + at, sizeof(digits) - at);
	json_cstring(j, "line", text);
}

/* ---- Records ---- */

const char *
audit_verdict_name(enum verdict_kind verdict)
{
	switch (verdict) {
	case VERDICT_RELAYED: return "relayed";
	case VERDICT_REFUSED: return "refused";
	case VERDICT_DEFERRED: return "deferred";
	case VERDICT_WOULD_REFUSE: return "would-refuse";
	}
	return "";
}

void
audit_attempt(struct audit *audit, const struct audit_session *session,
	      const struct audit_attempt *attempt)
{
	size_t start = audit->lines.len;
	struct json j = record_begin(audit, "attempt", attempt->wall_ms);

	string_if(&j, "id", attempt->id);
	session_put(&j, session);
	if (attempt->has_from)
		json_text(&j, "from", attempt->from);
	json_text_if(&j, "to", attempt->to);
	json_text_if(&j, "header_from", attempt->header_from);
	json_text_if(&j, "message_id", attempt->message_id);
	number_if(&j, "size", attempt->size_octets);
	json_cstring(&j, "verdict", audit_verdict_name(attempt->verdict));
	reason_put(&j, attempt->stage, attempt->reason);
	json_text_if(&j, "grant", attempt->grant);
	line_put(&j, attempt->file, attempt->line);
	json_text_if(&j, "reply", attempt->reply);
	json_text_if(&j, "detail", attempt->detail);
	string_if(&j, "policy", audit->policy_hash);
	record_end(audit, &j, start);
}

void
audit_connect(struct audit *audit, const struct audit_session *session, int64_t wall_ms,
	      enum reason reason, struct span reply, struct span detail)
{
	size_t start = audit->lines.len;
	struct json j = record_begin(audit, "connect", wall_ms);
	bool is_temporary = reply.len > 0 && reply.ptr[0] == '4';

	string_if(&j, "id", session->id);
	session_put(&j, session);
	json_cstring(&j, "verdict",
		    audit_verdict_name(is_temporary ? VERDICT_DEFERRED : VERDICT_REFUSED));
	reason_put(&j, STAGE_CONNECTION, reason);
	json_text_if(&j, "reply", reply);
	json_text_if(&j, "detail", detail);
	string_if(&j, "policy", audit->policy_hash);
	record_end(audit, &j, start);
}

/* Deliveries and expiries have the same fields. */
/* What TLS to the next hop was worth. */
static void
delivery_tls_put(struct json *j, const struct audit_delivery *delivery)
{
	if (delivery->tls_version.len == 0 && delivery->tls_policy == NULL)
		return;
	json_object_begin(j, "tls");
	json_text_if(j, "version", delivery->tls_version);
	json_text_if(j, "cipher", delivery->tls_cipher);
	json_bool(j, "verified", delivery->is_tls_verified);
	string_if(j, "policy", delivery->tls_policy);
	if (delivery->tls_policy != NULL)
		json_bool(j, "policy_met", delivery->is_tls_policy_met);
	json_text_if(j, "unverified", delivery->tls_unverified);
	json_object_end(j);
}

static void
delivery_record(struct audit *audit, const char *event, const struct audit_delivery *delivery)
{
	size_t start = audit->lines.len;
	struct json j = record_begin(audit, event, delivery->wall_ms);

	string_if(&j, "id", delivery->id);
	json_text_if(&j, "route", delivery->route);
	json_text_if(&j, "next_hop", delivery->next_hop);
	endpoint_if(&j, "peer", &delivery->peer);
	delivery_tls_put(&j, delivery);
	json_text(&j, "from", delivery->from);
	json_text_if(&j, "to", delivery->to);
	string_if(&j, "result", delivery->result);
	json_text_if(&j, "reply", delivery->reply);
	json_number(&j, "queued_ms", delivery->queued_ms);
	number_if(&j, "tries", delivery->tries);
	time_text_if(&j, "next", delivery->next_wall_ms);
	record_end(audit, &j, start);
}

void
audit_delivery(struct audit *audit, const struct audit_delivery *delivery)
{
	delivery_record(audit, "delivery", delivery);
}

void
audit_expire(struct audit *audit, const struct audit_delivery *delivery)
{
	delivery_record(audit, "expire", delivery);
}

void
audit_bounce(struct audit *audit, const struct audit_bounce *bounce)
{
	size_t start = audit->lines.len;
	struct json j = record_begin(audit, "bounce", bounce->wall_ms);

	string_if(&j, "id", bounce->id);
	json_text(&j, "from", bounce->from);
	json_text_if(&j, "to", bounce->to);
	json_cstring(&j, "result", bounce->result);
	string_if(&j, "report", bounce->report);
	json_text_if(&j, "report_to", bounce->report_to);
	record_end(audit, &j, start);
}

void
audit_auth(struct audit *audit, const struct audit_session *session, int64_t wall_ms,
	   enum reason reason)
{
	size_t start = audit->lines.len;
	struct json j = record_begin(audit, "auth", wall_ms);

	string_if(&j, "id", session->id);
	session_put(&j, session);
	json_cstring(&j, "result", reason == REASON_NONE ? "succeeded" : "failed");
	if (reason != REASON_NONE)
		json_cstring(&j, "reason", reason_token(reason));
	record_end(audit, &j, start);
}

void
audit_operator(struct audit *audit, const struct audit_operator *operator)
{
	size_t start = audit->lines.len;
	struct json j = record_begin(audit, "operator", operator->wall_ms);

	string_if(&j, "id", operator->id);
	json_cstring(&j, "action", operator->action);
	json_number(&j, "uid", operator->uid);
	json_text_if(&j, "user", operator->user);
	string_if(&j, "result", operator->result);
	if (operator->selection.len > 0)
		json_encoded(&j, "selection", operator->selection);
	if (operator->id == NULL)
		json_number(&j, "count", (int64_t)operator->count);
	record_end(audit, &j, start);
}

void
audit_daemon(struct audit *audit, const char *event, int64_t wall_ms, bool succeeded,
	     struct span detail)
{
	size_t start = audit->lines.len;
	struct json j = record_begin(audit, event, wall_ms);

	json_cstring(&j, "result", succeeded ? "succeeded" : "failed");
	json_text_if(&j, "detail", detail);
	string_if(&j, "policy", audit->policy_hash);
	record_end(audit, &j, start);
}
