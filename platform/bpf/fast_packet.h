/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the fast path's program reads of a packet: the key of its session, then
 * whether it is one to carry. Looks only; the packet stays as it is.
 */
#ifndef PORTICO_PLATFORM_BPF_FAST_PACKET_H
#define PORTICO_PLATFORM_BPF_FAST_PACKET_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "fast_map.h"

#define DONT_FRAGMENT 0x4000
#define FRAGMENT 0x3fff /* more fragments, or an offset */

/* What a packet says of itself. */
struct packet {
	struct fast_key key __attribute__((aligned(8)));
	__u32 total; /* bytes, from the IP header on */
	__u32 largest; /* the largest that will be on the wire */
	__u8 tos;
	__u8 dont_fragment;
	struct fast_end end; /* of a segment */
};

static __always_inline void *data_of(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data;
}

static __always_inline void *end_of(const struct __sk_buff *skb)
{
	return (void *)(long)skb->data_end;
}

/* Makes the headers readable behind skb->data; false: they are not there. */
static __always_inline bool headers_readable(struct __sk_buff *skb, __u32 link)
{
	__u32 most = link + sizeof(struct iphdr) + sizeof(struct tcphdr);
	__u32 least = link + sizeof(struct iphdr) + sizeof(struct udphdr);

	if (data_of(skb) + most <= end_of(skb))
		return true;
	if (skb->len < least)
		return false;
	return bpf_skb_pull_data(skb, skb->len < most ? skb->len : most) == 0;
}

/* Without an Ethernet header before it, a word is not where a kernel that minds
 * (MIPS) wants four bytes to be. */
struct unaligned {
	__be32 word;
} __attribute__((packed, aligned(2)));

static __always_inline __be32 word_at(const void *place)
{
	return ((const struct unaligned *)place)->word;
}

/* A packet's addresses, ports and protocol, and whose they may be. False: not
 * one to carry, at first sight. */
static __always_inline bool read_key(struct __sk_buff *skb, __u32 link,
				     enum fast_way way, struct fast_key *key)
{
	const struct iphdr *ip;
	const struct udphdr *ports; /* of TCP, too */

	if (skb->pkt_type != PACKET_HOST || skb->vlan_present ||
	    skb->protocol != bpf_htons(ETH_P_IP) ||
	    !headers_readable(skb, link))
		return false;
	ip = data_of(skb) + link;
	ports = (const void *)(ip + 1);
	if ((const void *)(ports + 1) > end_of(skb) || ip->version != 4 ||
	    ip->ihl != 5 || ip->frag_off & bpf_htons(FRAGMENT) ||
	    (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP))
		return false;
	key->src = word_at(&ip->saddr);
	key->dst = word_at(&ip->daddr);
	key->sport = ports->source;
	key->dport = ports->dest;
	key->proto = ip->protocol;
	key->way = way;
	key->zero = 0;
	return true;
}

/* The length of the TCP header; 0: not a segment to carry. What opens or ends a
 * connection is the queue's. */
static __always_inline __u32 read_tcp(const struct tcphdr *tcp, const void *end,
				      struct packet *packet)
{
	__u32 length;

	if ((const void *)(tcp + 1) > end)
		return 0;
	length = tcp->doff * 4;
	if (length < sizeof(*tcp) || tcp->syn || tcp->fin || tcp->rst)
		return 0;
	packet->end.ack = word_at(&tcp->ack_seq);
	packet->end.window = tcp->window;
	packet->end.known = tcp->ack;
	return length;
}

static __always_inline __u32 read_udp(const struct udphdr *udp, const void *end,
				      __u32 room)
{
	__u32 length;

	if ((const void *)(udp + 1) > end)
		return 0;
	length = bpf_ntohs(udp->len);
	if (length < sizeof(*udp) || length > room)
		return 0;
	return sizeof(*udp);
}

/* Twice: the first carry may bring another. */
static __always_inline __u16 sum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* RFC 1812 5.2.2; of a header without options. */
static __always_inline bool ip_sum_good(const struct iphdr *ip)
{
	const __u16 *words = (const void *)ip;
	__u32 sum = 0;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < sizeof(*ip) / sizeof(*words); i++)
		sum += words[i];
	return sum_fold(sum) == 0xffff;
}

/* False: not whole, or without hops left. */
static __always_inline bool read_ip(struct __sk_buff *skb, __u32 link,
				    const struct iphdr *ip,
				    struct packet *packet)
{
	if (ip->ttl <= 1 || !ip_sum_good(ip))
		return false;
	packet->tos = ip->tos;
	packet->dont_fragment = (ip->frag_off & bpf_htons(DONT_FRAGMENT)) != 0;
	packet->total = bpf_ntohs(ip->tot_len);
	return packet->total <= skb->len - link;
}

/* The rest of one whose key was read. False: not one to carry. */
static __always_inline bool read_packet(struct __sk_buff *skb, __u32 link,
					struct packet *packet)
{
	const void *end = end_of(skb);
	const struct iphdr *ip = data_of(skb) + link;
	__u32 transport;

	if ((const void *)(ip + 1) > end || !read_ip(skb, link, ip, packet))
		return false;
	packet->end.known = 0;
	if (packet->key.proto == IPPROTO_TCP)
		transport = read_tcp((const void *)(ip + 1), end, packet);
	else
		transport = read_udp((const void *)(ip + 1), end,
				     packet->total - sizeof(*ip));
	transport += sizeof(*ip);
	if (transport == sizeof(*ip) || packet->total < transport)
		return false;
	packet->largest = skb->gso_size ? skb->gso_size + transport :
					  packet->total;
	return true;
}

#endif
