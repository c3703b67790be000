/* SPDX-License-Identifier: ISC */
/* Answering Prometheus; see metrics.h. One thread: who asks waits for who asked before. */
#include "daemon/metrics.h"

#include "daemon/metrics_text.h"
#include "net/control.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_TIMEOUT_MS 5000
#define CLIENTS_MAX	  32
#define CLIENT_TIMEOUT_S  10U
#define CLIENT_MEMORY	  ((size_t)16384) /* of a request's head */
#define POLL_MS		  60000

static enum MHD_Result
answer(struct MHD_Connection *connection, unsigned code, const char *type, struct span body)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    body.len, (void *)(uintptr_t)body.ptr, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result = MHD_NO;

	if (response == NULL)
		return MHD_NO;
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
	    (code != MHD_HTTP_METHOD_NOT_ALLOWED ||
	     MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD") == MHD_YES))
		result = MHD_queue_response(connection, code, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
answer_text(struct MHD_Connection *connection, unsigned code, const char *text)
{
	return answer(connection, code, "text/plain; charset=utf-8", span_of(text));
}

static enum MHD_Result
answer_figures(const struct metrics_start *start, struct MHD_Connection *connection)
{
	struct fault fault = { .error = 0 };
	struct buffer status, text;
	enum MHD_Result result;

	buffer_init(&status, CONTROL_ANSWER_OCTETS_MAX);
	buffer_init(&text, METRICS_OCTETS_MAX);
	if (control_ask(start->state_directory, "status", STATUS_TIMEOUT_MS, &status, &fault) !=
		CONTROL_ANSWERED ||
	    !metrics_text(buffer_span(&status), &text, &fault)) {
		log_warn(start->log, "%s", fault_text(&fault));
		result = answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
				     "no figures now; relayd's log says why\n");
	} else {
		result = answer(connection, MHD_HTTP_OK,
				"text/plain; version=0.0.4; charset=utf-8", buffer_span(&text));
	}
	buffer_reset(&status);
	buffer_reset(&text);
	return result;
}

/* Called for the head of a request, for each part of its body, and at its end. */
static enum MHD_Result
request_take(void *context, struct MHD_Connection *connection, const char *url,
	     const char *method, const char *version, const char *body, size_t *body_octets,
	     void **state)
{
	static char seen;

	(void)version;
	(void)body;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (*state == NULL) {
		*state = &seen;
		return MHD_YES;
	}
	*body_octets = 0;
	if (strcmp(url, "/metrics") != 0)
		return answer_text(connection, MHD_HTTP_NOT_FOUND, "figures are at /metrics\n");
	return answer_figures(context, connection);
}

static int
wait_ms(struct MHD_Daemon *daemon)
{
	MHD_UNSIGNED_LONG_LONG wanted = 0;

	if (MHD_get_timeout(daemon, &wanted) != MHD_YES || wanted > POLL_MS)
		return POLL_MS;
	return (int)wanted;
}

static int
serve(struct MHD_Daemon *daemon, const struct metrics_start *start)
{
	const union MHD_DaemonInfo *info =
	    MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);

	if (info == NULL)
		return EXIT_FAILURE;

	struct pollfd watched[] = {
		{ .fd = start->supervisor, .events = POLLIN },
		{ .fd = info->epoll_fd, .events = POLLIN },
	};

	for (;;) {
		if (poll(watched, 2, wait_ms(daemon)) == -1 && errno != EINTR)
			return EXIT_FAILURE;
		if (watched[0].revents != 0)
			return EXIT_SUCCESS;
		if (MHD_run(daemon) != MHD_YES)
			return EXIT_FAILURE;
	}
}

int
metrics_run(const struct metrics_start *start)
{
	(void)signal(SIGPIPE, SIG_IGN);

	struct MHD_Daemon *daemon = MHD_start_daemon(
	    MHD_USE_EPOLL, 0, NULL, NULL, request_take, (void *)(uintptr_t)start,
	    MHD_OPTION_LISTEN_SOCKET, start->listener, MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, CLIENT_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    CLIENT_MEMORY, MHD_OPTION_END);

	if (daemon == NULL) {
		log_error(start->log, "cannot start the HTTP server");
		return EXIT_FAILURE;
	}

	int status = serve(daemon, start);

	MHD_stop_daemon(daemon);
	if (status != EXIT_SUCCESS)
		log_error(start->log, "the HTTP server failed");
	return status;
}
