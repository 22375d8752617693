/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The protocols that are told apart by tags: SCTP, GRE (and PPTP's), ESP.
 */
#include "world.h"

static build_fn *const kinds[] = {
	build_sctp_init, build_sctp, build_gre,
	build_pptp,	 build_esp,  build_sctp_init
};

static const struct emphasis emphasis = {
	.kinds = kinds,
	.kind_count = sizeof(kinds) / sizeof(kinds[0]),
	.fragments = 8,
	.errors = 32,
	.restarts = 4,
};

const bool fuzz_records = true;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return world_run(&emphasis, data, size);
}
