# SPDX-License-Identifier: GPL-2.0-or-later
"""A throw-away network: host (h0) - (in0) gateway (up0) - (s0) server."""
import atexit
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

HOST, INSIDE = "10.99.0.2", "10.99.0.1"
OUTSIDE, SERVER = "198.51.100.1", "198.51.100.2"
INSIDE_NET, INSIDE_BITS = "10.99.0.0/16", 16
SINK_PORT = 9000


def fail(text):
    sys.exit(f"bench: {text}")


def sh(*words, check=True, text=None, timeout=30):
    done = subprocess.run(words, input=text, capture_output=True, text=True,
                          timeout=timeout)
    if check and done.returncode:
        fail(f"{' '.join(words)}: exit {done.returncode}: "
             f"{(done.stderr or done.stdout).strip()}")
    return done


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def state_directory():
    """/run is memory on most systems, as the shipped state file expects."""
    where = "/dev/shm" if os.path.ismount("/dev/shm") else None
    return tempfile.TemporaryDirectory(prefix="portico-bench-", dir=where)


class Topology:
    """Namespaces that were not used before: the kernel keeps hooks of tables
    that once were filled, and they cost whoever comes next."""
    count = 0

    def __init__(self):
        Topology.count += 1
        tag = f"pbench{os.getpid()}.{Topology.count}"
        self.host, self.gateway, self.server = (
            f"{tag}-{name}" for name in ("host", "gateway", "server"))
        self.processes = []
        atexit.register(self.close)
        self.build()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def build(self):
        for ns in (self.host, self.gateway, self.server):
            sh("ip", "netns", "add", ns)
            self.ip(ns, "link", "set", "lo", "up")
        self.link(self.host, "h0", f"{HOST}/{INSIDE_BITS}",
                  self.gateway, "in0", f"{INSIDE}/{INSIDE_BITS}")
        self.link(self.gateway, "up0", f"{OUTSIDE}/24",
                  self.server, "s0", f"{SERVER}/24")
        self.ip(self.host, "route", "add", "default", "via", INSIDE)
        self.ip(self.gateway, "route", "add", "default", "via", SERVER)
        # The generator's packets end here, before they cost the server much;
        # s0 has counted them.
        self.nft(self.server, "table ip sink { chain raw { type filter hook "
                 "prerouting priority raw; "
                 f"udp dport {SINK_PORT} drop; }}\n}}")

    def ip(self, ns, *words):
        sh("ip", "-n", ns, *words)

    def nft(self, ns, text):
        sh("ip", "netns", "exec", ns, "nft", "-f", "-", text=text)

    def sysctl(self, ns, name, value):
        self.run(ns, "sysctl", "-qw", f"{name}={value}")

    def link(self, ns, name, address, peer_ns, peer, peer_address):
        sh("ip", "link", "add", name, "netns", ns, "type", "veth",
           "peer", "name", peer, "netns", peer_ns)
        for where, device, value in ((ns, name, address),
                                     (peer_ns, peer, peer_address)):
            self.ip(where, "addr", "add", value, "dev", device)
            self.ip(where, "link", "set", device, "up")

    def mac(self, ns, device):
        out = sh("ip", "-n", ns, "-j", "link", "show", device).stdout
        return json.loads(out)[0]["address"]

    def via(self):
        """The generator's way through the gateway."""
        return f"{self.host},h0,{self.mac(self.gateway, 'in0')}"

    def own(self):
        """And one that has no gateway between: from the gateway itself."""
        return f"{self.gateway},up0,{self.mac(self.server, 's0')}"

    def run(self, ns, *words, **more):
        return sh("ip", "netns", "exec", ns, *words, **more)

    def start(self, ns, *words, **more):
        process = subprocess.Popen(("ip", "netns", "exec", ns) + words, **more)
        self.processes.append(process)
        return process

    def socket(self, ns, kind):
        """A socket keeps the namespace it was made in."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net") as home, \
                open(f"/run/netns/{ns}") as away:
            if libc.setns(away.fileno(), 0):
                fail(f"entering {ns}: {os.strerror(ctypes.get_errno())}")
            try:
                return socket.socket(socket.AF_INET, kind)
            finally:
                libc.setns(home.fileno(), 0)

    def await_port(self, ns, port):
        for _ in range(100):
            if f":{port} " in self.run(ns, "ss", "-Htln").stdout:
                return
            time.sleep(0.05)
        fail(f"nothing listens on port {port}")

    def close(self):
        atexit.unregister(self.close)
        for process in reversed(self.processes):
            stop(process)
        for ns in (self.host, self.gateway, self.server):
            sh("ip", "netns", "del", ns, check=False)
