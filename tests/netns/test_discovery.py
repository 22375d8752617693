# SPDX-License-Identifier: GPL-2.0-or-later
"""What an RFC 5780 client (coturn's) finds out about the gateway."""
import contextlib

from lab import E, L1, L2, R1, R2
from netns import SLOW
from tools import Who, ask, limit, quiet

ENDPOINT_INDEPENDENT = "Endpoint Independent"
NOTHING = "STUN receive timeout"


@contextlib.contextmanager
def stun_server(lab):
    """coturn on two addresses and two ports, as RFC 5780 wants it."""
    with lab.wan.running(
            "turnserver", "-n", "--no-cli", "-z", "-L", R1, "-L", R2,
            "--no-tls", "--no-dtls", "--log-file", "stdout",
            "--userdb", f"{lab.directory}/turn.db",
            "--pidfile", f"{lab.directory}/turn.pid"):
        for number in (3478, 3479):
            lab.wan.wait_listener(number, "u")
        yield


def discover(space, what, wanted, *more):
    """The client sends nothing twice, so one lost packet makes it err: it
    may try three times."""
    said = ""
    for _ in range(3):
        said = space.run("turnutils_natdiscovery", what, *more, R1,
                         timeout=30).stdout
        if wanted in said:
            break
    assert wanted in said, said
    assert "No ALG" in said and E + ":" in said, said
    return said


def mapping_and_hairpin(space, *more):
    discover(space, "-m", "NAT with Endpoint Independent Mapping!", *more)
    discover(space, "-H", "maybe a successful hairpinning", *more)


@limit(120)
def test_the_default_is_endpoint_independent_in_mapping_and_filtering(lab):
    lab.need_portico()
    lab.start()
    with stun_server(lab):
        for space in (lab.lan1, lab.lan2):
            mapping_and_hairpin(space)
            discover(space, "-f",
                     "NAT with Endpoint Independent Filtering!")


@limit(120)
def test_two_hosts_on_one_port_are_both_endpoint_independent(lab):
    lab.need_portico()
    lab.start()
    with stun_server(lab):
        for space, own in ((lab.lan1, L1), (lab.lan2, L2)):
            local = ("-L", own, "-l", "40500")
            discover(space, "-m", "NAT with Endpoint Independent Mapping!",
                     *local)
            discover(space, "-f",
                     "NAT with Endpoint Independent Filtering!", *local)


@limit(120)
def test_address_dependent_filtering_is_seen(lab):
    lab.need_portico()
    lab.start(filtering={"udp": "address-dependent"})
    with stun_server(lab):
        discover(lab.lan1, "-f", "NAT with Address Dependent Filtering!")
        discover(lab.lan1, "-m", "NAT with Endpoint Independent Mapping!")


@limit(120)
def test_address_and_port_dependent_filtering_is_seen(lab):
    lab.need_portico()
    lab.start(filtering={"udp": "address-and-port-dependent"})
    with stun_server(lab):
        discover(lab.lan1, "-f",
                 "NAT with Address and Port Dependent Filtering!")
        discover(lab.lan1, "-m", "NAT with Endpoint Independent Mapping!")


@limit(60)
def test_padding_of_1500_bytes_crosses(lab):
    lab.need_portico()
    lab.start()
    with stun_server(lab):
        discover(lab.lan1, "-m", "NAT with Endpoint Independent Mapping!",
                 "-P")


def test_filtering_admits_exactly_who_it_should(lab):
    lab.need_portico()
    cases = {"endpoint-independent": (True, True, True),
             "address-dependent": (True, True, False),
             "address-and-port-dependent": (True, False, False)}
    for kind, admitted in cases.items():
        lab.start(filtering={"udp": kind}, fresh=True)
        with Who(lab.wan, udp=[(R1, 7080)]) as who:
            sock = lab.lan1.udp(L1, 5080)
            seen = ask(sock, (R1, 7080))
            outside = (E, int(seen.split(":")[1]))
            others = [lab.wan.udp(R1, 7081), lab.wan.udp(R2, 7080)]
            for peer, welcome in zip(who.sockets + others, admitted):
                peer.sendto(b"knock", outside)
                if welcome:
                    sock.settimeout(2 * SLOW)
                    assert sock.recv(100) == b"knock", kind
                else:
                    quiet(sock)
            for peer in others:
                peer.close()
            sock.close()
        drops = lab.portico("status")["drops"]
        assert ("filtered_address" in drops) == (not admitted[2]) or \
            "filtered_port" in drops, drops


def test_tcp_from_a_stranger_is_refused_in_silence(lab):
    lab.need_portico()
    lab.start(fresh=True)
    server = lab.wan.listener(R1, 7082)
    client = lab.lan1.tcp((R1, 7082), source=(L1, 5082))
    served, seen = server.accept()
    listener = lab.lan1.listener(L1, 5082)  # it would answer if it heard
    stranger = lab.wan.socket(1, bind=(R2, 7082), timeout=0.7)
    try:
        stranger.connect(seen)
        raise AssertionError("a stranger's connection was let in")
    except TimeoutError:
        pass
    assert lab.drops("filtered_address") > 0, lab.portico("status")
    for sock in (stranger, listener, client, served, server):
        sock.close()
