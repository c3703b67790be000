/* SPDX-License-Identifier: ISC */
/* Doubly linked lists whose links live in their members. A head is a link of its own. */
#ifndef RELAYD_BASE_LIST_H
#define RELAYD_BASE_LIST_H

#include "base/span.h"

struct list {
	struct list *next;
	struct list *prev;
};

/* The object that holds the link. */
#define LIST_OWNER(link, type, member) \
	((type *)(void *)((char *)(link) - offsetof(type, member)))

/* An empty head, or a link that is in no list. */
static inline void
list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool
list_is_empty(const struct list *head)
{
	return head->next == head;
}

/* Is this link in some list? The link must have been through list_init. */
static inline bool
list_is_linked(const struct list *link)
{
	return link->next != link;
}

static inline void
list_insert_before(struct list *place, struct list *link)
{
	link->next = place;
	link->prev = place->prev;
	place->prev->next = link;
	place->prev = link;
}

static inline void
list_append(struct list *head, struct list *link)
{
	list_insert_before(head, link);
}

static inline void
list_prepend(struct list *head, struct list *link)
{
	list_insert_before(head->next, link);
}

/* Take the link out; harmless when it is in no list. */
static inline void
list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/* Take the first link out and return it; NULL from an empty list. */
static inline struct list *
list_take_first(struct list *head)
{
	struct list *link = head->next;

	if (link == head)
		return NULL;
	list_remove(link);
	return link;
}

/* Move everything in from to the end of head's list; from is empty then. */
static inline void
list_splice(struct list *head, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	list_init(from);
}

#endif
