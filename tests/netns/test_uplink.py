# SPDX-License-Identifier: GPL-2.0-or-later
"""The uplink's address comes, changes and goes."""
from lab import E, L1, L2, MAC_UP0, MAC_WAN0, R1, Lab
from netns import ip_batch, wait_for
from tools import Who, ask, ask_tcp, quiet

OTHER = "203.0.113.8"


def address_of(lab):
    return lab.portico("status")["uplink"]["address"]


def wait_address(lab, address):
    wait_for(f"status shows {address}",
             lambda: address_of(lab) == address, 5)


def take_address(lab, address=E):
    lab.gw.ip(f"addr del {address}/24 dev wan0")


def test_nothing_is_remembered_before_there_is_an_address(lab):
    lab.need_portico()
    with Lab(address=False) as bare:
        bare.start(ready="answer", forwards=[
            {"name": "web", "proto": "tcp", "outside": 8080,
             "to": f"{L1}:80"}])
        # Routing works, only the address is missing.
        bare.gw.ip("addr add 203.0.113.99/24 dev lo")
        bare.gw.ip("route add default dev wan0 scope link")
        sock = bare.lan1.udp(L1, 5180)
        for _ in range(5):
            sock.sendto(b"too early", (R1, 7180))
        bare.lan2.run("ping", "-n", "-c1", "-W1", R1, check=False)
        quiet(sock, 0.2)
        status = bare.portico("status")
        assert not status["uplink"]["address"], status
        assert status["sessions"]["used"] == 0, status
        dynamic = [m for m in bare.portico("mappings")["mappings"]
                   if m["kind"] == "dynamic"]
        assert dynamic == [], dynamic
        bare.gw.ip("addr del 203.0.113.99/24 dev lo")
        bare.gw.ip("route del default dev wan0")
        bare.give_address()
        wait_address(bare, E)
        with Who(bare.wan, udp=[(R1, 7180)], tcp=[(R1, 7180)]), \
                Who(bare.lan1, tcp=[(L1, 80)]):
            assert ask(sock, (R1, 7180)).startswith(E + ":")
            for space, peer in ((bare.lan2, (R1, 7180)),
                                (bare.wan, (E, 8080))):
                tcp = space.tcp(peer)
                ask_tcp(tcp)
                tcp.close()
        sock.close()
        bare.check()


def test_a_new_address_is_used_at_once(lab):
    lab.need_portico()
    lab.start(fresh=True, forwards=[
        {"name": "web", "proto": "tcp", "outside": 8080, "to": f"{L1}:80"}])
    with Who(lab.wan, udp=[(R1, 7181)]), Who(lab.lan1, tcp=[(L1, 80)]):
        udp, old = lab.lan1.udp(L1, 5181), lab.lan2.udp(L2, 5182)
        assert ask(udp, (R1, 7181)).startswith(E + ":")
        ask(old, (R1, 7181))
        take_address(lab)
        lab.give_address(OTHER)
        wait_address(lab, OTHER)
        assert lab.mapping(f"{L2}:5182")["outside"] == f"{OTHER}:5182"
        assert ask(udp, (R1, 7181)).startswith(OTHER + ":")
        tcp = lab.wan.tcp((OTHER, 8080))
        ask_tcp(tcp)
        tcp.close()
        hairpin = lab.lan2.tcp((OTHER, 8080))
        assert ask_tcp(hairpin).startswith(OTHER + ":")
        hairpin.close()
        take_address(lab, OTHER)
        lab.give_address()
        wait_address(lab, E)
        assert ask(udp, (R1, 7181)).startswith(E + ":")
        udp.close()
        old.close()


def test_the_same_address_back_finds_its_connections(lab):
    lab.need_portico()
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7182)], tcp=[(R1, 7182)]):
        udp, tcp = lab.lan1.udp(L1, 5183), lab.lan2.tcp((R1, 7182))
        seen = [ask(udp, (R1, 7182)), ask_tcp(tcp)]
        take_address(lab)
        wait_for("status shows no address", lambda: not address_of(lab), 5)
        udp.sendto(b"nobody hears this", (R1, 7182))
        quiet(udp, 0.2)
        lab.give_address()
        wait_address(lab, E)
        assert [ask(udp, (R1, 7182)), ask_tcp(tcp)] == seen
        udp.close()
        tcp.close()


def test_the_link_may_go_down_and_come_up(lab):
    lab.need_portico()
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7183)], tcp=[(R1, 7183)]):
        udp, tcp = lab.lan1.udp(L1, 5184), lab.lan2.tcp((R1, 7183))
        seen = [ask(udp, (R1, 7183)), ask_tcp(tcp)]
        lab.gw.ip("link set wan0 down")
        udp.sendto(b"nobody hears this", (R1, 7183))
        lab.gw.ip("link set wan0 up")
        ip_batch(["route replace default via 203.0.113.1"], lab.gw.name)
        wait_for("traffic again", lambda: lab.gw.run(
            "ping", "-n", "-c1", "-W1", R1, check=False).returncode == 0)
        assert [ask(udp, (R1, 7183)), ask_tcp(tcp)] == seen
        udp.close()
        tcp.close()


def test_a_device_made_anew_is_found_by_its_name(lab):
    """As PPPoE does at every reconnect."""
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7184)]):
            udp = own.lan1.udp(L1, 5185)
            seen = ask(udp, (R1, 7184))
            for _ in range(2):
                own.gw.ip("link del wan0")
                ip_batch([f"link add wan0 netns {own.gw.name} address "
                          f"{MAC_WAN0} type veth peer name up0 netns "
                          f"{own.wan.name} address {MAC_UP0}"])
                ip_batch(["addr add 203.0.113.1/24 dev up0",
                          "link set up0 up"], own.wan.name)
                own.gw.ip("link set wan0 up")
                own.give_address()
                wait_address(own, E)
                assert ask(udp, (R1, 7184), tries=5) == seen
            udp.close()
        own.check()


def test_an_inside_device_may_come_later(lab):
    lab.need_portico()
    with Lab(second=True) as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7185)]):
            own.gw.ip("link set lan1 down")
            own.gw.ip("addr flush dev lan1")
            udp = own.lan1.udp()
            assert ask(udp, (R1, 7185))
            own.gw.ip("addr add 192.168.2.1/24 dev lan1")
            own.gw.ip("link set lan1 up")
            late = own.lan3.udp()
            assert ask(late, (R1, 7185), tries=5).startswith(E + ":")
            udp.close()
            late.close()
        own.check()


def test_a_second_address_on_the_uplink_is_left_alone(lab):
    lab.need_portico()
    lab.start(fresh=True)
    lab.gw.ip("addr add 203.0.113.50/24 dev wan0")
    try:
        with Who(lab.wan, udp=[(R1, 7186)]), \
                Who(lab.gw, udp=[("203.0.113.50", 20000)]):
            udp = lab.lan1.udp()
            assert ask(udp, (R1, 7186)).startswith(E + ":")
            outsider = lab.wan.udp()
            assert ask(outsider, ("203.0.113.50", 20000))
            udp.close()
            outsider.close()
        assert address_of(lab) == E
    finally:
        lab.gw.ip("addr del 203.0.113.50/24 dev wan0")
