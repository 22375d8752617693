# SPDX-License-Identifier: GPL-2.0-or-later
"""`portico why` foretells what a packet meets: asked first, then sent."""
import itertools
import time

from lab import (E, GW, L1, L2, MAC_LAN0, MAC_WAN0, R1, R2, address, port)
from netns import SLOW, wait_for
from tools import frame, limit

_tokens = itertools.count(1)
FORWARDS = [
    {"name": "web", "proto": "tcp", "outside": 8080, "to": f"{L1}:80"},
    {"name": "few", "proto": ["tcp", "udp"], "outside": 8081,
     "to": f"{L1}:81", "from": [f"{R1}/32"]},
    {"name": "low", "proto": "tcp", "outside": 80, "to": f"{L2}:80"},
]
EI = {"udp": "endpoint-independent", "tcp": "endpoint-independent"}
AD = {"udp": "address-dependent", "tcp": "address-dependent"}
APD = {"udp": "address-and-port-dependent",
       "tcp": "address-and-port-dependent"}


def start(lab, **config):
    lab.need_portico()
    return lab.start(fresh=True, **config)


def ask(lab, proto, source, destination):
    why = lab.portico("why", proto, source, destination)["why"]
    assert why["proto"] == proto, why
    assert why["explanation"], why
    return why


def split(text):
    """("192.168.1.10", 5000) of "192.168.1.10:5000", port 0 of none."""
    host, _, number = text.partition(":")
    return host, int(number or 0)


def packet_of(proto, source, destination, flags="S"):
    """The first packet of such a flow, and what tells it from others."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    token = f"why-{next(_tokens)}-".encode()
    (src, sport), (dst, dport) = split(source), split(destination)
    ip = IP(src=src, dst=dst)
    if proto == "udp":
        made = ip / UDP(sport=sport, dport=dport) / token
    elif proto == "tcp":
        made = ip / TCP(sport=sport, dport=dport, flags=flags) / token
    elif proto == "icmp" and src.startswith("192."):
        made = ip / ICMP(type=8, id=sport) / token
    elif proto == "icmp":
        made = ip / ICMP(type=0, id=dport) / token
    else:
        made = IP(src=src, dst=dst, proto=int(proto)) / token
    return bytes(made), token


class Meet:
    """Sends a packet from inside or outside and sees where it arrives."""

    def __init__(self, lab, proto, source, destination, flags="S"):
        self.inside = source.startswith(("192.168.", "10."))
        self.packet, self.token = packet_of(proto, source, destination, flags)
        self.lab = lab

    def __enter__(self):
        lab = self.lab
        self.ends = {"wan": lab.wan.capture("ip", "up0", sent=False),
                     "lan1": lab.lan1.capture("ip", "eth0", sent=False),
                     "lan2": lab.lan2.capture("ip", "eth0", sent=False)}
        space, device, mac = (lab.lan1, "eth0", MAC_LAN0) if self.inside \
            else (lab.wan, "up0", MAC_WAN0)
        link = space.link_socket(device)
        link.send(frame(self.packet, mac))
        link.close()
        return self

    def __exit__(self, *exc):
        for capture in self.ends.values():
            capture.close()

    def arrived(self, at, seconds=2.0):
        """The packet as it arrived there, None when it did not."""
        end = time.monotonic() + seconds * SLOW
        while time.monotonic() < end:
            for packet in self.ends[at].read():
                # An ICMP error quotes it: that is no arrival.
                if self.token in packet and not (
                        packet[9] == 1 and packet[20] in (3, 11)):
                    return packet
            time.sleep(0.005)
        return None

    def nowhere(self):
        for at in self.ends:
            assert self.arrived(at, 0.15) is None, f"it arrived at {at}"


def dropped(lab, reason, proto, source, destination, flags="S", way=None):
    """It is foretold to be dropped for this reason, and it is."""
    why = ask(lab, proto, source, destination)
    if flags == "S":
        assert why["verdict"] == "dropped" and why["drop"] == reason, why
    assert not way or why["way"] == way, why
    before = lab.drops(reason)
    with Meet(lab, proto, source, destination, flags) as meet:
        wait_for(f"{reason} is counted",
                 lambda: lab.drops(reason) == before + 1, 3)
        meet.nowhere()
    return why


def passes(lab, proto, source, destination, at, way, flags="S"):
    """It is foretold to be translated, and arrives as is foretold. Returns
    what was foretold."""
    why = ask(lab, proto, source, destination)
    assert (why["way"], why["verdict"], why["drop"]) == (
        way, "translated", None), why
    with Meet(lab, proto, source, destination, flags) as meet:
        packet = meet.arrived(at)
    assert packet, f"it did not arrive at {at}: {why}"
    words = " ".join(why["explanation"])
    if way == "outbound":
        seen = address(packet, 12), port(packet, 4 if proto == "icmp" else 0)
        if why["mapping"]:
            assert split(why["mapping"]["outside"]) == seen, (why, seen)
        if f"{E}:" in words:
            assert f"{E}:{seen[1]}" in words, (why, seen)
    else:
        seen = address(packet, 16), port(packet, 4 if proto == "icmp" else 2)
        assert split(why["mapping"]["inside"]) == seen, (why, seen)
        assert f"it goes to {seen[0]}:{seen[1]}" in words, why
    return why


def untouched(lab, proto, source, destination, way):
    """It is foretold to be nobody's of ours; nothing is dropped of it."""
    why = ask(lab, proto, source, destination)
    assert (why["way"], why["verdict"], why["drop"], why["mapping"]) == (
        way, "untouched", None, None), why
    before = lab.portico("status")["drops"]
    with Meet(lab, proto, source, destination) as meet:
        for at in ("lan1", "lan2"):
            assert meet.arrived(at, 0.15) is None, at
    assert lab.portico("status")["drops"] == before
    return why


# --- from inside ---------------------------------------------------------------

def test_out_a_new_mapping_then_its_session_then_another_peer(lab):
    start(lab)
    for proto in ("udp", "tcp", "icmp"):
        source = f"{L1}:5000"
        peer, other = f"{R1}:7000", f"{R2}:7001"
        if proto == "icmp":
            peer, other = R1, R2
        why = passes(lab, proto, source, peer, "wan", "outbound")
        assert why["mapping"] is None and why["session"] is None, why
        assert f"{E}:5000" in " ".join(why["explanation"]), why
        why = passes(lab, proto, source, peer, "wan", "outbound")
        rows = lab.portico("sessions", "--proto", proto)["sessions"]
        assert why["session"]["peer"] in {row["peer"] for row in rows}, why
        assert set(why["session"]) == set(rows[0]), why
        why = passes(lab, proto, source, other, "wan", "outbound")
        rows = lab.portico("mappings", "--proto", proto)["mappings"]
        assert why["session"] is None, why
        assert set(why["mapping"]) == set(rows[0]), why


def test_out_a_port_that_another_host_has(lab):
    start(lab)
    passes(lab, "udp", f"{L2}:5001", f"{R1}:7000", "wan", "outbound")
    why = passes(lab, "udp", f"{L1}:5001", f"{R1}:7000", "wan", "outbound")
    assert "another port" in " ".join(why["explanation"]), why


def test_out_without_syn(lab):
    start(lab)
    why = dropped(lab, "no_session", "tcp", f"{L1}:5002", f"{R1}:7000",
                  flags="A")
    assert why["verdict"] == "translated", why
    assert "would be dropped as no_session" in " ".join(why["explanation"])
    passes(lab, "tcp", f"{L1}:5002", f"{R1}:7000", "wan", "outbound")
    why = passes(lab, "tcp", f"{L1}:5002", f"{R2}:7000", "wan", "outbound",
                 flags="A")
    assert "passes as well" in " ".join(why["explanation"]), why


def test_out_addresses_that_are_refused(lab):
    start(lab, behaviour={"martians_extra": ["198.51.100.2/32"]})
    why = dropped(lab, "martian", "udp", "10.99.0.1:5000", f"{R1}:7000")
    words = " ".join(why["explanation"])
    assert "no inside network" in words and "192.168.1.0/24" in words, why
    assert "route" in why["remedy"], why
    dropped(lab, "martian", "udp", "192.168.1.255:5000", f"{R1}:7000")
    why = dropped(lab, "martian", "udp", f"{L1}:5000", f"{R2}:7000")
    assert "martians_extra" in why["remedy"], why
    why = ask(lab, "udp", f"{L1}:5000", "127.0.0.1:7000")
    assert why["drop"] == "martian", why  # the router never routes it


def test_out_protocols(lab):
    start(lab, behaviour={"protocols": ["gre"]})
    why = dropped(lab, "unsupported", "99", L1, R1)
    assert why["remedy"], why
    why = ask(lab, "esp", L1, R1)
    assert why["drop"] == "unsupported", why
    assert "behaviour.protocols" in why["remedy"], why
    why = ask(lab, "gre", L1, R1)
    assert why["verdict"] == "translated", why


def test_what_is_not_ours(lab):
    start(lab, exempt=["10.8.0.0/16"])
    why = untouched(lab, "udp", f"{L1}:5000", f"{GW}:7000", "none")
    assert "inside network" in " ".join(why["explanation"]), why
    why = ask(lab, "udp", f"{L1}:5000", f"{L2}:7000")
    assert why["way"] == "none", why
    why = ask(lab, "udp", f"{L1}:5000", "10.8.0.1:7000")
    assert (why["way"], why["verdict"]) == ("exempt", "untouched"), why
    why = ask(lab, "udp", f"{R1}:5000", f"{L2}:7000")
    assert why["way"] == "none" and why["remedy"], why
    why = ask(lab, "udp", f"{E}:5000", f"{R1}:7000")
    assert why["way"] == "local", why
    lab.gw.ip("link add other0 type veth peer name other1")
    lab.gw.ip("link set other1 up")
    lab.gw.ip("link set other0 up")
    lab.gw.ip("route add 198.51.100.128/25 dev other0")
    try:
        wait_for("the route is known", lambda: ask(
            lab, "udp", f"{L1}:5000", "198.51.100.200:7000")["way"] == "none")
        untouched(lab, "udp", f"{L1}:5000", "198.51.100.200:7000", "none")
    finally:
        lab.gw.ip("link del other0")


def test_groups_and_broadcasts_are_left_as_they_are(lab):
    start(lab)
    for source, destination in (
            (f"{L1}:5353", "224.0.0.251:5353"),
            (f"{L1}:5000", "239.255.255.250:1900"),
            (f"{L1}:5000", "255.255.255.255:5000"),
            ("0.0.0.0:68", "255.255.255.255:67"),
            (f"{R1}:5000", "224.0.0.1:5000")):
        why = ask(lab, "udp", source, destination)
        assert (why["way"], why["verdict"], why["drop"]) == (
            "none", "untouched", None), why
        before = lab.portico("status")
        with Meet(lab, "udp", source, destination):
            time.sleep(0.1)
        after = lab.portico("status")
        for key in ("packets", "drops"):
            assert after[key] == before[key], (destination, after[key])
    why = ask(lab, "udp", f"{L1}:5000", "240.0.0.1:5000")
    assert why["drop"] == "martian", why


# --- limits --------------------------------------------------------------------

def fill(lab, first, last, peer=R1):
    """A mapping each for these inside ports."""
    link = lab.lan1.link_socket("eth0")
    for number in range(first, last + 1):
        link.send(frame(packet_of("udp", f"{L1}:{number}", f"{peer}:7000")[0],
                        MAC_LAN0))
    link.close()
    wait_for("the mappings", lambda: lab.portico("mappings", "--port", str(
        last))["mappings"])


def test_quotas_of_a_host(lab):
    start(lab, limits={"host_mappings": 4})
    fill(lab, 5000, 5003)
    why = dropped(lab, "host_quota", "udp", f"{L1}:5004", f"{R1}:7000")
    assert "limits.host_mappings" in why["remedy"], why
    passes(lab, "udp", f"{L1}:5003", f"{R2}:7000", "wan", "outbound")
    why = dropped(lab, "host_quota", "udp", f"{L1}:5004", f"{R1}:7000")
    assert "were refused" in " ".join(why["explanation"]), why
    start(lab, limits={"host_sessions": 4})
    fill(lab, 5000, 5003)
    why = dropped(lab, "host_quota", "udp", f"{L1}:5003", f"{R2}:7000")
    assert "limits.host_sessions" in why["remedy"], why


def test_quota_of_a_mapping(lab):
    start(lab, limits={"mapping_sessions": 2})
    for number in (7000, 7001, 7002):
        why = passes(lab, "udp", f"{L1}:5000", f"{R1}:{number}", "wan",
                     "outbound")
    assert "without a session" in " ".join(why["explanation"]), why
    assert not why.get("remedy"), why
    assert len(lab.portico("sessions")["sessions"]) == 2
    start(lab, limits={"mapping_sessions": 2},
          filtering={"udp": "address-dependent"})
    for number in (7000, 7001):
        passes(lab, "udp", f"{L1}:5000", f"{R1}:{number}", "wan", "outbound")
    why = dropped(lab, "host_quota", "udp", f"{L1}:5000", f"{R1}:7002")
    assert "limits.mapping_sessions" in why["remedy"], why


def test_full_tables(lab):
    start(lab, limits={"mappings": 8, "host_guaranteed": 0})
    fill(lab, 5000, 5007)
    why = dropped(lab, "table_full", "udp", f"{L1}:5008", f"{R1}:7000")
    assert "limits.mappings" in why["remedy"], why
    start(lab, limits={"sessions": 8, "host_guaranteed": 0})
    fill(lab, 5000, 5007)
    why = dropped(lab, "table_full", "udp", f"{L1}:5007", f"{R2}:7000")
    assert "limits.sessions" in why["remedy"], why
    start(lab, limits={"hosts": 1, "host_guaranteed": 0})
    passes(lab, "udp", f"{L2}:5000", f"{R1}:7000", "wan", "outbound")
    why = dropped(lab, "table_full", "udp", f"{L1}:5000", f"{R1}:7000")
    assert "limits.hosts" in why["remedy"], why


def test_shares_of_others(lab):
    start(lab, limits={"mappings": 64, "sessions": 64, "hosts": 16,
                       "host_guaranteed": 4})
    fill(lab, 5000, 5055)
    why = dropped(lab, "host_share", "udp", f"{L1}:5056", f"{R1}:7000")
    assert "host_guaranteed" in " ".join(why["explanation"]), why
    passes(lab, "udp", f"{L2}:5056", f"{R1}:7000", "wan", "outbound")


def test_no_port(lab):
    start(lab, uplink={"ports": "40000-40003"},
          limits={"host_guaranteed": 0})
    fill(lab, 40000, 40003)
    why = dropped(lab, "no_port", "udp", f"{L1}:5000", f"{R1}:7000")
    assert "uplink.ports" in why["remedy"], why
    passes(lab, "udp", f"{L1}:600", f"{R1}:7000", "wan", "outbound")


# --- from outside --------------------------------------------------------------

def test_in_without_a_mapping(lab):
    start(lab, uplink={"low_ports": ""})
    for proto in ("udp", "tcp"):
        why = dropped(lab, "no_mapping", proto, f"{R1}:7000", f"{E}:5000",
                      way="inbound")
        assert "forward" in why["remedy"], why
        why = untouched(lab, proto, f"{R1}:7000", f"{E}:600", "local")
        assert "forward" in why["remedy"], why
    untouched(lab, "icmp", R1, f"{E}:77", "local")
    why = ask(lab, "icmp", R1, E)
    assert why["way"] == "local", why


def test_in_to_a_port_of_the_routers_own(lab):
    start(lab)
    own = lab.gw.udp(E, 5055)
    try:
        wait_for("its socket is known", lambda: ask(
            lab, "udp", f"{R1}:7000", f"{E}:5055")["way"] == "local", 10)
        untouched(lab, "udp", f"{R1}:7000", f"{E}:5055", "local")
    finally:
        own.close()


def test_in_by_filter(lab):
    for filtering in (EI, AD, APD):
        start(lab, filtering=filtering)
        for proto in ("udp", "tcp"):
            source = f"{L1}:5000"
            passes(lab, proto, source, f"{R1}:7000", "wan", "outbound")
            why = passes(lab, proto, f"{R1}:7000", f"{E}:5000", "lan1",
                         "inbound")
            assert why["session"]["peer"] == f"{R1}:7000", why
            other = (proto, f"{R1}:7001", f"{E}:5000")
            if filtering is APD:
                why = dropped(lab, "filtered_port", *other)
                assert "address-dependent" in why["remedy"], why
            else:
                passes(lab, *other, "lan1", "inbound")
            stranger = (proto, f"{R2}:7000", f"{E}:5000")
            if filtering is EI:
                passes(lab, *stranger, "lan1", "inbound")
            else:
                why = dropped(lab, "filtered_address", *stranger)
                assert why["mapping"]["inside"] == source, why


def test_in_by_forward(lab):
    start(lab, forwards=FORWARDS)
    why = passes(lab, "tcp", f"{R2}:7000", f"{E}:8080", "lan1", "inbound")
    assert why["mapping"]["name"] == "web", why
    passes(lab, "tcp", f"{R2}:7000", f"{E}:80", "lan2", "inbound")
    passes(lab, "udp", f"{R1}:7000", f"{E}:8081", "lan1", "inbound")
    why = dropped(lab, "forward_peer", "udp", f"{R2}:7000", f"{E}:8081")
    assert "few" in why["remedy"] and R2 in why["remedy"], why
    passes(lab, "udp", f"{L1}:81", f"{R2}:7009", "wan", "outbound")
    passes(lab, "udp", f"{R2}:7000", f"{E}:8081", "lan1", "inbound")


def test_in_a_reply_to_a_ping(lab):
    start(lab)
    passes(lab, "icmp", f"{L1}:5077", R1, "wan", "outbound")
    passes(lab, "icmp", R1, f"{E}:5077", "lan1", "inbound")


def test_in_a_refused_source(lab):
    start(lab, behaviour={"martians_extra": ["198.51.100.2/32"]})
    dropped(lab, "martian", "udp", f"{R2}:7000", f"{E}:5000", way="inbound")


# --- hairpin -------------------------------------------------------------------

def test_hairpin(lab):
    start(lab, forwards=FORWARDS)
    why = passes(lab, "tcp", f"{L1}:6000", f"{E}:80", "lan2", "hairpin")
    assert why["mapping"]["name"] == "low", why
    why = passes(lab, "tcp", f"{L1}:6000", f"{E}:80", "lan2", "hairpin")
    assert why["session"]["inside"] == f"{L1}:6000", why
    dropped(lab, "forward_peer", "udp", f"{L1}:6000", f"{E}:8081",
            way="hairpin")
    dropped(lab, "no_mapping", "udp", f"{L1}:6000", f"{E}:5000",
            way="hairpin")
    passes(lab, "udp", f"{L2}:5000", f"{R1}:7000", "wan", "outbound")
    passes(lab, "udp", f"{L1}:6000", f"{E}:5000", "lan2", "hairpin")
    assert ask(lab, "icmp", L1, E)["way"] == "local"  # the router answers


def test_hairpin_switched_off(lab):
    start(lab, forwards=FORWARDS, behaviour={"hairpin": False})
    why = dropped(lab, "no_mapping", "tcp", f"{L1}:6000", f"{E}:8080",
                  way="hairpin")
    assert "behaviour.hairpin" in why["remedy"], why


# --- the uplink ----------------------------------------------------------------

@limit(60)
def test_without_an_address(lab):
    start(lab)
    lab.gw.ip(f"addr del {E}/24 dev wan0")
    try:
        wait_for("it is noticed", lambda: not lab.portico(
            "status")["uplink"]["address"])
        why = ask(lab, "udp", f"{L1}:5000", f"{R1}:7000")
        assert why["drop"] == "no_uplink" and "wan0" in why["remedy"], why
        why = ask(lab, "udp", f"{R1}:5000", f"{E}:7000")
        assert why["drop"] == "no_uplink", why
    finally:
        lab.give_address()
    wait_for("it is back", lambda: lab.portico("status")["uplink"]["address"])
    passes(lab, "udp", f"{L1}:5000", f"{R1}:7000", "wan", "outbound")


# --- the command ---------------------------------------------------------------

def test_text_exit_codes_and_the_read_only_socket(lab):
    daemon = start(lab)
    question = ("why", "udp", f"{R1}:7000", f"{E}:5000")
    done = daemon.run(*question, socket=daemon.control_read)
    assert "Verdict  dropped: no_mapping\n" in done.stdout, done.stdout
    assert "Remedy " in done.stdout, done.stdout
    for words in (["udp"], ["udp", R1, E], ["udp", f"{R1}:1", f"{E}:99999"],
                  ["nonsense", R1, E]):
        done = daemon.run("why", *words, check=False)
        assert done.returncode == 2 and done.stderr.strip(), done
