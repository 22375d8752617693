# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes under carried sessions: the configuration, the uplink's address,
its device, the inside's. They are taken back before and come again."""
import contextlib
import os
import time

from daemon import merge
from fastlab import Stream, by_kernel, carry, fast, has_ours, is_carried, \
    session, speak, start
from lab import E, GW, L1, L2, L3, R1, R2, Lab
from netns import ip_batch, wait_for
from test_uplink_devices import WAYS, make_anew
from test_uplink_moves import OTHER, change, in_time, move, reset, wait_address
from tools import Who, ask, ask_tcp, curl, httpd, limit, quiet, refuses_tcp

MB = 1000 * 1000


@contextlib.contextmanager
def running(lab, port, own_port, space=None, inside=L1):
    """A Stream that is carried, to a Who at R1 and this port."""
    with Who(lab.wan, udp=[(R1, port)]):
        sock = (space or lab.lan1).udp(inside, own_port)
        carry(lab, sock, (R1, port))
        with Stream(sock, (R1, port)) as stream:
            stream.wait_more()
            yield stream


def check_carried_again(lab, stream, inside):
    """The stream goes on by the kernel alone."""
    stream.wait_more()
    wait_for(f"{inside} is carried", lambda: is_carried(lab, inside), 6)
    carried, waited = by_kernel(lab, lambda: time.sleep(0.5))
    assert carried > 50 and waited <= 2, (carried, waited)


# --- the configuration -------------------------------------------------------

def test_a_reload_takes_back_and_they_come_again(lab):
    start(lab)
    config = lab.daemon.config
    with running(lab, 7701, 5701) as stream:
        before = fast(lab)["handed_over"]
        lab.daemon.reload(merge(config, {"filtering": {
            "udp": "address-dependent"}}))
        check_carried_again(lab, stream, f"{L1}:5701")
        assert fast(lab)["handed_over"] == before + 1, fast(lab)
        lab.daemon.reload(merge(config, {"fast_path": {"after": 5}}))
        check_carried_again(lab, stream, f"{L1}:5701")


def test_a_reload_that_is_refused_changes_nothing(lab):
    start(lab)
    config = lab.daemon.config
    with running(lab, 7702, 5702) as stream:
        for changes in ({"enabled": False}, {"sessions": 7}):
            lab.daemon.configure(merge(config, {"fast_path": changes}))
            done = lab.daemon.run("reload", check=False)
            assert done.returncode and "fast_path." in done.stderr, done
        lab.daemon.configure(config)
        check_carried_again(lab, stream, f"{L1}:5702")


def test_a_peer_that_is_exempt_now_is_not_translated_any_more(lab):
    start(lab)
    config = lab.daemon.config
    lab.wan.ip(f"route add 192.168.1.0/24 via {E}")
    try:
        with running(lab, 7703, 5703) as stream:
            lab.allow(f"{R1}/32")
            lab.daemon.reload(merge(config, {"exempt": [f"{R1}/32"]}))
            stream.wait_more()
            assert stream.wait_more() == f"{L1}:5703"
            assert not is_carried(lab, f"{L1}:5703")
            lab.daemon.reload(config)
            stream.wait_more()
            assert stream.wait_more().startswith(E + ":")
    finally:
        lab.check()
        lab.allowed.clear()
        lab.wan.ip(f"route del 192.168.1.0/24 via {E}")


def test_a_forward_that_is_gone_carries_nothing(lab):
    forward = {"name": "web", "proto": ["tcp", "udp"], "outside": 8080,
               "to": f"{L1}:80"}
    start(lab, forwards=[forward])
    config = lab.daemon.config
    with Who(lab.lan1, udp=[(L1, 80)], tcp=[(L1, 80)]):
        outside = lab.wan.udp(R1, 7704)
        for _ in range(10):
            ask(outside, (E, 8080))
        tcp = lab.wan.tcp((E, 8080))
        for _ in range(10):
            ask_tcp(tcp)
        assert fast(lab)["sessions"]["used"] == 2, fast(lab)
        lab.daemon.reload({**config, "forwards": []})
        assert fast(lab)["sessions"]["used"] == 0, fast(lab)
        outside.sendto(b"late", (E, 8080))
        quiet(outside)
        refuses_tcp(lab.wan, (E, 8080))
        # To another host now.
        lab.daemon.reload({**config, "forwards": [
            {**forward, "to": f"{L2}:81"}]})
        with Who(lab.lan2, udp=[(L2, 81)]):
            for _ in range(10):
                ask(outside, (E, 8080))
            wait_for("it is carried", lambda: is_carried(lab, f"{L2}:81"), 2)
        outside.close()
        tcp.close()


# --- the uplink's address ----------------------------------------------------

def test_udp_goes_on_by_the_new_address(lab):
    lab.need_portico()
    with Lab() as own:
        start(own)
        with running(own, 7705, 5705) as stream:
            move(own)
            with own.wan.capture(f"src host {E}", "up0") as old:
                stream.wait_more()
                assert stream.wait_more() == f"{OTHER}:5705"
                check_carried_again(own, stream, f"{L1}:5705")
                assert not old.read(), "from the old address"
            # And back, as it was.
            move(own, E, OTHER)
            stream.wait_more()
            assert stream.wait_more() == f"{E}:5705"
        own.check()


def test_carried_connections_are_cut_and_told(lab):
    """The daemon knows no window of theirs: it has to ask for it. One of them
    is busy, the other one idle."""
    lab.need_portico()
    with Lab() as own:
        start(own)
        path = os.path.join(own.directory, "cut")
        with httpd(own.wan, R1), Who(own.wan, tcp=[(R2, 7706)]):
            tcp = own.lan2.tcp((R2, 7706), source=(L2, 5706))
            for _ in range(10):
                ask_tcp(tcp)
            assert is_carried(own, f"{L2}:5706", "tcp")
            with own.lan1.running("curl", "-sS", "--limit-rate", "5M", "-o",
                                  path, f"http://{R1}/{100 * MB}") as client:
                wait_for("it is carried",
                         lambda: fast(own)["bytes"] > 2 * MB, 5)
                began = change(own)
                seconds = reset(tcp, began)
                assert client.wait(5) != 0
                assert "reset by peer" in client.output(), client.output()
                wait_address(own, OTHER)
            tcp.close()
            assert curl(own.lan1, f"http://{R1}/who").stdout.startswith(OTHER)
            told = own.portico("status")["moves"]
            assert told["connections"] == told["told"] == 2, told
        own.check()
    return in_time(seconds)


def test_without_an_address_nothing_is_carried(lab):
    lab.need_portico()
    with Lab() as own:
        start(own)
        with running(own, 7707, 5707) as stream:
            own.gw.ip(f"addr del {E}/24 dev wan0")
            wait_for("no address", lambda: not own.portico("status")[
                "uplink"]["address"], 5)
            with own.wan.capture("udp", "up0", sent=False) as seen:
                time.sleep(0.5)
                assert not seen.read()
            own.give_address()
            assert stream.wait_more() == f"{E}:5707"
            check_carried_again(own, stream, f"{L1}:5707")
        own.check()


# --- devices -----------------------------------------------------------------

@limit(90)
def test_the_uplink_goes_down_is_renamed_and_made_anew(lab):
    lab.need_portico()
    with Lab() as own:
        start(own)
        with running(own, 7708, 5708) as stream:
            own.gw.ip("link set wan0 down")
            time.sleep(0.2)
            own.gw.ip("link set wan0 up")
            ip_batch(WAYS, own.gw.name)
            check_carried_again(own, stream, f"{L1}:5708")
            # Another device has the name, and the number is another one.
            make_anew(own)
            own.give_address()
            check_carried_again(own, stream, f"{L1}:5708")
            assert has_ours(own, "wan0")
            # It loses the name for a while.
            own.gw.ip("link set wan0 down")
            own.gw.ip("link set wan0 name wanx")
            own.gw.ip("link set wanx up")
            ip_batch([line.replace("wan0", "wanx") for line in WAYS],
                     own.gw.name)
            wait_for("it is taken away", lambda: not has_ours(own, "wanx"), 8)
            with own.wan.capture("udp", "up0", sent=False) as seen:
                time.sleep(0.5)
                assert not seen.read(), "it left by another device"
            own.gw.ip("link set wanx down")
            own.gw.ip("link set wanx name wan0")
            own.gw.ip("link set wan0 up")
            ip_batch(WAYS, own.gw.name)
            check_carried_again(own, stream, f"{L1}:5708")
        own.check()


@limit(90)
def test_the_inside_goes_down_and_is_made_anew(lab):
    lab.need_portico()
    with Lab() as own:
        start(own)
        with running(own, 7709, 5709) as stream:
            own.gw.ip("link set lan0 down")
            time.sleep(0.2)
            own.gw.ip("link set lan0 up")
            check_carried_again(own, stream, f"{L1}:5709")
            ip_batch(["link del lan0", "link add lan0 type bridge",
                      "link set p1 master lan0", "link set p2 master lan0",
                      f"addr add {GW}/24 dev lan0", "link set lan0 up"],
                     own.gw.name)
            own.lan1.ip("neigh flush all")
            check_carried_again(own, stream, f"{L1}:5709")
            assert has_ours(own, "lan0")
        own.check()


def test_a_host_that_moves_to_another_inside_device_is_found(lab):
    """Routing decides behind which one it is: from the other one its packets
    are not carried."""
    lab.need_portico()
    with Lab(second=True) as own:
        own.lan3.ip("addr add 192.168.77.1/32 dev lo")
        own.gw.ip(f"route add 192.168.77.0/24 via {L3}")
        start(own)
        with running(own, 7710, 5710, own.lan3, "192.168.77.1") as stream:
            check_carried_again(own, stream, "192.168.77.1:5710")
        own.lan3.ip("addr del 192.168.77.1/32 dev lo")
        own.lan1.ip("addr add 192.168.77.1/32 dev lo")
        own.gw.ip(f"route replace 192.168.77.0/24 via {L1}")
        with Who(own.wan, udp=[(R1, 7710)]):
            sock = own.lan1.udp("192.168.77.1", 5710)
            assert ask(sock, (R1, 7710)) == f"{E}:5710"
            carry(own, sock, (R1, 7710), "192.168.77.1:5710")
            carried, waited = by_kernel(own, lambda: speak(
                sock, (R1, 7710), times=20))
            assert carried == 40 and not waited, (carried, waited)
            assert len(session(own, "192.168.77.1:5710")["peer"]) > 0
            sock.close()
        own.check()
