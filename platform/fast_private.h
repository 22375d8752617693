/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the fast path share: fast.c (life, clocks, randomness),
 * fast_table.c (sessions in the maps), fast_load.c (the loader), fast_tc.c (the
 * program at the devices), fast_tcx.c, fast_rtnl.c (what is said to the kernel for
 * that).
 */
#ifndef PORTICO_PLATFORM_FAST_PRIVATE_H
#define PORTICO_PLATFORM_FAST_PRIVATE_H

#include "bpf/fast_map.h"
#include "bpf/fast_wire.h"
#include "fast.h"

/* --- fast_table.c --------------------------------------------------------- */

/* Slots that are looked at in one tick, some milliseconds at most: use in a table
 * of 131,072 is told after two. */
#define FAST_LOOKS 65536

/* The maps, as memory; zeroed. */
struct fast_memory {
	struct fast_head *head;
	struct fast_filled *filled;
	struct fast_bucket *buckets;
	struct fast_slot *slots;
	uint32_t bucket_count; /* a power of two */
	uint32_t slot_count; /* nobody's slot 0 included */
};

struct fast_table;

/* Buckets in which the entries of so many sessions fill at most a quarter: then
 * hardly one of them is full (at half, one session of 23 found it so). */
uint32_t fast_bucket_count(uint32_t sessions);

/* The memory stays the caller's. mark: what nat_mark's bits are shifted by.
 * seed, id: drawn at random. NULL with errno. */
struct fast_table *fast_table_new(const struct fast_memory *memory,
				  uint32_t mark_shift, uint32_t seed,
				  uint32_t id);
/* Nothing is carried by the maps from then on. */
void fast_table_free(struct fast_table *table);

/* now_ms: of CLOCK_MONOTONIC in both, for a slot's rest. */
bool fast_table_carry(struct fast_table *table,
		      const struct nat_carried *carried, uint64_t now_ms);
void fast_table_give_back(struct fast_table *table, uint32_t session,
			  struct nat_counters *use,
			  struct nat_carried_end ends[FAST_WAYS],
			  uint64_t now_ms);
void fast_table_use(struct fast_table *table, uint32_t session,
		    struct nat_counters *use);

/* Until when sessions are carried; 0: they are not. */
void fast_table_alive(struct fast_table *table, uint64_t until_ns);
/* Calls used() for the sessions among the next FAST_LOOKS slots whose use is
 * another than the last one taken. It may call any function above. */
void fast_table_look(struct fast_table *table,
		     void (*used)(void *context, uint32_t session),
		     void *context);
/* Devices that sessions are carried between; at most FAST_INSIDE_MAX inside. */
void fast_table_devices(struct fast_table *table, uint32_t uplink,
			const uint32_t *inside, uint32_t inside_count);
/* All but the devices. */
void fast_table_stats(const struct fast_table *table, struct fast_stats *stats);

/* A counter that somebody else adds to, in two halves each of which is read
 * whole: not one of half a carry, unless the writer stops in between for many
 * reads. */
uint64_t fast_halves(uint32_t (*half)(const void *counter, bool high),
		     const void *counter);

/* --- fast_load.c ---------------------------------------------------------- */

#define FAST_LOAD_MS 5000

/* Runs the loader beside our own program. 0 with FAST_FDS descriptors, or -errno
 * with a sentence in error, and all are -1. */
int fast_load(uint32_t slots, uint32_t buckets, int fds[FAST_FDS], char *error,
	      size_t error_size);
/* The same with the loader named, and less patience. */
int fast_load_by(const char *path, uint32_t slots, uint32_t buckets,
		 int timeout_ms, int fds[FAST_FDS], char *error,
		 size_t error_size);

/* Writes a sentence into error and returns err. */
int fast_say(char *error, size_t size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* --- fast_xfrm.c ---------------------------------------------------------- */

#define FAST_XFRM_NONE (-1000) /* instead of a descriptor: no IPsec here */

/* A descriptor, FAST_XFRM_NONE or -errno. */
int fast_xfrm_open(void);
/* Are there policies, in this network namespace, or is a packet dropped by
 * default? sequence: another one with each question. 1 or 0, or -errno. */
int fast_xfrm_any(int fd, uint32_t sequence);

/* --- fast_events.c -------------------------------------------------------- */

/* A socket that hears of changes of qdiscs and filters; -errno. */
int fast_events_open(void);
/* Were there any? */
bool fast_events_drain(int fd);

/* --- fast_tc.c ------------------------------------------------------------ */

/* In the order of fast_wire.h. */
enum fast_program {
	FAST_INSIDE_ETHER,
	FAST_INSIDE_BARE,
	FAST_UPLINK_ETHER,
	FAST_UPLINK_BARE,
	FAST_PROGRAMS
};

struct fast_tc;

/* The programs' descriptors stay the caller's. tcx: it may be used, where no
 * qdisc is at a device. Before the process is locked in. NULL: no memory. */
struct fast_tc *fast_tc_new(const int programs[FAST_PROGRAMS], bool tcx);
/* As fast_set_devices(). */
int fast_tc_set(struct fast_tc *tc, unsigned uplink, const unsigned *inside,
		size_t inside_count, char *error, size_t error_size);
/* Some devices wait for another fast_tc_set(), so that none takes long. */
bool fast_tc_unfinished(const struct fast_tc *tc);
bool fast_tc_has(const struct fast_tc *tc, unsigned index);
unsigned fast_tc_devices(const struct fast_tc *tc);
/* Takes the program from all of them. */
void fast_tc_free(struct fast_tc *tc);

/* --- fast_tcx.c ----------------------------------------------------------- */

/* How the programs' names begin (bpf/fast.bpf.c). */
#define FAST_PROGRAM_NAME "portico_"

/* Whether the kernel has it, and we may find our own again by their names. As
 * root. */
bool fast_tcx_works(int program);
/* Its number in the kernel; 0: not known. Before the process is locked in. */
uint32_t fast_tcx_id(int program);
/* Behind all others that are there, or in the place of one that is (a descriptor;
 * -1: of none). 0 or -errno. */
int fast_tcx_put(unsigned device, int program, int replaced);
bool fast_tcx_has(unsigned device, uint32_t id);
int fast_tcx_remove(unsigned device, int program); /* 0 or -errno */
/* Takes away every program of ours, also an earlier daemon's. As root. 0 or
 * -errno. */
int fast_tcx_remove_ours(unsigned device);

/* --- fast_rtnl.c ---------------------------------------------------------- */

/* One conversation: a socket of its own, so that no late answer to an earlier
 * question is taken for one to this. After a time-out nothing more is asked. */
struct fast_rtnl;

struct fast_link {
	unsigned index;
	unsigned type; /* ARPHRD_ */
	char name[16];
};

/* A filter at our place: whose, and which program it is. */
struct fast_filter {
	bool ours;
	uint32_t program;
};

int fast_rtnl_open(struct fast_rtnl **rtnl); /* 0 or -errno */
void fast_rtnl_close(struct fast_rtnl *rtnl);

/* All return 0 or -errno. */
int fast_rtnl_link(struct fast_rtnl *rtnl, unsigned index,
		   struct fast_link *link);
/* Indices of all devices, to be freed. */
int fast_rtnl_links(struct fast_rtnl *rtnl, unsigned **indices, size_t *count);
/* 0: there is a clsact or ingress qdisc; -ENOENT: there is none. */
int fast_rtnl_find_qdisc(struct fast_rtnl *rtnl, unsigned index);
/* -EEXIST: there is one, or an ingress qdisc, which is as good. */
int fast_rtnl_make_qdisc(struct fast_rtnl *rtnl, unsigned index);
int fast_rtnl_remove_qdisc(struct fast_rtnl *rtnl, unsigned index);
/* Puts a program in our place, or in that of the one that is there. */
int fast_rtnl_put(struct fast_rtnl *rtnl, unsigned index, int program);
/* -ENOENT: there is none. */
int fast_rtnl_get(struct fast_rtnl *rtnl, unsigned index,
		  struct fast_filter *filter);
int fast_rtnl_remove(struct fast_rtnl *rtnl, unsigned index);
/* How many filters of anybody's are at the device's clsact qdisc. */
int fast_rtnl_count(struct fast_rtnl *rtnl, unsigned index, size_t *count);

#endif
