/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tests of kernel settings share.
 */
#ifndef PORTICO_TESTS_SYSCTL_LAB_H
#define PORTICO_TESTS_SYSCTL_LAB_H

#include <stdio.h>
#include <string.h>

#include "platform/sysctl.h"
#include "suite.h"

#define RESERVED "net/ipv4/ip_local_reserved_ports"
#define REDIRECTS "net/ipv4/conf/all/send_redirects"

static inline void expect(const char *name, const char *value)
{
	char now[512];

	CU_ASSERT_EQUAL(sysctl_read(name, now, sizeof(now)), 0);
	if (strcmp(now, value))
		printf("%s is \"%s\", not \"%s\"\n", name, now, value);
	CU_ASSERT_STRING_EQUAL(now, value);
}

static inline void add_range(struct nat_portset *set, unsigned first,
			     unsigned last)
{
	for (unsigned port = first; port <= last; port++)
		nat_portset_add(set, (uint16_t)port);
}

#endif
