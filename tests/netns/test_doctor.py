# SPDX-License-Identifier: GPL-2.0-or-later
"""What `portico doctor` and the status say of devices, routes and forwards
that let nothing through."""
import contextlib
import os

from lab import E, GW, L1, NEXT_HOP
from netns import wait_for
from tools import refuses_tcp


@contextlib.contextmanager
def without_default_route(lab):
    lab.gw.ip("route del default")
    try:
        yield
    finally:
        lab.gw.ip(f"route replace default via {NEXT_HOP}")


@contextlib.contextmanager
def device_down(lab, device):
    lab.gw.ip(f"link set {device} down")
    try:
        yield
    finally:
        lab.gw.ip(f"link set {device} up")
        lab.gw.ip(f"route replace default via {NEXT_HOP}")


def findings(lab, *arguments):
    """Lines of `portico doctor`, and its exit status."""
    done = lab.daemon.run("doctor", *arguments, check=False)
    return done.stdout.splitlines(), done.returncode


def found(lines, level, *words):
    return [line for line in lines if line.startswith(level + ": ") and
            all(word in line for word in words)]


def warnings(lab, *words):
    return [text for text in lab.portico("status")["warnings"]
            if all(word in text for word in words)]


def warns(lab, *words):
    wait_for(f"a warning of {words}", lambda: warnings(lab, *words), 5)


def warns_no_more(lab, *words):
    wait_for(f"no warning of {words}", lambda: not warnings(lab, *words), 5)


def test_an_uplink_that_is_down_is_a_problem(lab):
    lab.need_portico()
    lab.start()
    with device_down(lab, "wan0"):
        warns(lab, "uplink wan0 is down")
        lines, status = findings(lab)
        assert found(lines, "problem", "wan0 is down", "ip link"), lines
        assert not found(lines, "ok", "wan0 is there"), lines
        assert status == 1, lines


def test_the_address_that_is_missing_is_named(lab):
    """Another one is there."""
    lab.need_portico()
    lab.start(ready="answer", uplink={"address": "203.0.113.77"})
    warns(lab, "uplink wan0 has not the address 203.0.113.77")
    lines, status = findings(lab)
    assert found(lines, "problem", "wan0 has not the address 203.0.113.77",
                 "ip address show dev wan0"), lines
    assert status == 1, lines


def test_an_inside_device_that_is_down_is_told(lab):
    lab.need_portico()
    lab.start()
    with device_down(lab, "lan0"):
        warns(lab, "inside device lan0 is down")
        lines, status = findings(lab)
        assert found(lines, "warning", "lan0 is down"), lines
        assert status == 0, lines


def test_an_inside_device_without_address_is_a_problem(lab):
    lab.need_portico()
    lab.start()
    lab.gw.ip(f"addr del {GW}/24 dev lan0")
    try:
        warns(lab, "inside device lan0 has no address")
        lines, status = findings(lab)
        assert found(lines, "problem", "lan0 has no", "address"), lines
        assert status == 1, lines
    finally:
        lab.gw.ip(f"addr add {GW}/24 dev lan0")


def test_a_missing_default_route_is_told(lab):
    lab.need_portico()
    lab.start()
    lines, _ = findings(lab)
    assert not [line for line in lines if "default route" in line], lines
    assert not warnings(lab, "default route")
    with without_default_route(lab):
        warns(lab, "no default route")
        lines, _ = findings(lab)
        assert found(lines, "warning", "no default route",
                     "dev wan0"), lines
    warns_no_more(lab, "default route")


def test_a_default_route_that_leaves_elsewhere_is_told(lab):
    lab.need_portico()
    lab.start()
    with without_default_route(lab):
        lab.gw.ip(f"route add default via {L1} dev lan0")
        lines, _ = findings(lab)
        assert found(lines, "warning", "default route",
                     "not by the uplink wan0"), lines
        warns(lab, "default route", "not by the uplink wan0")
        # Both halves of the Internet are all of it.
        for half in ("0.0.0.0/1", "128.0.0.0/1"):
            assert warnings(lab, "default route"), half
            lab.gw.ip(f"route add {half} via {NEXT_HOP}")
        warns_no_more(lab, "default route")
        for half in ("0.0.0.0/1", "128.0.0.0/1"):
            lab.gw.ip(f"route del {half}")
        # Another table may have one; who knows.
        lab.gw.ip("rule add from 192.168.77.0/24 lookup 77")
        warns_no_more(lab, "default route")
        lab.gw.ip("rule del from 192.168.77.0/24 lookup 77")
        warns(lab, "default route", "not by the uplink wan0")


def test_a_forward_to_nobody_is_told(lab):
    lab.need_portico()
    lab.start(forwards=[
        {"name": "typo", "proto": "tcp", "outside": 8080,
         "to": "192.168.77.10:80"},
        {"name": "self", "proto": "udp", "outside": 8080, "to": f"{E}:80"},
        {"name": "good", "proto": "tcp", "outside": 8081, "to": f"{L1}:80"}])
    warns(lab, "forward typo", "192.168.77.10", "no inside network")
    warns(lab, "forward self", E, "no inside network")
    assert len(lab.portico("status")["warnings"]) == 2
    lines, _ = findings(lab)
    assert found(lines, "warning", "typo", "192.168.77.10"), lines
    assert found(lines, "warning", "self", E), lines
    assert not [line for line in lines if "good" in line], lines


def test_a_forward_to_the_router_itself_is_told(lab):
    """Whose answers would leave with its inside address: the guard drops
    them."""
    lab.need_portico()
    daemon = lab.start(fresh=True, forwards=[
        {"name": "self", "proto": ["tcp", "udp"], "outside": 8080,
         "to": f"{GW}:80"},
        {"name": "good", "proto": "tcp", "outside": 8081, "to": f"{L1}:80"}])
    with lab.gw.listener(GW, 80):
        refuses_tcp(lab.wan, (E, 8080))
    warns(lab, "forward self", GW, "router's own")
    assert len(lab.portico("status")["warnings"]) == 1
    lines, _ = findings(lab)
    assert len(found(lines, "warning", "self", GW, "router's own")) == 1, lines
    assert "router's own" in daemon.run("forward", "add", "more", "udp", "90",
                                        f"{GW}:53").stdout


def test_many_forwards_hide_no_other_warning(lab):
    lab.need_portico()
    lab.start(timeouts={"udp": 20}, forwards=[
        {"name": f"typo{port}", "proto": "tcp", "outside": port,
         "to": f"192.168.77.10:{port}"} for port in range(8000, 8040)])
    warns(lab, "forward typo8000")
    warns(lab, "timeouts.udp")


def test_without_an_uplink_it_does_not_miss_inside_devices(lab):
    """In automatic mode the default route comes first: without it nothing
    was looked for."""
    lab.need_portico()
    lab.start()
    path = os.path.join(lab.directory, "auto.conf")
    with open(path, "w") as file:
        file.write("{}")
    with without_default_route(lab):
        lines, status = findings(lab, "--config", path)
        assert len(found(lines, "problem", "no uplink")) == 1, lines
        assert not found(lines, "problem", "inside device"), lines
        assert status == 1, lines


def test_refused_networks_of_our_own_are_told(lab):
    """As a list of all private networks, which are none of the Internet's."""
    lab.need_portico()
    daemon = lab.start(fresh=True, behaviour={
        "martians_extra": ["10.0.0.0/8", "192.168.0.0/16"]})
    told = "martians_extra 192.168.0.0/16 holds the inside network 192.168.1.0"
    assert any(told in text for text in lab.portico("status")["warnings"])
    done = daemon.run("doctor", check=False)
    assert done.returncode == 1 and told in done.stdout, done
    daemon.reload({"behaviour": {"martians_extra": [f"{E}/32", f"{L1}/32"]}})
    told = f"martians_extra {E}/32 holds the uplink's address"
    warnings = lab.portico("status")["warnings"]
    assert len(warnings) == 1 and told in warnings[0], warnings
    daemon.reload({})
    assert not lab.portico("status")["warnings"]
