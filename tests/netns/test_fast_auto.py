# SPDX-License-Identifier: GPL-2.0-or-later
"""The fast path without being asked for ("auto"): sessions are carried while
that passes by no rule of another packet filter, and at once no longer when
somebody makes one."""
import contextlib
import os
import shutil
import socket
import time

from daemon import PORTICOD
from fastlab import (by_kernel, carry, conversation, fast, filters, has_ours,
                     is_carried, speak, start)
from lab import E, L1, R1
from netns import SLOW, wait_for
from tools import Who, limit

# The doctor's look, and devices that are followed after it.
LOOK_S = 5 * SLOW
# Until changed rules of the legacy tables are seen: every 2 s.
LEGACY_S = 4 * SLOW
CHAIN = ("table ip others { chain forward { type filter hook forward "
         "priority 10; policy accept; %s; }; }")


def begin(lab, **options):
    """The way a daemon starts that nobody has told anything."""
    start(lab, fast_path={"enabled": "auto"}, **options)
    wait_in_use(lab)


def wait_in_use(lab):
    wait_for("the fast path", lambda: fast(lab)["reason"] == "", LOOK_S)
    assert fast(lab)["devices"] == 2, fast(lab)


def wait_not_in_use(lab, why):
    wait_for("no fast path", lambda: why in fast(lab)["reason"]
             and fast(lab)["devices"] == 0, LOOK_S + LEGACY_S)
    assert not has_ours(lab, "wan0"), filters(lab, "wan0")
    # Nobody asked for it, so there is nothing to warn of.
    assert not [w for w in lab.portico("status")["warnings"]
                if w.startswith("fast_path")]


def answered(sock, peer, seconds=0.5):
    """Whether a datagram still comes back."""
    sock.settimeout(seconds)
    sock.sendto(b"still there?", peer)
    with contextlib.suppress(socket.timeout):
        return bool(sock.recv(1000))
    return False


@contextlib.contextmanager
def rule(lab, *words):
    """An iptables rule as long as it is wanted: (program, table, chain,
    rest...)."""
    program, table, *rest = words
    lab.gw.run(program, "-t", table, "-A", *rest)
    try:
        yield
    finally:
        lab.gw.run(program, "-t", table, "-D", *rest)


@contextlib.contextmanager
def table(lab, rules):
    lab.gw.run("nft", CHAIN % rules)
    try:
        yield
    finally:
        lab.gw.run("nft", "delete table ip others")


def test_sessions_are_carried_where_no_rule_is_passed_by(lab):
    begin(lab)
    with conversation(lab, 5901) as (sock, peer):
        carried, waited = by_kernel(lab, lambda: speak(sock, peer, times=50))
        assert (carried, waited) == (100, 0), (carried, waited)


def test_rules_that_let_by_are_no_hindrance(lab):
    """Accept rules, and those of other devices, other marks and connections
    that conntrack knows."""
    with table(lab, "ct state invalid drop; iifname docker0 drop; "
                    "meta mark 0x7 drop; ip daddr 10.9.9.9 accept; "
                    "tcp flags syn tcp option maxseg size set rt mtu; "
                    "counter accept"):
        begin(lab)
        with conversation(lab, 5902) as (sock, peer):
            carried, waited = by_kernel(lab,
                                        lambda: speak(sock, peer, times=50))
            assert (carried, waited) == (100, 0), (carried, waited)


def test_a_rule_that_is_made_later_counts_at_once(lab):
    """Not a packet of a host goes on that somebody has just forbidden it."""
    begin(lab)
    with conversation(lab, 5903) as (sock, peer):
        with table(lab, f"ip saddr {L1} drop"):
            assert not answered(sock, peer), fast(lab)
            wait_not_in_use(lab, 'chain "forward" of table "ip others"')
            assert not answered(sock, peer), fast(lab)
        wait_in_use(lab)
        carry(lab, sock, peer)
        carried, waited = by_kernel(lab, lambda: speak(sock, peer, times=10))
        assert (carried, waited) == (20, 0), (carried, waited)


@limit(60)
def test_iptables_rules_count_too(lab):
    for port, program, chain in (
            (5904, "iptables-nft", ("filter", "FORWARD")),
            (5905, "iptables-legacy", ("filter", "FORWARD")),
            (5906, "iptables-legacy", ("mangle", "FORWARD"))):
        if not shutil.which(program):
            continue
        # A table that is there is looked at; what makes it takes a minute
        # to be seen.
        lab.gw.run(program, "-t", chain[0], "-L", "-n")
        begin(lab)
        with conversation(lab, port) as (sock, peer):
            with rule(lab, program, *chain, "-s", L1, "-j", "DROP"):
                wait_not_in_use(
                    lab, f'chain "{chain[1]}" of table "ip {chain[0]}"')
                assert not answered(sock, peer), fast(lab)
            wait_for("answers", lambda: answered(sock, peer), LEGACY_S)


def test_legacy_tables_that_were_there_are_looked_at_once(lab):
    if not shutil.which("iptables-legacy"):
        return
    lab.gw.run("iptables-legacy", "-L", "-n")
    begin(lab)
    until = time.monotonic() + LEGACY_S
    while time.monotonic() < until:
        assert fast(lab)["reason"] == "", fast(lab)
        time.sleep(0.1)


def test_a_policy_counts(lab):
    begin(lab)
    with conversation(lab, 5907) as (sock, peer), table(lab, "accept"):
        wait_in_use(lab)
        lab.gw.run("nft", "flush chain ip others forward; "
                   "add chain ip others forward { policy drop; }")
        assert not answered(sock, peer), fast(lab)
        wait_not_in_use(lab, 'chain "forward" of table "ip others"')


def test_rules_that_count_or_mark_see_every_packet(lab):
    with table(lab, f"ip saddr {L1} udp dport 7908 counter"):
        start(lab, fast_path={"enabled": "auto"})
        wait_not_in_use(lab, 'table "ip others"')
        with Who(lab.wan, udp=[(R1, 7908)]):
            sock = lab.lan1.udp(L1, 5908)
            speak(sock, (R1, 7908), times=60)
            assert not is_carried(lab, f"{L1}:5908")
            sock.close()
        text = lab.gw.run("nft", "list table ip others").stdout
        assert "counter packets 60 " in text, text


def test_it_is_in_use_past_all_rules_only_when_told(lab):
    with table(lab, f"ip saddr {L1} udp dport 7909 counter"):
        start(lab, fast_path={"enabled": "on"})
        with conversation(lab, 5909) as (sock, peer):
            carried, waited = by_kernel(lab,
                                        lambda: speak(sock, peer, times=50))
            assert (carried, waited) == (100, 0), (carried, waited)
            assert fast(lab)["reason"] == "", fast(lab)


def test_the_doctor_says_why_it_is_not_in_use(lab):
    with table(lab, f"ip saddr {L1} counter"):
        start(lab, fast_path={"enabled": "auto"})
        said = lab.daemon.run("doctor", check=False).stdout
        assert 'no fast path, all packets take the queue: ' in said, said
        assert 'chain "forward" of table "ip others"' in said, said
    said = lab.daemon.run("doctor", check=False).stdout
    assert "no fast path" not in said, said


def test_without_a_loader_nobody_is_warned(lab):
    lab.need_portico()
    alone = os.path.join(lab.directory, "auto")
    os.makedirs(alone, exist_ok=True)
    shutil.copy(PORTICOD, alone)
    lab.start(fresh=True, fast_path={"enabled": "auto", "after": 2}, wrap=[
        "sh", "-c", f"shift; exec {alone}/porticod \"$@\"", "sh"])
    status = lab.portico("status")
    assert not [w for w in status["warnings"] if "fast_path" in w], status
    assert "portico-bpf" in status["fast_path"]["reason"], status
    with Who(lab.wan, udp=[(R1, 7910)]):
        sock = lab.lan1.udp(L1, 5910)
        assert speak(sock, (R1, 7910), times=20) == f"{E}:5910"
        sock.close()
