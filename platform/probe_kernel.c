/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The way through the kernel. The gateway's real uplink leads to people who
 * must not be bothered and who need not answer probes, so the outside is on
 * the box: a network of two namespaces (probe_link.c) beside the live one,
 * with the installed porticod in its gateway, under the user's settings, its
 * own rules, queue and settings of the kernel. What is tested is this program,
 * these settings and this kernel; what is not, is the user's own devices and
 * firewall (portico doctor looks at those).
 *
 * Nothing of it has a name: the namespaces live as long as processes and
 * descriptors hold them, the sockets and state of the daemon lie in a tmpfs of
 * its own mount namespace, its configuration in a memory file. The daemon is
 * the first process of a process namespace and dies with us (PR_SET_PDEATHSIG),
 * and its children with it. So an end by any signal leaves nothing.
 *
 * The calling process stays in the namespace of hosts and servers.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "loop.h"
#include "probe.h"
#include "process.h"
#include "sysctl.h"

/* Beside the three standard descriptors: the daemon's configuration, and the
 * socket by which we agree on when it may begin. */
#define CONFIG_FD 3
#define GO_FD 4
#define CONFIG_PATH "/proc/self/fd/3"
/* On a small router nft takes its time. */
#define READY_MS 30000
#define READY_PAUSE_MS 30
#define PORT_RANGE "net/ipv4/ip_local_port_range"

struct kernel_way {
	struct probe_way way;
	pid_t daemon; /* 0: none */
	int log; /* memory file with what it says */
	int run; /* its private /run: it leaves all files when it serves */
	int sockets[PROBE_SIDES];
};

static struct kernel_way *kernel_of(struct probe_way *way)
{
	return (struct kernel_way *)(void *)way;
}

/* --- the daemon's process -------------------------------------------------- */

static void fail(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
	_exit(126);
}

/* /run, where sockets, state and iptables' lock are, is a private one. */
static void hide_files(void)
{
	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("no mount namespace");
	if (mount("none", "/run", "tmpfs", MS_NOSUID | MS_NODEV,
		  "size=1m,mode=755"))
		fail("no private /run");
}

/* The descriptors given may be any, also low ones. */
static void arrange(int log, int config, int go)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	null = fcntl(null, F_DUPFD, GO_FD + 1);
	log = fcntl(log, F_DUPFD, GO_FD + 1);
	config = fcntl(config, F_DUPFD, GO_FD + 1);
	go = fcntl(go, F_DUPFD, GO_FD + 1);
	if (null < 0 || log < 0 || config < 0 || go < 0 ||
	    dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0 || dup2(config, CONFIG_FD) < 0 ||
	    dup3(go, GO_FD, O_CLOEXEC) < 0)
		_exit(126);
	process_close_from(GO_FD + 1);
}

/* go: a byte comes when everything is there, its end when the parent died
 * before it could be said that we die with it. Then /run is ours, and once the
 * parent has opened it another byte comes. */
static void become_daemon(const char *porticod, int log, int config, int go)
{
	static const char *const environment[] = {
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL
	};
	const char *const argv[] = { porticod, "--foreground", "--config",
				     CONFIG_PATH, NULL };
	char byte;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || read(go, &byte, 1) != 1)
		_exit(126);
	setsid();
	arrange(log, config, go);
	hide_files();
	if (write(GO_FD, "h", 1) != 1 || read(GO_FD, &byte, 1) != 1)
		_exit(126);
	/* execve() takes arrays of char * for old times' sake only. */
	execve(porticod, (char *const *)(uintptr_t)argv,
	       (char *const *)(uintptr_t)environment);
	fail(porticod);
}

/* The document in a memory file. Returns it or -errno. */
static int config_file(const struct probe_setup *setup)
{
	const char *text = json_object_to_json_string(setup->document);
	int fd = memfd_create("portico.conf", MFD_CLOEXEC);
	size_t length = text ? strlen(text) : 0;

	if (fd < 0)
		return -errno;
	if (!text || write(fd, text, length) != (ssize_t)length) {
		close(fd);
		return -EIO;
	}
	return fd;
}

/* What the daemon said last, or what it ended with. */
static void last_words(const struct kernel_way *kernel, char *error,
		       size_t size)
{
	char text[4096] = "";
	ssize_t got = pread(kernel->log, text, sizeof(text) - 1, 0);
	char *line;

	while (got > 0 && text[got - 1] == '\n')
		text[--got] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	snprintf(error, size, "porticod does not serve in a namespace: %s",
		 *line ? line : "it says nothing");
}

/* --- asking it --------------------------------------------------------------- */

/* By way of its own /run. NULL: no answer. */
static struct json_object *ask(const struct kernel_way *kernel,
			       const char *command)
{
	struct json_object *request = json_object_new_object(), *reply = NULL;
	struct buffer line = { 0 };
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d%s", kernel->run,
		 &PROBE_CONTROL[strlen("/run")]);
	fd = client_connect(path);
	json_object_object_add(request, "command",
			       json_object_new_string(command));
	if (fd >= 0 && !client_send(fd, request) && !client_receive(fd, &line))
		reply = json_tokener_parse(line.data);
	if (fd >= 0)
		close(fd);
	buffer_free(&line);
	json_object_put(request);
	return reply;
}

static const char *text_at(struct json_object *object, const char *section,
			   const char *key)
{
	struct json_object *value = object;

	if ((section && !json_object_object_get_ex(value, section, &value)) ||
	    !json_object_object_get_ex(value, key, &value))
		return NULL;
	return json_object_get_string(value);
}

static bool serves(const struct kernel_way *kernel, char backend[32])
{
	struct json_object *status = ask(kernel, "status");
	const char *name = text_at(status, NULL, "backend");
	bool ready = name && text_at(status, "uplink", "address");

	if (ready)
		snprintf(backend, 32, "%s", name);
	json_object_put(status);
	return ready;
}

static int wait_ready(struct kernel_way *kernel, char backend[32], char *error,
		      size_t size)
{
	const uint64_t end = loop_clock_ms() + READY_MS;

	while (loop_clock_ms() < end) {
		if (waitpid(kernel->daemon, NULL, WNOHANG)) {
			kernel->daemon = 0;
			break;
		}
		if (serves(kernel, backend))
			return 0;
		poll(NULL, 0, READY_PAUSE_MS);
	}
	last_words(kernel, error, size);
	return -EIO;
}

static uint64_t refused(struct probe_way *way)
{
	static const enum nat_drop reasons[] = { NAT_DROP_HOST_QUOTA,
						 NAT_DROP_HOST_RATE,
						 NAT_DROP_NO_PORT,
						 NAT_DROP_TABLE_FULL };
	struct json_object *status = ask(kernel_of(way), "status");
	struct json_object *drops = NULL, *count;
	uint64_t total = 0;

	json_object_object_get_ex(status, "drops", &drops);
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (json_object_object_get_ex(drops, nat_drop_name(reasons[i]),
					      &count))
			total += (uint64_t)json_object_get_int64(count);
	json_object_put(status);
	return total;
}

static uint32_t life_left(struct probe_way *way, struct probe_socket inside)
{
	struct json_object *reply = ask(kernel_of(way), "mappings");
	struct json_object *rows = NULL, *row, *value;
	uint32_t seconds = 0;
	char wanted[32];

	snprintf(wanted, sizeof(wanted), "%u.%u.%u.%u:%u", inside.addr >> 24,
		 inside.addr >> 16 & 255, inside.addr >> 8 & 255,
		 inside.addr & 255, inside.port);
	if (!json_object_object_get_ex(reply, "mappings", &rows))
		rows = NULL;
	for (size_t i = 0; rows && i < json_object_array_length(rows); i++) {
		const char *text;

		row = json_object_array_get_idx(rows, i);
		text = text_at(row, NULL, "inside");
		if (text && !strcmp(text, wanted) &&
		    json_object_object_get_ex(row, "expires_s", &value))
			seconds = (uint32_t)json_object_get_int64(value);
	}
	json_object_put(reply);
	return seconds;
}

/* --- packets ------------------------------------------------------------------ */

static int send_packet(struct probe_way *way, enum probe_side side,
		       const struct probe_packet *packet)
{
	return probe_link_send(kernel_of(way)->sockets[side], side, packet);
}

static uint64_t now_ms(struct probe_way *way)
{
	(void)way;
	return loop_clock_ms();
}

static bool receive(struct probe_way *way, enum probe_side side,
		    struct probe_packet *packet, uint64_t wait_ms)
{
	struct pollfd fd = { .fd = kernel_of(way)->sockets[side],
			     .events = POLLIN };
	const uint64_t end = loop_clock_ms() + wait_ms;
	uint64_t now = end - wait_ms;

	for (;;) {
		if (probe_link_receive(fd.fd, packet))
			return true;
		if (now >= end)
			return false;
		poll(&fd, 1, (int)(end - now));
		now = loop_clock_ms();
	}
}

/* --- opening and closing ------------------------------------------------------- */

static void kernel_close(struct probe_way *way)
{
	struct kernel_way *kernel = kernel_of(way);

	if (kernel->daemon) {
		kill(kernel->daemon, SIGKILL);
		while (waitpid(kernel->daemon, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (int side = 0; side < PROBE_SIDES; side++)
		if (kernel->sockets[side] >= 0)
			close(kernel->sockets[side]);
	if (kernel->log >= 0)
		close(kernel->log);
	if (kernel->run >= 0)
		close(kernel->run);
	free(kernel);
}

static int say(char *error, size_t size, const char *what)
{
	int err = -errno;

	snprintf(error, size, "%s: %s", what, strerror(-err));
	return err;
}

/* Leaves us in the gateway's namespace; returns a descriptor of the ends'. */
static int make_namespaces(char *error, size_t size)
{
	int ends;

	if (unshare(CLONE_NEWNET))
		return say(error, size, "no network namespaces");
	ends = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ends < 0)
		return say(error, size, "/proc/self/ns/net");
	if (!unshare(CLONE_NEWNET))
		return ends;
	say(error, size, "no network namespaces");
	close(ends);
	return -EIO;
}

/* fork() into a process namespace of its own; later children of ours are born
 * where we are. */
static pid_t fork_apart(void)
{
	int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	pid_t child = -1;
	int err;

	if (home >= 0 && !unshare(CLONE_NEWPID)) {
		child = fork();
		err = errno;
		if (child && setns(home, CLONE_NEWPID))
			err = errno;
		errno = err;
	}
	if (home >= 0)
		close(home);
	return child;
}

/* The same ports for the router as on the user's machine, so the same pool. */
static int build_gateway(int ends, const char *port_range, char *error,
			 size_t size)
{
	int err = probe_link_build(ends, error, size);

	if (!err && *port_range)
		sysctl_write(PORT_RANGE, port_range);
	return err;
}

/* Once the child has its own /run: opens it and lets the child go on. What it
 * failed at is in its log. 0 or -errno. */
static int open_run(struct kernel_way *kernel, int go, char *error, size_t size)
{
	char path[64], byte;

	snprintf(path, sizeof(path), "/proc/%d/root/run", (int)kernel->daemon);
	if (send(go, "g", 1, MSG_NOSIGNAL) != 1 || read(go, &byte, 1) != 1) {
		last_words(kernel, error, size);
		return -EIO;
	}
	kernel->run = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (kernel->run < 0 || send(go, "g", 1, MSG_NOSIGNAL) != 1)
		return say(error, size, path);
	return 0;
}

/* In the gateway's namespace; leaves us in the ends'. The child waits until it
 * is told to go on, which is once its devices have a carrier. */
static int start_daemon(struct kernel_way *kernel, const char *porticod,
			int config, int ends, char *error, size_t size)
{
	int go[2];
	int err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go))
		return say(error, size, "socketpair");
	kernel->daemon = fork_apart();
	if (kernel->daemon < 0) {
		kernel->daemon = 0;
		err = say(error, size, "no process namespace");
		goto out;
	}
	if (!kernel->daemon) {
		close(go[1]);
		become_daemon(porticod, kernel->log, config, go[0]);
	}
	if (setns(ends, CLONE_NEWNET))
		err = say(error, size, "setns");
	else
		err = probe_link_open(kernel->sockets, error, size);
	close(go[0]);
	go[0] = -1;
	if (!err)
		err = open_run(kernel, go[1], error, size);
out:
	if (go[0] >= 0)
		close(go[0]);
	close(go[1]);
	return err;
}

static int open_all(struct kernel_way *kernel, const struct probe_setup *setup,
		    const char *porticod, char backend[32], char *error,
		    size_t size)
{
	char port_range[64];
	int config, ends, err;

	kernel->log = memfd_create("log", MFD_CLOEXEC);
	config = config_file(setup);
	if (kernel->log < 0 || config < 0)
		return say(error, size, "memory file");
	(void)sysctl_read(PORT_RANGE, port_range, sizeof(port_range));
	ends = make_namespaces(error, size);
	err = ends < 0 ? ends : build_gateway(ends, port_range, error, size);
	if (!err)
		err = start_daemon(kernel, porticod, config, ends, error, size);
	close(config);
	if (ends >= 0)
		close(ends);
	return err ? err : wait_ready(kernel, backend, error, size);
}

struct probe_way *probe_kernel_open(const struct probe_setup *setup,
				    const char *porticod, char backend[32],
				    char *error, size_t size)
{
	struct kernel_way *kernel = calloc(1, sizeof(*kernel));

	if (!kernel) {
		snprintf(error, size, "out of memory");
		return NULL;
	}
	kernel->way = (struct probe_way){
		.send = send_packet,
		.receive = receive,
		.now_ms = now_ms,
		.refused = refused,
		.life_left = life_left,
		.close = kernel_close,
	};
	kernel->log = kernel->run = -1;
	kernel->sockets[PROBE_INSIDE] = kernel->sockets[PROBE_OUTSIDE] = -1;
	if (!open_all(kernel, setup, porticod, backend, error, size))
		return &kernel->way;
	kernel_close(&kernel->way);
	return NULL;
}
