/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The words that both rule languages share: addresses, ranges, marks, and what
 * may stand in a rule at all.
 */
#include "rules_text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

const char *rules_backend_name(enum rules_backend backend)
{
	static const char *const names[RULES_BACKENDS] = {
		[RULES_NFTABLES] = "nftables",
		[RULES_IPTABLES_NFT] = "iptables-nft",
		[RULES_IPTABLES_LEGACY] = "iptables-legacy",
	};

	return backend < RULES_BACKENDS ? names[backend] : "unknown";
}

struct rules_marks rules_marks(uint32_t mask)
{
	struct rules_marks marks = { .mask = mask };

	/* The higher of two adjacent bits. */
	marks.outbound = mask & mask << 1;
	marks.inbound = mask & ~marks.outbound;
	return marks;
}

const struct nat_prefix rules_private[RULES_PRIVATE] = {
	{ 0x0a000000, 8 },
	{ 0xac100000, 12 },
	{ 0xc0a80000, 16 },
	{ 0x64400000, 10 },
};

const char *rules_addr_text(uint32_t addr, char text[RULES_PREFIX_TEXT])
{
	snprintf(text, RULES_PREFIX_TEXT, "%u.%u.%u.%u", addr >> 24,
		 addr >> 16 & 255, addr >> 8 & 255, addr & 255);
	return text;
}

const char *rules_prefix_text(const struct nat_prefix *prefix,
			      char text[RULES_PREFIX_TEXT])
{
	size_t length = strlen(rules_addr_text(prefix->addr, text));

	snprintf(text + length, RULES_PREFIX_TEXT - length, "/%u",
		 (unsigned)prefix->length);
	return text;
}

uint32_t rules_prefix_mask(const struct nat_prefix *prefix)
{
	return prefix->length ? UINT32_MAX << (32 - prefix->length) : 0;
}

const uint8_t rules_tagged[RULES_TAGGED] = { NAT_PROTO_GRE, NAT_PROTO_ESP,
					     NAT_PROTO_SCTP };

bool rules_translates(const struct rules_spec *spec, uint8_t proto)
{
	return !spec->untranslated || !spec->untranslated[proto];
}

bool rules_next_ports(const struct nat_portset *set, uint32_t *from,
		      struct config_range *range)
{
	uint32_t port = *from;

	while (set && port < NAT_PORTS && !nat_portset_has(set, (uint16_t)port))
		port++;
	if (!set || port >= NAT_PORTS)
		return false;
	range->first = (uint16_t)port;
	while (port < NAT_PORTS && nat_portset_has(set, (uint16_t)port))
		port++;
	range->last = (uint16_t)(port - 1);
	*from = port;
	return true;
}

/* Kernel names may hold almost anything; rules take these. */
static bool device_ok(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._-@:%#=~,";
	size_t length = name ? strlen(name) : 0;

	/* The kernel has no devices of the names of folders either. */
	return length && length < IFNAMSIZ && name[0] != '-' &&
	       strcmp(name, ".") && strcmp(name, "..") &&
	       strspn(name, allowed) == length;
}

static bool mark_ok(uint32_t mask)
{
	uint32_t low = mask & (~mask + 1);

	return low && low << 1 && mask == (low | low << 1);
}

const char *rules_unnamable(const struct rules_spec *spec)
{
	if (!device_ok(spec->uplink))
		return spec->uplink ? spec->uplink : "";
	for (size_t i = 0; i < spec->inside_count; i++)
		if (!device_ok(spec->inside[i]))
			return spec->inside[i];
	return NULL;
}

int rules_check(const struct rules_spec *spec)
{
	return rules_unnamable(spec) || !mark_ok(spec->mark) ? -EINVAL : 0;
}
