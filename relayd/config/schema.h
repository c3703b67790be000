/* SPDX-License-Identifier: ISC */
/*
 * The configuration's schema: every section and option of relayd.conf(5), in
 * one table, whether this release can do it or not. What it cannot do is refused by name,
 * never ignored; a feature that arrives changes one word of the table.
 */
#ifndef RELAYD_CONFIG_SCHEMA_H
#define RELAYD_CONFIG_SCHEMA_H

#include "config/outline.h"

#include <confuse.h>

enum availability {
	NOT_YET, /* part of the format, but not in this release */
	IN_THIS_RELEASE,
};

enum option_kind {
	OPTION_VALUE,
	OPTION_LIST, /* also takes one value without braces */
	OPTION_SECTION,
	OPTION_TITLED_SECTION, /* any number, each with a title of its own */
};

struct option_schema {
	const char *name;
	enum option_kind kind;
	enum availability availability;
	const char *example;		      /* of a value, as written behind "=" */
	const struct section_schema *section; /* of the two section kinds */
};

struct section_schema {
	const struct option_schema *options;
	size_t count;
};

/* What may stand at the top of the file. */
extern const struct section_schema schema_root;

/* One of the words that an option takes. */
struct choice {
	const char *name;
	int value;
	enum availability availability;
};

/*
 * Hold the outline against the schema: unknown and unavailable options, a list where one
 * value belongs, missing titles, duplicates. Each is complained of and refused.
 */
void schema_check(struct outline *outline);

/* The schema as libconfuse wants it: every value a string. In the arena. */
cfg_opt_t *schema_options(const struct section_schema *schema, struct arena *arena);

/* " of grant \"billing\"" or " of queue"; empty for NULL, the top of the file. */
const char *schema_owner_text(const struct outline_item *section, struct arena *arena);

#endif
