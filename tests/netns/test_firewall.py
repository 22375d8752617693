# SPDX-License-Identifier: GPL-2.0-or-later
"""Other programs' forward chains with drop policy and `ct state established`
refuse untracked answers: doctor says so, "forward_accept" heals it."""
import contextlib
import os
import re
import shutil
import signal

from lab import E, L1, L2, R1
from netns import wait_for
from test_backend import without
from tools import Who, all_rules, ask, ask_tcp, limit, quiet

MARK = "3000000"  # as nft and iptables write 0x03000000
FORWARDS = [{"name": "web", "proto": "tcp", "outside": 8080,
             "to": f"{L1}:80"}]

NFT = """
table inet filter {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "lan0" oifname "wan0" accept
  }
}"""

REJECT = """
table inet firewall {
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    iifname "lan0" accept
    reject with icmpx admin-prohibited
  }
}"""

MAP = """
table inet zones {
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname vmap { "lan0" : accept, "wan0" : jump from_wan }
  }
  chain from_wan {
    ct state vmap { established : accept, related : accept }
    drop
  }
}"""

# The heart of OpenWrt's fw4, with a user's rule.
FW4 = """
table inet fw4 {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ACCEPT
    ct state vmap { established : accept, related : accept }
    iifname "lan0" jump forward_lan
    iifname "wan0" jump handle_reject
  }
  chain handle_reject {
    meta l4proto tcp reject with tcp reset
    reject with icmpx type port-unreachable
  }
  chain forward_lan {
    ip saddr %s counter drop comment "!fw4: no Internet for him"
    meta nfproto ipv4 oifname "wan0" ct state invalid counter drop
    oifname "wan0" counter accept
  }
}""" % L2
SNIPPET = "../openwrt/golden/20-portico.nft"

DOCKER = """*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
:DOCKER-FORWARD - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -i lan0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
"""

UFW = """*filter
:FORWARD DROP [0:0]
:ufw-before-forward - [0:0]
:ufw-user-forward - [0:0]
:ufw-reject-forward - [0:0]
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-reject-forward
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-user-forward -i lan0 -o wan0 -j ACCEPT
COMMIT
"""


@contextlib.contextmanager
def firewall(lab, program, rules):
    lab.need_portico()
    lab.stop()
    lab.remove_guard()
    lab.gw.run(*program, input=rules)
    try:
        yield
    finally:
        lab.stop()
        if program[0] == "nft":
            name = re.search(r"table (\S+ \S+)", rules).group(1)
            lab.gw.run("nft", "delete", "table", *name.split())
        else:
            lab.gw.run(*program, input="*filter\n:FORWARD ACCEPT [0:0]\n"
                       "COMMIT\n")
            assert "ESTABLISHED" not in all_rules(lab.gw)


def refuses(lab):
    with Who(lab.wan, udp=[(R1, 7140)]) as who:
        sock = lab.lan1.udp(L1, 5140)
        sock.sendto(b"hello", (R1, 7140))
        quiet(sock, 0.5)
        sock.close()
        assert who.seen, "not even the way out was open"


def works(lab):
    with Who(lab.wan, udp=[(R1, 7140)], tcp=[(R1, 7140)]), \
            Who(lab.lan1, tcp=[(L1, 80)]):
        sock = lab.lan1.udp(L1, 5141)
        assert ask(sock, (R1, 7140)).startswith(E + ":")
        sock.close()
        for space, peer in ((lab.lan1, (R1, 7140)), (lab.wan, (E, 8080)),
                            (lab.lan2, (E, 8080))):
            tcp = space.tcp(peer)
            assert ask_tcp(tcp)
            tcp.close()


def advice(said):
    """The command that doctor prints for the refusing chain."""
    line, = [row for row in said.split("\n") if "refuses" in row]
    ufw = re.search(r"-A (ufw-before-forward .* -j ACCEPT)", line)
    if ufw:
        flavour = re.search(r"iptables-(nft|legacy)", line).group(0)
        return f"{flavour} -I {ufw.group(1)}"
    return re.search(r"; ((?:nft|iptables-\w+) .*)$", line).group(1)


def check_firewall(lab, program, rules, named):
    with firewall(lab, program, rules):
        before = all_rules(lab.gw)
        lab.start(forwards=FORWARDS, fresh=True)
        refuses(lab)
        doctor = lab.daemon.run("doctor", check=False)
        assert doctor.returncode == 1, doctor
        assert named in doctor.stdout and MARK in doctor.stdout, doctor
        lab.start(forwards=FORWARDS, forward_accept="insert", fresh=True)
        works(lab)
        doctor = lab.daemon.run("doctor", check=False)
        assert doctor.returncode == 0, doctor
        lab.stop()
        lab.remove_guard()
        after = all_rules(lab.gw)
        assert after == before, f"left behind:\n{after}\nnot:\n{before}"


def check_advice(lab, program, rules):
    with firewall(lab, program, rules):
        lab.start(forwards=FORWARDS, fresh=True)
        lab.gw.run("sh", "-c", advice(lab.daemon.run(
            "doctor", check=False).stdout))
        works(lab)
        doctor = lab.daemon.run("doctor", check=False)
        assert doctor.returncode == 0, doctor


def test_the_rule_that_doctor_prints_heals(lab):
    for program, rules in ((("nft", "-f", "-"), NFT),
                           (("nft", "-f", "-"), REJECT),
                           (("nft", "-f", "-"), MAP),
                           (("iptables-nft-restore",), DOCKER),
                           (("iptables-nft-restore",), UFW),
                           (("iptables-legacy-restore",), DOCKER),
                           (("iptables-legacy-restore",), UFW)):
        check_advice(lab, program, rules)


def test_status_warns_of_a_chain_that_refuses(lab):
    for program, rules, named in ((("nft", "-f", "-"), NFT, "inet filter"),
                                  (("iptables-nft-restore",), UFW, "ufw")):
        with firewall(lab, program, rules):
            lab.start(forwards=FORWARDS, fresh=True)
            # It is read beside the packets, so it may come a little later.
            wait_for("a warning in status", lambda: any(
                named in warning and MARK in warning
                for warning in lab.portico("status")["warnings"]), 7)


def test_a_native_chain_with_drop_policy(lab):
    check_firewall(lab, ("nft", "-f", "-"), NFT, "inet filter")


def test_a_chain_that_rejects_at_its_end(lab):
    check_firewall(lab, ("nft", "-f", "-"), REJECT, "inet firewall")


def test_a_chain_that_a_map_of_devices_leads_to(lab):
    check_firewall(lab, ("nft", "-f", "-"), MAP, "inet zones")


def test_the_openwrt_package_lets_replies_in_and_what_fw4_forbids_not_out(lab):
    with open(os.path.join(os.path.dirname(__file__), SNIPPET)) as file:
        rules = FW4.replace("ACCEPT", file.read().strip())
    with firewall(lab, ("nft", "-f", "-"), rules):
        lab.start(forwards=FORWARDS, fresh=True)
        works(lab)
        with Who(lab.wan, udp=[(R1, 7398)]) as who:
            sock = lab.lan2.udp(L2, 5398)
            sock.sendto(b"forbidden", (R1, 7398))
            quiet(sock, 0.5)
            sock.close()
            assert not who.seen, who.seen
        assert lab.daemon.run("doctor", check=False).returncode == 0


def test_rules_that_no_program_shows_are_not_called_harmless(lab):
    """As where firewalld brings a library of its own."""
    with firewall(lab, ("nft", "-f", "-"), NFT):
        lab.start(fresh=True, rules="iptables", wrap=without("nft"))
        refuses(lab)
        wait_for("a warning in status", lambda: any(
            "nftables rules could not be read" in warning
            for warning in lab.portico("status")["warnings"]), 7)


def test_docker_style_iptables_nft(lab):
    check_firewall(lab, ("iptables-nft-restore",), DOCKER, "DOCKER-USER")


def test_ufw_style_iptables_nft(lab):
    check_firewall(lab, ("iptables-nft-restore",), UFW, "ufw")


def test_docker_style_iptables_legacy(lab):
    check_firewall(lab, ("iptables-legacy-restore",), DOCKER, "DOCKER-USER")


def test_ufw_style_iptables_legacy(lab):
    check_firewall(lab, ("iptables-legacy-restore",), UFW, "ufw")


def tagged(lab):
    return [row for row in all_rules(lab.gw).split("\n")
            if "--comment portico" in row or 'comment "portico"' in row]


def test_a_reload_inserts_and_removes_the_rule(lab):
    with firewall(lab, ("nft", "-f", "-"), NFT):
        lab.start(forwards=FORWARDS, fresh=True)
        refuses(lab)
        lab.daemon.reload({"forwards": FORWARDS, "forward_accept": "insert"})
        works(lab)
        lab.daemon.reload({"forwards": FORWARDS})
        assert not tagged(lab), tagged(lab)
        # A crash leaves it, a start with "warn" takes it away.
        lab.start(forward_accept="insert", fresh=True)
        assert tagged(lab)
        lab.daemon.kill()
        lab.start(fresh=True)
        assert not tagged(lab), tagged(lab)


def test_a_chain_that_takes_no_rule_keeps_it_from_no_other(lab):
    """As firewalld's, which may own its table alone; docker's is another's."""
    owned = NFT.replace("inet filter {", "inet owned {\n  flags owner")
    with firewall(lab, ("iptables-nft-restore",), DOCKER):
        path = os.path.join(lab.directory, "owned.nft")
        with open(path, "w") as file:
            file.write(owned)
        owner = lab.gw.start(
            "sh", "-c", 'mkfifo "$0.in" && exec 0<>"$0.in" && '
            'echo "include \\"$0\\"" >&0 && exec nft -i', path)
        try:
            wait_for("the table", lambda: "owned" in all_rules(lab.gw))
            lab.start(forward_accept="insert", fresh=True)
            assert tagged(lab), lab.daemon.log()
            assert "forward_accept: nft" in lab.daemon.log()
        finally:
            owner.stop(signal.SIGKILL)
            wait_for("its end", lambda: "owned" not in all_rules(lab.gw))


@limit(100)
def test_the_rule_comes_back_when_the_firewall_was_loaded_anew(lab):
    for program, rules in ((("nft", "-f", "-"), NFT),
                           (("iptables-nft-restore",), DOCKER)):
        with firewall(lab, program, rules):
            lab.start(forwards=FORWARDS, forward_accept="insert", fresh=True)
            works(lab)
            if program[0] == "nft":
                rules = "delete table inet filter" + rules
            # Takes the rule away; the daemon may be quick to notice.
            lab.gw.run(*program, input=rules)
            lab.daemon.reload({"forwards": FORWARDS,
                               "forward_accept": "insert"})
            wait_for("the rule", lambda: tagged(lab), 10)
            works(lab)


SLOW_NFT = """#!/bin/sh
case "$*" in
*list*) {real} "$@"; echo >>{listed}; sleep 1 ;;
*) exec {real} "$@" ;;
esac
"""


def slow_nft(lab):
    """A command line that starts the daemon where every listing of nft takes
    a second longer, and the file that gets a line for each."""
    real, slow, listed = (os.path.join(lab.directory, name)
                          for name in ("nft", "slow-nft", "listed"))
    shutil.copy(shutil.which("nft"), real)
    with open(slow, "w") as file:
        file.write(SLOW_NFT.format(real=real, listed=listed))
    os.chmod(slow, 0o755)
    return ("unshare", "--mount", "sh", "-c",
            'mount --bind "$0" "$1" && shift && exec "$@"', slow,
            shutil.which("nft")), listed


def test_a_reload_while_the_doctor_looks_is_not_forgotten(lab):
    """The look that is under way began before the firewall was loaded anew:
    it says that all is well."""
    with firewall(lab, ("nft", "-f", "-"), NFT):
        wrap, listed = slow_nft(lab)
        lab.start(forwards=FORWARDS, forward_accept="insert", wrap=wrap)
        # The first listing is the insertion's, the second the doctor's.
        wait_for("the doctor's listing", lambda: os.path.getsize(listed) > 1)
        lab.gw.run("nft", "-f", "-",
                   input="delete table inet filter" + NFT)
        assert not tagged(lab), tagged(lab)
        lab.daemon.reload({"forwards": FORWARDS, "forward_accept": "insert"})
        wait_for("the rule", lambda: tagged(lab), 15)


def test_doctor_names_a_rule_that_overwrites_our_marks(lab):
    """As policy routing and traffic control often have it: what such a rule
    takes is dropped by the guard."""
    lab.need_portico()
    lab.start(fresh=True)
    for table, chain in (("mangle", "PREROUTING"), ("mangle", "FORWARD")):
        for mark, bad in (("0x1/0xff", False), ("0x1", True)):
            rule = [chain, "-i", "lan0", "-j", "MARK", "--set-xmark", mark]
            lab.gw.run("iptables-legacy", "-t", table, "-A", *rule)
            with Who(lab.wan, udp=[(R1, 7141)]) as who:
                sock = lab.lan1.udp(L1, 5142)
                sock.sendto(b"hello", (R1, 7141))
                quiet(sock, 0.5) if bad else sock.recv(64)
                sock.close()
                assert bool(who.seen) != bad
            said = lab.daemon.run("doctor", check=False).stdout
            assert ("overwrites" in said) == bad, said
            lab.gw.run("iptables-legacy", "-t", table, "-D", *rule)


def test_doctor_is_content_with_a_healthy_gateway(lab):
    lab.need_portico()
    lab.start(fresh=True)
    doctor = lab.daemon.run("doctor", check=False)
    assert doctor.returncode == 0, doctor
    assert lab.portico("status")["warnings"] == [], lab.portico("status")


def test_doctor_names_a_gateway_that_does_not_forward(lab):
    lab.need_portico()
    lab.start(fresh=True)
    lab.gw.sysctl("net.ipv4.ip_forward", 0)
    try:
        doctor = lab.daemon.run("doctor", check=False)
        assert doctor.returncode == 1 and "ip_forward" in doctor.stdout, \
            doctor
    finally:
        lab.gw.sysctl("net.ipv4.ip_forward", 1)


def test_doctor_says_when_no_daemon_runs(lab):
    lab.need_portico()
    lab.start(fresh=True)
    daemon = lab.daemon
    lab.stop()
    doctor = daemon.run("doctor", check=False)
    assert doctor.returncode in (1, 3), doctor
    assert doctor.stdout + doctor.stderr
