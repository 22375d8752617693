# SPDX-License-Identifier: GPL-2.0-or-later
"""What the gateway does: the ways that are compared. Each may be opened again
and again, and begins with an empty table."""
import contextlib
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import time

from topology import (HOST, INSIDE_NET, OUTSIDE, SERVER, fail, sh, stop)

QUEUE = 4711
CHECK_PORT = 9004
# What the cases of many mappings need beside the defaults. None of them is
# about quotas: one host stands for many in new_tcp, and each of 60 hosts opens
# its 1,000 mappings in a moment.
LARGE = {"mappings": 65536, "sessions": 262144, "host_mappings": 65536,
         "host_sessions": 65536, "host_new_per_second": 1000000,
         "host_guaranteed": 0}
# generator.c has 60,000 flows of 1,000 a host; only the first of the hosts is
# there.
OTHER_HOSTS = [ipaddress.ip_address(HOST) + i for i in range(1, 60)]
# Of the fast path: each session is carried as soon as it was used both ways, and
# so many find room that hardly any meets a full bucket.
FAST_PATH = {"sessions": 131072, "after": 2}
DEVICES, PATIENCE_S = 2, 10  # of the fast path, until it runs


def kb_of(path, name):
    with open(path) as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines[name].split()[0])


class Forward:
    """Plain forwarding: the server knows the way back."""
    name, source = "forward", HOST

    def __init__(self, net, build, directory):
        self.net, self.build, self.directory = net, build, directory
        self.daemon = None

    @contextlib.contextmanager
    def opened(self, limits=None):
        """limits: those of Portico that are not the defaults."""
        self.forwarding(1)
        self.set_up(limits or {})
        try:
            self.wait()
            yield self
        finally:
            self.tear_down()
            self.forwarding(0)

    def forwarding(self, value):
        self.net.sysctl(self.net.gateway, "net.ipv4.ip_forward", value)

    def set_up(self, limits):
        self.net.ip(self.net.server, "route", "add", INSIDE_NET, "via",
                    OUTSIDE)

    def tear_down(self):
        self.net.ip(self.net.server, "route", "del", INSIDE_NET)

    def mappings(self):
        """How many there are; None where there is nothing to count."""

    def carried(self):
        """How many sessions need no program; None where nothing is handed
        over."""

    def pin(self, cpus):
        if self.daemon:
            os.sched_setaffinity(self.daemon.pid, cpus)

    def cpu_ns(self):
        """Processor time of the daemon, with what the kernel did for packets
        meanwhile."""
        if not self.daemon:
            return 0
        with open(f"/proc/{self.daemon.pid}/schedstat") as file:
            return int(file.read().split()[0])

    def memory_kb(self):
        """The daemon's resident memory."""
        return kb_of(f"/proc/{self.daemon.pid}/status", "VmRSS")

    def wait(self):
        """Until a datagram makes it there and back, from the right source."""
        inside = self.net.socket(self.net.host, socket.SOCK_DGRAM)
        outside = self.net.socket(self.net.server, socket.SOCK_DGRAM)
        with inside, outside:
            inside.settimeout(0.1)
            outside.settimeout(0.1)
            outside.bind((SERVER, CHECK_PORT))
            for _ in range(100):
                if self.exchange(inside, outside):
                    return
        fail(f"{self.name}: no datagram came through")

    def exchange(self, inside, outside):
        try:
            inside.sendto(b"ping", (SERVER, CHECK_PORT))
            _, peer = outside.recvfrom(64)
            if peer[0] != self.source:
                fail(f"{self.name}: arrived from {peer[0]}, "
                     f"not {self.source}")
            outside.sendto(b"pong", peer)
            return inside.recv(64) == b"pong"
        except OSError:
            if self.daemon and self.daemon.poll() is not None:
                fail(f"{self.name}: ended with {self.daemon.returncode}")
            return False


class Masquerade(Forward):
    """nftables masquerade, with conntrack."""
    name, source = "masquerade", OUTSIDE

    def set_up(self, limits):
        self.net.nft(self.net.gateway, "table ip bench { chain post { type "
                     "nat hook postrouting priority srcnat; "
                     'oifname "up0" masquerade; }\n}')

    def tear_down(self):
        self.net.nft(self.net.gateway, "delete table ip bench")
        self.net.run(self.net.gateway, "conntrack", "-F")

    def memory_kb(self):
        """All of the kernel's small objects: only a difference says much."""
        return kb_of("/proc/meminfo", "SUnreclaim")

    def mappings(self):
        return int(self.net.run(self.net.gateway, "sysctl", "-n",
                                "net.netfilter.nf_conntrack_count").stdout)


class Queue(Forward):
    """porticod, as built, with its sandbox: every packet by the queue."""
    name, source = "queue", OUTSIDE
    queue, fast_path = {"number": QUEUE}, {"enabled": "off"}

    def path(self, name):
        return os.path.join(self.directory, name)

    def forwarding(self, value):
        """The daemon does it, after its rules are in force."""

    def config(self, limits):
        return {
            "uplink": {"device": "up0"},
            "inside": {"devices": ["in0"]},
            "queue": self.queue,
            "fast_path": self.fast_path,
            "limits": limits,
            "control": self.path("control"),
            "control_read": self.path("monitor"),
            "state": self.path("state"),
        }

    def set_up(self, limits):
        with open(self.path("portico.conf"), "w") as file:
            json.dump(self.config(limits), file)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("state"))
        self.log = open(self.path("portico.log"), "ab")
        self.start()

    def start(self):
        self.daemon = self.net.start(
            self.net.gateway, os.path.join(self.build, "porticod"),
            "--foreground", "--config", self.path("portico.conf"),
            stderr=self.log)

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def tear_down(self):
        stop(self.daemon)
        self.log.close()
        self.net.run(self.net.gateway, os.path.join(self.build, "porticod"),
                     "--remove-guard", check=False)

    def ask(self, command):
        return json.loads(sh(os.path.join(self.build, "portico"), "--socket",
                             self.path("control"), "--json", command).stdout)

    def status(self):
        return self.ask("status")

    def mappings(self):
        return self.status()["mappings"]["used"]


class Portico(Queue):
    """As shipped: the kernel carries what is established, where its program
    was built."""
    name = "portico"
    fast_path = FAST_PATH
    loader = "portico-bpf"

    @classmethod
    def carries(cls, build):
        return os.access(os.path.join(build, cls.loader), os.X_OK)

    def set_up(self, limits):
        """What is answered goes to hosts that are not there to say where they
        are: h0 takes and drops it."""
        super().set_up(limits)
        mac = self.net.mac(self.net.host, "h0")
        sh("ip", "-n", self.net.gateway, "-batch", "-", text="".join(
            f"neigh replace {host} dev in0 lladdr {mac} nud permanent\n"
            for host in OTHER_HOSTS))

    def wait(self):
        """Other packet filters are looked at first."""
        super().wait()
        end = time.monotonic() + PATIENCE_S
        while self.carries(self.build):
            found = self.status()
            if found["fast_path"]["devices"] >= DEVICES:
                return
            if time.monotonic() > end:
                fail(f"{self.name}: the fast path does not run: "
                     f"{found['fast_path'].get('reason', '')} "
                     f"{found['warnings']}")
            time.sleep(0.05)

    def carried(self):
        if not self.carries(self.build):
            return None
        found = self.status()["fast_path"]
        return found["sessions"]["used"] * (found["devices"] >= DEVICES)

    def carries_session(self, inside):
        return any(session["carried"] and session["inside"] == inside
                   for session in self.ask("sessions")["sessions"])


def tables_tool():
    """The one that Portico chooses where the kernel has no nftables queue."""
    return shutil.which("iptables-legacy") or "iptables"


class Echo(Forward):
    """Portico's queue path with an engine that knows nothing (echo.c)."""
    name, source = "echo", OUTSIDE
    ours = ("-m", "mark", "--mark", "0x1000000/0x3000000")
    rules = [("raw", "PREROUTING", *ours, "-j", "CT", "--notrack"),
             ("raw", "PREROUTING", *ours, "-j", "ACCEPT"),
             ("raw", "PREROUTING", "-i", "up0", "-d", OUTSIDE, "-j",
              "NFQUEUE", "--queue-num", str(QUEUE)),
             ("raw", "PREROUTING", "-i", "in0", "-j", "CT", "--notrack"),
             ("raw", "PREROUTING", "-i", "in0", "-j", "MARK",
              "--set-xmark", "0x2000000/0x3000000"),
             ("mangle", "POSTROUTING", "-o", "up0", "-m", "mark", "--mark",
              "0x2000000/0x3000000", "-j", "NFQUEUE", "--queue-num",
              str(QUEUE))]

    def set_up(self, limits):
        self.daemon = self.net.start(
            self.net.gateway, os.path.join(self.build, "tests/bench/echo"),
            str(QUEUE), "up0", OUTSIDE, HOST, "1", stdout=subprocess.PIPE)
        if self.daemon.stdout.readline() != b"ready\n":
            fail("echo did not start")
        self.rule("-A")

    def tear_down(self):
        self.rule("-D")
        stop(self.daemon)
        self.daemon.stdout.close()

    def rule(self, verb):
        for table, *words in self.rules:
            self.net.run(self.net.gateway, tables_tool(), "-t", table, verb,
                         *words)


WAYS = {way.name: way for way in (Forward, Masquerade, Echo, Queue, Portico)}
