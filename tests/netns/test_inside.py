# SPDX-License-Identifier: GPL-2.0-or-later
"""Several inside devices, and hosts on one bridge."""
from lab import E, L1, L2, L3, R1, R2
from netns import wait_for
from tools import Who, ask, ask_tcp, download, httpd, quiet

LAB = {"second": True}
FORWARDS = [{"name": "web", "proto": ["tcp", "udp"], "outside": 8080,
             "to": f"{L1}:80"},
            {"name": "other", "proto": ["tcp", "udp"], "outside": 8081,
             "to": f"{L3}:80"}]


def gateway(lab):
    lab.start(forwards=FORWARDS)


def test_hosts_on_both_devices_share_the_uplink(lab):
    gateway(lab)
    with Who(lab.wan, udp=[(R1, 7130)], tcp=[(R1, 7130)]):
        names = set()
        for space, own in ((lab.lan1, L1), (lab.lan2, L2), (lab.lan3, L3)):
            udp = space.udp(own, 5130)
            names.add(ask(udp, (R1, 7130)))
            tcp = space.tcp((R1, 7130), source=(own, 5131))
            assert ask_tcp(tcp).startswith(E + ":")
            udp.close()
            tcp.close()
        assert len(names) == 3 and all(n.startswith(E + ":") for n in names)


def untranslated(lab, space, peer, number):
    """What a host says to `peer` in `space` has its own source, from the ports
    `number` and the next, and makes no mapping."""
    with Who(space, udp=[peer], tcp=[peer]):
        udp = lab.lan1.udp(L1, number)
        assert ask(udp, peer) == f"{L1}:{number}"
        tcp = lab.lan1.tcp(peer, source=(L1, number + 1))
        assert ask_tcp(tcp) == f"{L1}:{number + 1}"
        udp.close()
        tcp.close()
        if lab.nat == "portico":
            assert lab.mapping(f"{L1}:{number}") is None


def test_traffic_between_inside_devices_is_not_translated(lab):
    gateway(lab)
    untranslated(lab, lab.lan3, (L3, 7131), 5132)


def hairpin(space, number, size=5120):
    tcp = space.tcp((E, number))
    assert ask_tcp(tcp).startswith(E + ":")
    tcp.close()
    udp = space.udp()
    assert ask(udp, (E, number)).startswith(E + ":")
    assert ask(udp, (E, number), bytes(size)).startswith(E + ":")
    udp.close()


def test_hairpin_crosses_between_inside_devices(lab):
    gateway(lab)
    lab.need_portico()
    with Who(lab.lan1, udp=[(L1, 80)], tcp=[(L1, 80)]), \
            Who(lab.lan3, udp=[(L3, 80)], tcp=[(L3, 80)]):
        hairpin(lab.lan3, 8080)
        hairpin(lab.lan1, 8081)
        hairpin(lab.lan2, 8081)
        hairpin(lab.lan3, 8081)  # to itself


def test_hairpin_on_one_bridge(lab):
    gateway(lab)
    lab.need_portico()
    with Who(lab.lan1, udp=[(L1, 80)], tcp=[(L1, 80)]):
        hairpin(lab.lan2, 8080)
        hairpin(lab.lan1, 8080)  # to itself
        ordinary(lab)
    with httpd(lab.lan1, L1):
        download(lab.lan2, f"http://{E}:8080", 5000000, lab.directory)


def test_hairpin_on_one_bridge_with_bridge_filtering(lab):
    """The kernel then bridges what is translated before routing."""
    gateway(lab)
    lab.need_portico()
    lab.bridge_filtering(1)
    try:
        with Who(lab.lan1, udp=[(L1, 80)], tcp=[(L1, 80)]):
            hairpin(lab.lan2, 8080)
            # To itself: not in fragments, these the bridge does not turn.
            hairpin(lab.lan1, 8080, size=1000)
            ordinary(lab)
        with httpd(lab.lan1, L1):
            download(lab.lan2, f"http://{E}:8080", 5000000, lab.directory)
    finally:
        lab.bridge_filtering(0)


def ordinary(lab):
    """Bridged and translated traffic beside the hairpin."""
    with Who(lab.wan, udp=[(R1, 7132)]), Who(lab.lan2, udp=[(L2, 7132)]):
        sock = lab.lan1.udp(L1, 5134)
        assert ask(sock, (L2, 7132)) == f"{L1}:5134"
        assert ask(sock, (R1, 7132)).startswith(E + ":")
        assert ask(sock, (R1, 7132), bytes(5000)).startswith(E + ":")
        sock.close()


def test_hosts_are_not_told_of_each_other_by_redirects(lab):
    gateway(lab)
    lab.need_portico()
    with Who(lab.lan1, udp=[(L1, 80)]), \
            lab.lan2.capture("icmp[0] = 5", "eth0") as redirects:
        sock = lab.lan2.udp(L2, 5135)
        for _ in range(5):
            ask(sock, (E, 8080))
        assert not redirects.wait(1, 0.3)
        sock.close()


def test_hairpinned_errors_come_back(lab):
    """A closed port answers by an error; it comes from E and quotes E."""
    gateway(lab)
    lab.need_portico()
    sock = lab.lan2.socket(bind=(L2, 5136), connect=(E, 8080))
    sock.send(b"nobody listens")
    try:
        sock.recv(100)
        raise AssertionError("no error came")
    except ConnectionRefusedError:
        pass
    sock.close()


def test_an_inner_router_is_followed(lab):
    """A network behind an inside host is translated like the host's own."""
    lab.need_portico()
    gateway(lab)
    lab.lan3.ip("addr add 192.168.77.1/32 dev lo")
    lab.gw.ip(f"route add 192.168.77.0/24 via {L3}")
    with Who(lab.wan, udp=[(R1, 7133)]):
        sock = lab.lan3.udp("192.168.77.1", 5137)
        assert ask(sock, (R1, 7133)).startswith(E + ":")
        sock.close()


def test_an_outsider_with_an_inside_source_is_not_let_in(lab):
    gateway(lab)
    lab.need_portico()
    lab.wan.ip("addr add 192.168.1.200/32 dev lo")
    host = lab.lan1.udp(L1, 80)
    try:
        liar = lab.wan.udp("192.168.1.200", 6130)
        liar.sendto(b"trust me", (E, 8080))
        quiet(host)
        liar.close()
    finally:
        lab.wan.ip("addr del 192.168.1.200/32 dev lo")
        host.close()


def test_what_is_bridged_to_another_router_is_not_translated(lab):
    """It does not leave by the uplink, but a bridge shows it to the rules."""
    lab.need_portico()
    gateway(lab)
    lab.bridge_filtering(1)
    lab.lan1.ip(f"route add {R2} via {L2}")
    lab.lan2.ip(f"addr add {R2}/32 dev lo")
    try:
        untranslated(lab, lab.lan2, (R2, 7134), 5138)
    finally:
        lab.bridge_filtering(0)
        lab.lan1.ip(f"route del {R2}")
        lab.lan2.ip(f"addr del {R2}/32 dev lo")


def test_what_is_nobodys_is_refused_and_not_the_kernels(lab):
    """240.0.0.0/4 has a route, the default one; nor may a stranger's source
    leave, there or to the uplink's address while that is away."""
    lab.need_portico()
    lab.lan1.ip("addr add 10.5.5.5/32 dev eth0")
    try:
        lab.start(fresh=True, fallback="kernel")
        socks = [lab.lan1.udp(L1, 5150), lab.lan1.udp("10.5.5.5", 5151)]
        with lab.wan.capture("dst net 240.0.0.0/4 or src 10.5.5.5",
                             "up0") as outside:
            for sock in socks:
                sock.sendto(b"hello", ("240.1.1.1", 7150))
            wait_for("both to be counted",
                     lambda: lab.drops("martian") >= 2, 3)
            lab.gw.ip(f"addr del {E}/24 dev wan0")
            lab.gw.ip("route add 203.0.113.0/24 dev wan0")
            wait_for("no address", lambda: not lab.portico("status")[
                "uplink"]["address"], 5)
            socks[1].sendto(b"hello", (E, 22))
            assert not outside.wait(1, 0.3), "it left"
            lab.gw.ip("route del 203.0.113.0/24 dev wan0")
        for sock in socks:
            sock.close()
    finally:
        lab.stop()
        lab.lan1.ip("addr del 10.5.5.5/32 dev eth0")
        lab.gw.run("ip", "addr", "del", f"{E}/24", "dev", "wan0", check=False)
        lab.give_address()
