/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the model knows, counted and searched from end to end.
 */
#include "model.h"

#define NONE MODEL_NONE

enum nat_pool model_pool(uint8_t proto)
{
	return proto == NAT_PROTO_UDP ? NAT_POOL_UDP :
	       proto == NAT_PROTO_TCP ? NAT_POOL_TCP :
					NAT_POOL_ICMP;
}

const struct model_mapping *model_by_id(const struct model *model, uint32_t id)
{
	for (size_t i = 0; i < model->mapping_count; i++)
		if (model->mappings[i].id == id)
			return &model->mappings[i];
	return NULL;
}

const struct model_mapping *model_by_inside(const struct model *model,
					    uint8_t proto, uint32_t addr,
					    uint16_t port)
{
	for (size_t i = 0; i < model->mapping_count; i++) {
		const struct model_mapping *m = &model->mappings[i];

		if (m->proto == proto && m->inside_addr == addr &&
		    m->inside_port == port)
			return m;
	}
	return NULL;
}

const struct model_mapping *model_by_outside(const struct model *model,
					     uint8_t proto, uint16_t port)
{
	for (size_t i = 0; i < model->mapping_count; i++)
		if (model->mappings[i].proto == proto &&
		    model->mappings[i].outside_port == port)
			return &model->mappings[i];
	return NULL;
}

size_t model_sessions_of(const struct model *model, uint32_t mapping)
{
	size_t count = 0;

	for (size_t i = 0; i < model->session_count; i++)
		count += model->sessions[i].mapping == mapping;
	return count;
}

size_t model_host_mappings(const struct model *model, uint32_t addr)
{
	size_t count = 0;

	for (size_t i = 0; i < model->mapping_count; i++)
		count += model->mappings[i].inside_addr == addr;
	return count;
}

size_t model_host_dynamic(const struct model *model, uint32_t addr)
{
	size_t count = 0;

	for (size_t i = 0; i < model->mapping_count; i++)
		count += model->mappings[i].inside_addr == addr &&
			 !model->mappings[i].forward;
	return count;
}

size_t model_host_sessions(const struct model *model, uint32_t addr)
{
	size_t count = 0;

	for (size_t i = 0; i < model->mapping_count; i++)
		if (model->mappings[i].inside_addr == addr)
			count +=
				model_sessions_of(model, model->mappings[i].id);
	return count;
}

bool model_is_held(const struct model *model, enum nat_pool pool, uint16_t port)
{
	for (size_t i = 0; i < model->held_count; i++)
		if (model->held[i].live && model->held[i].pool == pool &&
		    model->held[i].port == port)
			return true;
	return false;
}

bool model_is_free(const struct model *model, enum nat_pool pool, uint16_t port,
		   uint16_t wanted)
{
	static const uint8_t protos[NAT_POOLS] = {
		[NAT_POOL_UDP] = NAT_PROTO_UDP,
		[NAT_POOL_TCP] = NAT_PROTO_TCP,
		[NAT_POOL_ICMP] = NAT_PROTO_ICMP,
	};

	return port && nat_portset_has(&model->config->pool[pool], port) &&
	       !nat_portset_has(&model->bound[pool], port) &&
	       (wanted < 1024 ||
		!nat_portset_has(&model->config->low_only, port)) &&
	       !model_is_held(model, pool, port) &&
	       !model_by_outside(model, protos[pool], port);
}

bool model_host_table_full(const struct model *model, uint32_t addr)
{
	size_t hosts = 0;

	if (model_host_mappings(model, addr))
		return false;
	for (size_t i = 0; i < model->mapping_count; i++) {
		bool seen = false;

		for (size_t j = 0; j < i; j++)
			seen |= model->mappings[j].inside_addr ==
				model->mappings[i].inside_addr;
		hosts += !seen;
	}
	return hosts >= model->limits.hosts;
}

size_t model_find_session(const struct model *model, uint32_t mapping,
			  uint32_t addr, uint16_t port)
{
	for (size_t i = 0; i < model->session_count; i++)
		if (model->sessions[i].mapping == mapping &&
		    model->sessions[i].peer_addr == addr &&
		    model->sessions[i].peer_port == port)
			return i;
	return NONE;
}

bool model_contacted(const struct model *model, uint32_t mapping, uint32_t addr)
{
	for (size_t i = 0; i < model->session_count; i++)
		if (model->sessions[i].mapping == mapping &&
		    model->sessions[i].peer_addr == addr &&
		    model->sessions[i].out)
			return true;
	return false;
}
