/* SPDX-License-Identifier: ISC */
/* Listening sockets and worker processes; see supervisor_private.h. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "daemon/supervisor_private.h"

#include "base/memory.h"
#include "net/listener.h"
#include "policy/quota.h"
#include "session/connection_limits.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096

static bool
endpoint_is(const struct ip_endpoint *a, const struct ip_endpoint *b)
{
	return a->port == b->port && ip_compare(&a->ip, &b->ip) == 0;
}

static bool
socket_is_bound(const struct supervisor *supervisor, const struct ip_endpoint *endpoint,
		unsigned index)
{
	for (size_t i = 0; i < supervisor->socket_count; i++) {
		const struct bound_socket *known = &supervisor->sockets[i];

		if (known->index == index && endpoint_is(&known->endpoint, endpoint))
			return true;
	}
	return false;
}

static bool
socket_bind(struct supervisor *supervisor, const struct ip_endpoint *endpoint, unsigned index,
	    struct fault *fault)
{
	if (endpoint->port == 0 || socket_is_bound(supervisor, endpoint, index))
		return true; /* port 0: the pickup directory, whose socket is no such one */
	int fd = listener_open(endpoint, LISTEN_BACKLOG,
			       LISTENER_REUSEPORT | LISTENER_V6ONLY, fault);

	if (fd == -1)
		return false;
	supervisor->sockets = memory_resize(supervisor->sockets, supervisor->socket_count + 1,
					    sizeof(*supervisor->sockets));
	supervisor->sockets[supervisor->socket_count++] =
	    (struct bound_socket){ .endpoint = *endpoint, .index = index, .fd = fd };
	return true;
}

bool
sockets_bind(struct supervisor *supervisor, const struct settings *settings,
	     struct fault *fault)
{
	for (size_t i = 0; i < settings->source.connector_count; i++) {
		const struct connector_source *connector = &settings->source.connectors[i];

		for (size_t b = 0; b < connector->binding_count; b++) {
			for (unsigned index = 0; index < settings->workers; index++) {
				if (!socket_bind(supervisor, &connector->bindings[b], index, fault))
					return false;
			}
		}
	}
	return true;
}

static bool
is_binding_of(const struct settings *settings, const struct ip_endpoint *endpoint)
{
	for (size_t i = 0; i < settings->source.connector_count; i++) {
		const struct connector_source *connector = &settings->source.connectors[i];

		for (size_t b = 0; b < connector->binding_count; b++) {
			if (endpoint_is(&connector->bindings[b], endpoint))
				return true;
		}
	}
	return false;
}

/*
 * The sockets that the worker of this index serves: its own, and those of indexes beyond the
 * number of workers there are now, so that no queue is left without someone to empty it.
 */
static size_t
listeners_choose(const struct supervisor *supervisor, const struct settings *settings,
		 unsigned index, int *fds)
{
	size_t count = 0;

	for (size_t i = 0; i < supervisor->socket_count; i++) {
		const struct bound_socket *socket = &supervisor->sockets[i];

		if (socket->index % settings->workers == index &&
		    is_binding_of(settings, &socket->endpoint))
			fds[count++] = socket->fd;
	}
	if (settings->pickup.directory != NULL)
		fds[count++] = supervisor->pickup_listener;
	return count;
}

void
inherited_close(const struct supervisor *supervisor, const int *kept, size_t kept_count)
{
	for (size_t i = 0; i < supervisor->socket_count; i++) {
		bool is_kept = false;

		for (size_t k = 0; k < kept_count; k++)
			is_kept = is_kept || kept[k] == supervisor->sockets[i].fd;
		if (!is_kept)
			(void)close(supervisor->sockets[i].fd);
	}
	for (struct list *l = supervisor->children.next; l != &supervisor->children; l = l->next)
		(void)close(LIST_OWNER(l, struct child, link)->channel.fd);
	companions_close(supervisor);
	helpers_forget(supervisor);
	if (supervisor->control.fd != -1)
		(void)close(supervisor->control.fd);
	if (supervisor->signals.fd != -1)
		(void)close(supervisor->signals.fd);
	if (supervisor->lock_fd != -1)
		(void)close(supervisor->lock_fd);
	if (supervisor->ready_fd != -1)
		(void)close(supervisor->ready_fd);
}

void
signals_restore(void)
{
	sigset_t none;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	/* the supervisor alone hears the terminal and decides for its workers */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
}

static _Noreturn void
child_become_worker(struct supervisor *supervisor, const struct child *child, int channel)
{
	const struct settings *settings = child->generation->settings;
	int *fds = memory_new_array(supervisor->socket_count + 2, sizeof(*fds));
	size_t count = listeners_choose(supervisor, settings, child->index, fds);
	char who[32];

	struct auth_pool_helper *helpers;
	size_t helper_count = helpers_inherit(child->generation, child->index, &helpers);

	inherited_close(supervisor, fds, count);
	signals_restore();
	(void)snprintf(who, sizeof(who), "worker %u", child->index);

	struct log log = *supervisor->log;

	log.who = who;
	const struct worker_start start = {
		.settings = settings,
		.log = &log,
		.shared = supervisor->shared,
		.limits = supervisor->limits,
		.quota = supervisor->quota,
		.tls = child->generation->tls,
		.figures = child->figures,
		.upstream = child->generation->upstream,
		.tokens = child->generation->tokens,
		.sts = child->generation->sts,
		.shares = child->generation->shares,
		.slot = child->slot,
		.listeners = fds,
		.listener_count = count,
		.channel = channel,
		.helpers = helpers,
		.helper_count = helper_count,
		.auth_failures = supervisor->auth_failures,
	};
	exit(worker_run(&start));
}

static bool
slot_take(struct supervisor *supervisor, unsigned *slot)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!supervisor->slot_used[i]) {
			supervisor->slot_used[i] = true;
			*slot = i;
			return true;
		}
	}
	return false;
}

static void
child_free(struct supervisor *supervisor, struct child *child)
{
	channel_close(&child->channel);
	worker_figures_free(&child->figures);
	supervisor->slot_used[child->slot] = false;
	list_remove(&child->link);
	free(child);
}

static void
hung_take(struct child *child, struct span cargo)
{
	struct worker_hung hung;

	if (cargo.len != sizeof(hung))
		return;
	memcpy(&hung, cargo.ptr, sizeof(hung));
	helper_is_hung(child->supervisor, child->generation, &hung);
}

static void
child_said(struct channel *channel, char word, struct span cargo)
{
	struct child *child = LIST_OWNER(channel, struct child, channel);

	if (word == WORD_READY && child->state == CHILD_STARTING) {
		child->state = CHILD_RUNNING;
		supervisor_child_ready(child->supervisor, child);
	} else if (word == WORD_HUNG) {
		hung_take(child, cargo);
	} else if (word == WORD_TALLY) {
		orders_child_answered(child->supervisor, child, cargo);
	}
}

/* It is ending; its exit status comes with SIGCHLD. */
static void
child_hung_up(struct channel *channel)
{
	(void)channel;
}

static const struct channel_events child_events = {
	.said = child_said,
	.ended = child_hung_up,
};

static struct child *
child_new(struct supervisor *supervisor, struct generation *generation, unsigned index,
	  struct fault *fault)
{
	const struct settings *settings = generation->settings;
	unsigned slot;

	if (!slot_take(supervisor, &slot)) {
		fault_say(fault, "%u worker processes are still draining", SLOTS);
		return NULL;
	}
	struct child *child = memory_new(sizeof(*child));

	child->supervisor = supervisor;
	child->generation = generation;
	child->slot = slot;
	child->index = index;
	child->channel.fd = -1;
	child->started_ms = loop_now_ms(supervisor->loop);
	list_init(&child->link);
	child->figures = worker_figures_new(settings->source.connector_count,
					    settings->route_count,
					     settings->source.grant_count, fault);
	if (child->figures == NULL) {
		child_free(supervisor, child);
		return NULL;
	}
	return child;
}

bool
child_start(struct supervisor *supervisor, struct generation *generation, unsigned index,
	    struct fault *fault)
{
	struct child *child = child_new(supervisor, generation, index, fault);
	int ends[2];

	if (child == NULL)
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == -1) {
		child_free(supervisor, child);
		return fault_set(fault, "socketpair");
	}
	child->pid = fork();
	if (child->pid == -1) {
		fault_set(fault, "fork");
		(void)close(ends[0]);
		(void)close(ends[1]);
		child_free(supervisor, child);
		return false;
	}
	if (child->pid == 0) {
		(void)close(ends[0]);
		child_become_worker(supervisor, child, ends[1]);
	}
	(void)close(ends[1]);
	generation->children++;
	list_append(&supervisor->children, &child->link);
	if (!channel_open(&child->channel, supervisor->loop, ends[0], &child_events, fault)) {
		(void)close(ends[0]);
		(void)kill(child->pid, SIGKILL); /* reaped like any other */
		return false;
	}
	return true;
}

static void
child_end_log(const struct supervisor *supervisor, const struct child *child, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		log_debug(supervisor->log, "worker %u (pid %d) ended", child->index,
			  (int)child->pid);
	else if (WIFEXITED(status))
		log_error(supervisor->log, "worker %u (pid %d) ended with status %d",
			  child->index, (int)child->pid, WEXITSTATUS(status));
	else
		log_error(supervisor->log, "worker %u (pid %d) was killed by signal %d",
			  child->index, (int)child->pid, WTERMSIG(status));
}

void
children_reap(struct supervisor *supervisor)
{
	struct list *next;

	companions_reap(supervisor);
	for (struct list *l = supervisor->children.next; l != &supervisor->children; l = next) {
		struct child *child = LIST_OWNER(l, struct child, link);
		int status;

		next = l->next;
		if (waitpid(child->pid, &status, WNOHANG) != child->pid)
			continue;
		child_end_log(supervisor, child, status);
		connection_limits_slot_clear(supervisor->limits, child->slot);
		quota_slot_clear(supervisor->quota, child->slot);
		share_set_clear(&supervisor->shares, child->slot);
		past_add(supervisor, child);
		list_remove(&child->link);
		child->generation->children--;
		children_tell(supervisor, supervisor->current, WORD_ADOPT);
		orders_child_ended(supervisor, child);
		supervisor_child_ended(supervisor, child);
		child_free(supervisor, child);
	}
}

void
children_tell(struct supervisor *supervisor, const struct generation *generation,
	      enum worker_word word)
{
	for (struct list *l = supervisor->children.next; l != &supervisor->children;
	     l = l->next) {
		struct child *child = LIST_OWNER(l, struct child, link);

		if (generation != NULL && child->generation != generation)
			continue;
		if (word == WORD_DRAIN || word == WORD_STOP)
			child->state = CHILD_DRAINING;
		/* a child that cannot hear is ending */
		(void)channel_say(&child->channel, word, (struct span){ NULL, 0 });
	}
}

bool
children_are_ready(const struct supervisor *supervisor, const struct generation *generation)
{
	unsigned ready = 0;

	for (struct list *l = supervisor->children.next; l != &supervisor->children;
	     l = l->next) {
		const struct child *child = LIST_OWNER(l, struct child, link);

		if (child->generation == generation && child->state == CHILD_RUNNING)
			ready++;
	}
	return ready >= generation->settings->workers;
}
