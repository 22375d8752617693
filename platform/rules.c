/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Renders the ruleset, puts rules in force and takes them away. Only what is
 * ours is ever touched: the nftables table `ip portico`, the iptables chains
 * PORTICO-* and the jumps to them.
 */
#include "rules_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "letters.h"
#include "log.h"

#define SENTENCE_MAX 512

static const struct rules_features every_feature = {
	.reassembly = true,
	.quotes = true,
};
static const struct rules_features no_feature;

/* --- text ---------------------------------------------------------------- */

static int stream_result(FILE *out)
{
	return fflush(out) || ferror(out) ? -EIO : 0;
}

int rules_render(const struct rules_spec *spec, enum rules_backend backend,
		 FILE *out)
{
	int result = rules_check(spec);

	if (result)
		return result;
	if (backend == RULES_NFTABLES) {
		rules_nft(spec, &every_feature, false, out);
		return stream_result(out);
	}
	for (int table = 0; table < RULES_TABLES; table++)
		rules_iptables(spec, &every_feature, (enum rules_table)table,
			       NULL, out);
	return stream_result(out);
}

int rules_render_guard(const struct rules_spec *spec,
		       enum rules_backend backend, FILE *out)
{
	int result = rules_check(spec);

	if (result)
		return result;
	if (backend == RULES_NFTABLES)
		rules_nft_guard(spec, out);
	else
		rules_iptables_guard(spec, NULL, out);
	return stream_result(out);
}

/* A text under construction; text is the caller's to free after closing. */
struct draft {
	FILE *out;
	char *text;
	size_t length;
};

static int draft_open(struct draft *draft)
{
	draft->text = NULL;
	draft->out = open_memstream(&draft->text, &draft->length);
	return draft->out ? 0 : -errno;
}

static int draft_close(struct draft *draft)
{
	bool bad = ferror(draft->out);

	/* glibc closes well, without a text, when it cannot shrink it. */
	return fclose(draft->out) || bad || !draft->text ? -ENOMEM : 0;
}

/* --- putting in force ---------------------------------------------------- */

/* Renders into a text to be freed. features NULL: the guard alone. */
static int nft_text(const struct rules_spec *spec,
		    const struct rules_features *features, bool keep_chains,
		    char **text)
{
	struct draft draft;
	int result = draft_open(&draft);

	if (result)
		return result;
	if (features)
		rules_nft(spec, features, keep_chains, draft.out);
	else
		rules_nft_guard(spec, draft.out);
	result = draft_close(&draft);
	*text = draft.text;
	return result;
}

static int load_nft(const struct rules_spec *spec,
		    const struct rules_features *features, bool keep_chains,
		    char *error, size_t error_size)
{
	char *text = NULL;
	int result = nft_text(spec, features, keep_chains, &text);

	if (!result)
		result = rules_run_nft(text, false, error, error_size);
	free(text);
	return result;
}

/* A base chain that is to go takes its hook along in any case. */
static bool may_keep_chains(const struct rules_spec *spec)
{
	return rules_look_chain("raw_in") &&
	       (spec->mss_clamp || !rules_look_chain("mss")) &&
	       (spec->fallback_kernel || !rules_look_chain("fallback"));
}

/* Refused where another version's table is there: other sets, other hooks. */
static int apply_nft(const struct rules_spec *spec,
		     const struct rules_features *features, char *error,
		     size_t error_size)
{
	int result = -EIO;

	if (features && may_keep_chains(spec))
		result = load_nft(spec, features, true, error, error_size);
	if (result == -EIO)
		result = load_nft(spec, features, false, error, error_size);
	return result;
}

static void iptables_table(const struct rules_spec *spec,
			   const struct rules_features *features,
			   enum rules_table table, const char *first, FILE *out)
{
	if (features)
		rules_iptables(spec, features, table, first, out);
	else if (table == RULES_MANGLE)
		rules_iptables_guard(spec, first, out);
}

/* The new text of one table, which also says what it declares. */
static int table_text(const struct rules_spec *spec,
		      const struct rules_features *features,
		      enum rules_table table, const char *first, char **text)
{
	struct draft draft;
	int result = draft_open(&draft);

	if (result)
		return result;
	iptables_table(spec, features, table, first, draft.out);
	result = draft_close(&draft);
	*text = draft.text;
	return result;
}

/* The lines that take away what save shows of ours in a table. */
static int undo_text(const char *save, enum rules_table table, const char *keep,
		     char **text, size_t *lines)
{
	struct draft draft;
	int result = draft_open(&draft);

	if (result)
		return result;
	*lines = rules_iptables_undo(save, rules_table_name(table), keep,
				     draft.out);
	result = draft_close(&draft);
	*text = draft.text;
	return result;
}

/* Takes one table's part of ours away, for good. */
static int remove_table(enum rules_backend backend, const char *save,
			enum rules_table table, char *error, size_t error_size)
{
	char *undo = NULL, *text = NULL;
	size_t lines = 0;
	int result = undo_text(save, table, NULL, &undo, &lines);

	if (!result && lines &&
	    asprintf(&text, "*%s\n%sCOMMIT\n", rules_table_name(table), undo) <
		    0) {
		text = NULL;
		result = -ENOMEM;
	}
	if (!result && lines)
		result = rules_run_restore(backend, text, error, error_size);
	free(undo);
	free(text);
	return result;
}

static int apply_table(const struct rules_spec *spec,
		       const struct rules_features *features,
		       enum rules_backend backend, const char *save,
		       enum rules_table table, char *error, size_t error_size)
{
	char *plain = NULL, *undo = NULL, *text = NULL;
	size_t lines = 0;
	int result;

	if (!features && table != RULES_MANGLE)
		return remove_table(backend, save, table, error, error_size);
	result = table_text(spec, features, table, NULL, &plain);
	if (!result)
		result = undo_text(save, table, plain, &undo, &lines);
	if (!result)
		result = table_text(spec, features, table, undo, &text);
	if (!result)
		result = rules_run_restore(backend, text, error, error_size);
	free(plain);
	free(undo);
	free(text);
	return result;
}

static int apply_iptables(const struct rules_spec *spec,
			  const struct rules_features *features,
			  enum rules_backend backend, char *error,
			  size_t error_size)
{
	char *save;
	int result = rules_run_save(backend, &save, RULES_LOOK_TIMEOUT_MS,
				    error, error_size);

	for (int table = 0; !result && table < RULES_TABLES; table++)
		result = apply_table(spec, features, backend, save,
				     (enum rules_table)table, error,
				     error_size);
	free(save);
	return result;
}

static int apply_once(const struct rules_spec *spec,
		      const struct rules_features *features,
		      enum rules_backend backend, char *error,
		      size_t error_size)
{
	error[0] = '\0';
	if (backend == RULES_NFTABLES)
		return apply_nft(spec, features, error, error_size);
	return apply_iptables(spec, features, backend, error, error_size);
}

/* For whose lock the program waited in vain may be done the next time; and what
 * iptables is to take away somebody may have taken since we looked. */
static int apply(const struct rules_spec *spec,
		 const struct rules_features *features,
		 enum rules_backend backend, char *error, size_t error_size)
{
	int result = apply_once(spec, features, backend, error, error_size);

	if (result == -EAGAIN || (result == -EIO && backend != RULES_NFTABLES))
		result = apply_once(spec, features, backend, error, error_size);
	return rules_say(result, error, error_size);
}

/* --- taking away --------------------------------------------------------- */

/* What the programs say where the kernel has no such tables or nothing in
 * them: then there is nothing of ours. All else may hide rules. */
static bool says_nothing_there(const char *sentence)
{
	static const char *const words[] = {
		"No such file or directory",
		"cache initialization failed: Invalid argument",
		"No chain/target/match by that name",
		"does not exist",
		"Operation not supported",
		"Protocol not supported",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(sentence, words[i]))
			return true;
	return false;
}

/* Nothing is ours where nft is not installed or the kernel has no nftables. */
static int remove_nft(char *error, size_t error_size)
{
	static const char take[] = "table ip portico\n"
				   "delete table ip portico\n";
	int result = rules_run_nft(take, false, error, error_size);

	if (result == -EIO && says_nothing_there(error))
		result = 0;
	return result == -ENOENT ? 0 : result;
}

/* raw before mangle: nothing is untracked any more when the guard goes. */
static int remove_iptables(enum rules_backend backend, char *error,
			   size_t error_size)
{
	char *save;
	int result = rules_run_save(backend, &save, RULES_LOOK_TIMEOUT_MS,
				    error, error_size);

	if (result == -ENOENT || (result == -EIO && says_nothing_there(error)))
		return 0;
	if (result)
		return result;
	for (int table = RULES_TABLES - 1; !result && table >= 0; table--)
		result = remove_table(backend, save, (enum rules_table)table,
				      error, error_size);
	free(save);
	return result;
}

static int remove_backend(enum rules_backend backend, char *error,
			  size_t error_size)
{
	int result;

	error[0] = '\0';
	if (backend == RULES_NFTABLES)
		result = remove_nft(error, error_size);
	else
		result = remove_iptables(backend, error, error_size);
	return rules_say(result, error, error_size);
}

/* Of all backends but this number. */
static int remove_all_but(int kept, char *error, size_t error_size)
{
	char why[SENTENCE_MAX];
	int result = 0;

	for (int i = 0; i < RULES_BACKENDS; i++) {
		enum rules_backend backend = (enum rules_backend)i;
		int one = i == kept ? 0 :
				      remove_backend(backend, why, sizeof(why));

		if (!one || result)
			continue;
		result = one;
		snprintf(error, error_size, "%s: %s",
			 rules_backend_name(backend), why);
	}
	return result;
}

int rules_remove_others(enum rules_backend kept, char *error, size_t error_size)
{
	return remove_all_but((int)kept, error, error_size);
}

int rules_remove(char *error, size_t error_size)
{
	char why[SENTENCE_MAX];
	int result = rules_remove_accept(error, error_size);
	int rest = remove_all_but(RULES_BACKENDS, why, sizeof(why));

	if (rest && !result)
		snprintf(error, error_size, "%s", why);
	return result ? result : rest;
}

int rules_refuse(const struct rules_spec *spec, char *error, size_t error_size)
{
	const char *device = rules_unnamable(spec);

	if (device)
		snprintf(error, error_size,
			 "no rule can name the device \"%s\": rename it, or "
			 "leave it out of inside.devices",
			 device);
	else
		snprintf(error, error_size, "no rule can hold the mark 0x%x",
			 (unsigned)spec->mark);
	letters_clean(error, '?');
	return -EINVAL;
}

int rules_apply(const struct rules_spec *spec, enum rules_backend backend,
		char *error, size_t error_size)
{
	char first[SENTENCE_MAX];
	int result;

	if (rules_check(spec))
		return rules_refuse(spec, error, error_size);
	result = apply(spec, &every_feature, backend, first, sizeof(first));
	if (result == -EIO) {
		result = apply(spec, &no_feature, backend, error, error_size);
		if (!result)
			log_info("rules",
				 "the kernel lacks a part that we can do "
				 "without: %s",
				 first);
	} else if (result) {
		snprintf(error, error_size, "%s", first);
	}
	return result;
}

int rules_apply_guard(const struct rules_spec *spec, enum rules_backend backend,
		      char *error, size_t error_size)
{
	if (rules_check(spec))
		return rules_refuse(spec, error, error_size);
	return apply(spec, NULL, backend, error, error_size);
}
