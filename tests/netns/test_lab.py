# SPDX-License-Identifier: GPL-2.0-or-later
"""The test bed itself: its alarm rings when an inside address gets out."""
import time

from lab import E, FAR, L1, NEXT_HOP, R1, Lab
from tools import frame

MAC_UP0 = "02:00:00:00:00:13"


def rings(lab, what):
    end = time.monotonic() + 2
    while time.monotonic() < end:
        time.sleep(0.02)
        try:
            lab.check()
        except AssertionError as error:
            assert "seen outside" in str(error), error
            return
    raise AssertionError(f"{what} was not noticed")


def test_an_inside_address_outside_is_noticed(lab):
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    inside = IP(src=L1, dst=R1) / UDP(sport=1, dport=2) / b"12345678"
    packets = {
        "a datagram": inside,
        "a segment": IP(src=L1, dst=R1) / TCP(sport=1, dport=2),
        "a later fragment": IP(src=L1, dst=R1, frag=5, proto=17) / bytes(9),
        "an error that quotes a source": IP(src=E, dst=R1) / ICMP(
            type=3, code=1) / bytes(inside),
        "an error that quotes a target": IP(src=E, dst=R1) / ICMP(
            type=11) / bytes(IP(src=R1, dst=L1) / UDP(sport=1, dport=2)),
        "an error behind options": IP(src=E, dst=R1, options=[
            b"\x01\x01\x01\x00"]) / ICMP(type=3, code=4) / bytes(inside),
    }
    with Lab(nat="forward") as own:
        own.nat = "portico"  # so that check() judges
        # A link that was made a moment ago may still lose what is sent.
        own.gw.run("ping", "-n", "-c", "1", "-W", "5", NEXT_HOP)
        link = own.gw.link_socket("wan0")
        for what, packet in packets.items():
            link.send(frame(packet, MAC_UP0))
            rings(own, what)
        link.send(frame(IP(src=E, dst=R1) / UDP() / bytes(8), MAC_UP0))
        own.wan.run("sleep", "0.1")
        own.check()
        own.allow(f"{R1}/32")
        link.send(frame(inside, MAC_UP0))
        own.check()
        link.close()


def test_everybody_is_where_the_drawing_says(lab):
    with Lab(nat="masquerade", second=True, far=True) as own:
        own.start()
        for space in (own.lan1, own.lan2, own.lan3, own.gw):
            for target in (R1, FAR):
                space.run("ping", "-n", "-c1", "-W2", target)
