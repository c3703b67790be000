/* SPDX-License-Identifier: ISC */
/*
 * The pre-pass in front of libconfuse: the outline of a configuration and of the files that
 * it includes. libconfuse takes a missing "}" for a success, drops an unquoted "*", fetches
 * "${NAME}" from the environment, and forgets on which line anything stood. So every file
 * is first looked through here: comments are blanked, brackets and quotes must be closed,
 * what libconfuse would change silently is refused, and each section, option and value is
 * noted with the line on which it stands. What remains is clean text for libconfuse, which
 * reads the values.
 *
 *	file    = *( item / include )
 *	include = "include" "(" value ")"
 *	item    = name "=" value / name "=" "{" [ value *( "," value ) [","] ] "}"
 *	        / name [value] "{" *item "}"
 *	value   = "..." / '...' / word
 */
#ifndef RELAYD_CONFIG_OUTLINE_H
#define RELAYD_CONFIG_OUTLINE_H

#include "base/arena.h"
#include "config/complaint.h"

#define CONFIG_OCTETS_MAX  (16u * 1024 * 1024) /* of one configuration file */
#define INCLUDE_DEPTH_MAX  8
#define SECTION_DEPTH_MAX  4

/* A configuration file, or a table file. */
struct config_file {
	const char *path;      /* to open it */
	const char *name;      /* to speak of it: less the main file's directory */
	const char *directory; /* in which its relative paths begin; with the last "/", or "" */
};

enum outline_kind {
	OUTLINE_VALUE,	 /* name = value */
	OUTLINE_LIST,	 /* name = { values } */
	OUTLINE_SECTION, /* name title { items } */
};

struct outline_item {
	struct outline_item *next;
	enum outline_kind kind;
	struct span name;
	struct span title; /* as written, quotes taken off */
	bool has_title;
	bool is_refused; /* complained of, and not for libconfuse to see */
	const struct config_file *file;
	unsigned line;	       /* of the name */
	const unsigned *lines; /* of each value */
	size_t value_count;
	char *text; /* all of it, from the name on */
	size_t len;
	struct outline_item *items; /* of a section */
};

struct outline {
	struct arena *arena; /* borrowed; holds everything */
	struct complaints *complaints;
	const struct config_file *main;
	bool opens_files; /* false: only the text that was given is read (fuzzing) */
	struct outline_item *items;
};

/*
 * Read the main file, and what it includes, into outline->items. text_given: the main file's
 * content, in place of reading it; ptr NULL: read the file. The outline's other members are
 * set by the caller. False when a file was not readable or not well formed: complained of.
 */
bool outline_read(struct outline *outline, struct span text_given);

/* Take the item out of what libconfuse will see. */
void outline_refuse(struct outline_item *item);

/* What libconfuse shall read: all that was not refused, in order. Appended to out. */
void outline_text(const struct outline *outline, struct buffer *out);

/*
 * The file at a path written in a file of this directory; named for messages relative to
 * the main file's directory where it lies below that.
 */
const struct config_file *config_file_new(struct arena *arena, struct span path,
					  const char *directory, const char *main_directory);

/*
 * The whole content in the arena, NUL behind it; false and *fault when that cannot be, or
 * when there are more than max octets.
 */
bool config_file_read(const struct config_file *file, struct arena *arena, size_t max,
		      char **text, size_t *len, struct fault *fault);

#endif
