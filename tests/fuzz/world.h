/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The world of the packet targets: an engine of tiny tables, two or three
 * inside hosts, a few peers. An input is a sequence of records of STEP_BYTES
 * bytes: the first chooses the configuration, each of the others is a step (a
 * packet, time that passes, a host flushed, a restart, ...). After every step
 * the engine's invariants are proved, and every packet is judged.
 *
 * README.md has the bytes of a record.
 */
#ifndef PORTICO_TESTS_WORLD_H
#define PORTICO_TESTS_WORLD_H

#include "fuzz.h"
#include "portico/nat.h"
#include "tests/unit/packets.h"

#define STEP_BYTES 16
/* Steps of one input that are taken. */
#define STEPS_MAX 256

enum step_field {
	STEP_OP, /* what happens */
	STEP_KIND, /* of packet; which earlier packet */
	STEP_ENDS, /* source and destination address, four bits each */
	STEP_PORTS, /* the same for ports */
	STEP_WAY, /* path, checksum, TTL */
	STEP_FLAGS, /* TCP flags, types of the others */
	STEP_SIZE, /* of the payload */
	STEP_TAG, /* of SCTP, GRE, ESP */
	STEP_DAMAGE, /* what is broken */
	STEP_WHERE, /* ... at which byte */
	STEP_VALUE, /* ... and by what */
	STEP_FRAGMENT,
	STEP_OPTIONS,
	STEP_MORE,
	STEP_LAST,
	STEP_CLOCK, /* how much time passes first */
};

struct step {
	const uint8_t *field; /* STEP_BYTES */
	struct fuzz_bytes *rest; /* the records that follow */
};

/* Builds a whole packet from a step. */
typedef void build_fn(const struct step *step, struct packet *packet);

/* What a target puts its weight on. */
struct emphasis {
	build_fn *const *kinds;
	size_t kind_count;
	uint8_t fragments; /* of 256 packets so many are fragments */
	uint8_t options; /* ... carry IP or TCP options */
	uint8_t errors; /* of 256 steps so many are ICMP errors about a packet
			 * that crossed */
	uint8_t restarts; /* ... are restarts */
	bool harm; /* restarts find damaged records */
};

struct crossing {
	struct packet before, after;
	enum nat_path path;
};

#define CROSSINGS 8

struct world {
	const struct emphasis *emphasis;
	struct nat *nat;
	struct nat_limits limits;
	struct nat_config config[2]; /* in turn: the last one may be in force */
	int config_at;
	void *records, *indices;
	uint32_t starts; /* gives each engine secrets of its own */
	uint64_t seed; /* from the input's bytes */
	struct nat_portset bound; /* as told */
	uint64_t now;
	uint32_t uplink; /* as told */
	bool strangers; /* once no inside network was known: any address may be
			 * that of a host */
	enum nat_checksum checksum;
	bool proper; /* the packet at hand is what its checksum mode says */
	bool bridged;
	struct packet packet;
	struct nat_hint hint; /* of a packet that came earlier */
	uint32_t hints;
	struct crossing crossings[CROSSINGS];
	uint32_t crossed;
	uint32_t cursors[3]; /* of a dump */
};

/* In a target: its inputs are records (mutate.c). */
extern const bool fuzz_records;

/* Runs an input. */
int world_run(const struct emphasis *emphasis, const uint8_t *data,
	      size_t size);

/* --- between the files of the world ---------------------------------------- */

/* world_config.c */
void world_limits(struct world *world, const uint8_t *record);
void world_configure(struct world *world, const uint8_t *record);
void world_bind(struct world *world, const uint8_t *record);

/* world_restart.c: the process dies here and its records are taken over. */
void world_start(struct world *world);
void world_restart(struct world *world, const struct step *step);
void world_end(struct world *world);

/* world_judge.c: world->packet goes through the engine by this path. */
enum nat_verdict world_cross(struct world *world, enum nat_path path);
/* Takes and judges what the engine sends by itself. */
void world_outputs(struct world *world);
bool world_is_inside(uint32_t addr);

/* build.c, build_other.c */
build_fn build_udp, build_tcp, build_query, build_error, build_other, build_raw;
build_fn build_udplite, build_dccp, build_sctp, build_sctp_init, build_gre,
	build_pptp, build_esp;
uint32_t build_addr(uint8_t nibble);
struct flow build_flow(const struct step *step);
/* An error from src to dst about a packet, by the step's bytes. */
void build_error_about(const struct step *step, uint32_t src, uint32_t dst,
		       const struct packet *about, struct packet *packet);
/* Options, fragments and damage, as the step says. True: nothing is damaged. */
bool build_bend(const struct step *step, const struct emphasis *emphasis,
		struct packet *packet);
/* The transport checksum again, where there is one. */
void build_sum(struct packet *packet);

#endif
