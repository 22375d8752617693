/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finds what is ours in the text of iptables-save and writes the lines that
 * take it away, to be put at the head of the transaction that loads anew: no
 * jump is ever there twice, and at no moment is there none.
 */
#include "rules_text.h"

#include <string.h>

#define OURS "PORTICO-"

/* One line of the text, without its newline. */
struct span {
	const char *text;
	size_t length;
};

static bool next_line(const char **from, struct span *line)
{
	if (!**from)
		return false;
	line->text = *from;
	line->length = strcspn(*from, "\n");
	*from += line->length;
	if (**from)
		(*from)++;
	return true;
}

static bool starts(const struct span *line, const char *prefix)
{
	size_t length = strlen(prefix);

	return line->length >= length && !memcmp(line->text, prefix, length);
}

/* Where the lines of a table begin, NULL: it is not in the text. */
static const char *find_table(const char *save, const char *table)
{
	struct span line;

	while (next_line(&save, &line))
		if (line.text[0] == '*' && line.length == strlen(table) + 1 &&
		    !memcmp(line.text + 1, table, line.length - 1))
			return save;
	return NULL;
}

static bool next_in_table(const char **from, struct span *line)
{
	return next_line(from, line) && !starts(line, "COMMIT");
}

/* "-A BUILTIN ... -j PORTICO-X" -> "-D BUILTIN ... -j PORTICO-X". */
static size_t undo_jumps(const char *from, FILE *out)
{
	struct span line;
	size_t count = 0;

	while (next_in_table(&from, &line)) {
		static const char jump[] = " -j " OURS;

		if (!starts(&line, "-A ") || starts(&line, "-A " OURS) ||
		    !memmem(line.text, line.length, jump, sizeof(jump) - 1))
			continue;
		fprintf(out, "-D%.*s\n", (int)(line.length - 2), line.text + 2);
		count++;
	}
	return count;
}

/* The name in ":PORTICO-X - [0:0]"; length 0: another line. */
static struct span our_chain(const struct span *line)
{
	struct span name = { line->text + 1, 0 };

	if (starts(line, ":" OURS))
		while (name.length + 1 < line->length &&
		       name.text[name.length] != ' ')
			name.length++;
	return name;
}

static bool declared(const char *text, const struct span *name)
{
	struct span line;

	while (text && next_line(&text, &line)) {
		struct span other = our_chain(&line);

		if (other.length == name->length &&
		    !memcmp(other.text, name->text, name->length))
			return true;
	}
	return false;
}

/* Writes "-F NAME" or "-X NAME" for our chains but those declared in keep. */
static size_t each_chain(const char *from, const char *command,
			 const char *keep, FILE *out)
{
	struct span line;
	size_t count = 0;

	while (next_in_table(&from, &line)) {
		struct span name = our_chain(&line);

		if (!name.length || declared(keep, &name))
			continue;
		fprintf(out, "%s %.*s\n", command, (int)name.length, name.text);
		count++;
	}
	return count;
}

size_t rules_iptables_undo(const char *save, const char *table,
			   const char *keep, FILE *out)
{
	const char *from = find_table(save, table);
	size_t count;

	if (!from)
		return 0;
	count = undo_jumps(from, out);
	/* All are emptied first: one of them may lead to another. */
	count += each_chain(from, "-F", NULL, out);
	return count + each_chain(from, "-X", keep, out);
}
