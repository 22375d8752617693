# SPDX-License-Identifier: GPL-2.0-or-later
"""Inside devices are renamed, bridged anew, down, or have no address: what is
inside stays inside, while the daemon runs and after it ended."""
import contextlib
import time

from lab import E, GW, L1, L2, L3, MAC_LAN0, NEXT_HOP, R1, Lab
from netns import ip_batch, wait_for
from tools import Who, ask, ask_tcp
from test_uplink_devices import chatter

WEB = {"name": "web", "proto": "udp", "outside": 8080, "to": f"{L1}:80"}


def warns(own, text):
    wait_for(f"a warning: {text}", lambda: any(
        text in line for line in own.portico("status")["warnings"]))


def talk(own, seconds=0.4):
    """The hosts go on speaking; Lab.check() looks at what comes out."""
    sock = own.lan1.udp(L1, 5401)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sock.sendto(b"inside", (R1, 9))
        time.sleep(0.01)
    sock.close()


def stop_and_forward(own):
    assert own.daemon.stop() == 0
    own.gw.sysctl("net.ipv4.ip_forward", 1)


def test_a_renamed_inside_device_leaks_nothing(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7401)]), chatter(own, 5411):
            sock = own.lan1.udp(L1, 5402)
            assert ask(sock, (R1, 7401)) == f"{E}:5402"
            own.gw.ip("link set lan0 down")
            own.gw.ip("link set lan0 name lanx")
            own.gw.ip("link set lanx up")
            warns(own, "inside device lan0 does not exist")
            talk(own)
            stop_and_forward(own)
            talk(own)
            own.daemon.start()
            talk(own)
            own.gw.ip("link set lanx down")
            own.gw.ip("link set lanx name lan0")
            own.gw.ip("link set lan0 up")
            assert ask(sock, (R1, 7401), tries=5) == f"{E}:5402"
            sock.close()
        own.check()


def test_hosts_that_move_to_another_bridge_leak_nothing(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        with chatter(own, 5412):
            talk(own, 0.1)
            ip_batch(["link add br9 type bridge", "link set br9 up",
                      f"addr del {GW}/24 dev lan0",
                      f"addr add {GW}/24 dev br9",
                      "link set p1 master br9", "link set p2 master br9"],
                     own.gw.name)
            warns(own, "inside device lan0 has no address")
            talk(own)
            stop_and_forward(own)
            talk(own)
        own.check(alive=False)


def test_a_stop_without_an_inside_address_leaves_a_guard(lab):
    """Also where none was ever seen, as while a router boots."""
    lab.need_portico()
    for seen in (True, False):
        with Lab() as own:
            if seen:
                own.start()
                talk(own, 0.1)
            own.gw.ip(f"addr del {GW}/24 dev lan0")
            if not seen:
                own.start()
            warns(own, "inside device lan0 has no address")
            stop_and_forward(own)
            own.gw.ip(f"addr add {GW}/24 dev lan0")
            talk(own)
            own.check(alive=False)


def test_nothing_for_the_inside_leaves_by_the_uplink(lab):
    """Its way back is the default route, while the inside link is down: as
    translated from outside, as told of a move, as sent by the router."""
    lab.need_portico()
    with Lab(second=True) as own:
        own.start(forwards=[WEB])
        with Who(own.wan, udp=[(R1, 7402)], tcp=[(R1, 7402)]) as peer:
            sock = own.lan1.udp(L1, 5403)
            assert ask(sock, (R1, 7402)) == f"{E}:5403"
            tcp = own.lan1.tcp((R1, 7402))
            own.gw.ip("link set lan0 down")
            warns(own, "inside device lan0 is down")
            outside = own.wan.udp(R1, 7403)
            for port in (5403, 8080):
                for _ in range(10):
                    outside.sendto(b"outside", (E, port))
                    time.sleep(0.005)
            third, router = own.lan3.udp(), own.gw.udp()
            third.sendto(b"inside", (L2, 9))
            with contextlib.suppress(PermissionError):  # the guard says so
                router.sendto(b"inside", (L2, 9))
            own.gw.ip(f"addr del {E}/24 dev wan0")
            own.give_address(E.replace(".7", ".8"))
            wait_for("a move", lambda: own.portico("status")["moves"]["count"])
            time.sleep(0.3)
            own.check()
            for made in (sock, tcp, outside, third, router):
                made.close()
            assert peer
        own.check()


def test_what_is_translated_for_a_lost_route_stays(lab):
    """An inner router's network is gone, its mappings are not: the default
    route would take their packets out again."""
    lab.need_portico()
    with Lab(second=True) as own:
        own.lan3.ip("addr add 192.168.77.1/32 dev lo")
        own.gw.ip(f"route add 192.168.77.0/24 via {L3}")
        own.start()
        with Who(own.wan, udp=[(R1, 7404)]):
            sock = own.lan3.udp("192.168.77.1", 5404)
            assert ask(sock, (R1, 7404)) == f"{E}:5404"
            own.gw.ip("route del 192.168.77.0/24")
            outside = own.wan.udp(R1, 7405)
            for _ in range(10):
                outside.sendto(b"outside", (E, 5404))
                time.sleep(0.01)
            assert own.mapping("192.168.77.1:5404"), "it has ended"
            sock.close()
            outside.close()
        own.check()


def test_nobody_is_redirected_to_an_inside_address(lab):
    """Who is on the uplink's own network would be told, in a quote, of what
    goes back the way it came: its inside link is down, its route is gone."""
    lab.need_portico()
    lost = "192.168.77.1"
    with Lab(second=True) as own:
        for device in ("all", "wan0"):
            own.gw.sysctl(f"net.ipv4.conf.{device}.send_redirects", 1)
        own.lan3.ip(f"addr add {lost}/32 dev lo")
        own.gw.ip(f"route add 192.168.77.0/24 via {L3}")
        own.start()
        with Who(own.wan, udp=[(NEXT_HOP, 7406)]):
            down, away = own.lan1.udp(L1, 5405), own.lan3.udp(lost, 5406)
            for sock, port in ((down, 5405), (away, 5406)):
                assert ask(sock, (NEXT_HOP, 7406)) == f"{E}:{port}"
            own.gw.ip("link set lan0 down")
            own.gw.ip("route del 192.168.77.0/24")
            warns(own, "inside device lan0 is down")
            outside = own.wan.udp(NEXT_HOP, 7407)
            for port in (5405, 5406) * 10:
                outside.sendto(b"outside", (E, port))
                time.sleep(0.01)
            time.sleep(0.3)
            for made in (down, away, outside):
                made.close()
        own.check()


def test_who_is_told_of_a_move_without_a_route_is_not_told_outside(lab):
    """The daemon's own packets find the default route, too."""
    lab.need_portico()
    lost = "192.168.77.1"
    with Lab(second=True) as own:
        own.lan3.ip(f"addr add {lost}/32 dev lo")
        own.gw.ip(f"route add 192.168.77.0/24 via {L3}")
        own.start()
        with Who(own.wan, tcp=[(R1, 7408)]):
            tcp = own.lan3.tcp((R1, 7408), source=(lost, 5407))
            assert ask_tcp(tcp) == f"{E}:5407"
            own.gw.ip("route del 192.168.77.0/24")
            own.gw.ip(f"addr del {E}/24 dev wan0")
            own.give_address(E.replace(".7", ".8"))
            wait_for("a connection that is told",
                     lambda: own.portico("status")["moves"]["told"])
            time.sleep(0.2)
            tcp.close()
        own.check()


def test_a_part_of_a_network_elsewhere_leaks_nothing(lab):
    """A more specific route leads it out; what is inside is not known."""
    lab.need_portico()
    with Lab(second=True) as own:
        own.gw.ip(f"addr del {GW}/24 dev lan0")
        ip_batch([f"route add 198.51.0.0/16 via {L3}",
                  f"route add 198.51.100.0/24 via {NEXT_HOP}"], own.gw.name)
        for device in ("all", "lan0"):
            own.gw.sysctl(f"net.ipv4.conf.{device}.rp_filter", 0)
        own.start(inside={"devices": ["lan0"]})
        warns(own, "inside device lan0 has no address")
        own.lan1.ip(f"neigh replace {GW} lladdr {MAC_LAN0} dev eth0")
        talk(own)
        own.check()


def test_a_part_of_a_network_elsewhere_is_served(lab):
    """The uplink's own network, within a wider one that another device leads
    to."""
    lab.need_portico()
    with Lab(second=True) as own, Who(own.wan, udp=[(NEXT_HOP, 7190)]):
        own.gw.ip(f"route add 203.0.0.0/8 via {L3}")
        own.start(inside={"devices": ["lan0"]})
        sock = own.lan1.udp(L1, 5190)
        assert ask(sock, (NEXT_HOP, 7190)).startswith(E + ":")
        why = own.portico("why", "udp", f"{L1}:5190",
                          f"{NEXT_HOP}:7190")["why"]
        assert why["verdict"] == "translated", why
        sock.close()
        own.check()
