/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fast path's program: at the ingress of inside devices and of the uplink it
 * rewrites packets of sessions that the daemon has handed over (fast_map.h), and
 * sends them out by the other side at once. They meet neither packet filter nor
 * queue.
 *
 * It decides nothing. A packet that it has the least doubt about goes on as it
 * came, which is the queue's way, and there it is judged. So all that can be
 * refused, and all that can fail, comes first: the packet is parsed, its session
 * found, the kernel's routing asked. From there on the packet is changed, and
 * one that cannot be changed to the end is dropped.
 *
 * Routing is asked for every packet, not remembered: a carried packet goes
 * where the kernel would have forwarded it, or it is not carried. The kernel has
 * to say that it forwards, that the packet is not too large and that the next hop
 * is known. What comes from inside has to come by the device behind which
 * routing has its source (asked once a second), as with a strict reverse path
 * filter.
 *
 * No BTF of the kernel's is needed; helpers as of Linux 5.12. CAP_BPF loads it,
 * without CAP_PERFMON: for that no loop may step through memory, so loops are
 * unrolled.
 */
#include <stdbool.h>
#include <stddef.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "fast_map.h"
#include "fast_packet.h"

#define AF_INET 2
/* By which nanoseconds are shifted; a little more than one. */
#define SECOND 30

/* To the queue, untouched. */
#define UP TC_ACT_UNSPEC

/* Sizes of all but the first are the loader's business. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fast_head);
} head SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fast_filled);
} filled SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fast_bucket);
} buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fast_slot);
} slots SEC(".maps");

const char terms[] SEC("license") = "GPL";

/* --- whose it is ------------------------------------------------------------ */

static __always_inline bool same_key(const struct fast_key *one,
				     const struct fast_key *other)
{
	const __u64 *a = (const void *)one;
	const __u64 *b = (const void *)other;

	return a[0] == b[0] && a[1] == b[1];
}

/* False: no session has this hash. */
static __always_inline bool may_be(const struct fast_head *config, __u32 hash)
{
	__u32 place = hash & config->mask;
	__u32 word = fast_filled_word(place);
	const struct fast_filled *found = bpf_map_lookup_elem(&filled, &word);

	return found && found->bits & fast_filled_bit(place);
}

static __always_inline struct fast_slot *find(const struct fast_head *config,
					      const struct fast_key *key,
					      __u32 hash, enum fast_way way)
{
	__u32 place = hash & config->mask;
	const struct fast_bucket *bucket;

	bucket = bpf_map_lookup_elem(&buckets, &place);
	if (!bucket)
		return NULL;
#pragma clang loop unroll(full)
	for (int i = 0; i < FAST_BUCKET_ENTRIES; i++) {
		__u32 entry = bucket->entry[i];
		__u32 number = entry & FAST_SLOT_MASK;
		struct fast_slot *slot;

		if (!number || entry != fast_entry(hash, number))
			continue;
		slot = bpf_map_lookup_elem(&slots, &number);
		if (slot && *(volatile __u32 *)&slot->live &&
		    same_key(&slot->key[way], key))
			return slot;
	}
	return NULL;
}

/* --- where it goes ---------------------------------------------------------- */

static __always_inline bool is_inside(const struct fast_head *config,
				      __u32 device)
{
#pragma clang loop unroll(full)
	for (__u32 i = 0; i < FAST_INSIDE_MAX; i++) {
		if (i >= config->inside_count)
			break;
		if (config->inside[i] == device)
			return true;
	}
	return false;
}

static __always_inline void keep_inside(struct fast_slot *slot, __u32 device,
					__u32 second)
{
	/* Others read that line: written only where there is news. */
	if (slot->inside != device)
		slot->inside = device;
	if (slot->asked != second)
		slot->asked = second;
}

/* Whether routing has the inside host behind the device by which the packet
 * came. Asked once a second and session. */
static __always_inline bool came_right(struct __sk_buff *skb,
				       const struct fast_head *config,
				       const struct packet *packet,
				       struct fast_slot *slot, __u32 second)
{
	struct bpf_fib_lookup back;
	long result;

	if (slot->inside && slot->asked == second)
		return slot->inside == skb->ifindex;
	/* Whole: an initializer leaves the rest of unions as it is. */
	__builtin_memset(&back, 0, sizeof(back));
	back.family = AF_INET;
	back.l4_protocol = packet->key.proto;
	back.sport = packet->key.dport;
	back.dport = packet->key.sport;
	back.ifindex = config->uplink;
	back.tos = packet->tos;
	back.ipv4_src = packet->key.dst;
	back.ipv4_dst = packet->key.src;
	result = bpf_fib_lookup(skb, &back, sizeof(back), 0);
	/* Which device it is hangs neither on a neighbour nor on whether this
	 * packet would leave by it. */
	if (result != BPF_FIB_LKUP_RET_SUCCESS &&
	    result != BPF_FIB_LKUP_RET_NO_NEIGH &&
	    result != BPF_FIB_LKUP_RET_FRAG_NEEDED)
		return false;
	if (!is_inside(config, back.ifindex))
		return false;
	keep_inside(slot, back.ifindex, second);
	return back.ifindex == skb->ifindex;
}

/* Routes the packet as the kernel sees it: with its inside address. */
static __always_inline bool route(struct __sk_buff *skb,
				  const struct fast_head *config,
				  const struct packet *packet,
				  struct fast_slot *slot, enum fast_way way,
				  __u32 second, struct bpf_fib_lookup *fib)
{
	fib->family = AF_INET;
	fib->l4_protocol = packet->key.proto;
	fib->tos = packet->tos;
	fib->tot_len = packet->largest;
	fib->ifindex = skb->ifindex;
	fib->sport = packet->key.sport;
	fib->ipv4_src = packet->key.src;
	if (way == FAST_OUT) {
		fib->dport = packet->key.dport;
		fib->ipv4_dst = packet->key.dst;
	} else {
		fib->dport = slot->key[FAST_OUT].sport;
		fib->ipv4_dst = slot->key[FAST_OUT].src;
	}
	if (bpf_fib_lookup(skb, fib, sizeof(*fib), 0) !=
		    BPF_FIB_LKUP_RET_SUCCESS ||
	    fib->family != AF_INET)
		return false;
	/* To a multicast address bpf_redirect_neigh() sends nothing. */
	if (fib->dmac[0] & 1)
		return false;
	if (way == FAST_OUT)
		return fib->ifindex == config->uplink &&
		       came_right(skb, config, packet, slot, second);
	/* The device may have been the uplink once. */
	if (skb->ifindex != config->uplink || !is_inside(config, fib->ifindex))
		return false;
	keep_inside(slot, fib->ifindex, second);
	return true;
}

/* --- carrying it ------------------------------------------------------------ */

/* The sum of a header whose words change (RFC 1624). */
static __always_inline void rewrite_ip(struct iphdr *ip, __be32 *address,
				       __be32 with, __be16 id)
{
	__u32 sum = (__u16)~ip->check;

	/* The TTL is the first byte of a word. */
	sum += (__u16)~bpf_htons(0x0100) + (__u16)~ip->id + id;
	sum += (__u16) ~(*address & 0xffff) + (__u16) ~(*address >> 16);
	sum += (with & 0xffff) + (with >> 16);
	ip->ttl--;
	ip->id = id;
	*address = with;
	ip->check = ~sum_fold(sum);
}

/* An address goes into the transport checksum by the pseudo header, which a
 * device that computes the rest does not know; a port is in what it sums up. The
 * flag: a datagram without a checksum (0) stays without, and none gets one of 0. */
static __always_inline bool rewrite_sum(struct __sk_buff *skb, bool tcp,
					__be32 address, __be32 with,
					__be16 port, __be16 with_port)
{
	__u32 at = ETH_HLEN + sizeof(struct iphdr) +
		   (tcp ? offsetof(struct tcphdr, check) :
			  offsetof(struct udphdr, check));
	__u64 flags = tcp ? 0 : BPF_F_MARK_MANGLED_0;

	return bpf_l4_csum_replace(skb, at, address, with,
				   flags | BPF_F_PSEUDO_HDR | 4) == 0 &&
	       bpf_l4_csum_replace(skb, at, port, with_port, flags | 2) == 0;
}

/* The header that the packet will get in any case, by bpf_redirect_neigh(). That
 * helper adds the old one to what a device has summed up (CHECKSUM_COMPLETE)
 * where the new one belongs, and a receiver behind a veth would find the sum
 * wrong. */
static __always_inline void rewrite_link(struct ethhdr *link,
					 const struct bpf_fib_lookup *fib)
{
	__builtin_memcpy(link->h_dest, fib->dmac, ETH_ALEN);
	__builtin_memcpy(link->h_source, fib->smac, ETH_ALEN);
	link->h_proto = bpf_htons(ETH_P_IP);
}

/* Behind an Ethernet header. False: it failed half-way. */
static __always_inline bool rewrite(struct __sk_buff *skb,
				    const struct packet *packet,
				    const struct fast_slot *slot,
				    const struct bpf_fib_lookup *fib,
				    enum fast_way way)
{
	struct ethhdr *link = data_of(skb);
	struct iphdr *ip = (void *)(link + 1);
	/* Of TCP as of UDP. */
	struct udphdr *ports = (void *)(ip + 1);
	const struct fast_key *turned;
	__be32 address, with;
	__be16 port, with_port, id;

	if ((void *)(ports + 1) > end_of(skb))
		return false;
	rewrite_link(link, fib);
	id = ip->id;
	if (way == FAST_OUT) {
		turned = &slot->key[FAST_IN];
		address = packet->key.src;
		port = packet->key.sport;
		with = turned->dst;
		with_port = turned->dport;
		/* RFC 6864: of use only to what may be fragmented, and then it
		 * should not meet another host's (RFC 7857, 10). */
		if (!packet->dont_fragment)
			id = bpf_htons(slot->id + slot->use[FAST_OUT].packets);
		rewrite_ip(ip, &ip->saddr, with, id);
		ports->source = with_port;
	} else {
		turned = &slot->key[FAST_OUT];
		address = packet->key.dst;
		port = packet->key.dport;
		with = turned->src;
		with_port = turned->sport;
		rewrite_ip(ip, &ip->daddr, with, id);
		ports->dest = with_port;
	}
	return rewrite_sum(skb, packet->key.proto == IPPROTO_TCP, address, with,
			   port, with_port);
}

/* Without padding, and with an Ethernet header, which bpf_redirect_neigh()
 * wants whatever the devices are. UP: as it was. */
static __always_inline int make_shape(struct __sk_buff *skb, __u32 link,
				      const struct packet *packet)
{
	if (skb->len > link + packet->total &&
	    (skb->gso_size ||
	     bpf_skb_change_tail(skb, link + packet->total, 0)))
		return UP;
	if (link == 0 && bpf_skb_change_head(skb, ETH_HLEN, 0))
		return UP;
	return TC_ACT_OK;
}

/* A packet that may be of a session. */
static __always_inline int carry_of(struct __sk_buff *skb, __u32 link,
				    enum fast_way way,
				    const struct fast_head *config,
				    struct packet *packet, __u32 hash)
{
	struct bpf_fib_lookup fib = { 0 };
	struct bpf_redir_neigh next = { 0 };
	__u64 now_ns = bpf_ktime_get_coarse_ns();
	struct fast_slot *slot;

	if (config->until_ns <= now_ns || !read_packet(skb, link, packet))
		return UP;
	/* Its segments would share what tells datagrams apart. */
	if (way == FAST_OUT && skb->gso_size && !packet->dont_fragment)
		return UP;
	slot = find(config, &packet->key, hash, way);
	if (!slot ||
	    !route(skb, config, packet, slot, way, now_ns >> SECOND, &fib))
		return UP;
	if (make_shape(skb, link, packet) == UP)
		return UP;

	if (!rewrite(skb, packet, slot, &fib, way))
		return TC_ACT_SHOT;
	skb->mark |= config->mark[way];
	__sync_fetch_and_add(&slot->use[way].packets, 1);
	__sync_fetch_and_add(&slot->use[way].bytes, packet->total);
	if (packet->end.known)
		slot->end[way] = packet->end;
	next.nh_family = AF_INET;
	next.ipv4_nh = fib.ipv4_dst;
	return bpf_redirect_neigh(fib.ifindex, &next, sizeof(next), 0);
}

/* Most packets of the queue are no session's: what it takes to know that comes
 * first. */
static __always_inline int carry(struct __sk_buff *skb, __u32 link,
				 enum fast_way way)
{
	const struct fast_head *config;
	struct packet packet;
	__u32 zero = 0, hash;

	config = bpf_map_lookup_elem(&head, &zero);
	if (!config || !config->sessions || !config->uplink ||
	    !read_key(skb, link, way, &packet.key))
		return UP;
	hash = fast_hash(&packet.key, config->seed);
	if (!may_be(config, hash))
		return UP;
	return carry_of(skb, link, way, config, &packet, hash);
}

/* --- one program for each kind of device ------------------------------------ */

/* Names as the kernel keeps them, 15 characters; by how they begin an earlier
 * daemon's are known (FAST_PROGRAM_NAME). */

SEC("tc")
int portico_in(struct __sk_buff *skb)
{
	return carry(skb, ETH_HLEN, FAST_OUT);
}

SEC("tc")
int portico_in_bare(struct __sk_buff *skb)
{
	return carry(skb, 0, FAST_OUT);
}

SEC("tc")
int portico_up(struct __sk_buff *skb)
{
	return carry(skb, ETH_HLEN, FAST_IN);
}

SEC("tc")
int portico_up_bare(struct __sk_buff *skb)
{
	return carry(skb, 0, FAST_IN);
}
