/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Automatic mode: which device is the uplink, which ones are inside.
 */
#include "uplink_table.h"

#include <errno.h>
#include <string.h>

/* Private addresses on these belong to containers, virtual machines and
 * tunnels, whose traffic has masters of its own. */
static const char *const excluded[] = { "docker", "virbr", "veth", "wg",
					"tun" };

static const struct nat_prefix private_nets[] = {
	{ 0x0a000000, 8 },
	{ 0xac100000, 12 },
	{ 0xc0a80000, 16 },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static bool is_excluded(const char *name)
{
	for (size_t i = 0; i < COUNT(excluded); i++)
		if (!strncmp(name, excluded[i], strlen(excluded[i])))
			return true;
	return false;
}

bool uplink_is_private(uint32_t addr)
{
	for (size_t i = 0; i < COUNT(private_nets); i++)
		if (nat_prefix_has(&private_nets[i], addr))
			return true;
	return false;
}

static bool has_private_addr(const struct uplink_table *table, unsigned index)
{
	for (size_t i = 0; i < table->addr_count; i++)
		if (table->addrs[i].index == index &&
		    uplink_is_private(table->addrs[i].local))
			return true;
	return false;
}

/* Routes are sorted: the first default route is the best one. */
static const struct network_device *
find_uplink(const struct uplink_table *table)
{
	unsigned index = 0;

	for (size_t i = 0; !index && i < table->route_count; i++)
		if (!table->routes[i].to.length)
			index = table->routes[i].index;
	for (size_t i = 0; index && i < table->link_count; i++)
		if (table->links[i].index == index)
			return &table->links[i];
	return NULL;
}

static size_t find_inside(const struct uplink_table *table,
			  const struct network_device *uplink,
			  char (*inside)[IFNAMSIZ], size_t capacity)
{
	size_t count = 0;

	for (size_t i = 0; i < table->link_count && count < capacity; i++) {
		const struct network_device *link = &table->links[i];

		if (link == uplink || is_excluded(link->name) ||
		    !has_private_addr(table, link->index))
			continue;
		memcpy(inside[count++], link->name, IFNAMSIZ);
	}
	return count;
}

int network_choose(char uplink[IFNAMSIZ], char (*inside)[IFNAMSIZ],
		   size_t capacity)
{
	const struct network_device *device;
	struct uplink_table table;
	int rc = uplink_table_read(&table);

	if (!rc) {
		device = find_uplink(&table);
		memset(uplink, 0, IFNAMSIZ);
		if (device)
			memcpy(uplink, device->name, IFNAMSIZ);
		rc = (int)find_inside(&table, device, inside, capacity);
	}
	uplink_table_free(&table);
	return rc;
}
