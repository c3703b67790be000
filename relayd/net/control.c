/* SPDX-License-Identifier: ISC */
/* Asking the running daemon; see control.h. */
#include "net/control.h"

#include "base/json.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_OCTETS 65536

static enum control_status
socket_connect(const char *state_directory, int *fd, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int used = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" CONTROL_SOCKET,
			    state_directory);

	if (used < 0 || (size_t)used >= sizeof(address.sun_path)) {
		fault_say(fault, "%s/" CONTROL_SOCKET " is too long for a socket's name",
			  state_directory);
		return CONTROL_FAILED;
	}
	*fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (*fd == -1) {
		fault_set(fault, "socket");
		return CONTROL_FAILED;
	}
	if (connect(*fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return CONTROL_ANSWERED;
	bool is_absent = errno == ENOENT || errno == ECONNREFUSED;

	fault_setf(fault, "connect %s", address.sun_path);
	(void)close(*fd);
	return is_absent ? CONTROL_NOT_RUNNING : CONTROL_FAILED;
}

static bool
octets_send(int fd, struct span octets, struct fault *fault)
{
	while (octets.len > 0) {
		ssize_t n = send(fd, octets.ptr, octets.len, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return fault_set(fault, "ask relayd");
		octets = span_skip(octets, (size_t)n);
	}
	return true;
}

/* Read until a newline or the end. */
static bool
answer_read(int fd, int timeout_ms, struct buffer *answer, struct fault *fault)
{
	size_t start = answer->len;

	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int ready = poll(&wait, 1, timeout_ms);

		if (ready == -1 && errno == EINTR)
			continue;
		if (ready == -1)
			return fault_set(fault, "wait for relayd");
		if (ready == 0)
			return fault_say(fault, "relayd did not answer within %d s",
					 timeout_ms / 1000);
		char *place = buffer_reserve(answer, READ_OCTETS);

		if (place == NULL)
			return fault_say(fault, "relayd's answer is too long");
		ssize_t n = read(fd, place, READ_OCTETS);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return fault_set(fault, "read relayd's answer");
		if (n == 0)
			break;
		buffer_claim(answer, (size_t)n);
		if (answer->ptr[answer->len - 1] == '\n') {
			answer->len--;
			break;
		}
	}
	return answer->len > start || fault_say(fault, "relayd hung up without an answer");
}

enum control_status
control_ask_json(const char *state_directory, struct span question, int timeout_ms,
		 struct buffer *answer, struct fault *fault)
{
	int fd;
	enum control_status status = socket_connect(state_directory, &fd, fault);

	if (status != CONTROL_ANSWERED)
		return status;
	bool succeeded = octets_send(fd, question, fault) &&
			 octets_send(fd, span_of("\n"), fault) &&
			 answer_read(fd, timeout_ms, answer, fault);

	(void)close(fd);
	return succeeded ? CONTROL_ANSWERED : CONTROL_FAILED;
}

enum control_status
control_ask(const char *state_directory, const char *command, int timeout_ms,
	    struct buffer *answer, struct fault *fault)
{
	struct buffer question;
	struct json j = json_on(&question);

	buffer_init(&question, 1000);
	json_object_begin(&j, NULL);
	json_cstring(&j, "command", command);
	json_object_end(&j);
	enum control_status status = control_ask_json(state_directory, buffer_span(&question),
						      timeout_ms, answer, fault);

	buffer_reset(&question);
	return status;
}
