/* SPDX-License-Identifier: ISC */
/*
 * Orders: what operators want done with the queue. The supervisor knows no messages: it passes
 * an order on to every worker, each of which carries out its part (delivery/operation.h),
 * sums up the answers, and says plainly when one of them did not live to give it.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "daemon/supervisor_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ORDERS_MAX 64 /* under way at once; their clients may be gone already */
#define ANSWER_MAX (64U << 10)

struct order {
	struct list link; /* in the supervisor's orders */
	struct control_client *client; /* NULL: it went away; the order goes on */
	struct order_head head;
	enum queue_action action;
	char *selection;       /* JSON */
	bool is_asked[SLOTS];  /* by the slots of the children that owe an answer */
	unsigned asked, owed, lost;
	struct queue_tally tally;
	bool is_broken, is_loading;
};

static struct order *
order_of(struct list *link)
{
	return LIST_OWNER(link, struct order, link);
}

static void
order_free(struct order *order)
{
	list_remove(&order->link);
	free(order->selection);
	free(order);
}

/* ---- The end of one ---- */

static void
order_record(const struct supervisor *supervisor, const struct order *order)
{
	bool is_partial = order->lost > 0 || order->is_broken || order->is_loading;
	struct audit_operator record = {
		.wall_ms = clock_wall_ms(),
		.action = queue_action_name(order->action),
		.uid = order->head.uid,
		.user = span_of(order->head.user),
		.result = is_partial ? "partial" : "done",
		.selection = span_of(order->selection),
		.count = order->tally.done,
	};

	if (order->action == QUEUE_COUNT)
		return;
	audit_operator(supervisor->audit, &record);
	(void)audit_flush(supervisor->audit);
}

static void
problems_write(const struct order *order, struct json *j)
{
	char text[200];

	json_array_begin(j, "errors");
	if (order->lost > 0) {
		(void)snprintf(text, sizeof(text),
			       "%u of %u workers ended before they answered: what they had of the "
			       "queue may be untouched; ask again",
			       order->lost, order->asked);
		json_cstring(j, NULL, text);
	}
	if (order->is_loading)
		json_cstring(j, NULL, "relayd is still reading its queue after a start: what it "
				      "had not read yet is untouched; ask again");
	if (order->is_broken)
		json_cstring(j, NULL, "the audit trail cannot be written, and nothing is done "
				      "without a record of it");
	json_array_end(j);
}

static void
order_answer(const struct order *order, struct buffer *out)
{
	bool is_whole = order->lost == 0 && !order->is_loading && !order->is_broken;
	struct json j = json_on(out);

	json_object_begin(&j, NULL);
	json_bool(&j, "ok", is_whole);
	json_cstring(&j, "action", queue_action_name(order->action));
	json_number(&j, "matched", (int64_t)order->tally.matched);
	json_number(&j, "done", (int64_t)order->tally.done);
	json_number(&j, "active", (int64_t)order->tally.active);
	json_number(&j, "unchanged", (int64_t)order->tally.unchanged);
	json_number(&j, "failed", (int64_t)order->tally.failed);
	if (!is_whole)
		problems_write(order, &j);
	json_object_end(&j);
}

static void
order_end(struct supervisor *supervisor, struct order *order)
{
	struct buffer answer;

	order_record(supervisor, order);
	if (order->client != NULL) {
		buffer_init(&answer, ANSWER_MAX);
		order_answer(order, &answer);
		control_order_ended(order->client, &answer);
		buffer_reset(&answer);
	}
	order_free(order);
}

/* ---- Answers ---- */

static void
tally_add(struct queue_tally *to, const struct queue_tally *from)
{
	to->matched += from->matched;
	to->done += from->done;
	to->active += from->active;
	to->unchanged += from->unchanged;
	to->failed += from->failed;
}

void
orders_child_answered(struct supervisor *supervisor, const struct child *child,
		      struct span cargo)
{
	struct order_answer answer;

	if (cargo.len != sizeof(answer))
		return;
	memcpy(&answer, cargo.ptr, sizeof(answer));
	for (struct list *link = supervisor->orders.next; link != &supervisor->orders;
	     link = link->next) {
		struct order *order = order_of(link);

		if (order->head.number != answer.number || !order->is_asked[child->slot])
			continue;
		order->is_asked[child->slot] = false;
		order->is_broken = order->is_broken || answer.is_broken;
		order->is_loading = order->is_loading || answer.is_loading;
		tally_add(&order->tally, &answer.tally);
		if (--order->owed == 0)
			order_end(supervisor, order);
		return;
	}
}

void
orders_child_ended(struct supervisor *supervisor, const struct child *child)
{
	struct list *next;

	for (struct list *link = supervisor->orders.next; link != &supervisor->orders;
	     link = next) {
		struct order *order = order_of(link);

		next = link->next;
		if (!order->is_asked[child->slot])
			continue;
		order->is_asked[child->slot] = false;
		order->lost++;
		if (--order->owed == 0)
			order_end(supervisor, order);
	}
}

/* ---- The beginning ---- */

static void
order_send(struct supervisor *supervisor, struct order *order, struct span request)
{
	struct buffer cargo;

	buffer_init(&cargo, CHANNEL_CARGO_MAX);
	(void)buffer_append(&cargo, (struct span){ (const char *)&order->head,
						   sizeof(order->head) });
	(void)buffer_append(&cargo, request);
	for (struct list *link = supervisor->children.next; link != &supervisor->children;
	     link = link->next) {
		struct child *child = LIST_OWNER(link, struct child, link);

		order->asked++;
		if (child->state == CHILD_STARTING) {
			order->is_loading = true; /* whatever it will find in the spool */
		} else if (channel_say(&child->channel, WORD_ORDER, buffer_span(&cargo))) {
			order->is_asked[child->slot] = true;
			order->owed++;
		} else {
			order->lost++;
		}
	}
	buffer_reset(&cargo);
}

static size_t
orders_count(const struct supervisor *supervisor)
{
	size_t count = 0;

	for (const struct list *link = supervisor->orders.next; link != &supervisor->orders;
	     link = link->next)
		count++;
	return count;
}

/* Only these two may act; so nobody has to be asked for their names. */
static const char *
operator_name(const struct supervisor *supervisor, uid_t uid)
{
	return uid == 0 ? "root" : uid == geteuid() ? supervisor->current->settings->user : NULL;
}

const char *
order_begin(struct supervisor *supervisor, const struct control_request *request,
	    struct span line, uid_t uid, struct control_client *client)
{
	const char *name = operator_name(supervisor, uid);
	struct fault fault = { .error = 0 };
	struct selection *selection;

	if (name == NULL)
		return "only root and the account that relayd runs as may act on the queue";
	if (orders_count(supervisor) >= ORDERS_MAX)
		return "too many requests are under way; ask again later";
	selection = selection_new(&request->selection, &fault);
	if (selection == NULL)
		return "a sender or recipient is no pattern; relayctl says which";
	selection_free(&selection);

	struct order *order = memory_new(sizeof(*order));

	order->client = client;
	order->action = request->action;
	order->selection = memory_copy_text(request->selection_json);
	order->head.number = ++supervisor->orders_made;
	order->head.uid = uid;
	(void)snprintf(order->head.user, sizeof(order->head.user), "%s", name);
	list_init(&order->link);
	list_append(&supervisor->orders, &order->link);
	order_send(supervisor, order, line);
	if (order->owed == 0)
		order_end(supervisor, order);
	return NULL;
}

void
orders_client_left(struct supervisor *supervisor, const struct control_client *client)
{
	for (struct list *link = supervisor->orders.next; link != &supervisor->orders;
	     link = link->next) {
		if (order_of(link)->client == client)
			order_of(link)->client = NULL;
	}
}

void
orders_drop(struct supervisor *supervisor)
{
	while (!list_is_empty(&supervisor->orders))
		order_free(order_of(supervisor->orders.next));
}
