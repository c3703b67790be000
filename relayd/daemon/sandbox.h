/* SPDX-License-Identifier: ISC */
/*
 * Giving up power: the account, capabilities, file system and system calls that a process
 * does not need. What the kernel lacks is left out and said in the log.
 */
#ifndef RELAYD_DAEMON_SANDBOX_H
#define RELAYD_DAEMON_SANDBOX_H

#include "base/fault.h"
#include "base/log.h"

/*
 * Become the account (when root), for good, with no capability but (keeps_bind) the one to
 * bind ports below 1024. user NULL: stay who we are; unless that is root, whose rights are
 * its capabilities, these go too. No new privileges from here on. False and *fault when any
 * of it fails.
 */
bool privileges_drop(const char *user, bool keeps_bind, struct fault *fault);

/*
 * No core dump of this process and its children: there are keys or passwords in its memory.
 * Call it after privileges_drop, too: the kernel forgets it with a change of account.
 */
void dumps_forbid(void);

/* Give the directory to the account; made when missing (its parent must exist). */
bool directory_give(const char *path, const char *user, struct fault *fault);

/* What a process may get at besides the few places that every one needs. Borrowed. */
struct sandbox_paths {
	const char *const *readable;
	size_t readable_count;
	const char *const *writable;
	size_t writable_count;
};

/*
 * A worker's sandbox: files only below these paths (and a few read-only ones that name
 * resolution needs; of /etc no users file, no key), and only the system calls that a worker
 * makes; starting a program ends the process. A path that is a file stands for the file that
 * is there now, not for one that replaces it. Call it after privileges_drop and before the
 * first byte from the network.
 */
bool sandbox_enter(const struct sandbox_paths *paths, const struct log *log,
		   struct fault *fault);

/*
 * An auth helper's: it runs libraries whose system calls nobody can list (Cyrus SASL's plug-ins,
 * Kerberos, clients of databases), so it may read what its account may, write below
 * /tmp and /var/tmp (Kerberos' replay cache) only, and call all but what starts programs or
 * gets at other processes.
 */
bool sandbox_enter_helper(const struct log *log, struct fault *fault);

#endif
