/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A firewall's texts, and what an established session's packets meet in it.
 */
#ifndef PORTICO_TESTS_FIREWALL_LAB_H
#define PORTICO_TESTS_FIREWALL_LAB_H

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <string.h>

#include "platform/firewall.h"

#define INBOUND 0x01000000U
#define OUTBOUND 0x02000000U
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define PLACE(chain, table, by) \
	"chain \"" chain "\" of table \"" table "\" (" by ")"
#define NFT(chain, table) PLACE(chain, table, "nftables")
#define LEGACY(chain, table) PLACE(chain, "ip " table, "iptables-legacy")

static const struct firewall_packet inbound = { "wan0", "lan0", INBOUND };

static inline struct firewall *from_nft(const char *json)
{
	struct firewall *firewall = firewall_new();

	CU_ASSERT_EQUAL_FATAL(firewall_add_nft(firewall, json), 0);
	return firewall;
}

static inline struct firewall *from_save(const char *save)
{
	struct firewall *firewall = firewall_new();

	CU_ASSERT_EQUAL_FATAL(
		firewall_add_iptables(firewall, RULES_IPTABLES_LEGACY, save),
		0);
	return firewall;
}

/* Frees the firewall. place NULL: nothing is met. */
static inline void expect(struct firewall *firewall,
			  const struct firewall_packet *packet,
			  const char *place, const char *about)
{
	char text[256] = "untouched";

	CU_ASSERT_EQUAL(firewall_meets(firewall, packet, text, sizeof(text)),
			place != NULL);
	if (strcmp(text, place ? place : "untouched") != 0)
		printf("%s\nmeets %s\n", about, text);
	CU_ASSERT_STRING_EQUAL(text, place ? place : "untouched");
	firewall_free(firewall);
}

#endif
