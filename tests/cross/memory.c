/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Prints how many bytes of the engine's two blocks a mapping with one session
 * takes, indices included: what twice the table takes more.
 */
#include <portico/nat.h>
#include <stdio.h>

#define COUNT 32768U

static size_t bytes_for(uint32_t count)
{
	const struct nat_limits limits = {
		.mappings = count,
		.sessions = count,
		.hosts = 64,
		.held_ports = 64,
		.fragments = 64,
		.fragment_bytes = 4096,
	};

	return nat_records_size(&limits) + nat_indices_size(&limits);
}

int main(void)
{
	printf("%zu\n", (bytes_for(2 * COUNT) - bytes_for(COUNT)) / COUNT);
	return 0;
}
