/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Findings about other packet filters. Answers from outside are untracked, so
 * a forward chain that lets through only what conntrack knows refuses them;
 * an accept in a table of our own would not help, every chain must agree.
 */
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "rules_text.h"

#define REMEDY_MAX 512

/* --- remedies ------------------------------------------------------------ */

struct place {
	const struct firewall *firewall;
	const struct firewall_chain *chain;
	uint32_t mark;
};

static const char *program(const struct place *place)
{
	return place->chain->backend == RULES_IPTABLES_LEGACY ?
		       "iptables-legacy" :
		       "iptables-nft";
}

static bool has_chain(const struct place *place, const char *name)
{
	return firewall_chain_of(place->firewall, place->chain->backend,
				 place->chain->family, place->chain->table,
				 name);
}

static void say_iptables(const struct place *place, char *text)
{
	snprintf(text, REMEDY_MAX,
		 "%s -t %s -I FORWARD -m mark ! --mark 0x0/0x%" PRIx32
		 " -j ACCEPT",
		 program(place), place->chain->table, place->mark);
}

/* Docker leaves this chain to its user and calls it first. */
static void say_docker(const struct place *place, char *text)
{
	snprintf(text, REMEDY_MAX,
		 "%s -I DOCKER-USER -m mark ! --mark 0x0/0x%" PRIx32
		 " -j ACCEPT",
		 program(place), place->mark);
}

static void say_ufw(const struct place *place, char *text)
{
	snprintf(
		text, REMEDY_MAX,
		"in /etc/ufw/before.rules put before the first "
		"\"-A ufw-before-forward\" line: -A ufw-before-forward -m mark "
		"! --mark 0x0/0x%" PRIx32 " -j ACCEPT; then: ufw reload",
		place->mark);
}

/* firewalld with its iptables backend. */
static void say_firewalld_direct(const struct place *place, char *text)
{
	snprintf(text, REMEDY_MAX,
		 "firewall-cmd --permanent --direct --add-rule ipv4 filter "
		 "FORWARD 0 -m mark ! --mark 0x0/0x%" PRIx32
		 " -j ACCEPT && firewall-cmd --reload",
		 place->mark);
}

static void say_nft(const struct place *place, char *text)
{
	snprintf(text, REMEDY_MAX,
		 "nft \"insert rule %s %s %s meta mark & 0x%08" PRIx32
		 " != 0 accept\"",
		 place->chain->family, place->chain->table, place->chain->name,
		 place->mark);
}

static void say_firewalld(const struct place *place, char *text)
{
	say_nft(place, text);
	strncat(text,
		" (again after each firewall-cmd --reload; where firewalld "
		"owns its table, first set NftablesTableOwner=no in "
		"/etc/firewalld/firewalld.conf)",
		REMEDY_MAX - strlen(text) - 1);
}

/* Only for what comes in and for hairpin: what leaves is for the zones and
 * their rules to decide, before which the line stands. */
static void say_fw4(const struct place *place, char *text)
{
	snprintf(text, REMEDY_MAX,
		 "put the line \"meta mark & 0x%08" PRIx32
		 " != 0 accept\" into /usr/share/nftables.d/chain-pre/forward/"
		 "20-portico.nft; then: fw4 reload; the zone inside must have "
		 "a forwarding to that of the uplink",
		 place->mark & ~rules_marks(place->mark).outbound);
}

/* Who wrote the chain is known by names; the first that fits. */
static const struct {
	bool iptables;
	const char *table; /* NULL: any */
	const char *chain; /* this chain exists beside; NULL: whatever */
	void (*say)(const struct place *place, char *text);
	const char *whose;
} remedies[] = {
	{ true, "filter", "ufw-before-forward", say_ufw, "ufw, " },
	{ true, "filter", "DOCKER-USER", say_docker, "docker, DOCKER-USER, " },
	{ true, "filter", "FORWARD_direct", say_firewalld_direct,
	  "firewalld, " },
	{ true, NULL, NULL, say_iptables, "" },
	{ false, "fw4", NULL, say_fw4, "OpenWrt's fw4, " },
	{ false, "firewalld", NULL, say_firewalld, "firewalld, " },
	{ false, NULL, NULL, say_nft, "" },
};

/* Returns whose chain it is: "docker, " or "". */
static const char *find_remedy(const struct place *place, char *text)
{
	size_t i;

	for (i = 0; i < sizeof(remedies) / sizeof(remedies[0]) - 1; i++) {
		bool iptables = place->chain->backend != RULES_NFTABLES;

		if (remedies[i].iptables != iptables ||
		    (remedies[i].table &&
		     strcmp(remedies[i].table, place->chain->table)) ||
		    (remedies[i].chain && !has_chain(place, remedies[i].chain)))
			continue;
		break;
	}
	remedies[i].say(place, text);
	return remedies[i].whose;
}

/* --- judging ------------------------------------------------------------- */

static const char *or_unknown(const char *name)
{
	return name && name[0] ? name : NULL;
}

static enum firewall_judgement worse(enum firewall_judgement a,
				     enum firewall_judgement b)
{
	return a > b ? a : b;
}

static bool is_fw4(const struct firewall_chain *chain)
{
	return chain->backend == RULES_NFTABLES && !strcmp(chain->table, "fw4");
}

/* fw4's rules about single hosts or ports are there to be kept. */
static enum firewall_judgement
judge_packet(const struct place *place, const struct firewall_packet *packet)
{
	enum firewall_judgement judgement =
		firewall_judge(place->firewall, place->chain, packet);
	bool leaves = packet->mark == rules_marks(place->mark).outbound;

	if (judgement == FIREWALL_DOUBTFUL && leaves && is_fw4(place->chain))
		return FIREWALL_OPEN;
	return judgement;
}

/* In, out and hairpin for one inside device. */
static enum firewall_judgement
judge_device(const struct place *place, const char *uplink, const char *inside)
{
	const uint32_t outbound = rules_marks(place->mark).outbound;
	const struct firewall_packet packets[] = {
		{ uplink, inside, place->mark & ~outbound },
		{ inside, uplink, outbound },
		{ inside, inside, place->mark },
	};
	enum firewall_judgement worst = FIREWALL_OPEN;

	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		worst = worse(worst, judge_packet(place, &packets[i]));
	return worst;
}

static enum firewall_judgement judge(const struct doctor_context *context,
				     const struct place *place)
{
	const char *uplink = or_unknown(doctor_uplink(context));
	size_t count = doctor_inside_count(context);
	enum firewall_judgement worst = FIREWALL_OPEN;

	if (!count)
		return judge_device(place, uplink, NULL);
	for (size_t i = 0; i < count; i++)
		worst = worse(worst, judge_device(place, uplink,
						  doctor_inside(context, i)));
	return worst;
}

static void examine_chain(const struct doctor_context *context,
			  const struct place *place,
			  struct doctor_report *report)
{
	enum firewall_judgement judgement = judge(context, place);
	const struct firewall_chain *chain = place->chain;
	char remedy[REMEDY_MAX] = "";
	const char *whose;

	if (judgement == FIREWALL_OPEN)
		return;
	whose = find_remedy(place, remedy);
	doctor_add(report,
		   judgement == FIREWALL_CLOSED ? DOCTOR_FAIL : DOCTOR_WARN,
		   remedy,
		   "the forward chain \"%s\" of table \"%s %s\" (%s%s) %s "
		   "translated packets, which conntrack does not know",
		   chain->name, chain->family, chain->table, whose,
		   rules_backend_name(chain->backend),
		   judgement == FIREWALL_CLOSED ? "refuses" :
						  "has rules that may refuse");
}

bool doctor_unknown(const struct doctor_context *context,
		    const struct firewall *firewall, enum rules_backend backend)
{
	int why = firewall->failed[backend];

	return firewall->hidden[backend] ||
	       (why && why != -ENOENT &&
		(why != -EIO ||
		 (context->daemon_runs && backend == context->backend)));
}

static const char *why(int failed)
{
	return failed == -EIO	 ? "the program refused" :
	       failed == -ENOENT ? "no program for them is installed" :
				   strerror(-failed);
}

static bool examine_unknown(const struct doctor_context *context,
			    const struct firewall *firewall,
			    struct doctor_report *report)
{
	size_t before = report->count;

	for (int i = 0; i < RULES_BACKENDS; i++) {
		enum rules_backend backend = (enum rules_backend)i;

		if (doctor_unknown(context, firewall, backend))
			doctor_add(report, DOCTOR_WARN, NULL,
				   "the %s rules could not be read (%s): "
				   "whether they refuse translated packets is "
				   "not known",
				   rules_backend_name(backend),
				   why(firewall->failed[i]));
	}
	return report->count != before;
}

static void examine_forward(const struct doctor_context *context,
			    const struct firewall *firewall,
			    struct doctor_report *report)
{
	bool unknown = examine_unknown(context, firewall, report);
	size_t before = report->count;

	for (size_t i = 0; i < firewall->chain_count; i++) {
		struct place place = { firewall, &firewall->chains[i],
				       context->config->queue.mark };

		if (place.chain->hook == FIREWALL_FORWARD)
			examine_chain(context, &place, report);
	}
	if (report->count == before && !unknown)
		doctor_add(report, DOCTOR_OK, NULL,
			   "no forward chain refuses translated packets");
}

/* The mark says what the daemon has to translate, and what it has. */
static void examine_marks(const struct doctor_context *context,
			  const struct firewall *firewall,
			  struct doctor_report *report)
{
	const struct rules_marks marks =
		rules_marks(context->config->queue.mark);
	struct firewall_packet packet = {
		.out = or_unknown(doctor_uplink(context)),
		.mark = marks.outbound,
	};
	/* Those of iptables have less between them. */
	enum rules_backend ours = context->daemon_runs ? context->backend :
							 RULES_IPTABLES_NFT;
	char place[256], remedy[REMEDY_MAX];

	snprintf(
		remedy, sizeof(remedy),
		"have it leave them alone: -j MARK --set-xmark VALUE/0x%" PRIx32
		" with iptables, meta mark set meta mark & 0x%08" PRIx32
		" | VALUE with nft",
		~marks.mask, ~marks.mask);
	for (size_t i = 0; i < doctor_inside_count(context); i++) {
		packet.in = doctor_inside(context, i);
		if (!firewall_overwrites(firewall, ours, &packet, marks.mask,
					 place, sizeof(place)))
			continue;
		doctor_add(report, DOCTOR_WARN, remedy,
			   "a rule in the %s overwrites the bits 0x%08" PRIx32
			   " of packets' marks, which are ours: what it takes "
			   "from %s is not translated, but dropped",
			   place, marks.mask, packet.in);
		return;
	}
}

static void examine_ours(const struct doctor_context *context,
			 const struct firewall *firewall,
			 struct doctor_report *report)
{
	if (!context->daemon_runs || !firewall->read[context->backend])
		return;
	if (firewall->ours[context->backend])
		doctor_add(report, DOCTOR_OK, NULL,
			   "our rules are in force (%s)",
			   rules_backend_name(context->backend));
	else
		doctor_add(report, DOCTOR_FAIL,
			   "they are loaded again within seconds; if not: "
			   "systemctl restart portico",
			   "our %s rules are gone, somebody removed them: "
			   "nothing is translated",
			   rules_backend_name(context->backend));
}

/* miniupnpd's chains of redirections: nftables, OpenWrt's and its own; of
 * iptables, one in the table nat. */
static bool is_upnp(const struct firewall_chain *chain)
{
	if (chain->backend != RULES_NFTABLES)
		return !strcmp(chain->name, "MINIUPNPD") &&
		       !strcmp(chain->table, "nat");
	return !strcmp(chain->name, "upnp_prerouting") ||
	       !strcmp(chain->name, "prerouting_miniupnpd");
}

static void examine_upnp(const struct firewall *firewall,
			 struct doctor_report *report)
{
	size_t count = 0;

	for (size_t i = 0; i < firewall->chain_count; i++)
		if (is_upnp(&firewall->chains[i]))
			count += firewall->chains[i].rule_count;
	if (count)
		doctor_add(report, DOCTOR_WARN,
			   "stop miniupnpd and list them under forwards in the "
			   "configuration",
			   "miniupnpd has opened %zu port%s in the kernel's "
			   "NAT, which translated packets do not pass: nobody "
			   "gets in there",
			   count, count == 1 ? "" : "s");
}

void doctor_firewall(const struct doctor_context *context,
		     const struct firewall *firewall,
		     struct doctor_report *report)
{
	examine_ours(context, firewall, report);
	examine_forward(context, firewall, report);
	examine_marks(context, firewall, report);
	if (firewall->flowtable)
		doctor_add(report, DOCTOR_WARN,
			   "uci set firewall.@defaults[0].flow_offloading=0; "
			   "uci commit firewall; fw4 reload (OpenWrt), "
			   "or take the flowtable out of the ruleset",
			   "flow offload is on: flows that began before the "
			   "daemon bypass every rule, and the guard");
	examine_upnp(firewall, report);
	if (firewall->masquerade)
		doctor_add(report, DOCTOR_OK, NULL,
			   "the kernel has masquerade rules, too: harmless, "
			   "translated packets are not tracked and pass them "
			   "by");
}
