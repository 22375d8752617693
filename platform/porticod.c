/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon's main(): options, lock, signals, and the order of life.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "config.h"
#include "control.h"
#include "files.h"
#include "gateway.h"
#include "guard.h"
#include "helper.h"
#include "lock.h"
#include "log.h"
#include "loop.h"
#include "mains.h"
#include "notify.h"
#include "priority.h"
#include "sandbox.h"
#include "selftest.h"
#include "spec.h"
#include "views.h"

enum { EXIT_OK = 0, EXIT_BAD = 1, EXIT_USAGE = 2 };

struct options {
	const char *config; /* NULL: the default file, if it exists */
	bool foreground;
	bool check;
	bool self_test;
	bool remove_guard;
};

struct daemon {
	struct loop *loop;
	struct helper *helper;
	struct control *control;
	struct gateway *gateway;
	const struct config *config; /* at the start */
	struct watch signals;
	struct watch second;
	bool leaves; /* for the next daemon, which finds all as it is */
	int lock;
	int ready; /* pipe to the waiting parent, -1: none */
};

static const char usage[] =
	"Usage: porticod [OPTION]...\n"
	"The daemon of the Portico NAT gateway.\n\n"
	"  -c, --config FILE   read FILE instead of " CONFIG_DEFAULT_FILE "\n"
	"  -f, --foreground    do not go into the background\n"
	"      --check-config  check the configuration and exit\n"
	"      --self-test     run the engine's test vectors and exit\n"
	"      --remove-guard  remove every rule of Portico, the guard\n"
	"                      included, and exit\n"
	"  -V, --version       print the version and exit\n"
	"  -h, --help          print this and exit\n";

/* Returns -1 to go on, else an exit status. */
static int parse_options(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "check-config", no_argument, NULL, 'k' },
		{ "self-test", no_argument, NULL, 't' },
		{ "remove-guard", no_argument, NULL, 'g' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "c:fVh", table, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config = optarg;
			break;
		case 'f':
			options->foreground = true;
			break;
		case 'k':
			options->check = true;
			break;
		case 't':
			options->self_test = true;
			break;
		case 'g':
			options->remove_guard = true;
			break;
		case 'V':
			puts("porticod " PORTICO_VERSION);
			return EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return EXIT_OK;
		default:
			fputs("Try 'porticod --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "porticod: unexpected argument '%s'\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

/* A missing default file means automatic mode; a missing named file is an
 * error that config_load() reports. */
static const char *config_path(const struct options *options)
{
	return options->config ? options->config : config_default_file();
}

/* What reads well may still be nothing to start from, here. */
static struct config *check_here(struct config *config, char *error,
				 size_t error_size)
{
	int err = config ? spec_check(config) : 0;

	if (!err)
		return config;
	snprintf(error, error_size, "%s", spec_error(err));
	config_free(config);
	return NULL;
}

/* By its absolute path: a reload comes from another directory. */
static struct config *load_config(const struct options *options)
{
	char error[512];
	const char *path = config_path(options);
	char *absolute = path && path[0] != '/' ? realpath(path, NULL) : NULL;
	struct config *config = config_load(absolute ? absolute : path,
					    config_memory_total(), error,
					    sizeof(error));

	free(absolute);
	config = check_here(config, error, sizeof(error));
	if (!config)
		fprintf(stderr, "porticod: %s\n", error);
	for (size_t i = 0; config && i < config->warnings_count; i++)
		log_warning("config", "%s", config->warnings[i]);
	return config;
}

static int check_config(const struct options *options)
{
	struct config *config = load_config(options);

	if (!config)
		return EXIT_BAD;
	printf("%s: good\n", config->path ? config->path : "automatic mode");
	config_free(config);
	return EXIT_OK;
}

/* --- background --------------------------------------------------------- */

/* The parent waits until the child serves, so that whoever started us knows.
 * Returns the pipe's end in the child; the parent never returns. */
static int go_background(void)
{
	int ends[2];
	char byte;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	child = fork();
	if (child < 0)
		return -1;
	if (child > 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 1 ? EXIT_OK : EXIT_BAD);
	}
	close(ends[0]);
	setsid();
	return ends[1];
}

/* The terminal's or the caller's directory may go: nothing of either is kept.
 * What the configuration names are absolute paths. null: opened while there was
 * a file system; the helper did the same for itself. */
static void leave_terminal(struct helper *helper, int null, int ready)
{
	helper_serve_log(helper);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		if (null > STDERR_FILENO)
			close(null);
	}
	if (write(ready, "r", 1) != 1)
		log_warning("daemon", "the starting process is gone");
	close(ready);
}

/* --- signals and time --------------------------------------------------- */

static void reload(struct daemon *d)
{
	char error[512];

	notify_reloading();
	if (gateway_reload(d->gateway, error, sizeof(error)))
		log_error("config", "not reloaded: %s", error);
	else
		log_info("config", "reloaded");
	notify_ready();
}

static void on_signal(struct watch *watch, uint32_t events)
{
	struct daemon *d =
		(void *)((char *)watch - offsetof(struct daemon, signals));
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		reload(d);
		return;
	}
	d->leaves = info.ssi_signo == SIGUSR1;
	loop_stop(d->loop);
}

static int watch_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	d->signals.handler = on_signal;
	d->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signals.fd < 0)
		return -errno;
	return loop_add(d->loop, &d->signals, EPOLLIN);
}

static void on_second(struct watch *watch, uint32_t events)
{
	struct daemon *d =
		(void *)((char *)watch - offsetof(struct daemon, second));
	uint64_t times;

	(void)events;
	if (read(watch->fd, &times, sizeof(times)) == sizeof(times))
		control_tick(d->control);
}

static int watch_seconds(struct daemon *d)
{
	const struct itimerspec every = { { 1, 0 }, { 1, 0 } };

	d->second.handler = on_second;
	d->second.fd =
		timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (d->second.fd < 0 ||
	    timerfd_settime(d->second.fd, 0, &every, NULL) < 0)
		return -errno;
	return loop_add(d->loop, &d->second, EPOLLIN);
}

/* --- life --------------------------------------------------------------- */

/* It was read at the start, with rights that the helper has no more. */
static void try_config(const char *path)
{
	int fd = path ? files_open(path) : -1;

	if (fd >= 0)
		close(fd);
	else if (path)
		log_warning("config",
			    "%s: no reload will be able to read it: %s (root "
			    "may, as its owner or by its mode)",
			    path, strerror(-fd));
}

/* What the daemon needs of the machine is open, and no packet was looked at
 * yet: from here on neither process can do more than it will have to. */
static int lock_in(void *context, char *error, size_t size)
{
	struct daemon *d = context;
	char missing[512] = "";
	int result, helpers;

	if (d->ready >= 0 && chdir("/"))
		log_warning("daemon", "chdir: %s", strerror(errno));
	notify_keep();
	views_prepare();
	helper_serve_files(d->helper);
	helper_ask_names(d->helper);
	if (d->config->sandbox == CONFIG_SANDBOX_OFF)
		return helper_settle(d->helper, d->ready >= 0, error, size);
	result = sandbox_enter(SANDBOX_PACKETS, d->config->control, missing,
			       sizeof(missing));
	if (result > 0 && d->config->sandbox == CONFIG_SANDBOX_REQUIRE)
		result = -EPERM;
	if (result > 0)
		log_warning("sandbox", "not everything can be had here: %s",
			    missing);
	helpers = result < 0 ? 0 :
			       helper_settle(d->helper, d->ready >= 0, missing,
					     sizeof(missing));
	if (helpers > 0 && d->config->sandbox == CONFIG_SANDBOX_REQUIRE)
		helpers = -EPERM;
	if (helpers > 0)
		log_warning("sandbox",
			    "the helper: not everything can be had "
			    "here: %s",
			    missing);
	if (result < 0 || helpers < 0)
		snprintf(error, size, "sandbox%s: %s",
			 result < 0 ? "" : ", the helper's", missing);
	else
		try_config(d->config->path);
	return result < 0 ? result : helpers < 0 ? helpers : 0;
}

static int open_daemon(struct daemon *d, struct config *config)
{
	char error[512];
	int err;

	d->loop = loop_new();
	err = d->loop ? watch_signals(d) : -errno;
	if (!err)
		err = watch_seconds(d);
	if (err) {
		fprintf(stderr, "porticod: event loop: %s\n", strerror(-err));
		config_free(config);
		return err;
	}
	d->control = control_open(d->loop, config->control,
				  config->control_read, error, sizeof(error));
	if (!d->control) {
		fprintf(stderr, "porticod: %s\n", error);
		config_free(config);
		return -EIO;
	}
	d->config = config;
	d->gateway = gateway_open(d->loop, config, d->helper, lock_in, d, error,
				  sizeof(error));
	if (!d->gateway) {
		fprintf(stderr, "porticod: %s\n", error);
		return -EIO;
	}
	control_set_gateway(d->control, d->gateway);
	return 0;
}

static void close_daemon(struct daemon *d)
{
	if (d->control) {
		control_leave_files(d->control);
		control_close(d->control);
	}
	/* The guard before all that could wait. */
	if (d->gateway)
		gateway_close(d->gateway);
	if (d->control)
		helper_unlink_control(d->helper);
	if (d->signals.fd >= 0)
		close(d->signals.fd);
	if (d->second.fd >= 0)
		close(d->second.fd);
	/* The last of us to say a word, and the lock after it. */
	helper_stop(d->helper);
	if (d->loop)
		loop_free(d->loop);
	close(d->lock);
}

/* As if killed, but that every packet that was read is judged and the table is
 * known to be whole. */
static void leave(struct daemon *d)
{
	log_info("daemon", "leaving all to the next porticod");
	gateway_leave(d->gateway);
	_exit(EXIT_OK);
}

static int serve(struct daemon *d, struct config *config)
{
	int null = d->ready < 0 ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
	int err = open_daemon(d, config);

	if (!err) {
		log_info("daemon", "porticod " PORTICO_VERSION " serves");
		if (d->ready >= 0)
			leave_terminal(d->helper, null, d->ready);
		notify_ready();
		err = loop_run(d->loop);
		if (!err && d->leaves)
			leave(d);
		if (err)
			log_error("daemon", "event loop: %s", strerror(-err));
		notify_stopping();
		log_info("daemon", "stopping");
		if (gateway_failed(d->gateway))
			err = -EPIPE;
	}
	close_daemon(d);
	return err ? EXIT_BAD : EXIT_OK;
}

static int run(const struct options *options)
{
	struct daemon d = { .signals.fd = -1, .second.fd = -1, .ready = -1 };
	struct config *config = load_config(options);

	if (!config)
		return EXIT_BAD;
	/* The configuration may have been one. */
	notify_close_others();
	log_open_terminal();
	if (!options->foreground) {
		d.ready = go_background();
		if (d.ready < 0) {
			perror("porticod: background");
			config_free(config);
			return EXIT_BAD;
		}
	}
	/* Before the lock and all else that it must not hold: it may outlive a
	 * daemon that is killed by a moment. */
	d.helper = helper_start(config);
	if (!d.helper) {
		perror("porticod: helper");
		config_free(config);
		return EXIT_BAD;
	}
	priority_raise(config->queue.nice);
	d.lock = lock_take();
	if (d.lock < 0) {
		helper_stop(d.helper);
		config_free(config);
		return EXIT_BAD;
	}
	return serve(&d, config);
}

/* Else a socket of ours could take the place of one that is closed, and what
 * is written there or put there later would hit it. */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int porticod_main(int argc, char **argv)
{
	struct options options = { 0 };
	int status;

	open_standard();
	notify_take_stored();
	status = parse_options(argc, argv, &options);

	if (status >= 0)
		return status;
	if (options.self_test)
		return selftest_run() ? EXIT_BAD : EXIT_OK;
	if (options.check)
		return check_config(&options);
	if (options.remove_guard)
		return guard_remove(config_path(&options)) ? EXIT_BAD : EXIT_OK;
	return run(&options);
}
