# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP: who may open, what an unsolicited SYN hears, and what a forged RST or
FIN does (RFC 5382). See proof.py."""
import time

from scapy.layers.inet import IP, TCP

import wire
from lab import E, Lab, address, port, quote
from proof import H1, P1, P2, Probe, Table, set_manner

CONFIG = {"forwards": []}
proof = Table(**CONFIG)
FILTERS = ("endpoint-independent", "address-dependent",
           "address-and-port-dependent")


def segment(source, sport, target, dport, flags, seq=0, ack=0, data=b"",
            **more):
    return IP(src=source, dst=target, flags="DF") / TCP(
        sport=sport, dport=dport, flags=flags, seq=seq, ack=ack,
        window=1000, **more) / data


def state_of(probe, sport):
    found = [s["state"] for s in probe.lab.portico("sessions")["sessions"]
             if s["inside"] == f"{H1}:{sport}"]
    assert len(found) == 1, found
    return found[0]


# --- opening -----------------------------------------------------------------

@proof()
def rfc5382_req2a_simultaneous_open_under_every_filtering(probe):
    for sport, rule in enumerate(FILTERS, 5301):
        probe.lab.daemon.reload({**CONFIG, "filtering": {"tcp": rule}})
        out = probe.exchange("lan1", segment(H1, sport, P1, 7000, "S", 1000),
                             "wan")
        number = port(out, 0)
        assert address(out, 12) == E, out.hex()
        # Both SYNs are on their way; then both are answered.
        got = probe.exchange("wan", segment(P1, 7000, E, number, "S", 5000),
                             "lan1")
        assert (address(got, 16), port(got, 2)) == (H1, sport), rule
        assert got[33] == 2, got.hex()
        for side, there, packet in (
                ("lan1", "wan", segment(H1, sport, P1, 7000, "SA", 1000,
                                        5001)),
                ("wan", "lan1", segment(P1, 7000, E, number, "SA", 5000,
                                        1001)),
                ("lan1", "wan", segment(H1, sport, P1, 7000, "PA", 1001,
                                        5001, b"hello")),
                ("wan", "lan1", segment(P1, 7000, E, number, "PA", 5001,
                                        1006, b"welcome"))):
            got = probe.exchange(side, packet, there)
            assert wire.payload(got)[4:16] == \
                wire.payload(bytes(packet))[4:16], got.hex()
        assert state_of(probe, sport) == "ESTABLISHED", rule
    probe.lab.daemon.reload(CONFIG)


@proof()
def rfc5382_req3_strangers_are_let_in_as_the_filtering_says(probe):
    for sport, rule in enumerate(FILTERS, 5305):
        probe.lab.daemon.reload({**CONFIG, "filtering": {"tcp": rule}})
        number = port(probe.exchange("lan1", segment(
            H1, sport, P1, 7000, "S", 1000), "wan"), 0)
        for peer, peer_port, admitted in (
                (P1, 7001, rule != "address-and-port-dependent"),
                (P2, 7000, rule == "endpoint-independent")):
            syn = segment(peer, peer_port, E, number, "S", 5000)
            if admitted:
                got = probe.exchange("wan", syn, "lan1")
                assert address(got, 16) == H1, got.hex()
            else:
                with probe.silence():
                    probe.send("wan", syn)
    probe.lab.daemon.reload(CONFIG)


@proof()
def rfc5382_5_segments_of_no_connection_are_met_with_silence(probe):
    number = port(probe.exchange("lan1", segment(H1, 5310, P1, 7000, "S"),
                                 "wan"), 0)
    with probe.no_state(), probe.silence():
        for flags in ("A", "FA", "R", "RA", "SA", "PA", "FPU", ""):
            probe.send("lan1", segment(H1, 5311, P1, 7000, flags, 1, 1))
            probe.send("wan", segment(P1, 7000, E, number + 20000, flags, 1,
                                      1))
            probe.send("wan", segment(P2, 7000, E, number, flags, 1, 1))


# --- unsolicited SYNs --------------------------------------------------------

def knock(probe):
    """SYNs to a port without mapping and to one that does not know P2;
    returns them."""
    number = port(probe.exchange("lan1", segment(H1, 8000, P1, 7000, "S"),
                                 "wan"), 0)
    syns = [segment(P2, 6001, E, 8100, "S", 99),
            segment(P2, 6002, E, number, "S", 99)]
    probe.send("wan", *syns)
    return syns


def collect(views, until, start):
    """[(seconds since the start, packet)] of each view."""
    seen = {name: [] for name in views}
    while (now := time.monotonic() - start) < until:
        for name, view in views.items():
            new = view.read()[len(seen[name]):]
            seen[name] += [(now, packet) for packet in new]
        yield now, seen
        time.sleep(0.01)


def check_late_answers(answers, syns):
    """One port unreachable for each SYN, not before 6 s."""
    assert len(answers) == len(syns), answers
    for when, packet in answers:
        kind, code, source, target, inner, _ = quote(packet)
        assert (kind, code, source, target) == (3, 3, E, P2), packet.hex()
        assert when >= 6.0, f"{when:.2f} s after the SYN"
        assert inner in [bytes(syn)[:len(inner)] for syn in syns]


@proof()
def rfc5382_req4_an_unsolicited_syn_hears_nothing_for_6_seconds(probe):
    """Two gateways at once: one stays silent for ever (4a), the other tells
    after 6 s, unless the inside opened the same connection meanwhile. The
    kernel's own RST would be seen, too."""
    with Lab() as other:
        set_manner(other, probe.lab.manner)
        other.start(behaviour={"icmp_after_6s": True})
        late, start = Probe(other), time.monotonic()
        for one in (probe, late):
            syns = knock(one)
        late.send("wan", segment(P1, 6003, E, 8003, "S", 99))
        views = {"silent": probe.watch("wan"), "late": late.watch("wan")}
        opened = again = False
        # 6 s, then two of the daemon's ticks: one for the SYN, and one for
        # its repetition, had that been kept, too.
        for now, seen in collect(views, 8, start):
            if now > 0.2 and not again:  # repeated, as hosts do
                again = True
                probe.send("wan", *syns)
                late.send("wan", *syns)
            if now > 3 and not opened:
                opened = True
                late.send("lan1", segment(H1, 8003, P1, 6003, "S", 1))
        assert views["silent"].read() == [], views["silent"].read()
        (when, syn), *answers = seen["late"]
        assert 3 <= when < 6 and (port(syn, 0), syn[33]) == (8003, 2), syn
        check_late_answers(answers, syns)
        late.check()


# --- what does not belong ----------------------------------------------------

def establish(probe, sport):
    """H1 at 1001, P1 at 5001, windows of 1000; returns the outside port."""
    number = port(probe.exchange("lan1", segment(H1, sport, P1, 7000, "S",
                                                 1000), "wan"), 0)
    probe.exchange("wan", segment(P1, 7000, E, number, "SA", 5000, 1001),
                   "lan1")
    probe.exchange("lan1", segment(H1, sport, P1, 7000, "A", 1001, 5001),
                   "wan")
    assert state_of(probe, sport) == "ESTABLISHED"
    return number


@proof()
def rfc5382_9_an_rst_or_fin_out_of_window_changes_nothing(probe):
    """It is passed on: the end judges it (RFC 5961)."""
    for sport, flags in ((5320, "R"), (5321, "FA")):
        number = establish(probe, sport)
        for ahead in (1500, 100000, 0x7fffffff, 0xffffff00):
            seq = (5001 + ahead) & 0xffffffff
            probe.exchange("wan", segment(P1, 7000, E, number, flags, seq,
                                          1001), "lan1")
            seq = (1001 + ahead) & 0xffffffff
            probe.exchange("lan1", segment(H1, sport, P1, 7000, flags, seq,
                                           5001), "wan")
            assert state_of(probe, sport) == "ESTABLISHED", (flags, ahead)


@proof()
def rfc7857_2_2_an_rst_in_window_is_passed_on_and_ends_nothing(probe):
    for sport, side in ((5322, "wan"), (5323, "lan1")):
        number = establish(probe, sport)
        theirs = segment(P1, 7000, E, number, "R", 5001)
        ours = segment(H1, sport, P1, 7000, "R", 1001)
        if side == "wan":
            got = probe.exchange("wan", theirs, "lan1")
        else:
            got = probe.exchange("lan1", ours, "wan")
        assert got[33] == 4, got.hex()
        assert state_of(probe, sport) == "TRANS"
        # Forged, for the connection goes on: as if nothing had been.
        probe.exchange("wan", segment(P1, 7000, E, number, "PA", 5001, 1001,
                                      b"alive"), "lan1")
        assert state_of(probe, sport) == "ESTABLISHED"


globals().update(proof.tests())
