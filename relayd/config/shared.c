/* SPDX-License-Identifier: ISC */
/* shared { }: the Redis in which limits are counted for several gateways; see reader.h. */
#include "base/memory.h"
#include "config/reader.h"
#include "config/value.h"

#include <fcntl.h>
#include <unistd.h>

#define SCHEME		  "redis://"
#define DATABASE_MAX	  1000000
#define PASSWORD_FILE_MAX 1024

/* redis://host[:port][/database]; the host is a name or address. */
static bool
redis_url_parse(struct span text, struct arena *arena, struct redis_settings *redis)
{
	struct next_hop_settings host;
	uint64_t database = 0;

	if (!span_starts_fold(text, span_of(SCHEME)))
		return false;
	text = span_skip(text, strlen(SCHEME));
	struct span where = span_first(text, span_find(text, '/'));
	struct span number = span_skip(text, where.len + (where.len < text.len));

	if (!span_is_empty(number) &&
	    number_parse(number, DATABASE_MAX, &database) != PARSE_OK)
		return false;
	if (next_hop_parse(where, &host) != PARSE_OK || host.is_mx)
		return false;
	bool has_port = where.len > host.host.len && where.ptr[where.len - 1] != ']';

	redis->host = arena_copy(arena, host.host);
	redis->port = has_port ? host.port : REDIS_PORT;
	redis->database = (uint32_t)database;
	return true;
}

/* The first line of the file; complains where there is none. Never shown. */
static struct span
password_read(const struct section *section, const struct value *path)
{
	const struct reader *reader = section->reader;
	struct span none = { NULL, 0 };
	char text[PASSWORD_FILE_MAX];

	if (!reader->outline->opens_files)
		return none;
	const char *name = arena_copy_text(reader->arena, path->text);
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t got = fd == -1 ? -1 : read(fd, text, sizeof(text));

	if (fd != -1)
		(void)close(fd);
	if (got <= 0) {
		value_complain(path, "cannot be read, or is empty; write the password of "
				     "Redis into it, as one line");
		return none;
	}
	struct span line = { text, (size_t)got };

	line = span_trim(span_first(line, span_find(line, '\n')));
	struct span password = span_is_empty(line) ? none : arena_copy(reader->arena, line);

	memory_wipe(text, sizeof(text));
	return password;
}

void
shared_read(struct reader *reader)
{
	static const struct choice away[] = {
		{ "open", false, IN_THIS_RELEASE },
		{ "closed", true, IN_THIS_RELEASE },
	};
	struct shared_settings *shared = &reader->settings->shared;
	struct section section;
	struct value value;

	if (!section_open(reader, "shared", &section))
		return;
	shared->is_closed_when_away =
	    section_choice(&section, "when-away", away, ARRAY_LEN(away), false);
	struct span path = section_path(&section, "password-file");

	if (!span_is_empty(path) && path.ptr[0] == '/' &&
	    section_value(&section, "password-file", &value))
		shared->redis.password = password_read(&section, &value);
	if (!section_value(&section, "redis", &value)) {
		section_complain_missing(&section, "redis", "\"redis://127.0.0.1:6379/0\"");
		return;
	}
	if (!redis_is_built_in()) {
		section_complain(&section, "asks for Redis, and this relayd was built without "
					   "it; remove it, or build with hiredis "
					   "(./configure --with-redis)");
		return;
	}
	if (span_find(value.text, '@') < value.text.len) {
		/* maybe a password: it is not shown */
		section_complain(&section, "has an '@' in option 'redis'; write only "
					   "\"redis://HOST:PORT/DATABASE\", and the password "
					   "into a file that password-file names");
		return;
	}
	shared->is_wanted = redis_url_parse(value.text, reader->arena, &shared->redis);
	if (!shared->is_wanted)
		value_complain(&value, "is not the address of a Redis server; write for "
				       "example \"redis://127.0.0.1:6379/0\"");
}
