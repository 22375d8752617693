/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Restarts over damaged records: less may be there, never a mapping, a session
 * or an owner that was not, and the table goes on to work.
 */
#include "world.h"

static build_fn *const kinds[] = { build_tcp,	    build_udp,	  build_query,
				   build_sctp_init, build_gre,	  build_esp,
				   build_dccp,	    build_udplite };

static const struct emphasis emphasis = {
	.kinds = kinds,
	.kind_count = sizeof(kinds) / sizeof(kinds[0]),
	.errors = 4,
	.restarts = 48,
	.harm = true,
};

const bool fuzz_records = true;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return world_run(&emphasis, data, size);
}
