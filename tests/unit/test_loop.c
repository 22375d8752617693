/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The epoll loop, with eventfds as its descriptors.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "platform/loop.h"
#include "suite.h"

struct bell {
	struct watch watch; /* first */
	struct loop *loop;
	unsigned rung;
	uint32_t events;
	struct bell *victim; /* removed when this one rings */
};

static void on_ring(struct watch *watch, uint32_t events)
{
	struct bell *bell = (void *)watch;

	bell->rung++;
	bell->events = events;
	if (bell->victim)
		loop_remove(bell->loop, &bell->victim->watch);
	loop_stop(bell->loop);
}

/* Rings without stopping the loop. */
static void on_ring_on(struct watch *watch, uint32_t events)
{
	struct bell *bell = (void *)watch;

	bell->rung++;
	bell->events = events;
	if (bell->victim)
		loop_remove(bell->loop, &bell->victim->watch);
	loop_remove(bell->loop, watch);
}

static void make_bell(struct bell *bell, struct loop *loop, unsigned count)
{
	*bell = (struct bell){ .loop = loop };
	bell->watch.fd = eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC);
	bell->watch.handler = on_ring;
	CU_ASSERT_FATAL(bell->watch.fd >= 0);
}

static struct loop *make_loop(void)
{
	struct loop *loop = loop_new();

	CU_ASSERT_PTR_NOT_NULL_FATAL(loop);
	return loop;
}

static void test_ready(void)
{
	struct loop *loop = make_loop();
	struct bell ready, quiet;

	make_bell(&ready, loop, 1);
	make_bell(&quiet, loop, 0);
	CU_ASSERT_EQUAL(loop_add(loop, &ready.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_add(loop, &quiet.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	CU_ASSERT_EQUAL(ready.rung, 1);
	CU_ASSERT_EQUAL(ready.events, EPOLLIN);
	CU_ASSERT_EQUAL(quiet.rung, 0);
	/* Level-triggered: it still can be read. */
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	CU_ASSERT_EQUAL(ready.rung, 2);
	close(ready.watch.fd);
	close(quiet.watch.fd);
	loop_free(loop);
}

static void test_change(void)
{
	struct loop *loop = make_loop();
	struct bell bell, other;

	make_bell(&bell, loop, 1);
	make_bell(&other, loop, 1);
	CU_ASSERT_EQUAL(loop_add(loop, &bell.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_change(loop, &bell.watch, EPOLLOUT), 0);
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	CU_ASSERT_EQUAL(bell.events, EPOLLOUT);
	CU_ASSERT_EQUAL(loop_change(loop, &bell.watch, 0), 0);
	CU_ASSERT_EQUAL(loop_add(loop, &other.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	CU_ASSERT_EQUAL(bell.rung, 1);
	close(bell.watch.fd);
	close(other.watch.fd);
	loop_free(loop);
}

static void test_errors(void)
{
	struct loop *loop = make_loop();
	struct bell bell;

	make_bell(&bell, loop, 0);
	CU_ASSERT_EQUAL(loop_change(loop, &bell.watch, EPOLLIN), -ENOENT);
	loop_remove(loop, &bell.watch); /* nothing to remove: harmless */
	CU_ASSERT_EQUAL(loop_add(loop, &bell.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_add(loop, &bell.watch, EPOLLIN), -EEXIST);
	close(bell.watch.fd);
	bell.watch.fd = -1;
	CU_ASSERT_EQUAL(loop_add(loop, &bell.watch, EPOLLIN), -EBADF);
	loop_free(loop);
	loop_free(NULL);
}

/* Both are ready in one batch; whoever rings first removes the other. */
static void test_remove_other(void)
{
	struct loop *loop = make_loop();
	struct bell one, two, last;

	make_bell(&one, loop, 1);
	make_bell(&two, loop, 1);
	make_bell(&last, loop, 0);
	one.victim = &two;
	two.victim = &one;
	one.watch.handler = two.watch.handler = on_ring_on;
	CU_ASSERT_EQUAL(loop_add(loop, &one.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_add(loop, &two.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_add(loop, &last.watch, EPOLLOUT), 0);
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	CU_ASSERT_EQUAL(one.rung + two.rung, 1);
	CU_ASSERT_EQUAL(last.rung, 1);
	close(one.watch.fd);
	close(two.watch.fd);
	close(last.watch.fd);
	loop_free(loop);
}

static unsigned freed;

static void on_ring_free(struct watch *watch, uint32_t events)
{
	struct bell *bell = (void *)watch;

	(void)events;
	loop_remove(bell->loop, watch);
	loop_remove(bell->loop, &bell->victim->watch);
	close(bell->victim->watch.fd);
	free(bell->victim);
	close(watch->fd);
	free(bell);
	freed++;
}

static void test_free_owner(void)
{
	struct loop *loop = make_loop();
	struct bell *one = malloc(sizeof(*one)), *two = malloc(sizeof(*two));
	struct bell last;

	CU_ASSERT_FATAL(one && two);
	make_bell(one, loop, 1);
	make_bell(two, loop, 1);
	make_bell(&last, loop, 0);
	one->victim = two;
	two->victim = one;
	one->watch.handler = two->watch.handler = on_ring_free;
	freed = 0;
	CU_ASSERT_EQUAL(loop_add(loop, &one->watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_add(loop, &two->watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_add(loop, &last.watch, EPOLLOUT), 0);
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	CU_ASSERT_EQUAL(freed, 1);
	close(last.watch.fd);
	loop_free(loop);
}

/* More ready descriptors than one batch holds: each one's turn comes. */
static void test_many(void)
{
	enum { BELLS = 100 };
	struct loop *loop = make_loop();
	struct bell bells[BELLS], last;
	unsigned rung = 0;

	for (int i = 0; i < BELLS; i++) {
		make_bell(&bells[i], loop, 1);
		bells[i].watch.handler = on_ring_on;
		CU_ASSERT_EQUAL(loop_add(loop, &bells[i].watch, EPOLLIN), 0);
	}
	make_bell(&last, loop, 1);
	while (rung < BELLS) {
		unsigned before = rung;

		loop_add(loop, &last.watch, EPOLLIN);
		CU_ASSERT_EQUAL(loop_run(loop), 0);
		rung = 0;
		for (int i = 0; i < BELLS; i++)
			rung += bells[i].rung;
		if (rung == before && last.rung > BELLS)
			break;
	}
	CU_ASSERT_EQUAL(rung, BELLS);
	for (int i = 0; i < BELLS; i++)
		close(bells[i].watch.fd);
	close(last.watch.fd);
	loop_free(loop);
}

static void test_stop_first(void)
{
	struct loop *loop = make_loop();

	loop_stop(loop);
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	loop_free(loop);
}

static void test_clock(void)
{
	struct loop *loop = make_loop();
	uint64_t before = loop_now_ms(loop);
	struct bell bell;

	CU_ASSERT(before > 0);
	CU_ASSERT(loop_clock_ms() >= before);
	usleep(20000);
	CU_ASSERT_EQUAL(loop_now_ms(loop), before);
	make_bell(&bell, loop, 1);
	CU_ASSERT_EQUAL(loop_add(loop, &bell.watch, EPOLLIN), 0);
	CU_ASSERT_EQUAL(loop_run(loop), 0);
	CU_ASSERT(loop_now_ms(loop) >= before + 20);
	CU_ASSERT(loop_now_ms(loop) <= loop_clock_ms());
	close(bell.watch.fd);
	loop_free(loop);
}

static const struct test tests[] = {
	{ "a ready descriptor runs its handler", test_ready },
	{ "the awaited events can be changed", test_change },
	{ "misuse is an error, not a crash", test_errors },
	{ "a removed watch gets no pending event", test_remove_other },
	{ "a handler may free its owner and others", test_free_owner },
	{ "more descriptors than a batch are all served", test_many },
	{ "a stop before the run ends it at once", test_stop_first },
	{ "the time is read once per wake-up", test_clock },
};

int main(int argc, char **argv)
{
	return suite_run("loop", tests, sizeof(tests) / sizeof(*tests), argc,
			 argv);
}
