# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of rules does the same: nftables, iptables-nft and
iptables-legacy, as far as this kernel has them."""
import contextlib
import fcntl
import os
import threading
import time

from lab import E, L1, R1, Skip
from netns import wait_for
from standin import Loader
from tools import (Who, all_rules, ask, ask_tcp, download, httpd, limit, pattern, quiet,
                   random_file, refuses_tcp, upload)

MB = 1000 * 1000
FORWARDS = [{"name": "web", "proto": ["tcp", "udp"], "outside": 8080,
             "to": f"{L1}:80"},
            {"name": "only", "proto": "udp", "outside": 80,
             "to": f"{L1}:81"}]
# The other flavours' programs, which a daemon then cannot run.
HIDE = {"nft": "/usr/sbin/nft", "iptables-nft": "/usr/sbin/xtables-nft-multi",
        "iptables-legacy": "/usr/sbin/xtables-legacy-multi"}


def without(*programs):
    """A command line under which these programs fail."""
    mounts = " && ".join(f"mount --bind /bin/false {HIDE[p]}"
                         for p in programs if os.path.exists(HIDE[p]))
    return ["unshare", "--mount", "sh", "-c",
            f'{mounts or "true"} && exec "$@"', "sh"]


def check_backend(lab, name, wrap, **config):
    lab.need_portico()
    try:
        lab.start(fresh=True, wrap=wrap, forwards=FORWARDS, **config)
        said = lab.daemon.run("status").stdout
        assert name in said, said
        check_traffic(lab)
        check_flushes(lab, name)
        lab.daemon.stop()
        guarded(lab)
    finally:
        lab.stop()
        lab.remove_guard()


def check_traffic(lab):
    with httpd(lab.wan, R1):
        download(lab.lan1, f"http://{R1}", 5 * MB, lab.directory)
        upload(lab.lan2, f"http://{R1}", random_file(lab.directory, 5 * MB))
    with Who(lab.wan, udp=[(R1, 7200)]), \
            Who(lab.lan1, udp=[(L1, 80), (L1, 81)], tcp=[(L1, 80)]), \
            Who(lab.gw, tcp=[(E, 22)]):
        sock = lab.lan1.udp(L1, 5200)
        assert ask(sock, (R1, 7200), pattern(8192)).startswith(E + ":")
        sock.close()
        for space in (lab.wan, lab.lan2):  # from outside and by hairpin
            tcp = space.tcp((E, 8080))
            ask_tcp(tcp)
            tcp.close()
            for number in (8080, 80):
                udp = space.udp()
                ask(udp, (E, number), pattern(5000))
                udp.close()
        own = lab.wan.tcp((E, 22))
        assert ask_tcp(own)
        own.close()
    refuses_tcp(lab.wan, (E, 8081), seconds=0.4)
    lab.lan1.run("ping", "-n", "-c", "1", R1)
    hops = lab.lan1.run("traceroute", "-n", "-q", "1", "-m", "3", R1).stdout
    assert "192.168.1.1" in hops and R1 in hops.split("\n")[2], hops
    hops = lab.wan.run("traceroute", "-n", "-T", "-p", "8080", "-q", "1",
                       "-m", "3", E).stdout
    assert hops.split("\n")[1].split()[1] == E, hops


def test_fallback_kernel_needs_nftables(lab):
    """With iptables it is "closed", and said so."""
    lab.need_portico()
    try:
        lab.start(fresh=True, wrap=without("nft"), fallback="kernel")
        assert 'it is "closed" here' in lab.daemon.log()
        assert any('fallback: "kernel"' in warning
                   for warning in lab.portico("status")["warnings"])
        lab.daemon.stop()
        guarded(lab)
    finally:
        lab.stop()
        lab.remove_guard()


@limit(60)
@limit(60)
def test_what_another_flavour_left_is_taken_away_as_soon_as_it_can_be(lab):
    """A guard that could not be taken away at the start drops whatever hosts
    send, beside rules that are in force: of two tables with one priority the
    one that came last is asked first."""
    lab.start(fresh=True)
    legacy = lab.portico("status")["backend"] == "iptables-legacy"
    lab.stop()
    loader = Loader(lab.directory)
    guard = ["PORTICO-POST", "-s", "192.168.1.0/24", "-o", "wan0", "-j", "DROP"]
    for rule in (["-N", "PORTICO-POST"], ["-A", *guard],
                 ["-A", "POSTROUTING", "-j", "PORTICO-POST"]):
        done = lab.gw.run("iptables-nft", "-t", "mangle", *rule, check=False)
        if done.returncode:
            raise Skip("no iptables-nft: " + done.stderr.strip())
    loader.break_nft()
    try:
        lab.start(fresh=True, wrap=loader.wrap)
        wait_for("a warning", lambda: any(
            "iptables-nft" in line for line in
            lab.portico("status")["warnings"]), 3)
        with Who(lab.wan, udp=[(R1, 7203)]):
            sock = lab.lan1.udp(L1, 5203)
            if legacy:
                sock.sendto(b"in vain", (R1, 7203))
                quiet(sock)
            loader.release()
            # The next try; then nothing is left to be tried.
            wait_for("it is gone", lambda: "PORTICO" not in lab.gw.run(
                "iptables-nft-save").stdout, 15)
            assert ask(sock, (R1, 7203)) == f"{E}:5203"
            sock.close()
        wait_for("no warning", lambda: not any(
            "iptables-nft" in line for line in
            lab.portico("status")["warnings"]), 3)
        log = lab.daemon.log()
        assert log.count("iptables-nft: ") == 1, log
        assert "is removed now" in log, log
    finally:
        loader.release()
        lab.stop()
        lab.remove_guard()


def test_an_emptied_chain_of_iptables_leaks_nothing(lab):
    """Until the rules are there again the guard holds, whichever it is."""
    lab.need_portico()
    try:
        lab.start(fresh=True, wrap=without("nft", "iptables-nft"))
        for chain in ("OUT", "ERRORS"):
            lab.gw.run("iptables-legacy", "-t", "mangle", "-F",
                       f"PORTICO-{chain}")
            guarded(lab)
        lab.check()
    finally:
        lab.stop()


@limit(60)
def test_a_reload_whose_rules_fail_changes_nothing(lab):
    lab.need_portico()
    program = HIDE["iptables-legacy"]
    try:
        lab.start(fresh=True, wrap=without("nft", "iptables-nft"))
        inside = ["nsenter", "-t", lab.daemon.process.pid, "-m"]
        before = all_rules(lab.gw)
        lab.daemon.configure({"forwards": FORWARDS})
        lab.gw.run(*inside, "mount", "--bind", "/bin/false", program)
        done = lab.daemon.run("reload", check=False)
        assert done.returncode == 1, done
        kinds = [m["kind"] for m in lab.portico("mappings")["mappings"]]
        assert "forward" not in kinds, kinds
        # Nor could the old ones be, which is not waited for: they are tried
        # until they are.
        said = "rules could not be loaded"
        wait_for("the warning", lambda: any(
            said in w for w in lab.portico("status")["warnings"]), 5)
        assert all_rules(lab.gw) == before
        lab.gw.run(*inside, "umount", "-l", program)
        wait_for("the rules", lambda: not any(
            said in w for w in lab.portico("status")["warnings"]), 20)
        assert all_rules(lab.gw) == before
        lab.daemon.run("reload")
        kinds = [m["kind"] for m in lab.portico("mappings")["mappings"]]
        assert "forward" in kinds, kinds
    finally:
        lab.stop()
        lab.remove_guard()


@contextlib.contextmanager
def locked(lab):
    """A command line that starts a daemon which waits for a lock of others as
    long as somebody keeps it, and what does: iptables-restore waits 5 s, is
    then run again, and gets it."""
    lock = os.path.join(lab.directory, "xtables.lock")
    own = f'mount --bind {lock} /run/xtables.lock && exec "$@"'

    def keep():
        fcntl.flock(file, fcntl.LOCK_EX)
        time.sleep(6.5)
        fcntl.flock(file, fcntl.LOCK_UN)

    lab.need_portico()
    with open(lock, "w") as file:
        try:
            yield [*without("nft"), "sh", "-c", own, "sh"], \
                threading.Thread(target=keep)
        finally:
            lab.stop()
            lab.remove_guard()


def whole(lab):
    rules = all_rules(lab.gw)
    assert "-m u32" in rules and "-m socket" in rules, rules
    assert "lacks" not in lab.daemon.log(), lab.daemon.log()
    assert lab.portico("status")["backend"] == "iptables-legacy"


@limit(60)
def test_the_lock_of_others_changes_no_choice(lab):
    with locked(lab) as (wrap, keeper):
        keeper.start()
        lab.start(fresh=True, wrap=wrap)
        keeper.join()
        whole(lab)


@limit(60)
def test_the_lock_of_others_costs_no_rule(lab):
    """What cannot be loaded for it was not refused by the kernel."""
    with locked(lab) as (wrap, keeper):
        lab.start(fresh=True, wrap=wrap)
        keeper.start()
        lab.daemon.reload({"forwards": FORWARDS})
        keeper.join()
        whole(lab)


FLUSHES_ONCE = """#!/bin/sh
{real}/"${{0##*/}}" "$@"
status=$?
case "${{0##*/}}" in
*legacy-save) if rm {once} 2>/dev/null; then
    {real}/xtables-legacy-multi iptables -t raw -F PREROUTING
fi ;;
esac
exit $status
"""


def test_a_flush_amid_a_load_costs_no_rule(lab):
    """Between the look at what is there and what takes it away."""
    lab.need_portico()
    loader = Loader(lab.directory)
    once = os.path.join(lab.directory, "once")
    with open(loader.path, "w") as file:
        file.write(FLUSHES_ONCE.format(real=loader.real, once=once))
    try:
        lab.start(fresh=True, wrap=loader.wrap, rules="iptables")
        time.sleep(1)  # the doctor looks, too
        with open(once, "w"):
            pass
        lab.daemon.reload({"forwards": FORWARDS, "rules": "iptables"})
        assert not os.path.exists(once)
        whole(lab)
    finally:
        lab.stop()
        lab.remove_guard()


def guarded(lab):
    lab.gw.sysctl("net.ipv4.ip_forward", 1)
    sock = lab.lan1.udp()
    with lab.wan.capture("udp dst port 7201", "up0") as seen:
        sock.sendto(b"hello", (R1, 7201))
        assert not seen.wait(1, 0.3), "it left without translation"
    quiet(sock, 0.1)
    sock.close()


FLUSHES = {
    "nftables": ["nft flush ruleset", "nft delete table ip portico",
                 "nft flush chain ip portico raw_track",
                 "nft flush chain ip portico outbound"],
    "iptables-nft": ["nft flush ruleset", "iptables-nft -t raw -F",
                     "iptables-nft -t mangle -F",
                     "iptables-nft -t raw -D PREROUTING -j PORTICO-RAW",
                     "iptables-nft -t raw -F PORTICO-OURS",
                     "iptables-nft -t raw -F PORTICO-WITHIN",
                     "iptables-nft -t mangle -F PORTICO-OUT"],
    "iptables-legacy": ["iptables-legacy -t raw -F",
                        "iptables-legacy -t mangle -F",
                        "iptables-legacy -t raw -D PREROUTING "
                        "-j PORTICO-RAW",
                        "iptables-legacy -t mangle -F PORTICO-OUT"]}


def check_flushes(lab, name):
    """Whoever flushes the rules: they come back, and others stay. nf_tables tells
    of it, four times at once; else one looks every two seconds."""
    status, said = "rules could not be loaded", "removed or changed our rules"
    for number, command in enumerate(FLUSHES[name]):
        before = all_rules(lab.gw)
        assert "portico" in before.lower()
        lab.gw.run(*command.split())
        wait_for(f"a word about {command}",
                 lambda: lab.daemon.log().count(said) == number + 1,
                 2.5 if name == "iptables-legacy" or number >= 4 else 0.3, 0.01)
        wait_for(f"the rules after {command}",
                 lambda: all_rules(lab.gw) == before, 8)
        log = lab.daemon.log()
        assert log.count(said) == number + 1, log
        assert not any(status in w for w in lab.portico("status")["warnings"])
    lab.leaks.read()  # what left until then
    with Who(lab.wan, udp=[(R1, 7200)]):
        sock = lab.lan1.udp(L1, 5201)
        assert ask(sock, (R1, 7200)).startswith(E + ":")
        sock.close()


@limit(60)
def test_iptables_nft(lab):
    check_backend(lab, "iptables-nft", without("iptables-legacy"),
                  rules="iptables")


def rule_lines(space):
    """In whatever order the tables were made."""
    return sorted(all_rules(space).splitlines())


@limit(90)
def test_who_flushes_twice_waits_no_longer(lab):
    """The second time while the rules are loaded for the first."""
    lab.need_portico()
    try:
        lab.start(fresh=True, rules="iptables", wrap=without("iptables-legacy"))
        before = rule_lines(lab.gw)
        for gap in 0, 0.004, 0.008, 0.012, 0.016:
            lab.gw.run("sh", "-c", f"nft flush ruleset; sleep {gap}; "
                       "nft flush ruleset")
            wait_for(f"the rules after {gap} s between two flushes",
                     lambda: rule_lines(lab.gw) == before, 5)
            # The next two are not to be counted with these.
            time.sleep(2)
    finally:
        lab.stop()
        lab.remove_guard()


@limit(60)
def test_iptables_legacy(lab):
    check_backend(lab, "iptables-legacy", without("iptables-nft", "nft"),
                  rules="auto")


@limit(60)
def test_nftables_works_or_is_refused_in_words(lab):
    """Not every kernel's nftables can queue."""
    lab.need_portico()
    done = lab.gw.run("nft", "-f", "-", check=False, input="table ip probe { "
                      "chain c { type filter hook input priority 0; "
                      "queue num 999; }; }; delete table ip probe")
    if done.returncode == 0:
        check_backend(lab, "nftables", (), rules="nftables")
        return
    lab.stop()
    daemon = lab.second_daemon(rules="nftables").start(ready=None)
    assert daemon.process.wait(10) == 1
    assert "nft" in daemon.log().strip().split("\n")[-1], daemon.log()
