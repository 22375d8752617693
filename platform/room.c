/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "room.h"

#include <stdlib.h>

/* Below what glibc maps for itself and gives back at once. */
#define PIECE 65536U

bool room_for(size_t bytes)
{
	struct piece {
		struct piece *next;
	} *pieces = NULL;
	bool all = true;

	for (size_t done = 0; all && done < bytes; done += PIECE) {
		size_t left = bytes - done;
		struct piece *piece =
			malloc(left < PIECE ? left + PIECE / 4 : PIECE);

		all = piece != NULL;
		if (piece) {
			piece->next = pieces;
			pieces = piece;
		}
	}
	while (pieces) {
		struct piece *next = pieces->next;

		free(pieces);
		pieces = next;
	}
	return all;
}
