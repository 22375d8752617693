/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "protos.h"

#include <stdio.h>
#include <string.h>

#include "portico/nat.h"

const struct proto_name protos[] = {
	{ NAT_PROTO_DCCP, true, "dccp" },
	{ NAT_PROTO_ESP, true, "esp" },
	{ NAT_PROTO_GRE, true, "gre" },
	{ NAT_PROTO_ICMP, false, "icmp" },
	{ NAT_PROTO_SCTP, true, "sctp" },
	{ NAT_PROTO_TCP, false, "tcp" },
	{ NAT_PROTO_UDP, false, "udp" },
	{ NAT_PROTO_UDPLITE, true, "udplite" },
};
const size_t protos_count = sizeof(protos) / sizeof(protos[0]);

int protos_find(const char *name)
{
	for (size_t i = 0; i < protos_count; i++)
		if (!strcmp(protos[i].name, name))
			return protos[i].proto;
	return -1;
}

const char *protos_name(uint8_t proto, char text[static 4])
{
	for (size_t i = 0; i < protos_count; i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	snprintf(text, 4, "%u", (unsigned)proto);
	return text;
}
