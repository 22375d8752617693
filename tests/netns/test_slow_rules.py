# SPDX-License-Identifier: GPL-2.0-or-later
"""The packet filter's program is slow, or waits for another's lock: the
service manager is told that the daemon lives, and packets pass again after a
bounded time."""
import json
import time

from daemon import PORTICO
from lab import E, L1, R1, Lab
from manager import Manager
from netns import SLOW, wait_for
from standin import Loader
from test_backend import FLUSHES
from test_vanished import FORWARDS, warned
from tools import Who, all_rules, ask, limit

CHANGE_S = 15  # HELPER_CHANGE_MS
LIFE = "WATCHDOG=1"
OTHER = E.replace(".7", ".8")


def told(manager):
    return manager.heard.count(LIFE)


def refused(lab, manager):
    """A reload for which no rules are loaded in time. Seconds that it took, and
    how often life was shown meanwhile."""
    before, began = told(manager), time.monotonic()
    asking = lab.gw.start(PORTICO, "--socket", lab.daemon.control, "reload")
    assert asking.wait(CHANGE_S + 10 * SLOW) == 1, asking.output()
    return time.monotonic() - began, told(manager) - before


@limit(120)
def test_packets_wait_for_a_bounded_time_and_life_is_shown(lab):
    lab.need_portico()
    loader, manager = Loader(lab.directory), Manager(lab.directory)
    try:
        lab.start(fresh=True, wrap=[*loader.wrap, *manager.wrap()])
        before = all_rules(lab.gw)
        with Who(lab.wan, udp=[(R1, 7521)]):
            udp = lab.lan1.udp(L1, 5521)
            assert ask(udp, (R1, 7521)) == f"{E}:5521"
            lab.daemon.configure({"forwards": FORWARDS})
            loader.hold()
            seconds, lives = refused(lab, manager)
            assert lives >= CHANGE_S // 3, (lives, seconds)
            # While the helper is at it others are refused, and wait for nothing.
            began = time.monotonic()
            assert lab.daemon.run("reload", check=False).returncode == 1
            assert time.monotonic() - began < CHANGE_S / 2
            # Nobody waits for the old rules, which may have to be loaded.
            # (The load is given up some seconds after the change was.)
            for number in range(5):
                assert number or loader.running(), "nothing is held any more"
                assert ask(udp, (R1, 7521), tries=1) == f"{E}:5521"
                time.sleep(0.5)
            assert warned(lab) and lab.daemon.alive()
            loader.release()
            wait_for("the rules", lambda: not warned(lab), 25)
            assert all_rules(lab.gw) == before
            assert ask(udp, (R1, 7521)) == f"{E}:5521"
            udp.close()
    finally:
        loader.release()
        lab.stop()
        manager.__exit__()
    return f"refused after {seconds:.1f} s, life shown {lives} times"


def test_who_flushes_rules_as_they_are_loaded_is_noticed(lab):
    """Before the daemon has looked at what was loaded."""
    lab.need_portico()
    loader = Loader(lab.directory)
    try:
        lab.start(fresh=True, wrap=loader.wrap)
        before = all_rules(lab.gw)
        flush = FLUSHES[lab.portico("status")["backend"]][-1].split()
        loader.linger()
        lab.gw.run(*flush)
        wait_for("the rules", lambda: all_rules(lab.gw) == before, 15)
        assert loader.running(), "it has ended before"
        lab.gw.run(*flush)
        loader.release()
        wait_for("the rules again", lambda: all_rules(lab.gw) == before, 15)
    finally:
        loader.release()
        lab.stop()


def test_a_change_waits_for_a_load_that_is_under_way(lab):
    """Which nobody waits for: packets would pass by the rules for the old
    address."""
    lab.need_portico()
    with Lab() as own:
        loader = Loader(own.directory)
        try:
            own.start(wrap=loader.wrap)
            with Who(own.wan, udp=[(R1, 7522)]):
                udp = own.lan1.udp(L1, 5522)
                assert ask(udp, (R1, 7522)) == f"{E}:5522"
                backend = own.portico("status")["backend"]
                loader.linger()
                own.gw.run(*FLUSHES[backend][-1].split())
                loader.wait_held()
                own.gw.ip(f"addr del {E}/24 dev wan0")
                own.give_address(OTHER)
                wait_for("the address", lambda: own.portico("status")[
                    "uplink"]["address"] == OTHER, 20)
                assert ask(udp, (R1, 7522)) == f"{OTHER}:5522"
                udp.close()
            assert "not loaded" not in own.daemon.log(), own.daemon.log()
        finally:
            loader.release()
        own.leaks.read()  # what left without rules


@limit(120)
def test_a_filter_program_that_was_too_slow_is_asked_again(lab):
    """At a busy start; else the next best would serve until the next one."""
    lab.need_portico()
    lab.stop()
    loader = Loader(lab.directory)
    daemon = lab.second_daemon(rules="iptables")
    daemon.wrap = loader.wrap
    loader.hold()
    try:
        daemon.start(ready=None)
        loader.wait_held()
        first = loader.waiting()
        wait_for("it to be asked again", lambda: loader.waiting() != first, 30)
        loader.release()
        daemon.wait_ready()
        status = json.loads(daemon.run("--json", "status").stdout)
        assert status["backend"] == "iptables-legacy", daemon.log()
    finally:
        loader.release()
        daemon.stop()
        lab.remove_guard()
