/* SPDX-License-Identifier: ISC */
/* Talking to the service manager; see notify.h. */
#include "net/notify.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 1024

bool
notify_init(struct notify *notify, const char *socket_path, struct fault *fault)
{
	struct span path = span_of(socket_path);

	*notify = (struct notify){ .path_len = 0 };
	if (socket_path == NULL)
		return true;
	if (path.len < 2 || path.len > sizeof(notify->path) - 1 ||
	    (path.ptr[0] != '/' && path.ptr[0] != '@'))
		return fault_say(fault, "NOTIFY_SOCKET is not the path of a socket");
	memcpy(notify->path, path.ptr, path.len);
	if (notify->path[0] == '@')
		notify->path[0] = '\0';
	notify->path_len = path.len;
	return true;
}

/* Best effort: a service manager that cannot be told is no reason not to serve mail. */
static void
notify_send(const struct notify *notify, struct span message)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t size = offsetof(struct sockaddr_un, sun_path) + notify->path_len;
	int fd;

	_Static_assert(sizeof(address.sun_path) >= sizeof(notify->path), "a path must fit");
	if (notify->path_len == 0)
		return;
	memcpy(address.sun_path, notify->path, notify->path_len);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return;
	(void)sendto(fd, message.ptr, message.len, MSG_NOSIGNAL,
		     (const struct sockaddr *)&address, (socklen_t)size);
	(void)close(fd);
}

/* state, with the status as a line of its own in which nothing can pass for another line. */
static void
notify_say(const struct notify *notify, const char *state, const char *status)
{
	struct buffer message;

	if (notify->path_len == 0)
		return;
	buffer_init(&message, MESSAGE_MAX);
	(void)buffer_append_text(&message, state);
	if (status != NULL && buffer_append_text(&message, "STATUS=")) {
		for (const char *p = status; *p != '\0'; p++)
			(void)buffer_append_byte(&message, ascii_is_control(*p) ? ' ' : *p);
	}
	notify_send(notify, buffer_span(&message));
	buffer_reset(&message);
}

void
notify_ready(const struct notify *notify, const char *status)
{
	notify_say(notify, "READY=1\n", status);
}

void
notify_reloading(const struct notify *notify, const char *status)
{
	struct buffer state;

	buffer_init(&state, 64);
	(void)buffer_printf(&state, "RELOADING=1\nMONOTONIC_USEC=%lld\n",
			    (long long)(clock_monotonic_ns() / 1000));
	notify_say(notify, buffer_text(&state), status);
	buffer_reset(&state);
}

void
notify_stopping(const struct notify *notify, const char *status)
{
	notify_say(notify, "STOPPING=1\n", status);
}

void
notify_status(const struct notify *notify, const char *status)
{
	notify_say(notify, "", status);
}

void
notify_main_pid(const struct notify *notify, pid_t pid)
{
	struct buffer state;

	buffer_init(&state, 32);
	(void)buffer_printf(&state, "MAINPID=%lld\n", (long long)pid);
	notify_say(notify, buffer_text(&state), NULL);
	buffer_reset(&state);
}

/* --- sockets that were handed to us -------------------------------------------------- */

static bool
listener_take(int fd, struct notify_listen *out, struct fault *fault)
{
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	socklen_t size = sizeof(address), int_size = sizeof(int);
	int is_listening = 0, flags = fcntl(fd, F_GETFL);

	if (flags == -1 || fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
		return fault_setf(fault, "LISTEN_FDS: use of descriptor %d", fd);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &int_size) == -1 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) == -1)
		return fault_setf(fault, "LISTEN_FDS: look at descriptor %d", fd);
	if (is_listening == 0 ||
	    (address.ss_family != AF_INET && address.ss_family != AF_INET6))
		return fault_say(fault, "LISTEN_FDS: descriptor %d is no listening TCP socket",
				 fd);
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return fault_setf(fault, "LISTEN_FDS: set descriptor %d non-blocking", fd);
	*out = (struct notify_listen){ .fd = fd, .at = ip_of_sockaddr(&address) };
	return true;
}

bool
notify_take_listeners(const char *listen_pid, const char *listen_fds, pid_t self,
		      struct notify_listen out[NOTIFY_LISTEN_MAX], size_t *count,
		      struct fault *fault)
{
	uint64_t pid, fds;

	*count = 0;
	if (listen_pid == NULL || listen_fds == NULL)
		return true;
	if (number_parse(span_of(listen_pid), INT32_MAX, &pid) != PARSE_OK ||
	    number_parse(span_of(listen_fds), NOTIFY_LISTEN_MAX, &fds) != PARSE_OK)
		return fault_say(fault, "LISTEN_PID or LISTEN_FDS is not a number in range");
	if (pid != (uint64_t)self)
		return true;
	for (size_t i = 0; i < fds; i++) {
		if (!listener_take(NOTIFY_LISTEN_FIRST + (int)i, &out[i], fault))
			return false;
	}
	*count = fds;
	return true;
}
