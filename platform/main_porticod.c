/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mains.h"

int main(int argc, char **argv)
{
	return porticod_main(argc, argv);
}
