/* SPDX-License-Identifier: ISC */
/* A slow or failing disk; see disk_faulty.h. */
#include "spool/disk_faulty.h"

#include "base/memory.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 16
#define DELAY_MAX 60000000u /* microseconds */

enum call {
	CALL_OPEN,
	CALL_WRITE,
	CALL_READ,
	CALL_SYNC,
	CALL_RENAME,
	CALL_UNLINK,
	CALL_LINK,
	CALL_MKDIR,
	CALL_SPACE,
	CALL_COUNT,
};

static const char *const call_names[CALL_COUNT] = {
	[CALL_OPEN] = "open", [CALL_WRITE] = "write",	[CALL_READ] = "read",
	[CALL_SYNC] = "sync", [CALL_RENAME] = "rename", [CALL_UNLINK] = "unlink",
	[CALL_LINK] = "link", [CALL_MKDIR] = "mkdir",	[CALL_SPACE] = "space",
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "EIO", EIO },	      { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT },
	{ "EACCES", EACCES }, { "EMFILE", EMFILE }, { "EROFS", EROFS },
};

enum effect {
	EFFECT_NONE,
	EFFECT_FAIL,
	EFFECT_SHORT,
	EFFECT_KILL,
};

struct rule {
	enum effect effect;
	enum call call;
	uint64_t number;
	bool is_lasting;
	int error;
};

struct disk_faulty {
	struct spool_disk disk;
	const struct spool_disk *below;
	_Atomic uint64_t calls[CALL_COUNT];
	uint64_t sync_delay_us;
	struct rule rules[RULES_MAX];
	size_t rule_count;
};

/* Count the call and say what becomes of it; errno is set where it fails. */
static enum effect
call_begin(struct disk_faulty *faulty, enum call call)
{
	uint64_t number = ++faulty->calls[call];

	for (size_t i = 0; i < faulty->rule_count; i++) {
		const struct rule *rule = &faulty->rules[i];

		if (rule->call != call || (number != rule->number &&
					   !(rule->is_lasting && number > rule->number)))
			continue;
		if (rule->effect == EFFECT_KILL && call != CALL_WRITE)
			(void)kill(getpid(), SIGKILL);
		errno = rule->error;
		return rule->effect;
	}
	return EFFECT_NONE;
}

static int
faulty_open(void *context, int directory, const char *name, int flags, mode_t mode)
{
	struct disk_faulty *f = context;

	if (call_begin(f, CALL_OPEN) == EFFECT_FAIL)
		return -1;
	return f->below->open(f->below->context, directory, name, flags, mode);
}

/* The first half of what was to be written. */
static ssize_t
half_write(const struct spool_disk *below, int fd, const struct iovec *runs, int count,
	   off_t offset)
{
	struct iovec run = runs[0];

	if (count > 1)
		return below->write(below->context, fd, runs, (count + 1) / 2, offset);
	run.iov_len = (run.iov_len + 1) / 2;
	return below->write(below->context, fd, &run, 1, offset);
}

static ssize_t
faulty_write(void *context, int fd, const struct iovec *runs, int count, off_t offset)
{
	struct disk_faulty *f = context;

	switch (call_begin(f, CALL_WRITE)) {
	case EFFECT_FAIL:
		return -1;
	case EFFECT_SHORT:
		return half_write(f->below, fd, runs, count, offset);
	case EFFECT_KILL:
		(void)half_write(f->below, fd, runs, count, offset);
		(void)kill(getpid(), SIGKILL);
		break;
	case EFFECT_NONE:
		break;
	}
	return f->below->write(f->below->context, fd, runs, count, offset);
}

static ssize_t
faulty_read(void *context, int fd, void *bytes, size_t octets, off_t offset)
{
	struct disk_faulty *f = context;

	if (call_begin(f, CALL_READ) == EFFECT_FAIL)
		return -1;
	return f->below->read(f->below->context, fd, bytes, octets, offset);
}

static void
sync_delay(const struct disk_faulty *faulty)
{
	struct timespec left = {
		.tv_sec = (time_t)(faulty->sync_delay_us / 1000000),
		.tv_nsec = (long)(faulty->sync_delay_us % 1000000 * 1000),
	};

	if (faulty->sync_delay_us == 0)
		return;
	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

static int
faulty_sync_data(void *context, int fd)
{
	struct disk_faulty *f = context;

	sync_delay(f);
	if (call_begin(f, CALL_SYNC) == EFFECT_FAIL)
		return -1;
	return f->below->sync_data(f->below->context, fd);
}

static int
faulty_sync(void *context, int fd)
{
	struct disk_faulty *f = context;

	sync_delay(f);
	if (call_begin(f, CALL_SYNC) == EFFECT_FAIL)
		return -1;
	return f->below->sync(f->below->context, fd);
}

static int
faulty_rename(void *context, int directory, const char *from, const char *to)
{
	struct disk_faulty *f = context;

	if (call_begin(f, CALL_RENAME) == EFFECT_FAIL)
		return -1;
	return f->below->rename(f->below->context, directory, from, to);
}

static int
faulty_unlink(void *context, int directory, const char *name, int flags)
{
	struct disk_faulty *f = context;

	if (call_begin(f, CALL_UNLINK) == EFFECT_FAIL)
		return -1;
	return f->below->unlink(f->below->context, directory, name, flags);
}

static int
faulty_link(void *context, int from_directory, const char *from, int to_directory,
	    const char *to)
{
	struct disk_faulty *f = context;

	if (call_begin(f, CALL_LINK) == EFFECT_FAIL)
		return -1;
	return f->below->link(f->below->context, from_directory, from, to_directory, to);
}

static int
faulty_mkdir(void *context, int directory, const char *name, mode_t mode)
{
	struct disk_faulty *f = context;

	if (call_begin(f, CALL_MKDIR) == EFFECT_FAIL)
		return -1;
	return f->below->mkdir(f->below->context, directory, name, mode);
}

static int
faulty_space(void *context, int fd, struct statvfs *space)
{
	struct disk_faulty *f = context;

	if (call_begin(f, CALL_SPACE) == EFFECT_FAIL)
		return -1;
	return f->below->space(f->below->context, fd, space);
}

/* Take the text off the front of *in when it is there. */
static bool
text_take(struct span *in, const char *text)
{
	struct span wanted = span_of(text);

	if (!span_equal(span_first(*in, wanted.len), wanted))
		return false;
	*in = span_skip(*in, wanted.len);
	return true;
}

static bool
delay_parse(struct disk_faulty *faulty, struct span text)
{
	uint64_t value, factor;

	if (number_take(&text, DELAY_MAX, &value) != PARSE_OK)
		return false;
	if (span_equal(text, span_of("us")))
		factor = 1;
	else if (span_equal(text, span_of("ms")))
		factor = 1000;
	else if (span_equal(text, span_of("s")))
		factor = 1000000;
	else
		return false;
	faulty->sync_delay_us = value * factor;
	return faulty->sync_delay_us <= DELAY_MAX;
}

static bool
call_take(struct span *in, enum call *call)
{
	for (int i = 0; i < CALL_COUNT; i++) {
		struct span rest = *in;

		if (text_take(&rest, call_names[i]) && byte_take(&rest, '=')) {
			*call = (enum call)i;
			*in = rest;
			return true;
		}
	}
	return false;
}

static bool
error_parse(struct span text, int *error)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		if (span_equal(text, span_of(errors[i].name))) {
			*error = errors[i].error;
			return true;
		}
	}
	return false;
}

/* N, N+, N:ERROR or N+:ERROR */
static bool
rule_parse(struct rule *rule, struct span text)
{
	if (number_take(&text, UINT64_MAX, &rule->number) != PARSE_OK ||
	    rule->number == 0)
		return false;
	rule->error = EIO;
	rule->is_lasting = byte_take(&text, '+');
	if (byte_take(&text, ':'))
		return rule->effect == EFFECT_FAIL && error_parse(text, &rule->error);
	return span_is_empty(text);
}

static bool
word_parse(struct disk_faulty *faulty, struct span word)
{
	struct rule rule = { .effect = EFFECT_NONE };

	if (text_take(&word, "sync-delay="))
		return delay_parse(faulty, word);
	if (text_take(&word, "short-")) {
		rule.effect = EFFECT_SHORT;
		if (!call_take(&word, &rule.call) || rule.call != CALL_WRITE)
			return false;
	} else if (text_take(&word, "fail-")) {
		rule.effect = EFFECT_FAIL;
	} else if (text_take(&word, "kill-")) {
		rule.effect = EFFECT_KILL;
	}
	if (rule.effect == EFFECT_NONE || faulty->rule_count == RULES_MAX)
		return false;
	if (rule.effect != EFFECT_SHORT && !call_take(&word, &rule.call))
		return false;
	if (!rule_parse(&rule, word))
		return false;
	faulty->rules[faulty->rule_count++] = rule;
	return true;
}

struct disk_faulty *
disk_faulty_new(const char *text, const struct spool_disk *below, struct fault *fault)
{
	struct disk_faulty *faulty = memory_new(sizeof(*faulty));
	struct span rest = span_of(text);

	faulty->below = below == NULL ? &spool_disk_real : below;
	faulty->disk = (struct spool_disk){
		.context = faulty,
		.open = faulty_open,
		.write = faulty_write,
		.read = faulty_read,
		.sync_data = faulty_sync_data,
		.sync = faulty_sync,
		.rename = faulty_rename,
		.unlink = faulty_unlink,
		.link = faulty_link,
		.mkdir = faulty_mkdir,
		.space = faulty_space,
	};
	while (!span_is_empty(rest)) {
		struct span word = span_first(rest, span_find(rest, ','));

		rest = span_skip(rest, word.len);
		(void)byte_take(&rest, ',');
		if (word_parse(faulty, span_trim(word)))
			continue;
		(void)fault_say(fault, "not a disk fault: " SPAN_FMT, SPAN_ARG(word));
		disk_faulty_free(&faulty);
		return NULL;
	}
	return faulty;
}

void
disk_faulty_free(struct disk_faulty **faulty)
{
	free(*faulty);
	*faulty = NULL;
}

const struct spool_disk *
disk_faulty_disk(const struct disk_faulty *faulty)
{
	return &faulty->disk;
}

uint64_t
disk_faulty_calls(const struct disk_faulty *faulty, const char *call)
{
	uint64_t sum = 0;

	for (int i = 0; i < CALL_COUNT; i++) {
		if (call == NULL || strcmp(call, call_names[i]) == 0)
			sum += faulty->calls[i];
	}
	return sum;
}
