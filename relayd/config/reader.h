/* SPDX-License-Identifier: ISC */
/*
 * From the parsed configuration to settings: typed access to the options of a section, with
 * a complaint that names the line of the very value that is wrong, and the readers of each
 * kind of section. Private to config/.
 */
#ifndef RELAYD_CONFIG_READER_H
#define RELAYD_CONFIG_READER_H

#include "config/schema.h"
#include "config/settings.h"

/* What settings are made from; settings_load gives the path and what is true of the process. */
struct config_input {
	const char *path;
	struct span text; /* the main file's content in place of reading it; ptr NULL: read it */
	bool opens_files; /* false: what the text names is not opened either (fuzzing) */
	bool is_root;	  /* started as root: the account must be known */
};

/* settings_load, from any input. */
struct settings *settings_read(const struct config_input *input, settings_complain *complain,
			       void *context);

/* One section of the configuration; its values are libconfuse's, its lines the outline's. */
struct section {
	struct reader *reader;
	cfg_t *cfg;
	const struct outline_item *item; /* NULL: the top of the file */
	const char *owner;		 /* schema_owner_text */
};

struct reader {
	struct settings *settings; /* being made */
	struct arena *arena;	   /* the settings' */
	struct complaints *complaints;
	const struct config_input *input;
	const struct outline *outline;
	struct section root;

	/* the connectors while they are read: the settings', with room for one more */
	struct connector_source *connectors;
	struct session_settings *sessions;

	/* the sections that they were read from */
	struct section *connector_sections; /* one for each, but for the pickup directory's */
	size_t connector_section_count;
	struct section *grant_sections;
	struct section *route_sections;
};

/* All sections of a kind, in the order of the file; in the arena. */
struct section *sections_open(struct reader *reader, const char *name, size_t *count);

/* The one section of a kind without title; false when there is none. */
bool section_open(struct reader *reader, const char *name, struct section *out);

/* The one section of a kind inside another; false when there is none. */
bool section_inner(const struct section *outer, const char *name, struct section *out);

/* Complain of the section as a whole, at its first line: "grant \"x\" <format>". */
void section_complain(const struct section *section, const char *format, ...) PRINTF_LIKE(2, 3);

/* "connector \"x\" has no bindings; write for example ..." unless it stands there mistyped. */
void section_complain_missing(const struct section *section, const char *option,
			      const char *example);

/* Was something like this refused in the section? Then it may be there, mistyped. */
bool section_has_refused(const struct section *section, const char *option);

/* Is the option written there? */
bool section_has(const struct section *section, const char *option);

/* One value of an option: for complaints. */
struct value {
	const struct section *section;
	const char *option;
	struct span text;
	unsigned line;
};

/* "option 'x' of grant \"y\": 'text' <format>". */
void value_complain(const struct value *value, const char *format, ...) PRINTF_LIKE(2, 3);
void value_warn(const struct value *value, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * The value of an option; each in the form that its name says. All give the fallback where
 * the option is not written, and also, having complained, where it cannot be read.
 */
bool section_value(const struct section *section, const char *option, struct value *value);
bool section_value_at(const struct section *section, const char *option, size_t index,
		      struct value *value);
struct span section_text(const struct section *section, const char *option);
uint64_t section_size(const struct section *section, const char *option, uint64_t fallback,
		      uint64_t min, uint64_t max);
int64_t section_duration(const struct section *section, const char *option, int64_t fallback,
			 int64_t min, int64_t max);
int64_t section_date(const struct section *section, const char *option); /* 0: not written */
bool section_bool(const struct section *section, const char *option, bool fallback);
int section_choice(const struct section *section, const char *option,
		   const struct choice *choices, size_t count, int fallback);

/* has_unlimited: "unlimited" and 0 are taken, and give 0. */
uint32_t section_number(const struct section *section, const char *option, uint32_t fallback,
			uint32_t min, uint32_t max, bool has_unlimited);

/* All durations of a list; NULL and 0 where it is not written. */
const int64_t *section_durations(const struct section *section, const char *option,
				 size_t *count, int64_t min, int64_t max);

/* One word of a list or option; -1 and a complaint when there is no such one, or not yet. */
int choice_find(const struct value *value, const struct choice *choices, size_t count);

/* Is a value right? Complains where not. */
typedef bool value_check(const struct value *value);

/* Every value of a list. check NULL: all are right. Wrong ones are left out. */
struct text_list section_list(const struct section *section, const char *option,
			      value_check *check);

/* The same of a list that must be there and must not be empty. */
struct text_list section_list_required(const struct section *section, const char *option,
				       value_check *check, const char *example);

/* Complain when a list is written but has no value: "option 'x'...: the list is empty; <cure>". */
void section_complain_empty(const struct section *section, const char *option,
			    const char *cure);

/* An absolute path that is a directory's or file's name; complains of a relative one. */
struct span section_path(const struct section *section, const char *option);

/* mode and monitor-until. */
enum policy_mode section_mode(const struct section *section, int64_t *monitor_until_ms);

/* ---- Checks of values (value_check), in references.c ---- */

bool network_check(const struct value *value);	   /* address, prefix, range, table:NAME */
bool sender_check(const struct value *value);	   /* pattern, table:NAME */
bool recipient_check(const struct value *value);
bool user_check(const struct value *value);
bool sender_map_check(const struct value *value);
bool certificate_check(const struct value *value);
bool connector_name_check(const struct value *value);
bool route_name_check(const struct value *value);

/* "; did you mean 'x'?" or "", in the arena: the likest name in an array of structs. */
const char *name_guess(const struct value *value, const struct span *first_name, size_t count,
		       size_t stride);

/* ---- Readers of sections; each fills in its part of the settings ---- */

void globals_read(struct reader *reader);
void replies_read(struct reader *reader);
void shared_read(struct reader *reader);
void accepted_domains_read(struct reader *reader);
void tables_read(struct reader *reader);
void sasl_read(struct reader *reader);
void auth_ban_read(struct reader *reader);
void tls_read(struct reader *reader); /* before the connectors */
void connectors_read(struct reader *reader);
/* Of a route, after its next hops and its TLS; and mta-sts { }. */
void route_mx_read(const struct section *section, struct route_settings *route);
void sts_read(struct reader *reader);
void pickup_read(struct reader *reader); /* after the connectors, whose last it adds */
void routes_read(struct reader *reader);
void grants_read(struct reader *reader);

/* TLS, login and balance of a route whose next hops are known. */
void route_upstream_read(const struct section *section, struct route_settings *route);

/*
 * What no section can know alone. Every recipient that is accepted has a route: a grant names
 * one, or the patterns of the routes hold those of the grant. And monitor mode, which accepts
 * everything, is not open to every network.
 */
void routes_check(struct reader *reader);
void monitor_check(struct reader *reader);

/* Mechanisms that the source of logins cannot serve; users that nobody could prove to be. */
void auth_check(struct reader *reader);

/* The mechanisms of a connector, in its order of preference. */
void mechanisms_read(const struct section *section, struct session_settings *session);
/* The tls section of a connector with this demand; complains where there is none for it. */
size_t connector_tls_section(const struct section *section, enum tls_demand demand);

/* Which connectors ask for a client's certificate: those where some grant does, or AUTH. */
void certificates_ask(struct reader *reader);

/* Can a name in a client's certificate count for the grant: has some connector a client-ca? */
bool settings_grant_has_client_ca(const struct settings *settings,
				  const struct grant_source *grant);

/*
 * The entries of a table file: one a line, "#" comments, blank lines. Complains at the
 * option's line when it cannot be read, at the file's line when one cannot be text.
 */
void table_file_read(struct reader *reader, const struct value *path,
		     struct table_source *table);

#endif
