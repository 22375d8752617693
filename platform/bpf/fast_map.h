/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the fast path's two halves share: the tc program, which carries packets
 * in the kernel (fast.bpf.c), and the daemon, which says of which sessions
 * (platform/fast.c). Four maps of the kernel that the daemon has in its own
 * memory as well: it writes a session there by mere stores, and no system call
 * is made for one.
 *
 * One writer, the daemon; readers on every processor. A slot is filled in while
 * nothing names it, then `live` becomes 1, then buckets name it, then they are
 * marked as filled; it is taken back in the opposite order, and rests for
 * FAST_REST_MS before it is another's, so that no packet under way meets half a
 * session.
 *
 * Addresses and ports are as they are in packets, in network byte order.
 */
#ifndef PORTICO_PLATFORM_BPF_FAST_MAP_H
#define PORTICO_PLATFORM_BPF_FAST_MAP_H

#include <linux/types.h>

/* Which packets of a session: decides by which device they come. */
enum fast_way {
	FAST_OUT, /* by an inside device, source still inside */
	FAST_IN, /* by the uplink, destination still outside */
	FAST_WAYS
};

/* A packet as it comes. Sixteen bytes without padding: a hash key. */
struct fast_key {
	__u32 src;
	__u32 dst;
	__u16 sport;
	__u16 dport;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 way;
	__u16 zero;
};

/* Only ever grows; added to by the program, atomically. */
struct fast_use {
	__u64 packets;
	__u64 bytes; /* of IP */
};

/* What the latest segment of a way said that acknowledges: what its sender expects
 * next and how much it accepts, as in the segment. */
struct fast_end {
	__u32 ack;
	__u16 window;
	__u16 known; /* there was one */
};

/* A session. What leaves is what comes the other way, turned round: outbound,
 * the source becomes key[FAST_IN]'s destination; inbound, the destination
 * becomes key[FAST_OUT]'s source. Two cache lines, one that is read and one
 * that is written. */
struct fast_slot {
	struct fast_key key[FAST_WAYS];
	__u32 live;
	/* The device behind which routing has the inside host; 0: not known yet.
	 * The program finds and keeps it: outbound packets come by no other. */
	__u32 inside;
	/* IP ids of outbound packets without DF count from here. */
	__u32 id;
	__u32 asked; /* in which second routing was: the program's */
	__u32 zero[4];
	struct fast_use use[FAST_WAYS];
	struct fast_end end[FAST_WAYS];
	__u64 zero_too[2];
};

/* Slot 0 is nobody's. */
#define FAST_SLOT_BITS 20
#define FAST_SLOT_MASK ((1U << FAST_SLOT_BITS) - 1)
#define FAST_SESSIONS_MAX FAST_SLOT_MASK

/* Where a key is found: an entry is its slot, under the upper bits of its hash;
 * 0: empty. A session whose bucket is full is not carried. */
#define FAST_BUCKET_ENTRIES 8
struct fast_bucket {
	__u32 entry[FAST_BUCKET_ENTRIES];
};

/* A bit for each bucket, in its order: 1, there is something in it. Most packets
 * that take the queue are looked for in vain, and of all the buckets of a large
 * table few lines are at hand. */
#define FAST_FILLED_BITS 64
struct fast_filled {
	__u64 bits;
};

/* How long a slot rests: no program runs so long. */
#define FAST_REST_MS 1000
/* A daemon that has shown no life for so long carries nothing any more. */
#define FAST_ALIVE_MS 3000
#define FAST_INSIDE_MAX 32

/* One of it. */
struct fast_head {
	__u64 until_ns; /* of CLOCK_MONOTONIC: then nothing is carried */
	__u32 seed; /* of the hash; fixed */
	__u32 mask; /* number of buckets - 1; fixed */
	__u32 uplink; /* ifindex; 0: nothing is carried */
	__u32 mark[FAST_WAYS]; /* OR-ed into a carried packet's mark; fixed */
	__u32 sessions; /* 0: nothing has to be looked for */
	__u32 inside_count;
	__u32 inside[FAST_INSIDE_MAX]; /* ifindex */
};

/* Keyed, so that nobody fills one bucket on purpose for long; who does gains
 * that a session stays with the daemon. (The finalizer of MurmurHash3.) */
static inline __u32 fast_mix(__u32 hash)
{
	hash ^= hash >> 16;
	hash *= 0x85ebca6bU;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35U;
	hash ^= hash >> 16;
	return hash;
}

static inline __u32 fast_hash(const struct fast_key *key, __u32 seed)
{
	__u32 hash = fast_mix(seed ^ key->src);

	hash = fast_mix(hash ^ key->dst);
	hash = fast_mix(hash ^ ((__u32)key->sport << 16 | key->dport));
	return fast_mix(hash ^ ((__u32)key->proto << 8 | key->way));
}

static inline __u32 fast_filled_word(__u32 place)
{
	return place / FAST_FILLED_BITS;
}

/* Words for so many buckets. */
static inline __u32 fast_filled_count(__u32 buckets)
{
	return fast_filled_word(buckets - 1) + 1;
}

static inline __u64 fast_filled_bit(__u32 place)
{
	return (__u64)1 << place % FAST_FILLED_BITS;
}

static inline __u32 fast_entry(__u32 hash, __u32 slot)
{
	return (hash & ~FAST_SLOT_MASK) | slot;
}

#endif
