/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Before other programs. A kernel's NAT works in interrupts, which no program
 * delays; ours would wait its turn among all of them, and so would every packet.
 */
#ifndef PORTICO_PLATFORM_PRIORITY_H
#define PORTICO_PLATFORM_PRIORITY_H

/* Gives this process, unless it has a lower one, and its session, where it leads
 * one, a nice value of `nice` (-20 to 0; 0: nothing is done). Where that is not
 * allowed the log says so. */
void priority_raise(int nice);

#endif
