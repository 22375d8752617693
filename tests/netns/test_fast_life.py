# SPDX-License-Identifier: GPL-2.0-or-later
"""Stops, deaths and new starts while the kernel carries: nothing passes when
nobody answers for it, and what can go on does."""
import os
import time

import tcx
from daemon import PORTICOD
from fastlab import Stream, by_kernel, carry, fast, has_clsact, has_ours, \
    is_carried, session, start, tc
from lab import E, L1, L2, R1, R2
from netns import SLOW, wait_for
from test_fast import Pair
from test_fast_packets import sum_of
from tools import Who, ask, curl, httpd, limit, quiet

MB = 1000 * 1000
ALIVE = 3.0  # seconds that a dead daemon's sessions are carried on
DEVICES = ("wan0", "lan0")


def running(lab, port, own_port, peer=R1):
    """A Stream of L1 that is carried; the Who has to be there already."""
    sock = lab.lan1.udp(L1, own_port)
    carry(lab, sock, (peer, port))
    stream = Stream(sock, (peer, port))
    stream.wait_more()
    return stream


def nothing_passes(lab, stream, seconds=1.0):
    """Not a packet reaches the other end of the uplink any more."""
    time.sleep(0.1)
    with lab.wan.capture(f"src host {E} or src net 192.168.0.0/16",
                         "up0", sent=False) as seen:
        before = len(stream.came)
        time.sleep(seconds)
        got = seen.read()
    assert not got, got[0].hex()
    assert len(stream.came) == before, "answers still come in"


def test_an_orderly_stop_ends_it_all_at_once(lab):
    start(lab)
    lab.gw.sysctl("net.ipv4.ip_forward", 1)
    with Who(lab.wan, udp=[(R1, 7601)]), running(lab, 7601, 5601) as stream:
        for device in DEVICES:
            assert has_ours(lab, device)
            assert has_clsact(lab, device) != tcx.works()
        lab.daemon.stop()
        began = time.monotonic()
        for device in DEVICES:
            assert not has_ours(lab, device) and not has_clsact(lab, device)
        lab.gw.sysctl("net.ipv4.ip_forward", 1)
        nothing_passes(lab, stream)
        assert stream.last() < began, "answers came after the end"
        lab.check(alive=False)
        lab.daemon.start()
        assert stream.wait_more() == f"{E}:5601"
        wait_for("it is carried again",
                 lambda: is_carried(lab, f"{L1}:5601"), 3)


def test_qdiscs_of_others_stay_at_a_stop(lab):
    lab.stop()
    tc(lab, "qdisc add dev wan0 clsact")
    try:
        start(lab)
        assert has_ours(lab, "wan0") and has_ours(lab, "lan0")
        lab.stop()
        assert has_clsact(lab, "wan0") and not has_clsact(lab, "lan0")
        assert not has_ours(lab, "wan0")
    finally:
        tc(lab, "qdisc del dev wan0 clsact")


@limit(60)
def test_what_a_dead_daemon_carried_ends_soon(lab):
    """And then nothing passes at all; the guard's removal takes the program
    away, too."""
    start(lab)
    with Who(lab.wan, udp=[(R1, 7602)]), running(lab, 7602, 5602) as stream:
        lab.daemon.kill()
        killed = time.monotonic()
        stream.wait_more()
        time.sleep(ALIVE + 0.3)
        took = stream.last() - killed
        assert ALIVE - 1.3 < took < ALIVE + 0.1, f"{took:.2f} s"
        nothing_passes(lab, stream)
        lab.check(alive=False)
    assert all(has_ours(lab, device) for device in DEVICES)
    lab.remove_guard()
    assert not any(has_ours(lab, device) for device in DEVICES)
    lab.daemon = None
    return f"went on for {took:.2f} s after the kill"


def test_a_transfer_that_is_carried_ends_after_a_kill(lab):
    start(lab)
    path = os.path.join(lab.directory, "killed")
    with httpd(lab.wan, R1), lab.lan1.running(
            "curl", "-sS", "--limit-rate", "5M", "-o", path,
            f"http://{R1}/{100 * MB}") as client:
        wait_for("it is carried", lambda: fast(lab)["bytes"] > 2 * MB, 5)
        lab.daemon.kill()
        size = os.path.getsize(path)
        time.sleep(ALIVE + 0.5)
        assert os.path.getsize(path) > size + MB, "it did not go on"
        with lab.wan.capture("tcp", "up0", sent=False) as seen:
            time.sleep(1)
            got = seen.read()
        assert not got, f"{len(got)} packets still leave: {got[0].hex()}"
        # curl may still have read what had come.
        size = os.path.getsize(path)
        assert client.alive()
        # The next one finds it alive.
        lab.daemon.start()
        wait_for("more", lambda: os.path.getsize(path) > size + MB, 15)
    lab.check()


def test_a_download_survives_kills(lab):
    # Else all of it may wait in the host's buffer before the first kill.
    lab.lan1.sysctl("net.ipv4.tcp_rmem", "4096 131072 524288")
    start(lab)
    count, path = 30 * MB, os.path.join(lab.directory, "goes-on")
    with httpd(lab.wan, R1):
        url = f"http://{R1}"
        wanted = curl(lab.wan, f"{url}/sha256/{count}").stdout.strip()
        with lab.lan1.running("curl", "-sS", "--limit-rate",
                              str(round(8 * MB / SLOW)), "-o", path,
                              f"{url}/{count}") as client:
            # The second time: by the second daemon.
            for _ in range(2):
                wait_for("it is carried",
                         lambda: fast(lab)["bytes"] > 2 * MB, 8)
                assert client.alive(), "the transfer was over too early"
                lab.daemon.kill()
                time.sleep(0.3)
                lab.daemon.start()
            assert client.wait(30) == 0, client.output()
    assert sum_of(path) == wanted, "the bytes have changed"
    os.unlink(path)
    lab.check()


def test_a_connection_survives_orderly_restarts(lab):
    """One that is silent meanwhile: who sends from outside while no daemon is
    there is told by the router that it knows of no such connection."""
    start(lab)
    pair = Pair(lab, 7606)
    for _ in range(2):
        pair.exchange(20)
        time.sleep(0.2)
        lab.daemon.stop()
        lab.daemon.start()
        pair.exchange(20)
        pair.wait_state(("ESTABLISHED", True))
        carried, waited = by_kernel(lab, lambda: pair.exchange(20))
        assert carried >= 40 and not waited, (carried, waited)
    pair.close()


def test_a_daemon_without_it_takes_over(lab):
    """The dead one's program carries nothing beside the new one, which may know
    better: here that the peer is exempt. It is one of its own: what hosts still
    send for connections of other tests would not be translated either, for as
    long as this one's guard stays."""
    start(lab)
    lab.wan.ip(f"route add 192.168.1.0/24 via {E}")
    lab.allow(f"{R2}/32")
    try:
        with Who(lab.wan, udp=[(R2, 7603)]), \
                running(lab, 7603, 5603, R2) as stream:
            config = lab.daemon.config
            lab.daemon.kill()
            lab.daemon.configure({**config, "fast_path": {"enabled": False},
                                  "exempt": [f"{R2}/32"]})
            lab.daemon.start()
            assert not any(has_ours(lab, device) for device in DEVICES)
            stream.wait_more()  # some are from before
            assert stream.wait_more() == f"{L1}:5603", "still translated"
            assert fast(lab)["devices"] == 0, fast(lab)
        lab.stop()
    finally:
        lab.check()
        lab.allowed.clear()
        lab.wan.ip(f"route del 192.168.1.0/24 via {E}")


def test_a_new_daemon_s_devices_alone_have_it(lab):
    """The dead one was at a device that is not inside any more."""
    lab.gw.ip("link add dmz0 type veth peer name dmz1")
    try:
        start(lab, inside={"devices": ["lan0", "dmz0"]})
        # By tcx two a second.
        wait_for("three devices", lambda: fast(lab)["devices"] == 3, 3)
        assert has_ours(lab, "dmz0")
        lab.daemon.kill()
        lab.daemon.configure({"fast_path": {"enabled": True}})
        lab.daemon.start()
        assert not has_ours(lab, "dmz0") and fast(lab)["devices"] == 2
    finally:
        lab.stop()
        lab.gw.ip("link del dmz0")


@limit(60)
def test_no_port_is_carried_for_two(lab):
    """After a kill and a table that cannot be used another host may get the
    port of the dead daemon's session."""
    start(lab)
    with Who(lab.wan, udp=[(R1, 7604)]):
        first, second = lab.lan1.udp(L1, 5604), lab.lan2.udp(L2, 5604)
        assert carry(lab, first, (R1, 7604)) == f"{E}:5604"
        lab.daemon.kill()
        os.unlink(lab.daemon.state)
        lab.daemon.start()
        seen = ask(second, (R1, 7604))
        assert ask(first, (R1, 7604)) != seen
        assert ask(second, (R1, 7604)) == seen
        first.close()
        second.close()


def test_remove_guard_is_refused_under_a_daemon(lab):
    start(lab)
    done = lab.gw.run(PORTICOD, "--remove-guard", check=False)
    assert done.returncode == 1
    assert all(has_ours(lab, device) for device in DEVICES)


def test_a_flushed_host_is_not_carried_by_a_dead_daemon_s_table(lab):
    start(lab)
    with Who(lab.wan, udp=[(R1, 7605)]) as who:
        sock = lab.lan1.udp(L1, 5605)
        carry(lab, sock, (R1, 7605))
        lab.daemon.kill()
        lab.daemon.start()
        assert session(lab, f"{L1}:5605"), "it was not restored"
        lab.daemon.run("flush", "--host", L1)
        who.sockets[0].sendto(b"late", (E, 5605))
        quiet(sock)
        carried, _ = by_kernel(lab, lambda: carry(lab, sock, (R1, 7605)))
        assert carried, "it is not carried any more"
        sock.close()


