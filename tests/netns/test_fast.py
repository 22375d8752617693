# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path under a whole daemon: real programs' traffic is carried by the
kernel, intact and counted, and handed over and taken back when it should be."""
import contextlib
import os
import re
import socket
import struct
import threading
import time

from fastlab import (by_kernel, carry, fast, host, is_carried, queued, session,
                     speak, start)
from lab import E, L1, L2, R1
from netns import SLOW, wait_for
from tools import (Who, ask_tcp, dns_server, download, httpd, limit, name,
                   quiet, random_file, upload)

MB = 1000 * 1000


# --- transfers ---------------------------------------------------------------

def packets_at(space, what):
    """The kernel's own counters of a host, of packets from or to R1."""
    done = space.run("iptables", "-L", what, "-v", "-x", "-n").stdout
    found = re.search(r"^\s*(\d+)\s+(\d+)\s.*198\.51\.100\.1", done, re.M)
    return int(found.group(1)), int(found.group(2))


@contextlib.contextmanager
def counted(space):
    rules = [("INPUT", "-s", R1), ("OUTPUT", "-d", R1)]
    for rule in rules:
        space.run("iptables", "-A", *rule)
    try:
        yield
    finally:
        for rule in rules:
            space.run("iptables", "-D", *rule)


def check_counted(lab):
    """The table tells of what the hosts' kernels have counted."""
    true = [packets_at(space, what) for what in ("OUTPUT", "INPUT")
            for space in (lab.lan1, lab.lan2)]
    sessions = lab.portico("sessions")["sessions"]
    mappings = lab.portico("mappings")["mappings"]
    hosts = [host(lab, L1), host(lab, L2)]
    status = lab.portico("status")
    for at, side in ((0, "out"), (2, "in")):
        packets = true[at][0] + true[at + 1][0]
        size = true[at][1] + true[at + 1][1]
        for which in (sessions, mappings, hosts):
            assert sum(w[side + "_packets"] for w in which) == packets, (
                side, packets, which)
            assert sum(w[side + "_bytes"] for w in which) == size, (
                side, size, which)
        whole = "outbound" if side == "out" else "inbound"
        assert status["packets"][whole] == packets, (packets, status)
        assert status["bytes"][whole] == size, (size, status)


@limit(120)
def test_curl_moves_100_mb_each_way_by_the_kernel(lab):
    """One host downloads, the other one uploads, at once."""
    start(lab, fast_path={"after": 16})
    errors = []

    def work(job):
        try:
            job()
        except Exception as error:
            errors.append(error)

    url, path = f"http://{R1}", random_file(lab.directory, 100 * MB)
    jobs = [lambda: download(lab.lan1, url, 100 * MB, lab.directory),
            lambda: upload(lab.lan2, url, path)]
    with httpd(lab.wan, R1), counted(lab.lan1), counted(lab.lan2):
        threads = [threading.Thread(target=work, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
        assert not errors, errors
        time.sleep(1.5)
        state, waited = fast(lab), queued(lab)
        # The bytes of both, and the headers.
        assert state["bytes"] > 195 * MB, state
        assert state["packets"] > 9 * waited, (state, waited)
        assert state["handed_over"] >= 2 and not state["no_room"], state
        check_counted(lab)
    os.unlink(path)
    return (f"{state['packets']} packets carried, {waited} took the queue: "
            f"{100 * state['packets'] / (state['packets'] + waited):.2f} %")


def test_every_datagram_is_counted(lab):
    """In session, mapping, host and status, and the carried ones in the fast
    path's own line."""
    start(lab)
    with Who(lab.wan, udp=[(R1, 7401)]):
        sock = lab.lan1.udp(L1, 5401)
        carry(lab, sock, (R1, 7401))
        carried, waited = by_kernel(lab, lambda: speak(
            sock, (R1, 7401), b"x" * 100, 200))
        assert (carried, waited) == (400, 0), (carried, waited)
        now = session(lab, f"{L1}:5401")
        answer = len(f"{E}:5401 ") + 128
        # What carry() said: each "hello", 33 bytes, and its answer.
        more = now["out_packets"] - 200
        assert now["in_packets"] == 200 + more, now
        assert now["out_bytes"] == 200 * 128 + more * 33, now
        assert now["in_bytes"] == 200 * answer + more * (answer - 95), now
        wanted = {key: now[key] for key in (
            "out_packets", "out_bytes", "in_packets", "in_bytes")}
        for other in (lab.mapping(f"{L1}:5401"), host(lab, L1)):
            assert {key: other[key] for key in wanted} == wanted, (other, now)
        status = lab.portico("status")
        assert status["packets"]["outbound"] == now["out_packets"]
        assert status["bytes"]["outbound"] == now["out_bytes"]
        assert status["bytes"]["inbound"] == now["in_bytes"]
        assert now["idle_s"] <= 3, now
        sock.close()


# --- handing over ------------------------------------------------------------

def test_udp_is_handed_over_after_so_many_packets_both_ways(lab):
    start(lab, fast_path={"after": 10})
    with Who(lab.wan, udp=[(R1, 7402)]):
        sock, mute = lab.lan1.udp(L1, 5402), lab.wan.udp(R1, 7403)
        speak(sock, (R1, 7402), times=4)
        assert session(lab, f"{L1}:5402")["carried"] is False
        speak(sock, (R1, 7402))
        wait_for("it is carried", lambda: is_carried(lab, f"{L1}:5402"), 2)
        one_way = lab.lan1.udp(L1, 5403)
        for _ in range(50):
            one_way.sendto(b"hello", (R1, 7403))
        wait_for("50 datagrams", lambda: session(lab, f"{L1}:5403")[
            "out_packets"] == 50, 3)
        assert not is_carried(lab, f"{L1}:5403")
        assert fast(lab)["sessions"]["used"] == 1, fast(lab)
        for made in (sock, mute, one_way):
            made.close()


def test_dns_is_answered(lab):
    start(lab)
    with dns_server(lab.wan, R1):
        for _ in range(3):
            for how in ("+notcp", "+tcp"):
                said = lab.lan1.run("dig", f"@{R1}", "+short", "+tries=1",
                                    "+time=2", how, "-b", f"{L1}#5404",
                                    "host.example.test").stdout
                assert said.strip() == "192.0.2.80", said
        said = lab.lan1.run("dig", f"@{R1}", "+bufsize=512", "TXT",
                            "long.example.test").stdout
        assert "x" * 250 in said, said
    assert fast(lab)["handed_over"] > 0, fast(lab)


# --- TCP ---------------------------------------------------------------------

class Pair:
    """A connection from L1 that is carried, both of its ends."""

    def __init__(self, lab, port):
        self.lab, self.inside = lab, f"{L1}:{port}"
        self.listener = lab.wan.listener(R1, port)
        self.client = self.server = None
        self.connect(port)

    def connect(self, port):
        self.client = self.lab.lan1.tcp((R1, port), source=(L1, port))
        self.server, _ = self.listener.accept()
        self.server.settimeout(5)
        for _ in range(20):
            self.exchange(1)
            if is_carried(self.lab, self.inside, "tcp"):
                return
        raise AssertionError(f"not carried: {self.state()}")

    def exchange(self, times, data=b"data"):
        for _ in range(times):
            for one, other in ((self.client, self.server),
                               (self.server, self.client)):
                one.sendall(data)
                assert other.recv(len(data), socket.MSG_WAITALL) == data

    def state(self):
        found = session(self.lab, self.inside, "tcp")
        return found and (found["state"], found["carried"])

    def wait_state(self, *wanted, seconds=3):
        try:
            wait_for(f"one of {wanted}", lambda: self.state() in wanted,
                     seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.state()}") from None

    def close(self):
        for sock in (self.client, self.server, self.listener):
            sock.close()


def test_a_closed_connection_is_taken_back_and_ends(lab):
    start(lab, timeouts={"tcp_closing": 2})
    pair = Pair(lab, 7410)
    pair.exchange(20)
    pair.server.close()
    assert pair.client.recv(10) == b""
    pair.wait_state(("S_FIN", False))
    assert fast(lab)["sessions"]["used"] == 0, fast(lab)
    pair.client.close()
    pair.wait_state(("C_FIN+S_FIN", False), None)
    pair.wait_state(None, seconds=5)
    # The same four, anew, while the server still remembers.
    pair.connect(7410)
    pair.exchange(5)
    pair.server.close()
    assert pair.client.recv(10) == b""
    pair.client.close()
    pair.wait_state(("C_FIN+S_FIN", False))
    # And once more before the last one's session is gone.
    pair.connect(7410)
    carried, waited = by_kernel(lab, lambda: pair.exchange(10))
    assert carried >= 20 and not waited, (carried, waited)
    pair.close()


def test_a_reset_takes_a_connection_back(lab):
    start(lab, timeouts={"tcp_closing": 1})
    for port, end in ((7411, "client"), (7412, "server")):
        pair = Pair(lab, port)
        one = getattr(pair, end)
        other = pair.server if end == "client" else pair.client
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                       struct.pack("ii", 1, 0))
        one.close()
        try:
            data = other.recv(10)
            raise AssertionError(f"{data!r} came, no reset")
        except ConnectionResetError:
            pass
        pair.wait_state(("TRANS", False), None)
        pair.wait_state(None, seconds=4)
        assert fast(lab)["sessions"]["used"] == 0, fast(lab)
        pair.close()


def test_data_flows_on_after_a_half_close(lab):
    start(lab)
    pair = Pair(lab, 7413)
    data = os.urandom(3 * MB)
    for one, other, state in ((pair.client, pair.server, "C_FIN"),
                              (pair.server, pair.client, None)):
        if state is None:
            pair.close()
            pair = Pair(lab, 7414)
            one, other, state = pair.server, pair.client, "S_FIN"
        one.shutdown(socket.SHUT_WR)
        assert other.recv(10) == b""
        pair.wait_state((state, False))
        sender = threading.Thread(target=other.sendall, args=(data,))
        sender.start()
        got = b""
        while len(got) < len(data):
            more = one.recv(1 << 20)
            assert more, f"the end after {len(got)} bytes"
            got += more
        sender.join(5)
        assert got == data, "the data changed on its way"
        assert pair.state() == (state, False), pair.state()
    pair.close()


def test_two_hundred_short_connections_leave_nothing_carried(lab):
    start(lab, timeouts={"tcp_closing": 1})
    with Who(lab.wan, tcp=[(R1, 7415)]):
        for _ in range(200):
            sock = lab.lan1.tcp((R1, 7415))
            for _ in range(4):
                ask_tcp(sock)
            sock.close()
    wait_for("all to end", lambda: lab.portico("status")["sessions"][
        "used"] == 0, 6)
    state = fast(lab)
    assert state["handed_over"] >= 200, state
    assert state["sessions"]["used"] == 0, state


# --- time --------------------------------------------------------------------

def answers_of(lab, port):
    """What a stranger and the peer are told at this port: errors' codes."""
    outside = lab.wan.udp(R1, 7420)
    with lab.wan.capture("icmp[0] = 3", "up0") as errors:
        outside.sendto(b"late", (E, port))
        got = [p[21] for p in errors.wait(1, 0.3)]
    outside.close()
    return got


def test_carried_traffic_keeps_a_session_until_it_stops(lab):
    life = round(3 * SLOW)
    start(lab, timeouts={"udp": life})
    with Who(lab.wan, udp=[(R1, 7420)]) as who:
        sock = lab.lan1.udp(L1, 5420)
        carry(lab, sock, (R1, 7420))
        # Late segments of earlier tests' connections take the other queue.
        waited = lab.portico("status")["queue"]["opening"]["packets"]
        for _ in range(5):
            speak(sock, (R1, 7420))
            time.sleep(1)
        status = lab.portico("status")["queue"]
        assert status["opening"]["packets"] == waited, (waited, status)
        assert is_carried(lab, f"{L1}:5420")
        assert lab.mapping(f"{L1}:5420")["expires_s"] <= life
        speak(sock, (R1, 7420))
        last = time.monotonic()
        wait_for("its end", lambda: not session(lab, f"{L1}:5420"), 8 + life)
        took = time.monotonic() - last
        # The use is a second old at most, and what is over ends once a second.
        assert life - 0.1 <= took <= life + 2.2 * SLOW, f"it ended after {took:.1f} s"
        assert not lab.mapping(f"{L1}:5420")
        state = fast(lab)
        assert state["sessions"]["used"] == 0, state
        # What comes now is like what comes to any port.
        who.sockets[0].sendto(b"late", (E, 5420))
        quiet(sock)
        assert fast(lab)["packets"] == state["packets"]
    assert answers_of(lab, 5420) == answers_of(lab, 5999)
    sock.close()
    return f"ended {took:.2f} s after its last packet, 3 s configured"


def test_inbound_traffic_alone_keeps_nothing_that_it_should_not(lab):
    """RFC 4787 REQ-6, as configured."""
    start(lab, timeouts={"udp": 2}, behaviour={"inbound_refresh": False})
    with Who(lab.wan, udp=[(R1, 7421)]) as who:
        sock = lab.lan1.udp(L1, 5421)
        carry(lab, sock, (R1, 7421))
        last = time.monotonic()

        def ended():
            who.sockets[0].sendto(b"more", (E, 5421))
            return not session(lab, f"{L1}:5421")

        wait_for("its end", ended, 6, 0.1)
        assert 1.9 <= time.monotonic() - last <= 4.2
        sock.close()


def test_flushing_a_host_ends_carrying_at_once(lab):
    start(lab)
    with Who(lab.wan, udp=[(R1, 7422)]) as who:
        one, two = lab.lan1.udp(L1, 5422), lab.lan2.udp(L2, 5423)
        for sock in (one, two):
            carry(lab, sock, (R1, 7422))
        assert fast(lab)["sessions"]["used"] == 2
        lab.daemon.run("flush", "--host", L1)
        who.sockets[0].sendto(b"late", (E, 5422))
        quiet(one)
        assert fast(lab)["sessions"]["used"] == 1
        assert is_carried(lab, name((L2, 5423)))
        carry(lab, one, (R1, 7422))
        one.close()
        two.close()
