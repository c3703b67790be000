/* SPDX-License-Identifier: ISC */
/*
 * The control socket, state-dir/control.sock: a client sends one line of JSON, {"command":
 * "status"}, and gets one line of JSON back. Who may connect is a matter of the socket's
 * permissions (the account that relayd runs as, its group, and root).
 */
#define _GNU_SOURCE /* accept4, struct ucred */
#include "base/json.h"
#include "base/memory.h"
#include "daemon/control_request.h"
#include "daemon/supervisor_private.h"
#include "net/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_OCTETS_MAX (64U << 10) /* some thousand ids */
#define ANSWER_OCTETS_MAX  (16U << 20)
#define ERRORS_OCTETS_MAX  (64U << 10)
#define CLIENTS_MAX	   64
#define CLIENT_TIME_MS	   60000
#define ORDER_TIME_MS	   600000 /* while the queue is gone through for it */

struct control_client {
	struct list link;
	struct supervisor *supervisor;
	struct stream stream;
	struct loop_timer timer;
	uid_t uid;
	bool waits_for_reload;
	bool waits_for_order;
	bool is_answered;
};

static void
client_free(struct control_client *client)
{
	orders_client_left(client->supervisor, client);
	loop_timer_cancel(client->supervisor->loop, &client->timer);
	stream_close(&client->stream);
	list_remove(&client->link);
	free(client);
}

static void
client_answer(struct control_client *client, struct buffer *answer)
{
	buffer_append_byte(answer, '\n');
	client->is_answered = true;
	client->waits_for_reload = false;
	client->waits_for_order = false;
	(void)stream_write(&client->stream, buffer_span(answer));
}

/* {"ok":false,"errors":[..]}: one string for each line of errors. */
static void
failure_answer(struct control_client *client, struct span errors)
{
	struct buffer answer;
	struct json j = json_on(&answer);

	buffer_init(&answer, ANSWER_OCTETS_MAX);
	json_object_begin(&j, NULL);
	json_bool(&j, "ok", false);
	json_array_begin(&j, "errors");
	while (errors.len > 0) {
		size_t end = span_find(errors, '\n');

		json_text(&j, NULL, span_first(errors, end));
		errors = span_skip(errors, end < errors.len ? end + 1 : end);
	}
	json_array_end(&j);
	json_object_end(&j);
	client_answer(client, &answer);
	buffer_reset(&answer);
}

static void
success_answer(struct control_client *client)
{
	const struct supervisor *supervisor = client->supervisor;
	struct buffer answer;
	struct json j = json_on(&answer);
	char hash[17];

	policy_hash(supervisor->current->settings->policy, hash);
	buffer_init(&answer, ANSWER_OCTETS_MAX);
	json_object_begin(&j, NULL);
	json_bool(&j, "ok", true);
	json_cstring(&j, "policy", hash);
	json_object_end(&j);
	client_answer(client, &answer);
	buffer_reset(&answer);
}

static void
status_command(struct control_client *client)
{
	struct buffer answer;

	buffer_init(&answer, ANSWER_OCTETS_MAX);
	status_write(client->supervisor, &answer);
	client_answer(client, &answer);
	buffer_reset(&answer);
}

static void
reload_command(struct control_client *client)
{
	struct buffer errors;

	buffer_init(&errors, ERRORS_OCTETS_MAX);
	client->waits_for_reload = true;
	if (!supervisor_reload(client->supervisor, &errors) && client->waits_for_reload)
		failure_answer(client, buffer_span(&errors));
	buffer_reset(&errors);
}

static void
queue_command(struct control_client *client, const struct control_request *request,
	      struct span line)
{
	struct supervisor *supervisor = client->supervisor;
	const char *refusal;

	client->waits_for_order = true;
	loop_timer_set(supervisor->loop, &client->timer, ORDER_TIME_MS);
	refusal = order_begin(supervisor, request, line, client->uid, client);
	if (refusal != NULL)
		failure_answer(client, span_of(refusal));
}

void
control_order_ended(struct control_client *client, struct buffer *answer)
{
	client_answer(client, answer);
}

static void
command_run(struct control_client *client, const struct control_request *request,
	    struct span line)
{
	if (strcmp(request->command, "status") == 0)
		status_command(client);
	else if (strcmp(request->command, "reload") == 0)
		reload_command(client);
	else if (strcmp(request->command, "queue") == 0)
		queue_command(client, request, line);
	else
		failure_answer(client, span_of("unknown command; status, reload and queue are "
					       "there"));
}

static void
request_take(struct control_client *client, struct span line)
{
	struct control_request request;
	struct arena arena;
	const char *why;

	arena_init(&arena, 0);
	if (client->supervisor->current == NULL)
		failure_answer(client, span_of("relayd is still starting"));
	else if (control_request_parse(line, &arena, &request, &why) != PARSE_OK)
		failure_answer(client, span_of(why));
	else
		command_run(client, &request, line);
	arena_reset(&arena);
}

static size_t
client_received(struct stream *stream, struct span bytes)
{
	struct control_client *client = LIST_OWNER(stream, struct control_client, stream);
	size_t end = span_find(bytes, '\n');

	if (client->is_answered || client->waits_for_reload || client->waits_for_order)
		return bytes.len;
	if (end < bytes.len) {
		request_take(client, span_first(bytes, end));
		return bytes.len;
	}
	if (bytes.len >= REQUEST_OCTETS_MAX)
		failure_answer(client, span_of("the request is too long"));
	return 0;
}

static void
client_ended(struct stream *stream, enum stream_end how)
{
	(void)how;
	client_free(LIST_OWNER(stream, struct control_client, stream));
}

static void
client_drained(struct stream *stream)
{
	struct control_client *client = LIST_OWNER(stream, struct control_client, stream);

	if (client->is_answered)
		client_free(client);
}

static void
client_timer_expired(struct loop_timer *timer)
{
	client_free(LIST_OWNER(timer, struct control_client, timer));
}

/* Who is at the other end; -1, an account that nobody has, when the kernel does not say. */
static uid_t
peer_uid(int fd)
{
	struct ucred peer;
	socklen_t octets = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &octets) == 0 ? peer.uid :
									      (uid_t)-1;
}

static void
client_take(struct supervisor *supervisor, int fd)
{
	static const struct stream_events events = {
		.received = client_received,
		.ended = client_ended,
		.drained = client_drained,
	};
	struct control_client *client = memory_new(sizeof(*client));
	struct fault fault = { .error = 0 };

	client->supervisor = supervisor;
	client->uid = peer_uid(fd);
	client->timer.expired = client_timer_expired;
	list_init(&client->link);
	if (!stream_accept(&client->stream, supervisor->loop, fd, &events, REQUEST_OCTETS_MAX,
			   ANSWER_OCTETS_MAX, &fault)) {
		log_warn(supervisor->log, "control: %s", fault_text(&fault));
		(void)close(fd);
		free(client);
		return;
	}
	list_append(&supervisor->control_clients, &client->link);
	loop_timer_set(supervisor->loop, &client->timer, CLIENT_TIME_MS);
}

static size_t
clients_count(const struct supervisor *supervisor)
{
	size_t count = 0;

	for (const struct list *l = supervisor->control_clients.next;
	     l != &supervisor->control_clients; l = l->next)
		count++;
	return count;
}

static void
control_ready(struct loop_watch *watch, unsigned events)
{
	struct supervisor *supervisor = LIST_OWNER(watch, struct supervisor, control);
	int fd;

	(void)events;
	while ((fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		if (clients_count(supervisor) < CLIENTS_MAX)
			client_take(supervisor, fd);
		else
			(void)close(fd);
	}
}

static bool
control_bind(int fd, const char *path, struct fault *fault)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return fault_say(fault, "%s is too long for a socket's name: choose a shorter "
					"state-dir", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* we hold the lock of the state directory: whose socket it was is gone */
	if (unlink(path) == -1 && errno != ENOENT)
		return fault_setf(fault, "unlink %s", path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == -1)
		return fault_setf(fault, "bind %s", path);
	if (chmod(path, 0660) == -1)
		return fault_setf(fault, "chmod %s", path);
	if (listen(fd, CLIENTS_MAX) == -1)
		return fault_setf(fault, "listen %s", path);
	return true;
}

bool
control_open(struct supervisor *supervisor, struct fault *fault)
{
	struct buffer path;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return fault_set(fault, "socket");
	buffer_init(&path, 4096);
	buffer_printf(&path, "%s/control.sock",
		      supervisor->candidate->settings->state_directory);
	bool ok = control_bind(fd, buffer_text(&path), fault);

	buffer_reset(&path);
	supervisor->control = (struct loop_watch){
		.ready = control_ready,
		.fd = fd,
		.wanted = LOOP_READ,
	};
	return ok && loop_watch_add(supervisor->loop, &supervisor->control, fault);
}

void
control_close(struct supervisor *supervisor)
{
	struct list *link;

	while ((link = supervisor->control_clients.next) != &supervisor->control_clients)
		client_free(LIST_OWNER(link, struct control_client, link));
	orders_drop(supervisor);
	if (supervisor->control.fd == -1)
		return;
	if (supervisor->control.is_watched)
		loop_watch_remove(supervisor->loop, &supervisor->control);
	(void)close(supervisor->control.fd);
	supervisor->control.fd = -1;
}

void
control_reload_ended(struct supervisor *supervisor, bool succeeded, struct span errors)
{
	struct list *next;

	for (struct list *l = supervisor->control_clients.next;
	     l != &supervisor->control_clients; l = next) {
		struct control_client *client = LIST_OWNER(l, struct control_client, link);

		next = l->next;
		if (!client->waits_for_reload)
			continue;
		if (succeeded)
			success_answer(client);
		else
			failure_answer(client, errors);
	}
}
