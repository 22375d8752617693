# SPDX-License-Identifier: GPL-2.0-or-later
"""`portico watch` tells what happens, while it happens."""
import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
import types

from lab import E, L1, L2, Lab, R1
from netns import wait_for
from test_commands import Screen, running
from test_uplink_moves import OTHER, move
from tools import Who, ask


class Events:
    """What a watch tells; it has looked once before anything else is done."""

    def __init__(self, daemon, process):
        self.process, self.text = process, ""
        os.set_blocking(process.stdout.fileno(), False)
        looks_twice(daemon)

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while more := os.read(self.process.stdout.fileno(), 65536):
                self.text += more.decode()
        assert not self.text or self.text.endswith("\n"), self.text
        return [json.loads(line) for line in self.text.splitlines()]

    def find(self, **members):
        return [event for event in self.read()
                if members.items() <= event.items()]

    def wait(self, count=1, **members):
        wait_for(f"{members} in {self.text}",
                 lambda: len(self.find(**members)) >= count, 15)
        return self.find(**members)[-1]


def looks_twice(daemon):
    """Two requests each; what asks for their number is counted, too."""
    def requests():
        return daemon.json("status")["control"]["requests"]

    asked, first = 0, requests()

    def looked():
        nonlocal asked
        asked += 1
        return requests() - first - asked >= 4
    wait_for("two looks of a watch", looked, 15, 0.1)


@contextlib.contextmanager
def watching(lab, daemon, *arguments):
    with Who(lab.wan, udp=[(R1, 7190)]), \
            running(daemon, "--json", "watch", *arguments) as process:
        yield Events(daemon, process)


def send(space, *where):
    """A datagram and its answer: the inside socket, and the outside one."""
    sock = space.udp(*where)
    outside = ask(sock, (R1, 7190))
    address, port = sock.getsockname()
    sock.close()
    return f"{where[0] if where else address}:{port}", outside


def test_begin_end_and_drops_are_told(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with watching(lab, daemon) as events:
        before = time.time()
        inside, outside = send(lab.lan1, L1, 40100)
        began = events.wait(event="began", inside=inside)
        assert (began["proto"], began["outside"], began["kind"]) == \
            ("udp", outside, "dynamic"), began
        assert before - 2 < began["time"] < time.time() + 1, began
        assert set(lab.mapping(inside)) | {"time", "event", "host_name"} == \
            set(began), began
        stranger = lab.wan.udp(R1)
        for _ in range(3):
            stranger.sendto(b"hello", (E, 40999))
        stranger.close()
        wait_for("three drops", lambda: sum(
            event["packets"] for event in
            events.find(event="dropped", reason="no_mapping")) >= 3, 15)
        daemon.run("flush", "--host", L1)
        ended = events.wait(event="ended", inside=inside)
        assert ended["out_packets"] >= 1 <= ended["in_packets"], ended
        assert ended["out_bytes"] > 0 < ended["in_bytes"], ended
        # Another life of the same socket.
        send(lab.lan1, L1, 40100)
        events.wait(2, event="began", inside=inside)
        lives = [event["event"] for event in events.find(inside=inside)]
        assert lives == ["began", "ended", "began"], events.text


def test_filters_choose_mappings_and_leave_out_drops(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with watching(lab, daemon, "--host", L2, "--proto", "udp",
                  "--port", "40101") as events:
        send(lab.lan1, L1, 40101)
        send(lab.lan2, L2, 40102)
        stranger = lab.wan.udp(R1)
        stranger.sendto(b"hello", (E, 40999))
        stranger.close()
        looks_twice(daemon)
        inside, _ = send(lab.lan2, L2, 40101)
        events.wait(event="began")
        found = events.read()
        assert [event["inside"] for event in found] == [inside], found
    text = daemon.run("watch", "--count", "1", "--host", L2).stdout
    assert text == "", text


def test_a_restart_and_a_stop_of_the_daemon_are_told(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    with watching(lab, daemon) as events:
        inside, _ = send(lab.lan1, L1, 40103)
        events.wait(event="began", inside=inside)
        # Between two looks: it is told right after one.
        events.process.send_signal(signal.SIGSTOP)
        daemon.stop()
        daemon.start()
        events.process.send_signal(signal.SIGCONT)
        again = events.wait(event="restarted")
        assert again["uptime_s"] < 20 and again["version"], again
        lab.stop()
        events.wait(event="gone")
        assert events.process.wait(20) == 3, events.text
        assert "no daemon answers" in events.process.stderr.read()
        # The table outlives a restart, and so do the mappings for a watch.
        assert not events.find(event="ended"), events.text
        assert events.read()[-1]["event"] == "gone", events.text


def test_another_address_is_told_once_for_all_mappings(lab):
    lab.need_portico()
    with Lab() as own, watching(own, own.start()) as events:
        inside, _ = send(own.lan1, L1, 40104)
        events.wait(event="began", inside=inside)
        move(own)
        told = events.wait(event="address", address=OTHER)
        assert told["device"] == "wan0", told
        looks_twice(own.daemon)
        assert not events.find(event="ended"), events.text


def test_at_a_terminal_it_outlives_the_daemon(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True)
    screen = Screen(24, 200)
    with Who(lab.wan, udp=[(R1, 7190)]), \
            running(daemon, "watch", stdout=screen.its) as process:
        looks_twice(daemon)
        inside, outside = send(lab.lan1, L1, 40105)
        screen.shows(f" began   udp {inside} by {outside}\r\n")
        daemon.stop()
        screen.shows(" gone    no daemon answers\r\n")
        daemon.start()
        screen.shows(" restart porticod ")
        daemon.run("flush", "--host", L1)
        screen.shows(f" ended   udp {inside} by {outside} after ")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    screen.close()
    # Said once however long it was away.
    lines = [line for line in screen.text.split("\r\n") if line]
    assert sum("is porticod running" in line for line in lines) <= 1, lines
    assert sum(" gone " in line for line in lines) == 1, lines
    for line in lines:
        assert line.startswith("portico: ") or \
            re.match(r"\d\d:\d\d:\d\d [a-z]{4,7} +\S", line), line
    assert re.search(r" ended .* after \d+s, out [1-9]\d* packets \S+B, "
                     r"in [1-9]\d* packets \S+B$", "\n".join(lines),
                     re.MULTILINE), lines


@contextlib.contextmanager
def answering(path, answers):
    """No daemon, but its socket: each request gets the answer to its command;
    how many came is in the list."""
    came = []

    def serve():
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                with ear.accept()[0] as sock:
                    command = json.loads(sock.recv(4096))["command"]
                    came.append(command)
                    sock.sendall(answers[command].encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as ear:
        ear.bind(path)
        ear.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield came
        finally:
            ear.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def test_an_answer_that_is_none_is_said_once(lab):
    lab.need_portico()
    path = os.path.join(lab.directory, "odd.sock")
    good, bad = '{"mappings":[]}', '{"mapping":[]}'
    answers = {"status": "{}", "mappings": bad}
    line = "portico: the daemon's answer is no list of mappings"
    with answering(path, answers) as came:
        stub, screen = types.SimpleNamespace(control=path), Screen(24, 200)
        with running(stub, "--json", "watch") as process:
            assert process.wait(10) == 1
            assert process.stderr.read() == line + "\n"
            assert process.stdout.read() == ""
        answers["mappings"] = good
        with running(stub, "watch", stdout=screen.its) as process:
            # Said again when it went well meanwhile.
            for text, count in ((bad, 1), (good, 1), (bad, 2)):
                began = len(came)
                wait_for("a look", lambda: len(came) >= began + 2, 15)
                answers["mappings"] = text
                began = len(came)
                wait_for("two looks", lambda: len(came) >= began + 5, 15)
                screen.shows(line, count)
            process.send_signal(signal.SIGHUP)
            assert process.wait(10) == 0
        screen.close()
    assert screen.text == 2 * (line + "\r\n"), screen.text


def test_it_ends_well_by_signals_and_without_a_reader(lab):
    lab.need_portico()
    daemon = lab.start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, None):
        with watching(lab, daemon) as events:
            process = events.process
            if number:
                process.send_signal(number)
            else:
                process.stdout.close()
            assert process.wait(10) == 0, number
            assert process.stderr.read() == "", number
            if number:
                assert events.read() is not None
    for arguments in (("--interval", "0"), ("--count", "none"),
                      ("--peer", R1), ("--host", "nobody")):
        done = daemon.run("watch", *arguments, check=False)
        assert done.returncode == 2 and not done.stdout, done
