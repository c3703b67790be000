/* SPDX-License-Identifier: ISC */
/* The fetch process; see fetcher.h. */
#define _GNU_SOURCE /* O_CLOEXEC and friends */
#include "daemon/fetcher.h"

#include "auth/assertion.h"
#include "auth/digest.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "daemon/token_reply.h"
#include "net/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY_MS	1000   /* for tokens that a worker rejected */
#define RETRY_FIRST_MS	5000
#define RETRY_MAX_MS	300000
#define REJECTED_WAIT_MS 10000 /* between two renewals that workers ask for */
#define EARLY_MAX_MS	300000 /* how long before its end a token is renewed, at most */
#define REQUEST_WITHIN_S 30
#define FORM_OCTETS_MAX 65536
#define SECRET_OCTETS_MAX 4096
#define CA_OCTETS_MAX	(4U << 20)

struct source {
	const struct token_settings *settings;
	struct span name;
	size_t route;
	char key[65]; /* of what tokens are asked with */
	char secret[SECRET_OCTETS_MAX];
	char refresh_token[TOKEN_OCTETS_MAX + 1];
	struct assertion_key *assertion; /* or NULL */
	struct buffer ca;		 /* the authorities, PEM; empty: the system's */
	int64_t due_ms; /* monotonic */
	int64_t delay_ms;
	int64_t renewed_ms;
	bool is_troubled;
};

struct fetcher {
	const struct fetcher_start *start;
	const struct log *log;
	struct source *sources;
	size_t count;
};

/* ---- Secrets ---- */

/* The first line of a file. */
static bool
secret_read(const char *path, char *out, size_t room, struct fault *fault)
{
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return fault_setf(fault, "open %s", path);
	if (fgets(out, (int)room, file) == NULL)
		out[0] = '\0';
	(void)fclose(file);
	out[strcspn(out, "\r\n")] = '\0';
	return out[0] != '\0' || fault_say(fault, "the first line of %s is empty", path);
}

static bool
file_read(const char *path, struct buffer *out, struct fault *fault)
{
	FILE *file = fopen(path, "re");
	size_t got = 1;

	if (file == NULL)
		return fault_setf(fault, "open %s", path);
	while (got > 0) {
		char *room = buffer_reserve(out, 4096);

		if (room == NULL)
			break;
		got = fread(room, 1, 4096, file);
		buffer_claim(out, got);
	}
	(void)fclose(file);
	return got == 0 || fault_say(fault, "%s is too long", path);
}

/* Who reads the key learns nothing of a secret: it goes through a digest. */
static void
key_compute(struct source *source)
{
	const struct token_settings *s = source->settings;
	const char *const parts[] = { s->endpoint, s->client_id, s->scope, s->certificate,
				      s->refresh_token_file, source->refresh_token };
	unsigned char digest[DIGEST_OCTETS_MAX];
	struct buffer text;

	buffer_init(&text, 65536);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		(void)buffer_append_text(&text, parts[i] == NULL ? "" : parts[i]);
		(void)buffer_append_byte(&text, '\0');
	}
	digest_hash(DIGEST_SHA_256, buffer_span(&text), digest);
	for (size_t i = 0; i < digest_octets(DIGEST_SHA_256); i++)
		(void)snprintf(source->key + 2 * i, 3, "%02x", digest[i]);
	if (text.ptr != NULL)
		memory_wipe(text.ptr, text.len);
	buffer_reset(&text);
}

static bool
source_open(struct source *source, struct fault *fault)
{
	const struct token_settings *s = source->settings;

	if (s->client_secret_file != NULL &&
	    !secret_read(s->client_secret_file, source->secret, sizeof(source->secret), fault))
		return false;
	if (s->refresh_token_file != NULL &&
	    !secret_read(s->refresh_token_file, source->refresh_token,
			 sizeof(source->refresh_token), fault))
		return false;
	if (s->certificate != NULL) {
		source->assertion = assertion_key_new(s->certificate, s->key, fault);
		if (source->assertion == NULL)
			return false;
	}
	key_compute(source);
	return s->ca_file == NULL || file_read(s->ca_file, &source->ca, fault);
}

/* ---- The file of a token ---- */

static void
file_name(const struct fetcher *fetcher, const struct source *source, const char *suffix,
	  struct buffer *path)
{
	buffer_clear(path);
	(void)buffer_printf(path, "%s/" FETCHER_DIRECTORY "/" SPAN_FMT "%s",
			    fetcher->start->state_directory, SPAN_ARG(source->name), suffix);
}

static bool
file_write(const char *path, struct span bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = fd != -1 && write(fd, bytes.ptr, bytes.len) == (ssize_t)bytes.len &&
		  fsync(fd) == 0;

	if (fd != -1)
		(void)close(fd);
	return ok;
}

static void
buffer_wipe(struct buffer *buffer)
{
	if (buffer->ptr != NULL)
		memory_wipe(buffer->ptr, buffer->room);
	buffer_reset(buffer);
}

static void
file_save(const struct fetcher *fetcher, const struct source *source, const char *token,
	  int64_t expires_wall_ms)
{
	struct buffer text, path, fresh;
	struct json json;

	buffer_init(&text, 4 * TOKEN_OCTETS_MAX);
	buffer_init(&path, 4096);
	buffer_init(&fresh, 4096);
	(void)buffer_reserve(&text, 4 * TOKEN_OCTETS_MAX - 1); /* one place, to be wiped */
	json = json_on(&text);
	json_object_begin(&json, NULL);
	json_cstring(&json, "key", source->key);
	json_cstring(&json, "token", token);
	json_number(&json, "expires", expires_wall_ms);
	if (source->settings->refresh_token_file != NULL)
		json_cstring(&json, "refresh-token", source->refresh_token);
	json_object_end(&json);
	file_name(fetcher, source, "", &path);
	file_name(fetcher, source, ".new", &fresh);
	if (!file_write(buffer_text(&fresh), buffer_span(&text)) ||
	    rename(buffer_text(&fresh), buffer_text(&path)) == -1)
		log_warn(fetcher->log, "cannot keep the token of route " SPAN_FMT " in %s: %s",
			 SPAN_ARG(source->name), buffer_text(&path), strerror(errno));
	buffer_wipe(&text);
	buffer_reset(&path);
	buffer_reset(&fresh);
}

/* How long before its end a token is renewed. */
static int64_t
early_ms(int64_t lifetime_ms)
{
	return lifetime_ms / 4 < EARLY_MAX_MS ? lifetime_ms / 4 : EARLY_MAX_MS;
}

/* The token of an earlier process, if it was asked for in the same way. */
static void
file_load(struct fetcher *fetcher, struct source *source)
{
	struct token_file *file = memory_new(sizeof(*file));
	char *bytes = memory_new(4 * TOKEN_OCTETS_MAX);
	struct buffer path;
	ssize_t got = -1;

	buffer_init(&path, 4096);
	file_name(fetcher, source, "", &path);
	int fd = open(buffer_text(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd != -1) {
		got = read(fd, bytes, 4 * TOKEN_OCTETS_MAX);
		(void)close(fd);
	}
	if (got > 0 &&
	    token_file_parse((struct span){ bytes, (size_t)got }, file) == PARSE_OK &&
	    strcmp(file->key, source->key) == 0) {
		int64_t left_ms = file->expires_wall_ms - clock_wall_ms();

		if (file->refresh_token[0] != '\0')
			memcpy(source->refresh_token, file->refresh_token,
			       sizeof(source->refresh_token));
		if (file->token[0] != '\0' && left_ms > 0) {
			token_publish(fetcher->start->board, source->route,
				      span_of(file->token), file->expires_wall_ms);
			source->due_ms = clock_monotonic_ms() + left_ms - early_ms(left_ms);
		}
	}
	memory_wipe(file, sizeof(*file));
	memory_wipe(bytes, 4 * TOKEN_OCTETS_MAX);
	free(file);
	free(bytes);
	buffer_reset(&path);
}

/* ---- Asking ---- */

static bool
form_compose(const struct source *source, struct buffer *form, struct fault *fault)
{
	const struct token_settings *s = source->settings;
	const struct assertion_request request = {
		.key = source->assertion,
		.client_id = s->client_id,
		.audience = s->endpoint,
		.now_wall_ms = clock_wall_ms(),
	};
	bool ok;

	if (s->refresh_token_file != NULL)
		ok = form_append(form, "grant_type", span_of("refresh_token")) &&
		     form_append(form, "refresh_token", span_of(source->refresh_token));
	else
		ok = form_append(form, "grant_type", span_of("client_credentials"));
	ok = ok && form_append(form, "client_id", span_of(s->client_id));
	if (s->scope != NULL)
		ok = ok && form_append(form, "scope", span_of(s->scope));
	if (source->secret[0] != '\0')
		ok = ok && form_append(form, "client_secret", span_of(source->secret));
	if (source->assertion != NULL) {
		struct buffer assertion;

		buffer_init(&assertion, 16384);
		ok = ok && assertion_append(&request, &assertion) &&
		     form_append(form, "client_assertion_type", span_of(ASSERTION_TYPE)) &&
		     form_append(form, "client_assertion", buffer_span(&assertion));
		buffer_wipe(&assertion);
	}
	return ok || fault_say(fault, "the request could not be composed");
}

/* Wait longer after each failure in a row. */
static void
source_fail(struct fetcher *fetcher, struct source *source, enum token_state state,
	    const char *why)
{
	source->delay_ms = source->delay_ms == 0 ? RETRY_FIRST_MS : 2 * source->delay_ms;
	if (source->delay_ms > RETRY_MAX_MS)
		source->delay_ms = RETRY_MAX_MS;
	source->due_ms = clock_monotonic_ms() + source->delay_ms;
	token_trouble(fetcher->start->board, source->route, state, why);
	if (!source->is_troubled)
		log_error(fetcher->log, "no token for route " SPAN_FMT ": %s",
			  SPAN_ARG(source->name), why);
	source->is_troubled = true;
}

static void
source_succeed(struct fetcher *fetcher, struct source *source, const struct token_reply *reply)
{
	int64_t lifetime_ms = reply->lifetime_s * 1000;
	int64_t expires_wall_ms = clock_wall_ms() + lifetime_ms;

	if (reply->refresh_token[0] != '\0')
		memcpy(source->refresh_token, reply->refresh_token,
		       sizeof(source->refresh_token));
	token_publish(fetcher->start->board, source->route, span_of(reply->token),
		      expires_wall_ms);
	file_save(fetcher, source, reply->token, expires_wall_ms);
	if (source->is_troubled)
		log_info(fetcher->log, "route " SPAN_FMT " has a token again",
			 SPAN_ARG(source->name));
	source->is_troubled = false;
	source->delay_ms = 0;
	source->renewed_ms = clock_monotonic_ms();
	source->due_ms = source->renewed_ms + lifetime_ms - early_ms(lifetime_ms);
}

static void
answer_take(struct fetcher *fetcher, struct source *source, const struct fetch_answer *answer)
{
	struct token_reply *reply = memory_new(sizeof(*reply));
	char why[TOKEN_TROUBLE_MAX];

	if (token_reply_parse(buffer_span(answer->content), reply) != PARSE_OK) {
		(void)snprintf(why, sizeof(why),
			       "the endpoint answered HTTP %ld with nothing that is a token",
			       answer->status);
		source_fail(fetcher, source, TOKEN_TROUBLE, why);
	} else if (answer->status == 200 && reply->token[0] != '\0') {
		source_succeed(fetcher, source, reply);
	} else {
		(void)snprintf(why, sizeof(why), "the endpoint refuses: %s%s%s", reply->error,
			       reply->description[0] == '\0' ? "" : ": ", reply->description);
		source_fail(fetcher, source,
			    token_error_is_final(reply->error) ? TOKEN_REFUSED : TOKEN_TROUBLE,
			    why);
	}
	memory_wipe(reply, sizeof(*reply));
	free(reply);
}

static void
source_renew(struct fetcher *fetcher, struct source *source)
{
	struct fault fault = { .error = 0 };
	struct buffer form, content;
	struct fetch_answer answer = { .content = &content };

	buffer_init(&form, FORM_OCTETS_MAX);
	buffer_init(&content, FETCH_ANSWER_MAX);
	(void)buffer_reserve(&form, FORM_OCTETS_MAX - 1); /* one place, to be wiped */

	bool ok = form_compose(source, &form, &fault);
	const struct fetch_request request = {
		.url = source->settings->endpoint,
		.form = buffer_span(&form),
		.ca = buffer_span(&source->ca),
		.within_s = REQUEST_WITHIN_S,
	};

	if (ok && fetch(&request, &answer, &fault))
		answer_take(fetcher, source, &answer);
	else
		source_fail(fetcher, source, TOKEN_TROUBLE, fault_text(&fault));
	buffer_wipe(&form);
	buffer_wipe(&content);
}

/* ---- The process ---- */

static bool
is_due(const struct fetcher *fetcher, const struct source *source, int64_t now_ms)
{
	return now_ms >= source->due_ms ||
	       (!source->is_troubled && now_ms - source->renewed_ms >= REJECTED_WAIT_MS &&
		token_is_rejected(fetcher->start->board, source->route));
}

static bool
supervisor_is_gone(const struct fetcher *fetcher, int wait_ms)
{
	struct pollfd watched = { .fd = fetcher->start->supervisor, .events = POLLIN };

	return poll(&watched, 1, wait_ms) > 0 && watched.revents != 0;
}

static void
sources_collect(struct fetcher *fetcher)
{
	const struct fetcher_start *start = fetcher->start;

	fetcher->sources = memory_new_array(start->route_count + 1, sizeof(*fetcher->sources));
	for (size_t i = 0; i < start->route_count; i++) {
		const struct fetcher_route *route = &start->routes[i];
		struct source *source = &fetcher->sources[fetcher->count];
		struct fault fault = { .error = 0 };

		if (route->settings == NULL || route->settings->endpoint == NULL)
			continue;
		source->settings = route->settings;
		source->name = route->name;
		source->route = i;
		buffer_init(&source->ca, CA_OCTETS_MAX);
		fetcher->count++;
		if (!source_open(source, &fault)) {
			source_fail(fetcher, source, TOKEN_REFUSED, fault_text(&fault));
			source->due_ms = INT64_MAX; /* a reload reads the files again */
		}
	}
}

static bool
directory_make(const struct fetcher *fetcher, struct fault *fault)
{
	struct buffer path;
	bool ok;

	buffer_init(&path, 4096);
	(void)buffer_printf(&path, "%s/" FETCHER_DIRECTORY, fetcher->start->state_directory);
	ok = mkdir(buffer_text(&path), 0700) == 0 || errno == EEXIST ||
	     fault_setf(fault, "mkdir %s", buffer_text(&path));
	buffer_reset(&path);
	return ok;
}

int
fetcher_run(const struct fetcher_start *start)
{
	struct fetcher fetcher = { .start = start, .log = start->log };
	const struct rlimit no_core = { .rlim_cur = 0 };
	struct fault fault = { .error = 0 };

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	sources_collect(&fetcher);
	if (!directory_make(&fetcher, &fault) || !start->confine(start->context, &fault)) {
		log_error(fetcher.log, "cannot start: %s", fault_text(&fault));
		return 1;
	}
	for (size_t i = 0; i < fetcher.count; i++) {
		if (fetcher.sources[i].due_ms == 0)
			file_load(&fetcher, &fetcher.sources[i]);
	}
	while (!supervisor_is_gone(&fetcher, LOOK_EVERY_MS / 10)) {
		for (size_t i = 0; i < fetcher.count; i++) {
			if (is_due(&fetcher, &fetcher.sources[i], clock_monotonic_ms()))
				source_renew(&fetcher, &fetcher.sources[i]);
		}
		if (supervisor_is_gone(&fetcher, LOOK_EVERY_MS))
			break;
	}
	for (size_t i = 0; i < fetcher.count; i++) {
		assertion_key_free(&fetcher.sources[i].assertion);
		buffer_reset(&fetcher.sources[i].ca);
	}
	memory_wipe(fetcher.sources, (start->route_count + 1) * sizeof(*fetcher.sources));
	free(fetcher.sources);
	return 0;
}
