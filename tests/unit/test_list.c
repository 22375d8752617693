/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lists of slots, compared with the order they should have, both ways.
 */
#include "nat/list.h"

#include <stdbool.h>

#include "suite.h"

#define SLOTS 8

struct lab {
	struct nat_list list;
	struct nat_link links[SLOTS + 1];
};

/* order ends with 0. */
static bool is(const struct lab *lab, const uint32_t *order)
{
	uint32_t at = lab->list.head, before = 0, count = 0;

	for (; *order; order++, count++) {
		if (at != *order || lab->links[at].prev != before)
			return false;
		before = at;
		at = lab->links[at].next;
	}
	return !at && lab->list.tail == before && lab->list.count == count;
}

#define IS(lab, ...) \
	CU_ASSERT_TRUE(is(lab, (const uint32_t[]){ __VA_ARGS__, 0 }))

static struct lab make(uint32_t count)
{
	struct lab lab = { 0 };

	for (uint32_t slot = 1; slot <= count; slot++)
		nat_list_append(&lab.list, lab.links, slot);
	return lab;
}

static void test_empty(void)
{
	struct lab lab = make(0);

	CU_ASSERT_TRUE(is(&lab, (const uint32_t[]){ 0 }));
}

static void test_append(void)
{
	struct lab lab = make(1);

	IS(&lab, 1);
	nat_list_append(&lab.list, lab.links, 5);
	nat_list_append(&lab.list, lab.links, 3);
	IS(&lab, 1, 5, 3);
}

static void test_insert(void)
{
	struct lab lab = make(3);

	nat_list_insert(&lab.list, lab.links, 4, 0);
	IS(&lab, 4, 1, 2, 3);
	nat_list_insert(&lab.list, lab.links, 5, 1);
	IS(&lab, 4, 1, 5, 2, 3);
	nat_list_insert(&lab.list, lab.links, 6, 3);
	IS(&lab, 4, 1, 5, 2, 3, 6);
}

static void test_remove(void)
{
	struct lab lab = make(4);

	nat_list_remove(&lab.list, lab.links, 2);
	IS(&lab, 1, 3, 4);
	nat_list_remove(&lab.list, lab.links, 4);
	IS(&lab, 1, 3);
	nat_list_remove(&lab.list, lab.links, 1);
	IS(&lab, 3);
	nat_list_remove(&lab.list, lab.links, 3);
	CU_ASSERT_TRUE(is(&lab, (const uint32_t[]){ 0 }));
}

static void test_again(void)
{
	struct lab lab = make(2);

	nat_list_remove(&lab.list, lab.links, 1);
	nat_list_append(&lab.list, lab.links, 1);
	IS(&lab, 2, 1);
	nat_list_remove(&lab.list, lab.links, 2);
	nat_list_remove(&lab.list, lab.links, 1);
	nat_list_append(&lab.list, lab.links, 2);
	IS(&lab, 2);
}

static void test_two_lists(void)
{
	struct lab lab = make(3);
	struct lab other = { 0 };

	/* A slot moves from one list to another over the same links. */
	nat_list_remove(&lab.list, lab.links, 2);
	nat_list_append(&other.list, lab.links, 2);
	IS(&lab, 1, 3);
	CU_ASSERT_EQUAL(other.list.head, 2);
	CU_ASSERT_EQUAL(other.list.tail, 2);
	CU_ASSERT_EQUAL(other.list.count, 1);
}

static const struct test tests[] = {
	{ "an empty list has neither head nor tail", test_empty },
	{ "appending puts a slot at the tail", test_append },
	{ "inserting puts a slot behind another or at the head", test_insert },
	{ "removing closes the gap at head, middle and tail", test_remove },
	{ "a removed slot can come back", test_again },
	{ "a slot moves between lists over the same links", test_two_lists },
};

int main(int argc, char **argv)
{
	return suite_run("list", tests, sizeof(tests) / sizeof(tests[0]), argc,
			 argv);
}
