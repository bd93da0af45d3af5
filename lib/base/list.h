/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Intrusive doubly linked lists: embed a struct list_node, keep a struct list as the head. An element that is on no
 * list has node.next == NULL (zeroed memory qualifies).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list_node {
	struct list_node *next, *prev;
};

struct list {
	struct list_node head; /* next = first, prev = last */
};

#define LIST_INIT(name) { { &(name).head, &(name).head } }
#define list_entry(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))
#define list_for_each(node, list) \
	for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)
/* The same, safe against removal of the element itself. */
#define list_for_each_safe(node, list) \
	for (struct list_node *node = (list)->head.next, *node##_next = node->next; node != &(list)->head; \
	     node = node##_next, node##_next = node->next)

static inline void list_init(struct list *l)
{
	l->head.next = l->head.prev = &l->head;
}

static inline bool list_empty(const struct list *l)
{
	return l->head.next == &l->head;
}

static inline bool list_linked(const struct list_node *n)
{
	return n->next != NULL;
}

static inline void list_insert_before(struct list_node *at, struct list_node *n)
{
	n->next = at;
	n->prev = at->prev;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_append(struct list *l, struct list_node *n)
{
	list_insert_before(&l->head, n);
}

static inline void list_prepend(struct list *l, struct list_node *n)
{
	list_insert_before(l->head.next, n);
}

static inline void list_remove(struct list_node *n)
{
	if (n->next == NULL)
		return;
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
}

/* First element's node, or NULL. */
static inline struct list_node *list_first(const struct list *l)
{
	return list_empty(l) ? NULL : l->head.next;
}
