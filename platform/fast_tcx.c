/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fast path's program at a device by tcx (Linux 6.6): a list of programs that
 * each packet meets before any qdisc. A packet gets there in fewer steps than to
 * a filter, and nobody's qdisc is in the way, or hindered by ours. Those that were
 * there before come first.
 *
 * Without a bpf_link, which ends with who holds it: like a filter the program
 * stays when its daemon is killed. A later daemon finds it by its name, which
 * takes CAP_SYS_ADMIN; so none is put here by one that has no such right.
 */
#include "fast_private.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOPBACK 1 /* in every network namespace */

/* Of linux/bpf.h as of Linux 6.6, which may be newer than the one here:
 * BPF_TCX_INGRESS, BPF_MPROG_MAX of the kernel, and what bpf() takes for them. */
#define TCX_INGRESS 46
#define PROGRAMS_MAX 64

struct attachment {
	uint32_t device;
	uint32_t program;
	uint32_t type;
	uint32_t flags;
	uint32_t replaced;
};

struct question {
	uint32_t device;
	uint32_t type;
	uint32_t flags[2];
	uint64_t ids;
	uint32_t count;
	uint32_t padding;
	uint64_t links[3];
	uint64_t revision;
};

/* Programs at a device, in their order. */
struct list {
	uint32_t ids[PROGRAMS_MAX];
	uint32_t count;
};

static int bpf(enum bpf_cmd command, void *attributes, size_t size)
{
	int result = (int)syscall(SYS_bpf, command, attributes, size);

	return result < 0 ? -errno : result;
}

/* --- programs ------------------------------------------------------------- */

static int info_of(int program, struct bpf_prog_info *info)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	memset(info, 0, sizeof(*info));
	attributes.info.bpf_fd = (uint32_t)program;
	attributes.info.info_len = sizeof(*info);
	attributes.info.info = (uintptr_t)info;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attributes, sizeof(attributes));
}

uint32_t fast_tcx_id(int program)
{
	struct bpf_prog_info info;

	return info_of(program, &info) ? 0 : info.id;
}

/* A descriptor of anybody's program, or -errno. */
static int program_of(uint32_t id)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_id = id;
	return bpf(BPF_PROG_GET_FD_BY_ID, &attributes, sizeof(attributes));
}

static bool is_ours(int program)
{
	static const char ours[] = FAST_PROGRAM_NAME;
	struct bpf_prog_info info;

	return !info_of(program, &info) &&
	       strncmp(info.name, ours, sizeof(ours) - 1) == 0;
}

/* --- at a device ---------------------------------------------------------- */

static int ask(unsigned device, struct list *list)
{
	struct question question = {
		.device = device,
		.type = TCX_INGRESS,
		.ids = (uintptr_t)list->ids,
		.count = PROGRAMS_MAX,
	};
	int err = bpf(BPF_PROG_QUERY, &question, sizeof(question));

	list->count = err ? 0 : question.count;
	/* No list has been made there yet. */
	return err == -ENOENT ? 0 : err;
}

bool fast_tcx_works(int program)
{
	int again = program_of(fast_tcx_id(program));
	struct list list = { .count = 0 };

	if (again < 0)
		return false;
	close(again);
	return ask(LOOPBACK, &list) == 0;
}

int fast_tcx_put(unsigned device, int program, int replaced)
{
	struct attachment attachment = {
		.device = device,
		.program = (uint32_t)program,
		.type = TCX_INGRESS,
		.flags = replaced < 0 ? 0 : BPF_F_REPLACE,
		.replaced = replaced < 0 ? 0 : (uint32_t)replaced,
	};

	return bpf(BPF_PROG_ATTACH, &attachment, sizeof(attachment));
}

bool fast_tcx_has(unsigned device, uint32_t id)
{
	struct list list = { .count = 0 };

	if (ask(device, &list))
		return false;
	for (uint32_t i = 0; i < list.count; i++)
		if (list.ids[i] == id)
			return true;
	return false;
}

int fast_tcx_remove(unsigned device, int program)
{
	struct attachment attachment = {
		.device = device,
		.program = (uint32_t)program,
		.type = TCX_INGRESS,
	};

	return bpf(BPF_PROG_DETACH, &attachment, sizeof(attachment));
}

int fast_tcx_remove_ours(unsigned device)
{
	struct list list = { .count = 0 };
	int result = 0;

	/* Without tcx, or the right to ask, nothing of ours is there. */
	if (ask(device, &list))
		return 0;
	for (uint32_t i = 0; i < list.count; i++) {
		int program = program_of(list.ids[i]), err = 0;

		if (program < 0)
			continue;
		if (is_ours(program))
			err = fast_tcx_remove(device, program);
		close(program);
		/* Either may have gone meanwhile. */
		if (err && err != -ENOENT && err != -ENODEV)
			result = err;
	}
	return result;
}
