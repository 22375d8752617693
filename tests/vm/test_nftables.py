# SPDX-License-Identifier: GPL-2.0-or-later
"""The nftables rules, where the kernel can queue from them: what is chosen,
what the queue sees, and that conntrack does not see it."""
import contextlib
import json

from lab import E, L1, L2, R1
from netns import SLOW
from tools import (Who, ask, ask_tcp, download, httpd, limit, pattern,
                   random_file, upload)

MB = 1000 * 1000
SIZE = 8192
FORWARDS = [{"name": "web", "proto": ["tcp", "udp"], "outside": 8080,
             "to": f"{L1}:80"}]


def test_auto_chooses_nftables(lab):
    lab.start(fresh=True)
    assert lab.portico("status")["backend"] == "nftables"
    tables = lab.gw.run("nft", "list", "tables").stdout.split("\n")
    assert "table ip portico" in tables, tables
    for kind in ("nft", "legacy"):
        said = lab.gw.run(f"iptables-{kind}-save").stdout
        assert "PORTICO" not in said, said


# --- reassembly ---------------------------------------------------------------

def taken(lab):
    """Packets that came from the queue."""
    return lab.portico("status")["queue"]["packets"]


def test_the_queue_sees_whole_datagrams(lab):
    """8 KB datagrams leave and come in as fragments; the rule with tproxy has
    the kernel put them together before they are queued."""
    lab.start(forwards=FORWARDS)
    before = taken(lab)
    with Who(lab.wan, udp=[(R1, 7320)]), \
            lab.wan.capture(f"src {E} and udp and ip[6:2] & 0x3fff != 0",
                            "up0") as pieces:
        sock = lab.lan1.udp(L1, 5320)
        for number in range(10):
            seen = ask(sock, (R1, 7320), pattern(SIZE, number), tries=1)
            assert seen.startswith(E + ":"), seen
        sock.close()
        # The capture has a filter of its own: they did leave in pieces.
        assert len(pieces.read()) == 60
    assert taken(lab) - before == 20, taken(lab) - before


# --- conntrack ----------------------------------------------------------------

@contextlib.contextmanager
def tracking(lab):
    """A firewall that has the kernel track what it sees."""
    lab.gw.run("nft", "-f", "-", input="table inet track { chain c { type "
               "filter hook forward priority 0; ct state invalid counter; }; "
               "chain o { type filter hook output priority 0; ct state new "
               "counter; }; }")
    try:
        yield
    finally:
        lab.gw.run("nft", "delete", "table", "inet", "track")


def entries(lab):
    return [line for line in
            lab.gw.run("conntrack", "-L").stdout.split("\n") if line]


def test_translated_flows_have_no_conntrack_entry(lab):
    lab.start(forwards=FORWARDS)
    with tracking(lab), Who(lab.wan, udp=[(R1, 7330)], tcp=[(R1, 7330)]), \
            Who(lab.lan1, udp=[(L1, 80)], tcp=[(L1, 80)]):
        udp = lab.lan1.udp(L1, 5330)
        assert ask(udp, (R1, 7330), pattern(SIZE)).startswith(E + ":")
        out = lab.lan1.tcp((R1, 7330))
        assert ask_tcp(out).startswith(E + ":")
        lab.lan1.run("ping", "-n", "-c", "1", R1)
        forward, hairpin = (space.tcp((E, 8080))
                            for space in (lab.wan, lab.lan2))
        ask_tcp(forward)
        ask_tcp(hairpin)
        # The router's own connection shows that conntrack is awake.
        own = lab.gw.tcp((R1, 7330))
        ask_tcp(own)
        tracked = entries(lab)
        assert any(f"src={E} dst={R1}" in line and "dport=7330" in line
                   for line in tracked), tracked
        hosts = [f"{end}={host} " for end in ("src", "dst")
                 for host in (L1, L2)]
        translated = [line for line in tracked if "dport=8080 " in line
                      or "dport=5330 " in line
                      or any(word in line for word in hosts)]
        assert not translated, translated
        for sock in (udp, out, forward, hairpin, own):
            sock.close()


# --- a bad line ----------------------------------------------------------------

NETEM = ("delay 3ms 2ms 25% loss 1% duplicate 2% reorder 10% 50% "
         "limit 10000").split()


@contextlib.contextmanager
def bad_line(lab):
    """Both ends of the outside link lose, repeat and reorder packets (single
    ones: no end hands the link more than a segment)."""
    ends = ((lab.wan, "up0"), (lab.gw, "wan0"))
    for space, device in ends:
        space.run("tc", "qdisc", "add", "dev", device, "root", "netem",
                  *NETEM)
    lab.wan.run("ethtool", "-K", "up0", "tso", "off", "gso", "off")
    lab.lan1.run("ethtool", "-K", "eth0", "tso", "off", "gso", "off")
    try:
        yield ends
    finally:
        for space, device in ends:
            space.run("tc", "qdisc", "del", "dev", device, "root")
        lab.wan.run("ethtool", "-K", "up0", "tso", "on", "gso", "on")
        lab.lan1.run("ethtool", "-K", "eth0", "tso", "on", "gso", "on")


def lost(space, device):
    shown = json.loads(space.run("tc", "-s", "-j", "qdisc", "show", "dev",
                                 device).stdout)
    return sum(qdisc["drops"] for qdisc in shown if qdisc["kind"] == "netem")


@limit(180)
def test_curl_moves_20_mb_over_a_bad_line_intact(lab):
    lab.start()
    with httpd(lab.wan, R1), bad_line(lab) as ends:
        download(lab.lan1, f"http://{R1}", 20 * MB, lab.directory, timeout=80)
        upload(lab.lan1, f"http://{R1}", random_file(lab.directory, 20 * MB),
               timeout=80)
        losses = [lost(space, device) for space, device in ends]
    assert all(count > 10 for count in losses), losses


def answers(sock, seconds):
    """What comes until nothing comes for so long."""
    came = set()
    sock.settimeout(seconds * SLOW)
    with contextlib.suppress(TimeoutError):
        while True:
            came.add(sock.recv(65536).partition(b" ")[2])
    return came


@limit(90)
def test_datagrams_over_a_bad_line_are_whole_or_missing(lab):
    lab.start()
    with Who(lab.wan, udp=[(R1, 7340)]), bad_line(lab):
        sock = lab.lan1.udp(L1, 5340)
        sent = {pattern(3000, number) for number in range(100)}
        came = set()
        for data in sent:
            sock.sendto(data, (R1, 7340))
            came |= answers(sock, 0.02)
        came |= answers(sock, 1)
        sock.close()
    assert came <= sent, "a datagram was changed on the way"
    assert len(came) > 70, len(came)
