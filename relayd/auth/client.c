/* SPDX-License-Identifier: ISC */
/* The worker's side of the auth helpers; see client.h. */
#include "auth/client.h"

#include "auth/digest.h"
#include "base/memory.h"
#include "base/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAMS_PER_TURN 64

struct auth_helper_end {
	struct loop_watch watch; /* fd -1: closed for good */
	struct auth_pool *pool;
	struct list tickets; /* asked or answered */
	size_t waiting;	     /* asked */
	size_t number;
	pid_t pid; /* 0: it has not said hello */
	unsigned mechanisms;
	int64_t heard_ms;
	uint64_t sync; /* the number of the sync that is on its way; 0: none */
	bool is_slow;
	bool is_hung; /* reported; until it says something */
};

struct auth_pool {
	struct loop *loop;
	const struct log *log;
	struct auth_pool_settings settings;
	struct auth_helper_end *helpers;
	struct table tickets; /* by id, those in some helper's list */
	uint64_t serial; /* of exchanges and of requests */
	struct buffer out;
	char in[AUTH_MESSAGE_MAX];
};

/* ---- Tickets ---- */

static struct span
ticket_key(const struct auth_ticket *ticket)
{
	return (struct span){ (const char *)&ticket->id, sizeof(ticket->id) };
}

/* The helper knows of it no more, or is not to be asked. */
static void
ticket_detach(struct auth_ticket *ticket)
{
	struct auth_pool *pool = ticket->pool;

	if (ticket->helper == NULL)
		return;
	if (ticket->state == AUTH_TICKET_ASKED)
		ticket->helper->waiting--;
	(void)table_remove(&pool->tickets, ticket_key(ticket));
	list_remove(&ticket->link);
	loop_timer_cancel(pool->loop, &ticket->deadline);
	ticket->helper = NULL;
	ticket->state = AUTH_TICKET_IDLE;
}

static void
ticket_answer(struct auth_ticket *ticket, enum auth_code code)
{
	const struct auth_answer answer = { .id = ticket->id, .code = code };

	ticket->answered(ticket, &answer);
}

static void
ticket_failing(struct loop_call *call)
{
	struct auth_ticket *ticket = LIST_OWNER(call, struct auth_ticket, failing);

	ticket->state = AUTH_TICKET_IDLE;
	ticket_answer(ticket, AUTH_TROUBLE);
}

/* Tell of trouble, but not before the caller has returned. */
static void
ticket_fail(struct auth_ticket *ticket)
{
	ticket_detach(ticket);
	ticket->state = AUTH_TICKET_FAILING;
	ticket->failing.run = ticket_failing;
	loop_post(ticket->pool->loop, &ticket->failing);
}

/* ---- Talking to a helper ---- */

static bool
request_send(struct auth_helper_end *helper, const struct auth_request *request)
{
	struct buffer *out = &helper->pool->out;

	if (helper->watch.fd == -1)
		return false;
	buffer_clear(out);
	auth_request_write(request, out);
	bool is_sent =
	    send(helper->watch.fd, out->ptr, out->len, MSG_DONTWAIT | MSG_NOSIGNAL) != -1;

	memory_wipe(out->ptr, out->len);
	return is_sent;
}

static void
cancel_send(struct auth_helper_end *helper, uint64_t id)
{
	const struct auth_request request = { .id = id, .op = AUTH_OP_CANCEL };

	(void)request_send(helper, &request);
}

/*
 * The helper was silent from the question on until its deadline. One that answers others is
 * only busy.
 */
static void
ticket_deadline(struct loop_timer *timer)
{
	struct auth_ticket *ticket = LIST_OWNER(timer, struct auth_ticket, deadline);
	struct auth_helper_end *helper = ticket->helper;
	const struct auth_pool *pool = ticket->pool;

	cancel_send(helper, ticket->id);
	if (helper->heard_ms <= ticket->asked_ms && !helper->is_hung) {
		helper->is_hung = true;
		log_warn(pool->log, "auth helper %zu (process %ld) does not answer",
			 helper->number, (long)helper->pid);
		if (pool->settings.hung != NULL && helper->pid != 0)
			pool->settings.hung(pool->settings.context, helper->number, helper->pid);
	}
	ticket_detach(ticket);
	ticket_answer(ticket, AUTH_TROUBLE);
}

static void
ticket_ask(struct auth_ticket *ticket, struct auth_helper_end *helper,
	   const struct auth_request *request)
{
	struct auth_pool *pool = ticket->pool;

	if (helper->waiting >= AUTH_QUEUE_MAX || !request_send(helper, request)) {
		if (ticket->state == AUTH_TICKET_ANSWERED)
			cancel_send(helper, ticket->id);
		ticket_fail(ticket);
		return;
	}
	ticket->state = AUTH_TICKET_ASKED;
	ticket->asked = ++pool->serial;
	ticket->asked_ms = loop_now_ms(pool->loop);
	ticket->deadline.expired = ticket_deadline;
	helper->waiting++;
	loop_timer_set(pool->loop, &ticket->deadline, pool->settings.deadline_ms);
}

/* ---- Listening to it ---- */

/*
 * The process that knew our exchanges is no more: those that wait for their client are lost,
 * which they are told with their next step.
 */
static void
tickets_lose(struct auth_helper_end *helper)
{
	struct list *link = helper->tickets.next;

	while (link != &helper->tickets) {
		struct auth_ticket *ticket = LIST_OWNER(link, struct auth_ticket, link);

		link = link->next;
		if (ticket->state == AUTH_TICKET_ANSWERED) {
			ticket_detach(ticket);
			ticket->state = AUTH_TICKET_LOST;
		}
	}
}

/* Trouble for what was asked before that number and is not answered. */
static void
tickets_fail_before(struct auth_helper_end *helper, uint64_t asked)
{
	struct list all;
	struct list *link;

	list_init(&all);
	list_splice(&all, &helper->tickets);
	while ((link = list_take_first(&all)) != NULL) {
		struct auth_ticket *ticket = LIST_OWNER(link, struct auth_ticket, link);

		if (ticket->state == AUTH_TICKET_ASKED && ticket->asked < asked) {
			ticket_detach(ticket);
			ticket_answer(ticket, AUTH_TROUBLE);
		} else {
			list_append(&helper->tickets, &ticket->link);
		}
	}
}

static void
helper_close(struct auth_helper_end *helper)
{
	if (helper->watch.fd == -1)
		return;
	loop_watch_remove(helper->pool->loop, &helper->watch);
	(void)close(helper->watch.fd);
	helper->watch.fd = -1;
	tickets_lose(helper);
	tickets_fail_before(helper, UINT64_MAX);
}

/*
 * A new process answers what its predecessor had not yet read, and nothing that it had. Once
 * the sync that we send now comes back, all that was asked before and is not answered was read
 * by the predecessor.
 */
static void
helper_replaced(struct auth_helper_end *helper)
{
	const struct auth_request sync = { .id = ++helper->pool->serial, .op = AUTH_OP_SYNC };

	tickets_lose(helper);
	helper->sync = sync.id;
	if (!request_send(helper, &sync))
		tickets_fail_before(helper, UINT64_MAX); /* no room to ask: assume the worst */
}

static void
hello_take(struct auth_helper_end *helper, const struct auth_answer *answer)
{
	bool is_new = helper->pid != 0 && helper->pid != answer->pid;

	helper->pid = answer->pid;
	helper->mechanisms = answer->mechanisms;
	if (is_new) {
		helper_replaced(helper);
	} else if (helper->sync != 0 && answer->id == helper->sync) {
		uint64_t sync = helper->sync;

		helper->sync = 0;
		tickets_fail_before(helper, sync);
	}
}

static void
answer_take(struct auth_helper_end *helper, const struct auth_answer *answer)
{
	struct auth_pool *pool = helper->pool;

	helper->heard_ms = loop_now_ms(pool->loop);
	helper->is_hung = false;
	if (answer->code == AUTH_HELLO) {
		hello_take(helper, answer);
		return;
	}
	struct auth_ticket *ticket = table_find(
	    &pool->tickets, (struct span){ (const char *)&answer->id, sizeof(answer->id) });

	if (ticket == NULL || ticket->helper != helper || ticket->state != AUTH_TICKET_ASKED) {
		if (answer->code == AUTH_CONTINUE && ticket == NULL)
			cancel_send(helper, answer->id); /* of somebody who gave up */
		return;
	}
	if (answer->code == AUTH_CONTINUE) {
		loop_timer_cancel(pool->loop, &ticket->deadline);
		ticket->state = AUTH_TICKET_ANSWERED;
		helper->waiting--;
	} else {
		ticket_detach(ticket);
	}
	ticket->answered(ticket, answer);
}

static void
helper_ready(struct loop_watch *watch, unsigned events)
{
	struct auth_helper_end *helper = LIST_OWNER(watch, struct auth_helper_end, watch);
	struct auth_pool *pool = helper->pool;

	(void)events;
	for (int i = 0; i < DATAGRAMS_PER_TURN && watch->fd != -1; i++) {
		struct auth_answer answer;
		ssize_t len = recv(watch->fd, pool->in, sizeof(pool->in),
				   MSG_DONTWAIT | MSG_TRUNC);

		if (len == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len <= 0) {
			log_warn(pool->log, "auth helper %zu is gone", helper->number);
			helper_close(helper);
			return;
		}
		if ((size_t)len > sizeof(pool->in) ||
		    auth_answer_read((struct span){ pool->in, (size_t)len }, &answer) != PARSE_OK)
			log_warn(pool->log, "auth helper %zu sent what is no answer",
				 helper->number);
		else
			answer_take(helper, &answer);
	}
}

/* ---- The pool ---- */

static bool
helper_open(struct auth_pool *pool, size_t i, const struct auth_pool_helper *given,
	    struct fault *fault)
{
	const struct auth_request reset = { .op = AUTH_OP_RESET };
	struct auth_helper_end *helper = &pool->helpers[i];

	if (!loop_watch_add(pool->loop, &helper->watch, fault))
		return false;
	helper->is_slow = given->is_slow;
	(void)request_send(helper, &reset);
	return true;
}

struct auth_pool *
auth_pool_new(struct loop *loop, const struct log *log,
	      const struct auth_pool_settings *settings, struct fault *fault)
{
	struct auth_pool *pool = memory_new(sizeof(*pool));
	bool is_open = true;

	pool->loop = loop;
	pool->log = log;
	pool->settings = *settings;
	pool->settings.helpers = NULL;
	pool->helpers = memory_new_array(settings->helper_count + 1, sizeof(*pool->helpers));
	buffer_init(&pool->out, AUTH_MESSAGE_MAX);
	table_init(&pool->tickets, 0);
	/* far from the numbers of whoever had our slot before */
	digest_random(&pool->serial, sizeof(pool->serial));
	for (size_t i = 0; i < settings->helper_count; i++) {
		struct auth_helper_end *helper = &pool->helpers[i];

		helper->pool = pool;
		helper->number = i;
		list_init(&helper->tickets);
		helper->watch = (struct loop_watch){
			.ready = helper_ready,
			.fd = settings->helpers[i].fd,
			.wanted = LOOP_READ,
		};
	}
	for (size_t i = 0; i < settings->helper_count && is_open; i++)
		is_open = helper_open(pool, i, &settings->helpers[i], fault);
	if (!is_open)
		auth_pool_free(&pool);
	return pool;
}

void
auth_pool_free(struct auth_pool **pool)
{
	if (*pool == NULL)
		return;
	for (size_t i = 0; i < (*pool)->settings.helper_count; i++) {
		struct auth_helper_end *helper = &(*pool)->helpers[i];

		assert(list_is_empty(&helper->tickets));
		if (helper->watch.is_watched)
			loop_watch_remove((*pool)->loop, &helper->watch);
		if (helper->watch.fd != -1)
			(void)close(helper->watch.fd);
	}
	table_reset(&(*pool)->tickets);
	buffer_reset(&(*pool)->out);
	free((*pool)->helpers);
	free(*pool);
	*pool = NULL;
}

unsigned
auth_pool_mechanisms(const struct auth_pool *pool)
{
	unsigned said = 0;
	bool has_hello = false;

	for (size_t i = 0; i < pool->settings.helper_count; i++) {
		const struct auth_helper_end *helper = &pool->helpers[i];

		if (helper->watch.fd == -1 || helper->pid == 0)
			continue;
		has_hello = true;
		said |= helper->mechanisms;
	}
	return pool->settings.mechanisms & (has_hello ? said : ~AUTH_BIT(AUTH_GSSAPI));
}

/* Is a the better helper to give work to? */
static bool
helper_is_better(const struct auth_helper_end *a, const struct auth_helper_end *b)
{
	if (a->is_hung != b->is_hung)
		return b->is_hung;
	return a->waiting < b->waiting;
}

static struct auth_helper_end *
helper_choose(const struct auth_pool *pool, bool is_slow)
{
	struct auth_helper_end *best = NULL;

	for (size_t i = 0; i < pool->settings.helper_count; i++) {
		struct auth_helper_end *helper = &pool->helpers[i];

		if (helper->watch.fd == -1 || helper->is_slow != is_slow)
			continue;
		if (best == NULL || helper_is_better(helper, best))
			best = helper;
	}
	return best;
}

void
auth_start(struct auth_pool *pool, struct auth_ticket *ticket, enum auth_mechanism mechanism,
	   const struct auth_facts *facts, bool has_data, struct span data)
{
	struct auth_helper_end *helper =
	    helper_choose(pool, auth_mechanism_is_slow(pool->settings.method, mechanism));

	assert(ticket->state == AUTH_TICKET_IDLE && ticket->answered != NULL);
	ticket->pool = pool;
	ticket->id = ++pool->serial;
	if (helper == NULL || facts->external.len > AUTH_LOGIN_MAX ||
	    data.len > AUTH_DATA_MAX) {
		ticket_fail(ticket);
		return;
	}
	const struct auth_request request = {
		.id = ticket->id,
		.op = AUTH_OP_START,
		.mechanism = mechanism,
		.facts = *facts,
		.has_data = has_data,
		.data = data,
	};

	ticket->helper = helper;
	list_append(&helper->tickets, &ticket->link);
	(void)table_put(&pool->tickets, ticket_key(ticket), ticket);
	ticket_ask(ticket, helper, &request);
}

void
auth_step(struct auth_ticket *ticket, struct span data)
{
	const struct auth_request request = {
		.id = ticket->id,
		.op = AUTH_OP_STEP,
		.has_data = true,
		.data = data,
	};

	assert(ticket->state == AUTH_TICKET_ANSWERED || ticket->state == AUTH_TICKET_LOST);
	if (ticket->state == AUTH_TICKET_LOST || data.len > AUTH_DATA_MAX)
		ticket_fail(ticket);
	else
		ticket_ask(ticket, ticket->helper, &request);
}

void
auth_cancel(struct auth_ticket *ticket)
{
	if (ticket->state == AUTH_TICKET_IDLE)
		return;
	if (ticket->state == AUTH_TICKET_FAILING)
		(void)loop_call_cancel(ticket->pool->loop, &ticket->failing);
	if (ticket->helper != NULL)
		cancel_send(ticket->helper, ticket->id);
	ticket_detach(ticket);
	ticket->state = AUTH_TICKET_IDLE;
}
