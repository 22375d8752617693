# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path beside others' filters, at its limits, where it cannot be had,
and in the sandbox."""
import os
import shutil
import socket
import time

import tcx
from counter import Counter
from daemon import PORTICOD
from fastlab import WITHOUT_TCX, by_kernel, carry, conversation, fast, \
    filters, has_clsact, has_filter, has_ours, is_carried, speak, start, tc
from lab import E, L1, R1, Skip
from netns import ip_batch, wait_for
from test_sandbox import NET_ADMIN, check_capabilities, check_common, \
    open_files, status, what_the_manual_names
from tools import Who, ask, ask_tcp, limit

AGAIN_S = 6  # what is not as it should is tried every five seconds
INSIDE_MAX = 32


# --- others -----------------------------------------------------------------

@limit(60)
def test_filters_of_others_come_first_and_stay(lab):
    lab.stop()
    devices = ("wan0", "lan0")
    others = [Counter(lab.gw, device) for device in devices]
    try:
        start(lab)
        assert all(has_ours(lab, device) for device in devices)
        with conversation(lab, 5801) as (sock, peer):
            before = [other.count() for other in others]
            carried, waited = by_kernel(lab, lambda: speak(sock, peer,
                                                           times=50))
            assert (carried, waited) == (100, 0), (carried, waited)
            after = [other.count() for other in others]
            assert all(new - old >= 50 for new, old in zip(after, before)), (
                before, after)
        lab.stop()
        for device, other in zip(devices, others):
            assert [f[1] for f in filters(lab, device)] == [other.NAME]
            assert has_clsact(lab, device)
    finally:
        for other in others:
            other.close()


@limit(60)
def test_what_is_redirected_before_is_not_carried(lab):
    """A shaper of what comes in, by an ingress qdisc that was there first."""
    lab.stop()
    made = lab.gw.run("sh", "-ec", """
        ip link add ifb0 type ifb
        ip link set ifb0 up
        tc qdisc add dev wan0 handle ffff: ingress
        tc filter add dev wan0 parent ffff: protocol all prio 10 \\
            u32 match u32 0 0 action mirred egress redirect dev ifb0""",
        check=False)
    try:
        if made.returncode:
            raise Skip("no ifb, u32 or mirred: " + made.stderr.strip())
        start(lab)
        with conversation(lab, 5805) as (sock, peer):
            carried, waited = by_kernel(lab, lambda: speak(sock, peer,
                                                           times=20))
            assert (carried, waited) == (20, 20), (carried, waited)
    finally:
        lab.stop()
        lab.gw.run("tc", "qdisc", "del", "dev", "wan0", "ingress",
                   check=False)
        lab.gw.run("ip", "link", "del", "ifb0", check=False)


@limit(60)
def test_a_qdisc_that_is_removed_comes_again(lab):
    """Until then the queue does it all."""
    start(lab, wrap=WITHOUT_TCX)
    with conversation(lab, 5802) as (sock, peer):
        for device in ("wan0", "lan0"):
            tc(lab, f"qdisc del dev {device} clsact")
        gone = time.monotonic()
        while not all(has_ours(lab, device) for device in ("wan0", "lan0")):
            assert time.monotonic() - gone < AGAIN_S, "it stays away"
            speak(sock, peer)
            time.sleep(0.02)
        carried, waited = by_kernel(lab, lambda: speak(sock, peer, times=20))
        assert (carried, waited) == (40, 0), (carried, waited)


@limit(60)
def test_nothing_is_carried_past_ipsec_policies(lab):
    """They come while a session is carried, and go."""
    start(lab)
    policy = "src 10.9.0.0/24 dst 10.8.0.0/24 dir out"
    with conversation(lab, 5804) as (sock, peer):
        done = lab.gw.run("sh", "-c", f"ip xfrm policy add {policy} action "
                          "block", check=False)
        if done.returncode:
            raise Skip("this kernel has no IPsec: " + done.stderr.strip())
        try:
            time.sleep(1.5)  # it is looked for every second
            carried, waited = by_kernel(lab, lambda: speak(sock, peer,
                                                           times=20))
            assert (carried, waited) == (0, 40), (carried, waited)
            wait_for("the status tells of it", lambda: any(
                "IPsec policies" in warning for warning in
                lab.portico("status")["warnings"]), AGAIN_S + 2)
        finally:
            lab.gw.run("sh", "-c", f"ip xfrm policy delete {policy}")
        wait_for("sessions are carried again", lambda: by_kernel(
            lab, lambda: speak(sock, peer, times=20))[0] == 40, AGAIN_S + 2)
        assert not lab.portico("status")["warnings"]


def test_nothing_is_carried_where_ipsec_is_the_default(lab):
    """`ip xfrm policy setdefault ... block`: without a policy nothing passes."""
    start(lab)
    with conversation(lab, 5803) as (sock, peer):
        done = lab.gw.run("ip", "xfrm", "policy", "setdefault", "fwd",
                          "block", check=False)
        if done.returncode:
            raise Skip("no default policy here: " + done.stderr.strip())
        try:
            time.sleep(1.5)
            sock.settimeout(0.5)
            sock.sendto(b"in clear", peer)
            try:
                raise AssertionError(f"{sock.recv(100)} came")
            except socket.timeout:
                pass
            wait_for("the status tells of it", lambda: any(
                "IPsec policies" in warning for warning in
                lab.portico("status")["warnings"]), AGAIN_S + 2)
        finally:
            lab.gw.ip("xfrm policy setdefault fwd accept")
        wait_for("sessions are carried again", lambda: by_kernel(
            lab, lambda: speak(sock, peer, times=20))[0] == 40, AGAIN_S + 2)


def test_a_place_that_is_taken_is_told(lab):
    """Another's filter is where ours would be: it stays, the queue serves."""
    lab.stop()
    other = Counter(lab.gw, "lan0", preference=0xbf00)
    try:
        lab.start(fresh=True, fast_path={"enabled": True, "after": 2})
        said = lab.portico("status")["warnings"]
        assert any("no fast path at lan0: another filter has our place" in line
                   for line in said), said
        with Who(lab.wan, udp=[(R1, 7803)]):
            sock = lab.lan1.udp(L1, 5803)
            speak(sock, (R1, 7803), times=20)
            sock.close()
        assert fast(lab)["packets"] == 0 and fast(lab)["devices"] == 1
        assert [f[1] for f in filters(lab, "lan0")] == [other.NAME]
        other.close()
        wait_for("it takes the place", lambda: has_ours(lab, "lan0"), AGAIN_S)
        wait_for("no warning", lambda: not any(
            "fast" in line for line in lab.portico("status")["warnings"]), 3)
    finally:
        other.close()


# --- limits -----------------------------------------------------------------

def test_more_connections_than_room(lab):
    start(lab, fast_path={"sessions": 4})
    with Who(lab.wan, tcp=[(R1, 7804)], udp=[(R1, 7804)]):
        held = [lab.lan1.tcp((R1, 7804)) for _ in range(20)]
        for _ in range(10):
            for sock in held:
                assert ask_tcp(sock).startswith(E + ":")
        state = fast(lab)
        assert state["sessions"] == {"used": 4, "limit": 4}, state
        assert state["no_room"] >= 16, state
        carried = [s for s in lab.portico("sessions")["sessions"]
                   if s["carried"]]
        assert len(carried) == 4, carried
        for sock in held:
            sock.close()
        # Slots rest, and are others' then.
        time.sleep(1.2)
        sock = lab.lan1.udp(L1, 5804)
        carry(lab, sock, (R1, 7804))
        sock.close()


def test_more_inside_devices_than_are_looked_at(lab):
    names = [f"more{i}" for i in range(INSIDE_MAX + 2)]
    lines = [f"link add {name} type veth peer name {name}x" for name in names]
    # With nothing else to be warned of.
    for number, name in enumerate(names):
        lines += [f"addr add 192.168.{100 + number}.1/24 dev {name}",
                  f"link set {name} up", f"link set {name}x up"]
    ip_batch(lines, lab.gw.name)
    try:
        lab.start(fresh=True, inside={"devices": ["lan0"] + names},
                  fast_path={"enabled": True, "after": 2})
        said = [line for line in lab.portico("status")["warnings"]
                if line.startswith("fast_path: ")]
        assert len(said) == 1 and "too many inside devices" in said[0], said
        assert said[0].split(": ", 1)[1] in lab.daemon.log(), said
        # By tcx two a second, so that packets are not kept waiting.
        assert not tcx.works() or fast(lab)["devices"] < INSIDE_MAX / 2
        wait_for("all devices", lambda: fast(lab)["devices"]
                 == INSIDE_MAX + 1, 30)
        with conversation(lab, 5805) as (sock, peer):
            speak(sock, peer, times=10)
    finally:
        lab.stop()
        ip_batch([f"link del {name}" for name in names], lab.gw.name)


# --- where it cannot be had --------------------------------------------------

def serves_without(lab, why, **options):
    """The queue does it all, and log and status say why."""
    lab.need_portico()
    lab.start(fresh=True, fast_path={"enabled": True, "after": 2}, **options)
    said = [line for line in lab.portico("status")["warnings"]
            if line.startswith("fast_path: ")]
    assert len(said) == 1 and why in said[0], (said, lab.daemon.log())
    assert said[0].endswith(": those packets take the queue"), said
    assert "fast_path: " in lab.daemon.log() and why in lab.daemon.log()
    with Who(lab.wan, udp=[(R1, 7806)], tcp=[(R1, 7806)]):
        sock, tcp = lab.lan1.udp(L1, 5806), lab.lan1.tcp((R1, 7806))
        for _ in range(5):
            assert ask(sock, (R1, 7806)) == f"{E}:5806"
            ask_tcp(tcp)
        sock.close()
        tcp.close()
    now = fast(lab)
    assert not now["handed_over"] and not now["devices"], now
    assert not has_ours(lab, "wan0") and not has_clsact(lab, "wan0")
    daemon, lab.daemon = lab.daemon, None
    assert daemon.stop() == 0, daemon.log()


def test_the_loader_is_missing(lab):
    alone = os.path.join(lab.directory, "alone")
    os.makedirs(alone, exist_ok=True)
    shutil.copy(PORTICOD, alone)
    serves_without(lab, "portico-bpf", wrap=[
        "sh", "-c", f"shift; exec {alone}/porticod \"$@\"", "sh"])


def test_the_right_is_missing(lab):
    serves_without(lab, "the kernel refuses the program", wrap=[
        "setpriv", "--bounding-set", "-bpf,-sys_admin", "--inh-caps",
        "-bpf,-sys_admin"])


def test_the_loader_s_answers_are_not_believed(lab):
    """Programs that are not ours in its place: one that fails, one that talks,
    one that does not answer at all."""
    place = os.path.join(lab.directory, "place")
    os.makedirs(place, exist_ok=True)
    shutil.copy(PORTICOD, place)
    for script in ("exit 1", "echo something >&0", "exec sleep 60"):
        with open(os.path.join(place, "portico-bpf"), "w") as file:
            file.write(f"#!/bin/sh\n{script}\n")
        os.chmod(file.name, 0o755)
        serves_without(lab, "portico-bpf", wrap=[
            "sh", "-c", f"shift; exec {place}/porticod \"$@\"", "sh"])


# --- the sandbox -------------------------------------------------------------

def test_the_sandbox_is_as_strict_as_without(lab):
    lab.need_sandbox()
    start(lab, sandbox="require")
    pid = lab.daemon.process.pid
    found = status(pid)
    assert "0" not in found["Uid"].split() + found["Gid"].split(), found
    check_capabilities(found, NET_ADMIN, 0)
    check_common(found, pid)
    assert os.listdir(f"/proc/{pid}/root") == []
    # Of the fast path the programs alone are kept, for devices to come.
    files = open_files(pid)
    assert sum("bpf-prog" in name for name in files) == 4, files
    assert not any("bpf-map" in name for name in files), files
    with conversation(lab, 5807) as (sock, peer):
        carried, _ = by_kernel(lab, lambda: speak(sock, peer, times=10))
        assert carried == 20
        # It is moved, with tcx, or else made again.
        tc(lab, "qdisc add dev wan0 clsact", check=tcx.works())
        wait_for("the filter", lambda: has_filter(lab, "wan0"), AGAIN_S)
        tc(lab, "qdisc del dev wan0 clsact")
        wait_for("the program", lambda: has_ours(lab, "wan0"), AGAIN_S)
    lab.daemon.run("reload")


def test_what_the_manual_names_is_enough_for_it(lab):
    lab.need_sandbox()
    start(lab, wrap=what_the_manual_names(), sandbox="require")
    with conversation(lab, 5808) as (sock, peer):
        speak(sock, peer, times=10)
        assert is_carried(lab, f"{L1}:5808")
    daemon, lab.daemon = lab.daemon, None
    assert daemon.stop() == 0, daemon.log()
    assert not has_ours(lab, "wan0")
