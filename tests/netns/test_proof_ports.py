# SPDX-License-Identifier: GPL-2.0-or-later
"""When no outside port is left (RFC 5508 REQ-8, RFC 6888 REQ-8 and 11). See
proof.py."""
from scapy.layers.inet import IP, UDP

import wire
from lab import E, GW, L2, Lab, address, port, quote
from netns import SLOW, wait_for
from proof import BULK_PORT, H1, P1, Probe, Table, set_manner

# RFC 7597: offset 4, 8 bits of PSID 0x34: 15 ranges of 16 ports, 240 in all.
SCATTERED = [range(first, first + 16) for first in range(0x1340, 65536, 4096)]
ONE = [range(40001, 40002)]


def config(ranges):
    return {
        "uplink": {"low_ports": "", "router_ports": "61000", "ports": ",".join(
            f"{r.start}-{r.stop - 1}" for r in ranges)},
        # The ports of the one must rest while the other fills its own.
        "timeouts": {"udp": int(3 * SLOW), "port_hold": int(5 * SLOW)},
        # One host takes them all.
        "limits": {"host_mappings": 4096, "host_new_per_second": 10000,
                   "host_guaranteed": 0},
        # Super-packets beside the proof take no port of the pool.
        "forwards": [{"name": "bulk", "proto": "udp", "outside": BULK_PORT,
                      "to": f"{L2}:{BULK_PORT}"}],
    }


proof = Table(fresh=True, **config(ONE))


def datagram(sport):
    return bytes(IP(src=H1, dst=P1, flags="DF") / UDP(sport=sport,
                                                      dport=7000))


def udp_ports(probe):
    return probe.lab.portico("status")["ports"]["udp"]


def fill(probe, first, pool):
    """As many new sockets as there are ports: each gets its own."""
    packets = [datagram(first + n) for n in range(len(pool))]
    view = probe.watch("wan")
    probe.send("lan1", *packets)
    got = view.wait(len(pool))
    assert len(got) == len(pool), (len(got), len(pool))
    assert {address(p, 12) for p in got} == {E}
    assert {port(p, 0) for p in got} == pool
    return {port(p, 0) for p in got}


def refused(probe, sport):
    """Told to the host by 3/13, counted, and nothing leaves."""
    packet = datagram(sport)
    with probe.dropped("no_port"), probe.silence("lan1", seconds=0.05):
        kind, code, source, target, inner, _ = quote(
            probe.exchange("lan1", packet, "lan1"))
    assert (kind, code, source, target) == (3, 13, GW, H1)
    assert wire.with_ttl(inner, 64) == packet, inner.hex()


def exhaust(probe, ranges):
    """Ends each step where time has to pass."""
    pool = {number for r in ranges for number in r}
    assert udp_ports(probe)["total"] == len(pool), udp_ports(probe)
    fill(probe, 10000, pool)
    refused(probe, 20000)
    assert udp_ports(probe)["used"] == len(pool)
    # The refusal took nothing from anybody.
    again = probe.exchange("lan1", datagram(10000), "wan")
    assert port(again, 0) in pool
    back = IP(src=P1, dst=E) / UDP(sport=7000, dport=port(again, 0))
    assert port(probe.exchange("wan", back, "lan1"), 2) == 10000
    yield
    wait_for("the mappings' end", lambda: not udp_ports(probe)["used"])
    refused(probe, 20001)
    assert udp_ports(probe)["held"] == len(pool), udp_ports(probe)
    yield
    wait_for("the end of the hold time",
             lambda: not udp_ports(probe)["held"])
    fill(probe, 30000, pool)
    refused(probe, 20002)


@proof()
def rfc6888_req8_and_11_the_last_of_1_and_of_240_ports_is_found(probe):
    """Both pools at once, for the time that has to pass."""
    assert sum(map(len, SCATTERED)) == 240
    with Lab() as other:
        set_manner(other, probe.lab.manner)
        other.start(**config(SCATTERED))
        scattered = Probe(other)
        for _ in zip(exhaust(probe, ONE), exhaust(scattered, SCATTERED),
                     strict=True):
            pass
        scattered.check()


globals().update(proof.tests())
