/* SPDX-License-Identifier: ISC */
/* /etc/hosts; see hosts.h. */
#include "net/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FILE_MAX (16U << 20) /* octets */
#define READ_MAX 65536U
#define NAME_MAX_OCTETS 255

struct host {
	struct host_address *first;
	struct host_address *last;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span
word_take(struct span *line)
{
	size_t at = 0;

	while (line->len > 0 && is_blank(line->ptr[0]))
		*line = span_skip(*line, 1);
	while (at < line->len && !is_blank(line->ptr[at]))
		at++;
	struct span word = span_first(*line, at);

	*line = span_skip(*line, at);
	return word;
}

/* Lower case, without the last dot; empty when it is none of ours. */
static struct span
name_fold(struct span name, char out[NAME_MAX_OCTETS])
{
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len > NAME_MAX_OCTETS)
		name.len = 0;
	for (size_t i = 0; i < name.len; i++)
		out[i] = ascii_lower(name.ptr[i]);
	return (struct span){ out, name.len };
}

static void
hosts_add(struct hosts *hosts, struct span name, const struct ip *ip)
{
	char folded[NAME_MAX_OCTETS];
	struct span key = name_fold(name, folded);
	struct host_address *address = arena_new(&hosts->arena, sizeof(*address));
	struct host *host = table_find(&hosts->names, key);

	if (host == NULL) {
		host = arena_new(&hosts->arena, sizeof(*host));
		(void)table_put(&hosts->names, arena_copy(&hosts->arena, key), host);
	}
	address->ip = *ip;
	if (host->last == NULL) {
		host->first = host->last = address;
	} else {
		host->last->next = address;
		host->last = address;
	}
}

static void
line_read(struct hosts *hosts, struct span line)
{
	struct ip ip;
	struct span word;

	line = span_first(line, span_find(line, '#'));
	if (ip_parse(word_take(&line), &ip) != PARSE_OK)
		return;
	while ((word = word_take(&line)).len > 0)
		hosts_add(hosts, word, &ip);
}

static bool
file_read(int fd, const char *path, struct buffer *content, struct fault *fault)
{
	for (;;) {
		char *place = buffer_reserve(content, READ_MAX);

		if (place == NULL)
			return fault_say(fault, "%s is too large", path);
		ssize_t n = read(fd, place, READ_MAX);

		if (n == 0)
			return true;
		if (n > 0)
			buffer_claim(content, (size_t)n);
		else if (errno != EINTR)
			return fault_setf(fault, "read %s", path);
	}
}

bool
hosts_read(struct hosts *hosts, const char *path, struct fault *fault)
{
	struct buffer content;
	int fd;

	arena_init(&hosts->arena, 0);
	table_init(&hosts->names, 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return errno == ENOENT ? true : fault_setf(fault, "open %s", path);
	buffer_init(&content, FILE_MAX);
	bool is_read = file_read(fd, path, &content, fault);
	struct span rest = buffer_span(&content);

	while (is_read && rest.len > 0) {
		size_t len = span_find(rest, '\n');

		line_read(hosts, span_first(rest, len));
		rest = span_skip(rest, len < rest.len ? len + 1 : len);
	}
	buffer_reset(&content);
	(void)close(fd);
	return is_read;
}

void
hosts_reset(struct hosts *hosts)
{
	table_reset(&hosts->names);
	arena_reset(&hosts->arena);
}

const struct host_address *
hosts_find(const struct hosts *hosts, struct span name)
{
	char folded[NAME_MAX_OCTETS];
	const struct host *host;

	if (hosts->names.count == 0)
		return NULL;
	host = table_find(&hosts->names, name_fold(name, folded));
	return host == NULL ? NULL : host->first;
}
