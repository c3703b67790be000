/* SPDX-License-Identifier: ISC */
/*
 * tls sections, and what connectors do with them; see reader.h. The files that they name are
 * not opened here, but by who may read them: tls_server_new.
 */
#include "config/reader.h"
#include "config/value.h"

#define PAIR_EXAMPLE                                                                     \
	"certificate = \"/etc/relayd/tls/fullchain.pem\"  key = "                        \
	"\"/etc/relayd/tls/key.pem\""

static bool
path_check(const struct value *value)
{
	if (value->text.len > 0 && value->text.ptr[0] == '/')
		return true;
	value_complain(value, "is not an absolute path; write one that begins with \"/\"");
	return false;
}

/* Of the certificates that come behind the same commas; "" for one that has none. */
static bool
staple_check(const struct value *value)
{
	return value->text.len == 0 || path_check(value);
}

static bool
server_name_check(const struct value *value)
{
	struct span name = value->text;

	if (span_starts_fold(name, span_of("*.")))
		name = span_skip(name, 2);
	if (domain_is_valid(name))
		return true;
	value_complain(value, "is not a host name; write for example \"mx.example.com\" or "
			      "\"*.example.com\"");
	return false;
}

static const char *const *
texts_copy(struct arena *arena, const struct text_list *list)
{
	const char **texts = arena_new_array(arena, list->count, sizeof(*texts));

	for (size_t i = 0; i < list->count; i++)
		texts[i] = arena_copy_text(arena, list->items[i]);
	return texts;
}

/* "names 2 certificates but 1 key": the lists belong together, item by item. */
static bool
list_belongs(const struct section *section, const struct text_list *certificates,
	     const struct text_list *list, const char *option, const char *what)
{
	if (list->count == 0 || list->count == certificates->count)
		return true;
	section_complain(section,
			 "names %zu certificates and %zu %s; write %s for each certificate, in "
			 "the same order, or remove '%s'%s",
			 certificates->count, list->count, what,
			 strcmp(option, "key") == 0 ? "one key" : "one (or \"\")", option,
			 strcmp(option, "key") == 0 ? " if the keys are in the same files" : "");
	return false;
}

static void
pairs_read(const struct section *section, struct tls_settings *tls)
{
	struct arena *arena = section->reader->arena;
	struct text_list certificates =
	    section_list_required(section, "certificate", path_check,
				  "\"/etc/relayd/tls/fullchain.pem\"");
	struct text_list keys = section_list(section, "key", path_check);
	struct text_list staples = section_list(section, "ocsp-staple", staple_check);
	struct tls_pair *pairs = arena_new_array(arena, certificates.count, sizeof(*pairs));

	if (!list_belongs(section, &certificates, &keys, "key", "keys") ||
	    !list_belongs(section, &certificates, &staples, "ocsp-staple", "staples"))
		return;
	for (size_t i = 0; i < certificates.count; i++) {
		pairs[i].certificate = arena_copy_text(arena, certificates.items[i]);
		if (keys.count > 0)
			pairs[i].key = arena_copy_text(arena, keys.items[i]);
		if (staples.count > 0 && staples.items[i].len > 0)
			pairs[i].ocsp_staple = arena_copy_text(arena, staples.items[i]);
	}
	tls->pairs = pairs;
	tls->pair_count = certificates.count;
}

static void
section_read(const struct section *section, struct tls_settings *tls)
{
	static const struct choice profiles[] = {
		{ "modern", TLS_MODERN, IN_THIS_RELEASE },
		{ "intermediate", TLS_INTERMEDIATE, IN_THIS_RELEASE },
		{ "legacy", TLS_LEGACY, IN_THIS_RELEASE },
	};
	struct arena *arena = section->reader->arena;
	struct text_list names = section_list(section, "server-names", server_name_check);
	struct span client_ca = section_path(section, "client-ca");

	*tls = (struct tls_settings){
		.name = arena_copy_text(arena, section->item->title),
		.server_names = texts_copy(arena, &names),
		.server_name_count = names.count,
		.client_ca = client_ca.len == 0 ? NULL : arena_copy_text(arena, client_ca),
		.profile = (enum tls_profile)section_choice(section, "profile", profiles,
							    ARRAY_LEN(profiles),
							    TLS_INTERMEDIATE),
	};
	pairs_read(section, tls);
}

void
tls_read(struct reader *reader)
{
	struct settings *settings = reader->settings;
	const struct section *sections = sections_open(reader, "tls", &settings->tls_count);
	struct tls_settings *tls =
	    arena_new_array(reader->arena, settings->tls_count, sizeof(*tls));

	for (size_t i = 0; i < settings->tls_count; i++)
		section_read(&sections[i], &tls[i]);
	settings->tls = tls;
}

/* ---- Connectors ---- */

/* Its index, or the number of sections. */
static size_t
section_find(const struct settings *settings, struct span name)
{
	size_t i = 0;

	while (i < settings->tls_count && !span_equal_fold(span_of(settings->tls[i].name), name))
		i++;
	return i;
}

static void
section_name_complain(const struct value *value, const struct settings *settings)
{
	struct span *names =
	    arena_new_array(value->section->reader->arena, settings->tls_count, sizeof(*names));

	for (size_t i = 0; i < settings->tls_count; i++)
		names[i] = span_of(settings->tls[i].name);
	value_complain(value, "is not the name of a tls section%s",
		       name_guess(value, names, settings->tls_count, sizeof(*names)));
}

/* The section that a connector names, the one called "default", or the only one. */
static size_t
section_choose(const struct section *section)
{
	const struct settings *settings = section->reader->settings;
	struct value value;
	size_t found;

	if (section_value(section, "tls-section", &value)) {
		found = section_find(settings, value.text);
		if (found < settings->tls_count)
			return found;
		section_name_complain(&value, settings);
		return 0;
	}
	found = section_find(settings, span_of("default"));
	if (found < settings->tls_count)
		return found;
	if (settings->tls_count > 1)
		section_complain(section,
				 "has to say which of the %zu tls sections is its own; write for "
				 "example tls-section = \"%s\", or call one of them \"default\"",
				 settings->tls_count, settings->tls[0].name);
	return 0;
}

size_t
connector_tls_section(const struct section *section, enum tls_demand demand)
{
	struct value value;

	if (demand == TLS_NONE) {
		if (section_value(section, "tls-section", &value))
			value_complain(&value, "has no effect without TLS; write tls = "
					       "\"offered\" (or \"required\", \"implicit\"), or "
					       "remove it");
		return 0;
	}
	if (section->reader->settings->tls_count > 0)
		return section_choose(section);
	/* one that is there and was refused has been complained of */
	if (section_value(section, "tls", &value) &&
	    !section_has_refused(&section->reader->root, "tls"))
		value_complain(&value, "needs a certificate, and there is no section tls; write "
				       "tls \"default\" { " PAIR_EXAMPLE " }");
	return 0;
}

static bool
grant_is_on(const struct grant_source *grant, struct span connector)
{
	for (size_t i = 0; i < grant->connectors.count; i++) {
		if (span_equal(grant->connectors.items[i], connector))
			return true;
	}
	return grant->connectors.count == 0;
}

/* Does AUTH take a certificate for a login there? */
static bool
has_external(const struct section *section)
{
	struct value value;

	for (size_t i = 0; section_value_at(section, "auth-mechanisms", i, &value); i++) {
		if (span_equal_fold(value.text, span_of("EXTERNAL")))
			return true;
	}
	return false;
}

void
certificates_ask(struct reader *reader)
{
	const struct policy_source *source = &reader->settings->source;

	for (size_t c = 0; c < source->connector_count; c++) {
		struct session_settings *session = &reader->settings->connectors[c];

		if (session->tls == TLS_NONE)
			continue; /* the one of pickup { } has no section, either */
		session->wants_certificate = has_external(&reader->connector_sections[c]);
		for (size_t g = 0; g < source->grant_count; g++) {
			if (source->grants[g].certificates.count > 0 &&
			    grant_is_on(&source->grants[g], session->name))
				session->wants_certificate = true;
		}
	}
}

/* ---- Lint ---- */

bool
settings_grant_has_client_ca(const struct settings *settings, const struct grant_source *grant)
{
	for (size_t i = 0; i < settings->source.connector_count; i++) {
		const struct session_settings *connector = &settings->connectors[i];

		if (connector->tls != TLS_NONE && grant_is_on(grant, connector->name) &&
		    settings->tls[connector->tls_section].client_ca != NULL)
			return true;
	}
	return false;
}
