# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels before 6.11 hand a UDP super-datagram that was rewritten whole to a
device that can segment UDP, which loses it: the daemon switches that off while
it runs. (That what is sent then arrives is shown by test_offload.)"""
import os

from lab import Skip
from tools import limit

DEVICES = ("lan0", "wan0")


def segmentation(lab):
    """What the gateway's devices do with UDP, by their names."""
    found = {}
    for device in DEVICES:
        shown = lab.gw.run("ethtool", "-k", device).stdout.split("\n")
        line, = [row for row in shown if "tx-udp-segmentation:" in row]
        found[device] = line.split(":")[1].strip()
    return found


def all_are(state):
    return dict.fromkeys(DEVICES, state)


def set_before(lab):
    version = tuple(map(int, os.uname().release.split(".")[:2]))
    if version >= (6, 11):
        raise Skip("this kernel needs no help")
    lab.stop()
    for device in DEVICES:
        lab.gw.run("ethtool", "-K", device, "tx-udp-segmentation", "on")
    assert segmentation(lab) == all_are("on")


@limit(60)
def test_devices_leave_it_to_the_kernel_while_the_daemon_runs(lab):
    set_before(lab)
    lab.start(fresh=True)
    assert segmentation(lab) == all_are("off")
    lab.daemon.kill()
    lab.daemon.start()
    assert segmentation(lab) == all_are("off")
    lab.stop()
    assert segmentation(lab) == all_are("on")


def test_without_gso_nothing_is_changed(lab):
    set_before(lab)
    lab.start(fresh=True, queue={"gso": "off"})
    assert segmentation(lab) == all_are("on")
