#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Shows Portico at work: a throw-away network in network namespaces, real
programs talking through the gateway, and the translation table while they do.
Exits 0 only when every step really worked. Needs root; leaves nothing behind.
"""
import contextlib
import re
import shlex
import sys
import time

sys.dont_write_bytecode = True
from daemon import missing_programs  # noqa: E402
from lab import (E, L1, L2, R1, R2, Lab, cannot_run,  # noqa: E402
                 clean_up_on_signals)
from netns import wait_for  # noqa: E402
from tools import dns_server, httpd  # noqa: E402

PORT = 40000  # both hosts use it towards the same server
DRAWING = f"""
   lan1  {L1} --+                              +-- server R1 {R1}
                        +-- lan0 [ porticod ] wan0 ----+
   lan2  {L2} --+   192.168.1.1   {E}   +-- server R2 {R2}
"""
CONFIG = {"forwards": [{"name": "web-on-lan1", "proto": "tcp",
                        "outside": 8080, "to": f"{L1}:80"}]}


def title(text):
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty()
          else f"\n== {text}", flush=True)


def say(text):
    print(f"   {text}", flush=True)


def show(text):
    for line in text.rstrip().split("\n"):
        print(f"     {line}")
    sys.stdout.flush()


def role(space):
    return space.name.rsplit("-", 1)[1]


class Flow:
    """A program started in the background whose output is judged later."""

    def __init__(self, space, *argv):
        self.space = space
        self.line = f"{role(space)}$ " + shlex.join(map(str, argv))
        self.process = space.start(*argv)
        say(self.line)

    def finish(self, pattern, seconds=30):
        """The program ended well and said what matches the pattern."""
        status = self.process.wait(seconds)
        output = self.process.output()
        found = re.search(pattern, output)
        assert status == 0 and found, f"{self.line}: exit {status}: {output}"
        say(f"{self.line.split('$')[0]}: "
            f"{' '.join(found.group(0).split())}")
        return found


def start_flows(lab):
    curls = [Flow(space, "curl", "-sS", "--local-port", PORT, "--limit-rate",
                  "4M", "-o", "/dev/null", "-w",
                  "curl got %{size_download} bytes from %{remote_ip}",
                  f"http://{R1}/16000000") for space in (lab.lan1, lab.lan2)]
    digs = [Flow(space, "dig", f"@{R2}", "-b", f"{own}#{PORT}", "+noall",
                 "+answer", "+tries=3", "+time=1", "host.example.test")
            for space, own in ((lab.lan1, L1), (lab.lan2, L2))]
    pings = [Flow(space, "ping", "-n", "-e", 7, "-c", 10, "-i", "0.3", R1)
             for space in (lab.lan1, lab.lan2)]
    iperfs = [Flow(lab.lan1, "iperf3", "-c", R2, "-p", 5201, "-t", 3, "-f",
                   "m"),
              Flow(lab.lan2, "iperf3", "-c", R2, "-p", 5202, "-t", 3, "-f",
                   "m", "-u", "-b", "5M", "-l", 1200)]
    return curls, digs, pings, iperfs


def look(lab):
    """The table and the status while everything flows."""
    def flowing():
        ports = [lab.mapping(f"{own}:{PORT}", "tcp") for own in (L1, L2)]
        sessions = lab.portico("sessions")["sessions"]
        return all(ports) and len(sessions) >= 10 and ports

    one, two = wait_for("all the flows in the table", flowing, 5)
    title("portico mappings (while the traffic flows)")
    show(lab.daemon.run("mappings").stdout)
    title("portico status")
    show(lab.daemon.run("status").stdout)
    title("Two hosts, one source port, one server")
    for mapping in (one, two):
        say(f"{mapping['inside']} -> {R1}:80 leaves as {mapping['outside']}")
    assert one["outside"] != two["outside"], "one outside port for two hosts"
    assert all(m["outside"].startswith(E + ":") for m in (one, two))


def finish_flows(flows):
    curls, digs, pings, iperfs = flows
    title("What the programs say")
    for flow in curls:
        flow.finish(r"curl got 16000000 bytes from .*")
    for flow in digs:
        flow.finish(r"host\.example\.test.*192\.0\.2\.80")
    for flow in pings:
        flow.finish(r"10 packets transmitted, 10 received, 0% packet loss")
    iperfs[0].finish(r"[\d.]+ \w+ +[\d.]+ Mbits/sec +receiver")
    lost = iperfs[1].finish(r"[\d.]+ Mbits/sec +[\d.]+ ms +\d+/\d+ "
                            r"\([\d.e+-]+%\) +receiver").group(0)
    assert float(re.search(r"\(([\d.e+-]+)%", lost).group(1)) < 20, lost


def outside_to_forward(lab):
    title("A forward used from outside: "
          f"{E}:8080 leads to {L1}:80")
    say(f"R2$ curl --interface {R2} http://{E}:8080/who")
    seen = lab.wan.run("curl", "-sS", "--max-time", 5, "--interface", R2,
                       f"http://{E}:8080/who").stdout.strip()
    say(f"the web server on lan1 saw {seen}")
    assert seen.startswith(R2 + ":"), seen


def hairpin(lab):
    title("A hairpin connection: lan2 uses the outside address")
    say(f"lan2$ curl http://{E}:8080/who")
    seen = lab.lan2.run("curl", "-sS", "--max-time", 5,
                        f"http://{E}:8080/who").stdout.strip()
    say(f"the web server on lan1 saw {seen}, not {L2}")
    assert seen.startswith(E + ":"), seen
    hairpins = lab.portico("status")["packets"]["hairpin"]
    assert hairpins > 0, "no packet was counted as hairpin"
    title("portico mappings --host " + L1)
    show(lab.daemon.run("mappings", "--host", L1).stdout)


def demonstrate(lab):
    title("A network in namespaces")
    print(DRAWING)
    title("porticod starts")
    began = time.monotonic()
    lab.start(**CONFIG)
    say(f"ready after {time.monotonic() - began:.2f} s")
    show(lab.daemon.log())
    with contextlib.ExitStack() as servers:
        servers.enter_context(httpd(lab.wan, R1))
        servers.enter_context(dns_server(lab.wan, R2))
        servers.enter_context(httpd(lab.lan1, L1))
        for number in (5201, 5202):
            servers.enter_context(lab.wan.running("iperf3", "-s", "-B", R2,
                                                  "-p", number))
            lab.wan.wait_listener(number)
        title("Both hosts use the net: curl, dig, ping and iperf3")
        flows = start_flows(lab)
        look(lab)
        finish_flows(flows)
        outside_to_forward(lab)
        hairpin(lab)
    lab.check()
    title("Nothing with an inside address was seen outside")
    say("porticod stops, the network goes")


def main():
    clean_up_on_signals()
    reason = missing_programs() or cannot_run()
    if reason:
        sys.exit(f"demo: cannot run: {reason}")
    try:
        with Lab(nat="portico") as lab:
            demonstrate(lab)
            lab.stop()
    except Exception as error:
        sys.exit(f"\ndemo: FAILED: {type(error).__name__}: {error}")
    print("\ndemo: every step worked")


if __name__ == "__main__":
    main()
