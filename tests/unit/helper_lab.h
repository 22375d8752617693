/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A ruleset's specification that the helper takes.
 */
#ifndef PORTICO_TESTS_HELPER_LAB_H
#define PORTICO_TESTS_HELPER_LAB_H

#include <stdlib.h>

#include "platform/helper_wire.h"
#include "suite.h"

static const char inside[][IFNAMSIZ] = { "lan0", "lan1" };
static const struct nat_prefix nets[] = { { 0xc0a80100, 24 },
					  { 0xc0a80200, 24 } };
static const struct nat_prefix exempt[] = { { 0x0a080000, 16 } };

static const struct rules_spec good = {
	.uplink = "wan0",
	.uplink_addr = 0xcb007101,
	.inside = inside,
	.inside_count = 2,
	.inside_nets = nets,
	.inside_net_count = 2,
	.exempt = exempt,
	.exempt_count = 1,
	.router_ports = { 32768, 34815 },
	.queue_number = 100,
	.mark = 0x03000000,
};

/* To be freed. */
static char *block_of(const struct rules_spec *spec, size_t *length)
{
	void *block = NULL;

	CU_ASSERT_EQUAL_FATAL(helper_spec_put(spec, RULES_IPTABLES_LEGACY,
					      &block, length),
			      0);
	return block;
}

#endif
