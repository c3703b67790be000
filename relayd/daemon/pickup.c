/* SPDX-License-Identifier: ISC */
/* The pickup process; see pickup.h. */
#define _GNU_SOURCE /* SOCK_CLOEXEC, O_PATH */
#include "daemon/pickup.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/table.h"
#include "net/submit.h"
#include "smtp/submission.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SUFFIX		   ".eml"
#define SCAN_EVERY_MS	   30000 /* for what inotify did not tell */
#define SETTLE_MS	   2000	 /* so long must a file that nobody told of be unchanged */
#define RETRY_FIRST_MS	   5000
#define RETRY_MAX_MS	   300000
#define FILES_WAITING_MAX  100000
#define LISTEN_BACKLOG	   64
#define REASON_OCTETS_MAX  2048

/* A file that was deferred; its name is the key. */
struct waiting {
	int64_t due_ms;
	int64_t delay_ms;
	char name[];
};

struct pickup {
	const struct pickup_start *start;
	const struct log *log;
	int directory; /* descriptor */
	int inotify;
	int signals;
	struct table waiting;
	uint64_t serial; /* of messages, for Message-ID */
	bool has_unsettled; /* the last scan saw files that may still be written */
	bool is_stopping;
};

int
pickup_socket_open(const char *path, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1) {
		fault_set(fault, "socket");
		return -1;
	}
	if (strlen(path) >= sizeof(address.sun_path)) {
		fault_say(fault, "the name %s is too long for a socket", path);
		(void)close(fd);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	(void)unlink(path);

	mode_t mask = umask(0177);
	int status = bind(fd, (struct sockaddr *)&address, sizeof(address));

	(void)umask(mask);
	if (status == -1 || listen(fd, LISTEN_BACKLOG) == -1) {
		fault_setf(fault, "bind %s", path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* ---- Files that wait ---- */

static void
waiting_forget(struct pickup *pickup, const char *name)
{
	free(table_remove(&pickup->waiting, span_of(name)));
}

static bool
is_due(const struct pickup *pickup, const char *name)
{
	const struct waiting *waiting = table_find(&pickup->waiting, span_of(name));

	return waiting == NULL || waiting->due_ms <= clock_monotonic_ms();
}

static void
file_defer(struct pickup *pickup, const char *name)
{
	struct waiting *waiting = table_find(&pickup->waiting, span_of(name));

	if (waiting == NULL && pickup->waiting.count >= FILES_WAITING_MAX)
		return; /* found again by the next scan */
	if (waiting == NULL) {
		size_t octets = strlen(name) + 1;

		waiting = memory_new(sizeof(*waiting) + octets);
		memcpy(waiting->name, name, octets);
		(void)table_put(&pickup->waiting, span_of(waiting->name), waiting);
	}
	waiting->delay_ms = waiting->delay_ms == 0 ? RETRY_FIRST_MS : 2 * waiting->delay_ms;
	if (waiting->delay_ms > RETRY_MAX_MS)
		waiting->delay_ms = RETRY_MAX_MS;
	waiting->due_ms = clock_monotonic_ms() + waiting->delay_ms;
}

/* ---- One file ---- */

static bool
name_is_taken(const char *name)
{
	return name[0] != '.' && span_ends_fold(span_of(name), span_of(SUFFIX)) &&
	       strlen(name) > strlen(SUFFIX);
}

/*
 * The content, if it is a regular file that is not too large. What cannot be a message for
 * good is explained in why; false with an empty why: not now.
 */
static bool
file_load(const struct pickup *pickup, int fd, struct buffer *text, struct buffer *why)
{
	struct stat info;
	ssize_t got = 1;

	if (fstat(fd, &info) == -1)
		return false;
	if (!S_ISREG(info.st_mode)) {
		(void)buffer_append_text(why, "this is not a file");
		return false;
	}
	if ((uint64_t)info.st_size > pickup->start->message_octets_max) {
		(void)buffer_printf(why, "%llu octets are too large; at most %llu are taken",
				    (unsigned long long)info.st_size,
				    (unsigned long long)pickup->start->message_octets_max);
		return false;
	}
	while (got > 0) {
		char *room = buffer_reserve(text, 65536);

		if (room == NULL)
			return false; /* it grew meanwhile */
		got = read(fd, room, 65536);
		if (got > 0)
			buffer_claim(text, (size_t)got);
	}
	return got == 0;
}

/* NAME.eml becomes NAME.bad, and NAME.bad.txt says why. */
static void
file_set_aside(struct pickup *pickup, const char *name, struct span why)
{
	struct buffer bad, note;
	int fd;

	buffer_init(&bad, 1024);
	buffer_init(&note, 1024);
	(void)buffer_printf(&bad, SPAN_FMT ".bad",
			    SPAN_ARG(span_first(span_of(name), strlen(name) - strlen(SUFFIX))));
	(void)buffer_printf(&note, "%s.txt", buffer_text(&bad));
	if (renameat(pickup->directory, name, pickup->directory, buffer_text(&bad)) == -1)
		log_error(pickup->log, "cannot rename %s: %s", name, strerror(errno));
	fd = openat(pickup->directory, buffer_text(&note),
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd == -1 || write(fd, why.ptr, why.len) != (ssize_t)why.len ||
	    write(fd, "\n", 1) != 1)
		log_error(pickup->log, "cannot write %s: %s", buffer_text(&note),
			  strerror(errno));
	if (fd != -1)
		(void)close(fd);
	log_warn(pickup->log, "%s is set aside as %s: " SPAN_FMT, name,
		 buffer_text(&bad), SPAN_ARG(why));
	waiting_forget(pickup, name);
	buffer_reset(&bad);
	buffer_reset(&note);
}

/* Remove it, unless another file came in its place meanwhile. */
static void
file_remove(struct pickup *pickup, int fd, const char *name)
{
	struct stat sent, there;

	waiting_forget(pickup, name);
	if (fstat(fd, &sent) == -1 ||
	    fstatat(pickup->directory, name, &there, AT_SYMLINK_NOFOLLOW) == -1 ||
	    sent.st_ino != there.st_ino || sent.st_dev != there.st_dev)
		return;
	if (unlinkat(pickup->directory, name, 0) == -1)
		log_error(pickup->log, "%s was sent and cannot be removed: %s", name,
			  strerror(errno));
}

static enum submit_result
message_submit(struct pickup *pickup, const struct submission_envelope *envelope,
	       struct span text, struct arena *arena, struct buffer *reply)
{
	const struct submit_server server = {
		.host = "pickup",
		.port = 25,
		.socket_path = pickup->start->socket_path,
		.hello = "pickup",
	};
	struct span *recipients =
	    arena_new_array(arena, envelope->recipient_count, sizeof(*recipients));

	for (size_t i = 0; i < envelope->recipient_count; i++)
		recipients[i] = envelope->recipients[i].text;

	const struct submit_message message = {
		.sender = envelope->sender.text,
		.recipients = recipients,
		.recipient_count = envelope->recipient_count,
		.text = text,
	};

	return submit_message(&server, &message, reply);
}

static bool
message_compose(struct pickup *pickup, const struct submission *submission, struct buffer *out)
{
	struct submission_additions additions = { .date_wall_ms = clock_wall_ms() };
	struct buffer id;
	bool ok;

	buffer_init(&id, 512);
	(void)buffer_printf(&id, "<pickup.%lld.%ld.%llu@%s>", (long long)additions.date_wall_ms,
			    (long)getpid(), (unsigned long long)++pickup->serial,
			    pickup->start->hostname);
	additions.message_id = buffer_span(&id);
	ok = submission_write(submission, &additions, out);
	buffer_reset(&id);
	return ok;
}

/* Submit a message that was read. False: reply says why not; *is_final: for ever. */
static bool
text_send(struct pickup *pickup, struct span text, struct buffer *reply, bool *is_final)
{
	struct submission submission = submission_split(text);
	struct arena arena = { .blocks = NULL };
	struct submission_envelope envelope;
	struct fault fault = { .error = 0 };
	enum submit_result result = SUBMIT_REFUSED;
	struct buffer out;

	buffer_init(&out, 2 * (size_t)pickup->start->message_octets_max + 4096);
	if (!submission_envelope_read(&submission, SUBMISSION_SENDER | SUBMISSION_RECIPIENTS,
				      &arena, &envelope, &fault))
		(void)buffer_append_text(reply, fault.text);
	else if (!message_compose(pickup, &submission, &out))
		(void)buffer_append_text(reply, "the message is too large");
	else
		result = message_submit(pickup, &envelope, buffer_span(&out), &arena, reply);
	buffer_reset(&out);
	arena_reset(&arena);
	*is_final = result == SUBMIT_REFUSED;
	return result == SUBMIT_ACCEPTED;
}

static void
file_take(struct pickup *pickup, const char *name)
{
	int fd = openat(pickup->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct buffer text, reply;
	bool is_final = true;

	if (fd == -1) {
		if (errno != ENOENT && is_due(pickup, name)) {
			log_warn(pickup->log, "cannot open %s: %s", name, strerror(errno));
			file_defer(pickup, name);
		}
		return;
	}
	buffer_init(&text, (size_t)pickup->start->message_octets_max + 65536);
	buffer_init(&reply, REASON_OCTETS_MAX);
	if (!file_load(pickup, fd, &text, &reply))
		is_final = reply.len > 0;
	else if (text_send(pickup, buffer_span(&text), &reply, &is_final)) {
		file_remove(pickup, fd, name);
		log_info(pickup->log, "%s is accepted: %s", name, buffer_text(&reply));
		goto out;
	}
	if (is_final) {
		file_set_aside(pickup, name, buffer_span(&reply));
	} else {
		file_defer(pickup, name);
		log_warn(pickup->log, "%s must wait: %s", name, buffer_text(&reply));
	}
out:
	buffer_reset(&text);
	buffer_reset(&reply);
	(void)close(fd);
}

/* ---- The directory ---- */

/* Has it been left alone for a while? Someone may be writing it still. */
static bool
is_settled(const struct pickup *pickup, const char *name)
{
	struct stat info;

	if (fstatat(pickup->directory, name, &info, AT_SYMLINK_NOFOLLOW) == -1)
		return false;
	int64_t changed_ms =
	    (int64_t)info.st_mtim.tv_sec * 1000 + info.st_mtim.tv_nsec / 1000000;
	int64_t age_ms = clock_wall_ms() - changed_ms;

	return age_ms >= SETTLE_MS || age_ms < 0;
}

/* When the supervisor goes or SIGTERM comes, the file at hand is the last. */
static bool
must_stop(struct pickup *pickup, int wait_ms)
{
	struct pollfd watched[] = {
		{ .fd = pickup->start->supervisor, .events = POLLIN },
		{ .fd = pickup->signals, .events = POLLIN },
		{ .fd = pickup->inotify, .events = POLLIN },
	};

	if (poll(watched, ARRAY_LEN(watched), wait_ms) > 0 &&
	    (watched[0].revents != 0 || watched[1].revents != 0))
		pickup->is_stopping = true;
	return pickup->is_stopping;
}

static void
directory_scan(struct pickup *pickup)
{
	int fd = openat(pickup->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (directory == NULL) {
		log_error(pickup->log, "cannot read the directory: %s", strerror(errno));
		if (fd != -1)
			(void)close(fd);
		return;
	}
	pickup->has_unsettled = false;
	while (!must_stop(pickup, 0) && (entry = readdir(directory)) != NULL) {
		if (!name_is_taken(entry->d_name) || !is_due(pickup, entry->d_name))
			continue;
		if (is_settled(pickup, entry->d_name))
			file_take(pickup, entry->d_name);
		else
			pickup->has_unsettled = true;
	}
	(void)closedir(directory);
}

/* Names that were closed after writing, or renamed into the directory. */
static void
events_take(struct pickup *pickup)
{
	_Alignas(struct inotify_event) char events[4096];
	ssize_t got = read(pickup->inotify, events, sizeof(events));

	for (ssize_t at = 0; at < got && !must_stop(pickup, 0);) {
		const struct inotify_event *event =
		    (const struct inotify_event *)(const void *)(events + at);

		if (event->len > 0 && name_is_taken(event->name))
			file_take(pickup, event->name);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

/* How long until a deferred file is due, or a new one may be; at most SCAN_EVERY_MS. */
static int
wait_ms(const struct pickup *pickup)
{
	int64_t now_ms = clock_monotonic_ms(), wait = pickup->has_unsettled ? SETTLE_MS : SCAN_EVERY_MS;
	const struct table_entry *entry;
	size_t at = 0;

	while ((entry = table_next(&pickup->waiting, &at)) != NULL) {
		const struct waiting *waiting = entry->value;

		if (waiting->due_ms - now_ms < wait)
			wait = waiting->due_ms - now_ms;
	}
	return wait < 0 ? 0 : (int)wait;
}

static void
waiting_free(struct pickup *pickup)
{
	const struct table_entry *entry;
	size_t at = 0;

	while ((entry = table_next(&pickup->waiting, &at)) != NULL)
		free(entry->value);
	table_reset(&pickup->waiting);
}

static bool
pickup_open(struct pickup *pickup)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	pickup->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	pickup->directory = open(pickup->start->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pickup->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	return pickup->signals != -1 && pickup->directory != -1 && pickup->inotify != -1 &&
	       faccessat(pickup->directory, ".", R_OK | W_OK | X_OK, AT_EACCESS) == 0 &&
	       inotify_add_watch(pickup->inotify, pickup->start->directory,
				 IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) != -1;
}

int
pickup_run(const struct pickup_start *start)
{
	struct pickup pickup = { .start = start, .log = start->log, .directory = -1 };
	int status = 0;

	table_init(&pickup.waiting, 0);
	if (!pickup_open(&pickup)) {
		log_error(pickup.log, "cannot use %s: %s; the account of relayd must be "
				      "able to read and write it",
			  start->directory, strerror(errno));
		return 1;
	}
	do {
		directory_scan(&pickup);
		if (must_stop(&pickup, wait_ms(&pickup)))
			break;
		events_take(&pickup);
	} while (!pickup.is_stopping);
	waiting_free(&pickup);
	(void)close(pickup.directory);
	(void)close(pickup.inotify);
	(void)close(pickup.signals);
	return status;
}
