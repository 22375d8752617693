# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path's program is put at devices and taken from them by rtnetlink,
and what others have there stays as it was."""
import contextlib
import errno
import json
import os
import select
import subprocess
import threading

from daemon import BUILD
from fault import Fault, unusable
from lab import Skip
from netns import SLOW, ip_batch, wait_for

TOOL = os.path.join(BUILD, "tests", "netns", "fast_devices")
PREFERENCE = 0xbf00
CANNOT = 77
ETHER, BARE = 0, 1


class Tool:
    """The tool, in the gateway's namespace."""

    def __init__(self, lab, *words, wrap=()):
        self.space, self.words = lab.gw, [*wrap, TOOL, *words]
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            self.space._argv(self.words), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1)
        try:
            self.ids = [int(word) for word in self.ask("ids").split()]
        except Exception:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def ask(self, command):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(command + "\n")
        ready, _, _ = select.select([self.process.stdout], [], [], 20 * SLOW)
        assert ready, f"no answer to {command}"
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            if status == CANNOT:
                raise Skip("the kernel loads no BPF programs")
            raise AssertionError(f"{command}: ended with {status}")
        return line.strip()

    def index(self, name):
        return self.space.ip_json(f"link show {name}")[0]["ifindex"]

    def set(self, uplink, *inside):
        """How many devices have it, the error and its sentence."""
        numbers = [name if isinstance(name, int) else self.index(name)
                   for name in (uplink, *inside)]
        count, err, *text = self.ask(
            "set " + " ".join(map(str, numbers))).split(" ", 2)
        return int(count), int(err), " ".join(text)

    def tc(self, command, *more, check=True):
        return self.space.run("tc", *command.split(), *more, check=check)

    def add_other(self, name, side="ingress", preference=10):
        """A filter of somebody else's: an old program that matches nothing."""
        self.tc(f"filter add dev {name} {side} protocol ip pref {preference} "
                "bpf bytecode", "1,6 0 0 0", "flowid", "1:1")

    def qdiscs(self, name):
        return [q["kind"] for q in json.loads(self.tc(
            f"-j qdisc show dev {name}").stdout)
            if q["kind"] in ("clsact", "ingress")]

    def filters(self, name, side="ingress"):
        """Preference, kind and, of a program, name and number."""
        shown = json.loads(self.tc(
            f"-j filter show dev {name} {side}", check=False).stdout or "[]")
        return [(f["pref"], f["kind"], f["options"].get("bpf_name"),
                 f["options"].get("prog", {}).get("id"))
                for f in shown if "options" in f]

    def ours(self, uplink, kind=ETHER):
        return (PREFERENCE, "bpf", "portico",
                self.ids[2 * uplink + kind])


class Devices(Tool):
    """With devices of our own there."""

    def __enter__(self):
        # The other ends go with them.
        ip_batch([f"link add {name} type veth peer name {name}x"
                  for name in ("fast0", "fast1", "fast2")]
                 + ["tuntap add fast3 mode tun"], self.space.name)
        try:
            return super().__enter__()
        except Exception:
            self.remove()
            raise

    def __exit__(self, *exc):
        super().__exit__(*exc)
        self.remove()

    def remove(self):
        for name in ("fast0", "fast1", "fast2", "fast3"):
            self.space.ip(f"link del {name}", check=False)


def test_made_and_removed(lab):
    with Devices(lab) as devices:
        assert devices.set("fast0", "fast1", "fast2") == (3, 0, "")
        assert devices.filters("fast0") == [devices.ours(True)]
        for name in ("fast1", "fast2"):
            assert devices.filters(name) == [devices.ours(False)], name
        assert "direct-action" in devices.tc(
            "filter show dev fast0 ingress").stdout
        # Again: nothing changes. One is no longer inside.
        assert devices.set("fast0", "fast1", "fast2") == (3, 0, "")
        assert devices.set("fast0", "fast1") == (2, 0, "")
        assert devices.filters("fast2") == devices.qdiscs("fast2") == []
        # They change their parts; there is no uplink for a while.
        assert devices.set("fast1", "fast0") == (2, 0, "")
        assert devices.filters("fast1") == [devices.ours(True)]
        assert devices.filters("fast0") == [devices.ours(False)]
        assert devices.set(0, 0, "fast0") == (1, 0, "")
        assert devices.qdiscs("fast1") == []
        assert devices.ask("close") == "closed"
        assert devices.qdiscs("fast0") == []


def test_it_works_in_the_sandbox(lab):
    with Devices(lab) as devices:
        if devices.ask("jail") != "0":
            raise Skip("no list of system calls here")
        assert devices.set("fast0", "fast1") == (2, 0, "")
        devices.tc("qdisc del dev fast1 clsact")
        assert devices.set("fast0", "fast1", "lo")[:2] == (2, -95)
        assert devices.set("fast1", "fast2") == (2, 0, "")
        assert devices.ask("remove") == "0"
        assert devices.filters("fast2") == []
        assert devices.ask("close") == "closed"
        assert devices.qdiscs("fast1") == devices.qdiscs("fast2") == []


def test_what_others_have_there_stays(lab):
    with Devices(lab) as devices:
        devices.tc("qdisc add dev fast0 clsact")
        devices.tc("qdisc add dev fast1 ingress")
        before = {}
        for name in ("fast0", "fast1"):
            devices.add_other(name)
        devices.add_other("fast0", "egress")
        for name in ("fast0", "fast1"):
            before[name] = devices.filters(name)
            assert before[name], name
        egress = devices.filters("fast0", "egress")
        assert devices.set("fast0", "fast1") == (2, 0, "")
        assert devices.filters("fast0") == before["fast0"] + [
            devices.ours(True)]
        assert devices.filters("fast1") == before["fast1"] + [
            devices.ours(False)]
        devices.ask("close")
        assert devices.qdiscs("fast0") == ["clsact"]
        assert devices.qdiscs("fast1") == ["ingress"]
        assert devices.filters("fast0") == before["fast0"]
        assert devices.filters("fast1") == before["fast1"]
        assert devices.filters("fast0", "egress") == egress


def test_ours_stays_while_somebody_uses_it(lab):
    with Devices(lab) as devices:
        for side in ("ingress", "egress"):
            assert devices.set("fast0", "fast1") == (2, 0, "")
            devices.add_other("fast0", side)
            devices.ask("close")
            assert devices.qdiscs("fast0") == ["clsact"], side
            assert devices.qdiscs("fast1") == [], side
            assert len(devices.filters("fast0", side)) == 1
            devices.tc("qdisc del dev fast0 clsact")
            devices.ask("open")


def test_it_is_put_back(lab):
    with Devices(lab) as devices:
        assert devices.set("fast0", "fast1") == (2, 0, "")
        # The filter is taken away, and its place made anew by somebody else:
        # who knows whose it is then?
        devices.tc(f"filter del dev fast0 ingress pref {PREFERENCE}")
        devices.tc("qdisc del dev fast1 clsact")
        devices.tc("qdisc add dev fast1 clsact")
        assert devices.set("fast0", "fast1") == (2, 0, "")
        assert devices.filters("fast0") == [devices.ours(True)]
        assert devices.filters("fast1") == [devices.ours(False)]
        devices.ask("close")
        assert devices.filters("fast0") == devices.filters("fast1") == []
        assert devices.qdiscs("fast1") == ["clsact"]


def test_another_daemons_in_our_place_is_not_taken_for_ours(lab):
    with Devices(lab) as devices, Tool(lab) as other:
        assert devices.set("fast0") == (1, 0, "")
        assert other.set("fast0") == (1, 0, "")
        assert devices.filters("fast0") == [other.ours(True)]
        assert devices.set("fast0") == (1, 0, "")
        assert devices.filters("fast0") == [devices.ours(True)]


def test_a_killed_daemon_is_replaced_in_one_step(lab):
    """Our place has a program at any time: a watcher sees no moment without."""
    with Devices(lab) as devices:
        assert devices.set("fast0", "fast1") == (2, 0, "")
        devices.ask("leave")
        with lab.gw.running("tc", "monitor") as monitor:
            wait_for("a watcher", lambda: os.path.exists(
                f"/proc/{monitor.pid}") and watched(devices, monitor), 5)
            assert devices.set("fast1", "fast0") == (2, 0, "")
            wait_for("news", lambda: monitor.output().count("portico") >= 2, 5)
            assert "deleted" not in monitor.output(), monitor.output()
        assert devices.filters("fast0") == [devices.ours(False)]
        assert devices.filters("fast1") == [devices.ours(True)]
        # Their qdiscs may be somebody else's: who knows?
        devices.ask("close")
        assert devices.qdiscs("fast0") == ["clsact"]
        assert devices.filters("fast0") == devices.filters("fast1") == []


def watched(devices, monitor):
    """Whether the watcher has begun: it sees what is done for it."""
    devices.tc("qdisc replace dev fast2 root pfifo")
    return "pfifo" in monitor.output()


def test_stale_ones_are_removed(lab):
    with Devices(lab) as devices:
        assert devices.set("fast0", "fast1", "fast3") == (3, 0, "")
        devices.tc("qdisc add dev fast2 clsact")
        devices.add_other("fast2")
        others = devices.filters("fast2")
        devices.ask("leave")
        assert devices.set("fast1", "fast2") == (2, 0, "")
        assert devices.filters("fast1") == [devices.ours(True)]
        assert devices.filters("fast0") == [devices.ours(True)]
        assert devices.ask("remove") == "0"
        for name in ("fast0", "fast1", "fast3"):
            assert devices.filters(name) == [], name
        assert devices.filters("fast2") == others != []


def test_removed_while_devices_come_and_go(lab):
    """A list of more devices than one message holds is then broken off."""
    pairs = range(40)
    churn = threading.Thread(target=ip_batch, args=(
        ["link add goes0 type veth peer name goes1", "link del goes0"] * 250,
        lab.gw.name))
    with Devices(lab) as devices:
        try:
            ip_batch([f"link add many{i}a type veth peer name many{i}b"
                      for i in pairs], lab.gw.name)
            numbers = [devices.index("fast0"), devices.index("fast1")]
            churn.start()
            rounds = 0
            while churn.is_alive() or not rounds:
                assert devices.set(*numbers) == (2, 0, "")
                assert devices.ask("remove") == "0"
                rounds += 1
            assert devices.filters("fast0") == devices.filters("fast1") == []
        finally:
            if churn.ident:
                churn.join()
            ip_batch([f"link del many{i}a" for i in pairs], lab.gw.name)


def test_another_filter_in_our_place_stays(lab):
    with Devices(lab) as devices:
        devices.tc("qdisc add dev fast0 clsact")
        devices.add_other("fast0", preference=PREFERENCE)
        before = devices.filters("fast0")
        count, err, text = devices.set("fast0", "fast1")
        assert (count, err) == (1, -17), text
        assert "fast0" in text and "another filter" in text, text
        assert devices.ask("remove") == "0"
        devices.ask("close")
        assert devices.filters("fast0") == before


def test_devices_without_a_header_and_others(lab):
    with Devices(lab) as devices:
        assert devices.set("fast3", "fast0") == (2, 0, "")
        assert devices.filters("fast3") == [devices.ours(True, BARE)]
        assert devices.set("fast0", "fast3") == (2, 0, "")
        assert devices.filters("fast3") == [devices.ours(False, BARE)]
        count, err, text = devices.set("fast0", "lo", "fast3")
        assert (count, err) == (2, -95) and "lo" in text, text
        assert devices.qdiscs("lo") == []
        # One that is gone: the others are as they were.
        index = devices.index("fast3")
        devices.space.ip("link del fast3")
        count, err, text = devices.set("fast0", index, "fast1")
        assert (count, err) == (2, -19) and str(index) in text, text
        assert devices.filters("fast1") == [devices.ours(False)]


def test_there_may_be_too_many_inside(lab):
    with Devices(lab) as devices:
        ends = [f"many{i}{end}" for i in range(17) for end in "ab"]
        try:
            ip_batch([f"link add many{i}a type veth peer name many{i}b"
                      for i in range(17)], lab.gw.name)
            numbers = [devices.index(name) for name in ends[:33]]
            # Those that are away, or named twice, are none.
            count, err, text = devices.set("fast0", *[0] * 20, numbers[0],
                                           *numbers[:32])
            assert (count, err, text) == (33, 0, "")
            count, err, text = devices.set("fast0", *numbers)
            assert (count, err) == (33, -7) and "too many" in text, text
            assert devices.qdiscs(ends[31]) == ["clsact"]
            assert devices.qdiscs(ends[32]) == []
            assert devices.ask("close") == "closed"
        finally:
            ip_batch([f"link del many{i}a" for i in range(17)], lab.gw.name)


def test_where_it_fails_nothing_is_left(lab):
    """Whichever question cannot be asked."""
    if unusable():
        raise Skip(unusable())
    fault = Fault(lab.directory)
    with Devices(lab, wrap=fault.wrap) as devices:
        devices.tc("qdisc add dev fast0 clsact")
        for skip in range(12):
            fault.arm("ENOBUFS", "sendto", skip=skip)
            count, err, text = devices.set("fast0")
            if not fault.disarm():
                break
            assert (count, err) == (0, -errno.ENOBUFS), (skip, text)
            assert devices.filters("fast0") == [], skip
        assert (count, err) == (1, 0) and skip > 3, (skip, text)
