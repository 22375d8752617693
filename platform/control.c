/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The control sockets: where they lie, who may open them, who comes in.
 * What clients say is control_client.c's, what they ask control_verbs.c's.
 */
#include "control.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control_private.h"
#include "log.h"

static const struct {
	const char *key; /* of the configuration */
	const char *group;
	bool read_only;
} kinds[CONTROL_LISTENERS] = {
	[CONTROL_FULL] = { "control", "portico", false },
	[CONTROL_READ] = { "control_read", "portico-view", true },
};

/* --- the socket's file --------------------------------------------------- */

/* The directory for all to pass; the sockets guard themselves. */
static int make_directory(const char *path)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (!slash || slash == directory)
		return 0;
	*slash = '\0';
	if (mkdir(directory, 0755))
		return errno == EEXIST ? 0 : -errno;
	/* Whatever the umask made of it. */
	return chmod(directory, 0755) ? -errno : 0;
}

/* Says whether someone listens at the address: 0 no, else -errno. */
static int probe(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ?
		      errno :
		      0;
	close(fd);
	/* EAGAIN: its backlog is full, so it lives. */
	if (!err || err == EAGAIN)
		return -EADDRINUSE;
	return err == ENOENT || err == ECONNREFUSED ? 0 : -err;
}

/* Removes what a dead daemon left; nothing but a socket. 0 or -errno. */
static int remove_stale(const struct sockaddr_un *addr)
{
	struct stat st;
	int err;

	if (lstat(addr->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	err = probe(addr);
	if (err)
		return err;
	return unlink(addr->sun_path) && errno != ENOENT ? -errno : 0;
}

/* 0, -ENOENT: there is no such group, other -errno. As a member of the group
 * the owner may give it the socket, without the right to give away any file
 * (CAP_CHOWN, which the systemd unit does not grant). */
static int set_group(const char *path, const char *name)
{
	struct group *group = getgrnam(name);
	const gid_t own = getegid();
	bool joined;
	int err;

	if (!group)
		return -ENOENT;
	joined = !setegid(group->gr_gid);
	err = lchown(path, (uid_t)-1, group->gr_gid) ? -errno : 0;
	if (joined && setegid(own) && !err)
		err = -errno;
	return err;
}

/* Bound with no rights for others, opened up only when the group is set. */
static int bind_guarded(int fd, const struct sockaddr_un *addr,
			const char *group, int *group_err)
{
	mode_t mask = umask(0177);
	int err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) ?
			  -errno :
			  0;

	umask(mask);
	if (err)
		return err;
	*group_err = set_group(addr->sun_path, group);
	if (chmod(addr->sun_path, 0660) || listen(fd, CONTROL_CLIENTS_MAX))
		err = -errno;
	if (err)
		unlink(addr->sun_path);
	return err;
}

/* Returns the listening descriptor or -errno. */
static int listen_at(const char *path, const char *group, int *group_err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	err = make_directory(path);
	if (!err)
		err = remove_stale(&addr);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_guarded(fd, &addr, group, group_err);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* --- who comes in -------------------------------------------------------- */

/* Best effort: a client that is turned away does not wait for a reason. */
static void turn_away(int fd, enum control_refusal refusal)
{
	char message[128];
	int length = snprintf(message, sizeof(message), "{\"error\":\"%s\"}\n",
			      control_refusal_message(refusal));

	send(fd, message, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void pause_listener(struct control_listener *listener)
{
	log_warning("control", "%s: no client can be accepted: %s",
		    listener->path, strerror(errno));
	listener->paused = true;
	loop_change(listener->control->loop, &listener->watch, 0);
}

static void on_client(struct watch *watch, uint32_t events)
{
	struct control_listener *listener =
		(struct control_listener *)(void *)watch;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	enum control_refusal refusal;
	uid_t user;

	(void)events;
	if (fd < 0) {
		/* Out of descriptors or memory: the backlog would keep the
		 * loop spinning. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			pause_listener(listener);
		return;
	}
	user = control_user(fd);
	refusal = control_may_enter(listener, user);
	if (refusal != CONTROL_ALLOWED) {
		turn_away(fd, refusal);
	} else if (control_client_add(listener, fd, user)) {
		listener->control->stats.refused[CONTROL_MEMORY]++;
		log_warning("control", "%s: a client was lost: no memory",
			    listener->path);
	}
}

/* --- life ---------------------------------------------------------------- */

static const char *reason(int err)
{
	switch (-err) {
	case EADDRINUSE:
		return "another daemon answers there";
	case ENOTSOCK:
		return "the file exists and is no socket";
	default:
		return strerror(-err);
	}
}

static int open_listener(struct control *control, int kind, const char *path,
			 char *error, size_t error_size)
{
	struct control_listener *listener = &control->listeners[kind];
	int fd = listen_at(path, kinds[kind].group, &listener->group_err);
	int err = fd;

	if (fd >= 0) {
		snprintf(listener->path, sizeof(listener->path), "%s", path);
		listener->watch.fd = fd;
		err = loop_add(control->loop, &listener->watch, EPOLLIN);
	}
	if (err)
		snprintf(error, error_size, "%s: socket %s: %s",
			 kinds[kind].key, path, reason(err));
	return err;
}

static struct control *new_control(struct loop *loop)
{
	struct control *control = calloc(1, sizeof(*control));

	if (!control)
		return NULL;
	control->loop = loop;
	for (int i = 0; i < CONTROL_LISTENERS; i++) {
		control->listeners[i].control = control;
		control->listeners[i].read_only = kinds[i].read_only;
		control->listeners[i].watch.fd = -1;
		control->listeners[i].watch.handler = on_client;
	}
	return control;
}

struct control *control_open(struct loop *loop, const char *path,
			     const char *read_path, char *error,
			     size_t error_size)
{
	struct control *control = new_control(loop);
	int err;

	if (!control) {
		snprintf(error, error_size, "control: no memory");
		return NULL;
	}
	err = open_listener(control, CONTROL_FULL, path, error, error_size);
	if (!err)
		err = open_listener(control, CONTROL_READ, read_path, error,
				    error_size);
	if (err) {
		control_close(control);
		errno = -err;
		return NULL;
	}
	return control;
}

/* Told when the daemon serves: a start that fails has one message only. */
static void warn_of_groups(const struct control *control)
{
	char text[512] = "";
	size_t length = 0;

	for (int i = 0; i < CONTROL_LISTENERS && length < sizeof(text); i++) {
		int err = control->listeners[i].group_err;
		bool none = err == -ENOENT;

		if (err)
			length += (size_t)snprintf(
				text + length, sizeof(text) - length,
				"%s%s (%sgroup %s%s%s)", length ? " and " : "",
				control->listeners[i].path, none ? "no " : "",
				kinds[i].group, none ? "" : ": ",
				none ? "" : strerror(-err));
	}
	if (length)
		log_warning("control", "only root can use %s", text);
}

void control_set_gateway(struct control *control, struct gateway *gateway)
{
	control->gateway = gateway;
	if (gateway)
		warn_of_groups(control);
}

static void tick_listener(struct control_listener *listener, uint64_t now_ms)
{
	struct control_client *next;

	for (struct control_client *client = listener->clients; client;
	     client = next) {
		next = client->next;
		if (control_overdue(client, control_client_answering(client),
				    now_ms))
			control_client_close(client);
	}
	if (listener->paused) {
		listener->paused = false;
		loop_change(listener->control->loop, &listener->watch, EPOLLIN);
	}
}

void control_tick(struct control *control)
{
	uint64_t now_ms = loop_now_ms(control->loop);

	for (int i = 0; i < CONTROL_LISTENERS; i++)
		tick_listener(&control->listeners[i], now_ms);
}

static void close_listener(struct control_listener *listener)
{
	while (listener->clients)
		control_client_close(listener->clients);
	if (listener->watch.fd < 0)
		return;
	loop_remove(listener->control->loop, &listener->watch);
	close(listener->watch.fd);
	if (!listener->control->leaves_files)
		unlink(listener->path);
}

void control_leave_files(struct control *control)
{
	control->leaves_files = true;
}

void control_close(struct control *control)
{
	if (!control)
		return;
	for (int i = 0; i < CONTROL_LISTENERS; i++)
		close_listener(&control->listeners[i]);
	free(control);
}
