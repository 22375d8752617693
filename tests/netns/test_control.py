# SPDX-License-Identifier: GPL-2.0-or-later
"""The control sockets under good and bad clients: the gateway goes on."""
import contextlib
import json
import os
import socket
import stat
import time

from lab import E, L1, R1
from netns import SLOW
from tools import Who, ask, limit

IDLE_S = 30  # a silent client is cut off then
GARBAGE = [b"\n", b"\n" * 5000, b"hello\n", b"{}\n", b"[]\n", b"null\n",
           b'{"command":5}\n', b'{"command":"nonsense"}\n',
           b'"status"\n', bytes(range(256)) + b"\n", b"\xff" * 100 + b"\n",
           b'{"a":' * 1000 + b"\n", b'{"command":"status"' + b"}" * 50 + b"\n",
           b"GET / HTTP/1.1\r\nHost: portico\r\n\r\n"]


def connect(path, timeout=3.0):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)  # waits where the backlog is full
    sock.settimeout(timeout)
    return sock


def read_all(sock):
    """What comes until the other side closes or is silent for a while."""
    data = b""
    with contextlib.suppress(socket.timeout, ConnectionError):
        while more := sock.recv(65536):
            data += more
    return data


def cut_off(sock, seconds):
    """The other side closes within that time."""
    sock.settimeout(seconds)
    with contextlib.suppress(ConnectionError):
        while sock.recv(65536):
            pass


def healthy(lab):
    """Status answers and packets flow."""
    assert lab.portico("status")["uplink"]["address"] == E
    with Who(lab.wan, udp=[(R1, 7170)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7170)).startswith(E + ":")
        sock.close()


def test_garbage_is_answered_with_an_error_or_cut_off(lab):
    lab.need_portico()
    daemon = lab.start()
    for path in (daemon.control, daemon.control_read):
        for garbage in GARBAGE:
            sock = connect(path, 0.3)
            with contextlib.suppress(ConnectionError):
                sock.sendall(garbage)
            for line in read_all(sock).split(b"\n"):
                if line:
                    assert "error" in json.loads(line), (garbage, line)
            sock.close()
    healthy(lab)


def test_10_mb_without_an_end_are_cut_off(lab):
    lab.need_portico()
    daemon = lab.start()
    sock = connect(daemon.control, 10)
    try:
        for _ in range(10):
            sock.sendall(b"x" * 1000000)
        raise AssertionError("10 MB were taken in")
    except (BrokenPipeError, ConnectionResetError):
        pass
    sock.close()
    healthy(lab)


@limit(90)
def test_a_silent_client_is_cut_off(lab):
    lab.need_portico()
    daemon = lab.start()
    silent = [connect(daemon.control) for _ in range(3)]
    silent[1].sendall(b'{"command":')  # begun and never ended
    began = time.monotonic()
    healthy(lab)
    for sock in silent:
        cut_off(sock, IDLE_S + 10)
        sock.close()
    assert time.monotonic() - began > IDLE_S / 2
    healthy(lab)


def test_many_clients_do_not_shut_out_the_daemon(lab):
    lab.need_portico()
    daemon = lab.start()
    socks = []
    for _ in range(200):
        with contextlib.suppress(OSError):
            sock = socket.socket(socket.AF_UNIX)
            socks.append(sock)
            sock.setblocking(False)
            sock.connect(daemon.control)
    with Who(lab.wan, udp=[(R1, 7171)]):
        sock = lab.lan1.udp()
        assert ask(sock, (R1, 7171))
        sock.close()
    for sock in socks:
        sock.close()
    healthy(lab)


def test_clients_that_hang_up_do_no_harm(lab):
    lab.need_portico()
    daemon = lab.start()
    for _ in range(100):
        sock = connect(daemon.control)
        # One of too many at once is sent away.
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(
                b'{"command":"mappings"}\n{"command":"sessions"}\n{"com')
        sock.close()
    time.sleep(0.2 * SLOW)  # what they asked for has its turn, one in a ms
    healthy(lab)


@limit(90)
def test_a_slow_reader_delays_no_packet(lab):
    lab.need_portico()
    daemon = lab.start(fresh=True, limits={"host_new_per_second": 10000,
                                           "host_mappings": 10000})
    with Who(lab.wan, udp=[(R1, 7172)]):
        many = lab.lan1.udp(L1, 0)
        for number in range(3000):
            sock = lab.lan1.udp(L1, 10000 + number)
            sock.sendto(b"x", (R1, 7172))
            sock.close()
        slow = [connect(daemon.control) for _ in range(3)]
        for sock in slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.sendall(b'{"command":"mappings"}\n')
            sock.recv(10)
        began = time.monotonic()
        for _ in range(50):
            ask(many, (R1, 7172))
        assert time.monotonic() - began < 5, "packets waited for a reader"
        assert len(lab.portico("mappings")["mappings"]) >= 2900
        # The slow ones get the whole answer in the end.
        slow[0].settimeout(5 * SLOW)
        text = b""
        while not text.endswith(b"\n"):
            text += slow[0].recv(65536)
        assert text.count(b'"inside"') >= 2900, len(text)
        for sock in slow + [many]:
            sock.close()
    lab.stop()


def test_the_read_only_socket_changes_nothing(lab):
    lab.need_portico()
    daemon = lab.start()
    done = daemon.run("--json", "status", socket=daemon.control_read)
    assert json.loads(done.stdout)["uplink"]["address"] == E
    done = daemon.run("reload", socket=daemon.control_read, check=False)
    assert done.returncode in (1, 4), done
    assert done.stderr.strip(), done


def test_the_sockets_are_for_root_and_their_groups_only(lab):
    lab.need_portico()
    daemon = lab.start()
    for path in (daemon.control, daemon.control_read):
        mode = stat.S_IMODE(os.stat(path).st_mode)
        assert mode & 0o007 == 0, f"{path}: {mode:o}"
    done = lab.gw.run("setpriv", "--reuid", "65534", "--regid", "65534",
                      "--clear-groups", *command(daemon), check=False)
    assert done.returncode == 4 and done.stderr.strip(), done


def command(daemon):
    from daemon import PORTICO
    return [PORTICO, "--socket", daemon.control, "status"]
