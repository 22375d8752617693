/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One message of the kernel's queue: taken apart into a packet, and turned
 * in place into its verdict. Pure: no system call, no state. Private to
 * platform/queue*.c and their tests.
 */
#ifndef PORTICO_PLATFORM_QUEUE_PACKET_H
#define PORTICO_PLATFORM_QUEUE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "portico/nat.h"

/* Bytes that must be writable before every message: a verdict with payload is
 * written over the headers of the message it answers and may need more room
 * than they had. */
#define QUEUE_HEADROOM 64

/* What decides a packet's path beside the packet itself. */
struct queue_roles {
	unsigned uplink; /* ifindex, 0: there is none */
	unsigned loopback; /* ifindex */
	uint32_t mark_shift; /* where the two bits of nat_mark lie */
};

/* A queued packet. data points into the message. */
struct queue_packet {
	uint8_t *data; /* NULL when the message carries no payload */
	uint32_t length; /* bytes at data */
	uint32_t id; /* the kernel's, for the verdict */
	uint32_t mark;
	uint32_t skb_info; /* NFQA_SKB_* */
	unsigned indev; /* ifindex, 0: none */
	uint8_t hook; /* NF_INET_* */
	bool bridged; /* met by bridge netfilter, before local delivery */
	bool truncated; /* data is only the beginning of the packet */
};

/* Takes apart one message of `received` bytes at `message` (aligned to 4).
 * 0; -EBADMSG: it is no packet message or names no packet id;
 * a negative errno of the kernel when it is an error message; -EALREADY: an
 * ACK. */
int queue_packet_parse(void *message, size_t received,
		       struct queue_packet *packet);

/* Where the packet was met (design 4). */
enum nat_path queue_packet_path(const struct queue_packet *packet,
				const struct queue_roles *roles);

/* What its transport checksum field holds (nfqueue table of section 3). */
enum nat_checksum queue_packet_checksum(const struct queue_packet *packet);

/* Bytes of a verdict without payload. */
#define QUEUE_VERDICT_BYTES 32

/* Writes a verdict (NF_*) without payload and mark at `at` (aligned to 4, at
 * least QUEUE_VERDICT_BYTES). Returns its bytes. */
struct iovec queue_verdict(void *at, uint16_t queue, uint32_t id,
			   uint32_t verdict);

/* The same for every packet up to and including id
 * (NFQNL_MSG_VERDICT_BATCH). */
struct iovec queue_verdict_until(void *at, uint16_t queue, uint32_t id,
				 uint32_t verdict);

/* Writes a verdict with mark and the whole packet as payload: its headers go
 * into the bytes before packet->data, 0-3 bytes of padding behind the packet.
 * Both must be writable: QUEUE_HEADROOM before the message, 3 after it. */
struct iovec queue_verdict_payload(const struct queue_packet *packet,
				   uint16_t queue, uint32_t verdict,
				   uint32_t mark);

#endif
