# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon relies on goes away: the packet filter's program, the
directory of the table, memory. Traffic goes on, somebody is told, and it recovers."""
import contextlib
import os
import resource
import signal
import subprocess

from daemon import PORTICO
from fault import Fault, unusable
from lab import E, L1, L2, R1, Skip
from netns import wait_for
from standin import Loader
from test_backend import guarded
from tools import Who, all_rules, ask, ask_tcp, limit

# Outside the pool: it needs other rules.
FORWARDS = [{"name": "web", "proto": "udp", "outside": 80, "to": f"{L1}:80"}]
ADD = ("forward", "add", "own", "udp", "79", f"{L1}:79")
OWN_MOUNTS = ["unshare", "-m", "sh", "-c", 'exec "$@"', "sh"]
SAID = "rules could not be loaded"
# Somebody takes away what untracks and queues, not the guard.
FLUSH = {"nftables": "nft flush chain ip portico raw_track",
         "iptables-nft": "iptables-nft -t raw -F PORTICO-HAIRPIN",
         "iptables-legacy": "iptables-legacy -t raw -F PORTICO-HAIRPIN"}


def warned(lab, word=SAID):
    return [w for w in lab.portico("status")["warnings"] if word in w]


@limit(90)
def test_without_the_filter_program_traffic_goes_on(lab):
    lab.need_portico()
    try:
        lab.start(fresh=True, wrap=OWN_MOUNTS)
        inside = ["nsenter", "-t", lab.daemon.process.pid, "-m"]
        before = all_rules(lab.gw)
        backend = lab.portico("status")["backend"]
        with Who(lab.wan, udp=[(R1, 7501)], tcp=[(R1, 7501)]):
            udp, tcp = lab.lan1.udp(L1, 5501), lab.lan1.tcp((R1, 7501))
            seen = [ask(udp, (R1, 7501)), ask_tcp(tcp)]
            lab.gw.run(*inside, "mount", "-t", "tmpfs", "none", "/usr/sbin")
            # Asked for other rules: refused in words, nothing changes.
            lab.daemon.configure({"forwards": FORWARDS})
            done = lab.daemon.run("reload", check=False)
            assert done.returncode == 1 and done.stderr, done
            done = lab.daemon.run(*ADD, check=False)
            assert done.returncode == 1 and done.stderr, done
            assert not lab.portico("forward", "list")["forwards"]
            assert all_rules(lab.gw) == before
            wait_for("the warning", lambda: warned(lab), 5)
            # Somebody takes rules away meanwhile.
            lab.gw.run(*FLUSH[backend].split())
            new = lab.lan2.udp(L2)
            if backend != "nftables":  # there nothing is queued any more
                assert [ask(udp, (R1, 7501)), ask_tcp(tcp)] == seen
                assert ask(new, (R1, 7501))
            assert lab.daemon.alive() and warned(lab)
            # One try in ten seconds: the log stays short.
            assert lab.daemon.log().count("not loaded") == 1, lab.daemon.log()
            lab.gw.run(*inside, "umount", "/usr/sbin")
            wait_for("the rules", lambda: not warned(lab), 25)
            wait_for("all of them", lambda: all_rules(lab.gw) == before, 10)
            assert [ask(udp, (R1, 7501)), ask_tcp(tcp)] == seen
            for sock in (udp, tcp, new):
                sock.close()
    finally:
        lab.stop()
        lab.remove_guard()


def test_without_the_filter_program_it_does_not_start(lab):
    lab.need_portico()
    lab.stop()
    daemon = lab.second_daemon()
    daemon.wrap = ["unshare", "-m", "sh", "-c",
                   'mount -t tmpfs none /usr/sbin && exec "$@"', "sh"]
    daemon.start(ready=None)
    assert daemon.process.wait(20) == 1
    last = daemon.log().strip().split("\n")[-1]
    assert "no packet filter here can queue packets" in last, last


@limit(90)
def test_a_stop_ends_what_loads_rules_too_slowly(lab):
    """It was given up and goes on; the stop does not leave its rules."""
    lab.need_portico()
    loader = Loader(lab.directory)
    try:
        lab.start(fresh=True, wrap=loader.wrap)
        lab.daemon.stop()
        guard = all_rules(lab.gw)
        lab.start(fresh=True, wrap=loader.wrap)
        lab.daemon.configure({"forwards": FORWARDS})
        loader.delay(12)  # each table's; the bounds below are fixed, too
        asking = lab.gw.start(PORTICO, "--socket", lab.daemon.control,
                              "reload")
        loader.wait_held()
        os.kill(lab.daemon.process.pid, signal.SIGTERM)
        # The daemon waits 15 s, nft or iptables 20 s.
        wait_for("the next table", lambda: len(loader.waiting()) > 1
                 or not lab.daemon.alive(), 30)
        loader.release()
        assert lab.daemon.process.wait(40) == 0, lab.daemon.log()
        assert all_rules(lab.gw) == guard, lab.daemon.log()
        wait_for("their end", lambda: not loader.running(), 5)
        asking.stop()
        guarded(lab)
    finally:
        loader.release()
        lab.stop()
        lab.remove_guard()


def check_in_memory(lab, word, state, wrap=()):
    """The table lies in memory alone, which is told; traffic is served."""
    lab.need_portico()
    lab.start(fresh=True, state=state, wrap=wrap)
    found = warned(lab, "state: ")
    assert len(found) == 1 and word in found[0], found
    with Who(lab.wan, udp=[(R1, 7502)]):
        sock = lab.lan1.udp(L1, 5502)
        assert ask(sock, (R1, 7502)) == f"{E}:5502"
        sock.close()
    lab.stop()
    return found[0]


def test_a_missing_state_directory_is_told(lab):
    return check_in_memory(lab, "No such file",
                           os.path.join(lab.directory, "none/here/state"))


def test_a_read_only_state_directory_is_told(lab):
    place = os.path.join(lab.directory, "frozen")
    os.makedirs(place, exist_ok=True)
    return check_in_memory(lab, "Read-only", f"{place}/state", [
        "unshare", "-m", "sh", "-c", f"mount -t tmpfs -o ro none {place} && "
        'exec "$@"', "sh"])


@limit(90)
def test_with_everything_on_a_full_file_system_it_serves(lab):
    """Sockets, table and settings, as by default in /run/portico. What is lost
    is told, by its cause; with room again nothing is left of it."""
    lab.need_portico()
    lab.stop()
    daemon = lab.second_daemon()
    place = os.path.join(lab.directory, "run")
    os.makedirs(place, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place],
                   check=True)
    try:
        with open(f"{place}/rubbish", "wb", buffering=0) as file:
            with contextlib.suppress(OSError):  # it is full then
                while file.write(b"rubbish " * 512):
                    pass
        config = {name: f"{place}/{name}"
                  for name in ("control", "control_read", "state")}
        lab.gw.sysctl("net.ipv4.conf.all.send_redirects", 1)
        daemon.control = config["control"]
        daemon.configure(config)
        daemon.start()
        with Who(lab.wan, udp=[(R1, 7504)], tcp=[(R1, 7504)]):
            udp, tcp = lab.lan1.udp(L1, 5504), lab.lan1.tcp((R1, 7504))
            assert ask(udp, (R1, 7504)) == f"{E}:5504" and ask_tcp(tcp)
            for said in (daemon.log(),
                         "\n".join(daemon.json("status")["warnings"])):
                assert f"{place}/state cannot be used (its file system " \
                    "has no room for its " in said, said
                assert f"{place}/control.settings cannot be written (No " \
                    "space left on device)" in said, said
            os.unlink(f"{place}/rubbish")
            daemon.configure({**config, "forwards": FORWARDS})
            daemon.run("reload")
            assert [ask(udp, (R1, 7504)), ask_tcp(tcp)]
            udp.close()
            tcp.close()
        assert os.path.exists(f"{place}/control.settings")
        left = daemon.json("status")["warnings"]
        assert not [w for w in left if w.startswith("settings")], left
        daemon.stop()
        assert lab.gw.sysctl("net.ipv4.conf.all.send_redirects") == "1"
    finally:
        daemon.kill()
        lab.remove_guard()
        subprocess.run(["umount", "-l", place], check=True)


def open_many(space, count, first):
    """As many sockets, each a mapping; those that are answered."""
    socks = [space.udp(L2, first + n) for n in range(count)]
    try:
        return sum(bool(ask(sock, (R1, 7503))) for sock in socks)
    finally:
        for sock in socks:
            sock.close()


VERBS = ("status", "mappings", "sessions", "hosts", "rules", "forward list")
# One process has not a byte more, for as long as it takes: the packet process,
# the helper (and what it forks).
SQUEEZED = {"the daemon": "0", "the helper": "0.1"}


def refused(daemon, *command):
    """Whether a request is refused, in words or by a closed connection."""
    done = daemon.run("--json", *command, check=False)
    said = done.stderr if done.stderr else done.stdout
    assert done.returncode == 0 or said.strip(), done
    return done.returncode != 0


def squeeze(lab, fault, process, flows):
    """What goes wrong, and what does not, while nothing can be allocated."""
    daemon, (udp, tcp, seen) = lab.daemon, flows
    fault.arm("ENOMEM", call="memory", times=0, process=process)
    asked = [refused(daemon, *verb.split()) for verb in VERBS]
    assert refused(daemon, *ADD)
    daemon.configure({"forwards": FORWARDS})
    reload = refused(daemon, "reload")
    first = 6000 if process == "0" else 7000
    assert open_many(lab.lan2, 200, first) == 200  # new ones, too
    assert [ask(udp, (R1, 7503)), ask_tcp(tcp)] == seen
    assert daemon.alive(), daemon.log()
    return sum(asked), reload, fault.disarm()


@limit(90)
def test_without_memory_packets_go_on(lab):
    """What needs memory is refused in words; packets need none, those of new
    connections neither; and all is as before when there is memory again."""
    lab.need_portico()
    reason = unusable()
    if reason:
        raise Skip(reason)
    fault, told = Fault(lab.directory), []
    lab.start(fresh=True, wrap=fault.wrap)
    with Who(lab.wan, udp=[(R1, 7503)], tcp=[(R1, 7503)]):
        udp, tcp = lab.lan1.udp(L1, 5503), lab.lan1.tcp((R1, 7503))
        flows = udp, tcp, [ask(udp, (R1, 7503)), ask_tcp(tcp)]
        for name, process in SQUEEZED.items():
            asked, reload, failed = squeeze(lab, fault, process, flows)
            told.append(f"{name}: {failed} allocations failed, {asked} of "
                        f"{len(VERBS)} requests and "
                        f"{'the' if reload else 'no'} reload were refused")
            # The table's views are the daemon's own.
            assert asked == (len(VERBS) if process == "0" else 0), told
            assert reload and failed > asked, told
            counted = lab.portico("status")["control"]["refused"]["memory"]
            assert counted >= asked, counted
            # With memory again: the last configuration, then another.
            assert lab.daemon.run("reload").returncode == 0
            assert not warned(lab)
            lab.daemon.reload({})
            assert not lab.portico("forward", "list")["forwards"]
            assert [ask(udp, (R1, 7503)), ask_tcp(tcp)] == flows[2]
        assert len(lab.portico("mappings")["mappings"]) >= 400
        udp.close()
        tcp.close()
    lab.stop()
    fault.close()
    return "; ".join(told)


@limit(90)
def test_below_what_it_uses_a_reload_is_refused_not_fatal(lab):
    """The kernel gives the daemon nothing at all, and a configuration asks for
    more than what lies free in it."""
    lab.need_portico()
    # Limits of a process of another user are not root's to set everywhere.
    lab.start(fresh=True, sandbox="off")
    pid = lab.daemon.process.pid
    with Who(lab.wan, udp=[(R1, 7503)]):
        udp = lab.lan1.udp(L1, 5503)
        seen = ask(udp, (R1, 7503))
        old = resource.prlimit(pid, resource.RLIMIT_AS)
        resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, old[1]))
        try:
            lab.daemon.configure({"forwards": FORWARDS, "sandbox": "off"})
            with open(lab.daemon.path, "a") as file:
                file.write(" " * 900000)
            done = lab.daemon.run("reload", check=False)
            assert done.returncode == 1 and "memory" in done.stderr, done
            assert open_many(lab.lan2, 50, 6000) == 50
            assert ask(udp, (R1, 7503)) == seen and lab.daemon.alive()
        finally:
            resource.prlimit(pid, resource.RLIMIT_AS, old)
        assert lab.daemon.run("reload").returncode == 0
        assert ask(udp, (R1, 7503)) == seen and not warned(lab)
        udp.close()
    lab.stop()
    return done.stderr.strip()
