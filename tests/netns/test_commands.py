# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command makes of the daemon's answers, while real traffic flows."""
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

from daemon import PORTICO
from lab import E, GW, L1, L2, R1, R2
from netns import wait_for
from tools import Who, ask, ask_tcp

SAMPLE = re.compile(r'([a-z_]+)(?:\{(\w+="[^"\\]*"(?:,\w+="[^"\\]*")*)\})? '
                    r'(\d+)')


def exposition(text):
    """{(name, labels): number} of the text format of Prometheus, strictly:
    HELP, TYPE, then all samples of a metric, each of them once."""
    found, told, metric, step = {}, set(), None, "sample"
    assert text.endswith("\n"), text[-100:]
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            assert step == "sample", line
            metric, step = line.split(" ", 3)[2], "help"
            assert metric not in told and line.split(" ", 3)[3], line
            told.add(metric)
        elif line.startswith("# TYPE "):
            kind = "counter" if metric.endswith("_total") else "gauge"
            assert step == "help" and line == f"# TYPE {metric} {kind}", line
            step = "sample"
        else:
            match = SAMPLE.fullmatch(line)
            assert match and match[1] == metric and step == "sample", line
            assert match.group(1, 2) not in found, line
            found[match.group(1, 2)] = int(match[3])
    assert step == "sample", metric
    return found


def test_metrics_are_those_of_the_status(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7180)]):
        sock = lab.lan1.udp()
        for _ in range(5):
            ask(sock, (R1, 7180))
        sock.close()
    found = exposition(daemon.run("metrics").stdout)
    status = lab.portico("status")
    assert found["portico_up", None] == 1
    assert found["portico_mappings", None] == status["mappings"]["used"] == 1
    assert found["portico_hosts", None] == 1
    assert found["portico_packets_total", 'direction="outbound"'] >= 5
    for proto, counts in status["ports"].items():
        for state, count in counts.items():
            labels = f'proto="{proto}",state="{state}"'
            assert found["portico_ports", labels] == count, labels
    assert found["portico_warnings", None] == len(status["warnings"])
    # Who may only look may collect.
    again = exposition(daemon.run("metrics",
                                  socket=daemon.control_read).stdout)
    assert again.keys() == found.keys()


def test_metrics_say_that_the_daemon_is_gone(lab):
    lab.need_portico()
    daemon = lab.start()
    lab.stop()
    done = daemon.run("metrics", check=False)
    assert done.returncode == 3 and "no daemon answers" in done.stderr, done
    assert exposition(done.stdout) == {("portico_up", None): 0}
    done = daemon.run("--json", "metrics", check=False)
    assert done.returncode == 2 and not done.stdout, done


def whois(daemon, *arguments, code=0):
    """The inside sockets that it names, of what is for programs."""
    done = daemon.run("--json", "whois", *arguments, check=False)
    assert done.returncode == code, done
    return [found["inside"] for found in json.loads(done.stdout)["whois"]]


@contextlib.contextmanager
def two_flows(lab):
    """Both hosts send to R1 by the same inside port, the second also to R2:
    what the peers saw of them as outside ports."""
    with Who(lab.wan, udp=[(R1, 7181), (R2, 7181)]):
        socks = [lab.lan1.udp(L1, 40000), lab.lan2.udp(L2, 40000)]
        seen = [ask(sock, (R1, 7181)) for sock in socks]
        ask(socks[1], (R2, 7181))
        assert all(one.startswith(E + ":") for one in seen), seen
        yield [one.partition(":")[2] for one in seen]
        for sock in socks:
            sock.close()


def test_whois_finds_the_device_of_a_flow(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with two_flows(lab) as (one, other):
        assert whois(daemon, one) == [f"{L1}:40000"]
        # The inside port of both is the outside one of the first.
        assert whois(daemon, other) == [f"{L2}:40000"]
        assert whois(daemon, f"{E}:{other}", "--proto", "udp") == \
            [f"{L2}:40000"]
        assert whois(daemon, one, "--proto", "tcp", code=1) == []
        assert whois(daemon, other, "--peer", R2) == [f"{L2}:40000"]
        assert whois(daemon, one, "--peer", R2, code=1) == []
        text = daemon.run("whois", other, "--peer", R1).stdout.split()
        assert {"udp", f"{E}:{other}", f"{L2}:40000", "dynamic",
                "2"} <= set(text), text
        # Who may only look may ask as well.
        assert L1 in daemon.run("whois", one,
                                socket=daemon.control_read).stdout
    with Who(lab.wan, tcp=[(R1, 7182)]):
        sock = lab.lan1.tcp((R1, 7182))
        port = ask_tcp(sock).partition(":")[2]
        inside = f"{L1}:{sock.getsockname()[1]}"
        assert inside in whois(daemon, port, "--proto", "tcp", "--peer", R1)
        sock.close()


def test_whois_names_the_forward(lab):
    lab.need_portico()
    daemon = lab.start(forwards=[{"name": "web", "proto": "tcp",
                                  "outside": 8080, "to": f"{L1}:80"}])
    assert whois(daemon, "8080") == [f"{L1}:80"]
    text = daemon.run("whois", f"{E}:8080").stdout
    assert "forward" in text and text.rstrip().endswith("web"), text


def test_whois_says_that_nothing_was_found(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    for arguments, sentence in (
            (("4242",), "no mapping has outside port 4242 now; a mapping that "
                        "has expired is not remembered"),
            ((f"{E}:4242", "--proto", "udp"),
             "no udp mapping has outside port 4242 now; a mapping that has "
             "expired is not remembered"),
            (("4242", "--peer", R1),
             f"no mapping with outside port 4242 talks to {R1} now; a session "
             "that has ended is not remembered"),
            ((f"{GW}:4242",),
             f"{GW} is not the uplink's address, which is {E}")):
        done = daemon.run("whois", *arguments, check=False)
        assert (done.returncode, done.stdout, done.stderr) == \
            (1, "", f"portico: {sentence}\n"), done
    done = daemon.run("--json", "whois", f"{GW}:4242", check=False)
    assert done.returncode == 1 and "error" in json.loads(done.stdout), done


# --- top ---------------------------------------------------------------------

PAYLOAD, PACKET = 1000, 1028  # bytes; with the headers


@contextlib.contextmanager
def running(daemon, *arguments, stdout=subprocess.PIPE):
    process = subprocess.Popen(
        [PORTICO, "--socket", daemon.control, *arguments], text=True,
        stdout=stdout, stderr=subprocess.PIPE if stdout == subprocess.PIPE
        else stdout)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def send_until(process, sock, peer, per_second):
    """Sends datagrams and has them answered, steadily, while the program runs:
    how many a second it came to."""
    sock.setblocking(False)
    began, sent = time.monotonic(), 0
    while process.poll() is None:
        passed = time.monotonic() - began
        while sent < passed * per_second:
            sock.sendto(b"x" * PAYLOAD, peer)
            sent += 1
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.recv(4096)
        time.sleep(0.01)
    return sent / (time.monotonic() - began)


def near(found, sent):
    return sent / 2 < found < sent * 2


def test_top_measures_what_is_sent(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7183)]), \
            running(daemon, "--json", "top", "--count", "1") as process:
        idle, busy = lab.lan2.udp(), lab.lan1.udp()
        ask(idle, (R1, 7183))
        sent = send_until(process, busy, (R1, 7183), 200)
        lines = process.stdout.read().splitlines()
        idle.close()
        busy.close()
    assert process.returncode == 0 and len(lines) == 1, lines
    report = json.loads(lines[0])["top"]
    assert 1.9 < report["seconds"] < 20, report
    first, second = report["hosts"]
    assert (first["address"], second["address"]) == (L1, L2), report
    for way in ("out", "in"):
        assert near(first[f"{way}_packets_per_s"], sent), (sent, report)
        assert near(first[f"{way}_bits_per_s"], sent * PACKET * 8), \
            (sent, report)
    assert first["mappings"] == first["sessions"] == 1, report


def test_top_prints_reports_without_escapes(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with Who(lab.wan, udp=[(R1, 7184)]):
        sock = lab.lan1.udp()
        ask(sock, (R1, 7184))
        sock.close()
    text = daemon.run("top", "--interval", "1", "--count", "2").stdout
    assert text.count("1 hosts, 1 mappings, 1 sessions") == 2, text
    assert text.count(f"\n{L1} ") == 2 and "\033" not in text, text


def test_top_into_a_file_ends_with_the_daemon(lab):
    lab.need_portico()
    daemon = lab.start()
    with running(daemon, "top", "--interval", "1", "--count", "50") as process:
        process.stdout.readline()  # the first report
        lab.stop()
        assert "no daemon answers" in process.communicate(timeout=20)[1]
        assert process.returncode == 3, process.returncode


class Screen:
    """What a program writes to a terminal of this size."""

    def __init__(self, rows, columns):
        self.ours, self.its = pty.openpty()
        fcntl.ioctl(self.its, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self.ours, False)
        self.text = ""

    def shows(self, text, count=1):
        def read():
            with contextlib.suppress(BlockingIOError):
                while more := os.read(self.ours, 65536):
                    self.text += more.decode()
            return self.text.count(text) >= count
        wait_for(f"{text!r} on the screen", read, 15)

    def close(self):
        os.close(self.ours)
        os.close(self.its)


def test_top_at_a_terminal_outlives_the_daemon(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    screen = Screen(5, 30)
    with Who(lab.wan, udp=[(R1, 7185)]):
        for space in (lab.lan1, lab.lan2):
            sock = space.udp()
            ask(sock, (R1, 7185))
            sock.close()
    with running(daemon, "top", "--interval", "1", stdout=screen.its) as process:
        screen.shows("\033[J", 3)
        daemon.stop()
        screen.shows("no daemon answers")
        daemon.start()
        gone = screen.text.rindex("no daemon answers")
        screen.shows("ADDRESS", screen.text.count("ADDRESS") + 1)
        assert "ADDRESS" in screen.text[gone:], screen.text[gone:]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
    screen.close()
    frames = re.findall(r"\033\[H((?:[^\033]*\033\[K\r\n)+)\033\[J",
                        screen.text)
    assert len(frames) >= 2, screen.text
    for frame in frames:  # totals, a blank line, titles, no room for more
        lines = frame.replace("\033[K", "").split("\r\n")[:-1]
        assert len(lines) == 4 and lines[3].startswith("ADDRESS"), lines
        assert max(len(line) for line in lines) <= 30, lines


def test_top_wants_sound_numbers(lab):
    lab.need_portico()
    daemon = lab.start()
    for arguments in (("--interval", "0"), ("--interval", "0.5"),
                      ("--count", "0"), ("--count", "-1"), ("--port", "1")):
        done = daemon.run("top", *arguments, check=False)
        assert done.returncode == 2 and not done.stdout, done
