# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the daemon fail one at a time: a part of long_fault*.py that is
another every day; PORTICO_TEST_SEED draws that of a day again."""
import datetime
import os
import random

from fault import unusable
from fault_bench import Bench, ways
from lab import Skip
from tools import limit

SEED = os.environ.get("PORTICO_TEST_SEED") or datetime.datetime.now(
    datetime.timezone.utc).strftime("%Y%m%d")
# Of each phase: so many calls, one of every kind that there is first.
SHARE = {"start": 70, "serve": 40, "reload": 30, "move": 20, "stop": 20}
# For each; a slow machine gets through fewer of them.
SECONDS = {"start": 9, "serve": 4, "reload": 4, "move": 4, "stop": 6}
_learnt = {}  # the same in every run of a build


def draw(phase, sites, count):
    """(site, way) pairs."""
    dice = random.Random(f"{SEED} {phase}")
    sites = list(sites)
    dice.shuffle(sites)
    kinds = {}
    for site in sites:
        kinds.setdefault(site.call, site)
    first = list(kinds.values())
    dice.shuffle(first)
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
        return f"seed {SEED}\n    " + "\n    ".join(
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
