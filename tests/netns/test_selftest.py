# SPDX-License-Identifier: GPL-2.0-or-later
"""portico selftest: through the kernel, beside a live daemon, without root;
that it finds a faulty gateway, and leaves nothing behind."""
import glob
import json
import os
import shutil
import signal
import threading

from daemon import PORTICO, PORTICOD
from lab import L1, R1
from netns import wait_for
from tools import Who, all_rules, ask, limit

SECONDS = 100
KEYS = {"way", "reason", "backend", "config", "probes", "mapping",
        "filtering", "hairpin", "fragments", "port_preservation",
        "lifetime_s", "nat_type", "refused", "good"}
NAMES = {"udp_mapping", "tcp_mapping", "udp_filtering", "tcp_filtering",
         "port_preservation", "low_ports", "collision", "parity",
         "determinism", "udp_hairpin", "tcp_hairpin", "hairpin_source",
         "fragments_out", "fragments_out_reversed", "fragments_in",
         "fragments_in_reversed", "icmp_error", "icmp_error_harmless",
         "icmp_queries", "simultaneous_open", "unsolicited_syn",
         "udp_payload", "tcp_payload", "checksums", "no_leak",
         "udp_lifetime", "tcp_lifetime", "icmp_lifetime",
         "udp_lifetime_reported"}
EIF, ADF, APDF = ("endpoint-independent", "address-dependent",
                  "address-and-port-dependent")


def config_file(lab, name, **config):
    path = os.path.join(lab.directory, name + ".conf")
    with open(path, "w") as file:
        json.dump(config, file)
    os.chmod(path, 0o644)
    return path


def begin(lab, *arguments, program=PORTICO, wrap=()):
    return lab.gw.start(*wrap, program, "--json", "selftest", *arguments)


def result(process, status=0):
    """What it found; its exit status must be this."""
    got = process.wait(SECONDS)
    said = process.output()
    assert got == status, f"exit {got}: {said}"
    return json.loads(said)


def results(report):
    return {probe["name"]: probe["result"] for probe in report["probes"]}


def not_passed(report):
    return {name: what for name, what in results(report).items()
            if what != "pass"}


def kernel(report):
    assert report["way"] == "kernel" and report["reason"] is None, report
    return report


@limit(SECONDS)
def test_the_kernel_path_shows_what_is_configured(lab):
    lab.need_portico()
    # All at once: each waits 6 s for silence.
    cases = [(EIF, ADF, "full cone", "A"), (ADF, APDF, "restricted cone", "A"),
             (APDF, EIF, "port-restricted cone", "B")]
    running = [begin(lab, "--config", config_file(
        lab, udp, filtering={"udp": udp, "tcp": tcp}))
        for udp, tcp, _, _ in cases]
    for process, (udp, tcp, classic, nintendo) in zip(running, cases):
        report = kernel(result(process))
        assert report["good"], report
        assert report["mapping"] == {"udp": EIF, "tcp": EIF}, report
        assert report["filtering"] == {"udp": udp, "tcp": tcp}, report
        assert report["nat_type"]["classic"] == classic, report
        assert report["nat_type"]["nintendo"] == nintendo, report
        assert not_passed(report) == (
            {} if udp == EIF and tcp == ADF else
            {"tcp_filtering": "configured"} if tcp == APDF else
            {"udp_filtering": "configured"}), report


@limit(SECONDS)
def test_the_contract(lab):
    lab.need_portico()
    path = config_file(lab, "other", timeouts={"udp": 90}, behaviour={
        "hairpin": False, "icmp_after_6s": True, "parity": False})
    first, second = begin(lab, "--config", path), lab.gw.start(
        PORTICO, "selftest", "--config", path)
    report = kernel(result(first))
    assert set(report) == KEYS, set(report) ^ KEYS
    assert set(results(report)) == NAMES, set(results(report)) ^ NAMES
    assert all(set(p) == {"name", "result", "found", "requirement"}
               for p in report["probes"]), report
    assert report["config"] == path and report["backend"], report
    assert report["hairpin"] == {"udp": False, "tcp": False}, report
    assert report["fragments"] == "in and out of order", report
    assert report["port_preservation"] is True, report
    life = report["lifetime_s"]
    assert (life["udp"], life["tcp"], life["icmp"]) == (90, 7440, 60), life
    assert 85 <= life["udp_reported"] <= 90 and "below" in life["udp_class"]
    assert set(report["nat_type"]) == {"classic", "nintendo", "xbox",
                                       "playstation"}, report
    wrong = not_passed(report)
    wrong.pop("parity", None)  # not kept, or kept by chance
    assert wrong == {
        "udp_hairpin": "configured", "tcp_hairpin": "configured",
        "hairpin_source": "skipped", "udp_lifetime": "configured",
        "udp_lifetime_reported": "configured"}, wrong
    assert second.wait(SECONDS) == 0, second.output()
    lines = second.output().split("\n")
    for line in (f"configuration: {path}",
                 "hairpin:           no",
                 "verdict:           all as the configuration promises"):
        assert line in lines, second.output()
    assert any(line.startswith("way: kernel path (") for line in lines)
    for wrong in (["--port", "5"], ["word"]):
        done = lab.gw.run(PORTICO, "selftest", *wrong, check=False)
        assert done.returncode == 2, done
    done = lab.gw.run(PORTICO, "selftest", "--config", "/nonexistent",
                      check=False)
    assert done.returncode == 1 and "/nonexistent" in done.stderr, done


class Talk:
    """A host asks a server again and again."""

    def __init__(self, lab, server):
        self.sock, self.server = lab.lan1.udp(L1, 49152), server
        self.first = ask(self.sock, server)
        self.count, self.error = 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.over.wait(0.01):
                assert ask(self.sock, self.server, tries=1) == self.first
                self.count += 1
        except Exception as error:
            self.error = error

    def end(self):
        self.over.set()
        self.thread.join(10)
        self.sock.close()
        assert self.error is None, self.error
        return self.count


@limit(SECONDS)
def test_a_live_daemon_is_not_disturbed(lab):
    lab.need_portico()
    # Port 49152 of 192.168.1.10 is what the probes use in their own network.
    daemon = lab.start(fresh=True, filtering={"udp": APDF})
    settings = ["net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_forward",
                "net.ipv4.conf.all.send_redirects"]

    def state():
        return ([lab.gw.sysctl(name) for name in settings],
                all_rules(lab.gw), lab.gw.ip("-o addr"),
                sorted(os.listdir(lab.directory)))

    before = state()
    with Who(lab.wan, udp=[(R1, 7170)]):
        talk = Talk(lab, (R1, 7170))
        report = kernel(json.loads(daemon.run(
            "--json", "selftest", timeout=SECONDS).stdout))
        count = talk.end()
    # By the daemon's configuration, though none was named.
    assert report["config"] == daemon.path, report
    assert report["filtering"]["udp"] == APDF and report["good"], report
    assert count > 50, f"only {count} answers meanwhile"
    assert state() == before
    rows = lab.portico("mappings")["mappings"]
    assert [row["inside"] for row in rows] == [f"{L1}:49152"], rows
    assert lab.portico("status")["drops"] == {}, lab.portico("status")


# --- what is missing -----------------------------------------------------------

def programs(lab, name, porticod=None):
    """portico in a folder of its own, with this porticod (a script), or the
    real one beside it. Returns both paths."""
    folder = os.path.join(lab.directory, name)
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    paths = [shutil.copy(program, folder) for program in (PORTICO, PORTICOD)]
    if porticod is not None:
        os.unlink(paths[1])
        with open(paths[1], "w") as file:
            file.write("#!/bin/sh\n" + porticod)
    for path in paths:
        os.chmod(path, 0o755)
    return paths


def test_without_root_it_is_the_engine_alone(lab):
    lab.need_portico()
    portico, _ = programs(lab, "nobody")
    path = config_file(lab, "nobody", filtering={"udp": ADF})
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534",
              "--clear-groups"]
    report = result(begin(lab, "--config", path, program=portico,
                          wrap=nobody))
    assert (report["way"], report["reason"]) == ("engine", "not root"), report
    assert report["backend"] is None and report["good"], report
    assert report["filtering"] == {"udp": ADF, "tcp": ADF}, report
    assert report["lifetime_s"]["udp_reported"] is None, report
    done = lab.gw.run(*nobody, portico, "selftest", "--config", path)
    assert "\nway: engine alone (not root)\n" in done.stdout, done.stdout
    # Root without the right to make namespaces.
    report = result(begin(lab, "--config", path, program=portico, wrap=[
        "setpriv", "--bounding-set", "-sys_admin"]))
    assert report["way"] == "engine", report
    assert "no network namespaces: " in report["reason"], report


def test_a_daemon_that_cannot_start_is_the_reason(lab):
    lab.need_portico()
    portico, porticod = programs(
        lab, "refuses", "echo first >&2; echo 'porticod: no queue' >&2; "
                        "exit 1\n")
    path = config_file(lab, "refuses")
    report = result(begin(lab, "--config", path, program=portico))
    assert report["way"] == "engine" and report["good"], report
    assert report["reason"].endswith(": porticod: no queue"), report
    os.unlink(porticod)
    report = result(begin(lab, "--config", path, program=portico))
    assert report["reason"] == "porticod is not where portico is", report


@limit(SECONDS)
def test_a_faulty_gateway_fails(lab):
    lab.need_portico()
    portico, _ = programs(lab, "faulty", f"""
nft -f - <<END
add table ip faulty
add chain ip faulty forward {{ type filter hook forward priority 0; }}
add rule ip faulty forward oifname inside0 udp sport 3479 drop
add rule ip faulty forward oifname inside0 icmp type 3 drop
END
exec {PORTICOD} "$@"
""")
    report = kernel(result(begin(lab, "--config", config_file(lab, "faulty"),
                                 program=portico), status=1))
    assert report["good"] is False, report
    assert not_passed(report) == {"udp_filtering": "fail",
                                  "icmp_error": "fail"}, not_passed(report)
    assert report["filtering"]["udp"] == APDF, report


# --- what is left ----------------------------------------------------------------

def processes_of(program):
    """The running processes of this very file."""
    found = []
    for link in glob.glob("/proc/[0-9]*/exe"):
        try:
            if os.readlink(link).split(" (deleted)")[0] == program:
                found.append(int(link.split("/")[2]))
        except OSError:
            pass
    return found


def namespaces_of(pids):
    found = set()
    for pid in pids:
        for kind in ("net", "mnt", "pid"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                pass
    return found


def everything():
    return [int(path.split("/")[2]) for path in glob.glob("/proc/[0-9]*")]


def traces(lab):
    """What a run might leave where it ran."""
    with open("/proc/self/mounts") as file:
        mounts = [line for line in file if line.split()[1] == "/run"]
    return (mounts, all_rules(lab.gw), lab.gw.ip("-o link"),
            os.path.exists("/run/portico/selftest.sock"),
            sorted(os.listdir(lab.directory)))


@limit(SECONDS)
def test_nothing_is_left_behind(lab):
    lab.need_portico()
    lab.stop()
    lab.remove_guard()
    portico, porticod = programs(lab, "leaves")
    path = config_file(lab, "leaves")
    before, ours = traces(lab), namespaces_of(everything())
    for number in (None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = begin(lab, "--config", path, program=portico)
        daemons = wait_for("the daemon", lambda: processes_of(porticod))
        # While it works, or as soon as the daemon is there.
        if number in (None, signal.SIGTERM):
            wait_for("its rules", lambda: os.path.exists(
                f"/proc/{daemons[0]}/root/run/portico/selftest.sock"))
        made = namespaces_of(daemons[:1]) - ours
        if number is None:
            assert {name.split(":")[0] for name in made} == {
                "net", "mnt", "pid"}, made
            result(process)
        else:
            process.stop(number)
        # A namespace's number is given again to others, all of them are not.
        made = {name for name in made if not name.startswith("net")}
        wait_for("the end of every process", lambda: not (
            processes_of(portico) or processes_of(porticod) or any(
                made and made <= namespaces_of([pid])
                for pid in everything())), 5)
        assert traces(lab) == before
