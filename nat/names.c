/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names that people and programs see: part of the operator's contract.
 */
#include <assert.h>

#include "portico/nat.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const drop_names[] = {
	"none",
#define NAT_DROP(id, name, help) name,
#include "portico/drops.def"
#undef NAT_DROP
};
static_assert(COUNT(drop_names) == NAT_DROPS, "a name for each drop reason");

static const char *const drop_helps[] = {
	"not dropped",
#define NAT_DROP(id, name, help) help,
#include "portico/drops.def"
#undef NAT_DROP
};
static_assert(COUNT(drop_helps) == NAT_DROPS, "a help for each drop reason");

static const char *const state_names[] = {
	[NAT_STATE_INIT] = "INIT",
	[NAT_STATE_ESTABLISHED] = "ESTABLISHED",
	[NAT_STATE_C_FIN] = "C_FIN",
	[NAT_STATE_S_FIN] = "S_FIN",
	[NAT_STATE_C_FIN_S_FIN] = "C_FIN+S_FIN",
	[NAT_STATE_TRANS] = "TRANS",
};
static_assert(COUNT(state_names) == NAT_STATES, "a name for each state");

static const char *const kind_names[] = {
	[NAT_KIND_DYNAMIC] = "dynamic",
	[NAT_KIND_FORWARD] = "forward",
};
static_assert(COUNT(kind_names) == NAT_KINDS, "a name for each kind");

static const char *const pool_names[] = {
	[NAT_POOL_UDP] = "udp",
	[NAT_POOL_TCP] = "tcp",
	[NAT_POOL_ICMP] = "icmp",
};
static_assert(COUNT(pool_names) == NAT_POOLS, "a name for each pool");

static const char *const past_names[] = {
	[NAT_PAST_NONE] = "there is no earlier table",
	[NAT_PAST_KEPT] = "the earlier table goes on",
	[NAT_PAST_REBOOT] = "the earlier table is from before a reboot",
	[NAT_PAST_RESIZED] = "the earlier table has other limits",
	[NAT_PAST_LAYOUT] = "the earlier table is another version's",
	[NAT_PAST_DAMAGED] = "what is there is damaged or no table at all",
};
static_assert(COUNT(past_names) == NAT_PASTS, "a name for each past");

const char *nat_drop_name(enum nat_drop drop)
{
	return drop_names[drop];
}

const char *nat_drop_help(enum nat_drop drop)
{
	return drop_helps[drop];
}

const char *nat_state_name(enum nat_state state)
{
	return state_names[state];
}

const char *nat_kind_name(enum nat_kind kind)
{
	return kind_names[kind];
}

const char *nat_pool_name(enum nat_pool pool)
{
	return pool_names[pool];
}

const char *nat_past_name(enum nat_past past)
{
	return past_names[past];
}
