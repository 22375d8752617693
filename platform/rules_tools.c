/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs nft and the iptables programs, and makes their complaints one line.
 */
#include "rules_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process.h"

#define COMPLAINT_MAX 1024

/* The flavours' programs by their full names. */
static const char *const restore_names[RULES_BACKENDS] = {
	[RULES_IPTABLES_NFT] = "iptables-nft-restore",
	[RULES_IPTABLES_LEGACY] = "iptables-legacy-restore",
};

static const char *const save_names[RULES_BACKENDS] = {
	[RULES_IPTABLES_NFT] = "iptables-nft-save",
	[RULES_IPTABLES_LEGACY] = "iptables-legacy-save",
};

int rules_say(int result, char *error, size_t error_size)
{
	if (result && !error[0])
		snprintf(error, error_size, "%s", strerror(-result));
	return result;
}

/* The first line that says something: nft adds a copy of the rule, iptables
 * its advice. */
static void first_line(char *text)
{
	text[strcspn(text, "\n")] = '\0';
}

/* The kernel was not even asked. */
static bool is_locked(const char *complaint)
{
	return strstr(complaint, "xtables lock") ||
	       strstr(complaint, "xtables.lock");
}

static int describe(const char *program, int result, char *complaint,
		    char *error, size_t error_size)
{
	first_line(complaint);
	if (!result)
		return 0;
	if (result == -ENOENT)
		snprintf(error, error_size, "%s is not installed", program);
	else if (result < 0)
		snprintf(error, error_size, "%s: %s", program,
			 strerror(-result));
	else
		snprintf(error, error_size, "%s: %s", program,
			 complaint[0] ? complaint : "failed without a word");
	return result < 0 ? result : is_locked(complaint) ? -EAGAIN : -EIO;
}

static int run(const char *const argv[], const char *input, char *output,
	       size_t output_size, int timeout_ms, char *error,
	       size_t error_size)
{
	char complaint[COMPLAINT_MAX] = "";
	int result;

	result = process_run(argv, input, output, output_size, complaint,
			     sizeof(complaint), timeout_ms);
	return describe(argv[0], result, complaint, error, error_size);
}

/* Whether the programs without a flavour in their name are of this one;
 * before 1.8 there was only what is now called legacy. */
static bool plain_is(enum rules_backend backend)
{
	const char *const argv[] = { "iptables", "--version", NULL };
	char version[64];
	bool nft;

	if (process_run(argv, NULL, version, sizeof(version), NULL, 0,
			RULES_LOOK_TIMEOUT_MS))
		return false;
	nft = strstr(version, "nf_tables");
	return nft == (backend == RULES_IPTABLES_NFT);
}

/* Runs argv, or where the flavour's name is missing the plain one. */
static int run_flavour(enum rules_backend backend, const char *plain,
		       const char *argv[], const char *input, char *output,
		       size_t output_size, int timeout_ms, char *error,
		       size_t error_size)
{
	int result;

	result = run(argv, input, output, output_size, timeout_ms, error,
		     error_size);
	if (result != -ENOENT || !plain_is(backend))
		return result;
	argv[0] = plain;
	return run(argv, input, output, output_size, timeout_ms, error,
		   error_size);
}

int rules_run_nft(const char *text, bool check, char *error, size_t error_size)
{
	const char *const load[] = { "nft", "-f", "-", NULL };
	const char *const try[] = { "nft", "-c", "-f", "-", NULL };

	return run(check ? try : load, text, NULL, 0, RULES_TIMEOUT_MS, error,
		   error_size);
}

int rules_run_restore(enum rules_backend backend, const char *text, char *error,
		      size_t error_size)
{
	const char *argv[] = { restore_names[backend], "--noflush", "--wait=5",
			       NULL };

	return run_flavour(backend, "iptables-restore", argv, text, NULL, 0,
			   RULES_TIMEOUT_MS, error, error_size);
}

int rules_run_save(enum rules_backend backend, char **text, int timeout_ms,
		   char *error, size_t error_size)
{
	const char *argv[] = { save_names[backend], NULL };
	int result;

	*text = malloc(RULES_LISTING_MAX);
	if (!*text)
		return -ENOMEM;
	result = run_flavour(backend, "iptables-save", argv, NULL, *text,
			     RULES_LISTING_MAX, timeout_ms, error, error_size);
	if (result) {
		free(*text);
		*text = NULL;
	}
	return result;
}

int rules_run_list(char **text, int timeout_ms, char *error, size_t error_size)
{
	/* Terse: what is in sets may be much, and nobody asks for it. */
	const char *const argv[] = {
		"nft", "-j", "-t", "list", "ruleset", NULL
	};
	int result;

	*text = malloc(RULES_LISTING_MAX);
	if (!*text)
		return -ENOMEM;
	result = run(argv, NULL, *text, RULES_LISTING_MAX, timeout_ms, error,
		     error_size);
	if (result) {
		free(*text);
		*text = NULL;
	}
	return result;
}
