/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every key of the configuration in one table: where it stands, of what type
 * it is, what it may be, where it is kept and what it is when the file does
 * not say. The defaults are JSON and go through the same readers as the file.
 */
#include <json-c/json.h>
#include <string.h>

#include "bpf/fast_map.h"
#include "config_position.h"
#include "config_read.h"

#define FIELD(member) \
	offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define NO_FIELD 0, 0

#define WEEK 604800
#define LIMIT 1, NAT_LIMIT_MAX
/* An inbound packet's filter walks the mapping's sessions with that packet's
 * address: this bounds what one packet can cost. */
#define MAPPING_SESSIONS_MAX 1024
#define ANY 0, 0

static const char *const filters[] = {
	[NAT_FILTER_ENDPOINT_INDEPENDENT] = "endpoint-independent",
	[NAT_FILTER_ADDRESS_DEPENDENT] = "address-dependent",
	[NAT_FILTER_ADDRESS_AND_PORT_DEPENDENT] = "address-and-port-dependent",
	[NAT_FILTERS] = NULL,
};
static const char *const rules[] = {
	[CONFIG_RULES_AUTO] = "auto",
	[CONFIG_RULES_NFTABLES] = "nftables",
	[CONFIG_RULES_IPTABLES] = "iptables",
	[CONFIG_RULES_IPTABLES + 1] = NULL,
};
static const char *const switches[] = {
	[CONFIG_AUTO] = "auto",
	[CONFIG_ON] = "on",
	[CONFIG_OFF] = "off",
	[CONFIG_OFF + 1] = NULL,
};
static const char *const fallbacks[] = {
	[CONFIG_FALLBACK_CLOSED] = "closed",
	[CONFIG_FALLBACK_KERNEL] = "kernel",
	[CONFIG_FALLBACK_KERNEL + 1] = NULL,
};
static const char *const accepts[] = {
	[CONFIG_ACCEPT_WARN] = "warn",
	[CONFIG_ACCEPT_INSERT] = "insert",
	[CONFIG_ACCEPT_INSERT + 1] = NULL,
};
static const char *const mss[] = {
	[CONFIG_MSS_AUTO] = "auto",
	[CONFIG_MSS_OFF] = "off",
	[CONFIG_MSS_OFF + 1] = NULL,
};
static const char *const sandboxes[] = {
	[CONFIG_SANDBOX_AUTO] = "auto",
	[CONFIG_SANDBOX_REQUIRE] = "require",
	[CONFIG_SANDBOX_OFF] = "off",
	[CONFIG_SANDBOX_OFF + 1] = NULL,
};

/* clang-format off */
/* section, name, type, field, least and most, choices, default, help */
static const struct config_key keys[] = {
	{"uplink", "device", CONFIG_DEVICE, FIELD(uplink_device), ANY, NULL,
	 NULL, "the device that faces outside"},
	{"uplink", "address", CONFIG_ADDRESS, FIELD(uplink_address), ANY, NULL,
	 "\"auto\"", "the outside address"},
	{"uplink", "ports", CONFIG_PORTS, NO_FIELD, 1, 65535, NULL,
	 "\"1024-65535\"", "the outside ports of the pool"},
	{"uplink", "low_ports", CONFIG_LOW_PORTS, NO_FIELD, 1, 1023, NULL,
	 "\"512-1023\"", "for inside ports below 1024; \"\" for none"},
	{"uplink", "router_ports", CONFIG_ROUTER_PORTS, NO_FIELD, ANY, NULL,
	 "\"auto\"", "the router's own ports, kept out of the pool"},

	{"inside", "devices", CONFIG_DEVICES, NO_FIELD, ANY, NULL,
	 NULL, "the devices that face the hosts"},

	{"filtering", "udp", CONFIG_CHOICE, FIELD(nat.filtering[NAT_POOL_UDP]), ANY, filters,
	 "\"endpoint-independent\"", "who may send to a mapping from outside"},
	{"filtering", "tcp", CONFIG_CHOICE, FIELD(nat.filtering[NAT_POOL_TCP]), ANY, filters,
	 "\"address-dependent\"", "who may send to a mapping from outside"},
	{"filtering", "icmp", CONFIG_CHOICE, FIELD(nat.filtering[NAT_POOL_ICMP]), ANY, filters,
	 "\"address-dependent\"", "who may send to a mapping from outside"},

	{"timeouts", "udp", CONFIG_NUMBER, FIELD(nat.timeout_s[NAT_TIMER_UDP]), 1, WEEK, NULL,
	 "300", "seconds"},
	{"timeouts", "tcp_opening", CONFIG_NUMBER, FIELD(nat.timeout_s[NAT_TIMER_TCP_OPENING]),
	 1, WEEK, NULL, "240", "seconds"},
	{"timeouts", "tcp_established", CONFIG_NUMBER,
	 FIELD(nat.timeout_s[NAT_TIMER_TCP_ESTABLISHED]), 1, WEEK, NULL, "7440", "seconds"},
	{"timeouts", "tcp_closing", CONFIG_NUMBER, FIELD(nat.timeout_s[NAT_TIMER_TCP_CLOSING]),
	 1, WEEK, NULL, "240", "seconds"},
	{"timeouts", "icmp", CONFIG_NUMBER, FIELD(nat.timeout_s[NAT_TIMER_ICMP]), 1, WEEK, NULL,
	 "60", "seconds"},
	{"timeouts", "other", CONFIG_NUMBER, FIELD(nat.timeout_s[NAT_TIMER_OTHER]), 1, WEEK, NULL,
	 "600", "seconds"},
	{"timeouts", "port_hold", CONFIG_NUMBER, FIELD(nat.port_hold_s), 0, WEEK, NULL,
	 "120", "seconds a freed port rests"},

	{"limits", "mappings", CONFIG_NUMBER, FIELD(limits.mappings), LIMIT, NULL,
	 NULL, "mappings"},
	{"limits", "sessions", CONFIG_NUMBER, FIELD(limits.sessions), LIMIT, NULL,
	 NULL, "sessions"},
	{"limits", "hosts", CONFIG_NUMBER, FIELD(limits.hosts), LIMIT, NULL,
	 "1024", "hosts"},
	{"limits", "host_mappings", CONFIG_NUMBER, FIELD(nat.host_mappings), LIMIT, NULL,
	 "4096", "mappings of one host"},
	{"limits", "host_sessions", CONFIG_NUMBER, FIELD(nat.host_sessions), LIMIT, NULL,
	 "16384", "sessions of one host"},
	{"limits", "mapping_sessions", CONFIG_NUMBER, FIELD(nat.mapping_sessions),
	 1, MAPPING_SESSIONS_MAX, NULL, "512", "sessions of one mapping"},
	{"limits", "host_new_per_second", CONFIG_NUMBER, FIELD(nat.host_new_per_second), LIMIT,
	 NULL, "200", "new mappings of one host in a second"},
	{"limits", "host_guaranteed", CONFIG_NUMBER, FIELD(nat.host_guaranteed), 0, NAT_LIMIT_MAX,
	 NULL, NULL, "mappings that every host can have whatever others do"},
	{"limits", "peer_tagged_sessions", CONFIG_NUMBER, FIELD(nat.peer_tagged), 1, 1024, NULL,
	 "64", "sessions of SCTP, GRE or ESP with one peer"},
	{"limits", "icmp_per_second", CONFIG_NUMBER, FIELD(nat.icmp_per_second), 0, 10000, NULL,
	 "100", "ICMP errors made in a second"},
	{"limits", "host_icmp_per_second", CONFIG_NUMBER, FIELD(nat.host_icmp_per_second),
	 0, 10000, NULL, "10", "ICMP errors to one host in a second"},
	{"limits", "held_ports", CONFIG_NUMBER, FIELD(limits.held_ports), LIMIT, NULL,
	 "16384", "ports that rest after use"},
	{"limits", "tagged_sessions", CONFIG_NUMBER, FIELD(limits.tagged), 0, NAT_LIMIT_MAX,
	 NULL, "1024", "sessions of SCTP, GRE and ESP together"},

	{"behaviour", "hairpin", CONFIG_BOOL, FIELD(nat.hairpin), ANY, NULL,
	 "true", "hosts may reach each other by the outside address"},
	{"behaviour", "inbound_refresh", CONFIG_BOOL, FIELD(nat.inbound_refresh), ANY, NULL,
	 "true", "packets from known peers keep a session alive"},
	{"behaviour", "icmp_after_6s", CONFIG_BOOL, FIELD(nat.icmp_after_6s), ANY, NULL,
	 "false", "answer an unexpected SYN after 6 seconds"},
	{"behaviour", "refuse_code", CONFIG_REFUSE_CODE, FIELD(nat.refuse_code), ANY, NULL,
	 "13", "the code of ICMP type 3 that refuses a host's packet"},
	{"behaviour", "parity", CONFIG_BOOL, FIELD(nat.parity), ANY, NULL,
	 "true", "even ports stay even, odd ones odd"},
	{"behaviour", "idle_probe", CONFIG_BOOL, FIELD(nat.idle_probe), ANY, NULL,
	 "true", "ask a host whether an idle TCP connection still lives"},
	{"behaviour", "martians_extra", CONFIG_MARTIANS, NO_FIELD, ANY, NULL,
	 "[]", "networks refused beside the built-in ones"},
	{"behaviour", "protocols", CONFIG_PROTOCOLS, NO_FIELD, ANY, NULL,
	 "[\"dccp\", \"esp\", \"gre\", \"sctp\", \"udplite\"]",
	 "translated beside TCP, UDP and ICMP"},

	{"fragments", "entries", CONFIG_NUMBER, FIELD(limits.fragments), LIMIT, NULL,
	 "256", "fragmented datagrams followed at once"},
	{"fragments", "bytes", CONFIG_NUMBER, FIELD(limits.fragment_bytes), LIMIT, NULL,
	 "1048576", "bytes of fragments that wait for their first"},
	{"fragments", "seconds", CONFIG_NUMBER, FIELD(nat.fragment_s), 2, 120, NULL,
	 "30", "seconds a fragmented datagram is followed"},

	{"queue", "number", CONFIG_NUMBER, FIELD(queue.number), 0, 65534, NULL,
	 "100", "of the kernel's queue"},
	{"queue", "batch", CONFIG_NUMBER, FIELD(queue.batch), 1, 64, NULL,
	 NULL, "packets taken at once"},
	{"queue", "gso", CONFIG_SWITCH, FIELD(queue.gso), ANY, switches,
	 "\"auto\"", "take super-packets whole; also true or false"},
	{"queue", "mark", CONFIG_MARK, FIELD(queue.mark), ANY, NULL,
	 "\"0x03000000\"", "the bits of the packet mark that are ours"},
	{"queue", "nice", CONFIG_NICE, FIELD(queue.nice), ANY, NULL,
	 "-10", "precedence over other programs"},

	{"fast_path", "enabled", CONFIG_SWITCH, FIELD(fast_path.enabled), ANY, switches,
	 "\"auto\"", "have the kernel carry established sessions; also true or false"},
	{"fast_path", "sessions", CONFIG_NUMBER, FIELD(fast_path.sessions),
	 1, FAST_SESSIONS_MAX, NULL, NULL, "sessions carried at once"},
	{"fast_path", "after", CONFIG_NUMBER, FIELD(fast_path.after), 1, 1000000, NULL,
	 "16", "packets before a session is handed over"},

	{"", "forwards", CONFIG_FORWARDS, NO_FIELD, ANY, NULL, "[]", "port forwards"},
	{"", "exempt", CONFIG_EXEMPT, NO_FIELD, ANY, NULL, "[]", "destinations left alone"},
	{"", "rules", CONFIG_CHOICE, FIELD(rules), ANY, rules,
	 "\"auto\"", "the packet filter to use"},
	{"", "forward_accept", CONFIG_CHOICE, FIELD(forward_accept), ANY, accepts,
	 "\"warn\"", "what to do about a forward chain that refuses our packets"},
	{"", "fallback", CONFIG_CHOICE, FIELD(fallback), ANY, fallbacks,
	 "\"closed\"", "what happens while the daemon is not running"},
	{"", "mss", CONFIG_CHOICE, FIELD(mss), ANY, mss,
	 "\"auto\"", "lower the TCP segment size to the uplink's MTU"},
	{"", "control", CONFIG_PATH, FIELD(control), ANY, NULL,
	 "\"/run/portico/portico.sock\"", "the control socket"},
	{"", "control_read", CONFIG_PATH, FIELD(control_read), ANY, NULL,
	 "\"/run/portico/monitor.sock\"", "the read-only control socket"},
	{"", "state", CONFIG_PATH, FIELD(state), ANY, NULL,
	 "\"/run/portico/state\"", "what outlives a restart"},
	{"", "sandbox", CONFIG_CHOICE, FIELD(sandbox), ANY, sandboxes,
	 "\"auto\"", "whether the daemon must be locked in"},
};
/* clang-format on */

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static bool read_default(struct config_reader *reader,
			 struct json_tokener *tokener,
			 const struct config_key *key)
{
	struct json_object *value =
		json_tokener_parse_ex(tokener, key->initial, -1);
	char path[POSITION_KEY_MAX];
	bool fine;

	if (!value)
		return config_no_memory(reader);
	config_path_member(path, key->section, key->name);
	fine = config_value(reader, key, path, value);
	json_object_put(value);
	return fine;
}

bool config_defaults(struct config_reader *reader)
{
	/* One for all: its memory costs more than reading with it. */
	struct json_tokener *tokener = json_tokener_new();
	bool fine = tokener || config_no_memory(reader);

	for (size_t i = 0; fine && i < KEYS; i++) {
		if (!keys[i].initial)
			continue;
		json_tokener_reset(tokener);
		fine = read_default(reader, tokener, &keys[i]);
	}
	if (tokener)
		json_tokener_free(tokener);
	return fine;
}

/* --- the document ------------------------------------------------------- */

static bool is_section(const char *name)
{
	for (size_t i = 0; i < KEYS; i++)
		if (*name && strcmp(keys[i].section, name) == 0)
			return true;
	return false;
}

static void add_name(const char *names[], size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(names[i], name) == 0)
			return;
	names[(*count)++] = name;
}

/* What might have been meant: the section's keys, at the top level also the
 * sections. */
static bool refuse_unknown(struct config_reader *reader, const char *section,
			   const char *path, const char *name)
{
	const char *names[KEYS];
	size_t count = 0;

	for (size_t i = 0; i < KEYS; i++) {
		if (strcmp(keys[i].section, section) == 0)
			add_name(names, &count, keys[i].name);
		else if (!*section)
			add_name(names, &count, keys[i].section);
	}
	return config_unknown(reader, path, name, names, count);
}

static bool read_section(struct config_reader *reader, const char *section,
			 struct json_object *object);

static bool read_key(struct config_reader *reader, const char *section,
		     const char *name, struct json_object *value)
{
	char path[POSITION_KEY_MAX];

	config_path_member(path, section, name);
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0 &&
		    strcmp(keys[i].name, name) == 0)
			return config_value(reader, &keys[i], path, value);
	if (*section || !is_section(name))
		return refuse_unknown(reader, section, path, name);
	if (!json_object_is_type(value, json_type_object))
		return config_refuse(reader, path, value,
				     "an object in braces");
	return read_section(reader, name, value);
}

static bool read_section(struct config_reader *reader, const char *section,
			 struct json_object *object)
{
	struct json_object_iterator at = json_object_iter_begin(object);
	struct json_object_iterator end = json_object_iter_end(object);

	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at))
		if (!read_key(reader, section, json_object_iter_peek_name(&at),
			      json_object_iter_peek_value(&at)))
			return false;
	return true;
}

bool config_document(struct config_reader *reader, struct json_object *root)
{
	return read_section(reader, "", root);
}
