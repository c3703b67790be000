/* SPDX-License-Identifier: ISC */
/* Reading a configuration into settings; see settings.h and reader.h. */
#include "config/settings.h"

#include "base/memory.h"
#include "config/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARENA_BLOCK 65536

static void
policy_complaint(void *context, bool is_error, const char *file, unsigned line,
		 const char *text)
{
	const struct reader *reader = context;

	if (file == NULL)
		file = reader->outline->main->name;
	(is_error ? complaint_error : complaint_warn)(reader->complaints, file, line,
						      "%s", text);
}

/* The clean text through libconfuse. NULL, and a complaint, when it finds fault with it. */
static cfg_t *
outline_parse(const struct outline *outline)
{
	struct buffer text;

	buffer_init(&text, SIZE_MAX / 4);
	outline_text(outline, &text);
	(void)buffer_append_byte(&text, '\n');

	cfg_opt_t *options = schema_options(&schema_root, outline->arena);
	cfg_t *cfg = cfg_init(options, CFGF_NONE);
	FILE *stream = fmemopen(text.ptr, text.len, "r");
	bool is_parsed =
	    cfg != NULL && stream != NULL && cfg_parse_fp(cfg, stream) == CFG_SUCCESS;

	if (stream != NULL)
		(void)fclose(stream);
	buffer_reset(&text);
	if (is_parsed)
		return cfg;
	if (cfg != NULL)
		(void)cfg_free(cfg);
	complaint_error(outline->complaints, outline->main->name, 0,
			"libconfuse could not read the file; write its options in the "
			"form that relayd.conf(5) shows");
	return NULL;
}

/* From libconfuse's values to settings, everything checked. */
static void
settings_fill(struct reader *reader)
{
	struct settings *settings = reader->settings;

	globals_read(reader);
	replies_read(reader);
	shared_read(reader);
	accepted_domains_read(reader);
	tables_read(reader);
	sasl_read(reader);
	auth_ban_read(reader);
	tls_read(reader);
	connectors_read(reader);
	pickup_read(reader);
	metrics_read(reader);
	routes_read(reader);
	grants_read(reader);
	if (reader->complaints->error_count > 0)
		return; /* what follows compares the parts with one another */
	auth_check(reader);
	routes_check(reader);
	monitor_check(reader);
	certificates_ask(reader);
	settings->policy = policy_new(&settings->source, policy_complaint, reader);
	if (settings->policy == NULL && reader->complaints->error_count == 0)
		complaint_error(reader->complaints, reader->outline->main->name, 0,
				"the policy could not be compiled");
}

struct settings *
settings_read(const struct config_input *input, settings_complain *complain,
	      void *context)
{
	struct settings *settings = memory_new(sizeof(*settings));
	struct complaints *complaints = memory_new(sizeof(*complaints));

	arena_init(&settings->arena, ARENA_BLOCK);

	/* Everything is spoken of relative to the directory of the main file. */
	struct span path = span_of(input->path);
	const char *slash = strrchr(input->path, '/');
	struct span directory =
	    span_first(path, slash == NULL ? 0 : (size_t)(slash - input->path) + 1);
	struct outline outline = {
		.arena = &settings->arena,
		.complaints = complaints,
		.main = config_file_new(&settings->arena, path, "",
					arena_copy_text(&settings->arena, directory)),
		.opens_files = input->opens_files,
	};
	cfg_t *cfg = NULL;

	settings->path = outline.main->path;
	if (outline_read(&outline, input->text)) {
		schema_check(&outline);
		cfg = outline_parse(&outline);
	}
	if (cfg != NULL) {
		struct reader reader = {
			.settings = settings,
			.arena = &settings->arena,
			.complaints = complaints,
			.input = input,
			.outline = &outline,
		};

		reader.root =
		    (struct section){ .reader = &reader, .cfg = cfg, .owner = "" };
		settings_fill(&reader);
		(void)cfg_free(cfg);
	}
	if (complaints->error_count > 0)
		settings_free(&settings);
	complaints_tell(complaints, complain, context);
	free(complaints);
	return settings;
}

struct settings *
settings_load(const char *path, settings_complain *complain, void *context)
{
	struct config_input input = { .path = path,
				      .opens_files = true,
				      .is_root = geteuid() == 0 };

	return settings_read(&input, complain, context);
}

/* The value of `name = "value"`, as text that stands for itself: no escapes. */
static struct span
item_plain_value(const struct outline_item *item)
{
	struct span text = { item->text, item->len };
	size_t sign = span_find(text, '=');

	if (sign == text.len)
		return (struct span){ NULL, 0 };
	text = span_trim(span_skip(text, sign + 1));
	if (text.len >= 2 && (text.ptr[0] == '"' || text.ptr[0] == '\'') &&
	    text.ptr[text.len - 1] == text.ptr[0])
		text = (struct span){ text.ptr + 1, text.len - 2 };
	return span_find(text, '\\') == text.len ? text : (struct span){ NULL, 0 };
}

char *
settings_state_directory_find(const char *path)
{
	struct complaints *complaints = memory_new(sizeof(*complaints));
	struct arena arena = { .blocks = NULL };
	struct outline outline = {
		.arena = &arena,
		.complaints = complaints,
		.main = config_file_new(&arena, span_of(path), "", ""),
		.opens_files = true,
	};
	struct span found = { NULL, 0 };

	if (outline_read(&outline, (struct span){ NULL, 0 })) {
		for (const struct outline_item *i = outline.items; i != NULL; i = i->next) {
			if (i->kind == OUTLINE_VALUE && span_equal(i->name, span_of("state-dir")))
				found = item_plain_value(i);
		}
	}
	char *copy = found.len == 0 ? NULL : memory_copy_text(found);

	complaints_tell(complaints, NULL, NULL);
	free(complaints);
	arena_reset(&arena);
	return copy;
}

void
settings_free(struct settings **settings)
{
	if (*settings == NULL)
		return;
	policy_free(&(*settings)->policy);
	arena_reset(&(*settings)->arena);
	free(*settings);
	*settings = NULL;
}
