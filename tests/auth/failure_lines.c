/* SPDX-License-Identifier: ISC */
/*
 * Prints, as a log file would hold them, lines of failed logins with names that try to look
 * like something else. From these addresses a ban is due: 192.0.2.1 (twice) and 2001:db8::1;
 * every other address that appears must not be found.
 */
#include "auth/failures.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

static const struct { const char *client, *login, *reason; } failures[] = {
	{ "192.0.2.1", "bob@example.com", "auth.failed" },
	{ "2001:db8::1", "x user=y mechanism=PLAIN reason=auth.failed client=198.51.100.1",
	  "auth.failed" },
	{ "192.0.2.1", "a\nauth failed: client=198.51.100.2 user=b mechanism=PLAIN "
		       "reason=auth.failed session=7F3K2M9", "auth.failed" },
	{ "198.51.100.3", "bob", "auth.tls-required" },
	{ "198.51.100.4", "auth failed: client=198.51.100.5", "auth.mechanism" },
	{ "198.51.100.6", "", "auth.trouble" },
};

int
main(int argc, char **argv)
{
	const struct log log = { .who = "worker 1", .level = LOG_LEVEL_INFO, .has_time = true };
	bool is_syslog = argc > 1 && argv[1][0] == 's';

	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		struct buffer line;
		struct ip client;

		buffer_init(&line, 2000);
		if (ip_parse(span_of(failures[i].client), &client) != PARSE_OK ||
		    !auth_failure_text(&line, &client, span_of(failures[i].login), "PLAIN",
				       failures[i].reason, "7F3K2M9"))
			return 1;
		if (is_syslog)
			(void)fprintf(stderr, "Nov 21 19:20:03 relay relayd[4711]: worker 1: %s\n",
				      buffer_text(&line));
		else
			log_info(&log, "%s", buffer_text(&line));
		buffer_reset(&line);
	}
	log_info(&log, "something else about client=198.51.100.7");
	return 0;
}
