/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ruleset in nftables' language: `table ip portico` and nothing else. The
 * header (make it if it is not there, delete it, make it anew) lets nft put
 * the whole table in force in one transaction, whatever was there before. But
 * with a base chain goes its hook, and the kernel then drops all that is
 * queued: another header, for a table like ours, leaves the base chains where
 * they are and takes everything out of them.
 *
 * A queue verdict of ACCEPT ends the chain it was given in, hence two chains
 * at neighbouring priorities in prerouting: the first queues, the second
 * untracks what came back marked.
 *
 * Bypass (go on when no daemon listens) stands only on what belongs to the
 * router itself while the daemon is dead: ICMP and the protocols without pool
 * ports that come in, and ICMP errors that do not quote an inside address.
 * Never on pool and forward ports.
 */
#include "rules_text.h"

#include <inttypes.h>

static const char errors_text[] =
	"{ destination-unreachable, time-exceeded, parameter-problem }";

/* A segment of a connection that exists; a lone SYN and what is no TCP may
 * begin something. */
static const char following_text[] = "tcp flags & (syn | ack) != syn";

static void line(FILE *out, const char *text)
{
	fprintf(out, "\t\t%s\n", text);
}

static void chain_open(FILE *out, const char *name, const char *type,
		       const char *hook, const char *priority)
{
	fprintf(out,
		"\tchain %s {\n"
		"\t\ttype %s hook %s priority %s; policy accept;\n",
		name, type, hook, priority);
}

static void chain_close(FILE *out)
{
	fputs("\t}\n", out);
}

/* --- sets ---------------------------------------------------------------- */

static void set_open(FILE *out, const char *name, const char *type)
{
	fprintf(out,
		"\tset %s {\n"
		"\t\ttype %s\n"
		"\t\tflags interval\n"
		"\t\tauto-merge\n",
		name, type);
}

static void prefix_set(FILE *out, const char *name,
		       const struct nat_prefix *prefixes, size_t count)
{
	char text[RULES_PREFIX_TEXT];

	set_open(out, name, "ipv4_addr");
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s%s%s", i ? ",\n\t\t\t" : "\t\telements = { ",
			rules_prefix_text(&prefixes[i], text),
			i + 1 == count ? " }\n" : "");
	fputs("\t}\n", out);
}

static void port_set(FILE *out, const char *name,
		     const struct nat_portset *ports)
{
	struct config_range range;
	uint32_t from = 0;
	bool any = false;

	set_open(out, name, "inet_service");
	while (rules_next_ports(ports, &from, &range)) {
		fprintf(out, "%s%u", any ? ",\n\t\t\t" : "\t\telements = { ",
			(unsigned)range.first);
		if (range.last != range.first)
			fprintf(out, "-%u", (unsigned)range.last);
		any = true;
	}
	fputs(any ? " }\n\t}\n" : "\t}\n", out);
}

/* The inside devices while the daemon lives: it refreshes their elements, and
 * loading the table counts as the first refresh. */
static void alive_set(FILE *out, const struct rules_spec *spec)
{
	fputs("\tset alive {\n"
	      "\t\ttype ifname\n"
	      "\t\tflags timeout\n",
	      out);
	for (size_t i = 0; i < spec->inside_count; i++)
		fprintf(out, "%s\"%s\" timeout %us%s",
			i ? ",\n\t\t\t" : "\t\telements = { ", spec->inside[i],
			RULES_ALIVE_S,
			i + 1 == spec->inside_count ? " }\n" : "");
	fputs("\t}\n", out);
}

/* `{ "lan0", "lan1" }`; nothing inside is said with a name no device has. */
static void inside_devices(FILE *out, const struct rules_spec *spec)
{
	fputs("{ ", out);
	if (!spec->inside_count)
		fputs("\"none\"", out);
	for (size_t i = 0; i < spec->inside_count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "", spec->inside[i]);
	fputs(" }", out);
}

/* --- before conntrack ---------------------------------------------------- */

static void queue_ports(FILE *out, const struct rules_spec *spec)
{
	unsigned number = rules_opening(spec);

	fprintf(out,
		"\t\ttcp dport @tcp_ports %s queue num %u\n"
		"\t\ttcp dport @tcp_ports queue num %u\n"
		"\t\tudp dport @udp_ports queue num %u\n",
		following_text, (unsigned)spec->queue_number, number, number);
	if (rules_translates(spec, NAT_PROTO_DCCP))
		fprintf(out, "\t\tdccp dport @tcp_ports queue num %u\n",
			number);
	if (rules_translates(spec, NAT_PROTO_UDPLITE))
		fprintf(out, "\t\tudplite dport @udp_ports queue num %u\n",
			number);
}

/* What comes to the uplink's address: pool and forward ports, and the ICMP
 * that may belong to a mapping. With reassembly the last rule meets nothing, as
 * that of the hairpin. */
static void chain_inbound(FILE *out, const struct rules_spec *spec)
{
	unsigned number = rules_opening(spec);

	fputs("\tchain inbound {\n", out);
	queue_ports(out, spec);
	fprintf(out,
		"\t\ticmp type { destination-unreachable, time-exceeded, "
		"parameter-problem, source-quench, redirect } "
		"queue num %u bypass\n"
		"\t\ticmp type { echo-reply, timestamp-reply } "
		"queue num %u bypass\n",
		(unsigned)spec->queue_number, number);
	for (size_t i = 0; i < RULES_TAGGED; i++)
		if (rules_translates(spec, rules_tagged[i]))
			fprintf(out, "\t\tip protocol %u queue num %u bypass\n",
				rules_tagged[i], number);
	fprintf(out,
		"\t\tip frag-off & 0x1fff != 0 queue num %u\n"
		"\t}\n",
		number);
}

/* The hairpin's first pass: from inside to the uplink's address. */
static void chain_hairpin(FILE *out, const struct rules_spec *spec)
{
	fputs("\tchain hairpin {\n", out);
	queue_ports(out, spec);
	fprintf(out,
		"\t\ticmp type %s queue num %u bypass\n"
		"\t\tip frag-off & 0x1fff != 0 queue num %u\n"
		"\t}\n",
		errors_text, (unsigned)spec->queue_number, rules_opening(spec));
}

/* The address first: most packets are sent elsewhere. */
static void rules_to_address(FILE *out, const struct rules_spec *spec)
{
	char address[RULES_PREFIX_TEXT];

	rules_addr_text(spec->uplink_addr, address);
	fprintf(out, "\t\tip daddr %s iifname \"%s\" jump inbound\n", address,
		spec->uplink);
	/* Errors raised after we rewrote the source go from the uplink's
	 * address to itself. */
	fprintf(out,
		"\t\tip daddr %s iifname \"lo\" icmp type %s "
		"queue num %u bypass\n",
		address, errors_text, (unsigned)spec->queue_number);
	fprintf(out, "\t\tip daddr %s iifname ", address);
	inside_devices(out, spec);
	fputs(" jump hairpin\n", out);
}

/* A look into a set that is empty would cost each packet as much as another. */
static void accept_exempt(FILE *out, const struct rules_spec *spec)
{
	if (!spec->exempt_count)
		return;
	line(out, "ip daddr @exempt accept");
	line(out, "ip saddr @exempt accept");
}

static void chain_raw_in(FILE *out, const struct rules_spec *spec,
			 const struct rules_features *features)
{
	chain_open(out, "raw_in", "filter", "prerouting", "raw - 10");
	accept_exempt(out, spec);
	/* Meets nothing; its presence makes the kernel reassemble. */
	if (features->reassembly)
		line(out, "iifname \"none\" meta l4proto tcp tproxy to :1");
	if (spec->uplink_addr)
		rules_to_address(out, spec);
	chain_close(out);
}

/* fib: what the routing will decide; the router's own addresses have no device
 * there. Multicast and the broadcast (DHCP) the default route seems to lead out,
 * too. That of the uplink's own network, from inside, is marked in vain: the
 * router keeps it. */
static void chain_raw_track(FILE *out, const struct rules_spec *spec)
{
	struct rules_marks marks = rules_marks(spec->mark);

	chain_open(out, "raw_track", "filter", "prerouting", "raw - 9");
	fprintf(out, "\t\tmeta mark & 0x%08" PRIx32 " != 0 notrack accept\n",
		marks.mask);
	accept_exempt(out, spec);
	fputs("\t\tiifname ", out);
	if (spec->fallback_kernel)
		fputs("@alive", out);
	else
		inside_devices(out, spec);
	fprintf(out,
		" ip daddr != 224.0.0.0/4 ip daddr != 255.255.255.255 "
		"fib daddr oifname \"%s\" "
		"meta mark set meta mark | 0x%08" PRIx32 " notrack\n",
		spec->uplink, marks.outbound);
	chain_close(out);
}

/* --- after routing ------------------------------------------------------- */

/* ICMP errors leaving by the uplink. One about a packet that we translated
 * inwards quotes that packet's inside destination (octet 24: 8 of ICMP, 16 of
 * the quoted header): without the daemon it must not leave. To an exempt network
 * it may. */
static void chain_errors(FILE *out, const struct rules_spec *spec)
{
	fputs("\tchain errors {\n", out);
	if (spec->exempt_count)
		line(out, "ip daddr @exempt accept");
	for (size_t i = 0; i < spec->inside_net_count; i++)
		if (spec->inside_nets[i].length)
			fprintf(out,
				"\t\t@th,192,32 & 0x%08" PRIx32
				" == 0x%08" PRIx32 " queue num %u\n",
				rules_prefix_mask(&spec->inside_nets[i]),
				spec->inside_nets[i].addr,
				(unsigned)spec->queue_number);
	fprintf(out, "\t\tqueue num %u bypass\n", (unsigned)spec->queue_number);
	chain_close(out);
}

/* What is for the outside, or hairpinned. */
static void chain_outbound(FILE *out, const struct rules_spec *spec)
{
	fprintf(out,
		"\tchain outbound {\n"
		"\t\t%s queue num %u\n"
		"\t\tqueue num %u\n",
		following_text, (unsigned)spec->queue_number,
		rules_opening(spec));
	chain_close(out);
}

/* Most packets leave it by one of the first rules. */
static void chain_out(FILE *out, const struct rules_spec *spec)
{
	struct rules_marks marks = rules_marks(spec->mark);

	chain_open(out, "out", "filter", "postrouting", "srcnat - 20");
	fprintf(out,
		"\t\toifname \"%s\" meta mark & 0x%08" PRIx32 " == 0x%08" PRIx32
		" goto outbound\n",
		spec->uplink, marks.mask, marks.outbound);
	/* All but the hairpin: translated for the inside; or bridged to
	 * another router there, as a bridge shows that here, too. */
	fputs("\t\toifname ", out);
	inside_devices(out, spec);
	fprintf(out, " meta mark & 0x%08" PRIx32 " != 0x%08" PRIx32 " accept\n",
		marks.mask, marks.mask);
	/* Translated for the inside, but routed out: its link is down. */
	fprintf(out,
		"\t\toifname \"%s\" meta mark & 0x%08" PRIx32 " != 0 drop\n",
		spec->uplink, marks.inbound);
	if (spec->uplink_index)
		fprintf(out,
			"\t\toif %u meta mark & 0x%08" PRIx32 " != 0 drop\n",
			spec->uplink_index, marks.inbound);
	fprintf(out, "\t\tmeta mark & 0x%08" PRIx32 " != 0 goto outbound\n",
		marks.outbound);
	fprintf(out, "\t\toifname \"%s\" icmp type %s jump errors\n",
		spec->uplink, errors_text);
	chain_close(out);
}

/* Packets with one end that must not be seen at the uplink. */
static void guard(FILE *out, const struct rules_spec *spec, const char *match)
{
	static const char rest[] =
		"ip saddr != @exempt ip daddr != @exempt drop";

	fprintf(out, "\t\toifname \"%s\" %s %s\n", spec->uplink, match, rest);
	if (spec->uplink_index)
		fprintf(out, "\t\toif %u %s %s\n", spec->uplink_index, match,
			rest);
}

/* "OPTION { PREFIX, PREFIX, ... }" of all that is private. */
static void private_text(const char *option, char *text, size_t size)
{
	char prefix[RULES_PREFIX_TEXT];
	size_t used = (size_t)snprintf(text, size, "%s {", option);

	for (size_t i = 0; i < RULES_PRIVATE && used < size; i++)
		used += (size_t)snprintf(
			text + used, size - used, "%s %s", i ? "," : "",
			rules_prefix_text(&rules_private[i], prefix));
	if (used < size)
		snprintf(text + used, size - used, " }");
}

/* From inside devices alone: other private networks may be routed out. */
static void guard_private(FILE *out, const struct rules_spec *spec)
{
	static const char rest[] =
		"ip saddr != @exempt ip daddr != @exempt drop";
	char private[160];

	private_text("ip saddr", private, sizeof(private));
	fputs("\t\tiifname ", out);
	inside_devices(out, spec);
	fprintf(out, " oifname \"%s\" %s %s\n", spec->uplink, private, rest);
	if (!spec->uplink_index)
		return;
	fputs("\t\tiifname ", out);
	inside_devices(out, spec);
	fprintf(out, " oif %u %s %s\n", spec->uplink_index, private, rest);
}

/* After every source translation, ours and the kernel's: what still has an
 * inside source here would be seen outside. That goes for the router's own
 * packets, too: an answer to them could not come back. The uplink's own
 * address passes: behind another NAT it may lie in an inside network. What is
 * for an inside network comes here while its link is down. */
static void chain_guard(FILE *out, const struct rules_spec *spec)
{
	char address[RULES_PREFIX_TEXT];

	chain_open(out, "guard", "filter", "postrouting", "300");
	if (spec->away_count)
		guard(out, spec, "ip daddr @away");
	if (spec->uplink_addr)
		fprintf(out, "\t\tip saddr %s accept\n",
			rules_addr_text(spec->uplink_addr, address));
	guard(out, spec, "ip saddr @inside");
	if (spec->inside_unknown)
		guard_private(out, spec);
	chain_close(out);
}

static void masquerade(FILE *out, const struct rules_spec *spec,
		       const char *match)
{
	if (spec->router_ports.first)
		fprintf(out,
			"\t\toifname \"%s\" %s "
			"meta l4proto { tcp, udp } masquerade to :%u-%u\n",
			spec->uplink, match, (unsigned)spec->router_ports.first,
			(unsigned)spec->router_ports.last);
	fprintf(out, "\t\toifname \"%s\" %s masquerade\n", spec->uplink, match);
}

/* Sees tracked packets only, so none while the daemon lives. What it cannot
 * translate, as conntrack calls it invalid, is left to the guard. */
static void chain_fallback(FILE *out, const struct rules_spec *spec)
{
	char private[160];

	chain_open(out, "fallback", "nat", "postrouting", "srcnat - 10");
	accept_exempt(out, spec);
	masquerade(out, spec, "ip saddr @inside");
	private_text("ip saddr", private, sizeof(private));
	if (spec->inside_unknown)
		masquerade(out, spec, private);
	chain_close(out);
}

/* The route's path MTU is the lesser of both directions'; a size is only ever
 * lowered. */
static void chain_mss(FILE *out, const struct rules_spec *spec)
{
	static const char *const directions[] = { "oifname", "iifname" };

	chain_open(out, "mss", "filter", "forward", "mangle");
	for (int i = 0; i < 2; i++)
		fprintf(out,
			"\t\t%s \"%s\" tcp flags & (syn | rst) == syn "
			"tcp option maxseg size set rt mtu\n",
			directions[i], spec->uplink);
	chain_close(out);
}

static const char anew[] = "table ip portico\n"
			   "delete table ip portico\n";

/* What is deleted is declared before, since it may not be there. */
#define INTERVALS "flags interval; auto-merge; }\n"
static const char in_place[] = "table ip portico\n"
			       "flush table ip portico\n"
			       "table ip portico {\n"
			       "\tset exempt { type ipv4_addr; " INTERVALS
			       "\tset inside { type ipv4_addr; " INTERVALS
			       "\tset away { type ipv4_addr; " INTERVALS
			       "\tset tcp_ports { type inet_service; " INTERVALS
			       "\tset udp_ports { type inet_service; " INTERVALS
			       "\tset alive { type ifname; flags timeout; }\n"
			       "\tchain inbound { }\n"
			       "\tchain hairpin { }\n"
			       "\tchain errors { }\n"
			       "\tchain outbound { }\n"
			       "}\n"
			       "delete set ip portico exempt\n"
			       "delete set ip portico inside\n"
			       "delete set ip portico away\n"
			       "delete set ip portico tcp_ports\n"
			       "delete set ip portico udp_ports\n"
			       "delete set ip portico alive\n"
			       "delete chain ip portico inbound\n"
			       "delete chain ip portico hairpin\n"
			       "delete chain ip portico errors\n"
			       "delete chain ip portico outbound\n";

static void table_open(FILE *out, const struct rules_spec *spec,
		       const char *header)
{
	fprintf(out, "%stable ip portico {\n", header);
	prefix_set(out, "exempt", spec->exempt, spec->exempt_count);
	prefix_set(out, "inside", spec->inside_nets, spec->inside_net_count);
	prefix_set(out, "away", spec->away, spec->away_count);
}

void rules_nft(const struct rules_spec *spec,
	       const struct rules_features *features, bool keep_chains,
	       FILE *out)
{
	table_open(out, spec, keep_chains ? in_place : anew);
	port_set(out, "tcp_ports", spec->tcp);
	port_set(out, "udp_ports", spec->udp);
	if (spec->fallback_kernel)
		alive_set(out, spec);
	if (spec->uplink_addr) {
		chain_inbound(out, spec);
		chain_hairpin(out, spec);
	}
	chain_raw_in(out, spec, features);
	chain_raw_track(out, spec);
	chain_errors(out, spec);
	chain_outbound(out, spec);
	chain_out(out, spec);
	chain_guard(out, spec);
	if (spec->fallback_kernel)
		chain_fallback(out, spec);
	if (spec->mss_clamp)
		chain_mss(out, spec);
	fputs("}\n", out);
}

void rules_nft_guard(const struct rules_spec *spec, FILE *out)
{
	table_open(out, spec, anew);
	chain_guard(out, spec);
	if (spec->fallback_kernel)
		chain_fallback(out, spec);
	fputs("}\n", out);
}
