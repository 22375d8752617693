# SPDX-License-Identifier: GPL-2.0-or-later
"""Every call of the daemon that can fail does, one after the other, in every
way that fault_bench.WAYS knows, in every phase of the daemon's life."""
from fault import unusable
from fault_bench import Bench, ways
from lab import Skip
from tools import limit


def run(lab, phase):
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    with Bench(lab) as bench:
        cases = [(site, what) for site in bench.learn()[phase]
                 for what in ways(site)]
        return bench.run(phase, cases)


@limit(2400)
def test_every_call_fails_at_the_start(lab):
    return run(lab, "start")


@limit(2400)
def test_every_call_fails_in_service(lab):
    return run(lab, "serve")


@limit(2400)
def test_every_call_fails_in_a_reload(lab):
    return run(lab, "reload")


@limit(1200)
def test_every_call_fails_when_the_uplink_moves(lab):
    return run(lab, "move")


@limit(1200)
def test_every_call_fails_at_the_end(lab):
    return run(lab, "stop")
