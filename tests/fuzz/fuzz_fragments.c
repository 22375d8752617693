/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Fragments in any order, overlapping, tiny, without their first.
 */
#include "world.h"

static build_fn *const kinds[] = { build_udp,  build_tcp,  build_query,
				   build_udp,  build_dccp, build_udplite,
				   build_gre,  build_esp,  build_error,
				   build_other };

static const struct emphasis emphasis = {
	.kinds = kinds,
	.kind_count = sizeof(kinds) / sizeof(kinds[0]),
	.fragments = 160,
	.options = 8,
	.errors = 8,
};

const bool fuzz_records = true;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return world_run(&emphasis, data, size);
}
