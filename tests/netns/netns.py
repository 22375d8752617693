# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces: programs, sockets, settings and packet captures in them.

Nothing here knows of Portico. A program is started directly (nsenter replaces
itself by it), so the process id is the program's own; sockets are made in a
namespace by the calling thread and stay there.
"""
import contextlib
import ctypes
import functools
import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

CLONE_NEWNET = 0x40000000
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
ETH_P_IP = 0x0800
PACKET_OUTGOING = 4
# Every time limit is multiplied by this; on an emulated machine above 1.
SLOW = float(os.environ.get("PORTICO_TEST_SLOW", "1"))
_libc = ctypes.CDLL(None, use_errno=True)
_home = os.open("/proc/self/ns/net", os.O_RDONLY)


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def ip_batch(lines, namespace=None):
    """Runs many `ip` commands in one process; any failure is an error."""
    argv = ["ip"] + (["-n", namespace] if namespace else []) + ["-batch", "-"]
    subprocess.run(argv, input="\n".join(lines) + "\n", text=True, check=True,
                   timeout=30 * SLOW)


def wait_for(what, condition, seconds=10.0, pause=0.02):
    """Waits until condition() is true and returns its value."""
    seconds *= SLOW
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


def contention(seconds=0.2):
    """How many times as long as alone a program takes here just now, at least
    1: others may want the processors too. For promises of time, which are about
    a machine that has time."""
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < seconds:
        pass
    return max(1.0, (time.monotonic() - began) / seconds)


class Process:
    """One running program; its output goes to a file that can be read at
    any time."""

    def __init__(self, argv, **options):
        self.argv = argv
        self.file = tempfile.TemporaryFile()
        self.popen = subprocess.Popen(
            argv, stdout=self.file, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, **options)
        self.pid = self.popen.pid

    def output(self):
        self.file.flush()
        size = os.fstat(self.file.fileno()).st_size
        return os.pread(self.file.fileno(), size, 0).decode("utf-8",
                                                            "replace")

    def alive(self):
        return self.popen.poll() is None

    def wait(self, seconds):
        """The exit status; a program that does not end in time is killed
        and is an error."""
        try:
            return self.popen.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.stop(signal.SIGKILL)
            raise AssertionError(f"{self.argv[-1]}: still running after "
                                 f"{seconds * SLOW:g} s") from None

    def stop(self, number=signal.SIGTERM, seconds=5.0):
        if self.alive():
            self.popen.send_signal(number)
            try:
                self.popen.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        return self.popen.returncode


class Namespace:
    """A network namespace made by `ip netns add`."""

    def __init__(self, name):
        self.name = name
        self.path = "/run/netns/" + name
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self.processes = []

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is inside while the block runs."""
        _setns(self.fd)
        try:
            yield self
        finally:
            _setns(_home)

    def _argv(self, argv):
        # A program dies with its test, whatever happens to the test.
        return ["setpriv", "--pdeathsig", "KILL", "nsenter",
                "--net=" + self.path, "--"] + [str(a) for a in argv]

    def run(self, *argv, check=True, timeout=20, input=None, **options):
        """Runs a program to its end; stdout and stderr as text."""
        timeout *= SLOW
        try:
            done = subprocess.run(
                self._argv(argv), input=input, text=True, timeout=timeout,
                capture_output=True, errors="replace", **options)
        except subprocess.TimeoutExpired as error:
            said = str(error.stdout or "") + str(error.stderr or "")
            raise AssertionError(
                f"{' '.join(map(str, argv))}: still running after {timeout:g} "
                f"s: {said[-300:]}") from None
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(map(str, argv))}: exit {done.returncode}: "
                f"{(done.stdout + done.stderr).strip()[-400:]}")
        return done

    def start(self, *argv, **options):
        """Starts a program that the namespace's end will stop."""
        process = Process(self._argv(argv), **options)
        self.processes.append(process)
        return process

    @contextlib.contextmanager
    def running(self, *argv, **options):
        process = self.start(*argv, **options)
        try:
            yield process
        finally:
            process.stop()
            self.processes.remove(process)

    def ip(self, command, check=True):
        return self.run("ip", *command.split(), check=check).stdout

    def ip_json(self, command):
        return json.loads(self.run("ip", "-j", *command.split()).stdout)

    def socket(self, kind=socket.SOCK_DGRAM, bind=None, connect=None,
               timeout=5.0, family=socket.AF_INET, proto=0):
        with self.entered():
            made = socket.socket(family, kind, proto)
        try:
            made.settimeout(timeout * SLOW)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if bind:
                made.bind(bind)
            if connect:
                made.connect(connect)
        except OSError:
            made.close()
            raise
        return made

    def udp(self, address="0.0.0.0", port=0, timeout=5.0):
        return self.socket(bind=(address, port), timeout=timeout)

    def tcp(self, peer, source=None, timeout=5.0):
        return self.socket(socket.SOCK_STREAM, bind=source, connect=peer,
                           timeout=timeout)

    def listener(self, address, port, backlog=64):
        made = self.socket(socket.SOCK_STREAM, bind=(address, port))
        made.listen(backlog)
        return made

    def sysctl(self, name, value=None):
        """Reads a setting of this namespace, or writes it."""
        path = "/proc/sys/" + name.replace(".", "/")
        with self.entered():
            if value is None:
                with open(path) as file:
                    return file.read().strip()
            with open(path, "w") as file:
                file.write(str(value))

    def has_listener(self, port, kind="t"):
        return bool(self.run("ss", f"-Hln{kind}",
                             f"sport = :{port}").stdout.strip())

    def wait_listener(self, port, kind="t", seconds=10):
        wait_for(f"a listener on port {port} in {self.name}",
                 lambda: self.has_listener(port, kind), seconds)

    def capture(self, expression, device=None, sent=True):
        return Capture(self, expression, device, sent=sent)

    def link_socket(self, device):
        """A packet socket that sends whole Ethernet frames."""
        with self.entered():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            made.bind((device, 0))
        return made

    def close(self):
        for process in list(self.processes):
            process.stop(signal.SIGKILL)
        self.processes.clear()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@functools.lru_cache(maxsize=None)
def compile_filter(expression):
    """tcpdump's expression as the kernel's program for packets that begin
    at the IP header."""
    text = subprocess.run(["tcpdump", "-ddd", "-y", "RAW", expression],
                          check=True, capture_output=True, text=True).stdout
    lines = [tuple(map(int, line.split())) for line in text.split("\n")[1:]
             if line]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _attach(sock, expression):
    program = compile_filter(expression)
    buffer = ctypes.create_string_buffer(program)
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("HL", len(program) // 8,
                                ctypes.addressof(buffer)))


class Capture:
    """IPv4 packets seen by a namespace from now on, from the IP header on.
    The kernel filters and keeps them until they are asked for. Without a
    device it sees what every device receives, with one also what is sent,
    unless sent=False."""

    def __init__(self, namespace, expression, device=None, room=8 << 20,
                 sent=True):
        self.sent = sent
        protocol = 0 if device else socket.htons(ETH_P_IP)
        with namespace.entered():
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                      protocol)
            self.sock.setblocking(False)
            _attach(self.sock, expression)
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, room)
            if device:
                self.sock.bind((device, ETH_P_ALL))
        self.read()  # what came before the filter was there

    def read(self):
        """What came since the last call."""
        packets = []
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    packet, where = self.sock.recvfrom(65535)
                    if self.sent or where[2] != PACKET_OUTGOING:
                        packets.append(packet)
                except OSError as error:  # a device went down
                    if isinstance(error, BlockingIOError):
                        raise
        return packets

    def wait(self, count=1, seconds=3.0):
        """Waits for at least count packets; returns those that came."""
        packets = []
        end = time.monotonic() + seconds * SLOW
        while len(packets) < count and time.monotonic() < end:
            packets += self.read()
            time.sleep(0.005)
        return packets

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()


def remove_namespaces(prefix):
    """Ends what still runs in the namespaces of this prefix (they are ours,
    so is all that runs in them) and deletes them."""
    if not os.path.isdir("/run/netns"):
        return
    for name in sorted(os.listdir("/run/netns")):
        if not name.startswith(prefix):
            continue
        pids = subprocess.run(["ip", "netns", "pids", name], text=True,
                              capture_output=True).stdout.split()
        for pid in map(int, pids):
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
