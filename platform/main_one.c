/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Daemon and command in one file, for small routers: half of each is in the
 * other. It is the command to who calls it by that name.
 */
#include <string.h>

#include "mains.h"

int main(int argc, char **argv)
{
	const char *path = argc > 0 ? argv[0] : "";
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, "portico") == 0 ?
		       portico_main(argc, argv) :
		       porticod_main(argc, argv);
}
