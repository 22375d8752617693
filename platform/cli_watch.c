/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * watch: what happens, a line each, of looks at the daemon now and then. It is
 * ended by a signal, or by a reader that goes away: both are its usual end, so
 * the exit status is 0.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "cli.h"
#include "loop.h"
#include "text.h"
#include "watch.h"

#define INTERVAL_S 1
/* Room for any line; a pipe takes so much at once or not at all (PIPE_BUF). */
#define LINE_BYTES 4096

struct watcher {
	struct cli request;
	struct cli_pace pace;
	struct watch *watch;
	bool gone; /* no daemon answered the last look */
	bool odd; /* what answered it gave no mappings */
};

/* --- the end ------------------------------------------------------------- */

/* Lines are written whole, so that none is cut. */
static void leave(int number)
{
	(void)number;
	_exit(CLI_OK);
}

/* What is ignored for a job in the background stays so. */
static void leave_by(int number, bool always)
{
	const struct sigaction action = { .sa_handler = leave };
	struct sigaction old;

	if (always ||
	    (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN))
		sigaction(number, &action, NULL);
}

/* False: nobody reads any more. */
static bool pause_for(unsigned seconds)
{
	struct pollfd reader = { .fd = STDOUT_FILENO };

	return poll(&reader, 1, (int)seconds * 1000) <= 0;
}

/* --- looks --------------------------------------------------------------- */

static void tell(void *context, struct json_object *event)
{
	const struct watcher *watcher = context;

	if (watcher->request.json) {
		cli_print_json(event);
		return;
	}
	text_watch(event, stdout);
	json_object_put(event);
}

/* Asks for the status, then for the mappings, to which the filters belong. */
static enum cli_exit take(const struct cli *cli, bool quiet,
			  struct watch_look *look, struct buffer *line)
{
	struct cli status = { .command = "status",
			      .socket = cli->socket,
			      .json = cli->json };
	struct cli mappings = *cli;
	enum cli_exit code;

	mappings.command = "mappings";
	look->asked_ms = loop_clock_ms();
	code = quiet ? cli_ask(&status, true, &look->status) :
		       cli_fetch(&status, &look->status);
	if (!code)
		code = cli_fetch_text(&mappings, quiet, line);
	look->mappings = line->data;
	look->came_ms = loop_clock_ms();
	look->time_s = (int64_t)time(NULL);
	return code;
}

/* Where a better answer is waited for, a wrong one is said once. */
static enum cli_exit fail(struct watcher *watcher, int err)
{
	bool said = watcher->odd;

	watcher->odd = err == -EBADMSG;
	if (!watcher->odd)
		return cli_fail(CLI_FAILED, "no memory");
	if (!said)
		cli_fail(CLI_FAILED,
			 "the daemon's answer is no list of mappings");
	return CLI_FAILED;
}

static enum cli_exit look_once(struct watcher *watcher)
{
	const struct cli *cli = &watcher->request;
	struct watch_look look = { 0 };
	struct buffer line = { 0 };
	struct names *names = NULL;
	/* Only at a terminal is a daemon that is gone asked again, which is said
	 * once; that it may not be asked is always said. */
	enum cli_exit code = take(cli, watcher->gone, &look, &line);
	int err = 0;

	if (!code) {
		look.names = names = names_load();
		err = watch_look(watcher->watch, &look);
	} else if (code == CLI_NO_DAEMON) {
		err = watch_gone(watcher->watch, look.time_s);
	} else if (code == CLI_NO_PERMISSION && watcher->gone) {
		cli_fail(code, "no permission to ask the daemon");
	}
	watcher->gone = code == CLI_NO_DAEMON;
	names_free(names);
	json_object_put(look.status);
	buffer_free(&line);
	if (err)
		return fail(watcher, err);
	watcher->odd = false;
	return code;
}

static enum cli_exit watch(struct watcher *watcher)
{
	const struct cli_pace *pace = &watcher->pace;
	enum cli_exit code = look_once(watcher);
	unsigned done = 0;

	while (!code && !ferror(stdout) &&
	       (!pace->count || done++ < pace->count) &&
	       pause_for(pace->interval_s))
		code = cli_go_on(pace, look_once(watcher));
	return code;
}

enum cli_exit cli_watch(const struct cli *cli)
{
	struct watcher watcher = { .request = *cli };
	enum cli_exit code = cli_read_pace(cli, INTERVAL_S, &watcher.pace);
	static char lines[LINE_BYTES];
	bool filtered = false;

	if (code)
		return code;
	for (int key = 0; key < FILTER_KEYS; key++)
		filtered = filtered || cli->filters[key];
	setvbuf(stdout, lines, _IOLBF, sizeof(lines));
	leave_by(SIGINT, false);
	leave_by(SIGTERM, false);
	leave_by(SIGHUP, false);
	leave_by(SIGPIPE, true);
	watcher.watch = watch_new(!filtered, tell, &watcher);
	if (!watcher.watch)
		return cli_fail(CLI_FAILED, "no memory");
	code = watch(&watcher);
	watch_free(watcher.watch);
	return code;
}
