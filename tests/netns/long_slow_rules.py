# SPDX-License-Identifier: GPL-2.0-or-later
"""A stop while no program can load rules (make check-long)."""
import os
import signal
import time

from standin import Loader
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
