/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The gateway's devices at its start: which they are, whether they are there,
 * and what was behind those that are not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway_private.h"
#include "log.h"

/* The networks of the hosts in the table, at most so many: else wider ones. */
#define REMEMBERED_MAX 256U

static bool add_remembered(struct nat_prefix *nets, size_t *count,
			   uint32_t addr, uint8_t length)
{
	const struct nat_prefix net = { addr & ~(~0U >> length), length };

	for (size_t i = 0; i < *count; i++)
		if (nets[i].addr == net.addr)
			return true;
	if (*count == REMEMBERED_MAX)
		return false;
	nets[(*count)++] = net;
	return true;
}

/* An inside device may be away while no daemon was there to see it go: its hosts
 * are in the table. */
static void remember_hosts(struct gateway *g)
{
	struct nat_prefix nets[REMEMBERED_MAX];
	struct nat_host_view host;
	uint32_t cursor;
	uint8_t length = 24;
	size_t count;
	bool all;
	int err;

	do {
		all = true;
		cursor = 0;
		count = 0;
		while (all && nat_next_host(g->nat, &cursor, &host))
			all = add_remembered(nets, &count, host.addr, length);
		length -= 8;
	} while (!all);
	err = count ? network_remember(g->network, nets, count) : 0;
	if (err)
		log_warning("network",
			    "what is behind inside devices that are away is "
			    "not known: %s",
			    strerror(-err));
}

int gateway_open_network(struct gateway *g, char *error, size_t size)
{
	struct spec_devices devices;
	int err = spec_choose_devices(g->config, &devices);

	if (err)
		return gateway_say(error, size, err, "%s", spec_error(err));
	g->network = network_open(g->loop, devices.uplink,
				  (const char(*)[IFNAMSIZ])devices.inside,
				  devices.inside_count,
				  g->config->uplink_address,
				  nat_known_uplink(g->nat),
				  gateway_network_changed, g);
	err = g->network ? 0 : -errno;
	if (!g->config->uplink_device[0] || !g->config->inside_count) {
		log_info("network", "chosen: uplink %s", devices.uplink);
		for (size_t i = 0; i < devices.inside_count; i++)
			log_info("network", "chosen: inside %s",
				 devices.inside[i]);
	}
	free(devices.inside);
	if (err)
		return gateway_say(error, size, err, "rtnetlink: %s",
				   strerror(-err));
	if (network_state(g->network)->inside_unknown)
		remember_hosts(g);
	return 0;
}

static bool inside_exists(const struct network_state *state)
{
	for (size_t i = 0; i < state->inside_count; i++)
		if (state->inside[i].index)
			return true;
	return false;
}

/* At a first start a device that does not exist is taken for a typing error:
 * the uplink, or all of the inside. Later they come and go (PPPoE), also while
 * no daemon is there to see it: then the status warns of them. Where the inside
 * is to be chosen it may get its addresses later, as at boot: what its hosts
 * sent would leave as it is. */
int gateway_check_devices(struct gateway *g, char *error, size_t size)
{
	const struct network_state *state = network_state(g->network);

	if (!state->inside_count)
		return gateway_say(error, size, -ENODEV,
				   "no inside: no device but the uplink has a "
				   "private address, and inside.devices is not "
				   "set");
	if (nat_known_uplink(g->nat))
		return 0;
	if (!state->uplink.index)
		return gateway_say(error, size, -ENODEV,
				   "uplink.device: %s does not exist",
				   state->uplink.name);
	if (!inside_exists(state))
		return gateway_say(
			error, size, -ENODEV,
			"inside.devices: %s%s does not exist",
			state->inside[0].name,
			state->inside_count > 1 ? ", as all the others," : "");
	return 0;
}

static bool is_ours(const struct network_state *state, const char *name)
{
	for (size_t i = 0; i < state->inside_count; i++)
		if (!strcmp(state->inside[i].name, name))
			return true;
	return !strcmp(state->uplink.name, name);
}

void gateway_find_missed(struct gateway *g)
{
	char uplink[IFNAMSIZ], inside[SPEC_INSIDE_MAX][IFNAMSIZ];
	char missed[IFNAMSIZ] = "";
	int count = g->config->inside_count ?
			    0 :
			    network_choose(uplink, inside, SPEC_INSIDE_MAX);

	for (int i = 0; i < count && !missed[0]; i++)
		if (!is_ours(network_state(g->network), inside[i]))
			memcpy(missed, inside[i], sizeof(missed));
	if (missed[0] && strcmp(missed, g->missed) != 0)
		log_warning("network", GATEWAY_MISSED, missed);
	memcpy(g->missed, missed, sizeof(missed));
}
