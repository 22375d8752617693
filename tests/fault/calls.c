/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The calls of the C library that can be made to fail: each asks the plan and
 * else goes on to the real one. Those of libraries that the program uses come
 * by here too; what the C library calls itself does not.
 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <locale.h>
#include <net/if.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plan.h"

/* The real function, found once. */
#define REAL(name) \
	static __typeof__(name) *real; \
	if (!real) \
	real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* No header has them. */
int capget(void *header, void *data);
int capset(void *header, const void *data);

#define CALL(type, failure, name, params, args) \
	type name params \
	{ \
		REAL(name); \
		return fault_now(#name) ? (type)(failure) : real args; \
	}

/* --- sockets ----------------------------------------------------------------- */

CALL(int, -1, socket, (int domain, int type, int proto), (domain, type, proto))
CALL(int, -1, socketpair, (int domain, int type, int proto, int ends[2]),
     (domain, type, proto, ends))
CALL(int, -1, bind, (int fd, const struct sockaddr *addr, socklen_t length),
     (fd, addr, length))
CALL(int, -1, connect, (int fd, const struct sockaddr *addr, socklen_t length),
     (fd, addr, length))
CALL(int, -1, listen, (int fd, int backlog), (fd, backlog))
CALL(int, -1, accept4,
     (int fd, struct sockaddr *addr, socklen_t *length, int flags),
     (fd, addr, length, flags))
CALL(int, -1, getsockname, (int fd, struct sockaddr *addr, socklen_t *length),
     (fd, addr, length))
CALL(int, -1, setsockopt,
     (int fd, int level, int name, const void *value, socklen_t length),
     (fd, level, name, value, length))
CALL(int, -1, getsockopt,
     (int fd, int level, int name, void *value, socklen_t *length),
     (fd, level, name, value, length))
CALL(ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))
CALL(ssize_t, -1, recvmsg, (int fd, struct msghdr *message, int flags),
     (fd, message, flags))
CALL(int, -1, recvmmsg,
     (int fd, struct mmsghdr *messages, unsigned count, int flags,
      struct timespec *limit),
     (fd, messages, count, flags, limit))
CALL(int, -1, shutdown, (int fd, int how), (fd, how))
CALL(unsigned, 0, if_nametoindex, (const char *name), (name))

/* --- files ------------------------------------------------------------------- */

CALL(int, -1, access, (const char *path, int mode), (path, mode))
CALL(int, -1, chdir, (const char *path), (path))
CALL(int, -1, chmod, (const char *path, mode_t mode), (path, mode))
CALL(int, -1, chroot, (const char *path), (path))
CALL(int, -1, dup2, (int from, int to), (from, to))
CALL(int, -1, dup3, (int from, int to, int flags), (from, to, flags))
CALL(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
CALL(int, -1, flock, (int fd, int what), (fd, what))
CALL(int, -1, fstat, (int fd, struct stat *st), (fd, st))
CALL(int, -1, lchown, (const char *path, uid_t user, gid_t group),
     (path, user, group))
CALL(off_t, -1, lseek, (int fd, off_t at, int from), (fd, at, from))
CALL(int, -1, lstat, (const char *path, struct stat *st), (path, st))
CALL(int, -1, memfd_create, (const char *name, unsigned flags), (name, flags))
CALL(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
CALL(char *, NULL, mkdtemp, (char *path), (path))
CALL(int, -1, pipe2, (int ends[2], int flags), (ends, flags))
CALL(char *, NULL, realpath, (const char *path, char *absolute),
     (path, absolute))
CALL(int, -1, rename, (const char *from, const char *to), (from, to))
CALL(int, -1, rmdir, (const char *path), (path))
CALL(int, -1, stat, (const char *path, struct stat *st), (path, st))
CALL(int, -1, unlink, (const char *path), (path))
CALL(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
CALL(FILE *, NULL, fdopen, (int fd, const char *mode), (fd, mode))
CALL(FILE *, NULL, open_memstream, (char **text, size_t *size), (text, size))
CALL(int, EOF, fflush, (FILE * file), (file))

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	REAL(open);
	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	return fault_now("open") ? -1 : real(path, flags, mode);
}

/* A descriptor is gone also when closing it failed. */
int close(int fd)
{
	int what = fault_now("close");
	int result;

	REAL(close);
	result = real(fd);
	if (!what)
		return result;
	errno = what;
	return -1;
}

int fclose(FILE *file)
{
	int what = fault_now("fclose");
	int result;

	REAL(fclose);
	result = real(file);
	if (!what)
		return result;
	errno = what;
	return EOF;
}

int fcntl(int fd, int command, ...)
{
	va_list args;
	void *value;

	REAL(fcntl);
	va_start(args, command);
	value = va_arg(args, void *);
	va_end(args);
	return fault_now("fcntl") ? -1 : real(fd, command, value);
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *value;

	REAL(ioctl);
	va_start(args, request);
	value = va_arg(args, void *);
	va_end(args);
	return fault_now("ioctl") ? -1 : real(fd, request, value);
}

int posix_fallocate(int fd, off_t at, off_t length)
{
	int what = fault_now("posix_fallocate");

	REAL(posix_fallocate);
	return what ? what : real(fd, at, length);
}

/* --- reading and writing ------------------------------------------------------- */

/* In place of the call: what it returns, or -2 to go on with *count bytes. */
static ssize_t transfer(const char *call, size_t *count)
{
	int what = fault_now(call);

	if (what == FAULT_END)
		return 0;
	if (what == FAULT_SHORT)
		*count = (*count + 1) / 2;
	return what > 0 ? -1 : -2;
}

#define TRANSFER(name, call, params, args) \
	ssize_t name params \
	{ \
		ssize_t result = transfer(call, &count); \
		REAL(name); \
		return result != -2 ? result : real args; \
	}

/* What _FORTIFY_SOURCE makes of them: room is that of the buffer. */
ssize_t __read_chk(int fd, void *at, size_t count, size_t room);
ssize_t __pread_chk(int fd, void *at, size_t count, off_t from, size_t room);
ssize_t __recv_chk(int fd, void *at, size_t count, size_t room, int flags);
int __poll_chk(struct pollfd *fds, nfds_t count, int ms, size_t room);

TRANSFER(read, "read", (int fd, void *at, size_t count), (fd, at, count))
TRANSFER(__read_chk, "read", (int fd, void *at, size_t count, size_t room),
	 (fd, at, count, room))
TRANSFER(pread, "pread", (int fd, void *at, size_t count, off_t from),
	 (fd, at, count, from))
TRANSFER(__pread_chk, "pread",
	 (int fd, void *at, size_t count, off_t from, size_t room),
	 (fd, at, count, from, room))
TRANSFER(recv, "recv", (int fd, void *at, size_t count, int flags),
	 (fd, at, count, flags))
TRANSFER(__recv_chk, "recv",
	 (int fd, void *at, size_t count, size_t room, int flags),
	 (fd, at, count, room, flags))
TRANSFER(write, "write", (int fd, const void *at, size_t count),
	 (fd, at, count))
TRANSFER(send, "send", (int fd, const void *at, size_t count, int flags),
	 (fd, at, count, flags))
TRANSFER(sendto, "sendto",
	 (int fd, const void *at, size_t count, int flags,
	  const struct sockaddr *to, socklen_t length),
	 (fd, at, count, flags, to, length))

/* --- events and time ----------------------------------------------------------- */

CALL(int, -1, epoll_create1, (int flags), (flags))
CALL(int, -1, epoll_ctl, (int set, int op, int fd, struct epoll_event *event),
     (set, op, fd, event))
CALL(int, -1, epoll_wait,
     (int set, struct epoll_event *events, int count, int ms),
     (set, events, count, ms))
CALL(int, -1, poll, (struct pollfd * fds, nfds_t count, int ms),
     (fds, count, ms))
CALL(int, -1, signalfd, (int fd, const sigset_t *mask, int flags),
     (fd, mask, flags))
CALL(int, -1, sigprocmask, (int how, const sigset_t *set, sigset_t *old),
     (how, set, old))
CALL(int, -1, timerfd_create, (clockid_t clock, int flags), (clock, flags))
static void hasten(struct timespec *time, unsigned haste)
{
	uint64_t ns =
		(uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_nsec;

	time->tv_sec = (time_t)(ns / haste / 1000000000);
	time->tv_nsec = (long)(ns / haste % 1000000000);
}

/* With PORTICO_FAULT_HASTE=N, what comes every second comes N times as often:
 * nobody has to wait for what is done once a minute. */
int timerfd_settime(int fd, int flags, const struct itimerspec *value,
		    struct itimerspec *old)
{
	const char *haste = getenv("PORTICO_FAULT_HASTE");
	struct itimerspec sooner = *value;

	REAL(timerfd_settime);
	if (haste && atoi(haste) > 0) {
		hasten(&sooner.it_value, (unsigned)atoi(haste));
		hasten(&sooner.it_interval, (unsigned)atoi(haste));
	}
	return fault_now("timerfd_settime") ? -1 :
					      real(fd, flags, &sooner, old);
}

int __poll_chk(struct pollfd *fds, nfds_t count, int ms, size_t room)
{
	REAL(__poll_chk);
	return fault_now("poll") ? -1 : real(fds, count, ms, room);
}

/* As in the kernel: a clock may be unknown to it, this one is not. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	REAL(clock_gettime);
	return clock != CLOCK_MONOTONIC && fault_now("clock_gettime") ?
		       -1 :
		       real(clock, now);
}

/* --- processes, rights, memory --------------------------------------------------- */

CALL(int, -1, kill, (pid_t pid, int number), (pid, number))
CALL(int, -1, setegid, (gid_t group), (group))
CALL(int, -1, getrlimit, (__rlimit_resource_t what, struct rlimit *limit),
     (what, limit))
CALL(int, -1, setrlimit, (__rlimit_resource_t what, const struct rlimit *limit),
     (what, limit))
CALL(int, -1, setpriority, (__priority_which_t which, id_t who, int nice),
     (which, who, nice))
CALL(int, -1, capget, (void *header, void *data), (header, data))
CALL(int, -1, capset, (void *header, const void *data), (header, data))
CALL(int, -1, execve, (const char *path, char *const argv[], char *const env[]),
     (path, argv, env))
CALL(pid_t, -1, waitpid, (pid_t pid, int *status, int options),
     (pid, status, options))
CALL(pid_t, -1, setsid, (void), ())
CALL(int, -1, setpgid, (pid_t pid, pid_t group), (pid, group))
CALL(int, -1, setgroups, (size_t count, const gid_t *list), (count, list))
CALL(int, -1, setresgid, (gid_t real_id, gid_t effective, gid_t saved),
     (real_id, effective, saved))
CALL(int, -1, setresuid, (uid_t real_id, uid_t effective, uid_t saved),
     (real_id, effective, saved))
CALL(int, -1, unshare, (int flags), (flags))
CALL(int, -1, uname, (struct utsname * name), (name))
CALL(ssize_t, -1, getrandom, (void *at, size_t count, unsigned flags),
     (at, count, flags))
CALL(struct group *, NULL, getgrnam, (const char *name), (name))
CALL(struct passwd *, NULL, getpwnam, (const char *name), (name))
CALL(int, -1, munmap, (void *at, size_t bytes), (at, bytes))
CALL(int, -1, madvise, (void *at, size_t bytes, int advice),
     (at, bytes, advice))
CALL(void *, MAP_FAILED, mmap,
     (void *at, size_t bytes, int rights, int flags, int fd, off_t from),
     (at, bytes, rights, flags, fd, from))

CALL(locale_t, (locale_t)0, newlocale,
     (int parts, const char *name, locale_t base), (parts, name, base))
CALL(locale_t, (locale_t)0, duplocale, (locale_t locale), (locale))

char *strdup(const char *text)
{
	char *copy;

	REAL(strdup);
	if (fault_now("strdup"))
		return NULL;
	fault_hold(1);
	copy = real(text);
	fault_hold(0);
	return copy;
}

pid_t fork(void)
{
	pid_t child;

	REAL(fork);
	if (fault_now("fork"))
		return -1;
	child = real();
	if (child >= 0)
		fault_forked(child == 0);
	return child;
}

int prctl(int option, ...)
{
	unsigned long values[4];
	va_list args;

	REAL(prctl);
	va_start(args, option);
	for (int i = 0; i < 4; i++)
		values[i] = va_arg(args, unsigned long);
	va_end(args);
	return fault_now("prctl") ?
		       -1 :
		       real(option, values[0], values[1], values[2], values[3]);
}

long syscall(long number, ...)
{
	long values[6];
	va_list args;

	REAL(syscall);
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		values[i] = va_arg(args, long);
	va_end(args);
	return fault_now("syscall") ?
		       -1 :
		       real(number, values[0], values[1], values[2], values[3],
			    values[4], values[5]);
}

/* --- the same for libraries ------------------------------------------------------ */

/* Those made without _FILE_OFFSET_BITS have other names for what is the same
 * where a long has 64 bits. */
#ifdef __LP64__
#define PLAIN(name) __asm__(".globl " #name "\n.set " #name ", " #name "64\n")

PLAIN(open);
PLAIN(stat);
PLAIN(fstat);
PLAIN(fopen);
#endif
