/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ICMP errors: about packets that crossed, that never were, or damaged.
 */
#include "world.h"

static build_fn *const kinds[] = { build_udp,	  build_tcp,   build_query,
				   build_error,	  build_error, build_dccp,
				   build_udplite, build_sctp,  build_gre,
				   build_esp };

static const struct emphasis emphasis = {
	.kinds = kinds,
	.kind_count = sizeof(kinds) / sizeof(kinds[0]),
	.fragments = 4,
	.options = 8,
	.errors = 128,
};

const bool fuzz_records = true;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return world_run(&emphasis, data, size);
}
