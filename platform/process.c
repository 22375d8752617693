/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs a program to its end, bounded in time and in what it may say. Its input
 * lies complete in a memory file, so that no write can block or raise SIGPIPE,
 * and programs that open /dev/stdin by name (nft does) find it there.
 *
 * No shell, no PATH of the caller, no descriptor but the three standard ones.
 * The program ends with its caller: what that was killed for shall not go on.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop.h"

#define PROGRAM_PATH_MAX 128
/* How often a child that closed its output early is looked at. */
#define SLICE_MS 50
/* The same once it has closed its output: it is about to end. */
#define ENDING_MS 2
/* The descriptor a fallback without close_range(2) counts up to. */
#define DESCRIPTORS_MAX 65536

static const char *const folders[] = {
	"/usr/sbin",
	"/usr/bin",
	"/sbin",
	"/bin",
};

/* The same words from every program, whatever the caller's language. */
static const char *const environment[] = {
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
	"LC_ALL=C",
	NULL,
};

/* One of the child's two output streams. */
struct stream {
	int fd; /* our end, -1: at its end */
	char *text; /* NULL: discarded */
	size_t size;
	size_t length;
};

static int find_program(const char *name, char path[PROGRAM_PATH_MAX])
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int length = snprintf(path, PROGRAM_PATH_MAX, "%s/%s",
				      folders[i], name);

		if (length < 0 || length >= PROGRAM_PATH_MAX)
			return -ENAMETOOLONG;
		if (!access(path, X_OK))
			return 0;
	}
	return -ENOENT;
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t done = write(fd, text, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		text += done;
		length -= (size_t)done;
	}
	return 0;
}

/* A descriptor from which the child reads input from its start. */
static int open_input(const char *input)
{
	int fd, error;

	fd = input ? memfd_create("input", MFD_CLOEXEC) :
		     open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!input)
		return fd;
	error = write_all(fd, input, strlen(input));
	if (!error && lseek(fd, 0, SEEK_SET) < 0)
		error = -errno;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

void process_close_from(int first)
{
#ifdef SYS_close_range
	if (!syscall(SYS_close_range, (unsigned)first, ~0U, 0U))
		return;
#endif
	for (int fd = first; fd < DESCRIPTORS_MAX; fd++)
		close(fd);
}

/* The child: only async-signal-safe calls from here to execve(). from holds
 * what shall become descriptors 0, 1 and 2; they may lie there already, in
 * another order, when the caller runs without standard descriptors. */
static void become(const char *path, const char *const argv[],
		   const int from[3], pid_t caller)
{
	int safe[3];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != caller)
		_exit(127);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	for (int fd = 0; fd < 3; fd++)
		safe[fd] = fcntl(from[fd], F_DUPFD, 3);
	for (int fd = 0; fd < 3; fd++)
		if (safe[fd] < 0 || dup2(safe[fd], fd) < 0)
			_exit(127);
	process_close_from(3);
	/* execve() takes arrays of char * for old times' sake only. */
	execve(path, (char *const *)(uintptr_t)argv,
	       (char *const *)(uintptr_t)environment);
	_exit(127);
}

/* Takes what is there; closes the stream at its end. */
static void stream_read(struct stream *stream)
{
	char spill[4096];
	size_t room = stream->text ? stream->size - 1 - stream->length : 0;
	ssize_t count;

	count = room ? read(stream->fd, stream->text + stream->length, room) :
		       read(stream->fd, spill, sizeof(spill));
	if (count < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (count <= 0) {
		close(stream->fd);
		stream->fd = -1;
		return;
	}
	if (!room)
		return;
	stream->length += (size_t)count;
	stream->text[stream->length] = '\0';
}

/* Waits at most wait_ms for output and takes it.
 * True while a stream is open. */
static bool streams_poll(struct stream streams[2], int wait_ms)
{
	struct pollfd fds[2] = {
		{ .fd = streams[0].fd, .events = POLLIN },
		{ .fd = streams[1].fd, .events = POLLIN },
	};

	if (poll(fds, 2, wait_ms) > 0)
		for (int i = 0; i < 2; i++)
			if (fds[i].revents)
				stream_read(&streams[i]);
	return streams[0].fd >= 0 || streams[1].fd >= 0;
}

static bool streams_ready(const struct stream streams[2])
{
	struct pollfd fds[2] = {
		{ .fd = streams[0].fd, .events = POLLIN },
		{ .fd = streams[1].fd, .events = POLLIN },
	};

	return poll(fds, 2, 0) > 0;
}

/* What the child still had in its pipes when it ended; a grandchild that keeps
 * them open is not waited for. */
static void streams_drain(struct stream streams[2])
{
	for (int i = 0; i < 1024 && streams_ready(streams); i++)
		streams_poll(streams, 0);
}

static int status_result(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return -EINTR;
}

/* Follows the child to its end or to the deadline. */
static int follow(pid_t child, struct stream streams[2], int timeout_ms)
{
	int64_t deadline = loop_wait_clock_ms() + timeout_ms;
	bool open = streams[0].fd >= 0 || streams[1].fd >= 0;
	int status;

	for (;;) {
		pid_t ended = waitpid(child, &status, WNOHANG);
		int64_t now = loop_wait_clock_ms();

		if (ended == child) {
			streams_drain(streams);
			return status_result(status);
		}
		if (ended < 0 && errno != EINTR)
			return -errno;
		if (now >= deadline)
			break;
		open = streams_poll(streams, open ? SLICE_MS : ENDING_MS);
	}
	kill(-child, SIGKILL);
	kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return -ETIMEDOUT;
}

static struct stream stream_new(int fd, char *text, size_t size)
{
	struct stream stream = { .fd = fd,
				 .text = size ? text : NULL,
				 .size = size };

	if (stream.text)
		stream.text[0] = '\0';
	return stream;
}

static void close_pair(const int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

pid_t process_start(const char *path, const char *const argv[],
		    const int from[3])
{
	pid_t caller = getpid(), child;

	/* Our parent may have ignored it: then no end is waited for. */
	signal(SIGCHLD, SIG_DFL);
	child = fork();
	if (!child)
		become(path, argv, from, caller);
	return child < 0 ? -errno : child;
}

int process_end(pid_t child, int timeout_ms)
{
	struct stream none[2] = { { .fd = -1 }, { .fd = -1 } };

	return follow(child, none, timeout_ms);
}

/* Starts the child with the pipes' writing ends and closes those here. Its
 * process id or -errno. */
static pid_t start(const char *path, const char *const argv[], int input,
		   int output[2], int error[2])
{
	pid_t child;

	if (pipe2(output, O_CLOEXEC) || pipe2(error, O_CLOEXEC))
		return -errno;
	child = process_start(path, argv,
			      (const int[]){ input, output[1], error[1] });
	close(output[1]);
	close(error[1]);
	output[1] = error[1] = -1;
	return child;
}

int process_run(const char *const argv[], const char *input, char *output,
		size_t output_size, char *error, size_t error_size,
		int timeout_ms)
{
	int out_pipe[2] = { -1, -1 }, error_pipe[2] = { -1, -1 };
	char path[PROGRAM_PATH_MAX];
	struct stream streams[2];
	int input_fd, result;
	pid_t child;

	streams[0] = stream_new(-1, output, output_size);
	streams[1] = stream_new(-1, error, error_size);
	result = find_program(argv[0], path);
	if (result)
		return result;
	input_fd = open_input(input);
	if (input_fd < 0)
		return input_fd;
	child = start(path, argv, input_fd, out_pipe, error_pipe);
	result = child < 0 ? (int)child : 0;
	close(input_fd);
	if (result)
		goto out;
	streams[0].fd = out_pipe[0];
	streams[1].fd = error_pipe[0];
	result = follow(child, streams, timeout_ms);
	out_pipe[0] = streams[0].fd;
	error_pipe[0] = streams[1].fd;
out:
	close_pair(out_pipe);
	close_pair(error_pipe);
	return result;
}
