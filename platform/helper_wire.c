/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A ruleset's specification as one flat block: a head of fixed size, the names
 * of the inside devices, and three lists of prefixes.
 */
#include "helper_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rules_text.h"

const char *const helper_files[] = {
	[HELPER_FILE_CONFIG] = CONFIG_DEFAULT_FILE,
	"/proc/meminfo",
	"/proc/sys/net/ipv4/ip_local_port_range",
	"/proc/net/udp",
	"/proc/net/udp6",
	"/proc/net/tcp",
	"/proc/net/tcp6",
	"/proc/net/udplite",
	"/proc/net/udplite6",
	"/proc/net/dccp",
	"/proc/net/dccp6",
	NULL,
};

/* The lists in their order. */
enum { NETS, AWAY, EXEMPT, ELSEWHERE, LISTS };

struct head {
	char uplink[IFNAMSIZ];
	uint32_t backend;
	uint32_t uplink_addr;
	uint32_t uplink_index;
	uint32_t uplink_mtu;
	uint32_t inside_mtu;
	uint32_t mark;
	uint32_t inside_count;
	uint32_t counts[LISTS];
	uint16_t queue_number;
	uint16_t router_first;
	uint16_t router_last;
	uint8_t mss_clamp;
	uint8_t fallback_kernel;
	uint8_t inside_unknown;
	uint8_t untranslated[256]; /* 0 or 1 */
	uint8_t tcp[sizeof(((struct nat_portset *)0)->bits)];
	uint8_t udp[sizeof(((struct nat_portset *)0)->bits)];
};

struct prefix {
	uint32_t addr;
	uint32_t length;
};

/* --- putting ---------------------------------------------------------------- */

static void put_ports(uint8_t *to, const struct nat_portset *from)
{
	if (from)
		memcpy(to, from->bits, sizeof(from->bits));
}

static void put_head(struct head *head, const struct rules_spec *spec,
		     enum rules_backend backend)
{
	strncpy(head->uplink, spec->uplink, IFNAMSIZ - 1);
	head->backend = backend;
	head->uplink_addr = spec->uplink_addr;
	head->uplink_index = spec->uplink_index;
	head->uplink_mtu = spec->uplink_mtu;
	head->inside_mtu = spec->inside_mtu;
	head->mark = spec->mark;
	head->inside_count = (uint32_t)spec->inside_count;
	head->queue_number = spec->queue_number;
	head->router_first = spec->router_ports.first;
	head->router_last = spec->router_ports.last;
	head->mss_clamp = spec->mss_clamp;
	head->fallback_kernel = spec->fallback_kernel;
	head->inside_unknown = spec->inside_unknown;
	for (int i = 0; spec->untranslated && i < 256; i++)
		head->untranslated[i] = spec->untranslated[i];
	put_ports(head->tcp, spec->tcp);
	put_ports(head->udp, spec->udp);
}

static void *put_list(void *at, const struct nat_prefix *from, size_t count)
{
	struct prefix *to = at;

	for (size_t i = 0; i < count; i++)
		to[i] = (struct prefix){ from[i].addr, from[i].length };
	return to + count;
}

int helper_spec_put(const struct rules_spec *spec, enum rules_backend backend,
		    void **block, size_t *length)
{
	/* nftables asks the kernel itself what is routed elsewhere. */
	size_t elsewhere = backend == RULES_NFTABLES ? 0 :
						       spec->elsewhere_count;
	size_t prefixes = spec->inside_net_count + spec->away_count +
			  spec->exempt_count + elsewhere;
	struct head *head;
	char *at;

	*length = sizeof(*head) + spec->inside_count * IFNAMSIZ +
		  prefixes * sizeof(struct prefix);
	if (*length > HELPER_REQUEST_MAX)
		return -EMSGSIZE;
	head = calloc(1, *length);
	if (!head)
		return -ENOMEM;
	put_head(head, spec, backend);
	head->counts[NETS] = (uint32_t)spec->inside_net_count;
	head->counts[AWAY] = (uint32_t)spec->away_count;
	head->counts[EXEMPT] = (uint32_t)spec->exempt_count;
	head->counts[ELSEWHERE] = (uint32_t)elsewhere;
	at = (char *)(head + 1);
	for (size_t i = 0; i < spec->inside_count; i++, at += IFNAMSIZ)
		strncpy(at, spec->inside[i], IFNAMSIZ - 1);
	at = put_list(at, spec->inside_nets, spec->inside_net_count);
	at = put_list(at, spec->away, spec->away_count);
	at = put_list(at, spec->exempt, spec->exempt_count);
	put_list(at, spec->elsewhere, elsewhere);
	*block = head;
	return 0;
}

/* --- taking ----------------------------------------------------------------- */

static bool all_lengths(const struct head *head, size_t length)
{
	uint64_t need = sizeof(*head) + (uint64_t)head->inside_count * IFNAMSIZ;

	for (int i = 0; i < LISTS; i++)
		need += (uint64_t)head->counts[i] * sizeof(struct prefix);
	return need == length;
}

static bool is_flag(uint8_t byte)
{
	return byte <= 1;
}

static bool head_fine(const struct head *head)
{
	for (int i = 0; i < 256; i++)
		if (!is_flag(head->untranslated[i]))
			return false;
	return head->backend < RULES_BACKENDS && is_flag(head->mss_clamp) &&
	       is_flag(head->fallback_kernel) &&
	       is_flag(head->inside_unknown) &&
	       head->router_first <= head->router_last &&
	       !head->uplink[IFNAMSIZ - 1];
}

/* Host bits are zero, as everywhere. */
static bool prefix_fine(const struct prefix *prefix)
{
	struct nat_prefix taken = { .addr = prefix->addr };

	if (prefix->length > 32)
		return false;
	taken.length = (uint8_t)prefix->length;
	return !(prefix->addr & ~rules_prefix_mask(&taken));
}

static int take_inside(const struct head *head, const char *at,
		       struct helper_spec *storage)
{
	/* At least one: calloc(0) may be NULL. */
	storage->inside = calloc((size_t)head->inside_count + 1,
				 sizeof(*storage->inside));
	if (!storage->inside)
		return -ENOMEM;
	memcpy(storage->inside, at, (size_t)head->inside_count * IFNAMSIZ);
	for (uint32_t i = 0; i < head->inside_count; i++)
		if (storage->inside[i][IFNAMSIZ - 1])
			return -EINVAL;
	storage->rules.inside =
		(const char(*)[IFNAMSIZ])(const void *)storage->inside;
	storage->rules.inside_count = head->inside_count;
	return 0;
}

static int take_lists(const struct head *head, const char *at,
		      struct helper_spec *storage)
{
	struct rules_spec *rules = &storage->rules;
	size_t count = 0;

	for (int i = 0; i < LISTS; i++)
		count += head->counts[i];
	storage->prefixes = calloc(count + 1, sizeof(*storage->prefixes));
	if (!storage->prefixes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct prefix prefix;

		memcpy(&prefix, at + i * sizeof(prefix), sizeof(prefix));
		if (!prefix_fine(&prefix))
			return -EINVAL;
		storage->prefixes[i].addr = prefix.addr;
		storage->prefixes[i].length = (uint8_t)prefix.length;
	}
	rules->inside_nets = storage->prefixes;
	rules->inside_net_count = head->counts[NETS];
	rules->away = rules->inside_nets + rules->inside_net_count;
	rules->away_count = head->counts[AWAY];
	rules->exempt = rules->away + rules->away_count;
	rules->exempt_count = head->counts[EXEMPT];
	rules->elsewhere = rules->exempt + rules->exempt_count;
	rules->elsewhere_count = head->counts[ELSEWHERE];
	return 0;
}

static void take_head(const struct head *head, struct helper_spec *storage)
{
	struct rules_spec *rules = &storage->rules;

	storage->backend = (enum rules_backend)head->backend;
	memcpy(storage->uplink, head->uplink, IFNAMSIZ);
	memcpy(storage->tcp.bits, head->tcp, sizeof(head->tcp));
	memcpy(storage->udp.bits, head->udp, sizeof(head->udp));
	for (int i = 0; i < 256; i++)
		storage->untranslated[i] = head->untranslated[i];
	*rules = (struct rules_spec){
		.uplink = storage->uplink,
		.uplink_addr = head->uplink_addr,
		.uplink_index = head->uplink_index,
		.uplink_mtu = head->uplink_mtu,
		.inside_mtu = head->inside_mtu,
		.tcp = &storage->tcp,
		.udp = &storage->udp,
		.untranslated = storage->untranslated,
		.router_ports = { head->router_first, head->router_last },
		.queue_number = head->queue_number,
		.mark = head->mark,
		.mss_clamp = head->mss_clamp,
		.fallback_kernel = head->fallback_kernel,
		.inside_unknown = head->inside_unknown,
	};
}

int helper_spec_take(const void *block, size_t length,
		     struct helper_spec *storage)
{
	const struct head *head = block;
	const char *at = (const char *)(head + 1);
	int err;

	memset(storage, 0, sizeof(*storage));
	if (length < sizeof(*head) || !all_lengths(head, length))
		return -EBADMSG;
	if (!head_fine(head))
		return -EINVAL;
	take_head(head, storage);
	err = take_inside(head, at, storage);
	if (!err)
		err = take_lists(head,
				 at + (size_t)head->inside_count * IFNAMSIZ,
				 storage);
	if (!err)
		err = rules_check(&storage->rules);
	if (err)
		helper_spec_free(storage);
	return err;
}

void helper_spec_free(struct helper_spec *storage)
{
	free(storage->inside);
	free(storage->prefixes);
	storage->inside = NULL;
	storage->prefixes = NULL;
}
