/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stores.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static struct stores *watched;

static void fail(const char *what)
{
	perror(what);
	abort();
}

static void copy(struct stores *stores)
{
	uint8_t *image = stores->images + stores->count * stores->bytes;

	if (stores->count &&
	    !memcmp(image - stores->bytes, stores->block, stores->bytes))
		return;
	if (stores->count == stores->room)
		abort();
	memcpy(image, stores->block, stores->bytes);
	stores->count++;
}

static void protect(const struct stores *stores, int how)
{
	if (mprotect(stores->block, stores->mapped, how))
		fail("mprotect");
}

#if defined(__x86_64__)
#define TRAP_FLAG 0x100

static void step(void *context, int on)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];

	*flags = on ? *flags | TRAP_FLAG : *flags & ~(greg_t)TRAP_FLAG;
}

static const char *const no_step = NULL;
#else
static void step(void *context, int on)
{
	(void)context;
	(void)on;
}

static const char *const no_step = "stores are watched on x86-64 only";
#endif

static void on_fault(int number, siginfo_t *info, void *context)
{
	const uint8_t *at = info->si_addr;

	if (at < watched->block || at >= watched->block + watched->mapped) {
		signal(number, SIG_DFL); /* not ours: it comes again */
		return;
	}
	protect(watched, PROT_READ | PROT_WRITE);
	step(context, 1);
}

static void on_trap(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	copy(watched);
	protect(watched, PROT_READ);
	step(context, 0);
}

void stores_make(struct stores *stores, size_t bytes, size_t room)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *block;

	*stores = (struct stores){ .bytes = bytes, .room = room };
	stores->mapped = (bytes + page - 1) / page * page;
	block = mmap(NULL, stores->mapped, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stores->images = malloc(bytes * room);
	if (block == MAP_FAILED || !stores->images)
		fail("memory for images");
	stores->block = block;
}

void stores_free(struct stores *stores)
{
	munmap(stores->block, stores->mapped);
	free(stores->images);
}

void stores_watch(struct stores *stores, void (*run)(void *context),
		  void *context)
{
	struct sigaction fault = { .sa_flags = SA_SIGINFO,
				   .sa_sigaction = on_fault };
	struct sigaction trap = { .sa_flags = SA_SIGINFO,
				  .sa_sigaction = on_trap };
	struct sigaction old_fault, old_trap;

	watched = stores;
	stores->count = 0;
	copy(stores);
	sigaction(SIGSEGV, &fault, &old_fault);
	sigaction(SIGTRAP, &trap, &old_trap);
	protect(stores, PROT_READ);
	run(context);
	protect(stores, PROT_READ | PROT_WRITE);
	sigaction(SIGSEGV, &old_fault, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
}

/* Two stores: an emulator that knows no trap flag shows the last one alone. */
static void probe(void *context)
{
	volatile uint8_t *bytes = context;

	bytes[0] = 1;
	bytes[1] = 1;
}

const char *stores_missing(void)
{
	struct stores stores;
	size_t count;

	if (no_step)
		return no_step;
	stores_make(&stores, 2, 8);
	stores_watch(&stores, probe, stores.block);
	count = stores.count;
	stores_free(&stores);
	return count == 3 ? NULL : "no trap comes behind a single instruction";
}
