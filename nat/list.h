/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Doubly linked lists of record slots, by index instead of by pointer. Slot 0
 * is nobody: it ends every list. The links of all lists over one kind of
 * record lie in one array, so a slot is in at most one list of that array.
 */
#ifndef PORTICO_NAT_LIST_H
#define PORTICO_NAT_LIST_H

#include <stdint.h>

struct nat_link {
	uint32_t prev;
	uint32_t next;
};

struct nat_list {
	uint32_t head;
	uint32_t tail;
	uint32_t count;
};

/* Puts slot behind `after` (0: at the head). */
static inline void nat_list_insert(struct nat_list *list,
				   struct nat_link *links, uint32_t slot,
				   uint32_t after)
{
	uint32_t next = after ? links[after].next : list->head;

	links[slot] = (struct nat_link){ after, next };
	if (after)
		links[after].next = slot;
	else
		list->head = slot;
	if (next)
		links[next].prev = slot;
	else
		list->tail = slot;
	list->count++;
}

static inline void nat_list_append(struct nat_list *list,
				   struct nat_link *links, uint32_t slot)
{
	nat_list_insert(list, links, slot, list->tail);
}

static inline void nat_list_remove(struct nat_list *list,
				   struct nat_link *links, uint32_t slot)
{
	struct nat_link link = links[slot];

	if (link.prev)
		links[link.prev].next = link.next;
	else
		list->head = link.next;
	if (link.next)
		links[link.next].prev = link.prev;
	else
		list->tail = link.prev;
	list->count--;
}

#endif
