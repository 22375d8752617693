/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Findings about the system itself: settings, the queue, sockets, clock, what
 * the kernel can do.
 */
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "queue.h"
#include "sockets.h"
#include "sysctl.h"

#define QUEUE_FILE "/proc/net/netfilter/nfnetlink_queue"
#define ROUTE_FILE "/proc/net/route"
#define FILE_MAX 65536
/* 2020-01-01: no wall clock that was ever set shows less. */
#define CLOCK_LEAST 1577836800

/* The file's text to be freed; "" when it cannot be read, errno says why. */
static char *read_file(const char *path)
{
	char *text = calloc(1, FILE_MAX);
	FILE *file = fopen(path, "re");

	errno = file ? 0 : errno;
	if (text && file)
		text[fread(text, 1, FILE_MAX - 1, file)] = '\0';
	if (file)
		fclose(file);
	return text;
}

/* A setting's number, or missing. */
static int setting(const char *name, int missing)
{
	char value[64];

	return sysctl_read(name, value, sizeof(value)) ? missing : atoi(value);
}

static int device_setting(const char *device, const char *key, int missing)
{
	char name[96];

	snprintf(name, sizeof(name), "net/ipv4/conf/%s/%s", device, key);
	return setting(name, missing);
}

/* --- forwarding and routing ---------------------------------------------- */

/* Off is right while no daemon runs: it switches forwarding on when its rules
 * are in. */
static void examine_forward(const struct doctor_context *context,
			    struct doctor_report *report)
{
	if (setting("net/ipv4/ip_forward", 1) == 1)
		doctor_add(report, DOCTOR_OK, NULL, "ip_forward is on");
	else if (context->daemon_runs)
		doctor_add(report, DOCTOR_FAIL,
			   "sysctl -w net.ipv4.ip_forward=1",
			   "ip_forward is off: the kernel forwards nothing");
	else
		doctor_add(report, DOCTOR_OK, NULL,
			   "ip_forward is off; the daemon switches it on");
}

static void examine_device_forward(const struct doctor_context *context,
				   const char *device,
				   struct doctor_report *report)
{
	char remedy[96];

	if (!context->daemon_runs || !device[0] ||
	    setting("net/ipv4/ip_forward", 1) != 1 ||
	    device_setting(device, "forwarding", 1) == 1)
		return;
	snprintf(remedy, sizeof(remedy),
		 "sysctl -w net/ipv4/conf/%s/forwarding=1", device);
	doctor_add(report, DOCTOR_FAIL, remedy,
		   "forwarding is off on %s: what comes in there is not "
		   "forwarded",
		   device);
}

/* Strict filtering drops what comes from a peer to whom the way back leads by
 * another device. With the default route on the uplink that is nobody. */
static void examine_rp_filter(const struct doctor_context *context,
			      struct doctor_report *report)
{
	const char *uplink = doctor_uplink(context);
	int all = setting("net/ipv4/conf/all/rp_filter", 0);
	int one = uplink[0] ? device_setting(uplink, "rp_filter", 0) : 0;
	char remedy[96];
	char *routes;

	if ((all > one ? all : one) != 1)
		return;
	routes = read_file(ROUTE_FILE);
	snprintf(remedy, sizeof(remedy),
		 "sysctl -w net/ipv4/conf/%.15s/rp_filter=2", uplink);
	if (routes && !doctor_has_default_route(routes, uplink))
		doctor_add(report, DOCTOR_WARN, remedy,
			   "rp_filter is strict on %s, which has no default "
			   "route: packets of peers that are routed elsewhere "
			   "are dropped on arrival",
			   uplink);
	free(routes);
}

static void examine_devices(const struct doctor_context *context,
			    struct doctor_report *report)
{
	char *routes = read_file(ROUTE_FILE);

	doctor_devices(context, report);
	doctor_overlap(context, routes ? routes : "", report);
	free(routes);
}

static void examine_bridge(struct doctor_report *report)
{
	if (setting("net/bridge/bridge-nf-call-iptables", 0))
		doctor_add(report, DOCTOR_OK, NULL,
			   "bridge-nf-call-iptables is on: bridged packets "
			   "pass the rules, too; hairpin between two ports of "
			   "one bridge is then bridged, not routed");
}

/* --- the queue and the kernel -------------------------------------------- */

/* The process whose netlink port this is, by the custom that the first socket
 * of a process takes its id. */
static void name_listener(unsigned port, char *text, size_t size)
{
	char path[64], *name;

	snprintf(path, sizeof(path), "/proc/%u/comm", port);
	name = read_file(path);
	if (name && name[0])
		snprintf(text, size, "%.*s (process %u)",
			 (int)strcspn(name, "\n"), name, port);
	else
		snprintf(text, size, "netlink port %u", port);
	free(name);
}

/* Whether someone listens on the queue; who goes to *port. */
static bool find_listener(const char *listing, unsigned number, unsigned *port)
{
	while (*listing) {
		unsigned queue;

		if (sscanf(listing, "%u %u", &queue, port) == 2 &&
		    queue == number)
			return true;
		listing += strcspn(listing, "\n");
		listing += *listing == '\n';
	}
	return false;
}

static void one_queue(const struct doctor_context *context, const char *listing,
		      unsigned number, struct doctor_report *report)
{
	unsigned port;
	bool found = find_listener(listing, number, &port);
	char who[96];

	if (context->daemon_runs && !found)
		doctor_add(report, DOCTOR_FAIL, "restart porticod",
			   "nobody listens on queue %u: every packet that "
			   "should be translated is dropped",
			   number);
	else if (context->daemon_runs)
		doctor_add(report, DOCTOR_OK, NULL, "queue %u has its listener",
			   number);
	if (context->daemon_runs || !found)
		return;
	name_listener(port, who, sizeof(who));
	doctor_add(report, DOCTOR_FAIL,
		   "stop it, or set another queue.number in the configuration",
		   "queue %u is taken by %s: the daemon cannot start", number,
		   who);
}

void doctor_queue(const struct doctor_context *context, const char *listing,
		  struct doctor_report *report)
{
	unsigned number = context->config->queue.number;

	for (int lane = 0; lane < QUEUE_LANES; lane++)
		one_queue(context, listing, number + (unsigned)lane, report);
}

static void examine_queue(const struct doctor_context *context,
			  struct doctor_report *report)
{
	char *listing = read_file(QUEUE_FILE);
	int error = errno;

	if (!listing)
		return;
	if (!error)
		doctor_queue(context, listing, report);
	else if (error == ENOENT && context->daemon_runs)
		doctor_add(report, DOCTOR_FAIL, "modprobe nfnetlink_queue",
			   "the kernel shows no packet queues "
			   "(nfnetlink_queue)");
	free(listing);
}

/* While the daemon runs its rules prove it. */
static void examine_backend(const struct doctor_context *context,
			    struct doctor_report *report)
{
	enum rules_backend backend;
	char error[512];

	if (context->daemon_runs || geteuid())
		return;
	if (rules_choose(context->config->rules, &backend, error,
			 sizeof(error)))
		doctor_add(report, DOCTOR_FAIL,
			   "install kmod-nft-queue (OpenWrt), or nftables or "
			   "iptables and a kernel with nft_queue or "
			   "xt_NFQUEUE",
			   "%s", error);
	else
		doctor_add(report, DOCTOR_OK, NULL, "rules can be loaded by %s",
			   rules_backend_name(backend));
}

/* Drivers that carry flows past every hook. */
static void examine_accelerators(struct doctor_report *report)
{
	static const char *const modules[] = { "shortcut_fe", "qca_nss_ecm",
					       "ecm", "fast_classifier",
					       "mtkhnat" };

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		char path[64], remedy[64];
		struct stat status;

		snprintf(path, sizeof(path), "/sys/module/%s", modules[i]);
		snprintf(remedy, sizeof(remedy), "rmmod %s", modules[i]);
		if (!stat(path, &status))
			doctor_add(report, DOCTOR_WARN, remedy,
				   "the accelerator %s is loaded: flows that "
				   "it takes bypass every rule",
				   modules[i]);
	}
}

static void examine_clock(struct doctor_report *report)
{
	struct timespec boot, wall;

	if (clock_gettime(CLOCK_BOOTTIME, &boot) ||
	    (boot.tv_sec == 0 && boot.tv_nsec == 0))
		doctor_add(report, DOCTOR_FAIL, NULL,
			   "CLOCK_BOOTTIME does not run: nothing would ever "
			   "expire");
	if (!clock_gettime(CLOCK_REALTIME, &wall) &&
	    (int64_t)wall.tv_sec < CLOCK_LEAST)
		doctor_add(report, DOCTOR_WARN,
			   "set it, e.g. ntpd -q -p pool.ntp.org",
			   "the wall clock was never set: times in the log "
			   "are wrong (lifetimes do not depend on it)");
}

/* --- ports --------------------------------------------------------------- */

static bool in_ranges(const struct config_range *ranges, size_t count,
		      unsigned port)
{
	for (size_t i = 0; i < count; i++)
		if (port >= ranges[i].first && port <= ranges[i].last)
			return true;
	return false;
}

static unsigned count_overlap(const struct config *config,
			      const struct config_range *router,
			      const struct nat_portset *bound)
{
	unsigned count = 0;

	for (unsigned port = 0; port < NAT_PORTS; port++)
		if (nat_portset_has(bound, (uint16_t)port) &&
		    !in_ranges(router, 1, port) &&
		    (in_ranges(config->ports, config->ports_count, port) ||
		     in_ranges(config->low_ports, config->low_ports_count,
			       port)))
			count++;
	return count;
}

static void examine_forwards(const struct doctor_context *context,
			     const struct nat_portset *udp,
			     const struct nat_portset *tcp,
			     struct doctor_report *report)
{
	const struct nat_config *nat = &context->config->nat;

	for (size_t i = 0; i < nat->forward_count; i++) {
		const struct nat_forward *forward = &nat->forwards[i];
		bool is_tcp = forward->proto == NAT_PROTO_TCP;
		unsigned port = forward->outside_first;

		while (port <= forward->outside_last &&
		       !nat_portset_has(is_tcp ? tcp : udp, (uint16_t)port))
			port++;
		if (port <= forward->outside_last)
			doctor_add(report, DOCTOR_WARN,
				   "ss -lntup; choose another outside port or "
				   "bind the service to an inside address",
				   "the router itself uses %s port %u, which "
				   "the forward %s takes over",
				   is_tcp ? "tcp" : "udp", port, forward->name);
	}
}

static void examine_ports(const struct doctor_context *context,
			  struct doctor_report *report)
{
	const struct config *config = context->config;
	struct config_range router = config->router_ports;
	struct nat_portset *sets = calloc(2, sizeof(*sets));
	uint32_t addr = context->network ? context->network->uplink_addr : 0;
	unsigned udp, tcp;

	if (config->router_ports_auto)
		sysctl_router_ports(&router);
	if (!sets || sockets_read(addr, &sets[0], &sets[1])) {
		free(sets);
		return;
	}
	udp = count_overlap(config, &router, &sets[0]);
	tcp = count_overlap(config, &router, &sets[1]);
	if (udp || tcp)
		doctor_add(report, DOCTOR_OK, NULL,
			   "%u udp and %u tcp ports of the pool are in use by "
			   "the router itself and are not handed out",
			   udp, tcp);
	if (!context->for_status)
		examine_forwards(context, &sets[0], &sets[1], report);
	free(sets);
}

/* What the daemon hands out, and forwards, is reserved. */
static void examine_own_ports(const struct doctor_context *context,
			      struct doctor_report *report)
{
	struct config_range range = { 0 };

	if (context->daemon_runs && sysctl_no_local_port(&range))
		doctor_add(report, DOCTOR_FAIL,
			   "set uplink.router_ports to a part of it that no "
			   "forward has",
			   "the router itself can open no connection: all of "
			   "ip_local_port_range (%u-%u) is the pool's or a "
			   "forward's",
			   (unsigned)range.first, (unsigned)range.last);
}

void doctor_system(const struct doctor_context *context,
		   struct doctor_report *report)
{
	examine_devices(context, report);
	examine_forward(context, report);
	examine_device_forward(context, doctor_uplink(context), report);
	for (size_t i = 0; i < doctor_inside_count(context); i++)
		examine_device_forward(context, doctor_inside(context, i),
				       report);
	examine_rp_filter(context, report);
	examine_bridge(report);
	examine_queue(context, report);
	examine_backend(context, report);
	examine_accelerators(report);
	examine_clock(report);
	examine_ports(context, report);
	examine_own_ports(context, report);
}
