/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Protocols whose ports cannot be rewritten, or that have none: SCTP, GRE,
 * ESP. What a packet carries to tell one inside host's session from another's
 * is its tag.
 */
#ifndef PORTICO_NAT_TAG_H
#define PORTICO_NAT_TAG_H

#include <stdbool.h>
#include <stdint.h>

/* Sessions of different kinds never meet, though the protocol be one. */
enum nat_tag_kind {
	NAT_TAG_SCTP, /* verification tag, beside the ports (RFC 9260 3.1) */
	NAT_TAG_GRE, /* key, or none (RFC 2890); the same in both directions */
	NAT_TAG_PPTP, /* call id of the receiver (RFC 2637 4.1) */
	NAT_TAG_ESP, /* security parameters index of the receiver (RFC 4303) */
	NAT_TAG_KINDS
};

struct nat_tag {
	uint8_t kind; /* enum nat_tag_kind */
	bool present; /* false: a GRE packet without key, or not quoted */
	bool initiates; /* SCTP: an INIT */
	bool declares; /* SCTP: an INIT or INIT-ACK, `declared` is set */
	bool reflected; /* SCTP: the T bit, the tag is the sender's peer's */
	bool no_restart; /* SCTP: Disable-Restart (draft-ietf-tsvwg-natsupp) */
	uint32_t value;
	uint32_t declared; /* the tag that packets to the sender will carry */
};

enum nat_tag_outcome {
	NAT_TAG_GOOD,
	NAT_TAG_SHORT, /* cut before the tag */
	NAT_TAG_BAD, /* contradicts itself */
	NAT_TAG_STRANGE, /* GRE of a form that nobody translates */
};

/* Is this a protocol with tags? */
bool nat_is_tagged(uint8_t proto);

/* Reads the tag at the head of `length` bytes of transport part. quoted: all
 * that lies behind the first 8 bytes may be missing (RFC 792). */
enum nat_tag_outcome nat_tag_read(uint8_t proto, uint8_t *l4, uint32_t length,
				  bool quoted, struct nat_tag *tag);

/* SCTP's checksum (RFC 9260 appendix A) over a whole packet: is it right; make
 * it right. length at least 12. */
bool nat_crc32c_good(const uint8_t *sctp, uint32_t length);
void nat_crc32c_store(uint8_t *sctp, uint32_t length);

/* The IPv4 packet inside GRE: 0 or how many bytes lie before it. */
uint32_t nat_gre_inner(const uint8_t *gre, uint32_t length);

#endif
