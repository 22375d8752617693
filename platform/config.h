/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The configuration file (design: "The operator's side"): JSON with comments,
 * read with json-c, every key checked, defaults filled in.
 */
#ifndef PORTICO_PLATFORM_CONFIG_H
#define PORTICO_PLATFORM_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "portico/nat.h"

#define CONFIG_DEFAULT_FILE "/etc/portico/portico.conf"
/* Forwards that may be added by command; one of both protocols counts once. */
#define CONFIG_FORWARDS_ADDED_MAX 256

struct json_object;

enum config_rules {
	CONFIG_RULES_AUTO,
	CONFIG_RULES_NFTABLES,
	CONFIG_RULES_IPTABLES
};
enum config_switch { CONFIG_AUTO, CONFIG_ON, CONFIG_OFF };
enum config_fallback { CONFIG_FALLBACK_CLOSED, CONFIG_FALLBACK_KERNEL };
enum config_accept { CONFIG_ACCEPT_WARN, CONFIG_ACCEPT_INSERT };
enum config_sandbox {
	CONFIG_SANDBOX_AUTO,
	CONFIG_SANDBOX_REQUIRE,
	CONFIG_SANDBOX_OFF
};
enum config_mss { CONFIG_MSS_AUTO, CONFIG_MSS_OFF };

struct config_range {
	uint16_t first;
	uint16_t last;
};

struct config {
	char *path; /* NULL: automatic mode, no file */

	/* uplink */
	char uplink_device[IFNAMSIZ]; /* "": choose automatically */
	uint32_t uplink_address; /* 0: "auto", follow the device */
	struct config_range *ports; /* sorted, merged */
	size_t ports_count;
	struct config_range *low_ports; /* may be empty */
	size_t low_ports_count;
	bool router_ports_auto; /* first 2,048 of ip_local_port_range */
	struct config_range router_ports; /* when not auto */

	/* inside */
	char (*inside_devices)[IFNAMSIZ];
	size_t inside_count; /* 0: choose automatically */

	/* The engine's part, complete but for pool[], inside and forwards'
	 * addresses of the uplink; nat.exempt, nat.martians and nat.forwards
	 * point into this config. */
	struct nat_config nat;
	struct nat_limits limits;
	/* So many of nat.forwards are the configuration's; those behind them
	 * were added by command. */
	size_t forwards_written;

	struct {
		uint16_t number;
		uint32_t batch; /* packets per wake-up, 1..64 */
		enum config_switch gso;
		uint32_t mark; /* two adjacent bits */
		int8_t nice; /* -20..0, of the packet process */
	} queue;

	struct {
		enum config_switch enabled;
		uint32_t sessions; /* carried at once */
		uint32_t after; /* packets of a session */
	} fast_path;

	enum config_rules rules;
	enum config_accept forward_accept;
	enum config_fallback fallback;
	enum config_mss mss;
	enum config_sandbox sandbox;
	char *control;
	char *control_read;
	char *state;

	/* Things accepted but worth telling ("timeouts.udp 60 is below the
	 * 120 s of RFC 4787 REQ-5"). Shown in log and status.warnings. */
	char **warnings;
	size_t warnings_count;
};

/* Reads and checks a file; path NULL: all defaults (automatic mode).
 * memory_bytes: MemTotal, for limits that are not set.
 * Returns a config to be freed by config_free(), or NULL with a message of one
 * line in error ("FILE:LINE: KEY: found X, expected Y"). */
struct config *config_load(const char *path, uint64_t memory_bytes, char *error,
			   size_t error_size);
void config_free(struct config *config);

/* --- forwards by command: config_added.c --- */

/* Each makes a config that is the old one but for its forwards, which are its
 * own; all else is shared. One of the two lives on and is freed by
 * config_free(), the other one before it by config_free_forwards(). The old one
 * is not changed. 0, or with a sentence in error -EINVAL, -ENOMEM; -ENOSPC:
 * CONFIG_FORWARDS_ADDED_MAX is reached. */

/* forward: an object as in the configuration's "forwards". */
int config_add_forward(const struct config *old, struct json_object *forward,
		       struct config **changed, char *error, size_t error_size);
int config_remove_forward(const struct config *old, const char *name,
			  struct config **changed, char *error,
			  size_t error_size);
void config_free_forwards(struct config *config);

/* Gives a config that was just loaded those of old that came by command, but
 * for those that it has, too, and those whose name or port it has given away;
 * of each of the latter there is a warning. 0 or -ENOMEM with a sentence in error. */
int config_keep_forwards(struct config *config, const struct config *old,
			 char *error, size_t error_size);

/* The default file; NULL where there is none. One that cannot be reached is not
 * missing: reading it says why. */
const char *config_default_file(void);

/* MemTotal of /proc/meminfo in bytes; 0 when it cannot be read. */
uint64_t config_memory_total(void);

/* "a.b.c.d/len" or "a.b.c.d" (length 32) -> prefix; host bits must be zero.
 * True when valid. */
bool config_parse_prefix(const char *text, struct nat_prefix *prefix);

#endif
