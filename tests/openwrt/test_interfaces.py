# SPDX-License-Identifier: GPL-2.0-or-later
"""The init script and the logical interfaces: such as are down, come up, come
late, have another device or are none."""
from router import UCI, Router, write
from test_init import FW4, LIMITS

GUEST = UCI.replace("'lan'\n", "'lan'\n\tlist interface 'guest'\n")


def test_it_waits_for_the_uplink_at_boot():
    router = Router(devices=[("lan", "br-lan")])
    assert router.service("boot") == []
    assert ["interface.*", "wan"] in router.rest()["trigger"]
    router.up("wan", "pppoe-wan")
    assert router.service("reload") == [FW4, "start"]
    assert router.json()["uplink"]["device"] == "pppoe-wan"


def test_an_interface_that_comes_up_before_procd_has_the_triggers():
    router = Router(devices=[("lan", "br-lan")])
    write("pppoe-wan", router.root, "soon/wan")
    assert router.service("boot") == [FW4, "start"]
    write("wwan0", router.root, "soon/wan")
    assert router.service("reload") == ["signal USR1", "start"]
    assert router.json()["uplink"]["device"] == "wwan0"
    # Also where it had just been handed over.
    write("eth1", router.root, "soon/wan")
    assert router.service("restart") == ["signal USR1", "start"] * 2
    assert router.json()["uplink"]["device"] == "eth1"


def test_an_interface_that_goes_down_changes_nothing():
    router = Router(config=GUEST,
                    devices=[("wan", "pppoe-wan"), ("lan", "br-lan"),
                             ("guest", "br-guest")])
    router.service("start")
    for interface in ("wan", "guest", "lan"):
        router.down(interface)
        assert router.service("reload") == [], interface
    assert router.json()["inside"]["devices"] == ["br-lan", "br-guest"]
    router.up("wan", "pppoe-wan")
    assert router.service("reload") == []


def test_an_interface_of_another_device_is_handed_over():
    router = Router()
    router.service("start")
    router.up("wan", "wwan0")
    assert router.service("reload") == ["signal USR1", "start"]
    assert router.json()["uplink"]["device"] == "wwan0"


def test_what_its_caller_knew_of_interfaces_is_not_believed():
    """Scripts that ask for interfaces hand on what they were told."""
    router = Router()
    router.service("start", __NETWORK_CACHE="wan eth9\nlan br-lan")
    assert router.json()["uplink"]["device"] == "eth1"


def test_another_uplink_that_is_down_does_not_get_the_device_of_the_first():
    router = Router()
    router.service("start")
    router.configure(UCI.replace("'wan'", "'wwan'"))
    assert router.service("reload") == []
    assert router.json()["uplink"]["device"] == "eth1"
    router.up("wwan", "wwan0")
    assert router.service("reload") == ["signal USR1", "start"]
    assert router.json()["uplink"]["device"] == "wwan0"


def test_a_second_inside_interface_joins_when_it_comes_up():
    router = Router(config=GUEST)
    assert router.service("start") == [FW4, "start"]
    assert router.json()["inside"]["devices"] == ["br-lan"]
    assert "guest" in router.log()
    router.up("guest", "br-guest")
    assert router.service("reload") == ["signal USR1", "start"]
    assert router.json()["inside"]["devices"] == ["br-lan", "br-guest"]


def test_a_device_or_a_typo_in_the_place_of_an_interface_is_told():
    """Not refused: protocols add interfaces that are in no file."""
    router = Router(config=GUEST.replace("'lan'", "'br-lan'"))
    write("interface\n", router.root, "uci/network.guest")
    assert router.service("start") == []
    assert "not up yet: br-lan (not in /etc/config/network) guest\n" in \
        router.log(), router.log()


def test_a_daemon_that_begins_again_waits_for_a_device_that_is_down():
    """It does so as one that runs: nothing is handed over when it is back."""
    devices = [("wan", "eth1"), ("lan", "br-lan"), ("guest", "br-guest")]
    for config, action in ((GUEST, "restart"), (GUEST + LIMITS, "reload")):
        router = Router(config=GUEST, devices=devices)
        router.service("start")
        for interface in ("guest", "lan", "wan"):
            router.down(interface)
        assert router.service("reload") == []
        router.configure(config)
        assert router.service(action) == ["signal USR1", "start"]
        assert router.json()["inside"]["devices"] == ["br-lan", "br-guest"]
        assert router.json()["uplink"]["device"] == "eth1"
        for interface, device in devices:
            router.up(interface, device)
        assert router.service("reload") == []
