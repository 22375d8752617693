# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path under a whole daemon: starting it, and what is looked at."""
import contextlib
import json
import threading
import time

import tcx
from lab import L1, R1, Skip
from netns import wait_for
from tools import Who, name

PREFERENCE = 0xbf00
# Who may not look at other programs puts none there by tcx.
WITHOUT_TCX = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps",
               "-sys_admin"]


def start(lab, fresh=True, fast_path=None, **config):
    """A daemon with the fast path, which has to be had here."""
    lab.need_portico()
    daemon = lab.start(fresh=fresh, fast_path={
        "enabled": True, "after": 2, **(fast_path or {})}, **config)
    for warning in lab.portico("status")["warnings"]:
        if warning.startswith("fast_path: "):
            raise Skip(warning)
    return daemon


def fast(lab):
    return lab.portico("status")["fast_path"]


def queued(lab):
    """Packets that took the queue."""
    return lab.portico("status")["queue"]["packets"]


def sessions(lab, inside, proto="udp"):
    return [s for s in lab.portico("sessions")["sessions"]
            if s["inside"] == inside and s["proto"] == proto]


def session(lab, inside, proto="udp"):
    """The only one of this inside socket, or None."""
    found = sessions(lab, inside, proto)
    assert len(found) <= 1, found
    return found[0] if found else None


def is_carried(lab, inside, proto="udp"):
    found = session(lab, inside, proto)
    return bool(found and found["carried"])


def host(lab, address):
    return next(h for h in lab.portico("hosts")["hosts"]
                if h["address"] == address)


def speak(sock, peer, data=b"hello", times=1):
    """Datagrams to a Who and back, none lost; how it saw us."""
    sock.settimeout(3)
    for _ in range(times):
        sock.sendto(data, peer)
        answer, source = sock.recvfrom(65536)
        seen, _, rest = answer.partition(b" ")
        assert rest == data and source == peer, (source, len(rest))
    return seen.decode()


def carry(lab, sock, peer, inside=None):
    """Speaks until the session is carried; how the peer saw us."""
    inside = inside or name(sock.getsockname())
    seen = None
    for _ in range(20):
        seen = speak(sock, peer, times=2)
        if is_carried(lab, inside):
            return seen
    raise AssertionError(f"{session(lab, inside)} of {inside} is not carried: "
                         f"{fast(lab)}")


def by_kernel(lab, work):
    """The packets that the kernel carries during work(), and those that take
    the queue; the table is a second old at most."""
    time.sleep(1.2)
    before = fast(lab)["packets"], queued(lab)
    work()
    time.sleep(1.2)
    return fast(lab)["packets"] - before[0], queued(lab) - before[1]


# --- at the devices ----------------------------------------------------------

def tc(lab, command, check=True):
    return lab.gw.run("tc", *command.split(), check=check).stdout


def filters(lab, device):
    """Preference and name of every filter that begins there."""
    text = tc(lab, f"-j filter show dev {device} ingress", check=False)
    return [(f["pref"], f["options"].get("bpf_name"))
            for f in json.loads(text or "[]") if "options" in f]


def has_filter(lab, device):
    return (PREFERENCE, "portico") in filters(lab, device)


def has_tcx(lab, device):
    return any(name.startswith("portico_")
               for name in tcx.names(lab.gw, device))


def has_ours(lab, device):
    return has_filter(lab, device) or has_tcx(lab, device)


def has_clsact(lab, device):
    return any(q["kind"] == "clsact" for q in json.loads(
        tc(lab, f"-j qdisc show dev {device}")))


# --- traffic meanwhile --------------------------------------------------------

class Stream:
    """A datagram every 10 ms from an inside socket to a Who, and its answers,
    in a thread of its own; `came`: when, and how the Who saw us."""

    def __init__(self, sock, peer=(R1, 7400)):
        self.sock, self.peer = sock, peer
        self.came = []
        self.ended = threading.Event()
        sock.setblocking(False)
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        while not self.ended.wait(0.01):
            with contextlib.suppress(OSError):
                self.sock.sendto(b"stream", self.peer)
            with contextlib.suppress(OSError):
                while True:
                    data = self.sock.recv(100)
                    self.came.append((time.monotonic(),
                                      data.split(b" ")[0].decode()))

    def wait_more(self, count=20, seconds=10):
        before = len(self.came)
        wait_for("answers", lambda: len(self.came) >= before + count, seconds)
        return self.came[-1][1]

    def last(self):
        return self.came[-1][0]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.ended.set()
        self.thread.join(5)
        self.sock.close()


@contextlib.contextmanager
def conversation(lab, own_port, where=None):
    """A carried one of L1 with a Who outside: (socket, peer)."""
    space, there = where or (lab.wan, R1)
    peer = (there, own_port + 2000)
    with Who(space, udp=[peer]):
        sock = lab.lan1.udp(L1, own_port)
        try:
            carry(lab, sock, peer)
            yield sock, peer
        finally:
            sock.close()
