# SPDX-License-Identifier: GPL-2.0-or-later
"""Configured forwards, from outside and by hairpin."""
from lab import E, L1, L2, R1, R2
from netns import SLOW, wait_for
from tools import Who, ask, ask_tcp, download, httpd, quiet, refuses_tcp

MB = 1000 * 1000
BOTH = ["tcp", "udp"]
FORWARDS = [
    {"name": "open", "proto": BOTH, "outside": 8080, "to": f"{L1}:80"},
    {"name": "outside", "proto": BOTH, "outside": 8081, "to": f"{L1}:80",
     "from": [f"{R1}/32"]},
    {"name": "everyone-here", "proto": BOTH, "outside": 8082,
     "to": f"{L1}:82", "from": [f"{E}/32"]},
    {"name": "range", "proto": BOTH, "outside": "8100-8109",
     "to": f"{L2}:9000"},
    {"name": "low", "proto": "tcp", "outside": 80, "to": f"{L1}:83"},
    {"name": "talker", "proto": "udp", "outside": 8090, "to": f"{L1}:90",
     "from": [f"{R1}/32"]},
]


def gateway(lab, forwards=FORWARDS, **config):
    lab.need_portico()
    return lab.start(forwards=forwards, **config)


def service(lab):
    ports = [(L1, number) for number in range(80, 85)]
    return Who(lab.lan1, udp=ports, tcp=ports)


def uses(space, number, source=None):
    """Both protocols reach the service; returns the sources it saw."""
    tcp = space.tcp((E, number), source=source and (source, 0))
    seen = [ask_tcp(tcp)]
    tcp.close()
    udp = space.udp(source or "0.0.0.0")
    seen.append(ask(udp, (E, number)))
    udp.close()
    return seen


def refused(lab, space, number, source=None):
    """Neither protocol gets an answer, and the reason is counted."""
    before = lab.drops("forward_peer")
    refuses_tcp(space, (E, number), source and (source, 0))
    udp = space.udp(source or "0.0.0.0")
    udp.sendto(b"hello", (E, number))
    quiet(udp)
    udp.close()
    assert lab.drops("forward_peer") >= before + 2, lab.portico("status")


def test_a_forward_is_reached_from_outside_with_the_peers_address(lab):
    gateway(lab)
    with service(lab):
        for peer in (R1, R2):
            seen = uses(lab.wan, 8080, peer)
            assert all(s.startswith(peer + ":") for s in seen), seen


def test_a_forward_carries_much_data(lab):
    gateway(lab)
    with httpd(lab.lan1, L1):
        download(lab.wan, f"http://{E}:8080", 10 * MB, lab.directory)
        download(lab.lan2, f"http://{E}:8080", 10 * MB, lab.directory)


def test_an_allowed_peer_is_admitted_and_another_refused(lab):
    gateway(lab)
    with service(lab):
        uses(lab.wan, 8081, R1)
        refused(lab, lab.wan, 8081, R2)


def test_hairpin_reaches_a_forward_with_the_outside_source(lab):
    gateway(lab)
    with service(lab):
        for setting in ("0", "1"):
            for device in ("all", "lan0", "wan0"):
                lab.gw.sysctl(f"net.ipv4.conf.{device}.rp_filter", setting)
            for space in (lab.lan1, lab.lan2):
                seen = uses(space, 8080)
                assert all(s.startswith(E + ":") for s in seen), seen
    for device in ("all", "lan0", "wan0"):
        lab.gw.sysctl(f"net.ipv4.conf.{device}.rp_filter", "0")


def test_hairpin_obeys_the_peers_of_a_forward(lab):
    gateway(lab)
    with service(lab):
        uses(lab.lan2, 8082)
        refused(lab, lab.lan2, 8081)
        refused(lab, lab.wan, 8082, R1)


def test_a_peer_the_host_itself_contacted_is_admitted(lab):
    gateway(lab)
    host, peer = lab.lan1.udp(L1, 90), lab.wan.udp(R2, 7100)
    peer.sendto(b"too early", (E, 8090))
    quiet(host)
    host.sendto(b"hello", (R2, 7100))
    peer.settimeout(2 * SLOW)
    assert peer.recvfrom(100) == (b"hello", (E, 8090))
    peer.sendto(b"welcome", (E, 8090))
    host.settimeout(2 * SLOW)
    assert host.recvfrom(100) == (b"welcome", (R2, 7100))
    host.close()
    peer.close()


def test_a_range_maps_one_to_one(lab):
    gateway(lab)
    ports = [9000, 9004, 9009]
    with Who(lab.lan2, tcp=[(L2, p) for p in ports],
             udp=[(L2, p) for p in ports]) as who:
        for number in (8100, 8104, 8109):
            uses(lab.wan, number)
        assert [own for own, _ in who.seen] == ports, who.seen


def test_a_forward_may_lie_outside_the_pool(lab):
    gateway(lab)
    with service(lab):
        sock = lab.wan.tcp((E, 80))
        assert ask_tcp(sock)
        sock.close()


def test_a_forward_wins_over_a_local_listener_with_a_warning(lab):
    lab.stop()
    with Who(lab.gw, tcp=[("0.0.0.0", 8080)], udp=[(E, 8080)]) as router:
        gateway(lab, fresh=True)
        with service(lab) as host:
            uses(lab.wan, 8080)
            assert host.seen and not router.seen
        warnings = " ".join(lab.portico("status")["warnings"])
        assert "8080" in warnings, warnings


def test_the_table_names_forwards(lab):
    gateway(lab)
    rows = [m for m in lab.portico("mappings")["mappings"]
            if m["name"] == "open"]
    assert sorted(m["proto"] for m in rows) == ["tcp", "udp"], rows
    for row in rows:
        assert row["kind"] == "forward" and row["expires_s"] is None, row
        assert row["outside"] == f"{E}:8080", row
        assert row["inside"] == f"{L1}:80", row


def test_hairpin_between_dynamic_mappings(lab):
    gateway(lab)
    with Who(lab.wan, udp=[(R1, 7101)]):
        one, two = lab.lan1.udp(L1, 5101), lab.lan2.udp(L2, 5102)
        name_one = ask(one, (R1, 7101))
        name_two = ask(two, (R1, 7101))
        one.sendto(b"hello", (E, int(name_two.split(":")[1])))
        data, source = two.recvfrom(100)
        assert data == b"hello" and f"{source[0]}:{source[1]}" == name_one
        two.sendto(b"back", source)
        data, source = one.recvfrom(100)
        assert data == b"back" and f"{source[0]}:{source[1]}" == name_two
        one.close()
        two.close()


def test_hairpin_can_be_switched_off(lab):
    gateway(lab, behaviour={"hairpin": False})
    with service(lab):
        uses(lab.wan, 8080)
        refuses_tcp(lab.lan2, (E, 8080))


def test_reload_keeps_mappings_and_changes_forwards(lab):
    daemon = gateway(lab, fresh=True)
    with Who(lab.wan, udp=[(R1, 7102)], tcp=[(R1, 7102)]), service(lab):
        udp, tcp = lab.lan1.udp(L1, 5103), lab.lan2.tcp((R1, 7102))
        seen = [ask(udp, (R1, 7102)), ask_tcp(tcp)]
        before = lab.mapping(f"{L1}:5103")
        more = FORWARDS[1:] + [{"name": "new", "proto": "tcp",
                                "outside": 8200, "to": f"{L1}:84"}]
        daemon.reload({"forwards": more})
        assert [ask(udp, (R1, 7102)), ask_tcp(tcp)] == seen
        after = lab.mapping(f"{L1}:5103")
        assert after["outside"] == before["outside"]
        assert after["age_s"] >= before["age_s"]
        sock = lab.wan.tcp((E, 8200))
        assert ask_tcp(sock)
        sock.close()
        refuses_tcp(lab.wan, (E, 8080))
        # The signal does the same as the command.
        daemon.configure({"forwards": FORWARDS})
        daemon.process.popen.send_signal(1)
        wait_for("the forward is back", lambda: any(
            m["name"] == "open"
            for m in lab.portico("mappings")["mappings"]), 5)
        uses(lab.wan, 8080)
        assert [ask(udp, (R1, 7102)), ask_tcp(tcp)] == seen
        udp.close()
        tcp.close()


def test_a_bad_file_changes_nothing_at_reload(lab):
    daemon = gateway(lab, fresh=True)
    with open(daemon.path) as file:
        good = file.read()
    with service(lab):
        for bad in ("{ this is not JSON", '{"uplink": {"devise": "wan0"}}'):
            with open(daemon.path, "w") as file:
                file.write(bad)
            done = daemon.run("reload", check=False)
            assert done.returncode == 1, done
            assert "portico.conf" in done.stdout + done.stderr, done
            uses(lab.wan, 8080)
        with open(daemon.path, "w") as file:
            file.write(good)
        daemon.run("reload")


def test_a_new_forward_takes_a_dynamic_mappings_port(lab):
    daemon = gateway(lab, fresh=True)
    with Who(lab.wan, udp=[(R1, 7103)]), service(lab):
        sock = lab.lan2.udp(L2, 8300)
        assert ask(sock, (R1, 7103)) == f"{E}:8300"
        daemon.reload({"forwards": FORWARDS + [
            {"name": "taken", "proto": "udp", "outside": 8300,
             "to": f"{L1}:84"}]})
        peer = lab.wan.udp()
        assert ask(peer, (E, 8300))
        assert ask(sock, (R1, 7103)) != f"{E}:8300"
        peer.close()
        sock.close()
