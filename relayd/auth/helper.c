/* SPDX-License-Identifier: ISC */
/* The auth helper's main loop; see helper.h. */
#include "auth/helper.h"

#include "auth/sasl.h"
#include "base/clock.h"
#include "base/memory.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS      60000
#define SLOW_STEP_MS  1000 /* after such a step those who wait are told that we live */

struct helper_dialog {
	uint64_t id;
	int64_t used_ms;
	struct sasl_dialog *sasl; /* NULL: a free place */
};

struct channel {
	int fd; /* -1: closed */
	struct helper_dialog *dialogs; /* made when first needed */
};

struct helper {
	const struct auth_helper_environment *environment;
	struct sasl_engine *engine;
	struct channel *channels;
	struct pollfd *polled; /* the channels, then the signals */
	int signal_fd;
	struct buffer out;
	size_t in_len;
	char in[AUTH_MESSAGE_MAX];
};

bool
auth_channel_open(int ends[2], struct fault *fault)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == -1)
		return fault_set(fault, "make a channel to an auth helper");
	return true;
}

/* ---- Dialogs of a channel ---- */

static struct helper_dialog *
dialog_find(struct channel *channel, uint64_t id)
{
	for (size_t i = 0; channel->dialogs != NULL && i < AUTH_CHANNEL_DIALOGS_MAX; i++) {
		if (channel->dialogs[i].sasl != NULL && channel->dialogs[i].id == id)
			return &channel->dialogs[i];
	}
	return NULL;
}

/* A free place, made by giving up the idlest dialog if need be. */
static struct helper_dialog *
dialog_place(struct channel *channel)
{
	if (channel->dialogs == NULL)
		channel->dialogs =
		    memory_new_array(AUTH_CHANNEL_DIALOGS_MAX, sizeof(*channel->dialogs));
	struct helper_dialog *idlest = &channel->dialogs[0];

	for (size_t i = 0; i < AUTH_CHANNEL_DIALOGS_MAX; i++) {
		struct helper_dialog *dialog = &channel->dialogs[i];

		if (dialog->sasl == NULL)
			return dialog;
		if (dialog->used_ms < idlest->used_ms)
			idlest = dialog;
	}
	sasl_dialog_free(&idlest->sasl);
	return idlest;
}

/* Forget the channel's dialogs that were last used at least idle_ms ago; how many stay. */
static size_t
dialogs_sweep(struct channel *channel, int64_t idle_ms)
{
	int64_t now_ms = clock_monotonic_ms();
	size_t kept = 0;

	for (size_t i = 0; channel->dialogs != NULL && i < AUTH_CHANNEL_DIALOGS_MAX; i++) {
		struct helper_dialog *dialog = &channel->dialogs[i];

		if (dialog->sasl != NULL && now_ms - dialog->used_ms >= idle_ms)
			sasl_dialog_free(&dialog->sasl);
		kept += dialog->sasl != NULL;
	}
	if (kept == 0) {
		free(channel->dialogs);
		channel->dialogs = NULL;
	}
	return kept;
}

static void
channel_close(struct channel *channel)
{
	(void)dialogs_sweep(channel, 0);
	(void)close(channel->fd);
	channel->fd = -1;
}

/* ---- Requests and answers ---- */

/* A worker that does not read its answers loses this one; its deadline tells it. */
static void
answer_send(struct helper *helper, struct channel *channel, const struct auth_answer *answer)
{
	buffer_clear(&helper->out);
	auth_answer_write(answer, &helper->out);
	if (send(channel->fd, helper->out.ptr, helper->out.len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    -1)
		log_warn(helper->environment->log, "an answer to a worker was lost");
}

static void
hello_send(struct helper *helper, struct channel *channel, uint64_t id)
{
	const struct auth_answer hello = {
		.id = id,
		.code = AUTH_HELLO,
		.mechanisms = sasl_engine_mechanisms(helper->engine),
		.pid = getpid(),
	};

	answer_send(helper, channel, &hello);
}

static void
life_show(struct helper *helper)
{
	for (size_t i = 0; i < helper->environment->channel_count; i++) {
		if (helper->channels[i].fd != -1)
			hello_send(helper, &helper->channels[i], 0);
	}
}

static void
dialog_go(struct helper *helper, struct channel *channel, struct helper_dialog *dialog,
	  const struct auth_request *request)
{
	struct auth_answer answer;
	int64_t began_ms = clock_monotonic_ms();

	sasl_dialog_step(dialog->sasl, request->has_data, request->data, &answer);
	memory_wipe(helper->in, helper->in_len); /* request->data is no more */
	answer.id = request->id;
	dialog->used_ms = clock_monotonic_ms();
	answer_send(helper, channel, &answer);
	if (answer.code != AUTH_CONTINUE)
		sasl_dialog_free(&dialog->sasl);
	if (dialog->used_ms - began_ms >= SLOW_STEP_MS)
		life_show(helper);
}

static void
request_handle(struct helper *helper, struct channel *channel,
	       const struct auth_request *request)
{
	static const struct auth_answer lost = { .code = AUTH_TROUBLE };
	struct helper_dialog *dialog = dialog_find(channel, request->id);
	struct auth_answer answer = lost;

	switch (request->op) {
	case AUTH_OP_START:
		if (dialog == NULL)
			dialog = dialog_place(channel);
		sasl_dialog_free(&dialog->sasl);
		dialog->id = request->id;
		dialog->sasl =
		    sasl_dialog_new(helper->engine, request->mechanism, &request->facts);
		dialog_go(helper, channel, dialog, request);
		break;
	case AUTH_OP_STEP:
		if (dialog != NULL) {
			dialog_go(helper, channel, dialog, request);
			break;
		}
		answer.id = request->id; /* it began with a helper that is no more */
		answer_send(helper, channel, &answer);
		break;
	case AUTH_OP_CANCEL:
		if (dialog != NULL)
			sasl_dialog_free(&dialog->sasl);
		break;
	case AUTH_OP_RESET:
		(void)dialogs_sweep(channel, 0);
		hello_send(helper, channel, 0);
		break;
	case AUTH_OP_SYNC:
		hello_send(helper, channel, request->id);
		break;
	case AUTH_OP_COUNT:
		break;
	}
}

/* One datagram, so that every channel has its turn. */
static void
channel_serve(struct helper *helper, struct channel *channel, bool is_hung_up)
{
	struct auth_request request;
	ssize_t len =
	    recv(channel->fd, helper->in, sizeof(helper->in), MSG_DONTWAIT | MSG_TRUNC);

	if (len == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (len == -1 || (len == 0 && is_hung_up)) {
		channel_close(channel);
		return;
	}
	helper->in_len = (size_t)len < sizeof(helper->in) ? (size_t)len : sizeof(helper->in);
	if (helper->in_len < (size_t)len ||
	    auth_request_read((struct span){ helper->in, helper->in_len }, &request) != PARSE_OK)
		log_warn(helper->environment->log, "a worker sent what is no request");
	else
		request_handle(helper, channel, &request);
	memory_wipe(helper->in, helper->in_len);
}

/* ---- The process ---- */

/* Nothing of this process is to be read by others, dead or alive. */
static bool
memory_protect(struct fault *fault)
{
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

	if (setrlimit(RLIMIT_CORE, &none) == -1)
		return fault_set(fault, "turn off core dumps");
	if (prctl(PR_SET_DUMPABLE, 0) == -1)
		return fault_set(fault, "become undumpable");
	return true;
}

static bool
signals_take(struct helper *helper, struct fault *fault)
{
	const struct sigaction ignored = { .sa_handler = SIG_IGN };
	sigset_t wanted;

	(void)sigaction(SIGINT, &ignored, NULL); /* the supervisor says when */
	(void)sigaction(SIGHUP, &ignored, NULL);
	(void)sigaction(SIGPIPE, &ignored, NULL);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &wanted, NULL) == -1)
		return fault_set(fault, "block SIGTERM");
	helper->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	return helper->signal_fd != -1 || fault_set(fault, "signalfd");
}

static bool
helper_start(struct helper *helper, struct fault *fault)
{
	const struct auth_helper_environment *e = helper->environment;

	helper->signal_fd = -1;
	buffer_init(&helper->out, AUTH_MESSAGE_MAX);
	helper->channels = memory_new_array(e->channel_count + 1, sizeof(*helper->channels));
	helper->polled = memory_new_array(e->channel_count + 1, sizeof(*helper->polled));
	for (size_t i = 0; i < e->channel_count; i++)
		helper->channels[i].fd = e->channels[i];
	if (!memory_protect(fault) || !signals_take(helper, fault))
		return false;
	helper->engine = sasl_engine_new(e->settings, e->log, fault);
	return helper->engine != NULL;
}

static void
helper_end(struct helper *helper)
{
	for (size_t i = 0; i < helper->environment->channel_count; i++) {
		if (helper->channels[i].fd != -1)
			channel_close(&helper->channels[i]);
	}
	sasl_engine_free(&helper->engine);
	if (helper->signal_fd != -1)
		(void)close(helper->signal_fd);
	buffer_reset(&helper->out);
	free(helper->channels);
	free(helper->polled);
}

/* Wait for something to do. False when there is nobody left to wait for, or SIGTERM came. */
static bool
helper_wait(struct helper *helper, size_t kept)
{
	size_t count = helper->environment->channel_count;
	size_t open = 0;

	for (size_t i = 0; i < count; i++) {
		helper->polled[i] =
		    (struct pollfd){ .fd = helper->channels[i].fd, .events = POLLIN };
		open += helper->channels[i].fd != -1;
	}
	helper->polled[count] = (struct pollfd){ .fd = helper->signal_fd, .events = POLLIN };
	if (open == 0)
		return false;
	if (poll(helper->polled, (nfds_t)(count + 1), kept == 0 ? -1 : SWEEP_MS) == -1)
		return errno == EINTR;
	return helper->polled[count].revents == 0;
}

static void
helper_serve(struct helper *helper)
{
	size_t count = helper->environment->channel_count;
	int64_t swept_ms = clock_monotonic_ms();
	size_t kept = 0;

	while (helper_wait(helper, kept)) {
		for (size_t i = 0; i < count; i++) {
			if (helper->polled[i].revents == 0)
				continue;
			kept++; /* there may be dialogs now */
			channel_serve(helper, &helper->channels[i],
				      (helper->polled[i].revents & (POLLHUP | POLLERR)) != 0);
		}
		if (clock_monotonic_ms() - swept_ms < SWEEP_MS)
			continue;
		swept_ms = clock_monotonic_ms();
		kept = 0;
		for (size_t i = 0; i < count; i++)
			kept += dialogs_sweep(&helper->channels[i], AUTH_DIALOG_IDLE_MS);
	}
}

int
auth_helper_run(const struct auth_helper_environment *environment)
{
	struct helper *helper = memory_new(sizeof(*helper));
	struct fault fault;

	helper->environment = environment;
	bool is_started = helper_start(helper, &fault);

	if (is_started) {
		life_show(helper);
		helper_serve(helper);
	} else {
		log_error(environment->log, "auth helper: %s", fault_text(&fault));
	}
	helper_end(helper);
	free(helper);
	return is_started ? 0 : 1;
}
