/* SPDX-License-Identifier: ISC */
/* A worker process; see worker.h. */
#include "daemon/worker.h"

#include "config.h" /* FAULT_INJECTION */

#include "audit/audit.h"
#include "auth/login_client.h"
#include "base/memory.h"
#include "daemon/channel.h"
#include "daemon/control_request.h"
#include "daemon/sandbox.h"
#include "delivery/upstream.h"
#include "net/listener.h"
#include "policy/quota.h"
#include "session/shared_quota.h"
#include "spool/disk_faulty.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ADOPT_EVERY_MS	 60000
#define FIGURES_EVERY_MS 1000
#define STOP_GRACE_MS	 30000 /* for sessions in the middle of a message */

struct worker_listener {
	struct listener listener;
	struct worker *worker;
};

struct worker {
	const struct worker_start *start;
	const struct settings *settings;
	const struct log *log;
	struct loop *loop;
	struct dns *dns;
	struct audit *audit;
	struct spool *spool;
	struct login_client *login; /* NULL: no route logs in */
	struct delivery *delivery;
	struct auth_pool *auth;
	struct shared_quota *shared_quota; /* NULL: limits are counted here alone */
	struct session_server *server;
	struct worker_listener *listeners;
	struct ip_endpoint *own_endpoints;
	size_t own_endpoint_count;
#ifdef FAULT_INJECTION
	struct disk_faulty *faulty;
#endif
	struct channel channel;
	struct list orders; /* of the supervisor, under way */
	struct loop_timer adopt_timer;
	struct loop_timer figures_timer;
	struct loop_timer grace_timer;
	struct loop_hook turn_end;
	bool is_draining;
	bool is_delivery_draining;
	char hash[17];
};

static void
figures_publish(struct worker *worker)
{
	struct worker_figures *out = worker->start->figures;
	struct spool_figures now;

	spool_figures_get(worker->spool, &now);
	out->spool_messages = now.messages;
	out->spool_body_octets = now.body_octets;
	out->spool_memory_octets = now.memory_octets;
	out->spool_segments = now.segments;
	out->spool_syncs = now.syncs;
	out->spool_commits = now.commits;
}

static void
figures_timer_expired(struct loop_timer *timer)
{
	struct worker *worker = LIST_OWNER(timer, struct worker, figures_timer);

	figures_publish(worker);
	loop_timer_set(worker->loop, timer, FIGURES_EVERY_MS);
}

static void
adopt_timer_expired(struct loop_timer *timer)
{
	struct worker *worker = LIST_OWNER(timer, struct worker, adopt_timer);

	spool_adopt(worker->spool);
	loop_timer_set(worker->loop, timer, ADOPT_EVERY_MS);
}

static void
grace_timer_expired(struct loop_timer *timer)
{
	struct worker *worker = LIST_OWNER(timer, struct worker, grace_timer);

	log_warn(worker->log, "%zu sessions did not end in time and are cut",
		 session_server_count(worker->server));
	loop_stop(worker->loop);
}

static void
drain_begin(struct worker *worker, bool at_once)
{
	if (!worker->is_draining) {
		for (size_t i = 0; i < worker->start->listener_count; i++)
			listener_stop(&worker->listeners[i].listener);
		loop_timer_cancel(worker->loop, &worker->adopt_timer);
	}
	worker->is_draining = true;
	session_server_drain(worker->server, at_once);
	if (at_once && !loop_timer_is_set(&worker->grace_timer))
		loop_timer_set(worker->loop, &worker->grace_timer, STOP_GRACE_MS);
}

/* Sessions first, then what they handed to the spool, then what is on its way out. */
static void
turn_ended(struct loop_hook *hook)
{
	struct worker *worker = LIST_OWNER(hook, struct worker, turn_end);

	if (!worker->is_draining || session_server_count(worker->server) > 0 ||
	    !spool_is_idle(worker->spool))
		return;
	if (!worker->is_delivery_draining) {
		worker->is_delivery_draining = true;
		delivery_drain(worker->delivery);
	}
	if (delivery_is_idle(worker->delivery))
		loop_stop(worker->loop);
}

/* ---- Orders: what an operator wants done with the queue ---- */

struct worker_order {
	struct list link;
	struct worker *worker;
	struct operation operation;
	struct order_head head;
};

static void
order_answer(struct worker *worker, uint64_t number, const struct operation *operation)
{
	struct order_answer answer;

	memset(&answer, 0, sizeof(answer));
	answer.number = number;
	if (operation != NULL) {
		answer.tally = operation->tally;
		answer.is_broken = operation->is_broken;
	}
	answer.is_loading = spool_is_loading(worker->spool);
	(void)channel_say(&worker->channel, WORD_TALLY,
			  (struct span){ (const char *)&answer, sizeof(answer) });
}

static void
order_done(struct operation *operation)
{
	struct worker_order *order = LIST_OWNER(operation, struct worker_order, operation);

	order_answer(order->worker, order->head.number, operation);
	list_remove(&order->link);
	free(order);
}

static void
orders_drop(struct worker *worker)
{
	struct list *link;

	while ((link = list_take_first(&worker->orders)) != NULL)
		free(LIST_OWNER(link, struct worker_order, link));
}

/* The supervisor read the request before it passed it on, so it is good. */
static void
order_take(struct worker *worker, struct span cargo)
{
	struct worker_order *order = memory_new(sizeof(*order));
	struct fault fault = { .error = 0 };
	struct control_request request = { .command = "" };
	struct arena arena;
	const char *why;

	arena_init(&arena, 0);
	order->worker = worker;
	if (cargo.len > sizeof(order->head)) {
		memcpy(&order->head, cargo.ptr, sizeof(order->head));
		if (control_request_parse(span_skip(cargo, sizeof(order->head)), &arena,
					  &request, &why) == PARSE_OK)
			order->operation.selection = selection_new(&request.selection, &fault);
	}
	if (order->operation.selection == NULL) {
		log_error(worker->log, "the supervisor gave an order that is not understood");
		order_answer(worker, order->head.number, NULL);
		free(order);
	} else {
		order->operation.action = request.action;
		order->operation.uid = order->head.uid;
		order->operation.user = span_of(order->head.user);
		order->operation.done = order_done;
		list_init(&order->link);
		list_append(&worker->orders, &order->link);
		operation_begin(&order->operation, worker->delivery);
	}
	arena_reset(&arena);
}

static void
supervisor_said(struct channel *channel, char word, struct span cargo)
{
	struct worker *worker = LIST_OWNER(channel, struct worker, channel);

	switch (word) {
	case WORD_DRAIN:
		drain_begin(worker, false);
		break;
	case WORD_STOP:
		drain_begin(worker, true);
		break;
	case WORD_ADOPT:
		if (!worker->is_draining)
			spool_adopt(worker->spool);
		break;
	case WORD_ORDER:
		order_take(worker, cargo);
		break;
	default:
		log_error(worker->log, "the supervisor said an unknown word");
		break;
	}
}

static void
supervisor_left(struct channel *channel)
{
	struct worker *worker = LIST_OWNER(channel, struct worker, channel);

	log_warn(worker->log, "the supervisor is gone: stopping");
	drain_begin(worker, true);
}

static void
client_accepted(struct listener *listener, int fd, const struct ip_endpoint *peer,
		const struct ip_endpoint *local)
{
	struct worker_listener *own = LIST_OWNER(listener, struct worker_listener, listener);

	session_server_take(own->worker->server, fd, peer, local);
}

/* State directory, and the folders that hold Maildirs. */
static bool
worker_confine(struct worker *worker, struct fault *fault)
{
	const struct settings *settings = worker->settings;
	const char **writable = memory_new_array(settings->route_count + 1, sizeof(*writable));
	char **parents = memory_new_array(settings->route_count, sizeof(*parents));
	size_t count = 0;

	writable[count++] = settings->state_directory;
	for (size_t i = 0; i < settings->route_count; i++) {
		if (settings->routes[i].maildir.len == 0)
			continue;
		parents[i] = memory_copy_text(settings->routes[i].maildir);
		writable[count++] = dirname(parents[i]);
	}
	bool ok = privileges_drop(NULL, false, fault) &&
		  sandbox_enter(writable, count, worker->log, fault);

	for (size_t i = 0; i < settings->route_count; i++)
		free(parents[i]);
	free(parents);
	free(writable);
	return ok;
}

/* Called from turns of the loop, and so after delivery_start. */
static void
message_found(void *context, struct spool_message *message, struct span envelope,
	      struct span state)
{
	struct worker *worker = context;

	delivery_found(worker->delivery, message, envelope, state);
}

#ifdef FAULT_INJECTION
/* A disk that is slow or fails as the environment says; builds for service have none. */
static bool
faults_use(struct worker *worker, struct spool_settings *settings, struct fault *fault)
{
	const char *text = getenv("RELAYD_SPOOL_FAULTS");

	if (text == NULL)
		return true;
	worker->faulty = disk_faulty_new(text, NULL, fault);
	if (worker->faulty == NULL)
		return false;
	log_warn(worker->log, "the spool's disk is made faulty: %s", text);
	settings->disk = disk_faulty_disk(worker->faulty);
	return true;
}
#endif

static bool
spool_start(struct worker *worker, struct fault *fault)
{
	static const struct spool_events events = { .found = message_found };
	struct buffer directory;

	buffer_init(&directory, 4096);
	buffer_printf(&directory, "%s/spool", worker->settings->state_directory);

	struct spool_settings settings = { .directory = buffer_text(&directory) };

#ifdef FAULT_INJECTION
	if (!faults_use(worker, &settings, fault)) {
		buffer_reset(&directory);
		return false;
	}
#endif

	worker->spool = spool_open(&settings, worker->loop, &events, worker,
				   worker->log, fault);
	buffer_reset(&directory);
	return worker->spool != NULL;
}

/* It loads plug-ins: before the sandbox. Passwords must not get into a core dump. */
static bool
login_start(struct worker *worker, struct fault *fault)
{
	unsigned wanted = upstream_mechanisms(worker->start->upstream);

	if (wanted != 0 && prctl(PR_SET_DUMPABLE, 0) == -1)
		return fault_set(fault, "prctl PR_SET_DUMPABLE");
	if (wanted != 0)
		worker->login = login_client_new(wanted, fault);
	return wanted == 0 || worker->login != NULL;
}

/* Where we listen, so that mail is not sent in circles. */
static void
own_endpoints_collect(struct worker *worker)
{
	const struct policy_source *source = &worker->settings->source;
	size_t count = 0;

	for (size_t i = 0; i < source->connector_count; i++)
		count += source->connectors[i].binding_count;
	worker->own_endpoints = memory_new_array(count + 1, sizeof(*worker->own_endpoints));
	for (size_t i = 0; i < source->connector_count; i++) {
		for (size_t j = 0; j < source->connectors[i].binding_count; j++)
			worker->own_endpoints[worker->own_endpoint_count++] =
			    source->connectors[i].bindings[j];
	}
}

static bool
delivery_start(struct worker *worker, struct fault *fault)
{
	const struct settings *settings = worker->settings;
	struct delivery_environment environment = {
		.loop = worker->loop,
		.spool = worker->spool,
		.audit = worker->audit,
		.log = worker->log,
		.dns = worker->dns,
		.hostname = span_of(settings->hostname),
		.routes = settings->routes,
		.route_count = settings->route_count,
		.queue = &settings->queue,
		.figures = worker->start->figures->routes,
		.shares = worker->start->shares,
		.worker = worker->start->slot,
		.upstream = worker->start->upstream,
		.login = worker->login,
		.tokens = worker->start->tokens,
		.sts = worker->start->sts,
		.sts_port = settings->sts.port,
		.policy = settings->policy,
		.serial = &worker->start->shared->session_serial,
		.rates = worker->start->figures->rates,
	};

	own_endpoints_collect(worker);
	environment.own_endpoints = worker->own_endpoints;
	environment.own_endpoint_count = worker->own_endpoint_count;

	worker->delivery = delivery_new(&environment, fault);
	return worker->delivery != NULL;
}

/* The supervisor kills it, if it still is that process, and starts another. */
static void
helper_hung(void *context, size_t helper, pid_t pid)
{
	struct worker *worker = context;
	const struct worker_hung hung = { .helper = (uint32_t)helper, .pid = pid };
	struct span cargo = { (const char *)&hung, sizeof(hung) };

	if (!channel_say(&worker->channel, WORD_HUNG, cargo))
		log_error(worker->log, "cannot tell the supervisor that a helper hangs");
}

static bool
auth_start_pool(struct worker *worker, struct fault *fault)
{
	const struct worker_start *start = worker->start;
	const struct auth_pool_settings settings = {
		.helpers = start->helpers,
		.helper_count = start->helper_count,
		.method = worker->settings->auth.method,
		.mechanisms = auth_settings_mechanisms(&worker->settings->auth),
		.deadline_ms = AUTH_DEADLINE_MS,
		.hung = helper_hung,
		.context = worker,
	};

	if (start->helper_count == 0)
		return true;
	worker->auth = auth_pool_new(worker->loop, worker->log, &settings, fault);
	return worker->auth != NULL;
}

/* All workers see it; the first one says it. */
static void
redis_changed(void *context, bool is_away, const char *why)
{
	struct worker *worker = context;
	const struct shared_settings *shared = &worker->settings->shared;
	const char *meanwhile = shared->is_closed_when_away ?
				    "limits defer until it is back" :
				    "limits are counted by this gateway alone";
	struct buffer text;

	if (!quota_note_away(worker->start->quota, is_away))
		return;
	buffer_init(&text, 1024);
	(void)buffer_printf(&text, "Redis at " SPAN_FMT " port %u is %s",
			    SPAN_ARG(shared->redis.host), (unsigned)shared->redis.port,
			    is_away ? "away: " : "back: limits are counted there");
	if (is_away)
		(void)buffer_printf(&text, "%s; %s", why, meanwhile);
	if (is_away)
		log_warn(worker->log, "%s", buffer_text(&text));
	else
		log_info(worker->log, "%s", buffer_text(&text));
	audit_daemon(worker->audit, "shared", loop_wall_ms(worker->loop), !is_away,
		     buffer_span(&text));
	buffer_reset(&text);
}

static void
shared_quota_start(struct worker *worker)
{
	const struct shared_settings *shared = &worker->settings->shared;

	if (shared->is_wanted)
		worker->shared_quota = shared_quota_new(worker->loop, worker->dns,
							&shared->redis, redis_changed, worker);
}

static void
session_start(struct worker *worker)
{
	const struct settings *settings = worker->settings;
	const struct session_environment environment = {
		.loop = worker->loop,
		.spool = worker->spool,
		.audit = worker->audit,
		.log = worker->log,
		.policy = settings->policy,
		.wording = &settings->wording,
		.connectors = settings->connectors,
		.tls = worker->start->tls,
		.figures = worker->start->figures->connectors,
		.limits = worker->start->limits,
		.quota = worker->start->quota,
		.shared = worker->shared_quota,
		.is_quota_closed = settings->shared.is_closed_when_away,
		.slot = worker->start->slot,
		.nat = &worker->start->figures->nat,
		.session_serial = &worker->start->shared->session_serial,
		.auth = worker->auth,
		.auth_failures = worker->start->auth_failures,
		.auth_ban = &settings->auth_ban,
		.next = {
			.route_choose = delivery_route_choose,
			.state_initial = delivery_state_initial,
			.accepted = delivery_accepted,
			.pass_on = delivery_pass_on,
			.passage_state = delivery_passage_state,
			.passage_accepted = delivery_passage_accepted,
			.passage_drop = delivery_passage_drop,
			.context = worker->delivery,
		},
	};

	worker->server = session_server_new(&environment);
}

static bool
listeners_start(struct worker *worker, struct fault *fault)
{
	static const struct span farewell =
	    SPAN_LITERAL("421 4.3.2 Too many connections, try again later\r\n");
	size_t count = worker->start->listener_count;

	worker->listeners = memory_new_array(count, sizeof(*worker->listeners));
	for (size_t i = 0; i < count; i++) {
		worker->listeners[i].worker = worker;
		if (!listener_start(&worker->listeners[i].listener, worker->loop,
				    worker->start->listeners[i], client_accepted, farewell,
				    fault))
			return false;
	}
	return true;
}

static bool
channel_start(struct worker *worker, struct fault *fault)
{
	static const struct channel_events events = {
		.said = supervisor_said,
		.ended = supervisor_left,
	};

	return channel_open(&worker->channel, worker->loop, worker->start->channel, &events,
			    fault);
}

static bool
worker_build(struct worker *worker, struct fault *fault)
{
	const struct settings *settings = worker->settings;

	policy_hash(settings->policy, worker->hash);
	worker->loop = loop_new(fault);
	if (worker->loop == NULL)
		return false;
	worker->dns = dns_new(worker->loop, &settings->dns, fault); /* reads its trust anchors */
	if (worker->dns == NULL || !login_start(worker, fault) || !worker_confine(worker, fault))
		return false;
	worker->audit = audit_open(settings->state_directory, worker->hash, worker->log, fault);
	if (worker->audit == NULL)
		return false;
	if (!spool_start(worker, fault) || !delivery_start(worker, fault) ||
	    !auth_start_pool(worker, fault))
		return false;
	shared_quota_start(worker);
	session_start(worker);
	if (!channel_start(worker, fault) || !listeners_start(worker, fault))
		return false;
	worker->turn_end.run = turn_ended;
	loop_hook_add(worker->loop, &worker->turn_end);
	worker->adopt_timer.expired = adopt_timer_expired;
	worker->figures_timer.expired = figures_timer_expired;
	worker->grace_timer.expired = grace_timer_expired;
	loop_timer_set(worker->loop, &worker->figures_timer, FIGURES_EVERY_MS);
	loop_timer_set(worker->loop, &worker->adopt_timer, ADOPT_EVERY_MS);
	spool_adopt(worker->spool);
	return true;
}

static void
worker_tear_down(struct worker *worker)
{
	if (worker->server != NULL)
		session_server_free(&worker->server);
	auth_pool_free(&worker->auth);
	shared_quota_free(&worker->shared_quota);
	if (worker->delivery != NULL)
		delivery_free(&worker->delivery);
	login_client_free(&worker->login);
	orders_drop(worker);
	channel_close(&worker->channel);
	if (worker->spool != NULL) {
		figures_publish(worker);
		spool_close(&worker->spool);
	}
#ifdef FAULT_INJECTION
	disk_faulty_free(&worker->faulty);
#endif
	if (worker->audit != NULL)
		audit_close(&worker->audit);
	if (worker->dns != NULL)
		dns_free(&worker->dns);
	if (worker->loop != NULL)
		loop_free(&worker->loop);
	free(worker->listeners);
	free(worker->own_endpoints);
}

int
worker_run(const struct worker_start *start)
{
	struct worker worker = {
		.start = start,
		.settings = start->settings,
		.log = start->log,
	};
	struct fault fault = { .error = 0 };
	const char ready = WORD_READY;
	int status = WORKER_EXIT_OK;

	list_init(&worker.orders);
	if (!worker_build(&worker, &fault)) {
		log_error(worker.log, "cannot start: %s", fault_text(&fault));
		status = WORKER_EXIT_TROUBLE;
	} else {
		if (write(start->channel, &ready, 1) == 1)
			loop_run(worker.loop);
	}
	worker_tear_down(&worker);
	return status;
}
