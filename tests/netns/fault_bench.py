# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway whose calls fail one at a time, and what must hold all the same.

Bench keeps one configuration, one block of faults (fault.py), two servers and
a host that never stops sending. After every failure: the daemon serves, or it
ended by itself with a status and a message; after its end the guard holds, no
process of it is left and the settings of the router are what they were.
"""
import contextlib
import errno
import json
import os
import signal
import socket
import threading
import time

from fault import Fault, find_names, functions, number, told, where
from fault_ways import WORDS, alike, by_chance, excused, may_end, ways
from lab import E, L1, NEXT_HOP, R1
from netns import SLOW, ip_batch, wait_for
from tools import Who, ask, ask_tcp

SETTINGS = {"net.ipv4.ip_forward": "1",
            "net.ipv4.ip_local_reserved_ports": "9000-9010",
            "net.ipv4.conf.all.send_redirects": "1",
            "net.ipv4.conf.lan0.send_redirects": "1"}
CONFIG = {"forwards": [{"name": "web", "proto": "tcp", "outside": 8080,
                        "to": f"{L1}:80"}],
          "limits": {"mappings": 4096, "sessions": 8192, "hosts": 64,
                     "held_ports": 4096}}
HASTE = 20  # what comes once a second comes that often
MINUTE_HASTE = 100  # where it is about what comes once a minute
PORT, SINK = 7100, 7101
E2 = "203.0.113.8"
# Within which the daemon serves, ends, or serves again.
SERVES_S, ENDS_S, RECOVERS_S = 10, 10, 5
# Within which the call of a case comes; at a second and a third try.
STRIKES_S, AGAIN_S = 1.0, 5
TRIES = 3
# Of the cases that are not excused so many percent must strike, all but one
# where they are few: stacks differ where time plays a part.
STRIKE_PERCENT = 95
# Of a small part in a hurry, on whatever machine; those that did not are named.
DRAWN_PERCENT = 60
LEAST = 8  # cases of a phase, however late it is
FAILURES_MOST = 8  # of one test; then it gives up

def names(line, what):
    """Whether a message says why: a number's words, or at least something
    where a call was cut short."""
    if not isinstance(what, str):
        return line.startswith("porticod: ") and len(line) > 20
    words = [os.strerror(number(what))] + WORDS.get(what, [])
    return any(word in line for word in words)


def control(path, timeout=5.0, **request):
    """The parsed answer of the daemon; None when there is none."""
    with contextlib.suppress(OSError, ValueError):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout * SLOW)
            sock.connect(path)
            sock.sendall(json.dumps(request).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                more = sock.recv(65536)
                if not more:
                    return None
                data += more
            return json.loads(data)
    return None


class Flood:
    """Sends a datagram from an inside host every few milliseconds, to see
    what becomes of it in every moment of a start and of a stop."""

    def __init__(self, lab):
        self.sink = lab.wan.udp(R1, SINK)
        self.sock = lab.lan1.udp(L1, 6000)
        self.sock.setblocking(False)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(0.003):
            with contextlib.suppress(OSError):
                self.sock.sendto(b"flood", (R1, SINK))

    def close(self):
        self.over.set()
        self.thread.join(5)
        self.sock.close()
        self.sink.close()


class Bench:
    def __init__(self, lab):
        self.lab = lab
        lab.need_portico()
        lab.start(fresh=True, **CONFIG)
        self.daemon = lab.daemon
        self.address = lab.portico("status")["uplink"]["address"]
        self.daemon.stop()
        self.fault = Fault(lab.directory)
        self.hasten(HASTE)
        self.strikes_s = STRIKES_S
        self.restore()
        self.who = Who(lab.wan, udp=[(R1, PORT)], tcp=[(R1, PORT)])
        self.flood = Flood(lab)
        self.space = os.stat(lab.gw.path).st_ino

    def close(self):
        self.daemon.stop(signal.SIGKILL)
        self.flood.close()
        self.who.__exit__()
        self.fault.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        if kind is None:
            self.lab.daemon = None  # it has ended, as it should

    def hasten(self, haste):
        self.haste = haste
        self.daemon.wrap = self.fault.wrap + [f"PORTICO_FAULT_HASTE={haste}"]

    # --- looking -----------------------------------------------------------

    def restore(self):
        for name, value in SETTINGS.items():
            self.lab.gw.sysctl(name, value)

    def last(self):
        return self.daemon.log().strip()[-600:]

    def status(self):
        answer = control(self.daemon.control, 1.0, command="status")
        return answer if answer and answer.get("uplink") else {}

    def serves(self):
        """Waits until the daemon answers. False: it ended."""
        end = time.monotonic() + SERVES_S * SLOW
        while time.monotonic() < end:
            if not self.daemon.alive():
                return False
            if self.status().get("uplink", {}).get("address"):
                return True
            time.sleep(0.01)
        raise AssertionError("neither serves nor ends: " + self.last())

    def exchange(self):
        """A datagram and a connection go through, translated."""
        with self.lab.lan1.udp(L1) as sock:
            seen = ask(sock, (R1, PORT))
        assert seen.startswith(self.address + ":"), f"seen as {seen}"
        with self.lab.lan1.tcp((R1, PORT)) as sock:
            seen = ask_tcp(sock)
        assert seen.startswith(self.address + ":"), f"seen as {seen}"

    def recovers(self):
        """It goes on as if nothing had been."""
        end = time.monotonic() + RECOVERS_S * SLOW
        while True:
            assert self.daemon.alive(), "it ended: " + self.last()
            try:
                assert self.status(), "no status: " + self.last()
                self.exchange()
                return
            except (AssertionError, OSError):
                if time.monotonic() > end:
                    raise

    def processes(self):
        """Names of what runs in the gateway's namespace."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{pid}/ns/net").st_ino == self.space:
                    with open(f"/proc/{pid}/comm") as file:
                        found.append(file.read().strip())
        return found

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def ended(self):
        """What holds after the daemon's end, however that came about: no
        process is left, nothing leaks (ip_forward is on) and the settings are
        as before, but those that the log confesses to have left."""
        wait_for("no process is left", lambda: not self.processes(), 3)
        with self.lab.lan1.udp(L1) as sock:
            for _ in range(3):
                sock.sendto(b"after the end", (R1, SINK))
        self.lab.check(alive=False)
        log = self.daemon.log()
        left = "kernel settings are not put back" in log
        changed = [] if left else [name for name, value in SETTINGS.items()
                   if self.lab.gw.sysctl(name) != value
                   and name.replace(".", "/") not in log]
        self.restore()
        assert not changed, f"not put back: {changed}: {self.last()}"

    # --- what a daemon goes through --------------------------------------

    def start(self):
        self.daemon.start(ready=None)
        return self.serves()

    def serve(self):
        """Answers clients, carries packets, does what comes with time."""
        for command in ("status", "mappings", "sessions", "hosts", "rules"):
            control(self.daemon.control, 1.0, command=command)
        with contextlib.suppress(AssertionError, OSError):
            self.exchange()

    def reload(self):
        """The daemon's answer."""
        return control(self.daemon.control, command="reload")

    def move(self):
        """The uplink gets another address."""
        old, self.address = self.address, E2 if self.address == E else E
        ip_batch([f"addr del {old}/24 dev wan0",
                  f"addr add {self.address}/24 dev wan0",
                  f"route replace default via {NEXT_HOP}"], self.lab.gw.name)

    def stop(self):
        """The exit status."""
        self.daemon.process.popen.send_signal(signal.SIGTERM)
        return self.daemon.process.wait(ENDS_S)

    def learn(self):
        """{phase: [Site]} of a life without failures, by phase; what was
        called often there comes first."""
        def pause(ticks):
            time.sleep(ticks / HASTE)

        # The last: what comes once a minute, and its child's report.
        acts = {"start": lambda: (self.start(), pause(8)),
                "serve": lambda: (self.serve(), self.exchange(), pause(68)),
                "reload": lambda: (self.reload(), pause(8)),
                "move": lambda: (self.move(), pause(8)),
                "stop": self.stop}
        phases, before, served = {}, {}, set()
        self.hasten(HASTE)
        for phase, act in acts.items():
            act()
            after = self.fault.sites()
            find_names(after.values())
            grown = {key: site.count - (before[key].count
                                        if key in before else 0)
                     for key, site in after.items()}
            if phase == "serve":
                served = {key for key in grown if grown[key]}
            # What is done all the time comes by chance only in a stop.
            phases[phase] = alike(after[key] for key in sorted(
                grown, key=lambda key: (-grown[key], key)) if grown[key]
                and not (phase == "stop" and key in served))
            before = after
        self.ended()
        return phases

    # --- cases: one call fails -------------------------------------------

    def wait_strike(self):
        end = time.monotonic() + self.strikes_s * SLOW
        while (not self.fault.struck() and self.daemon.alive()
               and time.monotonic() < end):
            time.sleep(0.005)

    def case_start(self, site, what):
        """Returns "served" or "ended"."""
        self.fault.arm(what, site=site.id)
        if self.start():
            self.exchange()
            self.wait_strike()
            status = self.stop()
            self.fault.disarm()
            assert status == 0, f"exit {status}: {self.last()}"
            self.ended()
            return "served"
        self.end_with_reason(site, what)
        return "ended"

    def end_with_reason(self, site, what):
        status = self.daemon.process.wait(ENDS_S)
        self.fault.disarm()
        lines = self.last().split("\n")
        assert status == 1, f"exit {status}: {self.last()}"
        assert lines[-1].startswith("porticod: "), self.last()
        assert may_end(site, what) or any(
            names(line, what) for line in lines[-2:]), \
            f"does not say why: {self.last()}"
        self.ended()

    def strike(self, act, site, what):
        """Does act while the call fails, once. What act returns."""
        self.fault.arm(what, site=site.id)
        result = act()
        self.wait_strike()
        self.fault.disarm()
        return result

    def running(self, site=None):
        """The daemon of the last case, or a new one."""
        haste = MINUTE_HASTE if site and "doctor_begin" in functions(site) \
            else HASTE
        if self.daemon.alive() and haste != self.haste:
            self.stop()
        if not self.daemon.alive():
            self.hasten(haste)
            assert self.start(), "did not start: " + self.last()
            self.exchange()
            time.sleep(8 / HASTE)  # what the start began is over

    def case_running(self, act, site, what):
        self.running(site)
        before = self.descriptors()
        answer = self.strike(act, site, what)
        if may_end(site, what) and self.fault.struck():
            assert self.daemon.process.wait(ENDS_S) == 1, self.last()
            assert "porticod: " in self.last() or "ending" in self.last()
            self.ended()
            return "ended"
        self.recovers()
        if act == self.reload:
            assert answer in (None, {"reloaded": True}) or len(
                answer.get("error", "")) > 5, answer
        answer = self.reload()
        assert answer == {"reloaded": True}, answer
        self.exchange()
        wait_for(f"no descriptor more than {before}",
                 lambda: self.descriptors() <= before, 3)
        self.lab.check(alive=False)
        return "served"

    def case_serve(self, site, what):
        return self.case_running(self.serve, site, what)

    def case_reload(self, site, what):
        return self.case_running(self.reload, site, what)

    def case_move(self, site, what):
        return self.case_running(self.move, site, what)

    def case_stop(self, site, what):
        self.running()
        self.fault.arm(what, site=site.id)
        status = self.stop()
        self.fault.disarm()
        assert status in (0, 1), f"exit {status}: {self.last()}"
        self.ended()
        return "ended"

    def case(self, phase, site, what, tries):
        """"served", "ended", or "" where the call did not come."""
        for number in range(tries):
            self.strikes_s = AGAIN_S if number else STRIKES_S
            outcome = getattr(self, "case_" + phase)(site, what)
            if self.fault.struck():
                return outcome
        return ""

    def give_up(self):
        """A case has failed: the next begins with a daemon of its own."""
        self.fault.disarm()
        self.daemon.stop(signal.SIGKILL)
        self.lab.leaks.read()
        self.restore()

    def run(self, phase, cases, seconds=None):
        """Cases of one phase, (site, what) each, as many as the time allows,
        but a few at least; a summary, with those that could not be."""
        counts, bad = {"served": 0, "ended": 0}, []
        missed, chance = [], []
        began = time.monotonic()
        reasons = [excused(*case) for case in cases]
        cases = [case for case, why in zip(cases, reasons) if not why]
        cases.sort(key=lambda case: "doctor_begin" in functions(case[0]))
        for site, what in cases:
            late = seconds and time.monotonic() - began > seconds
            if late and sum(counts.values()) >= LEAST:
                break
            name = f"{told(what)} of {where(site)}"
            try:
                outcome = self.case(phase, site, what,
                                    2 if seconds else TRIES)
                if outcome:
                    counts[outcome] += 1
                elif by_chance(site, what):
                    chance.append(f"{name}: {by_chance(site, what)}")
                else:
                    missed.append(name)
            except (AssertionError, OSError) as error:
                bad.append(f"{name}: {error}: {self.status().get('drops')} "
                           + self.last()[-300:])
                self.give_up()
            if len(bad) >= FAILURES_MOST:
                break
        if self.daemon.alive():
            self.daemon.stop()
        struck = sum(counts.values())
        assert not bad, f"{len(bad)}, {struck} went well: " + " ;; ".join(bad)
        percent = DRAWN_PERCENT if seconds else STRIKE_PERCENT
        most = (struck + len(missed)) * (100 - percent) // 100
        assert len(missed) <= max(1, most), \
            f"{len(missed)} never came, {struck} did: " + " ;; ".join(missed)
        lines = [f"{phase}: {struck} calls failed in turn: {counts['served']} "
                 f"times it served on, {counts['ended']} times it ended"]
        lines += ["never came: " + name for name in missed + chance]
        lines += [f"excused, {reasons.count(why)} times: {why}"
                  for why in sorted(set(filter(None, reasons)))]
        return "\n    ".join(lines)
