# SPDX-License-Identifier: GPL-2.0-or-later
"""Every call of the daemon that can fail does, one after the other, in every
way that fault_ways.WAYS knows, in every phase of the daemon's life: the cases
of long_fault_*.py, each of which takes a share, so that they run beside each
other."""
from fault import unusable
from fault_bench import Bench, ways
from lab import Skip
from tools import limit

SHARES = 4
PHASES = ("start", "serve", "reload", "move", "stop")
_learnt = {}  # the same in every run of a build


def run(lab, phase, share):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        if not _learnt:
            _learnt.update(bench.learn())
        return bench.run(phase, [
            (site, what) for site in _learnt[phase]
            if site.id % SHARES == share for what in ways(site)])


def tests(share):
    """A file's tests, by name."""
    def one(phase):
        return limit(1800)(lambda lab: run(lab, phase, share))
    return {f"test_every_call_fails_in_turn_{phase}": one(phase)
            for phase in PHASES}
