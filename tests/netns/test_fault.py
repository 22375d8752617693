# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the daemon fail one at a time: a part of long_fault.py, drawn with
a fixed seed (PORTICO_TEST_SEED draws another)."""
import os
import random
import time

from fault import unusable
from fault_bench import Bench, ways
from lab import Skip
from netns import wait_for
from tools import limit

SEED = os.environ.get("PORTICO_TEST_SEED", "1")
# Of each phase: so many calls, one of every kind that there is first.
SHARE = {"start": 70, "serve": 40, "reload": 30, "move": 20, "stop": 20}
# For each; a slow machine gets through fewer of them.
SECONDS = {"start": 10, "serve": 5, "reload": 5, "move": 5, "stop": 5}
_learnt = {}  # the same in every run of a build


def draw(phase, sites, count):
    """(site, way) pairs."""
    dice = random.Random(f"{SEED} {phase}")
    # In service not those that come once a minute.
    sites = sites[:len(sites) // 2] if phase == "serve" else list(sites)
    dice.shuffle(sites)
    kinds = {}
    for site in sites:
        kinds.setdefault(site.call, site)
    first = list(kinds.values())
    rest = [site for site in sites if site not in first]
    return [(site, dice.choice(ways(site)))
            for site in (first + rest)[:count]]


def run(lab, *phases):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        if not _learnt:
            _learnt.update(bench.learn())
        return "; ".join(
            bench.run(phase, draw(phase, _learnt[phase], SHARE[phase]),
                      SECONDS[phase])
            for phase in phases)


@limit(300)
def test_a_call_that_fails_at_the_start_is_told_or_overcome(lab):
    return run(lab, "start")


@limit(300)
def test_a_call_that_fails_in_service_is_overcome(lab):
    return run(lab, "serve", "reload", "move")


@limit(300)
def test_a_call_that_fails_at_the_end_leaves_the_guard(lab):
    return run(lab, "stop")


# Calls of the daemon itself or its helper (0.1), and the longest shortage of
# them.
SHORTAGES = [("socket", "EMFILE", "0"), ("calloc", "ENOMEM", "0"),
             ("open_memstream", "ENOMEM", "0"), ("fork", "EAGAIN", "0.1")]


@limit(120)
def test_a_shortage_while_the_uplink_moves_is_made_up_for(lab):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        bench.running()
        for call, what, process in SHORTAGES:
            before = bench.descriptors()
            bench.fault.arm(what, call=call, times=0, process=process)
            bench.move()
            wait_for(f"{call} of {process} fails", bench.fault.struck, 5)
            time.sleep(0.3)  # what comes meanwhile fails, too
            bench.fault.disarm()
            bench.recovers()
            wait_for("no descriptor more",
                     lambda: bench.descriptors() <= before, 3)
        bench.stop()
        bench.ended()


def test_a_loop_that_fails_is_an_end_with_a_reason(lab):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        bench.running()
        bench.fault.arm("EBADF", call="epoll_wait", process="0")
        assert bench.daemon.process.wait(5) == 1, bench.last()
        assert "event loop: Bad file descriptor" in bench.last()
        bench.ended()


def test_the_bench_sees_a_missing_guard(lab):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        bench.ended()
        lab.remove_guard()
        try:
            bench.ended()
        except AssertionError as error:
            assert "seen outside" in str(error), error
        else:
            raise AssertionError("a leak was not seen")
        finally:
            lab.gw.sysctl("net.ipv4.ip_forward", 0)
            lab.leaks.read()
