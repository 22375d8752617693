# SPDX-License-Identifier: GPL-2.0-or-later
"""What an orderly stop and a sudden death leave behind."""
import os
import socket
import sys

from daemon import PORTICOD, merge
from lab import E, GW, L1, Lab, MAC_LAN0, R1
from netns import wait_for
from tools import Who, all_rules, ask, ask_tcp, frame, pattern

SETTINGS = ["net.ipv4.ip_forward", "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.conf.all.send_redirects",
            "net.ipv4.conf.lan0.send_redirects",
            "net.ipv4.conf.wan0.send_redirects"]


def settings(lab):
    return {name: lab.gw.sysctl(name) for name in SETTINGS}


def set_before(lab, forward):
    lab.stop()
    lab.gw.sysctl("net.ipv4.ip_forward", forward)
    lab.gw.sysctl("net.ipv4.ip_local_reserved_ports", "9000-9010,50000")
    lab.gw.sysctl("net.ipv4.conf.all.send_redirects", 1)
    lab.gw.sysctl("net.ipv4.conf.lan0.send_redirects", 1)
    lab.gw.sysctl("net.ipv4.conf.wan0.send_redirects", 1)
    return settings(lab)


def test_settings_are_changed_while_it_runs_and_put_back(lab):
    lab.need_portico()
    for forward in (0, 1):
        before = set_before(lab, forward)
        lab.start(fresh=True)
        during = settings(lab)
        assert during["net.ipv4.ip_forward"] == "1"
        assert during["net.ipv4.conf.all.send_redirects"] == "0"
        assert during["net.ipv4.conf.lan0.send_redirects"] == "0"
        assert during["net.ipv4.conf.wan0.send_redirects"] == "0"
        reserved = ports_of(during["net.ipv4.ip_local_reserved_ports"])
        assert reserved >= set(range(9000, 9011)) | {50000}
        first, last = map(int, lab.gw.sysctl(
            "net.ipv4.ip_local_port_range").split())
        router = set(range(first, first + 2048))
        assert not reserved & router - {50000}, "no port left for the router"
        assert reserved >= set(range(first + 2048, last + 1))
        lab.stop()
        assert settings(lab) == before, (settings(lab), before)


def test_settings_are_put_back_also_after_a_kill(lab):
    lab.need_portico()
    before = set_before(lab, 0)
    lab.start(fresh=True)
    kept = lab.daemon.control + ".settings"
    for _ in range(2):
        lab.daemon.kill()
        assert settings(lab) != before and os.path.exists(kept)
        lab.daemon.start()
    assert lab.gw.sysctl("net.ipv4.ip_forward") == "1"
    lab.stop()
    assert settings(lab) == before, (settings(lab), before)
    assert not os.path.exists(kept)


def test_a_start_that_fails_leaves_what_a_kill_left(lab):
    lab.need_portico()
    before = set_before(lab, 0)
    lab.start(fresh=True)
    lab.daemon.kill()
    during = settings(lab)
    good = lab.daemon.config
    # Of another state file, or the device would be waited for.
    lab.daemon.configure(merge(good, {"uplink": {"device": "nosuch0"},
                                      "state": lab.daemon.state + "0"}))
    done = lab.gw.run(PORTICOD, "--foreground", "--config", lab.daemon.path,
                      check=False)
    assert done.returncode == 1 and "nosuch0" in done.stderr, done
    assert settings(lab) == during
    lab.daemon.configure(good)
    lab.daemon.start()
    lab.stop()
    assert settings(lab) == before, (settings(lab), before)


def test_a_damaged_file_of_settings_is_ignored(lab):
    lab.need_portico()
    before = set_before(lab, 1)
    lab.start(fresh=True)
    lab.stop()
    kept = os.path.join(lab.directory, "portico.sock.settings")
    for text in (b"", b"\x80" * 5000, b"portico settings"):
        with open(kept, "wb") as file:
            file.write(text)
        lab.start(fresh=True)
        assert "settings: " + kept in lab.daemon.log()
        lab.stop()
        assert settings(lab) == before, (settings(lab), before)


def test_a_device_made_anew_is_kept_from_redirects(lab):
    lab.need_portico()
    name = "net.ipv4.conf.dmz0.send_redirects"
    lab.gw.ip("link add dmz0 type veth peer name dmz1")
    try:
        lab.start(fresh=True, inside={"devices": ["lan0", "dmz0"]})
        assert lab.gw.sysctl(name) == "0"
        lab.gw.ip("link del dmz0")
        lab.gw.ip("link add dmz0 type veth peer name dmz1")
        wait_for("no redirects", lambda: lab.gw.sysctl(name) == "0", 5)
    finally:
        lab.stop()
        lab.gw.ip("link del dmz0")


def ports_of(text):
    found = set()
    for item in filter(None, text.split(",")):
        first, _, last = item.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_what_others_changed_meanwhile_is_left_alone(lab):
    lab.need_portico()
    set_before(lab, 1)
    lab.start(fresh=True)
    name = "net.ipv4.ip_local_reserved_ports"
    lab.gw.sysctl(name, lab.gw.sysctl(name) + ",100-200")
    lab.gw.sysctl("net.ipv4.conf.lan0.send_redirects", 1)
    lab.stop()
    assert lab.gw.sysctl(name) == "100-200,9000-9010,50000"
    assert lab.gw.sysctl("net.ipv4.conf.lan0.send_redirects") == "1"


def try_everything(lab):
    """Traffic of every kind from inside that must not leave. Returns what
    was seen outside of it."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    kinds = [UDP(sport=5150, dport=7150) / b"hello",
             TCP(sport=5151, dport=7150, flags="S"),
             TCP(sport=5152, dport=7150, flags="A") / b"data",
             ICMP(type=8, id=7), ICMP(type=3, code=3) / bytes(40)]
    packets = [IP(src=L1, dst=R1) / kind for kind in kinds]
    packets += [IP(src=L1, dst=R1, proto=proto) / bytes(40)
                for proto in (4, 41, 47, 50, 51, 89, 132, 136, 253)]
    packets += [IP(src=L1, dst=R1, flags="MF", id=99) / kinds[0],
                IP(src=L1, dst=R1, frag=10, id=99, proto=17) / bytes(40)]
    link = lab.lan1.link_socket("eth0")
    with lab.wan.capture(f"dst {R1} and not src 203.0.113.7",
                         "up0") as seen:
        for packet in packets:
            link.send(frame(packet, MAC_LAN0))
        leaked = seen.wait(1, 0.5)
    link.close()
    return leaked


def test_nothing_leaks_while_the_daemon_runs(lab):
    lab.need_portico()
    lab.start(fresh=True)
    assert not try_everything(lab)


def test_the_guard_stays_after_a_stop(lab):
    lab.need_portico()
    lab.gw.sysctl("net.ipv4.ip_forward", 1)
    lab.start(fresh=True)
    lab.stop()
    leaked = try_everything(lab)
    assert not leaked, [p.hex() for p in leaked]
    # It stops nothing else: the host reaches the router.
    lab.lan1.run("ping", "-n", "-c", "1", GW)
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7151)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7151))
        sock.close()


def test_nothing_leaks_after_a_kill(lab):
    lab.need_portico()
    lab.start(fresh=True)
    lab.daemon.kill()
    lab.daemon = None
    leaked = try_everything(lab)
    assert not leaked, [p.hex() for p in leaked]


def test_nothing_leaks_between_a_kill_and_a_new_start(lab):
    """A flood all through: whatever leaves carries the outside address."""
    lab.need_portico()
    lab.start(fresh=True)
    sock = lab.lan1.udp(L1, 5155)
    with lab.wan.capture("udp dst port 7155", "up0") as seen:
        flood = lab.lan1.start(
            sys.executable, "-c",
            "import socket,time\ns=socket.socket(2,2)\n"
            "while 1: s.sendto(b'x',('%s',7155)); time.sleep(.001)" % R1)
        assert seen.wait(50), "no traffic"
        for end in (lab.daemon.kill, lab.daemon.stop):
            end()
            lab.daemon.start()
            seen.read()
            assert seen.wait(50), "no traffic after the new start"
        flood.stop()
    sock.close()
    lab.check()


def test_remove_guard_leaves_no_rule_behind(lab):
    lab.need_portico()
    with Lab() as own:
        before = all_rules(own.gw)
        own.start()
        assert "portico" in all_rules(own.gw).lower()
        own.stop()
        assert "portico" in all_rules(own.gw).lower(), "no guard"
        own.remove_guard()
        after = all_rules(own.gw)
        assert after == before, f"left behind:\n{after}\nnot:\n{before}"
        # The router routes as it did before.
        own.allow(f"{R1}/32")
        own.gw.sysctl("net.ipv4.ip_forward", 1)
        own.wan.ip(f"route add 192.168.1.0/24 via {E}")
        own.lan1.run("ping", "-n", "-c", "1", R1)


def killed(lab):
    """A daemon that was, and the settings before it and with it."""
    before = set_before(lab, 0)
    daemon = lab.start(fresh=True)
    during = settings(lab)
    daemon.kill()
    lab.stop()
    return daemon, before, during


def test_remove_guard_puts_back_what_a_killed_daemon_changed(lab):
    """Else the router would forward, and without any rule; not while another
    daemon, of another namespace, has the file."""
    lab.need_portico()
    daemon, before, during = killed(lab)
    with socket.socket(socket.AF_UNIX) as other:
        os.unlink(daemon.control)
        other.bind(daemon.control)
        other.listen()
        lab.gw.run(PORTICOD, "--remove-guard", "--config", daemon.path)
        assert settings(lab) == during
    assert os.path.exists(daemon.control + ".settings")
    lab.gw.run(PORTICOD, "--remove-guard", "--config", daemon.path)
    assert settings(lab) == before
    assert not os.path.exists(daemon.control + ".settings")


def test_remove_guard_tells_of_a_file_that_it_cannot_read(lab):
    """Which settings there are to be put back only the right file says."""
    lab.need_portico()
    daemon, before, during = killed(lab)
    missing = daemon.path + ".missing"
    done = lab.gw.run(PORTICOD, "--remove-guard", "--config", missing,
                      check=False)
    assert done.returncode == 1, done
    assert missing + ": the file cannot be read" in done.stderr, done
    assert "portico" not in all_rules(lab.gw).lower()
    assert settings(lab) == during
    lab.gw.run(PORTICOD, "--remove-guard", "--config", daemon.path)
    assert settings(lab) == before


def test_remove_guard_is_refused_under_a_daemon(lab):
    lab.need_portico()
    lab.start(fresh=True)
    before = all_rules(lab.gw)
    done = lab.gw.run(PORTICOD, "--remove-guard", check=False)
    assert done.returncode == 1 and "another porticod" in done.stderr, done
    assert all_rules(lab.gw) == before
    assert not try_everything(lab)


def test_a_new_start_after_a_kill_carries_on(lab):
    lab.need_portico()
    lab.start(fresh=True)
    lab.daemon.kill()
    lab.daemon.start()
    with Who(lab.wan, udp=[(R1, 7156)], tcp=[(R1, 7156)]):
        sock = lab.lan1.udp(L1, 5156)
        assert ask(sock, (R1, 7156), pattern(3000)).startswith(E + ":")
        tcp = lab.lan1.tcp((R1, 7156))
        assert ask_tcp(tcp).startswith(E + ":")
        tcp.close()
        sock.close()


def test_a_stop_while_traffic_flows_is_orderly(lab):
    lab.need_portico()
    lab.start(fresh=True)
    with lab.wan.running("iperf3", "-s", "-B", R1):
        lab.wan.wait_listener(5201)
        client = lab.lan1.start("iperf3", "-c", R1, "-t", "10")
        wait_for("traffic", lambda: lab.portico("status")["packets"][
            "outbound"] > 100, 5)
        assert lab.daemon.stop() == 0
        client.stop(9)
    lab.daemon = None
