# SPDX-License-Identifier: GPL-2.0-or-later
"""An uplink that is a VLAN of its device."""
import contextlib

from lab import E, L1, L2, NEXT_HOP, R1, Skip
from netns import wait_for
from tools import (Who, ask, ask_tcp, download, httpd, limit, random_file,
                   upload)

LAB = {"address": False}
VLAN = 100


def add(space, device, name, address):
    done = space.run("ip", "link", "add", "link", device, "name", name,
                     "type", "vlan", "id", str(VLAN), check=False)
    if done.returncode:
        raise Skip(f"no VLAN: {done.stderr.strip()}")
    space.ip(f"addr add {address}/24 dev {name}")
    space.ip(f"link set {name} up")


def gateway(lab, address=E):
    add(lab.gw, "wan0", "internet", address)
    lab.gw.ip(f"route replace default via {NEXT_HOP}")


@contextlib.contextmanager
def vlan(lab):
    """Outside, only what is tagged has an address."""
    lab.stop()
    lab.wan.ip(f"addr del {NEXT_HOP}/24 dev up0")
    try:
        add(lab.wan, "up0", "customer", NEXT_HOP)
        gateway(lab)
        lab.start(fresh=True, uplink={"device": "internet"}, forwards=[
            {"name": "web", "proto": "tcp", "outside": 8080,
             "to": f"{L1}:80"}])
        yield
    finally:
        lab.stop()
        lab.gw.ip("link del internet", check=False)
        lab.wan.ip("link del customer", check=False)
        lab.wan.ip(f"addr add {NEXT_HOP}/24 dev up0")


@limit(120)
def test_traffic_crosses_a_vlan(lab):
    with vlan(lab), httpd(lab.wan, R1), httpd(lab.lan1, L1), \
            Who(lab.wan, udp=[(R1, 7950)], tcp=[(R1, 7950)]):
        udp = lab.lan1.udp(L1, 5950)
        tcp = lab.lan2.tcp((R1, 7950))
        assert ask(udp, (R1, 7950)) == f"{E}:5950"
        assert ask(udp, (R1, 7950), bytes(8000)) == f"{E}:5950"
        assert ask_tcp(tcp).startswith(E + ":")
        lab.lan1.run("ping", "-n", "-c", "1", R1)
        download(lab.lan1, f"http://{R1}", 5_000_000, lab.directory)
        upload(lab.lan1, f"http://{R1}", random_file(lab.directory,
                                                     5_000_000))
        download(lab.wan, f"http://{E}:8080", 1_000_000, lab.directory)
        download(lab.lan2, f"http://{E}:8080", 1_000_000, lab.directory)
        udp.close()
        tcp.close()


@limit(90)
def test_a_vlan_that_is_made_anew_is_followed(lab):
    with vlan(lab), Who(lab.wan, udp=[(R1, 7951)], tcp=[(R1, 7951)]):
        udp, tcp = lab.lan1.udp(L1, 5951), lab.lan2.tcp((R1, 7951),
                                                        timeout=20)
        seen = ask(udp, (R1, 7951)), ask_tcp(tcp)
        lab.gw.ip("link del internet")
        for _ in range(5):
            udp.sendto(b"nobody takes it", (R1, 7951))
        wait_for("no address", lambda: not lab.portico("status")["uplink"][
            "address"], 5)
        gateway(lab)
        wait_for("the address", lambda: lab.portico("status")["uplink"][
            "address"] == E, 5)
        assert (ask(udp, (R1, 7951)), ask_tcp(tcp)) == seen
        udp.close()
        tcp.close()
