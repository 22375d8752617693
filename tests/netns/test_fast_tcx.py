# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path's program by tcx, where no qdisc is at a device; where somebody
makes one it is a filter of that, and their filters come first."""
import socket
import time

import tcx
from counter import Counter
from fastlab import WITHOUT_TCX, by_kernel, conversation, fast, has_clsact, \
    has_filter, has_ours, has_tcx, speak, start, tc
from lab import L1, R1, Skip
from netns import wait_for
from test_fast_devices import Devices
from tools import limit

SOON_S = 3  # changes of qdiscs are looked at once a second
DEVICES = ("wan0", "lan0")
RTMGRP_TC = 8


def need_tcx():
    if not tcx.works():
        raise Skip("the kernel has no tcx (Linux 6.6)")


def check_way(lab, device, by_tcx):
    wait_for(f"{device} {'by tcx' if by_tcx else 'by a filter'}",
             lambda: (has_tcx(lab, device), has_filter(lab, device))
             == (by_tcx, not by_tcx), SOON_S)


def check_all_carried(lab, sock, peer):
    carried, waited = by_kernel(lab, lambda: speak(sock, peer, times=20))
    assert (carried, waited) == (40, 0), (carried, waited)


# --- at devices ---------------------------------------------------------------

class Tcx(Devices):
    """A daemon that uses it."""

    def __init__(self, lab):
        need_tcx()
        super().__init__(lab, "tcx")

    def there(self, name):
        assert self.qdiscs(name) == [], name
        return tcx.ids(self.space, name)


def test_made_and_removed(lab):
    with Tcx(lab) as devices:
        inside, inside_bare, uplink, _ = devices.ids
        assert devices.set("fast0", "fast1", "fast3") == (3, 0, "")
        assert devices.there("fast0") == [uplink]
        assert devices.there("fast1") == [inside]
        assert devices.there("fast3") == [inside_bare]
        # Again: nothing changes. One is no longer inside.
        assert devices.set("fast0", "fast1", "fast3") == (3, 0, "")
        assert devices.there("fast0") == [uplink]
        assert devices.set("fast0", "fast1") == (2, 0, "")
        assert devices.there("fast3") == []
        # They change their parts.
        assert devices.set("fast1", "fast0") == (2, 0, "")
        assert devices.there("fast1") == [uplink]
        assert devices.there("fast0") == [inside]
        assert devices.ask("close") == "closed"
        assert devices.there("fast0") == devices.there("fast1") == []


def test_it_works_in_the_sandbox(lab):
    with Tcx(lab) as devices:
        if devices.ask("jail") != "0":
            raise Skip("no list of system calls here")
        assert devices.set("fast0", "fast1") == (2, 0, "")
        assert devices.set("fast1", "fast2") == (2, 0, "")
        assert devices.there("fast1") == [devices.ids[2]]
        devices.tc("qdisc add dev fast2 clsact")
        assert devices.set("fast1", "fast2") == (2, 0, "")
        assert devices.filters("fast2") == [devices.ours(False)]
        assert devices.ask("close") == "closed"
        assert devices.there("fast1") == tcx.ids(lab.gw, "fast2") == []


def test_others_come_first_and_stay(lab):
    """Also where we change parts: our place stays the same."""
    with Tcx(lab) as devices:
        other = Counter(lab.gw, "fast2")
        theirs = other.fds[1]
        try:
            tcx.attach(lab.gw, "fast0", theirs)
            first, = devices.there("fast0")
            assert devices.set("fast0", "fast1") == (2, 0, "")
            assert devices.there("fast0") == [first, devices.ids[2]]
            tcx.attach(lab.gw, "fast1", theirs)
            assert devices.set("fast1", "fast0") == (2, 0, "")
            assert devices.there("fast0") == [first, devices.ids[0]]
            assert devices.there("fast1") == [devices.ids[2], first]
            assert devices.ask("remove") == "0"
            assert devices.there("fast0") == devices.there("fast1") == [first]
        finally:
            other.close()


def test_what_a_killed_daemon_left_is_removed(lab):
    with Tcx(lab) as devices:
        assert devices.set("fast0", "fast1", "fast3") == (3, 0, "")
        devices.ask("leave")
        assert devices.ask("remove") == "0"
        for name in ("fast0", "fast1", "fast3"):
            assert devices.there(name) == [], name


def test_what_somebody_took_away_comes_again(lab):
    with Tcx(lab) as devices:
        assert devices.set("fast0", "fast1") == (2, 0, "")
        tcx.detach(lab.gw, "fast0", devices.ids[2])
        assert devices.there("fast0") == []
        assert devices.set("fast0", "fast1") == (2, 0, "")
        assert devices.there("fast0") == [devices.ids[2]]


def test_a_qdisc_comes_and_goes(lab):
    with Tcx(lab) as devices:
        for kind in ("clsact", "ingress"):
            assert devices.set("fast0", "fast1") == (2, 0, "")
            devices.tc(f"qdisc add dev fast0 {kind}")
            assert devices.set("fast0", "fast1") == (2, 0, "")
            assert devices.filters("fast0") == [devices.ours(True)]
            assert tcx.ids(lab.gw, "fast0") == []
            # They change their parts meanwhile.
            assert devices.set("fast1", "fast0") == (2, 0, "")
            assert devices.filters("fast0") == [devices.ours(False)]
            devices.tc(f"qdisc del dev fast0 {kind}")
            assert devices.set("fast1", "fast0") == (2, 0, "")
            assert devices.there("fast0") == [devices.ids[0]]


def test_their_filter_in_our_place(lab):
    """Nowhere, then: by tcx we would come before it."""
    with Tcx(lab) as devices:
        assert devices.set("fast0", "fast1") == (2, 0, "")
        devices.tc("qdisc add dev fast0 clsact")
        devices.add_other("fast0", preference=0xbf00)
        before = devices.filters("fast0")
        count, err, text = devices.set("fast0", "fast1")
        assert (count, err) == (1, -17) and "another filter" in text, text
        assert tcx.ids(lab.gw, "fast0") == []
        assert devices.filters("fast0") == before


def test_a_device_that_is_gone(lab):
    with Tcx(lab) as devices:
        assert devices.set("fast0", "fast1") == (2, 0, "")
        index = devices.index("fast1")
        lab.gw.ip("link del fast1")
        count, err, text = devices.set("fast0", index, "fast2")
        assert (count, err) == (2, -19) and str(index) in text, text
        assert devices.set("fast0", "fast2") == (2, 0, "")
        assert devices.there("fast2") == [devices.ids[0]]


def test_looking_tells_nobody(lab):
    """Else a daemon would hear of its own look, and look again, once a second;
    so would everybody who listens."""
    with Tcx(lab) as devices:
        devices.tc("qdisc add dev fast0 clsact")
        assert devices.set("fast0", "fast1") == (2, 0, "")
        with lab.gw.entered(), socket.socket(socket.AF_NETLINK,
                                             socket.SOCK_RAW, 0) as ear:
            ear.bind((0, RTMGRP_TC))
            ear.settimeout(0.3)
            assert devices.set("fast0", "fast1") == (2, 0, "")
            try:
                raise AssertionError(ear.recv(4096).hex())
            except TimeoutError:
                pass


def test_a_device_that_was_elsewhere(lab):
    """It comes back from another network namespace with what it had."""
    with Tcx(lab) as devices:
        inside, _, uplink, _ = devices.ids
        for back in (("fast0", "fast1"), ("fast1", "fast0")):
            assert devices.set("fast0", "fast1") == (2, 0, "")
            lab.gw.ip(f"link set fast1 netns {lab.wan.name}")
            assert devices.set("fast0") == (1, 0, "")
            lab.wan.ip(f"link set fast1 netns {lab.gw.name}")
            assert devices.set(*back) == (2, 0, "")
            assert devices.there(back[0]) == [uplink], back
            assert devices.there(back[1]) == [inside], back
        # Somebody has a qdisc there now.
        lab.gw.ip(f"link set fast0 netns {lab.wan.name}")
        assert devices.set("fast1") == (1, 0, "")
        lab.wan.ip(f"link set fast0 netns {lab.gw.name}")
        devices.tc("qdisc add dev fast0 clsact")
        assert devices.set("fast1", "fast0") == (2, 0, "")
        assert devices.filters("fast0") == [devices.ours(False)]
        assert tcx.ids(lab.gw, "fast0") == []


# --- a daemon -----------------------------------------------------------------

@limit(60)
def test_sessions_stay_carried_while_a_qdisc_comes_and_goes(lab):
    need_tcx()
    start(lab)
    for device in DEVICES:
        check_way(lab, device, True)
        assert not has_clsact(lab, device)
    with conversation(lab, 5811) as (sock, peer):
        check_all_carried(lab, sock, peer)
        before = fast(lab)["handed_over"]
        for device in DEVICES:
            tc(lab, f"qdisc add dev {device} clsact")
            check_way(lab, device, False)
        check_all_carried(lab, sock, peer)
        for device in DEVICES:
            tc(lab, f"qdisc del dev {device} clsact")
            check_way(lab, device, True)
        check_all_carried(lab, sock, peer)
        assert fast(lab)["handed_over"] == before, fast(lab)


@limit(60)
def test_a_shaper_that_comes_later_is_let_in(lab):
    """As sqm makes one: an ingress qdisc whose filter redirects all that comes
    in."""
    need_tcx()
    start(lab)
    try:
        with conversation(lab, 5812) as (sock, peer):
            check_all_carried(lab, sock, peer)
            made = lab.gw.run("sh", "-ec", """
                ip link add ifb0 type ifb
                ip link set ifb0 up
                tc qdisc add dev wan0 handle ffff: ingress
                tc filter add dev wan0 parent ffff: protocol all prio 10 \\
                    u32 match u32 0 0 action mirred egress redirect dev ifb0
                """, check=False)
            if made.returncode:
                raise Skip("no ifb, u32 or mirred: " + made.stderr.strip())
            check_way(lab, "wan0", False)
            carried, waited = by_kernel(lab, lambda: speak(sock, peer,
                                                           times=20))
            # What comes in was redirected, and what goes out is not shaped.
            assert (carried, waited) == (20, 20), (carried, waited)
            tc(lab, "qdisc del dev wan0 ingress")
            check_way(lab, "wan0", True)
            check_all_carried(lab, sock, peer)
    finally:
        tc(lab, "qdisc del dev wan0 ingress", check=False)
        lab.gw.ip("link del ifb0", check=False)


@limit(60)
def test_who_could_not_find_them_again_makes_filters(lab):
    """Without CAP_SYS_ADMIN, as under the unit of systemd."""
    need_tcx()
    start(lab, wrap=WITHOUT_TCX)
    for device in DEVICES:
        check_way(lab, device, False)
        assert has_clsact(lab, device)
    with conversation(lab, 5813) as (sock, peer):
        check_all_carried(lab, sock, peer)
        lab.daemon.kill()
    start(lab)
    try:
        # Its qdiscs stay: they may be anybody's.
        for device in DEVICES:
            check_way(lab, device, False)
        with conversation(lab, 5813) as (sock, peer):
            check_all_carried(lab, sock, peer)
    finally:
        for device in DEVICES:
            tc(lab, f"qdisc del dev {device} clsact")
    for device in DEVICES:
        check_way(lab, device, True)


@limit(60)
def test_what_is_left_by_a_kill(lab):
    """The program stays until somebody starts, or takes the guard away."""
    need_tcx()
    start(lab)
    with conversation(lab, 5814) as (sock, peer):
        check_all_carried(lab, sock, peer)
        ids = [tcx.ids(lab.gw, device) for device in DEVICES]
        lab.daemon.kill()
        assert [tcx.ids(lab.gw, device) for device in DEVICES] == ids
        time.sleep(0.2)
        lab.daemon.start()
        now = [tcx.ids(lab.gw, device) for device in DEVICES]
        assert all(len(there) == 1 for there in now) and now != ids, (ids, now)
        wait_for("it is carried again", lambda: by_kernel(
            lab, lambda: speak(sock, peer, times=20))[0] == 40, 10)
    lab.daemon.kill()
    lab.remove_guard()
    assert not any(has_ours(lab, device) for device in DEVICES)
    lab.daemon = None
