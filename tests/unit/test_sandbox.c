/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The lists of system calls, each tried in a child process: what an intruder
 * would want kills, what the daemon does goes on. The numbers are called
 * directly, so that no C library stands between.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/process.h"
#include "platform/sandbox.h"
#include "suite.h"

/* A child's ends without anything to try: built without a list (or a kernel
 * without Landlock), and a list that cannot be had. */
#define NOT_THERE 77
#define REFUSED 78

static int in_child(enum sandbox_role role, void (*fn)(const long *),
		    const long *data)
{
	struct rlimit none = { 0, 0 };
	int status = -1, err;
	pid_t child = fork();

	if (!child) {
		setrlimit(RLIMIT_CORE, &none);
		err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ?
			      -errno :
			      sandbox_filter(role);
		if (err)
			_exit(err == -EOPNOTSUPP ? NOT_THERE : REFUSED);
		fn(data);
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static bool ended_with(int status, int code)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* A daemon with a list gets it, except under qemu-user, which knows of none; and
 * one without is nothing to let through. */
static bool no_list(int status)
{
	const char *emulator = getenv("PORTICO_EMULATOR");
	static bool told;

	if (!ended_with(status, NOT_THERE) && !ended_with(status, REFUSED))
		return false;
	if (!told)
		printf("SKIP sandbox: %s\n", ended_with(status, NOT_THERE) ?
						     "built without" :
						     "it cannot be had here");
	told = true;
	return ended_with(status, NOT_THERE) ? !getenv("CI") :
					       emulator && *emulator;
}

struct forbidden {
	const char *name;
	long call[7]; /* number and arguments */
};

static void call(const long *data)
{
	syscall(data[0], data[1], data[2], data[3], data[4], data[5], data[6]);
}

static bool kills(enum sandbox_role role, const struct forbidden *one)
{
	int status = in_child(role, call, one->call);

	if (no_list(status) ||
	    (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS))
		return true;
	printf("%s: status 0x%x\n", one->name, (unsigned)status);
	return false;
}

static const char file[] = "/etc/passwd";

#define PATH (long)(intptr_t)file

static const struct forbidden packet_calls[] = {
	/* files */
	{ "openat", { SYS_openat, -100, PATH, 0 } },
	{ "unlinkat", { SYS_unlinkat, -100, PATH, 0 } },
	{ "renameat2", { SYS_renameat2, -100, PATH, -100, PATH, 0 } },
	{ "fchmod", { SYS_fchmod, 0, 0777 } },
	{ "fchown", { SYS_fchown, 0, 0, 0 } },
	{ "ftruncate", { SYS_ftruncate, 0, 0 } },
	{ "chdir", { SYS_chdir, PATH } },
	{ "chroot", { SYS_chroot, PATH } },
	{ "mount", { SYS_mount, PATH, PATH, PATH, 0, 0 } },
	{ "memfd_create", { SYS_memfd_create, PATH, 0 } },
	{ "a look at a name", { SYS_statx, -100, PATH, 0, 0x7ff, PATH } },
	/* programs and processes */
	{ "execve", { SYS_execve, PATH, 0, 0 } },
	{ "execveat", { SYS_execveat, -100, PATH, 0, 0, 0 } },
	{ "fork", { SYS_clone, SIGCHLD, 0, 0, 0, 0 } },
	{ "a thread",
	  { SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0 } },
	{ "clone3", { SYS_clone3, 0, 0 } },
	{ "kill", { SYS_kill, 1, 0 } },
	{ "tgkill", { SYS_tgkill, 1, 1, 0 } },
	{ "ptrace", { SYS_ptrace, 0, 0, 0, 0 } },
	{ "process_vm_readv", { SYS_process_vm_readv, 1, 0, 0, 0, 0, 0 } },
	{ "unshare", { SYS_unshare, CLONE_NEWUSER } },
	{ "setns", { SYS_setns, 0, 0 } },
	{ "setuid", { SYS_setuid, 0 } },
	{ "capset", { SYS_capset, 0, 0 } },
	{ "prctl", { SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0 } },
	{ "seccomp", { SYS_seccomp, 0, 0, 0 } },
	/* memory that can be run */
	{ "mmap with PROT_EXEC",
	  { SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 } },
	{ "mprotect with PROT_EXEC",
	  { SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC } },
	/* sockets */
	{ "a Unix socket", { SYS_socket, AF_UNIX, SOCK_STREAM, 0 } },
	{ "a TCP socket", { SYS_socket, AF_INET, SOCK_STREAM, 0 } },
	{ "a UDP socket", { SYS_socket, AF_INET6, SOCK_DGRAM, 0 } },
	{ "a raw socket", { SYS_socket, AF_INET, SOCK_RAW, 255 } },
	{ "a packet socket", { SYS_socket, AF_PACKET, SOCK_RAW, 0 } },
	{ "another netlink",
	  { SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_XFRM } },
	{ "socketpair", { SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, 0 } },
	{ "connect", { SYS_connect, 0, 0, 0 } },
	{ "iptables' rules", { SYS_setsockopt, 0, 0, 64, 0, 0 } },
	{ "another option",
	  { SYS_setsockopt, 0, SOL_SOCKET, SO_ATTACH_FILTER, 0, 0 } },
	{ "an ioctl of devices", { SYS_ioctl, 0, 0x8914, 0 } },
	{ "a keystroke", { SYS_ioctl, 0, TIOCSTI, PATH } },
	/* the kernel */
	{ "a BPF map", { SYS_bpf, BPF_MAP_CREATE, 0, 0 } },
	{ "a BPF program", { SYS_bpf, BPF_PROG_LOAD, 0, 0 } },
	{ "another's BPF program", { SYS_bpf, BPF_PROG_GET_FD_BY_ID, 0, 0 } },
	{ "what a BPF program is", { SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, 0, 0 } },
	{ "perf_event_open", { SYS_perf_event_open, 0, 0, 0, 0, 0 } },
	{ "init_module", { SYS_init_module, 0, 0, 0 } },
	{ "io_uring_setup", { SYS_io_uring_setup, 1, 0 } },
	{ "userfaultfd", { SYS_userfaultfd, 0 } },
	{ "keyctl", { SYS_keyctl, 0, 0, 0, 0, 0 } },
	{ "clock_settime", { SYS_clock_settime, 0, 0 } },
	{ "a call that does not exist", { 9999 } },
};

static const struct forbidden helper_calls[] = {
	{ "ptrace", { SYS_ptrace, 0, 0, 0, 0 } },
	{ "process_vm_writev", { SYS_process_vm_writev, 1, 0, 0, 0, 0, 0 } },
	{ "mount", { SYS_mount, PATH, PATH, PATH, 0, 0 } },
	{ "umount2", { SYS_umount2, PATH, 0 } },
	{ "pivot_root", { SYS_pivot_root, PATH, PATH } },
	{ "chroot", { SYS_chroot, PATH } },
	{ "setns", { SYS_setns, 0, 0 } },
	{ "setuid", { SYS_setuid, 0 } },
	{ "setgroups", { SYS_setgroups, 0, 0 } },
	{ "capset", { SYS_capset, 0, 0 } },
	{ "fchown", { SYS_fchown, 0, 0, 0 } },
	{ "mknodat", { SYS_mknodat, -100, PATH, 0, 0 } },
	{ "init_module", { SYS_init_module, 0, 0, 0 } },
	{ "kexec_load", { SYS_kexec_load, 0, 0, 0, 0 } },
	{ "bpf", { SYS_bpf, 0, 0, 0 } },
	{ "perf_event_open", { SYS_perf_event_open, 0, 0, 0, 0, 0 } },
	{ "io_uring_setup", { SYS_io_uring_setup, 1, 0 } },
	{ "keyctl", { SYS_keyctl, 0, 0, 0, 0, 0 } },
	{ "clock_settime", { SYS_clock_settime, 0, 0 } },
	{ "reboot", { SYS_reboot, 0, 0, 0, 0 } },
	{ "personality", { SYS_personality, 0 } },
};

static void test_packet_list(void)
{
	for (size_t i = 0; i < sizeof(packet_calls) / sizeof(packet_calls[0]);
	     i++)
		CU_ASSERT_TRUE(kills(SANDBOX_PACKETS, &packet_calls[i]));
}

static void test_helper_list(void)
{
	for (size_t i = 0; i < sizeof(helper_calls) / sizeof(helper_calls[0]);
	     i++)
		CU_ASSERT_TRUE(kills(SANDBOX_HELPER, &helper_calls[i]));
}

/* --- what goes on ------------------------------------------------------------ */

static void use_memory(void)
{
	char *block = malloc(1 << 20), *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!block || !out)
		_exit(1);
	memset(block, 1, 1 << 20);
	block = realloc(block, 4 << 20);
	fprintf(out, "%d %s", 5, strerror(ENOENT));
	fclose(out);
	free(text);
	free(block);
}

static int compare(const void *a, const void *b)
{
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

/* A large one: glibc asks the system something before it. */
static void sort_much(void)
{
	unsigned char *block = calloc(1, 1 << 16);

	if (!block)
		_exit(1);
	qsort(block, 1 << 16, 1, compare);
	free(block);
}

static void use_sockets(void)
{
	static const int kinds[] = { NETLINK_ROUTE, NETLINK_NETFILTER,
				     NETLINK_SOCK_DIAG };
	struct timeval patience = { 5, 0 };

	for (int i = 0; i < 3; i++) {
		int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, kinds[i]);

		if (fd < 0)
			continue; /* the kernel has none */
		if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			       sizeof(patience)))
			_exit(2);
		close(fd);
	}
}

static void work(const long *data)
{
	const int epoll = (int)data[0];
	struct epoll_event event;
	FILE *in = fdopen((int)data[1], "r");
	char line[64];

	use_memory();
	sort_much();
	use_sockets();
	if (!in || !fgets(line, sizeof(line), in))
		_exit(3);
	fclose(in);
	if (epoll_wait(epoll, &event, 1, 0))
		_exit(4);
	fprintf(stderr, "%s", "");
	syscall(SYS_exit_group, 0); /* nothing of a sanitizer comes after */
}

static void test_packet_work(void)
{
	FILE *in = fopen("/proc/self/status", "re");
	long data[2] = { epoll_create1(EPOLL_CLOEXEC), fileno(in) };
	int status = in_child(SANDBOX_PACKETS, work, data);

	CU_ASSERT_TRUE(no_list(status) ||
		       (WIFEXITED(status) && !WEXITSTATUS(status)));
	close((int)data[0]);
	fclose(in);
}

/* Programs run under the helper's list; an unknown call is what it would be on
 * an older kernel, and namespaces are such. */
static void run_program(const long *data)
{
	const char *const argv[] = { "ip", "-V", NULL };
	char text[128];

	(void)data;
	if (process_run(argv, NULL, text, sizeof(text), NULL, 0, 5000) > 0)
		_exit(1);
	if (syscall(9999) != -1 || errno != ENOSYS)
		_exit(2);
	if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) != -1)
		_exit(3);
	if (socket(AF_PACKET, SOCK_RAW, 0) != -1)
		_exit(4);
}

static void test_helper_work(void)
{
	int status = in_child(SANDBOX_HELPER, run_program, NULL);

	CU_ASSERT_TRUE(no_list(status) ||
		       (WIFEXITED(status) && !WEXITSTATUS(status)));
}

static void test_landlock(void)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (sandbox_landlock())
			_exit(NOT_THERE);
		_exit(fopen(file, "re") ? 1 : 0);
	}
	waitpid(child, &status, 0);
	CU_ASSERT_TRUE(ended_with(status, NOT_THERE) ||
		       (WIFEXITED(status) && !WEXITSTATUS(status)));
}

static const struct test tests[] = {
	{ "the packet process's list kills", test_packet_list },
	{ "the helper's list kills", test_helper_list },
	{ "the packet process can work", test_packet_work },
	{ "the helper can run programs", test_helper_work },
	{ "under Landlock no file is opened", test_landlock },
};

int main(int argc, char **argv)
{
	return suite_run("sandbox", tests, sizeof(tests) / sizeof(tests[0]),
			 argc, argv);
}
