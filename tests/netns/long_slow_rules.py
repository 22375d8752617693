# SPDX-License-Identifier: GPL-2.0-or-later
"""No program can load rules, for long (make check-long)."""
import os
import signal
import time

from lab import Lab
from netns import wait_for
from standin import Loader
from test_slow_rules import CHANGE_S
from test_uplink_moves import move
from test_vanished import FORWARDS
from tools import limit

STOP_S = 69  # HELPER_STOP_MS
OWN_S = 4  # what test_waits.c leaves for all else


@limit(120)
def test_a_stop_ends_in_time_whatever_is_held(lab):
    """A change has just begun to wait; then the guard does, and the rest."""
    lab.need_portico()
    loader = Loader(lab.directory)
    try:
        lab.start(fresh=True, wrap=loader.wrap)
        lab.daemon.configure({"forwards": FORWARDS})
        loader.hold()
        os.kill(lab.daemon.process.pid, signal.SIGHUP)
        loader.wait_held()
        os.kill(lab.daemon.process.pid, signal.SIGTERM)
        began = time.monotonic()
        assert lab.daemon.process.wait(STOP_S + OWN_S) == 0, lab.daemon.log()
        seconds = time.monotonic() - began
        assert "the guard: " in lab.daemon.log(), lab.daemon.log()
    finally:
        loader.release()
        lab.stop()
        lab.remove_guard()
    return f"ended after {seconds:.1f} s"


@limit(150)
def test_after_a_change_that_failed_others_are_followed_at_once(lab):
    """Also between two tries, when the helper is free."""
    lab.need_portico()
    with Lab() as own:
        loader = Loader(own.directory)
        try:
            own.start(wrap=loader.wrap)
            own.daemon.configure({"forwards": FORWARDS})
            loader.hold()
            done = own.daemon.run("reload", check=False, timeout=60)
            assert done.returncode == 1, done
            wait_for("the end of another try", lambda: len(loader.waiting())
                     > 1 and not loader.running(), 60)
            began = time.monotonic()
            move(own)
            seconds = time.monotonic() - began
            assert seconds < CHANGE_S / 2, seconds
        finally:
            loader.release()
            own.stop()
            own.remove_guard()
    return f"followed after {seconds:.1f} s"
