/* SPDX-License-Identifier: ISC */
/*
 * Lines of an audit trail that may be anything: read, told as a story. And any bytes written
 * as JSON: what comes out must be one line that a strict reader takes.
 */
#include "audit/query.h"
#include "audit/story.h"
#include "base/json.h"
#include "base/utf8.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
story_check(struct span line)
{
	const struct story_context context = { .policy = NULL };
	struct audit_record record;
	struct arena arena;
	struct buffer out;

	arena_init(&arena, 0);
	buffer_init(&out, 1U << 20);
	if (audit_record_read(line, &arena, &record) == PARSE_OK) {
		const struct story story = { .decision = &record };

		story_tell(&story, &context, &out);
		for (size_t i = 0; i < out.len; i++) {
			if (ascii_is_control(out.ptr[i]) && out.ptr[i] != '\n')
				abort();
		}
		(void)audit_record_copy(&record, &arena);
	}
	(void)audit_id_normalise(line, &arena);
	buffer_reset(&out);
	arena_reset(&arena);
}

static void
json_check(struct span bytes)
{
	struct buffer out;
	struct json j = json_on(&out);
	json_error_t error;

	buffer_init(&out, 16U << 20);
	json_text(&j, NULL, bytes);
	json_t *read = json_loadb(out.ptr, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (read == NULL || span_find(buffer_span(&out), '\n') != out.len)
		abort();
	json_decref(read);
	buffer_clear(&out);
	utf8_append_printable(&out, bytes);
	if (utf8_count(buffer_span(&out)) < utf8_count(bytes))
		abort();
	buffer_reset(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = { .ptr = (const char *)data, .len = size };

	story_check(bytes);
	json_check(bytes);
	return 0;
}
