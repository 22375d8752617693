# SPDX-License-Identifier: GPL-2.0-or-later
"""What several network tests use: small servers, clients, comparisons."""
import contextlib
import hashlib
import json
import os
import re
import select
import socket
import sys
import threading

from netns import SLOW

HERE = os.path.dirname(os.path.abspath(__file__))


def limit(seconds):
    """Seconds a test may take."""
    def put(test):
        test.limit = seconds
        return test
    return put


def pattern(length, seed=0):
    """length bytes that differ at every place and with every seed."""
    out, block = b"", 0
    while len(out) < length:
        out += hashlib.sha256(f"{seed}:{block}".encode()).digest()
        block += 1
    return out[:length]


class Who:
    """Answers every datagram and every TCP connection's bytes with
    "ADDRESS:PORT " as it sees the client, then the same bytes. On several
    sockets, in one thread; `seen` keeps (own port, client) of datagrams."""

    def __init__(self, space, udp=(), tcp=()):
        self.sockets = [space.udp(*where) for where in udp]
        self.listeners = [space.listener(*where) for where in tcp]
        self.clients = []
        self.seen = []
        self.wake, self.stopper = socket.socketpair()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            everything = self.sockets + self.listeners + self.clients
            ready, _, _ = select.select(everything + [self.wake], [], [])
            if self.wake in ready:
                return
            for sock in ready:
                with contextlib.suppress(OSError):
                    self._turn(sock)

    def _turn(self, sock):
        if sock in self.listeners:
            client, _ = sock.accept()
            client.settimeout(5 * SLOW)
            self.clients.append(client)
        elif sock in self.clients:
            data = b""
            with contextlib.suppress(ConnectionError):
                data = sock.recv(65536)
            if not data:
                self.clients.remove(sock)
                sock.close()
                return
            sock.sendall(f"{name(sock.getpeername())} ".encode() + data)
        else:
            data, peer = sock.recvfrom(65536)
            self.seen.append((sock.getsockname()[1], name(peer)))
            sock.sendto(f"{name(peer)} ".encode() + data, peer)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stopper.send(b"x")
        self.thread.join(5)
        for sock in (self.sockets + self.listeners + self.clients
                     + [self.wake, self.stopper]):
            sock.close()


def name(pair):
    return f"{pair[0]}:{pair[1]}"


def ask(sock, peer, data=b"hello", tries=3):
    """Sends a datagram to a Who and returns how it saw us; a datagram may be
    lost, an answer with other bytes may not be."""
    sock.settimeout(1 * SLOW)
    for _ in range(tries):
        sock.sendto(data, peer)
        with contextlib.suppress(socket.timeout):
            answer, source = sock.recvfrom(65536)
            seen, _, rest = answer.partition(b" ")
            assert rest == data, f"{len(rest)} bytes came back changed"
            assert source == peer, f"{source} answered in place of {peer}"
            return seen.decode()
    raise AssertionError(f"no answer from {name(peer)}")


def ask_tcp(sock, data=b"hello"):
    """The same over a TCP connection."""
    sock.sendall(data)
    answer = b""
    while not answer.endswith(b" " + data):
        more = sock.recv(65536)
        assert more, f"connection closed after {answer!r}"
        answer += more
    return answer.partition(b" ")[0].decode()


def quiet(sock, seconds=0.3):
    """Nothing arrives for a while."""
    sock.settimeout(seconds * SLOW)
    try:
        data = sock.recvfrom(65536)
    except socket.timeout:
        return
    raise AssertionError(f"{data!r} arrived, nothing should")


def refuses_tcp(space, peer, source=None, seconds=0.7):
    """A TCP connection to peer gets no answer at all (silence, no RST)."""
    try:
        space.tcp(peer, source=source, timeout=seconds).close()
    except socket.timeout:
        return
    except OSError as error:
        raise AssertionError(f"{name(peer)} answered: {error}") from None
    raise AssertionError(f"{name(peer)} accepted a connection")


# --- programs ----------------------------------------------------------------

@contextlib.contextmanager
def httpd(space, address, port=80):
    """GET /N gives N bytes, PUT answers with their sha256."""
    with space.running(sys.executable, "-B", os.path.join(HERE, "httpd.py"),
                       address, port) as process:
        space.wait_listener(port)
        yield process


def curl(space, *arguments, timeout=60, check=True):
    return space.run("curl", "-sS", "--connect-timeout", 5 * SLOW,
                     "--max-time", timeout * SLOW, *arguments,
                     timeout=timeout + 5, check=check)


def download(space, url, count, where, timeout=60):
    """Gets count bytes and checks their sha256 against the server's."""
    path = os.path.join(where, "download")
    curl(space, "-o", path, f"{url}/{count}", timeout=timeout)
    with open(path, "rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    assert os.path.getsize(path) == count
    os.unlink(path)
    wanted = curl(space, f"{url}/sha256/{count}").stdout.strip()
    assert got == wanted, f"{count} bytes downloaded, changed on the way"


def upload(space, url, path, timeout=60):
    """Puts a file and checks its sha256 against what the server saw."""
    with open(path, "rb") as file:
        wanted = hashlib.file_digest(file, "sha256").hexdigest()
    got = curl(space, "-T", path, f"{url}/put", timeout=timeout).stdout
    assert got.strip() == wanted, "the uploaded file changed on the way"


def random_file(directory, count):
    path = os.path.join(directory, f"random-{count}")
    if not os.path.exists(path):
        with open(path, "wb") as file:
            file.write(os.urandom(count))
    return path


def iperf3(space, there, server, *arguments, seconds=1):
    """The "end" part of iperf3's report. Each run has a server of its own in
    `there`: one that serves on is still busy with the end of a test when its
    client is done, and then refuses the next."""
    with there.running("iperf3", "-s", "-1", "-B", server):
        there.wait_listener(5201)
        done = space.run("iperf3", "-J", "-c", server, "-t", seconds,
                         *arguments, check=False, timeout=seconds + 15)
    report = json.loads(done.stdout)
    assert "error" not in report, f"iperf3: {report['error']}"
    return report["end"]


@contextlib.contextmanager
def dns_server(space, address):
    """dnsmasq that knows host.example.test and a text too long for 512
    bytes."""
    text = ",".join("x" * 250 for _ in range(6))
    with space.running(
            "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
            "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
            "--bind-interfaces", f"--listen-address={address}",
            "--host-record=host.example.test,192.0.2.80",
            f"--txt-record=long.example.test,{text}") as process:
        space.wait_listener(53)
        yield process


# --- packets -----------------------------------------------------------------

def frame(packet, destination):
    """An IPv4 packet in an Ethernet frame to a device's address."""
    return (bytes.fromhex(destination.replace(":", ""))
            + bytes.fromhex("0200000000ee0800") + bytes(packet))


EVERY_OFFLOAD = ["gro", "gso", "tso", "tx", "rx", "sg", "rx-gro-list",
                 "rx-udp-gro-forwarding"]


def offload(lab, *features):
    """Switches features ("gro on") on every device a packet meets."""
    for space, devices in ((lab.lan1, ["eth0"]), (lab.lan2, ["eth0"]),
                           (lab.gw, ["p1", "p2", "wan0"]),
                           (lab.wan, ["up0"])):
        for device in devices:
            words = [word for f in features for word in f.split()]
            space.run("ethtool", "-K", device, *words)


def usual_offloads(lab):
    offload(lab, "rx-gro-list off", "rx-udp-gro-forwarding off", "gro off",
            "rx on", "tx on", "sg on", "gso on", "tso on")


def neighbours_fail_fast(space, device):
    """An address nobody answers for is given up after 0.2 s, not 3 s."""
    for key, value in (("mcast_solicit", 2), ("retrans_time_ms", 100)):
        space.sysctl(f"net.ipv4.neigh.{device}.{key}", value)


def in_order(native):
    """Sets and chains of each table by name: rules loaded in place of others
    leave base chains where they were, and the others come behind."""
    def sort(table):
        parts = re.split(r"\n(?=\t(?:set|chain|map) )", table.group(2))
        parts = sorted(part.strip("\n") for part in parts)
        return table.group(1) + "\n".join(parts) + "\n}\n"
    return re.sub(r"^(table .* \{\n)((?:[^}\n].*\n|\n)*)\}\n", sort, native,
                  flags=re.M)


def all_rules(space):
    """Every rule of every flavour there, without counters and without the
    empty tables that iptables-save makes for itself."""
    text = ""
    for kind in ("nft", "legacy"):
        text += space.run(f"iptables-{kind}-save").stdout
    text = re.sub(r"^\*\w+\n(:\w+ ACCEPT \[\d+:\d+\]\n)*COMMIT\n", "",
                  re.sub(r"^#.*\n", "", text, flags=re.M), flags=re.M)
    native = space.run("nft", "list", "ruleset").stdout
    native = re.sub(r"^#.*\n", "", native, flags=re.M)
    native = re.sub(r"^table ip \w+ \{\n(\tchain [A-Z]+ \{\n\t\ttype .*"
                    r"policy accept;\n\t\}\n\n?)*\}\n", "", native,
                    flags=re.M)
    return re.sub(r"\[\d+:\d+\]|counter packets \d+ bytes \d+", "",
                  text + in_order(native))
