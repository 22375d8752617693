# SPDX-License-Identifier: GPL-2.0-or-later
"""The uplink's device comes and goes, is renamed, is a bridge or a VLAN; it has
two addresses. It is followed by its name; meanwhile nothing leaks."""
import contextlib
import hashlib
import os
import subprocess
import threading
import time

from lab import (E, GW, L1, L2, L3, MAC_LAN0, MAC_UP0, MAC_WAN0, NEXT_HOP, R1,
                 Lab)
from netns import ip_batch, wait_for
from tools import Who, ask, ask_tcp, curl, httpd, limit, quiet

OTHER = "203.0.113.50"
WAYS = ["route replace default via " + NEXT_HOP]


def address_of(lab):
    return lab.portico("status")["uplink"]["address"]


def wait_address(lab, address):
    wait_for(f"status shows {address}",
             lambda: (address_of(lab) or None) == address, 5)


def make_anew(lab, name="wan0"):
    """The link to the outside, as pppd makes its device at each reconnect."""
    lab.gw.ip(f"link del {name}")
    ip_batch([f"link add {name} netns {lab.gw.name} address {MAC_WAN0} type "
              f"veth peer name up0 netns {lab.wan.name} address {MAC_UP0}"])
    ip_batch([f"addr add {NEXT_HOP}/24 dev up0", "link set up0 up"],
             lab.wan.name)
    lab.gw.ip(f"link set {name} up")


@contextlib.contextmanager
def chatter(lab, port):
    """A host that speaks to the outside all the time, whatever happens."""
    ended = threading.Event()
    sock = lab.lan2.udp(L2, port)

    def speak():
        while not ended.wait(0.005):
            with contextlib.suppress(OSError):
                for there in (R1, NEXT_HOP):
                    sock.sendto(b"inside", (there, 9))

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)
        sock.close()


class Download:
    """100 MB at 12 MB/s, meanwhile."""

    def __init__(self, lab, count=100_000_000):
        self.lab, self.count, self.error = lab, count, None
        self.path = os.path.join(lab.directory, "download")
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        try:
            curl(self.lab.lan1, "--limit-rate", "12M", "-o", self.path,
                 f"http://{R1}/{self.count}", timeout=90)
        except (AssertionError, subprocess.SubprocessError) as error:
            self.error = str(error)

    def size(self):
        return os.path.exists(self.path) and os.path.getsize(self.path)

    def wait_more(self):
        size = self.size()
        wait_for(f"more than {size} bytes", lambda: self.error
                 or self.size() > size or size == self.count, 30)

    def finish(self):
        self.thread.join(90)
        assert self.error is None, self.error
        with open(self.path, "rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        wanted = curl(self.lab.wan, f"http://{R1}/sha256/{self.count}")
        assert got == wanted.stdout.strip(), "the data changed on its way"


@limit(120)
def test_a_download_goes_on_over_flaps_and_a_new_device(lab):
    """Over an address that goes, a link that goes down and a device that is
    made anew."""
    lab.need_portico()
    with Lab() as own:
        own.start()
        with httpd(own.wan, R1, 80), chatter(own, 5301):
            transfer = Download(own)
            transfer.wait_more()
            own.gw.ip(f"addr del {E}/24 dev wan0")
            wait_address(own, None)
            own.give_address()
            transfer.wait_more()
            own.gw.ip("link set wan0 down")
            time.sleep(0.2)
            own.gw.ip("link set wan0 up")
            ip_batch(WAYS, own.gw.name)
            transfer.wait_more()
            make_anew(own)
            wait_address(own, None)
            own.give_address()
            transfer.wait_more()
            transfer.finish()
        assert own.portico("status")["moves"]["count"] == 0
        own.check()


def test_the_address_in_use_stays_while_it_is_there(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7302)]):
            sock = own.lan1.udp(L1, 5302)

            def seen():
                return ask(sock, (R1, 7302), tries=5)

            assert seen() == f"{E}:5302"
            # A second one, of another network, comes and goes.
            own.gw.ip("addr add 198.18.0.7/24 dev wan0")
            own.gw.ip("addr del 198.18.0.7/24 dev wan0")
            # A second one comes, the first one goes.
            own.gw.ip(f"addr add {OTHER}/25 dev wan0")
            assert seen() == f"{E}:5302"
            own.gw.ip(f"addr del {E}/24 dev wan0")
            wait_address(own, OTHER)
            ip_batch(WAYS, own.gw.name)
            assert seen() == f"{OTHER}:5302"
            # The first one is back: no reason to move; nor for a restart.
            own.gw.ip(f"addr add {E}/24 dev wan0")
            assert seen() == f"{OTHER}:5302"
            own.daemon.kill()
            own.gw.ip(f"addr del {OTHER}/25 dev wan0")
            own.gw.ip(f"addr add {OTHER}/25 dev wan0")
            ip_batch(WAYS, own.gw.name)
            own.daemon.start()
            assert seen() == f"{OTHER}:5302"
            status = own.portico("status")
            assert status["moves"]["count"] == 0, status
            sock.close()
        own.check()


def test_an_address_for_the_modem_alone_is_not_taken(lab):
    """It is there at once, the provider's comes later."""
    lab.need_portico()
    with Lab(address=False) as own:
        own.gw.ip("addr add 10.66.0.2/24 dev wan0")
        own.start()
        with Who(own.wan, udp=[(R1, 7303)]):
            own.give_address()
            wait_address(own, E)
            sock = own.lan1.udp(L1, 5303)
            for _ in range(2):
                assert ask(sock, (R1, 7303), tries=5) == f"{E}:5303"
                own.daemon.kill()
                own.daemon.start()
            # The lease is lost, and comes again; once over a restart.
            for restarts in (False, True):
                own.gw.ip("route del default")
                own.gw.ip(f"addr del {E}/24 dev wan0")
                wait_address(own, None)
                if restarts:
                    own.daemon.kill()
                    own.daemon.start("answer")
                assert not address_of(own)
                own.give_address()
                wait_address(own, E)
                assert ask(sock, (R1, 7303), tries=5) == f"{E}:5303"
            assert own.portico("status")["moves"]["count"] == 0
            sock.close()
        own.check()


def test_a_configured_address_wins(lab):
    lab.need_portico()
    with Lab() as own:
        own.gw.ip(f"addr add {OTHER}/24 dev wan0")
        own.start(uplink={"address": OTHER})
        with Who(own.wan, udp=[(R1, 7303)]):
            sock = own.lan1.udp(L1, 5303)
            assert ask(sock, (R1, 7303)) == f"{OTHER}:5303"
            # Without it there is none, and no other takes its place.
            own.gw.ip(f"addr del {OTHER}/24 dev wan0")
            wait_address(own, None)
            sock.sendto(b"nobody hears this", (R1, 7303))
            quiet(sock)
            own.gw.ip(f"addr add {OTHER}/24 dev wan0")
            wait_address(own, OTHER)
            assert ask(sock, (R1, 7303)) == f"{OTHER}:5303"
            sock.close()
        own.check()


def test_without_an_address_packets_are_counted(lab):
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7304)], tcp=[(R1, 7304)]), \
                chatter(own, 5314):
            udp, tcp = own.lan1.udp(L1, 5304), own.lan1.tcp((R1, 7304))
            seen = [ask(udp, (R1, 7304)), ask_tcp(tcp)]
            wait_for("the chatter's mapping", lambda: len(
                own.portico("mappings")["mappings"]) == 3)
            own.gw.ip(f"addr del {E}/24 dev wan0")
            # There is a way out all the same.
            own.gw.ip("addr add 203.0.113.99/32 dev lo")
            own.gw.ip("route add default dev wan0 scope link")
            wait_for("drops", lambda: own.drops("no_uplink"))
            mappings = own.portico("mappings")["mappings"]
            assert len(mappings) == 3, mappings
            own.gw.ip("addr del 203.0.113.99/32 dev lo")
            own.gw.ip("route del default dev wan0")
            own.give_address()
            wait_address(own, E)
            assert [ask(udp, (R1, 7304)), ask_tcp(tcp)] == seen
            udp.close()
            tcp.close()
        own.check()


def test_another_device_takes_the_name(lab):
    """Renamed while it is up, with its address and its routes: not the uplink
    any more, and still nothing leaks there. Then a new one has the name."""
    lab.need_portico()
    with Lab() as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7305)], tcp=[(R1, 7305)]), \
                chatter(own, 5315):
            udp, tcp = own.lan1.udp(L1, 5305), own.lan1.tcp((R1, 7305))
            seen = [ask(udp, (R1, 7305)), ask_tcp(tcp)]
            live = own.gw.run("ip", "link", "set", "wan0", "name", "old0",
                              check=False).returncode == 0
            if not live:
                own.gw.ip("link set wan0 down")
                own.gw.ip("link set wan0 name old0")
                own.gw.ip("link set old0 up")
                own.gw.ip(f"route replace default via {NEXT_HOP} dev old0")
            wait_address(own, None)
            time.sleep(0.3)
            udp.sendto(b"nobody hears this", (R1, 7305))
            quiet(udp)
            # Back under its name.
            own.gw.ip("link set old0 down")
            own.gw.ip("link set old0 name wan0")
            own.gw.ip("link set wan0 up")
            ip_batch(WAYS, own.gw.name)
            wait_address(own, E)
            assert [ask(udp, (R1, 7305), tries=5), ask_tcp(tcp)] == seen
            # Another one takes the name and the address.
            own.gw.ip("link set wan0 down")
            own.gw.ip("link set wan0 name old0")
            wait_address(own, None)
            own.gw.ip("link del old0")
            ip_batch([f"link add new0 netns {own.gw.name} address "
                      f"{MAC_WAN0} type veth peer name up0 netns "
                      f"{own.wan.name} address {MAC_UP0}"])
            ip_batch([f"addr add {NEXT_HOP}/24 dev up0", "link set up0 up"],
                     own.wan.name)
            own.gw.ip("link set new0 name wan0")
            own.gw.ip("link set wan0 up")
            own.give_address()
            wait_address(own, E)
            assert [ask(udp, (R1, 7305), tries=5), ask_tcp(tcp)] == seen
            udp.close()
            tcp.close()
        own.check()
    return "renamed while it was up" if live else "renamed while it was down"


def serves(own, port, devices):
    """Traffic over an uplink of another kind; then it is taken away and made
    again by `devices`, and all goes on."""
    with Who(own.wan, udp=[(R1, port)], tcp=[(R1, port)]), \
            chatter(own, port - 1000):
        udp, tcp = own.lan1.udp(L1, port - 2000), own.lan1.tcp((R1, port))
        seen = [ask(udp, (R1, port)), ask_tcp(tcp)]
        assert seen[0] == f"{E}:{port - 2000}", seen
        for line in devices:
            own.gw.ip(line)
        wait_address(own, E)
        assert [ask(udp, (R1, port), tries=5), ask_tcp(tcp)] == seen
        udp.close()
        tcp.close()
    assert own.portico("status")["moves"]["count"] == 0
    own.check()


def test_the_uplink_is_a_bridge(lab):
    lab.need_portico()
    with Lab(address=False) as own:
        make = [f"link add wanbr address {MAC_WAN0} type bridge",
                "link set wan0 master wanbr", "link set wanbr up",
                f"addr add {E}/24 dev wanbr", *WAYS]
        for line in make:
            own.gw.ip(line)
        own.start(uplink={"device": "wanbr"})
        serves(own, 7306, ["link del wanbr", *make])


def test_the_uplink_is_a_vlan(lab):
    """802.1Q where the kernel has it; else a device of such a name."""
    lab.need_portico()
    with Lab(address=False) as own:
        tagged = own.gw.run("ip", "link", "add", "link", "wan0", "name",
                            "wan0.7", "type", "vlan", "id", "7",
                            check=False).returncode == 0
        make = ["link set wan0.7 up", f"addr add {E}/24 dev wan0.7", *WAYS]
        if tagged:
            again = ["link add link wan0 name wan0.7 type vlan id 7", *make]
            peer = ["link add link up0 name up0.7 type vlan id 7"]
        else:
            again = make
            own.gw.ip("link set wan0 down")
            own.gw.ip("link set wan0 name wan0.7")
            peer = ["link set up0 down", "link set up0 name up0.7"]
        ip_batch([f"addr del {NEXT_HOP}/24 dev up0", *peer,
                  f"addr add {NEXT_HOP}/24 dev up0.7", "link set up0.7 up"],
                 own.wan.name)
        for line in make:
            own.gw.ip(line)
        own.start(uplink={"device": "wan0.7"})
        away = ["link del wan0.7"] if tagged else [
            f"addr del {E}/24 dev wan0.7"]
        serves(own, 7307, away + again)
    return "802.1Q" if tagged else "no 802.1Q in this kernel: by name only"


def new_lan1(own):
    own.gw.ip(f"link add lan1 type veth peer name eth0 netns {own.lan3.name}")
    ip_batch(["addr add 192.168.2.1/24 dev lan1", "link set lan1 up"],
             own.gw.name)
    ip_batch([f"addr add {L3}/24 dev eth0", "link set eth0 up",
              "route add default via 192.168.2.1"], own.lan3.name)


def test_inside_devices_are_made_anew(lab):
    lab.need_portico()
    with Lab(second=True) as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7308)]):
            udp, other = own.lan3.udp(), own.lan1.udp(L1, 5308)
            ask(udp, (R1, 7308))
            seen = ask(other, (R1, 7308))
            udp.close()
            own.gw.ip("link del lan1")
            new_lan1(own)
            udp = own.lan3.udp()
            assert ask(udp, (R1, 7308), tries=5).startswith(E + ":")
            # The bridge, too.
            ip_batch(["link del lan0", f"link add lan0 address {MAC_LAN0} type bridge",
                      "link set p1 master lan0", "link set p2 master lan0",
                      "link set lan0 up", "addr add 192.168.1.1/24 dev lan0"],
                     own.gw.name)
            assert ask(other, (R1, 7308), tries=5) == seen
            udp.close()
            other.close()
        own.check()


def test_a_daemon_begins_again_while_devices_are_away(lab):
    """It died while a link was down: the others' hosts do not wait for it."""
    lab.need_portico()
    with Lab(second=True) as own:
        own.start()
        with Who(own.wan, udp=[(R1, 7309)]), chatter(own, 5319):
            first, third = own.lan1.udp(L1, 5309), own.lan3.udp()
            seen = ask(first, (R1, 7309))
            ask(third, (R1, 7309))
            third.close()
            own.daemon.kill()
            own.gw.ip("link del lan1")
            own.daemon.start()
            warnings = own.portico("status")["warnings"]
            assert "inside device lan1 does not exist" in warnings, warnings
            assert ask(first, (R1, 7309)) == seen
            # The uplink too; all that is inside comes back before it does.
            own.daemon.kill()
            own.gw.ip("link del wan0")
            own.daemon.start(ready="answer")
            warnings = own.portico("status")["warnings"]
            assert "uplink wan0 does not exist" in warnings, warnings
            new_lan1(own)
            ip_batch([f"link add wan0 netns {own.gw.name} address {MAC_WAN0} "
                      f"type veth peer name up0 netns {own.wan.name} address "
                      f"{MAC_UP0}"])
            ip_batch([f"addr add {NEXT_HOP}/24 dev up0", "link set up0 up"],
                     own.wan.name)
            own.gw.ip("link set wan0 up")
            own.give_address()
            wait_address(own, E)
            assert ask(first, (R1, 7309), tries=5) == seen
            third = own.lan3.udp()
            assert ask(third, (R1, 7309), tries=5).startswith(E + ":")
            first.close()
            third.close()
        own.check()


def test_another_provider_takes_over(lab):
    """What leaves by his device is not ours to translate."""
    lab.need_portico()
    with Lab(second=True) as own, Who(own.wan, udp=[(R1, 7320)]):
        own.lan3.ip(f"addr add {R1}/32 dev lo")
        own.start(inside={"devices": ["lan0"]})
        with Who(own.lan3, udp=[(R1, 7320)]):
            sock = own.lan1.udp(L1, 5320)
            assert ask(sock, (R1, 7320)) == f"{E}:5320"
            for way, seen in ((L3, L1), (NEXT_HOP, E)) * 2:
                own.gw.ip(f"route replace default via {way}")
                wait_for(f"{seen} is seen", lambda: ask(
                    sock, (R1, 7320)) == f"{seen}:5320", 5)
            own.gw.ip(f"route append default via {L3} metric 9")
            own.gw.ip(f"route del default via {NEXT_HOP}")
            wait_for("the other route serves", lambda: ask(
                sock, (R1, 7320)) == f"{L1}:5320", 5)
            sock.close()
        own.check()


def test_devices_that_never_were_are_refused(lab):
    """At a first start they are typing errors: all of the inside, or the
    uplink."""
    lab.need_portico()
    with Lab() as own:
        for config, line in (
                ({"uplink": {"device": "wan9"}},
                 "uplink.device: wan9 does not exist"),
                ({"inside": {"devices": ["lan8", "lan9"]}},
                 "inside.devices: lan8, as all the others, does not exist")):
            try:
                own.start(ready="answer", **config)
                raise AssertionError(f"began with {config}")
            except AssertionError as error:
                assert line in str(error), error
        own.start(inside={"devices": ["lan0", "lan9"]})
        with Who(own.wan, udp=[(R1, 7310)]):
            sock = own.lan1.udp(L1, 5310)
            assert ask(sock, (R1, 7310)) == f"{E}:5310"
            sock.close()
        own.check()


def test_automatic_mode_waits_for_an_inside(lab):
    """At boot it may get its address after the default route is there; until
    then its hosts are not let out."""
    lab.need_portico()
    with Lab() as own:
        own.base_config = dict
        own.gw.ip(f"addr del {GW}/24 dev lan0")
        try:
            own.start(ready="answer")
            raise AssertionError("began without an inside")
        except AssertionError as error:
            assert "no inside: no device" in str(error), error
        assert own.gw.sysctl("net.ipv4.ip_forward") == "0"
        own.gw.ip(f"addr add {GW}/24 dev lan0")
        own.start()
        with Who(own.wan, udp=[(R1, 7311)]):
            sock = own.lan1.udp(L1, 5311)
            assert ask(sock, (R1, 7311)) == f"{E}:5311"
            sock.close()
        own.check()


def test_automatic_mode_tells_of_an_inside_that_came_later(lab):
    lab.need_portico()
    with Lab(second=True) as own:
        def told():
            return [line for line in own.portico("status")["warnings"]
                    if line.startswith("lan1 has a private address now")]

        own.base_config = dict
        own.gw.ip("addr del 192.168.2.1/24 dev lan1")
        own.start()
        assert not told()
        for _ in range(2):
            own.gw.ip("addr add 192.168.2.1/24 dev lan1")
            wait_for("a warning", told, 5)
            own.gw.ip("addr del 192.168.2.1/24 dev lan1")
            wait_for("no warning", lambda: not told(), 5)
        own.gw.ip("addr add 192.168.2.1/24 dev lan1")
        wait_for("a warning", told, 5)
        own.daemon.kill()
        own.daemon.start()
        assert not told()
        with Who(own.wan, udp=[(R1, 7312)]):
            sock = own.lan3.udp(L3, 5312)
            assert ask(sock, (R1, 7312)) == f"{E}:5312"
            sock.close()
        own.check()
