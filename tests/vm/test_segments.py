# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel before 6.11 damages UDP super-datagrams that were rewritten: the
first one ends segmentation offload. (test_offload shows that the next arrive,
in every way the kernel packs them.)"""
from lab import L1, R1, Skip
from netns import wait_for
from proof import takes_super_datagrams
from test_offload import send, segments
from tools import pattern, usual_offloads


def test_the_first_super_datagram_ends_segmentation_offload(lab):
    if takes_super_datagrams():
        raise Skip("this kernel segments them well")
    usual_offloads(lab)
    lab.start(fresh=True)
    assert lab.portico("status")["queue"]["gso"]
    server = lab.wan.udp(R1, 7360)
    host = lab.lan1.udp(L1, 5360)
    send(host, (R1, 7360), [pattern(1000), pattern(1000, 1)])
    wait_for("offload is off", lambda: not lab.portico("status")[
        "queue"]["gso"], 5)
    assert lab.drops("unsupported") == 1, lab.portico("status")
    wait_for("a warning", lambda: any(
        "6.11" in w for w in lab.portico("status")["warnings"]), 7)
    segments(host, server, (R1, 7360), 1000, 20, "after")
    assert lab.drops("unsupported") == 1, lab.portico("status")
    host.close()
    server.close()
