/* SPDX-License-Identifier: ISC */
/* The configuration of relayd-sendmail: a small file of its own, which every user may read. */
#ifndef RELAYD_CONFIG_SENDMAIL_FILE_H
#define RELAYD_CONFIG_SENDMAIL_FILE_H

#include "base/arena.h"
#include "base/fault.h"
#include "net/submit.h"

#define SENDMAIL_PATH_DEFAULT "/etc/relayd/sendmail.conf"

struct sendmail_settings {
	struct submit_server server;
	const char *password_file; /* NULL: no login */
	const char *pickup;	   /* directory to leave a message in that the server
				      cannot take now; NULL: none */
	const char *domain;	   /* of senders without one; NULL: this machine's name */
};

/*
 * Read the file into the arena. A file that is missing gives the defaults, unless it must be
 * there. False and *fault ("sendmail.conf:3: ...") when something in it is wrong.
 */
bool sendmail_file_read(const char *path, bool must_exist, struct arena *arena,
			struct sendmail_settings *settings, struct fault *fault) MUST_CHECK;

/* "HOST", "HOST:PORT", "[IPV6]:PORT" into the arena; the port stays when there is none. */
bool sendmail_server_parse(const char *text, struct arena *arena,
			   struct submit_server *server) MUST_CHECK;

#endif
