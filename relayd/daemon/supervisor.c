/* SPDX-License-Identifier: ISC */
/* The supervisor; see supervisor.h. */
#define _GNU_SOURCE /* flock's prototype, SOCK_CLOEXEC */
#include "config.h"

#include "daemon/supervisor.h"

#include "base/clock.h"
#include "base/memory.h"
#include "daemon/certificates.h"
#include "daemon/sandbox.h"
#include "daemon/supervisor_private.h"
#include "session/connection_limits.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EXIT_TROUBLE	     3
#define STOP_GRACE_MS	     60000 /* then workers are killed */
#define RESTART_DELAY_MS     100   /* doubled each time, from the second restart on */
#define RESTART_DELAY_MAX_MS 30000
#define LIVED_LONG_MS	     10000 /* who lived so long is restarted without delay */
#define LIMIT_SOURCES	     65536 /* client addresses connected at once */
#define ERRORS_OCTETS_MAX    65536
#define ROTATE_AGAIN_MS	     60000 /* after it failed */
#define CERTIFICATES_LOOK_MS (INT64_C(24) * 3600 * 1000)

/* ---- generations ---- */

static void
generation_free(struct supervisor *supervisor, struct generation *generation)
{
	for (size_t i = 0; i < generation->settings->route_count; i++) {
		if (generation->shares[i] != NULL)
			share_set_give_back(&supervisor->shares, generation->shares[i]);
	}
	free(generation->shares);
	token_board_free(&generation->tokens);
	sts_board_free(&generation->sts);
	upstream_free(&generation->upstream);
	helpers_free(generation);
	tls_server_free(&generation->tls);
	list_remove(&generation->link);
	settings_free(&generation->settings);
	free(generation);
}

static bool
shares_take(struct supervisor *supervisor, struct generation *generation,
	    struct fault *fault)
{
	const struct settings *settings = generation->settings;

	for (size_t i = 0; i < settings->route_count; i++) {
		generation->shares[i] = share_set_take(&supervisor->shares,
						       settings->routes[i].name, fault);
		if (generation->shares[i] == NULL)
			return false;
	}
	return true;
}

struct generation *
generation_new(struct supervisor *supervisor, struct settings *settings, struct fault *fault)
{
	struct generation *generation = memory_new(sizeof(*generation));

	generation->supervisor = supervisor;
	generation->settings = settings;
	generation->shares =
	    memory_new_array(settings->route_count, sizeof(*generation->shares));
	generation->number = ++supervisor->generations_made;
	list_append(&supervisor->generations, &generation->link);
	generation->upstream = upstream_new(settings->routes, settings->route_count,
					    clock_wall_ms(), supervisor->log, fault);
	if (generation->upstream != NULL && tokens_prepare(generation, fault) &&
	    sts_prepare(generation, fault) &&
	    shares_take(supervisor, generation, fault))
		return generation;
	generation_free(supervisor, generation);
	return NULL;
}

void
generation_release(struct supervisor *supervisor, struct generation *generation)
{
	if (generation->children > 0 || generation == supervisor->current ||
	    generation == supervisor->candidate)
		return;
	helpers_stop(generation);
	if (helpers_are_gone(generation))
		generation_free(supervisor, generation);
}

static bool
generation_start(struct supervisor *supervisor, struct generation *generation,
		 struct fault *fault)
{
	if (!helpers_start(supervisor, generation, fault))
		return false;
	for (unsigned index = 0; index < generation->settings->workers; index++) {
		if (!child_start(supervisor, generation, index, fault))
			return false;
	}
	return true;
}

static void
policy_hash_now(const struct supervisor *supervisor, char hash[17])
{
	policy_hash(supervisor->current->settings->policy, hash);
}

static void
lint_complain(void *context, bool is_error, const char *file, unsigned line, const char *text)
{
	const struct supervisor *supervisor = context;

	(void)is_error;
	(void)file;
	(void)line;
	log_warn(supervisor->log, "%s", text);
}

static void
event_record(struct supervisor *supervisor, const char *event, bool succeeded,
	     struct span detail)
{
	if (supervisor->audit == NULL)
		return;
	audit_daemon(supervisor->audit, event, clock_wall_ms(), succeeded, detail);
	(void)audit_flush(supervisor->audit);
}

/* ---- TLS ---- */

static void
ticket_timer_expired(struct loop_timer *timer)
{
	struct supervisor *supervisor = LIST_OWNER(timer, struct supervisor, ticket_timer);
	struct fault fault = { .error = 0 };
	int64_t next_ms = TLS_TICKET_LIFE_MS;

	if (!tls_ticket_keys_rotate(supervisor->ticket_keys, &fault)) {
		log_error(supervisor->log, "%s", fault_text(&fault));
		next_ms = ROTATE_AGAIN_MS;
	}
	loop_timer_set(supervisor->loop, timer, next_ms);
}

/* Warn of what ends soon: at the start, after a reload, and then every day. */
static void
certificates_look(struct supervisor *supervisor)
{
	certificates_lint(supervisor->current->tls, clock_wall_ms(), lint_complain, supervisor);
	loop_timer_set(supervisor->loop, &supervisor->certificates_timer, CERTIFICATES_LOOK_MS);
}

static void
certificates_timer_expired(struct loop_timer *timer)
{
	certificates_look(LIST_OWNER(timer, struct supervisor, certificates_timer));
}

/* Read what a configuration's tls sections name, with the rights that there are. */
static bool
certificates_read(const struct supervisor *supervisor, const struct settings *settings,
		  struct tls_server **tls, struct fault *fault)
{
	if (settings->tls_count > 0)
		dumps_forbid();
	return certificates_open(settings, supervisor->ticket_keys, clock_wall_ms(), tls, fault);
}

/* ---- stopping ---- */

static void
children_kill(struct supervisor *supervisor)
{
	for (struct list *l = supervisor->children.next; l != &supervisor->children; l = l->next)
		(void)kill(LIST_OWNER(l, struct child, link)->pid, SIGKILL);
	helpers_kill(supervisor);
}

/* Workers first: they may need a helper to the end. */
void
supervisor_stop_go_on(struct supervisor *supervisor)
{
	bool are_gone = true;

	if (!supervisor->is_stopping || !list_is_empty(&supervisor->children))
		return;
	for (struct list *l = supervisor->generations.next; l != &supervisor->generations;
	     l = l->next) {
		struct generation *generation = LIST_OWNER(l, struct generation, link);

		helpers_stop(generation);
		are_gone &= helpers_are_gone(generation);
	}
	if (are_gone)
		loop_stop(supervisor->loop);
}

static void
stop_timer_expired(struct loop_timer *timer)
{
	struct supervisor *supervisor = LIST_OWNER(timer, struct supervisor, stop_timer);

	log_warn(supervisor->log, "workers that did not stop in time are killed");
	children_kill(supervisor);
}

static void
stop_begin(struct supervisor *supervisor)
{
	if (supervisor->is_stopping) {
		children_kill(supervisor);
		return;
	}
	supervisor->is_stopping = true;
	log_info(supervisor->log, "stopping");
	notify_stopping(&supervisor->notify, NULL);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		loop_timer_cancel(supervisor->loop, &supervisor->seats[i].timer);
	companions_stop(supervisor);
	children_tell(supervisor, NULL, WORD_STOP);
	loop_timer_set(supervisor->loop, &supervisor->stop_timer, STOP_GRACE_MS);
	supervisor_stop_go_on(supervisor);
}

/* ---- starting and changing over ---- */

static void
reload_again_if_wanted(struct supervisor *supervisor)
{
	struct buffer errors;

	if (!supervisor->wants_reload || supervisor->is_stopping)
		return;
	supervisor->wants_reload = false;
	buffer_init(&errors, ERRORS_OCTETS_MAX);
	if (!supervisor_reload(supervisor, &errors))
		control_reload_ended(supervisor, false, buffer_span(&errors));
	buffer_reset(&errors);
}

static void
candidate_fail(struct supervisor *supervisor)
{
	static const struct span why =
	    SPAN_LITERAL("a worker could not start under the new configuration; see the log");
	struct generation *generation = supervisor->candidate;

	supervisor->candidate = NULL;
	if (supervisor->current == NULL) {
		supervisor->has_failed = true;
		stop_begin(supervisor);
		return;
	}
	log_error(supervisor->log, "reload failed; the old configuration stays in force");
	children_tell(supervisor, generation, WORD_STOP);
	event_record(supervisor, "reload", false, why);
	if (!supervisor->wants_reload)
		control_reload_ended(supervisor, false, why);
	generation_release(supervisor, generation);
	reload_again_if_wanted(supervisor);
}

static void
first_start_done(struct supervisor *supervisor)
{
	const struct settings *settings = supervisor->current->settings;
	char hash[17];

	policy_hash_now(supervisor, hash);
	event_record(supervisor, "start", true, span_of(hash));
	log_info(supervisor->log, "relayd " PACKAGE_VERSION " serves %s with %u workers, policy %s",
		 settings->hostname, settings->workers, hash);
	notify_ready(&supervisor->notify, NULL);
	if (supervisor->ready_fd != -1) {
		if (write(supervisor->ready_fd, "1", 1) == -1)
			log_warn(supervisor->log, "nobody waits for the start any more");
		(void)close(supervisor->ready_fd);
		supervisor->ready_fd = -1;
	}
}

static void
candidate_take_over(struct supervisor *supervisor)
{
	struct generation *before = supervisor->current;
	struct fault fault = { .error = 0 };
	char hash[17];

	if (!past_renew(supervisor, before == NULL ? NULL : before->settings,
			supervisor->candidate->settings, &fault))
		log_error(supervisor->log, "figures start anew: %s", fault_text(&fault));
	supervisor->current = supervisor->candidate;
	supervisor->candidate = NULL;
	settings_lint(supervisor->current->settings, clock_wall_ms(), lint_complain, supervisor);
	certificates_look(supervisor);
	companions_renew(supervisor);
	if (before == NULL) {
		first_start_done(supervisor);
		return;
	}
	children_tell(supervisor, before, WORD_DRAIN);
	policy_hash_now(supervisor, hash);
	event_record(supervisor, "reload", true, span_of(hash));
	log_info(supervisor->log, "reloaded: policy %s", hash);
	notify_ready(&supervisor->notify, NULL);
	if (!supervisor->wants_reload)
		control_reload_ended(supervisor, true, (struct span){ NULL, 0 });
	generation_release(supervisor, before);
	reload_again_if_wanted(supervisor);
}

void
supervisor_child_ready(struct supervisor *supervisor, struct child *child)
{
	supervisor->seats[child->index].delay_ms = 0;
	if (supervisor->candidate == NULL) {
		/* maybe the shard of the one before it is free only now */
		children_tell(supervisor, supervisor->current, WORD_ADOPT);
		return;
	}
	if (child->generation == supervisor->candidate &&
	    children_are_ready(supervisor, supervisor->candidate))
		candidate_take_over(supervisor);
}

static void
seat_timer_expired(struct loop_timer *timer)
{
	struct worker_seat *seat = LIST_OWNER(timer, struct worker_seat, timer);
	struct supervisor *supervisor = seat->supervisor;
	struct fault fault = { .error = 0 };

	if (supervisor->is_stopping || supervisor->current == NULL ||
	    seat->index >= supervisor->current->settings->workers)
		return;
	seat->restarts++;
	log_warn(supervisor->log, "starting worker %u again", seat->index);
	if (!child_start(supervisor, supervisor->current, seat->index, &fault)) {
		log_error(supervisor->log, "cannot start worker %u: %s", seat->index,
			  fault_text(&fault));
		loop_timer_set(supervisor->loop, &seat->timer, RESTART_DELAY_MAX_MS);
	}
}

static void
child_restart(struct supervisor *supervisor, const struct child *child)
{
	struct worker_seat *seat = &supervisor->seats[child->index];
	int64_t lived_ms = loop_now_ms(supervisor->loop) - child->started_ms;

	if (lived_ms >= LIVED_LONG_MS)
		seat->delay_ms = 0;
	loop_timer_set(supervisor->loop, &seat->timer, seat->delay_ms);
	seat->delay_ms = seat->delay_ms == 0 ? RESTART_DELAY_MS : seat->delay_ms * 2;
	if (seat->delay_ms > RESTART_DELAY_MAX_MS)
		seat->delay_ms = RESTART_DELAY_MAX_MS;
}

void
supervisor_child_ended(struct supervisor *supervisor, struct child *child)
{
	struct generation *generation = child->generation;

	if (supervisor->is_stopping) {
		supervisor_stop_go_on(supervisor);
		return;
	}
	if (generation == supervisor->candidate) {
		candidate_fail(supervisor);
		supervisor_stop_go_on(supervisor);
		return;
	}
	if (generation == supervisor->current && child->state != CHILD_DRAINING)
		child_restart(supervisor, child);
	generation_release(supervisor, generation);
}

/* ---- reloading ---- */

struct complaints {
	struct supervisor *supervisor;
	struct buffer *errors;
};

static void
reload_complain(void *context, bool is_error, const char *file, unsigned line,
		const char *text)
{
	struct complaints *complaints = context;
	const struct log *log = complaints->supervisor->log;

	(void)file;
	(void)line;
	if (!is_error) {
		log_warn(log, "%s", text);
		return;
	}
	log_error(log, "%s", text);
	if (complaints->errors->len > 0)
		buffer_append_byte(complaints->errors, '\n');
	buffer_append_text(complaints->errors, text);
}

/* What only a restart can change. */
static bool
settings_are_compatible(const struct settings *now, const struct settings *wanted,
			struct buffer *errors)
{
	if (strcmp(now->state_directory, wanted->state_directory) != 0) {
		buffer_append_text(errors, "option 'state-dir' changed: restart relayd to move it");
		return false;
	}
	if (strcmp(now->user, wanted->user) != 0) {
		buffer_append_text(errors, "option 'user' changed: restart relayd to change it");
		return false;
	}
	return true;
}

static bool
reload_refuse(struct supervisor *supervisor, struct settings *settings, struct buffer *errors)
{
	settings_free(&settings);
	log_error(supervisor->log, "the old configuration stays in force");
	event_record(supervisor, "reload", false, buffer_span(errors));
	notify_ready(&supervisor->notify, NULL);
	return false;
}

bool
supervisor_reload(struct supervisor *supervisor, struct buffer *errors)
{
	struct complaints complaints = { .supervisor = supervisor, .errors = errors };
	struct fault fault = { .error = 0 };
	struct tls_server *tls = NULL;

	if (supervisor->candidate != NULL || supervisor->current == NULL) {
		supervisor->wants_reload = true;
		return true;
	}
	log_info(supervisor->log, "reloading %s", supervisor->current->settings->path);
	notify_reloading(&supervisor->notify, NULL);
	struct settings *settings =
	    settings_load(supervisor->current->settings->path, reload_complain, &complaints);

	if (settings == NULL)
		return reload_refuse(supervisor, NULL, errors);
	if (!settings_are_compatible(supervisor->current->settings, settings, errors)) {
		log_error(supervisor->log, "%s", buffer_text(errors));
		return reload_refuse(supervisor, settings, errors);
	}
	if (!certificates_read(supervisor, settings, &tls, &fault) ||
	    !sockets_bind(supervisor, settings, &fault) ||
	    !pickup_bind(supervisor, settings, &fault)) {
		tls_server_free(&tls);
		buffer_append_text(errors, fault_text(&fault));
		log_error(supervisor->log, "%s", fault_text(&fault));
		return reload_refuse(supervisor, settings, errors);
	}
	supervisor->candidate = generation_new(supervisor, settings, &fault);
	if (supervisor->candidate == NULL) {
		tls_server_free(&tls);
		buffer_append_text(errors, fault_text(&fault));
		log_error(supervisor->log, "%s", fault_text(&fault));
		return reload_refuse(supervisor, NULL, errors);
	}
	supervisor->candidate->tls = tls;
	if (!generation_start(supervisor, supervisor->candidate, &fault)) {
		buffer_append_text(errors, fault_text(&fault));
		log_error(supervisor->log, "%s", fault_text(&fault));
		candidate_fail(supervisor);
		return false;
	}
	return true;
}

/* ---- signals ---- */

static void
signal_take(struct supervisor *supervisor, uint32_t number)
{
	struct buffer errors;

	switch (number) {
	case SIGCHLD:
		children_reap(supervisor);
		helpers_reap(supervisor);
		break;
	case SIGHUP:
		buffer_init(&errors, ERRORS_OCTETS_MAX);
		(void)supervisor_reload(supervisor, &errors);
		buffer_reset(&errors);
		break;
	case SIGTERM:
	case SIGINT:
		stop_begin(supervisor);
		break;
	default:
		break;
	}
}

static void
signals_ready(struct loop_watch *watch, unsigned events)
{
	struct supervisor *supervisor = LIST_OWNER(watch, struct supervisor, signals);
	struct signalfd_siginfo info;

	(void)events;
	while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		signal_take(supervisor, info.ssi_signo);
}

static bool
signals_start(struct supervisor *supervisor, struct fault *fault)
{
	sigset_t wanted;

	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGHUP);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGINT);
	if (sigprocmask(SIG_BLOCK, &wanted, NULL) == -1)
		return fault_set(fault, "sigprocmask");
	(void)signal(SIGPIPE, SIG_IGN);
	supervisor->signals = (struct loop_watch){
		.ready = signals_ready,
		.fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK),
		.wanted = LOOP_READ,
	};
	if (supervisor->signals.fd == -1)
		return fault_set(fault, "signalfd");
	return loop_watch_add(supervisor->loop, &supervisor->signals, fault);
}

/* ---- hidden clients ---- */

static bool
nat_is_told(const struct supervisor *supervisor, const struct ip *client)
{
	for (size_t i = 0; i < supervisor->nat_told_count; i++) {
		if (ip_compare(&supervisor->nat_told[i], client) == 0)
			return true;
	}
	return false;
}

/* Each address is named once; after NAT_HOSTS of them the log has heard it. */
static void
nat_timer_expired(struct loop_timer *timer)
{
	struct supervisor *supervisor = LIST_OWNER(timer, struct supervisor, nat_timer);
	struct nat_hint hints[NAT_HOSTS];
	struct buffer text;
	size_t count = nat_hints_collect(supervisor, hints);

	buffer_init(&text, NAT_TEXT_MAX);
	for (size_t i = 0; i < count && supervisor->nat_told_count < NAT_HOSTS; i++) {
		const struct ip *client = &hints[i].seen.client;

		if (nat_is_told(supervisor, client))
			continue;
		supervisor->nat_told[supervisor->nat_told_count++] = *client;
		buffer_clear(&text);
		nat_hint_text(&hints[i], &text);
		log_warn(supervisor->log, "%s", buffer_text(&text));
	}
	buffer_reset(&text);
	loop_timer_set(supervisor->loop, timer, NAT_EVERY_MS);
}

static void
nat_watch_start(struct supervisor *supervisor)
{
	supervisor->gateway_count = gateways_read(supervisor->gateways, GATEWAYS_MAX);
	supervisor->nat_timer.expired = nat_timer_expired;
	loop_timer_set(supervisor->loop, &supervisor->nat_timer, NAT_EVERY_MS);
}

/* ---- building and running ---- */

/* Two daemons on one state directory would share what must not be shared. */
static bool
state_lock(struct supervisor *supervisor, const struct settings *settings, struct fault *fault)
{
	struct buffer path;

	buffer_init(&path, 4096);
	buffer_printf(&path, "%s/lock", settings->state_directory);
	supervisor->lock_fd = open(buffer_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	bool ok = supervisor->lock_fd != -1;

	if (!ok)
		fault_setf(fault, "open %s", buffer_text(&path));
	else if (flock(supervisor->lock_fd, LOCK_EX | LOCK_NB) == -1)
		ok = fault_say(fault, "another relayd runs on state-dir %s",
			       settings->state_directory);
	buffer_reset(&path);
	return ok;
}

/* With the rights that we were started with; gives them up at the end. */
static bool
rights_use(struct supervisor *supervisor, const struct settings *settings, struct fault *fault)
{
	return directory_give(settings->state_directory, settings->user, fault) &&
	       certificates_read(supervisor, settings, &supervisor->candidate->tls, fault) &&
	       (settings->pickup.directory == NULL ||
		directory_give(settings->pickup.directory, settings->user, fault)) &&
	       sockets_bind(supervisor, settings, fault) &&
	       privileges_drop(settings->user, true, fault);
}

static bool
supervisor_build(struct supervisor *supervisor, struct settings *settings, struct fault *fault)
{
	char hash[17];

	supervisor->candidate = generation_new(supervisor, settings, fault);
	supervisor->ticket_keys = tls_ticket_keys_new(fault);
	if (supervisor->candidate == NULL || supervisor->ticket_keys == NULL ||
	    !rights_use(supervisor, settings, fault) ||
	    !state_lock(supervisor, settings, fault))
		return false;
	certificates_check_access(settings, supervisor->log);
	policy_hash(settings->policy, hash);
	supervisor->audit =
	    audit_open(settings->state_directory, hash, supervisor->log, fault);
	supervisor->shared = shared_new(settings->state_directory,
					supervisor->started_wall_ms, fault);
	supervisor->limits = connection_limits_new(SLOTS, LIMIT_SOURCES);
	supervisor->quota = shared_quota_memory_new(SLOTS, fault);
	supervisor->loop = loop_new(fault);
	if (supervisor->limits == NULL)
		fault_set(fault, "memory for the connection limits");
	if (supervisor->audit == NULL || supervisor->shared == NULL ||
	    supervisor->limits == NULL || supervisor->quota == NULL ||
	    supervisor->loop == NULL || !helpers_prepare(supervisor, settings, fault))
		return false;
	loop_timer_set(supervisor->loop, &supervisor->ticket_timer, TLS_TICKET_LIFE_MS);
	nat_watch_start(supervisor);
	return signals_start(supervisor, fault) && control_open(supervisor, fault) &&
	       pickup_bind(supervisor, settings, fault) &&
	       generation_start(supervisor, supervisor->candidate, fault);
}

static void
supervisor_tear_down(struct supervisor *supervisor)
{
	struct list *link;

	control_close(supervisor);
	companions_end(supervisor);
	children_kill(supervisor);
	supervisor->current = NULL;
	supervisor->candidate = NULL;
	while ((link = list_take_first(&supervisor->generations)) != NULL)
		generation_free(supervisor, LIST_OWNER(link, struct generation, link));
	if (supervisor->ticket_keys != NULL)
		tls_ticket_keys_free(&supervisor->ticket_keys);
	for (size_t i = 0; i < supervisor->socket_count; i++)
		(void)close(supervisor->sockets[i].fd);
	free(supervisor->sockets);
	if (supervisor->pickup_listener != -1)
		(void)close(supervisor->pickup_listener);
	if (supervisor->signals.fd != -1)
		(void)close(supervisor->signals.fd);
	if (supervisor->audit != NULL)
		audit_close(&supervisor->audit);
	if (supervisor->limits != NULL)
		connection_limits_free(&supervisor->limits);
	auth_failures_free(&supervisor->auth_failures);
	if (supervisor->auth_secret != NULL)
		memory_wipe(supervisor->auth_secret, AUTH_SECRET_OCTETS);
	free(supervisor->auth_secret);
	shared_free(&supervisor->shared);
	worker_figures_free(&supervisor->past);
	share_set_reset(&supervisor->shares);
	if (supervisor->loop != NULL)
		loop_free(&supervisor->loop);
	if (supervisor->lock_fd != -1)
		(void)close(supervisor->lock_fd);
	if (supervisor->ready_fd != -1)
		(void)close(supervisor->ready_fd);
}

int
supervisor_run(struct settings *settings, const struct log *log, int ready_fd)
{
	struct supervisor *supervisor = memory_new(sizeof(*supervisor));
	struct fault fault = { .error = 0 };

	*supervisor = (struct supervisor){
		.log = log,
		.started_wall_ms = clock_wall_ms(),
		.started_ms = clock_monotonic_ms(),
		.lock_fd = -1,
		.pickup_listener = -1,
		.ready_fd = ready_fd,
		.signals = { .fd = -1 },
		.control = { .fd = -1 },
		.stop_timer = { .expired = stop_timer_expired },
		.ticket_timer = { .expired = ticket_timer_expired },
		.certificates_timer = { .expired = certificates_timer_expired },
	};
	if (!notify_init(&supervisor->notify, getenv("NOTIFY_SOCKET"), &fault))
		log_warn(log, "%s", fault_text(&fault));
	companions_init(supervisor);
	list_init(&supervisor->generations);
	share_set_init(&supervisor->shares);
	list_init(&supervisor->children);
	list_init(&supervisor->control_clients);
	list_init(&supervisor->orders);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		supervisor->seats[i] = (struct worker_seat){
			.supervisor = supervisor,
			.index = i,
			.timer = { .expired = seat_timer_expired },
		};
	if (!supervisor_build(supervisor, settings, &fault)) {
		log_error(log, "cannot start: %s", fault_text(&fault));
		supervisor->has_failed = true;
	} else {
		loop_run(supervisor->loop);
		event_record(supervisor, "stop", !supervisor->has_failed,
			     (struct span){ NULL, 0 });
		log_info(log, "stopped");
	}
	int status = supervisor->has_failed ? EXIT_TROUBLE : EXIT_SUCCESS;

	supervisor_tear_down(supervisor);
	free(supervisor);
	return status;
}
