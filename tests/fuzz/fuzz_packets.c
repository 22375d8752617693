/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Sequences of packets of all kinds, a bit of everything between them.
 */
#include "world.h"

static build_fn *const kinds[] = { build_tcp,	  build_udp,  build_query,
				   build_tcp,	  build_udp,  build_error,
				   build_udplite, build_dccp, build_sctp,
				   build_gre,	  build_esp,  build_other,
				   build_raw };

static const struct emphasis emphasis = {
	.kinds = kinds,
	.kind_count = sizeof(kinds) / sizeof(kinds[0]),
	.fragments = 10,
	.options = 10,
	.errors = 16,
	.restarts = 2,
};

const bool fuzz_records = true;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return world_run(&emphasis, data, size);
}
