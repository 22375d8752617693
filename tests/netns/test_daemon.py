# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon as a program: a second one, none at all, no configuration."""
import fcntl
import json
import os
import re
import signal

from daemon import PORTICO, PORTICOD, ROOT
from lab import E, L1, L2, R1, Lab
from netns import wait_for
from tools import Who, ask, ask_tcp


def exit_1(process, *words):
    """Ended with 1, the last line saying why."""
    assert process.wait(10) == 1, process.output()
    last = process.output().strip().split("\n")[-1]
    for word in words:
        assert word in last, last


def test_a_second_daemon_says_so_and_disturbs_nothing(lab):
    lab.need_portico()
    first = lab.start(fresh=True)
    rules = (lab.gw.run("iptables-nft-save", check=False).stdout +
             lab.gw.run("iptables-legacy-save", check=False).stdout)
    with Who(lab.wan, udp=[(R1, 7160)], tcp=[(R1, 7160)]):
        udp, tcp = lab.lan1.udp(L1, 5160), lab.lan2.tcp((R1, 7160))
        seen = [ask(udp, (R1, 7160)), ask_tcp(tcp)]
        reserved = lab.gw.sysctl("net.ipv4.ip_local_reserved_ports")
        # Its own paths and another queue, its own paths only, its own queue
        # only.
        second = lab.second_daemon(queue={"number": 200}).start(ready=None)
        exit_1(second.process, "another porticod", "nothing was changed")
        second = lab.second_daemon().start(ready=None)
        exit_1(second.process, "another porticod")
        third = lab.second_daemon(control=first.control, queue={
            "number": 200}).start(ready=None)
        exit_1(third.process)
        assert first.alive()
        assert [ask(udp, (R1, 7160)), ask_tcp(tcp)] == seen
        assert lab.gw.sysctl("net.ipv4.ip_local_reserved_ports") == reserved
        now = (lab.gw.run("iptables-nft-save", check=False).stdout +
             lab.gw.run("iptables-legacy-save", check=False).stdout)
        assert strip(now) == strip(rules)
        assert lab.mapping(f"{L1}:5160")["outside"] == seen[0]
        udp.close()
        tcp.close()


def strip(rules):
    return [line.split(" [")[0] for line in rules.split("\n")
            if not line.startswith("#")]


def test_in_the_background_it_leaves_where_it_was_started(lab):
    lab.need_sandbox()
    lab.stop()
    daemon = lab.second_daemon()
    done = lab.gw.run(PORTICOD, "--config", os.path.basename(daemon.path),
                      cwd=daemon.directory)
    assert done.returncode == 0, done
    control = lab.gw.run("ss", "-xlpH", f"src {daemon.control}").stdout
    pid = int(re.search(r'"porticod",pid=(\d+)', control).group(1))
    try:
        # Its root, which is empty, as seen from outside.
        assert os.listdir(f"/proc/{pid}/cwd") == []
        assert os.readlink(f"/proc/{pid}/cwd") != daemon.directory
        for fd in (0, 1, 2):
            assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"
        daemon.run("reload")
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for("its end", lambda: lab.gw.run(
            PORTICOD, "--remove-guard", check=False).returncode == 0)


# Another value of each key that takes a restart.
OPENED_ONCE = {
    "uplink.device": "lo", "uplink.address": E, "inside.devices": ["lo"],
    "limits.mappings": 1000, "limits.sessions": 2000, "limits.hosts": 10,
    "limits.held_ports": 10, "limits.tagged_sessions": 10,
    "fragments.entries": 10, "fragments.bytes": 1000, "queue.number": 200,
    "queue.batch": 3, "queue.gso": False, "queue.mark": "0x30",
    "queue.nice": -1, "fast_path.enabled": True, "fast_path.sessions": 10,
    "rules": "iptables", "control": "/tmp/other", "control_read": "/tmp/other",
    "state": "/tmp/other", "sandbox": "require"}


def test_a_reload_refuses_what_is_opened_once(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    for key, value in OPENED_ONCE.items():
        outer, _, inner = key.partition(".")
        daemon.configure({outer: {inner: value} if inner else value})
        done = daemon.run("reload", check=False)
        assert done.returncode == 1, (key, done)
        assert f"{key} cannot change" in done.stderr, (key, done)
    daemon.reload({})


def test_the_man_page_names_what_is_opened_once(lab):
    del lab
    with open(os.path.join(ROOT, "platform/man/porticod.8")) as file:
        paragraph = file.read().split(".It Dv SIGHUP")[1].split(".It")[0]
    assert re.findall(r"^\.Cm (\S+)", paragraph, re.M) == list(OPENED_ONCE)


def test_a_reload_takes_the_inside_devices_in_any_order(lab):
    lab.need_portico()
    with Lab(second=True) as own:
        daemon = own.start()
        for names in (["lan1", "lan0"], ["lan0", "lan1"]):
            daemon.reload({"inside": {"devices": names}})
        daemon.configure({"inside": {"devices": ["lan1"]}})
        done = daemon.run("reload", check=False)
        assert done.returncode == 1 and "inside.devices" in done.stderr, done
        own.base_config = dict  # they are chosen, and named later
        for names in (["lan1", "lan0"], ["lan0", "lan1"]):
            own.start(fresh=True).reload({"inside": {"devices": names}})


def test_the_command_says_when_no_daemon_runs(lab):
    lab.need_portico()
    done = lab.gw.run(PORTICO, "--socket", f"{lab.directory}/nothing",
                      "status", check=False)
    assert done.returncode == 3 and done.stderr.strip(), done


def test_the_command_refuses_what_it_does_not_know(lab):
    lab.need_portico()
    lab.start()
    for arguments in (["frobnicate"], [], ["--nosuch", "status"],
                      ["mappings", "--proto"]):
        done = lab.daemon.run(*arguments, check=False)
        assert done.returncode == 2 and done.stderr.strip(), (arguments, done)


def test_version_and_help_need_nothing(lab):
    lab.need_portico()
    for program in (PORTICO, PORTICOD):
        assert "portico" in lab.gw.run(program, "--version").stdout.lower()
        assert lab.gw.run(program, "--help").stdout.strip()


def test_self_test_passes(lab):
    lab.need_portico()
    lab.gw.run(PORTICOD, "--self-test")


def test_rules_are_printed_without_daemon_and_root(lab):
    lab.need_portico()
    lab.stop()
    path = os.path.join(lab.directory, "printed.conf")
    with open(path, "w") as file:
        json.dump(lab.base_config(), file)
    os.chmod(path, 0o644)
    for backend, word in (("nftables", "table ip portico"),
                          ("iptables", "NFQUEUE")):
        done = lab.gw.run("setpriv", "--reuid", "65534", "--clear-groups",
                          PORTICO, "rules", "--config", path, "--backend",
                          backend)
        assert word in done.stdout, done


def test_rules_that_are_not_in_force_are_not_taken_for_those(lab):
    lab.need_portico()
    lab.stop()
    done = lab.gw.run("unshare", "--mount", "sh", "-c", PRIVATE, "sh",
                      PORTICO, "rules")
    assert "portico" in done.stdout.lower(), done
    assert "no daemon answers" in done.stderr, done
    assert "would be in force" in done.stderr, done


def test_without_a_daemon_errors_are_json_too(lab):
    lab.need_portico()
    for arguments in (["rules", "--config"], ["check"],
                      ["selftest", "--config"]):
        done = lab.gw.run(PORTICO, "--json", *arguments, "/nosuch/file",
                          check=False)
        assert done.returncode == 1, done
        assert "/nosuch/file" in json.loads(done.stdout)["error"], done


def test_status_has_every_key_of_the_contract(lab):
    lab.need_portico()
    lab.start()
    status = lab.portico("status")
    keys = {"version": [], "uptime_s": [], "uplink": ["device", "address"],
            "mappings": ["used", "limit"], "sessions": ["used", "limit"],
            "hosts": ["used", "limit"], "ports": ["udp", "tcp", "icmp"],
            "packets": ["outbound", "inbound", "hairpin", "untouched"],
            "bytes": ["outbound", "inbound"], "drops": [],
            "queue": ["length", "dropped", "user_dropped", "gso"],
            "warnings": []}
    for key, members in keys.items():
        assert key in status, key
        for member in members:
            assert member in status[key], (key, member)
    for pool in status["ports"].values():
        assert set(pool) >= {"used", "held", "total"}, pool
    assert status["uplink"] == {"device": "wan0", "address": E}
    # Ports kept for the router are not in the total.
    assert 55000 < status["ports"]["udp"]["total"] < 63000, status["ports"]
    text = lab.daemon.run("status").stdout
    assert E in text and "wan0" in text, text


def test_tables_can_be_filtered(lab):
    lab.need_portico()
    lab.start()
    with Who(lab.wan, udp=[(R1, 7161)], tcp=[(R1, 7161)]):
        udp, tcp = lab.lan1.udp(L1, 5161), lab.lan2.tcp((R1, 7161))
        ask(udp, (R1, 7161))
        ask_tcp(tcp)
        rows = lab.portico("mappings", "--host", L1)["mappings"]
        assert rows and all(r["inside"].startswith(L1 + ":") for r in rows)
        rows = lab.portico("mappings", "--proto", "tcp")["mappings"]
        assert rows and all(r["proto"] == "tcp" for r in rows)
        rows = lab.portico("sessions", "--peer", R1)["sessions"]
        assert rows and all(r["peer"].startswith(R1 + ":") for r in rows)
        udp.close()
        tcp.close()


PRIVATE = ('mount -t tmpfs none /run && { [ ! -d /etc/portico ] || '
           'mount -t tmpfs none /etc/portico; } && exec "$@"')


def test_without_a_configuration_it_finds_the_devices(lab):
    lab.need_sandbox()
    lab.stop()
    process = lab.gw.start("unshare", "--mount", "sh", "-c", PRIVATE, "sh",
                           PORTICOD, "--foreground")

    def status():
        assert process.alive(), (process.popen.returncode, process.output())
        # By its helper's root: its own is empty.
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            children = file.read().split() or [process.pid]
        control = f"/proc/{children[0]}/root/run/portico/portico.sock"
        done = lab.gw.run(PORTICO, "--socket", control, "--json", "status",
                          check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    found = wait_for("status", status)
    assert found["uplink"]["device"] == "wan0", found
    assert "wan0" in process.output() and "lan0" in process.output(), \
        process.output()
    with Who(lab.wan, udp=[(R1, 7162)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7162)).startswith(E + ":")
        sock.close()
    assert process.stop() == 0, process.output()


# A file that is there and cannot be opened, whoever tries: a link to itself.
KNOT = ('mount -t tmpfs none /run && mount -t tmpfs none /etc && '
        'mkdir /etc/portico && '
        'ln -s portico.conf /etc/portico/portico.conf && exec "$@"')


def test_a_default_file_that_cannot_be_reached_is_not_missing(lab):
    lab.need_sandbox()
    lab.stop()
    for argv in ((PORTICOD, "--foreground"), (PORTICOD, "--check-config"),
                 (PORTICO, "doctor"), (PORTICO, "rules"),
                 (PORTICO, "selftest")):
        done = lab.gw.run("unshare", "--mount", "sh", "-c", KNOT, "sh", *argv,
                          check=False)
        assert done.returncode == 1, (argv, done)
        assert "/etc/portico/portico.conf: the file cannot be read: Too many" \
            in done.stdout + done.stderr, (argv, done)


def test_a_host_can_be_flushed(lab):
    """What a lease's end is told by: nothing of the host is left, nothing of
    others is touched, and an inside host's traffic begins anew."""
    lab.need_portico()
    lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7130)], tcp=[(R1, 7130)]):
        one, two = lab.lan1.udp(L1, 5130), lab.lan2.udp(L2, 5130)
        before = ask(one, (R1, 7130))
        kept = ask(two, (R1, 7130))
        tcp = lab.lan1.tcp((R1, 7130), source=(L1, 5131))
        said = lab.daemon.run("flush", "--host", L1).stdout
        assert said == f"{L1}: 2 sessions ended\n", said
        assert lab.mapping(f"{L1}:5130") is None
        assert lab.mapping(f"{L1}:5131", "tcp") is None
        assert ask(two, (R1, 7130)) == kept
        assert ask(one, (R1, 7130)) != before  # its port rests
        assert lab.daemon.run("flush", check=False).returncode == 2
        for sock in (one, two, tcp):
            sock.close()


def fill_log(lab, path):
    """A daemon whose log goes to path, where nobody reads, after more lines
    than a pipe or a terminal of 16 KB holds."""
    daemon = lab.start(fresh=True, wrap=["sh", "-c", f'exec "$@" 2> {path}',
                                         "sh"])
    for _ in range(16384 // 60):  # two lines each
        daemon.run("forward", "add", "a", "udp", "5000", f"{L1}:5000")
        daemon.run("forward", "remove", "a")
    with Who(lab.wan, udp=[(R1, 7163)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7163)).startswith(E + ":")
        sock.close()
    return daemon


def read_log(end):
    os.set_blocking(end, False)
    said = b""
    try:
        while True:
            said += os.read(end, 4096)
    except BlockingIOError:
        return said.decode()


def test_a_log_that_nobody_reads_stops_no_packet(lab):
    """In the foreground the log goes to a terminal, a pipe or the journal,
    which may stand still."""
    lab.need_portico()
    path = os.path.join(lab.directory, "log")
    os.mkfifo(path)
    log = os.open(path, os.O_RDWR)
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 8192)
    fill_log(lab, path)
    said = read_log(log).split("\n")
    assert said.pop() == "", said[-1]  # whole lines
    assert said[-1].startswith("portico: forward: a "), said[-1]
    lab.stop()
    os.close(log)


def test_a_terminal_that_nobody_reads_stops_no_packet(lab):
    """It takes a part of a line, of which the rest is lost."""
    lab.need_portico()
    master, slave = os.openpty()
    daemon = fill_log(lab, os.ttyname(slave))
    said = read_log(master)
    daemon.run("forward", "add", "b", "udp", "5001", f"{L1}:5001")
    said += read_log(master)
    for line in said.split("\r\n")[:-1]:
        assert line.rfind("portico: ") <= 0, line
    assert "portico: forward: b " in said, said[-200:]
    lab.stop()
    os.close(master)
    os.close(slave)


def test_what_a_parent_left_does_no_harm(lab):
    """An ignored SIGCHLD, with which no child is waited for, and a file that
    is open, which one that is locked in must not have."""
    lab.need_portico()
    path = os.path.join(lab.directory, "left")
    daemon = lab.start(fresh=True, wrap=[
        "sh", "-c", f'exec 7> {path}; exec "$@"', "sh",
        "env", "--ignore-signal=CHLD"])
    folder = f"/proc/{daemon.process.pid}/fd"
    found = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
    assert path not in found, found
    lab.stop()
