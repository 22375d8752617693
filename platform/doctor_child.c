/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The examination in a child process: nft and iptables-save may take long on a
 * host with many rules, and a packet must not wait for them. The child closes
 * every descriptor but its pipe, so that it holds neither queue nor lock.
 *
 * One line per finding, "LEVEL\tTEXT\tREMEDY", then one with "PASSED_BY\tTEXT"
 * and one with "END".
 */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "process.h"

#define PASSED_BY "PASSED_BY"
#define END "END\n"
#define REPORT_MAX (1U << 20)
/* The child's life at most, in seconds: then SIGALRM ends it. */
#define LIFE_S 60

/* --- the child ----------------------------------------------------------- */

static void write_field(const char *text, FILE *out)
{
	for (; text && *text; text++)
		fputc(*text == '\t' || *text == '\n' ? ' ' : *text, out);
}

static void write_report(const struct doctor_report *report, FILE *out)
{
	for (size_t i = 0; i < report->count; i++) {
		fprintf(out, "%d\t", (int)report->findings[i].level);
		write_field(report->findings[i].text, out);
		fputc('\t', out);
		write_field(report->findings[i].remedy, out);
		fputc('\n', out);
	}
	fputs(PASSED_BY "\t", out);
	write_field(report->passed_by, out);
	fputs("\n" END, out);
}

/* dup3() puts the pipe on 3; when it lies there already that is EINVAL, and
 * right. */
static int examine_and_write(const struct doctor_context *context, int fd)
{
	struct doctor_report report;
	sigset_t none;
	FILE *out;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGALRM, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	alarm(LIFE_S);
	/* With who asked. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fd != 3 && dup3(fd, 3, O_CLOEXEC) < 0)
		return 1;
	process_close_from(4);
	out = fdopen(3, "w");
	if (!out || doctor_examine(context, &report))
		return 1;
	write_report(&report, out);
	doctor_report_free(&report);
	return fclose(out) ? 1 : 0;
}

int doctor_begin(const struct doctor_context *context, pid_t *child)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	*child = fork();
	if (!*child)
		_exit(examine_and_write(context, ends[1]));
	if (*child < 0) {
		int result = -errno;

		close(ends[0]);
		close(ends[1]);
		return result;
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return ends[0];
}

/* --- the caller ---------------------------------------------------------- */

/* Appends what is there. 0 at the end, else bytes, or -errno. */
static ssize_t take(int fd, char **text)
{
	size_t old = *text ? strlen(*text) : 0;
	char piece[4096], *grown;
	ssize_t count = read(fd, piece, sizeof(piece));

	if (count < 0)
		return -errno;
	if (old + (size_t)count > REPORT_MAX)
		return -EMSGSIZE;
	grown = realloc(*text, old + (size_t)count + 1);
	if (!grown)
		return -ENOMEM;
	memcpy(grown + old, piece, (size_t)count);
	grown[old + (size_t)count] = '\0';
	*text = grown;
	return count;
}

/* One line without its newline; writes into it. */
static int parse_line(char *line, struct doctor_report *report)
{
	char *level = strsep(&line, "\t");
	char *text = strsep(&line, "\t");
	int value = atoi(level);

	if (text && !strcmp(level, PASSED_BY)) {
		snprintf(report->passed_by, sizeof(report->passed_by), "%s",
			 text);
		return 0;
	}
	if (!text || !line || value < DOCTOR_OK || value > DOCTOR_FAIL)
		return -EBADMSG;
	return doctor_add(report, (enum doctor_level)value, *line ? line : NULL,
			  "%s", text);
}

static int parse(char *text, struct doctor_report *report)
{
	size_t length = strlen(text);
	int result = 0;
	char *line;

	memset(report, 0, sizeof(*report));
	if (length < strlen(END) || strcmp(text + length - strlen(END), END))
		return -EPIPE; /* it died on the way */
	text[length - strlen(END)] = '\0';
	while (!result && (line = strsep(&text, "\n")))
		if (*line)
			result = parse_line(line, report);
	if (result)
		doctor_report_free(report);
	return result;
}

int doctor_continue(int fd, char **text, struct doctor_report *report)
{
	ssize_t count = take(fd, text);
	int result;

	if (count > 0 || count == -EAGAIN || count == -EINTR)
		return 0;
	result = count < 0 ? (int)count : *text ? parse(*text, report) : -EPIPE;
	return result ? result : 1;
}
