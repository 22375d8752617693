/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The fast path's program at devices, as the daemon puts it there, with programs
 * that let everything pass; with the argument `tcx` by that, where no qdisc is.
 * Reads a command a line, answers each with a line:
 *
 *   set UPLINK INSIDE...   indices; how many devices have it, and the error
 *   ids                    the programs' numbers in the kernel: inside, uplink,
 *                          each with and without an Ethernet header
 *   jail                   from now on only the packet process's system calls
 *   close                  taken from all of them
 *   open                   by another daemon, after close or the end of one
 *   leave                  the daemon ends without a word, another one starts
 *   remove                 taken from all devices, whoever put it there
 *
 * Ends at the end of its input; 77: programs cannot be loaded here, or there is
 * no tcx.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/fast_private.h"
#include "platform/sandbox.h"

#define CANNOT 77
#define INSIDE_MOST 64
#define NAME FAST_PROGRAM_NAME "test"

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* One that says TC_ACT_UNSPEC: let others judge. */
static int load(void)
{
	static const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
		  .dst_reg = BPF_REG_0,
		  .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uintptr_t)code;
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = (uintptr_t) "GPL";
	memcpy(attr.prog_name, NAME, sizeof(NAME));
	return bpf(BPF_PROG_LOAD, &attr);
}

static uint32_t id_of(int program)
{
	struct bpf_prog_info info;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	memset(&info, 0, sizeof(info));
	attr.info.bpf_fd = (uint32_t)program;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? 0 : info.id;
}

static int programs[FAST_PROGRAMS];
static struct fast_tc *tc;
static bool tcx;

static void set(void)
{
	unsigned uplink = 0, inside[INSIDE_MOST];
	char error[256] = "";
	size_t count = 0;
	const char *word = strtok(NULL, " \n");
	int err;

	if (word)
		uplink = (unsigned)atoi(word);
	while ((word = strtok(NULL, " \n")) && count < INSIDE_MOST)
		inside[count++] = (unsigned)atoi(word);
	do
		err = fast_tc_set(tc, uplink, inside, count, error,
				  sizeof(error));
	while (fast_tc_unfinished(tc));
	printf("%u %d %s\n", fast_tc_devices(tc), err, error);
}

static void obey(const char *command)
{
	if (!strcmp(command, "set")) {
		set();
		return;
	}
	if (!strcmp(command, "ids"))
		printf("%u %u %u %u\n", id_of(programs[0]), id_of(programs[1]),
		       id_of(programs[2]), id_of(programs[3]));
	else if (!strcmp(command, "jail"))
		printf("%d\n", sandbox_filter(SANDBOX_PACKETS));
	else if (!strcmp(command, "remove"))
		printf("%d\n", fast_remove_all());
	else if (!strcmp(command, "close")) {
		fast_tc_free(tc);
		tc = NULL;
		puts("closed");
	} else if (!strcmp(command, "open") || !strcmp(command, "leave")) {
		free(tc); /* what it is at the devices stays */
		tc = fast_tc_new(programs, tcx);
		puts(tc ? "open" : "no memory");
	} else
		puts("what?");
}

int main(int argc, char **argv)
{
	char line[512];

	for (int i = 0; i < FAST_PROGRAMS; i++) {
		programs[i] = load();
		if (programs[i] < 0)
			return CANNOT;
	}
	tcx = argc > 1 && !strcmp(argv[1], "tcx");
	if (tcx && !fast_tcx_works(programs[0]))
		return CANNOT;
	tc = fast_tc_new(programs, tcx);
	if (!tc)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		const char *command = strtok(line, " \n");

		obey(command ? command : "");
	}
	return 0;
}
