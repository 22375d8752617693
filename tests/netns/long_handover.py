# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kill and a restart cost at a fixed rate, with the queue handed over
and without."""
import os
import signal
import threading
import time

from test_handover import lives
from tools import limit

RATE = 1000  # datagrams a second
SECONDS = 3
PAUSE = 0.3  # without a daemon


class Stream:
    """Sends numbers for a while, at a fixed rate; `came` are those that a
    server got, with the time."""

    def __init__(self, both):
        self.both, self.came, self.sent = both, [], 0
        self.threads = [threading.Thread(target=job)
                        for job in (self._send, self._take)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        began = time.monotonic()
        while self.sent < RATE * SECONDS:
            due = (time.monotonic() - began) * RATE
            while self.sent < min(due, RATE * SECONDS):
                self.both.host.sendto(b"%d" % self.sent, self.both.peer)
                self.sent += 1
            time.sleep(0.002)
        time.sleep(2)
        self.both.host.sendto(b"end", self.both.peer)

    def _take(self):
        while (data := self.both.server.recv(100)) != b"end":
            self.came.append(int(data))

    def end(self):
        for thread in self.threads:
            thread.join(SECONDS + 20)
        assert self.came == sorted(set(self.came)), "repeated or reordered"
        return self.sent - len(self.came)


def loss(lab, number, keep, port):
    """Datagrams lost over one end of the daemon."""
    with lives(lab, port, port + 2000) as both:
        stream = Stream(both)
        time.sleep(0.7)
        lab.daemon.stop(number)
        if not keep:
            both.manager.drop()
        time.sleep(PAUSE)
        lab.daemon.start()
        lost = stream.end()
        return lost, both.queue()["orphans"]


@limit(300)
def test_what_a_restart_costs(lab):
    """Not a test of a timing: what was queued while no daemon lived is judged
    (test_handover.py), what a kill or the loading of rules costs is shown."""
    lab.need_portico()
    lines, totals = [], []
    for name, number, keep in (("kill, handed over", signal.SIGKILL, True),
                               ("kill, not handed over", signal.SIGKILL,
                                False),
                               ("SIGUSR1, handed over", signal.SIGUSR1, True)):
        results = [loss(lab, number, keep, 5970 + turn) for turn in range(5)]
        totals.append(sum(lost for lost, _ in results))
        lines.append(f"{name}: lost {[lost for lost, _ in results]} of "
                     f"{RATE * SECONDS}, not judged by the dead "
                     f"{[orphans for _, orphans in results]}")
    assert max(totals[0], totals[2]) < totals[1], lines
    return f"{RATE}/s, {PAUSE} s without a daemon, on {os.uname().release}: " \
        + "; ".join(lines)
