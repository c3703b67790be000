/* SPDX-License-Identifier: ISC */
/* The MTA-STS process; see sts_fetcher.h. */
#define _GNU_SOURCE /* O_CLOEXEC and friends */
#include "daemon/sts_fetcher.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/fetch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS	       8 /* a slow host keeps one of them busy */
#define WITHIN_S       20
#define AGAIN_MS       300000 /* RFC 8461 s.3.3: five minutes between two tries */
#define FILES_MAX      20000
#define CA_OCTETS_MAX  (4U << 20)
#define FRESH	       '~' /* in front of a file's name while it is written; in no domain */

struct sts_fetcher {
	const struct sts_fetcher_start *start;
	struct buffer ca; /* PEM; empty: the system's */
	pthread_mutex_t lock; /* publishing, and what is below */
	size_t files;
};

/* ---- Files ---- */

static void
file_name(const struct sts_fetcher *fetcher, bool is_fresh, const char *domain,
	  struct buffer *path)
{
	buffer_clear(path);
	(void)buffer_printf(path, "%s/" STS_DIRECTORY "/%s%s", fetcher->start->state_directory,
			    is_fresh ? "~" : "", domain);
}

/* The whole file; false when there is none, or it is longer than any of ours. */
static bool
file_read(const char *path, struct buffer *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t got = fd == -1 ? -1 : 1;

	while (got > 0) {
		char *room = buffer_reserve(out, 4096);

		got = room == NULL ? -1 : read(fd, room, 4096);
		if (got > 0)
			buffer_claim(out, (size_t)got);
	}
	if (fd != -1)
		(void)close(fd);
	return got == 0;
}

/* What was kept of an earlier time, unless its time is over. */
static bool
file_load(const struct sts_fetcher *fetcher, const char *domain, struct sts_finding *finding)
{
	struct buffer path, text;
	bool is_good;

	buffer_init(&path, 4096);
	buffer_init(&text, FETCH_ANSWER_MAX + 256);
	file_name(fetcher, false, domain, &path);
	is_good = file_read(buffer_text(&path), &text) &&
		  sts_file_parse(buffer_span(&text), &finding->expires_wall_ms,
				 &finding->policy) == PARSE_OK &&
		  finding->expires_wall_ms > clock_wall_ms();
	finding->state = is_good ? STS_KNOWN : STS_UNKNOWN;
	buffer_reset(&path);
	buffer_reset(&text);
	return is_good;
}

static bool
file_write(const char *path, struct span head, struct span text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd != -1 && write(fd, head.ptr, head.len) == (ssize_t)head.len &&
		  write(fd, text.ptr, text.len) == (ssize_t)text.len && fsync(fd) == 0;

	if (fd != -1)
		(void)close(fd);
	return ok;
}

/* May this file be written? One that is there already takes no more room. */
static bool
has_room(struct sts_fetcher *fetcher, const char *path)
{
	bool is_new = access(path, F_OK) == -1;

	(void)pthread_mutex_lock(&fetcher->lock);

	bool ok = !is_new || fetcher->files < FILES_MAX;

	fetcher->files += ok && is_new;
	(void)pthread_mutex_unlock(&fetcher->lock);
	return ok;
}

static void
file_save(struct sts_fetcher *fetcher, const char *domain, const struct sts_finding *finding,
	  struct span text)
{
	struct buffer path, fresh, head;

	buffer_init(&path, 4096);
	buffer_init(&fresh, 4096);
	buffer_init(&head, 128);
	file_name(fetcher, false, domain, &path);
	file_name(fetcher, true, domain, &fresh);
	(void)buffer_printf(&head, "%lld %s\n", (long long)finding->expires_wall_ms,
			    finding->policy.id);
	if (has_room(fetcher, buffer_text(&path)) &&
	    (!file_write(buffer_text(&fresh), buffer_span(&head), text) ||
	     rename(buffer_text(&fresh), buffer_text(&path)) == -1))
		log_warn(fetcher->start->log, "cannot keep the MTA-STS policy of %s in %s: %s",
			 domain, buffer_text(&path), strerror(errno));
	buffer_reset(&path);
	buffer_reset(&fresh);
	buffer_reset(&head);
}

/* Remove what is over, and what was left half written; count the rest. */
static void
files_tidy(struct sts_fetcher *fetcher, DIR *directory)
{
	struct sts_finding *finding = memory_new(sizeof(*finding));
	struct dirent *entry;

	while ((entry = readdir(directory)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_name[0] != FRESH && file_load(fetcher, entry->d_name, finding))
			fetcher->files++;
		else
			(void)unlinkat(dirfd(directory), entry->d_name, 0);
	}
	free(finding);
}

static bool
files_open(struct sts_fetcher *fetcher, struct fault *fault)
{
	struct buffer path;
	DIR *directory = NULL;

	buffer_init(&path, 4096);
	file_name(fetcher, false, "", &path);
	if (mkdir(buffer_text(&path), 0700) == 0 || errno == EEXIST)
		directory = opendir(buffer_text(&path));
	if (directory == NULL) {
		(void)fault_setf(fault, "open %s", buffer_text(&path));
	} else {
		files_tidy(fetcher, directory);
		(void)closedir(directory);
	}
	buffer_reset(&path);
	return directory != NULL;
}

/* ---- Fetching ---- */

/* "mta-sts.example.com:443:192.0.2.1,[2001:db8::1]" */
static void
where_compose(const struct sts_fetcher *fetcher, const struct sts_wish *wish,
	      struct buffer *where)
{
	char text[IP_TEXT_SIZE];

	(void)buffer_printf(where, STS_HOST_PREFIX "%s:%u:", wish->domain,
			    (unsigned)fetcher->start->port);
	for (size_t i = 0; i < wish->address_count; i++) {
		bool is_v4 = ip_is_v4(&wish->addresses[i]);

		ip_text(&wish->addresses[i], text);
		(void)buffer_printf(where, "%s%s%s%s", i == 0 ? "" : ",", is_v4 ? "" : "[", text,
				    is_v4 ? "" : "]");
	}
}

/* RFC 8461 s.3.2, s.3.3: 200 and text/plain, nothing else, and no redirects. */
static bool
answer_take(const struct fetch_answer *answer, const struct sts_wish *wish,
	    struct sts_finding *finding, struct fault *fault)
{
	struct span type = span_of(answer->content_type);

	if (answer->status != 200)
		return fault_say(fault, "HTTP status %ld", answer->status);
	type = span_trim(span_first(type, span_find(type, ';')));
	if (!span_equal_fold(type, span_of("text/plain")))
		return fault_say(fault, "the content is " SPAN_FMT ", not text/plain",
				 SPAN_ARG(type));
	if (sts_policy_parse(buffer_span(answer->content), &finding->policy) != PARSE_OK)
		return fault_say(fault, "what came is no policy");
	memcpy(finding->policy.id, wish->id, sizeof(finding->policy.id));
	finding->state = STS_KNOWN;
	finding->expires_wall_ms =
	    clock_wall_ms() + (int64_t)finding->policy.max_age_s * 1000;
	return true;
}

static bool
policy_fetch(struct sts_fetcher *fetcher, const struct sts_wish *wish,
	     struct sts_finding *finding, struct fault *fault)
{
	struct buffer where, url, content;
	struct fetch_answer answer = { .content = &content };
	bool ok;

	if (wish->address_count == 0)
		return fault_say(fault, STS_HOST_PREFIX "%s has no address", wish->domain);
	buffer_init(&where, 1024);
	buffer_init(&url, 1024);
	buffer_init(&content, FETCH_ANSWER_MAX);
	where_compose(fetcher, wish, &where);
	(void)buffer_printf(&url, "https://" STS_HOST_PREFIX "%s:%u/.well-known/mta-sts.txt",
			    wish->domain, (unsigned)fetcher->start->port);

	const struct fetch_request request = {
		.url = buffer_text(&url),
		.where = buffer_text(&where),
		.ca = buffer_span(&fetcher->ca),
		.within_s = WITHIN_S,
	};

	ok = fetch(&request, &answer, fault) && answer_take(&answer, wish, finding, fault);
	if (ok)
		file_save(fetcher, wish->domain, finding, buffer_span(&content));
	buffer_reset(&where);
	buffer_reset(&url);
	buffer_reset(&content);
	return ok;
}

/* Is what we have for this very record, and for long enough? */
static bool
is_good_enough(const struct sts_finding *finding, const struct sts_wish *wish)
{
	int64_t left_ms = finding->expires_wall_ms - clock_wall_ms();

	return strcmp(finding->policy.id, wish->id) == 0 &&
	       left_ms > (int64_t)finding->policy.max_age_s * 1000 / 2;
}

/*
 * A policy that we have stays in force while another cannot be had (RFC 8461 s.5.1); one that
 * cannot be had at all is none, for a while.
 */
static void
wish_fulfil(struct sts_fetcher *fetcher, const struct sts_wish *wish,
	    struct sts_finding *finding, struct sts_finding *fresh)
{
	struct fault fault = { .error = 0 };
	bool is_known = file_load(fetcher, wish->domain, finding);

	if (wish->id[0] != '\0' && !(is_known && is_good_enough(finding, wish))) {
		if (policy_fetch(fetcher, wish, fresh, &fault)) {
			*finding = *fresh;
			is_known = true;
		} else {
			log_warn(fetcher->start->log, "MTA-STS policy of %s: %s%s", wish->domain,
				 fault_text(&fault),
				 is_known ? "; the one known stays in force" : "");
		}
	}
	if (!is_known) {
		finding->state = STS_ABSENT;
		memcpy(finding->policy.id, wish->id, sizeof(finding->policy.id));
	}
	finding->again_wall_ms = clock_wall_ms() + AGAIN_MS;
	(void)pthread_mutex_lock(&fetcher->lock);
	sts_publish(fetcher->start->board, (struct span){ wish->domain, wish->domain_len },
		    finding);
	(void)pthread_mutex_unlock(&fetcher->lock);
}

static _Noreturn void *
wishes_fulfil(void *context)
{
	struct sts_fetcher *fetcher = context;
	struct sts_wish *wish = memory_new(sizeof(*wish));
	struct sts_finding *both = memory_new_array(2, sizeof(*both));

	for (;;) {
		sts_wish_take(fetcher->start->board, wish);
		if (wish->domain_len > 0 && wish->domain[0] != '.')
			wish_fulfil(fetcher, wish, &both[0], &both[1]);
	}
}

/* ---- The process ---- */

static bool
ca_read(struct sts_fetcher *fetcher, struct fault *fault)
{
	const char *path = fetcher->start->ca_file;

	return path == NULL || file_read(path, &fetcher->ca) ||
	       fault_setf(fault, "mta-sts: read ca %s", path);
}

static bool
threads_start(struct sts_fetcher *fetcher, struct fault *fault)
{
	pthread_t thread;

	for (size_t i = 0; i < THREADS; i++) {
		int error = pthread_create(&thread, NULL, wishes_fulfil, fetcher);

		if (error != 0) {
			errno = error;
			return fault_set(fault, "start a thread");
		}
		(void)pthread_detach(thread);
	}
	return true;
}

int
sts_fetcher_run(const struct sts_fetcher_start *start)
{
	struct sts_fetcher fetcher = { .start = start };
	struct pollfd watched = { .fd = start->supervisor, .events = POLLIN };
	struct fault fault = { .error = 0 };

	(void)signal(SIGPIPE, SIG_IGN);
	(void)pthread_mutex_init(&fetcher.lock, NULL);
	buffer_init(&fetcher.ca, CA_OCTETS_MAX);
	if (!ca_read(&fetcher, &fault) || !files_open(&fetcher, &fault) ||
	    !start->confine(start->context, &fault) || !threads_start(&fetcher, &fault)) {
		log_error(start->log, "cannot start: %s", fault_text(&fault));
		return 1;
	}
	while (poll(&watched, 1, -1) <= 0 || watched.revents == 0)
		;
	_exit(0); /* whatever the threads wait for */
}
