# SPDX-License-Identifier: GPL-2.0-or-later
"""Killing the daemon under load: what test_restart.py does a few times and
long_restart.py many times."""
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time

from lab import R1

HERE = os.path.dirname(os.path.abspath(__file__))
LOAD = os.path.join(HERE, "restart_load.py")


class Load:
    """The inside's half of restart_load.py."""

    def __init__(self, space, port, tcp, udp):
        self.tcp, self.udp = tcp, udp
        self.process = subprocess.Popen(
            space._argv([sys.executable, "-B", LOAD, "call", R1, port, tcp,
                         udp]), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the load has ended by itself"
        return json.loads(line)

    def check(self):
        """All connections and sockets work, and are seen as at first."""
        result = self.ask("check")
        wanted = {"tcp": self.tcp, "udp": self.udp, "moved": 0,
                  "failures": []}
        assert result == wanted, f"{result}, not {wanted}"

    def end(self):
        """Every byte of every connection came back; how many bytes."""
        result = self.ask("end")
        assert result["intact"] == self.tcp, result
        return result["bytes"]

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def load(lab, port, tcp, udp):
    with lab.wan.running(sys.executable, "-B", LOAD, "serve", R1, port):
        lab.wan.wait_listener(port)
        made = Load(lab.lan1, port, tcp, udp)
        try:
            made.check()
            yield made
        finally:
            made.close()


def kill_and_start(lab):
    """Seconds from the kill to the first answer of the next daemon, and what
    it says it took over."""
    began = time.monotonic()
    lab.daemon.kill()
    lab.daemon.start()
    seconds = time.monotonic() - began
    log = lab.daemon.log()
    assert "the table goes on after a sudden end" in log, log
    return seconds, lab.portico("status")["restored"]


def kill_often(lab, port, kills, tcp, udp):
    """Kills at random moments under load; after each one every connection and
    every mapping is as before. A line of figures."""
    dice = random.Random(1)
    gaps, times, dropped = [], [], 0
    lab.start(fresh=True)
    with load(lab, port, tcp, udp) as made:
        for _ in range(kills):
            time.sleep(dice.random() * 0.3)
            seconds, restored = kill_and_start(lab)
            assert restored["sessions"] >= tcp + udp, restored
            gaps.append(seconds)
            times.append(restored["ms"])
            dropped += restored["dropped"]
            made.check()
        count = made.end()
    return (f"{kills} kills, {tcp} TCP connections ({count} bytes intact), "
            f"{udp} UDP mappings; records dropped: {dropped}; restoring ms: "
            f"{spread(times)}; kill to first answer s: {spread(gaps)}")


def spread(values):
    return (f"median {statistics.median(values):.3g}, "
            f"max {max(values):.3g}")


def state_line(daemon):
    """What the daemon said of its state at its start."""
    found = re.search(r"state: .*", daemon.log())
    return found.group(0) if found else ""
