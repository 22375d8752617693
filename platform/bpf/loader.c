/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * portico-bpf: has the kernel load the fast path's program, which it carries
 * within itself, hands over the descriptors (fast_wire.h) and ends. What loading
 * takes (libbpf, libelf, the object) never is in the daemon's memory.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "fast_map.h"
#include "fast_wire.h"

/* More of them find no slot. */
#define SLOTS_MAX (FAST_SLOT_MASK + 1)
#define BUCKETS_MAX (FAST_SLOT_MASK + 1)

static const char usage[] =
	"Usage: portico-bpf SLOTS BUCKETS\n"
	"Loads the fast path's program and sends its descriptors by the Unix\n"
	"socket that is its standard input. porticod runs it.\n"
	"  SLOTS    2 to 1048576; the first is never a session's\n"
	"  BUCKETS  a power of two, at most 1048576\n"
	"  --help, --version\n";

/* The object, as clang wrote it. */
__asm__(".section .rodata\n"
	".balign 8\n"
	".globl fast_object, fast_object_end\n"
	".hidden fast_object, fast_object_end\n"
	"fast_object:\n"
	".incbin \"" FAST_OBJECT "\"\n"
	"fast_object_end:\n"
	".byte 0\n"
	".previous\n");
extern const char fast_object[];
extern const char fast_object_end[];

/* In the order of enum fast_fd. */
static const char *const names[FAST_FDS] = {
	[FAST_FD_HEAD] = "head",
	[FAST_FD_FILLED] = "filled",
	[FAST_FD_BUCKETS] = "buckets",
	[FAST_FD_SLOTS] = "slots",
	[FAST_FD_INSIDE_ETHER] = "portico_in",
	[FAST_FD_INSIDE_BARE] = "portico_in_bare",
	[FAST_FD_UPLINK_ETHER] = "portico_up",
	[FAST_FD_UPLINK_BARE] = "portico_up_bare",
};

/* --- what went wrong -------------------------------------------------------- */

/* The sentence of libbpf or of the verifier that says most. */
static char said[FAST_TEXT_MAX - 48];

static void keep(const char *text, size_t length)
{
	if (length >= sizeof(said))
		length = sizeof(said) - 1;
	memcpy(said, text, length);
	said[length] = '\0';
}

/* The verifier's log ends with its reason and a line of statistics. */
static void keep_reason(const char *log)
{
	const char *end = strstr(log, "\nprocessed ");
	const char *start = end;

	while (start && start > log && start[-1] != '\n')
		start--;
	if (start)
		keep(start, (size_t)(end - start));
}

/* Of a failure libbpf speaks first of what failed, last of what follows. */
__attribute__((format(printf, 2, 0))) static int
listen_to(enum libbpf_print_level level, const char *format, va_list arguments)
{
	static const char ours[] = "libbpf: ";
	char *text, *start;

	/* As long as the verifier's log may be. */
	if (level != LIBBPF_WARN || vasprintf(&text, format, arguments) < 0)
		return 0;
	start = text;
	if (strncmp(text, ours, strlen(ours)) == 0)
		start += strlen(ours);
	if (strstr(start, "BEGIN PROG LOAD LOG"))
		keep_reason(start);
	else if (!said[0])
		keep(start, strcspn(start, "\n"));
	free(text);
	return 0;
}

/* --- handing over ----------------------------------------------------------- */

static int send_loaded(const struct fast_loaded *loaded, const int *fds)
{
	union {
		struct cmsghdr head; /* aligns it */
		char bytes[CMSG_SPACE(sizeof(int) * FAST_FDS)];
	} room = { .bytes = { 0 } };
	struct iovec data = { (void *)(uintptr_t)loaded, sizeof(*loaded) };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fds) {
		message.msg_control = room.bytes;
		message.msg_controllen = sizeof(room.bytes);
		room.head.cmsg_level = SOL_SOCKET;
		room.head.cmsg_type = SCM_RIGHTS;
		room.head.cmsg_len = CMSG_LEN(sizeof(int) * FAST_FDS);
		memcpy(CMSG_DATA(&room.head), fds, sizeof(int) * FAST_FDS);
	}
	return sendmsg(STDIN_FILENO, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Tells of a failure where somebody listens. The exit status. */
static int fail(int error, const char *what, const char *detail)
{
	struct fast_loaded loaded = { PORTICO_VERSION, error, "" };

	snprintf(loaded.text, sizeof(loaded.text), "%s%s%s", what,
		 detail[0] ? ": " : "", detail);
	if (send_loaded(&loaded, NULL))
		fprintf(stderr, "portico-bpf: %s\n", loaded.text);
	return EXIT_FAILURE;
}

/* --- loading ---------------------------------------------------------------- */

/* The program's clock is the kernel's own; a daemon in a time namespace would
 * say by another until when it lives. */
static bool clock_is_shifted(void)
{
	FILE *file = fopen("/proc/self/timens_offsets", "re");
	char name[32];
	long long seconds, nanoseconds;
	bool shifted = false;

	if (!file) /* a kernel without time namespaces */
		return false;
	while (fscanf(file, "%31s %lld %lld", name, &seconds, &nanoseconds) ==
	       3) {
		if (strcmp(name, "monotonic") == 0 &&
		    (seconds != 0 || nanoseconds != 0))
			shifted = true;
	}
	fclose(file);
	return shifted;
}

/* Before Linux 5.12, which brought this helper, bpf_fib_lookup() did not say of
 * a super-packet whether its segments are too large. */
static bool kernel_is_old(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS,
				       BPF_FUNC_check_mtu, NULL) == 0;
}

static int load(struct bpf_object *object, uint32_t slots, uint32_t buckets)
{
	const struct {
		enum fast_fd map;
		uint32_t entries;
	} sizes[] = {
		{ FAST_FD_FILLED, fast_filled_count(buckets) },
		{ FAST_FD_BUCKETS, buckets },
		{ FAST_FD_SLOTS, slots },
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int result = bpf_map__set_max_entries(
			bpf_object__find_map_by_name(object,
						     names[sizes[i].map]),
			sizes[i].entries);

		if (result)
			return result;
	}
	return bpf_object__load(object);
}

/* All of them are closed at exec: libbpf sees to it. */
static int descriptor(const struct bpf_object *object, enum fast_fd which)
{
	if (which < FAST_FD_INSIDE_ETHER)
		return bpf_object__find_map_fd_by_name(object, names[which]);
	return bpf_program__fd(
		bpf_object__find_program_by_name(object, names[which]));
}

static int load_and_send(uint32_t slots, uint32_t buckets)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "portico");
	const struct fast_loaded loaded = { PORTICO_VERSION, 0, "" };
	struct bpf_object *object;
	int fds[FAST_FDS];
	int result;

	object = bpf_object__open_mem(
		fast_object, (size_t)(fast_object_end - fast_object), &options);
	if (!object)
		return fail(-errno, "the program cannot be read", said);
	result = load(object, slots, buckets);
	for (int i = 0; result == 0 && i < FAST_FDS; i++) {
		fds[i] = descriptor(object, (enum fast_fd)i);
		if (fds[i] < 0)
			result = fds[i];
	}
	if (result) {
		/* Of this libbpf makes many words. */
		if (!said[0] || result == -EPERM)
			keep(strerror(-result), strlen(strerror(-result)));
		result = fail(result, "the kernel refuses the program", said);
	} else {
		result = send_loaded(&loaded, fds);
		if (result)
			fprintf(stderr, "portico-bpf: standard input: %s\n",
				strerror(-result));
	}
	bpf_object__close(object);
	return result ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- the command line ------------------------------------------------------- */

/* 0: not a number from 1 to most. */
static uint32_t number(const char *text, uint32_t most)
{
	char *end;
	unsigned long value;

	if (text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	value = strtoul(text, &end, 10);
	return errno || *end || value > most ? 0 : (uint32_t)value;
}

int main(int argc, char **argv)
{
	uint32_t slots, buckets;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("portico-bpf " PORTICO_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	slots = argc == 3 ? number(argv[1], SLOTS_MAX) : 0;
	buckets = argc == 3 ? number(argv[2], BUCKETS_MAX) : 0;
	if (slots < 2 || !buckets || (buckets & (buckets - 1)))
		return fail(-EINVAL, "wrong arguments; see portico-bpf --help",
			    "");
	libbpf_set_print(listen_to);
	if (clock_is_shifted())
		return fail(-ENOTSUP,
			    "a time namespace's clock is not the kernel's", "");
	if (kernel_is_old())
		return fail(-ENOTSUP, "Linux 5.12 or newer is needed", "");
	return load_and_send(slots, buckets);
}
