/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * IP options and those of TCP, whole and broken.
 */
#include "world.h"

static build_fn *const kinds[] = { build_tcp,	build_tcp,   build_udp,
				   build_query, build_error, build_raw };

static const struct emphasis emphasis = {
	.kinds = kinds,
	.kind_count = sizeof(kinds) / sizeof(kinds[0]),
	.options = 200,
	.errors = 16,
};

const bool fuzz_records = true;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return world_run(&emphasis, data, size);
}
