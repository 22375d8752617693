/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Forwards that come and go by command. Each time the configuration in force
 * gives way to one that differs in its forwards; its file is not read.
 */
#include "gateway_private.h"
#include "helper_waits.h"
#include "log.h"

/* Takes the changed configuration over. 0, or -errno with a sentence in error:
 * the old one stays. */
static int change(struct gateway *g, struct config *changed, char *error,
		  size_t size)
{
	struct config *old = g->config;
	int err;

	helper_bound(g->helper, HELPER_CHANGE_MS);
	err = gateway_adopt(g, changed, error, size);
	if (!err)
		gateway_reserve_ports(g);
	helper_bound(g->helper, 0);
	config_free_forwards(err ? changed : old);
	return err;
}

int gateway_add_forward(struct gateway *g, struct json_object *forward,
			char *error, size_t size)
{
	struct config *changed;
	const struct nat_config *nat;
	int err = config_add_forward(g->config, forward, &changed, error, size);

	if (!err)
		err = change(g, changed, error, size);
	if (err)
		return err;
	nat = &g->config->nat;
	log_info("forward", "%s added by command",
		 nat->forwards[nat->forward_count - 1].name);
	return 0;
}

int gateway_remove_forward(struct gateway *g, const char *name, char *error,
			   size_t size)
{
	struct config *changed;
	int err = config_remove_forward(g->config, name, &changed, error, size);

	if (!err)
		err = change(g, changed, error, size);
	if (!err)
		log_info("forward", "%s removed by command", name);
	return err;
}
