/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The daemon and the command, each as main() has it. Which of them a program is
 * its main_*.c says.
 */
#ifndef PORTICO_PLATFORM_MAINS_H
#define PORTICO_PLATFORM_MAINS_H

int porticod_main(int argc, char **argv);
int portico_main(int argc, char **argv);

#endif
