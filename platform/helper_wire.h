/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What passes between the packet process and its helper. Both are one program:
 * numbers are in the machine's own order. But one of them may be an enemy's by
 * now, so the helper believes no length, no text and no number.
 *
 * A request is one message, or several where it does not fit into one: each
 * piece names verb, id and length of the whole, and where it belongs.
 */
#ifndef PORTICO_PLATFORM_HELPER_WIRE_H
#define PORTICO_PLATFORM_HELPER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "rules.h"

enum helper_verb {
	HELPER_PIN,
	HELPER_CHOOSE,
	HELPER_APPLY,
	HELPER_GUARD,
	HELPER_REMOVE_OTHERS,
	HELPER_ACCEPT,
	HELPER_SETTINGS,
	HELPER_REDIRECTS,
	HELPER_RESERVE,
	HELPER_FORWARD,
	HELPER_RESTORE,
	HELPER_UNLINK,
	HELPER_OPEN,
	HELPER_NAMES,
	HELPER_DOCTOR,
	HELPER_LOG,
	HELPER_SETTLE,
	HELPER_VERBS
};

/* Data of one piece, and of a whole request: a ruleset with some ten thousand
 * prefixes. */
#define HELPER_PIECE_MAX 32768U
#define HELPER_REQUEST_MAX (1U << 20)
#define HELPER_TEXT_MAX 512U
/* Descriptors with one answer: the lease files. */
#define HELPER_FDS_MAX 2

struct helper_piece {
	uint32_t verb;
	uint32_t id;
	uint32_t total; /* bytes of the whole request's data */
	uint32_t offset; /* of this piece's */
};

struct helper_answer {
	uint32_t verb;
	uint32_t id;
	int32_t result; /* what the function returned */
	uint32_t value;
	char text[HELPER_TEXT_MAX];
};

/* Files that are opened for the packet process, by number: nothing else is.
 * The first is the configuration; NULL at the end. */
enum { HELPER_FILE_CONFIG };
extern const char *const helper_files[];

/* --- a ruleset's specification -------------------------------------------- */

/* Flattens into a block to be freed. 0, -ENOMEM, -EMSGSIZE: more than a
 * request may hold. */
int helper_spec_put(const struct rules_spec *spec, enum rules_backend backend,
		    void **block, size_t *length);

/* A specification taken from a block; everything points into storage. */
struct helper_spec {
	struct rules_spec rules;
	enum rules_backend backend;
	char uplink[IFNAMSIZ];
	struct nat_portset tcp, udp;
	bool untranslated[256];
	char (*inside)[IFNAMSIZ];
	struct nat_prefix *prefixes;
};

/* Checks everything: lengths, names, prefixes, ranges. 0, -EBADMSG, -EINVAL or
 * -ENOMEM. */
int helper_spec_take(const void *block, size_t length,
		     struct helper_spec *storage);
void helper_spec_free(struct helper_spec *storage);

#endif
