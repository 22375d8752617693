/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The lists of system calls.
 *
 * The packet process may make those of its loop; any other kills it at once
 * (and the kernel's audit log names the call). The list holds what glibc and
 * musl make of the same functions: musl's stdio reads and writes by readv() and
 * writev(), its epoll_wait() is epoll_pwait() where the machine has no other,
 * and 32-bit machines take the calls that end in _time64.
 *
 * The helper's list is also that of nft, iptables and whatever loads them. What
 * it does not know is answered by ENOSYS, as an older kernel would: a C library
 * of next year may try new calls first and must live. What none of these
 * programs has any business with kills.
 *
 * A name that libseccomp does not know on this machine is passed over.
 */
#include "sandbox.h"
#include "room.h"
#include "sandbox_numbers.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* One call, allowed with these arguments only. */
struct checked {
	const char *name;
	unsigned count;
	struct scmp_arg_cmp argument[3];
};

/* libseccomp does not bear it when memory runs out while it makes a list: so
 * much is there before (room.h). */
#define FILTER_ROOM (128U << 10)

#define IS(number, value) \
	{ \
		number, SCMP_CMP_EQ, value, 0 \
	}
#define WITHOUT(number, bits) \
	{ \
		number, SCMP_CMP_MASKED_EQ, bits, 0 \
	}

/* --- the packet process ---------------------------------------------------------- */

static const char *const packet_calls[] = {
	/* Messages: queue, netlink, raw socket, clients, helper, manager. */
	"recv", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64", "send",
	"sendto", "sendmsg", "accept", "accept4", "bind", "getsockname",
	"shutdown",
	/* The loop. */
	"epoll_wait", "epoll_pwait", "epoll_ctl", "epoll_ctl_old",
	"epoll_wait_old", "poll", "ppoll", "ppoll_time64", "timerfd_create",
	"timerfd_settime", "timerfd_settime64",
	/* Descriptors that are open: files that the helper opened, the report
	 * of a look, signals, timers, the log. */
	"read", "readv", "pread64", "write", "writev", "lseek", "_llseek",
	"close", "dup2", "dup3", "fstat", "fstat64",
	/* Memory. */
	"brk", "munmap", "mremap", "madvise",
	/* Time, where it is a call; randomness; locks of the C library. */
	"clock_gettime", "clock_gettime64", "gettimeofday", "time", "getrandom",
	"futex", "futex_time64",
	/* Signals, and the end. */
	"rt_sigprocmask", "rt_sigreturn", "sigreturn", "restart_syscall",
	"getpid", "exit", "exit_group",
	/* glibc's qsort() asks once how much memory there is. */
	"sysinfo", NULL
};

/* IPT_SO_GET_INFO and _ENTRIES: a look at iptables-legacy. Its changes are a
 * setsockopt(), which is not here. */
#define OPTION_IPT_INFO 64
#define OPTION_IPT_ENTRIES 65
#define F_GETFL_ 3
#define AT_EMPTY 0x1000

static const struct checked packet_checked[] = {
	{ "socket", 2, { IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE) } },
	{ "socket", 2, { IS(0, AF_NETLINK), IS(2, NETLINK_NETFILTER) } },
	{ "socket", 2, { IS(0, AF_NETLINK), IS(2, NETLINK_SOCK_DIAG) } },
	{ "getsockopt", 2, { IS(1, SOL_SOCKET), IS(2, SO_PEERCRED) } },
	{ "getsockopt", 2, { IS(1, 0), IS(2, OPTION_IPT_INFO) } },
	{ "getsockopt", 2, { IS(1, 0), IS(2, OPTION_IPT_ENTRIES) } },
	/* The fast path at a device (fast_tcx.c). */
	{ "bpf", 1, { IS(0, BPF_PROG_ATTACH) } },
	{ "bpf", 1, { IS(0, BPF_PROG_DETACH) } },
	{ "bpf", 1, { IS(0, BPF_PROG_QUERY) } },
	/* No memory that can be run. */
	{ "mmap", 1, { WITHOUT(2, PROT_EXEC) } },
	{ "mmap2", 1, { WITHOUT(2, PROT_EXEC) } },
	{ "mprotect", 1, { WITHOUT(2, PROT_EXEC) } },
	/* What stdio asks of a stream: is it a terminal, how is it open, how
	 * large is it (a name would be looked up in the empty root). */
	{ "ioctl", 1, { IS(1, TCGETS) } },
	{ "ioctl", 1, { IS(1, TIOCGWINSZ) } },
	{ "fcntl", 1, { IS(1, F_GETFL_) } },
	{ "fcntl64", 1, { IS(1, F_GETFL_) } },
	{ "newfstatat", 1, { IS(3, AT_EMPTY) } },
	{ "fstatat64", 1, { IS(3, AT_EMPTY) } },
	{ "statx", 1, { { 2, SCMP_CMP_MASKED_EQ, AT_EMPTY, AT_EMPTY } } },
	{ NULL, 0, { { 0 } } },
};

/* --- the helper, and the programs that it runs -------------------------------------- */

static const char *const helper_calls[] = {
	/* Files. */
	"open", "openat", "openat2", "creat", "close", "close_range", "read",
	"readv", "pread64", "preadv", "write", "writev", "pwrite64", "lseek",
	"_llseek", "stat", "stat64", "lstat", "lstat64", "fstat", "fstat64",
	"newfstatat", "fstatat64", "statx", "statfs", "statfs64", "fstatfs",
	"fstatfs64", "access", "faccessat", "faccessat2", "readlink",
	"readlinkat", "getdents", "getdents64", "getcwd", "chdir", "fchdir",
	"unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir",
	"mkdirat", "rmdir", "ftruncate", "ftruncate64", "fsync", "fdatasync",
	"fadvise64", "fadvise64_64", "flock", "fcntl", "fcntl64", "ioctl",
	"dup", "dup2", "dup3", "pipe", "pipe2", "memfd_create", "sendfile",
	"sendfile64", "umask", "fchmod", "fchmodat", "chmod",
	/* Memory. */
	"brk", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise",
	"mincore", "membarrier",
	/* Processes. */
	"fork", "vfork", "execve", "wait4", "waitid", "waitpid", "kill",
	"tgkill", "tkill", "exit", "exit_group", "getpid", "getppid", "gettid",
	"getpgrp", "getpgid", "setpgid", "setsid", "getsid", "getuid",
	"getuid32", "geteuid", "geteuid32", "getgid", "getgid32", "getegid",
	"getegid32", "getresuid", "getresuid32", "getresgid", "getresgid32",
	"getgroups", "getgroups32", "capget", "prlimit64", "getrlimit",
	"ugetrlimit", "setrlimit", "getrusage", "uname", "sysinfo",
	"sched_yield", "sched_getaffinity", "getcpu", "set_tid_address",
	"set_robust_list", "get_robust_list", "rseq", "arch_prctl",
	"set_thread_area", "get_thread_area", "set_tls", "cacheflush",
	"riscv_flush_icache", "pidfd_open",
	/* Signals and time. */
	"rt_sigaction", "sigaction", "rt_sigprocmask", "sigprocmask",
	"rt_sigreturn", "sigreturn", "rt_sigsuspend", "rt_sigpending",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "sigaltstack", "signal",
	"restart_syscall", "alarm", "setitimer", "getitimer", "pause",
	"nanosleep", "clock_nanosleep", "clock_nanosleep_time64",
	"clock_gettime", "clock_gettime64", "clock_getres",
	"clock_getres_time64", "gettimeofday", "time", "times",
	/* Waiting. */
	"poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6",
	"pselect6_time64", "epoll_create", "epoll_create1", "epoll_ctl",
	"epoll_wait", "epoll_pwait", "eventfd2", "futex", "futex_time64",
	"getrandom",
	/* Sockets; their families are below. */
	"bind", "connect", "getsockname", "getpeername", "getsockopt",
	"setsockopt", "recv", "recvfrom", "recvmsg", "recvmmsg",
	"recvmmsg_time64", "send", "sendto", "sendmsg", "sendmmsg", "shutdown",
	NULL
};

#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define PR_DEATH_SIGNAL 1 /* PR_SET_PDEATHSIG */
#define PR_NAME 15 /* PR_SET_NAME */
#define PR_VMA 0x53564d41 /* PR_SET_VMA: malloc names its memory */
#define PR_GET_DUMP 3 /* PR_GET_DUMPABLE */

static const struct checked helper_checked[] = {
	/* clone3() hides its flags in memory: ENOSYS, and libc takes clone(). */
	{ "clone", 1, { WITHOUT(0, NAMESPACES) } },
	{ "socket", 1, { IS(0, AF_UNIX) } },
	{ "socket", 1, { IS(0, AF_INET) } },
	{ "socket", 1, { IS(0, AF_INET6) } },
	{ "socket", 1, { IS(0, AF_NETLINK) } },
	{ "socketpair", 1, { IS(0, AF_UNIX) } },
	{ "prctl", 1, { IS(0, PR_DEATH_SIGNAL) } },
	{ "prctl", 1, { IS(0, PR_NAME) } },
	{ "prctl", 1, { IS(0, PR_VMA) } },
	{ "prctl", 1, { IS(0, PR_GET_DUMP) } },
	{ NULL, 0, { { 0 } } },
};

static const char *const helper_deadly[] = { "ptrace",
					     "process_vm_readv",
					     "process_vm_writev",
					     "pidfd_getfd",
					     "kcmp",
					     "mount",
					     "umount",
					     "umount2",
					     "move_mount",
					     "open_tree",
					     "fsopen",
					     "fsconfig",
					     "fsmount",
					     "fspick",
					     "mount_setattr",
					     "pivot_root",
					     "chroot",
					     "setns",
					     "init_module",
					     "finit_module",
					     "delete_module",
					     "kexec_load",
					     "kexec_file_load",
					     "bpf",
					     "perf_event_open",
					     "userfaultfd",
					     "io_uring_setup",
					     "io_uring_enter",
					     "io_uring_register",
					     "add_key",
					     "request_key",
					     "keyctl",
					     "reboot",
					     "swapon",
					     "swapoff",
					     "settimeofday",
					     "clock_settime",
					     "clock_settime64",
					     "clock_adjtime",
					     "clock_adjtime64",
					     "adjtimex",
					     "stime",
					     "sethostname",
					     "setdomainname",
					     "acct",
					     "quotactl",
					     "syslog",
					     "mknod",
					     "mknodat",
					     "chown",
					     "chown32",
					     "fchown",
					     "fchown32",
					     "lchown",
					     "lchown32",
					     "fchownat",
					     "setuid",
					     "setuid32",
					     "setgid",
					     "setgid32",
					     "setreuid",
					     "setreuid32",
					     "setregid",
					     "setregid32",
					     "setresuid",
					     "setresuid32",
					     "setresgid",
					     "setresgid32",
					     "setgroups",
					     "setgroups32",
					     "setfsuid",
					     "setfsuid32",
					     "setfsgid",
					     "setfsgid32",
					     "capset",
					     "personality",
					     "iopl",
					     "ioperm",
					     "modify_ldt",
					     "open_by_handle_at",
					     "name_to_handle_at",
					     "fanotify_init",
					     "lookup_dcookie",
					     "move_pages",
					     "migrate_pages",
					     "mbind",
					     "set_mempolicy",
					     "execveat",
					     NULL };

/* --- building -------------------------------------------------------------------------- */

static int add_names(scmp_filter_ctx filter, uint32_t action,
		     const char *const names[])
{
	for (size_t i = 0; names[i]; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);
		int err;

		if (call == __NR_SCMP_ERROR)
			continue;
		err = seccomp_rule_add(filter, action, call, 0);
		/* -EDOM: this machine has no such call. */
		if (err && err != -EDOM)
			return err;
	}
	return 0;
}

static int add_checked(scmp_filter_ctx filter, const struct checked list[])
{
	for (size_t i = 0; list[i].name; i++) {
		int call = seccomp_syscall_resolve_name(list[i].name);
		int err;

		if (call == __NR_SCMP_ERROR)
			continue;
		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call,
					     list[i].count, list[i].argument);
		if (err && err != -EDOM)
			return err;
	}
	return 0;
}

/* Time-outs of netlink sockets. */
static int add_timeouts(scmp_filter_ctx filter)
{
	int call = seccomp_syscall_resolve_name("setsockopt");
	int err = 0;

	for (size_t i = 0; i < SANDBOX_TIMEOUTS && !err; i++) {
		const struct scmp_arg_cmp arguments[] = {
			IS(1, SOL_SOCKET),
			IS(2, (scmp_datum_t)sandbox_timeouts[i]),
		};

		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 2,
					     arguments);
	}
	return err == -EDOM ? 0 : err;
}

/* The no-new-privileges flag is the caller's to set: it is told apart from the
 * list where it fails. */
static int build(enum sandbox_role role, scmp_filter_ctx filter)
{
	bool packets = role == SANDBOX_PACKETS;
	int err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);

	/* A tree of few comparisons instead of a long list, for each call.
	 * (Kernels from 5.11 on remember what is always allowed.) */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = add_names(filter, SCMP_ACT_ALLOW,
				packets ? packet_calls : helper_calls);
	if (!err)
		err = add_checked(filter,
				  packets ? packet_checked : helper_checked);
	if (!err && packets)
		err = add_timeouts(filter);
	if (!err && !packets)
		err = add_names(filter, SCMP_ACT_KILL_PROCESS, helper_deadly);
	return err;
}

int sandbox_filter(enum sandbox_role role)
{
	scmp_filter_ctx filter;
	int err;

	if (!room_for(FILTER_ROOM))
		return -ENOMEM;
	filter = seccomp_init(role == SANDBOX_PACKETS ? SCMP_ACT_KILL_PROCESS :
							SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return -ENOMEM;
	err = build(role, filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}
