/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ruleset in iptables-restore's language, for both flavours: own chains
 * named PORTICO-* in the tables mangle and raw, each reached by one jump at
 * the head of a builtin chain. The meaning is that of rules_nft.c.
 *
 * A queue verdict of ACCEPT ends the table, so a packet translated before
 * routing comes back by NF_REPEAT with its mark set: it meets our chain again,
 * is untracked and goes on. No rule that queues there takes what has a mark, or
 * it would come back for ever.
 *
 * Before routing iptables cannot ask by which device a packet will leave:
 * what is routed elsewhere is named prefix by prefix, without the parts that
 * have a more specific route through the uplink (uplink_state.c). Of very many
 * parts some stay named: that traffic is not owned and the guard stops it.
 */
#include "rules_text.h"

#include <inttypes.h>
#include <string.h>

/* Ports one multiport match takes; a range counts two. */
#define MULTIPORT_SLOTS 15

static const char *const table_names[RULES_TABLES] = {
	[RULES_MANGLE] = "mangle",
	[RULES_RAW] = "raw",
};

/* ICMP that may belong to a mapping: echo and timestamp replies, and errors:
 * unreachable, source quench, redirect, time exceeded, parameter problem. */
static const int inbound_icmp[] = { 0, 14, 3, 4, 5, 11, 12 };
static const int errors_icmp[] = { 3, 11, 12 };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *rules_table_name(enum rules_table table)
{
	return table_names[table];
}

static void to_queue(FILE *out, unsigned number, bool bypass)
{
	fprintf(out, " -j NFQUEUE --queue-num %u%s\n", number,
		bypass ? " --queue-bypass" : "");
}

/* What may begin a flow: " -j NFQUEUE --queue-num N", with bypass as
 * rules_nft.c explains it. */
static void queue_opening(FILE *out, const struct rules_spec *spec, bool bypass)
{
	to_queue(out, rules_opening(spec), bypass);
}

/* What belongs to a flow that exists. */
static void queue_following(FILE *out, const struct rules_spec *spec,
			    bool bypass)
{
	to_queue(out, spec->queue_number, bypass);
}

/* A segment of a connection that exists: not a lone SYN. The match for TCP drops
 * what is too short for a header, unseen; where there is u32 such a packet is
 * queued, and counted. */
static const char *following(const struct rules_features *features)
{
	return features->quotes ?
		       " -m u32 ! --u32 0>>22&0x3C@12&0x120000=0x20000" :
		       " -m tcp ! --tcp-flags SYN,ACK SYN";
}

/* --- matches ------------------------------------------------------------- */

static unsigned slots(const struct config_range *range)
{
	return range->first == range->last ? 1 : 2;
}

static void print_range(FILE *out, const struct config_range *range, bool first)
{
	fprintf(out, "%s%u", first ? "" : ",", (unsigned)range->first);
	if (range->last != range->first)
		fprintf(out, ":%u", (unsigned)range->last);
}

/* Not every system's list of protocols has the names of all. */
static void print_proto(FILE *out, const char *chain, uint8_t proto)
{
	if (proto == NAT_PROTO_TCP || proto == NAT_PROTO_UDP)
		fprintf(out, "-A %s -p %s", chain,
			proto == NAT_PROTO_TCP ? "tcp" : "udp");
	else
		fprintf(out, "-A %s -p %u", chain, proto);
}

/* One NFQUEUE rule for each 15 slots of ports. */
static void queue_some(FILE *out, const struct rules_spec *spec,
		       const char *chain, uint8_t proto,
		       const struct nat_portset *ports, const char *match)
{
	void (*const queue)(FILE *, const struct rules_spec *, bool) =
		match ? queue_following : queue_opening;
	struct config_range range;
	unsigned used = 0;
	uint32_t from = 0;

	while (rules_next_ports(ports, &from, &range)) {
		if (used && used + slots(&range) > MULTIPORT_SLOTS) {
			queue(out, spec, false);
			used = 0;
		}
		if (!used) {
			print_proto(out, chain, proto);
			if (match)
				fputs(match, out);
			fputs(" -m multiport --dports ", out);
		}
		print_range(out, &range, !used);
		used += slots(&range);
	}
	if (used)
		queue(out, spec, false);
}

static void queue_ports(FILE *out, const struct rules_spec *spec,
			const char *chain, uint8_t proto,
			const struct nat_portset *ports)
{
	if (rules_translates(spec, proto))
		queue_some(out, spec, chain, proto, ports, NULL);
}

static void queue_all_ports(FILE *out, const struct rules_spec *spec,
			    const struct rules_features *features,
			    const char *chain)
{
	queue_some(out, spec, chain, NAT_PROTO_TCP, spec->tcp,
		   following(features));
	queue_ports(out, spec, chain, NAT_PROTO_TCP, spec->tcp);
	queue_ports(out, spec, chain, NAT_PROTO_UDP, spec->udp);
	queue_ports(out, spec, chain, NAT_PROTO_DCCP, spec->tcp);
	queue_ports(out, spec, chain, NAT_PROTO_UDPLITE, spec->udp);
}

static bool is_error(int type)
{
	return type != 0 && type != 14;
}

static void queue_icmp(FILE *out, const struct rules_spec *spec,
		       const char *match, const int types[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "-A %s -p icmp -m icmp --icmp-type %d", match,
			types[i]);
		if (is_error(types[i]))
			queue_following(out, spec, true);
		else
			queue_opening(out, spec, true);
	}
}

/* "-A CHAIN OPTION PREFIX TARGET" for each prefix. */
static void each_prefix(FILE *out, const char *rule,
			const struct nat_prefix *prefixes, size_t count,
			const char *target)
{
	char text[RULES_PREFIX_TEXT];

	for (size_t i = 0; i < count; i++)
		fprintf(out, "-A %s %s %s\n", rule,
			rules_prefix_text(&prefixes[i], text), target);
}

static void exempt(FILE *out, const struct rules_spec *spec, const char *to,
		   const char *from)
{
	each_prefix(out, to, spec->exempt, spec->exempt_count, "-j RETURN");
	each_prefix(out, from, spec->exempt, spec->exempt_count, "-j RETURN");
}

/* --- raw: before conntrack ----------------------------------------------- */

static void chain_inbound(FILE *out, const struct rules_spec *spec,
			  const struct rules_features *features)
{
	queue_all_ports(out, spec, features, "PORTICO-INBOUND");
	for (size_t i = 0; i < RULES_TAGGED; i++) {
		if (!rules_translates(spec, rules_tagged[i]))
			continue;
		print_proto(out, "PORTICO-INBOUND", rules_tagged[i]);
		queue_opening(out, spec, true);
	}
	queue_icmp(out, spec, "PORTICO-INBOUND", inbound_icmp,
		   COUNT(inbound_icmp));
	fputs("-A PORTICO-INBOUND -f", out);
	queue_opening(out, spec, false);
}

static void chain_hairpin(FILE *out, const struct rules_spec *spec,
			  const struct rules_features *features)
{
	queue_all_ports(out, spec, features, "PORTICO-HAIRPIN");
	queue_icmp(out, spec, "PORTICO-HAIRPIN", errors_icmp,
		   COUNT(errors_icmp));
	fputs("-A PORTICO-HAIRPIN -f", out);
	queue_opening(out, spec, false);
}

/* What an inside device sends: what stays neither inside nor elsewhere (with the
 * router itself, say) leaves by the uplink. Asking the kernel instead, by
 * addrtype, costs each packet as much as ten of these rules. The broadcast of
 * the uplink's own network is marked in vain: the router keeps it. */
static void chain_outbound(FILE *out, const struct rules_spec *spec)
{
	struct rules_marks marks = rules_marks(spec->mark);
	char address[RULES_PREFIX_TEXT];

	fputs("-A PORTICO-OUTBOUND -d 224.0.0.0/4 -j RETURN\n"
	      "-A PORTICO-OUTBOUND -d 255.255.255.255 -j RETURN\n",
	      out);
	/* Without a mark: what came back translated is not queued again. And
	 * the router's own only while it has the address. */
	if (spec->uplink_addr) {
		rules_addr_text(spec->uplink_addr, address);
		fprintf(out,
			"-A PORTICO-OUTBOUND -d %s -m mark --mark 0x0/0x%" PRIx32
			" -j PORTICO-HAIRPIN\n"
			"-A PORTICO-OUTBOUND -d %s -m addrtype --dst-type LOCAL "
			"-g PORTICO-WITHIN\n",
			address, marks.mask, address);
	}
	each_prefix(out, "PORTICO-OUTBOUND -d", spec->inside_nets,
		    spec->inside_net_count, "-g PORTICO-WITHIN");
	each_prefix(out, "PORTICO-OUTBOUND -d", spec->elsewhere,
		    spec->elsewhere_count, "-g PORTICO-WITHIN");
	fprintf(out,
		"-A PORTICO-OUTBOUND -j MARK --set-xmark 0x%" PRIx32
		"/0x%" PRIx32 "\n"
		"-A PORTICO-OUTBOUND -j CT --notrack\n",
		marks.outbound, marks.outbound);
}

static void rules_to_address(FILE *out, const struct rules_spec *spec)
{
	char address[RULES_PREFIX_TEXT], match[64];

	rules_addr_text(spec->uplink_addr, address);
	fprintf(out, "-A PORTICO-RAW -i %s -d %s -g PORTICO-INBOUND\n",
		spec->uplink, address);
	snprintf(match, sizeof(match), "PORTICO-RAW -i lo -d %s", address);
	queue_icmp(out, spec, match, errors_icmp, COUNT(errors_icmp));
}

/* RETURN where it could be ACCEPT: the user's own rules in this table come
 * after. All that the router receives passes here: -g makes the end of a chain
 * the end of this one, too. */
static void chain_raw(FILE *out, const struct rules_spec *spec,
		      const struct rules_features *features)
{
	struct rules_marks marks = rules_marks(spec->mark);

	fputs("-A PORTICO-OURS -j CT --notrack\n", out);
	/* Marked and for the inside: a hairpin's second pass. */
	fprintf(out,
		"-A PORTICO-WITHIN -m mark ! --mark 0x0/0x%" PRIx32
		" -g PORTICO-OURS\n",
		marks.mask);
	exempt(out, spec, "PORTICO-RAW -d", "PORTICO-RAW -s");
	for (size_t i = 0; i < spec->inside_count; i++)
		fprintf(out, "-A PORTICO-RAW -i %s -g PORTICO-OUTBOUND\n",
			spec->inside[i]);
	fprintf(out,
		"-A PORTICO-RAW -m mark ! --mark 0x0/0x%" PRIx32
		" -g PORTICO-OURS\n",
		marks.mask);
	if (spec->uplink_addr)
		rules_to_address(out, spec);
	/* Meets nothing; its presence makes the kernel reassemble. */
	if (features->reassembly)
		fputs("-A PORTICO-RAW -i none -p tcp -m socket -j RETURN\n",
		      out);
}

static void table_raw(FILE *out, const struct rules_spec *spec,
		      const struct rules_features *features)
{
	fputs(":PORTICO-RAW - [0:0]\n"
	      ":PORTICO-OURS - [0:0]\n"
	      ":PORTICO-WITHIN - [0:0]\n"
	      ":PORTICO-INBOUND - [0:0]\n"
	      ":PORTICO-HAIRPIN - [0:0]\n"
	      ":PORTICO-OUTBOUND - [0:0]\n",
	      out);
	if (spec->uplink_addr) {
		chain_inbound(out, spec, features);
		chain_hairpin(out, spec, features);
	}
	chain_outbound(out, spec);
	chain_raw(out, spec, features);
	fputs("-I PREROUTING -j PORTICO-RAW\n", out);
}

/* --- mangle: after routing ----------------------------------------------- */

static void chain_errors(FILE *out, const struct rules_spec *spec,
			 const struct rules_features *features)
{
	each_prefix(out, "PORTICO-ERRORS -d", spec->exempt, spec->exempt_count,
		    "-j RETURN");
	for (size_t i = 0; features->quotes && i < spec->inside_net_count;
	     i++) {
		fprintf(out,
			"-A PORTICO-ERRORS -m u32 --u32 "
			"0>>22&0x3C@24&0x%" PRIx32 "=0x%" PRIx32,
			rules_prefix_mask(&spec->inside_nets[i]),
			spec->inside_nets[i].addr);
		queue_following(out, spec, false);
	}
	fputs("-A PORTICO-ERRORS", out);
	queue_following(out, spec, features->quotes);
}

/* Before the kernel's own source translation, which has no later hook: with
 * iptables the guard also stops what a masquerade rule would have saved. */
static void chain_guard(FILE *out, const struct rules_spec *spec)
{
	const struct nat_prefix own = { spec->uplink_addr, 32 };
	char from[64], to[64];

	snprintf(from, sizeof(from), "PORTICO-POST -o %s -s", spec->uplink);
	snprintf(to, sizeof(to), "PORTICO-POST -o %s -d", spec->uplink);
	exempt(out, spec, "PORTICO-POST -d", "PORTICO-POST -s");
	/* Comes here while the link to the inside is down. */
	each_prefix(out, to, spec->away, spec->away_count, "-j DROP");
	each_prefix(out, "PORTICO-POST -s", &own, spec->uplink_addr ? 1 : 0,
		    "-j RETURN");
	each_prefix(out, from, spec->inside_nets, spec->inside_net_count,
		    "-j DROP");
}

/* Where networks of inside devices are not known, nothing that these send may
 * leave but what the daemon sees, which has its mark: without it nothing. */
static void guard_devices(FILE *out, const struct rules_spec *spec, bool lives)
{
	char seen[48] = "";

	if (lives)
		snprintf(seen, sizeof(seen), " -m mark --mark 0x0/0x%" PRIx32,
			 rules_marks(spec->mark).mask);
	exempt(out, spec, "PORTICO-FORWARD -d", "PORTICO-FORWARD -s");
	for (size_t i = 0; i < spec->inside_count; i++)
		fprintf(out, "-A PORTICO-FORWARD -i %s -o %s%s -j DROP\n",
			spec->inside[i], spec->uplink, seen);
}

/* To the queue: what is for the outside, or hairpinned. Were it empty, since
 * somebody flushed it, the guard would still come. */
static void chain_out(FILE *out, const struct rules_spec *spec,
		      const struct rules_features *features)
{
	fprintf(out, "-A PORTICO-OUT ! -f -p tcp%s", following(features));
	queue_following(out, spec, false);
	fputs("-A PORTICO-OUT", out);
	queue_opening(out, spec, false);
}

/* "-A PORTICO-POST -o DEVICE -m mark [!] --mark VALUE/MASK" */
static void by_mark(FILE *out, const char *device, const char *no,
		    uint32_t value, uint32_t mask)
{
	fprintf(out,
		"-A PORTICO-POST -o %s -m mark%s --mark 0x%" PRIx32
		"/0x%" PRIx32,
		device, no, value, mask);
}

/* Most packets leave it by one of the first rules. */
static void chain_post(FILE *out, const struct rules_spec *spec)
{
	struct rules_marks marks = rules_marks(spec->mark);

	by_mark(out, spec->uplink, "", marks.outbound, marks.mask);
	fputs(" -j PORTICO-OUT\n", out);
	/* All but the hairpin: translated for the inside; or bridged to
	 * another router there, as a bridge shows that here, too. */
	for (size_t i = 0; i < spec->inside_count; i++) {
		by_mark(out, spec->inside[i], " !", marks.mask, marks.mask);
		fputs(" -j RETURN\n", out);
	}
	/* Translated for the inside, but routed out: its link is down. */
	by_mark(out, spec->uplink, "", marks.inbound, marks.inbound);
	fputs(" -j DROP\n", out);
	fprintf(out,
		"-A PORTICO-POST -m mark --mark 0x%" PRIx32 "/0x%" PRIx32
		" -j PORTICO-OUT\n",
		marks.outbound, marks.outbound);
	for (size_t i = 0; i < COUNT(errors_icmp); i++)
		fprintf(out,
			"-A PORTICO-POST -o %s -p icmp -m icmp "
			"--icmp-type %d -j PORTICO-ERRORS\n",
			spec->uplink, errors_icmp[i]);
	chain_guard(out, spec);
}

static void chain_mss(FILE *out, const struct rules_spec *spec)
{
	for (int i = 0; i < 2; i++)
		fprintf(out,
			"-A PORTICO-FORWARD -%c %s -p tcp -m tcp "
			"--tcp-flags SYN,RST SYN "
			"-j TCPMSS --clamp-mss-to-pmtu\n",
			"oi"[i], spec -> uplink);
}

static void table_mangle(FILE *out, const struct rules_spec *spec,
			 const struct rules_features *features)
{
	fputs(":PORTICO-POST - [0:0]\n"
	      ":PORTICO-OUT - [0:0]\n"
	      ":PORTICO-ERRORS - [0:0]\n",
	      out);
	if (spec->mss_clamp || spec->inside_unknown)
		fputs(":PORTICO-FORWARD - [0:0]\n", out);
	chain_errors(out, spec, features);
	chain_out(out, spec, features);
	chain_post(out, spec);
	if (spec->mss_clamp)
		chain_mss(out, spec);
	if (spec->inside_unknown)
		guard_devices(out, spec, true);
	fputs("-I POSTROUTING -j PORTICO-POST\n", out);
	if (spec->mss_clamp || spec->inside_unknown)
		fputs("-I FORWARD -j PORTICO-FORWARD\n", out);
}

/* --- whole tables -------------------------------------------------------- */

static void table_open(FILE *out, enum rules_table table, const char *first)
{
	fprintf(out, "*%s\n%s", table_names[table], first ? first : "");
}

void rules_iptables(const struct rules_spec *spec,
		    const struct rules_features *features,
		    enum rules_table table, const char *first, FILE *out)
{
	table_open(out, table, first);
	if (table == RULES_RAW)
		table_raw(out, spec, features);
	else
		table_mangle(out, spec, features);
	fputs("COMMIT\n", out);
}

void rules_iptables_guard(const struct rules_spec *spec, const char *first,
			  FILE *out)
{
	table_open(out, RULES_MANGLE, first);
	fputs(":PORTICO-POST - [0:0]\n", out);
	if (spec->inside_unknown)
		fputs(":PORTICO-FORWARD - [0:0]\n", out);
	chain_guard(out, spec);
	if (spec->inside_unknown)
		guard_devices(out, spec, false);
	fputs("-I POSTROUTING -j PORTICO-POST\n", out);
	if (spec->inside_unknown)
		fputs("-I FORWARD -j PORTICO-FORWARD\n", out);
	fputs("COMMIT\n", out);
}
