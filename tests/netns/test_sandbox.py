# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon's two processes: what they may do, and that one does not outlive
the other."""
import contextlib
import os
import re
import signal
import time

from daemon import PORTICO, PORTICOD
from lab import E, L1, R1
from netns import wait_for
from tools import Who, ask

NET_ADMIN, NET_RAW = 1 << 12, 1 << 13


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) if ":\t" in line
                    else (line.strip().rstrip(":"), "") for line in file)


def helper_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = file.read().split()
    assert len(children) == 1, children
    return int(children[0])


def gone(pid):
    """Not there, or a zombie that nobody has waited for yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def started(lab, **config):
    lab.need_sandbox()
    daemon = lab.start(fresh=True, **config)
    return daemon, daemon.process.pid


def check_capabilities(found, expected, bounding):
    assert int(found["CapBnd"], 16) == bounding, found["CapBnd"]
    for name in ("CapPrm", "CapEff"):
        assert int(found[name], 16) == expected, (name, found[name])
    for name in ("CapInh", "CapAmb"):
        assert int(found[name], 16) == 0, (name, found[name])


def limit(pid, name):
    with open(f"/proc/{pid}/limits") as file:
        for line in file:
            if line.startswith(name):
                return line[len("Max file locks            "):].split()[:2]
    raise AssertionError(name)


def check_common(found, pid):
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2", found
    assert not found["Groups"].split(), found["Groups"]
    assert limit(pid, "Max core file size") == ["0", "0"]
    # Not to be traced: what can be is its owner's.
    assert os.stat(f"/proc/{pid}/mem").st_uid == 0


def test_the_packet_process_has_no_rights(lab):
    daemon, pid = started(lab)
    found = status(pid)
    assert "0" not in found["Uid"].split() + found["Gid"].split(), found
    check_capabilities(found, NET_ADMIN, 0)
    check_common(found, pid)
    assert os.listdir(f"/proc/{pid}/root") == []
    assert os.listdir(f"/proc/{pid}/cwd") == []
    assert limit(pid, "Max processes") == ["0", "0"]
    assert int(limit(pid, "Max open files")[1]) <= 256
    kib = int(found["VmRSS"].split()[0]), int(
        status(helper_of(pid))["VmRSS"].split()[0])
    return f"resident: packet process {kib[0]} KiB, helper {kib[1]} KiB"


def open_files(pid):
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if int(fd) > 2:
                names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return names


def test_the_helper_has_few(lab):
    daemon, pid = started(lab)
    helper = helper_of(pid)
    found = status(helper)
    assert found["Name"] == "portico-helper", found["Name"]
    both = NET_ADMIN | NET_RAW
    check_capabilities(found, both, both)
    check_common(found, helper)
    # Neither lock nor queue nor control socket nor table: its own end of the
    # socketpair, beside the standard ones; once it has read what it was asked.
    wait_for("its own end alone", lambda: [
        name.split(":")[0] for name in open_files(helper)] == ["socket"])


def test_the_daemon_ends_when_its_helper_does(lab):
    daemon, pid = started(lab)
    with Who(lab.wan, udp=[(R1, 7170)]):
        sock = lab.lan1.udp(L1, 5170)
        before = ask(sock, (R1, 7170))
        os.kill(helper_of(pid), signal.SIGKILL)
        assert daemon.process.wait(5) == 1, daemon.log()
        assert "the privileged helper is gone" in daemon.log(), daemon.log()
        daemon.start()  # as the service manager would
        assert ask(sock, (R1, 7170)) == before
        sock.close()


def test_the_helper_ends_when_the_daemon_does(lab):
    daemon, pid = started(lab)
    for end in (daemon.kill, daemon.stop):
        helper = helper_of(daemon.process.pid)
        end()
        wait_for("the helper's end", lambda: gone(helper), 1)
        daemon.start()


def test_signals_to_all_processes_stop_it_orderly(lab):
    """As a service manager sends them, and a terminal."""
    daemon, pid = started(lab)
    helper = helper_of(pid)
    for number in (signal.SIGHUP, signal.SIGTERM):
        os.kill(helper, number)
        time.sleep(0.05)
        os.kill(pid, number)
    assert daemon.process.wait(5) == 0, daemon.log()
    assert not os.path.exists(daemon.control)
    assert not os.path.exists(daemon.control_read)
    assert not os.path.exists(daemon.control + ".settings")
    lab.stop()


def test_what_a_running_daemon_does_goes_on_inside(lab):
    """Reloads of every kind, devices, flushed rules, and the look at them."""
    daemon, pid = started(lab)
    forward = {"name": "in", "proto": "udp", "outside": 7171,
               "to": f"{L1}:5171"}
    daemon.reload({"forwards": [forward]})
    with Who(lab.lan1, udp=[(L1, 5171)]):
        sock = lab.wan.udp(R1)
        assert ask(sock, (E, 7171)).startswith(R1)
        sock.close()
    daemon.configure({"uplink": {"ports": "nonsense"}})
    assert daemon.run("reload", check=False).returncode == 1
    daemon.reload({"forward_accept": "insert", "exempt": ["10.9.0.0/16"]})
    daemon.configure({})
    os.kill(pid, signal.SIGHUP)
    wait_for("the reload", lambda: "config: reloaded" in daemon.log())
    lab.gw.ip("link set lan0 mtu 1400")
    lab.gw.ip("link set lan0 mtu 1500")
    for kind in ("legacy", "nft"):
        lab.gw.run(f"iptables-{kind}", "-t", "mangle", "-F", check=False)
    lab.gw.run("nft", "flush", "table", "ip", "portico", check=False)
    wait_for("the rules again", lambda: "loaded again" in daemon.log(), 10)
    for command in ("status", "mappings", "sessions", "hosts", "rules"):
        daemon.json(command)
    with Who(lab.wan, udp=[(R1, 7172)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7172)).startswith(E + ":")
        sock.close()
    assert daemon.process.pid == pid and daemon.alive()


def test_names_of_hosts_come_by_the_helper(lab):
    """From a lease file that is there only once the daemon serves."""
    lab.need_portico()
    lab.stop()
    daemon = lab.second_daemon()
    script = ('mount -t tmpfs none /var/lib/misc 2>/dev/null || '
              'mount -t tmpfs none /var/lib; mkdir -p /var/lib/misc; '
              'exec "$@"')
    daemon.wrap = ["unshare", "--mount", "sh", "-c", script, "sh"]
    daemon.start()
    daemon.json("hosts")
    with Who(lab.wan, udp=[(R1, 7173)]):
        sock = lab.lan1.udp(L1, 5173)
        ask(sock, (R1, 7173))
        sock.close()
    root = f"/proc/{helper_of(daemon.process.pid)}/root"
    with open(f"{root}/var/lib/misc/dnsmasq.leases", "w") as file:
        file.write(f"1 02:00:00:00:00:01 {L1} bedroom *\n")
    wait_for("the name", lambda: "bedroom" in [
        host["name"] for host in daemon.json("hosts")["hosts"]], 15, 0.2)
    assert daemon.stop() == 0
    lab.gw.run(PORTICOD, "--remove-guard")


def test_files_of_others_stay_closed_to_the_helper(lab):
    """What root can open by force only is told at the start, and a reload of it
    changes nothing."""
    said = "no reload will be able to read it: Permission denied"
    daemon, pid = started(lab, sandbox="auto")
    assert said not in daemon.log(), daemon.log()
    try:
        os.chmod(daemon.path, 0o600)
        os.chown(daemon.path, 65534, 65534)
        daemon.stop()
        daemon.start()
        assert said in daemon.log(), daemon.log()
        before = daemon.json("status")
        done = daemon.run("reload", check=False)
        assert done.returncode == 1 and "Permission denied" in done.stderr, \
            done
        after = daemon.json("status")
        assert after["uplink"] == before["uplink"]
        os.chmod(daemon.path, 0o604)  # root is neither owner nor in its group
        daemon.run("reload")
    finally:
        os.chown(daemon.path, 0, 0)
    daemon.run("reload")


def test_in_the_background_it_logs_by_the_helper(lab):
    """syslog's socket is bound only after the daemon began: it is reached all
    the same."""
    lab.need_portico()
    lab.stop()
    daemon = lab.second_daemon()
    # /dev/log of its own: the test's, in a mount namespace. What is below
    # /dev/shm stays, the test's files may be there.
    listener = ("import socket, sys\n"
                "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                "s.bind('/dev/log')\n"
                "while True:\n"
                "    print(s.recv(2048).decode(), flush=True)\n")
    script = ('exec 3</dev/shm && mount -t tmpfs none /dev && mkdir /dev/shm && '
              'mount --no-canonicalize --bind /proc/self/fd/3 /dev/shm && '
              'mknod /dev/null c 1 3 && '
              'ln -s /proc/self/fd/0 /dev/stdin && '
              f'{PORTICOD} --config {daemon.path} && '
              'exec python3 -c "$1"')
    syslog = lab.gw.start("unshare", "--mount", "sh", "-c", script, "sh",
                          listener)
    wait_for("the control socket", lambda: os.path.exists(daemon.control))
    wait_for("syslog", lambda: lab.gw.run(
        PORTICO, "--socket", daemon.control, "reload",
        check=False).returncode == 0)
    pid = int(lab.gw.run("sh", "-c", f"ss -xlpH src {daemon.control} | "
                         "grep -o 'pid=[0-9]*' | cut -d= -f2").stdout)
    try:
        wait_for("a line", lambda: os.kill(pid, signal.SIGHUP) or
                 "config: reloaded" in syslog.output(), 10, 0.2)
        assert "portico[" in syslog.output(), syslog.output()
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_for("its end", lambda: gone(pid))
        syslog.stop()
    lab.gw.run(PORTICOD, "--remove-guard")


def refused(lab, *wrap, **config):
    lab.need_sandbox()
    lab.stop()
    daemon = lab.second_daemon(**config)
    daemon.wrap = list(wrap)
    daemon.start(ready=None)
    return daemon


# Rights are missing, or a container or a jail (ujail's does) has forbidden that
# they are kept over a change of the user.
WITHOUT_USER = (("setpriv", "--bounding-set", "-setuid,-sys_chroot"),
                ("setpriv", "--securebits", "+keep_caps_locked"))


def test_require_refuses_what_is_not_whole(lab):
    for wrap in WITHOUT_USER:
        daemon = refused(lab, *wrap, sandbox="require")
        assert daemon.process.wait(10) == 1, daemon.log()
        last = daemon.log().strip().split("\n")[-1]
        assert "sandbox" in last and "its own user" in last, daemon.log()
        assert not os.path.exists(daemon.control)
        lab.gw.run(PORTICOD, "--remove-guard")


def test_auto_goes_on_with_what_there_is(lab):
    for wrap in WITHOUT_USER:
        daemon = refused(lab, *wrap)
        daemon.wait_ready()
        assert "not everything can be had here" in daemon.log(), daemon.log()
        found = status(daemon.process.pid)
        assert found["Seccomp"] == "2" and found["NoNewPrivs"] == "1", found
        check_capabilities(found, NET_ADMIN, 0)
        assert daemon.stop() == 0


def test_require_starts_where_all_can_be_had(lab):
    daemon, pid = started(lab, sandbox="require")
    assert status(pid)["Seccomp"] == "2"


def what_the_manual_names():
    """Only the capabilities that it needs by porticod(8)."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        "../../platform/man/porticod.8")
    with open(path) as file:
        told = re.search(r"For all of this it needs\n(.*?)what is missing",
                         file.read(), re.S)[1]
    names = re.findall(r"CAP_([A-Z_]+)", told)
    kept = ",".join("+" + name.lower() for name in names)
    return ["setpriv", "--bounding-set", "-all," + kept, "--no-new-privs"]


def test_what_the_manual_names_is_enough(lab):
    lab.need_sandbox()
    daemon = lab.start(fresh=True, wrap=what_the_manual_names(),
                       sandbox="require")
    with Who(lab.wan, udp=[(R1, 7353)]):
        sock = lab.lan1.udp(L1, 5353)
        assert ask(sock, (R1, 7353)).startswith(E + ":")
        sock.close()
    daemon.run("reload")
    assert lab.gw.sysctl("net.ipv4.ip_forward") == "1"
    lab.daemon = None
    assert daemon.stop() == 0, daemon.log()


def test_off_leaves_both_as_they_were(lab):
    daemon, pid = started(lab, sandbox="off")
    for process in (pid, helper_of(pid)):
        found = status(process)
        assert found["Seccomp"] == "0" and found["Uid"].split()[0] == "0"
    daemon.run("reload")
