/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the files of the gateway share: gateway.c (life), gateway_apply.c (from
 * configuration and network to engine and rules), gateway_expire.c (the end of
 * what is over), gateway_move.c (the uplink's
 * address), gateway_reload.c, gateway_forwards.c (those by command),
 * gateway_rules.c (the rules in force),
 * gateway_handover.c (the queue across a restart), gateway_fast.c (the fast
 * path), gateway_settings.c (the
 * kernel's), gateway_warnings.c.
 */
#ifndef PORTICO_PLATFORM_GATEWAY_PRIVATE_H
#define PORTICO_PLATFORM_GATEWAY_PRIVATE_H

#include <sys/types.h>

#include "doctor.h"
#include "fast.h"
#include "gateway.h"
#include "notify.h"
#include "spec.h"
#include "state.h"

/* Everything that one configuration and one state of the network make
 * together; replaced as a whole. */
struct gateway_plan {
	struct spec_storage spec;
	struct nat_config nat; /* complete; points into config and inside */
	struct nat_prefix *inside; /* a copy: the monitor's may change */
	char *text; /* the rendered ruleset */
};

#define GATEWAY_WARNINGS_MAX 32

/* When gateway_fallback_lost(). */
#define GATEWAY_FALLBACK_LOST \
	"fallback: \"kernel\" needs the nftables backend; it is \"closed\" here"

/* When gateway_find_missed() found it. */
#define GATEWAY_MISSED \
	"%s has a private address now, and was not chosen as an inside " \
	"device: its hosts are not served until the daemon starts anew"

struct gateway {
	struct loop *loop;
	struct helper *helper;
	gateway_lock_in *lock_in; /* NULL: done */
	void *lock_context;
	bool helper_gone;
	struct config *config;
	char *config_path; /* NULL: automatic mode */
	struct network *network;
	char missed[IFNAMSIZ]; /* gateway_find_missed(); "": none */
	struct nat *nat;
	struct state state; /* the engine's records */
	bool orderly; /* the end is none that anything was lost by */
	void *indices;
	size_t indices_bytes;
	struct queue *queue;
	struct queue_config queue_config;
	struct fast *fast; /* NULL: there is none */
	char fast_error[256]; /* why not, or not everywhere; "": it is fine */
	bool fast_warns; /* of it: with "auto" it may be as it should */
	/* With "auto", because of other packet filters (doctor.h). */
	char fast_passed_by[DOCTOR_PASSED_MAX];
	bool fast_started; /* until then no device is looked after */
	bool fast_unsure; /* they have changed since the doctor looked */
	bool fast_stale; /* and since it began to look, too */
	uint64_t fast_look; /* the tick of the next look, then */
	uint64_t fast_doubted; /* the tick of the last doubt */
	unsigned fast_wait; /* seconds from it to that look */
	uint32_t fast_sum; /* rules_legacy_sum() */
	enum rules_backend backend;
	struct gateway_plan *plan;
	struct gateway_plan *early; /* by which what waited was judged */
	char stored[NOTIFY_NAME_MAX]; /* the queue, at the service manager */
	bool settings; /* the helper notes what it changes of them */
	struct nat_portset bound[2]; /* UDP, TCP: for warnings */
	struct watch tick;
	struct watch flushes; /* rules_events.h */
	unsigned flushed; /* loads for that since the last tick's look */
	struct watch crowd; /* while more is over than ends at once */
	uint32_t uplink_shown; /* the address that was last logged */
	uint64_t started_ms;
	uint64_t ticks;
	uint32_t forwards_missing; /* ports the table had no room for */
	struct rules_sight sight; /* the rules as they were loaded */
	struct rules_sight sight_last; /* after the last load */
	bool sight_stale; /* other rules than these were loaded since */
	bool blind; /* rules_look() cannot tell: sight means nothing */
	bool rules_failed;
	uint64_t rules_retry; /* the tick of the next try */
	uint32_t asked; /* the load that nobody waits for; 0: there is none */
	uint64_t asked_tick; /* when */
	bool asked_stale; /* the plan has changed since it was asked for */
	bool accept_again; /* accept rules may have to be inserted after it */
	/* Why an earlier daemon's rules are still there. */
	char others_error[160];
	uint64_t others_retry; /* the tick of the next try to remove them */
	bool withdrawn; /* the rules do without us from now on */
	uint64_t life_ms; /* when life was last shown to the manager */
	uint64_t alive_ms; /* and to the rules */
	bool unfollowed; /* what the network did: tried again each second */
	int alive_error; /* of the last sign of life: told once */
	int bound_error; /* of the last look at the sockets: likewise */
	char *warnings[GATEWAY_WARNINGS_MAX];
	size_t warnings_count;
	char *findings[GATEWAY_WARNINGS_MAX]; /* the doctor's */
	size_t findings_count;
	struct watch doctor; /* its report while it comes */
	bool doctor_awaited; /* the helper was asked and has not answered */
	char *doctor_text;
	bool doctor_repeats; /* looks whether an inserted rule helped */
	bool doctor_asked; /* while it looked: then it looks once more */
};

/* --- gateway_apply.c --- */

/* Makes a plan of the configuration and the present network; NULL with a
 * sentence in error. */
struct gateway_plan *gateway_plan(const struct gateway *gateway,
				  const struct config *config, char *error,
				  size_t error_size);
void gateway_plan_free(struct gateway_plan *plan);

/* Puts a plan in force: rules (if their text differs), then engine and
 * devices, and takes the plan over. 0 or -errno with a sentence in error: the
 * rules could not be loaded; nothing else was done, the plan is the caller's
 * and some tables may hold its rules. */
int gateway_apply(struct gateway *gateway, struct gateway_plan *plan,
		  char *error, size_t error_size);
/* The second half of gateway_apply(): engine and devices follow the plan, which
 * is taken over. */
void gateway_follow(struct gateway *gateway, struct gateway_plan *plan);

/* Called by the network monitor. */
void gateway_network_changed(void *context);
/* Follows what could not be followed when it happened. */
void gateway_follow_again(struct gateway *gateway);

/* Reads the ports bound on the router and tells the engine. */
void gateway_read_bound(struct gateway *gateway);

/* Writes a sentence into error and returns err. */
int gateway_say(char *error, size_t size, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* --- gateway_reload.c --- */

/* Puts another configuration in force; the old one is the caller's then. 0, or
 * -errno with a sentence in error, and the new one is. */
int gateway_adopt(struct gateway *gateway, struct config *config, char *error,
		  size_t error_size);

/* --- gateway_expire.c --- */

int gateway_expire_open(struct gateway *gateway); /* 0 or -errno */
void gateway_expire_close(struct gateway *gateway);
/* Ends what is over; if that is much, little by little. */
void gateway_expire(struct gateway *gateway);

/* --- gateway_move.c --- */

/* The engine follows the uplink's address; says what became of it, and has the
 * inside ends told whose connections are cut. */
void gateway_move(struct gateway *gateway, const struct network_state *network,
		  uint64_t now_ms);
/* While the helper is waited for: goes on telling them, and shows life. */
void gateway_meanwhile(void *context);

/* --- gateway_fast.c: does nothing where no fast path is wanted, or had --- */

/* While we are still root. */
void gateway_open_fast(struct gateway *gateway);
/* Before the first packet is judged, and as root. */
void gateway_remove_earlier_fast(void);
/* From now on the engine hands sessions over. */
void gateway_start_fast(struct gateway *gateway);
/* The devices are what the network says, also after somebody else took the
 * program from one of them. */
void gateway_follow_fast(struct gateway *gateway);
void gateway_tick_fast(struct gateway *gateway); /* once a second */
/* Somebody has changed rules of a packet filter. With "auto" nothing is carried
 * until the doctor has looked at them. */
void gateway_fast_doubt(struct gateway *gateway);
/* The doctor has. */
void gateway_fast_told(struct gateway *gateway, const char *passed_by);
/* Before the rules are withdrawn: what is not judged must not pass. */
void gateway_close_fast(struct gateway *gateway);

/* --- gateway_network.c --- */

/* Opens the monitor of the devices. 0 or -errno with a sentence. */
int gateway_open_network(struct gateway *gateway, char *error, size_t size);
/* Whether we can begin with the devices as they are. 0, or -ENODEV with a
 * sentence. */
int gateway_check_devices(struct gateway *gateway, char *error, size_t size);
/* Where the inside was chosen: is there a device that would be by now? */
void gateway_find_missed(struct gateway *gateway);

/* --- gateway_settings.c --- */

/* Before the first of those below. 0 or -errno with a sentence in error. */
int gateway_open_settings(struct gateway *gateway, char *error,
			  size_t error_size);
/* Keeps the router itself off the pool's ports. */
void gateway_reserve_ports(struct gateway *gateway);

/* Keeps the router from sending redirects, which quote inside addresses; again
 * whenever a device may have been made anew. */
void gateway_set_redirects(struct gateway *gateway);
/* Makes the machine a router. 0 or -errno with a sentence in error. */
int gateway_set_forwarding(struct gateway *gateway, char *error,
			   size_t error_size);
/* At the end. */
void gateway_restore_settings(struct gateway *gateway);

/* --- gateway_rules.c --- */

/* Loads a plan's rules and remembers how they look in force. 0 or -errno with
 * a sentence in error. */
int gateway_load_rules(struct gateway *gateway, const struct gateway_plan *plan,
		       char *error, size_t error_size);
/* The rules in force are not those of the plan: tells it (once) and has them
 * tried again. */
void gateway_rules_failed(struct gateway *gateway, const char *error);
/* Takes away what an earlier daemon left in other packet filters; tries again
 * later where that fails. */
void gateway_remove_others(struct gateway *gateway);
/* Has the plan's rules loaded while packets pass by those that are there;
 * gateway_rules_done() takes what comes of it. */
void gateway_ask_rules(struct gateway *gateway);
void gateway_rules_done(void *context, const struct helper_done *what);
/* Every RULES_REFRESH_S: has rules loaded again that are gone or were not
 * loaded. */
void gateway_watch_rules(struct gateway *gateway);
/* Has nf_tables tell of flushes, which then need not wait for that, and of any
 * change where that matters to the fast path. What fails is a warning. */
void gateway_hear_rules(struct gateway *gateway);
void gateway_hear_no_rules(struct gateway *gateway);
/* To whom it concerns: the service manager, and the rules that know what to do
 * without us. To be called once a second or oftener; loading: the helper is at
 * other rules. */
void gateway_show_life(struct gateway *gateway, bool loading);
/* Inserts or removes the tagged accept rules, as the configuration says. What
 * fails is a warning. */
void gateway_set_accept(struct gateway *gateway, const struct config *config);
/* Has them inserted while packets pass: again, if the helper is busy, when it is
 * not. */
void gateway_ask_accept(struct gateway *gateway);
/* At the end: the guard alone (or, with fallback "kernel", the rules as they
 * are), without accept rules. */
void gateway_withdraw_rules(struct gateway *gateway,
			    const struct gateway_plan *plan);

/* --- gateway_handover.c --- */

/* The queue that the last daemon left with the service manager, when it is of
 * use; else NULL, and what was left is gone. */
struct queue *gateway_resume_queue(struct gateway *gateway);
/* Judges what came while no daemon lived, by the rules that are still those of
 * the last one. The plan is taken over. */
void gateway_judge_waiting(struct gateway *gateway, struct gateway_plan *plan);
/* Whether the last daemon's backend is known and still wanted: to try others
 * would end what is queued. */
bool gateway_keeps_backend(const struct gateway *gateway);
/* Leaves the queue with the service manager. */
void gateway_store_queue(struct gateway *gateway);
/* Has the manager close it. */
void gateway_forget_queue(struct gateway *gateway);

/* --- gateway_warnings.c --- */

/* Whether "fallback": "kernel" is asked for and the rules cannot do it. */
bool gateway_fallback_lost(const struct gateway *gateway);

/* Looks at the slow conditions (forward policy, offload...) again; while a look
 * is under way, after it. */
void gateway_examine(struct gateway *gateway);
bool gateway_examines(const struct gateway *gateway); /* now */
/* The helper's answer: where the report is read from, or -errno. */
void gateway_doctor_began(void *context, int fd);
void gateway_warnings_free(struct gateway *gateway);

#endif
