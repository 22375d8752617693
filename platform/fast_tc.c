/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * At which devices the fast path's program is, and whether it still is there.
 * Where the kernel has tcx, and the device no clsact or ingress qdisc, it is put
 * there; else it is a filter of such a qdisc. Whose that is decides what becomes
 * of it: one that was there stays, with all filters in it, one that we made goes
 * with our filter unless somebody has put filters there meanwhile.
 *
 * A daemon that was killed leaves its program behind, which carries nothing
 * after FAST_ALIVE_MS. The next one removes it (gateway_fast.c); the clsact that
 * it made stays, as it may be anybody's.
 */
#include "fast_private.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX (FAST_INSIDE_MAX + 1)
/* Of one call: for each one the kernel has the caller wait until no processor runs
 * what was there before, which took 16 ms where it was measured. */
#define SLOW_MAX 2

struct device {
	unsigned index;
	enum fast_program put; /* what is there */
	uint32_t program; /* a filter's: its number in the kernel */
	bool tcx; /* else it is a filter */
	bool qdisc; /* made by us */
};

struct fast_tc {
	bool tcx;
	unsigned slow; /* programs that were put by tcx in this call */
	bool unfinished;
	int programs[FAST_PROGRAMS];
	uint32_t ids[FAST_PROGRAMS]; /* numbers in the kernel, for tcx */
	struct device devices[DEVICES_MAX];
	size_t count;
};

/* Where a failure is told: the first only. */
struct complaint {
	char *text;
	size_t size;
	int err;
};

struct fast_tc *fast_tc_new(const int programs[FAST_PROGRAMS], bool tcx)
{
	struct fast_tc *tc = calloc(1, sizeof(*tc));

	if (!tc)
		return NULL;
	tc->tcx = tcx;
	memcpy(tc->programs, programs, sizeof(tc->programs));
	for (int i = 0; tcx && i < FAST_PROGRAMS; i++)
		tc->ids[i] = fast_tcx_id(programs[i]);
	return tc;
}

static struct device *find(struct fast_tc *tc, unsigned index)
{
	for (size_t i = 0; i < tc->count; i++)
		if (tc->devices[i].index == index)
			return &tc->devices[i];
	return NULL;
}

bool fast_tc_has(const struct fast_tc *tc, unsigned index)
{
	for (size_t i = 0; i < tc->count; i++)
		if (tc->devices[i].index == index)
			return true;
	return false;
}

bool fast_tc_unfinished(const struct fast_tc *tc)
{
	return tc->unfinished;
}

unsigned fast_tc_devices(const struct fast_tc *tc)
{
	return (unsigned)tc->count;
}

/* --- one device ----------------------------------------------------------- */

/* How the packets of a device begin. 0 or -EOPNOTSUPP. */
static int choose(const struct fast_link *link, bool uplink,
		  enum fast_program *program)
{
	switch (link->type) {
	case ARPHRD_ETHER:
		*program = uplink ? FAST_UPLINK_ETHER : FAST_INSIDE_ETHER;
		return 0;
	case ARPHRD_NONE:
	case ARPHRD_RAWIP:
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
	case ARPHRD_IP6GRE:
		*program = uplink ? FAST_UPLINK_BARE : FAST_INSIDE_BARE;
		return 0;
	}
	return -EOPNOTSUPP;
}

static void forget(struct fast_tc *tc, struct device *device)
{
	*device = tc->devices[--tc->count];
}

/* Takes the filter away, if it is ours, then the qdisc, if that is and nobody
 * has filters there. What fails is left: it carries nothing without a daemon. */
static void leave(struct fast_rtnl *rtnl, unsigned index, bool qdisc)
{
	struct fast_filter filter;
	size_t others;
	int err = fast_rtnl_get(rtnl, index, &filter);

	if (!err && filter.ours)
		err = fast_rtnl_remove(rtnl, index);
	if ((!err || err == -ENOENT) && qdisc &&
	    !fast_rtnl_count(rtnl, index, &others) && !others)
		fast_rtnl_remove_qdisc(rtnl, index);
}

static void detach(struct fast_rtnl *rtnl, struct fast_tc *tc,
		   struct device *device)
{
	if (device->tcx)
		fast_tcx_remove(device->index, tc->programs[device->put]);
	else
		leave(rtnl, device->index, device->qdisc);
	forget(tc, device);
}

/* There may be a filter of somebody else's kind or name in our place, which is
 * not ours to replace. */
static int put_filter(struct fast_rtnl *rtnl, const struct fast_tc *tc,
		      struct device *made)
{
	struct fast_filter filter;
	int err = fast_rtnl_make_qdisc(rtnl, made->index);

	made->qdisc = !err;
	if (err && err != -EEXIST)
		return err;
	err = fast_rtnl_get(rtnl, made->index, &filter);
	if (err && err != -ENOENT)
		return err;
	if (!err && !filter.ours)
		return -EEXIST;
	err = fast_rtnl_put(rtnl, made->index, tc->programs[made->put]);
	if (!err)
		err = fast_rtnl_get(rtnl, made->index, &filter);
	made->program = filter.program;
	return err;
}

/* A device that was in another network namespace brings back what it had. */
static void remove_strays(const struct fast_tc *tc, unsigned index)
{
	for (int i = 0; tc->tcx && i < FAST_PROGRAMS; i++)
		fast_tcx_remove(index, tc->programs[i]);
}

/* Where somebody has a qdisc, what its filters do to packets (redirect them to be
 * shaped, say) comes before us, as it would with a filter that we had put there
 * first. */
static int choose_way(struct fast_rtnl *rtnl, const struct fast_tc *tc,
		      struct device *made)
{
	int err = tc->tcx ? fast_rtnl_find_qdisc(rtnl, made->index) : 0;

	made->tcx = err == -ENOENT;
	return err == -ENOENT ? 0 : err;
}

static bool is_there(struct fast_rtnl *rtnl, const struct fast_tc *tc,
		     const struct device *device)
{
	struct fast_filter filter;

	if (device->tcx)
		return fast_tcx_has(device->index, tc->ids[device->put]);
	return !fast_rtnl_get(rtnl, device->index, &filter) && filter.ours &&
	       filter.program == device->program;
}

static void complain(struct complaint *complaint, unsigned index,
		     const struct fast_link *link, int err)
{
	const char *why = err == -EOPNOTSUPP ?
				  "packets of this kind of device are not "
				  "understood, or its qdisc is shared" :
			  err == -EEXIST ? "another filter has our place" :
			  err == -E2BIG	 ? "too many inside devices" :
					   strerror(-err);

	if (complaint->err)
		return;
	complaint->err = err;
	if (link && link->name[0])
		fast_say(complaint->text, complaint->size, err,
			 "no fast path at %s: %s", link->name, why);
	else
		fast_say(complaint->text, complaint->size, err,
			 "no fast path at device %u: %s", index, why);
}

/* After a failure. When the kernel did not answer nothing is known but what was
 * before. */
static void give_up(struct fast_rtnl *rtnl, struct fast_tc *tc,
		    const struct device *made, int err)
{
	struct device *device = find(tc, made->index);

	if (err == -ETIMEDOUT)
		return;
	if (!made->tcx)
		leave(rtnl, made->index, made->qdisc);
	if (device)
		detach(rtnl, tc, device);
}

static void attach(struct fast_rtnl *rtnl, struct fast_tc *tc, unsigned index,
		   bool uplink, struct complaint *complaint)
{
	struct device *device = find(tc, index), made = { .index = index };
	bool kept = device && is_there(rtnl, tc, device);
	int replaced = kept && device->tcx ? tc->programs[device->put] : -1;
	struct fast_link link;
	int err = fast_rtnl_link(rtnl, index, &link);

	if (!err)
		err = choose(&link, uplink, &made.put);
	if (!err)
		err = choose_way(rtnl, tc, &made);
	if (!err && kept && device->put == made.put && device->tcx == made.tcx)
		return;
	if (!err && made.tcx && tc->slow++ >= SLOW_MAX) {
		tc->unfinished = true;
		return;
	}
	if (!kept)
		remove_strays(tc, index);
	if (!err)
		err = made.tcx ? fast_tcx_put(index, tc->programs[made.put],
					      replaced) :
				 put_filter(rtnl, tc, &made);
	if (err) {
		give_up(rtnl, tc, &made, err);
		complain(complaint, index, &link, err);
		return;
	}
	if (replaced >= 0 && !made.tcx)
		fast_tcx_remove(index, replaced);
	/* A qdisc without our filter may be another one than we made. */
	made.qdisc = made.qdisc || (kept && device->qdisc);
	if (!device)
		device = &tc->devices[tc->count++];
	*device = made;
}

/* --- all ------------------------------------------------------------------ */

/* The inside devices that there are, each once; at most FAST_INSIDE_MAX. */
struct wanted {
	unsigned uplink;
	unsigned inside[FAST_INSIDE_MAX];
	size_t count;
};

static bool is_wanted(const struct wanted *wanted, unsigned index)
{
	for (size_t i = 0; i < wanted->count; i++)
		if (wanted->inside[i] == index)
			return true;
	return index == wanted->uplink;
}

static struct wanted choose_devices(unsigned uplink, const unsigned *inside,
				    size_t inside_count,
				    struct complaint *complaint)
{
	struct wanted wanted = { .uplink = uplink };

	for (size_t i = 0; i < inside_count; i++) {
		if (!inside[i] || is_wanted(&wanted, inside[i]))
			continue;
		if (wanted.count == FAST_INSIDE_MAX) {
			complain(complaint, inside[i], NULL, -E2BIG);
			break;
		}
		wanted.inside[wanted.count++] = inside[i];
	}
	return wanted;
}

int fast_tc_set(struct fast_tc *tc, unsigned uplink, const unsigned *inside,
		size_t inside_count, char *error, size_t error_size)
{
	struct complaint complaint = { error, error_size, 0 };
	struct fast_rtnl *rtnl;
	struct wanted wanted;
	int err = fast_rtnl_open(&rtnl);

	if (err)
		return fast_say(error, error_size, err,
				"no fast path: rtnetlink: %s", strerror(-err));
	tc->slow = 0;
	tc->unfinished = false;
	wanted = choose_devices(uplink, inside, inside_count, &complaint);
	for (size_t i = tc->count; i--;)
		if (!is_wanted(&wanted, tc->devices[i].index))
			detach(rtnl, tc, &tc->devices[i]);
	if (uplink)
		attach(rtnl, tc, uplink, true, &complaint);
	for (size_t i = 0; i < wanted.count; i++)
		attach(rtnl, tc, wanted.inside[i], false, &complaint);
	fast_rtnl_close(rtnl);
	return complaint.err;
}

void fast_tc_free(struct fast_tc *tc)
{
	struct fast_rtnl *rtnl;

	if (!tc)
		return;
	if (tc->count && !fast_rtnl_open(&rtnl)) {
		while (tc->count)
			detach(rtnl, tc, &tc->devices[tc->count - 1]);
		fast_rtnl_close(rtnl);
	}
	free(tc);
}

int fast_remove_all(void)
{
	struct fast_filter filter;
	struct fast_rtnl *rtnl;
	unsigned *list = NULL;
	size_t count = 0;
	int err = fast_rtnl_open(&rtnl), result;

	if (err)
		return err;
	result = fast_rtnl_links(rtnl, &list, &count);
	for (size_t i = 0; i < count; i++) {
		err = fast_rtnl_get(rtnl, list[i], &filter);
		if (!err && filter.ours)
			err = fast_rtnl_remove(rtnl, list[i]);
		/* It may have gone meanwhile. */
		if (!err || err == -ENOENT || err == -ENODEV)
			err = fast_tcx_remove_ours(list[i]);
		if (err && !result)
			result = err;
	}
	free(list);
	fast_rtnl_close(rtnl);
	return result;
}
