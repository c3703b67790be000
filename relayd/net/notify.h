/* SPDX-License-Identifier: ISC */
/*
 * The service manager's two small protocols, by hand: sd_notify(3), and the sockets that
 * systemd opened for us, sd_listen_fds(3). Without a service manager all of it does nothing.
 */
#ifndef RELAYD_NET_NOTIFY_H
#define RELAYD_NET_NOTIFY_H

#include "base/fault.h"
#include "base/ip.h"

#include <sys/types.h>

#define NOTIFY_LISTEN_MAX   64
#define NOTIFY_LISTEN_FIRST 3 /* SD_LISTEN_FDS_START */

/* Embedded by value. */
struct notify {
	char path[108]; /* as in sockaddr_un; '@' stands for the abstract name space */
	size_t path_len; /* 0: nobody listens */
};

/*
 * Remember where to report: the value of NOTIFY_SOCKET, NULL when it is not set. False and
 * *fault when it is not a path that a socket can have; reports then go nowhere.
 */
bool notify_init(struct notify *notify, const char *socket_path, struct fault *fault);

/* What to say; status is one line for the operator, or NULL. Trouble is not reported. */
void notify_ready(const struct notify *notify, const char *status);
void notify_reloading(const struct notify *notify, const char *status);
void notify_stopping(const struct notify *notify, const char *status);
void notify_status(const struct notify *notify, const char *status);

/* After the supervisor went to the background itself: who it is now. */
void notify_main_pid(const struct notify *notify, pid_t pid);

/* A listening socket that was handed to us. */
struct notify_listen {
	int fd;
	struct ip_endpoint at;
};

/*
 * Take the sockets that LISTEN_PID and LISTEN_FDS (their values, NULL when not set) speak of:
 * into out, non-blocking and closed on exec; *count is how many. None when the variables are
 * not there or meant for another process than self. False and *fault when they make no sense
 * or a descriptor is not a listening TCP socket.
 */
bool notify_take_listeners(const char *listen_pid, const char *listen_fds, pid_t self,
			   struct notify_listen out[NOTIFY_LISTEN_MAX], size_t *count,
			   struct fault *fault);

#endif
